/** The contract of the queries that serve issuing and its records, run over every implementation of Database. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Insertable } from 'kysely';
import { insertAuditEvents, listAuditEvents } from '../../src/backends/store/audit-events.ts';
import {
  findCertificateAuthority,
  findCertificateAuthorityById,
  insertCertificateAuthority,
  listCertificateAuthorities,
} from '../../src/backends/store/certificate-authorities.ts';
import { completeCertificate, findCertificate, findCertificateBySerial, insertCertificate } from '../../src/backends/store/certificates.ts';
import type { Tables } from '../../src/backends/store/database.ts';
import { findTransaction, insertTransaction, updateTransaction } from '../../src/backends/store/transactions.ts';
import { describeEveryDatabase, everyByte, home, homeColumns, now, uuid } from '../support/databases.ts';

function certificate(n: number, change: Partial<Insertable<Tables['certificates']>> = {}): Insertable<Tables['certificates']> {
  return {
    certificate_id: uuid(n),
    ...homeColumns,
    ca_id: 'ca',
    serial_number: n.toString(16).padStart(32, '0'),
    kind: 'DEVICE',
    subject: 'CN=device',
    subject_alternative_names: '[]',
    not_before: now,
    not_after: now + 1,
    status: 'ISSUING',
    created_at: now,
    ...change,
  };
}

describeEveryDatabase(subject => {
  test('a certificate authority is found by its home or its id, and listed within its home', async () => {
    const row = {
      ca_id: uuid(1),
      ...homeColumns,
      type: 'ROOT' as const,
      status: 'ACTIVE' as const,
      usage_mode: 'GENERAL_PURPOSE' as const,
      key_algorithm: 'RSA_2048',
      signing_algorithm: 'SHA256WITHRSA',
      subject: 'CN=root',
      sealed_key: everyByte,
      created_at: now,
      updated_at: now,
    };
    await insertCertificateAuthority(subject.database.query, row);
    const found = await findCertificateAuthority(subject.database.query, { ...home, caId: uuid(1) });
    assert.deepEqual([found?.certificate, found?.not_after, found?.sealed_key.length], [null, null, 256]);
    assert.equal(await findCertificateAuthority(subject.database.query, { ...home, region: 'eu-west-1', caId: uuid(1) }), undefined);
    assert.deepEqual(await findCertificateAuthorityById(subject.database.query, uuid(1)), found);
    assert.deepEqual(await listCertificateAuthorities(subject.database.query, { ...home, limit: 5 }), [found]);
  });

  test('a certificate is recorded once, and only over its recorded intent', async () => {
    await insertCertificate(subject.database.query, certificate(1));
    const result = { certificate: everyByte, fingerprint: 'f1', issuedAt: now + 5 };
    assert.equal(await completeCertificate(subject.database.query, uuid(2), result), false);
    assert.equal(await completeCertificate(subject.database.query, uuid(1), result), true);
    assert.equal(await completeCertificate(subject.database.query, uuid(1), { ...result, issuedAt: now + 6 }), false);
    const found = await findCertificate(subject.database.query, uuid(1));
    assert.deepEqual([found?.status, found?.issued_at, found?.certificate?.length], ['ISSUED', now + 5, 256]);
    const serialNumber = certificate(1).serial_number;
    assert.deepEqual(await findCertificateBySerial(subject.database.query, { caId: 'ca', serialNumber }), found);
  });

  test('one authority never has one serial number twice; two authorities may', async () => {
    const serial_number = certificate(1).serial_number;
    await insertCertificate(subject.database.query, certificate(1));
    await assert.rejects(insertCertificate(subject.database.query, certificate(2, { serial_number })));
    await insertCertificate(subject.database.query, certificate(3, { serial_number, ca_id: 'another' }));
  });

  test('the same SCEP transaction is inserted once; another CSR or signer makes another one', async () => {
    const key = { connectorId: uuid(1), transactionId: 't', csrHash: 'csr', signerKeyHash: 'signer' };
    const row = {
      transaction_row_id: uuid(1),
      connector_id: key.connectorId,
      transaction_id: key.transactionId,
      csr_hash: key.csrHash,
      signer_key_hash: key.signerKeyHash,
      status: 'ISSUING' as const,
      created_at: now,
      updated_at: now,
    };
    assert.equal(await insertTransaction(subject.database.query, row), true);
    assert.equal(await insertTransaction(subject.database.query, { ...row, transaction_row_id: uuid(2) }), false);
    assert.equal(await insertTransaction(subject.database.query, { ...row, transaction_row_id: uuid(3), csr_hash: 'another' }), true);
    assert.equal(
      await insertTransaction(subject.database.query, { ...row, transaction_row_id: uuid(4), signer_key_hash: 'another' }),
      true,
    );
    await updateTransaction(subject.database.query, uuid(1), { status: 'SUCCESS', certificate_id: uuid(7), updated_at: now + 1 });
    const neverWaited = { csr: null, signer: null, source: null, decided_by: null, requested_at: null };
    const neverClaimed = { dynamic_challenge_id: null, renewed_certificate_id: null };
    const ended = { status: 'SUCCESS', certificate_id: uuid(7), reason: null, updated_at: now + 1 };
    const expected = { ...row, ...neverWaited, ...neverClaimed, ...ended };
    assert.deepEqual(await findTransaction(subject.database.query, key), expected);
    assert.equal((await findTransaction(subject.database.query, { ...key, csrHash: 'another' }))?.status, 'ISSUING');
    assert.equal(await findTransaction(subject.database.query, { ...key, transactionId: 'absent' }), undefined);
  });

  test('the audit events of a connector come newest first, page by page', async () => {
    const event = { at: now, name: 'enrolment', connector_id: uuid(1), outcome: 'success' as const, detail: '{}' };
    for (const n of [2, 1, 3]) await insertAuditEvents(subject.database.query, [{ ...event, event_id: uuid(n) }]);
    await insertAuditEvents(subject.database.query, [{ ...event, event_id: uuid(4), connector_id: uuid(2) }]);
    const first = await listAuditEvents(subject.database.query, { connectorId: uuid(1), limit: 2 });
    const second = await listAuditEvents(subject.database.query, { connectorId: uuid(1), beforeId: uuid(2), limit: 2 });
    assert.deepEqual(
      [...first, ...second].map(row => row.event_id),
      [uuid(3), uuid(2), uuid(1)],
    );
  });
});
