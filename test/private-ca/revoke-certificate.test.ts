/** RevokeCertificate: once, for every certificate of an authority that may be revoked, and AWS's refusals. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { insertCertificate } from '../../src/backends/store/certificates.ts';
import { StoreError } from '../../src/backends/store/database.ts';
import { ServiceException } from '../../src/base/errors.ts';
import { csrPem, openPrivateCa, type PrivateCaSubject, principal } from '../support/private-ca.ts';

const dayMs = 24 * 60 * 60_000;

let subject: PrivateCaSubject;
let root: string;
beforeEach(async () => {
  subject = await openPrivateCa();
  root = await subject.createRoot();
});
afterEach(async () => {
  await subject[Symbol.asyncDispose]();
});

async function assertRefused(work: Promise<unknown>, name: string, message = /./): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof ServiceException, String(error));
    assert.deepEqual([error.name, message.test(error.message)], [name, true], error.message);
    return true;
  });
}

async function rowOf(serialNumber: string) {
  return subject.database.query.selectFrom('certificates').selectAll().where('serial_number', '=', serialNumber).executeTakeFirstOrThrow();
}

async function ownSerialNumber(): Promise<string> {
  const { CertificateAuthority } = await subject.privateCa.describeCertificateAuthority({ CertificateAuthorityArn: root });
  return CertificateAuthority.Serial ?? '';
}

describe('RevokeCertificate', () => {
  it('records when and why', async () => {
    const { certificate } = await subject.issue(root);
    const before = subject.system.now();
    await subject.issuance.revokeCertificate({
      CertificateAuthorityArn: root,
      CertificateSerial: certificate.serialNumber,
      RevocationReason: 'SUPERSEDED',
    });
    const { status, revoked_at: revokedAt, revocation_reason: reason } = await rowOf(certificate.serialNumber);
    assert.deepEqual([status, reason], ['REVOKED', 'SUPERSEDED']);
    assert.ok((revokedAt ?? 0) >= before && (revokedAt ?? 0) <= subject.system.now());
  });

  it('takes the serial number with colons, in capitals, and with zeros added or left out', async () => {
    const forms: ((serialNumber: string) => string)[] = [
      serialNumber => serialNumber.replace(/..(?!$)/g, '$&:'),
      serialNumber => serialNumber.toUpperCase(),
      serialNumber => `00${serialNumber}`,
      serialNumber => BigInt(`0x${serialNumber}`).toString(16),
    ];
    for (const form of forms) {
      const { certificate } = await subject.issue(root);
      await subject.revoke(root, form(certificate.serialNumber));
      assert.equal((await rowOf(certificate.serialNumber)).status, 'REVOKED');
    }
  });

  it('refuses what is no serial number', async () => {
    for (const text of ['xyz', '', '12:3', ':12', '12:', '1 2', '0x12', '-1']) {
      await assertRefused(subject.revoke(root, text), 'InvalidRequestException', /hexadecimal/);
    }
  });

  it('refuses a serial number that is not of the authority', async () => {
    const other = await subject.createRoot({ commonName: 'Other' });
    const { certificate } = await subject.issue(other);
    await assertRefused(subject.revoke(root, certificate.serialNumber), 'ResourceNotFoundException');
    await assertRefused(subject.revoke(root, 'abcdef'), 'ResourceNotFoundException', /abcdef/);
    await assertRefused(subject.revoke(root, 'f'.repeat(128)), 'ResourceNotFoundException');
  });

  it('refuses what is revoked already, and of many at once lets one win', async () => {
    const { certificate } = await subject.issue(root);
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => subject.revoke(root, certificate.serialNumber)));
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    const { revoked_at: revokedAt } = await rowOf(certificate.serialNumber);
    await assertRefused(subject.revoke(root, certificate.serialNumber), 'RequestAlreadyProcessedException');
    assert.equal((await rowOf(certificate.serialNumber)).revoked_at, revokedAt);
  });

  it('refuses a self-signed certificate in the words that Terraform looks for', async () => {
    await assertRefused(
      subject.revoke(root, await ownSerialNumber()),
      'InvalidRequestException',
      /^Self-signed certificate can not be revoked/,
    );
  });

  it('revokes a certificate that has the subject of its authority and another key', async () => {
    const { certificate } = await subject.issue(root, { Csr: csrPem({ subject: 'CN=Example ROOT,O=Example' }) });
    assert.deepEqual(certificate.issuer.der, certificate.subject.der);
    await subject.revoke(root, certificate.serialNumber);
    assert.equal((await rowOf(certificate.serialNumber)).status, 'REVOKED');
  });

  it('refuses a certificate that has expired', async () => {
    const { certificate } = await subject.issue(root, { Validity: { Type: 'DAYS', Value: 1 } });
    const { certificate: longer } = await subject.issue(root, { Validity: { Type: 'DAYS', Value: 2 } });
    subject.advance(dayMs + 1000);
    await assertRefused(subject.revoke(root, certificate.serialNumber), 'InvalidRequestException', /expired/);
    await subject.revoke(root, longer.serialNumber);
  });

  it('refuses a certificate that is still being issued', async () => {
    subject.signing.fail = new StoreError('unreachable', 'away');
    const { CertificateArn } = await subject.issuance.issueCertificate(principal, {
      CertificateAuthorityArn: root,
      Csr: csrPem(),
      SigningAlgorithm: 'SHA256WITHECDSA',
      Validity: { Type: 'DAYS', Value: 1 },
    });
    await subject.queue.settle();
    await assertRefused(subject.revoke(root, CertificateArn.slice(-32)), 'RequestInProgressException');
  });

  it('revokes what a connector had issued', async () => {
    const { certificate } = await subject.issue(root);
    const row = await rowOf(certificate.serialNumber);
    for (const [index, kind] of (['DEVICE', 'RA'] as const).entries()) {
      const serialNumber = `${index}`.repeat(32);
      const copy = {
        ...row,
        certificate_id: kind,
        kind,
        serial_number: serialNumber,
        fingerprint: kind,
        connector_id: '11111111-2222-4333-8444-555555555555',
      };
      await insertCertificate(subject.database.query, copy);
      await subject.revoke(root, serialNumber);
      assert.equal((await rowOf(serialNumber)).status, 'REVOKED');
    }
  });

  it('works while the authority is DISABLED, and not before it has a certificate nor while it is deleted', async () => {
    const { certificate: first } = await subject.issue(root);
    const { certificate: second } = await subject.issue(root);
    await subject.privateCa.updateCertificateAuthority({ CertificateAuthorityArn: root, Status: 'DISABLED' });
    await subject.revoke(root, first.serialNumber);
    await subject.privateCa.deleteCertificateAuthority({ CertificateAuthorityArn: root });
    await assertRefused(subject.revoke(root, second.serialNumber), 'InvalidStateException');
    const pending = await subject.createAuthority('ROOT');
    await assertRefused(subject.revoke(pending, second.serialNumber), 'InvalidStateException');
  });

  it('gives each revocation of an authority an instant of its own', async () => {
    const frozen = subject.system.now();
    subject.system.now = () => frozen;
    const serialNumbers: string[] = [];
    while (serialNumbers.length < 5) serialNumbers.push((await subject.issue(root)).certificate.serialNumber);
    await Promise.all(serialNumbers.map(serialNumber => subject.revoke(root, serialNumber)));
    const instants = await Promise.all(serialNumbers.map(async serialNumber => (await rowOf(serialNumber)).revoked_at));
    assert.equal(new Set(instants).size, 5);
  });
});
