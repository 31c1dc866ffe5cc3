/** strongSwan's `pki --scepca` and `pki --scep`: posts its requests, sees AES only beside SHA-384, reads no signature but rsaEncryption. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { updateEnrolmentPolicy } from '../../src/backends/store/connectors.ts';
import { defaultEnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { type Certificate, parseCertificate } from '../../src/base/pki/x509.ts';
import { findProgram, requireProgram } from '../support/programs.ts';
import { keyUsageOf, offered } from '../support/ra-renewal.ts';
import { issuanceIn } from '../support/raw-scep-client.ts';
import { type Ended, runProgram } from '../support/run-program.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

/** False, or the reason to skip: Debian keeps strongSwan's HTTP and its elliptic curves in packages apart from its program. */
function requirePlugin(packageName: string, args: string[], complaint: RegExp): string | false {
  const { stderr } = spawnSync(findProgram('pki') ?? '', args, { encoding: 'utf8' });
  if (!complaint.test(stderr)) return false;
  const reason = `a plugin of pki is missing (Debian package ${packageName})`;
  if (process.env['SCEP_TEST_REQUIRE_ALL'] === '1') throw new Error(reason);
  return reason;
}

const fetchNothing = ['--scepca', '--url', 'http://127.0.0.1:1', '--caout', '/dev/null'];
const skip =
  requireProgram('pki') || requireProgram('openssl') || requirePlugin('libstrongswan-extra-plugins', fetchNothing, /no capable fetcher/);
const skipEc = skip || requirePlugin('libstrongswan-standard-plugins', ['--gen', '--type', 'ecdsa', '--size', '256'], /ECDSA failed/);

for (const keyAlgorithm of ['RSA_2048', 'EC_prime256v1']) {
  describe(`strongSwan, at a connector whose CA has the key ${keyAlgorithm}`, {
    skip: keyAlgorithm.startsWith('EC') ? skipEc : skip,
  }, () => {
    let server: TemporaryServer;
    let directory: string;
    const resources = new AsyncDisposableStack();
    before(async () => {
      server = resources.use(await startTemporaryServer({ env: { SCEP_CA_KEY_ALGORITHM: keyAlgorithm } }));
      directory = resources.adopt(await mkdtemp(join(tmpdir(), 'scep-strongswan-')), path => rm(path, { recursive: true }));
      await makeKey('key.der', 2048);
      await pki('--scepca', '--url', server.url, '--caout', 'ca.der', '--raout', 'ra.der');
    });
    after(() => resources.disposeAsync());

    async function pki(...args: string[]): Promise<Ended> {
      return runProgram('pki', args, { cwd: directory });
    }

    async function makeKey(file: string, bits: number): Promise<void> {
      const { status, stdout, stderr } = await pki('--gen', '--type', 'rsa', '--size', String(bits));
      assert.equal(status, 0, stderr);
      await writeFile(join(directory, file), stdout);
    }

    async function enrol(...args: string[]): Promise<Ended> {
      const peer = ['--url', server.url, '--cacert-enc', 'ra.der', '--cacert-sig', 'ra.der', '--cacert', 'ca.der'];
      return pki('--scep', ...peer, '--in', 'key.der', '--dn', 'C=CH, O=Lab, CN=ss1', '--cipher', 'aes', ...args);
    }

    /** The certificate that it was given, which the openssl program verifies against the CA of GetCACert. */
    async function verified({ status, stdout, stderr }: Ended): Promise<X509Certificate> {
      assert.equal(status, 0, stderr);
      await writeFile(join(directory, 'ca.pem'), encodePem('CERTIFICATE', await readFile(join(directory, 'ca.der'))));
      await writeFile(join(directory, 'cert.pem'), encodePem('CERTIFICATE', stdout));
      const verdict = await runProgram('openssl', ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 'ca.pem', 'cert.pem'], {
        cwd: directory,
      });
      assert.deepEqual([verdict.status, verdict.stdout.toString()], [0, 'cert.pem: OK\n'], verdict.stderr);
      return new X509Certificate(stdout);
    }

    it('takes the CA and the RA of GetCACert, and trusts the RA', async () => {
      const { status, stderr } = await pki('--scepca', '--url', server.url, '--caout', 'ca.der', '--raout', 'ra.der', '--force');
      assert.equal(status, 0, stderr);
      assert.match(stderr, /RA cert is trusted/);
      assert.deepEqual(await readFile(join(directory, 'ca.der')), Buffer.from(server.caCertificate));
    });

    for (const digest of ['sha256', 'sha384', 'sha512']) {
      it(`enrols with AES and ${digest}`, async () => {
        const { subject, subjectAltName } = await verified(await enrol('--password', server.challengePassword, '--digest', digest));
        assert.deepEqual([subject, subjectAltName], ['C=CH\nO=Lab\nCN=ss1', undefined]);
      });
    }

    it('enrols with alternative names', async () => {
      const names = ['--san', 'a.example.com', '--san', 'b@example.com', '--san', '192.0.2.7'];
      const ended = await enrol('--password', server.challengePassword, '--digest', 'sha256', ...names);
      assert.equal((await verified(ended)).subjectAltName, 'DNS:a.example.com, email:b@example.com, IP Address:192.0.2.7');
    });

    it('enrols an RSA key of 3072 bits', async () => {
      await makeKey('long.der', 3072);
      const ended = await enrol('--password', server.challengePassword, '--digest', 'sha256', '--in', 'long.der');
      assert.equal((await verified(ended)).publicKey.asymmetricKeyDetails?.modulusLength, 3072);
    });

    it('enrols with an RSASSA-PSS signature', async () => {
      await verified(await enrol('--password', server.challengePassword, '--digest', 'sha256', '--rsa-padding', 'pss'));
    });

    it('gets the same certificate when it asks again', async () => {
      const ask = () => enrol('--password', server.challengePassword, '--digest', 'sha256', '--dn', 'CN=again');
      const [first, second] = [await verified(await ask()), await verified(await ask())];
      assert.deepEqual(second.raw, first.raw);
    });

    it('shows badRequest for a wrong password, and nothing is issued', async () => {
      const issued = await issuanceIn(server.database);
      const { status, stdout, stderr } = await enrol('--password', 'wrong', '--digest', 'sha256');
      assert.deepEqual([status, stdout.length], [1, 0]);
      assert.match(stderr, /failInfo: +badRequest/);
      assert.deepEqual(await issuanceIn(server.database), issued);
    });

    it('shows badAlg for triple DES, and nothing is issued', async () => {
      const issued = await issuanceIn(server.database);
      const { status, stderr } = await enrol('--password', server.challengePassword, '--digest', 'sha256', '--cipher', 'des3');
      assert.equal(status, 1);
      assert.match(stderr, /failInfo: +badAlg/);
      assert.deepEqual(await issuanceIn(server.database), issued);
    });

    it('shows badRequest for a renewal, whose messageType 17 is not supported, and nothing is issued', async () => {
      const certificate = await verified(await enrol('--password', server.challengePassword, '--digest', 'sha256'));
      await writeFile(join(directory, 'cert.der'), certificate.raw);
      await makeKey('new.der', 2048);
      const issued = await issuanceIn(server.database);
      const { status, stderr } = await enrol('--digest', 'sha256', '--cert', 'cert.der', '--key', 'key.der', '--in', 'new.der');
      assert.equal(status, 1);
      assert.match(stderr, /failInfo: +badRequest/);
      assert.match(
        String(server.logLines.at(-1)?.['reason']),
        /^Unsupported PkiOperation messageType: 17\. This connector does not renew by certificate/,
      );
      assert.deepEqual(await issuanceIn(server.database), issued);
    });
  });
}

describe('strongSwan, at a connector that has changed to two RA certificates', { skip }, () => {
  let server: TemporaryServer;
  let directory: string;
  const resources = new AsyncDisposableStack();
  /** The files' names. */
  let both: string;
  let signing: string;
  let decrypting: string;
  before(async () => {
    server = resources.use(await startTemporaryServer());
    directory = resources.adopt(await mkdtemp(join(tmpdir(), 'scep-strongswan-')), path => rm(path, { recursive: true }));
    const { stdout } = await pki('--gen', '--type', 'rsa', '--size', '2048');
    await writeFile(join(directory, 'key.der'), stdout);
    both = findUsing(await fetchRas('one'), 'digitalSignature keyEncipherment');
    const enrolmentPolicy = JSON.stringify({ ...defaultEnrolmentPolicy, RaCertificates: 'TWO' });
    await server.restart(async () => {
      await updateEnrolmentPolicy(server.database.query, server.connectorId, { enrolmentPolicy, isRaDue: true, updatedAt: Date.now() });
    });
    while ((await offered(server.url)).ras.length === 1) await wait(20);
    const two = await fetchRas('two');
    signing = findUsing(two, 'digitalSignature');
    decrypting = findUsing(two, 'keyEncipherment');
  });
  after(() => resources.disposeAsync());

  async function pki(...args: string[]): Promise<Ended> {
    const ended = await runProgram('pki', args, { cwd: directory });
    assert.equal(ended.status, 0, ended.stderr);
    return ended;
  }

  /** The RA certificates by the names of the files that it writes, of which it numbers the further ones. */
  async function fetchRas(name: string): Promise<Map<string, Certificate>> {
    await pki('--scepca', '--url', server.url, '--caout', 'ca.der', '--raout', `${name}.der`, '--force');
    const files = (await readdir(directory)).filter(file => file.startsWith(name));
    return new Map(await Promise.all(files.map(async file => [file, parseCertificate(await readFile(join(directory, file)))] as const)));
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
