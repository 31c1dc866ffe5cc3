/** The simulation's world: the real services over a real store, the double of Microsoft, and a clock, a network and a process that fail when they are told to. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { MicrosoftError } from '../../src/backends/intune/microsoft-error.ts';
import type { MicrosoftRequest, Transport } from '../../src/backends/intune/microsoft-http.ts';
import type { Database } from '../../src/backends/store/database.ts';
import { realSystem, type System } from '../../src/base/system.ts';
import type { Workers } from '../../src/base/worker-pool.ts';
import { parseConfig } from '../../src/config.ts';
import { type Installation, openInstallation } from '../../src/installation.ts';
import { Audit } from '../../src/service/audit.ts';
import type { EnrolmentEndpoint } from '../../src/service/scep-requests.ts';
import { createServices, type Services } from '../../src/services.ts';
import type { Application, Tenant } from '../support/microsoft/directory.ts';
import type { Route } from '../support/microsoft/messages.ts';
import { Microsoft } from '../support/microsoft/microsoft.ts';
import { worldNow } from '../support/vector-identities.ts';
import { connectorIdOf, connectorPath, fillStore, worldHome } from '../support/vector-store.ts';

const connectorId = connectorIdOf('default');
const silent = { info: () => {}, warn: () => {}, error: () => {} };
const hosts = { intune: 'https://fef.manage.microsoft.com' } as const;

/** The process dies there: what was under way never ends, and nothing of what it remembered is left. */
export class CrashError extends Error {
  override readonly name = 'CrashError';
}

/** Where the process dies: at the N-th call of a route, or the N-th signature of the authority, before or after. */
export interface Crash {
  at: Route | 'issue';
  nth: number;
  phase: 'before' | 'after';
}

/** Where the authority does not sign. */
export interface IssueFault {
  nth: number;
  times: number;
}

export class IntuneWorld implements AsyncDisposable {
  readonly microsoft: Microsoft;
  readonly tenant: Tenant;
  readonly application: Application;
  /** How many answers a dying process has had and could not record. */
  answersLost = 0;
  crashes = 0;
  issueFaultsMet = 0;
  now = worldNow;
  readonly #directory: string;
  #node: Node | undefined;
  #crash: Crash | undefined;
  #issueFault: IssueFault | undefined;
  readonly #env: Record<string, string>;

  private constructor(directory: string) {
    this.#directory = directory;
    this.microsoft = new Microsoft({
      now: () => this.now,
      baseUrl: () => hosts.intune,
      fetchIssuer: url => this.#fetchIssuer(url),
    });
    this.tenant = this.microsoft.addTenant('contoso.example');
    this.application = this.tenant.addApplication().grant('scep_challenge_provider', 'Application.Read.All');
    this.#env = settings(directory);
  }

  static async open(): Promise<IntuneWorld> {
    const directory = await mkdtemp(join(tmpdir(), 'scep-simulation-'));
    const world = new IntuneWorld(directory);
    await copyFile(await filledStore(), join(directory, 'scep.db'));
    await world.#start();
    const application = { azure_application_id: world.application.clientId, azure_domain: world.tenant.domain };
    await world.database.query.updateTable('connectors').set(application).where('connector_id', '=', connectorId).execute();
    const { services } = world;
    const { Connector } = await services.connectors.getConnector(principal, connectorArn);
    const { Issuer: issuer = '', Subject: subject = '', Audience: audience = '' } = Connector.OpenIdConfiguration ?? {};
    world.application.addFederatedCredential({ issuer, subject, audience });
    return world;
  }

  get services(): Services {
    if (this.#node === undefined) throw new Error('the process is not running');
    return this.#node.services;
  }

  get database(): Database {
    if (this.#node === undefined) throw new Error('the process is not running');
    return this.#node.installation.database;
  }

  async findEndpoint(): Promise<EnrolmentEndpoint> {
    const secret = connectorPath('default').split('/').at(-1) ?? '';
    const { accountId } = worldHome;
    const { endpoint } = await this.services.enrolmentEndpoints.findEndpoint({ accountId, connectorId, secret, host: undefined });
    if (endpoint === undefined) throw new Error('the connector is not there');
    return endpoint;
  }

  crashAt(crash: Crash | undefined): void {
    this.#crash = crash && { ...crash };
  }

  failIssuing(fault: IssueFault | undefined): void {
    this.#issueFault = fault && { ...fault };
  }

  /** What the server's workers do at their intervals. */
  async work(): Promise<void> {
    const { intuneNotifications, intentRecovery, intuneRevocations, lifecycle } = this.services;
    await intuneNotifications.step();
    await intentRecovery.step();
    await intuneRevocations.step();
    await lifecycle.step();
  }

  /** The process is started again, as its supervisor would. */
  async restart(): Promise<void> {
    await this.#node?.[Symbol.asyncDispose]();
    this.#node = undefined;
    await this.#start();
  }

  async #start(): Promise<void> {
    const system: System = { ...realSystem, now: () => this.now };
    const { config, secrets } = parseConfig(this.#env);
    const installation = await openInstallation(config, secrets, system);
    // The machine does not lose its power, only the process its life.
    await sql`pragma synchronous = off`.execute(installation.database.query);
    const audit = new Audit({ database: installation.database, system, log: silent });
    const node: Node = {
      installation,
      isDead: false,
      services: undefined as unknown as Services,
      async [Symbol.asyncDispose]() {
        if (node.isDead) return;
        await audit[Symbol.asyncDispose]();
        await installation[Symbol.asyncDispose]();
      },
    };
    const workers = this.#workersOf(node);
    const transport: Transport = (request, timeoutMs) => this.#send(node, request, timeoutMs);
    node.services = createServices(config, { installation, workers, audit, log: silent, transport });
    // Its own wishes to be stepped would run behind the simulation's back.
    node.services.intuneNotifications.wake = () => {};
    node.services.lifecycle.wake = () => {};
    this.#node = node;
  }

  /** Whatever the dead process goes on with finds its store closed. */
  async #die(node: Node): Promise<never> {
    node.isDead = true;
    this.crashes += 1;
    this.#crash = undefined;
    await node.installation[Symbol.asyncDispose]();
    throw new CrashError();
  }

  #isCrashing(at: Crash['at'], phase: Crash['phase']): boolean {
    const crash = this.#crash;
    if (crash?.at !== at || crash.phase !== phase) return false;
    crash.nth -= 1;
    return crash.nth <= 0;
  }

  #workersOf(node: Node): Workers {
    return {
      run: async (task, input) => {
        if (node.isDead) throw new CrashError();
        if (this.#isCrashing('issue', 'before')) return this.#die(node);
        const fault = this.#issueFault;
        if (fault !== undefined && --fault.nth < 0 && fault.times-- > 0) {
          this.issueFaultsMet += 1;
          throw new Error('the authority does not sign');
        }
        const output = task.run(input);
        if (this.#isCrashing('issue', 'after')) return this.#die(node);
        return output;
      },
    };
  }

  async #send(node: Node, { method, url, headers, body = '' }: MicrosoftRequest, timeoutMs: number) {
    if (node.isDead) throw new CrashError();
    const { pathname, search } = new URL(url);
    const route = routeOf(pathname);
    if (this.#isCrashing(route, 'before')) return this.#die(node);
    const outcome = await this.microsoft.handle({ method, url: pathname + search, headers, body: Buffer.from(body) });
    if (this.#isCrashing(route, 'after')) {
      this.answersLost += 1;
      return this.#die(node);
    }
    if (outcome.kind === 'answer') {
      return { status: outcome.status, retryAfter: outcome.headers['retry-after'], body: outcome.body.toString() };
    }
    if (outcome.kind === 'hang') this.now += timeoutMs;
    throw new MicrosoftError({ reason: 'unreachable', service: 'Intune' }, `Intune: ${outcome.kind}.`);
  }

  /** As Entra ID asks for it; what has died does not answer. */
  async #fetchIssuer(url: string): Promise<{ status: number; body: Buffer }> {
    const [, accountId = '', id = '', document] = /\/(\d{12})-([0-9a-f-]{36})\/oidc\/(.*)$/.exec(url) ?? [];
    const { oidcKeys } = this.services;
    const found = document === 'jwks' ? await oidcKeys.findKeySet(accountId, id) : await oidcKeys.findDiscoveryDocument(accountId, id);
    return { status: found ? 200 : 404, body: Buffer.from(JSON.stringify(found ?? '')) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node?.[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}

interface Node extends AsyncDisposable {
  installation: Installation;
  services: Services;
  isDead: boolean;
}

function routeOf(path: string): Route {
  if (path.endsWith('/token')) return 'token';
  return path.endsWith('/endpoints') ? 'endpoints' : (path.slice(path.lastIndexOf('/') + 1) as Route);
}

const connectorArn = `arn:aws:pca-connector-scep:${worldHome.region}:${worldHome.accountId}:connector/${connectorId}`;
const principal = {
  accountId: worldHome.accountId,
  userName: 'operator',
  accessKeyId: 'AKIA0000000000000000',
  arn: `arn:aws:iam::${worldHome.accountId}:user/operator`,
};

function settings(directory: string): Record<string, string> {
  return {
    SCEP_DATA_DIR: directory,
    SCEP_ACCOUNT: worldHome.accountId,
    SCEP_REGION: worldHome.region,
    SCEP_MASTER_KEY: Buffer.alloc(32, 'simulation').toString('base64'),
    SCEP_PUBLIC_URL: 'https://scep.example.com',
    SCEP_WORKERS: '1',
  };
}

let filled: Promise<string> | undefined;

/** A store with a connector of Intune's, made once: every world begins with a copy. */
async function filledStore(): Promise<string> {
  filled ??= fill();
  return filled;
}

async function fill(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'scep-simulation-'));
  process.on('exit', () => void rm(directory, { recursive: true, force: true }));
  const { config, secrets } = parseConfig(settings(directory));
  const system: System = { ...realSystem, now: () => worldNow };
  await using installation = await openInstallation(config, secrets, system);
  await fillStore(installation);
  const { database } = installation;
  const change = { type: 'INTUNE', azure_application_id: '', azure_domain: '' } as const;
  await database.query.updateTable('connectors').set(change).where('connector_id', '=', connectorId).execute();
  const audit = new Audit({ database, system, log: silent });
  const workers: Workers = { run: async ({ run }, input) => run(input) };
  const transport: Transport = async () => {
    throw new Error('nobody is asked');
  };
  await createServices(config, { installation, workers, audit, log: silent, transport }).oidcKeys.rotate();
  await sql`pragma wal_checkpoint(truncate)`.execute(database.query);
  return join(directory, 'scep.db');
}
