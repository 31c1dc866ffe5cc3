/** Access keys: made, listed, deleted, and looked up for a signature. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, accountId, otherAccountId, refusal, startApiServer } from '../support/api-server.ts';

describe('AccessKeys', () => {
  let server: ApiServer;
  beforeEach(async () => {
    server = await startApiServer();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('makes permanent keys in the form of AWS', async () => {
    const key = await server.accessKeys.createAccessKey({ accountId });
    assert.deepEqual(Object.keys(key), ['accessKeyId', 'secretAccessKey']);
    assert.match(key.accessKeyId, /^AKIA[A-Z2-7]{16}$/);
    assert.match(key.secretAccessKey, /^[A-Za-z0-9+/]{40}$/);
    assert.deepEqual(await server.accessKeys.findSecret(key.accessKeyId, undefined), {
      secretAccessKey: key.secretAccessKey,
      principal: { accountId, arn: `arn:aws:iam::${accountId}:user/administrator`, accessKeyId: key.accessKeyId },
    });
  });

  it('makes temporary keys, whose secret only their session token opens', async () => {
    const key = await server.accessKeys.createAccessKey({ accountId, name: 'ci', durationSeconds: 60 });
    const found = await server.accessKeys.findSecret(key.accessKeyId, key.sessionToken);
    assert.equal(found?.secretAccessKey, key.secretAccessKey);
    assert.equal(found?.expiresAt, key.expiresAt);
    assert.equal(found?.principal.arn, `arn:aws:iam::${accountId}:user/ci`);
    assert.equal(await server.accessKeys.findSecret(key.accessKeyId, undefined), undefined);
    assert.equal(await server.accessKeys.findSecret(key.accessKeyId, 'other'), undefined);
  });

  it('stores no secret in clear', async () => {
    const key = await server.accessKeys.createAccessKey({ accountId, durationSeconds: 60 });
    const rows = await server.database.query.selectFrom('access_keys').selectAll().where('access_key_id', '=', key.accessKeyId).execute();
    const [row] = rows;
    assert.ok(row?.session_token_mac);
    for (const bytes of [row.sealed_secret, row.session_token_mac]) {
      for (const clear of [key.secretAccessKey, key.sessionToken ?? '']) assert.ok(!Buffer.from(bytes).includes(clear));
    }
  });

  it('lists the keys of one account, without their secrets', async () => {
    const { accessKeyId, expiresAt } = await server.accessKeys.createAccessKey({ accountId, name: 'ci', durationSeconds: 60 });
    const keys = await server.accessKeys.listAccessKeys(accountId);
    assert.deepEqual(keys.map(key => key.accessKeyId).sort(), [accessKeyId, server.credentials.accessKeyId].sort());
    const { createdAt, ...temporary } = keys.find(key => key.accessKeyId === accessKeyId) ?? {};
    assert.deepEqual(temporary, { accessKeyId, accountId, name: 'ci', expiresAt });
    assert.equal(typeof createdAt, 'number');
  });

  it('deletes a key of its own account only; it signs nothing afterwards', async () => {
    const { accessKeyId } = server.credentials;
    assert.equal(await server.accessKeys.deleteAccessKey({ accountId: otherAccountId, accessKeyId }), false);
    assert.equal(await server.accessKeys.deleteAccessKey({ accountId, accessKeyId }), true);
    assert.equal(await server.accessKeys.deleteAccessKey({ accountId, accessKeyId }), false);
    assert.equal((await refusal(server.client().listConnectors({}))).code, 'UnrecognizedClientException');
  });

  it('makes the account with its first key', async () => {
    await server.accessKeys.createAccessKey({ accountId: '777788889999' });
    await server.accessKeys.createAccessKey({ accountId: '777788889999' });
    const accounts = await server.database.query.selectFrom('accounts').select('account_id').orderBy('account_id').execute();
    assert.deepEqual(
      accounts.map(account => account.account_id),
      [accountId, otherAccountId, '777788889999'],
    );
  });

  it('refuses an account id, name or duration that is none', async () => {
    const wrong = [
      { accountId: '123' },
      { accountId, name: '' },
      { accountId, name: 'a b' },
      { accountId, name: 'n'.repeat(65) },
      ...[0, -1, 1.5, 129_601, Number.NaN].map(durationSeconds => ({ accountId, durationSeconds })),
    ];
    for (const request of wrong) await assert.rejects(server.accessKeys.createAccessKey(request), { name: 'ValidationException' });
  });
});
