/** How many hits of strangers are recorded: anybody can send requests that lead to no connector, and none of them may fill the store. */
import { LRUCache } from 'lru-cache';
import type { System } from '../../base/system.ts';

/** A minute's records: of hits that name no connector, and of those on each connector with a wrong secret or at a wrong host. */
export const strangersPerMinuteMax = 60;
const minuteMs = 60_000;
const connectorsMax = 10_000;

interface Minute {
  beganAt: number;
  hits: number;
}

interface Verdict {
  isRecorded: boolean;
  /** How many of the minute before, as far as there were hits in it, were not. */
  notRecorded: number;
}

export class StrangerLimit {
  readonly #system: Pick<System, 'now'>;
  readonly #minutes = new LRUCache<string, Minute>({ max: connectorsMax });

  constructor({ system }: { system: Pick<System, 'now'> }) {
    this.#system = system;
  }

  /** Counts a hit on the connector, or on none. */
  count(connectorId: string | undefined): Verdict {
    const key = connectorId ?? '';
    const now = this.#system.now();
    const minute = this.#minutes.get(key);
    // A clock that was set back begins a new one, too.
    if (minute !== undefined && now >= minute.beganAt && now < minute.beganAt + minuteMs) {
      minute.hits += 1;
      return { isRecorded: minute.hits <= strangersPerMinuteMax, notRecorded: 0 };
    }
    this.#minutes.set(key, { beganAt: now, hits: 1 });
    return { isRecorded: true, notRecorded: Math.max(0, (minute?.hits ?? 0) - strangersPerMinuteMax) };
  }
}
