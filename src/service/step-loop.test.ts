/** The loop of the workers: one step behind the other, until nothing is left, whatever a step ends with. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StepLoop } from './step-loop.ts';

const itemsPerStepMax = 2;

/** Steps that find what is given, a number of items or a failure, one after the other, and then nothing. */
class TestLoop extends StepLoop {
  readonly #findings: (number | Error)[];
  #atOnce = 0;
  readonly seen = { steps: 0, atOnceMax: 0 };

  constructor(findings: (number | Error)[], reports: object[]) {
    const log = { info: () => {}, warn: () => {}, error: (fields: object) => void reports.push(fields) };
    super({ name: 'test', intervalMs: 60_000, itemsPerStepMax, log });
    this.#findings = findings;
  }

  async step(): Promise<number> {
    this.seen.steps += 1;
    this.seen.atOnceMax = Math.max(this.seen.atOnceMax, ++this.#atOnce);
    await new Promise(resolve => void setImmediate(resolve));
    this.#atOnce -= 1;
    const finding = this.#findings.shift() ?? 0;
    if (finding instanceof Error) throw finding;
    return finding;
  }
}

function loopOf(...findings: (number | Error)[]) {
  const reports: object[] = [];
  const loop = new TestLoop(findings, reports);
  return { loop, seen: loop.seen, reports };
}

describe('a step loop', () => {
  it('steps until it finds less than it could take', async () => {
    const { seen, loop } = loopOf(itemsPerStepMax, itemsPerStepMax, 1);
    await loop.settle();
    assert.equal(seen.steps, 3);
  });

  it('runs one step at a time, and one more for each time it is woken', async () => {
    const { seen, loop } = loopOf();
    loop.start();
    loop.wake();
    await loop.settle();
    await loop[Symbol.asyncDispose]();
    assert.deepEqual([seen.steps, seen.atOnceMax], [3, 1]);
  });

  it('does nothing of its own before its start', async () => {
    const { seen, loop } = loopOf();
    loop.wake();
    await loop[Symbol.asyncDispose]();
    assert.equal(seen.steps, 0);
  });

  it('reports a step that fails and goes on with the next', async () => {
    const failure = new Error('away');
    const { seen, loop, reports } = loopOf(failure);
    await loop.settle();
    await loop.settle();
    assert.deepEqual([seen.steps, reports], [2, [{ err: failure, worker: 'test' }]]);
  });

  it('starts with a step, lets it end when it is disposed of, and begins no other', async () => {
    const { seen, loop } = loopOf(itemsPerStepMax, itemsPerStepMax);
    loop.start();
    await Promise.resolve();
    await loop[Symbol.asyncDispose]();
    assert.equal(seen.steps, 1);
    await loop.settle();
    assert.equal(seen.steps, 1);
  });
});
