/** Tokens of Entra ID by workload identity federation: an assertion of the connector's own issuer in place of a client secret. */
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { SingleFlight } from '../../base/single-flight.ts';
import type { System } from '../../base/system.ts';
import { entraError } from './entra-errors.ts';
import { MicrosoftError } from './microsoft-error.ts';
import { type MicrosoftAnswer, parseJson, type Transport } from './microsoft-http.ts';
import { RetryTimes } from './retry-times.ts';

export const entraLimits = {
  /** Of connectors and scopes; what falls out is fetched again. */
  tokensMax: 10_000,
  /** A token is renewed so long before it ends, behind those who still use it, and not used for the last seconds of its life. */
  refreshedBeforeMs: 5 * 60_000,
  unusedBeforeMs: 30_000,
  /** Where the answer does not say how long it is good for. */
  lifeDefaultSeconds: 300,
} as const;

/** Who asks: an application in a tenant, and how it proves that it is asking. */
export interface EntraClient {
  /** Of the connector: its tokens are nobody else's. */
  connectorId: string;
  /** The tenant's id or its domain. */
  domain: string;
  applicationId: string;
  createAssertion(): Promise<string>;
}

export interface AccessToken {
  readonly value: string;
  readonly refreshAt: number;
  readonly expiresAt: number;
}

/** Takes what is left of a request's time; throws MicrosoftError when none is. */
export type TakeTime = () => number;

interface EntraParts {
  transport: Transport;
  entraUrl: string;
  system: Pick<System, 'now' | 'randomUUID'>;
}

const tokenAnswer = z.object({ access_token: z.string().min(1), expires_in: z.coerce.number().positive().optional() });
const errorAnswer = z.object({
  error: z.string(),
  error_description: z.string().default(''),
  error_codes: z.array(z.number()).default([]),
});

export class Entra {
  readonly #parts: EntraParts;
  readonly #tokens = new LRUCache<string, AccessToken>({ max: entraLimits.tokensMax });
  /** However many wait for a token, one request is under way. */
  readonly #fetches = new SingleFlight<AccessToken>();
  readonly #retryTimes: RetryTimes;

  constructor(parts: EntraParts) {
    this.#parts = parts;
    this.#retryTimes = new RetryTimes(parts.system);
  }

  /** Throws MicrosoftError. */
  async getToken(client: EntraClient, scope: string, takeTime: TakeTime): Promise<AccessToken> {
    const known = this.#tokens.get(keyOf(client, scope));
    const now = this.#parts.system.now();
    if (known === undefined || now >= known.expiresAt - entraLimits.unusedBeforeMs) return this.#fetchOnce(client, scope, takeTime);
    // Whoever comes when the token can no longer be used is told why it was not renewed.
    if (now >= known.refreshAt) this.#fetchOnce(client, scope, takeTime).catch(() => {});
    return known;
  }

  /** A token that a service does not take, for one that may be newer than what was changed in Entra ID. Another's newer one stays. */
  dropToken(client: EntraClient, scope: string, token: AccessToken): void {
    const key = keyOf(client, scope);
    if (this.#tokens.get(key) === token) this.#tokens.delete(key);
  }

  /** A new one, whatever there is. Throws MicrosoftError. */
  async fetchToken(client: EntraClient, scope: string, takeTime: TakeTime): Promise<AccessToken> {
    return this.#fetchOnce(client, scope, takeTime);
  }

  #fetchOnce(client: EntraClient, scope: string, takeTime: TakeTime): Promise<AccessToken> {
    const key = keyOf(client, scope);
    return this.#fetches.run(key, async () => {
      const token = await this.#fetch(client, scope, takeTime);
      this.#tokens.set(key, token);
      return token;
    });
  }

  /** learn.microsoft.com "OAuth 2.0 client credentials flow", third case: access token request with a federated credential. */
  async #fetch(client: EntraClient, scope: string, takeTime: TakeTime): Promise<AccessToken> {
    const { transport, entraUrl, system } = this.#parts;
    this.#retryTimes.check(client.connectorId, 'Entra ID');
    const form = new URLSearchParams({
      client_id: client.applicationId,
      scope,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await client.createAssertion(),
      grant_type: 'client_credentials',
    });
    const request = {
      service: 'Entra ID',
      method: 'POST',
      url: `${entraUrl}/${encodeURIComponent(client.domain)}/oauth2/v2.0/token`,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        accept: 'application/json',
        'client-request-id': system.randomUUID(),
      },
      body: form.toString(),
    } as const;
    const answer = await transport(request, takeTime());
    if (answer.status !== 200) throw this.#errorOf(client, answer);
    const token = parseJson(tokenAnswer, answer.body);
    if (token === undefined)
      throw new MicrosoftError({ reason: 'unreachable', service: 'Entra ID' }, 'The answer of Entra ID holds no token.');
    const now = system.now();
    const lifeMs = (token.expires_in ?? entraLimits.lifeDefaultSeconds) * 1000;
    return {
      value: token.access_token,
      // Of a short life the last third.
      refreshAt: now + Math.max(lifeMs - entraLimits.refreshedBeforeMs, (lifeMs / 3) * 2),
      expiresAt: now + lifeMs,
    };
  }

  #errorOf({ connectorId }: EntraClient, answer: MicrosoftAnswer): MicrosoftError {
    const error = parseJson(errorAnswer, answer.body);
    if (answer.status === 400 || answer.status === 401) {
      if (error !== undefined) return entraError(error.error_codes, error.error_description);
    }
    return this.#retryTimes.outage(connectorId, 'Entra ID', answer);
  }
}

function keyOf({ connectorId }: EntraClient, scope: string): string {
  return `${connectorId} ${scope}`;
}
