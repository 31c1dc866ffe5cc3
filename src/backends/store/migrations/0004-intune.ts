/** Schema 4: the keys of OpenID issuers, what Intune has yet to be told, and when its revocation requests are fetched. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './0001-initial.ts';

export function intune({ text, blob }: ColumnTypes): Migration {
  async function createOidcKeys(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('oidc_keys')
      .addColumn('key_id', text, column => column.notNull())
      .addColumn('connector_id', text, column => column.notNull())
      .addColumn('public_jwk', text, column => column.notNull())
      .addColumn('sealed_key', blob, column => column.notNull())
      .addColumn('created_at', 'bigint', column => column.notNull())
      .addPrimaryKeyConstraint('oidc_keys_key', ['key_id'])
      .addForeignKeyConstraint('oidc_keys_connector', ['connector_id'], 'connectors', ['connector_id'])
      .execute();
    await db.schema.createIndex('oidc_keys_by_connector').on('oidc_keys').columns(['connector_id', 'created_at']).execute();
  }

  async function createNotifications(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('intune_notifications')
      .addColumn('transaction_row_id', text, column => column.notNull())
      .addColumn('connector_id', text, column => column.notNull())
      .addColumn('kind', text, column => column.notNull())
      .addColumn('transaction_id', text, column => column.notNull())
      .addColumn('sealed_csr', blob, column => column.notNull())
      .addColumn('certificate_id', text)
      .addColumn('error_description', text)
      .addColumn('attempts', 'bigint', column => column.notNull())
      .addColumn('next_attempt_at', 'bigint', column => column.notNull())
      .addColumn('lease_until_at', 'bigint', column => column.notNull())
      .addColumn('created_at', 'bigint', column => column.notNull())
      .addPrimaryKeyConstraint('intune_notifications_key', ['transaction_row_id'])
      .addForeignKeyConstraint('intune_notifications_connector', ['connector_id'], 'connectors', ['connector_id'])
      .execute();
    await db.schema.createIndex('intune_notifications_by_attempt').on('intune_notifications').column('next_attempt_at').execute();
    await db.schema.createIndex('intune_notifications_by_connector').on('intune_notifications').column('connector_id').execute();
  }

  return {
    async up(db: Kysely<unknown>) {
      await createOidcKeys(db);
      await createNotifications(db);
      await db.schema
        .alterTable('connectors')
        .addColumn('revocation_poll_at', 'bigint', column => column.notNull().defaultTo(0))
        .execute();
      await db.schema.createIndex('connectors_by_revocation_poll').on('connectors').columns(['type', 'revocation_poll_at']).execute();
    },
  };
}
