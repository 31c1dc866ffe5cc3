/** The HTTP request and response of the AWS API: raw, as `server.ts` hands them over, and the parts of the request in the form a signature covers. */
import { ServiceException } from '../../base/errors.ts';

export interface ApiRequest {
  method: string;
  /** The request target as received: path and query, percent-encoding untouched. */
  rawUrl: string;
  /** Names and values in the order received, each byte a Latin-1 character; a repeated header is a repeated pair. */
  headers: readonly (readonly [name: string, value: string])[];
  body: Uint8Array;
  /** The peer's address. */
  source: string;
}

export interface ApiResponse {
  statusCode: number;
  headers: Record<string, string>;
  body: string;
}

export type QueryPair = [name: string, value: string];

/** Every header's values in the order received; names are in lower case. */
export type HeadersByName = ReadonlyMap<string, readonly string[]>;

export function headersByName(request: ApiRequest): HeadersByName {
  const headers = new Map<string, string[]>();
  for (const [name, value] of request.headers) {
    const key = name.toLowerCase();
    const values = headers.get(key);
    if (values === undefined) headers.set(key, [value]);
    else values.push(value);
  }
  return headers;
}

/** Every value of a header, in the order received; `name` is in lower case. */
export function headerValues(request: ApiRequest, name: string): string[] {
  return request.headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}

/** The path as received, percent-encoding untouched: an ARN in it holds encoded slashes. */
export function rawPath(request: ApiRequest): string {
  return request.rawUrl.split('?', 1)[0] ?? '';
}

/** The decoded query in the order received. A plus sign is a plus sign (RFC 3986), as AWS's own clients write a space as %20. */
export function parseQuery(request: ApiRequest): QueryPair[] {
  const start = request.rawUrl.indexOf('?');
  if (start < 0) return [];
  return request.rawUrl
    .slice(start + 1)
    .split('&')
    .filter(pair => pair !== '')
    .map(pair => {
      const equals = pair.indexOf('=');
      return equals < 0 ? [decode(pair), ''] : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
    });
}

/** Percent-decoding of UTF-8; anything else in the request target is the client's mistake. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new ServiceException('MalformedHttpRequestException', 'The request target is not valid percent-encoded UTF-8.', {}, { cause });
  }
}

/**
 * As it is signed (IAM User Guide, "Create a signed AWS API request"): outside S3 without dot segments (RFC 3986 section 5.2.4) and empty ones, and
 * encoded a second time. Percent-encoding stays as the client wrote it, because AWS's clients sign what they send.
 */
export function canonicalPath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(encode(segment));
  }
  return `/${segments.join('/')}${segments.length > 0 && path.endsWith('/') ? '/' : ''}`;
}

/** As it is signed: decoded and encoded in one way, sorted by encoded name, then by encoded value. */
export function canonicalQuery(query: QueryPair[]): string {
  return query
    .map(([name, value]): QueryPair => [encode(name), encode(value)])
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(pair => pair.join('='))
    .join('&');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** RFC 3986: everything but the unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * As it is signed: repeated values joined in the order received, each without space around it and with single spaces inside. Folded lines become one.
 * Only HTTP's own white space counts: a byte of a character in UTF-8 may look like another space.
 */
export function canonicalHeader(values: readonly string[]): string {
  return values.map(value => value.replace(/[ \t\r\n]+/g, ' ').replace(/^ | $/g, '')).join(',');
}
