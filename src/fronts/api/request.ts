/** The HTTP request and response of the AWS API as `server.ts` hands them over: raw, so that a signature can be checked over what was sent. */
import { ServiceException } from '../../base/errors.ts';

export interface ApiRequest {
  method: string;
  /** The request target as received: path and query, percent-encoding untouched. */
  rawUrl: string;
  /** Names and values in the order received; a repeated header is a repeated pair. */
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
