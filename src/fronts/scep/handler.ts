/** SCEP over HTTP (RFC 8894 section 4): the path selects a connector, the query an operation, and every hit leaves a line in the log and a record. */
import { ServiceException } from '../../base/errors.ts';
import { type AuditEvent, scepOperationCharactersMax } from '../../base/events.ts';
import { PkiError } from '../../base/pki/pki-error.ts';
import { encodeDegenerate } from '../../base/pki/signed-data.ts';
import { type ConnectorError, failureOf } from '../../base/scep.ts';
import { TooManyFailuresError } from '../../service/failure-limits.ts';
import { outageOf } from '../../service/outage.ts';
import type { EnrolmentEndpoint } from '../../service/scep-requests.ts';
import { type Answer, present, type Refusal, type ScepResponse } from './answers.ts';
import { listCapabilities } from './capabilities.ts';
import { parseGetMessage, rawParameter } from './get-message.ts';
import { type Hit, type HitRequest, HitTraces } from './hit-traces.ts';
import { answerPkiOperation, type ScepParts } from './pki-operation.ts';
import { parseScepUrl, type ScepUrl } from './scep-url.ts';

export interface ScepRequest extends HitRequest {
  method: string;
  /** The request target as received. */
  rawUrl: string;
  body: Uint8Array;
  /** The address it comes from: the peer's, or what a trusted proxy says. */
  source: string;
}

interface FrontParts extends ScepParts {
  /** Keeps the record of a hit. */
  record(event: AuditEvent): Promise<void>;
}

/** Clients come back on their own; this is how long an outage asks them to wait. */
const retryAfterSeconds = '30';
const throttledSeconds = 1;
/** AWS's connector looks at it again at each request. */
const authorityValidityLeftMsMin = 365 * 24 * 60 * 60_000;

/** A hit that the listener refused, and what it answered; `reason` is for the log. */
export interface RefusedHit extends HitRequest {
  rawUrl?: string | undefined;
  source: string;
  statusCode: number | undefined;
  reason: string;
}

export type ScepHandler = (request: ScepRequest) => Promise<ScepResponse>;

export interface ScepFront {
  handle: ScepHandler;
  /** Leaves the trace of what never became a request. Never rejects. */
  noteRefused(refused: RefusedHit): Promise<void>;
}

export function createScepFront(parts: FrontParts): ScepFront {
  const traces = new HitTraces(parts);
  return {
    async handle(request) {
      const url = parseScepUrl(request.rawUrl);
      const hit = beginHit(request, url);
      const answer = await answerOrExcuse(parts, request, url, hit);
      if (answer.kind === 'refusal') {
        hit.outcome ??= 'refused';
        hit.reason = answer.reason;
      } else hit.outcome ??= 'success';
      const requestId = parts.system.randomUUID();
      const response = present(answer, parts.compatibility, requestId);
      await traces.leave(hit, request, { answer, statusCode: response.statusCode, requestId });
      return response;
    },
    async noteRefused(refused) {
      const { rawUrl, statusCode, reason } = refused;
      const url = rawUrl === undefined ? undefined : parseScepUrl(rawUrl);
      const hit: Hit = { ...beginHit(refused, url), outcome: 'refused', reason };
      try {
        if (url !== undefined) await findEndpoint(parts, refused, url, hit);
      } catch (error) {
        parts.log.error({ err: error, ...hit.asked }, 'the connector of a refused SCEP request could not be looked up');
      }
      const answer = refusal(statusCode ?? 400, reason);
      await traces.leave(hit, refused, { answer, statusCode, requestId: parts.system.randomUUID() });
    },
  };
}

function beginHit({ method, source }: { method?: string | undefined; source: string }, url: ScepUrl | undefined): Hit {
  return { operation: url && operationOf(method, url), source, ...(url?.asked && { asked: url.asked }) };
}

/** On POST the operation may be left out (RFC 8894 section 4.3). */
function operationOf(method: string | undefined, { rawQuery }: ScepUrl): string {
  return rawParameter(rawQuery, 'operation') ?? (method === 'POST' ? 'PKIOperation' : '');
}

async function answerOrExcuse(parts: FrontParts, request: ScepRequest, url: ScepUrl, hit: Hit): Promise<Answer> {
  try {
    return await answer(parts, request, url, hit);
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
    const operation = hit.operation?.slice(0, scepOperationCharactersMax);
    const fields = { err: error, connectorId: hit.named?.connectorId, operation };
    parts.log.error(fields, 'a SCEP request could not be answered');
    if (outage === undefined) return refusal(500, 'An internal error occurred.');
    const retryAfter = outage.retryAfterMs === undefined ? retryAfterSeconds : String(Math.ceil(outage.retryAfterMs / 1000));
    return { ...refusal(503, outage.message, outage.error), headers: { 'retry-after': retryAfter } };
  }
}

async function answer(parts: FrontParts, request: ScepRequest, url: ScepUrl, hit: Hit): Promise<Answer> {
  // First of all, so that a connector has the record of whatever is refused at its URL.
  const endpoint = await findEndpoint(parts, request, url, hit);
  if (request.method !== 'GET' && request.method !== 'POST') {
    return { ...refusal(405, 'SCEP uses GET and POST.'), headers: { allow: 'GET, POST' } };
  }
  if (parts.compatibility === 'aws' && request.hosts.length !== 1) {
    return refusal(400, 'Exactly one host header is required in the request.', { code: 'hostHeader' });
  }
  if (endpoint === undefined) return refuseUrl(parts, url);
  const operation = operationOf(request.method, url);
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
      const bytes = request.method === 'POST' ? request.body : readGetMessage(rawParameter(url.rawQuery, 'message') ?? '');
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

/** Notes what it finds. */
async function findEndpoint(
  { enrolmentEndpoints }: FrontParts,
  { hosts }: Pick<HitRequest, 'hosts'>,
  { host = hosts[0], connectorPath }: ScepUrl,
  hit: Hit,
): Promise<EnrolmentEndpoint | undefined> {
  if (connectorPath === undefined) return undefined;
  const { named, endpoint } = await enrolmentEndpoints.findEndpoint({ ...connectorPath, host });
  Object.assign(hit, { named, endpoint });
  return endpoint;
}

/** To clients every wrong URL is the same; AWS tells which part of it is wrong, which helps those who look for one that is right. */
async function refuseUrl({ enrolmentEndpoints, compatibility, publicUrl }: FrontParts, { connectorPath }: ScepUrl): Promise<Refusal> {
  const missing = 'There is no connector at this URL.';
  if (connectorPath === undefined) return refusal(404, missing, { code: 'invalidUri' });
  const { accountId, connectorId, secret } = connectorPath;
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
async function checkAuthority(parts: FrontParts, endpoint: EnrolmentEndpoint, operation: string): Promise<Refusal | undefined> {
  if (parts.compatibility !== 'aws' || operation === 'GetCACaps') return undefined;
  const { authority } = await parts.enrolmentEndpoints.openAuthority(endpoint);
  if (authority.certificates[0].notAfter - parts.system.now() >= authorityValidityLeftMsMin) return undefined;
  return refusal(400, 'The certificate of the certificate authority ends within a year.', { code: 'authorityValidityTooShort' });
}

function content(contentType: string, body: Uint8Array): Answer {
  return { kind: 'content', contentType, body };
}

function refusal(statusCode: number, reason: string, error?: ConnectorError): Refusal {
  return { kind: 'refusal', statusCode, reason, error };
}
