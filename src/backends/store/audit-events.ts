/** Queries on audit_events. */
import { type Insertable, sql } from 'kysely';
import type { AuditEventRow, Query, Tables } from './database.ts';

/** In one statement: a row of its own costs twice as much. */
export async function insertAuditEvents(query: Query, rows: readonly Insertable<Tables['audit_events']>[]): Promise<void> {
  await query.insertInto('audit_events').values(rows).execute();
}

/** Which events are looked at: those of an account, or of a connector and then only the account's. Event ids are ordered by time. */
export interface AuditEventScope {
  accountId?: string | undefined;
  connectorId?: string | undefined;
  /** The oldest. */
  fromId?: string | undefined;
  /** The first that is too new. */
  beforeId?: string | undefined;
}

/** Which of those are wanted: none of these has an index. */
export interface AuditEventFilter {
  name?: string | undefined;
  category?: AuditEventRow['category'] | undefined;
  principal?: string | undefined;
  outcome?: AuditEventRow['outcome'] | undefined;
}

/** Newest first. */
export async function listAuditEvents(
  query: Query,
  { limit, ...wanted }: AuditEventScope & AuditEventFilter & { limit: number },
): Promise<AuditEventRow[]> {
  const { accountId, connectorId, name, category, principal, outcome } = wanted;
  return (
    eventsIn(query, wanted)
      .selectAll()
      // As an expression, so that the connector's index is the one that is used.
      .$if(accountId !== undefined && connectorId !== undefined, rows => rows.where(sql`coalesce(account_id, '')`, '=', accountId))
      .$if(name !== undefined, rows => rows.where('name', '=', name ?? ''))
      .$if(category !== undefined, rows => rows.where('category', '=', category ?? 'Service'))
      .$if(principal !== undefined, rows => rows.where('principal', '=', principal ?? ''))
      .$if(outcome !== undefined, rows => rows.where('outcome', '=', outcome ?? 'success'))
      .orderBy('event_id', 'desc')
      .limit(limit)
      .execute()
  );
}

/** The id of the event that `position` others of the scope are newer than. Reads the index only. */
export async function findAuditEventId(query: Query, scope: AuditEventScope, position: number): Promise<string | undefined> {
  const row = await eventsIn(query, scope).select('event_id').orderBy('event_id', 'desc').offset(position).limit(1).executeTakeFirst();
  return row?.event_id;
}

function eventsIn(query: Query, { accountId, connectorId, fromId, beforeId }: AuditEventScope) {
  const owner = connectorId === undefined ? (['account_id', accountId ?? ''] as const) : (['connector_id', connectorId] as const);
  return query
    .selectFrom('audit_events')
    .where(owner[0], '=', owner[1])
    .$if(fromId !== undefined, rows => rows.where('event_id', '>=', fromId ?? ''))
    .$if(beforeId !== undefined, rows => rows.where('event_id', '<', beforeId ?? ''));
}

/** Before it come the ids of all events that are older: a UUID of version 7 begins with milliseconds. */
export function firstAuditEventId(at: number): string {
  const digits = at.toString(16).padStart(12, '0');
  return `${digits.slice(0, 8)}-${digits.slice(8)}`;
}

/** The oldest first. Returns how many it deleted. */
export async function deleteAuditEvents(query: Query, { beforeId, limit }: { beforeId: string; limit: number }): Promise<number> {
  const oldest = query.selectFrom('audit_events').select('event_id').where('event_id', '<', beforeId).orderBy('event_id').limit(limit);
  const { numDeletedRows } = await query.deleteFrom('audit_events').where('event_id', 'in', oldest).executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}
