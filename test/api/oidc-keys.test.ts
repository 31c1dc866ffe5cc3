/** The keys of an INTUNE connector's OpenID issuer over the years: made once, published before they sign and after, sealed, gone with the connector. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import { createLocalJWKSet, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose';
import { LocalKeyProtector } from '../../src/backends/key-protector.ts';
import { findConnectorById } from '../../src/backends/store/connectors.ts';
import { type OidcKeyRow, StoreError } from '../../src/backends/store/database.ts';
import { deleteOidcKeysOf, listOidcKeys } from '../../src/backends/store/oidc-keys.ts';
import { parseConnectorArn } from '../../src/base/resources.ts';
import { lifecycleLimits } from '../../src/service/lifecycle.ts';
import { oidcKeyLimits } from '../../src/service/oidc-keys.ts';
import { type ApiServer, accountId, publicUrl, region, startApiServer } from '../support/api-server.ts';
import { createActiveAuthority, smallRoot } from '../support/authority-client.ts';

const { keyLifeMs, publishedBeforeMs, publishedAfterMs, retryMs } = oidcKeyLimits;
const Intune = { AzureApplicationId: '00000000-0000-4000-8000-000000000000', Domain: 'example.onmicrosoft.com' };
const audience = 'api://AzureADTokenExchange';

let server: ApiServer;
let CertificateAuthorityArn: string;
let ConnectorArn: string;
let connectorId: string;

beforeEach(async () => {
  server = await startApiServer();
  const authorities = new ACMPCA({ endpoint: server.url, region, maxRetries: 0, credentials: server.credentials });
  CertificateAuthorityArn = await createActiveAuthority(authorities, smallRoot);
  ConnectorArn = await connectIntune();
  connectorId = idOf(ConnectorArn);
  await settle();
});
afterEach(async () => {
  mock.restoreAll();
  await server[Symbol.asyncDispose]();
});

const settle = () => server.services.lifecycle.settle();
const idOf = (arn: string) => parseConnectorArn(arn)?.connectorId ?? '';
const keys = (of = connectorId) => listOidcKeys(server.database.query, of);
const keyIds = async (of = connectorId) => (await keys(of)).map(row => row.key_id);
const sign = (of = connectorId) => server.services.oidcKeys.signAssertion({ accountId, region, connectorId: of });
const signingKeyId = async () => decodeProtectedHeader((await sign()).assertion).kid;
const keySet = (of = connectorId) => server.services.oidcKeys.findKeySet(accountId, of);
const publishedIds = async () => (await keySet())?.keys.map(({ kid }) => kid);

async function connectIntune(): Promise<string> {
  const created = { CertificateAuthorityArn, MobileDeviceManagement: { Intune } };
  return (await server.client().createConnector(created).promise()).ConnectorArn ?? '';
}

async function onlyKey(): Promise<OidcKeyRow> {
  const [row, another] = await keys();
  assert.ok(row && !another, 'not exactly one key');
  return row;
}

/** As Entra ID does it: the key from the set, the claims held against the credential's values. */
async function verified(of = connectorId): Promise<JWTPayload> {
  const set = await keySet(of);
  assert.ok(set);
  const issuer = `${publicUrl}/${accountId}-${of}/oidc`;
  const subject = `arn:aws:pca-connector-scep:${region}:${accountId}:connector/${of}`;
  const expected = { issuer, subject, audience, algorithms: ['RS256'], currentDate: new Date(server.now()) };
  return (await jwtVerify((await sign(of)).assertion, createLocalJWKSet({ keys: set.keys.map(key => ({ ...key })) }), expected)).payload;
}

async function events(of = connectorId): Promise<{ name: string; detail: unknown }[]> {
  const rows = await server.database.query
    .selectFrom('audit_events')
    .select(['name', 'detail'])
    .where('connector_id', '=', of)
    .where('name', 'like', 'OidcKey%')
    .orderBy('event_id')
    .execute();
  return rows.map(({ name, detail }) => ({ name, detail: JSON.parse(detail) }));
}

/** Has `work` done before an OIDC key is sealed. */
function beforeSeal(work: () => Promise<void>): void {
  const { seal } = LocalKeyProtector.prototype;
  mock.method(LocalKeyProtector.prototype, 'seal', async function (this: LocalKeyProtector, plaintext: Uint8Array, context: string) {
    if (context.startsWith('oidc-keys/')) await work();
    return seal.call(this, plaintext, context);
  });
}

describe('an INTUNE connector', () => {
  it('is given a key that signs at once, and whose assertions its key set verifies', async () => {
    const { key_id: keyId } = await onlyKey();
    assert.deepEqual([await signingKeyId(), await publishedIds()], [keyId, [keyId]]);
    const [first, second] = [await verified(), await verified()];
    assert.equal((first.exp ?? 0) - (first.iat ?? 0), 600);
    assert.equal((await sign()).expiresAt % 1000, 0);
    assert.notEqual(first.jti, second.jti);
    assert.deepEqual(await events(), []);
  });

  it('keeps its first key when its creation is begun again', async () => {
    const another = idOf(await connectIntune());
    const [row] = await server.database.query.selectFrom('connectors').selectAll().where('connector_id', '=', another).execute();
    assert.ok(row);
    await Promise.all([server.services.oidcKeys.createKey(row), server.services.oidcKeys.createKey(row)]);
    const made = await keyIds(another);
    assert.equal(made.length, 1);
    await settle();
    assert.equal((await findConnectorById(server.database.query, another))?.status, 'ACTIVE');
    assert.deepEqual(await keyIds(another), made);
  });

  it('publishes and signs nothing before it is ACTIVE, nor once its creation has failed', async () => {
    for (const status of ['CREATING', 'FAILED'] as const) {
      await server.setStatus(ConnectorArn, status);
      assert.equal(await keySet(), undefined);
      assert.equal(await server.services.oidcKeys.findDiscoveryDocument(accountId, connectorId), undefined);
      await assert.rejects(sign(), /no such connector/);
    }
  });

  it('signs no more once it is to be deleted, while what it has signed can be verified until it is gone with its keys', async () => {
    await server.client().deleteConnector({ ConnectorArn }).promise();
    await assert.rejects(sign(), /no such connector/);
    assert.equal((await publishedIds())?.length, 1);
    await settle();
    assert.equal(await findConnectorById(server.database.query, connectorId), undefined);
    assert.deepEqual([await keyIds(), await keySet()], [[], undefined]);
  });

  it('signs for nobody who names another account or Region', async () => {
    const { oidcKeys } = server.services;
    await assert.rejects(oidcKeys.signAssertion({ accountId: '444455556666', region, connectorId }), /no such connector/);
    await assert.rejects(oidcKeys.signAssertion({ accountId, region: 'us-east-1', connectorId }), /no such connector/);
  });

  it('has its private key in the store under seal alone', async () => {
    const row = await onlyKey();
    assert.deepEqual(Object.keys(JSON.parse(row.public_jwk)).toSorted(), ['alg', 'e', 'kid', 'kty', 'n', 'use']);
    // PKCS#8 names the algorithm; what is sealed shows no such thing.
    assert.equal(Buffer.from(row.sealed_key).includes(Buffer.from('06092a864886f70d010101', 'hex')), false);
  });

  it('of a store that knew no such keys is given one that signs at once', async () => {
    await deleteOidcKeysOf(server.database.query, connectorId);
    await assert.rejects(sign(), /no OIDC key yet/);
    assert.equal(await keySet(), undefined);
    await settle();
    const { key_id: keyId, created_at: signsFromAt } = await onlyKey();
    await verified();
    assert.deepEqual(await events(), [{ name: 'OidcKeyRotated', detail: { keyId, signsFromAt } }]);
  });
});

describe('a connector for anything else', () => {
  it('has no key, publishes nothing and signs nothing', async () => {
    const created = await server.client().createConnector({ CertificateAuthorityArn }).promise();
    const general = idOf(created.ConnectorArn ?? '');
    await settle();
    assert.deepEqual([await keyIds(general), await keySet(general)], [[], undefined]);
    assert.equal(await server.services.oidcKeys.findDiscoveryDocument(accountId, general), undefined);
    await assert.rejects(sign(general), /no such connector/);
  });
});

describe('the rotation of a key', () => {
  it('does not come before the key is 90 days old', async () => {
    server.advance(keyLifeMs - 60_000);
    await settle();
    await onlyKey();
  });

  it('publishes the next key, has it sign two days later, and takes the old one away two days after that', async () => {
    const old = await onlyKey();
    server.advance(keyLifeMs + 1000);
    await settle();
    const [next] = await keys();
    assert.ok(next && next.key_id !== old.key_id);
    const seen = async () => ({ signs: await signingKeyId(), published: await publishedIds() });
    assert.deepEqual(await seen(), { signs: old.key_id, published: [next.key_id, old.key_id] });
    assert.deepEqual(await events(), [
      { name: 'OidcKeyRotated', detail: { keyId: next.key_id, signsFromAt: next.created_at + publishedBeforeMs } },
    ]);
    server.advance(publishedBeforeMs - 60_000);
    await settle();
    assert.deepEqual(await seen(), { signs: old.key_id, published: [next.key_id, old.key_id] });
    server.advance(60_000);
    await settle();
    assert.deepEqual(await seen(), { signs: next.key_id, published: [next.key_id, old.key_id] });
    await verified();
    server.advance(publishedAfterMs - 60_000);
    await settle();
    assert.deepEqual(await seen(), { signs: next.key_id, published: [next.key_id, old.key_id] });
    server.advance(60_000);
    await settle();
    assert.deepEqual(await seen(), { signs: next.key_id, published: [next.key_id] });
    await verified();
    assert.equal((await events()).length, 1);
  });

  it('that comes late, after years without a server, still publishes the next key before it signs', async () => {
    const old = await onlyKey();
    server.advance(8 * keyLifeMs);
    await settle();
    assert.deepEqual([await signingKeyId(), (await publishedIds())?.length], [old.key_id, 2]);
  });

  it('is done once by two nodes at the same time', async () => {
    server.advance(keyLifeMs + 1000);
    await Promise.all([server.services.oidcKeys.rotate(), server.services.oidcKeys.rotate()]);
    assert.deepEqual([(await keys()).length, (await events()).length], [2, 1]);
  });

  it('gives no key to a connector that is deleted meanwhile', async () => {
    server.advance(keyLifeMs + 1000);
    beforeSeal(() => server.setStatus(ConnectorArn, 'DELETING'));
    await server.services.oidcKeys.rotate();
    await onlyKey();
    assert.deepEqual(await events(), []);
  });

  it('that fails leaves the key in use and holds up no other connector, and is tried again after ten minutes', async () => {
    const another = idOf(await connectIntune());
    await settle();
    server.advance(keyLifeMs + 1000);
    let failures = 0;
    beforeSeal(async () => {
      failures += 1;
      if (failures === 1) throw new Error('no');
    });
    await settle();
    await settle();
    const [failed, rotated] = (await keys()).length === 1 ? [connectorId, another] : [another, connectorId];
    assert.deepEqual([(await keyIds(failed)).length, (await keyIds(rotated)).length, failures], [1, 2, 2]);
    await verified(failed);
    const [{ name, detail } = { name: '', detail: {} }, ...rest] = await events(failed);
    assert.deepEqual([name, rest, server.reports.length], ['OidcKeyRotationFailed', [], 1]);
    const { retryAt } = detail as { retryAt: number };
    assert.ok(Math.abs(retryAt - server.now() - retryMs) < 60_000);
    server.advance(retryMs - 60_000);
    await settle();
    assert.equal((await keyIds(failed)).length, 1);
    server.advance(61_000);
    await settle();
    assert.equal((await keyIds(failed)).length, 2);
  });

  it('waits for the store when that is away, without a verdict', async () => {
    server.advance(keyLifeMs + 1000);
    const failure = new StoreError('unreachable', 'away');
    let isAway = true;
    beforeSeal(async () => {
      if (isAway) throw failure;
    });
    await assert.rejects(server.services.oidcKeys.rotate(), failure);
    isAway = false;
    await settle();
    assert.deepEqual(
      (await events()).map(({ name }) => name),
      ['OidcKeyRotated'],
    );
  });
});

describe('a connector whose first key cannot be made', () => {
  it('fails, like one without RA keys', async () => {
    const another = await connectIntune();
    beforeSeal(() => Promise.reject(new Error('no')));
    await settle();
    const { Connector } = await server.client().getConnector({ ConnectorArn: another }).promise();
    assert.deepEqual([Connector?.Status, Connector?.StatusReason], ['FAILED', 'INTERNAL_FAILURE']);
    assert.deepEqual(await keyIds(idOf(another)), []);
  });

  it('is made once its lease is over when the store was away', async () => {
    const another = await connectIntune();
    let isAway = true;
    beforeSeal(async () => {
      if (isAway) throw new StoreError('unreachable', 'away');
    });
    await assert.rejects(server.services.lifecycle.step(), StoreError);
    isAway = false;
    server.advance(lifecycleLimits.leaseMs);
    await settle();
    assert.equal((await server.client().getConnector({ ConnectorArn: another }).promise()).Connector?.Status, 'ACTIVE');
    assert.equal((await keyIds(idOf(another))).length, 1);
  });
});
