/** A request in the making: what the generator puts together, edits and signs before it goes to the API. */
import type { ApiRequest } from '../../src/fronts/api/request.ts';

export interface Draft {
  method: string;
  /** As it goes out, percent-encoded. */
  path: string;
  /** Each `name=value` as it goes out. */
  query: string[];
  headers: [name: string, value: string][];
  body: Uint8Array;
}

export function rawUrl({ path, query }: Draft): string {
  return query.length === 0 ? path : `${path}?${query.join('&')}`;
}

export function toApiRequest(draft: Draft): ApiRequest {
  return { method: draft.method, rawUrl: rawUrl(draft), headers: draft.headers, body: draft.body, source: '127.0.0.1' };
}

/** As bytes on a connection. */
export function toHttp(draft: Draft): Buffer {
  const lines = [`${draft.method} ${rawUrl(draft)} HTTP/1.1`, ...draft.headers.map(([name, value]) => `${name}: ${value}`)];
  if (draft.body.length > 0) lines.push(`content-length: ${draft.body.length}`);
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), draft.body]);
}

export function withHeader(draft: Draft, name: string, value: string): Draft {
  return { ...draft, headers: [...draft.headers.filter(([other]) => other.toLowerCase() !== name.toLowerCase()), [name, value]] };
}

/** RFC 3986: everything but the unreserved characters; a lone surrogate goes out as U+FFFD. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
