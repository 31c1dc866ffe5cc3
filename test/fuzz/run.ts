/** `npm run fuzz -- [api] [--seed N] [--minutes M] [--requests N]`: generated requests against the API; shows what must not be, and how everything ended. */
import { parseArgs } from 'node:util';
import { type Finding, type FuzzReport, fuzzApi } from './api-fuzz.ts';

const requestsDefault = 100_000;
const seedMax = 2 ** 31 - 1;
const minutesMax = 10_000;
/** What an answer or a plan may take of the screen. */
const shownCharactersMax = 6000;
const usage = `usage: npm run fuzz -- [api] [--seed N] [--minutes M] [--requests N]

Sends generated requests, valid and broken, to the AWS API in this process: each must be answered, none with a 500, every refusal in AWS's
shape, and none may change the store. Ends after ${requestsDefault} requests, or after --minutes or --requests. The same seed begins with the
same plans of requests. Exit status 1 on a finding; the last line is a summary.`;

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
  console.log(`seed ${options.seed}`);
  const report = await fuzzApi({ ...options, onFinding: show });
  console.log(table(report));
  console.log(`slowest: ${Math.round(report.slowestMs)} ms for ${report.slowest}`);
  console.log(summary(report, options.seed));
  return report.findings.length > 0 ? 1 : 0;
}

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string' },
      requests: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const [target = 'api', surplus] = positionals;
  if (target !== 'api' || surplus !== undefined) throw new Error(`There is nothing to fuzz called "${positionals.join(' ')}".`);
  const minutes = values.minutes === undefined ? undefined : numberOf('--minutes', values.minutes, { min: 1, max: minutesMax });
  const requestsUnlessGiven = minutes === undefined ? requestsDefault : Number.POSITIVE_INFINITY;
  return {
    seed: values.seed === undefined ? Date.now() % seedMax : numberOf('--seed', values.seed, { min: 0, max: seedMax }),
    requests:
      values.requests === undefined
        ? requestsUnlessGiven
        : numberOf('--requests', values.requests, { min: 1, max: Number.MAX_SAFE_INTEGER }),
    ...(minutes !== undefined && { until: performance.now() + minutes * 60_000 }),
  };
}

function numberOf(option: string, text: string, { min, max }: { min: number; max: number }): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < min || number > max) throw new Error(`${option} takes a whole number from ${min} to ${max}.`);
  return number;
}

function show({ seed, index, problem, plan, request, answer }: Finding): void {
  const lines = Object.entries({ plan, request, answer }).map(([name, value]) => `  ${name} ${cut(JSON.stringify(value) ?? 'none')}`);
  console.log([`FINDING ${problem}`, `  seed ${seed}, request ${index}`, ...lines].join('\n'));
}

function cut(text: string): string {
  return text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax)}… (${text.length} characters)` : text;
}

function table({ outcomes }: FuzzReport): string {
  const width = Math.max(...[...outcomes.keys()].map(name => name.length));
  const rows = [...outcomes].sort(([a], [b]) => (a < b ? -1 : 1));
  return rows.map(([operation, endings]) => `${operation.padEnd(width)}  ${countsOf(endings)}`).join('\n');
}

function countsOf(endings: ReadonlyMap<string, number>): string {
  const sorted = [...endings].sort(([, a], [, b]) => b - a);
  return sorted.map(([ending, count]) => `${ending} ${count}`).join(', ');
}

function summary({ requests, seconds, findings, repeated, slowestMs, heapMiB }: FuzzReport, seed: number): string {
  const found = findings.length === 0 ? 'no findings' : `${findings.length} findings (seen ${repeated} more times)`;
  const heap = `heap ${heapMiB[0] ?? 0} MiB after the first round, ${heapMiB.at(-1) ?? 0} after the last`;
  const perSecond = Math.round(requests / seconds);
  return `fuzz api: seed ${seed}, ${requests} requests, ${found}, ${perSecond} requests/s, slowest ${Math.round(slowestMs)} ms, ${heap}`;
}
