/** Every setting: its name, default, meaning and form. docs/configuration.md holds the same table, and a test compares the two. */
import { z } from 'zod';
import { type Network, parseNetwork } from './base/ip-networks.ts';
import { isSafeUrl, microsoftCloudNames } from './base/microsoft-clouds.ts';
import { keyAlgorithms } from './base/private-ca.ts';
import { connectorRateQuotas, type Quota, type Rate, rateQuotas, resourceQuotas } from './base/quotas.ts';

/** Where a listener listens. Port 0 lets the operating system choose. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
/** ML-DSA is left out: no device takes it for the CA of a first start. */
export const caKeyAlgorithms = keyAlgorithms.filter(algorithm => !algorithm.startsWith('ML_DSA'));
export const workersMax = 64;

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

/** `off` is no limit at all. */
function parseQuota(text: string): number | undefined {
  if (text === 'off') return Number.POSITIVE_INFINITY;
  const value = Number(text);
  return /^\d{1,9}$/.test(text) && value >= 1 ? value : undefined;
}

/** Undefined as a value: an endpoint without a URL yet. */
function parseVpcEndpoints(text: string): ReadonlyMap<string, string | undefined> | undefined {
  const endpoints = new Map<string, string | undefined>();
  for (const entry of text.split(',')) {
    const [, id, url = ''] = /^\s*(vpce-[0-9a-f]{8}(?:[0-9a-f]{9})?)(?:=(.*?))?\s*$/.exec(entry) ?? [];
    const parsed = url === '' ? undefined : parsePublicUrl(url);
    if (id === undefined || endpoints.has(id) || (url !== '' && parsed === undefined)) return undefined;
    endpoints.set(id, parsed);
  }
  return endpoints;
}

/** Networks by their texts. One of every address there is would let anybody write what the audit trail says of them. */
function parseTrustedProxies(text: string): ReadonlyMap<string, Network> | undefined {
  const networks = new Map<string, Network>();
  for (const entry of text.split(',').map(part => part.trim())) {
    const network = parseNetwork(entry);
    if (network === undefined || network.prefixBits === 0) return undefined;
    networks.set(entry, network);
  }
  return networks;
}

/** What goes there is secret: see `isSafeUrl`. */
function parseMicrosoftUrl(text: string): string | undefined {
  const url = parsePublicUrl(text);
  return url !== undefined && isSafeUrl(new URL(url)) ? url : undefined;
}

function parseHosts(text: string): readonly string[] | undefined {
  const hosts = text.split(',').map(host => host.trim());
  return hosts.every(host => /^(?:[a-z0-9-]+\.)*[a-z0-9-]+$/.test(host)) ? hosts : undefined;
}

function parseDays(text: string): number | undefined {
  if (text === 'off') return Number.POSITIVE_INFINITY;
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 ? Number(text) : undefined;
}

const listen = form(parseListen, 'write HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080');
const listenOrOff = form(
  text => (text === 'off' ? text : parseListen(text)),
  'write HOST:PORT, for example 127.0.0.1:8081 or [::1]:8081, or off',
);
const microsoftUrl = form(parseMicrosoftUrl, 'write an https URL without user, query and fragment; http only of this machine');
const path = form(text => text, 'write a path');

export interface Setting {
  /** What holds when it is not set; undefined: nothing, or what `defaultMeaning` says. */
  readonly default?: string;
  readonly defaultMeaning?: string;
  readonly meaning: string;
  readonly form: z.ZodType<unknown, string>;
  /** Its text, which is or may hold a password, is in no message. */
  readonly isHidden?: true;
}

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
    meaning: 'Where SCEP clients and the AWS service want different answers: `clients`, or `aws` (see divergences.md).',
    form: oneOf(['clients', 'aws']),
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
  SCEP_VPC_ENDPOINTS: {
    meaning:
      'Private enrolment addresses, `vpce-…=URL` separated by commas. A connector made with such a VpcEndpointId answers at that URL alone.',
    form: form(parseVpcEndpoints, 'write vpce-0123456789abcdef0=https://scep.internal.example, with commas between several'),
    isHidden: true,
  },
  SCEP_TRUSTED_PROXIES: {
    meaning:
      'Addresses and networks of the proxies before the enrolment listeners, separated by commas. What they, and only they, say in X-Forwarded-For is where a request comes from.',
    form: form(parseTrustedProxies, 'write addresses or networks with commas between them, for example 10.0.0.5,192.168.7.0/24'),
  },
  SCEP_PUBLICATION_URL: {
    defaultMeaning: 'the host of SCEP_PUBLIC_URL with the port of SCEP_ENROLL_LISTEN, over HTTP',
    meaning: 'What the CRL addresses in certificates begin with: a URL at which relying parties reach an enrolment listener.',
    form: form(parsePublicUrl, 'write an http or https URL without user, query and fragment'),
    isHidden: true,
  },
  SCEP_AUDIT_FILE: { meaning: 'File to which every audit record is appended as a line of JSON, in the form of CloudTrail.', form: path },
  SCEP_AUDIT_RETENTION_DAYS: {
    default: '90',
    meaning: 'How long audit records stay in the store; `off` keeps them for ever.',
    form: form(parseDays, 'write a whole number of days from 1, or off'),
  },
  SCEP_MICROSOFT_CLOUD: {
    default: 'public',
    meaning: `Microsoft's cloud for INTUNE connectors: ${microsoftCloudNames.join(', ')}. It gives the settings below their defaults.`,
    form: oneOf(microsoftCloudNames),
  },
  SCEP_ENTRA_URL: {
    defaultMeaning: 'of the cloud, such as `https://login.microsoftonline.com`',
    meaning: 'Where Entra ID gives tokens.',
    form: microsoftUrl,
    isHidden: true,
  },
  SCEP_GRAPH_URL: {
    defaultMeaning: 'of the cloud, such as `https://graph.microsoft.com`',
    meaning: 'Where Microsoft Graph says where Intune is.',
    form: microsoftUrl,
    isHidden: true,
  },
  SCEP_INTUNE_RESOURCE: {
    defaultMeaning: 'of the cloud, such as `https://api.manage.microsoft.com`',
    meaning: 'What a token for Intune is asked for. It is a name: nothing is fetched there.',
    form: form(parsePublicUrl, 'write an https URL'),
    isHidden: true,
  },
  SCEP_INTUNE_HOSTS: {
    defaultMeaning: 'of the cloud, such as `manage.microsoft.com`',
    meaning:
      'Hosts, separated by commas, at or below which Intune may be. Tokens for Intune are sent nowhere else, whatever Microsoft Graph says.',
    form: form(parseHosts, 'write host names with commas between them, for example manage.microsoft.com'),
  },
  SCEP_ENTRA_AUDIENCE: {
    defaultMeaning: 'of the cloud, such as `api://AzureADTokenExchange`',
    meaning: 'OpenIdConfiguration.Audience of INTUNE connectors: what Entra ID expects in the assertions of a federated credential.',
    form: matching(/^[!-~]{1,600}$/, 'write up to 600 characters without a space'),
  },
} as const satisfies Record<string, Setting>;

/** `SCEP_QUOTA_CONNECTORS`. */
export function quotaSetting(name: keyof typeof resourceQuotas): string {
  return `SCEP_QUOTA_${name}`;
}

/** `SCEP_RATE_CREATE_CONNECTOR`, `SCEP_RATE_GET_CA_CERT`. */
export function rateSetting(operation: keyof typeof rateQuotas | keyof typeof connectorRateQuotas): string {
  const words = operation.replace(/(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '_');
  return `SCEP_RATE_${words.toUpperCase()}`;
}

const quota = form(parseQuota, 'write a whole number from 1, or off');

function code(QuotaCode: string | undefined): string {
  return QuotaCode === undefined ? '' : ` (${QuotaCode})`;
}

const quotaSettings: [name: string, setting: Setting][] = [
  ...Object.entries<Quota>(resourceQuotas).map(([name, { default: value, QuotaCode, description }]): [string, Setting] => [
    quotaSetting(name as keyof typeof resourceQuotas),
    { default: String(value), meaning: `Number of ${description}${code(QuotaCode)}; \`off\` is no limit.`, form: quota },
  ]),
  ...Object.entries<Rate>(rateQuotas).map(([operation, { default: value, QuotaCode }]): [string, Setting] => [
    rateSetting(operation as keyof typeof rateQuotas),
    {
      default: String(value),
      meaning: `Calls of ${operation} per second and account${code(QuotaCode)}; \`off\` is no limit.`,
      form: quota,
    },
  ]),
  ...Object.entries<Rate>(connectorRateQuotas).map(([operation, { default: value, QuotaCode }]): [string, Setting] => [
    rateSetting(operation as keyof typeof connectorRateQuotas),
    {
      defaultMeaning: `\`off\`, or \`${value}\` with SCEP_COMPATIBILITY=aws`,
      meaning: `Requests of ${operation} per second and connector${code(QuotaCode)}; \`off\` is no limit.`,
      form: quota,
    },
  ]),
];

export const allSettings: Readonly<Record<string, Setting>> = { ...settings, ...Object.fromEntries(quotaSettings) };
