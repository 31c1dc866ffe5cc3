/** The contract of the queries on the keys of OpenID issuers, run over every implementation of Database. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insertConnector } from '../../src/backends/store/connectors.ts';
import type { OidcKeyRow } from '../../src/backends/store/database.ts';
import {
  deleteOidcKeysOf,
  deleteSupersededOidcKeys,
  insertOidcKey,
  listConnectorsDueForOidcKey,
  listOidcKeys,
} from '../../src/backends/store/oidc-keys.ts';
import { connector, describeEveryDatabase, everyByte, now, uuid } from '../support/databases.ts';

function oidcKey(keyId: string, change: Partial<OidcKeyRow> = {}): OidcKeyRow {
  return { key_id: keyId, connector_id: uuid(1), public_jwk: '{"kty":"RSA"}', sealed_key: everyByte, created_at: now, ...change };
}

describeEveryDatabase(subject => {
  const listed = async (n = 1) => (await listOidcKeys(subject.database.query, uuid(n))).map(row => row.key_id);

  test('OIDC keys are listed as they were written, newest first, and go with their connector', async () => {
    const { query } = subject.database;
    for (const n of [1, 2]) await insertConnector(query, connector(n));
    await insertOidcKey(query, oidcKey('b'));
    await insertOidcKey(query, oidcKey('c', { created_at: now - 1 }));
    await insertOidcKey(query, oidcKey('a', { created_at: now + 1 }));
    await insertOidcKey(query, oidcKey('other', { connector_id: uuid(2) }));
    assert.deepEqual(await listed(), ['a', 'b', 'c']);
    const [, row] = await listOidcKeys(query, uuid(1));
    assert.deepEqual({ ...row, sealed_key: Uint8Array.from(row?.sealed_key ?? []) }, oidcKey('b'));
    await deleteOidcKeysOf(query, uuid(1));
    assert.deepEqual([await listed(), await listed(2)], [[], ['other']]);
  });

  test('no OIDC key is inserted twice, or for a connector that is gone', async () => {
    const { query } = subject.database;
    await insertConnector(query, connector(1));
    await insertOidcKey(query, oidcKey('a'));
    await assert.rejects(insertOidcKey(query, oidcKey('a')));
    await assert.rejects(insertOidcKey(query, oidcKey('b', { connector_id: uuid(2) })));
  });

  test('ACTIVE INTUNE connectors without a newer OIDC key are due, a few at a time', async () => {
    const { query } = subject.database;
    const intune = { type: 'INTUNE', status: 'ACTIVE' } as const;
    for (const n of [1, 2, 3]) await insertConnector(query, connector(n, intune));
    await insertConnector(query, connector(4, { ...intune, type: 'GENERAL_PURPOSE' }));
    for (const [n, status] of [[5, 'CREATING'] as const, [6, 'DELETING'] as const, [7, 'FAILED'] as const])
      await insertConnector(query, connector(n, { ...intune, status }));
    await insertOidcKey(query, oidcKey('a', { connector_id: uuid(2) }));
    await insertOidcKey(query, oidcKey('b', { connector_id: uuid(3) }));
    await insertOidcKey(query, oidcKey('c', { connector_id: uuid(3), created_at: now + 1 }));
    const due = async (madeBefore: number, { except = [] as string[], limit = 10 } = {}) =>
      (await listConnectorsDueForOidcKey(query, { madeBefore, except, limit })).map(row => row.connector_id);
    assert.deepEqual(await due(now - 1), [uuid(1)]);
    assert.deepEqual(await due(now), [uuid(1), uuid(2)]);
    assert.deepEqual(await due(now + 1), [uuid(1), uuid(2), uuid(3)]);
    assert.deepEqual(await due(now + 1, { limit: 2 }), [uuid(1), uuid(2)]);
    assert.deepEqual(await due(now + 1, { except: [uuid(1), uuid(3)] }), [uuid(2)]);
  });

  test('OIDC keys whose successor is old enough are deleted, a few at a time, the newest of a connector never', async () => {
    const { query } = subject.database;
    for (const n of [1, 2]) await insertConnector(query, connector(n));
    for (const [keyId, age] of [['a', 4] as const, ['b', 3] as const, ['c', 2] as const, ['d', 1] as const])
      await insertOidcKey(query, oidcKey(keyId, { created_at: now - age }));
    await insertOidcKey(query, oidcKey('other', { connector_id: uuid(2), created_at: now - 9 }));
    assert.deepEqual(await deleteSupersededOidcKeys(query, now - 4, 10), []);
    assert.deepEqual(await deleteSupersededOidcKeys(query, now - 3, 10), ['a']);
    assert.equal((await deleteSupersededOidcKeys(query, now, 1)).length, 1);
    assert.equal((await deleteSupersededOidcKeys(query, now, 10)).length, 1);
    assert.deepEqual([await listed(), await listed(2)], [['d'], ['other']]);
  });
});
