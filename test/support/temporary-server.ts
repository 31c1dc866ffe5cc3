/** The whole server in this process, on ports of 127.0.0.1 that the operating system chooses and over a data directory that goes when it stops. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import type { Database } from '../../src/backends/store/database.ts';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';
import { realSystem, type System } from '../../src/base/system.ts';
import { parseConfig } from '../../src/config.ts';
import { type RunningServer, startServer } from '../../src/server.ts';

export const accountId = '000000000000';

/** One line of the log as pino wrote it. */
export type LogLine = Record<string, unknown>;

export interface TemporaryServer extends AsyncDisposable {
  /** Of the first connector, over plain HTTP and over HTTPS. */
  readonly url: string;
  readonly tlsUrl: string;
  readonly apiUrl: string;
  readonly connectorId: string;
  readonly endpointSecret: string;
  readonly challengePassword: string;
  /** SHA-256 of the CA's certificate, in hexadecimal. */
  readonly caFingerprint: string;
  /** DER. */
  readonly caCertificate: Uint8Array;
  readonly dataDir: string;
  /** A connection of the test's own, for reading, and for writing while the server has nothing to do. */
  readonly database: Database;
  readonly logLines: LogLine[];
  /** The administrator's access key, as AWS's clients read it. */
  readonly credentialsFile: string;
  /** The server's clock. */
  now(): number;
  /** Moves it. */
  advance(ms: number): void;
  /** Stops the server, does `meanwhile` and starts it again over the same data directory; the ports change. */
  restart(meanwhile?: () => Promise<void>): Promise<void>;
}

/** The log's line of the last SCEP request: the workers write lines of their own, at any time. */
export function lastScepRequest({ logLines }: Pick<TemporaryServer, 'logLines'>): LogLine | undefined {
  return logLines.findLast(({ msg }) => msg === 'scep request');
}

export interface TemporaryServerOptions {
  /** Settings in place of the test's own, for example SCEP_CA_KEY_ALGORITHM. */
  env?: Record<string, string>;
  /** In place of the real clock. */
  now?: () => number;
}

/** A clock that stands still: however slow the machine is, no token comes and no failure is forgotten until the test moves it. */
export function stoppedClock(): () => number {
  const stoppedAt = realSystem.now();
  return () => stoppedAt;
}

export async function startTemporaryServer({ env = {}, now = realSystem.now }: TemporaryServerOptions = {}): Promise<TemporaryServer> {
  await using starting = new AsyncDisposableStack();
  const dataDir = starting.adopt(await mkdtemp(join(tmpdir(), 'scep-server-')), path => rm(path, { recursive: true }));
  const logLines: LogLine[] = [];
  const log: Logger = pino({ level: 'trace' }, { write: line => void logLines.push(JSON.parse(line)) });
  let clockOffsetMs = 0;
  const system: System = { ...realSystem, now: () => now() + clockOffsetMs };
  const { config, secrets } = parseConfig({
    SCEP_DATA_DIR: dataDir,
    SCEP_API_LISTEN: '127.0.0.1:0',
    SCEP_ENROLL_LISTEN: '127.0.0.1:0',
    SCEP_ENROLL_TLS_LISTEN: '127.0.0.1:0',
    SCEP_ACCOUNT: accountId,
    // Nobody listens there: no test asks Microsoft.
    SCEP_ENTRA_URL: 'http://127.0.0.1:9',
    ...env,
  });
  let running: RunningServer = await startServer(config, secrets, log, system);
  starting.defer(() => running[Symbol.asyncDispose]());
  await running.confirmFirstStart();
  const connector = running.firstStart?.connector;
  if (connector === undefined) throw new Error('the first start made no connector');
  const { connectorId, endpointSecret, challengePassword, caFingerprint, caCertificate } = connector;
  const path = `/${config.account}-${connectorId}/${endpointSecret}`;
  const database = starting.use(await openSqliteDatabase({ file: config.store.file }));
  const started = starting.move();
  return {
    get url() {
      return `http://${running.addresses.enroll}${path}`;
    },
    get tlsUrl() {
      return `https://${running.addresses.enrollTls}${path}`;
    },
    get apiUrl() {
      return `http://${running.addresses.api}`;
    },
    connectorId,
    endpointSecret,
    challengePassword,
    caFingerprint,
    caCertificate,
    dataDir,
    credentialsFile: join(dataDir, 'credentials'),
    database,
    logLines,
    now: () => system.now(),
    advance(ms) {
      clockOffsetMs += ms;
    },
    async restart(meanwhile = async () => {}) {
      await running[Symbol.asyncDispose]();
      await meanwhile();
      running = await startServer(config, secrets, log, system);
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}
