/** The worker that revokes what Intune wants revoked: it fetches a tenant's requests, answers those for the connector's own certificates, and leaves the rest. */
import { type RevocationRequest, type RevocationResult, revocationErrors } from '../backends/intune/intune-client.ts';
import { MicrosoftError } from '../backends/intune/microsoft-error.ts';
import { findCertificateBySerial } from '../backends/store/certificates.ts';
import { claimRevocationPolls } from '../backends/store/connectors.ts';
import { attempt, type ConnectorRow, type Database } from '../backends/store/database.ts';
import { certificateRevokedByIntune, type Log } from '../base/events.ts';
import { connectorArn, parseCertificateAuthorityArn } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import type { Audit } from './audit.ts';
import { type IntuneAccess, intuneConnectorOf } from './intune-access.ts';
import { revoke } from './revocation.ts';
import type { IntuneConnector } from './scep-requests.ts';
import { StepLoop } from './step-loop.ts';

export const intuneRevocationLimits = {
  connectorsPerStepMax: 10,
  intervalMs: 30_000,
  /** Between two looks at a connector's queue; a wiped device's certificate is good that much longer. */
  pollMs: 5 * 60_000,
} as const;

interface IntuneRevocationsParts {
  database: Database;
  system: System;
  audit: Audit;
  log: Log;
  intune: IntuneAccess;
}

export class IntuneRevocations extends StepLoop {
  readonly #parts: IntuneRevocationsParts;

  constructor(parts: IntuneRevocationsParts) {
    const { connectorsPerStepMax: itemsPerStepMax, intervalMs } = intuneRevocationLimits;
    super({ name: 'intune-revocations', intervalMs, itemsPerStepMax, log: parts.log });
    this.#parts = parts;
  }

  /** Those that are due, each by one of many nodes. A queue that cannot be had now is there the next time. */
  async step(): Promise<number> {
    const { database, system, log } = this.#parts;
    const now = system.now();
    const { pollMs, connectorsPerStepMax: limit } = intuneRevocationLimits;
    const due = await claimRevocationPolls(database.query, { now, nextPollAt: now + pollMs, limit });
    for (const row of due) {
      try {
        await this.#poll(row);
      } catch (error) {
        if (!(error instanceof MicrosoftError)) throw error;
        const { connector_id: connectorId } = row;
        log.warn({ connectorId, reason: error.message }, 'the revocation requests of Intune could not be fetched or answered');
      }
    }
    return due.length;
  }

  async #poll(row: ConnectorRow): Promise<void> {
    const { intune } = this.#parts;
    const connector = intuneConnectorOf(row);
    if (connector === undefined) return;
    const client = intune.clientOf(connector);
    const requests = await intune.client.downloadRevocationRequests(client);
    const results: RevocationResult[] = [];
    const caId = parseCertificateAuthorityArn(row.certificate_authority_arn)?.caId ?? '';
    for (const request of requests) results.push(...(await this.#answer(connector, caId, request)));
    if (results.length > 0) await intune.client.uploadRevocationResults(client, results);
  }

  /** None for another's certificate: its own connector, or another product, answers that. What is revoked already is answered as if it were now. */
  async #answer(
    connector: IntuneConnector,
    caId: string,
    { requestContext, serialNumber, caConfiguration }: RevocationRequest,
  ): Promise<RevocationResult[]> {
    const { database, audit, system } = this.#parts;
    const { accountId, region, connectorId } = connector;
    const row = await findCertificateBySerial(database.query, { caId, serialNumber: normalSerialNumber(serialNumber) });
    const isOwn = row !== undefined && row.connector_id === connectorId && row.kind === 'DEVICE' && row.status !== 'ISSUING';
    if (!isOwn) {
      if (caConfiguration !== connectorArn(connector, connectorId)) return [];
      const errorMessage = 'The connector has issued no certificate with this serial number.';
      return [{ requestContext, succeeded: false, errorCode: revocationErrors.certificateNotFound, errorMessage }];
    }
    const event = certificateRevokedByIntune({ accountId, region, connectorId }, { serialNumber: row.serial_number, subject: row.subject });
    const isRevoked = await attempt(database, async query => {
      if (!(await revoke(query, row, { reason: 'CESSATION_OF_OPERATION', now: system.now() }))) return false;
      await audit.insert(query, event);
      return true;
    });
    if (isRevoked) audit.log(event);
    return [{ requestContext, succeeded: true, errorCode: revocationErrors.none, errorMessage: null }];
  }
}

/** As the store has it: 32 lower-case digits. Whoever echoes a number may have dropped its zeros or changed its case. */
function normalSerialNumber(text: string): string {
  return text.toLowerCase().replace(/^0x/, '').padStart(32, '0');
}
