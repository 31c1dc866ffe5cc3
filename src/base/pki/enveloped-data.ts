/** CMS EnvelopedData (RFC 5652 section 6) with RSA key transport: opened so that no failure tells more than another, and made. */
import { constants, createCipheriv, createDecipheriv, type KeyObject, privateDecrypt, publicEncrypt } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  type ContentCipher,
  contentCipherByOid,
  type Digest,
  digestOf,
  digests,
  encodeAlgorithmIdentifier,
  parseAlgorithmIdentifier,
  parseMgf1,
  requireDigest,
  unsupportedAlgorithm,
} from './algorithms.ts';
import { type Element, Tag } from './asn1.ts';
import { takeContentKey } from './content-key.ts';
import { contextConstructed, contextPrimitive, integer, objectIdentifier, octetString, sequence, setOf } from './der.ts';
import { Oid } from './oids.ts';
import { malformed, PkiError } from './pki-error.ts';
import type { PublicKey } from './public-key.ts';
import { type CertificateIdentifier, encodeContentInfo, identifies, parseCertificateIdentifier, parseContentInfo } from './signed-data.ts';
import type { Certificate } from './x509.ts';

export const envelopedDataLimits = { recipientsMax: 10 } as const;

/** RSAES-PKCS1-v1_5, or RSAES-OAEP with MGF1 over the same digest (RFC 8017 section 7.1, RFC 4055 section 4.1). */
export type KeyTransport = { scheme: 'PKCS1' } | { scheme: 'OAEP'; digest: Digest };

interface KeyTransRecipientInfo {
  rid: CertificateIdentifier;
  keyEncryptionAlgorithm: AlgorithmIdentifier;
  encryptedKey: Uint8Array;
}

export interface EnvelopedData {
  recipients: readonly KeyTransRecipientInfo[];
  contentEncryptionAlgorithm: AlgorithmIdentifier;
  /** Concatenated when it came in segments. */
  encryptedContent: Uint8Array;
}

/** A certificate and its private key: what a message is decrypted and an answer signed with. */
export interface KeyPair {
  certificate: Certificate;
  privateKey: KeyObject;
}

export function parseEnvelopedData(source: Uint8Array): EnvelopedData {
  const fields = parseContentInfo(source, Oid.envelopedData).fields('EnvelopedData');
  fields.next(Tag.integer, 'version');
  fields.optional(Tag.context(0));
  const recipientInfos = fields.next(Tag.set, 'recipientInfos').elements('recipientInfos');
  const encryptedContentInfo = fields.next(Tag.sequence, 'encryptedContentInfo').fields('encryptedContentInfo');
  fields.optional(Tag.context(1));
  fields.end();
  if (recipientInfos.length > envelopedDataLimits.recipientsMax)
    throw malformed(`more than ${envelopedDataLimits.recipientsMax} recipients`);
  encryptedContentInfo.next(Tag.objectIdentifier, 'contentType');
  const contentEncryptionAlgorithm = parseAlgorithmIdentifier(encryptedContentInfo.next(Tag.sequence, 'contentEncryptionAlgorithm'));
  const encryptedContent = encryptedContentInfo.next(Tag.context(0), 'encryptedContent').octets();
  encryptedContentInfo.end();
  return {
    // The other kinds of RecipientInfo are tagged; none of them can be meant for an RSA key.
    recipients: recipientInfos.filter(info => info.tag === Tag.sequence).map(parseKeyTransRecipientInfo),
    contentEncryptionAlgorithm,
    encryptedContent,
  };
}

function parseKeyTransRecipientInfo(element: Element): KeyTransRecipientInfo {
  const fields = element.fields('KeyTransRecipientInfo');
  fields.next(Tag.integer, 'version');
  const rid = parseCertificateIdentifier(fields.any('rid'));
  const keyEncryptionAlgorithm = parseAlgorithmIdentifier(fields.next(Tag.sequence, 'keyEncryptionAlgorithm'));
  const encryptedKey = fields.next(Tag.octetString, 'encryptedKey').octets();
  fields.end();
  return { rid, keyEncryptionAlgorithm, encryptedKey };
}

/** How an envelope can be opened and by whom: everything that can be said of it before a private key is used. */
export interface Opening {
  keyPair: KeyPair;
  keyTransport: KeyTransport;
  cipher: ContentCipher;
  iv: Uint8Array;
  encryptedKey: Uint8Array;
  encryptedContent: Uint8Array;
}

/** Looks through all recipients for one of our keys: a client may encrypt to every certificate of GetCACert. Throws PkiError. */
export function findOpening(enveloped: EnvelopedData, keyPairs: readonly KeyPair[]): Opening {
  const cipher = requireContentCipher(enveloped.contentEncryptionAlgorithm);
  const iv = enveloped.contentEncryptionAlgorithm.parameters;
  if (iv?.tag !== Tag.octetString || iv.octets().length !== cipher.blockBytes)
    throw malformed('an initialization vector of the wrong length');
  for (const { rid, keyEncryptionAlgorithm, encryptedKey } of enveloped.recipients) {
    const keyPair = keyPairs.find(({ certificate }) => identifies(rid, certificate));
    if (keyPair === undefined) continue;
    const keyTransport = parseKeyTransport(keyEncryptionAlgorithm);
    return { keyPair, keyTransport, cipher, iv: iv.octets(), encryptedKey, encryptedContent: enveloped.encryptedContent };
  }
  throw new PkiError('otherRecipient', 'The message is not encrypted to this endpoint’s current certificate. Fetch GetCACert again.');
}

function requireContentCipher(algorithm: AlgorithmIdentifier): ContentCipher {
  const cipher = contentCipherByOid.get(algorithm.oid);
  if (cipher === undefined) throw unsupportedAlgorithm(algorithm.oid, 'AES-128-CBC');
  return cipher;
}

function parseKeyTransport(algorithm: AlgorithmIdentifier): KeyTransport {
  if (algorithm.oid === Oid.rsaEncryption) return { scheme: 'PKCS1' };
  if (algorithm.oid !== Oid.rsaesOaep) throw unsupportedAlgorithm(algorithm.oid, 'rsaEncryption or RSAES-OAEP');
  let digest: Digest = digests['SHA-1'];
  let mgfDigest: Digest = digests['SHA-1'];
  for (const part of algorithm.parameters?.elements('RSAES-OAEP-params') ?? []) {
    const [value] = part.elements('RSAES-OAEP parameter');
    if (value === undefined) throw malformed('an empty RSAES-OAEP parameter');
    if (part.tag === Tag.context(0)) digest = requireDigest(parseAlgorithmIdentifier(value));
    else if (part.tag === Tag.context(1)) mgfDigest = parseMgf1(parseAlgorithmIdentifier(value));
    else if (part.tag === Tag.context(2)) requireEmptyLabel(parseAlgorithmIdentifier(value));
  }
  if (mgfDigest !== digest)
    throw new PkiError('unsupportedAlgorithm', 'RSAES-OAEP with two different digests. Use the same for both.', {
      algorithm: Oid.rsaesOaep,
    });
  return { scheme: 'OAEP', digest };
}

function requireEmptyLabel(algorithm: AlgorithmIdentifier): void {
  if (algorithm.oid !== Oid.pSpecified || algorithm.parameters?.octets().length !== 0) {
    throw new PkiError('unsupportedAlgorithm', 'RSAES-OAEP with a label. Use none.', { algorithm: Oid.rsaesOaep });
  }
}

/** `intact` is false when the content key or the padding was wrong; `content` is then noise of the length of the real thing. */
export interface OpenedContent {
  content: Uint8Array;
  intact: boolean;
}

/**
 * Decrypts. Nothing here branches to an early end on a secret: a bad content key is replaced by a substitute, a bad padding is kept as content,
 * and the caller treats the result as it treats a good one until the very end. So an attacker who sends altered envelopes learns neither from
 * words nor from time whether the RSA padding, the key's length or the CBC padding was right (Bleichenbacher, Vaudenay; CVE-2023-46809).
 * That the work is the same rests on how it is written, here and in content-key.ts; that nothing is left to measure, on bench/timing.ts.
 */
export function openContent(opening: Opening): OpenedContent {
  const { cipher, encryptedContent, iv, keyTransport } = opening;
  if (encryptedContent.length === 0 || encryptedContent.length % cipher.blockBytes !== 0)
    throw malformed('encryptedContent is no whole number of blocks');
  const padding = keyTransport.scheme === 'OAEP' ? { oaep: keyTransport.digest } : keyTransport.scheme;
  const contentKey = takeContentKey(decryptBlock(opening), padding, cipher.keyBytes);
  const decipher = createDecipheriv(cipher.openssl, opensslKey(cipher, contentKey.key), iv).setAutoPadding(false);
  const padded = Buffer.concat([decipher.update(encryptedContent), decipher.final()]);
  const paddingBytes = paddingLength(padded, cipher.blockBytes);
  return { content: padded.subarray(0, padded.length - paddingBytes), intact: contentKey.intact && paddingBytes > 0 };
}

/**
 * The RSA operation alone, as long as the modulus. OpenSSL's own ways with a padding are of no use: a bad OAEP is an error, which takes longer,
 * and a bad PKCS#1 v1.5 is answered with noise only from OpenSSL 3.2 on. What is no number below the modulus anyone can see: it gives zeros,
 * which are no padding of either kind.
 */
function decryptBlock({ keyPair, encryptedKey }: Opening): Uint8Array {
  try {
    return privateDecrypt({ key: keyPair.privateKey, padding: constants.RSA_NO_PADDING }, encryptedKey);
  } catch {
    return Buffer.alloc(Math.ceil(keyPair.certificate.publicKey.bits / 8));
  }
}

function rsaOptions(keyTransport: KeyTransport): { padding: number; oaepHash?: string } {
  return keyTransport.scheme === 'OAEP'
    ? { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: keyTransport.digest.openssl }
    : { padding: constants.RSA_PKCS1_PADDING };
}

function opensslKey(cipher: ContentCipher, key: Uint8Array): Uint8Array {
  return cipher.name === 'DES-CBC' ? Buffer.concat([key, key, key]) : key;
}

/** The length of a valid padding (RFC 5652 section 6.3), else 0; every octet of the last block is looked at either way. */
function paddingLength(padded: Uint8Array, blockBytes: number): number {
  const length = padded.at(-1) ?? 0;
  let wrong = length === 0 || length > blockBytes ? 1 : 0;
  for (let index = 1; index <= blockBytes; index++) {
    const counts = index <= length ? 0xff : 0;
    wrong |= ((padded.at(-index) ?? 0) ^ length) & counts;
  }
  return wrong === 0 ? length : 0;
}

/** Whether the cipher's key fits into one encryption with the recipient's (RFC 8017 sections 7.1.1 and 7.2.1). */
export function fitsKeyTransport(
  recipient: PublicKey,
  { cipher, keyTransport }: Pick<EnvelopedDataTemplate, 'cipher' | 'keyTransport'>,
): boolean {
  const paddingBytes = keyTransport.scheme === 'OAEP' ? 2 * digestOf(keyTransport.digest, Buffer.alloc(0)).length + 2 : 11;
  return cipher.keyBytes + paddingBytes <= Math.ceil(recipient.bits / 8);
}

export interface EnvelopedDataTemplate {
  content: Uint8Array;
  recipient: Certificate;
  cipher: ContentCipher;
  keyTransport: KeyTransport;
  randomBytes: (size: number) => Uint8Array;
}

/** An EnvelopedData for one recipient by issuer and serial number, in its ContentInfo. */
export function encodeEnvelopedData(template: EnvelopedDataTemplate): Uint8Array {
  const { cipher, keyTransport, recipient } = template;
  if (recipient.publicKey.kind !== 'RSA') {
    throw new PkiError('unsuitableRecipient', 'The answer cannot be encrypted to a key that is not RSA. Sign the request with an RSA key.');
  }
  const key = template.randomBytes(cipher.keyBytes);
  const iv = template.randomBytes(cipher.blockBytes);
  const encryption = createCipheriv(cipher.openssl, opensslKey(cipher, key), iv);
  const encryptedContent = Buffer.concat([encryption.update(template.content), encryption.final()]);
  const recipientInfo = sequence(
    integer(0),
    sequence(recipient.issuer.der, recipient.serialNumberDer),
    encodeKeyTransport(keyTransport),
    octetString(publicEncrypt({ key: recipient.publicKey.keyObject, ...rsaOptions(keyTransport) }, key)),
  );
  const envelopedData = sequence(
    integer(0),
    setOf(recipientInfo),
    sequence(objectIdentifier(Oid.data), sequence(objectIdentifier(cipher.oid), octetString(iv)), contextPrimitive(0, encryptedContent)),
  );
  return encodeContentInfo(Oid.envelopedData, envelopedData);
}

/** OAEP's defaults (SHA-1) are left out, as DER demands; other digests are written for the hash and for MGF1. */
function encodeKeyTransport(keyTransport: KeyTransport): Uint8Array {
  if (keyTransport.scheme === 'PKCS1') return encodeAlgorithmIdentifier(Oid.rsaEncryption);
  if (keyTransport.digest.name === 'SHA-1') return encodeAlgorithmIdentifier(Oid.rsaesOaep, sequence());
  const digest = encodeAlgorithmIdentifier(keyTransport.digest.oid);
  const parameters = sequence(contextConstructed(0, digest), contextConstructed(1, encodeAlgorithmIdentifier(Oid.mgf1, digest)));
  return encodeAlgorithmIdentifier(Oid.rsaesOaep, parameters);
}
