/** Queries on users: who may be given access keys. */
import type { Query, UserRow } from './database.ts';

/** Whose rows a query is about. */
export interface UserKey {
  accountId: string;
  userName: string;
}

export async function insertUser(query: Query, row: UserRow): Promise<void> {
  await query.insertInto('users').values(row).execute();
}

export async function findUser(query: Query, { accountId, userName }: UserKey): Promise<UserRow | undefined> {
  return query.selectFrom('users').selectAll().where('account_id', '=', accountId).where('user_name', '=', userName).executeTakeFirst();
}

export async function listUsers(
  query: Query,
  { accountId, afterName, limit }: { accountId: string; afterName?: string | undefined; limit: number },
): Promise<UserRow[]> {
  return query
    .selectFrom('users')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('user_name', '>', afterName ?? '')
    .orderBy('user_name')
    .limit(limit)
    .execute();
}

export async function countUsers(query: Query, accountId: string): Promise<number> {
  const { count } = await query
    .selectFrom('users')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .executeTakeFirstOrThrow();
  return Number(count);
}

export async function deleteUser(query: Query, { accountId, userName }: UserKey): Promise<void> {
  await query.deleteFrom('users').where('account_id', '=', accountId).where('user_name', '=', userName).execute();
}
