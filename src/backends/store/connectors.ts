/** Queries on connectors; a status moves only by compare-and-set. */
import type { ExpressionBuilder, Insertable } from 'kysely';
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

/**
 * Leases to one worker up to `limit` connectors that nobody holds at `now`: those that are CREATING or DELETING, then those that are due for new RA
 * keys. Someone waits for the former, and a CA with thousands of connectors makes all of them due at once.
 */
export async function claimConnectors(
  query: Query,
  { now, leaseUntilAt, limit }: { now: number; leaseUntilAt: number; limit: number },
): Promise<ConnectorRow[]> {
  const waits = ({ and, eb, or }: ExpressionBuilder<Tables, 'connectors'>) =>
    and([
      eb('lease_until_at', '<=', now),
      or([eb('status', 'in', ['CREATING', 'DELETING']), and([eb('status', '=', 'ACTIVE'), eb('ra_renewal_at', '<=', now)])]),
    ]);
  return (
    query
      .updateTable('connectors')
      .set({ lease_until_at: leaseUntilAt })
      // Asked again here: PostgreSQL rechecks only this condition when another worker was faster.
      .where(waits)
      .where('connector_id', 'in', free =>
        free
          .selectFrom('connectors')
          .select('connector_id')
          .where(waits)
          // ACTIVE comes before the others in the alphabet.
          .orderBy('status', 'desc')
          .orderBy('connector_id')
          .limit(limit),
      )
      .returningAll()
      .execute()
  );
}

/** Up to `limit` INTUNE connectors whose revocation requests are due, and no more before `nextPollAt`: each goes to one worker. */
export async function claimRevocationPolls(
  query: Query,
  { now, nextPollAt, limit }: { now: number; nextPollAt: number; limit: number },
): Promise<ConnectorRow[]> {
  return (
    query
      .updateTable('connectors')
      .set({ revocation_poll_at: nextPollAt })
      // Asked again here: PostgreSQL rechecks only this condition when another worker was faster.
      .where('revocation_poll_at', '<=', now)
      .where('connector_id', 'in', due =>
        due
          .selectFrom('connectors')
          .select('connector_id')
          .where('type', '=', 'INTUNE')
          .where('status', '=', 'ACTIVE')
          .where('revocation_poll_at', '<=', now)
          .orderBy('revocation_poll_at')
          .limit(limit),
      )
      .returningAll()
      .execute()
  );
}

/** Whether the connector was in `from` and is ACTIVE until it is due again. The lease ends; only a change of status is an update of the connector. */
export async function activateConnector(
  query: Query,
  connectorId: string,
  { from, raRenewalAt, now }: { from: 'CREATING' | 'ACTIVE'; raRenewalAt: number; now: number },
): Promise<boolean> {
  const updated = from === 'CREATING' ? { updated_at: now } : {};
  const result = await query
    .updateTable('connectors')
    .set({ status: 'ACTIVE', ra_renewal_at: raRenewalAt, lease_until_at: 0, ...updated })
    .where('connector_id', '=', connectorId)
    .where('status', '=', from)
    .executeTakeFirstOrThrow();
  return result.numUpdatedRows === 1n;
}

/** Ends the lease. The connector is due again at `until`, or at once when it has become so for another reason than `from` meanwhile. */
export async function postponeRaRenewal(
  query: Query,
  connectorId: string,
  { from, until }: { from: number; until: number },
): Promise<void> {
  await query
    .updateTable('connectors')
    .set(({ eb, ref }) => ({
      lease_until_at: 0,
      ra_renewal_at: eb.case().when('ra_renewal_at', '=', from).then(until).else(ref('ra_renewal_at')).end(),
    }))
    .where('connector_id', '=', connectorId)
    .where('status', '=', 'ACTIVE')
    .execute();
}

/** Of every account: whoever has a connector on the authority. */
export async function makeConnectorsDue(query: Query, certificateAuthorityArn: string, now: number): Promise<void> {
  await query
    .updateTable('connectors')
    .set({ ra_renewal_at: now })
    .where('certificate_authority_arn', '=', certificateAuthorityArn)
    .execute();
}

/** The JSON of its enrolment policy; `isRaDue` makes the lifecycle look at its RA keys now. */
export async function updateEnrolmentPolicy(
  query: Query,
  connectorId: string,
  { enrolmentPolicy, isRaDue, updatedAt }: { enrolmentPolicy: string; isRaDue: boolean; updatedAt: number },
): Promise<void> {
  const due = isRaDue ? { ra_renewal_at: updatedAt } : {};
  await query
    .updateTable('connectors')
    .set({ enrolment_policy: enrolmentPolicy, updated_at: updatedAt, ...due })
    .where('connector_id', '=', connectorId)
    .execute();
}

/** Whether it was there, and DELETING. Its challenges and keys must be gone before. */
export async function deleteConnectorRow(query: Query, connectorId: string): Promise<boolean> {
  const result = await query
    .deleteFrom('connectors')
    .where('connector_id', '=', connectorId)
    .where('status', '=', 'DELETING')
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}
