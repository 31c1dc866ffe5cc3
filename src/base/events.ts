/** Every auditable event, one function each: what becomes a record of the audit trail and a line of the log. Never a secret. */
import { type AuditCategory, boundParameters, type CallDetail, cutText, resourcesOf } from './cloud-trail.ts';
import { connectorService } from './private-ca.ts';
import { type Principal, parseChallengeArn, parseConnectorArn, parseRequestArn } from './resources.ts';

export interface AuditEvent {
  category: AuditCategory;
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
  /** Whoever caused it is answered only once it is on the disk, so that a crash after the answer loses nothing. */
  awaited: boolean;
  detail: object;
}

/** Where log lines go: the part of pino's interface that is used. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A call of the API by someone who is known. Parameters and response are as JSON shows them, with every secret masked. */
export interface ApiCall {
  operation: string;
  eventSource: string;
  principal: Principal;
  region: string;
  /** The address of the peer. */
  source: string;
  userAgent?: string;
  /** The Host header. */
  host?: string;
  requestId: string;
  readOnly: boolean;
  requestParameters: object | null;
  /** Null when nothing was changed. */
  responseElements: object | null;
  /** The ARN of what it acts on, as it was given. */
  resource?: string;
  error?: { code: string; message: string };
}

export function apiCalled(call: ApiCall): AuditEvent {
  const { principal, error, userAgent } = call;
  const { accountId, arn, accessKeyId, userName } = principal;
  const detail: CallDetail = {
    eventSource: call.eventSource,
    // Users have no id beside their name: what IAM's key aws:userid has, too.
    userIdentity: { type: 'IAMUser', principalId: userName, arn, accountId, accessKeyId, userName },
    userAgent: userAgent && cutText(userAgent),
    errorCode: error?.code,
    requestParameters: boundParameters('requestParameters', call.requestParameters),
    responseElements: boundParameters('responseElements', call.responseElements),
    requestID: call.requestId,
    readOnly: call.readOnly,
    resources: call.resource === undefined ? undefined : resourcesOf(call.resource),
    tlsDetails: tlsDetails(call.host),
  };
  return {
    category: 'Management',
    name: call.operation,
    accountId,
    region: call.region,
    connectorId: ownConnectorId(call),
    principal: arn,
    source: call.source,
    outcome: error ? 'failure' : 'success',
    reason: error && cutText(error.message),
    awaited: !call.readOnly && !error,
    detail,
  };
}

/** The connector that a call was about or made. A stranger's calls are not among the events of a connector. */
function ownConnectorId({ principal, resource, responseElements }: ApiCall): string | undefined {
  const made = responseElements && 'ConnectorArn' in responseElements ? String(responseElements.ConnectorArn) : '';
  const arn = resource ?? made;
  const connector = parseChallengeArn(arn) ?? parseRequestArn(arn) ?? parseConnectorArn(arn);
  return connector?.accountId === principal.accountId ? connector.connectorId : undefined;
}

/**
 * What an administrator changed at the command line, on the store itself. Whoever can do that has the account's root, and no access key says who it
 * was.
 */
export function administered(change: {
  operation: string;
  accountId: string;
  region: string;
  requestId: string;
  requestParameters: object;
}): AuditEvent {
  const { operation, accountId, region, requestId, requestParameters } = change;
  const arn = `arn:aws:iam::${accountId}:root`;
  const detail: CallDetail = {
    eventSource: 'scep-connector',
    userIdentity: { type: 'Root', principalId: accountId, arn, accountId },
    requestParameters: boundParameters('requestParameters', requestParameters),
    responseElements: null,
    requestID: requestId,
    readOnly: false,
  };
  const event = { category: 'Management', name: operation, accountId, region, principal: arn, source: 'command line' } as const;
  return { ...event, outcome: 'success', awaited: true, detail };
}

/** No operation's name is as long; what a client sends in its place may be. */
export const scepOperationCharactersMax = 64;

/** A request to SCEP. One that names no connector is nobody's. */
export interface ScepCall {
  operation: 'GetCACaps' | 'GetCACert' | 'GetNextCACert' | 'PKIOperationGet' | 'PKIOperationPost' | 'UnsupportedOperation';
  /** As the client sent it, if it did. */
  sentOperation?: string;
  /** Of HTTP. Absent, like all that the request says, from what could not be read. */
  method?: string;
  accountId?: string;
  region?: string;
  connectorId?: string;
  /** The address of the peer. */
  source: string;
  userAgent?: string;
  /** The Host header. */
  host?: string;
  requestId: string;
  messageType?: string;
  transactionID?: string;
  /** The pkiStatus, or how a request without one ended. */
  outcome: string;
  /** Of a request that was refused or failed, whatever its HTTP status. */
  error?: { code: string; message: string };
}

export function scepCalled(call: ScepCall): AuditEvent {
  const { operation, accountId, region, connectorId, source, userAgent, transactionID, outcome, error } = call;
  const readOnly = operation !== 'PKIOperationGet' && operation !== 'PKIOperationPost';
  const detail: CallDetail = {
    eventSource: connectorService,
    userAgent: userAgent && cutText(userAgent),
    errorCode: error?.code,
    additionalEventData: {
      operation: operation === 'UnsupportedOperation' ? call.sentOperation?.slice(0, scepOperationCharactersMax) : undefined,
      method: call.method,
      messageType: call.messageType,
      transactionID: transactionID && cutText(transactionID),
      outcome,
    },
    requestID: call.requestId,
    readOnly,
    tlsDetails: tlsDetails(call.host),
  };
  return {
    category: 'Data',
    name: operation,
    accountId,
    region,
    connectorId,
    source,
    outcome: error ? 'failure' : 'success',
    reason: error && cutText(error.message),
    // What was issued is committed with its own event, CertificateIssued.
    awaited: false,
    detail,
  };
}

function tlsDetails(host: string | undefined): object | undefined {
  return host === undefined ? undefined : { clientProvidedHostHeader: cutText(host) };
}

/** What the service did of its own accord. */
const serviceEvent = { category: 'Service', awaited: true } as const;

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
  /** `authorisation`: by what, with the id of the challenge or of the certificate that was renewed. */
  certificate: { serialNumber: string; subject: string; notAfter: number; authorisation: object },
): AuditEvent {
  return {
    ...serviceEvent,
    name: 'CertificateIssued',
    ...scepFields(subject),
    outcome: 'success',
    detail: { transactionID: subject.transactionID, ...certificate },
  };
}

/** It waits for an operator. */
export function enrolmentPending(subject: ScepSubject, request: { subject: string }): AuditEvent {
  const detail = { transactionID: subject.transactionID, ...request };
  return { ...serviceEvent, name: 'EnrolmentPending', ...scepFields(subject), outcome: 'success', detail };
}

export function enrolmentRefused(subject: ScepSubject, refusal: { failInfo: string; reason: string; intune?: object }): AuditEvent {
  const detail = { transactionID: subject.transactionID, failInfo: refusal.failInfo, intune: refusal.intune };
  return { ...serviceEvent, name: 'EnrolmentRefused', ...scepFields(subject), outcome: 'failure', reason: refusal.reason, detail };
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

/** A transaction of an INTUNE connector, as the events of what Intune is told name it. */
export interface IntuneSubject extends ConnectorSubject {
  transactionID: string;
}

/** Intune has taken notice of a certificate, which its device may now have, or of a failure. */
export function intuneNotified(
  { transactionID, ...subject }: IntuneSubject,
  notice: { kind: 'SUCCESS' | 'FAILURE'; activityId: string; serialNumber?: string | undefined },
): AuditEvent {
  return { ...serviceEvent, name: 'IntuneNotified', ...subject, outcome: 'success', detail: { transactionID, ...notice } };
}

/** A certificate is there that nobody is given, since Intune has not taken notice of it. */
export function certificateHeld({ transactionID, ...subject }: IntuneSubject, reason: string, detail: object): AuditEvent {
  return { ...serviceEvent, name: 'CertificateHeld', ...subject, outcome: 'failure', reason, detail: { transactionID, ...detail } };
}

/** It was revoked before anybody was given it. */
export function certificateWithdrawn({ transactionID, ...subject }: IntuneSubject, reason: string, detail: object): AuditEvent {
  return { ...serviceEvent, name: 'CertificateWithdrawn', ...subject, outcome: 'failure', reason, detail: { transactionID, ...detail } };
}

/** Intune wanted it, for a device that has left or a profile that has changed. */
export function certificateRevokedByIntune(subject: ConnectorSubject, certificate: { serialNumber: string; subject: string }): AuditEvent {
  return { ...serviceEvent, name: 'CertificateRevoked', ...subject, outcome: 'success', detail: { ...certificate, by: 'Intune' } };
}

/** Intune will not be told of a failure: it did not want to know for too long. */
export function intuneNotificationGivenUp({ transactionID, ...subject }: IntuneSubject, reason: string): AuditEvent {
  return { ...serviceEvent, name: 'IntuneNotificationGivenUp', ...subject, outcome: 'failure', reason, detail: { transactionID } };
}

/** The certificates of a connector's RA keys: one, or one to sign and one to decrypt. */
interface RaCertificates {
  serialNumbers: readonly string[];
  notAfter: number;
}

export function connectorActivated(subject: ConnectorSubject, { serialNumbers, notAfter }: RaCertificates): AuditEvent {
  return { ...serviceEvent, name: 'ConnectorActivated', ...subject, outcome: 'success', detail: { serialNumbers, notAfter } };
}

export function raKeyRenewed(subject: ConnectorSubject, { serialNumbers, notAfter }: RaCertificates): AuditEvent {
  return { ...serviceEvent, name: 'RaKeyRenewed', ...subject, outcome: 'success', detail: { serialNumbers, notAfter } };
}

export function raKeyRenewalFailed(
  subject: ConnectorSubject,
  reason: string,
  detail: { statusReason: string; retryAt: number },
): AuditEvent {
  return { ...serviceEvent, name: 'RaKeyRenewalFailed', ...subject, outcome: 'failure', reason, detail };
}

/** `signsFromAt`: until then the key is only published. */
export function oidcKeyRotated(subject: ConnectorSubject, detail: { keyId: string; signsFromAt: number }): AuditEvent {
  return { ...serviceEvent, name: 'OidcKeyRotated', ...subject, outcome: 'success', detail };
}

export function oidcKeyRotationFailed(subject: ConnectorSubject, reason: string, detail: { retryAt: number }): AuditEvent {
  return { ...serviceEvent, name: 'OidcKeyRotationFailed', ...subject, outcome: 'failure', reason, detail };
}

export function connectorFailed(subject: ConnectorSubject, statusReason: string): AuditEvent {
  return { ...serviceEvent, name: 'ConnectorFailed', ...subject, outcome: 'failure', reason: statusReason, detail: {} };
}

export function connectorDeleted(subject: ConnectorSubject): AuditEvent {
  return { ...serviceEvent, name: 'ConnectorDeleted', ...subject, outcome: 'success', detail: {} };
}
