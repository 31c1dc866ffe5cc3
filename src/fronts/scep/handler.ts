/** SCEP over HTTP (RFC 8894 section 4): the path selects a connector, the query an operation, and every hit leaves a line in the log and a record. */
import { ServiceException } from '../../base/errors.ts';
import { type AuditEvent, type ScepCall, scepCalled } from '../../base/events.ts';
import { PkiError } from '../../base/pki/pki-error.ts';
import { encodeDegenerate } from '../../base/pki/signed-data.ts';
import { type ConnectorError, failureOf } from '../../base/scep.ts';
import { TooManyFailuresError } from '../../service/failure-limits.ts';
import { outageOf } from '../../service/outage.ts';
import type { EnrolmentEndpoint } from '../../service/scep-requests.ts';
import { type Answer, errorCodeOf, present, type Refusal, type ScepResponse } from './answers.ts';
import { listCapabilities } from './capabilities.ts';
import { parseGetMessage, rawParameter } from './get-message.ts';
import { answerPkiOperation, type Hit, type ScepParts } from './pki-operation.ts';

export interface ScepRequest {
  method: string;
  /** The request target as received. */
  rawUrl: string;
  body: Uint8Array;
  /** The address it comes from: the peer's, or what a trusted proxy says. */
  source: string;
  /** The values of the Host headers: one, none from old clients, and more of nobody honest. */
  hosts: readonly string[];
  userAgent: string | undefined;
}

interface HandlerParts extends ScepParts {
  /** Keeps the record of a request to a connector. */
  record(event: AuditEvent): Promise<void>;
}

/** Clients come back on their own; this is how long an outage asks them to wait. */
const retryAfterSeconds = '30';
const throttledSeconds = 1;
const userAgentCharactersMax = 256;
const operationCharactersMax = 64;
/** AWS's connector looks at it again at each request. */
const authorityValidityLeftMsMin = 365 * 24 * 60 * 60_000;

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
/** What follows is ignored: clients append /pkiclient.exe, /cgi-bin/pkiclient.exe and the like (RFC 8894 section 4.1). */
const endpointPath = new RegExp(`^/(\\d{12})-(${uuid})/(${uuid})(?:/|$)`);

export type ScepHandler = (request: ScepRequest) => Promise<ScepResponse>;

export function createScepHandler(parts: HandlerParts): ScepHandler {
  return async request => {
    const { rawQuery } = splitUrl(request.rawUrl);
    // On POST the operation may be left out (RFC 8894 section 4.3).
    const operation = rawParameter(rawQuery, 'operation') ?? (request.method === 'POST' ? 'PKIOperation' : '');
    const hit: Hit = { operation: operation.slice(0, operationCharactersMax), source: request.source };
    const answer = await answerOrExcuse(parts, request, operation, hit);
    if (answer.kind === 'refusal') {
      hit.outcome ??= 'refused';
      hit.reason = answer.reason;
    } else hit.outcome ??= 'success';
    const requestId = parts.system.randomUUID();
    const response = present(answer, parts.compatibility, requestId);
    const userAgent = request.userAgent?.slice(0, userAgentCharactersMax);
    const { endpoint, ...noted } = hit;
    const { method } = request;
    const line = { ...noted, connectorId: endpoint?.connectorId, method, userAgent, statusCode: response.statusCode, requestId };
    parts.log.info(line, 'scep request');
    await recordHit(parts, request, hit, { errorCode: errorCodeOf(answer), requestId });
    return response;
  };
}

/** Of requests for a connector: anybody can send others. */
async function recordHit(
  { record }: HandlerParts,
  request: ScepRequest,
  hit: Hit,
  { errorCode, requestId }: { errorCode: string | undefined; requestId: string },
): Promise<void> {
  if (hit.endpoint === undefined) return;
  const { accountId, region, connectorId } = hit.endpoint;
  const { source, userAgent, hosts } = request;
  const call: ScepCall = {
    operation: operationOf(request.method, hit.operation),
    method: request.method,
    accountId,
    region,
    connectorId,
    source,
    requestId,
    outcome: hit.outcome ?? 'error',
    ...(userAgent !== undefined && { userAgent }),
    ...(hosts[0] !== undefined && { host: hosts[0] }),
    ...(hit.messageType !== undefined && { messageType: hit.messageType }),
    ...(hit.transactionID !== undefined && { transactionID: hit.transactionID }),
    ...(errorCode !== undefined && { error: { code: errorCode, message: hit.reason ?? '' } }),
  };
  await record(scepCalled(call));
}

/** CloudTrail's names of the operations. */
function operationOf(method: string, operation: string): ScepCall['operation'] {
  if (operation === 'GetCACaps' || operation === 'GetCACert' || operation === 'GetNextCACert') return operation;
  if (operation !== 'PKIOperation') return 'UnsupportedOperation';
  return method === 'POST' ? 'PKIOperationPost' : 'PKIOperationGet';
}

async function answerOrExcuse(parts: HandlerParts, request: ScepRequest, operation: string, hit: Hit): Promise<Answer> {
  try {
    return await answer(parts, request, operation, hit);
  } catch (error) {
    if (error instanceof PkiError) {
      const { reason, error: connectorError } = failureOf(error);
      return refusal(400, reason, connectorError);
    }
    if (error instanceof ServiceException && error.name === 'ThrottlingException') {
      const seconds = error instanceof TooManyFailuresError ? error.retryAfterSeconds : throttledSeconds;
      return { ...refusal(error.statusCode, error.message, { code: 'throttled' }), headers: { 'retry-after': String(seconds) } };
    }
    hit.outcome = 'error';
    // FAILURE is a verdict that clients take for final; an outage is an HTTP error that they come back after.
    const outage = outageOf(error);
    const fields = { err: error, connectorId: hit.endpoint?.connectorId, operation: hit.operation };
    parts.log.error(fields, 'a SCEP request could not be answered');
    if (outage === undefined) return refusal(500, 'An internal error occurred.');
    return { ...refusal(503, outage.message, outage.error), headers: { 'retry-after': retryAfterSeconds } };
  }
}

async function answer(parts: HandlerParts, request: ScepRequest, operation: string, hit: Hit): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'POST') {
    return { ...refusal(405, 'SCEP uses GET and POST.'), headers: { allow: 'GET, POST' } };
  }
  if (parts.compatibility === 'aws' && request.hosts.length !== 1) {
    return refusal(400, 'Exactly one host header is required in the request.', { code: 'hostHeader' });
  }
  const endpoint = await findEndpoint(parts, request);
  if ('kind' in endpoint) return endpoint;
  hit.endpoint = endpoint;
  const unavailable = checkStatus(endpoint) ?? (await checkAuthority(parts, endpoint, operation));
  if (unavailable !== undefined) return unavailable;
  switch (operation) {
    case 'GetCACaps': {
      parts.throttling.take(endpoint.connectorId, 'GetCACaps');
      const hasNextCa = await parts.enrolmentEndpoints.hasNextCaCertificates(endpoint);
      return content('text/plain', Buffer.from(listCapabilities(endpoint, hasNextCa)));
    }
    case 'GetCACert': {
      parts.throttling.take(endpoint.connectorId, 'GetCACert');
      if (endpoint.policy.GetCaCert === 'RA_CERTIFICATE') {
        return content('application/x-x509-ca-cert', (await parts.enrolmentEndpoints.getRaCertificate(endpoint)).der);
      }
      const certificates = (await parts.enrolmentEndpoints.listCaCertificates(endpoint)).map(({ der }) => der);
      return content('application/x-x509-ca-ra-cert', encodeDegenerate({ certificates }));
    }
    case 'GetNextCACert': {
      parts.throttling.take(endpoint.connectorId, 'GetCACert');
      if (!(await parts.enrolmentEndpoints.hasNextCaCertificates(endpoint))) return refusal(400, 'There is no next CA certificate.');
      return content('application/x-x509-next-ca-cert', await parts.enrolmentEndpoints.signNextCaCertificates(endpoint));
    }
    case 'PKIOperation': {
      const { rawQuery } = splitUrl(request.rawUrl);
      const bytes = request.method === 'POST' ? request.body : readGetMessage(rawParameter(rawQuery, 'message') ?? '');
      return bytes instanceof Uint8Array ? answerPkiOperation(parts, endpoint, bytes, hit) : bytes;
    }
    default:
      return refusal(400, 'The operation must be GetCACaps, GetCACert, GetNextCACert or PKIOperation.');
  }
}

function readGetMessage(rawMessage: string): Uint8Array | Refusal {
  try {
    return parseGetMessage(rawMessage);
  } catch (error) {
    if (error instanceof PkiError) return refusal(400, error.message, { code: 'notBase64' });
    throw error;
  }
}

/** To clients every wrong URL is the same; AWS tells which part of it is wrong, which helps those who look for one that is right. */
async function findEndpoint(
  { enrolmentEndpoints, compatibility, publicUrl }: HandlerParts,
  request: ScepRequest,
): Promise<EnrolmentEndpoint | Refusal> {
  const { path, host = request.hosts[0] } = splitUrl(request.rawUrl);
  const missing = 'There is no connector at this URL.';
  const [prefix, accountId, connectorId, secret] = endpointPath.exec(path) ?? [];
  if (prefix === undefined || !accountId || !connectorId || !secret) return refusal(404, missing, { code: 'invalidUri' });
  const endpoint = await enrolmentEndpoints.findEndpoint({ accountId, connectorId, secret, host });
  if (endpoint !== undefined) return endpoint;
  if (compatibility === 'aws' && !(await enrolmentEndpoints.accountExists(accountId))) {
    return refusal(404, missing, { code: 'accountDoesNotExist' });
  }
  return refusal(404, missing, { code: 'connectorDoesNotExist', detail: `${publicUrl}/${accountId}-${connectorId}/${secret}` });
}

function checkStatus({ status }: EnrolmentEndpoint): Refusal | undefined {
  const error: ConnectorError = { code: 'connectorNotActive' };
  switch (status) {
    case 'ACTIVE':
      return undefined;
    case 'CREATING': {
      const creating = refusal(503, 'The connector is being created. Try again in a moment.', error);
      return { ...creating, headers: { 'retry-after': retryAfterSeconds } };
    }
    case 'FAILED':
    case 'DELETING':
      return refusal(400, 'The connector is not active.', error);
    default:
      return status satisfies never;
  }
}

/** AWS's connector needs a CA that lasts a year; here a certificate ends when its CA does. */
async function checkAuthority(parts: HandlerParts, endpoint: EnrolmentEndpoint, operation: string): Promise<Refusal | undefined> {
  if (parts.compatibility !== 'aws' || operation === 'GetCACaps') return undefined;
  const { authority } = await parts.enrolmentEndpoints.openAuthority(endpoint);
  if (authority.certificates[0].notAfter - parts.system.now() >= authorityValidityLeftMsMin) return undefined;
  return refusal(400, 'The certificate of the certificate authority ends within a year.', { code: 'authorityValidityTooShort' });
}

/** A target in absolute form, as sent to proxies, names the same resource (RFC 9112 section 3.2.2). */
function splitUrl(target: string): { path: string; rawQuery: string; host?: string | undefined } {
  const [prefix = '', host] = /^https?:\/\/([^/?]*)/i.exec(target) ?? [];
  const rawUrl = target.slice(prefix.length);
  // Some clients append their query to a URL that has one already, so everything after the first question mark is query.
  const mark = rawUrl.indexOf('?');
  if (mark < 0) return { path: rawUrl, rawQuery: '', host };
  return { path: rawUrl.slice(0, mark), rawQuery: rawUrl.slice(mark + 1).replaceAll('?', '&'), host };
}

function content(contentType: string, body: Uint8Array): Answer {
  return { kind: 'content', contentType, body };
}

function refusal(statusCode: number, reason: string, error?: ConnectorError): Refusal {
  return { kind: 'refusal', statusCode, reason, error };
}
