/** The port of the store: the tables with their columns, what a database can do, and how it says that it cannot. */
import type { Generated, Kysely, Selectable } from 'kysely';
import type { ConnectorStatus, ConnectorStatusReason, ConnectorType } from '../../base/resources.ts';

/** The database itself or an open transaction: every query function takes one first. */
export type Query = Kysely<Tables>;

export interface Database extends AsyncDisposable {
  readonly query: Query;
  /**
   * Serialisable: all of `work` or, when it throws, nothing of it. Inside, use only the `query` handed in: the embedded database has
   * one connection, so awaiting `Database.query` from within `work` would wait for ever.
   */
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T>;
}

export type StoreErrorReason = 'corrupt' | 'newer' | 'read-only' | 'full' | 'locked' | 'unreachable';

/** The store cannot do its work: an outage, never a verdict on a request. The message is one line that says what to do. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly reason: StoreErrorReason;

  constructor(reason: StoreErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Ids are text, instants integer milliseconds, blobs bytes. The service makes every id and instant. */
export interface Tables {
  store_properties: StorePropertiesTable;
  accounts: AccountsTable;
  access_keys: AccessKeysTable;
  certificate_authorities: CertificateAuthoritiesTable;
  connectors: ConnectorsTable;
  challenges: ChallengesTable;
  tags: TagsTable;
  client_tokens: ClientTokensTable;
  ra_keys: RaKeysTable;
  certificates: CertificatesTable;
  transactions: TransactionsTable;
  audit_events: AuditEventsTable;
}

/** What belongs to the store as a whole, such as the proof of its master key. */
interface StorePropertiesTable {
  name: string;
  value: Uint8Array;
}

interface AccountsTable {
  account_id: string;
  created_at: number;
}
export type AccountRow = Selectable<AccountsTable>;

/** API credentials. A temporary one has a session token, of which only the MAC is kept. */
interface AccessKeysTable {
  access_key_id: string;
  account_id: string;
  name: string;
  sealed_secret: Uint8Array;
  session_token_mac: Uint8Array | null;
  status: 'ACTIVE' | 'INACTIVE';
  expires_at: number | null;
  created_at: number;
}
export type AccessKeyRow = Selectable<AccessKeysTable>;

/** The embedded CA's authorities, in the words of AWS Private CA. `chain` is concatenated DER in issuing order, without `certificate`. */
interface CertificateAuthoritiesTable {
  ca_id: string;
  account_id: string;
  region: string;
  type: 'ROOT' | 'SUBORDINATE';
  status: 'CREATING' | 'PENDING_CERTIFICATE' | 'ACTIVE' | 'DISABLED' | 'EXPIRED' | 'FAILED' | 'DELETED';
  usage_mode: 'GENERAL_PURPOSE' | 'SHORT_LIVED_CERTIFICATE';
  key_algorithm: string;
  signing_algorithm: string;
  subject: string;
  certificate: Uint8Array | null;
  chain: Uint8Array | null;
  sealed_key: Uint8Array;
  not_before: number | null;
  not_after: number | null;
  created_at: number;
  updated_at: number;
}
export type CertificateAuthorityRow = Selectable<CertificateAuthoritiesTable>;

/** `endpoint_secret` is the random path segment of the connector's URL; `lease_until_at` keeps two workers off one connector. */
interface ConnectorsTable {
  connector_id: string;
  account_id: string;
  region: string;
  certificate_authority_arn: string;
  type: ConnectorType;
  azure_application_id: string | null;
  azure_domain: string | null;
  vpc_endpoint_id: string | null;
  endpoint_secret: string;
  status: ConnectorStatus;
  status_reason: ConnectorStatusReason | null;
  lease_until_at: Generated<number>;
  created_at: number;
  updated_at: number;
}
export type ConnectorRow = Selectable<ConnectorsTable>;

interface ChallengesTable {
  challenge_id: string;
  connector_id: string;
  account_id: string;
  region: string;
  sealed_password: Uint8Array;
  password_mac: Uint8Array;
  created_at: number;
  updated_at: number;
}
export type ChallengeRow = Selectable<ChallengesTable>;

interface TagsTable {
  resource_arn: string;
  tag_key: string;
  tag_value: string;
}

/** The answer to repeat when a create is sent again with its client token. */
interface ClientTokensTable {
  account_id: string;
  operation: string;
  client_token: string;
  parameters_hash: string;
  resource_arn: string;
  created_at: number;
}
export type ClientTokenRow = Selectable<ClientTokensTable>;

/** A connector's own key pair, which devices encrypt to. A RETIRED one still decrypts for clients that cached its certificate. */
interface RaKeysTable {
  ra_key_id: string;
  connector_id: string;
  certificate_id: string;
  certificate: Uint8Array;
  sealed_key: Uint8Array;
  status: 'ACTIVE' | 'RETIRED';
  not_before: number;
  not_after: number;
  created_at: number;
}
export type RaKeyRow = Selectable<RaKeysTable>;

/** The inventory. A row begins as ISSUING, the recorded intent, before anything is signed; it outlives its connector. */
interface CertificatesTable {
  certificate_id: string;
  account_id: string;
  region: string;
  ca_id: string;
  /** 32 lower-case hexadecimal digits. */
  serial_number: string;
  connector_id: string | null;
  kind: 'DEVICE' | 'RA' | 'TLS' | 'CA';
  transaction_row_id: string | null;
  subject: string;
  subject_alternative_names: string;
  not_before: number;
  not_after: number;
  status: 'ISSUING' | 'ISSUED' | 'REVOKED';
  certificate: Uint8Array | null;
  /** SHA-256 of the DER certificate in lower-case hexadecimal. */
  fingerprint: string | null;
  created_at: number;
  issued_at: number | null;
}
export type CertificateRow = Selectable<CertificatesTable>;

/** One SCEP transaction as RFC 8894 section 2.3 identifies it, narrowed by CSR and signer so that a reused transactionID cannot collide. */
interface TransactionsTable {
  transaction_row_id: string;
  connector_id: string;
  transaction_id: string;
  csr_hash: string;
  signer_key_hash: string;
  status: 'ISSUING' | 'SUCCESS' | 'PENDING' | 'FAILURE';
  certificate_id: string | null;
  reason: string | null;
  created_at: number;
  updated_at: number;
}
export type TransactionRow = Selectable<TransactionsTable>;

/** `detail` is a JSON object. */
interface AuditEventsTable {
  event_id: string;
  at: number;
  name: string;
  account_id: string | null;
  region: string | null;
  connector_id: string | null;
  principal: string | null;
  source: string | null;
  outcome: 'success' | 'failure';
  reason: string | null;
  detail: string;
}
export type AuditEventRow = Selectable<AuditEventsTable>;
