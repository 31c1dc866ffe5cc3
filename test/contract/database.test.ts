/** The contract of Database, and of its queries that serve the control plane, run over every implementation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  countAccessKeys,
  deleteAccessKey,
  deleteTemporaryAccessKeys,
  findAccessKey,
  insertAccessKey,
  listAccessKeys,
  updateAccessKeyStatus,
} from '../../src/backends/store/access-keys.ts';
import { findAccount, insertAccount } from '../../src/backends/store/accounts.ts';
import {
  countChallenges,
  deleteChallenge,
  deleteChallengesOf,
  findChallenge,
  insertChallenge,
  listChallengeMacs,
  listChallenges,
} from '../../src/backends/store/challenges.ts';
import { deleteClientTokensBefore, findClientToken, insertClientToken } from '../../src/backends/store/client-tokens.ts';
import {
  claimConnectors,
  countConnectors,
  deleteConnectorRow,
  findConnector,
  findConnectorById,
  insertConnector,
  listConnectors,
  updateConnectorStatus,
} from '../../src/backends/store/connectors.ts';
import type { AccessKeyRow, ChallengeRow, UserPolicyRow } from '../../src/backends/store/database.ts';
import { findStoreProperty, insertStoreProperty } from '../../src/backends/store/store-properties.ts';
import { deleteAllTags, deleteTags, deleteTagsUnder, listTags, putTags } from '../../src/backends/store/tags.ts';
import {
  deleteUserPolicy,
  findUserPolicy,
  listUserPolicies,
  listUserPolicyDocuments,
  putUserPolicy,
} from '../../src/backends/store/user-policies.ts';
import { countUsers, deleteUser, findUser, insertUser, listUsers } from '../../src/backends/store/users.ts';
import { connector, describeEveryDatabase, everyByte, home, homeColumns, now, uuid } from '../support/databases.ts';

const ops = { accountId: home.accountId, userName: 'ops' };
const otherAccountId = '111111111111';

function accessKey(id: string, change: Partial<AccessKeyRow> = {}): AccessKeyRow {
  return {
    access_key_id: id,
    account_id: home.accountId,
    user_name: 'ops',
    sealed_secret: Buffer.from(everyByte),
    session_token_mac: null,
    session_policy: null,
    status: 'ACTIVE',
    expires_at: null,
    created_at: now,
    ...change,
  };
}

function userPolicy(name: string, document: string, at = now): UserPolicyRow {
  const { accountId: account_id, userName: user_name } = ops;
  return { account_id, user_name, policy_name: name, document, created_at: at, updated_at: at };
}

function challenge(n: number, connectorNumber: number): ChallengeRow {
  return {
    challenge_id: uuid(n),
    connector_id: uuid(connectorNumber),
    ...homeColumns,
    sealed_password: Uint8Array.of(n),
    password_mac: Uint8Array.of(n, n),
    created_at: now,
    updated_at: now,
  };
}

describeEveryDatabase(subject => {
  test('what was written is there after the database was closed and opened again', async () => {
    await insertStoreProperty(subject.database.query, 'check', everyByte);
    await subject.reopen();
    assert.deepEqual([...((await findStoreProperty(subject.database.query, 'check')) ?? [])], [...everyByte]);
  });

  test('a transaction that throws leaves nothing and passes its error on', async () => {
    const failure = new Error('on purpose');
    const attempt = subject.database.transaction(async query => {
      await insertConnector(query, connector(1));
      throw failure;
    });
    await assert.rejects(attempt, failure);
    assert.equal(await findConnectorById(subject.database.query, uuid(1)), undefined);
  });

  test('a statement that is refused takes the whole transaction back, and the database goes on', async () => {
    const attempt = subject.database.transaction(async query => {
      await insertConnector(query, connector(1));
      await insertConnector(query, connector(1));
    });
    await assert.rejects(attempt);
    assert.equal(await findConnectorById(subject.database.query, uuid(1)), undefined);
    assert.equal(await subject.database.transaction(async () => 'goes on'), 'goes on');
  });

  test('of many transactions that count and then insert, no two see the same count', async () => {
    const counts = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        subject.database.transaction(async query => {
          const count = await countConnectors(query, home);
          await insertConnector(query, connector(n));
          return count;
        }),
      ),
    );
    assert.deepEqual(
      counts.toSorted((a, b) => a - b),
      Array.from({ length: 30 }, (_, n) => n),
    );
  });

  test('a query outside a transaction does not see what is not yet committed', async () => {
    let outside: Promise<unknown> | undefined;
    const attempt = subject.database.transaction(async query => {
      await insertConnector(query, connector(1));
      outside = findConnectorById(subject.database.query, uuid(1));
      throw new Error('on purpose');
    });
    await assert.rejects(attempt);
    assert.equal(await outside, undefined);
  });

  test('a store property keeps its first value', async () => {
    assert.equal(await findStoreProperty(subject.database.query, 'check'), undefined);
    assert.equal(await insertStoreProperty(subject.database.query, 'check', Uint8Array.of(1)), true);
    assert.equal(await insertStoreProperty(subject.database.query, 'check', Uint8Array.of(2)), false);
    assert.deepEqual([...((await findStoreProperty(subject.database.query, 'check')) ?? [])], [1]);
  });

  test('an account is inserted once', async () => {
    const row = { account_id: home.accountId, created_at: now };
    assert.equal(await insertAccount(subject.database.query, row), true);
    assert.equal(await insertAccount(subject.database.query, { ...row, created_at: now + 1 }), false);
    assert.deepEqual(await findAccount(subject.database.query, home.accountId), row);
  });

  test('an access key is found, listed, changed and deleted by its own account and user only', async () => {
    const { query } = subject.database;
    const row = accessKey('AKIA1', { session_policy: '{}', session_token_mac: Buffer.from(everyByte), expires_at: now });
    for (const key of [row, accessKey('AKIA2'), accessKey('AKIA3', { user_name: 'ci' })]) await insertAccessKey(query, key);
    const found = await findAccessKey(query, 'AKIA1');
    const bytes = (octets: Uint8Array | null) => octets && Buffer.from(octets);
    assert.deepEqual(
      found && { ...found, sealed_secret: bytes(found.sealed_secret), session_token_mac: bytes(found.session_token_mac) },
      row,
    );
    const ids = async (page: Omit<Parameters<typeof listAccessKeys>[1], 'accountId' | 'limit'>) =>
      (await listAccessKeys(query, { accountId: home.accountId, limit: 10, ...page })).map(key => key.access_key_id);
    assert.deepEqual(await ids({}), ['AKIA1', 'AKIA2', 'AKIA3']);
    assert.deepEqual(await ids({ afterId: 'AKIA1' }), ['AKIA2', 'AKIA3']);
    assert.deepEqual(await ids({ userName: 'ops' }), ['AKIA1', 'AKIA2']);
    const key = { accountId: home.accountId, accessKeyId: 'AKIA1' };
    for (const other of [{ accountId: otherAccountId }, { userName: 'ci' }]) {
      assert.equal(await updateAccessKeyStatus(query, { ...key, ...other }, 'INACTIVE'), false);
      assert.equal(await deleteAccessKey(query, { ...key, ...other }), false);
    }
    assert.equal(await updateAccessKeyStatus(query, { ...key, userName: 'ops' }, 'INACTIVE'), true);
    assert.equal((await findAccessKey(query, 'AKIA1'))?.status, 'INACTIVE');
    assert.equal((await findAccessKey(query, 'AKIA2'))?.status, 'ACTIVE');
    assert.equal(await deleteAccessKey(query, key), true);
    assert.equal(await deleteAccessKey(query, { ...key, userName: 'ops', accessKeyId: 'AKIA2' }), true);
    assert.deepEqual(await ids({}), ['AKIA3']);
  });

  test("a user's permanent and temporary keys are counted apart, and only the temporary ones end", async () => {
    const { query } = subject.database;
    const keys = [
      accessKey('AKIA1'),
      accessKey('ASIA1', { expires_at: now }),
      accessKey('ASIA2', { expires_at: now + 1 }),
      accessKey('ASIA3', { expires_at: now, user_name: 'ci' }),
      accessKey('ASIA4', { expires_at: now, account_id: otherAccountId }),
    ];
    for (const key of keys) await insertAccessKey(query, key);
    const counts = async () => [await countAccessKeys(query, ops, 'permanent'), await countAccessKeys(query, ops, 'temporary')];
    assert.deepEqual(await counts(), [1, 2]);
    await deleteTemporaryAccessKeys(query, ops, now);
    assert.deepEqual(await counts(), [1, 2]);
    await deleteTemporaryAccessKeys(query, ops, now + 1);
    assert.deepEqual(await counts(), [1, 1]);
    await deleteTemporaryAccessKeys(query, ops);
    assert.deepEqual(await counts(), [1, 0]);
    for (const id of ['ASIA3', 'ASIA4']) assert.ok(await findAccessKey(query, id));
  });

  test('users are found, counted, paged and deleted within their account', async () => {
    const { query } = subject.database;
    const row = { account_id: home.accountId, user_name: 'ops', created_at: now };
    await insertUser(query, row);
    await assert.rejects(insertUser(query, row));
    await insertUser(query, { ...row, user_name: 'ci' });
    await insertUser(query, { ...row, account_id: otherAccountId });
    assert.deepEqual(await findUser(query, ops), row);
    assert.equal(await findUser(query, { ...ops, userName: 'Ops' }), undefined);
    assert.equal(await countUsers(query, home.accountId), 2);
    const names = async (afterName?: string) =>
      (await listUsers(query, { accountId: home.accountId, afterName, limit: 1 })).map(user => user.user_name);
    assert.deepEqual([await names(), await names('ci'), await names('ops')], [['ci'], ['ops'], []]);
    await deleteUser(query, ops);
    assert.equal(await findUser(query, ops), undefined);
    assert.ok(await findUser(query, { ...ops, accountId: otherAccountId }));
  });

  test("a user's policies are put, replaced, paged and deleted, and hold the user", async () => {
    const { query } = subject.database;
    await assert.rejects(putUserPolicy(query, userPolicy('a', '1')));
    for (const user_name of ['ops', 'ci']) await insertUser(query, { account_id: home.accountId, user_name, created_at: now });
    await putUserPolicy(query, userPolicy('a', '1'));
    await putUserPolicy(query, userPolicy('b', '2'));
    await putUserPolicy(query, userPolicy('a', '3', now + 1));
    const replaced = { ...userPolicy('a', '3'), updated_at: now + 1 };
    assert.deepEqual(await findUserPolicy(query, { ...ops, policyName: 'a' }), replaced);
    assert.deepEqual((await listUserPolicyDocuments(query, ops)).toSorted(), ['2', '3']);
    assert.deepEqual(await listUserPolicyDocuments(query, { ...ops, userName: 'ci' }), []);
    assert.deepEqual(await listUserPolicies(query, { ...ops, limit: 1 }), [replaced]);
    assert.deepEqual(await listUserPolicies(query, { ...ops, afterName: 'a', limit: 2 }), [userPolicy('b', '2')]);
    await assert.rejects(deleteUser(query, ops));
    assert.equal(await deleteUserPolicy(query, { ...ops, userName: 'ci', policyName: 'a' }), false);
    for (const policyName of ['a', 'b']) assert.equal(await deleteUserPolicy(query, { ...ops, policyName }), true);
    await deleteUser(query, ops);
  });

  test('pages by key hold every connector of one account and region once, in order', async () => {
    for (let n = 0; n < 25; n++) await insertConnector(subject.database.query, connector((n * 7) % 25));
    await insertConnector(subject.database.query, connector(100, { account_id: otherAccountId }));
    await insertConnector(subject.database.query, connector(101, { region: 'eu-west-1' }));
    const seen: string[] = [];
    for (;;) {
      const page = await listConnectors(subject.database.query, { ...home, afterId: seen.at(-1), limit: 10 });
      seen.push(...page.map(row => row.connector_id));
      if (page.length < 10) break;
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 25 }, (_, n) => uuid(n)),
    );
  });

  test('a connector comes back as it was written, to its own account and region only', async () => {
    await insertConnector(subject.database.query, connector(1, { type: 'INTUNE', azure_domain: 'contoso.example' }));
    const nulls = { azure_application_id: null, vpc_endpoint_id: null, status_reason: null };
    const expected = {
      ...connector(1),
      ...nulls,
      type: 'INTUNE',
      azure_domain: 'contoso.example',
      enrolment_policy: null,
      ra_renewal_at: 0,
      revocation_poll_at: 0,
      lease_until_at: 0,
    };
    assert.deepEqual(await findConnector(subject.database.query, { ...home, connectorId: uuid(1) }), expected);
    assert.equal(await findConnector(subject.database.query, { ...home, region: 'eu-west-1', connectorId: uuid(1) }), undefined);
    assert.equal(await findConnector(subject.database.query, { ...home, accountId: otherAccountId, connectorId: uuid(1) }), undefined);
  });

  test('of several moves from one status exactly one succeeds', async () => {
    await insertConnector(subject.database.query, connector(1));
    const statusReason = 'PRIVATECA_ACCESS_DENIED';
    const moves = [
      updateConnectorStatus(subject.database.query, uuid(1), ['CREATING'], 'FAILED', { statusReason, updatedAt: now + 1 }),
      updateConnectorStatus(subject.database.query, uuid(1), ['CREATING'], 'ACTIVE', { updatedAt: now + 2 }),
    ];
    assert.equal((await Promise.all(moves)).filter(Boolean).length, 1);
    assert.equal(
      await updateConnectorStatus(subject.database.query, uuid(1), ['ACTIVE', 'FAILED'], 'DELETING', { updatedAt: now + 3 }),
      true,
    );
    const row = await findConnectorById(subject.database.query, uuid(1));
    assert.deepEqual([row?.status, row?.status_reason, row?.updated_at], ['DELETING', null, now + 3]);
  });

  test('a leased connector is claimed again only when the lease is over or its status moved', async () => {
    await insertConnector(subject.database.query, connector(1));
    await insertConnector(subject.database.query, connector(2, { status: 'DELETING' }));
    await insertConnector(subject.database.query, connector(3, { status: 'FAILED' }));
    const claim = (at: number, limit = 10) => claimConnectors(subject.database.query, { now: at, leaseUntilAt: at + 100, limit });
    const [first, second] = [await claim(now, 1), await claim(now, 1)];
    assert.deepEqual([...first, ...second].map(row => row.connector_id).toSorted(), [uuid(1), uuid(2)]);
    assert.deepEqual(await claim(now + 99), []);
    await updateConnectorStatus(subject.database.query, uuid(1), ['CREATING'], 'DELETING', { updatedAt: now });
    assert.deepEqual(
      (await claim(now + 99)).map(row => row.connector_id),
      [uuid(1)],
    );
    assert.deepEqual(
      (await claim(now + 100)).map(row => row.connector_id),
      [uuid(2)],
    );
  });

  test('a connector goes only when it is DELETING and its challenges and RA keys are gone', async () => {
    await insertConnector(subject.database.query, connector(1));
    assert.equal(await deleteConnectorRow(subject.database.query, uuid(1)), false);
    await updateConnectorStatus(subject.database.query, uuid(1), ['CREATING'], 'DELETING', { updatedAt: now });
    await insertChallenge(subject.database.query, challenge(1, 1));
    await assert.rejects(deleteConnectorRow(subject.database.query, uuid(1)));
    await deleteChallengesOf(subject.database.query, uuid(1));
    assert.equal(await deleteConnectorRow(subject.database.query, uuid(1)), true);
    assert.equal(await findConnectorById(subject.database.query, uuid(1)), undefined);
  });

  test('challenges are counted, paged, found and deleted within their connector', async () => {
    await insertConnector(subject.database.query, connector(1));
    await insertConnector(subject.database.query, connector(2));
    for (const row of [challenge(1, 1), challenge(2, 1), challenge(3, 2)]) await insertChallenge(subject.database.query, row);
    assert.equal(await countChallenges(subject.database.query, uuid(1)), 2);
    const page = await listChallenges(subject.database.query, { connectorId: uuid(1), afterId: uuid(1), limit: 5 });
    assert.deepEqual(
      page.map(row => row.challenge_id),
      [uuid(2)],
    );
    const macs = await listChallengeMacs(subject.database.query, uuid(1));
    assert.deepEqual(Object.fromEntries(macs.map(row => [row.challenge_id, [...row.password_mac]])), {
      [uuid(1)]: [1, 1],
      [uuid(2)]: [2, 2],
    });
    const address = { ...home, connectorId: uuid(1), challengeId: uuid(1) };
    assert.equal((await findChallenge(subject.database.query, address))?.challenge_id, uuid(1));
    assert.equal(await findChallenge(subject.database.query, { ...address, connectorId: uuid(2) }), undefined);
    assert.equal(await deleteChallenge(subject.database.query, uuid(1)), true);
    assert.equal(await deleteChallenge(subject.database.query, uuid(1)), false);
  });

  test('tags are added, replaced and removed by key', async () => {
    await putTags(subject.database.query, 'arn:1', { team: 'devices', stage: 'test' });
    await putTags(subject.database.query, 'arn:1', { stage: 'live', Ünï: '' });
    await putTags(subject.database.query, 'arn:1', {});
    assert.deepEqual(await listTags(subject.database.query, 'arn:1'), { stage: 'live', team: 'devices', Ünï: '' });
    await deleteTags(subject.database.query, 'arn:1', ['team', 'absent']);
    await deleteTags(subject.database.query, 'arn:1', []);
    assert.deepEqual(await listTags(subject.database.query, 'arn:1'), { stage: 'live', Ünï: '' });
    await deleteAllTags(subject.database.query, 'arn:1');
    assert.deepEqual(await listTags(subject.database.query, 'arn:1'), {});
  });

  test('removing the tags below a resource touches neither its own nor those of a name that begins like it', async () => {
    const below = ['arn:1/challenge/1', 'arn:1/challenge/2'];
    const others = ['arn:1', 'arn:1-/challenge/1', 'arn:10/challenge/1', 'arn:2/challenge/1', 'ARN:1/challenge/1'];
    for (const arn of [...below, ...others]) await putTags(subject.database.query, arn, { key: arn });
    await deleteTagsUnder(subject.database.query, 'arn:1');
    for (const arn of below) assert.deepEqual(await listTags(subject.database.query, arn), {});
    for (const arn of others) assert.deepEqual(await listTags(subject.database.query, arn), { key: arn });
  });

  test('a client token belongs to one account and operation, is used once, and goes when it is old', async () => {
    const row = {
      account_id: home.accountId,
      operation: 'CreateChallenge',
      client_token: 'token',
      parameters_hash: 'hash',
      resource_arn: 'arn:1',
      created_at: now,
    };
    const key = { accountId: home.accountId, operation: 'CreateChallenge', clientToken: 'token' };
    await insertClientToken(subject.database.query, row);
    await assert.rejects(insertClientToken(subject.database.query, row));
    assert.deepEqual(await findClientToken(subject.database.query, key), row);
    assert.equal(await findClientToken(subject.database.query, { ...key, operation: 'CreateConnector' }), undefined);
    await deleteClientTokensBefore(subject.database.query, now);
    assert.deepEqual(await findClientToken(subject.database.query, key), row);
    await deleteClientTokensBefore(subject.database.query, now + 1);
    assert.equal(await findClientToken(subject.database.query, key), undefined);
  });
});
