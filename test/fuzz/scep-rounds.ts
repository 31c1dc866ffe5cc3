/** Rounds of the SCEP fuzzer in this process: most inputs straight to the handler, a share as broken bytes on connections, and the heap after each round. */

import { Random } from './random.ts';
import { countOutcome, emptyReport, type FuzzReport, measureHeapMiB } from './report.ts';
import { type Outcome, type Rejections, type Round, watchRejections } from './round.ts';
import { readCorpus } from './scep-corpus.ts';
import { ScepInputs } from './scep-inputs.ts';
import { rawInput, ScepRawRound } from './scep-raw-round.ts';
import { ScepRound } from './scep-round.ts';

/** So many of a round's inputs go over connections. */
const rawShare = 0.02;
/** What the first rounds leave behind is caches that fill; after them nothing may be added but what garbage collection leaves by chance. */
const warmRounds = 3;
const growthMaxMiB = 16;

export interface RoundTask {
  seed: number;
  messages: number;
  /** The round ends after this time, whatever is left. */
  leftMs: number;
}

export type RoundReport = Omit<FuzzReport, 'seconds'>;

export class ScepRounds implements Disposable {
  readonly #inputs = new ScepInputs(readCorpus());
  readonly #rejections: Rejections = watchRejections();
  readonly #heapsMiB: number[] = [];
  readonly #onInput: (index: number) => void;

  constructor({ onInput = () => {} }: { onInput?: (index: number) => void } = {}) {
    this.#onInput = onInput;
  }

  async run({ seed, messages, leftMs }: RoundTask): Promise<RoundReport> {
    const report = emptyReport();
    const until = performance.now() + leftMs;
    const raw = Math.ceil(messages * rawShare);
    const input = (index: number) => this.#inputs.input(seed, index);
    const part = { seed, report, until };
    await this.#runPart({ ...part, from: 0, to: messages - raw, item: input }, () => ScepRound.open({ rejections: this.#rejections }));
    await this.#runPart(
      { ...part, from: messages - raw, to: messages, item: index => rawInput(input(index), new Random(~seed, index)) },
      () => ScepRawRound.open(this.#rejections),
    );
    report.heapMiB.push(await measureHeapMiB());
    this.#judgeHeap(seed, report);
    return report;
  }

  async #runPart<Item>({ seed, report, until, from, to, item }: Part<Item>, open: () => Promise<Round<Item>>): Promise<void> {
    await using round = await open();
    let isOver = false;
    for (let index = from; index < to && !isOver && performance.now() < until; index++) {
      this.#onInput(index);
      const made = item(index);
      const startedAt = performance.now();
      const outcome = await round.send(made);
      const tookMs = performance.now() - startedAt;
      if (tookMs > report.slowestMs) {
        report.slowestMs = tookMs;
        report.slowest = `${outcome.operation}, seed ${seed}, request ${index}`;
      }
      count(report, outcome, seed, index);
      isOver = outcome.isFatal ?? false;
    }
  }

  #judgeHeap(seed: number, report: RoundReport): void {
    this.#heapsMiB.push(...report.heapMiB);
    const problem = growthOf(this.#heapsMiB);
    if (problem !== undefined) report.findings.push({ seed, index: 0, problem, plan: this.#heapsMiB, request: {}, answer: undefined });
  }

  [Symbol.dispose](): void {
    this.#rejections[Symbol.dispose]();
  }
}

interface Part<Item> {
  seed: number;
  report: RoundReport;
  until: number;
  from: number;
  to: number;
  item(index: number): Item;
}

function count(report: RoundReport, outcome: Outcome, seed: number, index: number): void {
  report.requests += 1;
  countOutcome(report.outcomes, outcome);
  for (const problem of outcome.problems) {
    const isKnown = report.findings.some(known => known.problem === problem);
    if (isKnown) report.repeated += 1;
    else report.findings.push({ seed, index, problem, plan: outcome.operation, request: outcome.request, answer: outcome.answer });
  }
}

/** Undefined where the heap after the last rounds is that after the first ones. */
export function growthOf(heapsMiB: readonly number[]): string | undefined {
  const rounds = heapsMiB.slice(1);
  if (rounds.length < 2 * warmRounds) return undefined;
  const before = Math.max(...rounds.slice(0, warmRounds));
  const after = Math.min(...rounds.slice(-warmRounds));
  return after - before > growthMaxMiB ? 'the heap grows from round to round' : undefined;
}
