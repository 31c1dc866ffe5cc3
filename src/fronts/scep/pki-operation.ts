/** PKIOperation: a pkiMessage opened, given to the part of the service that its messageType is for, and answered with a CertRep. */
import type { Log } from '../../base/events.ts';
import type { KeyPair } from '../../base/pki/enveloped-data.ts';
import { parseCertificationRequest } from '../../base/pki/pkcs10.ts';
import { PkiError } from '../../base/pki/pki-error.ts';
import { parseCertificate } from '../../base/pki/x509.ts';
import { type Failure, failure, failureOf, findRequestType, type RequestTypeName } from '../../base/scep.ts';
import type { System } from '../../base/system.ts';
import type { Workers } from '../../base/worker-pool.ts';
import type { CertificateLookup } from '../../service/certificate-lookup.ts';
import type { Enrolment } from '../../service/enrolment.ts';
import type { EnrolmentEndpoints } from '../../service/enrolment-endpoints.ts';
import type { FailureLimits } from '../../service/failure-limits.ts';
import type { EnrolmentEndpoint, OpenedRequest } from '../../service/scep-requests.ts';
import type { Throttling } from '../../service/throttling.ts';
import type { Answer, Compatibility } from './answers.ts';
import type { Hit } from './hit-traces.ts';
import { type CertRepResult, defaultReply, type PkiMessage, parsePkiMessage } from './pki-message.ts';
import { type OpenOutput, openTask, replyTask, toBytes } from './pki-work.ts';
import { parseIssuerAndSerialNumber } from './uniform-opening.ts';

export interface ScepParts {
  enrolment: Enrolment;
  enrolmentEndpoints: EnrolmentEndpoints;
  certificateLookup: CertificateLookup;
  throttling: Throttling;
  failureLimits: FailureLimits;
  compatibility: Compatibility;
  /** What endpoints begin with, for AWS's errors. */
  publicUrl: string;
  system: System;
  log: Log;
  workers: Workers;
}

/** What may be repeated in an answer: anything else than a number is not shown. */
const messageTypeForm = /^\d{1,16}$/;

/** A CertRep for every message of which the transactionID can be read. Throws PkiError for the others. */
export async function answerPkiOperation(parts: ScepParts, endpoint: EnrolmentEndpoint, bytes: Uint8Array, hit: Hit): Promise<Answer> {
  const message = parsePkiMessage(bytes);
  const { transactionID, senderNonce } = message;
  hit.transactionID = transactionID;
  if (messageTypeForm.test(message.messageType ?? '')) hit.messageType = message.messageType ?? '';
  const requestType = acceptedRequestType(endpoint, message);
  if (requestType === 'PKCSReq' || requestType === 'RenewalReq') parts.throttling.take(endpoint.connectorId, 'PKCSReq');
  const raKeys = await parts.enrolmentEndpoints.getRaKeys(endpoint);
  const opening = { bytes, keyPairs: raKeys.decrypting, hit };
  const opened = typeof requestType === 'string' ? await openOrRefuse(parts, endpoint, { ...opening, requestType }) : requestType;
  const result =
    'pkiStatus' in opened
      ? await refuse(parts, endpoint, opened, { transactionID, source: hit.source })
      : await serve(parts, endpoint, opened, hit);
  hit.outcome = result.pkiStatus;
  if (result.pkiStatus === 'FAILURE') hit.reason = result.reason;
  const keyPair = raKeys.signingFor('pkiStatus' in opened ? undefined : opened.keyPairIndex);
  const algorithms = 'pkiStatus' in opened ? defaultReply(message.signerInfo, endpoint.algorithms) : opened.algorithms;
  const body = await parts.workers.run(replyTask, {
    transactionID,
    senderNonce,
    result: certRepResult(result),
    algorithms,
    keyPair: toBytes(keyPair),
  });
  return { kind: 'certRep', body, ...(result.pkiStatus === 'FAILURE' && { failure: result }) };
}

/** What the connector makes of the messageType. RenewalReq is one that AWS does not know, and nor does a policy that does not renew. */
function acceptedRequestType({ renews }: EnrolmentEndpoint, { messageType }: PkiMessage): RequestTypeName | Failure {
  if (messageType === undefined || !messageTypeForm.test(messageType)) {
    const reason = 'Unsupported PkiOperation messageType: not a number. Use PKCSReq (19).';
    return failure('badRequest', reason, { code: 'unsupportedMessageType' });
  }
  const requestType = findRequestType(messageType);
  if (requestType !== undefined && (requestType !== 'RenewalReq' || renews)) return requestType;
  const hint =
    requestType === 'RenewalReq'
      ? 'This connector does not renew by certificate: use PKCSReq (19) with a challenge password.'
      : 'Use PKCSReq (19).';
  return failure('badRequest', `Unsupported PkiOperation messageType: ${messageType}. ${hint}`, {
    code: 'unsupportedMessageTypeNumber',
    detail: messageType,
  });
}

interface Opening {
  bytes: Uint8Array;
  keyPairs: readonly KeyPair[];
  requestType: RequestTypeName;
  hit: Hit;
}

/** Throws ThrottlingException when too much from this source could not be decrypted: whoever probes the RA key sends nothing else. */
async function openOrRefuse(
  { workers, failureLimits, system }: ScepParts,
  { connectorId, algorithms: policy, policy: { SigningTimeToleranceMinutes: minutes } }: EnrolmentEndpoint,
  { bytes, keyPairs, requestType, hit }: Opening,
): Promise<Opened | Failure> {
  // Whether a GetCert or GetCRL decrypts is known only by what is found.
  const kind = requestType === 'GetCert' || requestType === 'GetCRL' ? 'lookup' : 'decryption';
  failureLimits.check(kind, connectorId, hit.source);
  const signingTime = minutes === undefined ? undefined : { now: system.now(), toleranceMs: minutes * 60_000 };
  try {
    const output = await workers.run(openTask, { message: bytes, requestType, keyPairs: keyPairs.map(toBytes), policy, signingTime });
    if (kind === 'decryption') failureLimits.settle(kind, connectorId, hit.source, { failed: false });
    return { ...output, requestType };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    // Of the others nothing was decrypted.
    if (error.reason === 'undecodable') failureLimits.settle('decryption', connectorId, hit.source, { failed: true });
    return failureOf(error);
  }
}

type Opened = OpenOutput & { requestType: RequestTypeName };

type Result =
  | { pkiStatus: 'SUCCESS'; certificates: readonly Uint8Array[]; crls?: readonly Uint8Array[]; recipient: Uint8Array }
  | { pkiStatus: 'PENDING' }
  | Failure;

async function serve(parts: ScepParts, endpoint: EnrolmentEndpoint, opened: Opened, hit: Hit): Promise<Result> {
  const { enrolment, certificateLookup } = parts;
  const recipient = opened.signer;
  const request: OpenedRequest = { transactionID: hit.transactionID ?? '', signer: parseCertificate(opened.signer), source: hit.source };
  switch (opened.requestType) {
    case 'PKCSReq':
    case 'RenewalReq': {
      const csr = parseCertificationRequest(opened.messageData);
      const outcome = await enrolment.enrol(endpoint, { ...request, csr, digest: opened.algorithms.digest.name });
      return outcome.pkiStatus === 'SUCCESS' ? { ...outcome, recipient } : outcome;
    }
    case 'CertPoll': {
      const outcome = await enrolment.poll(endpoint, request);
      return outcome.pkiStatus === 'SUCCESS' ? { ...outcome, recipient } : outcome;
    }
    case 'GetCert': {
      const found = await certificateLookup.findCertificate(endpoint, request, parseIssuerAndSerialNumber(opened.messageData));
      settleLookup(parts, endpoint, hit, found);
      if ('pkiStatus' in found) return refuse(parts, endpoint, found, request);
      return { pkiStatus: 'SUCCESS', certificates: [found.certificate], recipient };
    }
    case 'GetCRL': {
      const found = await certificateLookup.findRevocationList(endpoint, parseIssuerAndSerialNumber(opened.messageData));
      settleLookup(parts, endpoint, hit, found);
      if ('pkiStatus' in found) return refuse(parts, endpoint, found, request);
      return { pkiStatus: 'SUCCESS', certificates: [], crls: [found.crl], recipient };
    }
    default:
      return opened.requestType satisfies never;
  }
}

function settleLookup({ failureLimits }: ScepParts, { connectorId }: EnrolmentEndpoint, { source }: Hit, found: object | Failure): void {
  failureLimits.settle('lookup', connectorId, source, { failed: 'pkiStatus' in found && found.failInfo === 'badCertId' });
}

function refuse(
  { enrolment }: ScepParts,
  endpoint: EnrolmentEndpoint,
  refusal: Failure,
  request: Pick<OpenedRequest, 'transactionID' | 'source'>,
): Promise<Failure> {
  return enrolment.recordRefusal(endpoint, request, refusal);
}

function certRepResult(result: Result): CertRepResult {
  if (result.pkiStatus !== 'FAILURE') return result;
  return { pkiStatus: 'FAILURE', failInfo: result.failInfo, failInfoText: result.reason };
}
