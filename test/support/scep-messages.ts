/** SCEP requests, valid and broken: put together from CMS's parts, so that a test can change any one part. */
import { constants, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto';
import {
  type ContentCipher,
  contentCiphers,
  createSigner,
  type Digest,
  encodeAlgorithmIdentifier,
  type Signer,
} from '../../src/base/pki/algorithms.ts';
import {
  bitString,
  contextConstructed,
  contextPrimitive,
  integer,
  octetString,
  printableString,
  sequence,
  utf8String,
} from '../../src/base/pki/der.ts';
import type { KeyPair, KeyTransport } from '../../src/base/pki/enveloped-data.ts';
import { type Extension, encodeExtensions } from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { type Certificate, createCertificate, parseCertificate, subjectKeyIdentifier } from '../../src/base/pki/x509.ts';
import { MessageType } from '../../src/base/scep.ts';
import {
  attribute,
  cmsAttributes,
  encryption,
  encryptKey,
  envelope,
  issuerAndSerialNumber,
  recipientInfo,
  signedData,
  signerInfo,
} from './cms-parts.ts';
import { rsaKey } from './pki-fixtures.ts';

const dayMs = 86_400_000;
const bmpStringIdentifier = 0x1e;

export interface SelfSignedParts {
  subject?: string;
  /** Hexadecimal. */
  serialNumber?: string;
  notBefore?: number;
  notAfter?: number;
  /** In place of one that signs with the key and SHA-256. */
  signer?: Signer;
}

/** A device with the self-signed certificate that RFC 8894 section 2.3 has it make, valid from yesterday for a week. */
export function createDevice(key: KeyObject = rsaKey('device'), parts: SelfSignedParts = {}): KeyPair {
  const { notBefore = Date.now() - dayMs, notAfter = Date.now() + 7 * dayMs, signer = createSigner(key) } = parts;
  const subject = parseNameString(parts.subject ?? 'CN=printer-7').der;
  const template = {
    serialNumber: parts.serialNumber ?? randomBytes(16).toString('hex'),
    issuer: subject,
    subject,
    subjectPublicKeyInfo: publicKeyOf(key).spki,
    notBefore,
    notAfter,
    extensions: [],
  };
  return { certificate: parseCertificate(createCertificate(template, signer)), privateKey: key };
}

export interface CsrParts {
  subject?: string;
  /** The key that it is for and that signs it. */
  key?: KeyObject;
  /** In place of that key's own. */
  subjectPublicKeyInfo?: Uint8Array;
  /** In place of one that signs with the key and SHA-256. */
  signer?: Signer;
  /** Encoded Attributes, in this order. */
  attributes?: readonly Uint8Array[];
}

export function encodeCsr(parts: CsrParts): Uint8Array {
  const { subject = 'CN=printer-7,O=Example', key = rsaKey('device'), signer = createSigner(key), attributes = [] } = parts;
  const info = sequence(
    integer(0),
    subject === '' ? sequence() : parseNameString(subject).der,
    parts.subjectPublicKeyInfo ?? publicKeyOf(key).spki,
    contextConstructed(0, ...attributes),
  );
  return sequence(info, signer.algorithm, bitString(signer.sign(info)));
}

/** The Attribute challengePassword with these values: text stands for a UTF8String. */
export function challengePassword(...values: readonly (string | Uint8Array)[]): Uint8Array {
  const encoded = values.map(value => (typeof value === 'string' ? utf8String(value) : value));
  return attribute(Oid.challengePassword, ...encoded);
}

export function extensionRequest(...extensions: readonly Extension[]): Uint8Array {
  return attribute(Oid.extensionRequest, encodeExtensions(extensions));
}

/** MS-WCCE section 2.2.2.7.10's pair: both members are BMPStrings. */
export function nameValuePair(name: string, value: string): Uint8Array {
  return sequence(bmpString(name), bmpString(value));
}

export function nameValuePairs(...values: readonly Uint8Array[]): Uint8Array {
  return attribute(Oid.enrollmentNameValuePair, ...values);
}

export function bmpString(text: string): Uint8Array {
  return stringOf(bmpStringIdentifier, Buffer.from(text, 'utf16le').swap16());
}

/** A character string of any type, which need not be one. */
export function stringOf(identifier: number, octets: Uint8Array): Uint8Array {
  const encoded = Buffer.from(octetString(octets));
  encoded[0] = identifier;
  return encoded;
}

export interface EnvelopeParts {
  content: Uint8Array;
  recipients: readonly RecipientParts[];
  cipher?: ContentCipher;
  /** In place of a random key of the cipher's length; the content is then encrypted under its first octets. */
  contentKey?: Uint8Array;
  /** In place of a random one. */
  iv?: Uint8Array;
  /** What is encrypted is the content as it is, without padding. */
  isPadded?: boolean;
  /** In place of the ciphertext. */
  encryptedContent?: Uint8Array;
}

export interface RecipientParts {
  certificate: Certificate;
  identifiedBy?: 'issuerAndSerialNumber' | 'subjectKeyIdentifier';
  keyTransport?: KeyTransport;
  /** In place of the wrapped content key. */
  encryptedKey?: Uint8Array;
}

/** A pkcsPKIEnvelope. */
export function encodeEnvelope(parts: EnvelopeParts): Uint8Array {
  const {
    content,
    recipients,
    cipher = contentCiphers['AES-128-CBC'],
    contentKey = randomBytes(cipher.keyBytes),
    isPadded = false,
  } = parts;
  const key = Buffer.concat([contentKey, Buffer.alloc(cipher.keyBytes)]).subarray(0, cipher.keyBytes);
  const { algorithm, encrypt } = encryption(cipher, key, parts.iv);
  return envelope({
    recipientInfos: recipients.map(recipient => encodeRecipientInfo(recipient, contentKey)),
    algorithm,
    encryptedContent: parts.encryptedContent ?? encrypt(content, { padded: isPadded }),
  });
}

function encodeRecipientInfo(parts: RecipientParts, contentKey: Uint8Array): Uint8Array {
  const { certificate, identifiedBy, keyTransport } = parts;
  const identifier = subjectKeyIdentifier(certificate);
  const rid = identifiedBy === 'subjectKeyIdentifier' && identifier ? contextPrimitive(0, identifier) : issuerAndSerialNumber(certificate);
  if (keyTransport?.scheme !== 'OAEP') {
    return recipientInfo({ recipient: certificate, rid, encryptedKey: parts.encryptedKey ?? encryptKey(certificate, contentKey) });
  }
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: keyTransport.digest.openssl };
  const encryptedKey = parts.encryptedKey ?? publicEncrypt({ key: certificate.publicKey.keyObject, ...padding }, contentKey);
  return recipientInfo({ recipient: certificate, rid, algorithm: oaepIdentifier(keyTransport.digest), encryptedKey });
}

function oaepIdentifier(digest: Digest): Uint8Array {
  const hash = encodeAlgorithmIdentifier(digest.oid);
  const parameters = [contextConstructed(0, hash), contextConstructed(1, encodeAlgorithmIdentifier(Oid.mgf1, hash))];
  return encodeAlgorithmIdentifier(Oid.rsaesOaep, sequence(...(digest.name === 'SHA-1' ? [] : parameters)));
}

export interface AttributeParts {
  transactionID?: string;
  /** Null leaves the attribute out, here and below. */
  messageType?: string | null;
  senderNonce?: Uint8Array | null;
}

/** The signed attributes of a request beside those that CMS itself demands. */
export function requestAttributes(parts: AttributeParts): Uint8Array[] {
  const { transactionID = randomBytes(16).toString('hex'), messageType = MessageType.PKCSReq, senderNonce = randomBytes(16) } = parts;
  return [
    attribute(Oid.transactionID, printableString(transactionID)),
    ...(messageType === null ? [] : [attribute(Oid.messageType, printableString(messageType))]),
    ...(senderNonce === null ? [] : [attribute(Oid.senderNonce, octetString(senderNonce))]),
  ];
}

export interface SignerParts {
  signer: KeyPair;
  /** The pkcsPKIEnvelope; undefined where the message has no eContent. */
  eContent: Uint8Array | undefined;
  /** Beside contentType and messageDigest. */
  attributes: readonly Uint8Array[];
  digest?: Digest;
  /** In place of `rsaEncryption`, which leaves the digest to digestAlgorithm. */
  signatureAlgorithm?: Uint8Array;
}

export function encodeSignerInfo({ eContent = Buffer.alloc(0), attributes, ...parts }: SignerParts): Uint8Array {
  const sorted = [...cmsAttributes(eContent, parts.digest), ...attributes].toSorted(Buffer.compare);
  return signerInfo({ ...parts, attributes: sorted });
}

export interface SignedMessageParts {
  eContent: Uint8Array | undefined;
  eContentType?: string;
  certificates: readonly Certificate[];
  digest?: Digest;
  signerInfos: readonly Uint8Array[];
}

export function encodeSignedMessage({ eContent, certificates, ...parts }: SignedMessageParts): Uint8Array {
  return signedData({
    ...parts,
    eContent: eContent && octetString(eContent),
    certificates: certificates.map(({ der }) => der),
  });
}

/** The same octets but for one, counted from the end when `at` is negative. */
export function withFlippedOctet(octets: Uint8Array, at: number): Uint8Array {
  const flipped = Buffer.from(octets);
  const index = at < 0 ? flipped.length + at : at;
  flipped[index] = (flipped[index] ?? 0) ^ 0x01;
  return flipped;
}
