/** What an enrolment policy must hold beyond the form of its members: patterns that can be read, ranges that are not empty, certificates that are a CA's. */
import { type EnrolmentPolicy, findPurpose } from '../base/enrolment-policy.ts';
import { violation, violationsException } from '../base/errors.ts';
import { findExtension, parseBasicConstraints } from '../base/pki/extensions.ts';
import { findAttributeType, namesEqual } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { parsePem } from '../base/pki/pem.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { type Certificate, parseCertificate } from '../base/pki/x509.ts';
import { findSubjectAltNameKind, type NameRule, parseSubjectAltNameRule, parseSubjectRule } from './name-rules.ts';
import { addValidity } from './validity.ts';

const subjectRule = 'Member must be TYPE=pattern with an attribute type such as CN or O, or *';
const subjectAltNameRule = 'Member must be TYPE:pattern with one of DNS, email, URI, IP, DN, RID, UPN';
const attributeType = 'Member must be an attribute type such as CN or O';
const subjectAltNameKind = 'Member must be one of DNS, email, URI, IP, DN, RID, UPN';
const purpose = 'Member must be the name or OID of a purpose that a device may have, such as clientAuth';

type Violation = readonly [path: string, constraint: string];

/** Throws one ValidationException that names every violation. */
export function checkEnrolmentPolicy(policy: EnrolmentPolicy): void {
  const violations = [...violationsOf(policy)].map(([path, constraint]) => violation(`enrolmentPolicy.${path}`, constraint));
  if (violations.length > 0) throw violationsException(violations);
}

/** What Intune cannot do, or does not look at, in a connector of its own. Throws as `checkEnrolmentPolicy` does. */
export function checkIntunePolicy({ Approval, Renewal, SecurityIdentifier }: EnrolmentPolicy): void {
  const violations: Violation[] = [];
  if (Approval.Mode === 'MANUAL')
    violations.push(['approval.mode', 'Member must be OFF for an INTUNE connector: Intune knows no request that waits']);
  if (Renewal.Mode === 'CERTIFICATE') {
    violations.push(['renewal.mode', 'Member must be OFF for an INTUNE connector: Intune renews by a new challenge']);
  }
  if (SecurityIdentifier === 'KEEP') {
    violations.push([
      'securityIdentifier',
      'Member must be STRIP for an INTUNE connector: Intune does not look at it, so a device could ask for any',
    ]);
  }
  if (violations.length > 0)
    throw violationsException(violations.map(([path, constraint]) => violation(`enrolmentPolicy.${path}`, constraint)));
}

function* violationsOf(policy: EnrolmentPolicy): Generator<Violation> {
  const { Subject, SubjectAlternativeNames, Keys, Validity, NextCaCertificate } = policy;
  yield* eachMember('subject.allowed', Subject.Allowed, parseSubjectRule, subjectRule);
  yield* eachMember('subject.required', Subject.Required, findAttributeType, attributeType);
  yield* eachMember('subjectAlternativeNames.allowed', SubjectAlternativeNames.Allowed, parseSubjectAltNameRule, subjectAltNameRule);
  yield* eachMember('subjectAlternativeNames.required', SubjectAlternativeNames.Required, findSubjectAltNameKind, subjectAltNameKind);
  yield* eachMember('extendedKeyUsages', policy.ExtendedKeyUsages, findPurpose, purpose);
  yield* eachRequired('subject', Subject, parseSubjectRule, findAttributeType);
  yield* eachRequired('subjectAlternativeNames', SubjectAlternativeNames, parseSubjectAltNameRule, findSubjectAltNameKind);
  const kindsRequired = new Set(SubjectAlternativeNames.Required.map(findSubjectAltNameKind));
  if (kindsRequired.size > SubjectAlternativeNames.Max) {
    yield ['subjectAlternativeNames.max', 'Member must not be less than what required names'];
  }
  if (Keys.RsaBitsMin > Keys.RsaBitsMax) yield ['keys.rsaBitsMin', 'Member must not be greater than rsaBitsMax'];
  if (Validity.Maximum && addValidity(0, Validity.Default) > addValidity(0, Validity.Maximum)) {
    yield ['validity.default', 'Member must not be longer than maximum'];
  }
  if (policy.GetCaCert === 'RA_CERTIFICATE' && policy.RaCertificates === 'TWO') {
    yield ['getCaCert', 'Member must be CHAIN where raCertificates is TWO: one certificate cannot be both'];
  }
  if (NextCaCertificate !== undefined && !isCaPath(NextCaCertificate)) {
    yield [
      'nextCaCertificate',
      'Member must be PEM of CA certificates and of nothing else, the next CA’s first, each followed by its issuer’s',
    ];
  }
}

/** What is required and never allowed would refuse every request. */
function* eachRequired(
  section: string,
  { Allowed, Required }: { Allowed: readonly string[]; Required: readonly string[] },
  parseRule: (text: string) => NameRule | undefined,
  findType: (text: string) => string | undefined,
): Generator<Violation> {
  const rules = Allowed.flatMap(text => parseRule(text) ?? []);
  for (const [index, name] of Required.entries()) {
    const type = findType(name);
    const isAllowed = rules.some(({ of }) => of === undefined || of === type);
    if (type !== undefined && !isAllowed) yield [`${section}.required.${index + 1}.member`, 'Member must be of a type that allowed has'];
  }
}

function* eachMember(path: string, members: readonly string[], parse: (text: string) => unknown, constraint: string): Generator<Violation> {
  for (const [index, member] of members.entries()) {
    if (parse(member) === undefined) yield [`${path}.${index + 1}.member`, constraint];
  }
}

/** Nothing else: who pastes a whole file would find its private key in the policy, for everyone to read who may. */
function isCaPath(pem: string): boolean {
  if (/-----BEGIN (?!CERTIFICATE-----)/.test(pem)) return false;
  try {
    const certificates = parsePem('CERTIFICATE', pem).map(parseCertificate);
    return certificates.every((certificate, index) => {
      const issuer = certificates[index + 1];
      return isCa(certificate) && (issuer === undefined || namesEqual(certificate.issuer, issuer.subject));
    });
  } catch (error) {
    if (error instanceof PkiError) return false;
    throw error;
  }
}

function isCa({ extensions }: Certificate): boolean {
  const extension = findExtension(extensions, Oid.basicConstraints);
  return extension !== undefined && parseBasicConstraints(extension).cA;
}
