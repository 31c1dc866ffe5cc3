/** Access keys: made, listed, switched off, deleted, looked up for a signature, and sessions that neither outlive nor outdo what they were given. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type KeyProtector, LocalKeyProtector } from '../../src/backends/key-protector.ts';
import { realSystem } from '../../src/base/system.ts';
import { AccessKeys } from '../../src/service/access-keys.ts';
import { type ApiServer, accountId, otherAccountId, startApiServer } from '../support/api-server.ts';
import { allow, callAs, everything, policyOf, statement } from '../support/signed-calls.ts';

let server: ApiServer;
let call: ReturnType<typeof callAs>;
beforeEach(async () => {
  server = await startApiServer();
  call = callAs(server, server.credentials);
});
afterEach(() => server[Symbol.asyncDispose]());

const keysPath = '/scep-connector/v1/users/ci/access-keys';
const sessionsPath = '/scep-connector/v1/session-tokens';
const secondMs = 1000;
const hourMs = 3600 * secondMs;

/** The user `ci` with this policy. */
async function makeUser(PolicyDocument = everything): Promise<void> {
  await call('POST', '/scep-connector/v1/users', { UserName: 'ci' });
  const { status } = await call('PUT', '/scep-connector/v1/users/ci/policies/main', { PolicyDocument });
  assert.equal(status, 204);
}

describe('AccessKeys', () => {
  it("makes permanent keys in the form of AWS, the account's first ones for its administrator", async () => {
    const { createdAt, ...key } = await server.accessKeys.createAccessKey({ accountId });
    assert.equal(typeof createdAt, 'number');
    assert.deepEqual(Object.keys(key), ['accessKeyId', 'secretAccessKey']);
    assert.match(key.accessKeyId, /^AKIA[A-Z2-7]{16}$/);
    assert.match(key.secretAccessKey, /^[A-Za-z0-9+/]{40}$/);
    const arn = `arn:aws:iam::${accountId}:user/administrator`;
    assert.deepEqual(await server.accessKeys.findSecret(key.accessKeyId, undefined), {
      secretAccessKey: key.secretAccessKey,
      principal: { accountId, userName: 'administrator', arn, accessKeyId: key.accessKeyId },
    });
  });

  it('makes temporary keys, whose secret only their session token opens', async () => {
    await makeUser();
    const sessionPolicy = allow('pca-connector-scep:*');
    const key = await server.accessKeys.createAccessKey({ accountId, userName: 'ci', durationSeconds: 60, sessionPolicy });
    assert.match(key.accessKeyId, /^ASIA[A-Z2-7]{16}$/);
    assert.deepEqual(await server.accessKeys.findSecret(key.accessKeyId, key.sessionToken), {
      secretAccessKey: key.secretAccessKey,
      expiresAt: key.expiresAt,
      principal: {
        accountId,
        userName: 'ci',
        arn: `arn:aws:iam::${accountId}:user/ci`,
        accessKeyId: key.accessKeyId,
        sessionPolicy,
      },
    });
    assert.equal(await server.accessKeys.findSecret(key.accessKeyId, undefined), undefined);
    assert.equal(await server.accessKeys.findSecret(key.accessKeyId, 'other'), undefined);
  });

  it('takes the same steps for a key that is unknown, inactive or without its session token as for a good one', async () => {
    const protector = new LocalKeyProtector(realSystem.randomBytes(32), realSystem);
    let steps: string[] = [];
    const noting: KeyProtector = {
      seal: (plaintext, context) => protector.seal(plaintext, context),
      async unseal(sealed, context) {
        const plaintext = await protector.unseal(sealed, context);
        steps.push(`unseal ${plaintext.length}`);
        return plaintext;
      },
      async mac(data, purpose) {
        steps.push(`mac ${data.length}`);
        return protector.mac(data, purpose);
      },
    };
    // Nothing may be remembered from one question to the next.
    const database = { ...server.database, revision: () => undefined };
    const accessKeys = new AccessKeys({ database, keyProtector: noting, system: realSystem });
    const permanent = await accessKeys.createAccessKey({ accountId });
    const temporary = await accessKeys.createAccessKey({ accountId, durationSeconds: 60 });
    const inactive = await accessKeys.createAccessKey({ accountId });
    await accessKeys.updateAccessKey({ accountId }, { AccessKeyId: inactive.accessKeyId, Status: 'INACTIVE' });
    const { sessionToken = '' } = temporary;
    const stepsOf = async (id: string, token?: string) => {
      steps = [];
      return { isFound: (await accessKeys.findSecret(id, token)) !== undefined, steps };
    };
    const good = await stepsOf(permanent.accessKeyId);
    assert.deepEqual(good, { isFound: true, steps: ['unseal 40'] });
    for (const id of ['AKIAUNKNOWNUNKNOWN77', inactive.accessKeyId, temporary.accessKeyId]) {
      assert.deepEqual(await stepsOf(id), { ...good, isFound: false }, id);
    }
    const goodSession = await stepsOf(temporary.accessKeyId, sessionToken);
    assert.deepEqual(goodSession, { isFound: true, steps: ['unseal 40', `mac ${sessionToken.length}`] });
    const wrongToken = sessionToken.replace(/^./, first => (first === 'A' ? 'B' : 'A'));
    for (const [id, token] of [
      [temporary.accessKeyId, wrongToken],
      ['ASIAUNKNOWNUNKNOWN77', sessionToken],
      [permanent.accessKeyId, sessionToken],
    ] as const) {
      assert.deepEqual(await stepsOf(id, token), { ...goodSession, isFound: false }, id);
    }
  });

  it('stores no secret in clear', async () => {
    const key = await server.accessKeys.createAccessKey({ accountId, durationSeconds: 60 });
    const rows = await server.database.query.selectFrom('access_keys').selectAll().where('access_key_id', '=', key.accessKeyId).execute();
    const [row] = rows;
    assert.ok(row?.session_token_mac);
    for (const bytes of [row.sealed_secret, row.session_token_mac]) {
      for (const clear of [key.secretAccessKey, key.sessionToken ?? '']) assert.ok(!Buffer.from(bytes).includes(clear));
    }
  });

  it('makes the account and its administrator with the first key, and leaves the administrator as he is with the next', async () => {
    const other = '777788889999';
    const administrator = callAs(server, await server.accessKeys.createAccessKey({ accountId: other }));
    const path = '/scep-connector/v1/users/administrator/policies';
    assert.deepEqual((await administrator('GET', path)).answer, { PolicyNames: ['AdministratorAccess'] });
    await administrator('DELETE', `${path}/AdministratorAccess`);
    const next = callAs(server, await server.accessKeys.createAccessKey({ accountId: other }));
    assert.equal((await next('GET', path)).type, 'AccessDeniedException');
    const accounts = await server.database.query.selectFrom('accounts').select('account_id').orderBy('account_id').execute();
    assert.deepEqual(
      accounts.map(account => account.account_id),
      [accountId, otherAccountId, other],
    );
  });

  it('refuses an account id, user, duration or session policy that is none', async () => {
    const wrong = [
      { accountId: '123' },
      ...[0, -1, 1.5, 129_601, Number.NaN].map(durationSeconds => ({ accountId, durationSeconds })),
      ...['', '{}', everything.padEnd(2049)].map(sessionPolicy => ({ accountId, durationSeconds: 60, sessionPolicy })),
      { accountId, sessionPolicy: everything },
    ];
    for (const request of wrong) await assert.rejects(server.accessKeys.createAccessKey(request), { name: 'ValidationException' });
    await assert.rejects(server.accessKeys.createAccessKey({ accountId, userName: 'nobody' }), { name: 'ResourceNotFoundException' });
    const longest = { accountId, durationSeconds: 129_600, sessionPolicy: everything.padEnd(2048) };
    assert.ok(await server.accessKeys.createAccessKey(longest));
  });
});

describe('CreateAccessKey, ListAccessKeys, UpdateAccessKey and DeleteAccessKey', () => {
  it('make a key that works, list it without its secret, switch it off and on, and delete it, each from the next request on', async () => {
    await makeUser();
    const { status, answer } = await call('POST', keysPath);
    assert.equal(status, 200);
    const { SecretAccessKey, ...made } = answer['AccessKey'] as Record<string, string>;
    assert.deepEqual(Object.keys(made), ['UserName', 'AccessKeyId', 'CreatedAt']);
    const { AccessKeyId = '' } = made;
    const user = callAs(server, { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey ?? '' });
    assert.deepEqual((await user('GET', keysPath)).answer, { AccessKeys: [{ ...made, Status: 'ACTIVE' }] });
    assert.equal((await call('PUT', `${keysPath}/${AccessKeyId}`, { Status: 'INACTIVE' })).status, 204);
    assert.equal((await user('GET', keysPath)).type, 'UnrecognizedClientException');
    assert.deepEqual((await call('GET', keysPath)).answer, { AccessKeys: [{ ...made, Status: 'INACTIVE' }] });
    await call('PUT', `${keysPath}/${AccessKeyId}`, { Status: 'ACTIVE' });
    assert.equal((await user('GET', keysPath)).status, 200);
    assert.equal((await call('DELETE', `${keysPath}/${AccessKeyId}`)).status, 204);
    assert.equal((await user('GET', keysPath)).type, 'UnrecognizedClientException');
    const { type, answer: refused } = await call('DELETE', `${keysPath}/${AccessKeyId}`);
    assert.deepEqual([type, refused['ResourceType'], refused['ResourceId']], ['ResourceNotFoundException', 'AccessKey', AccessKeyId]);
  });

  it('know a key only under its own user and account', async () => {
    await makeUser();
    const { accessKeyId } = server.credentials;
    const other = callAs(server, await server.accessKeys.createAccessKey({ accountId: otherAccountId }));
    for (const caller of [call, other]) {
      assert.equal((await caller('PUT', `${keysPath}/${accessKeyId}`, { Status: 'INACTIVE' })).type, 'ResourceNotFoundException');
      assert.equal((await caller('DELETE', `${keysPath}/${accessKeyId}`)).type, 'ResourceNotFoundException');
    }
    assert.equal((await call('GET', keysPath)).status, 200);
  });

  it('take a status of AWS and no other', async () => {
    for (const Status of ['Active', '', undefined, 1]) {
      assert.equal((await call('PUT', `${keysPath}/AKIA2222222222222222`, { Status })).type, 'ValidationException', String(Status));
    }
  });

  it('stop at ten permanent keys of a user', async () => {
    await makeUser();
    for (let n = 0; n < 10; n++) assert.equal((await call('POST', keysPath)).status, 200);
    const { status, type, answer } = await call('POST', keysPath);
    const { Message: _message, ...members } = answer;
    assert.deepEqual([status, type], [402, 'ServiceQuotaExceededException']);
    assert.deepEqual(members, { ResourceType: 'AccessKey', ServiceCode: 'scep-connector', QuotaCode: 'AccessKeysPerUser' });
    assert.ok(await server.accessKeys.createAccessKey({ accountId, userName: 'ci', durationSeconds: 60 }));
    assert.ok(await server.accessKeys.createAccessKey({ accountId }));
    const page = await call('GET', `${keysPath}?MaxResults=10`);
    assert.equal((page.answer['AccessKeys'] as unknown[]).length, 10);
    const rest = await call('GET', `${keysPath}?NextToken=${encodeURIComponent(String(page.answer['NextToken']))}`);
    const [session] = rest.answer['AccessKeys'] as Record<string, unknown>[];
    assert.equal(typeof session?.['ExpiresAt'], 'number');
  });
});

describe('GetSessionToken', () => {
  /** A session of the user `ci`, and a caller with it. */
  async function openSession(request: object = {}) {
    const key = await server.accessKeys.createAccessKey({ accountId, userName: 'ci' });
    const { status, answer } = await callAs(server, key)('POST', sessionsPath, request);
    assert.equal(status, 200, JSON.stringify(answer));
    const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = answer['Credentials'] as Record<string, string>;
    const session = { accessKeyId: AccessKeyId ?? '', secretAccessKey: SecretAccessKey ?? '', sessionToken: SessionToken ?? '' };
    return { key, session, call: callAs(server, session), expiresAtMs: Math.round(Number(Expiration) * secondMs) };
  }

  it('gives credentials that act as their user, for twelve hours or as long as was asked', async () => {
    await makeUser(allow('scep-connector:*'));
    const usual = await openSession();
    assert.equal((await usual.call('GET', keysPath)).status, 200);
    assert.equal((await usual.call('GET', '/connectors')).type, 'AccessDeniedException');
    const short = await openSession({ DurationSeconds: 900 });
    const { AccessKeys: keys } = (await call('GET', keysPath)).answer as { AccessKeys: Record<string, number>[] };
    const lives = [usual, short].map(({ session, expiresAtMs }) => {
      const { CreatedAt = 0, ExpiresAt = 0 } = keys.find(key => String(key['AccessKeyId']) === session.accessKeyId) ?? {};
      assert.equal(Math.round(ExpiresAt * secondMs), expiresAtMs);
      return Math.round(ExpiresAt - CreatedAt);
    });
    assert.deepEqual(lives, [43_200, 900]);
  });

  it('takes the durations of AWS and no others', async () => {
    for (const DurationSeconds of [900, 129_600]) assert.equal((await call('POST', sessionsPath, { DurationSeconds })).status, 200);
    for (const DurationSeconds of [899, 129_601, 1000.5, '900']) {
      assert.equal((await call('POST', sessionsPath, { DurationSeconds })).type, 'ValidationException', String(DurationSeconds));
    }
    for (const Policy of ['', '{}', everything.padEnd(2049)]) {
      assert.equal((await call('POST', sessionsPath, { Policy })).type, 'ValidationException');
    }
  });

  it('ends when it was said to', async () => {
    const key = await server.accessKeys.createAccessKey({ accountId, durationSeconds: 60 });
    const inSession = callAs(server, key);
    assert.equal((await inSession('GET', '/connectors')).status, 200);
    server.advance(60 * secondMs);
    assert.equal((await inSession('GET', '/connectors')).type, 'ExpiredTokenException');
  });

  it('is narrowed by its own policy as well as by those of its user, and a Deny in either decides', async () => {
    await makeUser(policyOf(statement('pca-connector-scep:*'), statement('scep-connector:GetSessionToken')));
    const list = async (Policy: string) => (await (await openSession({ Policy })).call('GET', '/connectors')).status;
    assert.equal(await list(everything), 200);
    assert.equal(await list(allow('pca-connector-scep:ListConnectors')), 200);
    assert.equal(await list(allow('pca-connector-scep:GetConnector')), 403);
    assert.equal(await list(policyOf(statement('*'), { ...statement('pca-connector-scep:ListConnectors'), Effect: 'Deny' })), 403);
    const { call: inSession } = await openSession({ Policy: everything });
    assert.equal((await inSession('GET', keysPath)).type, 'AccessDeniedException');
    const brake = policyOf(statement('*'), { ...statement('pca-connector-scep:*'), Effect: 'Deny' });
    await call('PUT', '/scep-connector/v1/users/ci/policies/brake', { PolicyDocument: brake });
    assert.equal((await inSession('GET', '/connectors')).type, 'AccessDeniedException');
  });

  it('changes neither users nor keys and opens no other session, even where its user and its policy allow everything', async () => {
    await makeUser();
    const { key, session, call: inSession } = await openSession({ Policy: everything });
    const attempts: [string, string, object?][] = [
      ['POST', sessionsPath, {}],
      ['POST', keysPath],
      ['PUT', `${keysPath}/${key.accessKeyId}`, { Status: 'INACTIVE' }],
      ['DELETE', `${keysPath}/${session.accessKeyId}`],
      ['POST', '/scep-connector/v1/users', { UserName: 'friend' }],
      ['DELETE', '/scep-connector/v1/users/ci'],
      ['PUT', '/scep-connector/v1/users/ci/policies/new', { PolicyDocument: everything }],
      ['DELETE', '/scep-connector/v1/users/ci/policies/main'],
    ];
    for (const [method, path, body] of attempts) {
      assert.equal((await inSession(method, path, body)).type, 'AccessDeniedException', `${method} ${path}`);
    }
    assert.equal((await inSession('GET', '/connectors')).status, 200);
    assert.equal((await inSession('GET', keysPath)).status, 200);
  });

  it('is listed with its end and can be ended at once', async () => {
    await makeUser();
    const { session, call: inSession, expiresAtMs } = await openSession();
    const { AccessKeys: keys } = (await call('GET', keysPath)).answer as { AccessKeys: Record<string, unknown>[] };
    const listed = keys.find(({ AccessKeyId }) => AccessKeyId === session.accessKeyId);
    assert.equal(Math.round(Number(listed?.['ExpiresAt']) * secondMs), expiresAtMs);
    await call('DELETE', `${keysPath}/${session.accessKeyId}`);
    assert.equal((await inSession('GET', '/connectors')).type, 'UnrecognizedClientException');
  });

  it('leaves nothing behind a day after its end, once another is opened', async () => {
    const opened = await server.accessKeys.createAccessKey({ accountId, durationSeconds: 3600 });
    const isKept = async () => {
      await server.accessKeys.createAccessKey({ accountId, durationSeconds: 60 });
      return (await server.accessKeys.findSecret(opened.accessKeyId, opened.sessionToken)) !== undefined;
    };
    server.advance(24 * hourMs);
    assert.equal(await isKept(), true);
    server.advance(hourMs);
    assert.equal(await isKept(), false);
  });
});
