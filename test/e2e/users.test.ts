/** The command `user` beside a running server: what it gives and takes counts from the next request on. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createApiClient, sharedCredentials } from '../support/api-client.ts';
import { refusal } from '../support/api-server.ts';
import {
  type Ended,
  makeTemporaryDirectory,
  runCommand,
  type ServerProcess,
  settingsFor,
  startServer,
  type TemporaryDirectory,
} from '../support/command.ts';
import { allow, everything } from '../support/signed-calls.ts';
import { fetchSigned } from '../support/signed-request.ts';

let directory: TemporaryDirectory;
let dataDir: string;
let server: ServerProcess;

before(async () => {
  directory = await makeTemporaryDirectory();
  dataDir = join(directory.path, 'data');
  server = await startServer(dataDir);
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

async function run(...args: string[]): Promise<Ended> {
  return runCommand(args, { settings: settingsFor(dataDir) });
}

/** Runs the command, which must succeed, and gives what it printed. */
async function succeed(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run(...args);
  assert.equal(status, 0, stderr);
  return stdout;
}

async function newFile(name: string, text: string): Promise<string> {
  const file = join(directory.path, name);
  await writeFile(file, text);
  return file;
}

/** The name of the exception that ListConnectors answers to whoever has these credentials; OK when it succeeds. */
async function outcome(credentials: string): Promise<string> {
  const request = createApiClient(server.apiUrl, credentials).listConnectors();
  return request.promise().then(
    () => 'OK',
    (error: { code: string }) => error.code,
  );
}

describe('user', () => {
  it('makes a user who may do nothing, gives a policy, takes it away and deletes the user', async () => {
    assert.equal(await succeed('user', 'create', 'ci'), 'Created ci, who may do nothing until `user put-policy` allows it.\n');
    const credentials = await newFile('ci', await succeed('access-key', 'create', '--user', 'ci'));
    assert.equal(await outcome(credentials), 'AccessDeniedException');
    const list = await newFile('list.json', allow('pca-connector-scep:ListConnectors'));
    assert.equal(await succeed('user', 'put-policy', 'ci', 'list', list), 'ci has policy list.\n');
    assert.equal(await outcome(credentials), 'OK');
    const shown = (await succeed('user', 'show', 'ci')).split('\n');
    assert.deepEqual(shown.slice(0, 2), ['Policy list:', allow('pca-connector-scep:ListConnectors')]);
    const [, accessKeyId = ''] = /^(AKIA\w{16})  \S+  permanent  ci$/.exec(shown[2] ?? '') ?? [];
    assert.equal(await succeed('user', 'delete-policy', 'ci', 'list'), 'Deleted policy list of ci.\n');
    assert.equal(await outcome(credentials), 'AccessDeniedException');
    const kept = await run('user', 'delete', 'ci');
    assert.equal(kept.status, 1);
    assert.equal(kept.stderr, 'scep-connector: User ci still has 1 access keys and 0 policies. Delete those first.\n');
    await succeed('access-key', 'delete', accessKeyId);
    assert.equal(await succeed('user', 'delete', 'ci'), 'Deleted ci.\n');
    assert.equal(await outcome(credentials), 'UnrecognizedClientException');
    assert.doesNotMatch(await succeed('user', 'list'), /ci$/m);
  });

  it('makes an administrator, or a user with a first policy that is named after its file', async () => {
    assert.equal(await succeed('user', 'create', 'boss', '--administrator'), 'Created boss, with policy AdministratorAccess.\n');
    assert.equal(await succeed('user', 'show', 'boss'), `Policy AdministratorAccess:\n${everything}\n`);
    const file = await newFile('read-only.json', allow('pca-connector-scep:Get*'));
    assert.equal(await succeed('user', 'create', 'reader', '--policy', file), 'Created reader, with policy read-only.\n');
    assert.match(await succeed('user', 'list'), /^(?:\d\S+Z  \S+\n)+$/);
    assert.match(await succeed('user', 'list'), /  administrator\n\S+  boss\n\S+  reader\n$/);
  });

  it('keeps the users of two accounts apart', async () => {
    await succeed('user', 'create', 'boss', '--account', '111122223333');
    assert.match(await succeed('user', 'list', '--account', '111122223333'), /^\S+  boss\n$/);
    assert.equal(await succeed('user', 'show', 'boss', '--account', '111122223333'), '');
  });

  it('refuses in one line that says what to do, and changes nothing', async () => {
    const noPolicy = await newFile('no-policy.json', '{"Statement":[]}');
    const lines: [args: string[], complaint: RegExp, status?: number][] = [
      [['create', 'administrator'], /User administrator exists already\. Choose another name\.$/],
      [['create', 'a b'], /A user name is 1 to 64 letters, digits or _ \+ = , \. @ -$/],
      [['create', 'a', '--account', '1'], /An account id is 12 digits\.$/],
      [['create', 'a', '--policy', noPolicy], /Statement must be/],
      [['create', 'a', '--policy', join(directory.path, 'none')], /ENOENT/],
      [['create', 'a', '--policy', noPolicy, '--administrator'], /cannot be used with/, 2],
      [['put-policy', 'administrator', 'a b', noPolicy], /A policy name is 1 to 128/],
      [
        ['put-policy', 'nobody', 'p', await newFile('all.json', everything)],
        /User nobody does not exist in account 000000000000: `user list` shows/,
      ],
      [['show', 'nobody'], /User nobody does not exist in account 000000000000: `user list` shows/],
      [['delete-policy', 'administrator', 'p'], /Policy p does not exist in account 000000000000: `user show` shows/],
      [['delete', 'nobody'], /User nobody does not exist/],
      [['delete'], /missing required argument 'name'/, 2],
      [['destroy', 'ci'], /unknown command 'destroy'/, 2],
    ];
    const before = [await succeed('user', 'list'), await succeed('user', 'show', 'administrator')];
    for (const [args, complaint, expected = 1] of lines) {
      const { status, stdout, stderr } = await run('user', ...args);
      assert.match(stderr.trimEnd(), complaint);
      assert.match(stderr, /^scep-connector: [^\n]+\n$/);
      assert.deepEqual([status, stdout], [expected, ''], args.join(' '));
    }
    assert.deepEqual([await succeed('user', 'list'), await succeed('user', 'show', 'administrator')], before);
  });

  it("leaves the first start's administrator with every right", async () => {
    const credentials = join(dataDir, 'credentials');
    assert.equal(await outcome(credentials), 'OK');
    const { code } = await refusal(createApiClient(server.apiUrl, credentials).getConnector({ ConnectorArn: 'arn:of:nothing' }));
    assert.equal(code, 'ValidationException');
  });

  it('leaves a record of what it changes, with who did it and without a secret', async () => {
    const policy = await newFile('one.json', allow('pca-connector-scep:ListConnectors'));
    await succeed('user', 'create', 'audited', '--policy', policy);
    const key = await succeed('access-key', 'create', '--user', 'audited', '--duration', '1h');
    const secrets = [...key.matchAll(/^aws_(?:secret_access_key|session_token) = (.+)$/gm)].map(([, secret = '']) => secret);
    assert.equal(secrets.length, 2);
    await succeed('user', 'show', 'audited');
    await succeed('user', 'delete-policy', 'audited', 'one');
    await succeed('user', 'delete', 'audited');
    const credentials = sharedCredentials(join(dataDir, 'credentials'));
    const url = `${server.apiUrl}/scep-connector/v1/events?PrincipalArn=${encodeURIComponent('arn:aws:iam::000000000000:root')}`;
    const response = await fetchSigned({ method: 'GET', url }, { credentials, region: 'us-east-1' });
    const text = await response.text();
    const { Events } = JSON.parse(text) as {
      Events: { eventName: string; userIdentity: object; requestParameters: { UserName: string } }[];
    };
    const own = Events.filter(({ requestParameters }) => requestParameters.UserName === 'audited').map(({ eventName }) => eventName);
    assert.deepEqual(own, ['DeleteUser', 'DeleteUserPolicy', 'GetSessionToken', 'PutUserPolicy', 'CreateUser']);
    const root = { type: 'Root', principalId: '000000000000', arn: 'arn:aws:iam::000000000000:root', accountId: '000000000000' };
    assert.deepEqual(Events[0]?.userIdentity, root);
    for (const secret of secrets) assert.ok(!text.includes(secret));
  });
});
