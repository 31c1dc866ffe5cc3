/** Queries on ra_keys: the connectors' own key pairs. */
import type { Query, RaKeyRow } from './database.ts';

export async function insertRaKey(query: Query, row: RaKeyRow): Promise<void> {
  await query.insertInto('ra_keys').values(row).execute();
}

/** Those in use first, whatever the clock said when they were made; then the retired ones, newest first. */
export async function listRaKeys(query: Query, connectorId: string): Promise<RaKeyRow[]> {
  return query
    .selectFrom('ra_keys')
    .selectAll()
    .where('connector_id', '=', connectorId)
    .orderBy('status')
    .orderBy('created_at', 'desc')
    .orderBy('ra_key_id', 'desc')
    .execute();
}

/** Makes room for a connector's next ones. */
export async function retireRaKeys(query: Query, connectorId: string): Promise<void> {
  await query
    .updateTable('ra_keys')
    .set({ status: 'RETIRED' })
    .where('connector_id', '=', connectorId)
    .where('status', '=', 'ACTIVE')
    .execute();
}

/** Deletes up to `limit` that ended before then, with their private keys. Returns their ids. */
export async function deleteRaKeysEndedBefore(query: Query, endedBefore: number, limit: number): Promise<string[]> {
  const rows = await query
    .deleteFrom('ra_keys')
    .where('ra_key_id', 'in', ended =>
      ended.selectFrom('ra_keys').select('ra_key_id').where('not_after', '<', endedBefore).orderBy('not_after').limit(limit),
    )
    .returning('ra_key_id')
    .execute();
  return rows.map(({ ra_key_id: raKeyId }) => raKeyId);
}

export async function deleteRaKeysOf(query: Query, connectorId: string): Promise<void> {
  await query.deleteFrom('ra_keys').where('connector_id', '=', connectorId).execute();
}
