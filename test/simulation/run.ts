/** `npm run simulate -- [intune] [--seed N] [--seeds K]`: the simulation from K seeds, one after the other; exit status 1 when something is found that must never be. */
import { parseArgs } from 'node:util';
import { type SimulationReport, simulateIntune, troublesCount } from './intune-simulation.ts';

const seedsDefault = 1000;
const seedsMax = 1_000_000;
const seedMax = 2 ** 31 - 1;
const progressIntervalMs = 30_000;
const usage = `usage: npm run simulate -- [intune] [--seed N] [--seeds K]

intune: devices enrol through an INTUNE connector while every call to Entra ID, Microsoft Graph and Intune, the authority's signature and the
process itself fail in turn. Never may a device have a certificate that Intune does not know of, a transaction two certificates, or a device be
stuck once the trouble has ended. With ${troublesCount} seeds in a row every fault is laid at the first, second and third call of each kind. The
same seed gives the same run, but for which of two copies of a request that are under way at once is the first. Exit status 1 on a finding;
the last line is a summary.`;

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  let options: ReturnType<typeof parse>;
  try {
    options = parse(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return 2;
  }
  if (options === 'help') {
    console.log(usage);
    return 0;
  }
  return simulate(options);
}

async function simulate({ seed, seeds }: { seed: number; seeds: number }): Promise<number> {
  const startedAt = performance.now();
  const total = { faults: 0, crashes: 0, certificates: 0, restarts: 0 };
  let findings = 0;
  let shownAt = startedAt;
  for (let index = 0; index < seeds; index++) {
    const report = await simulateIntune(seed + index);
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += report[name];
    if (report.problems.length > 0) findings += 1;
    show(report);
    if (performance.now() - shownAt < progressIntervalMs) continue;
    shownAt = performance.now();
    console.error(`simulate intune: ${index + 1} seeds in ${Math.round((shownAt - startedAt) / 1000)} s, ${findings} with findings`);
  }
  const found = findings === 0 ? 'no findings' : `${findings} seeds with findings`;
  const { faults, crashes, certificates, restarts } = total;
  const met = `${faults} faults and ${crashes} crashes met, ${certificates} certificates, ${restarts} new beginnings`;
  console.log(
    `simulate intune: seeds ${seed} to ${seed + seeds - 1}, ${found}, ${met}, ${Math.round((performance.now() - startedAt) / 1000)} s`,
  );
  return findings > 0 ? 1 : 0;
}

function show({ seed, problems }: SimulationReport): void {
  for (const problem of problems) console.log(`FINDING seed ${seed}: ${problem}`);
}

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { seed: { type: 'string' }, seeds: { type: 'string' }, help: { type: 'boolean', default: false } },
  });
  if (values.help) return 'help';
  const [name = 'intune', surplus] = positionals;
  if (surplus !== undefined || name !== 'intune') throw new Error(`There is nothing to simulate called "${positionals.join(' ')}".`);
  return {
    seed: numberOf('--seed', values.seed ?? '1', seedMax),
    seeds: numberOf('--seeds', values.seeds ?? String(seedsDefault), seedsMax),
  };
}

function numberOf(option: string, text: string, max: number): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || number > max) throw new Error(`${option} takes a whole number from 1 to ${max}.`);
  return number;
}
