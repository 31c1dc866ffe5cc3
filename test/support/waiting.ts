/** Waits for what a worker, a client or a process brings about, and fails with its name when that does not come. */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';

/** Long beyond all that a loaded machine takes: it ends a test that would hang, and measures nothing. */
const withinMs = 60_000;
const intervalMs = 20;

/** By the real clock, whatever the server's says. */
export async function until(isDone: () => boolean | Promise<boolean>, what: string, { everyMs = intervalMs } = {}): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!(await isDone())) {
    assert.ok(performance.now() < giveUpAt, `not in ${withinMs / 1000} s: ${what}`);
    await wait(everyMs);
  }
}
