/** The API under fuzz: its handler over all of its services and a store of its own, with workers that work only when they are told to. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { Database } from '../../src/backends/store/database.ts';
import type { Log } from '../../src/base/events.ts';
import { realSystem, type System } from '../../src/base/system.ts';
import type { Workers } from '../../src/base/worker-pool.ts';
import { parseConfig } from '../../src/config.ts';
import { createApiHandler } from '../../src/fronts/api/handler.ts';
import type { ApiRequest, ApiResponse } from '../../src/fronts/api/request.ts';
import { openInstallation } from '../../src/installation.ts';
import { Audit } from '../../src/service/audit.ts';
import { apiDependencies, createServices } from '../../src/services.ts';
import { noMicrosoft } from '../support/no-microsoft.ts';
import { insertWaitingRequest } from '../support/waiting-requests.ts';
import type { SigningCredentials } from './request-signing.ts';

const region = 'eu-central-1';

/** One operation is called more often than it may be, and the one that AWS lets nobody call often never is. */
const rates = { SCEP_RATE_GET_POLICY: '1', SCEP_RATE_CREATE_CERTIFICATE_AUTHORITY: 'off' };

export interface ApiTarget extends AsyncDisposable {
  readonly region: string;
  readonly database: Database;
  readonly administrator: SigningCredentials;
  /** Of another account. */
  readonly stranger: SigningCredentials;
  handle(request: ApiRequest): Promise<ApiResponse>;
  /** The server's clock. */
  now(): number;
  advance(ms: number): void;
  /** Lets the workers do all that waits for them. */
  settle(): Promise<void>;
  /** What the server logged as a failure of its own since it was last asked. */
  takeFailures(): object[];
  /** Stands in for a device that asks a connector which lets its requests wait. */
  makeRequest(ConnectorArn: string): Promise<void>;
}

/** In this thread, so that what it does is over when it is awaited. */
const workers: Workers = { run: async ({ run }, input) => run(input) };

export async function openApiTarget(): Promise<ApiTarget> {
  await using opening = new AsyncDisposableStack();
  const dataDir = opening.adopt(await mkdtemp(join(tmpdir(), 'scep-fuzz-')), path => rm(path, { recursive: true }));
  const failures: object[] = [];
  const log: Log = { info: () => {}, warn: () => {}, error: fields => void failures.push(fields) };
  let clockOffsetMs = 0;
  const system: System = { ...realSystem, now: () => realSystem.now() + clockOffsetMs };
  const { config, secrets } = parseConfig({ SCEP_DATA_DIR: dataDir, SCEP_REGION: region, ...rates });
  const installation = opening.use(await openInstallation(config, secrets, system));
  const { database, accessKeys } = installation;
  // No power cut will be survived, and commits cost a tenth.
  await sql`pragma synchronous = off`.execute(database.query);
  const audit = opening.use(new Audit({ database, system, log }));
  const services = createServices(config, { installation, workers, audit, log, transport: noMicrosoft });
  const workersOf = [services.lifecycle, services.authorityLifecycle, services.issuanceQueue];
  for (const worker of workersOf) worker.wake = () => {};
  const opened = opening.move();
  return {
    region,
    database,
    administrator: await accessKeys.createAccessKey({ accountId: '111122223333' }),
    stranger: await accessKeys.createAccessKey({ accountId: '444455556666' }),
    handle: createApiHandler(apiDependencies(services, installation, region, log)),
    now: () => system.now(),
    advance(ms) {
      clockOffsetMs += ms;
    },
    async settle() {
      let steps: number;
      do {
        steps = 0;
        for (const worker of workersOf) steps += await worker.step();
      } while (steps > 0);
    },
    takeFailures: () => failures.splice(0),
    async makeRequest(ConnectorArn) {
      await insertWaitingRequest(database.query, { ConnectorArn, now: system.now() });
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
