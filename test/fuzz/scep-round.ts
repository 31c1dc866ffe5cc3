/** One round straight through the enrolment endpoint's handler: each input is sent, and the answer, the store, the log and the time it took are judged. */
import type { ScepResponse } from '../../src/fronts/scep/answers.ts';
import type { ScepHandler, ScepRequest } from '../../src/fronts/scep/handler.ts';
import { type IdentityName, identity, identityNames, identitySpecs, worldNow } from '../support/vector-identities.ts';
import { connectorNames, connectorPath, connectorSpecs } from '../support/vector-store.ts';
import { openVectorWorld, type VectorWorld } from '../support/vector-world.ts';
import { answerInTime } from './answer-in-time.ts';
import type { Outcome, Rejections, Round } from './round.ts';
import { CertificateOracle } from './scep-certificates.ts';
import { targetOf } from './scep-http.ts';
import type { ScepInput } from './scep-inputs.ts';
import { judge } from './scep-oracle.ts';
import { type StoreChanges, watchStore } from './store-changes.ts';

/** After this time an input is taken to hang. */
const answerTimeoutMs = 30_000;
/** What one input may take of the thread: all that its cryptography costs, many times over. */
export const slowMs = 100;
/** The machine may pause; an input that is slow is slow each time. */
const repetitions = 3;
const inputsBetweenDecisions = 200;

const monotonic = () => performance.now();

export interface ScepCircumstances {
  rejections: Rejections;
  timeoutMs?: number;
  /** In place of the monotonic clock, in milliseconds. */
  clock?(): number;
  /** Stands between the fuzzer and the endpoint. */
  intercept?: Intercept;
}

type Intercept = (handle: ScepHandler, world: VectorWorld) => ScepHandler;

export class ScepRound implements Round<ScepInput> {
  readonly #world: VectorWorld;
  readonly #handle: ScepHandler;
  readonly #intercept: Intercept;
  readonly #changes: StoreChanges;
  readonly #certificates: CertificateOracle;
  readonly #circumstances: ScepCircumstances;
  readonly #logLines: string[];
  #sent = 0;

  constructor(world: VectorWorld, changes: StoreChanges, logLines: string[], circumstances: ScepCircumstances) {
    const { intercept = handle => handle } = circumstances;
    this.#world = world;
    this.#handle = intercept(world.handle, world);
    this.#intercept = intercept;
    this.#changes = changes;
    this.#certificates = new CertificateOracle(world.database);
    this.#circumstances = circumstances;
    this.#logLines = logLines;
  }

  static async open(circumstances: ScepCircumstances): Promise<ScepRound> {
    const logLines: string[] = [];
    const world = await openVectorWorld({ workers: 'inline', onLog: line => void logLines.push(line) });
    return new ScepRound(world, await watchStore(world.database), logLines, circumstances);
  }

  async send(input: ScepInput): Promise<Outcome> {
    if (this.#sent++ % inputsBetweenDecisions === 0) await this.#decide();
    const request = requestOf(input);
    const operation = input.kind;
    const shown = () => ({ connector: input.connector, ...summaryOf(request) });
    const { rejections, timeoutMs = answerTimeoutMs, clock = monotonic } = this.#circumstances;
    let response: ScepResponse | undefined;
    const startedAt = clock();
    try {
      response = await answerInTime(this.#handle(request), timeoutMs);
    } catch (error) {
      return { operation, ending: 'crash', problems: [`the handler rejects: ${String(error)}`], request: shown(), answer: undefined };
    }
    const tookMs = clock() - startedAt;
    if (response === undefined)
      return { operation, ending: 'hang', problems: ['no answer'], request: shown(), answer: undefined, isFatal: true };
    const changes = await this.#changes.take();
    const { problems, ending, certRep } = judge({ input, response, changes });
    let certificate: Buffer | undefined;
    if (certRep) {
      const judged = await this.#certificates.judge(input, certRep, changes);
      problems.push(...judged.problems);
      certificate = judged.certificate;
    }
    problems.push(...this.#problemsOfSecrets(response, certificate));
    problems.push(...rejections.take().map(reason => `unhandled rejection ${reason}`));
    const failures = this.#world.takeFailures();
    if (failures.length > 0 && input.connector !== 'creating') problems.push('the log has a failure of the server’s own');
    if (tookMs > slowMs && (await this.#isSlow(request, clock, { wrote: changes.length > 0 }))) problems.push(`slower than ${slowMs} ms`);
    if (problems.length === 0) return { operation, ending, problems, request: {}, answer: undefined };
    const answer = {
      ending,
      statusCode: response.statusCode,
      body: Buffer.from(response.body).toString('base64'),
      logged: failures.map(describeFailure),
    };
    return { operation, ending, problems, request: shown(), answer };
  }

  /** As an operator does: approves most of what waits, and rejects the rest. */
  async #decide(): Promise<void> {
    const { query } = this.#world.database;
    const waiting = await query.selectFrom('transactions').select('transaction_row_id').where('status', '=', 'PENDING').execute();
    for (const [index, { transaction_row_id }] of waiting.entries()) {
      const status = index % 4 === 0 ? 'FAILURE' : 'APPROVED';
      const decision = { status, decided_by: 'operator', updated_at: worldNow, reason: status === 'FAILURE' ? 'No.' : null } as const;
      await query.updateTable('transactions').set(decision).where('transaction_row_id', '=', transaction_row_id).execute();
    }
    await this.#changes.take();
  }

  /** What wrote to the store has its answer from there the second time, so each repetition has a world in which it is the first. */
  async #isSlow(request: ScepRequest, clock: () => number, { wrote }: { wrote: boolean }): Promise<boolean> {
    let fastestMs = Number.POSITIVE_INFINITY;
    for (let left = repetitions; left > 0; left--) {
      await using fresh = wrote ? await openVectorWorld({ workers: 'inline' }) : undefined;
      const handle = fresh ? this.#intercept(fresh.handle, fresh) : this.#handle;
      const startedAt = clock();
      await handle(request);
      fastestMs = Math.min(fastestMs, clock() - startedAt);
    }
    // What the repetitions did is nobody's refusal.
    await this.#changes.take();
    this.#logLines.length = 0;
    return fastestMs > slowMs;
  }

  /** What a device has put into its name is no secret any more. */
  #problemsOfSecrets({ body, headers }: ScepResponse, certificate: Buffer | undefined): string[] {
    const lines = this.#logLines.splice(0);
    if (lines.some(line => endpointSecrets.some(secret => line.includes(secret)))) return ['an endpoint’s secret in the log'];
    const shown = Buffer.concat([body, Buffer.from([JSON.stringify(headers), ...lines].join('\n'))]);
    return secrets.some(secret => shown.includes(secret) && certificate?.includes(secret) !== true)
      ? ['a secret in an answer or in the log']
      : [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
  }
}

function requestOf({ form, source }: ScepInput): ScepRequest {
  const { method, host, userAgent, body } = form;
  return { method, rawUrl: targetOf(form), body, source, hosts: host === undefined ? [] : [host], userAgent };
}

/** Challenge passwords and the server's private keys, in every form in which they might slip out. */
const passwords = connectorNames.flatMap(name => connectorSpecs[name].challenge ?? []);
const serverKeys = identityNames.filter(name => identitySpecs[name].role !== 'device');
const secrets: readonly Buffer[] = [
  ...passwords.flatMap(text => [Buffer.from(text), Buffer.from(text, 'utf16le').swap16()]),
  ...serverKeys.flatMap(formsOfKey),
];

/** A client that asks at another account's address is told in AWS's words where it asked; nobody else is. */
const endpointSecrets = connectorNames.map(name => connectorPath(name).slice(connectorPath(name).lastIndexOf('/') + 1));

function formsOfKey(name: IdentityName): Buffer[] {
  const { d = '' } = identity(name).privateKey.export({ format: 'jwk' });
  const piece = Buffer.from(d, 'base64url').subarray(30, 60);
  return [piece, Buffer.from(piece.toString('hex')), Buffer.from(piece.toString('base64').slice(0, 36)), Buffer.from(d.slice(40, 80))];
}

function summaryOf({ method, rawUrl, hosts, userAgent, body, source }: ScepRequest): object {
  const cut = (text: string | undefined) =>
    text !== undefined && text.length > 20_000 ? `${text.slice(0, 20_000)}… (${text.length} characters)` : text;
  return {
    method,
    rawUrl: cut(rawUrl),
    hosts: hosts.map(cut),
    source,
    userAgent: cut(userAgent),
    base64: Buffer.from(body).toString('base64'),
  };
}

function describeFailure(fields: object): string {
  const error = 'err' in fields ? fields.err : fields;
  return error instanceof Error ? `${error.stack}` : JSON.stringify(error);
}
