/** The double's Entra ID: what it takes for a federated credential's assertion, what it says of every other, and that Microsoft's own library takes it for the real one. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { buffer } from 'node:stream/consumers';
import { before, beforeEach, describe, it } from 'node:test';
import { ConfidentialClientApplication, type INetworkModule, type NetworkRequestOptions } from '@azure/msal-node';
import { decodeJwt } from 'jose';
import { describePublicKey, discoveryDocument, signAssertion } from '../../src/backends/intune/oidc-issuer.ts';
import { createSigner } from '../../src/base/pki/algorithms.ts';
import { generalName, parseIpAddress, subjectAltNameExtension } from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { createCertificate } from '../../src/base/pki/x509.ts';
import type { Application, Tenant } from '../support/microsoft/directory.ts';
import { startMicrosoft } from '../support/microsoft/listener.ts';
import type { MicrosoftAnswer } from '../support/microsoft/messages.ts';
import { Microsoft } from '../support/microsoft/microsoft.ts';
import { rsaKey } from '../support/pki-fixtures.ts';

const issuer = 'https://scep.example.com/000000000000-1/oidc';
const credential = { issuer, subject: 'arn', audience: 'api://AzureADTokenExchange' };
const intuneScope = 'https://api.manage.microsoft.com//.default';

let now: number;
let keys: KeyObject[];
let fetched: string[];
let isIssuerThere: boolean;
let microsoft: Microsoft;
let tenant: Tenant;
let application: Application;
let assertions = 0;

/** What the issuer answers. */
async function fetchIssuer(url: string): Promise<{ status: number; body: Buffer }> {
  fetched.push(url);
  if (!isIssuerThere) throw new Error('connect ECONNREFUSED');
  const published = { keys: await Promise.all(keys.map(describePublicKey)) };
  return { status: 200, body: Buffer.from(JSON.stringify(url.endsWith('/jwks') ? published : discoveryDocument(issuer))) };
}

beforeEach(() => {
  now = Date.UTC(2026, 10, 26);
  keys = [rsaKey('issuer')];
  fetched = [];
  isIssuerThere = true;
  microsoft = new Microsoft({ now: () => now, fetchIssuer, baseUrl: () => 'https://fef.manage.microsoft.com' });
  tenant = microsoft.addTenant('contoso.example');
  application = tenant.addApplication().grant('scep_challenge_provider', 'Application.Read.All');
  application.addFederatedCredential(credential);
});

interface AssertionChange {
  issuer?: string;
  subject?: string;
  audience?: string;
  signedAt?: number;
  key?: KeyObject;
  keyId?: string;
}

async function assertion({ signedAt = now, key = rsaKey('issuer'), keyId, ...claims }: AssertionChange = {}): Promise<string> {
  const kid = keyId ?? (await describePublicKey(key)).kid;
  const jwtId = `assertion-${++assertions}`;
  return (await signAssertion({ ...credential, ...claims, privateKey: key, keyId: kid, now: signedAt, jwtId })).assertion;
}

async function token(form: Record<string, string>, at = 'contoso.example'): Promise<{ status: number; body: Record<string, unknown> }> {
  const outcome = (await microsoft.handle({
    method: 'POST',
    url: `/${at}/oauth2/v2.0/token`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(new URLSearchParams(form).toString()),
  })) as MicrosoftAnswer;
  return { status: outcome.status, body: JSON.parse(outcome.body.toString()) as Record<string, unknown> };
}

const formOf = async (change: AssertionChange = {}) => ({
  client_id: application.clientId,
  scope: intuneScope,
  client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  client_assertion: await assertion(change),
  grant_type: 'client_credentials',
});

async function codeOf(form: Record<string, string>, at?: string): Promise<unknown> {
  const { status, body } = await token(form, at);
  assert.ok(status === 400 || status === 401, String(status));
  const [code] = body['error_codes'] as number[];
  assert.match(String(body['error_description']), new RegExp(`^AADSTS${code}: .* Trace ID: .* Correlation ID: .* Timestamp: `));
  return code;
}

describe('the token endpoint', () => {
  it('gives a token with the roles that are granted, by the tenant’s id and by its domain', async () => {
    for (const at of ['contoso.example', 'CONTOSO.example', tenant.id]) {
      const { status, body } = await token(await formOf(), at);
      assert.deepEqual([status, body['token_type'], body['expires_in']], [200, 'Bearer', 3599]);
      const { tid, appid, roles, aud } = decodeJwt(String(body['access_token']));
      assert.deepEqual(
        [tid, appid, roles, aud],
        [tenant.id, application.clientId, ['scep_challenge_provider'], 'https://api.manage.microsoft.com'],
      );
    }
  });

  it('fetches the discovery document and the keys that it names, and keeps them', async () => {
    await token(await formOf());
    await token(await formOf());
    assert.deepEqual(fetched, [`${issuer}/.well-known/openid-configuration`, `${issuer}/jwks`]);
    now += microsoft.entra.keysKeptMs;
    await token(await formOf());
    assert.equal(fetched.length, 4);
  });

  it('compares issuer, subject and audience to the letter', async () => {
    assert.equal(await codeOf(await formOf({ issuer: `${issuer}/` })), 700211);
    assert.equal(await codeOf(await formOf({ subject: 'ARN' })), 700213);
    assert.equal(await codeOf(await formOf({ audience: 'api://azureadtokenexchange' })), 700212);
    application.credentials = [];
    assert.equal(await codeOf(await formOf()), 7000226);
  });

  it('takes no assertion that is early, late, used before, of another key or of none that is published', async () => {
    assert.equal(await codeOf(await formOf({ signedAt: now - 601_000 })), 700024);
    assert.equal(await codeOf(await formOf({ signedAt: now + 120_000 })), 700024);
    const form = await formOf();
    await token(form);
    assert.equal(await codeOf(form), 700021);
    const { kid } = await describePublicKey(rsaKey('issuer'));
    assert.equal(await codeOf(await formOf({ key: rsaKey('thief'), keyId: kid })), 700027);
    assert.equal(await codeOf(await formOf({ key: rsaKey('thief') })), 7000272);
    keys = Array.from({ length: 100 }, () => rsaKey('other')).concat(rsaKey('thief'));
    assert.equal(await codeOf(await formOf({ key: rsaKey('thief') })), 7000272);
    isIssuerThere = false;
    assert.equal(await codeOf(await formOf({ key: rsaKey('thief') })), 50166);
  });

  it('knows who is in which tenant, what is asked for, and what is missing', async () => {
    const other = microsoft.addTenant('other.example');
    assert.equal(await codeOf(await formOf(), 'other.example'), 700016);
    assert.equal(await codeOf(await formOf(), 'nowhere.example'), 90002);
    assert.equal(await codeOf({ ...(await formOf()), scope: 'https://vault.azure.net/.default' }), 500011);
    assert.equal(await codeOf({ ...(await formOf()), scope: 'https://graph.microsoft.com/User.Read' }), 1002012);
    for (const name of ['client_id', 'scope', 'client_assertion', 'client_assertion_type', 'grant_type']) {
      assert.equal(await codeOf({ ...(await formOf()), [name]: '' }), 900144, name);
    }
    tenant.isIntuneProvisioned = false;
    assert.equal(await codeOf(await formOf()), 500011);
    assert.ok(other.id !== tenant.id);
  });
});

describe('@azure/msal-node', () => {
  let tls: { key: string; cert: string };
  before(() => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const name = parseNameString('CN=Microsoft').der;
    const template = {
      serialNumber: '01',
      issuer: name,
      subject: name,
      subjectPublicKeyInfo: publicKeyOf(privateKey).spki,
      notBefore: Date.now() - 60_000,
      notAfter: Date.now() + 3_600_000,
      extensions: [subjectAltNameExtension([generalName.ip(parseIpAddress('127.0.0.1'))], false)],
    };
    const cert = encodePem('CERTIFICATE', createCertificate(template, createSigner(privateKey)));
    assert.ok(new X509Certificate(cert).checkIP('127.0.0.1'));
    tls = { key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), cert };
  });

  it('gets a token from the double over TLS, with an assertion of ours for its credential', async () => {
    await using running = await startMicrosoft({ now: () => Date.now(), fetchIssuer }, tls);
    now = Date.now();
    const contoso = running.microsoft.addTenant('contoso.example');
    const app = contoso.addApplication().grant('scep_challenge_provider');
    app.addFederatedCredential(credential);
    const client = new ConfidentialClientApplication({
      auth: {
        clientId: app.clientId,
        authority: `${running.url}/${contoso.id}`,
        knownAuthorities: [new URL(running.url).host],
        clientAssertion: () => assertion(),
      },
      system: { networkClient: trusting(tls.cert) },
    });
    const result = await client.acquireTokenByClientCredential({ scopes: [intuneScope] });
    const { roles, tid } = decodeJwt(result?.accessToken ?? '');
    assert.deepEqual([roles, tid], [['scep_challenge_provider'], contoso.id]);
    app.credentials = [];
    const refused = client.acquireTokenByClientCredential({ scopes: [intuneScope], skipCache: true });
    await assert.rejects(refused, /AADSTS7000226/);
  });
});

/** MSAL's network, trusting one certificate more than the machine does. */
function trusting(ca: string): INetworkModule {
  const send = async (method: string, url: string, { headers = {}, body }: NetworkRequestOptions = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    request(url, { method, headers, ca, agent: false }, resolve).on('error', reject).end(body);
    const answer = await promise;
    const shown = Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, String(value)]));
    return { headers: shown, body: JSON.parse((await buffer(answer)).toString()), status: answer.statusCode ?? 0 };
  };
  return {
    sendGetRequestAsync: (url, options) => send('GET', url, options),
    sendPostRequestAsync: (url, options) => send('POST', url, options),
  };
}
