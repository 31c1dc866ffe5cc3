/** The contract of the port Database on requests that wait for an operator: listed in pages, decided once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Insertable } from 'kysely';
import { insertConnector } from '../../src/backends/store/connectors.ts';
import type { Tables } from '../../src/backends/store/database.ts';
import { decideRequest, findRequest, insertTransaction, listRequests } from '../../src/backends/store/transactions.ts';
import { connector, describeEveryDatabase, everyByte, home, now, uuid } from '../support/databases.ts';

const everyStatus = ['PENDING', 'APPROVED', 'ISSUING', 'SUCCESS', 'FAILURE'] as const;
const verdict = { reason: null, decidedBy: 'arn', updatedAt: now + 1 } as const;

describeEveryDatabase(subject => {
  const query = () => subject.database.query;

  async function insert(n: number, change: Partial<Insertable<Tables['transactions']>> = {}): Promise<string> {
    await insertTransaction(query(), {
      transaction_row_id: uuid(n),
      connector_id: uuid(1),
      transaction_id: String(n),
      csr_hash: 'hash',
      signer_key_hash: 'hash',
      status: 'PENDING',
      certificate_id: null,
      reason: null,
      csr: everyByte,
      signer: everyByte,
      requested_at: now,
      created_at: now,
      updated_at: now,
      ...change,
    });
    return uuid(n);
  }

  async function listed(change: Partial<Parameters<typeof listRequests>[1]> = {}): Promise<string[]> {
    const rows = await listRequests(query(), { ...home, statuses: everyStatus, limit: 100, ...change });
    return rows.map(({ transaction_row_id }) => transaction_row_id);
  }

  test('one comes back as it was written, with the policy and the status of its connector', async () => {
    await insertConnector(query(), connector(1, { status: 'ACTIVE', enrolment_policy: '{}' }));
    await insert(7, { source: '::1', dynamic_challenge_id: uuid(3), renewed_certificate_id: uuid(4) });
    const row = await findRequest(query(), { ...home, connectorId: uuid(1), requestId: uuid(7) });
    assert.deepEqual(row, {
      transaction_row_id: uuid(7),
      connector_id: uuid(1),
      transaction_id: '7',
      csr_hash: 'hash',
      signer_key_hash: 'hash',
      status: 'PENDING',
      certificate_id: null,
      reason: null,
      csr: everyByte,
      signer: everyByte,
      dynamic_challenge_id: uuid(3),
      renewed_certificate_id: uuid(4),
      source: '::1',
      decided_by: null,
      requested_at: now,
      created_at: now,
      updated_at: now,
      enrolment_policy: '{}',
      connector_status: 'ACTIVE',
    });
    assert.deepEqual(await listRequests(query(), { ...home, statuses: ['PENDING'], limit: 1 }), [row]);
  });

  test('only those that waited are found, in their own account, Region and connector', async () => {
    await insertConnector(query(), connector(1));
    await insertConnector(query(), connector(2));
    await insert(1);
    await insert(2, { requested_at: null });
    await insert(3, { csr: null });
    await insert(4, { connector_id: uuid(9) });
    assert.deepEqual(await listed(), [uuid(1)]);
    for (const n of [2, 3]) assert.equal(await findRequest(query(), { ...home, connectorId: uuid(1), requestId: uuid(n) }), undefined);
    for (const other of [{ accountId: '111122223333' }, { region: 'eu-west-1' }, { connectorId: uuid(2) }]) {
      assert.deepEqual(await listed(other), []);
      assert.equal(await findRequest(query(), { ...home, connectorId: uuid(1), requestId: uuid(1), ...other }), undefined);
    }
  });

  test('they are listed by connector and row, by status, and page by page', async () => {
    for (const n of [1, 2]) await insertConnector(query(), connector(n));
    await insert(4);
    await insert(1, { connector_id: uuid(2), status: 'FAILURE' });
    await insert(3, { status: 'APPROVED' });
    await insert(5, { connector_id: uuid(2) });
    await insert(2, { status: 'SUCCESS' });
    const inOrder = [2, 3, 4, 1, 5].map(uuid);
    assert.deepEqual(await listed(), inOrder);
    assert.deepEqual(await listed({ limit: 2 }), inOrder.slice(0, 2));
    assert.deepEqual(await listed({ after: { connectorId: uuid(1), requestId: uuid(3) } }), inOrder.slice(2));
    assert.deepEqual(await listed({ after: { connectorId: uuid(1), requestId: uuid(4) }, limit: 1 }), [uuid(1)]);
    assert.deepEqual(await listed({ connectorId: uuid(2), after: { connectorId: uuid(2), requestId: uuid(1) } }), [uuid(5)]);
    assert.deepEqual(await listed({ statuses: ['PENDING', 'FAILURE'] }), [4, 1, 5].map(uuid));
  });

  test('one is decided once, and one that is rejected gives its dynamic challenge up', async () => {
    await insertConnector(query(), connector(1));
    const [approved, rejected] = [await insert(1, { dynamic_challenge_id: 'd' }), await insert(2, { dynamic_challenge_id: 'd' })];
    assert.equal(await decideRequest(query(), approved, { ...verdict, to: 'APPROVED' }), true);
    assert.equal(await decideRequest(query(), rejected, { ...verdict, to: 'FAILURE', reason: 'why' }), true);
    const find = (requestId: string) => findRequest(query(), { ...home, connectorId: uuid(1), requestId });
    const rows = [await find(approved), await find(rejected)];
    assert.deepEqual(
      rows.map(row => [row?.status, row?.reason, row?.decided_by, row?.updated_at, row?.dynamic_challenge_id]),
      [
        ['APPROVED', null, 'arn', now + 1, 'd'],
        ['FAILURE', 'why', 'arn', now + 1, null],
      ],
    );
    for (const id of [approved, rejected]) {
      for (const to of ['APPROVED', 'FAILURE'] as const) assert.equal(await decideRequest(query(), id, { ...verdict, to }), false);
    }
    assert.deepEqual([await find(approved), await find(rejected)], rows);
    assert.equal(await decideRequest(query(), await insert(3, { requested_at: null }), { ...verdict, to: 'APPROVED' }), false);
    assert.equal(await decideRequest(query(), uuid(9), { ...verdict, to: 'APPROVED' }), false);
  });

  test('of several that decide at the same time one does', async () => {
    await insertConnector(query(), connector(1));
    const id = await insert(1);
    const verdicts = (['APPROVED', 'FAILURE', 'APPROVED', 'FAILURE'] as const).map(to => decideRequest(query(), id, { ...verdict, to }));
    assert.equal((await Promise.all(verdicts)).filter(Boolean).length, 1);
  });
});
