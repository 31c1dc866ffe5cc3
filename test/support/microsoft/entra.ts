/** Entra ID's token endpoint as workload identity federation uses it: it fetches the issuer's keys, holds the assertion against them, and gives tokens of its own. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { compactVerify, decodeJwt, decodeProtectedHeader, importJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import type { Application, Role, Tenant } from './directory.ts';
import { json, type MicrosoftAnswer, type MicrosoftRequest } from './messages.ts';

/** What answers at a URL of the issuer's; throws when nothing does. */
export type IssuerFetch = (url: string) => Promise<{ status: number; body: Buffer }>;

export type Resource = 'https://graph.microsoft.com' | 'https://api.manage.microsoft.com';

/** Which resource has which role. */
const rolesOf: Readonly<Record<Resource, readonly Role[]>> = {
  'https://graph.microsoft.com': ['Application.Read.All'],
  'https://api.manage.microsoft.com': ['scep_challenge_provider'],
};

const { privateKey: tokenKey, publicKey: tokenPublicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const keysKept = 100;

class EntraError extends Error {
  readonly code: number;
  readonly error: string;

  constructor(code: number, text: string, error = 'invalid_client') {
    super(`AADSTS${code}: ${text}`);
    this.code = code;
    this.error = error;
  }
}

interface Jwk {
  kid?: string;
  [member: string]: unknown;
}

export interface TokenClaims {
  tid: string;
  appid: string;
  roles: string[];
}

interface EntraParts {
  now: () => number;
  findTenant: (name: string) => Tenant | undefined;
  fetchIssuer: IssuerFetch;
  /** Where the double has Microsoft Graph, as a name for it beside the real one. */
  graphUrl: () => string;
}

export class Entra {
  /** How long the issuer's keys are kept. */
  keysKeptMs = 60 * 60_000;
  tokenLifeSeconds = 3599;
  /** Tokens that were given before then are no good. */
  tokensFrom = 0;
  readonly #now: () => number;
  readonly #graphUrl: () => string;
  readonly #findTenant: (name: string) => Tenant | undefined;
  readonly #fetchIssuer: IssuerFetch;
  readonly #keys = new Map<string, { keys: Jwk[]; until: number }>();
  readonly #assertionsSeen = new Set<string>();

  constructor(parts: EntraParts) {
    this.#graphUrl = parts.graphUrl;
    this.#now = parts.now;
    this.#findTenant = parts.findTenant;
    this.#fetchIssuer = parts.fetchIssuer;
  }

  async token(tenantName: string, request: MicrosoftRequest): Promise<MicrosoftAnswer> {
    try {
      return await this.#token(tenantName, request);
    } catch (error) {
      if (!(error instanceof EntraError)) throw error;
      const at = new Date(this.#now()).toISOString().slice(0, 19).replace('T', ' ');
      const [trace, correlation] = [randomUUID(), request.headers['client-request-id'] ?? randomUUID()];
      return json(error.error === 'invalid_client' ? 401 : 400, {
        error: error.error,
        error_description: `${error.message} Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${at}Z`,
        error_codes: [error.code],
        timestamp: `${at}Z`,
        trace_id: trace,
        correlation_id: correlation,
      });
    }
  }

  async #token(tenantName: string, { headers, body }: MicrosoftRequest): Promise<MicrosoftAnswer> {
    if (!(headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded')) {
      throw new EntraError(900144, "The request body must contain the following parameter: 'grant_type'.", 'invalid_request');
    }
    const form = new URLSearchParams(body.toString());
    const parameter = (name: string) => {
      const [value, second] = form.getAll(name);
      if (value === undefined || value === '' || second !== undefined) {
        throw new EntraError(900144, `The request body must contain the following parameter: '${name}'.`, 'invalid_request');
      }
      return value;
    };
    if (parameter('grant_type') !== 'client_credentials')
      throw new EntraError(70003, 'The app requested an unsupported grant type.', 'unsupported_grant_type');
    const clientId = parameter('client_id');
    const resource = this.#resourceOf(parameter('scope'));
    if (parameter('client_assertion_type') !== jwtBearer)
      throw new EntraError(900144, "The parameter 'client_assertion_type' is not valid.", 'invalid_request');
    const assertion = parameter('client_assertion');
    const tenant = this.#findTenant(tenantName);
    if (tenant === undefined) throw new EntraError(90002, `Tenant '${tenantName}' not found.`, 'invalid_request');
    const application = tenant.applications.get(clientId);
    if (application === undefined) {
      const text = `Application with identifier '${clientId}' was not found in the directory '${tenant.domain}'.`;
      throw new EntraError(700016, text, 'unauthorized_client');
    }
    await this.#checkAssertion(application, assertion);
    if (resource === 'https://api.manage.microsoft.com' && !tenant.isIntuneProvisioned) {
      throw new EntraError(
        500011,
        `The resource principal named ${resource} was not found in the tenant named ${tenant.domain}.`,
        'invalid_resource',
      );
    }
    const accessToken = await this.#sign(tenant, application, resource);
    return json(200, {
      token_type: 'Bearer',
      expires_in: this.tokenLifeSeconds,
      ext_expires_in: this.tokenLifeSeconds,
      access_token: accessToken,
    });
  }

  /** The identifier of Intune ends with a slash, so that its scope has two. */
  #resourceOf(scope: string): Resource {
    if (!scope.endsWith('/.default')) throw new EntraError(1002012, 'The provided value for scope is not valid.', 'invalid_scope');
    const resource = scope.slice(0, -'/.default'.length).replace(/\/$/, '');
    if (resource === this.#graphUrl()) return 'https://graph.microsoft.com';
    if (!Object.hasOwn(rolesOf, resource))
      throw new EntraError(500011, `The resource principal named ${resource} was not found.`, 'invalid_resource');
    return resource as Resource;
  }

  async #sign(tenant: Tenant, application: Application, resource: Resource): Promise<string> {
    const issuedAt = Math.floor(this.#now() / 1000);
    const claims: TokenClaims & { ms: number } = {
      tid: tenant.id,
      appid: application.clientId,
      roles: rolesOf[resource].filter(role => application.roles.has(role)),
      ms: this.#now(),
    };
    return new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(`https://sts.windows.net/${tenant.id}/`)
      .setAudience(resource)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + this.tokenLifeSeconds)
      .setJti(randomUUID())
      .sign(tokenKey);
  }

  /** Undefined when a service does not take it for a token of its own. */
  async verifyToken(authorization: string | undefined, resource: Resource): Promise<TokenClaims | undefined> {
    const [, token] = /^Bearer (\S+)$/.exec(authorization ?? '') ?? [];
    if (token === undefined) return undefined;
    try {
      const options = { audience: resource, currentDate: new Date(this.#now()), algorithms: ['RS256'] };
      const { payload } = await jwtVerify<TokenClaims & { ms: number }>(token, tokenPublicKey, options);
      return payload.ms >= this.tokensFrom ? payload : undefined;
    } catch {
      return undefined;
    }
  }

  async #checkAssertion(application: Application, assertion: string): Promise<void> {
    if (application.credentials.length === 0)
      throw new EntraError(7000226, 'The application has no federated identity credentials configured.');
    let claims: JWTPayload;
    let header: ReturnType<typeof decodeProtectedHeader>;
    try {
      claims = decodeJwt(assertion);
      header = decodeProtectedHeader(assertion);
    } catch {
      throw new EntraError(50027, 'JWT token is invalid or malformed.', 'invalid_request');
    }
    const { iss = '', sub = '', aud } = claims;
    const ofIssuer = application.credentials.filter(({ issuer }) => issuer === iss);
    if (ofIssuer.length === 0)
      throw new EntraError(700211, `No matching federated identity record found for presented assertion issuer '${iss}'.`);
    const ofSubject = ofIssuer.filter(({ subject }) => subject === sub);
    if (ofSubject.length === 0)
      throw new EntraError(700213, `No matching federated identity record found for presented assertion subject '${sub}'.`);
    if (!ofSubject.some(({ audience }) => audience === aud)) {
      throw new EntraError(700212, `No matching federated identity record found for presented assertion audience '${String(aud)}'.`);
    }
    if (header.alg !== 'RS256') throw new EntraError(5002738, `The algorithm '${header.alg}' is not supported.`);
    await this.#verifySignature(iss, header.kid ?? '', assertion);
    const nowSeconds = this.#now() / 1000;
    if (claims.exp === undefined || claims.exp <= nowSeconds || (claims.nbf ?? 0) > nowSeconds) {
      throw new EntraError(700024, 'Client assertion is not within its valid time range.');
    }
    if (claims.jti === undefined || this.#assertionsSeen.has(claims.jti)) throw new EntraError(700021, 'Client assertion was used before.');
    this.#assertionsSeen.add(claims.jti);
  }

  async #verifySignature(issuer: string, keyId: string, assertion: string): Promise<void> {
    const known = this.#keys.get(issuer);
    const isFresh = known !== undefined && known.until > this.#now();
    let key = isFresh ? known.keys.find(({ kid }) => kid === keyId) : undefined;
    if (key === undefined) {
      const keys = await this.#fetchKeys(issuer);
      this.#keys.set(issuer, { keys, until: this.#now() + this.keysKeptMs });
      key = keys.find(({ kid }) => kid === keyId);
    }
    const thumbprint = Buffer.from(keyId).toString('hex').toUpperCase();
    if (key === undefined)
      throw new EntraError(
        7000272,
        `The signing key with Thumbprint of key used by client: '${thumbprint}' was not found in the issuer's metadata.`,
      );
    try {
      await compactVerify(assertion, await importJWK(key, 'RS256'));
    } catch {
      throw new EntraError(
        700027,
        'The certificate with identifier used to sign the client assertion is not registered, or the signature is invalid.',
      );
    }
  }

  async #fetchKeys(issuer: string): Promise<Jwk[]> {
    const document = await this.#fetchJson(`${issuer}/.well-known/openid-configuration`);
    if (document['issuer'] !== issuer) throw new EntraError(50166, 'Request to External OIDC endpoint failed: the issuer differs.');
    const { keys } = await this.#fetchJson(String(document['jwks_uri']));
    if (!Array.isArray(keys)) throw new EntraError(50166, 'Request to External OIDC endpoint failed: no keys.');
    return keys.slice(0, keysKept) as Jwk[];
  }

  async #fetchJson(url: string): Promise<Record<string, unknown>> {
    try {
      const { status, body } = await this.#fetchIssuer(url);
      if (status !== 200) throw new Error(`HTTP status ${status}`);
      return JSON.parse(body.toString()) as Record<string, unknown>;
    } catch (cause) {
      throw new EntraError(50166, `Request to External OIDC endpoint failed: ${String(cause)}.`);
    }
  }
}
