/** Queries on store_properties: named values of the store as a whole, written once. */
import type { Query } from './database.ts';

export async function findStoreProperty(query: Query, name: string): Promise<Uint8Array | undefined> {
  const row = await query.selectFrom('store_properties').select('value').where('name', '=', name).executeTakeFirst();
  return row?.value;
}

/** Whether it was inserted; a value that is already there stays. */
export async function insertStoreProperty(query: Query, name: string, value: Uint8Array): Promise<boolean> {
  const result = await query
    .insertInto('store_properties')
    .values({ name, value })
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirstOrThrow();
  return result.numInsertedOrUpdatedRows === 1n;
}
