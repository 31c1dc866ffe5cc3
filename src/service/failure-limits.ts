/** Limits on what only a guesser does often: wrong challenges, and messages that do not decrypt. Per source and connector, so that one bad client never locks out another. */
import { LRUCache } from 'lru-cache';
import { ServiceException } from '../base/errors.ts';
import { isInNetwork, type Network, parseAddress, parseNetwork } from '../base/ip-networks.ts';
import type { System } from '../base/system.ts';

export type FailureKind = 'challenge' | 'decryption' | 'lookup';

interface Budget {
  /** How many failures it takes at once. */
  failuresMax: number;
  /** How long it takes to forget one. */
  forgetMs: number;
}

/**
 * A password has 122 random bits, so a few guesses a minute are hopeless for ever. Attacks on the envelope need tens of thousands of messages (Bleichenbacher's
 * some million), and clients whose proxy damages bodies need a few; messages to an old RA key are not decrypted, and not counted. A connector's own budget is for many sources at once:
 * when it is spent, it is those that have a failure not yet forgotten who wait, and nobody else.
 */
export const failureLimits: Readonly<Record<FailureKind, Readonly<{ source: Budget; connector: Budget }>>> = {
  challenge: { source: { failuresMax: 20, forgetMs: 30_000 }, connector: { failuresMax: 1000, forgetMs: 1000 } },
  decryption: { source: { failuresMax: 100, forgetMs: 5000 }, connector: { failuresMax: 5000, forgetMs: 200 } },
  lookup: { source: { failuresMax: 100, forgetMs: 5000 }, connector: { failuresMax: 5000, forgetMs: 200 } },
};
/** Connectors apart, so that no flood of sources makes a connector's failures forgotten. */
const sourcesMax = 100_000;
const connectorsMax = 10_000;

interface Debt {
  failures: number;
  at: number;
}

export class TooManyFailuresError extends ServiceException {
  readonly retryAfterSeconds: number;

  constructor(waitMs: number) {
    super('ThrottlingException', 'Too many requests from this address have failed. Try again in a minute.');
    this.retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
  }
}

export class FailureLimits {
  readonly #system: System;
  readonly #ofSources = new LRUCache<string, Debt>({ max: sourcesMax });
  readonly #ofConnectors = new LRUCache<string, Debt>({ max: connectorsMax });

  constructor({ system }: { system: System }) {
    this.#system = system;
  }

  /** Before anything is looked at that a guesser could learn from. Throws TooManyFailuresError. */
  check(kind: FailureKind, connectorId: string, source: string): void {
    const { source: ofSource, connector: ofConnector } = failureLimits[kind];
    const own = this.#failures(this.#ofSources, sourceKey(kind, connectorId, source), ofSource);
    const all = own > 0 ? this.#failures(this.#ofConnectors, connectorKey(kind, connectorId), ofConnector) : 0;
    const ownWaitMs = waitMs(own, ofSource);
    // Whoever has failed is let in again once that is forgotten, however many others still fail.
    const waitsMs = Math.max(ownWaitMs, Math.min(waitMs(all, ofConnector), own * ofSource.forgetMs));
    if (waitsMs > 0) throw new TooManyFailuresError(waitsMs);
  }

  /**
   * Between the outcome and telling it. Of many requests at once all pass `check` before the first fails: what they found out is kept from them too
   * once the budget is spent, be it right or wrong. Throws TooManyFailuresError.
   */
  settle(kind: FailureKind, connectorId: string, source: string, { failed }: { failed: boolean }): void {
    this.check(kind, connectorId, source);
    if (!failed) return;
    const { source: ofSource, connector: ofConnector } = failureLimits[kind];
    this.#add(this.#ofSources, sourceKey(kind, connectorId, source), ofSource);
    this.#add(this.#ofConnectors, connectorKey(kind, connectorId), ofConnector);
  }

  /** What is not forgotten yet. */
  #failures(debts: LRUCache<string, Debt>, key: string, { forgetMs }: Budget): number {
    const debt = debts.get(key);
    if (debt === undefined) return 0;
    // A clock that was ahead and was put back must not keep anybody waiting until it is there again.
    debt.at = Math.min(debt.at, this.#system.now());
    return Math.max(0, debt.failures - (this.#system.now() - debt.at) / forgetMs);
  }

  #add(debts: LRUCache<string, Debt>, key: string, budget: Budget): void {
    const failures = Math.min(this.#failures(debts, key, budget) + 1, budget.failuresMax);
    debts.set(key, { failures, at: this.#system.now() });
  }
}

/** Until there is room for one more. */
function waitMs(failures: number, { failuresMax, forgetMs }: Budget): number {
  return Math.max(0, (failures + 1 - failuresMax) * forgetMs);
}

function connectorKey(kind: FailureKind, connectorId: string): string {
  return `${kind}/${connectorId}`;
}

function sourceKey(kind: FailureKind, connectorId: string, source: string): string {
  return `${connectorKey(kind, connectorId)}/${peerOf(source)}`;
}

/** Where a /64 is not one subscriber's: every host of a link, and every IPv4 address behind a translator (RFC 6052). */
const sharedNetworks = ['fe80::/10', '64:ff9b::/96'].map(parseNetwork).filter((network): network is Network => network !== undefined);

/** Who counts as one: an IPv4 address, in whichever notation a listener shows it, and of IPv6 the /64, as whoever has one address there has them all. */
function peerOf(source: string): string {
  const address = parseAddress(source);
  if (address === undefined) return source;
  const isWhole = address.length === 4 || sharedNetworks.some(network => isInNetwork(address, network));
  return Buffer.from(isWhole ? address : address.slice(0, 8)).toString('hex');
}
