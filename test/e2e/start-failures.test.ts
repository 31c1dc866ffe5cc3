/** Starts that cannot succeed: each says in a line what to do, exits with status 1 and leaves every file as it was. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmod, cp, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, it } from 'node:test';
import {
  type Ended,
  makeTemporaryDirectory,
  readFirstStart,
  runCommand,
  type Settings,
  settingsFor,
  startServer,
  type TemporaryDirectory,
} from '../support/command.ts';

/** Root writes anywhere by these capabilities; without them it is a user like others. */
const withoutRootsRights = ['setpriv', '--bounding-set=-dac_override,-dac_read_search,-fowner'] as const;
const [setpriv, ...itsOptions] = withoutRootsRights;
const isRoot = process.getuid?.() === 0;
const through = isRoot ? withoutRootsRights : [];
const cannotBeRefused = isRoot && spawnSync(setpriv, [...itsOptions, 'true']).status !== 0;
const needsRefusal = { skip: cannotBeRefused && 'root may write anywhere, and setpriv cannot take that from it' };

const listeners = ['SCEP_API_LISTEN', 'SCEP_ENROLL_LISTEN', 'SCEP_ENROLL_TLS_LISTEN'];

let directory: TemporaryDirectory;
/** Of a server that was started and stopped. */
let model: string;
let copiesMade = 0;

before(async () => {
  directory = await makeTemporaryDirectory();
  model = join(directory.path, 'model');
  await using server = await startServer(model);
  assert.equal((await server.stop()).status, 0);
});
after(() => directory[Symbol.asyncDispose]());

function newPath(): string {
  return join(directory.path, `data-${copiesMade++}`);
}

/** A data directory with a bootstrapped store. */
async function copyModel(): Promise<string> {
  const path = newPath();
  await cp(model, path, { recursive: true });
  return path;
}

/** Every file with its mode and the hash of its content. */
async function hashesIn(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder);
  const hashes = names.map(async name => {
    const file = join(folder, name);
    const { mode } = await stat(file);
    return [
      name,
      `${mode.toString(8)} ${createHash('sha256')
        .update(await readFile(file))
        .digest('hex')}`,
    ] as const;
  });
  return Object.fromEntries(await Promise.all(hashes));
}

function assertRefused(ended: Ended, advice: readonly RegExp[]): void {
  assert.equal(ended.status, 1, ended.stdout + ended.stderr);
  assert.equal(ended.stdout, '');
  assert.doesNotMatch(ended.stderr, /^\s+at |unexpected error/m);
  const lines = ended.stderr.split('\n').filter(line => line !== '' && !line.startsWith('{'));
  assert.equal(lines.length, advice.length, ended.stderr);
  for (const [index, expected] of advice.entries()) {
    assert.match(lines[index] ?? '', /^scep-connector: /);
    assert.match(lines[index] ?? '', expected);
  }
}

interface StartOptions {
  settings?: Settings;
  through?: readonly string[];
}

/** The start is refused with this one line, and every file is as it was. */
async function assertStartRefused(dataDir: string, advice: RegExp, options: StartOptions = {}): Promise<void> {
  const before = await hashesIn(dataDir);
  assertRefused(await runCommand(['serve'], { ...options, settings: settingsFor(dataDir, options.settings) }), [advice]);
  assert.deepEqual(await hashesIn(dataDir), before);
}

describe('An address that is in use', () => {
  const occupied = createServer();
  let address: string;
  before(async () => {
    await new Promise<void>(resolve => void occupied.listen(0, '127.0.0.1', resolve));
    const bound = occupied.address();
    address = `127.0.0.1:${typeof bound === 'object' && bound ? bound.port : 0}`;
  });
  after(() => occupied.close());

  for (const name of listeners) {
    it(`is named when ${name} is it`, async () => {
      await assertStartRefused(await copyModel(), new RegExp(`${address}.* in use|in use.* ${address}`), { settings: { [name]: address } });
    });
  }

  it('does not cost the first start what it shows once', async () => {
    const dataDir = newPath();
    const ended = await runCommand(['serve'], { settings: settingsFor(dataDir, { SCEP_API_LISTEN: address }) });
    assert.equal(ended.status, 1);
    await using server = await startServer(dataDir);
    assert.match(readFirstStart(server.stdout).challengePassword, /^[0-9a-f-]{36}$/, 'the challenge password was never shown');
  });
});

describe('A data directory that cannot be written', () => {
  const advice = /cannot be written .*Let this user write to the file and to its directory\.$/;

  it('is named when it is empty', needsRefusal, async () => {
    const dataDir = newPath();
    await mkdir(dataDir, { mode: 0o500 });
    await assertStartRefused(dataDir, advice, { through });
  });

  it('is named when a server ran there before', needsRefusal, async () => {
    const dataDir = await copyModel();
    await chmod(dataDir, 0o500);
    await assertStartRefused(dataDir, advice, { through });
    await chmod(dataDir, 0o700);
  });

  it('starts again once the file that was read-only is not', needsRefusal, async () => {
    const dataDir = await copyModel();
    await chmod(join(dataDir, 'scep.db'), 0o400);
    await assertStartRefused(dataDir, advice, { through });
    await chmod(join(dataDir, 'scep.db'), 0o600);
    await using server = await startServer(dataDir, { through });
    assert.equal((await server.stop()).status, 0);
  });

  it('is named when it cannot be made', needsRefusal, async () => {
    const parent = newPath();
    await mkdir(parent, { mode: 0o500 });
    const settings = settingsFor(join(parent, 'data'));
    assertRefused(await runCommand(['serve'], { settings, through }), [/SCEP_DATA_DIR/]);
  });

  it('is named when it lies below a file', async () => {
    const settings = settingsFor(join(model, 'scep.db', 'data'));
    assertRefused(await runCommand(['serve'], { settings }), [/SCEP_DATA_DIR/]);
  });
});

describe('A database', () => {
  const damaged = /The database in \S+scep\.db is damaged .*Restore a backup of it; the file was left as it is\.$/;

  it('is refused when it is none', async () => {
    const dataDir = await copyModel();
    await writeFile(join(dataDir, 'scep.db'), randomBytes(5000));
    await assertStartRefused(dataDir, damaged);
  });

  it('is refused when a page of it is damaged', async () => {
    const dataDir = await copyModel();
    const content = await readFile(join(dataDir, 'scep.db'));
    randomBytes(8192).copy(content, 20_480);
    await writeFile(join(dataDir, 'scep.db'), content);
    await assertStartRefused(dataDir, damaged);
  });

  it('is refused when it is cut short', async () => {
    const dataDir = await copyModel();
    await truncate(join(dataDir, 'scep.db'), 50_000);
    await assertStartRefused(dataDir, damaged);
  });

  it('is refused when a newer version made it', async () => {
    const dataDir = await copyModel();
    alterDatabase(dataDir, `insert into kysely_migration values ('0999-later', '2099-01-01T00:00:00.000Z')`);
    await assertStartRefused(
      dataDir,
      /The database in \S+ was made by a newer version \(schema 999,.* Use that version or restore a backup;/,
    );
  });

  it('is refused when it is another program’s', async () => {
    const dataDir = newPath();
    await mkdir(dataDir);
    alterDatabase(dataDir, 'create table theirs (x)');
    await assertStartRefused(dataDir, damaged);
  });
});

function alterDatabase(dataDir: string, sql: string): void {
  const database = new DatabaseSync(join(dataDir, 'scep.db'));
  database.exec(sql);
  database.close();
}

describe('A master key', () => {
  const otherKey = randomBytes(32).toString('base64');
  const notTheOne = /The master key is not the one this database was sealed under\. Start with that key .* nothing was changed\.$/;

  it('is refused when the setting holds another one', async () => {
    await assertStartRefused(await copyModel(), notTheOne, { settings: { SCEP_MASTER_KEY: otherKey } });
  });

  it('is refused when the file holds another one', async () => {
    const dataDir = await copyModel();
    await writeFile(join(dataDir, 'master.key'), otherKey);
    await assertStartRefused(dataDir, notTheOne);
  });

  it('is not made anew when the file of a store is missing', async () => {
    const dataDir = await copyModel();
    await rm(join(dataDir, 'master.key'));
    await assertStartRefused(dataDir, /The master key \S+master\.key is missing, .*Restore that file, or give the key in SCEP_MASTER_KEY;/);
  });

  it('is refused when the file holds none', async () => {
    const dataDir = await copyModel();
    await writeFile(join(dataDir, 'master.key'), 'none');
    await assertStartRefused(dataDir, /master\.key does not hold a master key: .*Restore the right file\.$/);
  });

  it('is refused when others may read it', async () => {
    const dataDir = await copyModel();
    await chmod(join(dataDir, 'master.key'), 0o644);
    await assertStartRefused(dataDir, /master\.key is open to other users of this machine\. Run: chmod 600 \S+master\.key$/);
  });

  it('is refused when it cannot be read', needsRefusal, async () => {
    const dataDir = await copyModel();
    const file = join(directory.path, 'unreadable.key');
    await writeFile(file, otherKey, { mode: 0 });
    await assertStartRefused(dataDir, /unreadable\.key cannot be read .*Let this user read it\.$/, {
      settings: { SCEP_MASTER_KEY_FILE: file },
      through,
    });
  });
});

describe('The operator’s TLS files', () => {
  const files = async (certificate: string | Buffer, key: string | Buffer) => {
    const folder = newPath();
    await mkdir(folder);
    const settings = { SCEP_TLS_CERT: join(folder, 'server.crt'), SCEP_TLS_KEY: join(folder, 'server.key') };
    await writeFile(settings.SCEP_TLS_CERT, certificate);
    await writeFile(settings.SCEP_TLS_KEY, key);
    return settings;
  };
  const pem = (key: ReturnType<typeof generateKeyPairSync>['privateKey']) => key.export({ format: 'pem', type: 'pkcs8' });
  const certificate = () => readFile(join(model, 'tls.crt'));
  const key = () => readFile(join(model, 'tls.key'));

  it('are refused when one is missing', async () => {
    const settings = { SCEP_TLS_CERT: join(model, 'missing.crt'), SCEP_TLS_KEY: join(model, 'tls.key') };
    await assertStartRefused(await copyModel(), /SCEP_TLS_CERT.*missing\.crt|missing\.crt.*SCEP_TLS_CERT/, { settings });
  });

  it('are refused when one cannot be read', needsRefusal, async () => {
    const settings = await files(await certificate(), await key());
    await chmod(settings.SCEP_TLS_KEY, 0);
    await assertStartRefused(await copyModel(), /SCEP_TLS_KEY.*server\.key|server\.key.*SCEP_TLS_KEY/, { settings, through });
  });

  it('are refused when one is a folder', async () => {
    const settings = { SCEP_TLS_CERT: model, SCEP_TLS_KEY: join(model, 'tls.key') };
    await assertStartRefused(await copyModel(), /SCEP_TLS_CERT/, { settings });
  });

  it('are refused when the certificate is none', async () => {
    await assertStartRefused(await copyModel(), /SCEP_TLS_CERT/, { settings: await files('not a certificate', await key()) });
  });

  it('are refused when the key is none', async () => {
    await assertStartRefused(await copyModel(), /SCEP_TLS_KEY/, { settings: await files(await certificate(), 'not a key') });
  });

  it('are refused when the key is not the certificate’s', async () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
    await assertStartRefused(await copyModel(), /SCEP_TLS_KEY/, { settings: await files(await certificate(), pem(other)) });
  });

  it('are refused when the key is not even of the certificate’s type', async () => {
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    await assertStartRefused(await copyModel(), /SCEP_TLS_KEY/, { settings: await files(await certificate(), pem(other)) });
  });
});

describe('A wrong setting', () => {
  it('is refused when there is none of its name, with the nearest one', async () => {
    await assertStartRefused(await copyModel(), /SCEP_API_LISTN is not a setting: did you mean SCEP_API_LISTEN\?$/, {
      settings: { SCEP_API_LISTN: '127.0.0.1:0' },
    });
  });

  it('is listed with every other before anything is opened', async () => {
    const dataDir = newPath();
    const settings = { SCEP_ACCOUNT: '1', SCEP_REGION: 'moon', SCEP_API_LISTN: 'x', SCEP_TLS_CERT: 'server.crt', SCEP_ENROLL_LISTEN: '' };
    assertRefused(await runCommand(['serve'], { settings: settingsFor(dataDir, settings) }), [
      /SCEP_ENROLL_LISTEN is empty: give it a value or unset it\.$/,
      /SCEP_REGION is "moon": write a region/,
      /SCEP_ACCOUNT is "1": write 12 digits\.$/,
      /SCEP_API_LISTN is not a setting/,
      /SCEP_TLS_CERT and SCEP_TLS_KEY belong together/,
    ]);
    await assert.rejects(stat(dataDir), { code: 'ENOENT' });
  });
});
