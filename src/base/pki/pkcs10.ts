/** PKCS#10 certification requests (RFC 2986) with the attributes that SCEP clients put into them (RFC 2985, MS-WCCE). */
import {
  type AlgorithmIdentifier,
  parseAlgorithmIdentifier,
  resolveSignatureAlgorithm,
  type Signer,
  verifySignature,
} from './algorithms.ts';
import { type Element, parseBer, parseSequence, Tag } from './asn1.ts';
import { bitString, contextConstructed, integer, objectIdentifier, sequence, setOf, toDer, utf8String } from './der.ts';
import { type Extension, encodeExtensions, parseExtensions } from './extensions.ts';
import { Name } from './name.ts';
import { Oid } from './oids.ts';
import { malformed } from './pki-error.ts';
import { type PublicKey, parsePublicKey } from './public-key.ts';
import { readText } from './strings-and-times.ts';

export const certificationRequestLimits = { attributesMax: 64 } as const;

export interface CertificationRequest {
  der: Uint8Array;
  /** certificationRequestInfo as received: what the signature is over. */
  certificationRequestInfo: Uint8Array;
  /** Subject and key as they go into a certificate: in DER, whatever the request was written in. */
  subject: Name;
  publicKey: PublicKey;
  /** Every value of every challengePassword attribute: RFC 2985 allows one, and what to say to others is policy. */
  challengePasswords: readonly string[];
  /** Of PKCS#9's extensionRequest or of Microsoft's older attribute. */
  extensions: readonly Extension[];
  /** Microsoft's szOID_ENROLLMENT_NAME_VALUE_PAIR, such as ValidityPeriod and ValidityPeriodUnits. */
  nameValuePairs: readonly { name: string; value: string }[];
  signatureAlgorithm: AlgorithmIdentifier;
  signature: Uint8Array;
}

export function parseCertificationRequest(source: Uint8Array): CertificationRequest {
  const fields = parseSequence(source, 'CertificationRequest');
  const info = fields.next(Tag.sequence, 'certificationRequestInfo');
  const signatureAlgorithm = parseAlgorithmIdentifier(fields.next(Tag.sequence, 'signatureAlgorithm'));
  const signature = fields.next(Tag.bitString, 'signature').bitStringOctets();
  fields.end();

  const infoFields = info.fields('certificationRequestInfo');
  infoFields.next(Tag.integer, 'version');
  const subject = new Name(parseBer(toDer(infoFields.next(Tag.sequence, 'subject'))));
  // A subject that cannot be read is a CSR that cannot be parsed: it gets the uniform answer, not one of its own later.
  void subject.rdns;
  const publicKey = parsePublicKey(parseBer(toDer(infoFields.next(Tag.sequence, 'subjectPKInfo'))));
  // Old clients leave the attributes out altogether instead of sending an empty SET.
  const attributes = parseAttributes(infoFields.optional(Tag.context(0))?.elements('attributes') ?? []);
  infoFields.end();

  return {
    der: source,
    certificationRequestInfo: info.bytes,
    subject,
    publicKey,
    challengePasswords: attributes.filter(({ type }) => type === Oid.challengePassword).flatMap(({ values }) => values.map(readText)),
    extensions: requestedExtensions(attributes),
    nameValuePairs: attributes
      .filter(({ type }) => type === Oid.enrollmentNameValuePair)
      .flatMap(({ values }) => values.flatMap(readPairs)),
    signatureAlgorithm,
    signature,
  };
}

interface Attribute {
  type: string;
  values: readonly Element[];
}

function parseAttributes(elements: readonly Element[]): Attribute[] {
  if (elements.length > certificationRequestLimits.attributesMax) throw malformed('a CSR with too many attributes');
  return elements.map(element => {
    const fields = element.fields('attribute');
    const type = fields.next(Tag.objectIdentifier, 'attribute type').oid();
    const values = fields.next(Tag.set, 'attribute values').elements('attribute values');
    fields.end();
    return { type, values };
  });
}

function requestedExtensions(attributes: readonly Attribute[]): Extension[] {
  const requests = attributes
    .filter(({ type }) => type === Oid.extensionRequest || type === Oid.microsoftCertExtensions)
    .flatMap(({ values }) => values);
  if (requests.length > 1) throw malformed('a CSR with more than one extensionRequest');
  return requests.flatMap(parseExtensions);
}

/** MS-WCCE section 2.2.2.7.10 says SEQUENCE OF pairs; what clients send is one pair, so both are read. */
function readPairs(element: Element): { name: string; value: string }[] {
  const parts = element.elements('EnrollmentNameValuePair');
  if (parts[0]?.tag === Tag.sequence) return parts.flatMap(readPair);
  return readPair(element);
}

function readPair(element: Element): { name: string; value: string }[] {
  const [name, value] = element.elements('EnrollmentNameValuePair');
  if (name === undefined || value === undefined) throw malformed('an EnrollmentNameValuePair without name and value');
  return [{ name: readText(name), value: readText(value) }];
}

/** Whether the request is signed by the key it asks a certificate for. */
export function verifyCertificationRequest(csr: CertificationRequest): boolean {
  const algorithm = resolveSignatureAlgorithm(csr.signatureAlgorithm);
  return verifySignature(algorithm, csr.publicKey, csr.certificationRequestInfo, csr.signature);
}

/**
 * The request as it may be kept: without its challenge passwords, which are good for other requests too. Everything else is as it was received, so
 * that the signature, which is there for whoever has verified it, does not hold any more.
 */
export function withoutChallengePasswords({ der }: Pick<CertificationRequest, 'der'>): Uint8Array {
  const [info, ...signature] = parseBer(der).elements('CertificationRequest');
  const [version, subject, publicKey, attributes] = info?.elements('certificationRequestInfo') ?? [];
  if (!version || !subject || !publicKey) throw malformed('a CSR that was never parsed');
  const kept = attributes?.elements('attributes').filter(attribute => attribute.elements('attribute')[0]?.oid() !== Oid.challengePassword);
  const before = [version, subject, publicKey].map(({ bytes }) => bytes);
  const keptInfo = sequence(...before, contextConstructed(0, ...(kept ?? []).map(({ bytes }) => bytes)));
  return sequence(keptInfo, ...signature.map(({ bytes }) => bytes));
}

export interface CertificationRequestTemplate {
  subject: Uint8Array;
  subjectPublicKeyInfo: Uint8Array;
  challengePassword?: string | undefined;
  extensions: readonly Extension[];
}

/** A signed certification request, DER. */
export function createCertificationRequest(template: CertificationRequestTemplate, signer: Signer): Uint8Array {
  const attributes: Uint8Array[] = [];
  if (template.challengePassword !== undefined) {
    attributes.push(sequence(objectIdentifier(Oid.challengePassword), setOf(utf8String(template.challengePassword))));
  }
  if (template.extensions.length > 0) {
    attributes.push(sequence(objectIdentifier(Oid.extensionRequest), setOf(encodeExtensions(template.extensions))));
  }
  const sorted = attributes.toSorted(Buffer.compare);
  const info = sequence(integer(0), template.subject, template.subjectPublicKeyInfo, contextConstructed(0, ...sorted));
  return sequence(info, signer.algorithm, bitString(signer.sign(info)));
}
