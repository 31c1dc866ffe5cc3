/** Root and subordinate authorities from creation to deletion through AWS's own client alone, for every kind of key; the chains are verified by others. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type ACMPCA from 'aws-sdk/clients/acmpca.js';
import { parsePem } from '../../src/base/pki/pem.ts';
import { certificateAuthorityArn, parseCertificateAuthorityArn } from '../../src/base/resources.ts';
import { csrPem, template } from '../support/private-ca.ts';
import { type PrivateCaServer, refusalOf, startPrivateCaServer } from '../support/private-ca-server.ts';
import { requireProgram } from '../support/programs.ts';
import { runProgram } from '../support/run-program.ts';

let server: PrivateCaServer;
before(async () => {
  server = await startPrivateCaServer();
});
after(() => server[Symbol.asyncDispose]());

/** The signing algorithm of the authority, and whether the `openssl` of Debian 12 knows it. */
const keys: [KeyAlgorithm: string, SigningAlgorithm: string, isKnownToOpenssl: boolean][] = [
  ['RSA_2048', 'SHA256WITHRSA', true],
  ['RSA_4096', 'SHA512WITHRSA', true],
  ['EC_prime256v1', 'SHA256WITHECDSA', true],
  ['EC_secp384r1', 'SHA384WITHECDSA', true],
  ['EC_secp521r1', 'SHA512WITHECDSA', true],
  ['ML_DSA_65', 'ML_DSA_65', false],
];

interface Answer {
  Certificate: string;
  CertificateChain?: string | undefined;
}

/** IssueCertificate and AWS's waiter for what it issues. */
async function issue(CertificateAuthorityArn: string, request: Partial<ACMPCA.IssueCertificateRequest>): Promise<Answer & { arn: string }> {
  const { client } = server;
  const { Status, CertificateAuthorityConfiguration: { SigningAlgorithm = '' } = {} } = await server.describe(CertificateAuthorityArn);
  assert.ok(Status === 'ACTIVE' || Status === 'PENDING_CERTIFICATE');
  const { CertificateArn = '' } = await client
    .issueCertificate({
      CertificateAuthorityArn,
      Csr: csrPem(),
      SigningAlgorithm,
      Validity: { Type: 'DAYS', Value: 30 },
      ...request,
    })
    .promise();
  const $waiter = { delay: 0.01, maxAttempts: 500 };
  const waiting = client.waitFor('certificateIssued', { CertificateAuthorityArn, CertificateArn, $waiter }).promise();
  await server.settle();
  const { Certificate = '', CertificateChain } = await waiting;
  return { Certificate, CertificateChain, arn: CertificateArn };
}

async function activate(arn: string, issuerArn: string, request: Partial<ACMPCA.IssueCertificateRequest>): Promise<Answer> {
  const { Csr = '' } = await server.client.getCertificateAuthorityCsr({ CertificateAuthorityArn: arn }).promise();
  const { Certificate, CertificateChain } = await issue(issuerArn, { Csr, ...request });
  await server.client
    .importCertificateAuthorityCertificate({ CertificateAuthorityArn: arn, Certificate, ...(CertificateChain && { CertificateChain }) })
    .promise();
  assert.equal((await server.describe(arn)).Status, 'ACTIVE');
  return { Certificate, CertificateChain };
}

async function makeHierarchy(KeyAlgorithm: string, SigningAlgorithm: string) {
  const configuration = (CommonName: string) => ({ KeyAlgorithm, SigningAlgorithm, Subject: { CommonName, Organization: 'Example' } });
  const rootArn = await server.create({ CertificateAuthorityConfiguration: configuration('Root') });
  const root = await activate(rootArn, rootArn, { TemplateArn: template('RootCACertificate'), Validity: { Type: 'YEARS', Value: 10 } });
  assert.equal(root.CertificateChain, undefined);
  const subordinateArn = await server.create({
    CertificateAuthorityType: 'SUBORDINATE',
    CertificateAuthorityConfiguration: configuration('Subordinate'),
  });
  const TemplateArn = template('SubordinateCACertificate_PathLen0');
  const subordinate = await activate(subordinateArn, rootArn, { TemplateArn, Validity: { Type: 'YEARS', Value: 3 } });
  return { rootArn, subordinateArn, root: root.Certificate, subordinate: subordinate.Certificate };
}

describe('a root and its subordinate', () => {
  for (const [KeyAlgorithm, SigningAlgorithm, isKnownToOpenssl] of keys) {
    test(`of ${KeyAlgorithm} are made, issue, revoke and are deleted`, async () => {
      const { client } = server;
      const { rootArn, subordinateArn, root, subordinate } = await makeHierarchy(KeyAlgorithm, SigningAlgorithm);
      const leaf = await issue(subordinateArn, {});
      assert.equal(leaf.CertificateChain, subordinate + root);
      verifyByNode([leaf.Certificate, subordinate, root]);
      if (isKnownToOpenssl && requireProgram('openssl') === false) await verifyByOpenssl(leaf.Certificate, subordinate, root);

      const CertificateSerial = new X509Certificate(leaf.Certificate).serialNumber;
      const revocation = { CertificateAuthorityArn: subordinateArn, CertificateSerial, RevocationReason: 'SUPERSEDED' };
      await client.revokeCertificate(revocation).promise();
      assert.match(await refusalOf(client.revokeCertificate(revocation)), /^RequestAlreadyProcessedException: /);

      for (const arn of [subordinateArn, rootArn]) {
        await client.updateCertificateAuthority({ CertificateAuthorityArn: arn, Status: 'DISABLED' }).promise();
        await client.deleteCertificateAuthority({ CertificateAuthorityArn: arn, PermanentDeletionTimeInDays: 7 }).promise();
        assert.equal((await server.describe(arn)).Status, 'DELETED');
      }
    });
  }

  test('a parent of path length 0 gives no subordinate a certificate that can be imported', async () => {
    const { subordinateArn } = await makeHierarchy('EC_prime256v1', 'SHA256WITHECDSA');
    const below = await server.create({ CertificateAuthorityType: 'SUBORDINATE' });
    const TemplateArn = template('SubordinateCACertificate_PathLen0');
    await assert.rejects(activate(below, subordinateArn, { TemplateArn }));
    assert.equal((await server.describe(below)).Status, 'PENDING_CERTIFICATE');
  });
});

describe('the authority of a first start', () => {
  test('is one like the others: described, with a CSR and a certificate, and it issues', async () => {
    const home = { accountId: '111122223333', region: 'eu-central-1' };
    const subject = 'CN=SCEP Root CA 1,O=Open Connector for SCEP';
    const arn = await server.subject.certificateAuthorities.createRootCertificateAuthority(home, { keyAlgorithm: 'RSA_2048', subject });
    assert.equal(arn, certificateAuthorityArn(home, parseCertificateAuthorityArn(arn)?.caId ?? ''));
    const { Status, Serial, CertificateAuthorityConfiguration } = await server.describe(arn);
    const { Certificate = '' } = await server.client.getCertificateAuthorityCertificate({ CertificateAuthorityArn: arn }).promise();
    assert.equal(Status, 'ACTIVE');
    assert.equal(Serial?.replace(/^0+/, ''), new X509Certificate(Certificate).serialNumber.toLowerCase().replace(/^0+/, ''));
    assert.deepEqual(CertificateAuthorityConfiguration, {
      KeyAlgorithm: 'RSA_2048',
      SigningAlgorithm: 'SHA256WITHRSA',
      Subject: { CommonName: 'SCEP Root CA 1', Organization: 'Open Connector for SCEP' },
    });
    const { Csr = '' } = await server.client.getCertificateAuthorityCsr({ CertificateAuthorityArn: arn }).promise();
    assert.equal(parsePem('CERTIFICATE REQUEST', Csr).length, 1);
    const leaf = await issue(arn, {});
    verifyByNode([leaf.Certificate, Certificate]);
  });
});

function verifyByNode(path: readonly string[]): void {
  const certificates = path.map(pem => new X509Certificate(pem));
  for (const [index, certificate] of certificates.entries()) {
    const issuer = certificates[index + 1] ?? certificate;
    assert.ok(certificate.verify(issuer.publicKey), `the signature of ${certificate.subject}`);
    assert.ok(certificate.checkIssued(issuer), `the issuer of ${certificate.subject}`);
    assert.equal(certificate.ca, index > 0);
  }
}

async function verifyByOpenssl(leaf: string, subordinate: string, root: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'scep-acm-pca-'));
  try {
    await writeFile(join(folder, 'leaf.pem'), leaf);
    await writeFile(join(folder, 'subordinate.pem'), subordinate);
    await writeFile(join(folder, 'root.pem'), root);
    const args = ['verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'subordinate.pem', 'leaf.pem'];
    const { status, stdout, stderr } = await runProgram('openssl', args, { cwd: folder });
    assert.equal(status, 0, stderr);
    assert.equal(stdout.toString(), 'leaf.pem: OK\n');
  } finally {
    await rm(folder, { recursive: true });
  }
}
