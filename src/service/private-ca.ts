/** The private CA's API on certificate authorities: creating only writes a row, for which the authority lifecycle makes the key. */
import {
  type AuthorityChange,
  countCertificateAuthorities,
  insertCertificateAuthority,
  listCertificateAuthorities,
  listCertificateAuthoritiesWithPolicy,
  updateCertificateAuthority,
} from '../backends/store/certificate-authorities.ts';
import type { CertificateAuthorityRow, Database } from '../backends/store/database.ts';
import { putTags } from '../backends/store/tags.ts';
import { invalidArgs, ServiceException } from '../base/errors.ts';
import { encodePem } from '../base/pki/pem.ts';
import { parseCertificate } from '../base/pki/x509.ts';
import type { CertificateAuthorityStatus } from '../base/private-ca.ts';
import { resourceQuotas } from '../base/quotas.ts';
import { certificateAuthorityArn, type Home, type Principal } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { admitsPrincipal } from './authority-admission.ts';
import { type CertificateAuthorityConfiguration, describeConfiguration, formatSubject, keyOrderOf } from './authority-configuration.ts';
import { type ImportRequest, importCertificateAuthorityCertificate } from './authority-import.ts';
import { AuthorityPermissions } from './authority-permissions.ts';
import { AuthorityPolicies } from './authority-policies.ts';
import { AuthorityTags, type Tag, tagsOf } from './authority-tags.ts';
import { certificatesOf, checkStatus, getAuthorityRow, isGone, statusOf } from './certificate-authorities.ts';
import { createOnce, tokenReusedMessage } from './client-tokens.ts';
import type { PageRequest } from './connectors.ts';
import {
  checkRevocationConfiguration,
  describeRevocationConfiguration,
  mergeRevocationConfiguration,
  type RevocationConfiguration,
} from './revocation-configuration.ts';
import { dayMs } from './validity.ts';

const restorableDaysDefault = 30;
/** AWS: "Although the maximum value is 1000, the action only returns a maximum of 100 items". */
const authoritiesPerPageMax = 100;
const keyStorageDefault = 'FIPS_140_2_LEVEL_3_OR_HIGHER';
const auditReportsAdvice = 'Audit reports are not supported here: ListEvents under /scep-connector/v1 is the audit trail.';

interface PrivateCaDependencies {
  database: Database;
  system: System;
  region: string;
  /** How many authorities an account may have. */
  quota: number;
  /** Told that an authority waits for the authority lifecycle. */
  wakeLifecycle: () => void;
  /** Told that connectors on an authority are due for RA keys of its new certificate. */
  wakeConnectors: () => void;
}

interface CreateRequest {
  CertificateAuthorityConfiguration: CertificateAuthorityConfiguration;
  RevocationConfiguration?: RevocationConfiguration;
  CertificateAuthorityType: string;
  IdempotencyToken?: string;
  KeyStorageSecurityStandard?: string;
  Tags?: Tag[];
  UsageMode?: string;
}

interface ArnRequest {
  CertificateAuthorityArn: string;
}

/** AWS's shape. Instants are milliseconds here. */
interface CertificateAuthority {
  Arn: string;
  OwnerAccount: string;
  CreatedAt: number;
  LastStateChangeAt: number;
  Type: string;
  Serial?: string;
  Status: CertificateAuthorityStatus;
  NotBefore?: number;
  NotAfter?: number;
  FailureReason?: string;
  CertificateAuthorityConfiguration: CertificateAuthorityConfiguration;
  RevocationConfiguration: RevocationConfiguration;
  RestorableUntil?: number;
  KeyStorageSecurityStandard: string;
  UsageMode: string;
}

export class PrivateCa {
  readonly tags: AuthorityTags;
  readonly policies: AuthorityPolicies;
  readonly permissions: AuthorityPermissions;
  readonly #dependencies: PrivateCaDependencies;

  constructor(dependencies: PrivateCaDependencies) {
    this.#dependencies = dependencies;
    this.tags = new AuthorityTags(dependencies);
    this.policies = new AuthorityPolicies(dependencies);
    this.permissions = new AuthorityPermissions(dependencies);
  }

  async createCertificateAuthority(principal: Principal, request: CreateRequest): Promise<{ CertificateAuthorityArn: string }> {
    const { database, system, region, quota, wakeLifecycle } = this.#dependencies;
    const { IdempotencyToken: ClientToken, ...parameters } = request;
    const home = { accountId: principal.accountId, region };
    const now = system.now();
    const row = newAuthorityRow(home, request, system, now);
    const tags = tagsOf(request.Tags ?? []);
    // AWS does not say what a token used with other parameters is answered with.
    const mismatch = () => invalidArgs(tokenReusedMessage);
    const once = { accountId: home.accountId, operation: 'CreateCertificateAuthority', ClientToken, parameters, now, mismatch } as const;
    const CertificateAuthorityArn = await database.transaction(query =>
      createOnce(query, once, async () => {
        checkAuthorityQuota(quota, await countCertificateAuthorities(query, home));
        await insertCertificateAuthority(query, row);
        const arn = certificateAuthorityArn(home, row.ca_id);
        await putTags(query, arn, tags);
        return arn;
      }),
    );
    wakeLifecycle();
    return { CertificateAuthorityArn };
  }

  async describeCertificateAuthority({ CertificateAuthorityArn }: ArnRequest): Promise<{ CertificateAuthority: CertificateAuthority }> {
    const row = await this.#find(CertificateAuthorityArn);
    return { CertificateAuthority: describe(row, this.#dependencies.system.now()) };
  }

  async listCertificateAuthorities(
    principal: Principal,
    { ResourceOwner }: { ResourceOwner?: string },
    { limit, after }: PageRequest,
  ): Promise<{ CertificateAuthorities: CertificateAuthority[]; next?: string }> {
    const { database, system, region } = this.#dependencies;
    const now = system.now();
    const isShared = ResourceOwner === 'OTHER_ACCOUNTS';
    const list = isShared ? listCertificateAuthoritiesWithPolicy : listCertificateAuthorities;
    const pageSize = Math.min(limit, authoritiesPerPageMax);
    const found: CertificateAuthorityRow[] = [];
    // Which of the others' are for the caller to see only their policies say, so as many are read as it takes to fill the page and know of a next one.
    let afterId = after;
    for (;;) {
      const rows = await list(database.query, { accountId: principal.accountId, region, afterId, limit: pageSize + 1 });
      found.push(...rows.filter(row => !isGone(row, now) && (!isShared || admitsPrincipal(row, principal))));
      afterId = rows.at(-1)?.ca_id;
      if (rows.length <= pageSize || found.length > pageSize) break;
    }
    const page = found.slice(0, pageSize);
    const last = page.at(-1);
    return {
      CertificateAuthorities: page.map(row => describe(row, now)),
      ...(found.length > pageSize && last && { next: last.ca_id }),
    };
  }

  async updateCertificateAuthority({
    CertificateAuthorityArn,
    RevocationConfiguration: revocation,
    Status,
  }: ArnRequest & { RevocationConfiguration?: RevocationConfiguration; Status?: string }): Promise<Record<string, never>> {
    if (revocation === undefined && Status === undefined) throw invalidArgs('Give a Status, a RevocationConfiguration, or both.');
    if (Status !== undefined && Status !== 'ACTIVE' && Status !== 'DISABLED') {
      throw invalidArgs(`A certificate authority can be set to ACTIVE or DISABLED, not to ${Status}.`);
    }
    checkRevocationConfiguration(revocation ?? {});
    return this.#change(CertificateAuthorityArn, ['ACTIVE', 'DISABLED'], 'an update', row => ({
      status: Status ?? row.status,
      revocation_configuration: mergeRevocationConfiguration(row.revocation_configuration, revocation),
    }));
  }

  /** Connectors that use it stay, as at AWS: they can no longer issue. */
  async deleteCertificateAuthority({
    CertificateAuthorityArn,
    PermanentDeletionTimeInDays: days = restorableDaysDefault,
  }: ArnRequest & { PermanentDeletionTimeInDays?: number }): Promise<Record<string, never>> {
    const deletable = ['CREATING', 'PENDING_CERTIFICATE', 'DISABLED', 'EXPIRED', 'FAILED'] as const;
    return this.#change(CertificateAuthorityArn, deletable, 'deletion', (row, now) => ({
      status: 'DELETED',
      status_before_deletion: row.status,
      restorable_until_at: now + days * dayMs,
    }));
  }

  async restoreCertificateAuthority({ CertificateAuthorityArn }: ArnRequest): Promise<Record<string, never>> {
    await this.#change(CertificateAuthorityArn, ['DELETED'], 'restoring', row => ({
      status: row.status_before_deletion ?? 'DISABLED',
      status_before_deletion: null,
      restorable_until_at: null,
    }));
    // One that was deleted while it was being made is made now.
    this.#dependencies.wakeLifecycle();
    return {};
  }

  async getCertificateAuthorityCsr({ CertificateAuthorityArn }: ArnRequest): Promise<{ Csr: string }> {
    const row = await this.#find(CertificateAuthorityArn);
    if (row.status === 'CREATING') {
      throw new ServiceException(
        'RequestInProgressException',
        'The certificate authority is being created: its certificate signing request is not ready yet.',
      );
    }
    if (row.status === 'DELETED' || row.csr === null) throw hasNo('a certificate signing request', CertificateAuthorityArn);
    return { Csr: encodePem('CERTIFICATE REQUEST', row.csr) };
  }

  async getCertificateAuthorityCertificate({
    CertificateAuthorityArn,
  }: ArnRequest): Promise<{ Certificate: string; CertificateChain?: string }> {
    const row = await this.#find(CertificateAuthorityArn);
    const certificates = row.status === 'DELETED' ? undefined : certificatesOf(row);
    if (certificates === undefined) throw hasNo('a certificate', CertificateAuthorityArn);
    const [Certificate = '', ...issuers] = certificates.map(({ der }) => encodePem('CERTIFICATE', der));
    return { Certificate, ...(issuers.length > 0 && { CertificateChain: issuers.join('') }) };
  }

  async importCertificateAuthorityCertificate(request: ImportRequest): Promise<Record<string, never>> {
    return importCertificateAuthorityCertificate(this.#dependencies, request);
  }

  async createCertificateAuthorityAuditReport({ CertificateAuthorityArn }: ArnRequest): Promise<never> {
    await this.#find(CertificateAuthorityArn);
    throw new ServiceException('RequestFailedException', auditReportsAdvice);
  }

  async describeCertificateAuthorityAuditReport({ CertificateAuthorityArn }: ArnRequest): Promise<never> {
    await this.#find(CertificateAuthorityArn);
    throw new ServiceException('ResourceNotFoundException', auditReportsAdvice);
  }

  async #find(arn: string): Promise<CertificateAuthorityRow> {
    const { database, system, region } = this.#dependencies;
    return getAuthorityRow(database.query, region, system.now(), arn);
  }

  /** One change in one transaction, of an authority that is in one of the states. */
  async #change(
    arn: string,
    from: readonly CertificateAuthorityStatus[],
    action: string,
    change: (row: CertificateAuthorityRow, now: number) => Omit<AuthorityChange, 'updated_at'>,
  ): Promise<Record<string, never>> {
    const { database, system, region } = this.#dependencies;
    const now = system.now();
    await database.transaction(async query => {
      const row = await getAuthorityRow(query, region, now, arn);
      checkStatus(row, now, from, action);
      await updateCertificateAuthority(query, row.ca_id, [row.status], { ...change(row, now), updated_at: now });
    });
    return {};
  }
}

function newAuthorityRow({ accountId, region }: Home, request: CreateRequest, system: System, now: number) {
  const {
    CertificateAuthorityConfiguration: configuration,
    KeyStorageSecurityStandard = keyStorageDefault,
    RevocationConfiguration,
  } = request;
  const order = keyOrderOf(configuration);
  if (KeyStorageSecurityStandard === 'CCPC_LEVEL_1_OR_HIGHER') {
    throw invalidArgs('A certificate authority cannot be created in this region with the specified security standard.');
  }
  checkRevocationConfiguration(RevocationConfiguration ?? {});
  return {
    ca_id: system.randomUUID(),
    account_id: accountId,
    region,
    type: request.CertificateAuthorityType === 'ROOT' ? 'ROOT' : 'SUBORDINATE',
    status: 'CREATING',
    usage_mode: request.UsageMode === 'SHORT_LIVED_CERTIFICATE' ? 'SHORT_LIVED_CERTIFICATE' : 'GENERAL_PURPOSE',
    key_algorithm: order.keyAlgorithm,
    signing_algorithm: order.signingAlgorithm,
    subject: formatSubject(order.subject),
    configuration: JSON.stringify(configuration),
    sealed_key: new Uint8Array(0),
    key_storage_security_standard: KeyStorageSecurityStandard,
    revocation_configuration: mergeRevocationConfiguration(null, RevocationConfiguration),
    created_at: now,
    updated_at: now,
    state_changed_at: now,
  } as const;
}

function checkAuthorityQuota(quota: number, count: number): void {
  if (count < quota) return;
  const { description } = resourceQuotas.CERTIFICATE_AUTHORITIES;
  throw new ServiceException('LimitExceededException', `The quota of ${quota} ${description} is reached.`);
}

function describe(row: CertificateAuthorityRow, now: number): CertificateAuthority {
  const Status = statusOf(row, now);
  const changedAt = row.state_changed_at ?? row.updated_at;
  return {
    Arn: certificateAuthorityArn({ accountId: row.account_id, region: row.region }, row.ca_id),
    OwnerAccount: row.account_id,
    CreatedAt: row.created_at,
    LastStateChangeAt: Status === 'EXPIRED' ? Math.max(changedAt, row.not_after ?? 0) : changedAt,
    Type: row.type,
    ...(row.certificate !== null && { Serial: row.serial_number ?? parseCertificate(row.certificate).serialNumber }),
    Status,
    ...(row.not_before !== null && { NotBefore: row.not_before }),
    ...(row.not_after !== null && { NotAfter: row.not_after }),
    ...(row.failure_reason !== null && { FailureReason: row.failure_reason }),
    CertificateAuthorityConfiguration: describeConfiguration(row),
    RevocationConfiguration: describeRevocationConfiguration(row.revocation_configuration),
    ...(row.restorable_until_at !== null && { RestorableUntil: row.restorable_until_at }),
    KeyStorageSecurityStandard: row.key_storage_security_standard ?? keyStorageDefault,
    UsageMode: row.usage_mode,
  };
}

function hasNo(what: string, arn: string): ServiceException {
  return new ServiceException('InvalidStateException', `The certificate authority ${arn} is not in the correct state to have ${what}.`);
}
