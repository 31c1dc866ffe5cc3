/** One round over connections to the whole server: signed requests whose bytes are broken, every answer on the wire judged, and the store after them. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../src/backends/store/database.ts';
import type { ApiRequest, ApiResponse } from '../../src/fronts/api/request.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';
import { insertWaitingRequest } from '../support/waiting-requests.ts';
import { problemsOfWire } from './api-oracle.ts';
import { answerTimeoutMs, signedDraft } from './api-round.ts';
import { World, type WorldParts } from './api-world.ts';
import { toHttp } from './draft.ts';
import { exchange, mutate, type RawPlan } from './raw-requests.ts';
import type { SigningCredentials } from './request-signing.ts';
import type { Outcome, Rejections, Round } from './round.ts';
import { type StoreChanges, watchStore } from './store-changes.ts';

const region = 'us-east-1';
const requestsBetweenCare = 50;
const bytesShownMax = 3000;

export class RawRound implements Round<RawPlan> {
  readonly #server: TemporaryServer;
  readonly #parts: WorldParts;
  readonly #world: World;
  readonly #changes: StoreChanges;
  readonly #rejections: Rejections;
  #sent = 0;

  constructor(
    server: TemporaryServer,
    parts: WorldParts,
    world: World,
    { changes, rejections }: { changes: StoreChanges; rejections: Rejections },
  ) {
    this.#server = server;
    this.#parts = parts;
    this.#world = world;
    this.#changes = changes;
    this.#rejections = rejections;
  }

  static async open(rejections: Rejections): Promise<RawRound> {
    const server = await startTemporaryServer();
    let clockOffsetMs = 0;
    const parts: WorldParts = {
      region,
      administrator: await readCredentials(server.credentialsFile),
      handle: request => handle(server, request),
      now: () => Date.now() + clockOffsetMs,
      advance(ms) {
        clockOffsetMs += ms;
        server.advance(ms);
      },
      settle: () => settle(server.database),
      async makeRequest(ConnectorArn) {
        await insertWaitingRequest(server.database.query, { ConnectorArn, now: Date.now() + clockOffsetMs });
      },
    };
    return new RawRound(server, parts, await World.make(parts), { changes: await watchStore(server.database), rejections });
  }

  async send({ plan, mutations, chunkBytes }: RawPlan): Promise<Outcome> {
    if (this.#sent++ % requestsBetweenCare === 0) await this.#care();
    const bytes = mutate(toHttp(signedDraft(plan, this.#world, this.#parts)), mutations);
    const request = { bytes: bytes.subarray(0, bytesShownMax).toString('latin1'), length: bytes.length, chunkBytes };
    const [first, second] = mutations.map(({ name }) => name);
    const operation = `wire: ${second === undefined ? (first ?? 'unbroken') : 'several'}`;
    const answers = await exchange(addressOf(this.#server), bytes, { chunkBytes, timeoutMs: answerTimeoutMs });
    if (answers === undefined) return { operation, ending: 'hang', problems: ['wire: no end'], request, answer: undefined, isFatal: true };
    const isRefused = answers.every(({ statusCode }) => statusCode >= 400);
    if (!isRefused) await settle(this.#server.database);
    const changes = await this.#changes.take();
    const circumstances = { isHead: bytes.includes('HEAD '), secrets: this.#world.secrets };
    const problems = answers.flatMap(answer => problemsOfWire(answer, circumstances));
    if (isRefused) problems.push(...[...new Set(changes)].map(change => `refused, and yet: ${change}`));
    problems.push(...this.#rejections.take().map(reason => `unhandled rejection ${reason}`));
    const ending = answers.map(({ statusCode }) => statusCode).join(' ') || 'no answer';
    return { operation, ending, problems: problems.map(problem => `wire: ${problem}`), request, answer: answers };
  }

  /** What the fuzzer's own calls write is nobody's refusal. */
  async #care(): Promise<void> {
    await this.#world.tend();
    await this.#changes.take();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

async function handle(server: TemporaryServer, { method, rawUrl, headers, body }: ApiRequest): Promise<ApiResponse> {
  const [path = '', query] = rawUrl.split('?');
  const bytes = toHttp({
    method,
    path,
    query: query === undefined ? [] : [query],
    headers: [...headers].map(([name, value]) => [name, value]),
    body,
  });
  const [answer] = (await exchange(addressOf(server), bytes, { chunkBytes: 0, timeoutMs: answerTimeoutMs })) ?? [];
  if (!answer) throw new Error('no answer to a request of the fuzzer itself');
  return answer;
}

function addressOf({ apiUrl }: TemporaryServer): string {
  return new URL(apiUrl).host;
}

/** The server's workers start by themselves: this waits until nothing waits for them. */
async function settle({ query }: Database): Promise<void> {
  for (;;) {
    const connectors = await query
      .selectFrom('connectors')
      .select('connector_id')
      .where('status', 'in', ['CREATING', 'DELETING'])
      .execute();
    const authorities = await query.selectFrom('certificate_authorities').select('ca_id').where('status', '=', 'CREATING').execute();
    const issuances = await query.selectFrom('issuances').select('certificate_id').execute();
    if (connectors.length + authorities.length + issuances.length === 0) return;
    await sleep(5);
  }
}

async function readCredentials(file: string): Promise<SigningCredentials> {
  const text = await readFile(file, 'utf8');
  const [, accessKeyId = '', secretAccessKey = ''] = /aws_access_key_id = (\S+)\naws_secret_access_key = (\S+)/.exec(text) ?? [];
  return { accessKeyId, secretAccessKey };
}
