/** The contract of the queries that renew RA keys, run over every implementation of Database. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  activateConnector,
  claimConnectors,
  findConnectorById,
  insertConnector,
  makeConnectorsDue,
  postponeRaRenewal,
} from '../../src/backends/store/connectors.ts';
import type { ConnectorRow, RaKeyRow } from '../../src/backends/store/database.ts';
import { deleteRaKeysEndedBefore, deleteRaKeysOf, insertRaKey, listRaKeys, retireRaKeys } from '../../src/backends/store/ra-keys.ts';
import { connector, describeEveryDatabase, now, uuid } from '../support/databases.ts';

function raKey(n: number, change: Partial<RaKeyRow> = {}): RaKeyRow {
  return {
    ra_key_id: uuid(n),
    connector_id: uuid(1),
    certificate_id: uuid(n),
    certificate: Uint8Array.of(n),
    sealed_key: Uint8Array.of(n, n),
    purpose: 'BOTH',
    status: 'ACTIVE',
    not_before: now,
    not_after: now + n,
    created_at: now,
    ...change,
  };
}

describeEveryDatabase(subject => {
  const found = async (n: number): Promise<ConnectorRow> => {
    const row = await findConnectorById(subject.database.query, uuid(n));
    assert.ok(row);
    return row;
  };
  const listed = async (n = 1) => (await listRaKeys(subject.database.query, uuid(n))).map(row => `${row.purpose} ${row.status}`);

  test('RA keys are listed those in use first, then newest first, and go with their connector', async () => {
    const { query } = subject.database;
    await insertConnector(query, connector(1));
    await insertRaKey(query, raKey(9, { status: 'RETIRED', purpose: 'SIGN' }));
    await insertRaKey(query, raKey(3, { status: 'RETIRED', purpose: 'DECRYPT', created_at: now + 1 }));
    // Made by a clock that was set back.
    await insertRaKey(query, raKey(5, { created_at: now - 1 }));
    assert.deepEqual(await listed(), ['BOTH ACTIVE', 'DECRYPT RETIRED', 'SIGN RETIRED']);
    await deleteRaKeysOf(query, uuid(1));
    assert.deepEqual(await listed(), []);
  });

  test('RA keys are retired within their connector, and none is inserted for a connector that is gone', async () => {
    const { query } = subject.database;
    for (const n of [1, 2]) await insertConnector(query, connector(n));
    await insertRaKey(query, raKey(1));
    await insertRaKey(query, raKey(2, { connector_id: uuid(2) }));
    await retireRaKeys(query, uuid(1));
    assert.deepEqual([await listed(1), await listed(2)], [['BOTH RETIRED'], ['BOTH ACTIVE']]);
    await assert.rejects(insertRaKey(query, raKey(3, { connector_id: uuid(3) })));
  });

  test('RA keys that ended before an instant are deleted, a few at a time and the oldest first', async () => {
    const { query } = subject.database;
    await insertConnector(query, connector(1));
    for (const n of [4, 3, 2, 1]) await insertRaKey(query, raKey(n));
    assert.deepEqual(await deleteRaKeysEndedBefore(query, now + 1, 10), []);
    assert.deepEqual(await deleteRaKeysEndedBefore(query, now + 4, 1), [uuid(1)]);
    assert.deepEqual((await deleteRaKeysEndedBefore(query, now + 4, 10)).toSorted(), [uuid(2), uuid(3)]);
    assert.deepEqual(
      (await listRaKeys(query, uuid(1))).map(row => row.ra_key_id),
      [uuid(4)],
    );
  });

  test('an ACTIVE connector is claimed once it is due, after those that someone waits for', async () => {
    const { query } = subject.database;
    await insertConnector(query, connector(1, { status: 'ACTIVE', ra_renewal_at: now }));
    await insertConnector(query, connector(2, { status: 'ACTIVE', ra_renewal_at: now + 1 }));
    await insertConnector(query, connector(3));
    await insertConnector(query, connector(4, { status: 'DELETING' }));
    await insertConnector(query, connector(5, { status: 'FAILED' }));
    const claim = async (at: number, limit: number) =>
      (await claimConnectors(query, { now: at, leaseUntilAt: at + 100, limit })).map(row => row.connector_id).toSorted();
    assert.deepEqual(await claim(now, 2), [uuid(3), uuid(4)]);
    assert.deepEqual(await claim(now, 2), [uuid(1)]);
    assert.deepEqual(await claim(now, 2), []);
    assert.deepEqual(await claim(now + 1, 2), [uuid(2)]);
  });

  test('a connector is activated from the status that it is in, and its lease ends; renewal is no update', async () => {
    const { query } = subject.database;
    await insertConnector(query, connector(1, { lease_until_at: now + 100 }));
    assert.equal(await activateConnector(query, uuid(1), { from: 'ACTIVE', raRenewalAt: now + 5, now: now + 1 }), false);
    assert.equal(await activateConnector(query, uuid(1), { from: 'CREATING', raRenewalAt: now + 5, now: now + 1 }), true);
    const activated = await found(1);
    assert.deepEqual(
      [activated.status, activated.ra_renewal_at, activated.lease_until_at, activated.updated_at],
      ['ACTIVE', now + 5, 0, now + 1],
    );
    assert.equal(await activateConnector(query, uuid(1), { from: 'ACTIVE', raRenewalAt: now + 9, now: now + 2 }), true);
    assert.deepEqual([(await found(1)).ra_renewal_at, (await found(1)).updated_at], [now + 9, now + 1]);
    await insertConnector(query, connector(2, { status: 'DELETING' }));
    assert.equal(await activateConnector(query, uuid(2), { from: 'ACTIVE', raRenewalAt: now, now }), false);
    assert.equal(await activateConnector(query, uuid(3), { from: 'ACTIVE', raRenewalAt: now, now }), false);
  });

  test('a renewal is postponed, but not when it has become due for another reason', async () => {
    const { query } = subject.database;
    await insertConnector(query, connector(1, { status: 'ACTIVE', ra_renewal_at: now, lease_until_at: now + 100 }));
    await insertConnector(query, connector(2, { status: 'ACTIVE', ra_renewal_at: 0, lease_until_at: now + 100 }));
    await insertConnector(query, connector(3, { status: 'DELETING', ra_renewal_at: now, lease_until_at: now + 100 }));
    for (const n of [1, 2, 3]) await postponeRaRenewal(query, uuid(n), { from: now, until: now + 9 });
    const rows = [await found(1), await found(2), await found(3)];
    assert.deepEqual(
      rows.map(row => [row.ra_renewal_at, row.lease_until_at]),
      [
        [now + 9, 0],
        [0, 0],
        [now, now + 100],
      ],
    );
  });

  test('every connector on an authority becomes due, of whichever account, and no other', async () => {
    const { query } = subject.database;
    const certificate_authority_arn = 'arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/another';
    const active = { status: 'ACTIVE' as const, ra_renewal_at: now };
    await insertConnector(query, connector(1, { ...active, certificate_authority_arn }));
    await insertConnector(query, connector(2, { ...active, certificate_authority_arn, account_id: '111111111111' }));
    await insertConnector(query, connector(3, active));
    await makeConnectorsDue(query, certificate_authority_arn, now - 1);
    const due = [(await found(1)).ra_renewal_at, (await found(2)).ra_renewal_at, (await found(3)).ra_renewal_at];
    assert.deepEqual(due, [now - 1, now - 1, now]);
  });
});
