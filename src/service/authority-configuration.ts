/** AWS's CertificateAuthorityConfiguration: held against what this product can do, made into a certification request's parts, and shown again. */
import type { CertificateAuthorityRow } from '../backends/store/database.ts';
import { invalidArgs } from '../base/errors.ts';
import { parseBer } from '../base/pki/asn1.ts';
import { objectIdentifier, sequence } from '../base/pki/der.ts';
import { type Extension, parseSubjectAltName } from '../base/pki/extensions.ts';
import { formatName, Name, parseNameString } from '../base/pki/name.ts';
import { malformed, PkiError } from '../base/pki/pki-error.ts';
import { isSigningAlgorithmOf, keyAlgorithms, signingAlgorithms } from '../base/private-ca.ts';
import { type ApiPassthrough, type ASN1Subject, extensionsOf, findSubjectMember, subjectOf } from './api-passthrough.ts';
import type { KeyOrder } from './certificate-authorities.ts';

type RequestedExtensions = NonNullable<ApiPassthrough['Extensions']>;
type AccessLocation = NonNullable<RequestedExtensions['SubjectAlternativeNames']>[number];

interface AccessDescription {
  AccessMethod: { CustomObjectIdentifier?: string; AccessMethodType?: string };
  AccessLocation: AccessLocation;
}

export interface CertificateAuthorityConfiguration {
  KeyAlgorithm: string;
  SigningAlgorithm: string;
  Subject: ASN1Subject;
  CsrExtensions?: { KeyUsage?: NonNullable<RequestedExtensions['KeyUsage']>; SubjectInformationAccess?: AccessDescription[] };
}

/** RFC 5280 section 4.2.2.2, and RFC 6487 section 4.8.8 for the two of resource PKI. */
const subjectInfoAccess = '1.3.6.1.5.5.7.1.11';
const accessMethods: Readonly<Record<string, string>> = {
  CA_REPOSITORY: '1.3.6.1.5.5.7.48.5',
  RESOURCE_PKI_MANIFEST: '1.3.6.1.5.5.7.48.10',
  RESOURCE_PKI_NOTIFY: '1.3.6.1.5.5.7.48.13',
};

/** What key and certification request the configuration asks for. Throws InvalidArgsException. */
export function keyOrderOf(configuration: CertificateAuthorityConfiguration): KeyOrder {
  const keyAlgorithm = keyAlgorithms.find(name => name === configuration.KeyAlgorithm);
  const signingAlgorithm = signingAlgorithms.find(name => name === configuration.SigningAlgorithm);
  if (keyAlgorithm === undefined) throw invalidArgs('SM2 keys are not supported here. Use RSA, EC or ML-DSA.');
  if (signingAlgorithm === undefined || !isSigningAlgorithmOf(signingAlgorithm, keyAlgorithm)) {
    throw invalidArgs(`A key of ${keyAlgorithm} does not sign with ${configuration.SigningAlgorithm}: the algorithm families must match.`);
  }
  try {
    const extensions = requestExtensions(configuration.CsrExtensions ?? {});
    return { keyAlgorithm, signingAlgorithm, subject: subjectOf(configuration.Subject).der, extensions };
  } catch (cause) {
    if (!(cause instanceof PkiError)) throw cause;
    throw invalidArgs(cause.message, { cause });
  }
}

function requestExtensions({ KeyUsage, SubjectInformationAccess }: NonNullable<CertificateAuthorityConfiguration['CsrExtensions']>) {
  const extensions = KeyUsage === undefined ? [] : extensionsOf({ KeyUsage });
  return SubjectInformationAccess === undefined ? extensions : [...extensions, subjectInfoAccessExtension(SubjectInformationAccess)];
}

function subjectInfoAccessExtension(descriptions: readonly AccessDescription[]): Extension {
  if (descriptions.length === 0) throw malformed('SubjectInformationAccess needs at least one access description.');
  const value = sequence(
    ...descriptions.map(({ AccessMethod, AccessLocation }) => sequence(methodOf(AccessMethod), locationOf(AccessLocation))),
  );
  return { oid: subjectInfoAccess, critical: false, value };
}

function methodOf({ CustomObjectIdentifier: custom, AccessMethodType: type }: AccessDescription['AccessMethod']): Uint8Array {
  if ((custom === undefined) === (type === undefined)) {
    throw malformed('An AccessMethod needs exactly one of CustomObjectIdentifier and AccessMethodType.');
  }
  return objectIdentifier(custom ?? accessMethods[type ?? ''] ?? '');
}

/** A GeneralName is written as in a subjectAltName. */
function locationOf(name: AccessLocation): Uint8Array {
  const [location] = extensionsOf({ SubjectAlternativeNames: [name] }).flatMap(parseSubjectAltName);
  return location?.der ?? new Uint8Array(0);
}

/** As it was given; of an authority that was not made over the API, what its row says. */
export function describeConfiguration(row: CertificateAuthorityRow): CertificateAuthorityConfiguration {
  if (row.configuration !== null) return JSON.parse(row.configuration) as CertificateAuthorityConfiguration;
  const { key_algorithm: KeyAlgorithm, signing_algorithm: SigningAlgorithm, subject } = row;
  return { KeyAlgorithm, SigningAlgorithm, Subject: describeName(parseNameString(subject)) };
}

/** Custom attributes cannot be used in combination with standard ones, so one that is custom makes all of them so. */
function describeName({ rdns }: Name): ASN1Subject {
  const attributes = rdns.flat();
  const standard = attributes.flatMap(({ type, value }) => {
    const member = findSubjectMember(type);
    return member === undefined ? [] : [[member, value]];
  });
  if (standard.length === attributes.length) return Object.fromEntries(standard);
  return { CustomAttributes: attributes.map(({ type, value }) => ({ ObjectIdentifier: type, Value: value })) };
}

/** A Name, DER, for the inventory. */
export function formatSubject(subject: Uint8Array): string {
  return formatName(new Name(parseBer(subject)));
}
