/** Distinguished names (RFC 5280 section 4.1.2.4): kept as received, compared by what they say, written as RFC 4514 strings. */
import { type Element, parseBer, Tag } from './asn1.ts';
import { isOidText, isPlainText, isPrintableAscii } from './checked-text.ts';
import { ia5String, objectIdentifier, printableString, sequence, setOf, utf8String } from './der.ts';
import { malformed } from './pki-error.ts';
import { readText, textTags } from './strings-and-times.ts';

interface AttributeTypeAndValue {
  type: string;
  /** The value as text; the hexadecimal form `#…` of RFC 4514 section 2.4 when it is no string. */
  value: string;
  isText: boolean;
}

export class Name {
  /** As received. */
  readonly der: Uint8Array;
  readonly #element: Element;
  #rdns: readonly (readonly AttributeTypeAndValue[])[] | undefined;

  constructor(element: Element) {
    this.der = element.bytes;
    this.#element = element;
  }

  /**
   * The relative distinguished names in the order of the encoding, read when they are first asked for: of the six names in a request nobody asks
   * what five say. Throws PkiError.
   */
  get rdns(): readonly (readonly AttributeTypeAndValue[])[] {
    this.#rdns ??= this.#element.elements('Name').map(parseRdn);
    return this.#rdns;
  }
}

function parseRdn(element: Element): AttributeTypeAndValue[] {
  if (element.tag !== Tag.set) throw malformed('a RelativeDistinguishedName that is no SET');
  return element.elements('RelativeDistinguishedName').map(parseAttribute);
}

const shortNames: Record<string, string> = {
  '2.5.4.3': 'CN',
  '2.5.4.4': 'SN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.9': 'street',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '2.5.4.12': 'title',
  '2.5.4.42': 'GN',
  '2.5.4.43': 'initials',
  '2.5.4.44': 'generationQualifier',
  '2.5.4.46': 'dnQualifier',
  '2.5.4.65': 'pseudonym',
  '0.9.2342.19200300.100.1.1': 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'emailAddress',
  '1.2.840.113549.1.9.2': 'unstructuredName',
  '1.2.840.113549.1.9.8': 'unstructuredAddress',
};
const typesByShortName = new Map(Object.entries(shortNames).map(([oid, name]) => [name.toLowerCase(), oid]));
/** RFC 5280 appendix A: countryName, serialNumber and dnQualifier are PrintableString; domainComponent and emailAddress IA5String. */
const printableTypes = new Set(['2.5.4.6', '2.5.4.5', '2.5.4.46']);
const ia5Types = new Set(['0.9.2342.19200300.100.1.25', '1.2.840.113549.1.9.1']);

function parseAttribute(element: Element): AttributeTypeAndValue {
  if (element.tag !== Tag.sequence) throw malformed('an AttributeTypeAndValue that is no SEQUENCE');
  const fields = element.fields('AttributeTypeAndValue');
  const type = fields.next(Tag.objectIdentifier, 'type').oid();
  const value = fields.any('value');
  fields.end();
  const isText = textTags.has(value.tag);
  return { type, value: isText ? readText(value) : `#${value.bytes.toString('hex')}`, isText };
}

/** What OpenSSL takes for an attribute's value: it reads no certificate that has another in its subject, VisibleString and times among them. */
const readableTags: ReadonlySet<number> = new Set([
  Tag.bitString,
  Tag.utf8String,
  Tag.numericString,
  Tag.printableString,
  Tag.teletexString,
  Tag.ia5String,
  Tag.universalString,
  Tag.bmpString,
]);

/** Whether a certificate with this name is one that everybody can read. */
export function isReadable(name: Name): boolean {
  const attributes = parseBer(name.der)
    .elements('Name')
    .flatMap(rdn => rdn.elements('RelativeDistinguishedName'));
  return attributes.every(attribute => readableTags.has(attribute.elements('AttributeTypeAndValue')[1]?.tag ?? 0));
}

/** Whether no text of it has control characters: a NUL above all is how a name passes for another. */
export function isPlainName({ rdns }: Name): boolean {
  return rdns.flat().every(({ value, isText }) => !isText || isPlainText(value));
}

/** The same name: equal octets, or the same attributes with the same text, since some clients write a name anew with other string types. */
export function namesEqual(a: Name, b: Name): boolean {
  return Buffer.compare(a.der, b.der) === 0 || JSON.stringify(a.rdns) === JSON.stringify(b.rdns);
}

/** RFC 4514: the last RDN first. Control characters are escaped as well, so that a name is always one line of a log. */
export function formatName(name: Name): string {
  return name.rdns
    .toReversed()
    .map(rdn => rdn.map(formatAttribute).join('+'))
    .join(',');
}

export function formatAttribute({ type, value, isText }: AttributeTypeAndValue): string {
  return `${attributeTypeName(type)}=${isText ? escapeText(value) : value}`;
}

/** The short name, such as CN, or the OID itself. */
export function attributeTypeName(type: string): string {
  return shortNames[type] ?? type;
}

function escapeText(text: string): string {
  return (
    text
      .replace(/[\\",+;<>]/g, '\\$&')
      .replace(/^[# ]| $/g, '\\$&')
      // oxlint-disable-next-line no-control-regex -- the control characters are what must not get through
      .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, character =>
        [...Buffer.from(character)].map(octet => `\\${octet.toString(16).padStart(2, '0')}`).join(''),
      )
  );
}

/** A Name from an RFC 4514 string such as `CN=printer-7,O=Example`. Throws PkiError malformed with the part that cannot be read. */
export function parseNameString(text: string): Name {
  const rdns = splitUnescaped(text, ',').map(rdn => splitUnescaped(rdn, '+').map(parseAttributeString));
  const der = sequence(...rdns.toReversed().map(rdn => setOf(...rdn.map(encodeAttribute))));
  return new Name(parseBer(der));
}

function splitUnescaped(text: string, separator: string): string[] {
  return text.split(new RegExp(`(?<!(?<!\\\\)(?:\\\\\\\\)*\\\\)\\${separator}`)).map(trimUnescaped);
}

function trimUnescaped(text: string): string {
  return text.replace(/^ +|(?<!\\) +$/g, '');
}

function parseAttributeString(text: string): AttributeTypeAndValue {
  const equals = text.indexOf('=');
  const typeName = text.slice(0, equals).trim();
  const type = findAttributeType(typeName);
  if (equals < 1 || type === undefined)
    throw malformed(`"${text}" is not TYPE=value with a type such as CN, O, OU, C, ST, L, DC, UID or an OID`);
  return { type, value: unescapeValue(trimUnescaped(text.slice(equals + 1))), isText: true };
}

/** The type's OID from its short name, such as CN, or from the OID itself. */
export function findAttributeType(name: string): string | undefined {
  return typesByShortName.get(name.toLowerCase()) ?? (isOidText(name) ? name : undefined);
}

/** `\\XX` pairs are octets of UTF-8 (RFC 4514 section 2.4); any other escaped character stands for itself. */
function unescapeValue(text: string): string {
  return text.replace(/((?:\\[0-9a-f]{2})+)|\\(.)/gi, (_, pairs?: string, character?: string) =>
    pairs === undefined ? (character ?? '') : Buffer.from(pairs.replaceAll('\\', ''), 'hex').toString('utf8'),
  );
}

/**
 * A Name with one attribute in each RDN, in this order; a type is a short name such as CN or an OID. Throws PkiError malformed on a value that
 * the string of its type cannot hold, and on control characters: a NUL is how a name passes for another.
 */
export function createName(attributes: readonly { type: string; value: string }[]): Name {
  const rdns = attributes.map(({ type: name, value }) => {
    const type = findAttributeType(name);
    if (type === undefined) throw malformed(`"${name}" is no attribute type of a name`);
    if (value === '' || !isPlainText(value) || !fitsItsType(type, value)) {
      throw malformed(`the value of ${name} is empty or has characters that it cannot hold`);
    }
    return setOf(encodeAttribute({ type, value }));
  });
  return new Name(parseBer(sequence(...rdns)));
}

function encodeAttribute({ type, value }: Pick<AttributeTypeAndValue, 'type' | 'value'>): Uint8Array {
  return sequence(objectIdentifier(type), encodeText(type, value));
}

/** What its type's own string cannot hold is written as UTF8String, so that the name still says what was meant. */
function encodeText(type: string, value: string): Uint8Array {
  if (!fitsItsType(type, value)) return utf8String(value);
  if (printableTypes.has(type)) return printableString(value);
  return ia5Types.has(type) ? ia5String(value) : utf8String(value);
}

function fitsItsType(type: string, value: string): boolean {
  if (printableTypes.has(type)) return /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value);
  return !ia5Types.has(type) || isPrintableAscii(value);
}
