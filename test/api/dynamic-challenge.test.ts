/** CreateDynamicChallenge: a password that ends, made once for a client token, found by nobody in the store. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { insertDynamicChallenge } from '../../src/backends/store/dynamic-challenges.ts';
import { dynamicChallengeLimits } from '../../src/service/dynamic-challenges.ts';
import { type ApiServer, accountId, otherAccountId, region, startApiServer } from '../support/api-server.ts';
import { allow, callAs, newCaller } from '../support/signed-calls.ts';

const Intune = { AzureApplicationId: '22222222-2222-2222-2222-222222222222', Domain: 'example.onmicrosoft.com' };
const dayMs = 24 * 60 * 60_000;

let server: ApiServer;
let call: ReturnType<typeof callAs>;
let ConnectorArn: string;
beforeEach(async () => {
  server = await startApiServer();
  call = callAs(server, server.credentials);
  ConnectorArn = await server.createActiveConnector();
});
afterEach(() => server[Symbol.asyncDispose]());

function pathOf(arn = ConnectorArn): string {
  return `/scep-connector/v1/connectors/${encodeURIComponent(arn)}/dynamic-challenges`;
}

function idOf(arn = ConnectorArn): string {
  return arn.slice(arn.lastIndexOf('/') + 1);
}

interface Made {
  Password: string;
  ExpiresAt: number;
  Uses: number;
}

async function create(input: object = {}, arn = ConnectorArn): Promise<Made> {
  const { status, answer } = await call('POST', pathOf(arn), input);
  assert.equal(status, 202, JSON.stringify(answer));
  return answer['DynamicChallenge'] as Made;
}

async function rows() {
  return server.database.query.selectFrom('dynamic_challenges').selectAll().orderBy('created_at').execute();
}

describe('CreateDynamicChallenge', () => {
  it('answers with a random UUID that is good once and for an hour', async () => {
    const before = Math.floor(Date.now() / 1000);
    const { status, answer } = await call('POST', pathOf());
    assert.equal(status, 202);
    assert.deepEqual(Object.keys(answer), ['DynamicChallenge']);
    const { Password, ExpiresAt, Uses, ...rest } = answer['DynamicChallenge'] as Made;
    assert.deepEqual(rest, {});
    assert.match(Password, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(Uses, 1);
    assert.ok(ExpiresAt >= before + 3600 && ExpiresAt <= Date.now() / 1000 + 3600);
    assert.notEqual((await create()).Password, Password);
  });

  it('takes an end and a number of uses', async () => {
    const { ExpiresAt, Uses } = await create({ ExpiresInSeconds: 2_592_000, Uses: 10_000 });
    const [row] = await rows();
    assert.deepEqual([row?.uses, row?.uses_claimed, row?.expires_at], [10_000, 0, Math.round(ExpiresAt * 1000)]);
    assert.equal(Uses, 10_000);
    assert.equal((row?.expires_at ?? 0) - (row?.created_at ?? 0), 2_592_000_000);
  });

  it('takes what docs/operations.md shows', async () => {
    const text = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8');
    const [, example = ''] = /dynamic-challenges" '(\{.*?\})'/s.exec(text) ?? [];
    await create(JSON.parse(example) as object);
  });

  it('is found by its password, of its own connector only', async () => {
    const other = await server.createActiveConnector();
    const { dynamicChallenges, challenges } = server.services;
    const Bounds = { Subject: 'CN=*' };
    const { Password } = await create({ Bounds });
    const found = await dynamicChallenges.findChallenge(idOf(), Password);
    assert.deepEqual([found?.connector_id, found?.bounds], [idOf(), JSON.stringify(Bounds)]);
    assert.equal(await dynamicChallenges.findChallenge(idOf(other), Password), undefined);
    for (const wrong of [Password.toUpperCase(), ` ${Password}`, Password.slice(0, -1), '', 'x'.repeat(6000)]) {
      assert.equal(await dynamicChallenges.findChallenge(idOf(), wrong), undefined);
    }
    assert.equal(await challenges.verifyChallengePassword(idOf(), Password), undefined);
  });

  it('stores no password in clear, and one that nobody can ask for again not even sealed', async () => {
    for (const input of [{}, { ClientToken: 'token' }]) {
      const { Password } = await create(input);
      for (const row of await rows()) for (const value of Object.values(row)) assert.ok(!Buffer.from(String(value)).includes(Password));
      for (const row of await rows())
        for (const bytes of [row.sealed_password, row.password_mac]) assert.ok(!Buffer.from(bytes).includes(Password));
    }
    assert.deepEqual(
      (await rows()).map(({ sealed_password }) => sealed_password.length > 0),
      [false, true],
    );
  });

  it('makes one of 50 concurrent requests with one client token, and answers each with its password', async () => {
    const made = await Promise.all(Array.from({ length: 50 }, () => create({ ClientToken: 'token', Uses: 3 })));
    for (const each of made) assert.deepEqual(each, made[0]);
    assert.equal((await rows()).length, 1);
    server.advance(5 * 60_000 + 1000);
    assert.notEqual((await create({ ClientToken: 'token', Uses: 3 })).Password, made[0]?.Password);
  });

  it('refuses a client token that was used with other parameters, and takes one that CreateChallenge has used', async () => {
    await server.client().createChallenge({ ConnectorArn, ClientToken: 'token' }).promise();
    await create({ ClientToken: 'token' });
    const { status, type, answer } = await call('POST', pathOf(), { ClientToken: 'token', Uses: 2 });
    assert.deepEqual([status, type, answer['ResourceId']], [409, 'ConflictException', ConnectorArn]);
  });

  it('refuses members and bounds that it does not know or cannot read', async () => {
    const refusals: [object, string][] = [
      [{ Bound: {} }, "'bound'"],
      [{ ConnectorArn }, "'connectorArn'"],
      [{ Bounds: { Subjects: 'CN=a' } }, "'bounds.subjects'"],
      [{ Bounds: { Subject: 'printer' } }, "'bounds.subject'"],
      [{ Bounds: { SubjectAlternativeNames: ['DNS:*', '*'] } }, "'bounds.subjectAlternativeNames.2.member'"],
      [{ Bounds: { ExtendedKeyUsages: ['anyExtendedKeyUsage'] } }, "'bounds.extendedKeyUsages.1.member'"],
      [{ Bounds: { ExtendedKeyUsages: [] } }, "'bounds.extendedKeyUsages'"],
      [{ ExpiresInSeconds: 59 }, "'expiresInSeconds'"],
      [{ Uses: 0 }, "'uses'"],
    ];
    for (const [input, at] of refusals) {
      const { status, type, answer } = await call('POST', pathOf(), input);
      assert.deepEqual([status, type], [400, 'ValidationException'], JSON.stringify(input));
      assert.ok(String(answer['Message']).includes(`1 validation error detected: Value at ${at} `), String(answer['Message']));
    }
    assert.deepEqual(await rows(), []);
  });

  it('refuses an Intune connector and one that is not ACTIVE', async () => {
    for (const status of ['CREATING', 'DELETING', 'FAILED'] as const) {
      await server.setStatus(ConnectorArn, status);
      const { type, answer } = await call('POST', pathOf(), {});
      assert.deepEqual([type, answer['Reason']], ['ValidationException', 'INVALID_STATE']);
    }
    const { certificateAuthorityArn: CertificateAuthorityArn } = server;
    const created = await server.client().createConnector({ CertificateAuthorityArn, MobileDeviceManagement: { Intune } }).promise();
    await server.setStatus(created.ConnectorArn ?? '', 'ACTIVE');
    const { type, answer } = await call('POST', pathOf(created.ConnectorArn), {});
    assert.deepEqual([type, answer['Reason']], ['ValidationException', 'INVALID_CONNECTOR_TYPE']);
  });

  it("refuses a connector that does not exist, and is denied on another account's", async () => {
    assert.equal((await call('POST', pathOf(ConnectorArn.replace(/.{12}$/, '000000000000')), {})).type, 'ResourceNotFoundException');
    assert.equal((await call('POST', pathOf(ConnectorArn.replace(/\d{12}/, otherAccountId)), {})).type, 'AccessDeniedException');
  });

  it('is for whoever has the permission on this connector', async () => {
    const other = await server.createActiveConnector();
    const maker = await newCaller(server, 'maker', allow('scep-connector:CreateDynamicChallenge', ConnectorArn));
    assert.equal((await maker('POST', pathOf(), {})).status, 202);
    assert.equal((await maker('POST', pathOf(other), {})).type, 'AccessDeniedException');
    const reader = await newCaller(server, 'reader', allow('pca-connector-scep:*'));
    assert.equal((await reader('POST', pathOf(), {})).type, 'AccessDeniedException');
  });

  it('deletes those that ended a day ago, of this connector', async () => {
    const other = await server.createActiveConnector();
    await create({ ExpiresInSeconds: 60 });
    await create({ ExpiresInSeconds: 60 }, other);
    server.advance(dayMs);
    await create({ ExpiresInSeconds: 60 });
    assert.equal((await rows()).length, 3);
    server.advance(61_000);
    await create();
    assert.deepEqual((await rows()).map(({ connector_id }) => connector_id).toSorted(), [idOf(), idOf(), idOf(other)].toSorted());
  });

  it('refuses one more than there may be at once', async () => {
    const now = Date.now();
    await server.database.transaction(async query => {
      for (let n = 0; n < dynamicChallengeLimits.liveMax; n++) {
        await insertDynamicChallenge(query, {
          dynamic_challenge_id: String(n),
          connector_id: idOf(),
          account_id: accountId,
          region,
          sealed_password: new Uint8Array(),
          password_mac: Buffer.from(String(n)),
          bounds: null,
          uses: 1,
          uses_claimed: 0,
          expires_at: now + (n === 0 ? 60_000 : dayMs),
          created_at: now,
        });
      }
    });
    const { status, type, answer } = await call('POST', pathOf(), {});
    const { Message, ...members } = answer;
    assert.deepEqual([status, type], [402, 'ServiceQuotaExceededException']);
    assert.deepEqual(members, {
      ResourceType: 'DynamicChallenge',
      ServiceCode: 'scep-connector',
      QuotaCode: 'DynamicChallengesPerConnector',
    });
    assert.match(String(Message), /10000 dynamic challenges/);
    await create({}, await server.createActiveConnector());
    server.advance(61_000);
    await create();
  });

  it('leaves a record without the password', async () => {
    const { Password } = await create({ Uses: 2, Bounds: { Subject: 'CN=a' } });
    const { answer } = await call('GET', '/scep-connector/v1/events?EventName=CreateDynamicChallenge');
    const [event] = answer['Events'] as Record<string, unknown>[];
    assert.ok(!JSON.stringify(event).includes(Password));
    assert.deepEqual(event?.['requestParameters'], { ConnectorArn, Uses: 2, Bounds: { Subject: 'CN=a' } });
    assert.match(
      JSON.stringify(event?.['responseElements']),
      /^\{"DynamicChallenge":\{"Password":"\*\*\*","ExpiresAt":[\d.]+,"Uses":2\}\}$/,
    );
    assert.deepEqual(event?.['resources'], [{ accountId, type: 'AWS::PCAConnectorSCEP::Connector', ARN: ConnectorArn }]);
    assert.equal(event?.['eventSource'], 'scep-connector');
  });
});
