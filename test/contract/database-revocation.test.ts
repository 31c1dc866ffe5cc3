/** The contract of the queries behind IssueCertificate's queue, revocation and CRLs, run over every implementation of Database. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Insertable } from 'kysely';
import { insertCertificateAuthority } from '../../src/backends/store/certificate-authorities.ts';
import { completeCertificate, insertCertificate, revokeCertificate } from '../../src/backends/store/certificates.ts';
import type { Tables } from '../../src/backends/store/database.ts';
import { claimIssuances, deleteIssuance, findCertificateAndIssuance, insertIssuance } from '../../src/backends/store/issuances.ts';
import {
  findLatestRevocation,
  hasRevokedCertificates,
  listRevokedCertificates,
  takeCrlNumber,
} from '../../src/backends/store/revocation-lists.ts';
import { describeEveryDatabase, homeColumns, now, uuid } from '../support/databases.ts';

const serialNumber = (n: number) => n.toString(16).padStart(32, '0');

function certificate(n: number, change: Partial<Insertable<Tables['certificates']>> = {}): Insertable<Tables['certificates']> {
  return {
    certificate_id: uuid(n),
    ...homeColumns,
    ca_id: 'ca',
    serial_number: serialNumber(n),
    kind: 'API',
    subject: 'CN=device',
    subject_alternative_names: '[]',
    not_before: now,
    not_after: now + n,
    status: 'ISSUED',
    created_at: now,
    ...change,
  };
}

const issuance = (n: number) => ({ certificate_id: uuid(n), ca_id: 'ca', tbs_certificate: Uint8Array.of(n), created_at: now });

describeEveryDatabase(subject => {
  test('issuances are claimed oldest first, by one worker until its lease is over', async () => {
    const { query } = subject.database;
    for (const n of [3, 1, 2]) await insertIssuance(query, issuance(n));
    const claim = (at: number) => claimIssuances(query, { now: at, leaseUntilAt: at + 10, limit: 2 });
    const idsOf = (rows: { certificate_id: string }[]) => rows.map(row => row.certificate_id).toSorted((a, b) => (a < b ? -1 : 1));
    assert.deepEqual(idsOf(await claim(now)), [uuid(1), uuid(2)]);
    assert.deepEqual(idsOf(await claim(now + 9)), [uuid(3)]);
    assert.deepEqual(idsOf(await claim(now + 10)), [uuid(1), uuid(2)]);
    await deleteIssuance(query, uuid(1));
    const left = await claim(now + 30);
    assert.deepEqual(idsOf(left), [uuid(2), uuid(3)]);
    for (const { certificate_id: id, tbs_certificate: tbs } of left) assert.equal(uuid(tbs[0] ?? 0), id);
  });

  test('a certificate is found with whether it waits', async () => {
    const { query } = subject.database;
    await insertCertificate(query, certificate(1, { status: 'ISSUING' }));
    await insertIssuance(query, issuance(1));
    const find = (n: number, caId = 'ca') => findCertificateAndIssuance(query, { caId, serialNumber: serialNumber(n) });
    assert.deepEqual([(await find(1))?.isQueued, (await find(1))?.certificate.certificate_id], [true, uuid(1)]);
    await deleteIssuance(query, uuid(1));
    assert.equal((await find(1))?.isQueued, false);
    assert.deepEqual([await find(2), await find(1, 'other')], [undefined, undefined]);
  });

  test('a certificate is revoked once, and only when it is issued', async () => {
    const { query } = subject.database;
    await insertCertificate(query, certificate(1, { status: 'ISSUING' }));
    const revoke = () => revokeCertificate(query, uuid(1), { revokedAt: now, reason: 'SUPERSEDED' });
    assert.equal(await revoke(), false);
    await completeCertificate(query, uuid(1), { certificate: Uint8Array.of(1), fingerprint: 'f', issuedAt: now });
    assert.deepEqual([await revoke(), await revoke()], [true, false]);
  });

  test('what an authority has revoked is listed by the end of its validity, counted and dated', async () => {
    const { query } = subject.database;
    for (const n of [1, 2, 3]) {
      await insertCertificate(query, certificate(n));
      await revokeCertificate(query, uuid(n), { revokedAt: now + 10 - n, reason: 'KEY_COMPROMISE' });
    }
    await insertCertificate(query, certificate(4));
    await insertCertificate(query, certificate(5, { ca_id: 'other' }));
    await revokeCertificate(query, uuid(5), { revokedAt: now + 99, reason: 'UNSPECIFIED' });
    const list = async (notAfterMin: number, limit: number) =>
      (await listRevokedCertificates(query, { caId: 'ca', notAfterMin, limit })).map(row => row.serial_number);
    assert.deepEqual(await list(now, 10), [3, 2, 1].map(serialNumber));
    assert.deepEqual(await list(now + 2, 10), [3, 2].map(serialNumber));
    assert.deepEqual(await list(now, 1), [serialNumber(3)]);
    const [first] = await listRevokedCertificates(query, { caId: 'ca', notAfterMin: now + 3, limit: 1 });
    assert.deepEqual(first, { serial_number: serialNumber(3), revoked_at: now + 7, revocation_reason: 'KEY_COMPROMISE' });
    assert.deepEqual([await findLatestRevocation(query, 'ca'), await findLatestRevocation(query, 'none')], [now + 9, 0]);
    const has = (count: number) => hasRevokedCertificates(query, 'ca', count);
    assert.deepEqual([await has(1), await has(3), await has(4)], [true, true, false]);
  });

  test('CRL numbers of an authority grow by one, however many take them at once', async () => {
    const { query } = subject.database;
    await insertCertificateAuthority(query, {
      ca_id: 'ca',
      ...homeColumns,
      type: 'ROOT',
      status: 'ACTIVE',
      usage_mode: 'GENERAL_PURPOSE',
      key_algorithm: 'EC_prime256v1',
      signing_algorithm: 'SHA256WITHECDSA',
      subject: 'CN=CA',
      sealed_key: Uint8Array.of(1),
      created_at: now,
      updated_at: now,
    });
    const numbers = await Promise.all(Array.from({ length: 10 }, () => takeCrlNumber(query, 'ca')));
    assert.deepEqual(
      numbers.toSorted((a, b) => a - b),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
  });
});
