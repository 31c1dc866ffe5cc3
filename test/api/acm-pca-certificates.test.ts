/** IssueCertificate, GetCertificate and RevokeCertificate, driven by AWS's own client alone: two authorities made, chained, used and revoked from. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type ACMPCA from 'aws-sdk/clients/acmpca.js';
import { StoreError } from '../../src/backends/store/database.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import type { KeyAlgorithm, SigningAlgorithm } from '../../src/base/private-ca.ts';
import { issuanceLimits } from '../../src/service/issuance-queue.ts';
import { csrPem, parsePemCertificates, template } from '../support/private-ca.ts';
import { type PrivateCaServer, refusalOf, startPrivateCaServer } from '../support/private-ca-server.ts';
import { requireProgram } from '../support/programs.ts';
import { runProgram } from '../support/run-program.ts';

const RevocationConfiguration = { CrlConfiguration: { Enabled: true, ExpirationInDays: 7 } };

let server: PrivateCaServer;
let directory: string;
before(async () => {
  server = await startPrivateCaServer();
  server.subject.queue.start();
  directory = await mkdtemp(join(tmpdir(), 'scep-openssl-'));
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

type IssueChange = Partial<ACMPCA.IssueCertificateRequest>;

function issueRequest(CertificateAuthorityArn: string, change: IssueChange = {}) {
  return server.client.issueCertificate({
    CertificateAuthorityArn,
    Csr: Buffer.from(csrPem()),
    SigningAlgorithm: 'SHA256WITHECDSA',
    Validity: { Type: 'DAYS', Value: 30 },
    ...change,
  });
}

/** As a client does it: issue, wait with AWS's own waiter, get. */
async function issue(
  CertificateAuthorityArn: string,
  change: IssueChange = {},
): Promise<{ Certificate: string; CertificateChain?: string }> {
  const { CertificateArn = '' } = await issueRequest(CertificateAuthorityArn, change).promise();
  const $waiter = { delay: 0.01, maxAttempts: 500 };
  const issued = await server.client.waitFor('certificateIssued', { CertificateAuthorityArn, CertificateArn, $waiter }).promise();
  return { ...issued, Certificate: issued.Certificate ?? '' };
}

async function createAuthority(type: 'ROOT' | 'SUBORDINATE', KeyAlgorithm: KeyAlgorithm, SigningAlgorithm: SigningAlgorithm) {
  const Subject = { Organization: 'Example', CommonName: `Example ${type} ${KeyAlgorithm}` };
  return server.create({
    CertificateAuthorityType: type,
    CertificateAuthorityConfiguration: { KeyAlgorithm, SigningAlgorithm, Subject },
    RevocationConfiguration,
  });
}

/** GetCertificateAuthorityCsr, IssueCertificate, GetCertificate, ImportCertificateAuthorityCertificate. */
async function activate(arn: string, issuerArn: string, change: IssueChange): Promise<void> {
  const { Csr = '' } = await server.client.getCertificateAuthorityCsr({ CertificateAuthorityArn: arn }).promise();
  const issued = await issue(issuerArn, { ...change, Csr });
  await server.client.importCertificateAuthorityCertificate({ CertificateAuthorityArn: arn, ...issued }).promise();
}

async function createChain(keyAlgorithm: KeyAlgorithm, signingAlgorithm: SigningAlgorithm): Promise<{ root: string; subordinate: string }> {
  const root = await createAuthority('ROOT', keyAlgorithm, signingAlgorithm);
  const SigningAlgorithm = signingAlgorithm;
  await activate(root, root, { SigningAlgorithm, TemplateArn: template('RootCACertificate'), Validity: { Type: 'YEARS', Value: 10 } });
  const subordinate = await createAuthority('SUBORDINATE', keyAlgorithm, signingAlgorithm);
  const TemplateArn = template('SubordinateCACertificate_PathLen0');
  await activate(subordinate, root, { SigningAlgorithm, TemplateArn, Validity: { Type: 'YEARS', Value: 3 } });
  return { root, subordinate };
}

const revoke = (CertificateAuthorityArn: string, CertificateSerial: string) =>
  server.client.revokeCertificate({ CertificateAuthorityArn, CertificateSerial, RevocationReason: 'KEY_COMPROMISE' });

async function crlOf(arn: string): Promise<string> {
  const list = await server.subject.revocationLists.findRevocationList(arn.split('/').at(-1) ?? '');
  return encodePem('X509 CRL', list?.der ?? Buffer.alloc(0));
}

async function openssl(...args: string[]): Promise<{ status: number | null; text: string }> {
  const { status, stdout, stderr } = await runProgram('openssl', args, { cwd: directory });
  return { status, text: stdout.toString() + stderr };
}

describe('an authority of AWS’s client alone', () => {
  const families: [KeyAlgorithm, SigningAlgorithm][] = [
    ['RSA_2048', 'SHA256WITHRSA'],
    ['RSA_4096', 'SHA512WITHRSA'],
    ['EC_prime256v1', 'SHA256WITHECDSA'],
    ['EC_secp384r1', 'SHA384WITHECDSA'],
  ];
  for (const [keyAlgorithm, signingAlgorithm] of families) {
    it(`issues and revokes with ${keyAlgorithm}, and openssl verifies chain and CRLs`, { skip: requireProgram('openssl') }, async () => {
      const { root, subordinate } = await createChain(keyAlgorithm, signingAlgorithm);
      const good = await issue(subordinate, { SigningAlgorithm: signingAlgorithm });
      const bad = await issue(subordinate, { SigningAlgorithm: signingAlgorithm });
      await revoke(subordinate, parsePemCertificates(bad.Certificate)[0]?.serialNumber ?? '').promise();
      const [intermediate, top] = parsePemCertificates(good.CertificateChain ?? '').map(({ der }) => encodePem('CERTIFICATE', der));
      await writeFile(join(directory, 'good.pem'), good.Certificate);
      await writeFile(join(directory, 'bad.pem'), bad.Certificate);
      await writeFile(join(directory, 'trusted.pem'), top ?? '');
      await writeFile(join(directory, 'untrusted.pem'), intermediate ?? '');
      await writeFile(join(directory, 'lists.pem'), (await crlOf(root)) + (await crlOf(subordinate)));
      const verify = (file: string) =>
        openssl('verify', '-crl_check_all', '-CAfile', 'trusted.pem', '-untrusted', 'untrusted.pem', '-CRLfile', 'lists.pem', file);
      assert.deepEqual(await verify('good.pem'), { status: 0, text: 'good.pem: OK\n' });
      assert.match((await verify('bad.pem')).text, /certificate revoked/);
    });
  }

  it('issues with ML_DSA_65, and Node verifies the chain', async () => {
    const { subordinate } = await createChain('ML_DSA_65', 'ML_DSA_65');
    const { Certificate, CertificateChain = '' } = await issue(subordinate, { SigningAlgorithm: 'ML_DSA_65' });
    const [leaf, intermediate, root] = [Certificate, ...parsePemCertificates(CertificateChain).map(({ der }) => Buffer.from(der))].map(
      certificate => new X509Certificate(certificate),
    );
    assert.ok(leaf && intermediate && root);
    assert.deepEqual(
      [leaf.verify(intermediate.publicKey), intermediate.verify(root.publicKey), root.verify(root.publicKey), leaf.verify(root.publicKey)],
      [true, true, true, false],
    );
  });
});

describe('AWS’s client', () => {
  let root: string;
  before(async () => {
    ({ root } = await createChain('EC_prime256v1', 'SHA256WITHECDSA'));
  });

  it('is told that a certificate is in progress, and its waiter waits', async () => {
    const { signing, queue } = server.subject;
    signing.fail = new StoreError('unreachable', 'away');
    const { CertificateArn = '' } = await issueRequest(root).promise();
    await queue.settle();
    signing.fail = undefined;
    const get = () => server.client.getCertificate({ CertificateAuthorityArn: root, CertificateArn });
    assert.match(await refusalOf(get()), /^RequestInProgressException: /);
    server.subject.advance(issuanceLimits.leaseMs);
    await queue.settle();
    assert.match((await get().promise()).Certificate ?? '', /^-----BEGIN CERTIFICATE-----\n/);
  });

  it('gets one certificate for one idempotency token, and ApiPassthrough into it', async () => {
    const change: IssueChange = {
      Csr: Buffer.from(csrPem()),
      IdempotencyToken: 'once',
      TemplateArn: template('EndEntityCertificate_APIPassthrough'),
      ApiPassthrough: { Subject: { CommonName: 'printer-9' } },
    };
    const arns = await Promise.all(Array.from({ length: 20 }, async () => (await issueRequest(root, change).promise()).CertificateArn));
    assert.equal(new Set(arns).size, 1);
    const { Certificate } = await issue(root, change);
    assert.equal(new X509Certificate(Certificate).subject, 'CN=printer-9');
    assert.match(await refusalOf(issueRequest(root, { ...change, Validity: { Type: 'DAYS', Value: 1 } })), /^InvalidArgsException: /);
  });

  it('is refused with AWS’s exceptions', async () => {
    const issued = await issueRequest(root).promise();
    await server.settle();
    const CertificateArn = issued.CertificateArn ?? '';
    const get = (change: Partial<ACMPCA.GetCertificateRequest>) =>
      server.client.getCertificate({ CertificateAuthorityArn: root, CertificateArn, ...change });
    const unknown = `${root.slice(0, -12)}000000000000`;
    const serialNumber = CertificateArn.slice(-32);
    await revoke(root, serialNumber).promise();
    const own = (await server.describe(root)).Serial ?? '';
    const refusals: [Promise<string>, RegExp][] = [
      [refusalOf(issueRequest(unknown)), /^ResourceNotFoundException: /],
      [refusalOf(issueRequest(root, { Csr: 'x' })), /^MalformedCSRException: /],
      [refusalOf(issueRequest(root, { SigningAlgorithm: 'SHA256WITHRSA' })), /^InvalidArgsException: /],
      [refusalOf(issueRequest(root, { SigningAlgorithm: 'SM3WITHSM2' })), /^InvalidArgsException: /],
      [refusalOf(issueRequest(root, { TemplateArn: template('Unknown') })), /^InvalidArgsException: /],
      [refusalOf(issueRequest(root, { Validity: { Type: 'YEARS', Value: 11 } })), /^ValidationException: /],
      [refusalOf(issueRequest(root, { Validity: { Type: 'END_DATE', Value: 1 } })), /^ValidationException: /],
      [refusalOf(issueRequest(root, { ValidityNotBefore: { Type: 'DAYS', Value: 1 } })), /^ValidationException: /],
      [refusalOf(issueRequest(root, { Validity: { Type: 'DAYS', Value: 0 } })), /^ValidationException: .*greater than or equal to 1/],
      [refusalOf(get({ CertificateArn: `${root}/certificate/${'0'.repeat(32)}` })), /^ResourceNotFoundException: /],
      [refusalOf(get({ CertificateArn: root })), /^InvalidArnException: /],
      [refusalOf(get({ CertificateAuthorityArn: unknown })), /^ResourceNotFoundException: /],
      [refusalOf(revoke(root, serialNumber)), /^RequestAlreadyProcessedException: /],
      [refusalOf(revoke(root, 'abc')), /^ResourceNotFoundException: /],
      [refusalOf(revoke(root, 'not hexadecimal')), /^InvalidRequestException: /],
      [refusalOf(revoke(root, own)), /^InvalidRequestException: Self-signed certificate can not be revoked/],
    ];
    for (const [refusal, expected] of refusals) assert.match(await refusal, expected);
  });

  it('of another account learns nothing of the authority', async () => {
    const request = { CertificateAuthorityArn: root, CertificateSerial: 'abc', RevocationReason: 'UNSPECIFIED' };
    await assert.rejects(server.otherAccountsClient.revokeCertificate(request).promise(), { code: 'AccessDeniedException' });
  });
});
