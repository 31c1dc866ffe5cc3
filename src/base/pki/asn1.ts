/** A BER reader (X.690 section 8): one linear pass over the received bytes into elements that keep every offset and copy nothing. */
import { malformed } from './pki-error.ts';

/** What one input may cost. Depth and count bound the work before any cryptography; real pkiMessages need about 15 levels and 200 elements. */
export const berLimits = { inputBytesMax: 1 << 20, depthMax: 32, elementsMax: 20_000, oidBytesMax: 64, namedBitsMax: 64 } as const;

/** Class and number of a tag; the constructed bit is kept apart, because BER lets strings have it or not. */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  sequence: 0x10,
  set: 0x11,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  context: (number: number) => 0x80 | number,
} as const;

const constructedBit = 0x20;
const highTagNumber = 0x1f;
const indefiniteLength = 0x80;
const lengthOctetsMax = 4;

/** The universal types whose encoding X.690 lets be primitive or constructed: the strings and, as they are strings underneath, the times. */
const eitherForm = new Set<number>([
  Tag.bitString,
  Tag.octetString,
  Tag.utf8String,
  Tag.numericString,
  Tag.printableString,
  Tag.teletexString,
  Tag.ia5String,
  Tag.utcTime,
  Tag.generalizedTime,
  Tag.visibleString,
  Tag.universalString,
  Tag.bmpString,
]);

/** One BER element: where it lies in `source`, what its tag says, and its parts when it is constructed. */
export class Element {
  readonly source: Buffer;
  readonly tag: number;
  readonly start: number;
  readonly contentStart: number;
  readonly contentEnd: number;
  readonly end: number;
  readonly parts: readonly Element[] | undefined;

  constructor(
    source: Buffer,
    tag: number,
    offsets: { start: number; contentStart: number; contentEnd: number; end: number },
    parts: readonly Element[] | undefined,
  ) {
    this.source = source;
    this.tag = tag;
    this.start = offsets.start;
    this.contentStart = offsets.contentStart;
    this.contentEnd = offsets.contentEnd;
    this.end = offsets.end;
    this.parts = parts;
  }

  /** The whole element as received, tag and length included: what a signature over it was made over. */
  get bytes(): Buffer {
    return this.source.subarray(this.start, this.end);
  }

  get content(): Buffer {
    return this.source.subarray(this.contentStart, this.contentEnd);
  }

  /** The parts of a constructed element, to be taken in order. */
  fields(what: string): Fields {
    return new Fields(this.elements(what), what);
  }

  /** The parts of a constructed element: the members of a SEQUENCE OF or SET OF. */
  elements(what: string): readonly Element[] {
    if (this.parts === undefined) throw malformed(`${what} is not constructed`);
    return this.parts;
  }

  /** The content of a primitive element, or the concatenated content of a constructed string's segments (X.690 section 8.7.3). */
  octets(): Buffer {
    if (this.parts === undefined) return this.content;
    const [only] = this.parts;
    if (only !== undefined && this.parts.length === 1) return segment(only);
    return Buffer.concat(this.parts.map(segment));
  }

  /** The octets of a BIT STRING that holds whole octets, as every signature and public key does. */
  bitStringOctets(): Buffer {
    const octets = this.parts === undefined ? this.content : this.singleSegment();
    if (octets.length === 0 || octets[0] !== 0) throw malformed('a BIT STRING does not hold whole octets');
    return octets.subarray(1);
  }

  /** The named bits of a BIT STRING such as keyUsage, as the set of their numbers. */
  namedBits(): Set<number> {
    const octets = this.parts === undefined ? this.content : this.singleSegment();
    const unused = octets[0];
    if (unused === undefined || unused > 7) throw malformed('a BIT STRING has no valid count of unused bits');
    const count = (octets.length - 1) * 8 - unused;
    if (count > berLimits.namedBitsMax) throw malformed(`a BIT STRING of ${count} named bits`);
    const bits = new Set<number>();
    for (let bit = 0; bit < count; bit++) {
      if (((octets[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits.add(bit);
    }
    return bits;
  }

  boolean(): boolean {
    if (this.content.length !== 1) throw malformed('a BOOLEAN is not one octet');
    return this.content[0] !== 0;
  }

  /** The content octets of an INTEGER, two's complement, without needless leading octets: one value has one form, so they can be compared. */
  integerOctets(): Buffer {
    let octets = this.content;
    if (octets.length === 0) throw malformed('an INTEGER is empty');
    while (octets.length > 1 && ((octets[0] === 0x00 && (octets[1] ?? 0) < 0x80) || (octets[0] === 0xff && (octets[1] ?? 0) >= 0x80))) {
      octets = octets.subarray(1);
    }
    return octets;
  }

  /** A small INTEGER, such as a version number, as a number of at most 32 bits. */
  smallInteger(): number {
    const octets = this.integerOctets();
    if (octets.length > 4) throw malformed('an INTEGER is larger than its use allows');
    let value = (octets[0] ?? 0) >= 0x80 ? -1 : 0;
    for (const octet of octets) value = (value << 8) | octet;
    return value;
  }

  /** An OBJECT IDENTIFIER in dotted form. */
  oid(): string {
    return readOid(this.source, this.contentStart, this.contentEnd);
  }

  private singleSegment(): Buffer {
    const [only] = this.parts ?? [];
    if (only === undefined || this.parts?.length !== 1) throw malformed('a BIT STRING in several segments');
    return segment(only);
  }
}

/** Takes the parts of one constructed element in the order in which its syntax lists them. */
export class Fields {
  private readonly parts: readonly Element[];
  private readonly what: string;
  private index = 0;

  constructor(parts: readonly Element[], what: string) {
    this.parts = parts;
    this.what = what;
  }

  /** The next part, which must be there and have this tag. */
  next(tag: number, name: string): Element {
    const part = this.parts[this.index];
    if (part === undefined) throw malformed(`${this.what} ends before ${name}`);
    if (part.tag !== tag) throw malformed(`${this.what}: ${name} has tag 0x${part.tag.toString(16)}, not 0x${tag.toString(16)}`);
    this.index += 1;
    return part;
  }

  /** The next part when it has this tag. */
  optional(tag: number): Element | undefined {
    const part = this.parts[this.index];
    if (part?.tag !== tag) return undefined;
    this.index += 1;
    return part;
  }

  /** The next part whatever its tag: for ANY and for CHOICEs. */
  any(name: string): Element {
    const part = this.parts[this.index];
    if (part === undefined) throw malformed(`${this.what} ends before ${name}`);
    this.index += 1;
    return part;
  }

  get atEnd(): boolean {
    return this.index === this.parts.length;
  }

  /** Nothing may follow. */
  end(): void {
    if (!this.atEnd) throw malformed(`${this.what} has a part too many`);
  }
}

/** Reads exactly one element that fills `source`. */
export function parseBer(source: Uint8Array): Element {
  if (source.length > berLimits.inputBytesMax) throw malformed(`the input is longer than ${berLimits.inputBytesMax} bytes`);
  const reader: Reader = {
    source: Buffer.isBuffer(source) ? source : Buffer.from(source.buffer, source.byteOffset, source.length),
    elements: 0,
  };
  const element = readElement(reader, 0, source.length, 0);
  if (element.end !== source.length) throw malformed(`${source.length - element.end} bytes follow the end of the message`);
  return element;
}

/** The parts of one SEQUENCE that fills `source`. */
export function parseSequence(source: Uint8Array, what: string): Fields {
  const element = parseBer(source);
  if (element.tag !== Tag.sequence) throw malformed(`${what} is no SEQUENCE`);
  return element.fields(what);
}

interface Reader {
  source: Buffer;
  elements: number;
}

function readElement(reader: Reader, start: number, limit: number, depth: number): Element {
  if (depth > berLimits.depthMax) throw malformed(`elements are nested more than ${berLimits.depthMax} deep`);
  if (++reader.elements > berLimits.elementsMax) throw malformed(`there are more than ${berLimits.elementsMax} elements`);
  const { source } = reader;
  const identifier = octetAt(source, start, limit);
  const first = octetAt(source, start + 1, limit);
  if ((identifier & highTagNumber) === highTagNumber) throw malformed('a tag number above 30');
  const tag = identifier & ~constructedBit;
  const constructed = (identifier & constructedBit) !== 0;
  if (tag < 0x40 && constructed !== (tag === Tag.sequence || tag === Tag.set) && !eitherForm.has(tag)) {
    throw malformed(`tag 0x${identifier.toString(16)} has the wrong form`);
  }
  if (tag === 0) throw malformed('end-of-contents octets where an element must be');

  if (first === indefiniteLength) {
    if (!constructed) throw malformed('a primitive element of indefinite length');
    const contentStart = start + 2;
    const parts: Element[] = [];
    let at = contentStart;
    while (octetAt(source, at, limit) !== 0) at = append(parts, readElement(reader, at, limit, depth + 1));
    if (octetAt(source, at + 1, limit) !== 0) throw malformed('end-of-contents octets with a length');
    return new Element(source, tag, { start, contentStart, contentEnd: at, end: at + 2 }, parts);
  }

  let contentStart = start + 2;
  let length = first;
  if (first > indefiniteLength) {
    const octets = first & 0x7f;
    if (octets > lengthOctetsMax) throw malformed(`a length of ${octets} octets`);
    length = 0;
    for (let index = 0; index < octets; index++) length = length * 256 + octetAt(source, contentStart + index, limit);
    contentStart += octets;
  }
  const end = contentStart + length;
  if (end > limit) throw malformed('an element runs past the end of what holds it');
  const offsets = { start, contentStart, contentEnd: end, end };
  if (!constructed) return new Element(source, tag, offsets, undefined);
  const parts: Element[] = [];
  for (let at = contentStart; at < end; ) at = append(parts, readElement(reader, at, end, depth + 1));
  return new Element(source, tag, offsets, parts);
}

function append(parts: Element[], part: Element): number {
  parts.push(part);
  return part.end;
}

function octetAt(source: Buffer, at: number, limit: number): number {
  const octet = at < limit ? source[at] : undefined;
  if (octet === undefined) throw malformed('the message ends inside an element');
  return octet;
}

/** One segment of a constructed string: a universal string itself, whichever the outer (perhaps implicit) tag is. */
function segment(part: Element): Buffer {
  if (!eitherForm.has(part.tag)) throw malformed('a constructed string holds something that is not a string');
  return part.octets();
}

/**
 * The dotted forms met lately, by a hash of their octets: a message has some forty OBJECT IDENTIFIERs of ever the same kinds, and to write out
 * each one anew is a seventh of the parser's work. A slot keeps its last comer, so nobody can make the table grow; with this many slots no two
 * of oids.ts meet in one.
 */
const recentOids = Array.from<{ content: Uint8Array; dotted: string } | undefined>({ length: 2048 });

function readOid(source: Buffer, start: number, end: number): string {
  let slot = 0;
  for (let at = start; at < end; at++) slot = (slot * 31 + (source[at] ?? 0)) % recentOids.length;
  const recent = recentOids[slot];
  if (recent !== undefined && sameOctets(recent.content, source, start, end)) return recent.dotted;
  const content = Uint8Array.from(source.subarray(start, end));
  const dotted = decodeOid(content);
  recentOids[slot] = { content, dotted };
  return dotted;
}

function sameOctets(content: Uint8Array, source: Uint8Array, start: number, end: number): boolean {
  if (content.length !== end - start) return false;
  for (let index = 0; index < content.length; index++) if (content[index] !== source[start + index]) return false;
  return true;
}

function decodeOid(content: Uint8Array): string {
  if (content.length === 0 || content.length > berLimits.oidBytesMax) throw malformed('an OBJECT IDENTIFIER of impossible length');
  if ((content.at(-1) ?? 0) >= 0x80) throw malformed('an OBJECT IDENTIFIER ends inside an arc');
  // Arcs of 128 bits occur: those made from a UUID, under 2.25 (X.667).
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const octet of content) {
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    if (octet >= 0x80) continue;
    arcs.push(arc);
    arc = 0n;
  }
  const [first = 0n, ...others] = arcs;
  const root = first < 80n ? first / 40n : 2n;
  return [root, first - root * 40n, ...others].join('.');
}
