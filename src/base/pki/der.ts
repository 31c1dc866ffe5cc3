/** A DER writer (X.690 sections 10 and 11): each function gives the encoding of one value. */
import { type Element, Tag } from './asn1.ts';

const constructedBit = 0x20;

/** One element from its identifier octet and the parts of its content. */
export function tlv(identifier: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const lengthOctets = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : length < 0x1000000 ? 3 : 4;
  const out = Buffer.allocUnsafe(2 + lengthOctets + length);
  out[0] = identifier;
  out[1] = lengthOctets === 0 ? length : 0x80 | lengthOctets;
  for (let index = 0; index < lengthOctets; index++) out[2 + index] = (length >>> (8 * (lengthOctets - 1 - index))) & 0xff;
  let at = 2 + lengthOctets;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return tlv(Tag.sequence | constructedBit, ...parts);
}

/** SET OF: DER sorts the members by their encodings (X.690 section 11.6). */
export function setOf(...members: readonly Uint8Array[]): Uint8Array {
  return tlv(Tag.set | constructedBit, ...members.toSorted(Buffer.compare));
}

/** [number] EXPLICIT, or [number] IMPLICIT of a constructed type when given that type's content. */
export function contextConstructed(number: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return tlv(Tag.context(number) | constructedBit, ...parts);
}

/** [number] IMPLICIT of a primitive type, from that type's content octets. */
export function contextPrimitive(number: number, content: Uint8Array): Uint8Array {
  return tlv(Tag.context(number), content);
}

/** A non-negative INTEGER from a number or from its unsigned octets, most significant first. */
export function integer(value: number | Uint8Array): Uint8Array {
  let octets = typeof value === 'number' ? numberOctets(value) : value;
  let leading = 0;
  while (leading < octets.length - 1 && octets[leading] === 0) leading += 1;
  octets = octets.subarray(leading);
  return (octets[0] ?? 0) >= 0x80 ? tlv(Tag.integer, Buffer.of(0), octets) : tlv(Tag.integer, octets);
}

function numberOctets(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no INTEGER that this writer makes`);
  return Buffer.from(value.toString(16).padStart(16, '0'), 'hex');
}

export const derNull: Uint8Array = tlv(Tag.null);
export const derTrue: Uint8Array = tlv(Tag.boolean, Buffer.of(0xff));

/**
 * A received element in DER: definite lengths, strings in one piece, sets in order. For what is copied from a request into a certificate, which
 * must be DER whatever the request was written in.
 */
export function toDer(element: Element): Uint8Array {
  const { tag, parts } = element;
  if (parts === undefined) return tlv(tag, tag === Tag.integer ? element.integerOctets() : element.content);
  if (tag === Tag.set) return setOf(...parts.map(toDer));
  const isString = tag < Tag.context(0) && tag !== Tag.sequence;
  return isString ? tlv(tag, element.octets()) : tlv(tag | constructedBit, ...parts.map(toDer));
}

export function octetString(octets: Uint8Array): Uint8Array {
  return tlv(Tag.octetString, octets);
}

/** A BIT STRING of whole octets. */
export function bitString(octets: Uint8Array): Uint8Array {
  return tlv(Tag.bitString, Buffer.of(0), octets);
}

/** A BIT STRING of named bits, without trailing zero bits (X.690 section 11.2.2). */
export function namedBitString(bits: Iterable<number>): Uint8Array {
  const numbers = [...bits];
  if (numbers.length === 0) return tlv(Tag.bitString, Buffer.of(0));
  const highest = Math.max(...numbers);
  const octets = Buffer.alloc((highest >> 3) + 1);
  for (const bit of numbers) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return tlv(Tag.bitString, Buffer.of(7 - (highest & 7)), octets);
}

export function utf8String(text: string): Uint8Array {
  return tlv(Tag.utf8String, Buffer.from(text, 'utf8'));
}

/** The text must be of PrintableString's characters: the callers pass numbers, country codes and transaction identifiers they have checked. */
export function printableString(text: string): Uint8Array {
  return tlv(Tag.printableString, Buffer.from(text, 'latin1'));
}

export function ia5String(text: string): Uint8Array {
  return tlv(Tag.ia5String, Buffer.from(text, 'latin1'));
}

/** 31 December 9999, the last second that has four digits for its year. */
export const timeMax = Date.UTC(9999, 11, 31, 23, 59, 59);

/** UTCTime up to 2049 and GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5). Throws RangeError after `timeMax`. */
export function time(at: number): Uint8Array {
  if (at >= timeMax + 1000) throw new RangeError(`no Time holds ${at}`);
  const digits = new Date(at).toISOString().replace(/[-:T]|\.\d+/g, '');
  const year = Number(digits.slice(0, 4));
  return year >= 1950 && year < 2050 ? tlv(Tag.utcTime, Buffer.from(digits.slice(2))) : tlv(Tag.generalizedTime, Buffer.from(digits));
}

const encodedOidsMax = 1024;
const encodedOids = new Map<string, Uint8Array>();

/** Encodings are kept, for the dotted forms of our own tables come again and again; beyond those, callers of the API bring theirs. */
export function objectIdentifier(dotted: string): Uint8Array {
  const known = encodedOids.get(dotted);
  if (known !== undefined) return known;
  const [root = 0n, second = 0n, ...arcs] = dotted.split('.').map(BigInt);
  const encoded = tlv(Tag.objectIdentifier, Buffer.from([root * 40n + second, ...arcs].flatMap(base128)));
  if (encodedOids.size < encodedOidsMax) encodedOids.set(dotted, encoded);
  return encoded;
}

function base128(arc: bigint): number[] {
  const octets = [Number(arc & 0x7fn)];
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) octets.unshift(0x80 | Number(rest & 0x7fn));
  return octets;
}
