/** The restJson1 protocol: an operation's input out of path, query and JSON body, its output and its exceptions into responses. */
import { ServiceException, violationsException } from '../../base/errors.ts';
import { writeMembers } from './json-values.ts';
import type { Match, Operation } from './operation.ts';
import { type ApiRequest, type ApiResponse, decode, parseQuery, type QueryPair, rawPath } from './request.ts';
import { type Member, type Shape, unknownMembers } from './validation.ts';

/** An input member and where it travels. `queryName` is set where the name on the wire differs from the member's. */
export interface RestMember extends Member {
  place: 'label' | 'query' | 'body';
  queryName?: string;
}
export type RestMembers = Readonly<Record<string, RestMember>>;

/** One operation of the API as a row of a table. */
export interface RestOperation<Services, I extends RestMembers = RestMembers> extends Operation<Services, I> {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Each `{Member}` is one non-empty path segment, percent-encoded. */
  uri: string;
  statusCode: number;
  /** The body has no other members than these: one that is misspelt would leave open what was meant to be bounded. */
  closed?: true;
}

/** Checks a row's `call` against its own input, then forgets the particular input type. */
export function restOperation<Services, const I extends RestMembers>(row: RestOperation<Services, I>): RestOperation<Services> {
  return row as unknown as RestOperation<Services>;
}

/** Which operation a request is for; undefined when there is none at its path with its method. */
export function createRestJson<Services>(
  operations: readonly RestOperation<Services>[],
): (request: ApiRequest) => Match<Services> | undefined {
  const routes = operations.map(operation => ({ operation, template: operation.uri.split('/') }));
  return request => {
    const segments = rawPath(request).split('/');
    for (const { operation, template } of routes) {
      const labels = operation.method === request.method ? matchTemplate(template, segments) : undefined;
      if (labels === undefined) continue;
      return {
        operation,
        parse: () => parseInput(operation, { labels, query: parseQuery(request), body: request.body }),
        encode: (output, requestId) => encodeOutput(operation, output, requestId),
      };
    }
    return undefined;
  };
}

function matchTemplate(template: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (template.length !== segments.length) return undefined;
  const labels: Record<string, string> = {};
  for (const [index, part] of template.entries()) {
    const segment = segments[index] ?? '';
    if (!part.startsWith('{')) {
      if (part !== segment) return undefined;
    } else if (segment === '') return undefined;
    else labels[part.slice(1, -1)] = segment;
  }
  return labels;
}

/** The members as sent, not yet validated. */
function parseInput(
  { input: members, errors = [], closed }: RestOperation<never>,
  { labels, query, body }: { labels: Readonly<Record<string, string>>; query: QueryPair[]; body: ApiRequest['body'] },
): Record<string, unknown> {
  const content = Object.values(members).some(member => member.place === 'body')
    ? parseJsonBody(body, errors.includes('BadRequestException') ? 'BadRequestException' : 'ValidationException')
    : {};
  const unknown = closed ? unknownMembers(bodyMembers(members), content) : [];
  if (unknown.length > 0) throw violationsException(unknown);
  const input: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(members)) {
    switch (member.place) {
      case 'label':
        input[name] = decode(labels[name] ?? '');
        break;
      case 'query':
        input[name] = fromQuery(
          member.shape,
          query.filter(([key]) => key === (member.queryName ?? name)).map(([, value]) => value),
        );
        break;
      case 'body':
        input[name] = Object.hasOwn(content, name) ? content[name] : undefined;
        break;
      default:
        member.place satisfies never;
    }
  }
  return input;
}

function bodyMembers(members: RestMembers): RestMembers {
  return Object.fromEntries(Object.entries(members).filter(([, { place }]) => place === 'body'));
}

/** A repeated parameter is a list's; of a scalar the first counts (Smithy, "httpQuery trait"). */
function fromQuery(shape: Shape, values: string[]): unknown {
  const [first] = values;
  if (first === undefined) return undefined;
  if (shape.type === 'list') return values;
  return shape.type === 'integer' && /^-?\d+$/.test(first) ? Number(first) : first;
}

/** A JSON object; nothing at all is an empty one. */
export function parseJsonBody(
  body: Uint8Array,
  exception: 'BadRequestException' | 'ValidationException' = 'ValidationException',
): Record<string, unknown> {
  if (body.length === 0) return {};
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw malformedBody(exception, 'The request body is not valid JSON in UTF-8.', cause);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw malformedBody(exception, 'The request body must be a JSON object.');
  }
  return content as Record<string, unknown>;
}

function malformedBody(name: 'BadRequestException' | 'ValidationException', message: string, cause?: unknown): ServiceException {
  return new ServiceException(name, message, name === 'ValidationException' ? { Reason: 'OTHER' } : {}, { cause });
}

function encodeOutput(operation: Pick<RestOperation<never>, 'statusCode' | 'output'>, output: object, requestId: string): ApiResponse {
  if (Object.keys(operation.output).length === 0) {
    return { statusCode: operation.statusCode, headers: { 'x-amzn-RequestId': requestId }, body: '' };
  }
  return jsonResponse(operation.statusCode, writeMembers(operation.output, output), requestId);
}

/** `Message` is AWS's spelling for this API's exceptions; AWS's clients read it as well as the common errors' `message`. */
export function encodeException(exception: ServiceException, requestId: string): ApiResponse {
  const response = jsonResponse(exception.statusCode, { Message: exception.message, ...exception.members }, requestId);
  response.headers['x-amzn-ErrorType'] = exception.name;
  return response;
}

function jsonResponse(statusCode: number, content: unknown, requestId: string): ApiResponse {
  return {
    statusCode,
    headers: { 'content-type': 'application/json', 'x-amzn-RequestId': requestId },
    body: JSON.stringify(content),
  };
}
