/** The limit on the records of strangers: a minute's number, for each connector and for none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StrangerLimit, strangersPerMinuteMax } from './stranger-limit.ts';

const recorded = { isRecorded: true, notRecorded: 0 };
const notRecorded = { isRecorded: false, notRecorded: 0 };

function limitAt(begin: number) {
  let now = begin;
  const limit = new StrangerLimit({ system: { now: () => now } });
  const exhaust = (connectorId?: string) => {
    for (let index = 0; index < strangersPerMinuteMax; index++) assert.deepEqual(limit.count(connectorId), recorded);
  };
  return { limit, exhaust, advance: (ms: number) => (now += ms) };
}

describe('StrangerLimit', () => {
  it('has a minute’s number recorded and no more', () => {
    const { limit, exhaust, advance } = limitAt(0);
    exhaust();
    assert.deepEqual(limit.count(undefined), notRecorded);
    advance(59_999);
    assert.deepEqual(limit.count(undefined), notRecorded);
  });

  it('says once, with the first hit of a later minute, how many were not', () => {
    const { limit, exhaust, advance } = limitAt(0);
    exhaust();
    for (let index = 0; index < 7; index++) limit.count(undefined);
    advance(60_000);
    assert.deepEqual(limit.count(undefined), { isRecorded: true, notRecorded: 7 });
    assert.deepEqual(limit.count(undefined), recorded);
    advance(60_000);
    assert.deepEqual(limit.count(undefined), recorded);
  });

  it('counts the hits on each connector apart, and those on none', () => {
    const { limit, exhaust } = limitAt(0);
    exhaust('a');
    exhaust('b');
    exhaust();
    for (const connectorId of ['a', 'b', undefined]) assert.deepEqual(limit.count(connectorId), notRecorded);
  });

  it('does not stop recording when the clock is set back', () => {
    const { limit, exhaust, advance } = limitAt(1_000_000);
    exhaust();
    assert.deepEqual(limit.count(undefined), notRecorded);
    advance(-500_000);
    assert.deepEqual(limit.count(undefined), { isRecorded: true, notRecorded: 1 });
  });
});
