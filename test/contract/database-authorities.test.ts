/** The contract of the queries on certificate authorities and their permissions, run over every implementation of Database. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Insertable } from 'kysely';
import {
  deleteAuthorityPermission,
  deleteAuthorityPermissionsOf,
  insertAuthorityPermission,
  listAuthorityPermissions,
} from '../../src/backends/store/authority-permissions.ts';
import {
  claimCertificateAuthorities,
  countCertificateAuthorities,
  deleteCertificateAuthorityRow,
  findCertificateAuthorityById,
  insertCertificateAuthority,
  listCertificateAuthorities,
  listCertificateAuthoritiesWithPolicy,
  updateCertificateAuthority,
} from '../../src/backends/store/certificate-authorities.ts';
import type { Tables } from '../../src/backends/store/database.ts';
import { describeEveryDatabase, home, homeColumns, now, uuid } from '../support/databases.ts';

function authority(n: number, change: Partial<Insertable<Tables['certificate_authorities']>> = {}) {
  return {
    ca_id: uuid(n),
    ...homeColumns,
    type: 'ROOT',
    status: 'CREATING',
    usage_mode: 'GENERAL_PURPOSE',
    key_algorithm: 'RSA_2048',
    signing_algorithm: 'SHA256WITHRSA',
    subject: 'CN=Example',
    sealed_key: new Uint8Array(0),
    created_at: now,
    updated_at: now,
    ...change,
  } as const;
}

const elsewhere = { account_id: '111111111111' };
const idsOf = (rows: { ca_id: string }[]) => rows.map(({ ca_id }) => ca_id);

describeEveryDatabase(subject => {
  test('an authority changes only from the status it is expected in, and a new status ends its lease', async () => {
    const { query } = subject.database;
    await insertCertificateAuthority(query, authority(1, { lease_until_at: now + 5 }));
    const change = { status: 'PENDING_CERTIFICATE', csr: Uint8Array.of(1), updated_at: now + 1 } as const;
    assert.equal(await updateCertificateAuthority(query, uuid(1), ['ACTIVE'], change), false);
    assert.equal(await updateCertificateAuthority(query, uuid(1), ['CREATING'], change), true);
    assert.equal(await updateCertificateAuthority(query, uuid(1), ['CREATING'], change), false);
    const row = await findCertificateAuthorityById(query, uuid(1));
    assert.deepEqual([row?.status, row?.lease_until_at, row?.state_changed_at], ['PENDING_CERTIFICATE', 0, now + 1]);
    await updateCertificateAuthority(query, uuid(1), ['PENDING_CERTIFICATE'], { policy: '{}', updated_at: now + 2 });
    const later = await findCertificateAuthorityById(query, uuid(1));
    assert.deepEqual([later?.policy, later?.state_changed_at, later?.updated_at], ['{}', now + 1, now + 2]);
  });

  test('workers claim what is being made and what can no longer be restored, each thing once until its lease runs out', async () => {
    const { query } = subject.database;
    await insertCertificateAuthority(query, authority(1));
    await insertCertificateAuthority(query, authority(2, { status: 'ACTIVE' }));
    await insertCertificateAuthority(query, authority(3, { status: 'DELETED', restorable_until_at: now }));
    await insertCertificateAuthority(query, authority(4, { status: 'DELETED', restorable_until_at: now + 1 }));
    await insertCertificateAuthority(query, authority(5, { lease_until_at: now + 1 }));
    const claim = (at: number, limit = 10) => claimCertificateAuthorities(query, { now: at, leaseUntilAt: at + 100, limit });
    assert.deepEqual(idsOf(await claim(now)).toSorted(), [uuid(1), uuid(3)]);
    assert.deepEqual(await claim(now), []);
    assert.equal((await claim(now + 1, 1)).length, 1);
    assert.equal((await claim(now + 1, 1)).length, 1);
    assert.deepEqual(await claim(now + 1), []);
    assert.deepEqual(idsOf(await claim(now + 100)).toSorted(), [uuid(1), uuid(3)]);
  });

  test('an authority goes only when it is deleted and can no longer be restored', async () => {
    const { query } = subject.database;
    await insertCertificateAuthority(query, authority(1, { status: 'DISABLED' }));
    await insertCertificateAuthority(query, authority(2, { status: 'DELETED', restorable_until_at: now }));
    assert.equal(await deleteCertificateAuthorityRow(query, uuid(1), now), false);
    assert.equal(await deleteCertificateAuthorityRow(query, uuid(2), now - 1), false);
    assert.equal(await deleteCertificateAuthorityRow(query, uuid(2), now), true);
    assert.equal(await deleteCertificateAuthorityRow(query, uuid(2), now), false);
  });

  test('an account’s authorities are counted and listed apart from those of others that have a policy', async () => {
    const { query } = subject.database;
    await insertCertificateAuthority(query, authority(1));
    await insertCertificateAuthority(query, authority(2, { policy: '{}' }));
    await insertCertificateAuthority(query, authority(3, { ...elsewhere, policy: '{}' }));
    await insertCertificateAuthority(query, authority(4, elsewhere));
    await insertCertificateAuthority(query, authority(5, { ...elsewhere, policy: '{}' }));
    await insertCertificateAuthority(query, authority(6, { ...elsewhere, policy: '{}', region: 'eu-west-1' }));
    assert.equal(await countCertificateAuthorities(query, home), 2);
    assert.deepEqual(idsOf(await listCertificateAuthorities(query, { ...home, limit: 9 })), [uuid(1), uuid(2)]);
    assert.deepEqual(idsOf(await listCertificateAuthoritiesWithPolicy(query, { ...home, limit: 9 })), [uuid(3), uuid(5)]);
    assert.deepEqual(idsOf(await listCertificateAuthoritiesWithPolicy(query, { ...home, limit: 9, afterId: uuid(3) })), [uuid(5)]);
  });

  test('a permission is given once, listed with its authority and taken away', async () => {
    const { query } = subject.database;
    const permission = (n: number) => ({
      ca_id: uuid(n),
      principal: 'acm.amazonaws.com',
      source_account: home.accountId,
      actions: '[]',
      created_at: now,
    });
    assert.equal(await insertAuthorityPermission(query, permission(1)), true);
    assert.equal(await insertAuthorityPermission(query, { ...permission(1), actions: '["GetCertificate"]' }), false);
    await insertAuthorityPermission(query, permission(2));
    assert.deepEqual(await listAuthorityPermissions(query, uuid(1)), [permission(1)]);
    const key = { caId: uuid(1), principal: 'acm.amazonaws.com', sourceAccount: home.accountId };
    assert.equal(await deleteAuthorityPermission(query, key), true);
    assert.equal(await deleteAuthorityPermission(query, key), false);
    await deleteAuthorityPermissionsOf(query, uuid(2));
    assert.deepEqual(await listAuthorityPermissions(query, uuid(2)), []);
  });
});
