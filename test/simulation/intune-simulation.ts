/** One run of the simulation from a seed: devices enrol while calls to Microsoft, signatures and the process itself fail; what must never be is looked for after every step. */
import { createHash } from 'node:crypto';
import { Random } from '../fuzz/random.ts';
import type { FaultKind } from '../support/microsoft/faults.ts';
import type { Route } from '../support/microsoft/messages.ts';
import { SimulatedDevice } from './intune-device.ts';
import { CrashError, IntuneWorld } from './intune-world.ts';

const minuteMs = 60_000;
/** Faults come for so long. */
const troubleMs = 90 * minuteMs;
/** After them each device has to have its certificate within so many more steps of the whole. */
const stepsAfterTroubleMax = 200;
const stepsMax = 2000;

const routes: readonly Route[] = ['token', 'endpoints', 'validateRequest', 'successNotification', 'failureNotification'];
const kinds: readonly FaultKind[] = [
  { status: 401 },
  { status: 403 },
  { status: 404 },
  { status: 410 },
  { status: 429, headers: { 'retry-after': '20' } },
  { status: 429 },
  { status: 500 },
  { status: 502 },
  { status: 503, headers: { 'retry-after': '45' } },
  { code: 'ChallengeExpired' },
  { code: 'NeverHeardOf' },
  'malformedJson',
  'emptyBody',
  'htmlBody',
  'missingCode',
  'redirect',
  'hang',
  'reset',
  'resetMiddle',
];

const phases = ['before', 'after'] as const;
const callsMax = 3;

type Trouble = (world: IntuneWorld) => void;

/** Every fault at the N-th call of every route, and the death of the process there. Each seed begins with one of them, one seed after the other with the next. */
const troubles: readonly Trouble[] = Array.from({ length: callsMax }, (_, call) => call + 1).flatMap(nth =>
  phases.flatMap((phase): Trouble[] => [
    ...routes.flatMap(route =>
      kinds.map(
        (kind): Trouble =>
          ({ microsoft }) =>
            microsoft.faults.add({ route, kind, nth, times: 2, phase }),
      ),
    ),
    ...([...routes, 'issue'] as const).map(
      (at): Trouble =>
        world =>
          world.crashAt({ at, nth, phase }),
    ),
    world => world.failIssuing({ nth: nth - 1, times: 1 }),
  ]),
);

/** With so many seeds in a row each of them is met with once. */
export const troublesCount = troubles.length;

export interface SimulationReport {
  seed: number;
  /** What must never be, in a sentence each. */
  problems: string[];
  faults: number;
  crashes: number;
  certificates: number;
  restarts: number;
}

/** What is broken on purpose, to show that the simulation finds it. */
export type Sabotage = (world: IntuneWorld) => void;

export async function simulateIntune(seed: number, sabotage: Sabotage = () => {}): Promise<SimulationReport> {
  await using simulation = await Simulation.open(seed, sabotage);
  return await simulation.run();
}

class Simulation implements AsyncDisposable {
  readonly #seed: number;
  readonly #random: Random;
  readonly #world: IntuneWorld;
  readonly #devices: SimulatedDevice[];
  readonly #troubleEndsAt: number;
  readonly #problems = new Set<string>();
  readonly #sabotage: Sabotage;

  private constructor(seed: number, world: IntuneWorld, sabotage: Sabotage) {
    this.#seed = seed;
    this.#random = new Random(seed, 0);
    this.#world = world;
    this.#sabotage = sabotage;
    const count = 1 + this.#random.below(3);
    this.#devices = Array.from({ length: count }, (_, index) => new SimulatedDevice(`device-${index}`, world, new Random(seed, index + 1)));
    this.#troubleEndsAt = world.now + troubleMs;
  }

  static async open(seed: number, sabotage: Sabotage): Promise<Simulation> {
    const world = await IntuneWorld.open();
    sabotage(world);
    return new Simulation(seed, world, sabotage);
  }

  async run(): Promise<SimulationReport> {
    troubles[this.#seed % troublesCount]?.(this.#world);
    // By itself in some runs, so that nothing else explains what comes of it.
    const isAlone = this.#random.chance(0.3);
    let stepsAfterTrouble = 0;
    for (let steps = 0; steps < stepsMax && this.#devices.some(device => !device.isDone); steps++) {
      if (this.#world.now >= this.#troubleEndsAt) {
        this.#endTrouble();
        stepsAfterTrouble += 1;
      } else if (!isAlone && this.#random.chance(0.5)) this.#arm();
      if (stepsAfterTrouble > stepsAfterTroubleMax) break;
      await this.#step();
    }
    for (const device of this.#devices) if (!device.isDone) this.#problems.add(`${device.name} is stuck after the trouble has ended`);
    await this.#settle();
    const { microsoft, crashes, issueFaultsMet } = this.#world;
    return {
      seed: this.#seed,
      problems: [...this.#problems],
      faults: microsoft.faults.met + issueFaultsMet,
      crashes,
      certificates: this.#devices.reduce((sum, device) => sum + new Set(device.delivered.map(({ fingerprint }) => fingerprint)).size, 0),
      restarts: this.#devices.reduce((sum, device) => sum + device.restarts, 0),
    };
  }

  /** The N-th call of a route, or signature, fails; or the process dies there. */
  #arm(): void {
    const random = this.#random;
    const phase = random.chance(0.5) ? 'before' : 'after';
    const nth = 1 + random.below(4);
    switch (random.weighted({ fault: 6, crash: 2, issue: 1, move: 1, consent: 1 })) {
      case 'fault':
        this.#world.microsoft.faults.add({ route: random.pick(routes), kind: random.pick(kinds), nth, times: random.few(), phase });
        return;
      case 'crash':
        this.#world.crashAt({ at: random.pick([...routes, 'issue', 'issue']), nth, phase });
        return;
      case 'issue':
        this.#world.failIssuing({ nth: random.below(3), times: random.few() });
        return;
      case 'move':
        this.#world.tenant.moveScaleUnit();
        return;
      case 'consent': {
        const role = random.pick(['scep_challenge_provider', 'Application.Read.All'] as const);
        if (this.#world.application.roles.has(role)) this.#world.application.revoke(role);
        else this.#world.application.grant(role);
        this.#world.microsoft.expireTokens();
        return;
      }
      default:
        throw new Error('nothing is armed');
    }
  }

  #endTrouble(): void {
    this.#world.microsoft.faults.clear();
    this.#world.crashAt(undefined);
    this.#world.failIssuing(undefined);
    this.#world.application.grant('scep_challenge_provider', 'Application.Read.All');
  }

  async #step(): Promise<void> {
    const waiting = this.#devices.filter(device => !device.isDone);
    const next = waiting.reduce((first, device) => (device.nextAt < first.nextAt ? device : first));
    this.#world.now = Math.max(this.#world.now + 1000, next.nextAt);
    await this.#orRestart(() => next.act());
    if (this.#random.chance(0.7)) await this.#orRestart(() => this.#world.work());
    await this.#look();
  }

  /** What dies is started again. */
  async #orRestart(work: () => Promise<void>): Promise<void> {
    const crashes = this.#world.crashes;
    try {
      await work();
    } catch (error) {
      if (this.#world.crashes === crashes && !(error instanceof CrashError)) throw error;
    }
    if (this.#world.crashes > crashes) {
      await this.#world.restart();
      this.#sabotage(this.#world);
    }
  }

  /** Long enough after the trouble that everything is over. */
  async #settle(): Promise<void> {
    this.#endTrouble();
    for (let hours = 0; hours < 4; hours++) {
      for (let turn = 0; turn < 4; turn++) {
        this.#world.now += 15 * minuteMs;
        await this.#world.work();
      }
    }
    await this.#look();
    const { query } = this.#world.database;
    const left = await query.selectFrom('intune_notifications').select('kind').execute();
    if (left.length > 0) this.#problems.add('Intune is not told in the end');
    const open = await query.selectFrom('transactions').select('status').where('status', 'not in', ['SUCCESS', 'FAILURE']).execute();
    if (open.length > 0) this.#problems.add(`a transaction is ${open[0]?.status} in the end`);
    const known = new Set(this.#told().map(({ members }) => String(members['certificateSerialNumber']).toLowerCase()));
    const valid = await query
      .selectFrom('certificates')
      .select('serial_number')
      .where('transaction_row_id', 'is not', null)
      .where('status', '=', 'ISSUED')
      .execute();
    if (valid.some(({ serial_number }) => !known.has(serial_number)))
      this.#problems.add('a certificate is valid in the end of which Intune does not know');
  }

  #told() {
    return this.#world.microsoft.notifications.filter(({ kind }) => kind === 'success');
  }

  async #look(): Promise<void> {
    const thumbprints = new Set(this.#told().map(({ members }) => members['certificateThumbprint']));
    const byTransaction = new Map<string, string>();
    for (const { transactionID, fingerprint, certificate } of this.#devices.flatMap(({ delivered }) => delivered)) {
      const thumbprint = createHash('sha1').update(certificate).digest('hex').toUpperCase();
      if (!thumbprints.has(thumbprint)) this.#problems.add('a device has a certificate that Intune does not know of');
      if ((byTransaction.get(transactionID) ?? fingerprint) !== fingerprint)
        this.#problems.add('a device has two certificates of one transaction');
      byTransaction.set(transactionID, fingerprint);
    }
    const { query } = this.#world.database;
    const rows = await query.selectFrom('certificates').selectAll().where('transaction_row_id', 'is not', null).execute();
    const counts = Map.groupBy(rows, row => row.transaction_row_id);
    if ([...counts.values()].some(({ length }) => length > 1)) this.#problems.add('a transaction has two certificates');
    const given = new Set(byTransaction.values());
    if (rows.some(row => row.status === 'REVOKED' && given.has(row.fingerprint ?? '')))
      this.#problems.add('a certificate that a device has is withdrawn');
    for (const violation of this.#world.microsoft.violations) {
      // Whoever dies with Intune's answer in its hands cannot know that it was a yes.
      if (this.#world.answersLost > 0 && /after the/.test(violation)) continue;
      this.#problems.add(violation);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
  }
}
