/** Limits on what only a guesser does often: wrong challenges, and messages that do not decrypt. Per source and connector, so that one bad client never locks out another. */
import { LRUCache } from 'lru-cache';
import { ServiceException } from '../base/errors.ts';
import type { System } from '../base/system.ts';

export type FailureKind = 'challenge' | 'decryption';

interface Budget {
  /** How many failures it takes at once. */
  failuresMax: number;
  /** How long it takes to forget one. */
  forgetMs: number;
}

/**
 * A password has 122 random bits, so a few guesses a minute are hopeless for ever. Attacks on the envelope need tens of thousands of messages (Bleichenbacher's
 * some million), and clients that cached an old RA certificate, or whose proxy damages bodies, need a few. A connector's own budget is for many sources at once:
 * when it is spent, it is those that have failed lately who wait, and nobody else.
 */
export const failureLimits: Readonly<Record<FailureKind, Readonly<{ source: Budget; connector: Budget }>>> = {
  challenge: { source: { failuresMax: 20, forgetMs: 30_000 }, connector: { failuresMax: 1000, forgetMs: 1000 } },
  decryption: { source: { failuresMax: 100, forgetMs: 5000 }, connector: { failuresMax: 5000, forgetMs: 200 } },
};
const sourcesMax = 100_000;

interface Debt {
  failures: number;
  at: number;
}

export class FailureLimits {
  readonly #system: System;
  readonly #debts = new LRUCache<string, Debt>({ max: sourcesMax });

  constructor({ system }: { system: System }) {
    this.#system = system;
  }

  /** Before anything is looked at that a guesser could learn from. Throws ThrottlingException. */
  check(kind: FailureKind, connectorId: string, source: string): void {
    const { source: ofSource, connector: ofConnector } = failureLimits[kind];
    const own = this.#failures(keyOf(kind, connectorId, source), ofSource);
    const hasFailedLately = own >= 1;
    const all = hasFailedLately ? this.#failures(keyOf(kind, connectorId), ofConnector) : 0;
    if (own + 1 <= ofSource.failuresMax && all + 1 <= ofConnector.failuresMax) return;
    throw new ServiceException('ThrottlingException', 'Too many requests from this address have failed. Try again in a minute.');
  }

  record(kind: FailureKind, connectorId: string, source: string): void {
    const { source: ofSource, connector: ofConnector } = failureLimits[kind];
    this.#add(keyOf(kind, connectorId, source), ofSource);
    this.#add(keyOf(kind, connectorId), ofConnector);
  }

  /** What is not forgotten yet. */
  #failures(key: string, { forgetMs }: Budget): number {
    const debt = this.#debts.get(key);
    return debt === undefined ? 0 : Math.max(0, debt.failures - Math.max(0, this.#system.now() - debt.at) / forgetMs);
  }

  #add(key: string, budget: Budget): void {
    const failures = Math.min(this.#failures(key, budget) + 1, budget.failuresMax);
    this.#debts.set(key, { failures, at: this.#system.now() });
  }
}

/** Of an IPv6 address its /64: whoever has one address there has them all. */
function keyOf(kind: FailureKind, connectorId: string, source?: string): string {
  const peer = source?.includes(':') && !source.startsWith('::ffff:') ? networkOf(source) : source;
  return peer === undefined ? `${kind}/${connectorId}` : `${kind}/${connectorId}/${peer}`;
}

function networkOf(address: string): string {
  const [head = '', tail] = address.split('::', 2);
  const groups = head === '' ? [] : head.split(':');
  const zeros = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  return [...groups, ...Array.from({ length: zeros }, () => '0')].slice(0, 4).join(':');
}
