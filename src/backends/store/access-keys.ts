/** Queries on access_keys: API credentials. */
import type { Insertable } from 'kysely';
import type { AccessKeyRow, Query, Tables } from './database.ts';
import type { UserKey } from './users.ts';

/** A key of an account and, where it is given, of that user of it. */
export interface AccessKeyKey {
  accountId: string;
  userName?: string | undefined;
  accessKeyId: string;
}

export async function insertAccessKey(query: Query, row: Insertable<Tables['access_keys']>): Promise<void> {
  await query.insertInto('access_keys').values(row).execute();
}

export async function findAccessKey(query: Query, accessKeyId: string): Promise<AccessKeyRow | undefined> {
  return query.selectFrom('access_keys').selectAll().where('access_key_id', '=', accessKeyId).executeTakeFirst();
}

/** Of one user, or of the whole account. */
export async function listAccessKeys(
  query: Query,
  {
    accountId,
    userName,
    afterId,
    limit,
  }: { accountId: string; userName?: string | undefined; afterId?: string | undefined; limit: number },
): Promise<AccessKeyRow[]> {
  return query
    .selectFrom('access_keys')
    .selectAll()
    .where('account_id', '=', accountId)
    .$if(userName !== undefined, keys => keys.where('user_name', '=', userName ?? ''))
    .where('access_key_id', '>', afterId ?? '')
    .orderBy('access_key_id')
    .limit(limit)
    .execute();
}

/** Of a user: the keys without an end, or those with one. */
export async function countAccessKeys(query: Query, { accountId, userName }: UserKey, kind: 'permanent' | 'temporary'): Promise<number> {
  const { count } = await query
    .selectFrom('access_keys')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .where('user_name', '=', userName)
    .where('expires_at', kind === 'permanent' ? 'is' : 'is not', null)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Whether it was there. */
export async function updateAccessKeyStatus(query: Query, key: AccessKeyKey, status: AccessKeyRow['status']): Promise<boolean> {
  const { accountId, userName, accessKeyId } = key;
  const result = await query
    .updateTable('access_keys')
    .set({ status })
    .where('access_key_id', '=', accessKeyId)
    .where('account_id', '=', accountId)
    .$if(userName !== undefined, keys => keys.where('user_name', '=', userName ?? ''))
    .executeTakeFirstOrThrow();
  return result.numUpdatedRows === 1n;
}

/** Whether it was there. */
export async function deleteAccessKey(query: Query, { accountId, userName, accessKeyId }: AccessKeyKey): Promise<boolean> {
  const result = await query
    .deleteFrom('access_keys')
    .where('access_key_id', '=', accessKeyId)
    .where('account_id', '=', accountId)
    .$if(userName !== undefined, keys => keys.where('user_name', '=', userName ?? ''))
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}

/** A user's temporary keys that ended before an instant, or else every one of them. */
export async function deleteTemporaryAccessKeys(
  query: Query,
  { accountId, userName }: UserKey,
  endedBefore = Number.MAX_SAFE_INTEGER,
): Promise<void> {
  await query
    .deleteFrom('access_keys')
    .where('account_id', '=', accountId)
    .where('user_name', '=', userName)
    .where('expires_at', '<', endedBefore)
    .execute();
}
