/** When a service of Microsoft's may be asked again: as it has said itself in Retry-After, for each connector. */
import { LRUCache } from 'lru-cache';
import type { System } from '../../base/system.ts';
import { MicrosoftError, type MicrosoftService } from './microsoft-error.ts';
import type { MicrosoftAnswer } from './microsoft-http.ts';

export const retryTimeLimits = { rememberedMax: 10_000, waitMsMax: 5 * 60_000, waitDefaultMs: 10_000 } as const;

/** RFC 9110 section 15.5.20 ff.: who says so is busy, and each further request makes that worse. */
const busyStatuses = new Set([429, 503]);

export class RetryTimes {
  readonly #system: Pick<System, 'now'>;
  readonly #until = new LRUCache<string, number>({ max: retryTimeLimits.rememberedMax });

  constructor(system: Pick<System, 'now'>) {
    this.#system = system;
  }

  /** Throws MicrosoftError as long as the service does not want to be asked. */
  check(connectorId: string, service: MicrosoftService): void {
    const retryAfterMs = (this.#until.get(`${connectorId} ${service}`) ?? 0) - this.#system.now();
    if (retryAfterMs > 0) throw busy(service, retryAfterMs);
  }

  /** The error that an answer is which holds nothing; one that says when to come back is remembered. */
  outage(connectorId: string, service: MicrosoftService, { status, retryAfter }: MicrosoftAnswer): MicrosoftError {
    if (!busyStatuses.has(status) || (retryAfter === undefined && status !== 429)) {
      return new MicrosoftError({ reason: 'unreachable', service }, `${service} answers with HTTP status ${status}.`);
    }
    const waitMs = Math.min(this.#parse(retryAfter) ?? retryTimeLimits.waitDefaultMs, retryTimeLimits.waitMsMax);
    this.#until.set(`${connectorId} ${service}`, this.#system.now() + waitMs);
    return busy(service, waitMs);
  }

  /** Seconds, or a date (RFC 9110 section 10.2.3). */
  #parse(text: string | undefined): number | undefined {
    if (text === undefined) return undefined;
    const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - this.#system.now();
    return Number.isNaN(ms) ? undefined : Math.max(0, ms);
  }
}

function busy(service: MicrosoftService, retryAfterMs: number): MicrosoftError {
  const message = `${service} wants to be asked again in ${Math.ceil(retryAfterMs / 1000)} s, not before.`;
  return new MicrosoftError({ reason: 'unreachable', service, retryAfterMs }, message);
}
