/** Schema 1: the tables of the first version. */
import type { ColumnDataType, CreateTableBuilder, Kysely, RawBuilder } from 'kysely';
import type { Migration } from 'kysely/migration';

/** The column types that the engines name differently. `text` compares by bytes, which pages by key and ranges by prefix rely on. */
export interface ColumnTypes {
  text: ColumnDataType | RawBuilder<unknown>;
  blob: ColumnDataType | RawBuilder<unknown>;
}

type ColumnKind = keyof ColumnTypes | 'instant';
type Columns = Record<string, ColumnKind | `${ColumnKind}?`>;

export function initial(types: ColumnTypes): Migration {
  /** A column is not null unless its kind ends in a question mark. */
  function table(db: Kysely<unknown>, name: string, columns: Columns): CreateTableBuilder<string, string> {
    let builder: CreateTableBuilder<string, string> = db.schema.createTable(name);
    for (const [column, kind] of Object.entries(columns)) {
      const plainKind = kind.replace('?', '') as ColumnKind;
      const type = plainKind === 'instant' ? 'bigint' : types[plainKind];
      builder = builder.addColumn(column, type, definition => (kind.endsWith('?') ? definition : definition.notNull()));
    }
    return builder;
  }

  async function createAccess(db: Kysely<unknown>): Promise<void> {
    await table(db, 'store_properties', { name: 'text', value: 'blob' })
      .addPrimaryKeyConstraint('store_properties_key', ['name'])
      .execute();
    await table(db, 'accounts', { account_id: 'text', created_at: 'instant' })
      .addPrimaryKeyConstraint('accounts_key', ['account_id'])
      .execute();
    await table(db, 'access_keys', {
      access_key_id: 'text',
      account_id: 'text',
      name: 'text',
      sealed_secret: 'blob',
      session_token_mac: 'blob?',
      status: 'text',
      expires_at: 'instant?',
      created_at: 'instant',
    })
      .addPrimaryKeyConstraint('access_keys_key', ['access_key_id'])
      .execute();
    await db.schema.createIndex('access_keys_by_account').on('access_keys').columns(['account_id', 'access_key_id']).execute();
  }

  async function createConnectors(db: Kysely<unknown>): Promise<void> {
    await table(db, 'connectors', {
      connector_id: 'text',
      account_id: 'text',
      region: 'text',
      certificate_authority_arn: 'text',
      type: 'text',
      azure_application_id: 'text?',
      azure_domain: 'text?',
      vpc_endpoint_id: 'text?',
      endpoint_secret: 'text',
      status: 'text',
      status_reason: 'text?',
      created_at: 'instant',
      updated_at: 'instant',
    })
      .addColumn('lease_until_at', 'bigint', definition => definition.notNull().defaultTo(0))
      .addPrimaryKeyConstraint('connectors_key', ['connector_id'])
      .execute();
    await db.schema.createIndex('connectors_by_home').on('connectors').columns(['account_id', 'region', 'connector_id']).execute();
    await db.schema.createIndex('connectors_by_status').on('connectors').column('status').execute();

    await table(db, 'challenges', {
      challenge_id: 'text',
      connector_id: 'text',
      account_id: 'text',
      region: 'text',
      sealed_password: 'blob',
      password_mac: 'blob',
      created_at: 'instant',
      updated_at: 'instant',
    })
      .addPrimaryKeyConstraint('challenges_key', ['challenge_id'])
      .addForeignKeyConstraint('challenges_connector', ['connector_id'], 'connectors', ['connector_id'])
      .execute();
    await db.schema.createIndex('challenges_by_connector').on('challenges').columns(['connector_id', 'challenge_id']).execute();

    await table(db, 'ra_keys', {
      ra_key_id: 'text',
      connector_id: 'text',
      certificate_id: 'text',
      certificate: 'blob',
      sealed_key: 'blob',
      status: 'text',
      not_before: 'instant',
      not_after: 'instant',
      created_at: 'instant',
    })
      .addPrimaryKeyConstraint('ra_keys_key', ['ra_key_id'])
      .addForeignKeyConstraint('ra_keys_connector', ['connector_id'], 'connectors', ['connector_id'])
      .execute();
    await db.schema.createIndex('ra_keys_by_connector').on('ra_keys').column('connector_id').execute();

    await table(db, 'tags', { resource_arn: 'text', tag_key: 'text', tag_value: 'text' })
      .addPrimaryKeyConstraint('tags_key', ['resource_arn', 'tag_key'])
      .execute();

    await table(db, 'client_tokens', {
      account_id: 'text',
      operation: 'text',
      client_token: 'text',
      parameters_hash: 'text',
      resource_arn: 'text',
      created_at: 'instant',
    })
      .addPrimaryKeyConstraint('client_tokens_key', ['account_id', 'operation', 'client_token'])
      .execute();
    await db.schema.createIndex('client_tokens_by_age').on('client_tokens').column('created_at').execute();
  }

  async function createIssuance(db: Kysely<unknown>): Promise<void> {
    await table(db, 'certificate_authorities', {
      ca_id: 'text',
      account_id: 'text',
      region: 'text',
      type: 'text',
      status: 'text',
      usage_mode: 'text',
      key_algorithm: 'text',
      signing_algorithm: 'text',
      subject: 'text',
      certificate: 'blob?',
      chain: 'blob?',
      sealed_key: 'blob',
      not_before: 'instant?',
      not_after: 'instant?',
      created_at: 'instant',
      updated_at: 'instant',
    })
      .addPrimaryKeyConstraint('certificate_authorities_key', ['ca_id'])
      .execute();
    await db.schema
      .createIndex('certificate_authorities_by_home')
      .on('certificate_authorities')
      .columns(['account_id', 'region', 'ca_id'])
      .execute();

    // No foreign keys here: the inventory and the transactions outlive the connector and even the authority.
    await table(db, 'certificates', {
      certificate_id: 'text',
      account_id: 'text',
      region: 'text',
      ca_id: 'text',
      serial_number: 'text',
      connector_id: 'text?',
      kind: 'text',
      transaction_row_id: 'text?',
      subject: 'text',
      subject_alternative_names: 'text',
      not_before: 'instant',
      not_after: 'instant',
      status: 'text',
      certificate: 'blob?',
      fingerprint: 'text?',
      created_at: 'instant',
      issued_at: 'instant?',
    })
      .addPrimaryKeyConstraint('certificates_key', ['certificate_id'])
      .addUniqueConstraint('certificates_by_serial', ['ca_id', 'serial_number'])
      .execute();
    await db.schema.createIndex('certificates_by_fingerprint').unique().on('certificates').column('fingerprint').execute();
    await db.schema.createIndex('certificates_by_connector').on('certificates').columns(['connector_id', 'certificate_id']).execute();

    await table(db, 'transactions', {
      transaction_row_id: 'text',
      connector_id: 'text',
      transaction_id: 'text',
      csr_hash: 'text',
      signer_key_hash: 'text',
      status: 'text',
      certificate_id: 'text?',
      reason: 'text?',
      created_at: 'instant',
      updated_at: 'instant',
    })
      .addPrimaryKeyConstraint('transactions_key', ['transaction_row_id'])
      .addUniqueConstraint('transactions_by_identity', ['connector_id', 'transaction_id', 'csr_hash', 'signer_key_hash'])
      .execute();
  }

  async function createAudit(db: Kysely<unknown>): Promise<void> {
    await table(db, 'audit_events', {
      event_id: 'text',
      at: 'instant',
      name: 'text',
      account_id: 'text?',
      region: 'text?',
      connector_id: 'text?',
      principal: 'text?',
      source: 'text?',
      outcome: 'text',
      reason: 'text?',
      detail: 'text',
    })
      .addPrimaryKeyConstraint('audit_events_key', ['event_id'])
      .execute();
    await db.schema.createIndex('audit_events_by_time').on('audit_events').column('at').execute();
    await db.schema.createIndex('audit_events_by_connector').on('audit_events').columns(['connector_id', 'event_id']).execute();
  }

  return {
    async up(db: Kysely<unknown>) {
      await createAccess(db);
      await createConnectors(db);
      await createIssuance(db);
      await createAudit(db);
    },
  };
}
