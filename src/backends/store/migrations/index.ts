/** The schema's versions in order, and bringing a database up to the newest. */
import { type Migration, Migrator } from 'kysely/migration';
import type { Query } from '../database.ts';
import { type ColumnTypes, initial } from './0001-initial.ts';
import { controlPlane } from './0002-control-plane.ts';
import { enrolment } from './0003-enrolment.ts';
import { intune } from './0004-intune.ts';

/** Add a version at the end and never change one that was released. The name begins with the schema's number. */
const migrations: Readonly<Record<string, (types: ColumnTypes) => Migration>> = {
  '0001-initial': initial,
  '0002-control-plane': controlPlane,
  '0003-enrolment': enrolment,
  '0004-intune': intune,
};

const migrationTable = 'kysely_migration';

export const newestSchema = Math.max(...Object.keys(migrations).map(schemaNumber));

/** `newer` has a migration that this version does not know; `foreign` has tables but never had a migration of ours. */
export type SchemaState = { kind: 'empty' | 'known' | 'foreign' } | { kind: 'newer'; schema: number };

/** Only reads, so that a database we cannot work with stays as it is. */
export async function findSchemaState(query: Query): Promise<SchemaState> {
  const tables = await query.introspection.getTables({ withInternalKyselyTables: true });
  if (tables.length === 0) return { kind: 'empty' };
  if (!tables.some(table => table.name === migrationTable)) return { kind: 'foreign' };
  const executed = await query.withTables<{ [migrationTable]: { name: string } }>().selectFrom(migrationTable).select('name').execute();
  const unknown = executed.filter(({ name }) => !(name in migrations)).map(({ name }) => schemaNumber(name));
  return unknown.length === 0 ? { kind: 'known' } : { kind: 'newer', schema: Math.max(...unknown) };
}

/** Takes an open transaction, so that either every missing version is applied or none. */
export async function migrate(transaction: Query, types: ColumnTypes): Promise<void> {
  const provider = {
    getMigrations: async () => Object.fromEntries(Object.entries(migrations).map(([name, migration]) => [name, migration(types)])),
  };
  const { error } = await new Migrator({ db: transaction, provider }).migrateToLatest();
  if (error) throw error;
}

function schemaNumber(name: string): number {
  return Number.parseInt(name, 10);
}
