/** One round over connections to the whole server: enrolment requests whose bytes on the wire are broken, every answer judged, and the store after them. */
import type { ApiResponse } from '../../src/fronts/api/request.ts';
import { connectorSpecs } from '../support/vector-store.ts';
import { openVectorWorld, type VectorWorld } from '../support/vector-world.ts';
import { toHttp } from './draft.ts';
import type { Random } from './random.ts';
import { exchange, mutate, mutationNames, type RawPlan } from './raw-requests.ts';
import type { Outcome, Rejections, Round } from './round.ts';
import { messagesIn } from './scep-http.ts';
import type { ScepInput } from './scep-inputs.ts';
import { transactionIDsIn } from './scep-oracle.ts';

const answerTimeoutMs = 20_000;
/** An enrolment's answer takes less, and what is cut short has none. */
const patienceMs = 150;
/** In which a source's wrong password is forgotten (src/service/failure-limits.ts). */
const forgetMs = 30_000;
/** 408 and 417 come from the listener alone. */
const statusCodes = new Set([200, 400, 404, 405, 408, 413, 417, 429, 431]);

export interface RawScepInput {
  input: ScepInput;
  steps: RawPlan['mutations'];
  /** How many bytes are sent at a time; 0 sends all at once. */
  chunkBytes: number;
}

export function rawInput(input: ScepInput, random: Random): RawScepInput {
  const step = () => ({
    name: random.pick(mutationNames),
    at: random.fraction(),
    bytes: random.bytes(1 + random.below(12)).toString('hex'),
  });
  const steps = random.chance(0.1) ? [] : random.chance(0.8) ? [step()] : [step(), step()];
  return { input, steps, chunkBytes: random.pick([0, 0, 0, 7, 1000]) };
}

export class ScepRawRound implements Round<RawScepInput> {
  readonly #world: VectorWorld;
  readonly #address: string;
  readonly #rejections: Rejections;

  constructor(world: VectorWorld, address: string, rejections: Rejections) {
    this.#world = world;
    this.#address = address;
    this.#rejections = rejections;
  }

  static async open(rejections: Rejections): Promise<ScepRawRound> {
    const world = await openVectorWorld({ workers: 'inline' });
    return new ScepRawRound(world, new URL(await world.listen()).host, rejections);
  }

  async send({ input, steps, chunkBytes }: RawScepInput): Promise<Outcome> {
    const bytes = mutate(bytesOf(input), steps);
    const [first, second] = steps.map(({ name }) => name);
    const operation = `wire ${second === undefined ? (first ?? 'unbroken') : 'several'}`;
    const request = () => ({ connector: input.connector, chunkBytes, base64: bytes.toString('base64') });
    const before = await this.#transactionsOf(input);
    // All come from one address, which would soon be made to wait for what it gets wrong.
    this.#world.advance(forgetMs);
    const received = await exchange(this.#address, bytes, { chunkBytes, timeoutMs: answerTimeoutMs, patienceMs });
    const answers = received?.filter(({ statusCode }) => statusCode >= 200);
    if (answers === undefined)
      return { operation, ending: 'hang', problems: ['wire: no end'], request: request(), answer: undefined, isFatal: true };
    const problems = answers.flatMap(answer => problemsOfAnswer(answer, input));
    // Without an answer nobody knows whether there was a refusal.
    const isRefused = answers.length > 0 && answers.every(({ statusCode }) => statusCode !== 200);
    if (isRefused && (await this.#transactionsOf(input)) !== before) problems.push('refused, and yet its transaction has changed');
    problems.push(...this.#rejections.take().map(reason => `unhandled rejection ${reason}`));
    const ending = [...new Set(answers.map(({ statusCode }) => statusCode))].join(' ') || 'no answer';
    if (problems.length === 0) return { operation, ending, problems, request: {}, answer: undefined };
    return { operation, ending, problems: problems.map(problem => `wire: ${problem}`), request: request(), answer: answers };
  }

  /** Those of the input alone: what was sent before may still be under way when its client has hung up. */
  async #transactionsOf({ form }: ScepInput): Promise<string> {
    // One message may claim more of them than a query takes parameters.
    const transactionIDs = new Set(messagesIn(form).flatMap(transactionIDsIn));
    const columns = ['transaction_row_id', 'transaction_id', 'status', 'certificate_id', 'updated_at'] as const;
    const rows = await this.#world.database.query.selectFrom('transactions').select(columns).execute();
    return JSON.stringify(rows.filter(({ transaction_id }) => transactionIDs.has(transaction_id)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
  }
}

function problemsOfAnswer({ statusCode, headers, body }: ApiResponse, { connector }: ScepInput): string[] {
  const problems: string[] = [];
  if (!statusCodes.has(statusCode) && !(statusCode === 503 && connector === 'creating')) problems.push(`status ${statusCode}`);
  const type = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  if (type === undefined || type.includes(';')) problems.push(`content type ${type} with status ${statusCode}`);
  const { challenge } = connectorSpecs[connector];
  if (challenge !== null && body.includes(challenge)) problems.push('a secret in an answer');
  return problems;
}

/** As a device writes it: what of it no HTTP request can hold is written all the same. */
function bytesOf({ form }: ScepInput): Buffer {
  const headers: [string, string][] = [];
  if (form.host !== undefined) headers.push(['host', form.host]);
  if (form.userAgent !== undefined) headers.push(['user-agent', form.userAgent]);
  return toHttp({ method: form.method, path: form.path, query: form.query, headers, body: form.body });
}
