/** Reads the environment into one frozen Config and separate Secrets: the only reader of process.env. */
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';

/** Where a listener listens. Port 0 lets the operating system choose. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

export interface Config {
  readonly dataDir: string;
  readonly store: { readonly engine: 'sqlite'; readonly file: string };
  readonly apiListen: Listen;
  readonly enrollListen?: Listen;
  readonly enrollTlsListen?: Listen;
  readonly tlsFiles?: { readonly certificate: string; readonly key: string };
  readonly publicUrl: string;
  readonly region: string;
  readonly account: string;
  readonly bootstrap: boolean;
  readonly compatibility: 'clients';
  readonly workers: number;
  readonly logLevel: (typeof logLevels)[number];
  /** `auto` is json, or pretty on a terminal: only the command line knows whether it has one. */
  readonly logFormat: 'json' | 'pretty' | 'auto';
  readonly caKeyAlgorithm: (typeof caKeyAlgorithms)[number];
}

/** What must never be printed, apart from Config so that printing a Config is safe. */
export interface Secrets {
  /** Base64 text, when the key is handed over in the environment; otherwise it is in `masterKeyFile`. */
  readonly masterKey?: string;
  readonly masterKeyFile: string;
}

/** Carries every mistake of the environment at once, one sentence each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(mistakes.join('\n'));
    this.mistakes = mistakes;
  }
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
const caKeyAlgorithms = ['RSA_2048', 'RSA_3072', 'RSA_4096', 'EC_prime256v1', 'EC_secp384r1'] as const;
const workersMax = 64;
const nearMissesMax = 3;

/** A form of text: `parse` gives the value, or undefined when the text is not one, and then `advice` says what to write instead. */
function form<T>(parse: (text: string) => T | undefined, advice: string) {
  return z.string().transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: advice });
    return z.NEVER;
  });
}

function matching(pattern: RegExp, advice: string) {
  return form(text => (pattern.test(text) ? text : undefined), advice);
}

function oneOf<const T extends string>(words: readonly T[]) {
  return form(text => words.find(word => word === text), `write ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`);
}

function parseListen(text: string): Listen | undefined {
  const [, bracketed, name, port] = /^(?:\[([0-9a-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = bracketed ?? name;
  return host !== undefined && Number(port) <= 65_535 ? { host, port: Number(port) } : undefined;
}

function parsePublicUrl(text: string): string | undefined {
  if (!URL.canParse(text) || /[?#\s]/.test(text)) return undefined;
  const url = new URL(text);
  const isPlain = (url.protocol === 'https:' || url.protocol === 'http:') && url.username === '' && url.password === '';
  return isPlain ? url.href.replace(/\/+$/, '') : undefined;
}

function parseWorkers(text: string): number | undefined {
  const workers = Number(text);
  return /^\d+$/.test(text) && workers >= 1 && workers <= workersMax ? workers : undefined;
}

function parseStore(text: string, context: z.RefinementCtx<string>): 'sqlite' {
  if (text === 'sqlite') return text;
  const isPostgres = /^postgres(?:ql)?:/i.test(text);
  context.addIssue({ code: 'custom', message: isPostgres ? 'PostgreSQL is not in this version: write sqlite' : 'write sqlite' });
  return z.NEVER;
}

function parseCompatibility(text: string, context: z.RefinementCtx<string>): 'clients' {
  if (text === 'clients') return text;
  context.addIssue({ code: 'custom', message: text === 'aws' ? 'aws is not in this version: write clients' : 'write clients' });
  return z.NEVER;
}

const listen = form(parseListen, 'write HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080');
const listenOrOff = form(
  text => (text === 'off' ? text : parseListen(text)),
  'write HOST:PORT, for example 127.0.0.1:8081 or [::1]:8081, or off',
);
const path = form(text => text, 'write a path');

interface Setting {
  /** What holds when it is not set; undefined: nothing, or what `defaultMeaning` says. */
  readonly default?: string;
  readonly defaultMeaning?: string;
  readonly meaning: string;
  readonly form: z.ZodType<unknown, string>;
  /** Its text, which is or may hold a password, is in no message. */
  readonly isHidden?: true;
}

/** Every setting. docs/configuration.md holds the same table, and a test compares the two. */
export const settings = {
  SCEP_DATA_DIR: {
    default: './data',
    meaning: 'Directory of the database, the master key, the first credentials and the TLS files.',
    form: path,
  },
  SCEP_STORE: {
    default: 'sqlite',
    meaning: 'The store: `sqlite` is a file in the data directory.',
    form: z.string().transform(parseStore),
    isHidden: true,
  },
  SCEP_API_LISTEN: { default: '127.0.0.1:8080', meaning: 'Address of the API and of the health checks.', form: listen },
  SCEP_ENROLL_LISTEN: {
    default: '127.0.0.1:8081',
    meaning: 'Address of enrolment over plain HTTP (RFC 8894); `off` closes it.',
    form: listenOrOff,
  },
  SCEP_ENROLL_TLS_LISTEN: {
    default: '127.0.0.1:8443',
    meaning: 'Address of enrolment over HTTPS; `off` behind a proxy that ends TLS.',
    form: listenOrOff,
  },
  SCEP_TLS_CERT: {
    defaultMeaning: 'made at first start',
    meaning: 'PEM file of the HTTPS certificate and its chain; set it together with SCEP_TLS_KEY.',
    form: path,
  },
  SCEP_TLS_KEY: { defaultMeaning: 'made at first start', meaning: 'PEM file of the private key of SCEP_TLS_CERT.', form: path },
  SCEP_PUBLIC_URL: {
    default: 'https://localhost:8443',
    meaning: 'What the Endpoint of every connector begins with: the URL at which devices reach this server.',
    form: form(parsePublicUrl, 'write an http or https URL without user, query and fragment'),
    isHidden: true,
  },
  SCEP_REGION: {
    default: 'us-east-1',
    meaning: 'Region in the ARNs and in the signature scope of API requests.',
    form: matching(/^[a-z]+(?:-[a-z]+)+-[1-9]\d*$/, 'write a region in the form of AWS, for example us-east-1'),
  },
  SCEP_ACCOUNT: {
    default: '000000000000',
    meaning: 'Account of the resources made at first start.',
    form: matching(/^\d{12}$/, 'write 12 digits'),
  },
  SCEP_BOOTSTRAP: {
    default: 'on',
    meaning: 'Whether an empty store gets a CA, a connector and a challenge; with `off` it gets only the access key of the administrator.',
    form: oneOf(['on', 'off']),
  },
  SCEP_COMPATIBILITY: {
    default: 'clients',
    meaning: 'Where SCEP clients and the AWS service want different answers: `clients` (see divergences.md).',
    form: z.string().transform(parseCompatibility),
  },
  SCEP_MASTER_KEY: {
    meaning: 'The master key itself, 32 bytes in base64, in place of a file. It seals every private key and password at rest.',
    form: matching(/^[A-Za-z0-9+/]{43}=$/, 'write 32 bytes in base64, for example the output of: openssl rand -base64 32'),
    isHidden: true,
  },
  SCEP_MASTER_KEY_FILE: {
    defaultMeaning: '`master.key` in the data directory',
    meaning: 'File that holds the master key; made with mode 0600 at first start when it is missing.',
    form: path,
  },
  SCEP_WORKERS: {
    defaultMeaning: `number of cores, at most ${workersMax}`,
    meaning: `Enrolment workers, 1 to ${workersMax}.`,
    form: form(parseWorkers, `write a whole number from 1 to ${workersMax}`),
  },
  SCEP_LOG_LEVEL: { default: 'info', meaning: `Least level that is logged: ${logLevels.join(', ')}.`, form: oneOf(logLevels) },
  SCEP_LOG_FORMAT: {
    defaultMeaning: '`json`, or `pretty` on a terminal',
    meaning: 'Form of the log lines on stderr: `json` or `pretty`.',
    form: oneOf(['json', 'pretty']),
  },
  SCEP_CA_KEY_ALGORITHM: {
    default: 'RSA_2048',
    meaning: `Key of the CA made at first start: ${caKeyAlgorithms.join(', ')}.`,
    form: oneOf(caKeyAlgorithms),
  },
} as const satisfies Record<string, Setting>;

type SettingName = keyof typeof settings;
type Environment = Record<string, string | undefined>;
type Values = { [Name in SettingName]: z.output<(typeof settings)[Name]['form']> | undefined };
/** Settings that have a value whatever the environment holds. */
type DefaultedName = { [Name in SettingName]: (typeof settings)[Name] extends { default: string } ? Name : never }[SettingName];
type CompleteValues = Values & { [Name in DefaultedName]: NonNullable<Values[Name]> };

/** Throws ConfigError with every mistake at once. */
export function parseConfig(env: Environment): { config: Config; secrets: Secrets } {
  const { values, mistakes } = parseSettings(env);
  mistakes.push(...unknownNames(env), ...contradictions(values));
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  // Without a mistake every setting with a default has a value.
  const complete = values as CompleteValues;
  return { config: configOf(complete), secrets: secretsOf(complete) };
}

export function readConfig(): { config: Config; secrets: Secrets } {
  return parseConfig(process.env);
}

/** The effective configuration as an environment file. Secrets are not part of it. */
export function describeConfig(config: Config): string {
  const texts: Partial<Record<SettingName, string | undefined>> = {
    SCEP_DATA_DIR: config.dataDir,
    SCEP_STORE: config.store.engine,
    SCEP_API_LISTEN: listenText(config.apiListen),
    SCEP_ENROLL_LISTEN: listenText(config.enrollListen),
    SCEP_ENROLL_TLS_LISTEN: listenText(config.enrollTlsListen),
    SCEP_TLS_CERT: config.tlsFiles?.certificate,
    SCEP_TLS_KEY: config.tlsFiles?.key,
    SCEP_PUBLIC_URL: config.publicUrl,
    SCEP_REGION: config.region,
    SCEP_ACCOUNT: config.account,
    SCEP_BOOTSTRAP: config.bootstrap ? 'on' : 'off',
    SCEP_COMPATIBILITY: config.compatibility,
    SCEP_WORKERS: String(config.workers),
    SCEP_LOG_LEVEL: config.logLevel,
    SCEP_LOG_FORMAT: config.logFormat === 'auto' ? undefined : config.logFormat,
    SCEP_CA_KEY_ALGORITHM: config.caKeyAlgorithm,
  };
  const lines = Object.entries(texts).filter(([, text]) => text !== undefined);
  return lines.map(([name, text]) => `${name}=${text}`).join('\n');
}

function listenText(at: Listen | undefined): string {
  if (!at) return 'off';
  return `${at.host.includes(':') ? `[${at.host}]` : at.host}:${at.port}`;
}

function parseSettings(env: Environment): { values: Values; mistakes: string[] } {
  const values: Record<string, unknown> = {};
  const mistakes: string[] = [];
  for (const [name, setting] of Object.entries<Setting>(settings)) {
    const text = env[name] ?? setting.default;
    if (text === undefined) continue;
    if (text === '') {
      mistakes.push(`${name} is empty: give it a value or unset it.`);
      continue;
    }
    const result = setting.form.safeParse(text);
    if (result.success) values[name] = result.data;
    else mistakes.push(`${name}${setting.isHidden ? '' : ` is ${JSON.stringify(text)}`}: ${result.error.issues[0]?.message}.`);
  }
  // Each key was parsed by the form that gives Values its type.
  return { values: values as Values, mistakes };
}

/** A misspelt name would otherwise leave its default in force, unnoticed. SCEP_TEST_… belongs to the test harness. */
function unknownNames(env: Environment): string[] {
  const unknown = Object.keys(env).filter(
    name => name.startsWith('SCEP_') && !name.startsWith('SCEP_TEST_') && !Object.hasOwn(settings, name),
  );
  return unknown.map(name => {
    const near = nearMisses(name);
    return `${name} is not a setting: ${near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'docs/configuration.md lists them all.'}`;
  });
}

function nearMisses(name: string): string[] {
  const distanceMax = Math.max(2, Math.floor(name.length / 4));
  return Object.keys(settings)
    .map(known => ({ known, distance: editDistance(name, known) }))
    .filter(({ distance }) => distance <= distanceMax)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, nearMissesMax)
    .map(({ known }) => known);
}

/** Levenshtein's distance, one row of the table at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const substituted = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(substituted, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function contradictions(values: Values): string[] {
  const mistakes: string[] = [];
  if ((values.SCEP_TLS_CERT === undefined) !== (values.SCEP_TLS_KEY === undefined)) {
    mistakes.push('SCEP_TLS_CERT and SCEP_TLS_KEY belong together: set both or neither.');
  }
  if (values.SCEP_MASTER_KEY !== undefined && values.SCEP_MASTER_KEY_FILE !== undefined) {
    mistakes.push('SCEP_MASTER_KEY and SCEP_MASTER_KEY_FILE exclude each other: set one.');
  }
  const taken = new Map<string, string>();
  for (const name of ['SCEP_API_LISTEN', 'SCEP_ENROLL_LISTEN', 'SCEP_ENROLL_TLS_LISTEN'] as const) {
    const at = values[name];
    if (at === undefined || at === 'off' || at.port === 0) continue;
    const address = `${at.host}:${at.port}`;
    const other = taken.get(address);
    if (other) mistakes.push(`${other} and ${name} are the same address: give each its own port.`);
    taken.set(address, name);
  }
  return mistakes;
}

function configOf(values: CompleteValues): Config {
  const dataDir = resolve(values.SCEP_DATA_DIR);
  const { SCEP_ENROLL_LISTEN: enrollListen, SCEP_ENROLL_TLS_LISTEN: enrollTlsListen } = values;
  const { SCEP_TLS_CERT: certificate, SCEP_TLS_KEY: key } = values;
  return Object.freeze({
    dataDir,
    store: Object.freeze({ engine: values.SCEP_STORE, file: join(dataDir, 'scep.db') }),
    apiListen: Object.freeze(values.SCEP_API_LISTEN),
    ...(enrollListen !== 'off' && { enrollListen: Object.freeze(enrollListen) }),
    ...(enrollTlsListen !== 'off' && { enrollTlsListen: Object.freeze(enrollTlsListen) }),
    ...(certificate && key && { tlsFiles: Object.freeze({ certificate: resolve(certificate), key: resolve(key) }) }),
    publicUrl: values.SCEP_PUBLIC_URL,
    region: values.SCEP_REGION,
    account: values.SCEP_ACCOUNT,
    bootstrap: values.SCEP_BOOTSTRAP === 'on',
    compatibility: values.SCEP_COMPATIBILITY,
    workers: values.SCEP_WORKERS ?? Math.min(availableParallelism(), workersMax),
    logLevel: values.SCEP_LOG_LEVEL,
    logFormat: values.SCEP_LOG_FORMAT ?? 'auto',
    caKeyAlgorithm: values.SCEP_CA_KEY_ALGORITHM,
  });
}

function secretsOf(values: CompleteValues): Secrets {
  const masterKeyFile = resolve(values.SCEP_MASTER_KEY_FILE ?? join(values.SCEP_DATA_DIR, 'master.key'));
  return Object.freeze({ ...(values.SCEP_MASTER_KEY && { masterKey: values.SCEP_MASTER_KEY }), masterKeyFile });
}
