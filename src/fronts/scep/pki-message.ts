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
  type KeyPair,
  type KeyTransport,
  parseEnvelopedData,
} from '../../base/pki/enveloped-data.ts';
import { Oid } from '../../base/pki/oids.ts';
import type { CertificationRequest } from '../../base/pki/pkcs10.ts';
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
import { type Certificate, parseCertificate } from '../../base/pki/x509.ts';
import { FailInfo, type FailInfoName, MessageType, PkiStatus, parseNonce, parseTransactionID, readTextAttribute } from '../../base/scep.ts';
import { openUniformly } from './uniform-opening.ts';

/** A request whose outside can be read: enough to answer with a CertRep, but nothing in it is proven yet. */
export interface PkiMessage {
  messageType: string;
  transactionID: string;
  /** Absent from some old clients; echoed exactly when it is there. */
  senderNonce: Uint8Array | undefined;
  signedData: SignedData;
  signerInfo: SignerInfo;
}

/** Throws PkiError when not even messageType and transactionID can be read: there is then no CertRep to send. */
export function parsePkiMessage(source: Uint8Array): PkiMessage {
  const signedData = parseSignedData(source);
  const signerInfo = onlySigner(signedData);
  return {
    messageType: readTextAttribute(signerInfo, Oid.messageType, 'messageType'),
    transactionID: parseTransactionID(signerInfo),
    senderNonce: parseNonce(signerInfo, Oid.senderNonce, 'senderNonce'),
    signedData,
    signerInfo,
  };
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
  csr: CertificationRequest;
  reply: ReplyAlgorithms;
}

export interface OpenOptions {
  /** Every RA key pair of the connector that still lives. */
  keyPairs: readonly KeyPair[];
  policy: AlgorithmPolicy;
}

/** Verifies and decrypts a PKCSReq. Throws PkiError, which `failureOf` turns into a verdict. */
export function openCertificationRequest(message: PkiMessage, options: OpenOptions): OpenedPkiMessage {
  const { signedData, signerInfo } = message;
  if (signedData.eContentType !== Oid.data) throw malformed('eContentType is not id-data');
  const enveloped = parseEnvelope(signedData);
  refuseAlgorithms(signerInfo, enveloped, options.policy);
  const signer = findSignerCertificate(signerInfo, signedData.certificates);
  verifySignerInfo(signedData, signerInfo, signer, options.policy);
  const opening = findOpening(enveloped, options.keyPairs);
  const csr = openUniformly(opening, signer.publicKey);
  const { keyPair, cipher, keyTransport } = opening;
  return { signer, csr, reply: { keyPair, digest: requireDigest(signerInfo.digestAlgorithm), cipher, keyTransport } };
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

/** `certificates` and `recipient`, the request's signer, are DER. */
export type CertRepResult =
  | { pkiStatus: 'SUCCESS'; certificates: readonly Uint8Array[]; recipient: Uint8Array }
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
      content: encodeDegenerate(result.certificates),
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
