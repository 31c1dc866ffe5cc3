/** Ways in which the structure of a message is broken: elements, tags, lengths, nesting and the values of ASN.1's types. */
import { type BerNode, copyTree, encodeTree, octetsOf, type Place, parseTree, placesIn } from './ber-tree.ts';
import type { Random } from './random.ts';
import { integers, oids, texts, times } from './telling-values.ts';

type TreeEdit = (place: Place, random: Random, others: readonly Place[]) => void;

const constructedBit = 0x20;
const [integerTag, bitStringTag, octetStringTag, nullTag, oidTag] = [0x02, 0x03, 0x04, 0x05, 0x06];
const stringTags = [0x0c, 0x12, 0x13, 0x14, 0x16, 0x1a, 0x1c, 0x1e];
const timeTags = [0x17, 0x18];
const identifiers = [
  0x00, 0x01, 0x0a, 0x10, 0x11, 0x1f, 0x24, 0x23, 0x30, 0x31, 0x3f, 0x40, 0x60, 0x80, 0x81, 0x9f, 0xa0, 0xa1, 0xa3, 0xff,
].concat([integerTag, bitStringTag, octetStringTag, nullTag, oidTag], stringTags, timeTags);
/** Around the limits of the reader, and far beyond them. */
const depths = [2, 8, 20, 31, 32, 33, 100, 5000, 50_000];
const counts = [2, 3, 10, 11, 64, 65, 151, 1000, 20_001];
const copiedBytesMax = 100_000;

/** Of elements as such. */
const structural: Readonly<Record<string, TreeEdit>> = {
  drop: ({ siblings, index }) => void siblings.splice(index, 1),
  double: ({ siblings, index, node }) => void siblings.splice(index, 0, copyTree(node)),
  exchange: ({ siblings, index, node }, random) => {
    const other = random.below(siblings.length);
    siblings[index] = siblings[other] ?? node;
    siblings[other] = node;
  },
  reverse: ({ siblings }) => void siblings.reverse(),
  replace: ({ siblings, index }, random, others) => {
    siblings[index] = copyTree(random.pick(others).node);
  },
  insert: ({ siblings, index }, random, others) => void siblings.splice(index, 0, copyTree(random.pick(others).node)),
  wrap: ({ siblings, index, node }, random) => {
    siblings[index] = constructed(random.pick([0x30, 0x31, 0xa0, 0xa1, 0x24, octetStringTag]), [node]);
  },
  unwrap: ({ siblings, index, node: { children } }) => {
    if (children !== undefined) siblings.splice(index, 1, ...children);
  },
  empty: ({ siblings, index, node: { identifier } }) => {
    siblings[index] = { identifier, content: Buffer.alloc(0) };
  },
  nest: ({ siblings, index, node }, random) => {
    const depth = random.pick(depths);
    const around = random.pick([Buffer.of(0x30, 0x80), Buffer.of(0xa0, 0x80), Buffer.of(0x24, 0x80)]);
    const ends = random.chance(0.5) ? Buffer.alloc(2 * depth) : Buffer.alloc(0);
    const inside = random.chance(0.5) ? encodeTree(node) : Buffer.alloc(0);
    siblings[index] = rawNode(Buffer.concat([Buffer.alloc(2 * depth, around), inside, ends]));
  },
  repeat: ({ siblings, index, node }, random) => {
    const encoded = encodeTree(node);
    const count = Math.min(random.pick(counts), Math.ceil(copiedBytesMax / encoded.length));
    siblings[index] = rawNode(Buffer.alloc(count * encoded.length, encoded));
  },
  emptyMembers: ({ node }, random) => {
    node.children = [rawNode(Buffer.alloc(2 * random.pick(counts), Buffer.of(random.pick([0x30, 0x31, 0x05, 0x04]), 0)))];
  },
};

/** Of tags and lengths, which then may say what is not so. */
const encoding: Readonly<Record<string, TreeEdit>> = {
  retag: ({ node }, random) => {
    node.identifier = random.pick(identifiers);
  },
  otherClass: ({ node }, random) => {
    node.identifier ^= random.pick([0x40, 0x80, 0xc0]);
  },
  otherForm: ({ node }) => {
    node.identifier ^= constructedBit;
  },
  highTag: ({ siblings, index, node }, random) => {
    const number = random.pick([Buffer.of(0x1f), Buffer.of(0x81, 0x00), Buffer.alloc(20, 0xff)]);
    siblings[index] = rawNode(Buffer.concat([Buffer.of(node.identifier | 0x1f), number, encodeTree(node).subarray(1)]));
  },
  indefinite: ({ node }) => {
    node.length = { kind: 'indefinite' };
  },
  longLength: ({ node }, random) => {
    node.length = { kind: 'long', octets: random.pick([1, 2, 3, 4, 5, 8, 126]) };
  },
  claimedLength: ({ node }, random) => {
    const octets = random.pick([
      '00',
      '7f',
      '80',
      '81ff',
      '82ffff',
      '83ffffff',
      '847fffffff',
      '84ffffffff',
      '88ffffffffffffffff',
      '8100',
      'ff',
    ]);
    node.length = { kind: 'claimed', octets: Buffer.from(octets, 'hex') };
  },
  nearbyLength: ({ node }, random) => {
    const length = encodeTree({ ...node, identifier: 0 }).length;
    const claimed = Math.max(0, length + random.pick([-10, -4, -3, -2, -1, 0, 1, 8]));
    node.length = { kind: 'claimed', octets: claimed < 0x80 ? Buffer.of(claimed) : Buffer.of(0x82, (claimed >> 8) & 0xff, claimed & 0xff) };
  },
  /** As streams have them: sound BER of a string. */
  segments: ({ node }, random) => {
    if (node.identifier >= 0x40) return;
    const octets = octetsOf(node);
    const size = random.pick([1, 7, 100, 1000]);
    if (octets.length / size > 3000) return;
    const parts = Array.from({ length: Math.ceil(octets.length / size) }, (_, index) => octets.subarray(index * size, (index + 1) * size));
    node.children = parts.map(content => ({ identifier: random.chance(0.05) ? random.pick(identifiers) : octetStringTag, content }));
    node.identifier |= constructedBit;
    if (random.chance(0.5)) node.length = { kind: 'indefinite' };
    delete node.prefix;
  },
};

/** Of values, by the type that the element has. */
const ofValues: Readonly<Record<string, TreeEdit>> = {
  telling: ({ node }, random) => {
    const { identifier } = node;
    if (identifier === integerTag) setContent(node, random.pick(integers));
    else if (identifier === oidTag) setContent(node, random.pick(oids));
    else if (timeTags.includes(identifier)) setContent(node, random.pick(times));
    else if (stringTags.includes(identifier)) setContent(node, random.pick(texts));
    else if (node.children === undefined) setContent(node, random.pick([...integers, ...texts]));
  },
  otherString: ({ node }, random) => {
    if (!stringTags.includes(node.identifier)) return;
    const text = node.content.toString(node.identifier === 0x0c ? 'utf8' : 'latin1');
    node.identifier = random.pick(stringTags);
    if (node.identifier === 0x1e) setContent(node, Buffer.from(text, 'utf16le').swap16());
    else if (node.identifier === 0x1c) setContent(node, Buffer.from(text.replace(/./gsu, '\0\0\0$&'), 'latin1'));
    if (random.chance(0.1)) setContent(node, node.content.subarray(0, -1));
  },
  octet: ({ node }, random) => {
    if (node.children !== undefined || node.content.length === 0) return;
    const content = Buffer.from(node.content);
    content[random.below(content.length)] = random.word() & 0xff;
    setContent(node, content);
  },
  shorter: ({ node }, random) => {
    if (node.children === undefined) setContent(node, node.content.subarray(random.pick([0, 1]), random.pick([-1, undefined, 1])));
  },
  longer: ({ node }, random) => {
    if (node.children !== undefined) return;
    const more = random.pick([Buffer.of(0), random.bytes(1), random.bytes(64), Buffer.alloc(random.pick([300, 5000, 66_000]), 'a')]);
    setContent(node, random.chance(0.5) ? Buffer.concat([node.content, more]) : Buffer.concat([more, node.content]));
  },
  other: ({ node }, random) => setContent(node, random.bytes(random.pick([1, 2, 8, 16, 20, 32, 256]))),
  unusedBits: ({ node }, random) => {
    if (node.identifier !== bitStringTag) return;
    const count = Buffer.of(random.pick([1, 7, 8, 255]));
    if (node.children === undefined) setContent(node, Buffer.concat([count, node.content.subarray(1)]));
    else node.prefix = count;
  },
};

const kinds = { structural, encoding, ofValues };
const weights = { structural: 4, encoding: 3, ofValues: 5 };

/** The message with one or a few edits, at places wherever they are. `others` is where foreign elements come from. Bytes that are no BER stay. */
export function editTree(bytes: Buffer, random: Random, others: readonly Place[]): Buffer {
  const root = parseTree(bytes);
  if (root === undefined) return bytes;
  const top = [root];
  for (let left = random.few(); left > 0; left--) {
    const places = placesIn(top);
    if (places.length === 0) break;
    const edits = kinds[random.weighted(weights)];
    edits[random.pick(Object.keys(edits))]?.(random.pick(places), random, random.chance(0.5) ? places : others);
  }
  return Buffer.concat(top.map(encodeTree));
}

function setContent(node: BerNode, content: Buffer): void {
  node.content = content;
  delete node.children;
  delete node.prefix;
}

function constructed(identifier: number, children: BerNode[]): BerNode {
  return { identifier, content: Buffer.alloc(0), children };
}

function rawNode(raw: Buffer): BerNode {
  return { identifier: 0, content: Buffer.alloc(0), raw };
}
