/** Intune's services for certificate authorities: requests validated, certificates and failures notified, revocation requests taken and answered. */
import { z } from 'zod';
import type { System } from '../../base/system.ts';
import { type AccessToken, Entra, type EntraClient, type TakeTime } from './entra.ts';
import { MicrosoftError, shownText } from './microsoft-error.ts';
import { type MicrosoftAnswer, microsoftHttpLimits, parseJson, type Transport } from './microsoft-http.ts';
import { RetryTimes } from './retry-times.ts';
import { isDenied, type ServiceMap, ServiceMaps, type ServiceName, serviceNames } from './service-maps.ts';

export const intuneLimits = {
  /** For all that one request of a device brings about; a call that has begun may end later by its own time-out. Devices wait longer. */
  requestBudgetMs: 25_000,
  /** Of one connector, at once. */
  callsUnderWayMax: 1000,
  /** In one download (microsoft/Intune-Resource-Access, IntuneRevocationClient). */
  revocationRequestsMax: 500,
  errorDescriptionCharactersMax: 255,
} as const;

/** In the header `api-version` (the same, IntuneScepValidator and IntuneRevocationClient). */
const apiVersions: Readonly<Record<ServiceName, string>> = {
  ScepRequestValidationFEService: '2018-02-20',
  PkiConnectorFEService: '5019-05-05',
};

/** What Intune's console and logs show of who asks. */
const callerInfo = 'Open Connector for SCEP';

/** A request of a device: its SCEP transactionID and the whole CSR, DER. */
export interface IntuneRequest {
  transactionID: string;
  csr: Uint8Array;
}

/** What Intune says to a request that it has understood. The set of codes is open: whatever is not `Success` refuses. */
export interface IntuneVerdict {
  isSuccess: boolean;
  code: string;
  description: string;
  /** By which Microsoft's support finds the call. */
  activityId: string;
}

export interface IssuedNotice {
  /** SHA-1 of the DER certificate, and its serial number, both in upper-case hexadecimal. */
  thumbprint: string;
  serialNumber: string;
  notAfter: number;
  /** Its issuer's name, RFC 4514. */
  issuer: string;
  /** Comes back with a request to revoke the certificate. */
  connectorArn: string;
}

export interface RevocationRequest {
  requestContext: string;
  serialNumber: string;
  issuerName?: string | null | undefined;
  caConfiguration?: string | null | undefined;
}

/** microsoft/Intune-Resource-Access, CARequestErrorCode, as the numbers that Java's library sends. */
export const revocationErrors = { none: '0', certificateNotFound: '4004' } as const;

export interface RevocationResult {
  requestContext: string;
  succeeded: boolean;
  errorCode: (typeof revocationErrors)[keyof typeof revocationErrors];
  errorMessage: string | null;
}

interface IntuneClientParts {
  transport: Transport;
  system: Pick<System, 'now' | 'randomUUID'>;
  entraUrl: string;
  graphUrl: string;
  /** What a token for Intune is for; a name, at which nothing is fetched. */
  intuneResource: string;
  intuneHosts: readonly string[];
}

const verdictAnswer = z.object({ code: z.string(), errorDescription: z.string().nullish() });
const revocationAnswer = z.object({
  value: z.array(
    z.object({
      requestContext: z.string(),
      serialNumber: z.string(),
      issuerName: z.string().nullish(),
      caConfiguration: z.string().nullish(),
    }),
  ),
});
const uploadAnswer = z.object({ value: z.literal([true, 'true']) });

interface Call<Form extends z.ZodType> {
  service: ServiceName;
  action: string;
  body: object;
  form: Form;
}

export class IntuneClient {
  readonly #parts: IntuneClientParts;
  readonly #entra: Entra;
  readonly #serviceMaps: ServiceMaps;
  readonly #scope: string;
  readonly #retryTimes: RetryTimes;
  readonly #callsUnderWay = new Map<string, number>();

  constructor(parts: IntuneClientParts) {
    this.#parts = parts;
    this.#entra = new Entra(parts);
    this.#serviceMaps = new ServiceMaps({ ...parts, entra: this.#entra });
    // The resource ends with a slash already: Microsoft's libraries ask for the two.
    this.#scope = `${parts.intuneResource}//.default`;
    this.#retryTimes = new RetryTimes(parts.system);
  }

  /** Whether the device may have what it asks for. Throws MicrosoftError when Intune has not said. */
  async validateRequest(client: EntraClient, request: IntuneRequest): Promise<IntuneVerdict> {
    return this.#notify(client, 'validateRequest', { request: membersOf(request) });
  }

  async notifySuccess(client: EntraClient, request: IntuneRequest, notice: IssuedNotice): Promise<IntuneVerdict> {
    const notification = {
      ...membersOf(request),
      certificateThumbprint: notice.thumbprint,
      certificateSerialNumber: notice.serialNumber,
      certificateExpirationDateUtc: new Date(notice.notAfter).toISOString(),
      issuingCertificateAuthority: notice.issuer,
      caConfiguration: notice.connectorArn,
      certificateAuthority: notice.issuer,
    };
    return this.#notify(client, 'successNotification', { notification });
  }

  /** `hResult` is an HRESULT of ours (MS-ERREF section 2.1: severity and customer bits), as Intune's console shows it. */
  async notifyFailure(
    client: EntraClient,
    request: IntuneRequest,
    { hResult, description }: { hResult: number; description: string },
  ): Promise<IntuneVerdict> {
    const errorDescription = shownText(description).slice(0, intuneLimits.errorDescriptionCharactersMax);
    return this.#notify(client, 'failureNotification', { notification: { ...membersOf(request), hResult, errorDescription } });
  }

  /** Of the whole tenant, whoever issued the certificates: Intune's own filter looks at other things (microsoft/Intune-Resource-Access#133). */
  async downloadRevocationRequests(client: EntraClient): Promise<RevocationRequest[]> {
    const downloadParameters = { maxRequests: intuneLimits.revocationRequestsMax, issuerName: null };
    const service = serviceNames.revocation;
    const action = 'CertificateAuthorityRequests/downloadRevocationRequests';
    const { answer } = await this.#call(client, { service, action, body: { downloadParameters }, form: revocationAnswer });
    return answer.value;
  }

  async uploadRevocationResults(client: EntraClient, results: readonly RevocationResult[]): Promise<void> {
    const service = serviceNames.revocation;
    const action = 'CertificateAuthorityRequests/uploadRevocationResults';
    await this.#call(client, { service, action, body: { results }, form: uploadAnswer });
  }

  /** A new token, whatever there is: for the connection test, which looks at what Entra ID says now. Throws MicrosoftError. */
  async fetchToken(client: EntraClient, of: 'Microsoft Graph' | 'Intune'): Promise<AccessToken> {
    const scope = of === 'Intune' ? this.#scope : `${this.#parts.graphUrl}/.default`;
    return this.#entra.fetchToken(client, scope, this.#budget());
  }

  /** Where Intune is now, with the service that validates among it: for the connection test. Throws MicrosoftError. */
  async locateServices(client: EntraClient): Promise<string> {
    const takeTime = this.#budget();
    const map = await this.#serviceMaps.fetchMap(client, takeTime);
    return this.#located(client, map, serviceNames.validation);
  }

  async #notify(client: EntraClient, name: string, body: object): Promise<IntuneVerdict> {
    const call = { service: serviceNames.validation, action: `ScepActions/${name}`, body, form: verdictAnswer };
    const { answer, activityId } = await this.#call(client, call);
    return {
      // Exactly so, as in Microsoft's library for C#: any other text refuses.
      isSuccess: answer.code === 'Success',
      code: shownText(answer.code),
      description: shownText(answer.errorDescription ?? ''),
      activityId,
    };
  }

  async #call<Form extends z.ZodType>(client: EntraClient, call: Call<Form>): Promise<{ answer: z.output<Form>; activityId: string }> {
    const { connectorId } = client;
    const underWay = this.#callsUnderWay.get(connectorId) ?? 0;
    if (underWay >= intuneLimits.callsUnderWayMax) {
      throw new MicrosoftError({ reason: 'unreachable', service: 'Intune' }, 'Too many requests wait for Intune.');
    }
    this.#callsUnderWay.set(connectorId, underWay + 1);
    try {
      return await this.#tryTwice(client, call);
    } finally {
      const left = (this.#callsUnderWay.get(connectorId) ?? 1) - 1;
      if (left > 0) this.#callsUnderWay.set(connectorId, left);
      else this.#callsUnderWay.delete(connectorId);
    }
  }

  /**
   * A refused token or a service that does not answer may be what was kept for too long: the second try begins with a new token, or where the service is
   * now. A service that wants to be left alone is.
   */
  async #tryTwice<Form extends z.ZodType>(client: EntraClient, call: Call<Form>): Promise<{ answer: z.output<Form>; activityId: string }> {
    const takeTime = this.#budget();
    const first = await this.#try(client, call, takeTime);
    if (!('again' in first)) return first;
    const second = await this.#try(client, call, takeTime);
    if ('again' in second) throw second.again;
    return second;
  }

  async #try<Form extends z.ZodType>(
    client: EntraClient,
    { service, action, body, form }: Call<Form>,
    takeTime: TakeTime,
  ): Promise<{ answer: z.output<Form>; activityId: string } | { again: MicrosoftError }> {
    const { transport, system } = this.#parts;
    const map = await this.#serviceMaps.getMap(client, takeTime);
    const url = this.#located(client, map, service);
    const token = await this.#entra.getToken(client, this.#scope, takeTime);
    this.#retryTimes.check(client.connectorId, 'Intune');
    const activityId = system.randomUUID();
    const headers = {
      authorization: `Bearer ${token.value}`,
      accept: 'application/json',
      'content-type': 'application/json; charset=utf-8',
      'client-request-id': activityId,
      'api-version': apiVersions[service],
    };
    const request = { service: 'Intune', method: 'POST', url: `${url}/${action}`, headers, body: JSON.stringify(body) } as const;
    let answer: MicrosoftAnswer;
    try {
      answer = await transport(request, takeTime());
    } catch (error) {
      if (!(error instanceof MicrosoftError)) throw error;
      this.#serviceMaps.dropMap(client, map);
      return { again: error };
    }
    if (answer.status === 200) {
      const parsed = parseJson(form, answer.body);
      if (parsed !== undefined) return { answer: parsed, activityId };
      throw new MicrosoftError(
        { reason: 'unreachable', service: 'Intune' },
        `The answer of Intune to ${action} is not understood (activity ${activityId}).`,
      );
    }
    this.#serviceMaps.dropMap(client, map);
    if (isDenied(answer)) {
      this.#entra.dropToken(client, this.#scope, token);
      return { again: denied(action, answer.status, activityId) };
    }
    const error = this.#retryTimes.outage(client.connectorId, 'Intune', answer);
    if (error.retryAfterMs !== undefined) throw error;
    return { again: error };
  }

  /** A map without the service is not kept: it comes with the permission. */
  #located(client: EntraClient, map: ServiceMap, service: ServiceName): string {
    try {
      return this.#serviceMaps.locate(map, service);
    } catch (error) {
      this.#serviceMaps.dropMap(client, map);
      throw error;
    }
  }

  #budget(): TakeTime {
    const { system } = this.#parts;
    const endsAt = system.now() + intuneLimits.requestBudgetMs;
    return () => {
      const leftMs = endsAt - system.now();
      if (leftMs > 0) return Math.min(leftMs, microsoftHttpLimits.callTimeoutMs);
      throw new MicrosoftError(
        { reason: 'unreachable', service: 'Intune' },
        `Microsoft has not answered within ${intuneLimits.requestBudgetMs} ms.`,
      );
    };
  }
}

function membersOf({ transactionID, csr }: IntuneRequest): { transactionId: string; certificateRequest: string; callerInfo: string } {
  return { transactionId: transactionID, certificateRequest: Buffer.from(csr).toString('base64'), callerInfo };
}

function denied(action: string, status: number, activityId: string): MicrosoftError {
  const permission = 'scep_challenge_provider';
  const message = `Intune denies the application ${action} (HTTP status ${status}, activity ${activityId}). Grant it the Intune permission ${permission} with admin consent.`;
  return new MicrosoftError({ reason: 'actionDenied', service: 'Intune', permission }, message);
}
