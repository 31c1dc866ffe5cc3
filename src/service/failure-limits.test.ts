/** Failures are counted per source and connector, forgotten one by one, and never held against those who have none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { realSystem } from '../base/system.ts';
import { type FailureKind, FailureLimits, failureLimits, TooManyFailuresError } from './failure-limits.ts';

const guesser = '192.0.2.66';
const { failuresMax, forgetMs } = failureLimits.challenge.source;

/** Limits over a clock that a test moves, and what a request is answered by them. */
function limitsAt(kind: FailureKind = 'challenge') {
  let now = 1_000_000;
  const limits = new FailureLimits({ system: { ...realSystem, now: () => now } });
  /** One request from its beginning to its outcome: undefined when it was told that, and else the seconds to wait. */
  const request = (failed: boolean, source = guesser, connectorId = 'here'): number | undefined => {
    try {
      limits.check(kind, connectorId, source);
      limits.settle(kind, connectorId, source, { failed });
      return undefined;
    } catch (error) {
      assert.ok(error instanceof TooManyFailuresError);
      assert.deepEqual([error.name, error.statusCode], ['ThrottlingException', 429]);
      return error.retryAfterSeconds;
    }
  };
  return {
    limits,
    fail: (source?: string, connectorId?: string) => request(true, source, connectorId),
    succeed: (source?: string, connectorId?: string) => request(false, source, connectorId),
    /** How many failures of a source are told their outcome before one is not. */
    drain(source?: string, connectorId?: string): number {
      for (let count = 0; ; count++) if (request(true, source, connectorId) !== undefined) return count;
    },
    advance(ms: number) {
      now += ms;
    },
  };
}

describe('a source', () => {
  for (const kind of ['challenge', 'decryption'] as const) {
    const { source } = failureLimits[kind];
    it(`fails ${source.failuresMax} times at once by ${kind}, then waits until one is forgotten, whether it is right or wrong`, () => {
      const { drain, succeed, fail, advance } = limitsAt(kind);
      assert.equal(drain(), source.failuresMax);
      assert.equal(succeed(), source.forgetMs / 1000);
      advance(source.forgetMs - 1);
      assert.deepEqual([succeed(), fail()], [1, 1]);
      advance(1);
      assert.deepEqual([succeed(), fail(), fail()], [undefined, undefined, source.forgetMs / 1000]);
    });
  }

  it('does not wait longer for having tried while it waits', () => {
    const { drain, fail, succeed, advance } = limitsAt();
    drain();
    for (let count = 0; count < 1000; count++) fail();
    advance(forgetMs);
    assert.equal(succeed(), undefined);
  });

  it('has its failures forgotten one by one', () => {
    const { drain, advance } = limitsAt();
    drain();
    advance(3 * forgetMs);
    assert.equal(drain(), 3);
    advance(24 * 3_600_000);
    assert.equal(drain(), failuresMax);
  });

  it('succeeds as often as it likes', () => {
    const { succeed, drain } = limitsAt();
    for (let count = 0; count < 1000; count++) assert.equal(succeed(), undefined);
    assert.equal(drain(), failuresMax);
  });

  it('is not let in by a clock that goes back', () => {
    const { drain, succeed, advance } = limitsAt();
    drain();
    advance(-3_600_000);
    assert.equal(succeed(), forgetMs / 1000);
  });

  it('learns no more from many requests at once: those past the budget are not told what they found out', () => {
    const { limits } = limitsAt();
    for (let count = 0; count < 200; count++) limits.check('challenge', 'here', guesser);
    const told = Array.from({ length: 200 }, (_, index) => {
      try {
        // The right password comes too late.
        limits.settle('challenge', 'here', guesser, { failed: index < 150 });
        return true;
      } catch {
        return false;
      }
    });
    assert.deepEqual(
      told,
      told.map((_, index) => index < failuresMax),
    );
  });

  it('that has failed at one connector, or in one way, has not at another', () => {
    const { limits, drain, succeed } = limitsAt();
    drain();
    assert.equal(succeed(guesser, 'elsewhere'), undefined);
    limits.check('decryption', 'here', guesser);
  });

  const addresses: [name: string, failing: string, other: string, isOne: boolean][] = [
    ['its neighbour', '192.0.2.66', '192.0.2.67', false],
    ['an IPv4 address in two notations', '192.0.2.66', '::ffff:192.0.2.66', true],
    ['its neighbour, both written as IPv6', '::ffff:192.0.2.66', '::ffff:192.0.2.67', false],
    ['another address of the IPv6 /64', '2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', true],
    ['another address of the /64, written out', '2001:db8:1:2::1', '2001:0db8:0001:0002:0:0:0:9', true],
    ['another address of the /64, whose zeros are elsewhere', '2001:db8::1:0:0:1', '2001:db8:0:0:2::', true],
    ['another IPv6 /64', '2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['another host of the link', 'fe80::1%eth0', 'fe80::2%eth0', false],
    ['another IPv4 address behind a translator', '64:ff9b::c000:242', '64:ff9b::c000:243', false],
    ['what has no address', 'here', 'there', false],
  ];
  for (const [name, failing, other, isOne] of addresses) {
    it(`is told apart by its address: ${name} ${isOne ? 'counts as one' : 'counts as two'}`, () => {
      const { drain, succeed } = limitsAt();
      drain(failing);
      assert.equal(succeed(other) === undefined, !isOne);
    });
  }
});

describe('a connector under guesses from many sources', () => {
  const { connector } = failureLimits.challenge;
  const bots = Array.from({ length: connector.failuresMax }, (_, index) => `10.0.${index >> 8}.${index & 0xff}`);

  it('lets those wait that have failed and not been forgotten, and nobody else', () => {
    const { fail, succeed, advance } = limitsAt();
    for (const bot of bots) assert.equal(fail(bot), undefined);
    assert.deepEqual([succeed(bots[0]), fail(bots[0])], [1, 1]);
    assert.equal(succeed('192.0.2.1'), undefined);
    // A moment later as well: a bot that guesses once and waits a little is still one that has failed.
    advance(connector.forgetMs - 1);
    assert.equal(fail(bots[1]), 1);
  });

  it('lets one of them try again for each that is forgotten', () => {
    const { fail, advance } = limitsAt();
    for (const bot of bots) fail(bot);
    advance(3 * connector.forgetMs);
    assert.deepEqual(
      bots.slice(0, 4).map(bot => fail(bot)),
      [undefined, undefined, undefined, 1],
    );
  });

  it('lets a source in once its own failures are forgotten, however many others still fail', () => {
    const { fail, succeed, advance } = limitsAt();
    fail('192.0.2.1');
    advance(forgetMs);
    for (const bot of bots) fail(bot);
    assert.equal(succeed('192.0.2.1'), undefined);
  });

  it('is no other connector', () => {
    const { fail } = limitsAt();
    for (const bot of bots) fail(bot);
    assert.equal(fail(bots[0], 'elsewhere'), undefined);
  });
});

describe('the memory of failures', () => {
  it('is bounded: it keeps the latest hundred thousand sources, and what the connector has seen of all', () => {
    const { drain, fail, succeed } = limitsAt();
    drain();
    const sources = Array.from({ length: 100_000 }, (_, index) => `10.${index >> 16}.${(index >> 8) & 0xff}.${index & 0xff}`);
    for (const source of sources) fail(source);
    assert.equal(succeed(), undefined);
    assert.equal(succeed(sources[0]), 1);
  });
});
