/** What a CSR may become: AWS's rules for a connector's certificates, pure. A CSR in, the certificate's content or a refusal with its reason out. */
import {
  type Extension,
  extKeyUsageExtension,
  findExtension,
  type GeneralName,
  KeyUsage,
  keyUsageExtension,
  parseBasicConstraints,
  parseExtKeyUsage,
  parseKeyUsage,
  parseSubjectAltName,
  subjectAltNameExtension,
} from '../base/pki/extensions.ts';
import { formatName, isReadable } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import type { CertificationRequest } from '../base/pki/pkcs10.ts';
import { type Failure, failure } from '../base/scep.ts';
import { hourMs, validityUntil } from './validity.ts';

/** RSA keys below 2048 bits are refused; 16,384 is AWS's documented maximum. AWS Private CA takes at most 150 alternative names. */
export const profileLimits = { rsaBitsMin: 2048, rsaBitsMax: 16_384, subjectAltNamesMax: 150, subjectBytesMax: 4096 } as const;

/** Never keyCertSign or cRLSign: with them a device's certificate could pass for a CA's. */
const allowedKeyUsage = new Set<number>([
  KeyUsage.digitalSignature,
  KeyUsage.nonRepudiation,
  KeyUsage.keyEncipherment,
  KeyUsage.dataEncipherment,
  KeyUsage.keyAgreement,
  KeyUsage.encipherOnly,
  KeyUsage.decipherOnly,
]);

/** The purposes of devices and their users. Left out: codeSigning, timeStamping, OCSPSigning, anyExtendedKeyUsage, which speak for more than a device. */
const allowedExtKeyUsage = new Set<string>([
  Oid.clientAuth,
  Oid.serverAuth,
  Oid.emailProtection,
  Oid.smartCardLogon,
  Oid.ipsecEndSystem,
  Oid.ipsecTunnel,
  Oid.ipsecUser,
  Oid.ipsecIke,
  Oid.ikeIntermediate,
  Oid.eapOverPpp,
  Oid.eapOverLan,
  Oid.microsoftEncryptingFileSystem,
]);

const allowedGeneralNames = new Set<GeneralName['type']>([
  'dNSName',
  'rfc822Name',
  'uniformResourceIdentifier',
  'iPAddress',
  'directoryName',
  'registeredID',
]);

export interface CertificateContent {
  extensions: readonly Extension[];
  notBefore: number;
  notAfter: number;
  /** RFC 4514 text and the alternative names' text: for the inventory. */
  subject: string;
  subjectAlternativeNames: readonly string[];
}

/** Throws PkiError where an extension of the CSR cannot be parsed. */
export function applyProfile(
  csr: CertificationRequest,
  { now, issuerNotAfter }: { now: number; issuerNotAfter: number },
): CertificateContent | Failure {
  const subjectAltName = requestedSubjectAltName(csr);
  const refusal =
    checkPublicKey(csr) ?? checkConstraints(csr) ?? checkKeyUsage(csr) ?? checkExtKeyUsage(csr) ?? checkNames(csr, subjectAltName);
  if (refusal !== undefined) return refusal;
  const notAfter = requestedNotAfter(csr, now);
  if (typeof notAfter !== 'number') return notAfter;
  return {
    extensions: certificateExtensions(csr, subjectAltName),
    ...validityUntil(notAfter, { now, issuerNotAfter }),
    subject: formatName(csr.subject),
    subjectAlternativeNames: subjectAltName.map(name => `${name.type}:${name.value}`),
  };
}

function checkPublicKey({ publicKey }: CertificationRequest): Failure | undefined {
  const { kind, bits } = publicKey;
  if (kind === 'EC') return undefined;
  if (kind === 'RSA' && bits >= profileLimits.rsaBitsMin && bits <= profileLimits.rsaBitsMax) return undefined;
  const given = kind === 'RSA' ? `RSA with ${bits} bits` : 'neither RSA nor ECDSA on P-256, P-384 or P-521';
  return failure(
    'badAlg',
    `Key algorithm or length is not supported. The key is ${given}; use RSA with ${profileLimits.rsaBitsMin} bits or more.`,
  );
}

function checkConstraints(csr: CertificationRequest): Failure | undefined {
  const extension = findExtension(csr.extensions, Oid.basicConstraints);
  if (extension === undefined || !parseBasicConstraints(extension).cA) return undefined;
  return failure('badRequest', 'The CSR asks for a CA certificate (basicConstraints CA:TRUE), which is never issued by SCEP.');
}

function checkKeyUsage(csr: CertificationRequest): Failure | undefined {
  const refused = [...requestedKeyUsage(csr)].filter(bit => !allowedKeyUsage.has(bit));
  if (refused.length === 0) return undefined;
  const names = Object.entries(KeyUsage).filter(([, bit]) => refused.includes(bit));
  return failure(
    'badRequest',
    `The CSR asks for a keyUsage that devices are not given: ${names.map(([name]) => name).join(', ') || 'an unknown bit'}.`,
  );
}

function checkExtKeyUsage(csr: CertificationRequest): Failure | undefined {
  const refused = requestedExtKeyUsage(csr).filter(purpose => !allowedExtKeyUsage.has(purpose));
  if (refused.length === 0) return undefined;
  return failure('badRequest', `The CSR asks for an extended key usage that devices are not given: ${refused.join(', ')}.`);
}

function checkNames(csr: CertificationRequest, subjectAltName: readonly GeneralName[]): Failure | undefined {
  if (csr.subject.rdns.length === 0 && subjectAltName.length === 0) {
    return failure('badRequest', 'The CSR has neither a subject nor a subjectAltName.');
  }
  if (csr.subject.der.length > profileLimits.subjectBytesMax) {
    return failure('badRequest', `The subject of the CSR is longer than ${profileLimits.subjectBytesMax} bytes.`);
  }
  if (!isReadable(csr.subject)) {
    return failure('badRequest', 'The subject of the CSR has a value that is no text of a certificate’s. Use UTF8String.');
  }
  if (subjectAltName.length > profileLimits.subjectAltNamesMax) {
    return failure('badRequest', `The CSR has more than ${profileLimits.subjectAltNamesMax} subjectAltNames.`);
  }
  const refused = subjectAltName.find(name => !allowedGeneralNames.has(name.type) && name.otherNameOid !== Oid.userPrincipalName);
  if (refused === undefined) return undefined;
  return failure(
    'badRequest',
    `The CSR asks for a subjectAltName of a type that devices are not given: ${refused.otherNameOid ?? refused.type}.`,
  );
}

function certificateExtensions(csr: CertificationRequest, subjectAltName: readonly GeneralName[]): Extension[] {
  const keyUsage = requestedKeyUsage(csr);
  const purposes = requestedExtKeyUsage(csr);
  const extensions = [extKeyUsageExtension(purposes.length === 0 ? [Oid.clientAuth] : purposes)];
  if (keyUsage.size > 0) extensions.unshift(keyUsageExtension(keyUsage));
  if (subjectAltName.length > 0) extensions.push(subjectAltNameExtension(subjectAltName, csr.subject.rdns.length === 0));
  return extensions;
}

function requestedKeyUsage(csr: CertificationRequest): Set<number> {
  const extension = findExtension(csr.extensions, Oid.keyUsage);
  return extension === undefined ? new Set() : parseKeyUsage(extension);
}

function requestedExtKeyUsage(csr: CertificationRequest): string[] {
  const extension = findExtension(csr.extensions, Oid.extKeyUsage);
  return extension === undefined ? [] : parseExtKeyUsage(extension);
}

function requestedSubjectAltName(csr: CertificationRequest): GeneralName[] {
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

/** One year, or what the CSR's ValidityPeriod (the unit) and ValidityPeriodUnits (the count) say. Beyond any calendar is the end of time. */
function requestedNotAfter(csr: CertificationRequest, now: number): number | Failure {
  const [unit, secondUnit] = pairValues(csr, 'validityperiod');
  const [units, secondUnits] = pairValues(csr, 'validityperiodunits');
  const at = new Date(now);
  if (unit === undefined && units === undefined) return at.setUTCFullYear(at.getUTCFullYear() + 1);
  const add = unitAdders.get(unit?.toLowerCase() ?? '');
  if (add === undefined || secondUnit !== undefined || secondUnits !== undefined || !/^[1-9]\d{0,9}$/.test(units ?? '')) {
    return failure(
      'badRequest',
      'ValidityPeriod must be Seconds, Minutes, Hours, Days, Weeks, Months or Years, and ValidityPeriodUnits a number from 1.',
    );
  }
  add(at, Number(units));
  return Number.isNaN(at.getTime()) ? Number.POSITIVE_INFINITY : at.getTime();
}

function pairValues(csr: CertificationRequest, lowerCaseName: string): string[] {
  return csr.nameValuePairs.filter(({ name }) => name.toLowerCase() === lowerCaseName).map(({ value }) => value.trim());
}
