/** Schema 3: enrolment policies, dynamic challenges, requests that wait for approval, and when RA keys are due. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './0001-initial.ts';

export function enrolment({ text, blob }: ColumnTypes): Migration {
  async function extendConnectors(db: Kysely<unknown>): Promise<void> {
    await db.schema.alterTable('connectors').addColumn('enrolment_policy', text).execute();
    await db.schema
      .alterTable('connectors')
      .addColumn('ra_renewal_at', 'bigint', column => column.notNull().defaultTo(0))
      .execute();
    await db.schema
      .alterTable('ra_keys')
      .addColumn('purpose', text, column => column.notNull().defaultTo('BOTH'))
      .execute();
    // Two thirds of the newest key's life; a connector without a key is not ACTIVE, so nobody looks at its 0.
    await sql`update connectors set ra_renewal_at = coalesce(
      (select max(not_before + (not_after - not_before) / 3 * 2) from ra_keys where ra_keys.connector_id = connectors.connector_id), 0)`.execute(
      db,
    );
    await db.schema.createIndex('connectors_by_ra_renewal').on('connectors').columns(['status', 'ra_renewal_at']).execute();
    await db.schema.dropIndex('connectors_by_status').execute();
    await db.schema.createIndex('ra_keys_by_end').on('ra_keys').column('not_after').execute();
    await db.schema.createIndex('connectors_by_authority').on('connectors').column('certificate_authority_arn').execute();
  }

  async function createDynamicChallenges(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('dynamic_challenges')
      .addColumn('dynamic_challenge_id', text, column => column.notNull())
      .addColumn('connector_id', text, column => column.notNull())
      .addColumn('account_id', text, column => column.notNull())
      .addColumn('region', text, column => column.notNull())
      .addColumn('sealed_password', blob, column => column.notNull())
      .addColumn('password_mac', blob, column => column.notNull())
      .addColumn('bounds', text)
      .addColumn('uses', 'bigint', column => column.notNull())
      .addColumn('uses_claimed', 'bigint', column => column.notNull())
      .addColumn('expires_at', 'bigint', column => column.notNull())
      .addColumn('created_at', 'bigint', column => column.notNull())
      .addPrimaryKeyConstraint('dynamic_challenges_key', ['dynamic_challenge_id'])
      .addForeignKeyConstraint('dynamic_challenges_connector', ['connector_id'], 'connectors', ['connector_id'])
      .execute();
    await db.schema
      .createIndex('dynamic_challenges_by_mac')
      .unique()
      .on('dynamic_challenges')
      .columns(['connector_id', 'password_mac'])
      .execute();
    await db.schema.createIndex('dynamic_challenges_by_end').on('dynamic_challenges').columns(['connector_id', 'expires_at']).execute();
  }

  async function extendTransactions(db: Kysely<unknown>): Promise<void> {
    const table = 'transactions';
    for (const name of ['csr', 'signer']) await db.schema.alterTable(table).addColumn(name, blob).execute();
    for (const name of ['dynamic_challenge_id', 'renewed_certificate_id', 'source', 'decided_by']) {
      await db.schema.alterTable(table).addColumn(name, text).execute();
    }
    await db.schema.alterTable(table).addColumn('requested_at', 'bigint').execute();
    // Of the many transactions few wait for an operator or renew, and every enrolment would pay for whole indexes.
    await db.schema
      .createIndex('transactions_by_request')
      .on(table)
      .columns(['connector_id', 'transaction_row_id'])
      .where(sql.ref('requested_at'), 'is not', null)
      .execute();
    await db.schema
      .createIndex('transactions_by_waiting')
      .on(table)
      .columns(['connector_id', 'transaction_row_id'])
      .where(sql.ref('status'), '=', sql.lit('PENDING'))
      .execute();
    await db.schema
      .createIndex('transactions_by_challenge')
      .on(table)
      .column('dynamic_challenge_id')
      .where(sql.ref('dynamic_challenge_id'), 'is not', null)
      .execute();
    await db.schema
      .createIndex('transactions_by_renewal')
      .on(table)
      .column('renewed_certificate_id')
      .where(sql.ref('renewed_certificate_id'), 'is not', null)
      .execute();
    await db.schema
      .createIndex('certificates_by_intent')
      .on('certificates')
      .column('created_at')
      .where(sql.ref('status'), '=', sql.lit('ISSUING'))
      .execute();
  }

  return {
    async up(db: Kysely<unknown>) {
      await extendConnectors(db);
      await createDynamicChallenges(db);
      await extendTransactions(db);
    },
  };
}
