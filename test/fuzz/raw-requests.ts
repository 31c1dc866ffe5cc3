/** Requests as bytes on a connection, broken where HTTP itself can be, and the answers that come back. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import type { ApiResponse } from '../../src/fronts/api/request.ts';
import { type Plan, planned } from './api-plans.ts';
import { fraction } from './api-values.ts';

/** A signed request and what is done to its bytes. */
export interface RawPlan {
  plan: Plan;
  mutations: { name: string; at: number; bytes: string }[];
  /** How many bytes are sent at a time; 0 sends all at once. */
  chunkBytes: number;
}

type Mutation = (bytes: Buffer, at: number, extra: Buffer) => Buffer;

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const headerBytesTooMany = 200_000;
const bodyBytesTooMany = 300_000;
/** What is left after them goes in one piece. */
const chunksMax = 100;

/** Parts of the request as the mutations see it. */
const headEnd = (bytes: Buffer) => Math.max(0, bytes.indexOf('\r\n\r\n'));
const lineEnd = (bytes: Buffer) => Math.max(0, bytes.indexOf('\r\n'));
const place = (bytes: Buffer, at: number) => Math.floor(at * bytes.length);
const cutAt = (bytes: Buffer, index: number, what: Buffer | string, dropped = 0) =>
  Buffer.concat([bytes.subarray(0, index), typeof what === 'string' ? latin1(what) : what, bytes.subarray(index + dropped)]);
const withLine = (bytes: Buffer, line: string) => cutAt(bytes, lineEnd(bytes), `\r\n${line}`);
const pick = (items: readonly string[], at: number) => items[Math.floor(at * items.length)] ?? '';
const inHead = (bytes: Buffer, edit: (head: string) => string) =>
  Buffer.concat([latin1(edit(bytes.subarray(0, headEnd(bytes)).toString('latin1'))), bytes.subarray(headEnd(bytes))]);

const mutations: Readonly<Record<string, Mutation>> = {
  bytesInserted: (bytes, at, extra) => cutAt(bytes, place(bytes, at), extra),
  bytesReplaced: (bytes, at, extra) => cutAt(bytes, place(bytes, at), extra, extra.length),
  bytesDropped: (bytes, at, extra) => cutAt(bytes, place(bytes, at), '', 1 + extra.length),
  headBytes: (bytes, at, extra) => cutAt(bytes, place(bytes.subarray(0, headEnd(bytes)), at), extra, extra.length),
  cutShort: (bytes, at) => bytes.subarray(0, place(bytes, at)),
  nul: (bytes, at) => cutAt(bytes, place(bytes.subarray(0, headEnd(bytes)), at), '\0'),
  control: (bytes, at) =>
    cutAt(bytes, place(bytes.subarray(0, headEnd(bytes)), at), pick(['\r', '\n', '\x7f', '\x0b', '\x1b', '\x80'], at)),
  bareLineFeeds: bytes => inHead(bytes, head => head.replaceAll('\r\n', '\n')),
  folded: (bytes, at) => withLine(bytes, `x-amz-meta: a\r\n${pick([' ', '\t', '  '], at)}b`),
  foldedFirst: bytes => withLine(bytes, ' folded: first'),
  headerLong: (bytes, at) =>
    withLine(bytes, `${pick(['x: ', 'user-agent: ', 'authorization: ', ''], at)}${'a'.repeat(headerBytesTooMany)}`),
  headersMany: bytes => withLine(bytes, Array.from({ length: 3000 }, (_, index) => `x-${index}: a`).join('\r\n')),
  headerOdd: (bytes, at) => withLine(bytes, pick([': a', 'a', 'a b: c', 'a :b', 'é: a', 'a:', '__proto__: a', '\x01: a', 'a:\x02'], at)),
  lengthOdd: (bytes, at) =>
    inHead(bytes, head => {
      const value = pick(['-1', '+1', '0x10', '1e3', '', ' ', 'a', '9'.repeat(30), '18446744073709551616', '1, 2', '0', '1', '999999'], at);
      return `${head.replace(/\r\ncontent-length: \d+/, '')}\r\ncontent-length: ${value}`;
    }),
  lengthTwice: (bytes, at) => withLine(bytes, `content-length: ${pick(['0', '5', '2'], at)}`),
  chunked: (bytes, at) => {
    const body = bytes.subarray(headEnd(bytes) + 4);
    const size = pick(
      [body.length.toString(16), '-1', 'ffffffffffffffffff', 'g', '', '0', `${body.length.toString(16)};a=${'b'.repeat(50)}`],
      at,
    );
    const head = bytes
      .subarray(0, headEnd(bytes))
      .toString('latin1')
      .replace(/\r\ncontent-length: \d+/, '');
    return Buffer.concat([latin1(`${head}\r\ntransfer-encoding: chunked\r\n\r\n${size}\r\n`), body, latin1('\r\n0\r\n\r\n')]);
  },
  chunkedAndLength: bytes => withLine(bytes, 'transfer-encoding: chunked'),
  transferEncoding: (bytes, at) =>
    withLine(bytes, `transfer-encoding: ${pick(['identity', 'gzip', 'chunked, chunked', 'chunked;a', 'xchunked', ''], at)}`),
  bodyTooLong: bytes => {
    const head = bytes
      .subarray(0, headEnd(bytes))
      .toString('latin1')
      .replace(/\r\ncontent-length: \d+/, '');
    return Buffer.concat([latin1(`${head}\r\ncontent-length: ${bodyBytesTooMany}\r\n\r\n`), Buffer.alloc(bodyBytesTooMany, 'a')]);
  },
  expect: (bytes, at) => withLine(bytes, `expect: ${pick(['100-continue', '200-ok', '', '100-continue, 100-continue'], at)}`),
  connection: (bytes, at) => withLine(bytes, `connection: ${pick(['upgrade\r\nupgrade: h2c', 'close', 'keep-alive, close', 'a'], at)}`),
  version: (bytes, at) =>
    inHead(bytes, head =>
      head.replace('HTTP/1.1', pick(['HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/9.9', 'http/1.1', 'HTTP/1.1 ', ''], at)),
    ),
  requestLine: (bytes, at) =>
    inHead(bytes, head =>
      head.replace(
        /^(\S+) (\S+)/,
        pick(['$1  $2', '$1\t$2', ' $1 $2', '$1 http://a$2', '$1 //a$2', '$1 *', '$1 a', '$1', 'CONNECT a:1', 'M-SEARCH $2', 'PRI *'], at),
      ),
    ),
  targetLong: bytes => inHead(bytes, head => head.replace(/^(\S+ \S+)/, `$1${'a'.repeat(headerBytesTooMany)}`)),
  targetBytes: (bytes, at) =>
    inHead(bytes, head => head.replace(/^(\S+ \S+)/, `$1${pick(['\xff', '\xc0\xaf', '#a', '\\', '<>', '"', '^`{|}'], at)}`)),
  twice: bytes => Buffer.concat([bytes, bytes]),
  emptyLinesFirst: bytes => Buffer.concat([latin1('\r\n\r\n\r\n'), bytes]),
  textFirst: (bytes, at) =>
    Buffer.concat([
      latin1(pick(['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '\x16\x03\x01\x02\x00\x01', 'PROXY TCP4 1 2 3 4\r\n', '\0\0'], at)),
      bytes,
    ]),
  noise: (_, __, extra) => Buffer.concat([extra, extra, extra]),
};

export const mutationNames: readonly string[] = Object.keys(mutations);

const mutation = fc.record({
  name: fc.constantFrom(...mutationNames),
  at: fraction,
  bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }).map(bytes => Buffer.from(bytes).toString('hex')),
});

export const rawPlanned: fc.Arbitrary<RawPlan> = fc.record({
  plan: planned,
  mutations: fc.oneof(
    { weight: 4, arbitrary: fc.array(mutation, { maxLength: 1 }) },
    { weight: 1, arbitrary: fc.tuple(mutation, mutation) },
  ),
  chunkBytes: fc.constantFrom(0, 0, 0, 7, 1000),
});

export function mutate(bytes: Buffer, steps: RawPlan['mutations']): Buffer {
  return steps.reduce((current, { name, at, bytes: extra }) => mutations[name]?.(current, at, Buffer.from(extra, 'hex')) ?? current, bytes);
}

interface ExchangeOptions {
  chunkBytes: number;
  timeoutMs: number;
  /** How long an answer is waited for before the client ends its side: Node drops the answer that a worker still makes when it does. */
  patienceMs?: number;
}

/** Sends the bytes, ends its side, and resolves with every whole answer once the server has ended its own; undefined if it has not in time. */
export async function exchange(
  address: string,
  bytes: Buffer,
  { chunkBytes, timeoutMs, patienceMs = 0 }: ExchangeOptions,
): Promise<ApiResponse[] | undefined> {
  const [hostname = '', port] = address.split(':');
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const received: Buffer[] = [];
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const timer = setTimeout(() => {
    resolve(undefined);
    socket.destroy();
  }, timeoutMs);
  const answering = Promise.withResolvers<void>();
  socket.on('data', chunk => {
    received.push(chunk);
    answering.resolve();
  });
  // A server that has refused a request need not read the rest of it.
  socket.on('error', () => {});
  socket.on('close', () => {
    clearTimeout(timer);
    answering.resolve();
    resolve(Buffer.concat(received));
  });
  socket.on('end', () => socket.end());
  const inChunks = Math.min(bytes.length, chunkBytes * chunksMax);
  for (let at = 0; at < inChunks; at += chunkBytes) socket.write(bytes.subarray(at, Math.min(at + chunkBytes, inChunks)));
  socket.write(bytes.subarray(inChunks));
  if (patienceMs > 0) await Promise.race([answering.promise, sleep(patienceMs)]);
  socket.end();
  const answered = await promise;
  return answered && parseAnswers(answered);
}

/** Of a connection that was closed in the middle of an answer the last is left out. */
function parseAnswers(bytes: Buffer): ApiResponse[] {
  const answers: ApiResponse[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const headEnds = rest.indexOf('\r\n\r\n');
    if (headEnds < 0) break;
    const [statusLine = '', ...lines] = rest.subarray(0, headEnds).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(lines.map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
    const bodyStarts = headEnds + 4;
    const next = rest.indexOf('HTTP/1.1 ', bodyStarts);
    // An answer to HEAD says the length of what it leaves out; one of Node's own may say none and come in chunks.
    const bodyLength = next === bodyStarts ? 0 : headers['content-length'];
    const bodyEnds = bodyLength === undefined ? (next < 0 ? rest.length : next) : bodyStarts + Number(bodyLength);
    const statusCode = Number(statusLine.split(' ')[1]);
    const body = rest.subarray(bodyStarts, bodyEnds).toString();
    answers.push({ statusCode, headers, body: bodyLength === undefined ? dechunked(body) : body });
    rest = rest.subarray(bodyEnds);
  }
  return answers;
}

/** RFC 9112 section 7.1, of ASCII. */
function dechunked(text: string): string {
  const [, size = '', rest = ''] = /^([0-9a-f]+)\r\n([^]*)$/i.exec(text) ?? [];
  const length = Number.parseInt(size, 16) || 0;
  return length === 0 ? '' : rest.slice(0, length) + dechunked(rest.slice(length + '\r\n'.length));
}
