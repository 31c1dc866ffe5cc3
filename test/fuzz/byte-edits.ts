/** Ways in which bytes are broken that know nothing of what they mean. */
import type { Random } from './random.ts';

type ByteEdit = (bytes: Buffer, random: Random, other: Buffer) => Buffer;

const telling = [0x00, 0x01, 0x02, 0x04, 0x06, 0x1f, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82, 0x84, 0x88, 0xa0, 0xff];
const longestPiece = 400;

const edits: Readonly<Record<string, ByteEdit>> = {
  bit: (bytes, random) => changed(bytes, random, octet => octet ^ (1 << random.below(8))),
  octet: (bytes, random) => changed(bytes, random, () => random.word() & 0xff),
  tellingOctet: (bytes, random) => changed(bytes, random, () => random.pick(telling)),
  nearbyOctet: (bytes, random) => changed(bytes, random, octet => octet + random.pick([-2, -1, 1, 2])),
  drop: (bytes, random) => {
    const { start, end } = piece(bytes, random);
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
  },
  insert: (bytes, random) => spliced(bytes, random.below(bytes.length + 1), random.bytes(1 + random.below(16))),
  double: (bytes, random) => {
    const { start, end } = piece(bytes, random);
    return spliced(bytes, end, bytes.subarray(start, end));
  },
  copy: (bytes, random) => {
    const { start, end } = piece(bytes, random);
    return overwritten(bytes, random.below(bytes.length), bytes.subarray(start, end));
  },
  fill: (bytes, random) => {
    const { start, end } = piece(bytes, random);
    return overwritten(bytes, start, Buffer.alloc(end - start, random.pick(telling)));
  },
  noise: (bytes, random) => overwritten(bytes, random.below(bytes.length), random.bytes(1 + random.below(40))),
  cutShort: (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  cutOff: (bytes, random) => bytes.subarray(random.below(bytes.length)),
  append: (bytes, random, other) => Buffer.concat([bytes, random.pick([Buffer.of(0), Buffer.of(0, 0), random.bytes(20), bytes, other])]),
  /** The beginning of one, the rest of another. */
  splice: (bytes, random, other) => {
    const at = random.fraction();
    const elsewhere = random.chance(0.5) ? at : random.fraction();
    return Buffer.concat([bytes.subarray(0, Math.floor(at * bytes.length)), other.subarray(Math.floor(elsewhere * other.length))]);
  },
  transplant: (bytes, random, other) => {
    const { start, end } = piece(other, random);
    return overwritten(bytes, random.below(bytes.length), other.subarray(start, end));
  },
};
const names = Object.keys(edits);

/** `other` is what pieces are taken from. */
export function editBytes(bytes: Buffer, random: Random, other: Buffer): Buffer {
  let edited: Buffer = Buffer.from(bytes);
  for (let left = random.few(); left > 0 && edited.length > 0; left--)
    edited = edits[random.pick(names)]?.(edited, random, other) ?? edited;
  return edited;
}

function piece(bytes: Buffer, random: Random): { start: number; end: number } {
  const start = random.below(bytes.length);
  const length = 1 + random.below(random.chance(0.7) ? 8 : longestPiece);
  return { start, end: Math.min(bytes.length, start + length) };
}

function changed(bytes: Buffer, random: Random, change: (octet: number) => number): Buffer {
  const edited = Buffer.from(bytes);
  const at = random.below(edited.length);
  edited[at] = change(edited[at] ?? 0) & 0xff;
  return edited;
}

function spliced(bytes: Buffer, at: number, inserted: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
}

function overwritten(bytes: Buffer, at: number, by: Buffer): Buffer {
  const edited = Buffer.from(bytes);
  by.copy(edited, at);
  return edited;
}
