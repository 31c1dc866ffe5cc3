/** Reads the environment into one frozen Config and separate Secrets: the only reader of process.env. */
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { z } from 'zod';
import type { Network } from './base/ip-networks.ts';
import { type MicrosoftCloud, microsoftClouds } from './base/microsoft-clouds.ts';
import type { KeyAlgorithm } from './base/private-ca.ts';
import {
  type ConnectorRateQuotaName,
  connectorRateQuotas,
  type Quotas,
  type RateQuotaName,
  type ResourceQuotaName,
  rateQuotas,
  resourceQuotas,
} from './base/quotas.ts';
import { allSettings, type Listen, type logLevels, quotaSetting, rateSetting, type settings, workersMax } from './settings.ts';

const resourceQuotaNames = Object.keys(resourceQuotas) as ResourceQuotaName[];
const rateQuotaNames = Object.keys(rateQuotas) as RateQuotaName[];
const connectorRateQuotaNames = Object.keys(connectorRateQuotas) as ConnectorRateQuotaName[];

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
  readonly compatibility: 'clients' | 'aws';
  readonly workers: number;
  readonly logLevel: (typeof logLevels)[number];
  /** `auto` is json, or pretty on a terminal: only the command line knows whether it has one. */
  readonly logFormat: 'json' | 'pretty' | 'auto';
  readonly caKeyAlgorithm: KeyAlgorithm;
  /** URL by endpoint id; undefined where there is none yet. */
  readonly vpcEndpoints: ReadonlyMap<string, string | undefined>;
  /** Networks by their texts. */
  readonly trustedProxies: ReadonlyMap<string, Network>;
  readonly publicationUrl: string;
  readonly auditFile?: string;
  /** Infinity: for ever. */
  readonly auditRetentionDays: number;
  readonly microsoft: MicrosoftCloud;
  readonly quotas: Quotas;
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

const nearMissesMax = 3;

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
    SCEP_VPC_ENDPOINTS: vpcEndpointsText(config.vpcEndpoints),
    SCEP_TRUSTED_PROXIES: config.trustedProxies.size === 0 ? undefined : [...config.trustedProxies.keys()].join(','),
    SCEP_PUBLICATION_URL: config.publicationUrl,
    SCEP_AUDIT_FILE: config.auditFile,
    SCEP_AUDIT_RETENTION_DAYS: numberText(config.auditRetentionDays),
    SCEP_ENTRA_URL: config.microsoft.entraUrl,
    SCEP_GRAPH_URL: config.microsoft.graphUrl,
    SCEP_INTUNE_RESOURCE: config.microsoft.intuneResource,
    SCEP_INTUNE_HOSTS: config.microsoft.intuneHosts.join(','),
    SCEP_ENTRA_AUDIENCE: config.microsoft.tokenExchangeAudience,
  };
  const lines = [...Object.entries(texts), ...quotaTexts(config.quotas)].filter(([, text]) => text !== undefined);
  return lines.map(([name, text]) => `${name}=${text}`).join('\n');
}

function listenText(at: Listen | undefined): string {
  if (!at) return 'off';
  return `${at.host.includes(':') ? `[${at.host}]` : at.host}:${at.port}`;
}

function vpcEndpointsText(endpoints: Config['vpcEndpoints']): string | undefined {
  return endpoints.size === 0 ? undefined : [...endpoints].map(([id, url]) => (url === undefined ? id : `${id}=${url}`)).join(',');
}

function numberText(value: number): string {
  return value === Number.POSITIVE_INFINITY ? 'off' : String(value);
}

function quotaTexts({ resources, rates, connectorRates }: Quotas): [name: string, text: string][] {
  return [
    ...resourceQuotaNames.map((name): [string, string] => [quotaSetting(name), numberText(resources[name])]),
    ...rateQuotaNames.map((name): [string, string] => [rateSetting(name), numberText(rates[name])]),
    ...connectorRateQuotaNames.map((name): [string, string] => [rateSetting(name), numberText(connectorRates[name])]),
  ];
}

function parseSettings(env: Environment): { values: Values; mistakes: string[] } {
  const values: Record<string, unknown> = {};
  const mistakes: string[] = [];
  for (const [name, setting] of Object.entries(allSettings)) {
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
    name => name.startsWith('SCEP_') && !name.startsWith('SCEP_TEST_') && !Object.hasOwn(allSettings, name),
  );
  return unknown.map(name => {
    const near = nearMisses(name);
    return `${name} is not a setting: ${near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'docs/configuration.md lists them all.'}`;
  });
}

function nearMisses(name: string): string[] {
  const distanceMax = Math.max(2, Math.floor(name.length / 4));
  return Object.keys(allSettings)
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
  const cloud = values.SCEP_MICROSOFT_CLOUD;
  if (cloud === 'china' && (values.SCEP_INTUNE_RESOURCE === undefined || values.SCEP_INTUNE_HOSTS === undefined)) {
    mistakes.push(
      'SCEP_MICROSOFT_CLOUD is china, of which Microsoft does not say where Intune is: set SCEP_INTUNE_RESOURCE and SCEP_INTUNE_HOSTS.',
    );
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
    vpcEndpoints: values.SCEP_VPC_ENDPOINTS ?? new Map(),
    trustedProxies: values.SCEP_TRUSTED_PROXIES ?? new Map(),
    publicationUrl: values.SCEP_PUBLICATION_URL ?? defaultPublicationUrl(values),
    ...(values.SCEP_AUDIT_FILE && { auditFile: resolve(values.SCEP_AUDIT_FILE) }),
    auditRetentionDays: values.SCEP_AUDIT_RETENTION_DAYS,
    microsoft: microsoftOf(values),
    quotas: quotasOf(values),
  });
}

/** A CRL is fetched over plain HTTP where it can be: checking the certificate of an HTTPS server may need that very CRL. */
function defaultPublicationUrl({ SCEP_PUBLIC_URL: publicUrl, SCEP_ENROLL_LISTEN: enrollListen }: CompleteValues): string {
  return enrollListen === 'off' ? publicUrl : `http://${new URL(publicUrl).hostname}:${enrollListen.port}`;
}

function microsoftOf(values: CompleteValues): MicrosoftCloud {
  const cloud = microsoftClouds[values.SCEP_MICROSOFT_CLOUD];
  return Object.freeze({
    entraUrl: values.SCEP_ENTRA_URL ?? cloud.entraUrl,
    graphUrl: values.SCEP_GRAPH_URL ?? cloud.graphUrl,
    // Where the cloud has none, the setting is there: see `contradictions`.
    intuneResource: values.SCEP_INTUNE_RESOURCE ?? cloud.intuneResource ?? '',
    intuneHosts: values.SCEP_INTUNE_HOSTS ?? cloud.intuneHosts ?? [],
    tokenExchangeAudience: values.SCEP_ENTRA_AUDIENCE ?? cloud.tokenExchangeAudience,
  });
}

/** Each of these settings has a default, but for those of connectors: a device that is told to wait often gives up, so only AWS's own behaviour has them. */
function quotasOf(values: CompleteValues): Quotas {
  const valueOf = (setting: string) => (values as Readonly<Record<string, unknown>>)[setting] as number | undefined;
  const whereAws = (rate: number) => (values.SCEP_COMPATIBILITY === 'aws' ? rate : Number.POSITIVE_INFINITY);
  return Object.freeze({
    resources: valuesByName(resourceQuotaNames, name => valueOf(quotaSetting(name))),
    rates: valuesByName(rateQuotaNames, name => valueOf(rateSetting(name))),
    connectorRates: valuesByName(
      connectorRateQuotaNames,
      name => valueOf(rateSetting(name)) ?? whereAws(connectorRateQuotas[name].default),
    ),
  });
}

function valuesByName<Name extends string>(names: readonly Name[], valueOf: (name: Name) => number | undefined): Record<Name, number> {
  return Object.fromEntries(names.map(name => [name, valueOf(name)])) as Record<Name, number>;
}

function secretsOf(values: CompleteValues): Secrets {
  const masterKeyFile = resolve(values.SCEP_MASTER_KEY_FILE ?? join(values.SCEP_DATA_DIR, 'master.key'));
  return Object.freeze({ ...(values.SCEP_MASTER_KEY && { masterKey: values.SCEP_MASTER_KEY }), masterKeyFile });
}
