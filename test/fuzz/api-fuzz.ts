/** Sends generated requests to the API, round after round, each over a store of its own, and reports what must not be. */
import * as fc from 'fast-check';
import { planned } from './api-plans.ts';
import { ApiRound } from './api-round.ts';
import { rawPlanned } from './raw-requests.ts';
import { RawRound } from './raw-round.ts';
import { countOutcome, emptyReport, type Finding, type FuzzOptions, type FuzzReport, measureHeapMiB } from './report.ts';
import { type Outcome, type Round, watchRejections } from './round.ts';

/** A store is worn out after so many requests: quotas are full, names taken. */
const requestsPerRound = 5000;
/** So many of a round's go over connections, to the whole server, where more can be wrong with them. */
const rawShare = 0.05;
/** Between the seeds of fast-check's runs within a round. */
const seedStep = 1_000_003;

export async function fuzzApi(options: FuzzOptions): Promise<FuzzReport> {
  const report = emptyReport();
  const startedAt = performance.now();
  using rejections = watchRejections();
  for (let number = 0; report.requests < options.requests && !isOver(options); number++) {
    const seed = options.seed + number;
    const wanted = Math.min(requestsPerRound, options.requests - report.requests);
    const raw = Math.ceil(wanted * rawShare);
    await fuzzRound(options, report, { seed, wanted: wanted - raw, item: planned, open: () => ApiRound.open({ rejections }) });
    await fuzzRound(options, report, { seed, wanted: raw, item: rawPlanned, open: () => RawRound.open(rejections) });
    report.heapMiB.push(await measureHeapMiB());
    options.onRound?.(report);
  }
  report.seconds = (performance.now() - startedAt) / 1000;
  return report;
}

interface RoundPlan<Item> {
  seed: number;
  wanted: number;
  item: fc.Arbitrary<Item>;
  open(): Promise<Round<Item>>;
}

/** fast-check ends at the first failure, when it has made it small: what is left of the round goes on with other requests. */
async function fuzzRound<Item>(options: FuzzOptions, report: FuzzReport, { seed, wanted, item, open }: RoundPlan<Item>): Promise<void> {
  await using round = await open();
  const progress: Progress = { seed, index: 0, isFatal: false };
  for (let part = 0; progress.index < wanted && !progress.isFatal && !isOver(options); part++) {
    const property = fc.asyncProperty(item, async plan => {
      if (progress.isFatal || isOver(options)) return;
      progress.index += 1;
      await sendOne(report, progress, round, plan);
    });
    await fc.check(property, { seed: seed + part * seedStep, numRuns: wanted - progress.index });
    // The fuzzer's own, which is nothing to make small.
    if (progress.mistake !== undefined) throw progress.mistake;
    if (progress.finding) {
      report.findings.push(progress.finding);
      options.onFinding?.(progress.finding);
      progress.finding = undefined;
    }
  }
}

interface Progress {
  seed: number;
  index: number;
  isFatal: boolean;
  /** The smallest request so far that shows what is being made small. */
  finding?: Finding | undefined;
  mistake?: unknown;
}

/** Throws for what was not found before, so that fast-check looks for a smaller request that shows it. */
async function sendOne<Item>(report: FuzzReport, progress: Progress, round: Round<Item>, plan: Item): Promise<void> {
  let outcome: Outcome;
  try {
    outcome = await timed(report, plan, () => round.send(plan));
  } catch (error) {
    progress.mistake = error;
    progress.isFatal = true;
    return;
  }
  const { problems, request, answer, isFatal = false } = outcome;
  progress.isFatal = isFatal;
  const problem = problems.find(text => !report.findings.some(known => known.problem === text));
  report.repeated += problems.length - (problem === undefined ? 0 : 1);
  // While one is made small, others wait to be found again.
  if (problem === undefined || (progress.finding && progress.finding.problem !== problem)) return;
  progress.finding = { seed: progress.seed, index: progress.index, problem, plan, request, answer };
  throw new Error(problem);
}

async function timed(report: FuzzReport, plan: unknown, send: () => Promise<Outcome>): Promise<Outcome> {
  const startedAt = performance.now();
  const outcome = await send();
  const tookMs = performance.now() - startedAt;
  if (tookMs > report.slowestMs) {
    report.slowestMs = tookMs;
    report.slowest = JSON.stringify(plan).slice(0, 500);
  }
  report.requests += 1;
  countOutcome(report.outcomes, outcome);
  return outcome;
}

function isOver({ until = Number.POSITIVE_INFINITY }: FuzzOptions): boolean {
  return performance.now() > until;
}
