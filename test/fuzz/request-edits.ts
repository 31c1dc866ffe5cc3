/** Ways in which one thing of a request is broken: its method, path, query, headers or body. Each is a pure function of the draft. */
import { type Draft, withHeader } from './draft.ts';

/** Where an edit applies (0 to 1) and what it puts there. */
export interface Knobs {
  at: number;
  text: string;
  bytes: Uint8Array;
}

type Edit = (draft: Draft, knobs: Knobs) => Draft;

const bigBodyBytes = 300_000;
const deep = 100_000;

export const requestEdits: Readonly<Record<string, Edit>> = {
  otherMethod: (draft, { at }) => ({
    ...draft,
    method: choose(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE', 'get'], at),
  }),

  pathSuffix: (draft, { at }) => ({
    ...draft,
    path: draft.path + choose(['/', '//', '/x', '/.', '/..', '%2f', '%2F..', ';a=b', '.json', '%00', '/%2e%2e'], at),
  }),
  pathPrefix: (draft, { at }) => ({
    ...draft,
    path: choose(['/', '//', '/.', '/x/..', '/%2e', '/%2F', '/scep-connector/v1', ''], at) + draft.path,
  }),
  pathText: (draft, { at, text }) => ({ ...draft, path: insert(draft.path, at, targetText(text)) }),
  pathBadPercent: (draft, { at }) => ({
    ...draft,
    path: insert(draft.path, at, choose(['%', '%zz', '%0', '%ff', '%c0%af', '%ed%a0%80', '%u0041', '%00', '%E2%82'], at)),
  }),
  pathCut: (draft, { at }) => ({ ...draft, path: draft.path.slice(0, 1 + place(draft.path.slice(1), at)) }),
  pathDecoded: draft => ({ ...draft, path: draft.path.replaceAll('%2F', '/').replaceAll('%3A', ':') }),
  pathLowerHex: draft => ({ ...draft, path: draft.path.replace(/%[0-9A-F]{2}/g, escape => escape.toLowerCase()) }),
  pathTwiceEncoded: draft => ({ ...draft, path: draft.path.replaceAll('%', '%25') }),
  pathAllEncoded: draft => ({ ...draft, path: draft.path.replace(/[a-z]/g, letter => `%${letter.charCodeAt(0).toString(16)}`) }),
  pathUpperCase: draft => ({ ...draft, path: draft.path.toUpperCase() }),
  pathLong: (draft, { at }) => ({ ...draft, path: draft.path + choose(['/a', 'a', '%41', '/..', '//'], at).repeat(4000) }),
  segmentText: (draft, { at, text }) => ({
    ...draft,
    path: replaceOne(draft.path.split('/'), at, encodeURIComponent(text.toWellFormed())).join('/'),
  }),

  queryTwice: (draft, { at }) => ({ ...draft, query: [...draft.query, draft.query[place(draft.query, at)] ?? 'MaxResults=1'] }),
  queryUnknown: (draft, { at, text }) => ({
    ...draft,
    query: [...draft.query, `${choose(['__proto__', 'constructor', 'x', 'nextToken', 'Action'], at)}=${targetText(text)}`],
  }),
  queryValue: (draft, { at, text }) => ({
    ...draft,
    query: [
      ...draft.query,
      `${choose(['MaxResults', 'NextToken', 'ConnectorArn', 'tagKeys'], at)}=${encodeURIComponent(text.toWellFormed())}`,
    ],
  }),
  queryNumber: (draft, { at }) => ({
    ...draft,
    query: [`MaxResults=${choose(['0', '-0', '1001', '1e3', '0x10', '1.0', '+1', '%201', '9'.repeat(400), '', 'NaN'], at)}`],
  }),
  queryBadPercent: (draft, { at }) => ({ ...draft, query: [...draft.query, choose(['%', 'a=%', '%zz=b', 'a=%ff', 'a=%c0%80'], at)] }),
  queryOdd: (draft, { at }) => ({
    ...draft,
    query: [...draft.query, choose(['', '=', '&&', '=a', 'a', 'a=b=c', 'a+b=c+d', '?', 'a?b', '%4daxResults=1', '/../..'], at)],
  }),
  queryLong: (draft, { at }) => ({
    ...draft,
    query: [...draft.query, ...Array.from({ length: 2000 }, () => choose(['a', 'a=b', ''], at))],
  }),

  bodyCut: (draft, { at }) => ({ ...draft, body: draft.body.subarray(0, place(draft.body, at)) }),
  bodyBytes: (draft, { at, bytes }) => ({ ...draft, body: splice(draft.body, at, bytes) }),
  bodyText: (draft, { at, text }) => ({ ...draft, body: splice(draft.body, at, Buffer.from(JSON.stringify(text))) }),
  bodyEmpty: draft => ({ ...draft, body: new Uint8Array() }),
  bodyNotUtf8: (draft, { at }) => ({
    ...draft,
    body: choose([Buffer.from('{"a":"\u{fc}"}', 'latin1'), Buffer.from('{}', 'utf16le'), Buffer.from([0x7b, 0xed, 0xa0, 0x80, 0x7d])], at),
  }),
  bodyMarked: draft => ({ ...draft, body: Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), draft.body]) }),
  bodyNoObject: (draft, { at }) => ({
    ...draft,
    body: Buffer.from(
      choose(['null', '[]', '"a"', '0', 'true', ' ', '\n{}\n', '{}{}', '{},', "{'a':1}", '{a:1}', '{"a":1,}', '//{}', 'NaN'], at),
    ),
  }),
  bodyDeep: (draft, { at }) => ({ ...draft, body: Buffer.from(`{"Tags":${choose(['[', '{"a":'], at).repeat(deep)}`) }),
  bodyDeepWhole: draft => ({ ...draft, body: Buffer.from(`{"Tags":${'['.repeat(2000)}${']'.repeat(2000)}}`) }),
  bodyTwiceNamed: draft => ({ ...draft, body: jsonEdit(draft.body, json => json.replace(/^\{("[^"]*":)/, '{$1null,$1')) }),
  bodyNumbers: (draft, { at }) => ({
    ...draft,
    body: jsonEdit(draft.body, json =>
      json.replace(/("[^"]*":)(?:"[^"]*"|\d+)/, `$1${choose(['1e999', '-1e999', '1e-999', '9'.repeat(5000), '-0', '0.1e1', '01'], at)}`),
    ),
  }),
  bodyPrototype: (draft, { at }) => ({
    ...draft,
    body: jsonEdit(draft.body, json =>
      json.replace(/^\{/, choose(['{"__proto__":{"a":1},', '{"constructor":null,', '{"__proto__":null,', '{"toString":"a",'], at)),
    ),
  }),
  bodyEscapes: (draft, { at }) => ({
    ...draft,
    body: jsonEdit(draft.body, json =>
      json.replace(/":"/, `":"${choose(['\\ud800', '\\u0000', '\\udc00\\ud800', '\\ufeff', '\\x41', '\\'], at)}`),
    ),
  }),
  bodyBig: (draft, { at }) => ({ ...draft, body: Buffer.alloc(bigBodyBytes, choose([' ', '[', '{"a":', '\0'], at)) }),

  hostMissing: draft => ({ ...draft, headers: draft.headers.filter(([name]) => name.toLowerCase() !== 'host') }),
  hostOdd: (draft, { at }) => withHeader(draft, 'host', choose(['', '[::1', 'a b', 'localhost:99999', 'a,b', 'é'], at)),
  headerTwice: (draft, { at }) => ({ ...draft, headers: [...draft.headers, draft.headers[place(draft.headers, at)] ?? ['host', 'a']] }),
  headerUnknown: (draft, { at, text }) => ({
    ...draft,
    headers: [
      ...draft.headers,
      [choose(['x-amz-user-agent', 'x-amz-meta', '__proto__', 'constructor', 'x', 'Accept'], at), headerText(text)],
    ],
  }),
  headerKnown: (draft, { at, text }) =>
    withHeader(
      draft,
      choose(
        ['user-agent', 'content-type', 'content-encoding', 'x-amz-target', 'x-amz-date', 'x-amz-content-sha256', 'accept', 'origin'],
        at,
      ),
      headerText(text),
    ),
  headerLong: (draft, { at }) => ({
    ...draft,
    headers: [...draft.headers, ['user-agent', choose(['a', ' ', '\t,', 'é'], at).repeat(20_000)]],
  }),
  headersMany: draft => ({
    ...draft,
    headers: [...draft.headers, ...Array.from({ length: 600 }, (_, index): [string, string] => [`x-${index % 50}`, String(index)])],
  }),
  contentType: (draft, { at }) =>
    withHeader(
      draft,
      'content-type',
      choose(
        ['', 'text/plain', 'application/json; charset=utf-7', 'application/x-amz-json-1.0', 'multipart/form-data', '*/*', ';', 'é'],
        at,
      ),
    ),
  target: (draft, { at, text }) =>
    withHeader(
      draft,
      'x-amz-target',
      choose(
        ['ACMPrivateCA.', 'ACMPrivateCA.__proto__', 'acmprivateca.ListTags', ' ', '.', 'CertificateManager.ListTags', headerText(text)],
        at,
      ),
    ),
  targetTwice: (draft, { at }) => ({
    ...draft,
    headers: [...draft.headers, ['X-Amz-Target', choose(['ACMPrivateCA.ListTags', 'ACMPrivateCA.GetPolicy', ''], at)]],
  }),
};

export function choose<T>(items: readonly T[], at: number): T {
  const item = items[place(items, at)];
  if (item === undefined) throw new Error('nothing to choose from');
  return item;
}

function place({ length }: { length: number }, at: number): number {
  return Math.floor(at * length);
}

function insert(text: string, at: number, what: string): string {
  const start = 1 + place(text.slice(1), at);
  return text.slice(0, start) + what + text.slice(start);
}

function splice(bytes: Uint8Array, at: number, what: Uint8Array): Uint8Array {
  const start = place(bytes, at);
  return Buffer.concat([bytes.subarray(0, start), what, bytes.subarray(start + (start % 2))]);
}

function replaceOne(parts: readonly string[], at: number, part: string): string[] {
  const index = 1 + place(parts.slice(1), at);
  return parts.map((other, position) => (position === index ? part : other));
}

function jsonEdit(body: Uint8Array, edit: (json: string) => string): Uint8Array {
  return Buffer.from(edit(Buffer.from(body).toString()));
}

/** What Node's parser lets through of a request target: bytes as Latin-1, no control character, no space. */
export function targetText(text: string): string {
  return Buffer.from(text)
    .toString('latin1')
    .replace(/[^!-~\u{80}-\u{ff}]/gu, '');
}

/** What it lets through of a header's value. */
export function headerText(text: string): string {
  return Buffer.from(text)
    .toString('latin1')
    .replace(/[^\t -~\u{80}-\u{ff}]/gu, '');
}
