/** The commands `enroll` and `doctor` against a running server: what they write, what they refuse, and what they say. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  type Ended,
  type FirstStart,
  makeTemporaryDirectory,
  readFirstStart,
  runCommand,
  type ServerProcess,
  startServer,
  type TemporaryDirectory,
} from '../support/command.ts';

const otherFingerprint = '0'.repeat(64);

let directory: TemporaryDirectory;
let server: ServerProcess;
let shown: FirstStart;
let url: string;
let tlsUrl: string;
let foldersMade = 0;

before(async () => {
  directory = await makeTemporaryDirectory();
  server = await startServer(join(directory.path, 'data'));
  shown = readFirstStart(server.stdout);
  url = `${server.enrollUrl}${shown.path}`;
  tlsUrl = `${server.enrollTlsUrl}${shown.path}`;
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

/** A folder that is not there yet. */
function newFolder(): string {
  return join(directory.path, `device-${foldersMade++}`);
}

/** With everything that is needed unless `change` says otherwise; null leaves an option out. */
async function enroll(out: string, change: Record<string, string | null> = {}, flags: readonly string[] = []): Promise<Ended> {
  const options = { url, challenge: shown.challengePassword, subject: 'CN=printer-7,O=Example', out, ...change };
  const words = Object.entries(options).flatMap(([name, value]) => (value === null ? [] : [`--${name}`, value]));
  return runCommand(['enroll', ...words, ...flags]);
}

async function enrolled(out: string, change: Record<string, string | null> = {}, flags: readonly string[] = []): Promise<X509Certificate> {
  const ended = await enroll(out, change, flags);
  assert.equal(ended.status, 0, ended.stderr);
  const certificate = new X509Certificate(await readFile(join(out, 'cert.pem')));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(await readFile(join(out, 'key.pem')))), 'the key is not the certificate’s');
  return certificate;
}

async function filesIn(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder);
  return Object.fromEntries(await Promise.all(names.map(async name => [name, await readFile(join(folder, name), 'latin1')] as const)));
}

/** Failed, saying why in one line after the progress. */
function assertFailed(ended: Ended, reason: RegExp): void {
  assert.equal(ended.status, 1, ended.stderr);
  assert.equal(ended.stdout, '');
  const lines = ended.stderr.trimEnd().split('\n');
  assert.match(lines.at(-1) ?? '', reason);
  assert.equal(lines.filter(line => line.startsWith('scep-connector: ')).length, 1, ended.stderr);
}

/** The SCEP operations that the server has logged, up to a request that this makes itself. */
async function loggedOperations(): Promise<string[]> {
  const operation = `Mark${foldersMade++}`;
  await fetch(`${url}?operation=${operation}`);
  await server.until('the request was not logged', () => server.stderr.includes(`"${operation}"`));
  return [...server.stderr.matchAll(/"operation":"(\w*)"/g)].map(([, name = '']) => name).filter(name => !name.startsWith('Mark'));
}

describe('enroll', () => {
  it('asks for the names and the key that its options say', async () => {
    const out = newFolder();
    const certificate = await enrolled(out, { key: 'rsa:3072' }, ['--san', 'DNS:printer-7.example.com', '--san', 'IP:192.0.2.7']);
    assert.equal(certificate.subject, 'O=Example\nCN=printer-7');
    assert.equal(certificate.subjectAltName, 'DNS:printer-7.example.com, IP Address:192.0.2.7');
    assert.equal(certificate.publicKey.asymmetricKeyDetails?.modulusLength, 3072);
  });

  it('enrols over HTTPS when the fingerprint vouches for the CA, however it is written', async () => {
    const fingerprint = shown.caFingerprint.toUpperCase().match(/../g)?.join(':') ?? '';
    await enrolled(newFolder(), { url: tlsUrl, 'ca-fingerprint': fingerprint });
  });

  it('trusts no HTTPS server that nothing vouches for', async () => {
    const out = newFolder();
    assertFailed(
      await enroll(out, { url: tlsUrl }),
      /^scep-connector: https:\S+ cannot be reached: its TLS certificate is not trusted .*--ca-fingerprint/,
    );
    await assert.rejects(readdir(out));
  });

  it('gives the server’s reason for a wrong challenge and writes nothing', async () => {
    const out = newFolder();
    const ended = await enroll(out, { challenge: 'wrong' });
    assertFailed(ended, /^scep-connector: The server refused: badRequest\. The challenge password is invalid\.$/);
    await assert.rejects(readdir(out));
  });

  for (const scheme of ['http', 'https']) {
    it(`sends nothing to a CA that has another fingerprint over ${scheme}`, async () => {
      const before = await loggedOperations();
      const out = newFolder();
      const ended = await enroll(out, { url: scheme === 'http' ? url : tlsUrl, 'ca-fingerprint': otherFingerprint });
      assertFailed(ended, /^scep-connector: No certificate of GetCACert has the given --ca-fingerprint/);
      assert.deepEqual((await loggedOperations()).slice(before.length), ['GetCACert']);
      await assert.rejects(readdir(out));
    });
  }

  it('says that there is no such connector or no server at all', async () => {
    const unknown = url.replace(/[0-9a-f]{12}$/, '000000000000');
    assertFailed(await enroll(newFolder(), { url: unknown }), /HTTP 404: There is no connector at this URL\.$/);
    assertFailed(await enroll(newFolder(), { url: 'http://127.0.0.1:1/' }), /^scep-connector: http:\/\/127\.0\.0\.1:1 cannot be reached: /);
  });

  it('does not replace a key, unless it is forced to', async () => {
    const out = newFolder();
    const first = await enrolled(out);
    const files = await filesIn(out);
    assertFailed(await enroll(out), /^scep-connector: \S+key\.pem is already there: .*--force\.$/);
    assert.deepEqual(await filesIn(out), files);

    const second = await enrolled(out, {}, ['--force']);
    assert.notEqual(second.serialNumber, first.serialNumber);
    assert.notEqual((await filesIn(out))['key.pem'], files['key.pem']);
  });

  it('leaves no other file behind', async () => {
    const out = newFolder();
    await enrolled(out);
    assert.deepEqual((await readdir(out)).sort(), ['cert.pem', 'chain.pem', 'key.pem']);
  });

  it('writes nothing when the folder cannot be made', async () => {
    const file = newFolder();
    await writeFile(file, 'a file');
    assertFailed(await enroll(join(file, 'device')), /^scep-connector: .*device/);
    assert.equal(await readFile(file, 'utf8'), 'a file');
  });
});

describe('enroll --renew', () => {
  const withOld = (out: string) => ({ cert: join(out, 'cert.pem'), 'key-file': join(out, 'key.pem'), subject: null });

  it('replaces key and certificate by new ones for the same subject', async () => {
    const out = newFolder();
    const first = await enrolled(out);
    const second = await enrolled(out, withOld(out), ['--renew']);
    assert.equal(second.subject, first.subject);
    assert.notEqual(second.serialNumber, first.serialNumber);
    assert.ok(!second.publicKey.equals(first.publicKey));
  });

  it('keeps the old files when it is refused', async () => {
    const out = newFolder();
    await enrolled(out);
    const files = await filesIn(out);
    assertFailed(await enroll(out, { ...withOld(out), challenge: 'wrong' }, ['--renew']), /The challenge password is invalid\.$/);
    assert.deepEqual(await filesIn(out), files);
  });

  it('says which file it cannot read', async () => {
    const out = newFolder();
    await mkdir(out);
    assertFailed(await enroll(out, withOld(out), ['--renew']), /cert\.pem/);
    await writeFile(join(out, 'cert.pem'), 'not a certificate');
    await writeFile(join(out, 'key.pem'), 'not a key');
    assertFailed(await enroll(out, withOld(out), ['--renew']), /^scep-connector: .*CERTIFICATE/);
    await enrolled(out, {}, ['--force']);
    await writeFile(join(out, 'key.pem'), 'not a key');
    assertFailed(await enroll(out, withOld(out), ['--renew']), /^scep-connector: .*key/);
  });
});

describe('doctor', () => {
  it('finds nothing wrong over plain HTTP', async () => {
    const { status, stdout, stderr } = await runCommand(['doctor', '--url', url]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, new RegExp(`^ok +CA .*SHA-256 ${shown.caFingerprint}\\.$`, 'm'));
    assert.match(stdout, /^ok +PKIOperation is read and a made-up challenge refused/m);
    assert.match(stdout, /^ok +By GET: PKIOperation is read/m);
    assert.deepEqual(
      stdout.split('\n').filter(line => !line.startsWith('ok ')),
      ['warning  The CA was not compared with a known fingerprint: give --ca-fingerprint.', ''],
    );
  });

  it('finds nothing wrong over HTTPS with the fingerprint', async () => {
    const { status, stdout, stderr } = await runCommand(['doctor', '--url', tlsUrl, '--ca-fingerprint', shown.caFingerprint]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^ok +The CA has the given fingerprint\.$/m);
    assert.doesNotMatch(stdout, /^(?!ok )./m);
  });

  const wrong: [name: string, at: () => string[], finding: RegExp][] = [
    ['an unknown connector', () => ['--url', url.replace(/[0-9a-f]{12}$/, '000000000000')], /^FAILS +.*HTTP 404/m],
    ['another server', () => ['--url', server.apiUrl], /^FAILS +.*HTTP 40\d/m],
    ['no server', () => ['--url', 'http://127.0.0.1:1/'], /^FAILS +.*cannot be reached/m],
    ['another CA', () => ['--url', url, '--ca-fingerprint', otherFingerprint], /^FAILS +.*--ca-fingerprint/m],
    ['an HTTPS server that nothing vouches for', () => ['--url', tlsUrl], /^FAILS +.*not trusted/m],
  ];
  for (const [name, at, finding] of wrong) {
    it(`fails for ${name} and says why`, async () => {
      const { status, stdout, stderr } = await runCommand(['doctor', ...at()]);
      assert.equal(status, 1);
      assert.match(stdout, finding);
      assert.equal(stderr, 'scep-connector: a device could not enrol here; the lines marked FAILS say why.\n');
    });
  }
});
