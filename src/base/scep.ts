/** The vocabulary of SCEP (RFC 8894 section 3.2.1): message types, statuses and failure reasons with their values on the wire, and its attributes. */
import { Tag } from './pki/asn1.ts';
import { Oid } from './pki/oids.ts';
import { type PkiError, type PkiErrorReason, undecodable } from './pki/pki-error.ts';
import { optionalAttribute, type SignerInfo } from './pki/signed-data.ts';
import { readText } from './pki/strings-and-times.ts';

/** Real transactionIDs have up to 77 characters (certmonger); nonces have 16 octets, or 8 from old iOS devices. */
export const pkiMessageLimits = { transactionIDCharactersMax: 256, nonceOctetsMax: 64 } as const;

/** Section 3.2.1.2. */
export const MessageType = { CertRep: '3', RenewalReq: '17', PKCSReq: '19', CertPoll: '20', GetCert: '21', GetCRL: '22' } as const;
/** What a client may send. */
export type RequestTypeName = Exclude<keyof typeof MessageType, 'CertRep'>;

const requestTypes: readonly RequestTypeName[] = ['RenewalReq', 'PKCSReq', 'CertPoll', 'GetCert', 'GetCRL'];

/** The request that a messageType stands for. Exactly its number: `019` is another text, and no client writes it. */
export function findRequestType(messageType: string): RequestTypeName | undefined {
  return requestTypes.find(name => MessageType[name] === messageType);
}

/** Section 3.2.1.3. */
export const PkiStatus = { SUCCESS: '0', FAILURE: '2', PENDING: '3' } as const;

/** Section 3.2.1.4. */
export const FailInfo = { badAlg: '0', badMessageCheck: '1', badRequest: '2', badTime: '3', badCertId: '4' } as const;
export type FailInfoName = keyof typeof FailInfo;

/** What the codec's refusals are called in a CertRep. */
const failInfoByReason: Record<PkiErrorReason, FailInfoName> = {
  malformed: 'badRequest',
  undecodable: 'badRequest',
  otherRecipient: 'badRequest',
  unsupportedAlgorithm: 'badAlg',
  unsuitableRecipient: 'badAlg',
  badTime: 'badTime',
  badSignature: 'badMessageCheck',
  noSignerCertificate: 'badMessageCheck',
};

/**
 * The errors that AWS's connector documents, a name for each (AWS Private CA User Guide, "Troubleshoot Connector for SCEP HTTP errors"). What they are
 * in HTTP stands in fronts/scep/connector-errors.ts.
 */
export type ConnectorErrorCode =
  | 'issuanceLimitExceeded'
  | 'notBase64'
  | 'authorityNotActive'
  | 'authorityValidityTooShort'
  | 'signerExpired'
  | 'invalidCms'
  | 'connectorNotActive'
  | 'noValidCertificate'
  | 'invalidUri'
  | 'hostHeader'
  | 'notDecoded'
  | 'responseNotEncoded'
  | 'unsupportedAlgorithm'
  | 'unsupportedMessageType'
  | 'challengeInvalid'
  | 'challengeCount'
  | 'noAzureAccess'
  | 'azureActionDenied'
  | 'azureApplicationNotFound'
  | 'intuneValidationFailed'
  | 'unsupportedMessageTypeNumber'
  | 'keyNotSupported'
  | 'authorityAccessDenied'
  | 'accountDoesNotExist'
  | 'authorityDoesNotExist'
  | 'connectorDoesNotExist'
  | 'connectorChanged'
  | 'throttled';

/** `detail` is what AWS's sentence has a place for, such as an OID. */
export interface ConnectorError {
  code: ConnectorErrorCode;
  detail?: string;
}

/**
 * A verdict on a request. `reason` is for the device's operator and the audit trail: it holds no secret. `error` is what AWS calls it, if it does.
 * `intune` is Intune's own, with the id of the call by which Microsoft's support finds it.
 */
export interface Failure {
  pkiStatus: 'FAILURE';
  failInfo: FailInfoName;
  reason: string;
  error?: ConnectorError;
  intune?: { code: string; activityId: string };
}

export function failure(failInfo: FailInfoName, reason: string, error?: ConnectorError): Failure {
  return { pkiStatus: 'FAILURE', failInfo, reason, ...(error && { error }) };
}

/** AWS does not look at the signingTime. */
const errorByReason: Record<Exclude<PkiErrorReason, 'badTime'>, ConnectorErrorCode> = {
  malformed: 'invalidCms',
  undecodable: 'notDecoded',
  otherRecipient: 'notDecoded',
  unsupportedAlgorithm: 'unsupportedAlgorithm',
  unsuitableRecipient: 'responseNotEncoded',
  badSignature: 'invalidCms',
  noSignerCertificate: 'noValidCertificate',
};

/** The codec's refusal as a verdict. Its message is a sentence already, or says in a few words what is wrong with the bytes. */
export function failureOf({ reason, message, algorithm }: PkiError): Failure {
  const error = reason === 'badTime' ? undefined : { code: errorByReason[reason], ...(algorithm !== undefined && { detail: algorithm }) };
  return failure(failInfoByReason[reason], message.endsWith('.') ? message : `The request is refused: ${message}.`, error);
}

/** The one value of a signed attribute that is PrintableString by the RFC, in whichever string type it came. */
export function readTextAttribute(signerInfo: SignerInfo, type: string, name: string): string {
  const [value, second] = signerInfo.attributes.get(type) ?? [];
  if (value === undefined) throw undecodable(`${name} is missing`);
  if (second !== undefined) throw undecodable(`${name} is not one value`);
  return readText(value);
}

/** Bounded, and of printable ASCII: it goes into an answer, a log line and the store. */
export function parseTransactionID(signerInfo: SignerInfo): string {
  const text = readTextAttribute(signerInfo, Oid.transactionID, 'transactionID');
  if (text === '' || text.length > pkiMessageLimits.transactionIDCharactersMax) throw undecodable('a transactionID of impossible length');
  // oxlint-disable-next-line no-control-regex -- the control characters are what must not get through
  if (/[^\u0020-\u007e]/.test(text)) throw undecodable('a transactionID with characters that are not printable');
  return text;
}

export function parseNonce(signerInfo: SignerInfo, type: string, name: string): Uint8Array | undefined {
  const octets = optionalAttribute(signerInfo, type, Tag.octetString, name)?.octets();
  if (octets !== undefined && octets.length > pkiMessageLimits.nonceOctetsMax) throw undecodable(`a ${name} of impossible length`);
  return octets;
}
