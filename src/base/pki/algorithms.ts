/** The algorithms of CMS, PKCS#10 and X.509 as data: digests, content ciphers and signatures, with their OIDs, OpenSSL names and spoken names. */
import { constants, hash, type KeyObject, type SigningOptions, sign, verify } from 'node:crypto';
import { type Element, Tag } from './asn1.ts';
import { derNull, objectIdentifier, sequence } from './der.ts';
import { Oid } from './oids.ts';
import { malformed, PkiError } from './pki-error.ts';
import type { PublicKey } from './public-key.ts';

export type DigestName = 'SHA-1' | 'SHA-256' | 'SHA-384' | 'SHA-512';
export interface Digest {
  name: DigestName;
  oid: string;
  openssl: string;
}

export const digests: Record<DigestName, Digest> = {
  'SHA-1': { name: 'SHA-1', oid: '1.3.14.3.2.26', openssl: 'sha1' },
  'SHA-256': { name: 'SHA-256', oid: '2.16.840.1.101.3.4.2.1', openssl: 'sha256' },
  'SHA-384': { name: 'SHA-384', oid: '2.16.840.1.101.3.4.2.2', openssl: 'sha384' },
  'SHA-512': { name: 'SHA-512', oid: '2.16.840.1.101.3.4.2.3', openssl: 'sha512' },
};

export type ContentCipherName = 'AES-128-CBC' | 'AES-192-CBC' | 'AES-256-CBC' | '3DES-CBC' | 'DES-CBC';
export interface ContentCipher {
  name: ContentCipherName;
  oid: string;
  openssl: string;
  keyBytes: number;
  blockBytes: number;
}

/** Single DES runs as three-key DES with one key three times over: OpenSSL 3 has no des-cbc outside its legacy provider. */
export const contentCiphers: Record<ContentCipherName, ContentCipher> = {
  'AES-128-CBC': { name: 'AES-128-CBC', oid: '2.16.840.1.101.3.4.1.2', openssl: 'aes-128-cbc', keyBytes: 16, blockBytes: 16 },
  'AES-192-CBC': { name: 'AES-192-CBC', oid: '2.16.840.1.101.3.4.1.22', openssl: 'aes-192-cbc', keyBytes: 24, blockBytes: 16 },
  'AES-256-CBC': { name: 'AES-256-CBC', oid: '2.16.840.1.101.3.4.1.42', openssl: 'aes-256-cbc', keyBytes: 32, blockBytes: 16 },
  '3DES-CBC': { name: '3DES-CBC', oid: '1.2.840.113549.3.7', openssl: 'des-ede3-cbc', keyBytes: 24, blockBytes: 8 },
  'DES-CBC': { name: 'DES-CBC', oid: '1.3.14.3.2.7', openssl: 'des-ede3-cbc', keyBytes: 8, blockBytes: 8 },
};

/** The algorithms that a message may use. What is left out is refused with badAlg whatever GetCACaps said (RFC 8894 section 7.5). */
export interface AlgorithmPolicy {
  digests: ReadonlySet<DigestName>;
  contentCiphers: ReadonlySet<ContentCipherName>;
}

export const digestByOid = new Map(Object.values(digests).map(digest => [digest.oid, digest]));
export const contentCipherByOid = new Map(Object.values(contentCiphers).map(cipher => [cipher.oid, cipher]));

/** Names for what we do not implement but can name in a refusal. */
const refusedNames = new Map([
  ['1.2.840.113549.2.5', 'MD5'],
  ['1.2.840.113549.1.1.4', 'MD5 with RSA'],
  ['1.2.840.113549.3.2', 'RC2-CBC'],
  ['1.2.840.113549.3.4', 'RC4'],
  ['2.16.840.1.101.3.4.1.6', 'AES-128-GCM'],
  ['2.16.840.1.101.3.4.1.26', 'AES-192-GCM'],
  ['2.16.840.1.101.3.4.1.46', 'AES-256-GCM'],
  ['1.2.840.10040.4.1', 'DSA'],
]);

/** What a person calls the algorithm with this OID: its name, or the OID itself. */
export function algorithmName(oid: string): string {
  return digestByOid.get(oid)?.name ?? contentCipherByOid.get(oid)?.name ?? refusedNames.get(oid) ?? oid;
}

export function unsupportedAlgorithm(oid: string, use: string): PkiError {
  const name = algorithmName(oid);
  return new PkiError('unsupportedAlgorithm', `Unsupported algorithm: ${name === oid ? oid : `${oid} (${name})`}. Use ${use}.`);
}

export interface AlgorithmIdentifier {
  oid: string;
  parameters: Element | undefined;
}

export function parseAlgorithmIdentifier(element: Element): AlgorithmIdentifier {
  const fields = element.fields('AlgorithmIdentifier');
  const oid = fields.next(Tag.objectIdentifier, 'algorithm').oid();
  const parameters = fields.atEnd ? undefined : fields.any('parameters');
  fields.end();
  return { oid, parameters };
}

/** An AlgorithmIdentifier with NULL parameters, the form that every peer reads for RSA and SHA. */
export function encodeAlgorithmIdentifier(oid: string, parameters: Uint8Array = derNull): Uint8Array {
  return sequence(objectIdentifier(oid), parameters);
}

export function digestOf(digest: Digest, data: Uint8Array): Uint8Array {
  return hash(digest.openssl, data, 'buffer');
}

interface SignatureAlgorithm {
  key: 'RSA' | 'EC';
  digest: DigestName;
  options: SigningOptions;
}

const pkcs1 = { padding: constants.RSA_PKCS1_PADDING };
const ecdsa = { dsaEncoding: 'der' } as const;

const signatureAlgorithms = new Map<string, SignatureAlgorithm>([
  ['1.2.840.113549.1.1.5', { key: 'RSA', digest: 'SHA-1', options: pkcs1 }],
  ['1.2.840.113549.1.1.11', { key: 'RSA', digest: 'SHA-256', options: pkcs1 }],
  ['1.2.840.113549.1.1.12', { key: 'RSA', digest: 'SHA-384', options: pkcs1 }],
  ['1.2.840.113549.1.1.13', { key: 'RSA', digest: 'SHA-512', options: pkcs1 }],
  ['1.2.840.10045.4.1', { key: 'EC', digest: 'SHA-1', options: ecdsa }],
  ['1.2.840.10045.4.3.2', { key: 'EC', digest: 'SHA-256', options: ecdsa }],
  ['1.2.840.10045.4.3.3', { key: 'EC', digest: 'SHA-384', options: ecdsa }],
  ['1.2.840.10045.4.3.4', { key: 'EC', digest: 'SHA-512', options: ecdsa }],
]);

/**
 * What a signature's AlgorithmIdentifier stands for. In a SignerInfo it may name the key alone (`rsaEncryption`), and then the digest is the
 * SignerInfo's digestAlgorithm, given here as `impliedDigest`. Throws PkiError unsupportedAlgorithm.
 */
export function resolveSignatureAlgorithm(algorithm: AlgorithmIdentifier, impliedDigest?: Digest): SignatureAlgorithm {
  if (algorithm.oid === Oid.rsaEncryption && impliedDigest) return { key: 'RSA', digest: impliedDigest.name, options: pkcs1 };
  if (algorithm.oid === Oid.rsassaPss) return resolvePss(algorithm.parameters);
  const known = signatureAlgorithms.get(algorithm.oid);
  if (known === undefined) throw unsupportedAlgorithm(algorithm.oid, 'RSA or ECDSA with SHA-256');
  return known;
}

/** RSASSA-PSS-params (RFC 4055 section 3.1), with MGF1 over the same digest, as RFC 4056 recommends and every client seen does. */
function resolvePss(parameters: Element | undefined): SignatureAlgorithm {
  let digest: Digest = digests['SHA-1'];
  let mgfDigest: Digest = digests['SHA-1'];
  let saltLength = 20;
  for (const part of parameters?.elements('RSASSA-PSS-params') ?? []) {
    const [value] = part.elements('RSASSA-PSS parameter');
    if (value === undefined) throw malformed('an empty RSASSA-PSS parameter');
    if (part.tag === Tag.context(0)) digest = requireDigest(parseAlgorithmIdentifier(value));
    else if (part.tag === Tag.context(1)) mgfDigest = parseMgf1(parseAlgorithmIdentifier(value));
    else if (part.tag === Tag.context(2)) saltLength = value.smallInteger();
  }
  if (mgfDigest !== digest) throw new PkiError('unsupportedAlgorithm', 'RSASSA-PSS with two different digests. Use the same for both.');
  if (saltLength < 0 || saltLength > 512) throw malformed('an RSASSA-PSS salt of impossible length');
  return { key: 'RSA', digest: digest.name, options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength } };
}

export function requireDigest(algorithm: AlgorithmIdentifier): Digest {
  const digest = digestByOid.get(algorithm.oid);
  if (digest === undefined) throw unsupportedAlgorithm(algorithm.oid, 'SHA-256');
  return digest;
}

/** The digest of a MaskGenAlgorithm, which must be MGF1 (RFC 4055 section 2.2). */
export function parseMgf1(algorithm: AlgorithmIdentifier): Digest {
  if (algorithm.oid !== Oid.mgf1 || algorithm.parameters === undefined) throw unsupportedAlgorithm(algorithm.oid, 'MGF1');
  return requireDigest(parseAlgorithmIdentifier(algorithm.parameters));
}

/** Whether `signature` over `data` holds. A key of another kind than the algorithm's never does. */
export function verifySignature(algorithm: SignatureAlgorithm, publicKey: PublicKey, data: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.kind !== algorithm.key) return false;
  try {
    return verify(digests[algorithm.digest].openssl, data, { key: publicKey.keyObject, ...algorithm.options }, signature);
  } catch {
    // OpenSSL throws where a signature cannot even be tried, such as one longer than the modulus: it does not hold.
    return false;
  }
}

const certificateSignatureOids: Record<'RSA' | 'EC', Partial<Record<DigestName, string>>> = {
  RSA: { 'SHA-256': '1.2.840.113549.1.1.11', 'SHA-384': '1.2.840.113549.1.1.12', 'SHA-512': '1.2.840.113549.1.1.13' },
  EC: { 'SHA-256': '1.2.840.10045.4.3.2', 'SHA-384': '1.2.840.10045.4.3.3', 'SHA-512': '1.2.840.10045.4.3.4' },
};

export interface Signer {
  /** The AlgorithmIdentifier that goes beside the signature. ECDSA's has no parameters (RFC 5758 section 3.2). */
  algorithm: Uint8Array;
  sign(data: Uint8Array): Uint8Array;
}

/** A signer of certificates and certification requests: RSA PKCS#1 v1.5 or ECDSA, with the digest that matches the key's strength. */
export function createSigner(key: KeyObject): Signer {
  const kind = key.asymmetricKeyType === 'ec' ? 'EC' : 'RSA';
  const curve = key.asymmetricKeyDetails?.namedCurve;
  const digest = digests[curve === 'secp384r1' ? 'SHA-384' : curve === 'secp521r1' ? 'SHA-512' : 'SHA-256'];
  const oid = certificateSignatureOids[kind][digest.name];
  if (oid === undefined) throw new TypeError(`no certificate signature with ${digest.name}`);
  return {
    algorithm: kind === 'RSA' ? encodeAlgorithmIdentifier(oid) : sequence(objectIdentifier(oid)),
    sign: data => sign(digest.openssl, data, { key, ...(kind === 'RSA' ? pkcs1 : ecdsa) }),
  };
}
