/** The port of the store: the tables with their columns, what a database can do, and how it says that it cannot. */
import type { Generated, Kysely, Selectable } from 'kysely';
import type { CertificateAuthorityStatus, CertificateAuthorityType, RevocationReason, UsageMode } from '../../base/private-ca.ts';
import type { ConnectorStatus, ConnectorStatusReason, ConnectorType } from '../../base/resources.ts';

/** The database itself or an open transaction: every query function takes one first. */
export type Query = Kysely<Tables>;

export interface Database extends AsyncDisposable {
  readonly query: Query;
  /**
   * Serialisable: all of `work` or, when it throws, nothing of it. A store with several writers may repeat `work` when they collide, so what it notes
   * outside of the store it notes anew each time. Inside, use only the `query` handed in: the embedded database has
   * one connection, so awaiting `Database.query` from within `work` would wait for ever.
   */
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T>;
  /**
   * The same text as long as nothing in the store has changed, whoever would have changed it: what was read under it may be used again. Undefined
   * where there is no way to tell that is cheaper than reading again.
   */
  revision(): string | undefined;
}

class GivenUpError extends Error {}

/** A transaction that is undone when `work` answers false. Whether it was kept. */
export async function attempt(database: Database, work: (query: Query) => Promise<boolean>): Promise<boolean> {
  try {
    await database.transaction(async query => {
      if (!(await work(query))) throw new GivenUpError();
    });
    return true;
  } catch (error) {
    if (error instanceof GivenUpError) return false;
    throw error;
  }
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
  users: UsersTable;
  user_policies: UserPoliciesTable;
  certificate_authorities: CertificateAuthoritiesTable;
  authority_permissions: AuthorityPermissionsTable;
  connectors: ConnectorsTable;
  challenges: ChallengesTable;
  dynamic_challenges: DynamicChallengesTable;
  tags: TagsTable;
  client_tokens: ClientTokensTable;
  ra_keys: RaKeysTable;
  certificates: CertificatesTable;
  issuances: IssuancesTable;
  transactions: TransactionsTable;
  oidc_keys: OidcKeysTable;
  intune_notifications: IntuneNotificationsTable;
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
  user_name: string;
  sealed_secret: Uint8Array;
  session_token_mac: Uint8Array | null;
  /** Of a temporary key: an IAM policy that narrows what its user may do. */
  session_policy: string | null;
  status: 'ACTIVE' | 'INACTIVE';
  expires_at: number | null;
  created_at: number;
}
export type AccessKeyRow = Selectable<AccessKeysTable>;

interface UsersTable {
  account_id: string;
  user_name: string;
  created_at: number;
}
export type UserRow = Selectable<UsersTable>;

/** `document` is IAM's JSON, as it was given. */
interface UserPoliciesTable {
  account_id: string;
  user_name: string;
  policy_name: string;
  document: string;
  created_at: number;
  updated_at: number;
}
export type UserPolicyRow = Selectable<UserPoliciesTable>;

/**
 * The embedded CA's authorities, in the words of AWS Private CA. `chain` is concatenated DER in issuing order, without `certificate`. While an
 * authority is CREATING its `sealed_key` is empty and it has no `csr`.
 */
interface CertificateAuthoritiesTable {
  ca_id: string;
  account_id: string;
  region: string;
  type: CertificateAuthorityType;
  status: CertificateAuthorityStatus;
  usage_mode: UsageMode;
  key_algorithm: string;
  signing_algorithm: string;
  subject: string;
  /** AWS's CertificateAuthorityConfiguration as it was given, JSON; null of one made at first start. */
  configuration: string | null;
  csr: Uint8Array | null;
  certificate: Uint8Array | null;
  chain: Uint8Array | null;
  /** Of `certificate`, in hexadecimal. */
  serial_number: string | null;
  sealed_key: Uint8Array;
  key_storage_security_standard: string | null;
  not_before: number | null;
  not_after: number | null;
  /** AWS's RevocationConfiguration, JSON. */
  revocation_configuration: string | null;
  /** The number of its newest CRL. */
  crl_number: Generated<number>;
  /** The resource policy, IAM's JSON. */
  policy: string | null;
  failure_reason: string | null;
  /** Of a DELETED one: what it was, and until when it can be restored; then its key is destroyed. */
  status_before_deletion: CertificateAuthorityStatus | null;
  restorable_until_at: number | null;
  lease_until_at: Generated<number>;
  created_at: number;
  updated_at: number;
  state_changed_at: number | null;
}
export type CertificateAuthorityRow = Selectable<CertificateAuthoritiesTable>;

/** CreatePermission: what a service principal may do with the authority. `actions` is a JSON list. */
interface AuthorityPermissionsTable {
  ca_id: string;
  principal: string;
  source_account: string;
  actions: string;
  created_at: number;
}
export type AuthorityPermissionRow = Selectable<AuthorityPermissionsTable>;

/**
 * `endpoint_secret` is the random path segment of the connector's URL; `lease_until_at` keeps two workers off one connector. `enrolment_policy` is
 * JSON, null of a connector that has the default one. At `ra_renewal_at` an ACTIVE connector is due for new RA keys, at `revocation_poll_at` one of
 * Intune for what Intune wants revoked.
 */
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
  enrolment_policy: Generated<string | null>;
  ra_renewal_at: Generated<number>;
  revocation_poll_at: Generated<number>;
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

/**
 * A challenge password with an end, a number of uses and perhaps bounds (JSON) on what it authorises. `uses_claimed` counts the certificates and
 * the waiting requests that it has authorised.
 */
interface DynamicChallengesTable {
  dynamic_challenge_id: string;
  connector_id: string;
  account_id: string;
  region: string;
  sealed_password: Uint8Array;
  password_mac: Uint8Array;
  bounds: string | null;
  uses: number;
  uses_claimed: number;
  expires_at: number;
  created_at: number;
}
export type DynamicChallengeRow = Selectable<DynamicChallengesTable>;

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

/** How a connector uses a key pair: for both, or, of one with two RA certificates, to sign answers or to decrypt requests. */
export type RaKeyPurpose = 'BOTH' | 'SIGN' | 'DECRYPT';

/**
 * A connector's own key pair, which devices encrypt to. Those of one `created_at` belong together: a RETIRED pair still decrypts, and signs the answers,
 * for clients that cached its certificates.
 */
interface RaKeysTable {
  ra_key_id: string;
  connector_id: string;
  certificate_id: string;
  certificate: Uint8Array;
  sealed_key: Uint8Array;
  purpose: RaKeyPurpose;
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
  /** 'CA' is an authority's own certificate, 'API' one of IssueCertificate. */
  kind: 'DEVICE' | 'RA' | 'TLS' | 'CA' | 'API';
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
  revoked_at: number | null;
  revocation_reason: RevocationReason | null;
}
export type CertificateRow = Selectable<CertificatesTable>;

/** The queue behind IssueCertificate: the intent of a certificate as what is to be signed. Gone once it is signed. */
interface IssuancesTable {
  certificate_id: string;
  ca_id: string;
  tbs_certificate: Uint8Array;
  created_at: number;
  lease_until_at: Generated<number>;
}
export type IssuanceRow = Selectable<IssuancesTable>;

/**
 * One SCEP transaction as RFC 8894 section 2.3 identifies it, narrowed by CSR and signer so that a reused transactionID cannot collide. One that waits
 * for an operator, or has waited, has `requested_at`, the `csr` and the `signer`'s certificate (both DER): PENDING, then APPROVED until the device
 * fetches its certificate, or FAILURE. NOTIFYING has a certificate that nobody is given before Intune has taken notice of it.
 */
interface TransactionsTable {
  transaction_row_id: string;
  connector_id: string;
  transaction_id: string;
  csr_hash: string;
  signer_key_hash: string;
  status: 'ISSUING' | 'NOTIFYING' | 'SUCCESS' | 'PENDING' | 'APPROVED' | 'FAILURE';
  certificate_id: string | null;
  reason: string | null;
  csr: Generated<Uint8Array | null>;
  signer: Generated<Uint8Array | null>;
  /** The dynamic challenge of which it holds a use. */
  dynamic_challenge_id: Generated<string | null>;
  /** The certificate that authorised it. */
  renewed_certificate_id: Generated<string | null>;
  /** The address that the waiting request came from. */
  source: Generated<string | null>;
  /** The ARN of who approved or rejected it. */
  decided_by: Generated<string | null>;
  requested_at: Generated<number | null>;
  created_at: number;
  updated_at: number;
}
export type TransactionRow = Selectable<TransactionsTable>;

/**
 * What an INTUNE connector signs its assertions with. `key_id` is the JWK's thumbprint (RFC 7638), `public_jwk` the JSON that its issuer publishes. Which
 * of a connector's keys signs, and which are published, follows from `created_at`.
 */
interface OidcKeysTable {
  key_id: string;
  connector_id: string;
  public_jwk: string;
  sealed_key: Uint8Array;
  created_at: number;
}
export type OidcKeyRow = Selectable<OidcKeysTable>;

/**
 * What Intune has yet to be told of a transaction that it validated: SUCCESS, whose certificate is held until then, or FAILURE. The CSR, which has the
 * challenge in it, is sealed. Gone once Intune has taken it.
 */
interface IntuneNotificationsTable {
  transaction_row_id: string;
  connector_id: string;
  kind: 'SUCCESS' | 'FAILURE';
  /** The SCEP transactionID. */
  transaction_id: string;
  sealed_csr: Uint8Array;
  certificate_id: string | null;
  /** Of a FAILURE. */
  error_description: string | null;
  attempts: number;
  next_attempt_at: number;
  lease_until_at: number;
  created_at: number;
}
export type IntuneNotificationRow = Selectable<IntuneNotificationsTable>;

/** `detail` is a JSON object: of an API or SCEP call ('Management', 'Data') its CloudTrail members that no column has; of the service's own doings what they are about. */
interface AuditEventsTable {
  event_id: string;
  category: Generated<'Management' | 'Data' | 'Service'>;
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
