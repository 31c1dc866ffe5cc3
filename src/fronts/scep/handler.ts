/** SCEP over HTTP (RFC 8894 section 4): the path selects a connector, the query an operation, and every hit leaves a line in the log. */

import { ServiceException } from '../../base/errors.ts';
import { type AuditEvent, type Log, type ScepCall, scepCalled } from '../../base/events.ts';
import type { AlgorithmPolicy } from '../../base/pki/algorithms.ts';
import type { KeyPair } from '../../base/pki/enveloped-data.ts';
import { parseCertificationRequest } from '../../base/pki/pkcs10.ts';
import { PkiError } from '../../base/pki/pki-error.ts';
import { encodeDegenerate } from '../../base/pki/signed-data.ts';
import { parseCertificate } from '../../base/pki/x509.ts';
import { type Failure, failure, failureOf, MessageType } from '../../base/scep.ts';
import type { System } from '../../base/system.ts';
import type { Workers } from '../../base/worker-pool.ts';
import type { Enrolment, EnrolmentEndpoint, EnrolmentOutcome } from '../../service/enrolment.ts';
import { outageMessage } from '../../service/outage.ts';
import type { Throttling } from '../../service/throttling.ts';
import { parseGetMessage, rawParameter } from './get-message.ts';
import { type CertRepResult, defaultReply, type PkiMessage, parsePkiMessage } from './pki-message.ts';
import { type OpenOutput, openTask, replyTask, toBytes } from './pki-work.ts';

export interface ScepRequest {
  method: string;
  /** The request target as received. */
  rawUrl: string;
  body: Uint8Array;
  /** The peer's address. */
  source: string;
  /** The value of the Host header. */
  host: string | undefined;
  userAgent: string | undefined;
}

export interface ScepResponse {
  statusCode: number;
  headers: Record<string, string>;
  body: Uint8Array;
}

interface ScepParts {
  enrolment: Enrolment;
  throttling: Throttling;
  /** Keeps the record of a request to a connector. */
  record(event: AuditEvent): Promise<void>;
  system: System;
  log: Log;
  workers: Workers;
}

/** Clients come back on their own; this is how long an outage asks them to wait. */
const retryAfterSeconds = '30';
const userAgentCharactersMax = 256;
const operationCharactersMax = 64;
/** What may be repeated in an answer: anything else than a number is not shown. */
const messageTypeForm = /^\d{1,16}$/;

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
/** What follows is ignored: clients append /pkiclient.exe, /cgi-bin/pkiclient.exe and the like (RFC 8894 section 4.1). */
const endpointPath = new RegExp(`^/(\\d{12})-(${uuid})/(${uuid})(?:/|$)`);

/** What is noted of a hit while it is answered, for its line in the log. */
interface Hit {
  operation: string;
  endpoint?: EnrolmentEndpoint;
  transactionID?: string;
  outcome?: string;
  reason?: string;
}

export type ScepHandler = (request: ScepRequest) => Promise<ScepResponse>;

export function createScepHandler(parts: ScepParts): ScepHandler {
  return async request => {
    const { rawQuery } = splitUrl(request.rawUrl);
    // On POST the operation may be left out (RFC 8894 section 4.3).
    const operation = rawParameter(rawQuery, 'operation') ?? (request.method === 'POST' ? 'PKIOperation' : '');
    const hit: Hit = { operation: operation.slice(0, operationCharactersMax) };
    const response = await answerOrExcuse(parts, request, operation, hit);
    const requestId = parts.system.randomUUID();
    const userAgent = request.userAgent?.slice(0, userAgentCharactersMax);
    const { endpoint, ...noted } = hit;
    const { method, source } = request;
    const line = { ...noted, connectorId: endpoint?.connectorId, method, source, userAgent, statusCode: response.statusCode, requestId };
    parts.log.info(line, 'scep request');
    await recordHit(parts, request, hit, response.statusCode, requestId);
    return response;
  };
}

/** Of requests for a connector: anybody can send others. */
async function recordHit({ record }: ScepParts, request: ScepRequest, hit: Hit, statusCode: number, requestId: string): Promise<void> {
  const operation = operationOf(request.method, hit.operation);
  if (hit.endpoint === undefined || operation === undefined) return;
  const { accountId, region, connectorId } = hit.endpoint;
  const { source, userAgent, host } = request;
  const call: ScepCall = {
    operation,
    accountId,
    region,
    connectorId,
    source,
    requestId,
    outcome: hit.outcome ?? 'error',
    ...(userAgent !== undefined && { userAgent }),
    ...(host !== undefined && { host }),
    ...(hit.transactionID !== undefined && { transactionID: hit.transactionID }),
    ...(hit.reason !== undefined && { error: { code: errorCode(statusCode), message: hit.reason } }),
  };
  await record(scepCalled(call));
}

/** CloudTrail's names of the operations. */
function operationOf(method: string, operation: string): ScepCall['operation'] | undefined {
  if (operation === 'GetCACaps' || operation === 'GetCACert') return operation;
  if (operation !== 'PKIOperation') return undefined;
  return method === 'POST' ? 'PKIOperationPost' : 'PKIOperationGet';
}

/** A FAILURE comes with status 200. */
function errorCode(statusCode: number): string {
  if (statusCode === 503) return 'ServiceUnavailable';
  if (statusCode === 429) return 'ThrottlingException';
  if (statusCode >= 500) return 'InternalServerException';
  return statusCode === 200 ? 'BadRequestException' : 'ValidationException';
}

async function answerOrExcuse(parts: ScepParts, request: ScepRequest, operation: string, hit: Hit): Promise<ScepResponse> {
  try {
    return await answer(parts, request, operation, hit);
  } catch (error) {
    if (error instanceof PkiError) return refuse(hit, 400, failureOf(error).reason);
    if (error instanceof ServiceException)
      return { ...refuse(hit, error.statusCode, error.message), headers: { ...plainText, 'retry-after': '1' } };
    hit.outcome = 'error';
    // FAILURE is a verdict that clients take for final; an outage is an HTTP error that they come back after.
    const outage = outageMessage(error);
    parts.log.error(
      { err: error, connectorId: hit.endpoint?.connectorId, operation: hit.operation },
      'a SCEP request could not be answered',
    );
    if (outage !== undefined) return { ...refuse(hit, 503, outage), headers: { ...plainText, 'retry-after': retryAfterSeconds } };
    return refuse(hit, 500, 'An internal error occurred.');
  }
}

async function answer(parts: ScepParts, request: ScepRequest, operation: string, hit: Hit): Promise<ScepResponse> {
  if (request.method !== 'GET' && request.method !== 'POST') {
    return { ...refuse(hit, 405, 'SCEP uses GET and POST.'), headers: { ...plainText, allow: 'GET, POST' } };
  }
  const { path, rawQuery, host = request.host } = splitUrl(request.rawUrl);
  const endpoint = await findEndpoint(parts.enrolment, path, host);
  if (endpoint === undefined) return refuse(hit, 404, 'There is no connector at this URL.');
  hit.endpoint = endpoint;
  const unavailable = checkStatus(endpoint, hit);
  if (unavailable !== undefined) return unavailable;
  switch (operation) {
    case 'GetCACaps':
      parts.throttling.take(endpoint.connectorId, 'GetCACaps');
      hit.outcome = 'success';
      return ok('text/plain', Buffer.from(capabilities(endpoint.algorithms)));
    case 'GetCACert': {
      parts.throttling.take(endpoint.connectorId, 'GetCACert');
      const certificates = await parts.enrolment.listCaCertificates(endpoint);
      hit.outcome = 'success';
      return ok('application/x-x509-ca-ra-cert', encodeDegenerate(certificates.map(({ der }) => der)));
    }
    case 'PKIOperation': {
      const bytes = request.method === 'POST' ? request.body : parseGetMessage(rawParameter(rawQuery, 'message') ?? '');
      return ok('application/x-pki-message', await answerPkiOperation(parts, endpoint, bytes, request.source, hit));
    }
    default:
      return refuse(hit, 400, 'The operation must be GetCACaps, GetCACert or PKIOperation.');
  }
}

async function findEndpoint(enrolment: Enrolment, path: string, host: string | undefined): Promise<EnrolmentEndpoint | undefined> {
  const [, accountId, connectorId, secret] = endpointPath.exec(path) ?? [];
  return accountId && connectorId && secret ? enrolment.findEndpoint({ accountId, connectorId, secret, host }) : undefined;
}

function checkStatus({ status }: EnrolmentEndpoint, hit: Hit): ScepResponse | undefined {
  switch (status) {
    case 'ACTIVE':
      return undefined;
    case 'CREATING':
      return {
        ...refuse(hit, 503, 'The connector is being created. Try again in a moment.'),
        headers: { ...plainText, 'retry-after': retryAfterSeconds },
      };
    case 'FAILED':
    case 'DELETING':
      return refuse(hit, 400, 'The connector is not active.');
    default:
      return status satisfies never;
  }
}

/**
 * Derived from what is accepted, one word a line. SHA-384 is no registered word, but strongSwan 5.9.8 takes bits for indices and sees AES and
 * SCEPStandard only with it in the list; clients ignore words they do not know (RFC 8894 section 3.5.2).
 */
function capabilities(policy: AlgorithmPolicy): string {
  const words = ['AES', 'POSTPKIOperation', 'SCEPStandard', ...policy.digests];
  if (policy.contentCiphers.has('3DES-CBC')) words.push('DES3');
  return `${words.toSorted().join('\n')}\n`;
}

/** A CertRep for every message of which messageType and transactionID can be read. Throws PkiError for the others. */
async function answerPkiOperation(
  parts: ScepParts,
  endpoint: EnrolmentEndpoint,
  bytes: Uint8Array,
  source: string,
  hit: Hit,
): Promise<Uint8Array> {
  const message = parsePkiMessage(bytes);
  const { transactionID, senderNonce } = message;
  hit.transactionID = transactionID;
  if (message.messageType === MessageType.PKCSReq) parts.throttling.take(endpoint.connectorId, 'PKCSReq');
  const keyPairs = await parts.enrolment.listRaKeyPairs(endpoint);
  const opened = await openOrRefuse(parts.workers, message, { bytes, keyPairs, policy: endpoint.algorithms });
  const outcome =
    'pkiStatus' in opened
      ? await parts.enrolment.recordRefusal(endpoint, { transactionID, source }, opened)
      : await parts.enrolment.enrol(endpoint, {
          transactionID,
          signer: parseCertificate(opened.signer),
          csr: parseCertificationRequest(opened.csr),
          source,
        });
  const [newest] = keyPairs;
  const keyPair = 'pkiStatus' in opened ? newest : keyPairs[opened.keyPairIndex];
  if (keyPair === undefined) throw new Error('an active connector without a live RA key');
  hit.outcome = outcome.pkiStatus;
  if (outcome.pkiStatus === 'FAILURE') hit.reason = outcome.reason;
  const algorithms = 'pkiStatus' in opened ? defaultReply(message.signerInfo, endpoint.algorithms) : opened.algorithms;
  const result = certRepResult(outcome, opened);
  return parts.workers.run(replyTask, { transactionID, senderNonce, result, algorithms, keyPair: toBytes(keyPair) });
}

async function openOrRefuse(
  workers: Workers,
  { messageType }: PkiMessage,
  { bytes, keyPairs, policy }: { bytes: Uint8Array; keyPairs: readonly KeyPair[]; policy: AlgorithmPolicy },
): Promise<OpenOutput | Failure> {
  if (messageType !== MessageType.PKCSReq) {
    const shown = messageTypeForm.test(messageType) ? messageType : 'not a number';
    return failure('badRequest', `Unsupported PkiOperation messageType: ${shown}. Use PKCSReq (19).`);
  }
  try {
    return await workers.run(openTask, { message: bytes, keyPairs: keyPairs.map(toBytes), policy });
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    return failureOf(error);
  }
}

function certRepResult(outcome: EnrolmentOutcome, opened: OpenOutput | Failure): CertRepResult {
  if (outcome.pkiStatus === 'FAILURE') return { pkiStatus: 'FAILURE', failInfo: outcome.failInfo, failInfoText: outcome.reason };
  if ('pkiStatus' in opened) throw new TypeError('a certificate without the request it is for');
  // The certificate alone: Juniper forbids the CA's certificate beside it, and micromdm takes whichever is first.
  return { pkiStatus: 'SUCCESS', certificates: [outcome.certificate], recipient: opened.signer };
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

const plainText = { 'content-type': 'text/plain' };

/** Content types without parameters: certmonger does not take `;charset=utf-8`. */
function ok(contentType: string, body: Uint8Array): ScepResponse {
  return { statusCode: 200, headers: { 'content-type': contentType }, body };
}

function refuse(hit: Hit, statusCode: number, reason: string): ScepResponse {
  hit.outcome ??= 'refused';
  hit.reason = reason;
  return { statusCode, headers: plainText, body: Buffer.from(`${reason}\n`) };
}
