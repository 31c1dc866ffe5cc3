/** The loop of the workers: one step behind the other, until nothing is left, whatever a step ends with. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StepLoop } from './step-loop.ts';

/** Steps that end with what is given, one after the other, and then with nothing left. */
function loopOf(...outcomes: (boolean | Error)[]) {
  const seen = { steps: 0, atOnceMax: 0, reports: [] as object[] };
  let atOnce = 0;
  const log = { info: () => {}, warn: () => {}, error: (fields: object) => void seen.reports.push(fields) };
  const step = async () => {
    seen.steps += 1;
    seen.atOnceMax = Math.max(seen.atOnceMax, ++atOnce);
    await new Promise(resolve => void setImmediate(resolve));
    atOnce -= 1;
    const outcome = outcomes.shift() ?? false;
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };
  return { seen, loop: new StepLoop({ name: 'test', intervalMs: 60_000, step, log }) };
}

describe('a step loop', () => {
  it('steps until nothing is left', async () => {
    const { seen, loop } = loopOf(true, true, false);
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
    const { seen, loop } = loopOf(failure);
    await loop.settle();
    await loop.settle();
    assert.deepEqual([seen.steps, seen.reports], [2, [{ err: failure, worker: 'test' }]]);
  });

  it('starts with a step, lets it end when it is disposed of, and begins no other', async () => {
    const { seen, loop } = loopOf(true, true);
    loop.start();
    await Promise.resolve();
    await loop[Symbol.asyncDispose]();
    assert.equal(seen.steps, 1);
    await loop.settle();
    assert.equal(seen.steps, 1);
  });
});
