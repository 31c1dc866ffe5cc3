/** Users and their policies: administered through the API, and what they let a caller do from the next request on. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { evaluate } from '../../src/base/iam/evaluation.ts';
import type { Principal } from '../../src/base/resources.ts';
import { realSystem } from '../../src/base/system.ts';
import { connectorOperations } from '../../src/fronts/api/connector-operations.ts';
import { Users } from '../../src/service/users.ts';
import { type ApiServer, accountId, otherAccountId, startApiServer } from '../support/api-server.ts';
import { allow, callAs, everything, policyOf, statement } from '../support/signed-calls.ts';
import type { SigningCredentials } from '../support/signed-request.ts';

let server: ApiServer;
let call: ReturnType<typeof callAs>;
beforeEach(async () => {
  server = await startApiServer();
  call = callAs(server, server.credentials);
});
afterEach(() => server[Symbol.asyncDispose]());

const usersPath = '/scep-connector/v1/users';
const arnOf = (name: string) => `arn:aws:iam::${accountId}:user/${name}`;

/** A user with this policy, and a caller with a key of that user. */
async function newUser(UserName: string, PolicyDocument?: string): Promise<{ credentials: SigningCredentials; call: typeof call }> {
  assert.equal((await call('POST', usersPath, { UserName })).status, 200);
  if (PolicyDocument !== undefined) await put(UserName, 'main', PolicyDocument);
  const credentials = await server.accessKeys.createAccessKey({ accountId, userName: UserName });
  return { credentials, call: callAs(server, credentials) };
}

async function put(user: string, policy: string, PolicyDocument: string): Promise<void> {
  const { status, answer } = await call('PUT', `${usersPath}/${user}/policies/${policy}`, { PolicyDocument });
  assert.equal(status, 204, JSON.stringify(answer));
}

describe('the operations under /scep-connector/v1', () => {
  it('take their labels from the path, act under a prefix of their own and hide what they make', () => {
    for (const { name, uri, action, input, output, statusCode } of connectorOperations) {
      assert.match(uri, /^\/scep-connector\/v1\/[a-z-]+/);
      assert.equal(action, `scep-connector:${name}`);
      const labels = [...uri.matchAll(/\{(\w+)\}/g)].map(([, label]) => label);
      const placed = Object.entries(input).filter(([, member]) => 'place' in member && member.place === 'label');
      assert.deepEqual(
        placed.map(([member]) => member),
        labels,
      );
      assert.equal(statusCode, Object.keys(output).length === 0 ? 204 : 200);
      assert.doesNotMatch(JSON.stringify(output), /"(?:SecretAccessKey|SessionToken)":\{"shape":\{"type":"string"\}/);
    }
  });
});

describe('CreateUser, ListUsers and DeleteUser', () => {
  it('make, list and delete a user', async () => {
    const { status, answer } = await call('POST', usersPath, { UserName: 'ci' });
    assert.equal(status, 200);
    const { CreatedAt, ...user } = answer['User'] as Record<string, unknown>;
    assert.deepEqual(user, { UserName: 'ci', Arn: arnOf('ci') });
    assert.equal(typeof CreatedAt, 'number');
    const listed = await call('GET', usersPath);
    assert.deepEqual(
      (listed.answer['Users'] as { UserName: string }[]).map(({ UserName }) => UserName),
      ['administrator', 'ci'],
    );
    assert.deepEqual((listed.answer['Users'] as unknown[])[1], answer['User']);
    assert.deepEqual(await call('DELETE', `${usersPath}/ci`), { status: 204, type: null, answer: {} });
    assert.equal((await call('DELETE', `${usersPath}/ci`)).type, 'ResourceNotFoundException');
  });

  it('page through the users of the account, in the order of their names', async () => {
    for (const UserName of ['b', 'd', 'a', 'c']) await call('POST', usersPath, { UserName });
    const names: string[] = [];
    let next = '';
    do {
      const { answer } = await call('GET', `${usersPath}?MaxResults=2${next}`);
      names.push(...(answer['Users'] as { UserName: string }[]).map(({ UserName }) => UserName));
      next = typeof answer['NextToken'] === 'string' ? `&NextToken=${encodeURIComponent(answer['NextToken'])}` : '';
    } while (next !== '');
    assert.deepEqual(names, ['a', 'administrator', 'b', 'c', 'd']);
  });

  it('refuse a name that is taken', async () => {
    await call('POST', usersPath, { UserName: 'ci' });
    const { status, type, answer } = await call('POST', usersPath, { UserName: 'ci' });
    const { Message, ...members } = answer;
    assert.deepEqual([status, type, members], [409, 'ConflictException', { ResourceId: 'ci', ResourceType: 'User' }]);
    assert.equal(Message, 'User ci exists already. Choose another name.');
  });

  it("take IAM's names and no others", async () => {
    for (const UserName of ['a', 'n'.repeat(64), 'Az09_+=,.@-', '...', '.a']) {
      assert.equal((await call('POST', usersPath, { UserName })).status, 200, UserName);
      assert.equal((await call('DELETE', `${usersPath}/${encodeURIComponent(UserName)}`)).status, 204, UserName);
    }
    for (const UserName of ['', 'n'.repeat(65), 'a b', 'ä', 'a/b', '*', '.', '..', undefined, 7]) {
      assert.equal((await call('POST', usersPath, { UserName })).type, 'ValidationException', String(UserName));
    }
  });

  it('keep a user who has policies or permanent keys, and end sessions with the user', async () => {
    const { credentials, call: callAsUser } = await newUser('ci', allow('scep-connector:GetSessionToken'));
    const { Credentials } = (await callAsUser('POST', '/scep-connector/v1/session-tokens', {})).answer as {
      Credentials: Record<string, string>;
    };
    const { status, type, answer } = await call('DELETE', `${usersPath}/ci`);
    assert.deepEqual([status, type, answer['ResourceType']], [409, 'ConflictException', 'User']);
    assert.equal(answer['Message'], 'User ci still has 1 access keys and 1 policies. Delete those first.');
    await call('DELETE', `${usersPath}/ci/access-keys/${credentials.accessKeyId}`);
    assert.equal((await call('DELETE', `${usersPath}/ci`)).status, 409);
    await call('DELETE', `${usersPath}/ci/policies/main`);
    assert.equal((await call('DELETE', `${usersPath}/ci`)).status, 204);
    const session = await server.accessKeys.findSecret(Credentials['AccessKeyId'] ?? '', Credentials['SessionToken']);
    assert.equal(session, undefined);
  });
});

describe('PutUserPolicy, GetUserPolicy, ListUserPolicies and DeleteUserPolicy', () => {
  it('keep a document as it was given, replace it and delete it', async () => {
    await newUser('ci');
    const document = ` ${allow('pca-connector-scep:*')}\n`;
    await put('ci', 'main', everything);
    await put('ci', 'main', document);
    await put('ci', 'other', everything);
    const path = `${usersPath}/ci/policies`;
    assert.deepEqual((await call('GET', `${path}/main`)).answer, { UserName: 'ci', PolicyName: 'main', PolicyDocument: document });
    const first = await call('GET', `${path}?MaxResults=1`);
    assert.deepEqual(first.answer['PolicyNames'], ['main']);
    const rest = await call('GET', `${path}?NextToken=${encodeURIComponent(String(first.answer['NextToken']))}`);
    assert.deepEqual(rest.answer, { PolicyNames: ['other'] });
    assert.equal((await call('DELETE', `${path}/main`)).status, 204);
    for (const method of ['GET', 'DELETE']) {
      const { status, answer } = await call(method, `${path}/main`);
      assert.deepEqual([status, answer['ResourceType'], answer['ResourceId']], [404, 'Policy', 'main']);
    }
  });

  it('say that a user does not exist', async () => {
    for (const [method, path, body] of [
      ['PUT', 'policies/main', { PolicyDocument: everything }],
      ['GET', 'policies/main'],
      ['DELETE', 'policies/main'],
      ['GET', 'policies'],
      ['POST', 'access-keys'],
      ['GET', 'access-keys'],
    ] as const) {
      const { status, type, answer } = await call(method, `${usersPath}/nobody/${path}`, body);
      assert.deepEqual(
        [status, type, answer['ResourceType'], answer['ResourceId']],
        [404, 'ResourceNotFoundException', 'User', 'nobody'],
        path,
      );
    }
  });

  it('refuse a document that is no policy with a sentence, and keep the old one', async () => {
    await newUser('ci', everything);
    const documents = [
      '',
      '{',
      '[]',
      '{"Statement":[]}',
      policyOf({ ...statement('*'), Effect: 'Perhaps' }),
      everything.replace('*', '\u0100'),
    ];
    for (const PolicyDocument of documents) {
      const { type, answer } = await call('PUT', `${usersPath}/ci/policies/main`, { PolicyDocument });
      assert.equal(type, 'ValidationException', PolicyDocument);
      assert.match(String(answer['Message']), /\S/);
    }
    assert.equal((await call('GET', `${usersPath}/ci/policies/main`)).answer['PolicyDocument'], everything);
  });

  it('take a document of 10,240 characters and no more, and ten policies and no more', async () => {
    await newUser('ci');
    const longest = everything.padEnd(10_240);
    await put('ci', 'long', longest);
    assert.equal((await call('PUT', `${usersPath}/ci/policies/long`, { PolicyDocument: `${longest} ` })).type, 'ValidationException');
    for (let n = 1; n < 10; n++) await put('ci', `policy-${n}`, everything);
    const { status, type, answer } = await call('PUT', `${usersPath}/ci/policies/eleventh`, { PolicyDocument: everything });
    const { Message, ...members } = answer;
    assert.deepEqual([status, type], [402, 'ServiceQuotaExceededException']);
    assert.deepEqual(members, { ResourceType: 'Policy', ServiceCode: 'scep-connector', QuotaCode: 'PoliciesPerUser' });
    assert.equal(Message, 'There are 10 policies of a user, and 10 is the limit. Delete some first.');
    await put('ci', 'long', everything);
  });
});

describe('what a policy lets a user do', () => {
  it('is nothing without one', async () => {
    const { call: callAsUser } = await newUser('ci');
    for (const [method, path] of [
      ['GET', '/connectors'],
      ['GET', usersPath],
      ['POST', '/scep-connector/v1/session-tokens'],
      ['POST', `${usersPath}/ci/access-keys`],
      ['GET', `${usersPath}/ci/policies`],
    ] as const) {
      const { status, type, answer } = await callAsUser(method, path);
      assert.deepEqual([status, type], [403, 'AccessDeniedException'], path);
      assert.match(String(answer['Message']), new RegExp(`^User: ${arnOf('ci')} is not authorized to perform: `));
    }
  });

  it('counts from the next request on: given, replaced, denied and taken away', async () => {
    const { call: callAsUser } = await newUser('ci');
    const status = async () => (await callAsUser('GET', '/connectors')).status;
    assert.equal(await status(), 403);
    await put('ci', 'main', allow('pca-connector-scep:ListConnectors'));
    assert.equal(await status(), 200);
    await put('ci', 'main', allow('pca-connector-scep:GetConnector'));
    assert.equal(await status(), 403);
    await put('ci', 'main', everything);
    assert.equal(await status(), 200);
    await put('ci', 'brake', policyOf({ ...statement('pca-connector-scep:List*'), Effect: 'Deny' }));
    assert.equal(await status(), 403);
    await call('DELETE', `${usersPath}/ci/policies/brake`);
    assert.equal(await status(), 200);
    await call('DELETE', `${usersPath}/ci/policies/main`);
    assert.equal(await status(), 403);
  });

  it('does not let a limited user give anyone more', async () => {
    const limited = policyOf(statement('pca-connector-scep:*'), statement('scep-connector:GetUserPolicy', arnOf('ci')));
    const { credentials, call: callAsUser } = await newUser('ci', limited);
    await newUser('boss', everything);
    const attempts: [string, string, object?][] = [
      ['PUT', `${usersPath}/ci/policies/main`, { PolicyDocument: everything }],
      ['PUT', `${usersPath}/ci/policies/new`, { PolicyDocument: everything }],
      ['DELETE', `${usersPath}/ci/policies/main`],
      ['POST', usersPath, { UserName: 'friend' }],
      ['DELETE', `${usersPath}/boss`],
      ['POST', `${usersPath}/boss/access-keys`],
      ['POST', `${usersPath}/ci/access-keys`],
      ['GET', `${usersPath}/boss/access-keys`],
      ['PUT', `${usersPath}/ci/access-keys/${credentials.accessKeyId}`, { Status: 'ACTIVE' }],
      ['GET', `${usersPath}/boss/policies/main`],
    ];
    for (const [method, path, body] of attempts) {
      assert.equal((await callAsUser(method, path, body)).type, 'AccessDeniedException', `${method} ${path}`);
    }
    assert.equal((await callAsUser('GET', `${usersPath}/ci/policies/main`)).status, 200);
  });

  it('names the user that it is about', async () => {
    const { call: callAsUser } = await newUser('lead', allow('scep-connector:PutUserPolicy', arnOf('team-*')));
    await newUser('team-a');
    assert.equal((await callAsUser('PUT', `${usersPath}/team-a/policies/p`, { PolicyDocument: everything })).status, 204);
    for (const path of [`${usersPath}/lead/policies/p`, `${usersPath}/team-b%2F..%2Flead/policies/p`]) {
      assert.notEqual((await callAsUser('PUT', path, { PolicyDocument: everything })).status, 204, path);
    }
    assert.equal((await call('GET', `${usersPath}/lead/policies`)).answer['PolicyNames']?.toString(), 'main');
  });

  it('ends at the account', async () => {
    await newUser('ci', everything);
    const other = callAs(server, await server.accessKeys.createAccessKey({ accountId: otherAccountId }));
    assert.deepEqual(
      ((await other('GET', usersPath)).answer['Users'] as { UserName: string }[]).map(({ UserName }) => UserName),
      ['administrator'],
    );
    for (const [method, path] of [
      ['DELETE', `${usersPath}/ci`],
      ['GET', `${usersPath}/ci/policies/main`],
      ['POST', `${usersPath}/ci/access-keys`],
    ] as const) {
      assert.equal((await other(method, path)).type, 'ResourceNotFoundException', path);
    }
  });

  it('tells a denied caller nothing about who exists', async () => {
    const { call: callAsUser } = await newUser('ci');
    const answers = await Promise.all(['administrator', 'nobody'].map(name => callAsUser('GET', `${usersPath}/${name}/policies`)));
    const [known, unknown] = answers.map(({ status, answer }) => [status, String(answer['Message']).replace(/user\/\w+$/, 'user/X')]);
    assert.deepEqual(known, unknown);
  });
});

describe('policiesOf', () => {
  const principal: Principal = { accountId, userName: 'ci', arn: arnOf('ci'), accessKeyId: 'AKIA' };
  const reports: unknown[] = [];
  const quiet = () => {};
  const makeUsers = () =>
    new Users({
      database: server.database,
      system: realSystem,
      log: { info: quiet, warn: quiet, error: fields => void reports.push(fields) },
    });

  it("gives the user's policies and the session's apart", async () => {
    await newUser('ci', everything);
    await put('ci', 'more', allow('pca-connector-scep:*'));
    const { identity, session } = await makeUsers().policiesOf({ ...principal, sessionPolicy: everything });
    assert.equal(identity.length, 2);
    assert.ok(session);
    assert.deepEqual(Object.keys(await makeUsers().policiesOf(principal)), ['identity']);
    assert.deepEqual(await makeUsers().policiesOf({ ...principal, userName: 'nobody' }), { identity: [] });
  });

  it('gives none at all when one of them cannot be read, and reports that once', async () => {
    await newUser('ci', everything);
    await put('ci', 'more', everything.replace('Allow', 'Deny'));
    const broken = { document: '{"Statement":' };
    await server.database.query.updateTable('user_policies').set(broken).where('policy_name', '=', 'more').execute();
    const users = makeUsers();
    reports.length = 0;
    const decide = async (who: Principal) => {
      const { identity, session } = await users.policiesOf(who);
      assert.equal(session, undefined);
      return evaluate(identity, { action: 'acm-pca:ListTags', resource: '*', context: new Map() });
    };
    for (let n = 0; n < 2; n++) assert.equal(await decide(principal), 'explicitDeny');
    assert.equal(reports.length, 1);
    assert.equal(await decide({ ...principal, userName: 'administrator', sessionPolicy: 'null' }), 'explicitDeny');
    assert.equal(reports.length, 2);
  });
});
