/** A vector as a file: header lines, an empty line, and the body of the request in base64; read, written and held to its form. */
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { FailInfo, type FailInfoName } from '../../src/base/scep.ts';
import { type ConnectorName, connectorNames } from './vector-store.ts';

export const vectorsDirectory = join(import.meta.dirname, '../vectors');

/** What a vector asks for. */
export type Expectation =
  | { pkiStatus: 'SUCCESS' | 'PENDING' }
  | { pkiStatus: 'FAILURE'; failInfo: FailInfoName }
  | { pkiStatus?: undefined; statusCode: number };

export interface Vector {
  /** `group/name`, as its file is called. */
  name: string;
  expect: Expectation;
  /** The failInfoText or, of an answer that is no CertRep, its text, with `\\n` where a line ends. */
  reason?: string;
  /** Who sent it or how it was made, and what it stands for. */
  source: string;
  connector: ConnectorName;
  method: string;
  /** What follows the path of the connector's URL. */
  target: string;
  headers: readonly (readonly [name: string, value: string])[];
  /** The vector that must have been sent before. */
  after?: string;
  /** Absent: handed to the SCEP front. `HTTP/1.0` and `HTTP/1.1`: written to a connection to the whole server, with no header but those given. */
  transport?: 'HTTP/1.0' | 'HTTP/1.1';
  /** How often it is sent at once, for every answer to be the same. */
  parallel: number;
  body: Uint8Array;
}

const keys = ['expect', 'reason', 'source', 'connector', 'request', 'headers', 'after', 'transport', 'parallel', 'padding'] as const;
type Key = (typeof keys)[number];

export function vectorNames(): string[] {
  const files = globSync('*/*.txt', { cwd: vectorsDirectory });
  return files.map(file => file.split(sep).join('/').slice(0, -'.txt'.length)).sort();
}

export function readVectors(): Vector[] {
  return vectorNames().map(name => parseVector(name, readFileSync(fileOf(name), 'utf8')));
}

export function writeVector(vector: Vector): void {
  const file = fileOf(vector.name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, encodeVector(vector));
}

function fileOf(name: string): string {
  return join(vectorsDirectory, `${name}.txt`);
}

export function encodeVector({ name, expect, headers, method, target, body, parallel, ...rest }: Vector): string {
  const { content, padding } = splitPadding(body);
  const values: Partial<Record<Key, string>> = {
    ...rest,
    expect: expectationText(expect),
    request: `${method} ${target}`.trimEnd(),
    ...(headers.length > 0 && { headers: headers.map(([key, value]) => `${key}: ${value}`).join(' | ') }),
    ...(parallel > 1 && { parallel: String(parallel) }),
    ...(padding > 0 && { padding: String(padding) }),
  };
  const header = keys.flatMap(key => (values[key] === undefined ? [] : [`${key}: ${values[key]}\n`])).join('');
  if (/[\r\n]/.test(Object.values(values).join(''))) throw new Error(`${name}: a value with a line break`);
  const lines =
    Buffer.from(content)
      .toString('base64')
      .match(/.{1,76}/g) ?? [];
  return content.length === 0 ? header : `${header}\n${lines.join('\n')}\n`;
}

/** Zero octets beyond this at a body's end are counted, not written: megabytes of them are no use to a reader. */
const paddingWrittenMax = 4096;

function splitPadding(body: Uint8Array): { content: Uint8Array; padding: number } {
  const end = Buffer.from(body).findLastIndex(octet => octet !== 0) + 1;
  const padding = body.length - end;
  return padding > paddingWrittenMax ? { content: body.subarray(0, end), padding } : { content: body, padding: 0 };
}

function expectationText(expect: Expectation): string {
  if (expect.pkiStatus === undefined) return `HTTP ${expect.statusCode}`;
  return expect.pkiStatus === 'FAILURE' ? `FAILURE ${expect.failInfo}` : expect.pkiStatus;
}

/** Throws on what is not in the form: a vector that cannot be read must not be passed over. */
export function parseVector(name: string, text: string): Vector {
  const [header = '', base64 = ''] = text.split('\n\n');
  const values = parseHeader(name, header);
  const required = (key: Key) => values.get(key) ?? fail(name, `${key} is missing`);
  const [, method, target] = /^([A-Z]+)(?: (.*))?$/.exec(required('request')) ?? fail(name, 'request is no method and target');
  const transport = values.get('transport');
  if (transport !== undefined && transport !== 'HTTP/1.0' && transport !== 'HTTP/1.1') fail(name, `transport ${transport}`);
  const [reason, after, headers] = [values.get('reason'), values.get('after'), values.get('headers')];
  return {
    name,
    expect: parseExpectation(required('expect')) ?? fail(name, 'expect says nothing that can be expected'),
    ...(reason !== undefined && { reason }),
    source: required('source'),
    connector: connectorNames.find(known => known === required('connector')) ?? fail(name, 'connector is none of the world'),
    method: method ?? '',
    target: target ?? '',
    headers: headers?.split(' | ').map(line => parseHeaderLine(name, line)) ?? [],
    ...(after !== undefined && { after }),
    ...(transport !== undefined && { transport }),
    parallel: Number(values.get('parallel') ?? 1),
    body: Buffer.concat([parseBody(name, base64), Buffer.alloc(Number(values.get('padding') ?? 0))]),
  };
}

function parseHeader(name: string, header: string): Map<Key, string> {
  const values = new Map<Key, string>();
  for (const line of header.trimEnd().split('\n')) {
    const [text, value] = parseHeaderLine(name, line);
    const key = keys.find(known => known === text) ?? fail(name, `unknown key ${text}`);
    if (values.has(key)) fail(name, `${key} stands twice`);
    values.set(key, value);
  }
  return values;
}

function parseHeaderLine(name: string, line: string): [key: string, value: string] {
  const colon = line.indexOf(': ');
  if (colon < 1) fail(name, `"${line}" is no key and value`);
  return [line.slice(0, colon), line.slice(colon + 2)];
}

function parseBody(name: string, text: string): Buffer {
  const lines = text.trimEnd().split('\n');
  if (lines.some(line => line.length > 76)) fail(name, 'a line of base64 has more than 76 characters');
  const base64 = lines.join('');
  const body = Buffer.from(base64, 'base64');
  if (body.toString('base64') !== base64) fail(name, 'the body is no base64');
  return body;
}

function parseExpectation(text: string): Expectation | undefined {
  if (text === 'SUCCESS' || text === 'PENDING') return { pkiStatus: text };
  const [, status] = /^HTTP (\d{3})$/.exec(text) ?? [];
  if (status !== undefined) return { statusCode: Number(status) };
  const [, reason = ''] = /^FAILURE (\w+)$/.exec(text) ?? [];
  return reason in FailInfo ? { pkiStatus: 'FAILURE', failInfo: reason as FailInfoName } : undefined;
}

function fail(name: string, mistake: string): never {
  throw new Error(`${name}: ${mistake}`);
}
