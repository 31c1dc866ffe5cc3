/** Token buckets, one per account and operation of the API, and per connector and operation of SCEP: a steady rate as AWS's quotas name it, and bursts of up to a minute's worth. */
import { LRUCache } from 'lru-cache';
import { ServiceException } from '../base/errors.ts';
import type { Quotas } from '../base/quotas.ts';
import type { System } from '../base/system.ts';

/** AWS does not say how much of a burst it takes; tools such as Terraform make dozens of calls at once and then none. */
const burstSeconds = 60;
const bucketsMax = 100_000;

interface Bucket {
  tokens: number;
  filledAt: number;
}

export class Throttling {
  readonly #rates: Readonly<Record<string, number>>;
  readonly #system: System;
  readonly #buckets = new LRUCache<string, Bucket>({ max: bucketsMax });

  constructor({ quotas, system }: { quotas: Quotas; system: System }) {
    this.#rates = { ...quotas.rates, ...quotas.connectorRates };
    this.#system = system;
  }

  /** Takes one token of an account or a connector, or throws ThrottlingException. An operation without a quota is not throttled. */
  take(whose: string, operation: string): void {
    if (this.tryTake(whose, operation)) return;
    const rate = this.#rates[operation];
    throw new ServiceException('ThrottlingException', `Rate exceeded: ${operation} may be called ${rate} times a second. Try again later.`);
  }

  /** The same, and whether there was one. */
  tryTake(whose: string, operation: string): boolean {
    const rate = this.#rates[operation];
    if (rate === undefined || rate === Number.POSITIVE_INFINITY) return true;
    const key = `${whose}/${operation}`;
    const now = this.#system.now();
    const capacity = rate * burstSeconds;
    const { tokens, filledAt } = this.#buckets.get(key) ?? { tokens: capacity, filledAt: now };
    const filled = Math.min(capacity, tokens + (Math.max(0, now - filledAt) / 1000) * rate);
    if (filled < 1) return false;
    this.#buckets.set(key, { tokens: filled - 1, filledAt: now });
    return true;
  }
}
