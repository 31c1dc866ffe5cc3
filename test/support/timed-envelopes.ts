/** PKCSReqs of one size, many of each kind, that are sound outside and right or wrong behind the RA key: what bench/timing.ts times. */
import { constants, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto';
import { type ContentCipher, digests, encodeAlgorithmIdentifier } from '../../src/base/pki/algorithms.ts';
import { sequence } from '../../src/base/pki/der.ts';
import type { KeyPair, KeyTransport } from '../../src/base/pki/enveloped-data.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { encryptBlock, encryption, envelope, recipientInfo } from './cms-parts.ts';
import { createCsr, createPkcsReq, requestAttributes } from './pki-fixtures.ts';

export const timedKinds = [
  'valid',
  'bad RSA padding',
  'bad key length',
  'bad CBC padding',
  'noise for a CSR',
  'noise in DER for a CSR',
  'half a CSR',
  'another’s CSR, altered',
] as const;
export type TimedKind = (typeof timedKinds)[number];

interface Parties {
  /** Who signs every message: with which key is no secret, and the same for all, as the time to verify depends on it. */
  client: KeyPair;
  ra: KeyPair;
  cipher: ContentCipher;
  scheme: KeyTransport['scheme'];
}

/** CSRs of one length, each with another challenge: the client's, and those of another device for messages that are made of what that has sent. */
export function createTimedCsrs(keys: { client: KeyObject; another: KeyObject }, count: number): (kind: TimedKind) => Uint8Array[] {
  const signedBy = (key: KeyObject) => Array.from({ length: count }, () => createCsr(key, randomBytes(18).toString('base64')));
  const [own, anothers] = [signedBy(keys.client), signedBy(keys.another)];
  return kind => (kind === 'another’s CSR, altered' ? anothers : own);
}

export function createTimedMessage(parties: Parties, kind: TimedKind, csr: Uint8Array): Uint8Array {
  const { client, ra, cipher, scheme } = parties;
  const { key, algorithm, encrypt } = encryption(cipher);
  const padded = wrongContent(kind, csr, cipher);
  const info = recipientInfo({
    recipient: ra.certificate,
    encryptedKey: wrap(parties, kind, key),
    algorithm: scheme === 'OAEP' ? encodeAlgorithmIdentifier(Oid.rsaesOaep, sequence()) : encodeAlgorithmIdentifier(Oid.rsaEncryption),
  });
  const encryptedContent = padded === undefined ? encrypt(csr) : encrypt(padded, { padded: true });
  const eContent = envelope({ recipientInfos: [info], algorithm, encryptedContent });
  return createPkcsReq({ client, ra, eContent, attributes: requestAttributes(randomBytes(16).toString('hex')) });
}

/** encryptedKey, which is as long as the modulus whatever is in it. */
function wrap({ ra, scheme }: Parties, kind: TimedKind, key: Uint8Array): Uint8Array {
  const { keyObject } = ra.certificate.publicKey;
  if (kind === 'bad RSA padding') return encryptBlock(ra.certificate, wrongBlock(scheme, key));
  const content = kind === 'bad key length' ? oneOf([key.subarray(1), Buffer.concat([key, randomBytes(8)]), Buffer.alloc(0)]) : key;
  const padding = scheme === 'OAEP' ? constants.RSA_PKCS1_OAEP_PADDING : constants.RSA_PKCS1_PADDING;
  return publicEncrypt({ key: keyObject, padding, oaepHash: digests['SHA-1'].openssl }, content);
}

/** Noise below the modulus, or PKCS#1 v1.5 (RFC 8017 section 7.2.1) with one part wrong, which in OAEP is noise too. */
function wrongBlock(scheme: KeyTransport['scheme'], key: Uint8Array): Uint8Array {
  const block = randomBytes(256);
  block[0] = 0;
  if (scheme === 'OAEP') return block;
  for (let index = 2; index < block.length; index++) block[index] ||= 1;
  block.set([0, ...key], block.length - key.length - 1);
  const [at, octet] = oneOf([
    [1, 1],
    [0, 1],
    [9, 0],
    [block.length - key.length - 1, 1],
  ] as const);
  block[1] = 2;
  block[at] = octet;
  return block;
}

/** What stands in place of the CSR and its padding, of the same length; undefined where nothing does. */
function wrongContent(kind: TimedKind, csr: Uint8Array, { blockBytes }: ContentCipher): Uint8Array | undefined {
  const padding = blockBytes - (csr.length % blockBytes);
  const tail = (octets: Uint8Array) => Buffer.concat([octets, Buffer.alloc(padding, padding)]);
  switch (kind) {
    case 'valid':
    case 'bad RSA padding':
    case 'bad key length':
      return undefined;
    case 'bad CBC padding': {
      const bytes = Buffer.concat([csr, randomBytes(padding)]);
      bytes[bytes.length - 1] = oneOf([0, blockBytes + 1, 255]);
      return bytes;
    }
    case 'noise for a CSR':
      return tail(randomBytes(csr.length));
    case 'noise in DER for a CSR':
      return tail(Buffer.concat([csr.subarray(0, 4), randomBytes(csr.length - 4)]));
    case 'half a CSR':
      return tail(Buffer.concat([csr.subarray(0, csr.length >> 1), randomBytes(csr.length - (csr.length >> 1))]));
    case 'another’s CSR, altered':
      // In its signature, where a block of the ciphertext can be changed and the CSR still be parsed.
      return tail(Buffer.concat([csr.subarray(0, -2 * blockBytes), randomBytes(2 * blockBytes)]));
    default:
      return kind satisfies never;
  }
}

function oneOf<T>(values: readonly T[]): T {
  const value = values[randomBytes(1).readUInt8() % values.length];
  if (value === undefined) throw new Error('nothing to choose from');
  return value;
}
