/** INTUNE connectors as OpenID issuers: what Entra ID fetches, what an independent verifier makes of it, and how keys change. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createRemoteJWKSet, customFetch, decodeProtectedHeader, jwtVerify } from 'jose';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';
import { oidcKeyLimits } from '../../src/service/oidc-keys.ts';
import { IntuneSubject } from '../support/intune-subject.ts';
import { type SendOptions, send } from '../support/raw-scep-client.ts';
import { until } from '../support/waiting.ts';

const dayMs = 24 * 60 * 60_000;
let subject: IntuneSubject;
before(async () => {
  subject = await IntuneSubject.start();
});
after(() => subject[Symbol.asyncDispose]());

const get = (url: string, options?: SendOptions) => subject.getPublic(url, options);
const bodyOf = async (url: string) => JSON.parse((await get(url)).body.toString());
const issuer = () => subject.connector.OpenIdConfiguration.Issuer;
const document = () => `${issuer()}/.well-known/openid-configuration`;
const keyIds = async (): Promise<string[]> => (await bodyOf(`${issuer()}/jwks`)).keys.map(({ kid }: { kid: string }) => kid);
const signingKeyId = async () => decodeProtectedHeader(await subject.signAssertion()).kid;

describe('the issuer of an INTUNE connector', () => {
  it('is where GetConnector says, and says so itself, to the letter', async () => {
    const { statusCode, headers, body } = await get(document());
    assert.deepEqual([statusCode, headers['content-type'], headers['cache-control']], [200, 'application/json', 'public, max-age=3600']);
    assert.deepEqual(JSON.parse(body.toString()), {
      issuer: issuer(),
      jwks_uri: `${issuer()}/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    });
  });

  it('publishes one RSA key and nothing private', async () => {
    const { keys } = await bodyOf(`${issuer()}/jwks`);
    assert.equal(keys.length, 1);
    assert.deepEqual(Object.keys(keys[0]).toSorted(), ['alg', 'e', 'kid', 'kty', 'n', 'use']);
    assert.deepEqual([keys[0].alg, keys[0].kty, keys[0].use], ['RS256', 'RSA', 'sig']);
  });

  it('signs assertions that an independent verifier accepts by the discovery document alone', async () => {
    const { Issuer, Subject, Audience } = subject.connector.OpenIdConfiguration;
    const { jwks_uri: jwksUri } = await bodyOf(document());
    const fetchKeys = async (url: string) => {
      const { statusCode, body } = await get(url);
      return new Response(new Uint8Array(body), { status: statusCode });
    };
    const keys = createRemoteJWKSet(new URL(jwksUri), { [customFetch]: fetchKeys });
    const assertion = await subject.signAssertion();
    const { payload, protectedHeader } = await jwtVerify(assertion, keys, {
      issuer: Issuer,
      subject: Subject,
      audience: Audience,
      algorithms: ['RS256'],
      currentDate: new Date(subject.server.now()),
    });
    assert.equal(protectedHeader.typ, 'JWT');
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 600);
    assert.ok((payload.nbf ?? 0) < (payload.iat ?? 0));
    const { payload: again } = await jwtVerify(await subject.signAssertion(), keys, { currentDate: new Date(subject.server.now()) });
    assert.notEqual(again.jti, payload.jti);
    const [head, , signature] = assertion.split('.');
    const forged = Buffer.from(JSON.stringify({ ...payload, sub: 'another' })).toString('base64url');
    await assert.rejects(jwtVerify(`${head}.${forged}.${signature}`, keys));
  });

  it('is at no other path, account or connector, and only to be read', async () => {
    const url = new URL(document());
    const at = (path: string) => `${url.origin}${path}`;
    const general = `/000000000000-${subject.server.connectorId}/oidc/jwks`;
    for (const path of [
      url.pathname.replace('000000000000', '111122223333'),
      url.pathname.replace(/-[0-9a-f]{8}-/, '-00000000-'),
      `${url.pathname}/`,
      url.pathname.replace('/.well-known/openid-configuration', ''),
      url.pathname.replace('.well-known/openid-configuration', 'keys'),
      general,
    ]) {
      assert.equal((await get(at(path))).statusCode, 404, path);
    }
    const posted = await get(document(), { method: 'POST' });
    assert.deepEqual([posted.statusCode, posted.headers['allow']], [405, 'GET, HEAD']);
    const head = await get(document(), { method: 'HEAD' });
    assert.deepEqual([head.statusCode, head.body.length], [200, 0]);
    const { etag } = head.headers;
    assert.equal((await get(document(), { headers: { 'if-none-match': String(etag) } })).statusCode, 304);
  });

  it('is not given out without TLS', async () => {
    const { origin } = new URL(subject.server.url);
    assert.equal((await send(`${origin}${new URL(document()).pathname}`)).statusCode, 404);
  });

  it('keeps its private key sealed', async () => {
    const { query } = subject.server.database;
    const [row] = await query.selectFrom('oidc_keys').selectAll().execute();
    assert.ok(row);
    const { n } = JSON.parse(row.public_jwk);
    assert.equal(Buffer.from(row.sealed_key).includes(Buffer.from(n, 'base64url').subarray(0, 32)), false);
  });
});

describe('the keys of an issuer', () => {
  it('change without a moment in which what signs is not published', async () => {
    const { server } = subject;
    const [first] = await keyIds();
    assert.equal(await signingKeyId(), first);
    await server.restart();
    assert.deepEqual(await keyIds(), [first]);
    server.advance(oidcKeyLimits.lifeMs);
    await server.restart();
    await until(async () => (await keyIds()).length === 2, 'the next key is published');
    assert.equal(await signingKeyId(), first);
    server.advance(oidcKeyLimits.publishedBeforeMs - dayMs);
    assert.equal(await signingKeyId(), first);
    server.advance(dayMs);
    const second = await signingKeyId();
    assert.notEqual(second, first);
    assert.deepEqual(await keyIds(), [second, first]);
    server.advance(oidcKeyLimits.publishedAfterMs + 1);
    await server.restart();
    await until(async () => (await keyIds()).length === 1, 'the old key is gone');
    assert.deepEqual([await keyIds(), await signingKeyId()], [[second], second]);
    const events = await server.database.query.selectFrom('audit_events').select('detail').where('name', '=', 'OidcKeyMade').execute();
    assert.ok(events.some(({ detail }) => JSON.parse(detail).keyId === second));
  });

  it('come to the connectors of an older store, and go with their connector', async () => {
    await using other = await IntuneSubject.start();
    const { server } = other;
    const keySet = `${other.connector.OpenIdConfiguration.Issuer}/jwks`;
    await server.restart(async () => {
      await using database = await openSqliteDatabase({ file: join(server.dataDir, 'scep.db') });
      await database.query.deleteFrom('oidc_keys').execute();
    });
    await until(async () => JSON.parse((await other.getPublic(keySet)).body.toString()).keys.length === 1, 'the connector has a key');
    await other.api.deleteConnector({ ConnectorArn: other.connector.Arn }).promise();
    await until(async () => (await other.getPublic(keySet)).statusCode === 404, 'the connector is gone');
    assert.deepEqual(await server.database.query.selectFrom('oidc_keys').selectAll().execute(), []);
  });
});

describe('behind a proxy that ends TLS', () => {
  it('the issuer is given out on the listener without TLS', async () => {
    await using proxied = await IntuneSubject.start({ SCEP_ENROLL_TLS_LISTEN: 'off', SCEP_PUBLIC_URL: 'https://scep.example.com' });
    const { Issuer } = proxied.connector.OpenIdConfiguration;
    assert.match(Issuer, /^https:\/\/scep\.example\.com\//);
    const { origin } = new URL(proxied.server.url);
    const { statusCode, body } = await send(`${origin}${new URL(Issuer).pathname}/.well-known/openid-configuration`);
    assert.equal(statusCode, 200);
    assert.equal(JSON.parse(body.toString()).issuer, Issuer);
    assert.equal((await readFile(join(proxied.server.dataDir, 'scep.db'))).includes('PRIVATE'), false);
  });
});
