/** The contract of the port Database on what INTUNE connectors keep: notifications and revocation polls, each claimed by one worker at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimRevocationPolls, insertConnector } from '../../src/backends/store/connectors.ts';
import type { IntuneNotificationRow } from '../../src/backends/store/database.ts';
import {
  claimDueNotifications,
  claimNotification,
  deleteNotification,
  deleteNotificationsOf,
  insertNotification,
  postponeNotification,
} from '../../src/backends/store/intune-notifications.ts';
import { connector, describeEveryDatabase, everyByte, now, uuid } from '../support/databases.ts';

const leaseUntilAt = now + 1000;

describeEveryDatabase(subject => {
  const query = () => subject.database.query;

  function row(n: number, change: Partial<IntuneNotificationRow> = {}): IntuneNotificationRow {
    return {
      transaction_row_id: uuid(n),
      connector_id: uuid(1),
      kind: 'SUCCESS',
      transaction_id: `t${n}`,
      sealed_csr: everyByte,
      certificate_id: uuid(n),
      error_description: null,
      attempts: 0,
      next_attempt_at: now + n,
      lease_until_at: 0,
      created_at: now,
      ...change,
    };
  }

  test('a notification is claimed by one at a time, whole, and again when its lease is over or given back', async () => {
    await insertConnector(query(), connector(1));
    await insertNotification(query(), row(1));
    await assert.rejects(insertNotification(query(), row(1)));
    const claims = await Promise.all([1, 2, 3].map(() => claimNotification(query(), uuid(1), { now, leaseUntilAt })));
    assert.deepEqual(
      claims.filter(claim => claim !== undefined),
      [row(1, { lease_until_at: leaseUntilAt })],
    );
    assert.equal(await claimNotification(query(), uuid(1), { now: leaseUntilAt - 1, leaseUntilAt }), undefined);
    assert.ok(await claimNotification(query(), uuid(1), { now: leaseUntilAt, leaseUntilAt: leaseUntilAt + 1 }));
    await postponeNotification(query(), uuid(1), { attempts: 1, nextAttemptAt: now + 9 });
    const claimed = await claimNotification(query(), uuid(1), { now, leaseUntilAt });
    assert.deepEqual([claimed?.attempts, claimed?.next_attempt_at], [1, now + 9]);
    assert.equal(await claimNotification(query(), uuid(2), { now, leaseUntilAt }), undefined);
  });

  test('those that are due are claimed, the longest due first, and no more than asked for', async () => {
    await insertConnector(query(), connector(1));
    for (const n of [3, 1, 2, 4]) await insertNotification(query(), row(n));
    const due = async (at: number, limit: number) =>
      (await claimDueNotifications(query(), { now: at, leaseUntilAt: at + 1000, limit }))
        .map(({ transaction_id }) => transaction_id)
        .toSorted();
    assert.deepEqual(await due(now, 9), []);
    assert.deepEqual(await due(now + 3, 2), ['t1', 't2']);
    assert.deepEqual(await due(now + 3, 9), ['t3']);
    assert.deepEqual(await due(now + 3, 9), []);
  });

  test('one is deleted as what it is, and all of them with their connector', async () => {
    await insertConnector(query(), connector(1));
    await insertConnector(query(), connector(2));
    for (const n of [1, 2]) await insertNotification(query(), row(n));
    await insertNotification(query(), row(3, { connector_id: uuid(2) }));
    assert.equal(await deleteNotification(query(), row(1, { kind: 'FAILURE' })), false);
    assert.equal(await deleteNotification(query(), row(1)), true);
    assert.equal(await deleteNotification(query(), row(1)), false);
    assert.deepEqual(await deleteNotificationsOf(query(), uuid(1)), [row(2)]);
    assert.deepEqual(await deleteNotificationsOf(query(), uuid(1)), []);
    assert.equal((await deleteNotificationsOf(query(), uuid(2))).length, 1);
  });

  test('INTUNE connectors that are ACTIVE and due are claimed for a poll, each once', async () => {
    const intune = { type: 'INTUNE', status: 'ACTIVE' } as const;
    await insertConnector(query(), connector(1, { ...intune, revocation_poll_at: now }));
    await insertConnector(query(), connector(2, { ...intune, revocation_poll_at: now + 1 }));
    await insertConnector(query(), connector(3, { ...intune, status: 'DELETING' }));
    await insertConnector(query(), connector(4, { status: 'ACTIVE' }));
    const claim = async (at: number) =>
      (await claimRevocationPolls(query(), { now: at, nextPollAt: at + 100, limit: 9 })).map(({ connector_id }) => connector_id);
    assert.deepEqual(await claim(now), [uuid(1)]);
    assert.deepEqual(await claim(now + 1), [uuid(2)]);
    assert.deepEqual(await claim(now + 99), []);
    assert.deepEqual((await claim(now + 200)).toSorted(), [uuid(1), uuid(2)]);
  });
});
