/** BER as a tree that can be edited into what is no BER: every node says its own tag, its own length and what is in it. */

/** How a node says its length; absent, the shortest definite form. */
export type LengthForm =
  | { kind: 'indefinite' }
  /** Definite, in so many octets after the first: more than it takes. */
  | { kind: 'long'; octets: number }
  /** These octets, right or wrong. */
  | { kind: 'claimed'; octets: Buffer };

export interface BerNode {
  /** The first octet of the tag, which is the whole tag but for numbers above 30. */
  identifier: number;
  length?: LengthForm;
  /** Before the children: a BIT STRING's count of unused bits. */
  prefix?: Buffer;
  /** Of a constructed node, and of a string whose octets are BER themselves. */
  children?: BerNode[];
  /** Where there are no children. */
  content: Buffer;
  /** In place of tag, length and content. */
  raw?: Buffer;
}

const depthMax = 40;
/** More than the server reads, for here what is in strings counts as well. */
const nodesMax = 60_000;
const noOctets = Buffer.alloc(0);
const bitString = 0x03;
const octetString = 0x04;
const constructedBit = 0x20;

/** Undefined of what is no BER from its first octet to its last. Takes more than the server does: wrong forms of universal tags, for one. */
export function parseTree(bytes: Uint8Array): BerNode | undefined {
  const reader: Reader = { source: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), at: 0, nodes: 0 };
  const node = readNode(reader, bytes.length, 0);
  return node !== undefined && reader.at === bytes.length ? node : undefined;
}

interface Reader {
  source: Buffer;
  at: number;
  nodes: number;
}

function readNode(reader: Reader, limit: number, depth: number): BerNode | undefined {
  const { source } = reader;
  const identifier = source[reader.at];
  const first = source[reader.at + 1];
  if (identifier === undefined || first === undefined || reader.at + 2 > limit) return undefined;
  if (depth > depthMax || ++reader.nodes > nodesMax) return undefined;
  reader.at += 2;
  const isConstructed = (identifier & constructedBit) !== 0;
  if (first === 0x80) return isConstructed ? readIndefinite(reader, limit, depth, identifier) : undefined;
  const octets = first > 0x80 ? first & 0x7f : 0;
  if (octets > 4 || reader.at + octets > limit) return undefined;
  const length = octets === 0 ? first : source.readUIntBE(reader.at, octets);
  reader.at += octets;
  const end = reader.at + length;
  if (end > limit) return undefined;
  const content = source.subarray(reader.at, end);
  const node: BerNode = { identifier, content };
  if (octets > minimalOctets(length)) node.length = { kind: 'long', octets };
  if (isConstructed) {
    const children = readNodes(reader, end, depth);
    if (children === undefined) return undefined;
    return { ...node, content: noOctets, children };
  }
  reader.at = end;
  return opened(node, reader, depth);
}

function readIndefinite(reader: Reader, limit: number, depth: number, identifier: number): BerNode | undefined {
  const children: BerNode[] = [];
  while (reader.source[reader.at] !== 0) {
    const child = readNode(reader, limit, depth + 1);
    if (child === undefined) return undefined;
    children.push(child);
  }
  if (reader.at + 2 > limit || reader.source[reader.at + 1] !== 0) return undefined;
  reader.at += 2;
  return { identifier, length: { kind: 'indefinite' }, content: noOctets, children };
}

function readNodes(reader: Reader, end: number, depth: number): BerNode[] | undefined {
  const children: BerNode[] = [];
  while (reader.at < end) {
    const child = readNode(reader, end, depth + 1);
    if (child === undefined) return undefined;
    children.push(child);
  }
  return reader.at === end ? children : undefined;
}

/** A string whose octets are BER is opened, so that what is in it can be edited as well. */
function opened(node: BerNode, outer: Reader, depth: number): BerNode {
  const skipped = node.identifier === bitString ? 1 : 0;
  if ((node.identifier !== octetString && skipped === 0) || (skipped === 1 && node.content[0] !== 0)) return node;
  const inside = node.content.subarray(skipped);
  if (inside.length < 2) return node;
  const reader: Reader = { source: inside, at: 0, nodes: outer.nodes };
  const child = readNode(reader, inside.length, depth + 1);
  if (child === undefined || reader.at !== inside.length) return node;
  outer.nodes = reader.nodes;
  return { ...node, content: noOctets, children: [child], ...(skipped === 1 && { prefix: node.content.subarray(0, 1) }) };
}

export function encodeTree(node: BerNode): Buffer {
  return Buffer.concat(partsOf(node));
}

function partsOf(node: BerNode): Buffer[] {
  if (node.raw !== undefined) return [node.raw];
  const inside = node.children?.flatMap(partsOf) ?? [node.content];
  if (node.prefix !== undefined) inside.unshift(node.prefix);
  const length = inside.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.concat([Buffer.of(node.identifier), lengthOctets(length, node.length)]);
  return node.length?.kind === 'indefinite' ? [head, ...inside, Buffer.of(0, 0)] : [head, ...inside];
}

function lengthOctets(length: number, form: LengthForm | undefined): Buffer {
  if (form?.kind === 'indefinite') return Buffer.of(0x80);
  if (form?.kind === 'claimed') return form.octets;
  const count = Math.max(minimalOctets(length), form?.octets ?? 0);
  if (count === 0) return Buffer.of(length);
  const octets = Buffer.alloc(count + 1);
  octets[0] = 0x80 | count;
  for (let index = 0, left = length; index < count; index++, left = Math.floor(left / 256)) octets[count - index] = left % 256;
  return octets;
}

function minimalOctets(length: number): number {
  return length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : length < 0x1000000 ? 3 : 4;
}

export function copyTree(node: BerNode): BerNode {
  return node.children === undefined ? { ...node } : { ...node, children: node.children.map(copyTree) };
}

/** Where a node stands: `siblings[index]` is the node. */
export interface Place {
  node: BerNode;
  siblings: BerNode[];
  index: number;
}

/** Every node, the root first. The root stands among siblings of which only the first counts. */
export function placesIn(siblings: BerNode[]): Place[] {
  const places: Place[] = [];
  for (const [index, node] of siblings.entries()) {
    places.push({ node, siblings, index });
    if (node.children !== undefined) places.push(...placesIn(node.children));
  }
  return places;
}

/** What a string says: its octets, or those of its segments. */
export function octetsOf(node: BerNode): Buffer {
  if (node.children === undefined) return node.content;
  // What was opened is one string; what is constructed is several.
  if ((node.identifier & constructedBit) === 0) return Buffer.concat([node.prefix ?? noOctets, ...node.children.map(encodeTree)]);
  return Buffer.concat(node.children.map(octetsOf));
}

/** The values of every attribute of this type in the tree: a SEQUENCE of the type and a SET, wherever it stands. */
export function attributeValues(root: BerNode, type: Uint8Array): BerNode[] {
  return placesIn([root]).flatMap(({ node: { children: [first, second] = [] } }) =>
    first?.identifier === 0x06 && second?.identifier === 0x31 && Buffer.compare(first.content, type) === 0 ? (second.children ?? []) : [],
  );
}
