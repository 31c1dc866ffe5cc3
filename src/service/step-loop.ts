/** A worker of the service: does its steps one behind the other, now, at an interval, and when it is told that something waits. */
import type { Log } from '../base/events.ts';

interface StepLoopOptions {
  /** For the log. */
  name: string;
  intervalMs: number;
  /** A step that does as much is followed by another at once. */
  itemsPerStepMax: number;
  log: Log;
}

export abstract class StepLoop implements AsyncDisposable {
  readonly #options: StepLoopOptions;
  #timer: NodeJS.Timeout | undefined;
  #underWay: Promise<void> = Promise.resolve();
  #isEnding = false;

  constructor(options: StepLoopOptions) {
    this.#options = options;
  }

  /** A bounded piece of the work, of at most `itemsPerStepMax` items. Returns how many there were. */
  abstract step(): Promise<number>;

  /** Steps now and at every interval, for what another node left behind. */
  start(): void {
    this.#begin();
    this.#timer = setInterval(() => this.#begin(), this.#options.intervalMs);
    this.#timer.unref();
  }

  /** Something waits. Safe at any time; a step that is under way is followed by another. */
  wake(): void {
    this.#begin();
  }

  #begin(): void {
    const { name, log } = this.#options;
    const settled = this.#underWay.then(() => this.#stepUntilDone());
    this.#underWay = settled.catch(error => log.error({ err: error, worker: name }, 'a worker could not do its step'));
  }

  async #stepUntilDone(): Promise<void> {
    while (!this.#isEnding && (await this.step()) === this.#options.itemsPerStepMax);
  }

  /** Resolves when everything that waited has been looked at. */
  async settle(): Promise<void> {
    this.#begin();
    await this.#underWay;
  }

  /** Lets the step under way end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    clearInterval(this.#timer);
    await this.#underWay;
  }
}
