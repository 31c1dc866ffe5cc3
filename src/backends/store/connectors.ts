/** Queries on connectors; a status moves only by compare-and-set. */
import type { Insertable } from 'kysely';
import type { ConnectorStatus, ConnectorStatusReason, Home } from '../../base/resources.ts';
import type { ConnectorRow, Query, Tables } from './database.ts';

export async function insertConnector(query: Query, row: Insertable<Tables['connectors']>): Promise<void> {
  await query.insertInto('connectors').values(row).execute();
}

export async function findConnector(
  query: Query,
  { accountId, region, connectorId }: Home & { connectorId: string },
): Promise<ConnectorRow | undefined> {
  return query
    .selectFrom('connectors')
    .selectAll()
    .where('connector_id', '=', connectorId)
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirst();
}

/** For what has no caller: the enrolment path and the lifecycle. */
export async function findConnectorById(query: Query, connectorId: string): Promise<ConnectorRow | undefined> {
  return query.selectFrom('connectors').selectAll().where('connector_id', '=', connectorId).executeTakeFirst();
}

export async function listConnectors(
  query: Query,
  { accountId, region, afterId, limit }: Home & { afterId?: string | undefined; limit: number },
): Promise<ConnectorRow[]> {
  return query
    .selectFrom('connectors')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('connector_id', '>', afterId ?? '')
    .orderBy('connector_id')
    .limit(limit)
    .execute();
}

/** For the quota, which keeps the count small. */
export async function countConnectors(query: Query, { accountId, region }: Home): Promise<number> {
  const { count } = await query
    .selectFrom('connectors')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Whether the connector was in one of `from` and is now in `to`. The lease ends with the status it was taken for. */
export async function updateConnectorStatus(
  query: Query,
  connectorId: string,
  from: readonly ConnectorStatus[],
  to: ConnectorStatus,
  { statusReason, updatedAt }: { statusReason?: ConnectorStatusReason | undefined; updatedAt: number },
): Promise<boolean> {
  const result = await query
    .updateTable('connectors')
    .set({ status: to, status_reason: statusReason ?? null, updated_at: updatedAt, lease_until_at: 0 })
    .where('connector_id', '=', connectorId)
    .where('status', 'in', from)
    .executeTakeFirstOrThrow();
  return result.numUpdatedRows === 1n;
}

/** Leases to one worker up to `limit` connectors that nobody holds at `now`. */
export async function claimConnectors(
  query: Query,
  { statuses, now, leaseUntilAt, limit }: { statuses: readonly ConnectorStatus[]; now: number; leaseUntilAt: number; limit: number },
): Promise<ConnectorRow[]> {
  return (
    query
      .updateTable('connectors')
      .set({ lease_until_at: leaseUntilAt })
      // Asked again here: PostgreSQL rechecks only this condition when another worker was faster.
      .where('lease_until_at', '<=', now)
      .where('connector_id', 'in', free =>
        free
          .selectFrom('connectors')
          .select('connector_id')
          .where('status', 'in', statuses)
          .where('lease_until_at', '<=', now)
          .orderBy('connector_id')
          .limit(limit),
      )
      .returningAll()
      .execute()
  );
}

/** The JSON of its enrolment policy; `isRaDue` makes the lifecycle look at its RA keys now. */
export async function updateEnrolmentPolicy(
  query: Query,
  connectorId: string,
  { enrolmentPolicy, isRaDue, updatedAt }: { enrolmentPolicy: string; isRaDue: boolean; updatedAt: number },
): Promise<void> {
  const due = isRaDue ? { ra_renewal_at: 0 } : {};
  await query
    .updateTable('connectors')
    .set({ enrolment_policy: enrolmentPolicy, updated_at: updatedAt, ...due })
    .where('connector_id', '=', connectorId)
    .execute();
}

/** Whether it was there, and DELETING. Its challenges and RA keys must be gone before. */
export async function deleteConnectorRow(query: Query, connectorId: string): Promise<boolean> {
  const result = await query
    .deleteFrom('connectors')
    .where('connector_id', '=', connectorId)
    .where('status', '=', 'DELETING')
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}
