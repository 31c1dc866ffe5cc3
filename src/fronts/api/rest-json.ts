/** The restJson1 protocol: an operation's input out of path, query and JSON body, its output and its exceptions into responses. */
import { ServiceException, validationException } from '../../base/errors.ts';
import type { Principal } from '../../base/resources.ts';
import type { PageRequest } from '../../service/connectors.ts';
import { type ApiRequest, type ApiResponse, decode, type QueryPair } from './request.ts';
import type { Member, Members, Shape, StructureOf } from './validation.ts';

/** An input member and where it travels. `queryName` is set where the name on the wire differs from the member's. */
export interface RestMember extends Member {
  place: 'label' | 'query' | 'body';
  queryName?: string;
}
export type RestMembers = Readonly<Record<string, RestMember>>;

/** One operation of the API as a row of a table. */
export interface RestOperation<Services, I extends RestMembers = RestMembers> {
  name: string;
  method: 'GET' | 'POST' | 'DELETE';
  /** Each `{Member}` is one non-empty path segment, percent-encoded. */
  uri: string;
  statusCode: number;
  /** The IAM action, and the input member with the ARN it acts on. */
  action: string;
  resource?: keyof I & string;
  input: I;
  /** Empty: the response has no body. */
  output: Members;
  /** A list operation: the input members that its NextToken is bound to. It has MaxResults and NextToken too. */
  pagedBy?: readonly (keyof I & string)[];
  call(services: Services, principal: Principal, input: StructureOf<I>, page: PageRequest): Promise<object>;
}

/** Which operation a request is for, with the raw text of its labels; `segments` are the path's, still percent-encoded. */
export function matchOperation<Services>(
  operations: readonly RestOperation<Services>[],
  method: string,
  path: string,
): { operation: RestOperation<Services>; labels: Record<string, string> } | undefined {
  const segments = path.split('/');
  for (const operation of operations) {
    if (operation.method !== method) continue;
    const labels = matchTemplate(operation.uri.split('/'), segments);
    if (labels) return { operation, labels };
  }
  return undefined;
}

function matchTemplate(template: string[], segments: string[]): Record<string, string> | undefined {
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
export function parseInput(
  members: RestMembers,
  { labels, query, body }: { labels: Readonly<Record<string, string>>; query: QueryPair[]; body: ApiRequest['body'] },
): Record<string, unknown> {
  const content = Object.values(members).some(member => member.place === 'body') ? parseBody(body) : {};
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

/** A repeated parameter is a list's; of a scalar the first counts (Smithy, "httpQuery trait"). */
function fromQuery(shape: Shape, values: string[]): unknown {
  const [first] = values;
  if (first === undefined) return undefined;
  if (shape.type === 'list') return values;
  return shape.type === 'integer' && /^-?\d+$/.test(first) ? Number(first) : first;
}

function parseBody(body: Uint8Array): Record<string, unknown> {
  if (body.length === 0) return {};
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new ServiceException('ValidationException', 'The request body is not valid JSON in UTF-8.', { Reason: 'OTHER' }, { cause });
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw validationException('The request body must be a JSON object.');
  }
  return content as Record<string, unknown>;
}

export function encodeOutput(
  operation: Pick<RestOperation<never>, 'statusCode' | 'output'>,
  output: object,
  requestId: string,
): ApiResponse {
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

/** Modelled members only, absent ones left out: AWS's clients refuse a union that is present and empty. */
function writeMembers(members: Members, output: object): Record<string, unknown> {
  const values = new Map<string, unknown>(Object.entries(output));
  return Object.fromEntries(
    Object.entries(members).flatMap(([name, { shape }]) => {
      const value = values.get(name);
      return value === undefined ? [] : [[name, writeValue(shape, value)]];
    }),
  );
}

function writeValue(shape: Shape, value: unknown): unknown {
  switch (shape.type) {
    case 'string':
    case 'integer':
    case 'map':
      return value;
    case 'timestamp':
      // Epoch seconds with milliseconds, as AWS writes them.
      return Number(value) / 1000;
    case 'list':
      return (value as unknown[]).map(member => writeValue(shape.member, member));
    case 'structure':
    case 'union':
      return writeMembers(shape.members, value as object);
    default:
      return shape satisfies never;
  }
}
