/** Queries on accounts. */
import type { AccountRow, Query } from './database.ts';

/** Whether it was inserted; an account that is already there stays. */
export async function insertAccount(query: Query, row: AccountRow): Promise<boolean> {
  const result = await query
    .insertInto('accounts')
    .values(row)
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirstOrThrow();
  return result.numInsertedOrUpdatedRows === 1n;
}

export async function findAccount(query: Query, accountId: string): Promise<AccountRow | undefined> {
  return query.selectFrom('accounts').selectAll().where('account_id', '=', accountId).executeTakeFirst();
}
