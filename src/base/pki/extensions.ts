/** Certificate extensions (RFC 5280 section 4.2): the ones a device certificate, an RA or a CA carries, read and written. */
import { isIPv4, isIPv6 } from 'node:net';
import { type Element, parseBer, parseSequence, Tag } from './asn1.ts';
import { isPlainText, isPrintableAscii } from './checked-text.ts';
import {
  contextConstructed,
  contextPrimitive,
  derTrue,
  integer,
  namedBitString,
  objectIdentifier,
  octetString,
  sequence,
  toDer,
  utf8String,
} from './der.ts';
import { formatName, isPlainName, Name } from './name.ts';
import { Oid } from './oids.ts';
import { malformed } from './pki-error.ts';
import { readText } from './strings-and-times.ts';

/** `value` is the content of extnValue: the DER of the extension's own type. */
export interface Extension {
  oid: string;
  critical: boolean;
  value: Uint8Array;
}

/** The numbers of the KeyUsage bits (RFC 5280 section 4.2.1.3). */
export const KeyUsage = {
  digitalSignature: 0,
  nonRepudiation: 1,
  keyEncipherment: 2,
  dataEncipherment: 3,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
  encipherOnly: 7,
  decipherOnly: 8,
} as const;

export type GeneralNameType =
  | 'otherName'
  | 'rfc822Name'
  | 'dNSName'
  | 'x400Address'
  | 'directoryName'
  | 'ediPartyName'
  | 'uniformResourceIdentifier'
  | 'iPAddress'
  | 'registeredID';

/** In the order of their context tags (RFC 5280 section 4.2.1.6). */
const generalNameTypes: readonly GeneralNameType[] = [
  'otherName',
  'rfc822Name',
  'dNSName',
  'x400Address',
  'directoryName',
  'ediPartyName',
  'uniformResourceIdentifier',
  'iPAddress',
  'registeredID',
];

export interface GeneralName {
  type: GeneralNameType;
  /** In DER: what is copied into a certificate. */
  der: Uint8Array;
  /** For people and for rules; hexadecimal where the type has no text. */
  value: string;
  /** The type-id of an otherName, such as Microsoft's user principal name. */
  otherNameOid?: string;
}

/** Extensions (RFC 5280 section 4.1). An extension that stands twice is malformed: which of them counts is how filters are passed by. */
export function parseExtensions(element: Element): Extension[] {
  const extensions = element.elements('Extensions').map(parseExtension);
  if (new Set(extensions.map(extension => extension.oid)).size !== extensions.length) throw malformed('an extension stands twice');
  return extensions;
}

function parseExtension(element: Element): Extension {
  const fields = element.fields('Extension');
  const oid = fields.next(Tag.objectIdentifier, 'extnID').oid();
  const critical = fields.optional(Tag.boolean)?.boolean() ?? false;
  const value = fields.next(Tag.octetString, 'extnValue').octets();
  fields.end();
  return { oid, critical, value };
}

export function encodeExtensions(extensions: readonly Extension[]): Uint8Array {
  return sequence(
    ...extensions.map(({ oid, critical, value }) =>
      critical ? sequence(objectIdentifier(oid), derTrue, octetString(value)) : sequence(objectIdentifier(oid), octetString(value)),
    ),
  );
}

export function findExtension(extensions: readonly Extension[], oid: string): Extension | undefined {
  return extensions.find(extension => extension.oid === oid);
}

/**
 * An extension that is copied from a request into a certificate, in DER of its own syntax where this codec knows that, else as it came. Throws
 * PkiError where it is not well-formed, or holds nothing: each of the three is SIZE (1..MAX) or has a bit set (RFC 5280 section 4.2.1).
 */
export function normalizeExtension(extension: Extension): Extension {
  const { oid, critical } = extension;
  switch (oid) {
    case Oid.keyUsage:
      return { oid, critical, value: keyUsageExtension(something([...parseKeyUsage(extension)], 'keyUsage')).value };
    case Oid.extKeyUsage:
      return extKeyUsageExtension(something(parseExtKeyUsage(extension), 'extKeyUsage'), critical);
    case Oid.subjectAltName:
      return subjectAltNameExtension(something(parseSubjectAltName(extension), 'subjectAltName'), critical);
    default:
      parseBer(extension.value);
      return extension;
  }
}

function something<T>(members: readonly T[], what: string): readonly T[] {
  if (members.length === 0) throw malformed(`${what} is there and holds nothing`);
  return members;
}

export function parseKeyUsage(extension: Extension): Set<number> {
  const element = parseBer(extension.value);
  if (element.tag !== Tag.bitString) throw malformed('keyUsage is no BIT STRING');
  return element.namedBits();
}

export function keyUsageExtension(bits: Iterable<number>): Extension {
  return { oid: Oid.keyUsage, critical: true, value: namedBitString(bits) };
}

export function parseExtKeyUsage(extension: Extension): string[] {
  return parseBer(extension.value)
    .elements('extKeyUsage')
    .map(purpose => {
      if (purpose.tag !== Tag.objectIdentifier) throw malformed('extKeyUsage holds something that is no OBJECT IDENTIFIER');
      return purpose.oid();
    });
}

export function extKeyUsageExtension(purposes: readonly string[], critical = false): Extension {
  return { oid: Oid.extKeyUsage, critical, value: sequence(...purposes.map(objectIdentifier)) };
}

export function parseBasicConstraints(extension: Extension): { cA: boolean; pathLenConstraint: number | undefined } {
  const fields = parseSequence(extension.value, 'basicConstraints');
  const cA = fields.optional(Tag.boolean)?.boolean() ?? false;
  const pathLenConstraint = fields.optional(Tag.integer)?.smallInteger();
  fields.end();
  return { cA, pathLenConstraint };
}

/** Critical in a CA's certificate, as RFC 5280 section 4.2.1.9 demands; an end entity's CA:FALSE is not, as AWS's template has it. */
export function basicConstraintsExtension(cA: boolean, pathLenConstraint?: number): Extension {
  const pathLen = pathLenConstraint === undefined ? [] : [integer(pathLenConstraint)];
  return { oid: Oid.basicConstraints, critical: cA, value: cA ? sequence(derTrue, ...pathLen) : sequence() };
}

export function subjectKeyIdentifierExtension(keyIdentifier: Uint8Array): Extension {
  return { oid: Oid.subjectKeyIdentifier, critical: false, value: octetString(keyIdentifier) };
}

export function authorityKeyIdentifierExtension(keyIdentifier: Uint8Array): Extension {
  return { oid: Oid.authorityKeyIdentifier, critical: false, value: sequence(contextPrimitive(0, keyIdentifier)) };
}

export function parseSubjectAltName(extension: Extension): GeneralName[] {
  return parseBer(extension.value).elements('subjectAltName').map(parseGeneralName);
}

/** Critical when the subject is empty, and only then (RFC 5280 section 4.2.1.6). */
export function subjectAltNameExtension(names: readonly { der: Uint8Array }[], critical: boolean): Extension {
  return { oid: Oid.subjectAltName, critical, value: sequence(...names.map(name => name.der)) };
}

function parseGeneralName(element: Element): GeneralName {
  const type = generalNameTypes[element.tag - Tag.context(0)];
  if (type === undefined) throw malformed('a GeneralName of unknown type');
  switch (type) {
    case 'rfc822Name':
    case 'dNSName':
    case 'uniformResourceIdentifier':
      return { type, ...readImplicitString(element) };
    case 'iPAddress':
      return { type, der: primitiveForm(element), value: formatIpAddress(element.octets()) };
    case 'directoryName': {
      const [name] = element.elements('directoryName');
      if (name === undefined) throw malformed('an empty directoryName');
      const directoryName = new Name(name);
      if (!isPlainName(directoryName)) throw malformed('a directoryName with control characters');
      return { type, der: toDer(element), value: formatName(directoryName) };
    }
    case 'otherName':
      return parseOtherName(element);
    case 'registeredID':
      return { type, der: toDer(element), value: element.oid() };
    case 'x400Address':
    case 'ediPartyName':
      return { type, der: toDer(element), value: Buffer.from(element.bytes).toString('hex') };
    default:
      return type satisfies never;
  }
}

/** An IA5String: a NUL in it, or an octet that each reader shows differently, is how a name passes for another. */
function readImplicitString(element: Element): { der: Uint8Array; value: string } {
  const value = element.octets().toString('latin1');
  if (!isPrintableAscii(value)) throw malformed('a subjectAltName with characters that are not printable ASCII');
  return { der: primitiveForm(element), value };
}

/** [number] IMPLICIT of a string, whose tag alone does not say that it is one. */
function primitiveForm(element: Element): Uint8Array {
  return contextPrimitive(element.tag - Tag.context(0), element.octets());
}

function parseOtherName(element: Element): GeneralName {
  const fields = element.fields('otherName');
  const otherNameOid = fields.next(Tag.objectIdentifier, 'type-id').oid();
  const [value] = fields.next(Tag.context(0), 'value').elements('otherName value');
  if (value === undefined) throw malformed('an otherName without a value');
  const text = otherNameOid === Oid.userPrincipalName ? readText(value) : Buffer.from(value.bytes).toString('hex');
  if (!isPlainText(text)) throw malformed('a user principal name with control characters');
  return { type: 'otherName', der: toDer(element), value: text, otherNameOid };
}

function formatIpAddress(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join('.');
  if (octets.length !== 16) throw malformed('an iPAddress that is neither 4 nor 16 octets');
  const groups = Array.from({ length: 8 }, (_, index) => (((octets[2 * index] ?? 0) << 8) | (octets[2 * index + 1] ?? 0)).toString(16));
  return groups.join(':');
}

/** The octets of an IPv4 or IPv6 address in text, for iPAddress. */
export function parseIpAddress(text: string): Uint8Array {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  if (!isIPv6(text) || text.includes('%')) throw malformed(`"${text}" is no IP address`);
  // The URL parser writes every form of an IPv6 address in one: groups in hexadecimal, one run of zeros left out.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const [left, right] = [addressGroups(head), addressGroups(tail ?? '')];
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
  return Buffer.from(all.flatMap(group => [group >> 8, group & 0xff]));
}

function addressGroups(text: string): number[] {
  return text === '' ? [] : text.split(':').map(group => Number.parseInt(group, 16));
}

/** The GeneralNames that an administrator or our own TLS certificate asks for. */
export const generalName = {
  dns: (name: string) => ({ der: contextPrimitive(2, Buffer.from(name, 'latin1')) }),
  email: (address: string) => ({ der: contextPrimitive(1, Buffer.from(address, 'latin1')) }),
  uri: (uri: string) => ({ der: contextPrimitive(6, Buffer.from(uri, 'latin1')) }),
  /** `octets`: 4 of IPv4 or 16 of IPv6. */
  ip: (octets: Uint8Array) => ({ der: contextPrimitive(7, octets) }),
  userPrincipalName: (name: string) => generalName.otherName(Oid.userPrincipalName, name),
  otherName: (typeId: string, text: string) => ({
    der: contextConstructed(0, objectIdentifier(typeId), contextConstructed(0, utf8String(text))),
  }),
  /** Tagged explicitly, as Name is a CHOICE. */
  directory: (name: Name) => ({ der: contextConstructed(4, name.der) }),
  /** RFC 5280 section 4.2.1.6: both are DirectoryStrings, again a CHOICE. */
  ediParty: (partyName: string, nameAssigner?: string) => {
    const assigner = nameAssigner === undefined ? [] : [contextConstructed(0, utf8String(nameAssigner))];
    return { der: contextConstructed(5, ...assigner, contextConstructed(1, utf8String(partyName))) };
  },
  registeredId: (oid: string) => ({ der: contextPrimitive(8, parseBer(objectIdentifier(oid)).content) }),
};
