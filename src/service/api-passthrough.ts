/** ApiPassthrough of IssueCertificate, and ASN1Subject: what a caller of AWS Private CA asks for in words, as a Name and as extensions. */
import { isOidText, isPlainText, isPrintableAscii } from '../base/pki/checked-text.ts';
import {
  type Extension,
  extKeyUsageExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  normalizeExtension,
  parseIpAddress,
  subjectAltNameExtension,
} from '../base/pki/extensions.ts';
import { createName, findAttributeType, type Name } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { malformed } from '../base/pki/pki-error.ts';
import { certificatePoliciesExtension } from '../base/pki/policy-extensions.ts';

/** The longest of AWS's strings, String1To256 and String256; each member's own length is checked with its shape. */
export const passthroughLimits = { textCharactersMax: 256 } as const;

/** AWS's members, as validated by the front's shapes. */
export interface ApiPassthrough {
  Extensions?: Extensions;
  Subject?: ASN1Subject;
}

export interface Extensions {
  CertificatePolicies?: PolicyInformation[];
  ExtendedKeyUsage?: ExtendedKeyUsage[];
  KeyUsage?: KeyUsageFlags;
  SubjectAlternativeNames?: GeneralName[];
  CustomExtensions?: CustomExtension[];
}

interface PolicyInformation {
  CertPolicyId: string;
  /** AWS has one qualifier, the CPS. */
  PolicyQualifiers?: { PolicyQualifierId: 'CPS'; Qualifier: { CpsUri: string } }[];
}

interface ExtendedKeyUsage {
  ExtendedKeyUsageType?: keyof typeof extendedKeyUsageTypes;
  ExtendedKeyUsageObjectIdentifier?: string;
}

type KeyUsageFlags = { [Flag in keyof typeof keyUsageBits]?: boolean };

interface GeneralName {
  OtherName?: { TypeId: string; Value: string };
  Rfc822Name?: string;
  DnsName?: string;
  DirectoryName?: ASN1Subject;
  EdiPartyName?: { PartyName: string; NameAssigner?: string };
  UniformResourceIdentifier?: string;
  IpAddress?: string;
  RegisteredId?: string;
}

interface CustomExtension {
  ObjectIdentifier: string;
  /** Base64 of the extension's value. */
  Value: string;
  Critical?: boolean;
}

export type ASN1Subject = { [Member in keyof typeof attributeTypes]?: string } & {
  CustomAttributes?: { ObjectIdentifier: string; Value: string }[];
};

/** In the order of AWS's members, which is the order of the RDNs in what AWS issues: C, O, OU, ST, CN, L in the user guide's example. */
const attributeTypes = {
  Country: 'C',
  Organization: 'O',
  OrganizationalUnit: 'OU',
  DistinguishedNameQualifier: 'dnQualifier',
  State: 'ST',
  CommonName: 'CN',
  SerialNumber: 'serialNumber',
  Locality: 'L',
  Title: 'title',
  Surname: 'SN',
  GivenName: 'GN',
  Initials: 'initials',
  Pseudonym: 'pseudonym',
  GenerationQualifier: 'generationQualifier',
} as const;

const memberByAttributeType = new Map(Object.entries(attributeTypes).map(([member, name]) => [findAttributeType(name), member]));

/** AWS's member for an attribute type, an OID; undefined of one that AWS takes among CustomAttributes only. */
export function findSubjectMember(attributeType: string): string | undefined {
  return memberByAttributeType.get(attributeType);
}

const keyUsageBits = {
  DigitalSignature: KeyUsage.digitalSignature,
  NonRepudiation: KeyUsage.nonRepudiation,
  KeyEncipherment: KeyUsage.keyEncipherment,
  DataEncipherment: KeyUsage.dataEncipherment,
  KeyAgreement: KeyUsage.keyAgreement,
  KeyCertSign: KeyUsage.keyCertSign,
  CRLSign: KeyUsage.cRLSign,
  EncipherOnly: KeyUsage.encipherOnly,
  DecipherOnly: KeyUsage.decipherOnly,
} as const;

const extendedKeyUsageTypes = {
  SERVER_AUTH: Oid.serverAuth,
  CLIENT_AUTH: Oid.clientAuth,
  CODE_SIGNING: Oid.codeSigning,
  EMAIL_PROTECTION: Oid.emailProtection,
  TIME_STAMPING: Oid.timeStamping,
  OCSP_SIGNING: Oid.ocspSigning,
  SMART_CARD_LOGIN: Oid.smartCardLogon,
  DOCUMENT_SIGNING: Oid.documentSigning,
  CERTIFICATE_TRANSPARENCY: Oid.precertificateSigning,
} as const;

/** AWS's strings may be empty, and an attribute of a name may not: an empty member is one that was left out. Throws PkiError malformed. */
export function subjectOf(subject: ASN1Subject): Name {
  const standard = Object.entries(attributeTypes).flatMap(([member, type]) => {
    const value = subject[member as keyof typeof attributeTypes] ?? '';
    return value === '' ? [] : [{ type, value: checkedText(value, member) }];
  });
  const custom = (subject.CustomAttributes ?? []).map(({ ObjectIdentifier, Value }) => ({
    type: checkedOid(ObjectIdentifier, 'CustomAttributes.ObjectIdentifier'),
    value: checkedText(Value, 'CustomAttributes.Value'),
  }));
  if (standard.length > 0 && custom.length > 0)
    throw malformed('Custom attributes cannot be used in combination with standard attributes.');
  if (standard.length + custom.length === 0) throw malformed('A subject needs at least one attribute.');
  return createName([...standard, ...custom]);
}

/** In the order of AWS's members. Throws PkiError malformed. */
export function extensionsOf(extensions: Extensions): Extension[] {
  const { CertificatePolicies, ExtendedKeyUsage, KeyUsage: flags, SubjectAlternativeNames, CustomExtensions } = extensions;
  const all: Extension[] = [];
  if (CertificatePolicies !== undefined) all.push(certificatePoliciesExtension(CertificatePolicies.map(policyOf)));
  if (ExtendedKeyUsage !== undefined) all.push(extKeyUsageExtension(ExtendedKeyUsage.map(purposeOf)));
  if (flags !== undefined) all.push(keyUsageExtension(bitsOf(flags)));
  if (SubjectAlternativeNames !== undefined) all.push(subjectAltNameExtension(SubjectAlternativeNames.map(generalNameOf), false));
  all.push(...(CustomExtensions ?? []).map(customExtensionOf));
  const twice = all.find(({ oid }, index) => all.findIndex(other => other.oid === oid) !== index);
  if (twice !== undefined) throw malformed(`The extension ${twice.oid} is given twice.`);
  return all.map(normalizeExtension);
}

function policyOf({ CertPolicyId, PolicyQualifiers }: PolicyInformation) {
  return {
    oid: checkedOid(CertPolicyId, 'CertPolicyId'),
    cpsUris: (PolicyQualifiers ?? []).map(({ Qualifier }) => checkedAscii(Qualifier.CpsUri, 'CpsUri')),
  };
}

function purposeOf({ ExtendedKeyUsageType: type, ExtendedKeyUsageObjectIdentifier: oid }: ExtendedKeyUsage): string {
  if ((type === undefined) === (oid === undefined)) {
    throw malformed('An ExtendedKeyUsage needs exactly one of ExtendedKeyUsageType and ExtendedKeyUsageObjectIdentifier.');
  }
  return type === undefined ? checkedOid(oid ?? '', 'ExtendedKeyUsageObjectIdentifier') : extendedKeyUsageTypes[type];
}

function bitsOf(flags: KeyUsageFlags): number[] {
  return Object.entries(keyUsageBits).flatMap(([flag, bit]) => (flags[flag as keyof typeof keyUsageBits] === true ? [bit] : []));
}

function generalNameOf(name: GeneralName): { der: Uint8Array } {
  const given = Object.entries(name).filter(([, value]) => value !== undefined);
  if (given.length !== 1) throw malformed(`A GeneralName needs exactly one member, not ${given.length}.`);
  const { OtherName, Rfc822Name, DnsName, DirectoryName, EdiPartyName, UniformResourceIdentifier, IpAddress, RegisteredId } = name;
  if (OtherName !== undefined) {
    return generalName.otherName(checkedOid(OtherName.TypeId, 'OtherName.TypeId'), checkedText(OtherName.Value, 'OtherName.Value'));
  }
  if (Rfc822Name !== undefined) return generalName.email(checkedAscii(Rfc822Name, 'Rfc822Name'));
  if (DnsName !== undefined) return generalName.dns(checkedAscii(DnsName, 'DnsName'));
  if (DirectoryName !== undefined) return generalName.directory(subjectOf(DirectoryName));
  if (EdiPartyName !== undefined) {
    const { PartyName, NameAssigner } = EdiPartyName;
    const assigner = NameAssigner === undefined ? undefined : checkedText(NameAssigner, 'EdiPartyName.NameAssigner');
    return generalName.ediParty(checkedText(PartyName, 'EdiPartyName.PartyName'), assigner);
  }
  if (UniformResourceIdentifier !== undefined) return generalName.uri(checkedAscii(UniformResourceIdentifier, 'UniformResourceIdentifier'));
  if (IpAddress !== undefined) return generalName.ip(parseIpAddress(IpAddress));
  return generalName.registeredId(checkedOid(RegisteredId ?? '', 'RegisteredId'));
}

function customExtensionOf({ ObjectIdentifier, Value, Critical }: CustomExtension): Extension {
  const oid = checkedOid(ObjectIdentifier, 'CustomExtensions.ObjectIdentifier');
  const value = Buffer.from(Value, 'base64');
  if (value.toString('base64') !== Value) throw malformed(`The value of the custom extension ${oid} is not Base64.`);
  return { oid, critical: Critical ?? false, value };
}

function checkedOid(text: string, what: string): string {
  if (!isOidText(text)) throw malformed(`${what} is no object identifier such as 1.2.3.4.`);
  return text;
}

function checkedAscii(text: string, what: string): string {
  if (!isPrintableAscii(text)) throw malformed(`${what} has characters that are not printable ASCII.`);
  return checkedText(text, what);
}

function checkedText(text: string, what: string): string {
  if (text === '' || text.length > passthroughLimits.textCharactersMax || !isPlainText(text)) {
    throw malformed(`${what} is empty, longer than ${passthroughLimits.textCharactersMax} characters, or has control characters.`);
  }
  return text;
}
