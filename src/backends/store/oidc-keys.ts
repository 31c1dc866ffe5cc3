/** Queries on oidc_keys: what INTUNE connectors sign their assertions with. */
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

/** Up to `limit` ACTIVE INTUNE connectors, but none of `except`, that have no key made after `madeBefore`. */
export async function listConnectorsDueForOidcKey(
  query: Query,
  { madeBefore, except, limit }: { madeBefore: number; except: readonly string[]; limit: number },
): Promise<ConnectorRow[]> {
  return (
    query
      .selectFrom('connectors')
      .selectAll()
      .where('type', '=', 'INTUNE')
      .where('status', '=', 'ACTIVE')
      .where(({ exists, not, selectFrom }) =>
        not(
          exists(
            selectFrom('oidc_keys')
              .select('key_id')
              .whereRef('oidc_keys.connector_id', '=', 'connectors.connector_id')
              .where('oidc_keys.created_at', '>', madeBefore),
          ),
        ),
      )
      // PostgreSQL knows no empty list.
      .$if(except.length > 0, due => due.where('connector_id', 'not in', except))
      .orderBy('connector_id')
      .limit(limit)
      .execute()
  );
}

/** Deletes up to `limit` that have a successor made at or before `supersededAt`, with their private keys. Returns their ids. */
export async function deleteSupersededOidcKeys(query: Query, supersededAt: number, limit: number): Promise<string[]> {
  const rows = await query
    .deleteFrom('oidc_keys')
    .where('key_id', 'in', ({ selectFrom }) =>
      selectFrom('oidc_keys as old')
        .innerJoin('oidc_keys as next', 'next.connector_id', 'old.connector_id')
        .select('old.key_id')
        .distinct()
        .whereRef('next.created_at', '>', 'old.created_at')
        .where('next.created_at', '<=', supersededAt)
        .limit(limit),
    )
    .returning('key_id')
    .execute();
  return rows.map(({ key_id: keyId }) => keyId);
}

export async function deleteOidcKeysOf(query: Query, connectorId: string): Promise<void> {
  await query.deleteFrom('oidc_keys').where('connector_id', '=', connectorId).execute();
}
