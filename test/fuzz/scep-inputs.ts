/** What the SCEP fuzzer sends: every input follows from the seed and its number, and says what it was made of. */
import { streamed } from '../support/ber.ts';
import { type ConnectorName, connectorNames, connectorPath } from '../support/vector-store.ts';
import { type Place, parseTree, placesIn } from './ber-tree.ts';
import { editBytes } from './byte-edits.ts';
import { Random } from './random.ts';
import { editForm, type HttpForm, soundForm } from './scep-http.ts';
import { assemble, type Layer, type LayerEdits, layers } from './scep-layers.ts';
import { makeRecipe } from './scep-recipes.ts';
import { editTree } from './tree-edits.ts';

/** A whole message, made here or captured from a client. */
export interface Member {
  connector: ConnectorName;
  message: Buffer;
  /** What is encrypted in it, where that is known. */
  plaintext?: Buffer;
}

export interface ScepInput {
  /** At which depth it is broken. */
  kind: string;
  connector: ConnectorName;
  form: HttpForm;
  /** The peer's address: mostly a new one, since a guesser is soon made to wait. */
  source: string;
  /** All that may come out of the envelope, wherever its parts are from. */
  plaintexts: readonly Buffer[];
  /** One of its parts is from a vector that cannot be opened, which an edit may have put right. */
  isOpaque?: boolean;
}

/** To sign and to encrypt costs more than the server takes to refuse, so most inputs break what was signed before. */
const kinds = { bytes: 29, tree: 33, http: 10, layers: 25, sound: 3 } as const;
const ofOneKind: readonly Layer[] = [...layers, 'csrInfo', 'csrInfo', 'messageData', 'envelope', 'signedAttrs', 'certificate'];
/** What the listener takes (src/server.ts). */
const bodyBytesMax = 256 * 1024;
const membersMade = 80;

export class ScepInputs {
  readonly #members: readonly (Member & { places: readonly Place[] })[];

  constructor(captured: readonly Member[] = []) {
    const made = Array.from({ length: membersMade }, (_, number) => makeMember(new Random(0, number)));
    const streams = made.slice(0, membersMade / 4).map(member => ({ ...member, message: Buffer.from(streamed(member.message)) }));
    const sound = [...made, ...streams].map(member => ({ ...member, places: placesOf(member.message) }));
    // Some vectors are no BER: they are broken further, and lend no elements.
    const lenders = captured.map(member => ({ ...member, places: placesOf(member.message) })).filter(({ places }) => places.length > 0);
    const others = captured
      .filter(({ message }) => placesOf(message).length === 0)
      .map(member => ({ ...member, places: sound[0]?.places ?? [] }));
    this.#members = [...sound, ...lenders, ...others];
  }

  /** The input with this number of the seed. */
  input(seed: number, number: number): ScepInput {
    const random = new Random(seed, number);
    const member = random.pick(this.#members);
    const other = random.pick(this.#members);
    const plaintexts = [member, other].flatMap(({ plaintext }) => plaintext ?? []);
    const origin = { plaintexts, isOpaque: plaintexts.length < 2 };
    const kind = random.weighted(kinds);
    switch (kind) {
      case 'bytes':
        return inputOf(random, { kind, connector: member.connector, ...origin }, editBytes(member.message, random, other.message));
      case 'tree':
        return inputOf(random, { kind, connector: member.connector, ...origin }, editTree(member.message, random, other.places));
      case 'http': {
        const sound = inputOf(
          random,
          { kind, connector: random.chance(0.9) ? member.connector : random.pick(connectorNames), ...origin },
          member.message,
        );
        return { ...sound, form: editForm(sound.form, random, connectorPath(sound.connector)) };
      }
      case 'layers':
        return layered(random, other);
      case 'sound':
        return random.chance(0.3)
          ? inputOf(random, { kind: 'again', connector: member.connector, ...origin }, member.message)
          : sound(random);
      default:
        return kind satisfies never;
    }
  }
}

function makeMember(random: Random): Member {
  const { recipe, connector } = makeRecipe(random);
  return { connector, ...assemble(recipe) };
}

/** None of what is no BER. */
function placesOf(message: Buffer): Place[] {
  const root = parseTree(message);
  return root === undefined ? [] : placesIn([root]);
}

function sound(random: Random): ScepInput {
  const { recipe, connector } = makeRecipe(random);
  const { message, plaintext } = assemble(recipe);
  return inputOf(random, { kind: 'sound', connector, plaintexts: [plaintext] }, message);
}

/** Broken at one layer or two, and sound around them. */
function layered(random: Random, other: Member & { places: readonly Place[] }): ScepInput {
  const { recipe, connector } = makeRecipe(random);
  const broken = random.chance(0.8) ? [random.pick(ofOneKind)] : [random.pick(ofOneKind), random.pick(ofOneKind)];
  const edits: LayerEdits = {};
  for (const layer of broken) {
    edits[layer] = bytes =>
      random.chance(0.8) ? editTree(bytes, random, other.places) : bytes.length > 0 ? editBytes(bytes, random, other.message) : bytes;
  }
  const { message, plaintext } = assemble(recipe, edits);
  const kind = broken.length === 1 ? `layer ${broken[0]}` : 'two layers';
  return inputOf(
    random,
    { kind, connector, plaintexts: [plaintext, ...(other.plaintext ? [other.plaintext] : [])], isOpaque: other.plaintext === undefined },
    message,
  );
}

function inputOf(random: Random, parts: Omit<ScepInput, 'form' | 'source'>, message: Buffer): ScepInput {
  const source = random.chance(0.05) ? '198.51.100.7' : [198, 18 + random.below(2), random.below(256), random.below(256)].join('.');
  return { ...parts, source, form: soundForm(connectorPath(parts.connector), message.subarray(0, bodyBytesMax), random) };
}
