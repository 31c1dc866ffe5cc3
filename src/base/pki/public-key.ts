/** SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7): read and bounded before OpenSSL sees it, since a hostile modulus or exponent costs seconds. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { type Element, type Fields, parseBer, parseSequence, Tag } from './asn1.ts';
import { Oid } from './oids.ts';
import { malformed } from './pki-error.ts';

/** RSA keys up to AWS's documented 16,384 bits, with an exponent that keeps a verification cheap. */
export const publicKeyLimits = { rsaModulusBitsMax: 16_384, rsaExponentBitsMax: 33 } as const;

const curveBits = new Map<string, number>([
  [Oid.prime256v1, 256],
  [Oid.secp384r1, 384],
  [Oid.secp521r1, 521],
]);

/** The length of a public key of each parameter set of ML-DSA (FIPS 204 table 2). */
export const mlDsaKeyBits: ReadonlyMap<string, number> = new Map([
  [Oid.mlDsa44, 8 * 1312],
  [Oid.mlDsa65, 8 * 1952],
  [Oid.mlDsa87, 8 * 2592],
]);

export class PublicKey {
  /** The SubjectPublicKeyInfo as received. */
  readonly spki: Uint8Array;
  /** 'other' is any key that is neither RSA nor ML-DSA nor on a NIST curve: it can be named in a refusal, never used. */
  readonly kind: 'RSA' | 'EC' | 'ML-DSA' | 'other';
  /** Of the RSA modulus, of the curve, or of the whole ML-DSA key, whose length tells its parameter set. */
  readonly bits: number;
  /** The content of the subjectPublicKey BIT STRING. */
  readonly subjectPublicKey: Uint8Array;
  #keyObject: KeyObject | undefined;

  constructor(spki: Uint8Array, kind: PublicKey['kind'], bits: number, subjectPublicKey: Uint8Array) {
    this.spki = spki;
    this.kind = kind;
    this.bits = bits;
    this.subjectPublicKey = subjectPublicKey;
  }

  /** OpenSSL's form of the key. Throws PkiError when OpenSSL does not accept it, such as a point that is not on its curve. */
  get keyObject(): KeyObject {
    this.#keyObject ??= this.open();
    return this.#keyObject;
  }

  /** SHA-1 of subjectPublicKey: method 1 of RFC 5280 section 4.2.1.2, for subjectKeyIdentifier. */
  get keyIdentifier(): Uint8Array {
    return createHash('sha1').update(this.subjectPublicKey).digest();
  }

  equals(other: PublicKey): boolean {
    return this.kind === other.kind && Buffer.compare(this.subjectPublicKey, other.subjectPublicKey) === 0 && this.bits === other.bits;
  }

  private open(): KeyObject {
    try {
      // Node opens an RSAPublicKey forty times faster than the SubjectPublicKeyInfo around it.
      return this.kind === 'RSA'
        ? createPublicKey({ key: Buffer.from(this.subjectPublicKey), format: 'der', type: 'pkcs1' })
        : createPublicKey({ key: Buffer.from(this.spki), format: 'der', type: 'spki' });
    } catch (cause) {
      throw malformed('the public key cannot be used', { cause });
    }
  }
}

export function parsePublicKey(element: Element): PublicKey {
  const fields = element.fields('SubjectPublicKeyInfo');
  const algorithm = fields.next(Tag.sequence, 'algorithm').fields('AlgorithmIdentifier');
  const subjectPublicKey = fields.next(Tag.bitString, 'subjectPublicKey').bitStringOctets();
  fields.end();
  const oid = algorithm.next(Tag.objectIdentifier, 'algorithm').oid();
  if (oid === Oid.rsaEncryption) {
    checkRsaParameters(algorithm);
    return new PublicKey(element.bytes, 'RSA', checkRsaPublicKey(subjectPublicKey), subjectPublicKey);
  }
  if (oid === Oid.ecPublicKey) {
    const bits = curveBits.get(algorithm.optional(Tag.objectIdentifier)?.oid() ?? '');
    if (bits !== undefined) {
      algorithm.end();
      return new PublicKey(element.bytes, 'EC', bits, subjectPublicKey);
    }
  }
  const bits = mlDsaKeyBits.get(oid);
  if (bits !== undefined) {
    // RFC 9881 section 2: the parameters must be absent.
    algorithm.end();
    if (8 * subjectPublicKey.length !== bits) throw malformed(`an ML-DSA key of ${subjectPublicKey.length} octets`);
    return new PublicKey(element.bytes, 'ML-DSA', bits, subjectPublicKey);
  }
  return new PublicKey(element.bytes, 'other', 0, subjectPublicKey);
}

/** The public key of a key pair that we hold ourselves. */
export function publicKeyOf(key: KeyObject): PublicKey {
  const publicKey = key.type === 'public' ? key : createPublicKey(key);
  return parsePublicKey(parseBer(publicKey.export({ format: 'der', type: 'spki' })));
}

/** RFC 3279 section 2.3.1: NULL, which some leave out. What else stands there would stand in the certificate, and nobody could read that. */
function checkRsaParameters(algorithm: Fields): void {
  const parameters = algorithm.optional(Tag.null);
  algorithm.end();
  if (parameters !== undefined && parameters.content.length > 0) throw malformed('a NULL that is not empty');
}

/** The length of the modulus of an RSAPublicKey (RFC 8017 appendix A.1.1) that is safe to compute with. */
function checkRsaPublicKey(octets: Uint8Array): number {
  const fields = parseSequence(octets, 'RSAPublicKey');
  const modulus = fields.next(Tag.integer, 'modulus').integerOctets();
  const exponent = fields.next(Tag.integer, 'publicExponent').integerOctets();
  fields.end();
  const modulusBits = positiveBits(modulus, 'modulus');
  const exponentBits = positiveBits(exponent, 'publicExponent');
  if (modulusBits > publicKeyLimits.rsaModulusBitsMax) throw malformed(`an RSA modulus of ${modulusBits} bits`);
  if (exponentBits > publicKeyLimits.rsaExponentBitsMax) throw malformed(`an RSA exponent of ${exponentBits} bits`);
  if (((modulus.at(-1) ?? 0) & 1) === 0) throw malformed('an even RSA modulus');
  if (((exponent.at(-1) ?? 0) & 1) === 0 || exponentBits < 2) throw malformed('an RSA exponent that is even or 1');
  return modulusBits;
}

function positiveBits(octets: Uint8Array, what: string): number {
  const first = octets[0] ?? 0;
  if (first >= 0x80) throw malformed(`a negative RSA ${what}`);
  return (octets.length - 1) * 8 + (first === 0 ? 0 : 32 - Math.clz32(first));
}
