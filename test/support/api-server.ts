/** An AWS API server in this process, on a port of 127.0.0.1 and over a store of its own, with a certificate authority and two accounts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import PcaConnectorScep from 'aws-sdk/clients/pcaconnectorscep.js';
import type { AWSError } from 'aws-sdk/lib/error.js';
import type { Request } from 'aws-sdk/lib/request.js';
import type { Insertable } from 'kysely';
import { LocalKeyProtector } from '../../src/backends/key-protector.ts';
import { insertCertificateAuthority } from '../../src/backends/store/certificate-authorities.ts';
import { deleteConnectorRow, updateConnectorStatus } from '../../src/backends/store/connectors.ts';
import type { Database, Tables } from '../../src/backends/store/database.ts';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';
import type { Log } from '../../src/base/events.ts';
import { type ConnectorStatus, certificateAuthorityArn, parseConnectorArn } from '../../src/base/resources.ts';
import { realSystem, type System } from '../../src/base/system.ts';
import { WorkerPool } from '../../src/base/worker-pool.ts';
import { parseConfig } from '../../src/config.ts';
import { createApiHandler } from '../../src/fronts/api/handler.ts';
import type { Installation } from '../../src/installation.ts';
import { AccessKeys, type NewAccessKey } from '../../src/service/access-keys.ts';
import { Audit } from '../../src/service/audit.ts';
import { apiDependencies, createServices, type Services } from '../../src/services.ts';
import { allSettings } from '../../src/settings.ts';
import { listenApi } from './api-listener.ts';
import { noMicrosoft } from './no-microsoft.ts';

process.env['AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE'] = '1';

export const region = 'eu-central-1';
export const accountId = '111122223333';
export const otherAccountId = '444455556666';
export const publicUrl = 'https://scep.example.com';

const dayMs = 24 * 60 * 60_000;
const everyStatus: ConnectorStatus[] = ['CREATING', 'ACTIVE', 'DELETING', 'FAILED'];

type AuthorityRow = Insertable<Tables['certificate_authorities']>;
type ClientOptions = PcaConnectorScep.Types.ClientConfiguration;

export interface ApiServer extends AsyncDisposable {
  url: string;
  database: Database;
  services: Services;
  accessKeys: AccessKeys;
  /** Of the account whose client `client()` is. */
  credentials: NewAccessKey;
  /** Of a valid authority in that account. */
  certificateAuthorityArn: string;
  /** What the API reported as a failure of its own. */
  reports: unknown[];
  /** How often the lifecycle was woken. */
  wakeUps: number;
  /** The server's clock. */
  now(): number;
  /** Moves it. */
  advance(ms: number): void;
  client(options?: ClientOptions): PcaConnectorScep;
  otherAccountsClient(): PcaConnectorScep;
  /** Stands in for the private CA's API. */
  addCertificateAuthority(change?: Partial<AuthorityRow>): Promise<string>;
  /** Stands in for the lifecycle. */
  setStatus(connectorArn: string, status: ConnectorStatus): Promise<void>;
  finishDeletion(connectorArn: string): Promise<void>;
  createActiveConnector(): Promise<string>;
}

/** Every rate switched off: what a test sends is no flood. */
export const unthrottled = Object.fromEntries(
  Object.keys(allSettings).flatMap(name => (name.startsWith('SCEP_RATE_') ? [[name, 'off']] : [])),
);

export async function startApiServer({ env = unthrottled }: { env?: Record<string, string> } = {}): Promise<ApiServer> {
  const directory = await mkdtemp(join(tmpdir(), 'scep-api-'));
  const database = await openSqliteDatabase({ file: join(directory, 'scep.db') });
  let clockOffsetMs = 0;
  const system: System = { ...realSystem, now: () => realSystem.now() + clockOffsetMs };
  const keyProtector = new LocalKeyProtector(system.randomBytes(32), system);
  const log: Log = { info: () => {}, warn: () => {}, error: ({ err }: { err?: unknown }) => void server.reports.push(err) };
  const { config } = parseConfig({ SCEP_REGION: region, SCEP_PUBLIC_URL: publicUrl, ...env });
  const common = { database, keyProtector, system, region, log, quotas: config.quotas };
  const accessKeys = new AccessKeys(common);
  const installation: Installation = { ...common, accessKeys, [Symbol.asyncDispose]: async () => {} };
  const audit = new Audit(common);
  const workers = new WorkerPool(1);
  const services = createServices(config, { installation, workers, audit, log, transport: noMicrosoft });
  services.lifecycle.wake = () => {
    server.wakeUps += 1;
  };
  const handler = createApiHandler(apiDependencies(services, installation, region, log));
  const listener = await listenApi(handler);
  const { url } = listener;
  const credentials = await accessKeys.createAccessKey({ accountId });
  const otherCredentials = await accessKeys.createAccessKey({ accountId: otherAccountId });
  const makeClient = (options: ClientOptions) => new PcaConnectorScep({ endpoint: url, region, maxRetries: 0, credentials, ...options });

  const server: ApiServer = {
    url,
    database,
    services,
    accessKeys,
    credentials,
    certificateAuthorityArn: '',
    reports: [],
    wakeUps: 0,
    now: () => system.now(),
    advance(ms) {
      clockOffsetMs += ms;
    },
    client: (options = {}) => makeClient(options),
    otherAccountsClient: () => makeClient({ credentials: otherCredentials }),
    async addCertificateAuthority(change = {}) {
      const row = authorityRow(system, change);
      await insertCertificateAuthority(database.query, row);
      return certificateAuthorityArn({ accountId: row.account_id, region: row.region }, row.ca_id);
    },
    async setStatus(connectorArn, status) {
      await updateConnectorStatus(database.query, connectorIdOf(connectorArn), everyStatus, status, { updatedAt: system.now() });
    },
    async finishDeletion(connectorArn) {
      await deleteConnectorRow(database.query, connectorIdOf(connectorArn));
    },
    async createActiveConnector() {
      const { ConnectorArn = '' } = await server
        .client()
        .createConnector({ CertificateAuthorityArn: server.certificateAuthorityArn })
        .promise();
      await server.setStatus(ConnectorArn, 'ACTIVE');
      return ConnectorArn;
    },
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      await services.authorityLifecycle[Symbol.asyncDispose]();
      await services.issuanceQueue[Symbol.asyncDispose]();
      await audit[Symbol.asyncDispose]();
      await workers[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
  server.certificateAuthorityArn = await server.addCertificateAuthority();
  return server;
}

function connectorIdOf(arn: string): string {
  return parseConnectorArn(arn)?.connectorId ?? '';
}

function authorityRow(system: System, change: Partial<AuthorityRow>): AuthorityRow {
  const now = system.now();
  return {
    ca_id: system.randomUUID(),
    account_id: accountId,
    region,
    type: 'ROOT',
    status: 'ACTIVE',
    usage_mode: 'GENERAL_PURPOSE',
    key_algorithm: 'RSA_2048',
    signing_algorithm: 'SHA256WITHRSA',
    subject: 'CN=Test CA',
    certificate: null,
    chain: null,
    sealed_key: new Uint8Array(1),
    not_before: now - dayMs,
    not_after: now + 3650 * dayMs,
    created_at: now,
    updated_at: now,
    ...change,
  };
}

/** An answer as it was on the wire. */
export interface WireAnswer {
  statusCode: number;
  headers: Record<string, string>;
  text: string;
}

/** Sends a request of AWS's client and gives the answer on the wire, whether the client takes it for a success or not. */
export async function wireAnswer<D>(request: Request<D, AWSError>): Promise<WireAnswer> {
  return new Promise(resolve => {
    request.on('complete', ({ httpResponse: { statusCode, headers, body } }) => resolve({ statusCode, headers, text: String(body) }));
    request.send();
  });
}

export interface Refusal {
  statusCode: number;
  code: string;
  Message: string;
  [member: string]: unknown;
}

/** The refusal that AWS's client sees (`code`), with every member that was on the wire. */
export async function refusal<D>(request: Request<D, AWSError>): Promise<Refusal> {
  return new Promise((resolve, reject) => {
    request.on('complete', ({ error, httpResponse: { statusCode, body } }) => {
      if (!error) reject(new Error(`The request succeeded with status ${statusCode}.`));
      else resolve({ ...(JSON.parse(String(body)) as { Message: string }), statusCode, code: error.code });
    });
    request.send();
  });
}
