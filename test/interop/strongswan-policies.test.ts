/** strongSwan at connectors whose policies renew by certificate, have requests approved and take legacy algorithms. */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { defaultEnrolmentPolicy, type EnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { approveWaiting, listWaiting, rejectWaiting, revoke, setEnrolmentPolicy } from '../support/operator.ts';
import { issuanceIn, send } from '../support/raw-scep-client.ts';
import type { Ended } from '../support/run-program.ts';
import { requireStrongSwan, StrongSwan } from '../support/strongswan.ts';
import { lastScepRequest, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';
import { until } from '../support/waiting.ts';

const skip = requireStrongSwan();

let server: TemporaryServer;
let strongSwan: StrongSwan;
const start = async () => {
  server = await startTemporaryServer();
  strongSwan = await StrongSwan.connect(server.url);
};
const stop = async () => {
  await strongSwan[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
};

async function assertRefused(ended: Ended, failInfo: string, reason: RegExp): Promise<void> {
  assert.deepEqual([ended.status, ended.stdout.length], [1, 0]);
  assert.match(ended.stderr, new RegExp(`failInfo: +${failInfo}`));
  assert.match(String(lastScepRequest(server)?.['reason']), reason);
}

const lastMessageType = () => server.logLines.findLast(({ messageType }) => messageType !== undefined)?.['messageType'];

describe('strongSwan, where a certificate renews itself', { skip }, () => {
  before(start);
  after(stop);
  beforeEach(() => setEnrolmentPolicy(server, { ...defaultEnrolmentPolicy, Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } }));

  const names = ['--san', 'a.example.com'];

  /** In cert.der and key.der. */
  async function enrolled(): Promise<X509Certificate> {
    await strongSwan.makeKey('key.der');
    const certificate = await strongSwan.verified(await strongSwan.enrol('--password', server.challengePassword, ...names));
    await writeFile(strongSwan.pathOf('cert.der'), certificate.raw);
    await strongSwan.makeKey('new.der');
    return certificate;
  }

  const renew = (...args: string[]) => strongSwan.enrol('--cert', 'cert.der', '--key', 'key.der', '--in', 'new.der', ...args);

  for (const padding of ['pkcs1', 'pss']) {
    it(`renews by RenewalReq with a new key, the same names and no challenge, signing by ${padding}`, async () => {
      const old = await enrolled();
      const certificate = await strongSwan.verified(await renew(...names, '--rsa-padding', padding));
      assert.equal(lastMessageType(), '17');
      assert.deepEqual([certificate.subject, certificate.subjectAltName], [old.subject, 'DNS:a.example.com']);
      assert.ok(!certificate.publicKey.equals(old.publicKey));
    });
  }

  it('gets the same certificate when it asks again', async () => {
    await enrolled();
    const { raw } = await strongSwan.verified(await renew(...names));
    assert.deepEqual((await strongSwan.verified(await renew(...names))).raw, raw);
  });

  it('is refused for other names, outside the window, with a revoked certificate and where nothing renews itself', async () => {
    const { serialNumber } = await enrolled();
    const issued = await issuanceIn(server.database);
    await assertRefused(await renew('--san', 'b.example.com'), 'badRequest', /does not have the subjectAltName dNSName:b\.example\.com/);
    await assertRefused(await renew('--dn', 'CN=ss2'), 'badRequest', /^The subject of the CSR is not that of the certificate/);
    await setEnrolmentPolicy(server, { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 10 } });
    await assertRefused(await renew(...names), 'badRequest', /^The certificate can be renewed from /);
    await setEnrolmentPolicy(server, { Renewal: { Mode: 'OFF', WindowPercent: 100 } });
    await assertRefused(await renew(...names), 'badRequest', /^Unsupported PkiOperation messageType: 17\. /);
    await setEnrolmentPolicy(server, { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
    await revoke(server, serialNumber);
    await assertRefused(await renew(...names), 'badMessageCheck', /^The certificate that signs the request is revoked\.$/);
    assert.deepEqual(await issuanceIn(server.database), issued);
  });
});

describe('strongSwan, where an operator approves requests', { skip }, () => {
  before(start);
  after(stop);
  beforeEach(() => setEnrolmentPolicy(server, { ...defaultEnrolmentPolicy, Approval: { Mode: 'MANUAL', ExpiresInDays: 1 } }));

  const enrol = (...args: string[]) => strongSwan.enrol('--password', server.challengePassword, '--interval', '1', ...args);

  /** Once the request waits and strongSwan has polled for it. */
  async function polled(): Promise<void> {
    const polls = () => server.logLines.filter(({ messageType, outcome }) => messageType === '20' && outcome === 'PENDING').length;
    const before = polls();
    await until(async () => (await listWaiting(server)).length > 0 && polls() > before, 'strongSwan polls for its waiting request');
  }

  it('polls until its request is approved, and gets its certificate', async () => {
    const [ended] = await Promise.all([enrol('--dn', 'CN=approved'), polled().then(() => approveWaiting(server))]);
    assert.equal((await strongSwan.verified(ended)).subject, 'CN=approved');
    assert.equal(lastMessageType(), '20');
  });

  it('polls until its request is rejected', async () => {
    const [ended] = await Promise.all([enrol('--dn', 'CN=rejected'), polled().then(() => rejectWaiting(server, 'Not ours.'))]);
    await assertRefused(ended, 'badRequest', /^Not ours\.$/);
  });

  it('gives up while its request waits, and gets the certificate when it asks again after the approval', async () => {
    const ask = () => enrol('--dn', 'CN=late', '--maxpolltime', '2');
    const { status, stdout } = await ask();
    assert.deepEqual([status === 0, stdout.length], [false, 0]);
    assert.equal(await approveWaiting(server), 1);
    assert.equal((await strongSwan.verified(await ask())).subject, 'CN=late');
    assert.equal(lastMessageType(), '19');
  });
});

describe('strongSwan, where the policy takes legacy algorithms', { skip }, () => {
  before(start);
  after(stop);
  afterEach(() => setEnrolmentPolicy(server, defaultEnrolmentPolicy));

  const cases: [name: string, algorithms: Partial<EnrolmentPolicy['LegacyAlgorithms']>, words: string[], args: string[]][] = [
    ['triple DES', { TripleDes: true }, ['DES3'], ['--cipher', 'des3']],
    ['SHA-1', { Sha1: true }, ['SHA-1'], ['--digest', 'sha1']],
    ['triple DES and SHA-1', { TripleDes: true, Sha1: true }, ['DES3', 'SHA-1'], ['--cipher', 'des3', '--digest', 'sha1']],
  ];
  for (const [name, algorithms, words, args] of cases) {
    it(`enrols with ${name} once GetCACaps lists ${words.join(' and ')}`, async () => {
      const enrol = () => strongSwan.enrol('--password', server.challengePassword, '--dn', `CN=${name}`, ...args);
      assert.equal((await enrol()).status, 1);
      const LegacyAlgorithms = { Sha1: false, TripleDes: false, SingleDes: false, ...algorithms };
      await setEnrolmentPolicy(server, { LegacyAlgorithms });
      const listed = String((await send(`${server.url}?operation=GetCACaps`)).body).split('\n');
      assert.deepEqual(
        words.filter(word => listed.includes(word)),
        words,
      );
      await strongSwan.verified(await enrol());
    });
  }
});

describe('strongSwan, where GetCACert brings the RA’s certificate alone', { skip }, () => {
  before(start);
  after(stop);

  it('takes that for an RA that nothing vouches for yet, and enrols with it and the CA that it knows otherwise', async () => {
    await setEnrolmentPolicy(server, { GetCaCert: 'RA_CERTIFICATE' });
    const fetched = await strongSwan.pki('--scepca', '--url', server.url, '--caout', 'none.der', '--raout', 'alone.der');
    assert.equal(fetched.status, 0, fetched.stderr);
    assert.match(fetched.stderr, /RA cert is untrusted/);
    assert.deepEqual(await readFile(strongSwan.pathOf('alone.der')), await readFile(strongSwan.pathOf('ra.der')));
    await strongSwan.verified(
      await strongSwan.enrol('--password', server.challengePassword, '--cacert-enc', 'alone.der', '--cacert-sig', 'alone.der'),
    );
  });
});
