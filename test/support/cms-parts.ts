/** CMS messages put together part by part, so that a test can make any one part wrong: what a hostile or a strange client may send. */
import { constants, createCipheriv, type KeyObject, publicEncrypt, randomBytes, sign } from 'node:crypto';
import {
  type ContentCipher,
  contentCiphers,
  type Digest,
  digestOf,
  digests,
  encodeAlgorithmIdentifier,
} from '../../src/base/pki/algorithms.ts';
import {
  contextConstructed,
  contextPrimitive,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  tlv,
} from '../../src/base/pki/der.ts';
import type { KeyPair } from '../../src/base/pki/enveloped-data.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { encodeContentInfo } from '../../src/base/pki/signed-data.ts';
import type { Certificate } from '../../src/base/pki/x509.ts';

export const attribute = (type: string, ...values: readonly Uint8Array[]) => sequence(objectIdentifier(type), setOf(...values));

export const issuerAndSerialNumber = ({ issuer, serialNumberDer }: Certificate) => sequence(issuer.der, serialNumberDer);

/** contentType and messageDigest, as RFC 5652 section 5.3 demands them. */
export function cmsAttributes(
  eContent: Uint8Array,
  digest: Digest = digests['SHA-256'],
): [contentType: Uint8Array, messageDigest: Uint8Array] {
  return [attribute(Oid.contentType, objectIdentifier(Oid.data)), attribute(Oid.messageDigest, octetString(digestOf(digest, eContent)))];
}

export interface SignerInfoParts {
  signer: KeyPair;
  /** In the order given: nothing sorts them. Undefined leaves signedAttrs out, and the signature is over `eContent`. */
  attributes: readonly Uint8Array[] | undefined;
  eContent?: Uint8Array;
  sid?: Uint8Array;
  digest?: Digest;
  digestAlgorithm?: Uint8Array;
  signatureAlgorithm?: Uint8Array;
  sign?: (data: Uint8Array, key: KeyObject) => Uint8Array;
  unsignedAttrs?: Uint8Array;
}

export function signerInfo(parts: SignerInfoParts): Uint8Array {
  const { signer, attributes, digest = digests['SHA-256'] } = parts;
  const make = parts.sign ?? ((data: Uint8Array, key: KeyObject) => sign(digest.openssl, data, key));
  const signed = attributes === undefined ? (parts.eContent ?? Buffer.alloc(0)) : tlv(0x31, ...attributes);
  return sequence(
    integer(1),
    parts.sid ?? issuerAndSerialNumber(signer.certificate),
    parts.digestAlgorithm ?? encodeAlgorithmIdentifier(digest.oid),
    ...(attributes === undefined ? [] : [tlv(0xa0, ...attributes)]),
    parts.signatureAlgorithm ?? encodeAlgorithmIdentifier(Oid.rsaEncryption),
    octetString(make(signed, signer.privateKey)),
    ...(parts.unsignedAttrs === undefined ? [] : [parts.unsignedAttrs]),
  );
}

export interface SignedDataParts {
  eContentType?: string;
  /** What stands inside eContent's [0]; undefined leaves that out. */
  eContent: Uint8Array | undefined;
  /** The members of the certificates' [0]; undefined leaves that out. */
  certificates?: readonly Uint8Array[];
  /** Of digestAlgorithms, whatever the SignerInfos say. */
  digest?: Digest;
  signerInfos: readonly Uint8Array[];
}

export function signedData(parts: SignedDataParts): Uint8Array {
  const { eContentType = Oid.data, eContent, certificates, digest = digests['SHA-256'], signerInfos } = parts;
  return encodeContentInfo(
    Oid.signedData,
    sequence(
      integer(1),
      setOf(encodeAlgorithmIdentifier(digest.oid)),
      sequence(objectIdentifier(eContentType), ...(eContent === undefined ? [] : [contextConstructed(0, eContent)])),
      ...(certificates === undefined ? [] : [contextConstructed(0, ...certificates)]),
      setOf(...signerInfos),
    ),
  );
}

/** A message that is right in everything but the attributes and the SignerInfo's parts given. */
export function signedMessage(eContent: Uint8Array, parts: SignerInfoParts): Uint8Array {
  return signedData({ eContent: octetString(eContent), certificates: [parts.signer.certificate.der], signerInfos: [signerInfo(parts)] });
}

export interface RecipientInfoParts {
  recipient: Certificate;
  rid?: Uint8Array;
  algorithm?: Uint8Array;
  encryptedKey: Uint8Array;
}

export function recipientInfo({ recipient, rid, algorithm, encryptedKey }: RecipientInfoParts): Uint8Array {
  return sequence(
    integer(0),
    rid ?? issuerAndSerialNumber(recipient),
    algorithm ?? encodeAlgorithmIdentifier(Oid.rsaEncryption),
    octetString(encryptedKey),
  );
}

export interface EnvelopeParts {
  recipientInfos: readonly Uint8Array[];
  /** The whole contentEncryptionAlgorithm. */
  algorithm: Uint8Array;
  encryptedContent: Uint8Array;
}

export function envelope({ recipientInfos, algorithm, encryptedContent }: EnvelopeParts): Uint8Array {
  return encodeContentInfo(
    Oid.envelopedData,
    sequence(integer(0), setOf(...recipientInfos), sequence(objectIdentifier(Oid.data), algorithm, contextPrimitive(0, encryptedContent))),
  );
}

/** What encrypts a content by the book, part by part: `content` must be whole blocks where `padded` is set. */
export function encryption(
  cipher: ContentCipher = contentCiphers['AES-128-CBC'],
  key: Uint8Array = randomBytes(cipher.keyBytes),
  iv: Uint8Array = randomBytes(cipher.blockBytes),
) {
  const opensslKey = cipher.name === 'DES-CBC' ? Buffer.concat([key, key, key]) : key;
  return {
    key,
    algorithm: sequence(objectIdentifier(cipher.oid), octetString(iv)),
    encrypt(content: Uint8Array, { padded = false } = {}): Uint8Array {
      const encrypting = createCipheriv(cipher.openssl, opensslKey, iv).setAutoPadding(!padded);
      return Buffer.concat([encrypting.update(content), encrypting.final()]);
    },
  };
}

export function encryptKey(recipient: Certificate, key: Uint8Array): Uint8Array {
  return publicEncrypt({ key: recipient.publicKey.keyObject, padding: constants.RSA_PKCS1_PADDING }, key);
}

/** RSA over a block that the caller has padded itself, rightly or wrongly. */
export function encryptBlock(recipient: Certificate, block: Uint8Array): Uint8Array {
  return publicEncrypt({ key: recipient.publicKey.keyObject, padding: constants.RSA_NO_PADDING }, block);
}
