/** One round straight through the API's handler: plans become signed requests, and after each the answer and the store are judged. */
import { createAwsJson, isAwsJsonRequest } from '../../src/fronts/api/aws-json.ts';
import type { ApiRequest, ApiResponse } from '../../src/fronts/api/request.ts';
import { createRestJson } from '../../src/fronts/api/rest-json.ts';
import { answerInTime } from './answer-in-time.ts';
import { problemsOf, type ReachedOperation } from './api-oracle.ts';
import { draftOf, jsonOperations, type Plan, type PlannedEdit, restOperations, rowOf } from './api-plans.ts';
import { type ApiTarget, openApiTarget } from './api-target.ts';
import { host, World } from './api-world.ts';
import { type Draft, toApiRequest } from './draft.ts';
import { requestEdits } from './request-edits.ts';
import { signInHeader, signInQuery } from './request-signing.ts';
import type { Outcome, Rejections, Round } from './round.ts';
import { signatureEdits } from './signature-edits.ts';
import { type StoreChanges, watchStore } from './store-changes.ts';

/** After this time a request is taken to hang. */
export const answerTimeoutMs = 30_000;
const requestsBetweenCare = 50;
/** So that client tokens lapse and buckets fill as they do in an hour of use. */
const clockStepMs = 1000;

const matchRest = createRestJson(restOperations);
const matchJson = createAwsJson('ACMPrivateCA', jsonOperations);
const edits = { ...requestEdits, ...signatureEdits };

interface Circumstances {
  rejections: Rejections;
  timeoutMs?: number;
  /** Stands between the fuzzer and the API. */
  intercept?(answer: Promise<ApiResponse>, target: ApiTarget): Promise<ApiResponse>;
}

export class ApiRound implements Round<Plan> {
  readonly #target: ApiTarget;
  readonly #world: World;
  readonly #changes: StoreChanges;
  readonly #circumstances: Circumstances;
  #sent = 0;

  constructor(target: ApiTarget, world: World, changes: StoreChanges, circumstances: Circumstances) {
    this.#target = target;
    this.#world = world;
    this.#changes = changes;
    this.#circumstances = circumstances;
  }

  static async open(circumstances: Circumstances): Promise<ApiRound> {
    const target = await openApiTarget();
    return new ApiRound(target, await World.make(target), await watchStore(target.database), circumstances);
  }

  async send(plan: Plan): Promise<Outcome> {
    if (this.#sent++ % requestsBetweenCare === 0) await this.#care();
    const request = toApiRequest(signedDraft(plan, this.#world, this.#target));
    const reached = reachedOperation(request);
    const operation = reached?.name ?? 'none';
    const shown = showRequest(request);
    const { rejections, timeoutMs = answerTimeoutMs, intercept = given => given } = this.#circumstances;
    const answer = await answerInTime(intercept(this.#target.handle(request), this.#target), timeoutMs);
    if (answer === undefined)
      return { operation, ending: 'hang', problems: [`${operation}: no answer`], request: shown, answer, isFatal: true };
    const changes = await this.#changes.take();
    if (answer.statusCode < 300) this.#world.learn(answer.body);
    const problems = problemsOf({ request, operation: reached, answer, changes, secrets: this.#world.secrets });
    problems.push(...rejections.take().map(reason => `unhandled rejection ${reason}`));
    const failures = this.#target.takeFailures();
    const ending = Object.entries(answer.headers).find(([name]) => name === 'x-amzn-ErrorType')?.[1] ?? 'ok';
    return {
      operation,
      ending,
      problems: problems.map(problem => `${operation}: ${problem}`),
      request: shown,
      answer: failures.length > 0 ? { ...answer, logged: failures.map(describeFailure) } : answer,
    };
  }

  /** What the workers and the fuzzer's own calls write is nobody's refusal. */
  async #care(): Promise<void> {
    this.#target.advance(clockStepMs);
    await this.#world.tend();
    await this.#changes.take();
    this.#target.takeFailures();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#target[Symbol.asyncDispose]();
  }
}

/** As it goes out: what the references stand for at this moment, broken where the plan says, and signed in between. */
export function signedDraft(plan: Plan, world: World, { region, now }: Pick<ApiTarget, 'region' | 'now'>): Draft {
  const draft = edited(draftOf(plan, world.resolve(plan.input ?? {}), host), plan.before);
  const credentials = world.credentialsOf(plan.caller);
  if (credentials === undefined) return edited(draft, plan.after);
  const service = plan.operation === undefined ? 'pca-connector-scep' : rowOf(plan.operation).signingName;
  const sign = plan.form === 'header' ? signInHeader : signInQuery;
  return edited(sign(draft, credentials, { at: now(), region, service }), plan.after);
}

function edited(draft: Draft, steps: readonly PlannedEdit[]): Draft {
  return steps.reduce(
    (current, { name, at, text, bytes }) => edits[name]?.(current, { at, text, bytes: Buffer.from(bytes, 'hex') }) ?? current,
    draft,
  );
}

function reachedOperation(request: ApiRequest): ReachedOperation | undefined {
  return (isAwsJsonRequest(request) ? matchJson : matchRest)(request)?.operation;
}

/** As JSON can hold it, to be sent again: the body in base64, long parts cut. */
function showRequest({ method, rawUrl, headers, body }: ApiRequest): object {
  const cut = (text: string) => (text.length > 4000 ? `${text.slice(0, 4000)}… (${text.length} characters)` : text);
  const shownHeaders = headers.map(([name, value]) => [name, cut(value)]);
  return { method, rawUrl: cut(rawUrl), headers: shownHeaders, body: cut(Buffer.from(body).toString('base64')) };
}

function describeFailure(fields: object): string {
  const error = 'err' in fields ? fields.err : fields;
  return error instanceof Error
    ? `${error.stack}${error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : ''}`
    : JSON.stringify(error);
}
