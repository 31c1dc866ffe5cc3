/** What `npm run bench -- timing` concludes from times, here from made-up ones: nothing where there is nothing, and a planted difference where there is one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judge, series, type Times } from '../../bench/timing.ts';
import { Random } from '../fuzz/random.ts';
import { timedKinds } from '../support/timed-envelopes.ts';

const rounds = 500;
const medianMicros = 400;
const spreadMicros = 10;
/** From the middle to the edge of what scatters evenly by that. */
const reachMicros = spreadMicros * Math.sqrt(3);
const pauseMicros = 5000;

/** Every time scatters about the same middle, but for what is added to a series; a round may be slow as a whole, and a time in a hundred has a pause in it. */
function madeUp(added: Partial<Record<(typeof series)[number], number>> = {}): Times {
  const random = new Random(1, 0);
  const times = new Map(series.map(name => [name, new Float64Array(rounds)] as const));
  for (let round = 0; round < rounds; round++) {
    const slow = random.chance(0.1) ? 100 : 0;
    for (const [name, own] of times) {
      const pause = random.chance(0.01) ? pauseMicros : 0;
      own[round] = medianMicros + slow + pause + (added[name] ?? 0) + (random.fraction() * 2 - 1) * reachMicros;
    }
  }
  return times;
}

describe('the judging of times', () => {
  const calm = judge('', madeUp());

  it('finds nothing where nothing differs, though the machine pauses, and says how little it would have found', () => {
    const { found, largest, threshold, spread, powerMicros } = calm;
    assert.deepEqual(found, []);
    assert.ok(Math.abs(largest.effect) < threshold, `${largest.effect}`);
    assert.ok(spread > 0.7 * spreadMicros && spread < 1.4 * spreadMicros, `${spread}`);
    assert.ok(powerMicros > 0 && powerMicros < 0.5 * spreadMicros, `${powerMicros}`);
  });

  for (const micros of [5, -5, 200]) {
    it(`finds ${micros} µs that one kind takes more, against each other kind, and nothing else`, () => {
      const kind = 'bad CBC padding';
      const { found, largest } = judge('', madeUp({ [kind]: micros }));
      assert.equal(found.length, timedKinds.length - 1);
      for (const difference of found) {
        const [first] = difference.name.split(' against ');
        const sign = first === kind ? 1 : -1;
        assert.ok(difference.name.includes(kind), difference.name);
        assert.ok(Math.abs(difference.micros - sign * micros) < 0.4 * spreadMicros, `${difference.name}: ${difference.micros}`);
      }
      assert.ok(found.some(({ name }) => name === largest.name));
    });
  }

  it('sees its control, and is known to be blind when it does not', () => {
    const seen = judge('', madeUp({ 'planted leak': 20 }));
    assert.deepEqual([seen.found, seen.planted.effect > seen.threshold], [[], true]);
    assert.ok(Math.abs(calm.planted.effect) < calm.threshold, `${calm.planted.effect}`);
  });

  it('takes a difference between two series of the same messages for chance, not for a finding: it sets the threshold', () => {
    const drifting = judge('', madeUp({ 'valid, again': 5 }));
    assert.deepEqual(drifting.found, []);
    assert.ok(drifting.threshold > calm.threshold, `${drifting.threshold} after ${calm.threshold}`);
  });
});
