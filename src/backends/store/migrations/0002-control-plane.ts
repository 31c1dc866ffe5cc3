/** Schema 2: users and their policies, the private CA's API, and audit records of calls. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { ColumnTypes } from './0001-initial.ts';

/** What every access key could do until now, and its user keeps. */
const administratorPolicy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}';

export function controlPlane({ text, blob }: ColumnTypes): Migration {
  async function createUsers(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('users')
      .addColumn('account_id', text, column => column.notNull())
      .addColumn('user_name', text, column => column.notNull())
      .addColumn('created_at', 'bigint', column => column.notNull())
      .addPrimaryKeyConstraint('users_key', ['account_id', 'user_name'])
      .execute();
    await db.schema
      .createTable('user_policies')
      .addColumn('account_id', text, column => column.notNull())
      .addColumn('user_name', text, column => column.notNull())
      .addColumn('policy_name', text, column => column.notNull())
      .addColumn('document', text, column => column.notNull())
      .addColumn('created_at', 'bigint', column => column.notNull())
      .addColumn('updated_at', 'bigint', column => column.notNull())
      .addPrimaryKeyConstraint('user_policies_key', ['account_id', 'user_name', 'policy_name'])
      .addForeignKeyConstraint('user_policies_user', ['account_id', 'user_name'], 'users', ['account_id', 'user_name'])
      .execute();
    await db.schema.alterTable('access_keys').renameColumn('name', 'user_name').execute();
    await db.schema.alterTable('access_keys').addColumn('session_policy', text).execute();
    await sql`insert into users (account_id, user_name, created_at)
      select account_id, user_name, min(created_at) from access_keys group by account_id, user_name`.execute(db);
    await sql`insert into user_policies (account_id, user_name, policy_name, document, created_at, updated_at)
      select account_id, user_name, 'AdministratorAccess', ${sql.lit(administratorPolicy)}, created_at, created_at from users`.execute(db);
  }

  async function extendAuthorities(db: Kysely<unknown>): Promise<void> {
    const table = 'certificate_authorities';
    const textColumns = ['configuration', 'revocation_configuration', 'policy', 'failure_reason', 'status_before_deletion'];
    for (const name of [...textColumns, 'serial_number', 'key_storage_security_standard']) {
      await db.schema.alterTable(table).addColumn(name, text).execute();
    }
    await db.schema.alterTable(table).addColumn('csr', blob).execute();
    for (const name of ['restorable_until_at', 'state_changed_at']) await db.schema.alterTable(table).addColumn(name, 'bigint').execute();
    for (const name of ['lease_until_at', 'crl_number']) {
      await db.schema
        .alterTable(table)
        .addColumn(name, 'bigint', column => column.notNull().defaultTo(0))
        .execute();
    }
    await db.schema.createIndex('certificate_authorities_by_status').on(table).column('status').execute();

    await db.schema
      .createTable('authority_permissions')
      .addColumn('ca_id', text, column => column.notNull())
      .addColumn('principal', text, column => column.notNull())
      .addColumn('source_account', text, column => column.notNull())
      .addColumn('actions', text, column => column.notNull())
      .addColumn('created_at', 'bigint', column => column.notNull())
      .addPrimaryKeyConstraint('authority_permissions_key', ['ca_id', 'principal', 'source_account'])
      .execute();
  }

  async function extendCertificates(db: Kysely<unknown>): Promise<void> {
    await db.schema.alterTable('certificates').addColumn('revoked_at', 'bigint').execute();
    await db.schema.alterTable('certificates').addColumn('revocation_reason', text).execute();
    // Few certificates are ever revoked, and every enrolment would pay for a whole index.
    await db.schema
      .createIndex('certificates_by_revocation')
      .on('certificates')
      .columns(['ca_id', 'revoked_at'])
      .where(sql.ref('revoked_at'), 'is not', null)
      .execute();
    await db.schema
      .createTable('issuances')
      .addColumn('certificate_id', text, column => column.notNull())
      .addColumn('ca_id', text, column => column.notNull())
      .addColumn('tbs_certificate', blob, column => column.notNull())
      .addColumn('created_at', 'bigint', column => column.notNull())
      .addColumn('lease_until_at', 'bigint', column => column.notNull().defaultTo(0))
      .addPrimaryKeyConstraint('issuances_key', ['certificate_id'])
      .execute();
  }

  async function extendAudit(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .alterTable('audit_events')
      .addColumn('category', text, column => column.notNull().defaultTo('Service'))
      .execute();
    // Event ids begin with their time, and nothing asks for the time alone.
    await db.schema.dropIndex('audit_events_by_time').execute();
    await db.schema.createIndex('audit_events_by_account').on('audit_events').columns(['account_id', 'event_id']).execute();
  }

  return {
    async up(db: Kysely<unknown>) {
      await createUsers(db);
      await extendAuthorities(db);
      await extendCertificates(db);
      await extendAudit(db);
    },
  };
}
