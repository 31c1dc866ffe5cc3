/** Shows that `openssl` accepts the chains and CRLs that the embedded authority signs, with every algorithm that it knows. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createRootCertificate, EmbeddedCertificateAuthority, generatePrivateKey } from '../../src/backends/ca/embedded-ca.ts';
import { KeyUsage, keyUsageExtension } from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { parseCertificate } from '../../src/base/pki/x509.ts';
import { type KeyAlgorithm, type RevocationReason, revocationReasons, type SigningAlgorithm } from '../../src/base/private-ca.ts';
import { WorkerPool } from '../../src/base/worker-pool.ts';
import { ecKey } from '../support/pki-fixtures.ts';
import { requireProgram } from '../support/programs.ts';
import { type Ended, runProgram } from '../support/run-program.ts';

const validity = { notBefore: Date.UTC(2020, 0, 1), notAfter: Date.UTC(9999, 11, 31, 23, 59, 59) } as const;
const serialNumber = '8000000000000000000000000000002a';
const otherSerialNumber = '4000000000000000000000000000002b';

/** With what `openssl` calls the signature: its digest too where that is RSASSA-PSS's. */
const cases: [key: KeyAlgorithm, signing: SigningAlgorithm, name: RegExp][] = [
  ['RSA_2048', 'SHA256WITHRSA', /Signature Algorithm: sha256WithRSAEncryption/],
  ['RSA_3072', 'SHA384WITHRSA', /Signature Algorithm: sha384WithRSAEncryption/],
  ['RSA_4096', 'SHA512WITHRSA', /Signature Algorithm: sha512WithRSAEncryption/],
  ['RSA_2048', 'SHA256WITHRSA_PSS', pss('sha256', '20')],
  ['RSA_2048', 'SHA384WITHRSA_PSS', pss('sha384', '30')],
  ['RSA_2048', 'SHA512WITHRSA_PSS', pss('sha512', '40')],
  ['EC_prime256v1', 'SHA256WITHECDSA', /Signature Algorithm: ecdsa-with-SHA256/],
  ['EC_secp384r1', 'SHA384WITHECDSA', /Signature Algorithm: ecdsa-with-SHA384/],
  ['EC_secp521r1', 'SHA512WITHECDSA', /Signature Algorithm: ecdsa-with-SHA512/],
  ['EC_secp521r1', 'SHA256WITHECDSA', /Signature Algorithm: ecdsa-with-SHA256/],
];

function pss(digest: string, salt: string): RegExp {
  return new RegExp(`rsassaPss\\s+Hash Algorithm: ${digest}\\s+Mask Algorithm: mgf1 with ${digest}\\s+Salt Length: 0x${salt}\\s`);
}

describe('openssl', { skip: requireProgram('openssl') }, () => {
  const pool = new WorkerPool(1);
  after(() => pool[Symbol.asyncDispose]());
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'scep-openssl-signing-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const openssl = (...args: string[]): Promise<Ended> => runProgram('openssl', args, { cwd: folder });
  const write = (name: string, type: string, der: Uint8Array) => writeFileSync(join(folder, name), encodePem(type, der));

  async function createAuthority(key: KeyAlgorithm, signing: SigningAlgorithm): Promise<EmbeddedCertificateAuthority> {
    const privateKey = await generatePrivateKey(key);
    const root = { serialNumber: '01', subject: parseNameString('CN=Example Root,O=Example').der, ...validity };
    const certificate = parseCertificate(createRootCertificate(privateKey, root));
    return new EmbeddedCertificateAuthority({
      certificates: [certificate],
      privateKey,
      signingAlgorithm: signing,
      crlUrl: undefined,
      workers: pool,
    });
  }

  const issue = (authority: EmbeddedCertificateAuthority) =>
    authority.issue({
      issuanceId: serialNumber,
      subject: parseNameString('CN=printer-7').der,
      subjectPublicKeyInfo: publicKeyOf(ecKey('secp521r1')).spki,
      extensions: [keyUsageExtension([KeyUsage.digitalSignature])],
      ...validity,
    });

  const createList = (authority: EmbeddedCertificateAuthority, revoked: readonly [string, RevocationReason][]) =>
    authority.signCertificateList({
      cRLNumber: 4711,
      thisUpdate: validity.notBefore,
      nextUpdate: Date.UTC(2060, 0, 1),
      revokedCertificates: revoked.map(([revokedSerial, reason], index) => ({
        serialNumber: revokedSerial,
        revokedAt: Date.UTC(2025, 0, index + 1),
        reason,
      })),
    });

  for (const [key, signing, name] of cases) {
    it(`accepts a chain and a CRL by ${key} with ${signing}`, async () => {
      const authority = await createAuthority(key, signing);
      write('root.pem', 'CERTIFICATE', authority.certificates[0].der);
      write('leaf.pem', 'CERTIFICATE', await issue(authority));
      const chain = await openssl('verify', '-x509_strict', '-check_ss_sig', '-CAfile', 'root.pem', 'leaf.pem');
      assert.deepEqual([chain.status, chain.stdout.toString()], [0, 'leaf.pem: OK\n'], chain.stderr);
      const leaf = (await openssl('x509', '-in', 'leaf.pem', '-noout', '-text')).stdout.toString();
      assert.match(leaf, name);
      assert.match(leaf, /Not After : Dec 31 23:59:59 9999 GMT/);

      write('list.pem', 'X509 CRL', await createList(authority, [[otherSerialNumber, 'SUPERSEDED']]));
      const list = await openssl('crl', '-in', 'list.pem', '-noout', '-text', '-CAfile', 'root.pem');
      assert.match(list.stderr, /verify OK/);
      assert.match(list.stdout.toString(), name);
      const checked = await openssl('verify', '-x509_strict', '-crl_check', '-CRLfile', 'list.pem', '-CAfile', 'root.pem', 'leaf.pem');
      assert.deepEqual([checked.status, checked.stdout.toString()], [0, 'leaf.pem: OK\n'], checked.stderr);
    });
  }

  it('finds a revoked certificate in the CRL', async () => {
    const authority = await createAuthority('EC_prime256v1', 'SHA256WITHECDSA');
    write('root.pem', 'CERTIFICATE', authority.certificates[0].der);
    write('leaf.pem', 'CERTIFICATE', await issue(authority));
    write('list.pem', 'X509 CRL', await createList(authority, [[serialNumber, 'KEY_COMPROMISE']]));
    const checked = await openssl('verify', '-crl_check', '-CRLfile', 'list.pem', '-CAfile', 'root.pem', 'leaf.pem');
    assert.equal(checked.status, 2);
    assert.match(checked.stderr, /error 23 at 0 depth lookup: certificate revoked/);
  });

  it('reads each entry of a CRL with its reason', async () => {
    const authority = await createAuthority('EC_prime256v1', 'SHA256WITHECDSA');
    write('root.pem', 'CERTIFICATE', authority.certificates[0].der);
    const reasons = Object.keys(revocationReasons) as RevocationReason[];
    write(
      'list.pem',
      'X509 CRL',
      await createList(
        authority,
        reasons.map((reason, index) => [`0${index + 1}`, reason]),
      ),
    );
    const { stdout } = await openssl('crl', '-in', 'list.pem', '-noout', '-text');
    const text = stdout.toString();
    assert.match(text, /Version 2 \(0x1\)/);
    assert.match(text, /Last Update: Jan {2}1 00:00:00 2020 GMT\s+Next Update: Jan {2}1 00:00:00 2060 GMT/);
    assert.match(text, /X509v3 CRL Number: \s+4711/);
    const keyIdentifier = text.match(/X509v3 Authority Key Identifier: \s+([0-9A-F:]+)/)?.[1];
    assert.equal(
      keyIdentifier?.replaceAll(':', ''),
      Buffer.from(authority.certificates[0].publicKey.keyIdentifier).toString('hex').toUpperCase(),
    );
    const entries = text
      .split('Serial Number: ')
      .slice(1)
      .map(entry => [entry.slice(0, 2), entry.match(/CRL Reason Code: \s+(.+)/)?.[1]]);
    assert.deepEqual(entries, [
      ['01', undefined],
      ['02', 'Key Compromise'],
      ['03', 'CA Compromise'],
      ['04', 'Affiliation Changed'],
      ['05', 'Superseded'],
      ['06', 'Cessation Of Operation'],
      ['07', 'Privilege Withdrawn'],
      ['08', 'AA Compromise'],
    ]);
  });

  it('says that nothing is revoked by an empty CRL', async () => {
    const authority = await createAuthority('EC_prime256v1', 'SHA256WITHECDSA');
    write('root.pem', 'CERTIFICATE', authority.certificates[0].der);
    write('list.pem', 'X509 CRL', await createList(authority, []));
    const list = await openssl('crl', '-in', 'list.pem', '-noout', '-text', '-CAfile', 'root.pem');
    assert.match(list.stderr, /verify OK/);
    assert.match(list.stdout.toString(), /No Revoked Certificates\./);
  });

  it('sees through a CRL of another authority', async () => {
    const [one, other] = [await createAuthority('RSA_2048', 'SHA256WITHRSA_PSS'), await createAuthority('RSA_2048', 'SHA256WITHRSA_PSS')];
    write('root.pem', 'CERTIFICATE', one.certificates[0].der);
    write('list.pem', 'X509 CRL', await createList(other, []));
    assert.match((await openssl('crl', '-in', 'list.pem', '-noout', '-CAfile', 'root.pem')).stderr, /verify failure/);
  });
});
