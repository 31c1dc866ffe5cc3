/** Every auditable event, one function each: what becomes a row of the audit table, a line of the log and a count. Never a secret. */

export interface AuditEvent {
  name: string;
  accountId?: string | undefined;
  region?: string | undefined;
  connectorId?: string | undefined;
  /** The ARN of who asked for it; absent where a device or the server itself did. */
  principal?: string | undefined;
  /** The address of the peer. */
  source?: string | undefined;
  outcome: 'success' | 'failure';
  /** Why it failed, in a sentence. */
  reason?: string | undefined;
  detail: Readonly<Record<string, string | number>>;
}

/** Where log lines go: the part of pino's interface that is used. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The connector and the device's side of a SCEP transaction, as its events name them. */
export interface ScepSubject {
  accountId: string;
  region: string;
  connectorId: string;
  transactionID: string;
  source: string;
}

export function certificateIssued(
  subject: ScepSubject,
  certificate: { serialNumber: string; subject: string; notAfter: number },
): AuditEvent {
  return {
    name: 'CertificateIssued',
    ...scepFields(subject),
    outcome: 'success',
    detail: { transactionID: subject.transactionID, ...certificate },
  };
}

export function enrolmentRefused(subject: ScepSubject, refusal: { failInfo: string; reason: string }): AuditEvent {
  const detail = { transactionID: subject.transactionID, failInfo: refusal.failInfo };
  return { name: 'EnrolmentRefused', ...scepFields(subject), outcome: 'failure', reason: refusal.reason, detail };
}

function scepFields({
  accountId,
  region,
  connectorId,
  source,
}: ScepSubject): Pick<AuditEvent, 'accountId' | 'region' | 'connectorId' | 'source'> {
  return { accountId, region, connectorId, source };
}

interface ConnectorSubject {
  accountId: string;
  region: string;
  connectorId: string;
}

export function connectorActivated(subject: ConnectorSubject, raCertificate: { serialNumber: string; notAfter: number }): AuditEvent {
  return { name: 'ConnectorActivated', ...subject, outcome: 'success', detail: raCertificate };
}

export function connectorFailed(subject: ConnectorSubject, statusReason: string): AuditEvent {
  return { name: 'ConnectorFailed', ...subject, outcome: 'failure', reason: statusReason, detail: {} };
}

export function connectorDeleted(subject: ConnectorSubject): AuditEvent {
  return { name: 'ConnectorDeleted', ...subject, outcome: 'success', detail: {} };
}
