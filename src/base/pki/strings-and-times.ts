/** The character strings and times of ASN.1 as JavaScript values: what a DirectoryString says and when a Validity begins and ends. */
import { type Element, Tag } from './asn1.ts';
import { malformed } from './pki-error.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The tags of what `readText` reads. */
export const textTags: ReadonlySet<number> = new Set([
  Tag.utf8String,
  Tag.numericString,
  Tag.printableString,
  Tag.teletexString,
  Tag.ia5String,
  Tag.visibleString,
  Tag.universalString,
  Tag.bmpString,
]);

/**
 * The text of any character string. The strings of one octet a character are read as Latin-1 whatever their repertoire, as every implementation
 * does in practice. Throws PkiError on octets that are no Unicode.
 */
export function readText(element: Element): string {
  const octets = element.octets();
  switch (element.tag) {
    case Tag.utf8String:
      try {
        return utf8.decode(octets);
      } catch (cause) {
        throw malformed('a UTF8String is not UTF-8', { cause });
      }
    case Tag.numericString:
    case Tag.printableString:
    case Tag.visibleString:
    case Tag.ia5String:
    case Tag.teletexString:
      return octets.toString('latin1');
    case Tag.bmpString:
      return readUtf16BigEndian(octets);
    case Tag.universalString:
      return readUtf32BigEndian(octets);
    default:
      throw malformed(`tag 0x${element.tag.toString(16)} is not a character string`);
  }
}

function readUtf16BigEndian(octets: Uint8Array): string {
  if (octets.length % 2 !== 0) throw malformed('a BMPString of an odd number of octets');
  const text = Buffer.from(octets).swap16().toString('utf16le');
  if (!text.isWellFormed()) throw malformed('a BMPString holds half a surrogate pair');
  return text;
}

function readUtf32BigEndian(octets: Uint8Array): string {
  if (octets.length % 4 !== 0) throw malformed('a UniversalString whose length is no multiple of four');
  const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
  let text = '';
  for (let at = 0; at < octets.length; at += 4) {
    const codePoint = view.getUint32(at);
    if (codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint < 0xe000)) throw malformed('a UniversalString holds no Unicode');
    text += String.fromCodePoint(codePoint);
  }
  return text;
}

const utcTimeForm = /^\d{10}(?:\d\d)?(?:Z|[+-]\d{4})$/;
const generalizedTimeForm = /^\d{12}(?:\d\d)?(?:\.\d+)?(?:Z|[+-]\d{4})$/;

/** A UTCTime or GeneralizedTime in milliseconds since the epoch. Fractions of a second are dropped; RFC 5280 allows none. */
export function readTime(element: Element): number {
  const isUtcTime = element.tag === Tag.utcTime;
  if (!isUtcTime && element.tag !== Tag.generalizedTime) throw malformed('a time is neither UTCTime nor GeneralizedTime');
  const octets = element.octets();
  if (!(isUtcTime ? utcTimeForm : generalizedTimeForm).test(octets.toString('latin1'))) throw malformed('a time that cannot be read');
  const twoDigits = (at: number) => ((octets[at] ?? 0) - 0x30) * 10 + ((octets[at + 1] ?? 0) - 0x30);
  // RFC 5280 section 4.1.2.5.1: two digits from 50 on are 19xx.
  const century = isUtcTime ? (twoDigits(0) < 50 ? 20 : 19) : twoDigits(0);
  const afterYear = isUtcTime ? 2 : 4;
  const year = century * 100 + twoDigits(afterYear - 2);
  const [month, day] = [twoDigits(afterYear), twoDigits(afterYear + 2)];
  const at = new Date(0);
  at.setUTCFullYear(year, month - 1, day);
  if (at.getUTCMonth() !== month - 1 || at.getUTCDate() !== day) throw malformed('a time that is in no calendar');
  const [hour, minute] = [twoDigits(afterYear + 4), twoDigits(afterYear + 6)];
  const second = isDigit(octets[afterYear + 8]) ? twoDigits(afterYear + 8) : 0;
  const zone = isDigit(octets.at(-1)) ? octets.length - 5 : undefined;
  const [offsetHours, offsetMinutes] = zone === undefined ? [0, 0] : [twoDigits(zone + 1), twoDigits(zone + 3)];
  if (hour > 23 || minute > 59 || second > 59 || offsetHours > 23 || offsetMinutes > 59) throw malformed('a time that is on no clock');
  const offset = (zone !== undefined && octets[zone] === minus ? -1 : 1) * (offsetHours * 60 + offsetMinutes);
  return at.getTime() + ((hour * 60 + minute - offset) * 60 + second) * 1000;
}

const minus = 0x2d;

function isDigit(octet: number | undefined): boolean {
  return octet !== undefined && octet >= 0x30 && octet <= 0x39;
}
