/** Queries on oidc_keys: what connectors sign their assertions with. */
import type { ConnectorRow, OidcKeyRow, Query } from './database.ts';

export async function insertOidcKey(query: Query, row: OidcKeyRow): Promise<void> {
  await query.insertInto('oidc_keys').values(row).execute();
}

/** Newest first. */
export async function listOidcKeys(query: Query, connectorId: string): Promise<OidcKeyRow[]> {
  return query
    .selectFrom('oidc_keys')
    .selectAll()
    .where('connector_id', '=', connectorId)
    .orderBy('created_at', 'desc')
    .orderBy('key_id', 'desc')
    .execute();
}

/** Up to `limit` ACTIVE INTUNE connectors that have had no new key since then. */
export async function listConnectorsDueForOidcKey(
  query: Query,
  { madeBefore, limit }: { madeBefore: number; limit: number },
): Promise<ConnectorRow[]> {
  return query
    .selectFrom('connectors')
    .selectAll()
    .where('type', '=', 'INTUNE')
    .where('status', '=', 'ACTIVE')
    .where(({ exists, not, selectFrom }) =>
      not(
        exists(
          selectFrom('oidc_keys')
            .select('oidc_keys.key_id')
            .whereRef('oidc_keys.connector_id', '=', 'connectors.connector_id')
            .where('oidc_keys.created_at', '>', madeBefore),
        ),
      ),
    )
    .orderBy('connector_id')
    .limit(limit)
    .execute();
}

/** Deletes up to `limit` keys whose successor was made before then. Returns their ids. */
export async function deleteOidcKeysReplacedBefore(query: Query, replacedBefore: number, limit: number): Promise<string[]> {
  const rows = await query
    .deleteFrom('oidc_keys')
    .where('key_id', 'in', replaced =>
      replaced
        .selectFrom('oidc_keys as old')
        .innerJoin('oidc_keys as next', 'next.connector_id', 'old.connector_id')
        .select('old.key_id')
        .whereRef('next.created_at', '>', 'old.created_at')
        .where('next.created_at', '<', replacedBefore)
        .limit(limit),
    )
    .returning('key_id')
    .execute();
  return rows.map(({ key_id: keyId }) => keyId);
}

export async function deleteOidcKeysOf(query: Query, connectorId: string): Promise<void> {
  await query.deleteFrom('oidc_keys').where('connector_id', '=', connectorId).execute();
}
