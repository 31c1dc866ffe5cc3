/** Runs a worker's steps one behind the other: now, at an interval, and when it is told that something waits. */
import type { Log } from '../base/events.ts';

export interface Steps {
  /** For the log. */
  name: string;
  intervalMs: number;
  /** A bounded piece of the work. Whether there may be more of it. */
  step: () => Promise<boolean>;
  log: Log;
}

export class StepLoop implements AsyncDisposable {
  readonly #steps: Steps;
  #timer: NodeJS.Timeout | undefined;
  #underWay: Promise<void> = Promise.resolve();
  #isEnding = false;

  constructor(steps: Steps) {
    this.#steps = steps;
  }

  /** Steps now and at every interval, for what another node left behind. */
  start(): void {
    this.wake();
    this.#timer = setInterval(() => this.wake(), this.#steps.intervalMs);
    this.#timer.unref();
  }

  /** Something waits. Safe at any time; a step that is under way is followed by another. */
  wake(): void {
    const { name, log } = this.#steps;
    const settled = this.#underWay.then(() => this.#stepUntilDone());
    this.#underWay = settled.catch(error => log.error({ err: error, worker: name }, 'a worker could not do its step'));
  }

  async #stepUntilDone(): Promise<void> {
    while (!this.#isEnding && (await this.#steps.step()));
  }

  /** Resolves when everything that waited has been looked at. */
  async settle(): Promise<void> {
    this.wake();
    await this.#underWay;
  }

  /** Lets the step under way end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    clearInterval(this.#timer);
    await this.#underWay;
  }
}
