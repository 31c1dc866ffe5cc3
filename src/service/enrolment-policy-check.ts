/** What an enrolment policy must hold beyond the form of its members: patterns that can be read, ranges that are not empty, certificates that are a CA's. */
import { type EnrolmentPolicy, findPurpose, type PolicyValidity } from '../base/enrolment-policy.ts';
import { validationException } from '../base/errors.ts';
import { findExtension, parseBasicConstraints } from '../base/pki/extensions.ts';
import { findAttributeType } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { parsePem } from '../base/pki/pem.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { type Certificate, parseCertificate } from '../base/pki/x509.ts';
import { findSubjectAltNameKind, parseSubjectAltNameRule, parseSubjectRule } from './name-rules.ts';

const subjectRule = 'Member must be TYPE=pattern with an attribute type such as CN or O, or *';
const subjectAltNameRule = 'Member must be TYPE:pattern with one of DNS, email, URI, IP, DN, RID, UPN';
const attributeType = 'Member must be an attribute type such as CN or O';
const subjectAltNameKind = 'Member must be one of DNS, email, URI, IP, DN, RID, UPN';
const purpose = 'Member must be the name or OID of a purpose that a device may have, such as clientAuth';

type Violation = readonly [path: string, constraint: string];

/** Throws one ValidationException that names every violation. */
export function checkEnrolmentPolicy(policy: EnrolmentPolicy): void {
  const violations = [...violationsOf(policy)];
  if (violations.length === 0) return;
  const count = violations.length === 1 ? '1 validation error' : `${violations.length} validation errors`;
  const text = violations.map(([path, constraint]) => `Value at 'enrolmentPolicy.${path}' failed to satisfy constraint: ${constraint}`);
  throw validationException(`${count} detected: ${text.join('; ')}`);
}

function* violationsOf(policy: EnrolmentPolicy): Generator<Violation> {
  const { Subject, SubjectAlternativeNames, Keys, Validity, NextCaCertificate } = policy;
  yield* eachMember('subject.allowed', Subject.Allowed, parseSubjectRule, subjectRule);
  yield* eachMember('subject.required', Subject.Required, findAttributeType, attributeType);
  yield* eachMember('subjectAlternativeNames.allowed', SubjectAlternativeNames.Allowed, parseSubjectAltNameRule, subjectAltNameRule);
  yield* eachMember('subjectAlternativeNames.required', SubjectAlternativeNames.Required, findSubjectAltNameKind, subjectAltNameKind);
  yield* eachMember('extendedKeyUsages', policy.ExtendedKeyUsages, findPurpose, purpose);
  if (Keys.RsaBitsMin > Keys.RsaBitsMax) yield ['keys.rsaBitsMin', 'Member must not be greater than rsaBitsMax'];
  if (Validity.Maximum && addValidity(0, Validity.Default) > addValidity(0, Validity.Maximum)) {
    yield ['validity.default', 'Member must not be longer than maximum'];
  }
  if (NextCaCertificate !== undefined && !isCaCertificates(NextCaCertificate)) {
    yield ['nextCaCertificate', 'Member must be PEM of CA certificates, the next CA’s first'];
  }
}

function* eachMember(path: string, members: readonly string[], parse: (text: string) => unknown, constraint: string): Generator<Violation> {
  for (const [index, member] of members.entries()) {
    if (parse(member) === undefined) yield [`${path}.${index + 1}.member`, constraint];
  }
}

/** The instant at which a validity that begins at `from` ends, by the calendar of UTC. */
export function addValidity(from: number, { Value, Type }: PolicyValidity): number {
  const at = new Date(from);
  switch (Type) {
    case 'DAYS':
      return at.setUTCDate(at.getUTCDate() + Value);
    case 'MONTHS':
      return at.setUTCMonth(at.getUTCMonth() + Value);
    case 'YEARS':
      return at.setUTCFullYear(at.getUTCFullYear() + Value);
    default:
      return Type satisfies never;
  }
}

function isCaCertificates(pem: string): boolean {
  try {
    return parsePem('CERTIFICATE', pem).map(parseCertificate).every(isCa);
  } catch (error) {
    if (error instanceof PkiError) return false;
    throw error;
  }
}

function isCa({ extensions }: Certificate): boolean {
  const extension = findExtension(extensions, Oid.basicConstraints);
  return extension !== undefined && parseBasicConstraints(extension).cA;
}
