/** Counts every row that is written in a store, but for the audit trail, so that a refusal which changed something is found out. */
import { sql } from 'kysely';
import type { Database } from '../../src/backends/store/database.ts';

/** A refusal is recorded there. */
const notCounted = ['audit_events'];
const log = 'fuzz_changes';

export interface StoreChanges {
  /** Which rows were written since it was last asked, as `table operation`. What was rolled back is not among them. */
  take(): Promise<string[]>;
}

/** By triggers, which SQLite runs for every row of every statement, cascades among them, on whichever connection, and rolls back with it. */
export async function watchStore({ query }: Database): Promise<StoreChanges> {
  await sql`create table ${sql.table(log)} (change text not null)`.execute(query);
  const tables = (await query.introspection.getTables()).map(({ name }) => name);
  for (const table of tables) {
    if (table === log || notCounted.includes(table)) continue;
    for (const operation of ['insert', 'update', 'delete']) {
      const trigger = sql.id(`fuzz_${table}_${operation}`);
      const insert = sql`insert into ${sql.table(log)} values (${sql.lit(`${table} ${operation}`)})`;
      await sql`create trigger ${trigger} after ${sql.raw(operation)} on ${sql.table(table)} begin ${insert}; end`.execute(query);
    }
  }
  return {
    async take() {
      const { rows } = await sql<{ change: string }>`select change from ${sql.table(log)}`.execute(query);
      if (rows.length > 0) await sql`delete from ${sql.table(log)}`.execute(query);
      return rows.map(({ change }) => change);
    },
  };
}
