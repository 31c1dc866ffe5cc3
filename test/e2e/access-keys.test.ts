/** The command `access-key` beside a running server: what it makes works at once, and what it deletes is refused at once. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { createApiClient } from '../support/api-client.ts';
import { refusal } from '../support/api-server.ts';
import {
  type Ended,
  makeTemporaryDirectory,
  readFirstStart,
  runCommand,
  type ServerProcess,
  settingsFor,
  startServer,
  type TemporaryDirectory,
} from '../support/command.ts';
import { Devices } from '../support/devices.ts';

let directory: TemporaryDirectory;
let dataDir: string;
let server: ServerProcess;
let filesMade = 0;

before(async () => {
  directory = await makeTemporaryDirectory();
  dataDir = join(directory.path, 'data');
  server = await startServer(dataDir);
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

async function accessKey(...args: string[]): Promise<Ended> {
  return runCommand(['access-key', ...args], { settings: settingsFor(dataDir) });
}

/** Makes a key and keeps what is printed as a credentials file. */
async function createKey(...args: string[]): Promise<{ file: string; accessKeyId: string }> {
  const { status, stdout, stderr } = await accessKey('create', ...args);
  assert.equal(status, 0, stderr);
  const file = join(directory.path, `credentials-${filesMade++}`);
  await writeFile(file, stdout);
  return { file, accessKeyId: /^aws_access_key_id = (\w+)$/m.exec(stdout)?.[1] ?? '' };
}

async function countConnectors(file: string): Promise<number | undefined> {
  const { Connectors } = await createApiClient(server.apiUrl, file).listConnectors().promise();
  return Connectors?.length;
}

describe('access-key create', () => {
  it('makes a permanent key that the running server accepts', async () => {
    const { file, accessKeyId } = await createKey();
    assert.match(accessKeyId, /^AKIA[A-Z2-7]{16}$/);
    assert.equal(await countConnectors(file), 1);
  });

  it('makes a temporary key that expires', async () => {
    const { file, accessKeyId } = await createKey('--duration', '4s');
    assert.match(accessKeyId, /^ASIA[A-Z2-7]{16}$/);
    assert.equal(await countConnectors(file), 1);
    await wait(4000);
    const { code, statusCode } = await refusal(createApiClient(server.apiUrl, file).listConnectors());
    assert.deepEqual({ code, statusCode }, { code: 'ExpiredTokenException', statusCode: 403 });
  });

  it('makes a key of another account, which sees nothing of the first', async () => {
    const { file } = await createKey('--account', '111122223333');
    assert.equal(await countConnectors(file), 0);
  });

  it('makes a temporary key that its policy narrows', async () => {
    const narrow = join(directory.path, 'narrow.json');
    await writeFile(narrow, '{"Statement":{"Effect":"Allow","Action":"pca-connector-scep:GetConnector","Resource":"*"}}');
    const { file } = await createKey('--duration', '1h', '--policy', narrow);
    const { code } = await refusal(createApiClient(server.apiUrl, file).listConnectors());
    assert.equal(code, 'AccessDeniedException');
  });

  it('refuses what no account, duration or policy can be, and a user who is not there', async () => {
    const missing = join(directory.path, 'missing.json');
    for (const wrong of [
      ['--account', '1'],
      ['--user', 'a b'],
      ['--duration', '37h'],
      ['--policy', missing],
      ['--duration', '1h', '--policy', missing],
      ['--duration', '1h', '--policy', join(dataDir, 'credentials')],
    ]) {
      const { status, stdout, stderr } = await accessKey('create', ...wrong);
      assert.notEqual(status, 0);
      assert.equal(stdout, '');
      assert.match(stderr, /^scep-connector: [^\n]+\n$/);
    }
  });

  it('waits for its turn while the server records enrolments, and holds up none of them', async () => {
    const shown = readFirstStart(server.stdout);
    const url = `${server.enrollUrl}${shown.path}`;
    const devices = await Devices.connect(url, { challenge: shown.challengePassword, keys: 2 });
    const done = new AbortController();
    const enrol = async () => {
      while (!done.signal.aborted) await devices.enrol(url, devices.request());
    };
    const streams = [enrol(), enrol()];
    const made = await Promise.all([createKey(), createKey()]);
    done.abort();
    await Promise.all(streams);
    for (const { file } of made) assert.equal(await countConnectors(file), 1);
  });

  it('makes a key before the first start that works after it', async () => {
    await using place = await makeTemporaryDirectory();
    const { status, stdout, stderr } = await runCommand(['access-key', 'create'], { settings: settingsFor(place.path) });
    assert.equal(status, 0, stderr);
    const file = join(place.path, 'mine');
    await writeFile(file, stdout);
    await using first = await startServer(place.path);
    assert.notEqual(readFirstStart(first.stdout).challengePassword, '');
    assert.equal((await createApiClient(first.apiUrl, file).listConnectors().promise()).Connectors?.length, 1);
  });
});

describe('access-key list', () => {
  it('shows every key of the account, or of one user, with its user and its end, and no secret', async () => {
    await runCommand(['user', 'create', 'visitor'], { settings: settingsFor(dataDir) });
    const temporary = await createKey('--user', 'visitor', '--duration', '1h');
    const { stdout: ofVisitor } = await accessKey('list', '--user', 'visitor');
    assert.match(ofVisitor, new RegExp(`^${temporary.accessKeyId}  [^\\n]+  visitor\\n$`));
    const { status, stdout } = await accessKey('list');
    assert.equal(status, 0);
    const instant = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z';
    assert.match(stdout, new RegExp(`^${temporary.accessKeyId}  ${instant}  expires ${instant}  visitor$`, 'm'));
    assert.match(stdout, new RegExp(`^AKIA\\w{16}  ${instant}  permanent  administrator$`, 'm'));
    for (const line of stdout.trimEnd().split('\n')) {
      assert.match(line, new RegExp(`^A[KS]IA\\w{16}  ${instant}  (?:permanent|expires ${instant})  \\S+$`));
    }
  });
});

describe('access-key delete', () => {
  it('has the running server refuse the key at once', async () => {
    const { file, accessKeyId } = await createKey();
    assert.equal(await countConnectors(file), 1);
    const { status, stdout, stderr } = await accessKey('delete', accessKeyId);
    assert.equal(status, 0, stderr);
    assert.equal(stdout, `Deleted ${accessKeyId}.\n`);
    const { code, statusCode } = await refusal(createApiClient(server.apiUrl, file).listConnectors());
    assert.deepEqual({ code, statusCode }, { code: 'UnrecognizedClientException', statusCode: 403 });
    assert.ok(!(await accessKey('list')).stdout.includes(accessKeyId));
  });

  it('fails when there is no such key, and deletes none of another account', async () => {
    const { file, accessKeyId } = await createKey('--account', '111122223333');
    const { status, stdout, stderr } = await accessKey('delete', accessKeyId);
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.equal(
      stderr,
      `scep-connector: AccessKey ${accessKeyId} does not exist in account 000000000000: \`access-key list\` shows those there are.\n`,
    );
    assert.equal(await countConnectors(file), 0);
  });
});
