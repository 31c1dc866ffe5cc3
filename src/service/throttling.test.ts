/** A bucket holds a minute's worth, fills at its rate, and belongs to one account and one operation. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Quotas } from '../base/quotas.ts';
import { realSystem } from '../base/system.ts';
import { Throttling } from './throttling.ts';

const account = '111122223333';

function throttlingAt(rates: Record<string, number>) {
  let now = 1_000_000;
  const quotas = { resources: {}, rates } as unknown as Quotas;
  const throttling = new Throttling({ quotas, system: { ...realSystem, now: () => now } });
  const take = (operation = 'CreateChallenge', accountId = account) => throttling.take(accountId, operation);
  /** How many calls pass before one is refused. */
  const drain = (operation?: string, accountId?: string): number => {
    for (let count = 0; ; count++) {
      try {
        take(operation, accountId);
      } catch (error) {
        assert.ok(error instanceof Error && error.name === 'ThrottlingException');
        return count;
      }
    }
  };
  return {
    take,
    drain,
    advance(ms: number) {
      now += ms;
    },
  };
}

describe('Throttling', () => {
  it("takes a burst of a minute's worth and refuses the next with what to do", () => {
    const { drain, take } = throttlingAt({ CreateChallenge: 5 });
    assert.equal(drain(), 300);
    assert.throws(() => take(), {
      name: 'ThrottlingException',
      statusCode: 429,
      message: 'Rate exceeded: CreateChallenge may be called 5 times a second. Try again later.',
    });
  });

  it('fills at its rate, up to the minute', () => {
    const { drain, advance } = throttlingAt({ CreateChallenge: 5 });
    drain();
    advance(199);
    assert.equal(drain(), 0);
    advance(1);
    assert.equal(drain(), 1);
    advance(2000);
    assert.equal(drain(), 10);
    advance(3_600_000);
    assert.equal(drain(), 300);
  });

  it('is not filled by a clock that goes back', () => {
    const { drain, advance } = throttlingAt({ CreateChallenge: 5 });
    drain();
    advance(-60_000);
    assert.equal(drain(), 0);
  });

  it('is apart for each account and each operation', () => {
    const { drain, take } = throttlingAt({ CreateChallenge: 5, GetConnector: 1 });
    drain();
    assert.equal(drain('GetConnector'), 60);
    assert.equal(drain('CreateChallenge', '444455556666'), 300);
    assert.throws(() => take(), { name: 'ThrottlingException' });
  });

  it('lets through what has no rate, or one that is switched off', () => {
    const { take } = throttlingAt({ CreateChallenge: Number.POSITIVE_INFINITY });
    for (let count = 0; count < 1000; count++) {
      take();
      take('ListUsers');
    }
  });
});
