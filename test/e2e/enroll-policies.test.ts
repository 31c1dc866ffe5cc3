/** The command `enroll` at connectors whose policies have requests approved and renew by certificate. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { defaultEnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import {
  type Ended,
  makeTemporaryDirectory,
  readFirstStart,
  runCommand,
  type ServerProcess,
  startServer,
  type TemporaryDirectory,
} from '../support/command.ts';
import { approveWaiting, listWaiting, type Operated, rejectWaiting, setEnrolmentPolicy } from '../support/operator.ts';
import { until } from '../support/waiting.ts';

let directory: TemporaryDirectory;
let server: ServerProcess;
let path: string;
let challenge: string;
let foldersMade = 0;

before(async () => {
  directory = await makeTemporaryDirectory();
  server = await startServer(join(directory.path, 'data'));
  const shown = readFirstStart(server.stdout);
  path = shown.path;
  challenge = shown.challengePassword;
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

function operated(): Operated {
  const [, connectorId = ''] = /^\/\d{12}-([0-9a-f-]{36})\//.exec(path) ?? [];
  return { apiUrl: server.apiUrl, credentialsFile: join(directory.path, 'data', 'credentials'), connectorId };
}

function newFolder(): string {
  return join(directory.path, `device-${foldersMade++}`);
}

async function enroll(out: string, ...args: string[]): Promise<Ended> {
  return runCommand(['enroll', '--url', `${server.enrollUrl}${path}`, '--out', out, ...args]);
}

async function certificateIn(out: string): Promise<X509Certificate> {
  const certificate = new X509Certificate(await readFile(join(out, 'cert.pem')));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(await readFile(join(out, 'key.pem')))), 'the key is not the certificate’s');
  return certificate;
}

async function untilOneWaits(): Promise<void> {
  await until(async () => (await listWaiting(operated())).length > 0, 'a request waits');
}

/** The lines before the last are what it reports of its progress. */
function assertFailed(ended: Ended, reason: RegExp): void {
  assert.deepEqual([ended.status, ended.stdout], [1, ''], ended.stderr);
  assert.match(ended.stderr.trimEnd().split('\n').at(-1) ?? '', reason);
}

describe('enroll, where an operator approves requests', () => {
  before(() => setEnrolmentPolicy(operated(), { ...defaultEnrolmentPolicy, Approval: { Mode: 'MANUAL', ExpiresInDays: 1 } }));

  it('polls until its request is approved', async () => {
    const out = newFolder();
    const approved = untilOneWaits().then(() => approveWaiting(operated()));
    const [ended] = await Promise.all([enroll(out, '--subject', 'CN=approved', '--challenge', challenge), approved]);
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stderr, /^The request is pending; asking again in 5 s\.$/m);
    assert.equal((await certificateIn(out)).subject, 'CN=approved');
    assert.deepEqual((await readdir(out)).sort(), ['cert.pem', 'chain.pem', 'key.pem']);
  });

  it('gives the operator’s reason once its request is rejected, and keeps nothing', async () => {
    const out = newFolder();
    const rejected = untilOneWaits().then(() => rejectWaiting(operated(), 'Not ours.'));
    const [ended] = await Promise.all([enroll(out, '--subject', 'CN=rejected', '--challenge', challenge), rejected]);
    assertFailed(ended, /^scep-connector: The server refused: badRequest\. Not ours\.$/);
    assert.deepEqual(await readdir(out), []);
  });

  it('goes on with the key of a request that waits, when it is ended and run again', async () => {
    const out = newFolder();
    const args = ['--subject', 'CN=interrupted', '--challenge', challenge];
    const stopped = untilOneWaits().then(() => server.stop());
    const [ended] = await Promise.all([enroll(out, ...args), stopped]);
    assertFailed(ended, /^scep-connector: http:\/\/127\.0\.0\.1:\d+ cannot be reached: /);
    assert.deepEqual(await readdir(out), ['pending-key.pem']);
    assert.equal((await stat(join(out, 'pending-key.pem'))).mode & 0o777, 0o600);
    const key = await readFile(join(out, 'pending-key.pem'), 'utf8');

    server = await startServer(join(directory.path, 'data'));
    assert.equal(await approveWaiting(operated()), 1);
    const again = await enroll(out, ...args);
    assert.equal(again.status, 0, again.stderr);
    assert.match(again.stderr, /^Going on with \S+pending-key\.pem, the key of a request that was pending\.$/m);
    assert.equal((await certificateIn(out)).subject, 'CN=interrupted');
    assert.equal(await readFile(join(out, 'key.pem'), 'utf8'), key);
    assert.deepEqual((await readdir(out)).sort(), ['cert.pem', 'chain.pem', 'key.pem']);
  });

  it('does not take something else for such a key', async () => {
    const out = directory.path;
    await writeFile(join(out, 'pending-key.pem'), 'not a key');
    assertFailed(await enroll(out, '--subject', 'CN=a'), /pending-key\.pem is no private key in PEM\. Delete it to begin anew\.$/);
  });
});

describe('enroll --renew, where a certificate renews itself', () => {
  before(() => setEnrolmentPolicy(operated(), { ...defaultEnrolmentPolicy, Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } }));

  const names = ['--san', 'DNS:a.example.com', '--san', 'IP:192.0.2.7'];
  const renew = (out: string, ...args: string[]) =>
    enroll(out, '--renew', '--cert', join(out, 'cert.pem'), '--key-file', join(out, 'key.pem'), ...args);

  async function enrolled(): Promise<[out: string, certificate: X509Certificate]> {
    const out = newFolder();
    const ended = await enroll(out, '--subject', 'CN=printer-7,O=Example', '--challenge', challenge, ...names);
    assert.equal(ended.status, 0, ended.stderr);
    return [out, await certificateIn(out)];
  }

  it('renews by RenewalReq without a challenge, for all the names of the old certificate', async () => {
    const [out, first] = await enrolled();
    const ended = await renew(out);
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stderr, /^Sending a RenewalReq\.$/m);
    const second = await certificateIn(out);
    assert.deepEqual([second.subject, second.subjectAltName], [first.subject, 'DNS:a.example.com, IP Address:192.0.2.7']);
    assert.deepEqual([second.keyUsage, second.publicKey.equals(first.publicKey)], [first.keyUsage, false]);
  });

  it('gives the reason why a renewal is refused, and keeps the old files', async () => {
    const [out, first] = await enrolled();
    assertFailed(await renew(out, '--san', 'DNS:b.example.com'), /does not have the subjectAltName dNSName:b\.example\.com\.$/);
    await setEnrolmentPolicy(operated(), { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 10 } });
    assertFailed(
      await renew(out),
      /^scep-connector: The server refused: badRequest\. The certificate can be renewed from \S+ on, not before\.$/,
    );
    assert.deepEqual((await certificateIn(out)).raw, first.raw);
  });

  it('renews by PKCSReq with the challenge where GetCACaps does not list Renewal', async () => {
    await setEnrolmentPolicy(operated(), defaultEnrolmentPolicy);
    const [out, first] = await enrolled();
    assertFailed(await renew(out), /Exactly one challenge password is required/);
    const ended = await renew(out, '--challenge', challenge);
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stderr, /^Sending a PKCSReq\.$/m);
    const second = await certificateIn(out);
    assert.deepEqual([second.subjectAltName, second.serialNumber === first.serialNumber], [first.subjectAltName, false]);
  });
});
