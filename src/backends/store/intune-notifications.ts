/** Queries on intune_notifications: what Intune has yet to be told, each claimed by a lease before it is sent. */
import type { IntuneNotificationRow, Query } from './database.ts';

export async function insertNotification(query: Query, row: IntuneNotificationRow): Promise<void> {
  await query.insertInto('intune_notifications').values(row).execute();
}

interface Claim {
  now: number;
  leaseUntilAt: number;
}

/** Undefined when there is none, or when another is sending it. */
export async function claimNotification(
  query: Query,
  transactionRowId: string,
  { now, leaseUntilAt }: Claim,
): Promise<IntuneNotificationRow | undefined> {
  return query
    .updateTable('intune_notifications')
    .set({ lease_until_at: leaseUntilAt })
    .where('transaction_row_id', '=', transactionRowId)
    .where('lease_until_at', '<=', now)
    .returningAll()
    .executeTakeFirst();
}

/** Those whose next attempt is due, the longest due first. */
export async function claimDueNotifications(
  query: Query,
  { now, leaseUntilAt, limit }: Claim & { limit: number },
): Promise<IntuneNotificationRow[]> {
  return (
    query
      .updateTable('intune_notifications')
      .set({ lease_until_at: leaseUntilAt })
      // Asked again here: PostgreSQL rechecks only this condition when another worker was faster.
      .where('lease_until_at', '<=', now)
      .where('transaction_row_id', 'in', due =>
        due
          .selectFrom('intune_notifications')
          .select('transaction_row_id')
          .where('next_attempt_at', '<=', now)
          .where('lease_until_at', '<=', now)
          .orderBy('next_attempt_at')
          .limit(limit),
      )
      .returningAll()
      .execute()
  );
}

/** Ends the lease. */
export async function postponeNotification(
  query: Query,
  transactionRowId: string,
  { attempts, nextAttemptAt }: { attempts: number; nextAttemptAt: number },
): Promise<void> {
  await query
    .updateTable('intune_notifications')
    .set({ attempts, next_attempt_at: nextAttemptAt, lease_until_at: 0 })
    .where('transaction_row_id', '=', transactionRowId)
    .execute();
}

/** Whether it was there, of that kind. */
export async function deleteNotification(
  query: Query,
  { transaction_row_id: transactionRowId, kind }: Pick<IntuneNotificationRow, 'transaction_row_id' | 'kind'>,
): Promise<boolean> {
  const result = await query
    .deleteFrom('intune_notifications')
    .where('transaction_row_id', '=', transactionRowId)
    .where('kind', '=', kind)
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}

/** Of a connector. Returns what was deleted. */
export async function deleteNotificationsOf(query: Query, connectorId: string): Promise<IntuneNotificationRow[]> {
  return query.deleteFrom('intune_notifications').where('connector_id', '=', connectorId).returningAll().execute();
}
