/** Queries on ra_keys: the connectors' own key pairs. */
import type { Query, RaKeyRow } from './database.ts';

export async function insertRaKey(query: Query, row: RaKeyRow): Promise<void> {
  await query.insertInto('ra_keys').values(row).execute();
}

/** Newest first. */
export async function listRaKeys(query: Query, connectorId: string): Promise<RaKeyRow[]> {
  return query
    .selectFrom('ra_keys')
    .selectAll()
    .where('connector_id', '=', connectorId)
    .orderBy('created_at', 'desc')
    .orderBy('ra_key_id', 'desc')
    .execute();
}

export async function deleteRaKeysOf(query: Query, connectorId: string): Promise<void> {
  await query.deleteFrom('ra_keys').where('connector_id', '=', connectorId).execute();
}
