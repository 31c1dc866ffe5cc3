/** The algorithms of CMS, PKCS#10 and X.509 as data: digests, content ciphers and signatures, with their OIDs, OpenSSL names and spoken names. */
import { constants, hash, type KeyObject, type SigningOptions, sign, verify } from 'node:crypto';
import { type SigningAlgorithm, signingAlgorithms } from '../private-ca.ts';
import { type Element, parseBer, Tag } from './asn1.ts';
import { contextConstructed, derNull, integer, objectIdentifier, sequence } from './der.ts';
import { Oid } from './oids.ts';
import { malformed, PkiError } from './pki-error.ts';
import { mlDsaKeyBits, type PublicKey } from './public-key.ts';

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

/** Names for what we do not implement, or not everywhere, but can name in a refusal. */
const refusedNames = new Map([
  ['1.2.840.113549.2.5', 'MD5'],
  ['1.2.840.113549.1.1.4', 'MD5 with RSA'],
  ['1.2.840.113549.3.2', 'RC2-CBC'],
  ['1.2.840.113549.3.4', 'RC4'],
  ['2.16.840.1.101.3.4.1.6', 'AES-128-GCM'],
  ['2.16.840.1.101.3.4.1.26', 'AES-192-GCM'],
  ['2.16.840.1.101.3.4.1.46', 'AES-256-GCM'],
  ['1.2.840.10040.4.1', 'DSA'],
  [Oid.mlDsa44, 'ML-DSA-44'],
  [Oid.mlDsa65, 'ML-DSA-65'],
  [Oid.mlDsa87, 'ML-DSA-87'],
]);

/** What a person calls the algorithm with this OID: its name, or the OID itself. */
export function algorithmName(oid: string): string {
  return digestByOid.get(oid)?.name ?? contentCipherByOid.get(oid)?.name ?? refusedNames.get(oid) ?? oid;
}

export function unsupportedAlgorithm(oid: string, use: string): PkiError {
  const name = algorithmName(oid);
  const shown = name === oid ? oid : `${oid} (${name})`;
  return new PkiError('unsupportedAlgorithm', `Unsupported algorithm: ${shown}. Use ${use}.`, { algorithm: oid });
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
  key: 'RSA' | 'EC' | 'ML-DSA';
  /** ML-DSA's algorithm is of one parameter set, and so must the key be. */
  keyBits?: number;
  /** ML-DSA has none: in X.509 it takes the data itself, with an empty context (RFC 9881 section 2). */
  digest: DigestName | undefined;
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
  ...[...mlDsaKeyBits].map(([oid, keyBits]) => [oid, { key: 'ML-DSA', keyBits, digest: undefined, options: {} }] as const),
]);

/**
 * What a signature's AlgorithmIdentifier stands for. In a SignerInfo it may name the key alone (`rsaEncryption`), and then the digest is the
 * SignerInfo's digestAlgorithm, given here as `impliedDigest`. ML-DSA is known in certificates and CSRs alone: SCEP does not speak it in CMS
 * (RFC 9882). Throws PkiError unsupportedAlgorithm or malformed.
 */
export function resolveSignatureAlgorithm(algorithm: AlgorithmIdentifier, impliedDigest?: Digest): SignatureAlgorithm {
  if (algorithm.oid === Oid.rsaEncryption && impliedDigest) return { key: 'RSA', digest: impliedDigest.name, options: pkcs1 };
  if (algorithm.oid === Oid.rsassaPss) return resolvePss(algorithm.parameters);
  const known = signatureAlgorithms.get(algorithm.oid);
  const isMlDsa = known?.key === 'ML-DSA';
  if (known === undefined || (isMlDsa && impliedDigest)) throw unsupportedAlgorithm(algorithm.oid, 'RSA or ECDSA with SHA-256');
  if (isMlDsa && algorithm.parameters) throw malformed('ML-DSA with parameters');
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
  if (mgfDigest !== digest)
    throw new PkiError('unsupportedAlgorithm', 'RSASSA-PSS with two different digests. Use the same for both.', {
      algorithm: Oid.rsassaPss,
    });
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
  const { key, keyBits = publicKey.bits, options } = algorithm;
  if (publicKey.kind !== key || publicKey.bits !== keyBits) return false;
  try {
    return verify(opensslDigest(algorithm), data, { key: publicKey.keyObject, ...options }, signature);
  } catch {
    // OpenSSL throws where a signature cannot even be tried, such as one longer than the modulus: it does not hold.
    return false;
  }
}

function opensslDigest({ digest }: SignatureAlgorithm): string | null {
  return digest === undefined ? null : digests[digest].openssl;
}

/**
 * The AlgorithmIdentifiers of AWS Private CA's signing algorithms. ECDSA's has no parameters (RFC 5758 section 3.2), nor has ML-DSA's (RFC 9881
 * section 2); RSASSA-PSS has a salt as long as the digest.
 */
export const signatureAlgorithmIdentifiers: Readonly<Record<SigningAlgorithm, Uint8Array>> = {
  SHA256WITHRSA: encodeAlgorithmIdentifier('1.2.840.113549.1.1.11'),
  SHA384WITHRSA: encodeAlgorithmIdentifier('1.2.840.113549.1.1.12'),
  SHA512WITHRSA: encodeAlgorithmIdentifier('1.2.840.113549.1.1.13'),
  SHA256WITHRSA_PSS: encodePss(digests['SHA-256'], 32),
  SHA384WITHRSA_PSS: encodePss(digests['SHA-384'], 48),
  SHA512WITHRSA_PSS: encodePss(digests['SHA-512'], 64),
  SHA256WITHECDSA: sequence(objectIdentifier('1.2.840.10045.4.3.2')),
  SHA384WITHECDSA: sequence(objectIdentifier('1.2.840.10045.4.3.3')),
  SHA512WITHECDSA: sequence(objectIdentifier('1.2.840.10045.4.3.4')),
  ML_DSA_44: sequence(objectIdentifier(Oid.mlDsa44)),
  ML_DSA_65: sequence(objectIdentifier(Oid.mlDsa65)),
  ML_DSA_87: sequence(objectIdentifier(Oid.mlDsa87)),
};

/** RSASSA-PSS-params (RFC 4055 section 3.1) with MGF1 over the same digest; the trailer is the default one. */
function encodePss(digest: Digest, saltLength: number): Uint8Array {
  const digestAlgorithm = encodeAlgorithmIdentifier(digest.oid);
  const parameters = sequence(
    contextConstructed(0, digestAlgorithm),
    contextConstructed(1, encodeAlgorithmIdentifier(Oid.mgf1, digestAlgorithm)),
    contextConstructed(2, integer(saltLength)),
  );
  return encodeAlgorithmIdentifier(Oid.rsassaPss, parameters);
}

/** The signing algorithm that has exactly this AlgorithmIdentifier. */
export function findSigningAlgorithm(identifier: Uint8Array): SigningAlgorithm | undefined {
  return signingAlgorithms.find(signing => Buffer.compare(signatureAlgorithmIdentifiers[signing], identifier) === 0);
}

export interface Signer {
  /** The AlgorithmIdentifier that goes beside the signature. */
  algorithm: Uint8Array;
  sign(data: Uint8Array): Uint8Array;
}

/**
 * A signer of certificates, CRLs and certification requests: unless told otherwise with RSA PKCS#1 v1.5, ECDSA or ML-DSA and the digest that
 * matches the key's strength. Throws TypeError when the key does not sign so.
 */
export function createSigner(key: KeyObject, signing: SigningAlgorithm = usualSigningAlgorithm(key)): Signer {
  if (familyOf(signing) !== familyOf(usualSigningAlgorithm(key))) {
    throw new TypeError(`a key of type ${key.asymmetricKeyType} does not sign with ${signing}`);
  }
  const algorithm = signatureAlgorithmIdentifiers[signing];
  const resolved = resolveSignatureAlgorithm(parseAlgorithmIdentifier(parseBer(algorithm)));
  return { algorithm, sign: data => sign(opensslDigest(resolved), data, { key, ...resolved.options }) };
}

/** RSA, ECDSA or one parameter set of ML-DSA: with each, a key signs by all algorithms or none. */
function familyOf(signing: SigningAlgorithm): string {
  return signing.replace(/^SHA\d+WITH|_PSS$/g, '');
}

function usualSigningAlgorithm(key: KeyObject): SigningAlgorithm {
  const usual = usualSigningAlgorithms.get(key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType);
  if (usual === undefined) throw new TypeError(`a key of type ${key.asymmetricKeyType} signs no certificate`);
  return usual;
}

/** By curve, or else by the type of the key. */
const usualSigningAlgorithms = new Map<string | undefined, SigningAlgorithm>([
  ['rsa', 'SHA256WITHRSA'],
  ['prime256v1', 'SHA256WITHECDSA'],
  ['secp384r1', 'SHA384WITHECDSA'],
  ['secp521r1', 'SHA512WITHECDSA'],
  ['ml-dsa-44', 'ML_DSA_44'],
  ['ml-dsa-65', 'ML_DSA_65'],
  ['ml-dsa-87', 'ML_DSA_87'],
]);
