/** As much of the AWS CLI as the documents use, over AWS's own client: a document's script runs with it where there is no CLI. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import PcaConnectorScep from 'aws-sdk/clients/pcaconnectorscep.js';
import AWS from 'aws-sdk/global.js';

process.env['AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE'] = '1';

/** Of a service's description as AWS's client has it. */
export interface Shape {
  shape?: string;
  type?: string;
  members?: Record<string, Shape>;
  member?: Shape;
}
interface Model {
  operations: Record<string, { input: Shape }>;
  shapes: Record<string, Shape>;
}
interface Waiters {
  waiters: Record<string, { operation: string }>;
}

export interface Command {
  service: string;
  operation: string;
  /** Set of `wait`. */
  waiter: string | undefined;
  /** Member and text of every option that is the operation's own. */
  parameters: [member: string, text: string][];
  global: Record<string, string>;
  shapeOf(member: string): Shape;
}

const read = createRequire(import.meta.url);
const files = { 'acm-pca': 'acm-pca-2017-08-22', 'pca-connector-scep': 'pca-connector-scep-2018-05-10' } as const;
const globalOptions = new Set(['endpoint-url', 'output', 'query', 'region']);
/** Not the CLI's own, which waits for seconds. */
const waiterDelaySeconds = 0.2;

/** Throws for a service, command or option that the CLI would not know. */
export function parseCommand(args: readonly string[]): Command {
  const words: string[] = [];
  const options: [name: string, text: string][] = [];
  for (let index = 0; index < args.length; index++) {
    const word = args[index] ?? '';
    if (word.startsWith('--')) options.push([word.slice(2), args[++index] ?? '']);
    else words.push(word);
  }
  const [service = '', ...rest] = words;
  if (!isService(service)) throw new Error(`no service ${service}`);
  const model = read(`aws-sdk/apis/${files[service]}.min.json`) as Model;
  const waiter = rest[0] === 'wait' ? named(waitersOf(service), rest[1]) : undefined;
  const operation = waiter === undefined ? named(model.operations, rest[0]) : (waitersOf(service)[waiter]?.operation ?? '');
  const { members = {} } = resolve(model, model.operations[operation]?.input ?? {});
  return {
    service,
    operation,
    waiter,
    parameters: options.filter(([name]) => !globalOptions.has(name)).map(([name, text]) => [named(members, name), text]),
    global: Object.fromEntries(options.filter(([name]) => globalOptions.has(name))),
    shapeOf: member => expand(model, members[member] ?? {}),
  };
}

function isService(name: string): name is keyof typeof files {
  return Object.hasOwn(files, name);
}

function waitersOf(service: keyof typeof files): Waiters['waiters'] {
  return (read(`aws-sdk/apis/${files[service]}.waiters2.json`) as Waiters).waiters;
}

/** The name that the CLI spells with hyphens. */
function named(candidates: object, spelt = ''): string {
  const name = Object.keys(candidates).find(candidate => hyphenated(candidate) === spelt);
  if (name === undefined) throw new Error(`nothing is called ${spelt}`);
  return name;
}

function hyphenated(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '-').toLowerCase();
}

function resolve(model: Model, shape: Shape): Shape {
  return shape.shape === undefined ? shape : (model.shapes[shape.shape] ?? {});
}

/** With what it refers to in place. No shape here holds itself. */
function expand(model: Model, shape: Shape): Shape {
  const { members, member, ...rest } = resolve(model, shape);
  return {
    ...rest,
    ...(members && { members: Object.fromEntries(Object.entries(members).map(([name, inner]) => [name, expand(model, inner)])) }),
    ...(member && { member: expand(model, member) }),
  };
}

/** As the CLI reads a value: a file's bytes, JSON of what has parts, a number, or the text itself. */
function valueOf({ type = 'string' }: Shape, text: string): unknown {
  if (text.startsWith('fileb://')) return readFileSync(text.slice('fileb://'.length));
  if (text.startsWith('file://')) return readFileSync(text.slice('file://'.length), 'utf8');
  if (type === 'string' || type === 'blob') return text;
  return JSON.parse(text) as unknown;
}

async function run(args: readonly string[]): Promise<string> {
  const { service, operation, waiter, parameters, global, shapeOf } = parseCommand(args);
  const credentials = new AWS.SharedIniFileCredentials({ filename: process.env['AWS_SHARED_CREDENTIALS_FILE'] ?? '' });
  const options = { endpoint: global['endpoint-url'] ?? '', region: process.env['AWS_REGION'] ?? '', credentials, maxRetries: 0 };
  const client: AWS.Service = service === 'acm-pca' ? new ACMPCA(options) : new PcaConnectorScep(options);
  const input = Object.fromEntries(parameters.map(([member, text]) => [member, valueOf(shapeOf(member), text)]));
  if (waiter !== undefined) {
    const state = waiter.charAt(0).toLowerCase() + waiter.slice(1);
    const waiting = client as unknown as { waitFor(state: string, input: object): { promise(): Promise<unknown> } };
    await waiting.waitFor(state, { ...input, $waiter: { delay: waiterDelaySeconds } }).promise();
    return '';
  }
  const output: unknown = await client.makeRequest(operation.charAt(0).toLowerCase() + operation.slice(1), input).promise();
  const asked = (global['query'] ?? '').split('.').filter(name => name !== '');
  const value = asked.reduce<unknown>((inner, name) => (inner as Record<string, unknown>)[name], output);
  return asked.length === 0 ? '' : `${String(value)}\n`;
}

if (import.meta.main) {
  try {
    process.stdout.write(await run(process.argv.slice(2)));
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    process.stderr.write(`An error occurred (${code}): ${message}\n`);
    process.exitCode = 254;
  }
}
