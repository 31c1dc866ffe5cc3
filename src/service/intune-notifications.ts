/** The outbox to Intune: a certificate is held until Intune has taken notice of it, and withdrawn when it does not; failures are told as well. */
import { createHash } from 'node:crypto';
import type { IntuneVerdict } from '../backends/intune/intune-client.ts';
import { MicrosoftError } from '../backends/intune/microsoft-error.ts';
import type { KeyProtector } from '../backends/key-protector.ts';
import { findCertificate } from '../backends/store/certificates.ts';
import { findConnectorById } from '../backends/store/connectors.ts';
import type { CertificateRow, Database, IntuneNotificationRow, Query } from '../backends/store/database.ts';
import {
  claimDueNotifications,
  claimNotification,
  deleteNotification,
  insertNotification,
  postponeNotification,
} from '../backends/store/intune-notifications.ts';
import { moveTransaction } from '../backends/store/transactions.ts';
import {
  certificateHeld,
  certificateWithdrawn,
  type IntuneSubject,
  intuneNotificationGivenUp,
  intuneNotified,
  type Log,
} from '../base/events.ts';
import { formatName } from '../base/pki/name.ts';
import { parseCertificate } from '../base/pki/x509.ts';
import { connectorArn } from '../base/resources.ts';
import { SingleFlight } from '../base/single-flight.ts';
import type { System } from '../base/system.ts';
import type { Audit } from './audit.ts';
import { type IntuneAccess, intuneConnectorOf } from './intune-access.ts';
import { CertificateHeldError } from './outage.ts';
import { revoke } from './revocation.ts';
import type { IntuneConnector } from './scep-requests.ts';
import { StepLoop } from './step-loop.ts';

export const intuneNotificationLimits = {
  notificationsPerStepMax: 20,
  intervalMs: 5000,
  /** Longer than all the calls that one attempt can take. */
  leaseMs: 60_000,
  /** Whoever has the certificate issued notifies at once; the worker does when that process has died. */
  firstAttemptMs: 60_000,
  retryMsMin: 15_000,
  retryMsMax: 5 * 60_000,
  /** Intune's challenge lives an hour: a device that still wants a certificate has begun anew by then. */
  heldMsMax: 60 * 60_000,
  /** For telling of a failure, which nobody waits for. */
  failureMsMax: 24 * 60 * 60_000,
} as const;

/** HRESULTs of ours (MS-ERREF section 2.1): severity 1 and the customer bit. Intune's console shows them. */
const hResult = 0xa000_0001;

/** What Intune is to be told, before it is written. */
interface NewNotification {
  transactionRowId: string;
  transactionID: string;
  connectorId: string;
  sealedCsr: Uint8Array;
  /** A certificate, or why there is none. */
  outcome: { certificateId: string } | { errorDescription: string };
}

interface IntuneNotificationsParts {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
  audit: Audit;
  log: Log;
  intune: IntuneAccess;
}

export class IntuneNotifications extends StepLoop {
  readonly #parts: IntuneNotificationsParts;
  /** Of this process: copies of one request wait for the same attempt. */
  readonly #deliveries = new SingleFlight<void>();

  constructor(parts: IntuneNotificationsParts) {
    const { notificationsPerStepMax: itemsPerStepMax, intervalMs } = intuneNotificationLimits;
    super({ name: 'intune-notifications', intervalMs, itemsPerStepMax, log: parts.log });
    this.#parts = parts;
  }

  /** The CSR has the challenge in it. */
  async sealCsr(transactionRowId: string, csr: Uint8Array): Promise<Uint8Array> {
    return this.#parts.keyProtector.seal(csr, sealingContext(transactionRowId));
  }

  /** Within the transaction that records the outcome. */
  async insert(query: Query, { transactionRowId, transactionID, connectorId, sealedCsr, outcome }: NewNotification): Promise<void> {
    const now = this.#parts.system.now();
    const isIssued = 'certificateId' in outcome;
    await insertNotification(query, {
      transaction_row_id: transactionRowId,
      connector_id: connectorId,
      kind: isIssued ? 'SUCCESS' : 'FAILURE',
      transaction_id: transactionID,
      sealed_csr: sealedCsr,
      certificate_id: isIssued ? outcome.certificateId : null,
      error_description: isIssued ? null : outcome.errorDescription,
      attempts: 0,
      next_attempt_at: isIssued ? now + intuneNotificationLimits.firstAttemptMs : now,
      lease_until_at: 0,
      created_at: now,
    });
  }

  /**
   * Tells Intune now, unless another process is at it. The transaction then says how it ended; throws CertificateHeldError when Intune has not taken
   * notice.
   */
  async deliver(transactionRowId: string): Promise<void> {
    return this.#deliveries.run(transactionRowId, () => this.#deliver(transactionRowId));
  }

  async #deliver(transactionRowId: string): Promise<void> {
    const { database, system } = this.#parts;
    const now = system.now();
    const claim = { now, leaseUntilAt: now + intuneNotificationLimits.leaseMs };
    const row = await claimNotification(database.query, transactionRowId, claim);
    const held = row && (await this.#attempt(row));
    if (held !== undefined) throw held;
  }

  /** What is due, because a process died or Intune did not take it. */
  async step(): Promise<number> {
    const { database, system, log } = this.#parts;
    const now = system.now();
    const { leaseMs, notificationsPerStepMax: limit } = intuneNotificationLimits;
    const rows = await claimDueNotifications(database.query, { now, leaseUntilAt: now + leaseMs, limit });
    await Promise.all(
      rows.map(async row => {
        const held = await this.#attempt(row);
        if (held !== undefined) log.warn({ connectorId: row.connector_id, reason: held.message }, 'Intune was not notified');
      }),
    );
    return rows.length;
  }

  /** The lease is ours. Undefined when there is nothing more to tell. */
  async #attempt(row: IntuneNotificationRow): Promise<CertificateHeldError | undefined> {
    const { database } = this.#parts;
    const connector = await findConnectorById(database.query, row.connector_id);
    const certificate = row.certificate_id === null ? undefined : await findCertificate(database.query, row.certificate_id);
    const intune = connector && intuneConnectorOf(connector);
    // The connector is gone, and its notifications with it.
    if (intune === undefined) return undefined;
    if (certificate?.status === 'REVOKED') {
      await this.#withdraw(row, intune, certificate, 'The certificate was revoked before Intune had taken notice of it.');
      return undefined;
    }
    const answer = await this.#send(row, intune, certificate);
    if ('isSuccess' in answer && (answer.isSuccess || row.kind === 'FAILURE')) {
      await this.#settle(row, intune, { certificate, activityId: answer.activityId });
      return undefined;
    }
    const reason = 'isSuccess' in answer ? refusalText(answer) : answer.message;
    const retryAfterMs = 'isSuccess' in answer ? undefined : answer.retryAfterMs;
    return this.#postpone(row, intune, { certificate, reason, retryAfterMs });
  }

  async #send(
    row: IntuneNotificationRow,
    connector: IntuneConnector,
    certificate: CertificateRow | undefined,
  ): Promise<IntuneVerdict | MicrosoftError> {
    const { intune, keyProtector } = this.#parts;
    const csr = await keyProtector.unseal(row.sealed_csr, sealingContext(row.transaction_row_id));
    const request = { transactionID: row.transaction_id, csr };
    const client = intune.clientOf(connector);
    try {
      if (row.kind === 'FAILURE') {
        return await intune.client.notifyFailure(client, request, { hResult, description: row.error_description ?? '' });
      }
      return await intune.client.notifySuccess(client, request, noticeOf(connector, certificate));
    } catch (error) {
      if (error instanceof MicrosoftError) return error;
      throw error;
    }
  }

  /** Intune knows: the device may have its certificate. */
  async #settle(
    row: IntuneNotificationRow,
    connector: IntuneConnector,
    { certificate, activityId }: { certificate: CertificateRow | undefined; activityId: string },
  ): Promise<void> {
    const { database, audit, system } = this.#parts;
    const event = intuneNotified(subjectOf(connector, row), { kind: row.kind, activityId, serialNumber: certificate?.serial_number });
    const isSettled = await database.transaction(async query => {
      if (!(await deleteNotification(query, row))) return false;
      if (certificate !== undefined) {
        const change = { status: 'SUCCESS', updated_at: system.now() } as const;
        await moveTransaction(query, row.transaction_row_id, { status: 'NOTIFYING', certificate_id: certificate.certificate_id }, change);
      }
      await audit.insert(query, event);
      return true;
    });
    if (isSettled) audit.log(event);
  }

  async #postpone(
    row: IntuneNotificationRow,
    connector: IntuneConnector,
    {
      certificate,
      reason,
      retryAfterMs = 0,
    }: { certificate: CertificateRow | undefined; reason: string; retryAfterMs: number | undefined },
  ): Promise<CertificateHeldError | undefined> {
    const { database, audit, system } = this.#parts;
    const { heldMsMax, failureMsMax, retryMsMin, retryMsMax } = intuneNotificationLimits;
    const now = system.now();
    const isOver = now >= row.created_at + (row.kind === 'SUCCESS' ? heldMsMax : failureMsMax);
    if (isOver && certificate !== undefined) {
      await this.#withdraw(row, connector, certificate, `Intune has not taken notice of the certificate in time. ${reason}`);
      return undefined;
    }
    if (isOver) {
      if (await deleteNotification(database.query, row)) await audit.record(intuneNotificationGivenUp(subjectOf(connector, row), reason));
      return undefined;
    }
    const waitMs = Math.max(Math.min(retryMsMin * 2 ** row.attempts, retryMsMax), retryAfterMs);
    const postponed = { attempts: row.attempts + 1, nextAttemptAt: now + waitMs };
    await postponeNotification(database.query, row.transaction_row_id, postponed);
    if (row.attempts === 0 && certificate !== undefined) {
      await audit.record(certificateHeld(subjectOf(connector, row), reason, { serialNumber: certificate.serial_number }));
    }
    return new CertificateHeldError(reason, retryAfterMs || undefined);
  }

  /** Nobody was given the certificate, and nobody will be: it is revoked, the transaction has failed, and Intune is told that. */
  async #withdraw(row: IntuneNotificationRow, connector: IntuneConnector, certificate: CertificateRow, reason: string): Promise<void> {
    const { database, audit, system } = this.#parts;
    const now = system.now();
    const event = certificateWithdrawn(subjectOf(connector, row), reason, { serialNumber: certificate.serial_number });
    const isWithdrawn = await database.transaction(async query => {
      if (!(await deleteNotification(query, row))) return false;
      await revoke(query, certificate, { reason: 'CESSATION_OF_OPERATION', now });
      const change = { status: 'FAILURE', reason, updated_at: now } as const;
      await moveTransaction(query, row.transaction_row_id, { status: 'NOTIFYING', certificate_id: certificate.certificate_id }, change);
      const failed = { kind: 'FAILURE', certificate_id: null, error_description: reason, attempts: 0 } as const;
      await insertNotification(query, { ...row, ...failed, next_attempt_at: now, lease_until_at: 0, created_at: now });
      await audit.insert(query, event);
      return true;
    });
    if (isWithdrawn) audit.log(event);
    this.wake();
  }
}

function noticeOf(connector: IntuneConnector, row: CertificateRow | undefined) {
  if (!row?.certificate) throw new Error('Intune is to be told of a certificate that was not issued');
  const { notAfter, issuer, der } = parseCertificate(row.certificate);
  return {
    thumbprint: createHash('sha1').update(der).digest('hex').toUpperCase(),
    serialNumber: row.serial_number.toUpperCase(),
    notAfter,
    issuer: formatName(issuer),
    connectorArn: connectorArn(connector, connector.connectorId),
  };
}

function refusalText({ code, description, activityId }: IntuneVerdict): string {
  return `Intune does not take notice of the certificate: ${[code, description].filter(text => text !== '').join(': ')} (activity ${activityId}).`;
}

function subjectOf({ accountId, region, connectorId }: IntuneConnector, row: IntuneNotificationRow): IntuneSubject {
  return { accountId, region, connectorId, transactionID: row.transaction_id };
}

function sealingContext(transactionRowId: string): string {
  return `intune-notifications/${transactionRowId}`;
}
