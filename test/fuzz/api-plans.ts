/** Plans of requests as fast-check arbitraries: pure data, made into a request only when it is known what exists at that moment. */
import * as fc from 'fast-check';
import { acmPcaOperations } from '../../src/fronts/api/acm-pca-operations.ts';
import { connectorOperations } from '../../src/fronts/api/connector-operations.ts';
import { enrolmentOperations } from '../../src/fronts/api/enrolment-operations.ts';
import { eventOperations } from '../../src/fronts/api/event-operations.ts';
import type { Operation } from '../../src/fronts/api/operation.ts';
import type { RestMembers, RestOperation } from '../../src/fronts/api/rest-json.ts';
import { scepOperations } from '../../src/fronts/api/scep-operations.ts';
import { fraction, inputOf } from './api-values.ts';
import { type Draft, percentEncode } from './draft.ts';
import { headerText, requestEdits, targetText } from './request-edits.ts';
import { signatureEdits } from './signature-edits.ts';

export const callers = ['administrator', 'reader', 'nobody', 'session', 'stranger', 'inactive', 'lapsed', 'unknown', 'unsigned'] as const;
export type Caller = (typeof callers)[number];

export interface PlannedEdit {
  name: string;
  at: number;
  text: string;
  /** Hexadecimal. */
  bytes: string;
}

export interface Plan {
  /** The operation's name; absent in a request of arbitrary parts. */
  operation?: string;
  input?: Record<string, unknown>;
  parts?: { method: string; target: string; headers: [string, string][]; body: string };
  caller: Caller;
  form: 'header' | 'query';
  /** Under the signature. */
  before: PlannedEdit[];
  /** After signing. */
  after: PlannedEdit[];
}

/** An operation of either protocol as a row of its table. */
type Row = { signingName: string; operation: Operation<never>; rest?: RestOperation<never> };

const restRows: Row[] = [...scepOperations, ...connectorOperations, ...enrolmentOperations, ...eventOperations].map(operation => ({
  signingName: 'pca-connector-scep',
  operation: operation as Operation<never>,
  rest: operation as RestOperation<never>,
}));
const jsonRows: Row[] = acmPcaOperations.map(operation => ({ signingName: 'acm-pca', operation: operation as Operation<never> }));
const rows: readonly Row[] = [...restRows, ...jsonRows];
export const restOperations = restRows.flatMap(({ rest }) => rest ?? []);
export const jsonOperations = jsonRows.map(({ operation }) => operation);
const rowByName = new Map(rows.map(row => [row.operation.name, row]));
if (rowByName.size !== rows.length) throw new Error('two operations have one name');

export function rowOf(name: string): Row {
  const row = rowByName.get(name);
  if (!row) throw new Error(`no operation ${name}`);
  return row;
}

/** Unsigned requests end soon: most are worth a signature that holds. */
const caller: fc.Arbitrary<Caller> = fc.oneof(
  { weight: 12, arbitrary: fc.constant('administrator') },
  { weight: 4, arbitrary: fc.constantFrom(...callers) },
);
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '__proto__',
    'constructor',
    '\r\nx: y',
    '\0',
    ' ',
    '\t',
    '%00',
    '../',
    "' or 1=1 --",
    '${jndi}',
    '\u{202e}',
    'é',
    '\ud800',
  ),
);
const editOf = (names: readonly string[]): fc.Arbitrary<PlannedEdit> =>
  fc.record({
    name: fc.constantFrom(...names),
    at: fraction,
    text,
    bytes: fc.uint8Array({ maxLength: 12 }).map(bytes => Buffer.from(bytes).toString('hex')),
  });
const requestEdit = editOf(Object.keys(requestEdits));
const anyEdit = editOf([...Object.keys(requestEdits), ...Object.keys(signatureEdits)]);
const signatureEdit = editOf(Object.keys(signatureEdits));
const none = fc.constant<PlannedEdit[]>([]);
const one = (edit: fc.Arbitrary<PlannedEdit>) => fc.array(edit, { minLength: 1, maxLength: 1 });

/** Broken in one place, if at all; now and then in more. */
const edits: fc.Arbitrary<Pick<Plan, 'before' | 'after'>> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ before: none, after: none }) },
  { weight: 5, arbitrary: fc.record({ before: one(requestEdit), after: none }) },
  { weight: 3, arbitrary: fc.record({ before: none, after: one(signatureEdit) }) },
  { weight: 1, arbitrary: fc.record({ before: fc.array(requestEdit, { maxLength: 3 }), after: fc.array(anyEdit, { maxLength: 3 }) }) },
);
const form = fc.oneof({ weight: 7, arbitrary: fc.constant('header' as const) }, { weight: 1, arbitrary: fc.constant('query' as const) });

const calls: fc.Arbitrary<Plan>[] = rows.map(({ operation, signingName }) =>
  fc
    .record({ input: inputOf(operation.input, signingName), caller, form, edits })
    .map(({ edits: broken, ...rest }) => ({ operation: operation.name, ...rest, ...broken })),
);

const headerName = fc.oneof(
  fc.constantFrom('host', 'content-type', 'x-amz-target', 'x-amz-date', 'authorization', 'x-amz-security-token', 'cookie', 'expect'),
  fc.stringMatching(/^[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}$/),
);
const arbitraryParts = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD'),
  target: fc
    .oneof(text.map(targetText), fc.webPath(), fc.constantFrom('', 'connectors', 'tags/a', 'healthz', 'scep-connector/v1/users'))
    .map(path => `/${path}`),
  headers: fc.array(fc.tuple(headerName, text.map(headerText)), { maxLength: 5 }),
  body: fc.oneof(fc.constant(''), fc.json(), fc.string({ unit: 'binary', maxLength: 200 })),
});
const noise: fc.Arbitrary<Plan> = fc
  .record({ parts: arbitraryParts, caller, form, edits })
  .map(({ edits: broken, ...rest }) => ({ ...rest, ...broken }));

export const planned: fc.Arbitrary<Plan> = fc.oneof({ weight: 12, arbitrary: fc.oneof(...calls) }, { weight: 1, arbitrary: noise });

/** The unsigned request; `input` has values where the plan had references. */
export function draftOf(plan: Plan, input: Record<string, unknown>, host: string): Draft {
  if (plan.operation === undefined) return draftOfParts(plan);
  const { operation, rest, signingName } = rowOf(plan.operation);
  if (rest) return draftOfRest(rest, input, host);
  const headers: Draft['headers'] = [
    ['host', host],
    ['content-type', 'application/x-amz-json-1.1'],
    ['x-amz-target', `${signingName === 'acm-pca' ? 'ACMPrivateCA' : signingName}.${operation.name}`],
  ];
  return { method: 'POST', path: '/', query: [], headers, body: Buffer.from(JSON.stringify(input)) };
}

function draftOfParts({ parts }: Plan): Draft {
  if (!parts) throw new Error('a plan without an operation and without parts');
  const [path = '', ...query] = parts.target.split('?');
  return {
    method: parts.method,
    path,
    query: query.length > 0 ? [query.join('?')] : [],
    headers: parts.headers,
    body: Buffer.from(parts.body),
  };
}

function draftOfRest({ method, uri, input: members }: RestOperation<never>, input: Record<string, unknown>, host: string): Draft {
  const path = uri.replace(/\{(\w+)\}/g, (_, name: string) => percentEncode(asText(input[name])));
  const query = Object.entries(members).flatMap(([name, { place, queryName = name }]) => {
    const value = input[name];
    if (place !== 'query' || value === undefined) return [];
    return (Array.isArray(value) ? value : [value]).map(part => `${queryName}=${percentEncode(asText(part))}`);
  });
  const body = Object.fromEntries(Object.entries(input).filter(([name]) => inBody(members, name)));
  const hasBody = Object.values(members).some(({ place }) => place === 'body');
  const headers: Draft['headers'] = [['host', host]];
  if (hasBody) headers.push(['content-type', 'application/json']);
  return { method, path, query, headers, body: hasBody ? Buffer.from(JSON.stringify(body)) : new Uint8Array() };
}

/** A member that is not modelled goes into the body. */
function inBody(members: RestMembers, name: string): boolean {
  return !Object.hasOwn(members, name) || members[name]?.place === 'body';
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
