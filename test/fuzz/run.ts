/** `npm run fuzz -- [scep|api] [--seed N] [--minutes M] [--requests N] [--save DIR]`: generated requests; shows what must not be, and how everything ended. */
import { parseArgs } from 'node:util';
import { fuzzApi } from './api-fuzz.ts';
import { type Finding, type FuzzOptions, type FuzzReport, showFinding, showOutcomes, summaryOf } from './report.ts';
import { saveFinding } from './save-finding.ts';
import { fuzzScep } from './scep-fuzz.ts';

const requestsDefault = 100_000;
const seedMax = 2 ** 31 - 1;
const minutesMax = 10_000;
const progressIntervalMs = 30_000;
const usage = `usage: npm run fuzz -- [scep|api] [--seed N] [--minutes M] [--requests N] [--save DIR]

api: generated requests, valid and broken, to the AWS API in this process: each must be answered, none with a 500, every refusal in AWS's
shape, and none may change the store.
scep: mutated enrolment messages, made here and captured from real clients, to the SCEP endpoint in one process for each core: each must be
answered within 100 ms, none with a 500, every CertRep in RFC 8894's form; a refusal changes nothing, nobody gets a certificate without a
right challenge, nothing secret is shown, and the heap does not grow. One in fifty goes as broken bytes over a connection, where it is not
timed but for the time-out after which it is taken to hang.

Without a target both run, each for ${requestsDefault} requests, or for --minutes, or for --requests. The same seed begins with the same
requests. --save writes the findings of scep as vectors. Exit status 1 on a finding; the last line is a summary.`;

const targets = { api: fuzzApi, scep: (options: FuzzOptions) => fuzzScep(options) } as const;
type Target = keyof typeof targets;

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
  const { seed, requests, minutes, save } = options;
  console.log(`seed ${seed}`);
  const summaries: string[] = [];
  let findings = 0;
  for (const target of options.targets) {
    const until = minutes === undefined ? {} : { until: performance.now() + minutes * 60_000 };
    const onFinding = (finding: Finding) => show(target, finding, save);
    const report = await targets[target]({ seed, requests, ...until, onFinding, onRound: progressOf(target) });
    findings += report.findings.length;
    summaries.push(describe(target, seed, report));
  }
  console.log(summaries.join('\n'));
  if (summaries.length > 1)
    console.log(`fuzz: seed ${seed}, ${findings === 0 ? 'no findings' : `${findings} findings`} in ${options.targets.join(' and ')}`);
  return findings > 0 ? 1 : 0;
}

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string' },
      requests: { type: 'string' },
      save: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const [name, surplus] = positionals;
  if (surplus !== undefined || (name !== undefined && !isTarget(name)))
    throw new Error(`There is nothing to fuzz called "${positionals.join(' ')}".`);
  const minutes = values.minutes === undefined ? undefined : numberOf('--minutes', values.minutes, { min: 1, max: minutesMax });
  const requestsUnlessGiven = minutes === undefined ? requestsDefault : Number.POSITIVE_INFINITY;
  return {
    targets: name === undefined ? (Object.keys(targets) as Target[]) : [name],
    seed: values.seed === undefined ? Date.now() % seedMax : numberOf('--seed', values.seed, { min: 0, max: seedMax }),
    requests:
      values.requests === undefined
        ? requestsUnlessGiven
        : numberOf('--requests', values.requests, { min: 1, max: Number.MAX_SAFE_INTEGER }),
    minutes,
    save: values.save,
  };
}

function isTarget(name: string): name is Target {
  return Object.hasOwn(targets, name);
}

function numberOf(option: string, text: string, { min, max }: { min: number; max: number }): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < min || number > max) throw new Error(`${option} takes a whole number from ${min} to ${max}.`);
  return number;
}

/** A line now and then, for whoever waits. */
function progressOf(target: Target): (report: FuzzReport) => void {
  const startedAt = performance.now();
  let shownAt = startedAt;
  return ({ requests, findings }) => {
    const now = performance.now();
    if (now - shownAt < progressIntervalMs) return;
    shownAt = now;
    console.error(`${target}: ${requests} requests in ${Math.round((now - startedAt) / 1000)} s, ${findings.length} findings`);
  };
}

function show(target: Target, finding: Finding, save: string | undefined): void {
  showFinding(finding);
  if (target === 'scep' && save !== undefined) saveFinding(save, finding);
}

function describe(target: Target, seed: number, report: FuzzReport): string {
  showOutcomes(report);
  console.log(`slowest: ${Math.round(report.slowestMs)} ms for ${report.slowest}`);
  return summaryOf(target, seed, report);
}
