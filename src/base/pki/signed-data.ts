/** CMS SignedData (RFC 5652 section 5): one SignerInfo with signedAttrs, verified over the received bytes; and the degenerate certs-only form. */
import {
  type AlgorithmIdentifier,
  type AlgorithmPolicy,
  type Digest,
  digestOf,
  encodeAlgorithmIdentifier,
  parseAlgorithmIdentifier,
  requireDigest,
  resolveSignatureAlgorithm,
  unsupportedAlgorithm,
  verifySignature,
} from './algorithms.ts';
import { type Element, parseSequence, Tag } from './asn1.ts';
import { contextConstructed, integer, objectIdentifier, octetString, sequence, setOf } from './der.ts';
import { Name, namesEqual } from './name.ts';
import { Oid } from './oids.ts';
import { malformed, PkiError } from './pki-error.ts';
import { type Certificate, formatSerialNumber, parseCertificate, subjectKeyIdentifier } from './x509.ts';

export const signedDataLimits = { certificatesMax: 10, signedAttrsMax: 64 } as const;

/** SignerIdentifier and RecipientIdentifier: RFC 5652 gives both the same two forms. */
export type CertificateIdentifier =
  | { type: 'issuerAndSerialNumber'; issuer: Name; serialNumber: string }
  | { type: 'subjectKeyIdentifier'; keyIdentifier: Uint8Array };

export interface SignerInfo {
  sid: CertificateIdentifier;
  digestAlgorithm: AlgorithmIdentifier;
  signatureAlgorithm: AlgorithmIdentifier;
  /** The received [0] IMPLICIT SET; the signature is over these bytes with the tag of a SET OF (RFC 5652 section 5.4). */
  signedAttrs: Element;
  /** Values by attribute type. No type stands twice. */
  attributes: ReadonlyMap<string, readonly Element[]>;
  signature: Uint8Array;
}

export interface SignedData {
  eContentType: string;
  /** Concatenated when it came in segments; undefined when there is no eContent. */
  eContent: Uint8Array | undefined;
  certificates: readonly Certificate[];
  signerInfos: readonly SignerInfo[];
}

export function parseSignedData(source: Uint8Array): SignedData {
  const fields = parseContentInfo(source, Oid.signedData).fields('SignedData');
  fields.next(Tag.integer, 'version');
  fields.next(Tag.set, 'digestAlgorithms');
  const encapContentInfo = fields.next(Tag.sequence, 'encapContentInfo').fields('encapContentInfo');
  const certificates = fields.optional(Tag.context(0));
  fields.optional(Tag.context(1));
  const signerInfos = fields.next(Tag.set, 'signerInfos').elements('signerInfos');
  fields.end();
  const eContentType = encapContentInfo.next(Tag.objectIdentifier, 'eContentType').oid();
  const [eContent] = encapContentInfo.optional(Tag.context(0))?.elements('eContent') ?? [];
  encapContentInfo.end();
  if (eContent !== undefined && eContent.tag !== Tag.octetString) throw malformed('eContent is no OCTET STRING');
  return {
    eContentType,
    eContent: eContent?.octets(),
    certificates: parseCertificates(certificates),
    signerInfos: signerInfos.map(parseSignerInfo),
  };
}

/** The content of a ContentInfo that must be of this type. */
export function parseContentInfo(source: Uint8Array, type: string): Element {
  const fields = parseSequence(source, 'ContentInfo');
  const contentType = fields.next(Tag.objectIdentifier, 'contentType').oid();
  if (contentType !== type) throw malformed(`a ContentInfo of type ${contentType} where ${type} must be`);
  const [content] = fields.next(Tag.context(0), 'content').elements('content');
  fields.end();
  if (content === undefined) throw malformed('a ContentInfo without content');
  return content;
}

/** Certificates of other kinds than X.509 (attribute certificates, RFC 5652 section 10.2.2) are passed over. */
function parseCertificates(set: Element | undefined): Certificate[] {
  const members = set?.elements('certificates').filter(member => member.tag === Tag.sequence) ?? [];
  if (members.length > signedDataLimits.certificatesMax) throw malformed(`more than ${signedDataLimits.certificatesMax} certificates`);
  return members.map(parseCertificate);
}

function parseSignerInfo(element: Element): SignerInfo {
  const fields = element.fields('SignerInfo');
  fields.next(Tag.integer, 'version');
  const sid = parseCertificateIdentifier(fields.any('sid'));
  const digestAlgorithm = parseAlgorithmIdentifier(fields.next(Tag.sequence, 'digestAlgorithm'));
  const signedAttrs = fields.optional(Tag.context(0));
  if (signedAttrs === undefined) throw malformed('a SignerInfo without signedAttrs');
  const signatureAlgorithm = parseAlgorithmIdentifier(fields.next(Tag.sequence, 'signatureAlgorithm'));
  const signature = fields.next(Tag.octetString, 'signature').octets();
  // unsignedAttrs prove nothing, so nothing is read from them.
  fields.optional(Tag.context(1));
  fields.end();
  return { sid, digestAlgorithm, signatureAlgorithm, signedAttrs, attributes: parseSignedAttrs(signedAttrs), signature };
}

export function parseCertificateIdentifier(element: Element): CertificateIdentifier {
  if (element.tag === Tag.context(0)) return { type: 'subjectKeyIdentifier', keyIdentifier: element.octets() };
  if (element.tag !== Tag.sequence) throw malformed('a certificate identifier of unknown form');
  const fields = element.fields('IssuerAndSerialNumber');
  const issuer = new Name(fields.next(Tag.sequence, 'issuer'));
  const serialNumber = formatSerialNumber(fields.next(Tag.integer, 'serialNumber').integerOctets());
  fields.end();
  return { type: 'issuerAndSerialNumber', issuer, serialNumber };
}

/** Whether the identifier means this certificate. */
export function identifies(identifier: CertificateIdentifier, certificate: Certificate): boolean {
  switch (identifier.type) {
    case 'issuerAndSerialNumber':
      return identifier.serialNumber === certificate.serialNumber && namesEqual(identifier.issuer, certificate.issuer);
    case 'subjectKeyIdentifier': {
      const keyIdentifier = subjectKeyIdentifier(certificate) ?? certificate.publicKey.keyIdentifier;
      return Buffer.compare(identifier.keyIdentifier, keyIdentifier) === 0;
    }
    default:
      return identifier satisfies never;
  }
}

function parseSignedAttrs(set: Element): Map<string, readonly Element[]> {
  const members = set.elements('signedAttrs');
  if (members.length > signedDataLimits.signedAttrsMax) throw malformed(`more than ${signedDataLimits.signedAttrsMax} signedAttrs`);
  const attributes = new Map<string, readonly Element[]>();
  for (const member of members) {
    const fields = member.fields('signed attribute');
    const type = fields.next(Tag.objectIdentifier, 'attrType').oid();
    if (attributes.has(type)) throw malformed(`signed attribute ${type} stands twice`);
    attributes.set(type, fields.next(Tag.set, 'attrValues').elements('attrValues'));
    fields.end();
  }
  return attributes;
}

/** The one value of a signed attribute that may be absent. */
export function optionalAttribute(signerInfo: SignerInfo, type: string, tag: number, name: string): Element | undefined {
  const values = signerInfo.attributes.get(type);
  if (values === undefined) return undefined;
  const [value] = values;
  if (value === undefined || values.length !== 1 || value.tag !== tag) throw malformed(`${name} is not one value of its type`);
  return value;
}

/** The one value of a signed attribute that must be there. */
export function requiredAttribute(signerInfo: SignerInfo, type: string, tag: number, name: string): Element {
  const value = optionalAttribute(signerInfo, type, tag, name);
  if (value === undefined) throw malformed(`${name} is missing`);
  return value;
}

/** The message's only SignerInfo: SCEP has one signer (RFC 8894 section 3), and a second is how verifiers are confused. */
export function onlySigner(signedData: SignedData): SignerInfo {
  const [signer, second] = signedData.signerInfos;
  if (signer === undefined || second !== undefined) throw malformed('a message must have exactly one SignerInfo');
  return signer;
}

/** The certificate among `candidates` that the SignerInfo names. */
export function findSignerCertificate(signerInfo: SignerInfo, candidates: readonly Certificate[]): Certificate {
  const certificate = candidates.find(candidate => identifies(signerInfo.sid, candidate));
  if (certificate === undefined) throw new PkiError('noSignerCertificate', 'the signer’s certificate is not in the message');
  return certificate;
}

/**
 * Verifies the signature as RFC 5652 section 5.6 says: the content's type and digest against the signed attributes, then the signature over
 * those as received. Throws PkiError: unsupportedAlgorithm by policy, malformed or badSignature.
 */
export function verifySignerInfo(signedData: SignedData, signerInfo: SignerInfo, certificate: Certificate, policy: AlgorithmPolicy): void {
  const digestAlgorithm = requireDigest(signerInfo.digestAlgorithm);
  const algorithm = resolveSignatureAlgorithm(signerInfo.signatureAlgorithm, digestAlgorithm);
  if (!policy.digests.has(digestAlgorithm.name)) throw unsupportedAlgorithm(digestAlgorithm.oid, 'SHA-256');
  if (algorithm.digest !== digestAlgorithm.name) throw malformed('digestAlgorithm and signatureAlgorithm do not agree');
  const contentType = requiredAttribute(signerInfo, Oid.contentType, Tag.objectIdentifier, 'contentType').oid();
  if (contentType !== signedData.eContentType) throw malformed('contentType is not eContentType');
  const messageDigest = requiredAttribute(signerInfo, Oid.messageDigest, Tag.octetString, 'messageDigest').octets();
  const digest = digestOf(digestAlgorithm, signedData.eContent ?? Buffer.alloc(0));
  if (Buffer.compare(messageDigest, digest) !== 0) throw new PkiError('badSignature', 'messageDigest is not the digest of the content');
  const signed = Buffer.from(signerInfo.signedAttrs.bytes);
  signed[0] = 0x31;
  if (!verifySignature(algorithm, certificate.publicKey, signed, signerInfo.signature)) {
    throw new PkiError('badSignature', 'the signature of the message does not hold');
  }
}

export interface SignedAttribute {
  type: string;
  /** DER of the attribute's one value. */
  value: Uint8Array;
}

export interface SignedDataTemplate {
  eContent: Uint8Array;
  /** Beside contentType and messageDigest, which are added. */
  signedAttributes: readonly SignedAttribute[];
  digest: Digest;
  certificate: Certificate;
  sign: (digest: Digest, data: Uint8Array) => Uint8Array;
  /** DER, in place of rsaEncryption's: of a signer whose key is not RSA. */
  signatureAlgorithm?: Uint8Array;
}

/**
 * A SignedData around id-data, in its ContentInfo. signatureAlgorithm is `rsaEncryption` whatever the digest: strongSwan 5.9.8 reads nothing
 * else and everyone reads it. An empty eContent is present but empty: certmonger takes an absent one for an unreachable server.
 */
export function encodeSignedData(template: SignedDataTemplate): Uint8Array {
  const { certificate, digest, eContent } = template;
  const attributes = [
    { type: Oid.contentType, value: objectIdentifier(Oid.data) },
    { type: Oid.messageDigest, value: octetString(digestOf(digest, eContent)) },
    ...template.signedAttributes,
  ].map(({ type, value }) => sequence(objectIdentifier(type), setOf(value)));
  const signedAttrs = setOf(...attributes);
  const implicitSignedAttrs = Buffer.from(signedAttrs);
  implicitSignedAttrs[0] = 0xa0;
  const signerInfo = sequence(
    integer(1),
    sequence(certificate.issuer.der, certificate.serialNumberDer),
    encodeAlgorithmIdentifier(digest.oid),
    implicitSignedAttrs,
    template.signatureAlgorithm ?? encodeAlgorithmIdentifier(Oid.rsaEncryption),
    octetString(template.sign(digest, signedAttrs)),
  );
  const signedData = sequence(
    integer(1),
    setOf(encodeAlgorithmIdentifier(digest.oid)),
    sequence(objectIdentifier(Oid.data), contextConstructed(0, octetString(eContent))),
    contextConstructed(0, certificate.der),
    setOf(signerInfo),
  );
  return encodeContentInfo(Oid.signedData, signedData);
}

/** The certs-only SignedData (RFC 8894 section 3.4): no signer, no eContent, certificates and CRLs in the order given. */
export function encodeDegenerate({
  certificates,
  crls = [],
}: {
  certificates: readonly Uint8Array[];
  crls?: readonly Uint8Array[];
}): Uint8Array {
  const signedData = sequence(
    integer(1),
    setOf(),
    sequence(objectIdentifier(Oid.data)),
    ...(certificates.length > 0 ? [contextConstructed(0, ...certificates)] : []),
    ...(crls.length > 0 ? [contextConstructed(1, ...crls)] : []),
    setOf(),
  );
  return encodeContentInfo(Oid.signedData, signedData);
}

export function encodeContentInfo(type: string, content: Uint8Array): Uint8Array {
  return sequence(objectIdentifier(type), contextConstructed(0, content));
}
