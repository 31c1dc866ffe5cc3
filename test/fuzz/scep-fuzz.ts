/** Fuzzes the enrolment endpoint, a round at a time, each over a store of its own; several processes take the rounds in turn. */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { countOutcome, emptyReport, type Finding, type FuzzOptions, type FuzzReport } from './report.ts';
import type { RoundReport, RoundTask } from './scep-rounds.ts';

const messagesPerRound = 5000;
/** Of a process that says nothing for so long, the input that it last began hangs. */
const silenceMaxMs = 60_000;
const silenceCheckMs = 5000;

/** What a process says: the number of the input that it begins, or how its round went. */
export type ProcessMessage = number | { report: RoundReport };

export async function fuzzScep(options: FuzzOptions, processes = availableParallelism()): Promise<FuzzReport> {
  const run = new ScepRun(options);
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: processes }, () => run.work()));
  run.report.seconds = (performance.now() - startedAt) / 1000;
  return run.report;
}

class ScepRun {
  readonly report = emptyReport();
  readonly #options: FuzzOptions;
  #rounds = 0;
  #messagesGiven = 0;

  constructor(options: FuzzOptions) {
    this.#options = options;
  }

  /** One process after the other, should one end; each has rounds until none is left. */
  async work(): Promise<void> {
    for (let task = this.#nextTask(); task !== undefined; ) {
      using worker = new RoundProcess();
      while (task !== undefined) {
        const result = await worker.run(task);
        if ('requests' in result) this.#add(result);
        else this.#find({ seed: task.seed, plan: undefined, request: {}, answer: undefined, ...result });
        task = this.#nextTask();
        if (!('requests' in result)) break;
      }
    }
  }

  #nextTask(): RoundTask | undefined {
    const { seed, requests, until = Number.POSITIVE_INFINITY } = this.#options;
    const messages = Math.min(messagesPerRound, requests - this.#messagesGiven);
    const leftMs = until - performance.now();
    if (messages <= 0 || leftMs <= 0) return undefined;
    this.#messagesGiven += messages;
    return { seed: seed + this.#rounds++, messages, leftMs };
  }

  #add(round: RoundReport): void {
    const { report } = this;
    report.requests += round.requests;
    report.repeated += round.repeated;
    for (const [operation, endings] of round.outcomes) {
      for (const [ending, count] of endings) countOutcome(report.outcomes, { operation, ending }, count);
    }
    if (round.slowestMs > report.slowestMs) {
      report.slowestMs = round.slowestMs;
      report.slowest = round.slowest;
    }
    report.heapMiB.push(...round.heapMiB);
    for (const finding of round.findings) this.#find(finding);
    this.#options.onRound?.(report);
  }

  #find(finding: Finding): void {
    if (this.report.findings.some(({ problem }) => problem === finding.problem)) {
      this.report.repeated += 1;
      return;
    }
    this.report.findings.push(finding);
    this.#options.onFinding?.(finding);
  }
}

/** A child process that does one round at a time. */
class RoundProcess implements Disposable {
  readonly #child: ChildProcess = fork(fileURLToPath(import.meta.resolve('./scep-process.ts')), { serialization: 'advanced' });
  #index = 0;
  #heardAt = 0;

  /** The report, or which input ended or held up the process. */
  run(task: RoundTask): Promise<RoundReport | { index: number; problem: string }> {
    const { promise, resolve } = Promise.withResolvers<RoundReport | { index: number; problem: string }>();
    this.#heardAt = performance.now();
    const onMessage = (message: ProcessMessage) => {
      this.#heardAt = performance.now();
      if (typeof message === 'number') this.#index = message;
      else resolve(message.report);
    };
    const onExit = (code: number | null, signal: string | null) =>
      resolve({ index: this.#index, problem: `the process ended with ${signal ?? code}` });
    const timer = setInterval(() => {
      if (performance.now() - this.#heardAt > silenceMaxMs) resolve({ index: this.#index, problem: 'the thread hangs' });
    }, silenceCheckMs);
    this.#child.on('message', onMessage).on('exit', onExit);
    this.#child.send(task);
    return promise.finally(() => {
      clearInterval(timer);
      this.#child.off('message', onMessage).off('exit', onExit);
    });
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}
