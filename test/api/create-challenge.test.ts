/** CreateChallenge, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, refusal, startApiServer, wireAnswer } from '../support/api-server.ts';

const uuid = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const Intune = { AzureApplicationId: '22222222-2222-2222-2222-222222222222', Domain: 'example.onmicrosoft.com' };

describe('CreateChallenge', () => {
  let server: ApiServer;
  let ConnectorArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    ConnectorArn = await server.createActiveConnector();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function create(change: { ClientToken?: string; Tags?: Record<string, string> } = {}) {
    const { Challenge } = await server
      .client()
      .createChallenge({ ConnectorArn, ...change })
      .promise();
    assert.ok(Challenge);
    return Challenge;
  }

  async function listed(): Promise<number> {
    return ((await server.client().listChallengeMetadata({ ConnectorArn }).promise()).Challenges ?? []).length;
  }

  it('answers 202 with a challenge whose password is a random UUID', async () => {
    const { statusCode, text } = await wireAnswer(server.client().createChallenge({ ConnectorArn }));
    assert.equal(statusCode, 202);
    const { Challenge } = JSON.parse(text) as { Challenge: Record<string, unknown> };
    assert.deepEqual(Object.keys(Challenge), ['Arn', 'ConnectorArn', 'CreatedAt', 'UpdatedAt', 'Password']);
    assert.match(String(Challenge['Arn']), new RegExp(`^${ConnectorArn}/challenge/${uuid}$`));
    assert.equal(Challenge['ConnectorArn'], ConnectorArn);
    assert.match(String(Challenge['Password']), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.notEqual((await create()).Password, Challenge['Password']);
  });

  it('stores no password in clear', async () => {
    const { Password = '', Arn } = await create();
    const [row] = await server.database.query.selectFrom('challenges').selectAll().execute();
    assert.ok(row && Arn?.endsWith(row.challenge_id));
    for (const value of Object.values(row)) assert.ok(!Buffer.from(String(value)).includes(Password));
    for (const bytes of [row.sealed_password, row.password_mac]) assert.ok(!Buffer.from(bytes).includes(Password));
  });

  it('puts the tags on the challenge', async () => {
    const { Arn: ResourceArn = '' } = await create({ Tags: { Name: 'phones' } });
    assert.deepEqual((await server.client().listTagsForResource({ ResourceArn }).promise()).Tags, { Name: 'phones' });
  });

  it('makes one challenge of 200 concurrent requests with one client token, and answers each with its password', async () => {
    const challenges = await Promise.all(Array.from({ length: 200 }, () => create({ ClientToken: 'token' })));
    for (const challenge of challenges) assert.deepEqual(challenge, challenges[0]);
    assert.equal(await listed(), 1);
  });

  it('makes another one with the same client token after five minutes', async () => {
    const first = await create({ ClientToken: 'token' });
    server.advance(5 * 60_000 + 1000);
    assert.notEqual((await create({ ClientToken: 'token' })).Arn, first.Arn);
  });

  it('refuses a client token that was used with other parameters', async () => {
    const first = await create({ ClientToken: 'token' });
    const request = server.client().createChallenge({ ConnectorArn, ClientToken: 'token', Tags: { a: 'b' } });
    const { Message: _message, ...rest } = await refusal(request);
    assert.deepEqual(rest, { code: 'ConflictException', statusCode: 409, ResourceType: 'Challenge', ResourceId: first.Arn });
  });

  it('does not bring back a challenge that was deleted, nor make a new one with its token', async () => {
    const { Arn: ChallengeArn = '' } = await create({ ClientToken: 'token' });
    await server.client().deleteChallenge({ ChallengeArn }).promise();
    const { code, ResourceId } = await refusal(server.client().createChallenge({ ConnectorArn, ClientToken: 'token' }));
    assert.deepEqual({ code, ResourceId }, { code: 'ResourceNotFoundException', ResourceId: ChallengeArn });
    assert.equal(await listed(), 0);
  });

  it('takes a client token that CreateConnector has used too', async () => {
    const { certificateAuthorityArn: CertificateAuthorityArn } = server;
    await server.client().createConnector({ CertificateAuthorityArn, ClientToken: 'token' }).promise();
    await create({ ClientToken: 'token' });
  });

  it('refuses the sixth challenge of a connector, however many come at once', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => create()));
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 5);
    const { Message, ...rest } = await refusal(server.client().createChallenge({ ConnectorArn }));
    assert.deepEqual(rest, {
      code: 'ServiceQuotaExceededException',
      statusCode: 402,
      ResourceType: 'Challenge',
      ServiceCode: 'pca-connector-scep',
      QuotaCode: 'L-D42FC980',
    });
    assert.match(Message, /5 challenges per connector/);
    assert.equal(await listed(), 5);
  });

  it('refuses an Intune connector, whose challenges Intune makes', async () => {
    const { certificateAuthorityArn: CertificateAuthorityArn } = server;
    const created = await server.client().createConnector({ CertificateAuthorityArn, MobileDeviceManagement: { Intune } }).promise();
    await server.setStatus(created.ConnectorArn ?? '', 'ACTIVE');
    const { Message: _message, ...rest } = await refusal(server.client().createChallenge({ ConnectorArn: created.ConnectorArn ?? '' }));
    assert.deepEqual(rest, { code: 'ValidationException', statusCode: 400, Reason: 'INVALID_CONNECTOR_TYPE' });
  });

  it('refuses a connector that is not ACTIVE', async () => {
    for (const status of ['CREATING', 'DELETING', 'FAILED'] as const) {
      await server.setStatus(ConnectorArn, status);
      const { Message: _message, ...rest } = await refusal(server.client().createChallenge({ ConnectorArn }));
      assert.deepEqual(rest, { code: 'ValidationException', statusCode: 400, Reason: 'INVALID_STATE' });
    }
  });

  it("refuses a connector that does not exist, and is denied on another account's", async () => {
    const unknown = ConnectorArn.replace(/.{12}$/, '000000000000');
    assert.equal((await refusal(server.client().createChallenge({ ConnectorArn: unknown }))).code, 'ResourceNotFoundException');
    assert.equal((await refusal(server.otherAccountsClient().createChallenge({ ConnectorArn }))).code, 'AccessDeniedException');
  });
});

describe('verifyChallengePassword', () => {
  let server: ApiServer;
  beforeEach(async () => {
    server = await startApiServer();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it("finds the challenge whose password it is, among its own connector's only", async () => {
    const connectors = [await server.createActiveConnector(), await server.createActiveConnector()];
    const [connectorId = '', otherConnectorId = ''] = connectors.map(arn => arn.split('/')[1] ?? '');
    const [ConnectorArn = ''] = connectors;
    for (let count = 0; count < 3; count += 1) {
      const { Challenge } = await server.client().createChallenge({ ConnectorArn }).promise();
      const { Arn = '', Password = '' } = Challenge ?? {};
      assert.equal(await server.services.challenges.verifyChallengePassword(connectorId, Password), Arn.split('/').at(-1));
      assert.equal(await server.services.challenges.verifyChallengePassword(otherConnectorId, Password), undefined);
      for (const wrong of [Password.toUpperCase(), ` ${Password}`, Password.slice(0, -1), '', 'ü', 'x'.repeat(6000)]) {
        assert.equal(await server.services.challenges.verifyChallengePassword(connectorId, wrong), undefined);
      }
      await server.client().deleteChallenge({ ChallengeArn: Arn }).promise();
      assert.equal(await server.services.challenges.verifyChallengePassword(connectorId, Password), undefined);
    }
  });
});
