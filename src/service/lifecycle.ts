/** The worker that takes connectors along the drawn arrows: CREATING to ACTIVE or FAILED, DELETING to gone. Each is claimed by a lease, so many nodes may run it. */
import { CaError } from '../backends/ca/certificate-authority.ts';
import { deleteChallengesOf } from '../backends/store/challenges.ts';
import { claimConnectors, deleteConnectorRow, updateConnectorStatus } from '../backends/store/connectors.ts';
import { type ConnectorRow, type Database, StoreError } from '../backends/store/database.ts';
import { deleteDynamicChallengesOf } from '../backends/store/dynamic-challenges.ts';
import { deleteRaKeysOf } from '../backends/store/ra-keys.ts';
import { deleteAllTags, deleteTagsUnder } from '../backends/store/tags.ts';
import { connectorActivated, connectorDeleted, connectorFailed, type Log } from '../base/events.ts';
import { type ConnectorStatusReason, connectorArn } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import type { Audit } from './audit.ts';
import type { CertificateAuthorities } from './certificate-authorities.ts';
import type { Endpoints } from './endpoints.ts';
import type { RaKeys } from './ra-keys.ts';
import { StepLoop } from './step-loop.ts';

export const lifecycleLimits = { connectorsPerStepMax: 10, leaseMs: 60_000, intervalMs: 5000 } as const;

interface LifecycleParts {
  database: Database;
  system: System;
  audit: Audit;
  log: Log;
  certificateAuthorities: CertificateAuthorities;
  raKeys: RaKeys;
  endpoints: Endpoints;
}

export class Lifecycle extends StepLoop {
  readonly #parts: LifecycleParts;

  constructor(parts: LifecycleParts) {
    const { connectorsPerStepMax: itemsPerStepMax, intervalMs } = lifecycleLimits;
    super({ name: 'lifecycle', intervalMs, itemsPerStepMax, log: parts.log });
    this.#parts = parts;
  }

  /** Claims up to `connectorsPerStepMax` connectors and settles each. Returns how many it claimed. */
  async step(): Promise<number> {
    const { database, system } = this.#parts;
    const now = system.now();
    const claimed = await claimConnectors(database.query, {
      statuses: ['CREATING', 'DELETING'],
      now,
      leaseUntilAt: now + lifecycleLimits.leaseMs,
      limit: lifecycleLimits.connectorsPerStepMax,
    });
    for (const connector of claimed) await (connector.status === 'CREATING' ? this.#create(connector) : this.#delete(connector));
    return claimed.length;
  }

  async #create(connector: ConnectorRow): Promise<void> {
    const { audit, certificateAuthorities, raKeys, endpoints } = this.#parts;
    const subject = subjectOf(connector);
    try {
      const problem = endpoints.findProblem(connector.vpc_endpoint_id);
      if (problem !== undefined) return await this.#fail(connector, problem);
      const issuer = await certificateAuthorities.openForConnector(connector.certificate_authority_arn);
      const { serialNumber, notAfter } = await raKeys.createKeyPair(connector.connector_id, issuer);
      if (await this.#settle(connector, 'ACTIVE')) await audit.record(connectorActivated(subject, { serialNumber, notAfter }));
    } catch (error) {
      // The store being away is no verdict on the connector: the lease runs out and the work is done then.
      if (error instanceof StoreError) throw error;
      this.#parts.log.error({ err: error, connectorId: connector.connector_id }, 'a connector could not be created');
      await this.#fail(connector, error instanceof CaError ? error.reason : 'INTERNAL_FAILURE');
    }
  }

  async #fail(connector: ConnectorRow, statusReason: ConnectorStatusReason): Promise<void> {
    const isSettled = await this.#settle(connector, 'FAILED', statusReason);
    if (isSettled) await this.#parts.audit.record(connectorFailed(subjectOf(connector), statusReason));
  }

  async #settle(connector: ConnectorRow, to: 'ACTIVE' | 'FAILED', statusReason?: ConnectorStatusReason): Promise<boolean> {
    const { database, system } = this.#parts;
    return updateConnectorStatus(database.query, connector.connector_id, ['CREATING'], to, { statusReason, updatedAt: system.now() });
  }

  /** Its certificates and transactions stay: they are the record of what was issued. */
  async #delete(connector: ConnectorRow): Promise<void> {
    const { database, audit } = this.#parts;
    const { connectorId } = subjectOf(connector);
    const arn = connectorArn({ accountId: connector.account_id, region: connector.region }, connectorId);
    const event = connectorDeleted(subjectOf(connector));
    await database.transaction(async query => {
      await deleteChallengesOf(query, connectorId);
      await deleteDynamicChallengesOf(query, connectorId);
      await deleteRaKeysOf(query, connectorId);
      await deleteTagsUnder(query, arn);
      await deleteAllTags(query, arn);
      await deleteConnectorRow(query, connectorId);
      await audit.insert(query, event);
    });
    audit.log(event);
  }
}

function subjectOf(connector: ConnectorRow): { accountId: string; region: string; connectorId: string } {
  return { accountId: connector.account_id, region: connector.region, connectorId: connector.connector_id };
}
