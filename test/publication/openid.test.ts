/** OpenID issuers as Entra ID finds them: over HTTPS alone, by anyone, with jose as the independent verifier of what they publish. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose';
import { LocalKeyProtector, loadMasterKey } from '../../src/backends/key-protector.ts';
import { StoreError } from '../../src/backends/store/database.ts';
import { listOidcKeys } from '../../src/backends/store/oidc-keys.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { parseConnectorArn } from '../../src/base/resources.ts';
import { realSystem } from '../../src/base/system.ts';
import { createOpenIdHandler } from '../../src/fronts/publication/openid-handler.ts';
import { Audit } from '../../src/service/audit.ts';
import { Endpoints } from '../../src/service/endpoints.ts';
import { OidcKeys } from '../../src/service/oidc-keys.ts';
import { createIntuneConnector } from '../support/intune-subject.ts';
import { type HttpAnswer, send } from '../support/raw-scep-client.ts';
import { Subject } from '../support/scep-subject.ts';
import { accountId } from '../support/temporary-server.ts';
import { until } from '../support/waiting.ts';

const publicUrl = 'https://scep.example.com';
const audience = 'api://AzureADTokenExchange';
const region = 'us-east-1';
const silent = { info: () => {}, warn: () => {}, error: () => {} };
const discovery = '/.well-known/openid-configuration';
const documents = [discovery, '/jwks'];

/** A connector for Intune and what the API says of it to Entra ID. */
interface Issuer {
  connectorArn: string;
  connectorId: string;
  issuer: string;
  subject: string;
}

async function connectIntune(subject: Subject): Promise<Issuer> {
  const application = { clientId: '00000000-0000-4000-8000-000000000000', domain: 'example.onmicrosoft.com' };
  const { Arn: connectorArn, OpenIdConfiguration } = await createIntuneConnector(subject.api, application);
  const connectorId = parseConnectorArn(connectorArn)?.connectorId ?? '';
  const { Issuer: issuer, Subject: subjectOf, Audience } = OpenIdConfiguration;
  assert.equal(Audience, audience);
  assert.equal(issuer, `${publicUrl}/${accountId}-${connectorId}/oidc`);
  return { connectorArn, connectorId, issuer, subject: subjectOf };
}

/** Fetches a URL of the public name, which leads to the server: its certificate is held against that name. */
async function fetchPublic({ server }: Subject, url: string, options: { method?: string; headers?: Record<string, string> } = {}) {
  const { hostname, pathname, origin } = new URL(url);
  assert.equal(origin, publicUrl);
  const { hostname: host, port } = new URL(server.tlsUrl);
  const { method = 'GET', headers = {} } = options;
  const ca = encodePem('CERTIFICATE', server.caCertificate);
  return new Promise<HttpAnswer>((resolve, reject) => {
    const at = { host, port, path: pathname, servername: hostname, ca, method, headers: { Host: hostname, ...headers } };
    const sent = request(at, answer => {
      const { statusCode = 0 } = answer;
      buffer(answer).then(body => resolve({ statusCode, headers: answer.headers, body }), reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** What another node over the same store signs with. */
async function anotherNode({ server }: Subject): Promise<OidcKeys> {
  const { database, dataDir } = server;
  const masterKey = await loadMasterKey(join(dataDir, 'master.key'), { system: realSystem, create: false });
  const system = { ...realSystem, now: () => server.now() };
  const keyProtector = new LocalKeyProtector(masterKey, system);
  const endpoints = new Endpoints({ publicUrl, vpcEndpoints: new Map() });
  return new OidcKeys({
    database,
    keyProtector,
    system,
    audit: new Audit({ database, system, log: silent }),
    log: silent,
    endpoints,
    audience,
  });
}

function scepHits({ server }: Subject): number {
  return server.logLines.filter(({ msg }) => msg === 'scep request').length;
}

describe('the issuer of an INTUNE connector', () => {
  let subject: Subject;
  let made: Issuer;
  before(async () => {
    subject = await Subject.start({ SCEP_PUBLIC_URL: publicUrl });
    made = await connectIntune(subject);
  });
  after(() => subject[Symbol.asyncDispose]());

  const fetched = (url: string, options?: Parameters<typeof fetchPublic>[2]) => fetchPublic(subject, url, options);
  const jwks = async () => String((await fetched(`${made.issuer}/jwks`)).body);

  it('verifies an assertion for whoever knows but the issuer, as OpenID Connect Discovery has it', async () => {
    const { statusCode, headers, body } = await fetched(made.issuer + discovery);
    assert.deepEqual([statusCode, headers['content-type']], [200, 'application/json']);
    const document = JSON.parse(String(body)) as Record<string, unknown> & { jwks_uri: string };
    assert.deepEqual(document, {
      issuer: made.issuer,
      jwks_uri: `${made.issuer}/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    });
    const keySet = createRemoteJWKSet(new URL(document.jwks_uri), {
      [customFetch]: async url => {
        const answer = await fetched(url);
        return new Response(String(answer.body), { status: answer.statusCode });
      },
    });
    const { assertion } = await (await anotherNode(subject)).signAssertion({ accountId, region, connectorId: made.connectorId });
    const currentDate = new Date(subject.server.now());
    const expected = { issuer: made.issuer, subject: made.subject, audience, algorithms: ['RS256'], typ: 'JWT', currentDate };
    const { payload, protectedHeader } = await jwtVerify(assertion, keySet, expected);
    assert.deepEqual(Object.keys(payload).toSorted(), ['aud', 'exp', 'iat', 'iss', 'jti', 'nbf', 'sub']);
    assert.deepEqual(Object.keys(protectedHeader).toSorted(), ['alg', 'kid', 'typ']);
    assert.equal(made.subject, made.connectorArn);
  });

  it('publishes of its key what Entra ID reads, and the members of the private key nowhere', async () => {
    const { keys } = JSON.parse(await jwks()) as { keys: Record<string, string>[] };
    assert.deepEqual(
      keys.map(key => Object.keys(key).toSorted()),
      [['alg', 'e', 'kid', 'kty', 'n', 'use']],
    );
    const { server } = subject;
    const [row] = await listOidcKeys(server.database.query, made.connectorId);
    assert.equal(row?.key_id, keys[0]?.['kid']);
    // Of a private RSA key in PKCS#8 the modulus would be there as octets.
    const modulus = Buffer.from(keys[0]?.['n'] ?? '', 'base64url');
    const stored = (await readdir(server.dataDir)).filter(name => name.startsWith('scep.db'));
    assert.ok(stored.length > 0);
    for (const name of stored) assert.equal((await readFile(join(server.dataDir, name))).includes(modulus), false, name);
  });

  it('lets caches answer for an hour at most, and answers those that have it with 304', async () => {
    for (const url of documents.map(document => made.issuer + document)) {
      const { headers, body } = await fetched(url);
      const { etag = '' } = headers;
      assert.deepEqual([headers['cache-control'], headers['content-length']], ['public, max-age=3600', String(body.length)]);
      assert.equal(headers['last-modified'], undefined);
      const known = await fetched(url, { headers: { 'If-None-Match': etag } });
      assert.deepEqual([known.statusCode, known.headers.etag, known.body.length], [304, etag, 0]);
      const since = { 'If-Modified-Since': new Date(subject.server.now() + 86_400_000).toUTCString() };
      assert.equal((await fetched(url, { headers: since })).statusCode, 200);
      const head = await fetched(url, { method: 'HEAD' });
      assert.deepEqual([head.statusCode, head.headers.etag, head.body.length], [200, etag, 0]);
    }
  });

  it('is read with GET and HEAD alone', async () => {
    for (const url of documents.map(document => made.issuer + document)) {
      const { statusCode, headers } = await fetched(url, { method: 'POST' });
      assert.deepEqual([statusCode, headers.allow], [405, 'GET, HEAD']);
    }
  });

  it('has nothing else, nor has anybody else an issuer', async () => {
    const { connectorId } = made;
    const general = subject.server.connectorId;
    const unknown = '11111111-2222-4333-8444-555555555555';
    const issuers = [`${accountId}-${general}`, `111122223333-${connectorId}`, `${accountId}-${unknown}`];
    const hitsBefore = scepHits(subject);
    for (const url of [
      ...issuers.flatMap(name => documents.map(document => `${publicUrl}/${name}/oidc${document}`)),
      made.issuer,
      ...['/', '/jwks/', '/jwks.json', '/JWKS', `${discovery}/`, '/.well-known/', '/%6awks', '//jwks'].map(rest => made.issuer + rest),
    ]) {
      const { statusCode, headers } = await fetched(url);
      assert.deepEqual([statusCode, headers['content-type']], [404, 'text/plain'], url);
    }
    assert.equal(scepHits(subject), hitsBefore);
  });

  it('is not there over plain HTTP while there is HTTPS, and is nothing of SCEP there', async () => {
    const hitsBefore = scepHits(subject);
    const { origin } = new URL(subject.server.url);
    for (const method of ['GET', 'HEAD', 'POST']) {
      for (const path of ['', ...documents].map(document => new URL(made.issuer + document).pathname)) {
        const { statusCode, headers } = await send(origin + path, { method });
        assert.deepEqual([statusCode, headers['content-type']], [404, 'text/plain'], path);
      }
    }
    assert.equal(scepHits(subject), hitsBefore);
  });

  it('has the same keys after a restart', async () => {
    const keys = await jwks();
    await subject.server.restart();
    assert.equal(await jwks(), keys);
  });

  it('of a connector that a store of an older version has gets a key at the start', async () => {
    const { query } = subject.server.database;
    await subject.server.restart(async () => void (await query.deleteFrom('oidc_keys').execute()));
    const status = async () => (await fetched(`${made.issuer}/jwks`)).statusCode;
    await until(async () => (await status()) === 200, 'the connector has a key');
    assert.equal((await listOidcKeys(query, made.connectorId)).length, 1);
  });

  it('goes with its connector', async () => {
    const again = new Subject(subject.server, subject.client, subject.env);
    await again.api.deleteConnector({ ConnectorArn: made.connectorArn }).promise();
    const status = async (document: string) => (await fetched(made.issuer + document)).statusCode;
    await until(async () => (await status(discovery)) === 404, 'the issuer is gone');
    assert.equal(await status('/jwks'), 404);
  });
});

describe('behind a proxy that ends TLS', () => {
  it('the issuer is served over plain HTTP', async () => {
    await using subject = await Subject.start({ SCEP_PUBLIC_URL: publicUrl, SCEP_ENROLL_TLS_LISTEN: 'off' });
    const made = await connectIntune(subject);
    const { origin } = new URL(subject.server.url);
    const [document, keys] = await Promise.all(documents.map(rest => send(origin + new URL(made.issuer).pathname + rest)));
    assert.deepEqual([document?.statusCode, keys?.statusCode], [200, 200]);
    assert.equal((JSON.parse(String(document?.body)) as { issuer: string }).issuer, made.issuer);
  });
});

describe('an issuer that cannot be looked up', () => {
  const path = `/${accountId}-11111111-2222-4333-8444-555555555555/oidc`;
  const answerTo = async (error: Error, isServed = true) => {
    const fail = async () => {
      throw error;
    };
    const oidcKeys = { findDiscoveryDocument: fail, findKeySet: fail } as unknown as OidcKeys;
    const handle = createOpenIdHandler({ oidcKeys, log: silent, isServed });
    return Promise.all(documents.map(async document => handle({ method: 'GET', rawUrl: path + document, headers: [] })));
  };

  it('is an outage that passes when the store is away, and a failure without a word about it otherwise', async () => {
    for (const answer of await answerTo(new StoreError('unreachable', 'secret'))) {
      assert.deepEqual([answer?.statusCode, answer?.headers['retry-after']], [503, '30']);
      assert.doesNotMatch(String(Buffer.from(answer?.body ?? [])), /secret/);
    }
    for (const answer of await answerTo(new Error('secret'))) {
      assert.equal(answer?.statusCode, 500);
      assert.doesNotMatch(String(Buffer.from(answer?.body ?? [])), /secret/);
    }
  });

  it('is not looked up where it is not served', async () => {
    for (const answer of await answerTo(new Error('asked'), false)) assert.equal(answer?.statusCode, 404);
  });
});
