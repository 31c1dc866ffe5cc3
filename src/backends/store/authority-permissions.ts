/** Queries on authority_permissions: what service principals may do with an authority. */
import type { AuthorityPermissionRow, Query } from './database.ts';

/** Whether it was inserted: one that is already there stays. */
export async function insertAuthorityPermission(query: Query, row: AuthorityPermissionRow): Promise<boolean> {
  const result = await query
    .insertInto('authority_permissions')
    .values(row)
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirstOrThrow();
  return result.numInsertedOrUpdatedRows === 1n;
}

/** In the order of their principals and accounts. */
export async function listAuthorityPermissions(query: Query, caId: string): Promise<AuthorityPermissionRow[]> {
  return query
    .selectFrom('authority_permissions')
    .selectAll()
    .where('ca_id', '=', caId)
    .orderBy('principal')
    .orderBy('source_account')
    .execute();
}

/** Whether it was there. */
export async function deleteAuthorityPermission(
  query: Query,
  { caId, principal, sourceAccount }: { caId: string; principal: string; sourceAccount: string },
): Promise<boolean> {
  const result = await query
    .deleteFrom('authority_permissions')
    .where('ca_id', '=', caId)
    .where('principal', '=', principal)
    .where('source_account', '=', sourceAccount)
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}

export async function deleteAuthorityPermissionsOf(query: Query, caId: string): Promise<void> {
  await query.deleteFrom('authority_permissions').where('ca_id', '=', caId).execute();
}
