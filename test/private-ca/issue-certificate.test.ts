/** IssueCertificate: what it makes of a request, held against openssl, and each of its refusals on both sides of its bound. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { ServiceException } from '../../src/base/errors.ts';
import { findExtension, parseBasicConstraints } from '../../src/base/pki/extensions.ts';
import { formatName } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { encodePem, parsePem } from '../../src/base/pki/pem.ts';
import type { KeyAlgorithm, SigningAlgorithm } from '../../src/base/private-ca.ts';
import type { IssueCertificateRequest } from '../../src/service/issuance-plan.ts';
import { csrPem, openPrivateCa, type PrivateCaSubject, parsePemCertificates, principal, template } from '../support/private-ca.ts';
import { requireProgram } from '../support/programs.ts';
import { runProgram } from '../support/run-program.ts';

const dayMs = 24 * 60 * 60_000;

let subject: PrivateCaSubject;
beforeEach(async () => {
  subject = await openPrivateCa();
});
afterEach(async () => {
  await subject[Symbol.asyncDispose]();
});

async function assertRefused(work: Promise<unknown>, name: string, message: RegExp): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof ServiceException, String(error));
    assert.deepEqual([error.name, message.test(error.message)], [name, true], error.message);
    return true;
  });
}

/** The request as a client would send it, without waiting for the certificate. */
async function request(arn: string, change: Partial<IssueCertificateRequest> = {}): Promise<string> {
  const { CertificateArn } = await subject.issuance.issueCertificate(principal, {
    CertificateAuthorityArn: arn,
    Csr: csrPem(),
    SigningAlgorithm: 'SHA256WITHECDSA',
    Validity: { Type: 'DAYS', Value: 30 },
    ...change,
  });
  return CertificateArn;
}

async function storedRows(): Promise<[certificates: number, issuances: number]> {
  const { query } = subject.database;
  const certificates = await query.selectFrom('certificates').selectAll().execute();
  const issuances = await query.selectFrom('issuances').selectAll().execute();
  return [certificates.length, issuances.length];
}

describe('a chain made of IssueCertificate alone', { skip: requireProgram('openssl') }, () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'scep-openssl-'));
  });
  after(async () => {
    await rm(directory, { recursive: true });
  });

  /** OpenSSL 3.0 knows all but ML-DSA. */
  const families: [KeyAlgorithm, SigningAlgorithm, SigningAlgorithm][] = [
    ['RSA_2048', 'SHA256WITHRSA', 'SHA512WITHRSA'],
    ['RSA_2048', 'SHA256WITHRSA_PSS', 'SHA384WITHRSA_PSS'],
    ['EC_prime256v1', 'SHA256WITHECDSA', 'SHA512WITHECDSA'],
    ['EC_secp384r1', 'SHA384WITHECDSA', 'SHA256WITHECDSA'],
    ['EC_secp521r1', 'SHA512WITHECDSA', 'SHA384WITHECDSA'],
  ];
  for (const [keyAlgorithm, signingAlgorithm, other] of families) {
    it(`is verified by openssl for ${keyAlgorithm} with ${signingAlgorithm}, and its end with ${other}`, async () => {
      const root = await subject.createRoot({ keyAlgorithm, signingAlgorithm });
      const subordinate = await subject.createSubordinate(root, { keyAlgorithm, signingAlgorithm });
      const { pem, chain = '' } = await subject.issue(subordinate, { SigningAlgorithm: other });
      const [intermediate, top] = parsePemCertificates(chain);
      assert.ok(intermediate && top);
      await writeFile(join(directory, 'leaf.pem'), pem);
      await writeFile(join(directory, 'intermediate.pem'), encodePem('CERTIFICATE', intermediate.der));
      await writeFile(join(directory, 'root.pem'), encodePem('CERTIFICATE', top.der));
      const args = ['verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'intermediate.pem', '-purpose', 'sslserver', 'leaf.pem'];
      const { status, stderr } = await runProgram('openssl', args, { cwd: directory });
      assert.deepEqual([status, stderr], [0, '']);
    });
  }
});

describe('what IssueCertificate issues', () => {
  it('has the serial number of its ARN, the content of the template and the validity asked for', async () => {
    const root = await subject.createRoot();
    const before = Math.floor(subject.system.now() / 1000) * 1000;
    const { arn, certificate, chain = '' } = await subject.issue(root);
    assert.equal(arn, `${root}/certificate/${certificate.serialNumber}`);
    assert.match(certificate.serialNumber, /^[0-9a-f]{32}$/);
    assert.equal(formatName(certificate.subject), 'CN=device-7');
    assert.equal(formatName(certificate.issuer), 'CN=Example ROOT,O=Example');
    assert.equal(certificate.notAfter - certificate.notBefore, 30 * dayMs + 60 * 60_000);
    assert.ok(certificate.notAfter >= before + 30 * dayMs);
    assert.deepEqual(
      parsePemCertificates(chain).map(({ subject: name }) => formatName(name)),
      ['CN=Example ROOT,O=Example'],
    );
    assert.ok(findExtension(certificate.extensions, Oid.authorityKeyIdentifier));
  });

  it('stands in the inventory', async () => {
    const root = await subject.createRoot();
    const { certificate } = await subject.issue(root);
    const row = await subject.database.query
      .selectFrom('certificates')
      .selectAll()
      .where('serial_number', '=', certificate.serialNumber)
      .executeTakeFirstOrThrow();
    assert.deepEqual(
      [row.kind, row.status, row.subject, row.subject_alternative_names, row.connector_id, row.not_before, row.not_after],
      ['API', 'ISSUED', 'CN=device-7', '["dNSName:device-7.example.com"]', null, certificate.notBefore, certificate.notAfter],
    );
    assert.deepEqual(Buffer.from(row.certificate ?? []), Buffer.from(certificate.der));
  });

  it('begins when ValidityNotBefore says', async () => {
    const root = await subject.createRoot();
    const from = Math.floor(subject.system.now() / 1000) + 3600;
    const { certificate } = await subject.issue(root, { ValidityNotBefore: { Type: 'ABSOLUTE', Value: from } });
    assert.equal(certificate.notBefore, from * 1000);
  });

  it('names the CRL when the authority has one, at the CustomCname when there is one, and not when it is to be omitted', async () => {
    const crlOf = async (CrlConfiguration: object) => {
      const root = await subject.createRoot({
        revocation: { CrlConfiguration: { Enabled: true, ExpirationInDays: 7, ...CrlConfiguration } },
      });
      const { certificate } = await subject.issue(root);
      const extension = findExtension(certificate.extensions, Oid.crlDistributionPoints);
      return [root.split('/').at(-1), extension && Buffer.from(extension.value).toString('latin1')];
    };
    const [first, plain] = await crlOf({});
    assert.ok(plain?.includes(`http://pki.example.com/crl/${first}.crl`));
    const [second, custom] = await crlOf({ CustomCname: 'crl.example.net' });
    assert.ok(custom?.includes(`http://crl.example.net/crl/${second}.crl`));
    assert.equal((await crlOf({ CrlDistributionPointExtensionConfiguration: { OmitExtension: true } }))[1], undefined);
  });

  it('takes a CSR of the older label', async () => {
    const root = await subject.createRoot();
    const older = Buffer.from(csrPem()).toString().replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST');
    assert.ok((await subject.issue(root, { Csr: Buffer.from(older) })).pem);
  });
});

describe('a CSR', () => {
  const damaged = (): Uint8Array => {
    const [der = new Uint8Array(0)] = parsePem('CERTIFICATE REQUEST', Buffer.from(csrPem()).toString());
    const copy = Buffer.from(der);
    // Within the subject, which the signature covers.
    copy.write('x', copy.indexOf('device'), 'latin1');
    return Buffer.from(encodePem('CERTIFICATE REQUEST', copy));
  };
  const cases: [name: string, csr: () => Uint8Array, message: RegExp][] = [
    ['that is no PEM', () => Buffer.from('hello'), /there is no "BEGIN CERTIFICATE REQUEST"/],
    ['in DER', () => parsePem('CERTIFICATE REQUEST', Buffer.from(csrPem()).toString())[0] ?? Buffer.alloc(0), /there is no/],
    ['that is no ASN.1', () => Buffer.from(encodePem('CERTIFICATE REQUEST', Buffer.from('hello'))), /cannot be used/],
    ['twice', () => Buffer.concat([csrPem(), csrPem()]), /must be one PEM object/],
    ['that another key has signed', damaged, /not signed with the key that it is for/],
    ['without a subject or alternative names', () => csrPem({ subject: '', extensions: [] }), /neither a subject nor/],
  ];
  for (const [name, csr, message] of cases) {
    it(`${name} is refused and leaves nothing behind`, async () => {
      const root = await subject.createRoot();
      const stored = await storedRows();
      await assertRefused(request(root, { Csr: csr() }), 'MalformedCSRException', message);
      assert.deepEqual(await storedRows(), stored);
    });
  }

  it('for a key of a kind that nobody here knows is refused', async () => {
    const root = await subject.createRoot();
    const [der = new Uint8Array(0)] = parsePem('CERTIFICATE REQUEST', Buffer.from(csrPem()).toString());
    // id-ecPublicKey becomes an OID that is none.
    const at = Buffer.from(der).indexOf(Buffer.from('2a8648ce3d0201', 'hex'));
    const foreign = Buffer.from(der);
    foreign[at + 6] = 0x0d;
    await assertRefused(request(root, { Csr: Buffer.from(encodePem('CERTIFICATE REQUEST', foreign)) }), 'MalformedCSRException', /CSR/);
  });
});

describe('an authority', () => {
  const cannotIssue = /^The certificate authority is not in a valid state for issuing certificates\.$/;

  it('that has no certificate issues none', async () => {
    const root = await subject.createAuthority('ROOT');
    await assertRefused(request(root), 'InvalidStateException', cannotIssue);
  });

  it('that is DISABLED or DELETED issues none, and ACTIVE again it does', async () => {
    const root = await subject.createRoot();
    await subject.privateCa.updateCertificateAuthority({ CertificateAuthorityArn: root, Status: 'DISABLED' });
    await assertRefused(request(root), 'InvalidStateException', cannotIssue);
    await subject.privateCa.deleteCertificateAuthority({ CertificateAuthorityArn: root });
    await assertRefused(request(root), 'InvalidStateException', cannotIssue);
    await subject.privateCa.restoreCertificateAuthority({ CertificateAuthorityArn: root });
    await subject.privateCa.updateCertificateAuthority({ CertificateAuthorityArn: root, Status: 'ACTIVE' });
    assert.ok(await request(root));
  });

  it('whose certificate has ended issues none but, being a root, its own', async () => {
    const root = await subject.createRoot({ validity: { Type: 'DAYS', Value: 1 } });
    subject.advance(2 * dayMs);
    await assertRefused(request(root), 'InvalidStateException', cannotIssue);
    const { Csr } = await subject.privateCa.getCertificateAuthorityCsr({ CertificateAuthorityArn: root });
    const renewed = await subject.issue(root, { Csr: Buffer.from(Csr), TemplateArn: template('RootCACertificate') });
    assert.equal(renewed.chain, undefined);
    assert.equal(formatName(renewed.certificate.subject), 'CN=Example ROOT,O=Example');
  });

  it('signs a root certificate for its own CSR alone, and only when it is a root', async () => {
    const root = await subject.createAuthority('ROOT');
    const TemplateArn = template('RootCACertificate');
    await assertRefused(request(root, { TemplateArn }), 'MalformedCSRException', /must be the root CA's own/);
    const subordinate = await subject.createAuthority('SUBORDINATE');
    const { Csr } = await subject.privateCa.getCertificateAuthorityCsr({ CertificateAuthorityArn: subordinate });
    await assertRefused(request(subordinate, { TemplateArn, Csr: Buffer.from(Csr) }), 'InvalidArgsException', /for root CAs/);
  });

  it('is named by an ARN of this Region that exists', async () => {
    await assertRefused(request('arn:aws:acm-pca:eu-central-1:111122223333:key/1'), 'InvalidArnException', /./);
    const unknown = 'arn:aws:acm-pca:eu-central-1:111122223333:certificate-authority/11111111-2222-4333-8444-555555555555';
    await assertRefused(request(unknown), 'ResourceNotFoundException', /./);
  });

  it('signs with algorithms of its own key alone', async () => {
    const root = await subject.createRoot();
    assert.ok(await request(root, { SigningAlgorithm: 'SHA384WITHECDSA' }));
    await assertRefused(request(root, { SigningAlgorithm: 'SHA256WITHRSA' }), 'InvalidArgsException', /does not sign with SHA256WITHRSA/);
    await assertRefused(request(root, { SigningAlgorithm: 'ML_DSA_65' }), 'InvalidArgsException', /does not sign with ML_DSA_65/);
  });
});

describe('limits of the issuer', () => {
  it('a certificate ends when its issuer does at the latest', async () => {
    const root = await subject.createRoot({ validity: { Type: 'END_DATE', Value: 20_400_101_000_000 } });
    assert.ok(await request(root, { Validity: { Type: 'END_DATE', Value: 20_400_101_000_000 } }));
    const tooLate = request(root, { Validity: { Type: 'END_DATE', Value: 20_400_101_000_001 } });
    await assertRefused(tooLate, 'ValidationException', /must not end after .* 2040-01-01T00:00:00.000Z/);
  });

  it('a short-lived authority issues for seven days at most, and a root of its own longer', async () => {
    const root = await subject.createRoot({ usageMode: 'SHORT_LIVED_CERTIFICATE' });
    assert.ok(await request(root, { Validity: { Type: 'DAYS', Value: 7 } }));
    await assertRefused(request(root, { Validity: { Type: 'DAYS', Value: 8 } }), 'ValidationException', /must not end after/);
  });

  it('a subordinate has less path length than its issuer', async () => {
    const root = await subject.createRoot();
    const middle = await subject.createSubordinate(root, { templateArn: template('SubordinateCACertificate_PathLen1') });
    const leaf = await subject.createAuthority('SUBORDINATE');
    const { Csr } = await subject.privateCa.getCertificateAuthorityCsr({ CertificateAuthorityArn: leaf });
    const issue = (length: number) =>
      subject.issue(middle, { Csr: Buffer.from(Csr), TemplateArn: template(`SubordinateCACertificate_PathLen${length}`) });
    const { certificate } = await issue(0);
    const constraints = findExtension(certificate.extensions, Oid.basicConstraints);
    assert.deepEqual(constraints && parseBasicConstraints(constraints), { cA: true, pathLenConstraint: 0 });
    await assertRefused(issue(1), 'ValidationException', /^Path length check failed for CA.* use less than PathLen1/);
    await assertRefused(issue(2), 'ValidationException', /^Path length check failed for CA/);
    const last = await subject.createSubordinate(middle, { commonName: 'Example Last', validity: { Type: 'DAYS', Value: 30 } });
    const below = subject.issue(last, { Csr: Buffer.from(Csr), TemplateArn: template('SubordinateCACertificate_PathLen0') });
    await assertRefused(below, 'ValidationException', /may issue no CA certificate/);
  });

  it('a template that does not exist is refused', async () => {
    const root = await subject.createRoot();
    await assertRefused(request(root, { TemplateArn: template('NoSuchCertificate') }), 'InvalidArgsException', /does not exist/);
  });
});

describe('an idempotency token', () => {
  it('makes one certificate of 200 requests at once', async () => {
    const root = await subject.createRoot();
    const [certificates] = await storedRows();
    const Csr = csrPem();
    const arns = await Promise.all(Array.from({ length: 200 }, () => request(root, { Csr, IdempotencyToken: 'once' })));
    assert.equal(new Set(arns).size, 1);
    await subject.queue.settle();
    assert.deepEqual(await storedRows(), [certificates + 1, 0]);
  });

  it('is refused with other parameters, and forgotten after five minutes', async () => {
    const root = await subject.createRoot();
    const Csr = csrPem();
    const first = await request(root, { Csr, IdempotencyToken: 'once' });
    const other = request(root, { Csr, IdempotencyToken: 'once', Validity: { Type: 'DAYS', Value: 31 } });
    await assertRefused(other, 'InvalidArgsException', /used less than five minutes ago/);
    await assertRefused(request(root, { IdempotencyToken: 'once' }), 'InvalidArgsException', /five minutes/);
    subject.advance(5 * 60_000 + 1);
    assert.notEqual(await request(root, { Csr, IdempotencyToken: 'once' }), first);
  });

  it('left out makes a new certificate each time', async () => {
    const root = await subject.createRoot();
    const Csr = csrPem();
    assert.notEqual(await request(root, { Csr }), await request(root, { Csr }));
  });
});
