/** The content key out of a block that RSA decrypted: RSAES-PKCS1-v1_5 and RSAES-OAEP undone with the same work whatever is in it. */
import { type Digest, digestOf, digests } from './algorithms.ts';

export interface ContentKey {
  key: Uint8Array;
  /** False when the block is not rightly padded, or around a key of another length; `key` is then a substitute. */
  intact: boolean;
}

/**
 * Since the key's length is known, every octet of a right block has its place, so each is looked at and none decides where to go on. No octet
 * and no length that follows from the block is branched on, indexed with or thrown about (RFC 8017 sections 7.1.2 and 7.2.2, RFC 3218 section 2.3).
 *
 * The substitute follows from the block, so that the same message always meets the same noise: with a new one each time, what does not change
 * from try to try would tell a right padding. Who can compute the substitute knows the block, and so has nothing to ask; `intact` stays false.
 */
export function takeContentKey(block: Uint8Array, padding: 'PKCS1' | { oaep: Digest }, keyBytes: number): ContentKey {
  const { octets, wrong } = padding === 'PKCS1' ? readPkcs1(block, keyBytes) : readOaep(block, padding.oaep, keyBytes);
  const substitute = digestOf(digests['SHA-512'], Buffer.concat([Buffer.from('content key'), block]));
  // All ones when nothing is wrong, else 0.
  const mask = (wrong - 1) >> 31;
  const key = Buffer.alloc(keyBytes);
  const keyAt = octets.length - keyBytes;
  for (let index = 0; index < keyBytes; index++) {
    key[index] = ((octets[keyAt + index] ?? 0) & mask) | ((substitute[index] ?? 0) & ~mask);
  }
  return { key, intact: mask !== 0 };
}

/** What ends with the key, and 0 when all before it is as it must be, else an octet that is not 0. */
interface Unpadded {
  octets: Uint8Array;
  wrong: number;
}

/** 0, 2, octets that are not 0, 0, the key; between 2 and 0 stand at least 8. */
function readPkcs1(block: Uint8Array, keyBytes: number): Unpadded {
  const separatorAt = block.length - keyBytes - 1;
  if (separatorAt < 10) return { octets: block, wrong: 1 };
  let wrong = (block[0] ?? 0) | ((block[1] ?? 0) ^ 2) | (block[separatorAt] ?? 0);
  for (let index = 2; index < separatorAt; index++) wrong |= isZero(block[index] ?? 0);
  return { octets: block, wrong };
}

/** 0, the masked seed, and the masked data: the digest of the empty label, octets of 0, 1, the key. */
function readOaep(block: Uint8Array, digest: Digest, keyBytes: number): Unpadded {
  const labelDigest = digestOf(digest, Buffer.alloc(0));
  const dataAt = 1 + labelDigest.length;
  const separatorAt = block.length - dataAt - keyBytes - 1;
  if (separatorAt < labelDigest.length) return { octets: block, wrong: 1 };
  const maskedData = block.subarray(dataAt);
  const seed = xor(block.subarray(1, dataAt), mgf1(digest, maskedData, labelDigest.length));
  const data = xor(maskedData, mgf1(digest, seed, maskedData.length));
  let wrong = (block[0] ?? 0) | ((data[separatorAt] ?? 0) ^ 1);
  for (let index = 0; index < labelDigest.length; index++) wrong |= (data[index] ?? 0) ^ (labelDigest[index] ?? 0);
  for (let index = labelDigest.length; index < separatorAt; index++) wrong |= data[index] ?? 0;
  return { octets: data, wrong };
}

/** RFC 8017 appendix B.2.1. */
function mgf1(digest: Digest, seed: Uint8Array, length: number): Uint8Array {
  const digested: Uint8Array[] = [];
  for (let counter = 0, made = 0; made < length; counter++) {
    const part = digestOf(digest, Buffer.concat([seed, Buffer.of(0, 0, counter >> 8, counter & 0xff)]));
    digested.push(part);
    made += part.length;
  }
  return Buffer.concat(digested, length);
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((octet, index) => octet ^ (b[index] ?? 0));
}

/** 1 for an octet of 0, else 0. */
function isZero(octet: number): number {
  return (octet - 1) >>> 31;
}
