/** The worker that takes connectors along the drawn arrows, CREATING to ACTIVE or FAILED, DELETING to gone, and renews their RA and OIDC keys. Each is claimed by a lease, so many nodes may run it. */
import { CaError } from '../backends/ca/certificate-authority.ts';
import { findCertificate } from '../backends/store/certificates.ts';
import { deleteChallengesOf } from '../backends/store/challenges.ts';
import {
  activateConnector,
  claimConnectors,
  deleteConnectorRow,
  findConnectorById,
  postponeRaRenewal,
  updateConnectorStatus,
} from '../backends/store/connectors.ts';
import { attempt, type ConnectorRow, type Database, type Query, StoreError } from '../backends/store/database.ts';
import { deleteDynamicChallengesOf } from '../backends/store/dynamic-challenges.ts';
import { deleteNotificationsOf } from '../backends/store/intune-notifications.ts';
import { deleteOidcKeysOf } from '../backends/store/oidc-keys.ts';
import { deleteRaKeysOf } from '../backends/store/ra-keys.ts';
import { deleteAllTags, deleteTagsUnder } from '../backends/store/tags.ts';
import {
  type AuditEvent,
  connectorActivated,
  connectorDeleted,
  connectorFailed,
  type Log,
  raKeyRenewalFailed,
  raKeyRenewed,
} from '../base/events.ts';
import { type ConnectorStatusReason, connectorArn } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import type { Audit } from './audit.ts';
import type { CertificateAuthorities, OpenAuthority } from './certificate-authorities.ts';
import type { Endpoints } from './endpoints.ts';
import { enrolmentPolicyOf } from './enrolment-policies.ts';
import type { OidcKeys } from './oidc-keys.ts';
import type { NewRaKeys, RaKeys } from './ra-keys.ts';
import { revoke } from './revocation.ts';
import { StepLoop } from './step-loop.ts';

export const lifecycleLimits = {
  connectorsPerStepMax: 10,
  leaseMs: 60_000,
  intervalMs: 5000,
  /** Between attempts to renew RA keys. */
  raRetryMs: 10 * 60_000,
} as const;

interface LifecycleParts {
  database: Database;
  system: System;
  audit: Audit;
  log: Log;
  certificateAuthorities: CertificateAuthorities;
  raKeys: RaKeys;
  oidcKeys: OidcKeys;
  endpoints: Endpoints;
}

export class Lifecycle extends StepLoop {
  readonly #parts: LifecycleParts;

  constructor(parts: LifecycleParts) {
    const { connectorsPerStepMax: itemsPerStepMax, intervalMs } = lifecycleLimits;
    super({ name: 'lifecycle', intervalMs, itemsPerStepMax, log: parts.log });
    this.#parts = parts;
  }

  /** Claims up to `connectorsPerStepMax` connectors and settles each, deletes dead RA keys and rotates OIDC keys. Returns how many it claimed. */
  async step(): Promise<number> {
    const { database, system, raKeys, oidcKeys } = this.#parts;
    const now = system.now();
    const claimed = await claimConnectors(database.query, {
      now,
      leaseUntilAt: now + lifecycleLimits.leaseMs,
      limit: lifecycleLimits.connectorsPerStepMax,
    });
    for (const connector of claimed) await this.#settle(connector);
    await raKeys.deleteDeadKeys();
    await oidcKeys.rotate();
    return claimed.length;
  }

  async #settle(connector: ConnectorRow): Promise<void> {
    switch (connector.status) {
      case 'CREATING':
        return this.#create(connector);
      case 'ACTIVE':
        return this.#renew(connector);
      case 'DELETING':
        return this.#delete(connector);
      case 'FAILED':
        throw new Error('a FAILED connector was claimed');
      default:
        return connector.status satisfies never;
    }
  }

  async #create(connector: ConnectorRow): Promise<void> {
    try {
      const problem = this.#parts.endpoints.findProblem(connector.vpc_endpoint_id);
      if (problem !== undefined) return await this.#fail(connector, problem);
      if (connector.type === 'INTUNE') await this.#parts.oidcKeys.createKey(connector);
      await this.#giveRaKeys(connector, 'CREATING');
    } catch (error) {
      // The store being away is no verdict on the connector: the lease runs out and the work is done then.
      if (error instanceof StoreError) throw error;
      this.#parts.log.error({ err: error, connectorId: connector.connector_id }, 'a connector could not be created');
      await this.#fail(connector, error instanceof CaError ? error.reason : 'INTERNAL_FAILURE');
    }
  }

  async #fail(connector: ConnectorRow, statusReason: ConnectorStatusReason): Promise<void> {
    const { audit, database, system } = this.#parts;
    const change = { statusReason, updatedAt: system.now() };
    const isFailed = await updateConnectorStatus(database.query, connector.connector_id, ['CREATING'], 'FAILED', change);
    if (isFailed) await audit.record(connectorFailed(subjectOf(connector), statusReason));
  }

  /** A connector whose keys cannot be renewed stays ACTIVE and answers with those it has, as long as they live. */
  async #renew(connector: ConnectorRow): Promise<void> {
    const { audit, database, system, log } = this.#parts;
    try {
      await this.#giveRaKeys(connector, 'ACTIVE');
    } catch (error) {
      if (error instanceof StoreError) throw error;
      log.error({ err: error, connectorId: connector.connector_id }, 'the RA keys of a connector could not be renewed');
      const retryAt = system.now() + lifecycleLimits.raRetryMs;
      await postponeRaRenewal(database.query, connector.connector_id, { from: connector.ra_renewal_at, until: retryAt });
      const isKnown = error instanceof CaError;
      const reason = isKnown ? error.message : 'An internal error occurred.';
      const statusReason = isKnown ? error.reason : 'INTERNAL_FAILURE';
      await audit.record(raKeyRenewalFailed(subjectOf(connector), reason, { statusReason, retryAt }));
    }
  }

  /** In one transaction the keys, the connector that is ACTIVE with them until they are due, and the event. Nothing of it when it is no longer `from`. */
  async #giveRaKeys(connector: ConnectorRow, from: 'CREATING' | 'ACTIVE'): Promise<void> {
    const { audit, certificateAuthorities, raKeys } = this.#parts;
    const issuer = await certificateAuthorities.openForConnector(connector.certificate_authority_arn);
    const { RaCertificates } = enrolmentPolicyOf(connector);
    let event: AuditEvent | undefined;
    const made = await raKeys.createKeyPairs(connector.connector_id, issuer, RaCertificates, async (query, keys) => {
      const raRenewalAt = await this.#nextRenewal(query, connector, issuer, keys);
      if (raRenewalAt === undefined) return false;
      const now = this.#parts.system.now();
      if (!(await activateConnector(query, connector.connector_id, { from, raRenewalAt, now }))) return false;
      event = (from === 'CREATING' ? connectorActivated : raKeyRenewed)(subjectOf(connector), keys);
      await audit.insert(query, event);
      return true;
    });
    if (made !== undefined && event !== undefined) audit.log(event);
  }

  /**
   * At once when the CA's certificate or the policy is no longer the one that the keys were made for. Undefined when the connector is gone, or when
   * another worker was faster.
   */
  async #nextRenewal(query: Query, connector: ConnectorRow, issuer: OpenAuthority, keys: NewRaKeys): Promise<number | undefined> {
    const row = await findConnectorById(query, connector.connector_id);
    if (row === undefined || (row.status === 'ACTIVE' && row.ra_renewal_at > this.#parts.system.now())) return undefined;
    const isSamePolicy = enrolmentPolicyOf(row).RaCertificates === enrolmentPolicyOf(connector).RaCertificates;
    return isSamePolicy && (await this.#parts.certificateAuthorities.isUnchanged(query, issuer)) ? keys.renewalAt : 0;
  }

  /** Its certificates and transactions stay: they are the record of what was issued. */
  async #delete(connector: ConnectorRow): Promise<void> {
    const { database, audit } = this.#parts;
    const { connectorId } = subjectOf(connector);
    const arn = connectorArn({ accountId: connector.account_id, region: connector.region }, connectorId);
    const event = connectorDeleted(subjectOf(connector));
    const isDeleted = await attempt(database, async query => {
      await deleteChallengesOf(query, connectorId);
      await deleteDynamicChallengesOf(query, connectorId);
      await deleteRaKeysOf(query, connectorId);
      await deleteOidcKeysOf(query, connectorId);
      for (const { certificate_id: certificateId } of await deleteNotificationsOf(query, connectorId)) {
        // Nobody can fetch it any more, and Intune will not know of it.
        const held = certificateId === null ? undefined : await findCertificate(query, certificateId);
        if (held !== undefined) await revoke(query, held, { reason: 'CESSATION_OF_OPERATION', now: this.#parts.system.now() });
      }
      await deleteTagsUnder(query, arn);
      await deleteAllTags(query, arn);
      if (!(await deleteConnectorRow(query, connectorId))) return false;
      await audit.insert(query, event);
      return true;
    });
    if (isDeleted) audit.log(event);
  }
}

function subjectOf(connector: ConnectorRow): { accountId: string; region: string; connectorId: string } {
  return { accountId: connector.account_id, region: connector.region, connectorId: connector.connector_id };
}
