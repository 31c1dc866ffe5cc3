/** What a request of IssueCertificate becomes: a tbsCertificate that its authority may sign, or a refusal in AWS's words; pure. */
import type { CertificateAuthorityRow } from '../backends/store/database.ts';
import { invalidArgs, ServiceException, validationException } from '../base/errors.ts';
import { signatureAlgorithmIdentifiers } from '../base/pki/algorithms.ts';
import { type Extension, findExtension, parseBasicConstraints, parseSubjectAltName } from '../base/pki/extensions.ts';
import { Oid } from '../base/pki/oids.ts';
import { parsePem } from '../base/pki/pem.ts';
import { type CertificationRequest, parseCertificationRequest, verifyCertificationRequest } from '../base/pki/pkcs10.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import type { PublicKey } from '../base/pki/public-key.ts';
import { type Certificate, encodeTbsCertificate, subjectKeyIdentifier } from '../base/pki/x509.ts';
import { isSigningAlgorithmOf, type KeyAlgorithm, type SigningAlgorithm } from '../base/private-ca.ts';
import type { ApiPassthrough } from './api-passthrough.ts';
import { formatSubject } from './authority-configuration.ts';
import { certificatesOf, statusOf } from './certificate-authorities.ts';
import { applyTemplate, TemplateError, type TemplateResult } from './certificate-templates.ts';
import { crlDistributionPoint } from './crl-distribution-point.ts';
import { issuanceValidity, shortLivedMsMax, type Validity } from './issuance-validity.ts';

export interface IssueCertificateRequest {
  CertificateAuthorityArn: string;
  /** PEM. */
  Csr: Uint8Array;
  SigningAlgorithm: SigningAlgorithm;
  TemplateArn?: string;
  Validity: Validity;
  ValidityNotBefore?: Validity;
  ApiPassthrough?: ApiPassthrough;
  IdempotencyToken?: string;
}

export interface IssuancePlan {
  tbsCertificate: Uint8Array;
  notBefore: number;
  notAfter: number;
  /** For the inventory. */
  subjectText: string;
  subjectAlternativeNames: readonly string[];
}

/** Whom the certificate names as its issuer, and what that allows. */
interface Issuer {
  /** DER of the Name; a root's is the subject of the certificate itself. */
  name: Uint8Array | undefined;
  keyIdentifier: Uint8Array;
  notAfterMax: number;
  pathLenConstraint: number | undefined;
}

/** Both of openssl's labels; the second is that of older tools such as keytool. */
const csrLabels = ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'];
const rootTemplate = /^arn:aws:acm-pca:::template\/(?:Blank)?RootCACertificate/;

/** A request that is signed with the key it asks a certificate for. Throws MalformedCSRException. */
export function parseCsr(pem: Uint8Array): CertificationRequest {
  try {
    const text = Buffer.from(pem).toString('latin1');
    const label = csrLabels.find(name => text.includes(`-----BEGIN ${name}-----`)) ?? 'CERTIFICATE REQUEST';
    const [der, second] = parsePem(label, text);
    if (der === undefined || second !== undefined) throw malformedCsr('The CSR must be one PEM object.');
    const csr = parseCertificationRequest(der);
    if (!verifyCertificationRequest(csr)) throw malformedCsr('The CSR is not signed with the key that it is for.');
    return csr;
  } catch (cause) {
    if (!(cause instanceof PkiError)) throw cause;
    throw malformedCsr(`The CSR cannot be used: ${cause.message}.`, { cause });
  }
}

interface PlanContext {
  row: CertificateAuthorityRow;
  now: number;
  serialNumber: string;
  publicationUrl: string;
}

/** Throws acm-pca's exceptions. */
export function planIssuance(request: IssueCertificateRequest, csr: CertificationRequest, context: PlanContext): IssuancePlan {
  const { row, now, serialNumber, publicationUrl } = context;
  const { TemplateArn, SigningAlgorithm } = request;
  const isRoot = TemplateArn !== undefined && rootTemplate.test(TemplateArn);
  const issuer = isRoot ? ownIssuer(row, csr, now) : issuerOf(row, now);
  if (!isSigningAlgorithmOf(SigningAlgorithm, row.key_algorithm as KeyAlgorithm)) {
    throw invalidArgs(`The certificate authority's key, ${row.key_algorithm}, does not sign with ${SigningAlgorithm}.`);
  }
  const content = contentOf(request, csr, issuer, crlDistributionPoint(row, publicationUrl));
  checkPathLength(content, issuer);
  const validity = issuanceValidity(request, { now, notAfterMax: issuer.notAfterMax });
  const template = {
    serialNumber,
    issuer: issuer.name ?? content.subject,
    subject: content.subject,
    subjectPublicKeyInfo: csr.publicKey.spki,
    ...validity,
    extensions: content.extensions,
  };
  return {
    tbsCertificate: encodeTbsCertificate(template, signatureAlgorithmIdentifiers[SigningAlgorithm]),
    ...validity,
    subjectText: formatSubject(content.subject),
    subjectAlternativeNames: alternativeNames(content.extensions),
  };
}

/** AWS does not hold a certificate to the issuer's end alone but to every end above it, and short-lived authorities to a week. */
function issuerOf(row: CertificateAuthorityRow, now: number): Issuer {
  const certificates = statusOf(row, now) === 'ACTIVE' ? certificatesOf(row) : undefined;
  if (certificates === undefined) throw cannotIssue();
  const [own] = certificates;
  const ends = certificates.map(({ notAfter }) => notAfter);
  if (row.usage_mode === 'SHORT_LIVED_CERTIFICATE') ends.push(now + shortLivedMsMax);
  const constraints = findExtension(own.extensions, Oid.basicConstraints);
  return {
    name: own.subject.der,
    keyIdentifier: keyIdentifierOf(own),
    notAfterMax: Math.min(...ends),
    pathLenConstraint: constraints && parseBasicConstraints(constraints).pathLenConstraint,
  };
}

/** RFC 5280 section 4.2.1.1: as the issuer's certificate has it, or made of its key where it has none. */
function keyIdentifierOf(certificate: Certificate): Uint8Array {
  return subjectKeyIdentifier(certificate) ?? certificate.publicKey.keyIdentifier;
}

/** A root signs its own certificate, before it has one, to replace it, and when it has expired: by its own CSR, and nobody else's. */
function ownIssuer(row: CertificateAuthorityRow, csr: CertificationRequest, now: number): Issuer {
  if (row.type !== 'ROOT') throw invalidArgs('A template of a root CA is for root CAs. Use one of SubordinateCACertificate.');
  if (!['PENDING_CERTIFICATE', 'ACTIVE', 'EXPIRED'].includes(statusOf(row, now))) throw cannotIssue();
  if (!csr.publicKey.equals(ownKey(row))) throw malformedCsr("The CSR of a root CA's certificate must be the root CA's own.");
  return {
    name: undefined,
    keyIdentifier: csr.publicKey.keyIdentifier,
    notAfterMax: Number.POSITIVE_INFINITY,
    pathLenConstraint: undefined,
  };
}

function ownKey(row: CertificateAuthorityRow): PublicKey {
  if (row.csr !== null) return parseCertificationRequest(row.csr).publicKey;
  // One of a store that was made before certification requests were kept.
  const [own] = certificatesOf(row) ?? [];
  if (own === undefined) throw cannotIssue();
  return own.publicKey;
}

function contentOf(
  { TemplateArn: templateArn, ApiPassthrough: apiPassthrough }: IssueCertificateRequest,
  csr: CertificationRequest,
  { keyIdentifier }: Issuer,
  crlUrl: string | undefined,
): TemplateResult {
  try {
    return applyTemplate({ templateArn, csr, apiPassthrough, issuer: { keyIdentifier, crlDistributionPoint: crlUrl } });
  } catch (cause) {
    if (!(cause instanceof TemplateError)) throw cause;
    throw cause.reason === 'malformedCsr' ? malformedCsr(cause.message, { cause }) : invalidArgs(cause.message, { cause });
  }
}

/** RFC 5280 section 4.2.1.9. The message begins with AWS's words. */
function checkPathLength({ isCa, pathLenConstraint = Number.POSITIVE_INFINITY }: TemplateResult, issuer: Issuer): void {
  if (!isCa || issuer.pathLenConstraint === undefined || pathLenConstraint < issuer.pathLenConstraint) return;
  const advice = issuer.pathLenConstraint === 0 ? 'it may issue no CA certificate' : `use less than PathLen${issuer.pathLenConstraint}`;
  throw validationException(
    `Path length check failed for CA: the pathLenConstraint of its issuer is ${issuer.pathLenConstraint}, ${advice}.`,
  );
}

function alternativeNames(extensions: readonly Extension[]): string[] {
  const extension = findExtension(extensions, Oid.subjectAltName);
  return extension === undefined ? [] : parseSubjectAltName(extension).map(({ type, value }) => `${type}:${value}`);
}

/** AWS's words, which Terraform's provider waits for until an authority is active. */
function cannotIssue(): ServiceException {
  return new ServiceException('InvalidStateException', 'The certificate authority is not in a valid state for issuing certificates.');
}

function malformedCsr(message: string, options?: ErrorOptions): ServiceException {
  return new ServiceException('MalformedCSRException', message, {}, options);
}
