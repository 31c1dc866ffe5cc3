/** Queries on access_keys: API credentials. */
import type { Insertable } from 'kysely';
import type { AccessKeyRow, Query, Tables } from './database.ts';

export async function insertAccessKey(query: Query, row: Insertable<Tables['access_keys']>): Promise<void> {
  await query.insertInto('access_keys').values(row).execute();
}

export async function findAccessKey(query: Query, accessKeyId: string): Promise<AccessKeyRow | undefined> {
  return query.selectFrom('access_keys').selectAll().where('access_key_id', '=', accessKeyId).executeTakeFirst();
}

export async function listAccessKeys(
  query: Query,
  { accountId, afterId, limit }: { accountId: string; afterId?: string | undefined; limit: number },
): Promise<AccessKeyRow[]> {
  return query
    .selectFrom('access_keys')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('access_key_id', '>', afterId ?? '')
    .orderBy('access_key_id')
    .limit(limit)
    .execute();
}

/** Whether it was there. */
export async function deleteAccessKey(
  query: Query,
  { accountId, accessKeyId }: { accountId: string; accessKeyId: string },
): Promise<boolean> {
  const result = await query
    .deleteFrom('access_keys')
    .where('access_key_id', '=', accessKeyId)
    .where('account_id', '=', accountId)
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}
