/** SCEP's pkiMessage (RFC 8894 section 3) as the server sees it: requests decoded in stages, so that each failure gets its proper answer, and CertRep encoded. */
import { sign } from 'node:crypto';
import {
  type AlgorithmPolicy,
  type ContentCipher,
  contentCipherByOid,
  contentCiphers,
  type Digest,
  digestByOid,
  digests,
  requireDigest,
  unsupportedAlgorithm,
} from '../../base/pki/algorithms.ts';
import { octetString, printableString, utf8String } from '../../base/pki/der.ts';
import {
  type EnvelopedData,
  encodeEnvelopedData,
  findOpening,
  fitsKeyTransport,
  type KeyPair,
  type KeyTransport,
  type Opening,
  parseEnvelopedData,
} from '../../base/pki/enveloped-data.ts';
import { Oid } from '../../base/pki/oids.ts';
import { malformed, PkiError } from '../../base/pki/pki-error.ts';
import {
  encodeDegenerate,
  encodeSignedData,
  findSignerCertificate,
  onlySigner,
  parseSignedData,
  type SignedAttribute,
  type SignedData,
  type SignerInfo,
  verifySignerInfo,
} from '../../base/pki/signed-data.ts';
import { readTime } from '../../base/pki/strings-and-times.ts';
import { type Certificate, parseCertificate } from '../../base/pki/x509.ts';
import {
  FailInfo,
  type FailInfoName,
  MessageType,
  PkiStatus,
  parseNonce,
  parseTransactionID,
  type RequestTypeName,
  readTextAttribute,
} from '../../base/scep.ts';
import { openIssuerAndSerialNumber, openUniformly, readCertificationRequest } from './uniform-opening.ts';

/** A request whose outside can be read: enough to answer with a CertRep, but nothing in it is proven yet. */
export interface PkiMessage {
  /** As it was sent; undefined when there is none that could be read. */
  messageType: string | undefined;
  transactionID: string;
  /** Absent from some old clients; echoed exactly when it is there. */
  senderNonce: Uint8Array | undefined;
  /** The instant that the client says it signed at. */
  signingTime: number | undefined;
  signedData: SignedData;
  signerInfo: SignerInfo;
}

/** Throws PkiError when not even the transactionID can be read: there is then no CertRep to send. */
export function parsePkiMessage(source: Uint8Array): PkiMessage {
  const signedData = parseSignedData(source);
  const signerInfo = onlySigner(signedData);
  return {
    messageType: signerInfo.attributes.has(Oid.messageType) ? readTextAttribute(signerInfo, Oid.messageType, 'messageType') : undefined,
    transactionID: parseTransactionID(signerInfo),
    senderNonce: parseNonce(signerInfo, Oid.senderNonce, 'senderNonce'),
    signingTime: readSigningTime(signerInfo),
    signedData,
    signerInfo,
  };
}

/** RFC 5652 section 11.3. One that cannot be read is none: only a policy that asks for it looks at it. */
function readSigningTime({ attributes }: SignerInfo): number | undefined {
  const [value] = attributes.get(Oid.signingTime) ?? [];
  try {
    return value && readTime(value);
  } catch {
    return undefined;
  }
}

/** The digest, content cipher and key transport of a request, which its answer uses again, and the RA key it was encrypted to. */
export interface ReplyAlgorithms {
  keyPair: KeyPair;
  digest: Digest;
  cipher: ContentCipher;
  keyTransport: KeyTransport;
}

/** A request whose CMS signature holds and whose envelope was opened. */
export interface OpenedPkiMessage {
  signer: Certificate;
  /** The messageData, which is what the messageType says: it was parsed once. Of a CertPoll it is empty. */
  messageData: Uint8Array;
  reply: ReplyAlgorithms;
}

export interface OpenOptions {
  requestType: RequestTypeName;
  /** Every key pair of the connector that still lives and decrypts. */
  keyPairs: readonly KeyPair[];
  policy: AlgorithmPolicy;
  /** How far signingTime may be from now; absent: it is not looked at. */
  signingTime?: { now: number; toleranceMs: number } | undefined;
}

/**
 * Verifies and decrypts a request. Throws PkiError, which `failureOf` turns into a verdict. All that can be refused without the private key is refused
 * before that is used: what is said only of a message that decrypts tells that it does.
 */
export function openPkiMessage(message: PkiMessage, options: OpenOptions): OpenedPkiMessage {
  const { signedData, signerInfo } = message;
  if (signedData.eContentType !== Oid.data) throw malformed('eContentType is not id-data');
  const enveloped = parseEnvelope(signedData);
  refuseAlgorithms(signerInfo, enveloped, options.policy);
  const signer = findSignerCertificate(signerInfo, signedData.certificates);
  verifySignerInfo(signedData, signerInfo, signer, options.policy);
  checkSigningTime(message, options);
  const opening = findOpening(enveloped, options.keyPairs);
  checkRecipient(signer, opening);
  const messageData = openMessageData(opening, options.requestType, signer);
  const { keyPair, cipher, keyTransport } = opening;
  return { signer, messageData, reply: { keyPair, digest: requireDigest(signerInfo.digestAlgorithm), cipher, keyTransport } };
}

/** What a request's messageData must be (RFC 8894 section 3.3). */
function openMessageData(opening: Opening, requestType: RequestTypeName, signer: Certificate): Uint8Array {
  switch (requestType) {
    case 'PKCSReq':
    case 'RenewalReq':
      return openUniformly(opening, (content, intact) => readCertificationRequest(content, intact, signer));
    case 'CertPoll':
      // IssuerAndSubject is redundant (section 3.3.3; sscep once swapped the two): a poll is known by its transactionID and its signer's key.
      return Buffer.alloc(0);
    case 'GetCert':
    case 'GetCRL':
      return openIssuerAndSerialNumber(opening);
    default:
      return requestType satisfies never;
  }
}

/** failInfo badTime (section 3.2.1.4.3). A request that does not say when it was signed cannot be late. */
function checkSigningTime({ signingTime }: PkiMessage, { signingTime: bounds }: OpenOptions): void {
  if (bounds === undefined || signingTime === undefined || Math.abs(signingTime - bounds.now) <= bounds.toleranceMs) return;
  throw new PkiError('badTime', `The signingTime is more than ${bounds.toleranceMs / 60_000} minutes off. Set the clock of the device.`);
}

/** The answer is encrypted to the signer's key, so one that cannot be encrypted to is refused before anything is issued. */
function checkRecipient({ publicKey }: Certificate, opening: Opening): void {
  if (publicKey.kind !== 'RSA') {
    throw new PkiError('unsuitableRecipient', 'The answer can only be encrypted to an RSA key. Sign the request with an RSA key.');
  }
  if (fitsKeyTransport(publicKey, opening)) return;
  const reason = 'The RSA key that signs the request is too short for its key transport. Use 2048 bits or more.';
  throw new PkiError('unsuitableRecipient', reason);
}

function parseEnvelope({ eContent }: SignedData): EnvelopedData {
  if (eContent === undefined || eContent.length === 0) throw malformed('a request without a pkcsPKIEnvelope');
  return parseEnvelopedData(eContent);
}

/** Names every refused algorithm at once, so that an administrator changes the client once. */
function refuseAlgorithms(signerInfo: SignerInfo, { contentEncryptionAlgorithm }: EnvelopedData, policy: AlgorithmPolicy): void {
  const refused: PkiError[] = [];
  const cipher = contentCipherByOid.get(contentEncryptionAlgorithm.oid);
  if (cipher === undefined || !policy.contentCiphers.has(cipher.name)) {
    refused.push(unsupportedAlgorithm(contentEncryptionAlgorithm.oid, 'AES-128-CBC or AES-256-CBC'));
  }
  if (acceptedDigest(signerInfo, policy) === undefined) refused.push(unsupportedAlgorithm(signerInfo.digestAlgorithm.oid, 'SHA-256'));
  const [first] = refused;
  if (first !== undefined) throw new PkiError(first.reason, refused.map(({ message }) => message).join(' '), first);
}

function acceptedDigest({ digestAlgorithm }: SignerInfo, policy: AlgorithmPolicy): Digest | undefined {
  const digest = digestByOid.get(digestAlgorithm.oid);
  return digest && policy.digests.has(digest.name) ? digest : undefined;
}

/** `certificates`, `crls` and `recipient`, the request's signer, are DER. */
export type CertRepResult =
  | { pkiStatus: 'SUCCESS'; certificates: readonly Uint8Array[]; crls?: readonly Uint8Array[]; recipient: Uint8Array }
  | { pkiStatus: 'PENDING' }
  | { pkiStatus: 'FAILURE'; failInfo: FailInfoName; failInfoText: string };

/** A CertRep, signed by the RA key and, on SUCCESS, encrypted to the request's signer (RFC 8894 section 3.3.2). */
export function encodeCertRep(
  message: Pick<PkiMessage, 'transactionID' | 'senderNonce'>,
  result: CertRepResult,
  reply: ReplyAlgorithms,
  randomBytes: (size: number) => Uint8Array,
): Uint8Array {
  const signedAttributes: SignedAttribute[] = [
    { type: Oid.transactionID, value: printableString(message.transactionID) },
    { type: Oid.messageType, value: printableString(MessageType.CertRep) },
    { type: Oid.pkiStatus, value: printableString(PkiStatus[result.pkiStatus]) },
    // RFC 8894 no longer asks for it, but certmonger insists and jscep refuses a repeated one.
    { type: Oid.senderNonce, value: octetString(randomBytes(16)) },
  ];
  if (message.senderNonce !== undefined) signedAttributes.push({ type: Oid.recipientNonce, value: octetString(message.senderNonce) });
  let eContent: Uint8Array = Buffer.alloc(0);
  if (result.pkiStatus === 'SUCCESS') {
    const { cipher, keyTransport } = reply;
    eContent = encodeEnvelopedData({
      content: encodeDegenerate(result),
      recipient: parseCertificate(result.recipient),
      cipher,
      keyTransport,
      randomBytes,
    });
  } else if (result.pkiStatus === 'FAILURE') {
    signedAttributes.push({ type: Oid.failInfo, value: printableString(FailInfo[result.failInfo]) });
    signedAttributes.push({ type: Oid.failInfoText, value: utf8String(result.failInfoText) });
  }
  const { certificate, privateKey } = reply.keyPair;
  return encodeSignedData({
    eContent,
    signedAttributes,
    digest: reply.digest,
    certificate,
    sign: (digest, data) => sign(digest.openssl, data, privateKey),
  });
}

/** What an answer uses when the request's own algorithms are unknown or refused: the RFC's mandatory set (section 2.9). */
export function defaultReply(signerInfo: SignerInfo, policy: AlgorithmPolicy): Omit<ReplyAlgorithms, 'keyPair'> {
  const digest = acceptedDigest(signerInfo, policy) ?? digests['SHA-256'];
  return { digest, cipher: contentCiphers['AES-128-CBC'], keyTransport: { scheme: 'PKCS1' } };
}
