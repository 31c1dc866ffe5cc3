/** What must hold of every answer of the API, whatever the request was; and what must hold of the store after a refusal. */
import { ServiceException, type ServiceExceptionName } from '../../src/base/errors.ts';
import { isAwsJsonRequest } from '../../src/fronts/api/aws-json.ts';
import type { Operation } from '../../src/fronts/api/operation.ts';
import type { ApiRequest, ApiResponse } from '../../src/fronts/api/request.ts';

/** The errors that every action may answer with (API reference, "Common errors"), and the four that every operation's model has. */
const commonErrors: ReadonlySet<string> = new Set([
  'AccessDeniedException',
  'ExpiredTokenException',
  'IncompleteSignature',
  'InvalidSignatureException',
  'MalformedHttpRequestException',
  'MissingAuthenticationToken',
  'RequestEntityTooLargeException',
  'RequestExpired',
  'RequestTimeoutException',
  'ThrottlingException',
  'UnknownOperationException',
  'UnrecognizedClientException',
  'ValidationException',
]);
const requestIdForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A row of either protocol: only restJson1's have a status. */
export type ReachedOperation = Operation<never> & { statusCode?: number };

export interface Judged {
  request: ApiRequest;
  /** The operation that the request reached, if any. */
  operation: ReachedOperation | undefined;
  answer: ApiResponse;
  /** Rows written since the request came. */
  changes: readonly string[];
  secrets: Iterable<string>;
}

/** Each in a few words, without what differs from request to request; empty when all is well. */
export function problemsOf(judged: Judged): string[] {
  const { answer, request } = judged;
  const problems: string[] = [];
  if (answer.statusCode >= 500) problems.push(`status ${answer.statusCode}`);
  else if (answer.statusCode >= 400) problems.push(...problemsOfRefusal(judged));
  else problems.push(...problemsOfSuccess(judged));
  if (!requestIdForm.test(headerOf(answer, 'x-amzn-requestid') ?? '')) problems.push('no request id');
  if (request.method !== 'OPTIONS' && headerOf(answer, 'access-control-allow-origin') !== '*') problems.push('no CORS header');
  return problems;
}

function problemsOfRefusal({ request, operation, answer, changes, secrets }: Judged): string[] {
  const problems: string[] = [];
  const name = headerOf(answer, 'x-amzn-errortype') ?? '';
  const status = statusOf(name);
  const isJson = isAwsJsonRequest(request);
  if (status === undefined) problems.push(`unknown exception ${name}`);
  else if (answer.statusCode !== (isJson && status !== 413 ? 400 : status)) problems.push(`${name} with status ${answer.statusCode}`);
  if (operation?.errors && !commonErrors.has(name) && !operation.errors.includes(name as ServiceExceptionName)) {
    problems.push(`${operation.name} has no ${name}`);
  }
  if (!operation && !commonErrors.has(name)) problems.push(`${name} without an operation`);
  if (request.method !== 'HEAD') problems.push(...problemsOfBody(answer.body, name, isJson));
  problems.push(...[...new Set(changes)].map(change => `refused with ${name}, and yet: ${change}`));
  return [...problems, ...problemsOfSecrets(answer, name, secrets)];
}

/** Of an answer on a connection, where what was asked may be beyond telling. */
export function problemsOfWire(answer: ApiResponse, { isHead, secrets }: { isHead: boolean; secrets: Iterable<string> }): string[] {
  if (answer.statusCode < 400) return [];
  if (answer.statusCode >= 500) return [`status ${answer.statusCode}`];
  const problems: string[] = [];
  const name = headerOf(answer, 'x-amzn-errortype') ?? '';
  if (statusOf(name) === undefined) problems.push(`status ${answer.statusCode} with exception ${name}`);
  if (!requestIdForm.test(headerOf(answer, 'x-amzn-requestid') ?? '')) problems.push(`status ${answer.statusCode} without a request id`);
  if (!isHead) problems.push(...problemsOfBody(answer.body, name, headerOf(answer, 'content-type') === 'application/x-amz-json-1.1'));
  return [...problems, ...problemsOfSecrets(answer, name, secrets)];
}

function problemsOfSecrets({ body, headers }: ApiResponse, name: string, secrets: Iterable<string>): string[] {
  const shown = body + JSON.stringify(headers);
  return [...secrets].some(secret => shown.includes(secret)) ? [`a secret in ${name}`] : [];
}

function problemsOfBody(body: string, name: string, isJson: boolean): string[] {
  const content = parseObject(body);
  if (!content) return ['a refusal without a JSON object'];
  const message = content[isJson ? 'message' : 'Message'];
  if (typeof message !== 'string' || message === '') return ['a refusal without a message'];
  return isJson && content['__type'] !== name ? ['__type is not the exception'] : [];
}

function problemsOfSuccess({ request, operation, answer }: Judged): string[] {
  if (request.method === 'OPTIONS') return answer.statusCode === 200 ? [] : [`OPTIONS answered with ${answer.statusCode}`];
  if (!operation) return [`status ${answer.statusCode} without an operation`];
  const expected = operation.statusCode ?? 200;
  if (answer.statusCode !== expected) return [`${operation.name} answered with ${answer.statusCode}`];
  const isEmpty = operation.statusCode !== undefined && Object.keys(operation.output).length === 0;
  if (isEmpty) return answer.body === '' ? [] : [`${operation.name} has a body`];
  const content = parseObject(answer.body);
  if (!content) return [`${operation.name} answered without a JSON object`];
  return Object.keys(content)
    .filter(member => !Object.hasOwn(operation.output, member))
    .map(member => `${operation.name} answered with ${member}`);
}

function headerOf({ headers }: ApiResponse, name: string): string | undefined {
  return Object.entries(headers).find(([other]) => other.toLowerCase() === name)?.[1];
}

/** Undefined of a name that the table of exceptions does not have. */
function statusOf(name: string): number | undefined {
  return new ServiceException(name as ServiceExceptionName, '').statusCode;
}

export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const content: unknown = JSON.parse(text);
    return typeof content === 'object' && content !== null && !Array.isArray(content) ? (content as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
