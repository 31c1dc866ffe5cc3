/** A strict, stateful double of Entra ID, Microsoft Graph and Intune, as far as a connector of Intune's meets them. It knows what it was told, and what it was told wrong. */

import { type Challenge, type RevocationAnswer, type Role, Tenant } from './directory.ts';
import { Entra, type IssuerFetch, type Resource, type TokenClaims } from './entra.ts';
import { Faults, faultyOutcome } from './faults.ts';
import { json, jsonError, type MicrosoftAnswer, type MicrosoftOutcome, type MicrosoftRequest, type Route } from './messages.ts';
import { judgeCsr } from './scep-actions.ts';

export interface RequestRecord {
  route: Route;
  at: number;
  status: number | 'hang' | 'reset';
  activityId: string | undefined;
}

/** What Intune has taken notice of. */
export interface Notification {
  kind: 'success' | 'failure';
  transactionId: string;
  certificateRequest: string;
  members: Readonly<Record<string, unknown>>;
}

export interface MicrosoftParts {
  now: () => number;
  fetchIssuer: IssuerFetch;
  /** Where Microsoft Graph is, and Intune's services. */
  baseUrl: () => string;
}

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const intuneAppId = '0000000a-0000-0000-c000-000000000000';
const services = {
  ScepRequestValidationFEService: 'StatelessScepRequestValidationService',
  PkiConnectorFEService: 'StatelessPkiConnectorService',
} as const;
const apiVersions = { StatelessScepRequestValidationService: '2018-02-20', StatelessPkiConnectorService: '5019-05-05' } as const;
const noJson = Symbol('no JSON');

export class Microsoft {
  readonly faults = new Faults();
  readonly entra: Entra;
  readonly requests: RequestRecord[] = [];
  readonly notifications: Notification[] = [];
  /** What no client should do, in a sentence each. */
  readonly violations: string[] = [];
  /** Graph's list in pages of so many entries. */
  pageSize = 100;
  /** Of what asks at a scale unit that was left. */
  movedStatus = 404;
  readonly #parts: MicrosoftParts;
  readonly #tenants: Tenant[] = [];
  readonly #activityIds = new Set<string>();
  /** By transactionId and CSR: what was validated, and how the client was told that it ended. */
  readonly #transactions = new Map<
    string,
    { challenge: Challenge | undefined; answered: Set<Notification['kind']>; thumbprint?: string }
  >();

  constructor(parts: MicrosoftParts) {
    this.#parts = parts;
    const findTenant = (name: string) => this.#tenants.find(({ id, domain }) => id === name.toLowerCase() || domain === name.toLowerCase());
    this.entra = new Entra({ now: parts.now, fetchIssuer: parts.fetchIssuer, graphUrl: parts.baseUrl, findTenant });
  }

  addTenant(domain = `contoso${this.#tenants.length}.onmicrosoft.com`): Tenant {
    const tenant = new Tenant(domain, this.#parts.now);
    this.#tenants.push(tenant);
    return tenant;
  }

  count(route: Route): number {
    return this.requests.filter(request => request.route === route).length;
  }

  /** Every token that was given until now is refused. */
  expireTokens(): void {
    this.entra.tokensFrom = this.#parts.now() + 1;
  }

  async handle(request: MicrosoftRequest): Promise<MicrosoftOutcome> {
    const found = this.#route(request);
    if (found === undefined) return this.#handleRest(request);
    const { route, work } = found;
    const fault = this.faults.take(route);
    const outcome = await this.#outcome(fault, work);
    const status = outcome.kind === 'answer' ? outcome.status : outcome.kind;
    this.requests.push({ route, at: this.#parts.now(), status, activityId: request.headers['client-request-id'] });
    return outcome;
  }

  /** A fault before the work leaves everything as it was; one after it hides that the work was done. */
  async #outcome(fault: ReturnType<Faults['take']>, work: () => Promise<Worked> | Worked): Promise<MicrosoftOutcome> {
    if (fault !== undefined && fault.phase !== 'after') return faultyOutcome(fault.kind, json(200, { code: 'Success' }));
    const { answer, onAnswered } = await work();
    if (fault !== undefined) return faultyOutcome(fault.kind, answer);
    onAnswered?.();
    return answer;
  }

  #route(request: MicrosoftRequest): { route: Route; work: () => Promise<Worked> | Worked } | undefined {
    const { method } = request;
    const [path = '', query = ''] = request.url.split('?');
    const [, tenantName] = /^\/([^/]+)\/oauth2\/v2\.0\/token$/.exec(path) ?? [];
    if (method === 'POST' && tenantName !== undefined) {
      return { route: 'token', work: async () => ({ answer: await this.entra.token(decodeURIComponent(tenantName), request) }) };
    }
    if (method === 'GET' && path === `/v1.0/servicePrincipals/appId=${intuneAppId}/endpoints`) {
      return { route: 'endpoints', work: () => this.#endpoints(request, new URLSearchParams(query)) };
    }
    const [, scaleUnit = '', service = '', tenantId = '', group = '', action = ''] =
      /^\/(msua\d+)\/RACerts\/(\w+)\/([^/]+)\/(ScepActions|CertificateAuthorityRequests)\/(\w+)$/.exec(path) ?? [];
    const work = this.#intuneWork(service, group, action);
    if (method !== 'POST' || work === undefined) return undefined;
    return { route: action as Route, work: () => this.#asIntune(request, { scaleUnit, service, tenantId, action }, work) };
  }

  /** What only a genuine MSAL asks for, and what leads nowhere. */
  #handleRest({ method, url }: MicrosoftRequest): MicrosoftOutcome {
    const [, tenantName] = /^\/([^/]+)\/v2\.0\/\.well-known\/openid-configuration/.exec(url) ?? [];
    if (method !== 'GET' || tenantName === undefined) return jsonError(404, 'NotFound', 'There is nothing here.');
    const authority = `${this.#parts.baseUrl()}/${tenantName}`;
    return json(200, {
      issuer: `${authority}/v2.0`,
      authorization_endpoint: `${authority}/oauth2/v2.0/authorize`,
      token_endpoint: `${authority}/oauth2/v2.0/token`,
      jwks_uri: `${authority}/discovery/v2.0/keys`,
    });
  }

  async #endpoints(request: MicrosoftRequest, query: URLSearchParams): Promise<Worked> {
    this.#checkActivity(request);
    const claims = await this.entra.verifyToken(request.headers['authorization'], 'https://graph.microsoft.com');
    const refusal = refusalOf(claims, 'Application.Read.All');
    if (refusal) return { answer: refusal };
    const tenant = this.#tenants.find(({ id }) => id === claims?.tid);
    if (tenant === undefined) return { answer: jsonError(401, 'InvalidAuthenticationToken', 'Of no tenant.') };
    const entries = this.#serviceList(tenant);
    const skip = Number(query.get('$skip') ?? 0);
    const next = skip + this.pageSize;
    const nextLink = `${this.#parts.baseUrl()}/v1.0/servicePrincipals/appId=${intuneAppId}/endpoints?$skip=${next}`;
    return {
      answer: json(200, { value: entries.slice(skip, next), ...(next < entries.length && { '@odata.nextLink': nextLink }) }),
    };
  }

  /** As seen in the field: others' services, a name twice, in whichever case. */
  #serviceList({ id, isIntuneProvisioned, scaleUnit }: Tenant): object[] {
    const uriOf = (unit: string, service: string) => `${this.#parts.baseUrl()}/${unit}/RACerts/${service}/${id}`;
    const decoy = { providerName: 'DeviceEnrollmentFE', uri: `${this.#parts.baseUrl()}/elsewhere`, capability: '', id: '1' };
    if (!isIntuneProvisioned) return [decoy];
    return [
      { providerName: 'ScepRequestValidationFEService', uri: uriOf('msua00', services.ScepRequestValidationFEService) },
      decoy,
      { providerName: 'SCEPRequestValidationFEService', uri: uriOf(scaleUnit, services.ScepRequestValidationFEService) },
      { serviceName: 'PkiConnectorFEService', providerName: null, uri: uriOf(scaleUnit, services.PkiConnectorFEService) },
    ];
  }

  async #asIntune(
    request: MicrosoftRequest,
    { scaleUnit, service, tenantId, action }: { scaleUnit: string; service: string; tenantId: string; action: string },
    work: IntuneWork,
  ): Promise<Worked> {
    this.#checkActivity(request);
    const tenant = this.#tenants.find(({ id }) => id === tenantId);
    if (tenant === undefined || tenant.scaleUnit !== scaleUnit) {
      return { answer: jsonError(this.movedStatus, 'ResourceNotFound', 'The scale unit does not have the tenant.') };
    }
    const claims = await this.entra.verifyToken(request.headers['authorization'], 'https://api.manage.microsoft.com' satisfies Resource);
    if (claims !== undefined && claims.tid !== tenant.id) this.violations.push(`${action}: a token of another tenant`);
    const refusal = refusalOf(claims?.tid === tenant.id ? claims : undefined, 'scep_challenge_provider');
    if (refusal) return { answer: refusal };
    const expected = Object.entries(apiVersions).find(([name]) => name === service)?.[1];
    if (request.headers['api-version'] !== expected) this.violations.push(`${action}: api-version ${request.headers['api-version']}`);
    if (!/^application\/json(;|$)/.test(request.headers['content-type'] ?? '')) {
      this.violations.push(`${action}: content-type ${request.headers['content-type']}`);
      return { answer: jsonError(415, 'UnsupportedMediaType', 'Send JSON.') };
    }
    const body = parseObject(request.body);
    if (body === noJson) return { answer: jsonError(400, 'BadRequest', 'The body is not JSON.') };
    return work(tenant, body);
  }

  #intuneWork(service: string, group: string, action: string): IntuneWork | undefined {
    if (group === 'ScepActions' && service === services.ScepRequestValidationFEService) {
      if (action === 'validateRequest') return (tenant, body) => this.#validate(tenant, body);
      if (action === 'successNotification') return (_, body) => this.#notice('success', body);
      if (action === 'failureNotification') return (_, body) => this.#notice('failure', body);
    }
    if (group === 'CertificateAuthorityRequests' && service === services.PkiConnectorFEService) {
      if (action === 'downloadRevocationRequests') return (tenant, body) => this.#download(tenant, body);
      if (action === 'uploadRevocationResults') return (tenant, body) => this.#upload(tenant, body);
    }
    return undefined;
  }

  #validate(tenant: Tenant, body: JsonObject): Worked {
    const request = this.#members('validateRequest', body['request'], {
      transactionId: 'string',
      certificateRequest: 'string',
      callerInfo: 'string',
    });
    if (request === undefined) return { answer: jsonError(400, 'BadRequest', 'The request is not what it should be.') };
    const { transactionId, certificateRequest } = request as Record<string, string>;
    const { code, description, challenge } = judgeCsr(tenant, certificateRequest ?? '', this.#parts.now());
    const isSuccess = code === 'Success';
    if (challenge) challenge.state = isSuccess ? 'challengeValidationSucceeded' : 'challengeValidationFailed';
    const key = `${transactionId} ${certificateRequest}`;
    if (isSuccess && !this.#transactions.has(key)) this.#transactions.set(key, { challenge, answered: new Set() });
    return {
      answer: json(200, {
        code,
        errorDescription: description,
        '@odata.context': 'https://fef.manage.microsoft.com/$metadata#scepActionResult',
      }),
    };
  }

  #notice(kind: Notification['kind'], body: JsonObject): Worked {
    const action = `${kind}Notification`;
    const common = { transactionId: 'string', certificateRequest: 'string', callerInfo: 'string' } as const;
    const members = this.#members(
      action,
      body['notification'],
      kind === 'failure'
        ? { ...common, hResult: 'number', errorDescription: 'string' }
        : {
            ...common,
            certificateThumbprint: 'string',
            certificateSerialNumber: 'string',
            certificateExpirationDateUtc: 'string',
            issuingCertificateAuthority: 'string',
            caConfiguration: 'string',
            certificateAuthority: 'string',
          },
    );
    if (members === undefined) return { answer: jsonError(400, 'BadRequest', 'The notification is not what it should be.') };
    const { transactionId = '', certificateRequest = '' } = members as Record<string, string>;
    const transaction = this.#transactions.get(`${transactionId} ${certificateRequest}`);
    if (transaction === undefined) {
      this.violations.push(`${action}: of a request that was not validated`);
      return { answer: json(200, { code: 'CertificateRequestDecodingFailed', errorDescription: 'There is no such request.' }) };
    }
    const other = kind === 'success' ? 'failure' : 'success';
    if (transaction.answered.has(other)) this.violations.push(`${action}: after the ${other} of the same request`);
    if (kind === 'success') this.#checkCertificate(members, transaction);
    else if (String(members['errorDescription']).length > 255)
      this.violations.push('failureNotification: an errorDescription of more than 255 characters');
    if (transaction.challenge) transaction.challenge.state = kind === 'success' ? 'issued' : 'issueFailed';
    this.notifications.push({ kind, transactionId, certificateRequest, members });
    return { answer: json(200, { code: 'Success', errorDescription: '' }), onAnswered: () => transaction.answered.add(kind) };
  }

  #checkCertificate(members: JsonObject, transaction: { thumbprint?: string }): void {
    const thumbprint = String(members['certificateThumbprint']);
    if (!/^[0-9A-F]{40}$/.test(thumbprint))
      this.violations.push('successNotification: a thumbprint that is no SHA-1 in upper-case hexadecimal');
    if (!/^[0-9A-F]+$/.test(String(members['certificateSerialNumber'])))
      this.violations.push('successNotification: a serial number that is not hexadecimal');
    const end = String(members['certificateExpirationDateUtc']);
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/.test(end) || Number.isNaN(Date.parse(end)))
      this.violations.push('successNotification: an expiration that is no time');
    if (transaction.thumbprint !== undefined && transaction.thumbprint !== thumbprint)
      this.violations.push('successNotification: a second certificate for one request');
    transaction.thumbprint = thumbprint;
  }

  #download(tenant: Tenant, body: JsonObject): Worked {
    const parameters = body['downloadParameters'];
    const { maxRequests, issuerName } = (typeof parameters === 'object' && parameters !== null ? parameters : {}) as JsonObject;
    if (
      typeof maxRequests !== 'number' ||
      maxRequests < 1 ||
      maxRequests > 500 ||
      (issuerName !== null && typeof issuerName !== 'string')
    ) {
      this.violations.push('downloadRevocationRequests: parameters that are not what they should be');
      return { answer: jsonError(400, 'BadRequest', 'The parameters are not what they should be.') };
    }
    // As seen in the field (microsoft/Intune-Resource-Access#133): cut first, then filtered by another member.
    const value = tenant.revocations.slice(0, maxRequests).filter(entry => issuerName === null || entry.caConfiguration === issuerName);
    return { answer: json(200, { '@odata.context': 'https://manage.microsoft.com/$metadata#Collection(caRevocationRequest)', value }) };
  }

  #upload(tenant: Tenant, body: JsonObject): Worked {
    const results = body['results'];
    if (!Array.isArray(results) || results.length === 0 || !results.every(isRevocationAnswer)) {
      this.violations.push('uploadRevocationResults: results that are not what they should be');
      return { answer: jsonError(400, 'BadRequest', 'The results are not what they should be.') };
    }
    for (const result of results) {
      const at = tenant.revocations.findIndex(({ requestContext }) => requestContext === result.requestContext);
      if (at < 0) this.violations.push('uploadRevocationResults: an answer to what was not asked');
      else tenant.revocations.splice(at, 1);
      tenant.revocationAnswers.push(result);
    }
    return { answer: json(200, { value: true }) };
  }

  /** Undefined when a member is missing, surplus or of another type. */
  #members(action: string, value: unknown, types: Readonly<Record<string, 'string' | 'number'>>): JsonObject | undefined {
    const members = typeof value === 'object' && value !== null ? (value as JsonObject) : {};
    const wrong = [...new Set([...Object.keys(types), ...Object.keys(members)])].filter(
      name =>
        typeof members[name] !== types[name] || members[name] === '' || (types[name] === 'number' && !Number.isSafeInteger(members[name])),
    );
    if (wrong.length === 0) return members;
    this.violations.push(`${action}: ${wrong.join(', ')}`);
    return undefined;
  }

  #checkActivity({ headers }: MicrosoftRequest): void {
    const id = headers['client-request-id'] ?? '';
    if (!guid.test(id)) this.violations.push(`client-request-id is no GUID: ${id}`);
    if (this.#activityIds.has(id)) this.violations.push(`client-request-id was used before: ${id}`);
    this.#activityIds.add(id);
  }
}

type JsonObject = Readonly<Record<string, unknown>>;
type IntuneWork = (tenant: Tenant, body: JsonObject) => Worked;

/** `onAnswered`: only an answer that goes out tells the client. */
interface Worked {
  answer: MicrosoftAnswer;
  onAnswered?: () => void;
}

function refusalOf(claims: TokenClaims | undefined, role: Role): MicrosoftAnswer | undefined {
  if (claims === undefined) return jsonError(401, 'InvalidAuthenticationToken', 'Access token is empty, expired or not for this service.');
  if (claims.roles.includes(role)) return undefined;
  return jsonError(403, 'Authorization_RequestDenied', 'Insufficient privileges to complete the operation.');
}

function parseObject(body: Buffer): JsonObject | typeof noJson {
  try {
    const value: unknown = JSON.parse(body.toString());
    return typeof value === 'object' && value !== null ? (value as JsonObject) : noJson;
  } catch {
    return noJson;
  }
}

/** Microsoft's library for Java sends numbers for the codes, that for C# names. */
function isRevocationAnswer(value: unknown): value is RevocationAnswer {
  const { requestContext, succeeded, errorCode, errorMessage } = value as Partial<RevocationAnswer>;
  const isNone = errorCode === '0' || errorCode === 'None';
  return (
    typeof requestContext === 'string' &&
    typeof succeeded === 'boolean' &&
    typeof errorCode === 'string' &&
    succeeded === isNone &&
    (succeeded ? errorMessage === null || errorMessage === undefined || errorMessage === '' : true)
  );
}
