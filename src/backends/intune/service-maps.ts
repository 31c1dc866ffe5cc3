/** Where Intune's services are for a tenant: Microsoft Graph knows, and they move. */
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { isSafeUrl } from '../../base/microsoft-clouds.ts';
import { SingleFlight } from '../../base/single-flight.ts';
import type { System } from '../../base/system.ts';
import { type AccessToken, type Entra, type EntraClient, type TakeTime } from './entra.ts';
import { MicrosoftError } from './microsoft-error.ts';
import { isAllowedHost, type MicrosoftAnswer, parseJson, type Transport } from './microsoft-http.ts';
import { RetryTimes } from './retry-times.ts';

export const serviceMapLimits = {
  mapsMax: 10_000,
  lifeMs: 30 * 60_000,
  /** The list is an OData collection that may come in pages. */
  pagesMax: 10,
} as const;

/** Intune's own application in every tenant (microsoft/Intune-Resource-Access, IntuneClient). */
const intuneAppId = '0000000a-0000-0000-c000-000000000000';

export const serviceNames = { validation: 'ScepRequestValidationFEService', revocation: 'PkiConnectorFEService' } as const;
export type ServiceName = (typeof serviceNames)[keyof typeof serviceNames];

/** URL by the service's name in lower case. */
export type ServiceMap = ReadonlyMap<string, string>;

interface ServiceMapsParts {
  transport: Transport;
  entra: Entra;
  graphUrl: string;
  /** A bearer token is sent to no host that is not, or is not below, one of these. */
  intuneHosts: readonly string[];
  system: Pick<System, 'now' | 'randomUUID'>;
}

const endpointsAnswer = z.object({
  value: z.array(z.object({ providerName: z.string().nullish(), serviceName: z.string().nullish(), uri: z.string().nullish() })),
  '@odata.nextLink': z.string().optional(),
});

export class ServiceMaps {
  readonly #parts: ServiceMapsParts;
  readonly #scope: string;
  readonly #maps = new LRUCache<string, { map: ServiceMap; endsAt: number }>({ max: serviceMapLimits.mapsMax });
  /** However many wait, one request is under way. */
  readonly #discoveries = new SingleFlight<ServiceMap>();
  readonly #retryTimes: RetryTimes;

  constructor(parts: ServiceMapsParts) {
    this.#parts = parts;
    this.#scope = `${parts.graphUrl}/.default`;
    this.#retryTimes = new RetryTimes(parts.system);
  }

  /** Throws MicrosoftError. */
  async getMap(client: EntraClient, takeTime: TakeTime): Promise<ServiceMap> {
    const { connectorId } = client;
    const known = this.#maps.get(connectorId);
    if (known !== undefined && this.#parts.system.now() < known.endsAt) return known.map;
    return this.fetchMap(client, takeTime);
  }

  /** A new one, whatever there is. Throws MicrosoftError. */
  async fetchMap(client: EntraClient, takeTime: TakeTime): Promise<ServiceMap> {
    const { connectorId } = client;
    return this.#discoveries.run(connectorId, async () => {
      const map = await this.#discover(client, takeTime);
      this.#maps.set(connectorId, { map, endsAt: this.#parts.system.now() + serviceMapLimits.lifeMs });
      return map;
    });
  }

  /** A map that leads nowhere any more. Another's newer one stays. */
  dropMap({ connectorId }: EntraClient, map: ServiceMap): void {
    if (this.#maps.get(connectorId)?.map === map) this.#maps.delete(connectorId);
  }

  /** Of the service in the map. Throws MicrosoftError when it is missing, or where no token may be sent to. */
  locate(map: ServiceMap, service: ServiceName): string {
    const url = map.get(service.toLowerCase());
    if (url === undefined) {
      const message = `Intune does not offer ${service} to the application. Grant it the Intune permission scep_challenge_provider with admin consent, and make sure that the tenant has Intune licences.`;
      throw new MicrosoftError({ reason: 'actionDenied', service: 'Intune', permission: 'scep_challenge_provider' }, message);
    }
    if (!URL.canParse(url) || !isSafeUrl(new URL(url)) || !isAllowedHost(new URL(url), this.#parts.intuneHosts)) {
      const message = 'Microsoft Graph names a service of Intune at a host that is none of SCEP_INTUNE_HOSTS.';
      throw new MicrosoftError({ reason: 'unreachable', service: 'Microsoft Graph' }, message);
    }
    return url.replace(/\/+$/, '');
  }

  async #discover(client: EntraClient, takeTime: TakeTime): Promise<ServiceMap> {
    const map = new Map<string, string>();
    let url: string | undefined = `${this.#parts.graphUrl}/v1.0/servicePrincipals/appId=${intuneAppId}/endpoints`;
    for (let page = 0; url !== undefined && page < serviceMapLimits.pagesMax; page++) {
      const answer: z.output<typeof endpointsAnswer> = await this.#getPage(client, url, takeTime);
      for (const { providerName, serviceName, uri } of answer.value) {
        const name = (providerName ?? serviceName)?.toLowerCase();
        // Of several with one name the last counts, as in Microsoft's library for C#.
        if (name && uri) map.set(name, uri);
      }
      url = answer['@odata.nextLink'];
      if (url !== undefined && (!URL.canParse(url) || new URL(url).origin !== new URL(this.#parts.graphUrl).origin)) break;
    }
    return map;
  }

  /** A token that is refused is dropped once: it may be older than the consent of an administrator. */
  async #getPage(client: EntraClient, url: string, takeTime: TakeTime): Promise<z.output<typeof endpointsAnswer>> {
    const first = await this.#get(client, url, takeTime);
    const { answer } = isDenied(first.answer) ? await this.#getAgain(client, url, first.token, takeTime) : first;
    if (isDenied(answer)) {
      const message = `Microsoft Graph denies the application the list of Intune's services (HTTP status ${answer.status}). Grant it the Microsoft Graph application permission Application.Read.All with admin consent.`;
      throw new MicrosoftError({ reason: 'actionDenied', service: 'Microsoft Graph', permission: 'Application.Read.All' }, message);
    }
    if (answer.status !== 200) throw this.#retryTimes.outage(client.connectorId, 'Microsoft Graph', answer);
    const page = parseJson(endpointsAnswer, answer.body);
    if (page !== undefined) return page;
    throw new MicrosoftError(
      { reason: 'unreachable', service: 'Microsoft Graph' },
      "The answer of Microsoft Graph is no list of Intune's services.",
    );
  }

  async #getAgain(client: EntraClient, url: string, refused: AccessToken, takeTime: TakeTime): Promise<{ answer: MicrosoftAnswer }> {
    this.#parts.entra.dropToken(client, this.#scope, refused);
    return this.#get(client, url, takeTime);
  }

  async #get(client: EntraClient, url: string, takeTime: TakeTime): Promise<{ answer: MicrosoftAnswer; token: AccessToken }> {
    const { entra, system, transport } = this.#parts;
    const token = await entra.getToken(client, this.#scope, takeTime);
    this.#retryTimes.check(client.connectorId, 'Microsoft Graph');
    const headers = { authorization: `Bearer ${token.value}`, accept: 'application/json', 'client-request-id': system.randomUUID() };
    return { token, answer: await transport({ service: 'Microsoft Graph', method: 'GET', url, headers }, takeTime()) };
  }
}

export function isDenied({ status }: MicrosoftAnswer): boolean {
  return status === 401 || status === 403;
}
