/** The certification path of an authority's certificate (RFC 5280 section 6, and AWS's rules for ImportCertificateAuthorityCertificate), up to its root. */
import { ServiceException } from '../base/errors.ts';
import { findExtension, KeyUsage, parseBasicConstraints, parseKeyUsage } from '../base/pki/extensions.ts';
import { namesEqual } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { parsePem } from '../base/pki/pem.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { type Certificate, isSelfIssued, parseCertificate, verifyCertificateSignature } from '../base/pki/x509.ts';
import type { CertificateAuthorityType } from '../base/private-ca.ts';

const pathLimits = { issuersMax: 10 } as const;

/** AWS: what may be critical in a certificate of the path. Name and policy constraints are not among them, as issuing does not enforce them. */
const allowedCriticalExtensions: ReadonlySet<string> = new Set([
  Oid.basicConstraints,
  Oid.keyUsage,
  Oid.extKeyUsage,
  Oid.subjectAltName,
  Oid.authorityKeyIdentifier,
  Oid.subjectKeyIdentifier,
  Oid.certificatePolicies,
  // issuerAltName, subjectDirectoryAttributes, subjectInfoAccess, policyMappings and inhibitAnyPolicy.
  '2.5.29.18',
  '2.5.29.9',
  '1.3.6.1.5.5.7.1.11',
  '2.5.29.33',
  '2.5.29.54',
]);

export type Path = readonly [Certificate, ...Certificate[]];

/** PEM of exactly one certificate and of its issuers in order. Throws MalformedCertificateException. */
export function parsePath(Certificate: Uint8Array, CertificateChain: Uint8Array | undefined): Path {
  const [certificate, second] = parseCertificates(Certificate, 'Certificate');
  if (certificate === undefined || second !== undefined) throw malformedCertificate('Certificate must hold exactly one certificate.');
  const issuers =
    CertificateChain === undefined || CertificateChain.length === 0 ? [] : parseCertificates(CertificateChain, 'CertificateChain');
  if (issuers.length > pathLimits.issuersMax) {
    throw malformedCertificate(`CertificateChain holds ${issuers.length} certificates, more than ${pathLimits.issuersMax}.`);
  }
  return [certificate, ...issuers];
}

function parseCertificates(pem: Uint8Array, member: string): Certificate[] {
  return orMalformed(`${member} cannot be read`, () =>
    parsePem('CERTIFICATE', Buffer.from(pem).toString('latin1')).map(parseCertificateOf),
  );
}

function parseCertificateOf(der: Uint8Array): Certificate {
  const certificate = parseCertificate(der);
  // Names are read when they are first asked for; here is where what cannot be read is refused.
  void certificate.subject.rdns;
  void certificate.issuer.rdns;
  return certificate;
}

/** Throws InvalidRequestException, MalformedCertificateException or CertificateMismatchException. */
export function checkPath(type: CertificateAuthorityType, path: Path, now: number): void {
  checkForm(type, path);
  for (const [index, certificate] of path.entries()) {
    checkAuthorityCertificate(certificate, index, now);
    checkLink(certificate, path[index + 1] ?? certificate);
  }
}

function checkForm(type: CertificateAuthorityType, [own, ...issuers]: Path): void {
  const isSelfSigned = isSelfIssued(own);
  if (type === 'ROOT') {
    if (!isSelfSigned) throw invalidRequest('Only a self-signed certificate can be imported for a root CA.');
    if (issuers.length > 0) throw invalidRequest('A root CA has no certificate chain.');
    return;
  }
  if (isSelfSigned) throw invalidRequest('A self-signed certificate cannot be imported for a subordinate CA.');
  if (issuers.length === 0) throw invalidRequest('The certificate of a subordinate CA needs a certificate chain up to its root.');
}

/** `below`: how many certificates of the path come after it, which are all authorities'. */
function checkAuthorityCertificate(certificate: Certificate, below: number, now: number): void {
  const name = below === 0 ? 'The certificate' : `Certificate ${below} of the chain`;
  const critical = certificate.extensions.find(extension => extension.critical && !allowedCriticalExtensions.has(extension.oid));
  if (critical !== undefined) throw malformedCertificate(`${name} has a critical extension that is not supported: ${critical.oid}.`);
  const { cA, pathLenConstraint } = readBasicConstraints(certificate, name);
  if (!cA) throw malformedCertificate(`${name} is not one of a CA: basicConstraints must be critical and say CA:TRUE.`);
  const keyUsage = findExtension(certificate.extensions, Oid.keyUsage);
  if (keyUsage && !orMalformed(name, () => parseKeyUsage(keyUsage)).has(KeyUsage.keyCertSign)) {
    throw malformedCertificate(`${name} may not sign certificates: its keyUsage has no keyCertSign.`);
  }
  if (certificate.notAfter <= now) throw malformedCertificate(`${name} is expired.`);
  if (pathLenConstraint !== undefined && pathLenConstraint < below) {
    throw mismatch(`${name} allows ${pathLenConstraint} CA certificates below it (pathLenConstraint), not ${below}.`);
  }
}

function readBasicConstraints({ extensions }: Certificate, name: string): { cA: boolean; pathLenConstraint: number | undefined } {
  const extension = findExtension(extensions, Oid.basicConstraints);
  if (!extension?.critical) return { cA: false, pathLenConstraint: undefined };
  return orMalformed(name, () => parseBasicConstraints(extension));
}

/** The last of a path is its own issuer. */
function checkLink(certificate: Certificate, issuer: Certificate): void {
  const isLinked = namesEqual(certificate.issuer, issuer.subject);
  if (!isLinked) {
    throw malformedCertificate('The chain is broken: each certificate must be issued by the one after it, up to a self-signed root.');
  }
  orMalformed('The chain is broken', () => verifyCertificateSignature(certificate, issuer));
}

function orMalformed<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof PkiError)) throw cause;
    throw malformedCertificate(`${what}: ${cause.message}.`, { cause });
  }
}

function malformedCertificate(message: string, options?: ErrorOptions): ServiceException {
  return new ServiceException('MalformedCertificateException', message, {}, options);
}

function invalidRequest(message: string): ServiceException {
  return new ServiceException('InvalidRequestException', message);
}

export function mismatch(message: string): ServiceException {
  return new ServiceException('CertificateMismatchException', message);
}
