/** What a CSR may become by a connector's policy, pure. A CSR in, the certificate's content or a refusal with its reason out. */
import { describePurpose, type EnrolmentPolicy, findPurpose } from '../base/enrolment-policy.ts';
import {
  type Extension,
  extKeyUsageExtension,
  findExtension,
  type GeneralName,
  KeyUsage,
  keyUsageExtension,
  normalizeExtension,
  parseBasicConstraints,
  parseExtKeyUsage,
  parseKeyUsage,
  parseSubjectAltName,
  subjectAltNameExtension,
} from '../base/pki/extensions.ts';
import { attributeTypeName, findAttributeType, formatName, isPlainName, isReadable } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import type { CertificationRequest } from '../base/pki/pkcs10.ts';
import { type Failure, failure } from '../base/scep.ts';
import {
  findRefusedAttribute,
  findRefusedSubjectAltName,
  findSubjectAltNameKind,
  kindOf,
  type NameRule,
  parseSubjectAltNameRule,
  parseSubjectRule,
} from './name-rules.ts';
import { addValidity, hourMs, validityUntil } from './validity.ts';

/** AWS Private CA takes at most 150 alternative names, which is the default policy's maximum too. */
export const profileLimits = { subjectBytesMax: 4096 } as const;

/** Microsoft's form of a security identifier in an alternative name (KB5014754). */
const securityIdentifierUri = /^tag:microsoft\.com,\d{4}-\d{2}-\d{2}:sid:/i;

export interface CertificateContent {
  extensions: readonly Extension[];
  notBefore: number;
  notAfter: number;
  /** RFC 4514 text and the alternative names' text: for the inventory. */
  subject: string;
  subjectAlternativeNames: readonly string[];
}

/** A policy with its lists made ready to be looked up in. */
interface CompiledPolicy {
  keyUsage: ReadonlySet<number>;
  extKeyUsage: ReadonlySet<string>;
  subject: readonly NameRule[];
  subjectAltName: readonly NameRule[];
}

const compiled = new WeakMap<EnrolmentPolicy, CompiledPolicy>();

function compile(policy: EnrolmentPolicy): CompiledPolicy {
  const known = compiled.get(policy);
  if (known !== undefined) return known;
  const fresh: CompiledPolicy = {
    keyUsage: new Set(policy.KeyUsages.map(name => KeyUsage[name])),
    extKeyUsage: new Set(policy.ExtendedKeyUsages.flatMap(name => findPurpose(name) ?? [])),
    subject: policy.Subject.Allowed.flatMap(rule => parseSubjectRule(rule) ?? []),
    subjectAltName: policy.SubjectAlternativeNames.Allowed.flatMap(rule => parseSubjectAltNameRule(rule) ?? []),
  };
  compiled.set(policy, fresh);
  return fresh;
}

interface ProfileCircumstances {
  now: number;
  issuerNotAfter: number;
  /** Intune has held the names against those that it gave the device. Extensions it does not look at. */
  areNamesVouched?: boolean;
}

/** Throws PkiError where an extension of the CSR cannot be parsed. */
export function applyProfile(
  csr: CertificationRequest,
  policy: EnrolmentPolicy,
  { now, issuerNotAfter, areNamesVouched = false }: ProfileCircumstances,
): CertificateContent | Failure {
  const rules = compile(policy);
  const subjectAltName = requestedSubjectAltName(csr);
  const refusal =
    checkPublicKey(csr, policy) ??
    checkConstraints(csr) ??
    checkKeyUsage(csr, rules) ??
    checkExtKeyUsage(csr, rules) ??
    checkSubject(csr, policy, rules) ??
    checkSecurityIdentifier(subjectAltName, policy, areNamesVouched) ??
    checkSubjectAltName(subjectAltName, policy, rules);
  if (refusal !== undefined) return refusal;
  if (csr.subject.rdns.length === 0 && subjectAltName.length === 0) {
    return failure('badRequest', 'The CSR has neither a subject nor a subjectAltName.');
  }
  const notAfter = requestedNotAfter(csr, policy, now);
  if (typeof notAfter !== 'number') return notAfter;
  return {
    extensions: certificateExtensions(csr, policy, subjectAltName),
    ...validityUntil(notAfter, { now, issuerNotAfter, backdateMs: policy.Validity.BackdateMinutes * 60_000 }),
    subject: formatName(csr.subject),
    subjectAlternativeNames: subjectAltName.map(name => `${name.type}:${name.value}`),
  };
}

function checkPublicKey({ publicKey }: CertificationRequest, { Keys }: EnrolmentPolicy): Failure | undefined {
  const { kind, bits } = publicKey;
  const { RsaBitsMin, RsaBitsMax, Curves } = Keys;
  if (kind === 'EC' && Curves.includes(`P-${bits}` as (typeof Curves)[number])) return undefined;
  if (kind === 'RSA' && bits >= RsaBitsMin && bits <= RsaBitsMax) return undefined;
  const names = { RSA: `RSA with ${bits} bits`, EC: `ECDSA on P-${bits}` } as const;
  const given = kind === 'RSA' || kind === 'EC' ? names[kind] : 'neither RSA nor ECDSA on P-256, P-384 or P-521';
  const wanted = bits > RsaBitsMax ? `${RsaBitsMax} bits or less` : `${RsaBitsMin} bits or more`;
  const reason = `Key algorithm or length is not supported. The key is ${given}; use RSA with ${wanted}.`;
  return failure('badAlg', reason, { code: 'keyNotSupported' });
}

function checkConstraints(csr: CertificationRequest): Failure | undefined {
  const extension = findExtension(csr.extensions, Oid.basicConstraints);
  if (extension === undefined || !parseBasicConstraints(extension).cA) return undefined;
  return failure('badRequest', 'The CSR asks for a CA certificate (basicConstraints CA:TRUE), which is never issued by SCEP.');
}

function checkKeyUsage(csr: CertificationRequest, rules: CompiledPolicy): Failure | undefined {
  const refused = [...requestedKeyUsage(csr)].filter(bit => !rules.keyUsage.has(bit));
  if (refused.length === 0) return undefined;
  const names = Object.entries(KeyUsage).filter(([, bit]) => refused.includes(bit));
  return failure(
    'badRequest',
    `The CSR asks for a keyUsage that devices are not given: ${names.map(([name]) => name).join(', ') || 'an unknown bit'}.`,
  );
}

function checkExtKeyUsage(csr: CertificationRequest, rules: CompiledPolicy): Failure | undefined {
  const refused = issuedExtKeyUsage(csr).filter(purpose => !rules.extKeyUsage.has(purpose));
  if (refused.length === 0) return undefined;
  return failure(
    'badRequest',
    `The CSR asks for an extended key usage that devices are not given: ${refused.map(describePurpose).join(', ')}.`,
  );
}

function checkSubject({ subject }: CertificationRequest, policy: EnrolmentPolicy, rules: CompiledPolicy): Failure | undefined {
  if (subject.der.length > profileLimits.subjectBytesMax) {
    return failure('badRequest', `The subject of the CSR is longer than ${profileLimits.subjectBytesMax} bytes.`);
  }
  if (!isPlainName(subject)) return failure('badRequest', 'The subject of the CSR has control characters.');
  if (!isReadable(subject)) {
    return failure('badRequest', 'The subject of the CSR has a value that is no text of a certificate’s. Use UTF8String.');
  }
  const refused = findRefusedAttribute(subject, rules.subject);
  if (refused !== undefined)
    return failure('badRequest', `The subject of the CSR has what the connector's policy does not allow: ${refused}.`);
  const types = new Set(subject.rdns.flat().map(({ type }) => type));
  const missing = policy.Subject.Required.flatMap(name => findAttributeType(name) ?? []).find(type => !types.has(type));
  if (missing === undefined) return undefined;
  return failure('badRequest', `The subject of the CSR lacks what the connector's policy requires: ${attributeTypeName(missing)}.`);
}

function checkSubjectAltName(names: readonly GeneralName[], policy: EnrolmentPolicy, rules: CompiledPolicy): Failure | undefined {
  const { Max, Required } = policy.SubjectAlternativeNames;
  if (names.length > Max) return failure('badRequest', `The CSR has more than ${Max} subjectAltNames.`);
  const foreign = names.find(name => kindOf(name) === undefined);
  if (foreign !== undefined) {
    const type = foreign.otherNameOid ?? foreign.type;
    return failure('badRequest', `The CSR asks for a subjectAltName of a type that devices are not given: ${type}.`);
  }
  const refused = findRefusedSubjectAltName(names, rules.subjectAltName);
  if (refused !== undefined) {
    return failure('badRequest', `The CSR asks for a subjectAltName that the connector's policy does not allow: ${refused}.`);
  }
  const missing = Required.flatMap(name => findSubjectAltNameKind(name) ?? []).find(kind => !names.some(name => kindOf(name) === kind));
  if (missing === undefined) return undefined;
  return failure('badRequest', `The CSR lacks a subjectAltName that the connector's policy requires: ${missing}.`);
}

function checkSecurityIdentifier(
  names: readonly GeneralName[],
  { SecurityIdentifier }: EnrolmentPolicy,
  areNamesVouched: boolean,
): Failure | undefined {
  const namesAccount = names.some(({ value }) => securityIdentifierUri.test(value));
  if (!namesAccount || SecurityIdentifier === 'KEEP' || areNamesVouched) return undefined;
  return failure('badRequest', 'The CSR asks for a security identifier in its subjectAltName, by which it would name an account.');
}

function certificateExtensions(csr: CertificationRequest, policy: EnrolmentPolicy, subjectAltName: readonly GeneralName[]): Extension[] {
  const keyUsage = requestedKeyUsage(csr);
  const extensions = [extKeyUsageExtension(issuedExtKeyUsage(csr))];
  if (keyUsage.size > 0) extensions.unshift(keyUsageExtension(keyUsage));
  if (subjectAltName.length > 0) extensions.push(subjectAltNameExtension(subjectAltName, csr.subject.rdns.length === 0));
  const securityIdentifier = findExtension(csr.extensions, Oid.microsoftSecurityIdentifier);
  if (policy.SecurityIdentifier === 'KEEP' && securityIdentifier) {
    extensions.push(normalizeExtension({ ...securityIdentifier, critical: false }));
  }
  return extensions;
}

function requestedKeyUsage(csr: CertificationRequest): Set<number> {
  const extension = findExtension(csr.extensions, Oid.keyUsage);
  return extension === undefined ? new Set() : parseKeyUsage(extension);
}

/** Those of the CSR, or clientAuth where it names none, as AWS's connector has it. */
export function issuedExtKeyUsage(csr: CertificationRequest): string[] {
  const extension = findExtension(csr.extensions, Oid.extKeyUsage);
  const requested = extension === undefined ? [] : parseExtKeyUsage(extension);
  return requested.length === 0 ? [Oid.clientAuth] : requested;
}

export function requestedSubjectAltName(csr: Pick<CertificationRequest, 'extensions'>): GeneralName[] {
  const extension = findExtension(csr.extensions, Oid.subjectAltName);
  return extension === undefined ? [] : parseSubjectAltName(extension);
}

/** The units of MS-WCCE section 3.1.1.4.3.1.1's ValidityPeriod. */
const unitAdders = new Map<string, (at: Date, count: number) => void>(
  Object.entries({
    seconds: (at: Date, count: number) => at.setTime(at.getTime() + count * 1000),
    minutes: (at: Date, count: number) => at.setTime(at.getTime() + count * 60_000),
    hours: (at: Date, count: number) => at.setTime(at.getTime() + count * hourMs),
    days: (at: Date, count: number) => at.setUTCDate(at.getUTCDate() + count),
    weeks: (at: Date, count: number) => at.setUTCDate(at.getUTCDate() + 7 * count),
    months: (at: Date, count: number) => at.setUTCMonth(at.getUTCMonth() + count),
    years: (at: Date, count: number) => at.setUTCFullYear(at.getUTCFullYear() + count),
  }),
);

/**
 * The policy's default, or what the CSR's ValidityPeriod (the unit) and ValidityPeriodUnits (the count) say, up to the policy's maximum. Beyond any
 * calendar is the end of time.
 */
function requestedNotAfter(csr: CertificationRequest, { Validity }: EnrolmentPolicy, now: number): number | Failure {
  const [period, secondPeriod] = pairValues(csr, 'validityperiod');
  const [periodUnits, secondPeriodUnits] = pairValues(csr, 'validityperiodunits');
  const at = new Date(now);
  if (period === undefined && periodUnits === undefined) return addValidity(now, Validity.Default);
  // Intune on Android has the two values swapped (microsoft/Intune-Resource-Access#162): the number is the count, wherever it stands.
  const [unit, units] = /^\d/.test(period ?? '') ? [periodUnits, period] : [period, periodUnits];
  const add = unitAdders.get(unit?.toLowerCase() ?? '');
  if (add === undefined || secondPeriod !== undefined || secondPeriodUnits !== undefined || !/^[1-9]\d{0,9}$/.test(units ?? '')) {
    return failure(
      'badRequest',
      'ValidityPeriod must be Seconds, Minutes, Hours, Days, Weeks, Months or Years, and ValidityPeriodUnits a number from 1.',
    );
  }
  add(at, Number(units));
  const asked = Number.isNaN(at.getTime()) ? Number.POSITIVE_INFINITY : at.getTime();
  return Validity.Maximum === undefined ? asked : Math.min(asked, addValidity(now, Validity.Maximum));
}

function pairValues(csr: CertificationRequest, lowerCaseName: string): string[] {
  return csr.nameValuePairs.filter(({ name }) => name.toLowerCase() === lowerCaseName).map(({ value }) => value.trim());
}
