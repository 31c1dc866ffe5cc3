/** How a SCEP request ends, and what that is in HTTP: as the most clients understand it, or exactly as AWS's connector answers. */
import type { ConnectorError, Failure } from '../../base/scep.ts';
import { describeConnectorError } from './connector-errors.ts';

export interface ScepResponse {
  statusCode: number;
  headers: Record<string, string>;
  body: Uint8Array;
}

export type Answer =
  | { kind: 'content'; contentType: string; body: Uint8Array }
  | { kind: 'certRep'; body: Uint8Array; failure?: Failure }
  | Refusal;

/** What could not be answered with a CertRep. */
export interface Refusal {
  kind: 'refusal';
  statusCode: number;
  reason: string;
  error?: ConnectorError | undefined;
  headers?: Record<string, string>;
}

export type Compatibility = 'clients' | 'aws';

const pkiMessage = 'application/x-pki-message';
const plainText = 'text/plain';
/** A field value holds no control characters (RFC 9110 section 5.5), and what is not ASCII means something else to everyone. */
const headerCharactersMax = 1024;

/**
 * A FAILURE comes with status 200 to clients: strongSwan, jscep and scepclient read nothing of a CertRep with another. AWS's status, and no CertRep
 * where AWS sends none, come under `aws`; its headers always. Content types have no parameters: certmonger takes none.
 */
export function present(answer: Answer, compatibility: Compatibility, requestId: string): ScepResponse {
  switch (answer.kind) {
    case 'content':
      return respond(200, { 'content-type': answer.contentType, 'x-amzn-requestid': requestId }, answer.body);
    case 'certRep':
      return presentCertRep(answer, compatibility, requestId);
    case 'refusal':
      return presentRefusal(answer, compatibility, requestId);
    default:
      return answer satisfies never;
  }
}

function presentCertRep({ body, failure }: Answer & { kind: 'certRep' }, compatibility: Compatibility, requestId: string): ScepResponse {
  const headers = { 'content-type': pkiMessage, 'x-amzn-requestid': requestId };
  if (failure === undefined) return respond(200, headers, body);
  const { statusCode, errorType, message, hasCertRep } = rowOf(failure);
  Object.assign(headers, errorHeaders(errorType, message));
  if (compatibility === 'clients') return respond(200, headers, body);
  return hasCertRep ? respond(statusCode, headers, body) : respond(statusCode, { ...headers, 'content-type': plainText }, textOf(message));
}

function presentRefusal(refusal: Refusal, compatibility: Compatibility, requestId: string): ScepResponse {
  const { statusCode, reason, error } = refusal;
  const headers: Record<string, string> = { ...refusal.headers, 'content-type': plainText, 'x-amzn-requestid': requestId };
  if (error === undefined) return respond(statusCode, { ...headers, ...errorHeaders(errorTypeOf(statusCode), reason) }, textOf(reason));
  const row = describeConnectorError(error);
  Object.assign(headers, errorHeaders(row.errorType, row.message));
  if (compatibility === 'clients') return respond(statusCode, headers, textOf(reason));
  // It went with our 503; with AWS's 400, 401, 404 and 409 it means nothing (RFC 9110 section 10.2.3).
  if (row.statusCode !== statusCode) delete headers['retry-after'];
  return respond(row.statusCode, headers, textOf(row.message));
}

/** What AWS has no sentence for is a bad request in our own words. */
function rowOf({ error, reason }: Failure): ReturnType<typeof describeConnectorError> {
  return error ? describeConnectorError(error) : { statusCode: 400, errorType: 'BadRequestException', message: reason, hasCertRep: true };
}

/** CloudTrail's errorCode of the answer; undefined when nothing was refused. */
export function errorCodeOf(answer: Answer): string | undefined {
  if (answer.kind === 'content') return undefined;
  if (answer.kind === 'certRep') return answer.failure && rowOf(answer.failure).errorType;
  return answer.error ? describeConnectorError(answer.error).errorType : errorTypeOf(answer.statusCode);
}

function errorTypeOf(statusCode: number): string {
  if (statusCode === 503) return 'ServiceUnavailable';
  return statusCode >= 500 ? 'InternalServerException' : 'ValidationException';
}

function errorHeaders(errorType: string, message: string): Record<string, string> {
  const text = message.replace(/[^\u0020-\u007e]/g, '?').slice(0, headerCharactersMax);
  return { 'x-amzn-errortype': errorType, 'x-amzn-errormessage': text };
}

function textOf(message: string): Uint8Array {
  return Buffer.from(`${message}\n`);
}

function respond(statusCode: number, headers: Record<string, string>, body: Uint8Array): ScepResponse {
  return { statusCode, headers, body };
}
