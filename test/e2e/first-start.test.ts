/** The first start on an empty data directory: what it shows, what it leaves there, and what the starts after it keep. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { createApiClient } from '../support/api-client.ts';
import { refusal } from '../support/api-server.ts';
import {
  type FirstStart,
  findFreePort,
  launcher,
  makeTemporaryDirectory,
  readFirstStart,
  runInShell,
  type ServerProcess,
  type Settings,
  startServer,
  type TemporaryDirectory,
} from '../support/command.ts';
import { requireProgram } from '../support/programs.ts';

const ownerOnly = 0o600;
const ownerOnlyDirectory = 0o700;

/** HTTPS where the printed URL says it is. */
async function tlsSettings(): Promise<Settings> {
  const port = await findFreePort();
  return { SCEP_ENROLL_TLS_LISTEN: `127.0.0.1:${port}`, SCEP_PUBLIC_URL: `https://localhost:${port}` };
}

/** Runs the printed line as it is, but for where the command lies. Returns the folder that it names. */
async function runEnrollLine(line: string, cwd: string): Promise<string> {
  const ended = await runInShell(line.replace('npx scep-connector', `'${process.execPath}' '${launcher}'`), { cwd });
  assert.equal(ended.status, 0, ended.stderr);
  return join(cwd, 'first-device');
}

/** The certificate in the folder, which is the key's and leads to the CA with this fingerprint. */
async function readEnrolled(folder: string, caFingerprint: string): Promise<X509Certificate> {
  const read = (name: string) => readFile(join(folder, name), 'latin1');
  const certificate = new X509Certificate(await read('cert.pem'));
  const root = new X509Certificate(await read('chain.pem'));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(await read('key.pem'))), 'the key is not the certificate’s');
  assert.ok(certificate.checkIssued(root) && certificate.verify(root.publicKey), 'the CA did not issue the certificate');
  assert.equal(createHash('sha256').update(root.raw).digest('hex'), caFingerprint);
  return certificate;
}

async function modesIn(folder: string): Promise<Record<string, number>> {
  const names = await readdir(folder);
  const modes = names.map(async name => [name, (await stat(join(folder, name))).mode & 0o777] as const);
  return Object.fromEntries(await Promise.all(modes));
}

async function getCaCert(url: string): Promise<string> {
  const response = await fetch(`${url}?operation=GetCACert`);
  assert.equal(response.status, 200);
  return Buffer.from(await response.bytes()).toString('hex');
}

describe('A first start on an empty data directory', () => {
  let directory: TemporaryDirectory;
  let dataDir: string;
  let settings: Settings;
  let server: ServerProcess;
  let shown: FirstStart;

  before(async () => {
    directory = await makeTemporaryDirectory();
    dataDir = join(directory.path, 'data');
    settings = await tlsSettings();
    server = await startServer(dataDir, { settings });
    shown = readFirstStart(server.stdout);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  it('shows both SCEP URLs, the challenge password, the CA’s fingerprint, the API and a line that enrols', () => {
    assert.match(shown.scepUrl, new RegExp(`^${settings['SCEP_PUBLIC_URL']}/000000000000-[0-9a-f-]{36}/[0-9a-f-]{36}$`));
    assert.match(shown.challengePassword, /^[0-9a-f-]{36}$/);
    assert.match(shown.caFingerprint, /^[0-9a-f]{64}$/);
    assert.ok(server.stdout.includes(`  SCEP URL, no TLS    ${server.enrollUrl}${shown.path}\n`), server.stdout);
    assert.ok(server.stdout.includes(`  API                 ${server.apiUrl}, credentials in ${join(dataDir, 'credentials')}\n`));
    assert.equal(
      shown.enrollLine,
      `npx scep-connector enroll --url ${server.enrollUrl}${shown.path} --challenge ${shown.challengePassword} --subject 'CN=first-device' --ca-fingerprint ${shown.caFingerprint} --out first-device`,
    );
  });

  it('is alive and ready once it has shown them', async () => {
    assert.equal((await fetch(`${server.apiUrl}/healthz`)).status, 200);
    assert.equal((await fetch(`${server.apiUrl}/readyz`)).status, 200);
  });

  it('shows a line that writes a key, its certificate and the chain to the CA', async () => {
    await using work = await makeTemporaryDirectory();
    const folder = await runEnrollLine(shown.enrollLine, work.path);
    const certificate = await readEnrolled(folder, shown.caFingerprint);
    assert.equal(certificate.subject, 'CN=first-device');
    assert.deepEqual(await modesIn(folder), { 'key.pem': ownerOnly, 'cert.pem': ownerOnly, 'chain.pem': ownerOnly });
  });

  it('shows a line whose certificate `openssl verify` accepts', { skip: requireProgram('openssl') }, async () => {
    await using work = await makeTemporaryDirectory();
    const folder = await runEnrollLine(shown.enrollLine, work.path);
    const { stdout } = await promisify(execFile)('openssl', ['verify', '-CAfile', 'chain.pem', 'cert.pem'], { cwd: folder });
    assert.equal(stdout, 'cert.pem: OK\n');
  });

  it('shows an HTTPS URL that enrols just so', async () => {
    await using work = await makeTemporaryDirectory();
    const line = shown.enrollLine.replace(`${server.enrollUrl}${shown.path}`, shown.scepUrl);
    assert.ok(line.includes('https://'));
    await readEnrolled(await runEnrollLine(line, work.path), shown.caFingerprint);
  });

  it('leaves nothing in the data directory that others may read', async () => {
    const names = ['credentials', 'master.key', 'scep.db', 'scep.db-shm', 'scep.db-wal', 'tls.crt', 'tls.key'];
    assert.deepEqual(await modesIn(dataDir), Object.fromEntries(names.map(name => [name, ownerOnly])));
    assert.equal((await stat(dataDir)).mode & 0o777, ownerOnlyDirectory);
  });

  it('writes a credentials file that AWS’s client reads and the API accepts', async () => {
    const { Connectors = [] } = await createApiClient(server.apiUrl, join(dataDir, 'credentials')).listConnectors().promise();
    assert.deepEqual(
      Connectors.map(({ Status, Type, Endpoint }) => ({ Status, Type, Endpoint })),
      [{ Status: 'ACTIVE', Type: 'GENERAL_PURPOSE', Endpoint: shown.scepUrl }],
    );
  });

  it('logs none of its secrets', async () => {
    const [, , endpointSecret = ''] = shown.path.split('/');
    const credentials = await readFile(join(dataDir, 'credentials'), 'utf8');
    const secretAccessKey = /secret_access_key = (\S+)/.exec(credentials)?.[1] ?? '';
    const masterKey = (await readFile(join(dataDir, 'master.key'), 'utf8')).trim();
    for (const secret of [endpointSecret, shown.challengePassword, secretAccessKey, masterKey]) {
      assert.ok(secret.length >= 36);
      assert.ok(!server.stderr.includes(secret), server.stderr);
    }
  });
});

describe('A later start', () => {
  it('shows no secret and keeps URL, challenge, CA and RA', async () => {
    await using directory = await makeTemporaryDirectory();
    await using first = await startServer(directory.path);
    const shown = readFirstStart(first.stdout);
    const caCert = await getCaCert(`${first.enrollUrl}${shown.path}`);
    assert.equal((await first.stop()).status, 0);
    const credentials = await readFile(join(directory.path, 'credentials'), 'utf8');

    await using second = await startServer(directory.path);
    assert.equal(second.stdout, `Ready. The API is at ${second.apiUrl}.\n`);
    assert.equal(await getCaCert(`${second.enrollUrl}${shown.path}`), caCert);
    await using work = await makeTemporaryDirectory();
    const line = shown.enrollLine.replace(first.enrollUrl, second.enrollUrl);
    await readEnrolled(await runEnrollLine(line, work.path), shown.caFingerprint);
    assert.equal(await readFile(join(directory.path, 'credentials'), 'utf8'), credentials);
  });
});

describe('A first start with other settings', () => {
  it('shows a line for HTTPS when there is no plain HTTP', async () => {
    await using directory = await makeTemporaryDirectory();
    const settings = { ...(await tlsSettings()), SCEP_ENROLL_LISTEN: 'off' };
    await using server = await startServer(join(directory.path, 'data'), { settings });
    const shown = readFirstStart(server.stdout);
    assert.equal(server.enrollUrl, '');
    assert.doesNotMatch(server.stdout, /no TLS/);
    assert.ok(shown.enrollLine.includes(`--url ${shown.scepUrl} `), shown.enrollLine);
    await readEnrolled(await runEnrollLine(shown.enrollLine, directory.path), shown.caFingerprint);
  });

  it('enrols from a CA with a P-256 key', async () => {
    await using directory = await makeTemporaryDirectory();
    await using server = await startServer(join(directory.path, 'data'), { settings: { SCEP_CA_KEY_ALGORITHM: 'EC_prime256v1' } });
    const shown = readFirstStart(server.stdout);
    const folder = await runEnrollLine(shown.enrollLine, directory.path);
    await readEnrolled(folder, shown.caFingerprint);
    const { publicKey } = new X509Certificate(await readFile(join(folder, 'chain.pem')));
    assert.deepEqual(publicKey.asymmetricKeyDetails, { namedCurve: 'prime256v1' });
  });

  it('leaves the store empty but for the access key with SCEP_BOOTSTRAP=off', async () => {
    await using directory = await makeTemporaryDirectory();
    const settings = { SCEP_BOOTSTRAP: 'off', SCEP_ENROLL_TLS_LISTEN: 'off' };
    await using server = await startServer(directory.path, { settings });
    assert.equal(server.stdout, `Ready. The API is at ${server.apiUrl}.\n`);
    const client = createApiClient(server.apiUrl, join(directory.path, 'credentials'));
    assert.deepEqual((await client.listConnectors().promise()).Connectors, []);
    const { code } = await refusal(
      client.createConnector({
        CertificateAuthorityArn: 'arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/00000000-0000-0000-0000-000000000000',
      }),
    );
    assert.equal(code, 'ResourceNotFoundException');
  });
});
