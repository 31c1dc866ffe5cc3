/** The world that the vectors are sent to: the real services and SCEP front in this process, over a store with fixed contents and under a clock that stands still. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Database } from '../../src/backends/store/database.ts';
import type { Log } from '../../src/base/events.ts';
import { realSystem, type System } from '../../src/base/system.ts';
import { WorkerPool, type Workers } from '../../src/base/worker-pool.ts';
import { parseConfig } from '../../src/config.ts';
import { createScepFront, type ScepHandler } from '../../src/fronts/scep/handler.ts';
import { openInstallation } from '../../src/installation.ts';
import { startServer } from '../../src/server.ts';
import { Audit } from '../../src/service/audit.ts';
import { createServices, type Services } from '../../src/services.ts';
import { noMicrosoft } from './no-microsoft.ts';
import { worldNow } from './vector-identities.ts';
import { fillStore, worldHome } from './vector-store.ts';

const masterKey = Buffer.alloc(32, 'vectors').toString('base64');

export interface VectorWorld extends AsyncDisposable {
  /** The SCEP front's own. */
  readonly handle: ScepHandler;
  readonly services: Services;
  readonly database: Database;
  /** What was logged as a failure of the server's own since it was last asked. */
  takeFailures(): object[];
  advance(ms: number): void;
  /** What a refusal must leave as it is: every certificate and transaction with its status. */
  issuance(): Promise<{ certificates: string[]; transactions: string[] }>;
  /** The whole server over the same store, on a port of 127.0.0.1. Its address ends with the world. */
  listen(): Promise<string>;
}

export interface VectorWorldOptions {
  /** In place of a clock that stands at `worldNow`. */
  now?: () => number;
  randomBytes?: System['randomBytes'];
  /** Takes each line of the log, as JSON. */
  onLog?: (line: string) => void;
  /** 'inline': private keys are used in this thread, so that what a request does is over when it is answered. */
  workers?: 'inline' | number;
}

const inline: Workers = { run: async ({ run }, input) => run(input) };

export async function openVectorWorld(options: VectorWorldOptions = {}): Promise<VectorWorld> {
  const { now = () => worldNow, randomBytes = realSystem.randomBytes, workers: workersOption = 1, onLog } = options;
  await using opening = new AsyncDisposableStack();
  const dataDir = opening.adopt(await mkdtemp(join(tmpdir(), 'scep-vectors-')), path => rm(path, { recursive: true }));
  let clockOffsetMs = 0;
  const system: System = { ...realSystem, now: () => now() + clockOffsetMs, randomBytes };
  const failures: object[] = [];
  const logLine = (fields: object, message: string) => onLog?.(JSON.stringify({ ...fields, message }, showError));
  const log: Log = {
    info: logLine,
    warn: logLine,
    error(fields, message) {
      failures.push(fields);
      logLine(fields, message);
    },
  };
  const { config, secrets } = configOf(dataDir);
  await writeFile(config.store.file, await filledStore(), { mode: 0o600 });
  const installation = opening.use(await openInstallation(config, secrets, system));
  const { database } = installation;
  const audit = opening.use(new Audit({ database, system, log }));
  const workers = workersOption === 'inline' ? inline : opening.use(new WorkerPool(workersOption));
  const services = createServices(config, { installation, workers, audit, log, transport: noMicrosoft });
  const { compatibility, publicUrl } = config;
  const { handle } = createScepFront({ ...services, compatibility, publicUrl, system, log, record: event => audit.recordCall(event) });
  let listening: Promise<string> | undefined;
  const serving = opening.use(new AsyncDisposableStack());
  const listen = async () => {
    const server = serving.use(await startServer(config, secrets, pino({ level: 'silent' }), system));
    return `http://${server.addresses.enroll}`;
  };
  const opened = opening.move();
  return {
    handle,
    services,
    database,
    takeFailures: () => failures.splice(0),
    advance(ms) {
      clockOffsetMs += ms;
    },
    issuance: () => issuanceIn(database),
    listen: () => (listening ??= listen()),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function configOf(dataDir: string): ReturnType<typeof parseConfig> {
  return parseConfig({
    SCEP_DATA_DIR: dataDir,
    SCEP_ACCOUNT: worldHome.accountId,
    SCEP_REGION: worldHome.region,
    SCEP_MASTER_KEY: masterKey,
    SCEP_BOOTSTRAP: 'off',
    SCEP_API_LISTEN: '127.0.0.1:0',
    SCEP_ENROLL_LISTEN: '127.0.0.1:0',
    SCEP_ENROLL_TLS_LISTEN: 'off',
    SCEP_WORKERS: '1',
  });
}

let filled: Promise<Buffer> | undefined;

/** The store as a file, made once in a process: every world begins with a copy. */
async function filledStore(): Promise<Buffer> {
  filled ??= fill();
  return filled;
}

async function fill(): Promise<Buffer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'scep-vectors-'));
  try {
    const { config, secrets } = configOf(dataDir);
    const installation = await openInstallation(config, secrets);
    try {
      await fillStore(installation);
    } finally {
      await installation[Symbol.asyncDispose]();
    }
    return await readFile(config.store.file);
  } finally {
    await rm(dataDir, { recursive: true });
  }
}

async function issuanceIn({ query }: Database): Promise<{ certificates: string[]; transactions: string[] }> {
  const certificates = await query.selectFrom('certificates').select(['certificate_id', 'status']).orderBy('certificate_id').execute();
  const transactions = await query
    .selectFrom('transactions')
    .select(['transaction_row_id', 'status', 'updated_at'])
    .orderBy('transaction_row_id')
    .execute();
  return {
    certificates: certificates.map(row => Object.values(row).join(' ')),
    transactions: transactions.map(row => Object.values(row).join(' ')),
  };
}

/** An Error's own words are none of its enumerable properties. */
function showError(_name: string, value: unknown): unknown {
  return value instanceof Error ? { message: value.message, stack: value.stack, cause: value.cause } : value;
}
