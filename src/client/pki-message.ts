/** SCEP's pkiMessage (RFC 8894 section 3) as a client sees it: requests encoded, CertRep verified and decoded. */
import { sign } from 'node:crypto';
import { type AlgorithmPolicy, type ContentCipher, type Digest } from '../base/pki/algorithms.ts';
import { Tag } from '../base/pki/asn1.ts';
import { octetString, printableString } from '../base/pki/der.ts';
import { encodeEnvelopedData, findOpening, type KeyPair, openContent, parseEnvelopedData } from '../base/pki/enveloped-data.ts';
import { Oid } from '../base/pki/oids.ts';
import { malformed, PkiError } from '../base/pki/pki-error.ts';
import {
  encodeSignedData,
  findSignerCertificate,
  onlySigner,
  optionalAttribute,
  parseSignedData,
  type SignerInfo,
  verifySignerInfo,
} from '../base/pki/signed-data.ts';
import { readText } from '../base/pki/strings-and-times.ts';
import type { Certificate } from '../base/pki/x509.ts';
import { FailInfo, type FailInfoName, MessageType, PkiStatus, parseNonce, parseTransactionID, readTextAttribute } from '../base/scep.ts';

export interface RequestTemplate {
  messageType: 'PKCSReq' | 'RenewalReq' | 'CertPoll';
  /** What the messageType calls for: a CSR, or IssuerAndSubject for CertPoll. DER. */
  messageData: Uint8Array;
  transactionID: string;
  senderNonce: Uint8Array;
  /** Who signs the request and is answered. */
  signer: KeyPair;
  /** The certificate that the envelope is for: the RA's, or the CA's own. */
  recipient: Certificate;
  digest: Digest;
  cipher: ContentCipher;
  randomBytes: (size: number) => Uint8Array;
}

export function encodeRequest(template: RequestTemplate): Uint8Array {
  const { signer, recipient, cipher, randomBytes } = template;
  const keyTransport = { scheme: 'PKCS1' as const };
  return encodeSignedData({
    eContent: encodeEnvelopedData({ content: template.messageData, recipient, cipher, keyTransport, randomBytes }),
    signedAttributes: [
      { type: Oid.transactionID, value: printableString(template.transactionID) },
      { type: Oid.messageType, value: printableString(MessageType[template.messageType]) },
      { type: Oid.senderNonce, value: octetString(template.senderNonce) },
    ],
    digest: template.digest,
    certificate: signer.certificate,
    sign: (digest, data) => sign(digest.openssl, data, signer.privateKey),
  });
}

export type CertRep =
  | { pkiStatus: 'SUCCESS'; certificates: readonly Certificate[] }
  | { pkiStatus: 'PENDING' }
  | { pkiStatus: 'FAILURE'; failInfo: FailInfoName; failInfoText: string | undefined };

export interface CertRepExpectation {
  /** The certificates of GetCACert, one of which must have signed the answer. */
  caCertificates: readonly Certificate[];
  transactionID: string;
  senderNonce: Uint8Array;
  /** The request's signer, to whom the answer is encrypted. */
  signer: KeyPair;
  policy: AlgorithmPolicy;
}

/** Throws PkiError when the answer is not this server's answer to this request. */
export function decodeCertRep(source: Uint8Array, expected: CertRepExpectation): CertRep {
  const signedData = parseSignedData(source);
  const signerInfo = onlySigner(signedData);
  verifySignerInfo(signedData, signerInfo, findSignerCertificate(signerInfo, expected.caCertificates), expected.policy);
  checkAnswers(signerInfo, expected);
  const status = readTextAttribute(signerInfo, Oid.pkiStatus, 'pkiStatus');
  switch (status) {
    case PkiStatus.SUCCESS:
      return { pkiStatus: 'SUCCESS', certificates: openCertificates(signedData.eContent, expected) };
    case PkiStatus.PENDING:
      return { pkiStatus: 'PENDING' };
    case PkiStatus.FAILURE:
      return { pkiStatus: 'FAILURE', ...readFailure(signerInfo) };
    default:
      throw malformed(`a CertRep with pkiStatus ${status}`);
  }
}

function checkAnswers(signerInfo: SignerInfo, { transactionID, senderNonce }: CertRepExpectation): void {
  const messageType = readTextAttribute(signerInfo, Oid.messageType, 'messageType');
  if (messageType !== MessageType.CertRep) throw malformed(`an answer of messageType ${messageType}, not CertRep`);
  if (parseTransactionID(signerInfo) !== transactionID) throw malformed('the answer is for another transactionID');
  const recipientNonce = parseNonce(signerInfo, Oid.recipientNonce, 'recipientNonce');
  if (recipientNonce === undefined || Buffer.compare(recipientNonce, senderNonce) !== 0) {
    throw new PkiError('badSignature', 'recipientNonce is not the request’s senderNonce: the answer may be replayed');
  }
}

function readFailure(signerInfo: SignerInfo): { failInfo: FailInfoName; failInfoText: string | undefined } {
  const code = readTextAttribute(signerInfo, Oid.failInfo, 'failInfo');
  const failInfo = Object.entries(FailInfo).find(([, value]) => value === code)?.[0] as FailInfoName | undefined;
  if (failInfo === undefined) throw malformed(`a CertRep with failInfo ${code}`);
  const text = optionalAttribute(signerInfo, Oid.failInfoText, Tag.utf8String, 'failInfoText');
  return { failInfo, failInfoText: text && readText(text) };
}

function openCertificates(eContent: Uint8Array | undefined, { signer, policy }: CertRepExpectation): readonly Certificate[] {
  if (eContent === undefined || eContent.length === 0) throw malformed('a CertRep of SUCCESS without a certificate');
  const opening = findOpening(parseEnvelopedData(eContent), [signer]);
  if (!policy.contentCiphers.has(opening.cipher.name)) {
    throw new PkiError('unsupportedAlgorithm', `an answer encrypted with ${opening.cipher.name}`);
  }
  const { content, intact } = openContent(opening);
  if (!intact) throw malformed('the answer cannot be decrypted');
  return parseSignedData(content).certificates;
}
