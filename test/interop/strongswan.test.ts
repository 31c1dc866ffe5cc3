/** strongSwan's `pki --scepca` and `pki --scep`: posts its requests, sees AES only beside SHA-384, reads no signature but rsaEncryption. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type Certificate, parseCertificate } from '../../src/base/pki/x509.ts';
import { setEnrolmentPolicy } from '../support/operator.ts';
import { keyUsageOf, offered } from '../support/ra-renewal.ts';
import { issuanceIn } from '../support/raw-scep-client.ts';
import type { Ended } from '../support/run-program.ts';
import { requireStrongSwan, StrongSwan } from '../support/strongswan.ts';
import { lastScepRequest, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';
import { until } from '../support/waiting.ts';

const skip = requireStrongSwan();
const skipEc = requireStrongSwan({ withEc: true });

for (const keyAlgorithm of ['RSA_2048', 'EC_prime256v1']) {
  describe(`strongSwan, at a connector whose CA has the key ${keyAlgorithm}`, {
    skip: keyAlgorithm.startsWith('EC') ? skipEc : skip,
  }, () => {
    let server: TemporaryServer;
    let strongSwan: StrongSwan;
    const resources = new AsyncDisposableStack();
    before(async () => {
      server = resources.use(await startTemporaryServer({ env: { SCEP_CA_KEY_ALGORITHM: keyAlgorithm } }));
      strongSwan = resources.use(await StrongSwan.connect(server.url));
    });
    after(() => resources.disposeAsync());

    const enrol = (...args: string[]) => strongSwan.enrol(...args);
    const verified = (ended: Ended) => strongSwan.verified(ended);

    it('takes the CA and the RA of GetCACert, and trusts the RA', async () => {
      const { status, stderr } = await strongSwan.fetchCa();
      assert.equal(status, 0, stderr);
      assert.match(stderr, /RA cert is trusted/);
      assert.deepEqual(await readFile(strongSwan.pathOf('ca.der')), Buffer.from(server.caCertificate));
    });

    for (const digest of ['sha256', 'sha384', 'sha512']) {
      it(`enrols with AES and ${digest}`, async () => {
        const { subject, subjectAltName } = await verified(await enrol('--password', server.challengePassword, '--digest', digest));
        assert.deepEqual([subject, subjectAltName], ['C=CH\nO=Lab\nCN=ss1', undefined]);
      });
    }

    it('enrols with alternative names', async () => {
      const names = ['--san', 'a.example.com', '--san', 'b@example.com', '--san', '192.0.2.7'];
      const ended = await enrol('--password', server.challengePassword, ...names);
      assert.equal((await verified(ended)).subjectAltName, 'DNS:a.example.com, email:b@example.com, IP Address:192.0.2.7');
    });

    it('enrols an RSA key of 3072 bits', async () => {
      await strongSwan.makeKey('long.der', 3072);
      const ended = await enrol('--password', server.challengePassword, '--in', 'long.der');
      assert.equal((await verified(ended)).publicKey.asymmetricKeyDetails?.modulusLength, 3072);
    });

    it('enrols with an RSASSA-PSS signature', async () => {
      await verified(await enrol('--password', server.challengePassword, '--rsa-padding', 'pss'));
    });

    it('gets the same certificate when it asks again', async () => {
      const ask = () => enrol('--password', server.challengePassword, '--dn', 'CN=again');
      const [first, second] = [await verified(await ask()), await verified(await ask())];
      assert.deepEqual(second.raw, first.raw);
    });

    it('shows badRequest for a wrong password, and nothing is issued', async () => {
      const issued = await issuanceIn(server.database);
      const { status, stdout, stderr } = await enrol('--password', 'wrong');
      assert.deepEqual([status, stdout.length], [1, 0]);
      assert.match(stderr, /failInfo: +badRequest/);
      assert.deepEqual(await issuanceIn(server.database), issued);
    });

    it('shows badAlg for triple DES, and nothing is issued', async () => {
      const issued = await issuanceIn(server.database);
      const { status, stderr } = await enrol('--password', server.challengePassword, '--cipher', 'des3');
      assert.equal(status, 1);
      assert.match(stderr, /failInfo: +badAlg/);
      assert.deepEqual(await issuanceIn(server.database), issued);
    });

    it('shows badRequest for a renewal, whose messageType 17 is not supported, and nothing is issued', async () => {
      const certificate = await verified(await enrol('--password', server.challengePassword));
      await writeFile(strongSwan.pathOf('cert.der'), certificate.raw);
      await strongSwan.makeKey('new.der');
      const issued = await issuanceIn(server.database);
      const { status, stderr } = await enrol('--cert', 'cert.der', '--key', 'key.der', '--in', 'new.der');
      assert.equal(status, 1);
      assert.match(stderr, /failInfo: +badRequest/);
      assert.match(
        String(lastScepRequest(server)?.['reason']),
        /^Unsupported PkiOperation messageType: 17\. This connector does not renew by certificate/,
      );
      assert.deepEqual(await issuanceIn(server.database), issued);
    });
  });
}

describe('strongSwan, at a connector that has changed to two RA certificates', { skip }, () => {
  let server: TemporaryServer;
  let strongSwan: StrongSwan;
  const resources = new AsyncDisposableStack();
  /** The files' names. */
  let both: string;
  let signing: string;
  let decrypting: string;
  before(async () => {
    server = resources.use(await startTemporaryServer());
    strongSwan = resources.use(await StrongSwan.connect(server.url));
    both = findUsing(await fetchRas('one'), 'digitalSignature keyEncipherment');
    await setEnrolmentPolicy(server, { RaCertificates: 'TWO' });
    await until(async () => (await offered(server.url)).ras.length > 1, 'GetCACert offers two RA certificates');
    const two = await fetchRas('two');
    signing = findUsing(two, 'digitalSignature');
    decrypting = findUsing(two, 'keyEncipherment');
  });
  after(() => resources.disposeAsync());

  async function pki(...args: string[]): Promise<Ended> {
    const ended = await strongSwan.pki(...args);
    assert.equal(ended.status, 0, ended.stderr);
    return ended;
  }

  /** The RA certificates by the names of the files that it writes, of which it numbers the further ones. */
  async function fetchRas(name: string): Promise<Map<string, Certificate>> {
    await pki('--scepca', '--url', server.url, '--caout', 'ca.der', '--raout', `${name}.der`, '--force');
    const files = (await readdir(strongSwan.directory)).filter(file => file.startsWith(name));
    return new Map(await Promise.all(files.map(async file => [file, parseCertificate(await readFile(strongSwan.pathOf(file)))] as const)));
  }

  function findUsing(ras: Map<string, Certificate>, usages: string): string {
    const found = [...ras].find(([, certificate]) => keyUsageOf(certificate).join(' ') === usages);
    assert.ok(found, `no RA certificate for ${usages}`);
    return found[0];
  }

  for (const [what, files] of [
    ['enrols with the two', () => [decrypting, signing]],
    ['enrols with the one that it fetched before', () => [both, both]],
  ] as const) {
    it(what, async () => {
      const [encryption = '', signature = ''] = files();
      const peer = ['--url', server.url, '--cacert-enc', encryption, '--cacert-sig', signature, '--cacert', 'ca.der'];
      const device = ['--in', 'key.der', '--dn', `CN=${encryption}`, '--password', server.challengePassword, '--digest', 'sha256'];
      const { stdout } = await pki('--scep', ...peer, ...device);
      assert.equal(new X509Certificate(stdout).subject, `CN=${encryption}`);
    });
  }
});
