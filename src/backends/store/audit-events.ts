/** Queries on audit_events. */
import type { Insertable } from 'kysely';
import type { AuditEventRow, Query, Tables } from './database.ts';

export async function insertAuditEvent(query: Query, row: Insertable<Tables['audit_events']>): Promise<void> {
  await query.insertInto('audit_events').values(row).execute();
}

/** Newest first: event ids are ordered by time. */
export async function listAuditEvents(
  query: Query,
  { connectorId, beforeId, limit }: { connectorId: string; beforeId?: string | undefined; limit: number },
): Promise<AuditEventRow[]> {
  return query
    .selectFrom('audit_events')
    .selectAll()
    .where('connector_id', '=', connectorId)
    .$if(beforeId !== undefined, page => page.where('event_id', '<', beforeId ?? ''))
    .orderBy('event_id', 'desc')
    .limit(limit)
    .execute();
}
