/** X.509 certificates (RFC 5280): parsed with every signed octet kept, built from a template and signed. */
import { createHash } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  parseAlgorithmIdentifier,
  resolveSignatureAlgorithm,
  type Signer,
  verifySignature,
} from './algorithms.ts';
import { type Element, parseBer, parseSequence, Tag } from './asn1.ts';
import { bitString, contextConstructed, integer, sequence, time } from './der.ts';
import { type Extension, encodeExtensions, findExtension, parseExtensions } from './extensions.ts';
import { Name } from './name.ts';
import { Oid } from './oids.ts';
import { malformed, PkiError } from './pki-error.ts';
import { type PublicKey, parsePublicKey } from './public-key.ts';
import { readTime } from './strings-and-times.ts';

export const certificateLimits = { serialNumberOctetsMax: 64 } as const;

export interface Certificate {
  der: Uint8Array;
  /** tbsCertificate as received: what the signature is over. */
  tbsCertificate: Uint8Array;
  /** Lower-case hexadecimal, at least 32 digits: the serial numbers of this product have 128 bits. */
  serialNumber: string;
  /** The INTEGER as received, by which a message names the certificate: some devices' serial numbers are negative. */
  serialNumberDer: Uint8Array;
  issuer: Name;
  subject: Name;
  /** Milliseconds since the epoch, both inclusive. */
  notBefore: number;
  notAfter: number;
  publicKey: PublicKey;
  extensions: readonly Extension[];
  signatureAlgorithm: AlgorithmIdentifier;
  signature: Uint8Array;
}

export function parseCertificate(source: Uint8Array | Element): Certificate {
  const element = source instanceof Uint8Array ? parseBer(source) : source;
  if (element.tag !== Tag.sequence) throw malformed('a Certificate that is no SEQUENCE');
  const fields = element.fields('Certificate');
  const tbsCertificate = fields.next(Tag.sequence, 'tbsCertificate');
  const signatureAlgorithm = parseAlgorithmIdentifier(fields.next(Tag.sequence, 'signatureAlgorithm'));
  const signature = fields.next(Tag.bitString, 'signatureValue').bitStringOctets();
  fields.end();

  const tbs = tbsCertificate.fields('tbsCertificate');
  // The version is not asked for: certmonger signs its requests with a version 1 certificate.
  tbs.optional(Tag.context(0));
  const serialNumber = tbs.next(Tag.integer, 'serialNumber');
  tbs.next(Tag.sequence, 'signature');
  const issuer = new Name(tbs.next(Tag.sequence, 'issuer'));
  const [notBefore, notAfter] = tbs.next(Tag.sequence, 'validity').elements('validity');
  if (notBefore === undefined || notAfter === undefined) throw malformed('a validity without two times');
  const subject = new Name(tbs.next(Tag.sequence, 'subject'));
  const publicKey = parsePublicKey(tbs.next(Tag.sequence, 'subjectPublicKeyInfo'));
  tbs.optional(Tag.context(1));
  tbs.optional(Tag.context(2));
  const [extensions] = tbs.optional(Tag.context(3))?.elements('extensions') ?? [];
  tbs.end();

  return {
    der: element.bytes,
    tbsCertificate: tbsCertificate.bytes,
    serialNumber: formatSerialNumber(serialNumber.integerOctets()),
    serialNumberDer: serialNumber.bytes,
    issuer,
    subject,
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    publicKey,
    extensions: extensions === undefined ? [] : parseExtensions(extensions),
    signatureAlgorithm,
    signature,
  };
}

/** The form in which serial numbers are compared, stored and shown, from the octets of the INTEGER. */
export function formatSerialNumber(octets: Buffer): string {
  if (octets.length > certificateLimits.serialNumberOctetsMax) throw malformed('a serialNumber of impossible length');
  return octets.toString('hex', octets[0] === 0 ? 1 : 0).padStart(32, '0');
}

/** 128 random bits. Zero, which RFC 5280 section 4.1.2.2 forbids, is as likely as guessing a key. */
export function newSerialNumber(randomBytes: (size: number) => Uint8Array): string {
  return Buffer.from(randomBytes(16)).toString('hex');
}

/** Throws PkiError badSignature unless `issuer`'s key made the certificate's signature. Names and validity are the caller's to check. */
export function verifyCertificateSignature(certificate: Certificate, issuer: Certificate): void {
  const algorithm = resolveSignatureAlgorithm(certificate.signatureAlgorithm);
  if (!verifySignature(algorithm, issuer.publicKey, certificate.tbsCertificate, certificate.signature)) {
    throw new PkiError('badSignature', 'the certificate is not signed by its issuer');
  }
}

export function isSelfIssued(certificate: Certificate): boolean {
  return Buffer.compare(certificate.issuer.der, certificate.subject.der) === 0;
}

/** The subjectKeyIdentifier extension's value, where the certificate has one. */
export function subjectKeyIdentifier(certificate: Certificate): Uint8Array | undefined {
  const extension = findExtension(certificate.extensions, Oid.subjectKeyIdentifier);
  return extension === undefined ? undefined : parseBer(extension.value).octets();
}

/** SHA-256 of the whole certificate, 64 lower-case hexadecimal digits. */
export function fingerprint(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

export interface CertificateTemplate {
  /** Hexadecimal, positive. */
  serialNumber: string;
  /** The DER of the two names and of the SubjectPublicKeyInfo. */
  issuer: Uint8Array;
  subject: Uint8Array;
  subjectPublicKeyInfo: Uint8Array;
  notBefore: number;
  notAfter: number;
  extensions: readonly Extension[];
}

/** A signed version 3 certificate, DER. */
export function createCertificate(template: CertificateTemplate, signer: Signer): Uint8Array {
  return signTbsCertificate(encodeTbsCertificate(template, signer.algorithm), signer);
}

/** What a certificate will say, before it is signed. `signatureAlgorithm`: the AlgorithmIdentifier of the signer to come. */
export function encodeTbsCertificate(template: CertificateTemplate, signatureAlgorithm: Uint8Array): Uint8Array {
  return sequence(
    contextConstructed(0, integer(2)),
    integer(Buffer.from(template.serialNumber, 'hex')),
    signatureAlgorithm,
    template.issuer,
    sequence(time(template.notBefore), time(template.notAfter)),
    template.subject,
    template.subjectPublicKeyInfo,
    contextConstructed(3, encodeExtensions(template.extensions)),
  );
}

/** The certificate, DER. RFC 5280 section 4.1.1.2: the algorithm in the tbsCertificate is the one beside the signature; TypeError if it is not. */
export function signTbsCertificate(tbsCertificate: Uint8Array, signer: Signer): Uint8Array {
  if (Buffer.compare(signatureAlgorithmOf(tbsCertificate), signer.algorithm) !== 0) {
    throw new TypeError('the tbsCertificate is for another signature algorithm than the signer has');
  }
  return sequence(tbsCertificate, signer.algorithm, bitString(signer.sign(tbsCertificate)));
}

/** The AlgorithmIdentifier in a tbsCertificate. */
export function signatureAlgorithmOf(tbsCertificate: Uint8Array): Uint8Array {
  const fields = parseSequence(tbsCertificate, 'tbsCertificate');
  fields.optional(Tag.context(0));
  fields.next(Tag.integer, 'serialNumber');
  return fields.next(Tag.sequence, 'signature').bytes;
}
