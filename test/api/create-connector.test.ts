/** CreateConnector, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { CreateConnectorRequest } from 'aws-sdk/clients/pcaconnectorscep.js';
import {
  type ApiServer,
  accountId,
  otherAccountId,
  publicUrl,
  refusal,
  region,
  startApiServer,
  wireAnswer,
} from '../support/api-server.ts';
import { fetchSigned } from '../support/signed-request.ts';

const dayMs = 24 * 60 * 60_000;
const uuid = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const Intune = { AzureApplicationId: '22222222-2222-2222-2222-222222222222', Domain: 'example.onmicrosoft.com' };

describe('CreateConnector', () => {
  let server: ApiServer;
  let CertificateAuthorityArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    CertificateAuthorityArn = server.certificateAuthorityArn;
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function create(change: Partial<CreateConnectorRequest> = {}): Promise<string> {
    const { ConnectorArn = '' } = await server
      .client()
      .createConnector({ CertificateAuthorityArn, ...change })
      .promise();
    return ConnectorArn;
  }

  async function describeConnector(ConnectorArn: string) {
    const { Connector } = await server.client().getConnector({ ConnectorArn }).promise();
    assert.ok(Connector);
    return Connector;
  }

  async function listed(): Promise<number> {
    const { Connectors = [] } = await server.client().listConnectors({}).promise();
    return Connectors.length;
  }

  it('answers 202 with the ARN of a connector that is CREATING, and wakes the lifecycle', async () => {
    const { statusCode, text } = await wireAnswer(server.client().createConnector({ CertificateAuthorityArn }));
    assert.equal(statusCode, 202);
    const { ConnectorArn, ...rest } = JSON.parse(text) as { ConnectorArn: string };
    assert.match(ConnectorArn, new RegExp(`^arn:aws:pca-connector-scep:${region}:${accountId}:connector/${uuid}$`));
    assert.deepEqual(rest, {});
    assert.equal(server.wakeUps, 1);
    const { CreatedAt, UpdatedAt, ...connector } = await describeConnector(ConnectorArn);
    assert.deepEqual(connector, { Arn: ConnectorArn, CertificateAuthorityArn, Type: 'GENERAL_PURPOSE', Status: 'CREATING' });
    assert.ok(CreatedAt && Math.abs(CreatedAt.getTime() - Date.now()) < 10_000);
    assert.deepEqual(UpdatedAt, CreatedAt);
  });

  it('makes an INTUNE connector, whose OpenID configuration Entra can be told at once', async () => {
    const arn = await create({ MobileDeviceManagement: { Intune } });
    const connector = await describeConnector(arn);
    assert.equal(connector.Type, 'INTUNE');
    assert.deepEqual(connector.MobileDeviceManagement, { Intune });
    const connectorId = arn.split('/')[1];
    assert.deepEqual(connector.OpenIdConfiguration, {
      Issuer: `${publicUrl}/${accountId}-${connectorId}/oidc`,
      Subject: arn,
      Audience: 'api://AzureADTokenExchange',
    });
  });

  it('puts the tags on the connector', async () => {
    const ResourceArn = await create({ Tags: { Name: 'phones', empty: '' } });
    assert.deepEqual((await server.client().listTagsForResource({ ResourceArn }).promise()).Tags, { Name: 'phones', empty: '' });
  });

  it('takes a VPC endpoint, which it never returns', async () => {
    const url = `${server.url}/connectors`;
    const body = JSON.stringify({ CertificateAuthorityArn, VpcEndpointId: 'vpce-0123456789abcdef0' });
    const response = await fetchSigned({ method: 'POST', url, body }, { credentials: server.credentials, region });
    assert.equal(response.status, 202);
    const { ConnectorArn } = (await response.json()) as { ConnectorArn: string };
    const { text } = await wireAnswer(server.client().getConnector({ ConnectorArn }));
    assert.doesNotMatch(text, /vpce/i);
  });

  describe('with a client token', () => {
    it('makes one connector of many concurrent requests', async () => {
      const arns = await Promise.all(Array.from({ length: 50 }, () => create({ ClientToken: 'token', Tags: { a: 'b', c: 'd' } })));
      assert.equal(new Set(arns).size, 1);
      assert.equal(await create({ Tags: { c: 'd', a: 'b' }, ClientToken: 'token' }), arns[0]);
      assert.equal(await listed(), 1);
    });

    it('makes another one after five minutes', async () => {
      const first = await create({ ClientToken: 'token' });
      server.advance(5 * 60_000 - 5_000);
      assert.equal(await create({ ClientToken: 'token' }), first);
      server.advance(6_000);
      assert.notEqual(await create({ ClientToken: 'token' }), first);
    });

    it('refuses it with other parameters', async () => {
      const first = await create({ ClientToken: 'token' });
      const request = server.client().createConnector({ CertificateAuthorityArn, ClientToken: 'token', Tags: { a: 'b' } });
      const { Message, ...rest } = await refusal(request);
      assert.deepEqual(rest, { code: 'ConflictException', statusCode: 409, ResourceType: 'Connector', ResourceId: first });
      assert.match(Message, /other parameters/);
      assert.equal(await listed(), 1);
    });

    it('keeps one account from seeing the token of another', async () => {
      const first = await create({ ClientToken: 'token' });
      const otherAuthority = await server.addCertificateAuthority({ account_id: otherAccountId });
      const other = server.otherAccountsClient().createConnector({ CertificateAuthorityArn: otherAuthority, ClientToken: 'token' });
      assert.notEqual((await other.promise()).ConnectorArn, first);
    });
  });

  describe('refuses a certificate authority', () => {
    it('that does not exist, or belongs to another account or Region, in the same words', async () => {
      const unknown = [
        CertificateAuthorityArn.replace(/.{12}$/, '000000000000'),
        await server.addCertificateAuthority({ account_id: otherAccountId }),
        await server.addCertificateAuthority({ region: 'us-west-2' }),
        CertificateAuthorityArn.replace('arn:aws:', 'arn:aws-cn:'),
      ];
      for (const arn of unknown) {
        const { Message, ...rest } = await refusal(server.client().createConnector({ CertificateAuthorityArn: arn }));
        const expected = { code: 'ResourceNotFoundException', statusCode: 404, ResourceType: 'CertificateAuthority', ResourceId: arn };
        assert.deepEqual(rest, expected);
        assert.equal(Message, `CertificateAuthority ${arn} does not exist.`);
      }
    });

    it('for its status, usage mode or remaining validity', async () => {
      const now = Date.now();
      const cases = [
        { change: { status: 'DISABLED' }, Reason: 'INVALID_STATE' },
        { change: { status: 'PENDING_CERTIFICATE', not_before: null, not_after: null }, Reason: 'INVALID_STATE' },
        { change: { usage_mode: 'SHORT_LIVED_CERTIFICATE' }, Reason: 'INVALID_CA_USAGE_MODE' },
        { change: { not_after: now + 365 * dayMs - 1 }, Reason: 'CA_CERT_VALIDITY_TOO_SHORT' },
      ] as const;
      for (const { change, Reason } of cases) {
        const arn = await server.addCertificateAuthority(change);
        const { Message, ...rest } = await refusal(server.client().createConnector({ CertificateAuthorityArn: arn }));
        assert.deepEqual(rest, { code: 'ValidationException', statusCode: 400, Reason });
        assert.notEqual(Message, '');
      }
      assert.equal(await listed(), 0);
      assert.equal(server.wakeUps, 0);
    });

    it('but not one with a little more than a year left', async () => {
      CertificateAuthorityArn = await server.addCertificateAuthority({ not_after: Date.now() + 365 * dayMs + 60_000 });
      await create();
    });
  });

  it('refuses the 21st connector of an account and leaves no trace of it', async () => {
    for (let count = 0; count < 20; count += 1) await create();
    const { Message, ...rest } = await refusal(
      server.client().createConnector({ CertificateAuthorityArn, ClientToken: 'last', Tags: { a: 'b' } }),
    );
    assert.deepEqual(rest, {
      code: 'ServiceQuotaExceededException',
      statusCode: 402,
      ResourceType: 'Connector',
      ServiceCode: 'pca-connector-scep',
      QuotaCode: 'L-CB21FAEA',
    });
    assert.match(Message, /20 connectors/);
    assert.equal(await listed(), 20);
    assert.deepEqual(await server.database.query.selectFrom('client_tokens').selectAll().where('client_token', '=', 'last').execute(), []);
    const otherAuthority = await server.addCertificateAuthority({ account_id: otherAccountId });
    await server.otherAccountsClient().createConnector({ CertificateAuthorityArn: otherAuthority }).promise();
  });

  it('names every constraint that the input breaks', async () => {
    const request = server.client().createConnector({
      CertificateAuthorityArn: 'arn',
      MobileDeviceManagement: { Intune: { AzureApplicationId: 'short', Domain: 'a b' } },
      ClientToken: 'with space',
    });
    const { Message, Reason } = await refusal(request);
    assert.equal(Reason, 'OTHER');
    assert.match(Message, /^6 validation errors detected: /);
    for (const path of [
      'certificateAuthorityArn',
      'mobileDeviceManagement.intune.azureApplicationId',
      'mobileDeviceManagement.intune.domain',
      'clientToken',
    ]) {
      assert.ok(Message.includes(`Value at '${path}' failed to satisfy constraint: Member must `), path);
    }
  });

  it('refuses tags beyond their limits', async () => {
    const many = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`key${index}`, '']));
    for (const Tags of [
      many,
      { 'aws:name': 'a' },
      { 'AWS:name': 'a' },
      { '': 'a' },
      { ['k'.repeat(129)]: 'a' },
      { a: 'v'.repeat(257) },
      { 'a\n': 'b' },
    ]) {
      const { code } = await refusal(server.client().createConnector({ CertificateAuthorityArn, Tags }));
      assert.equal(code, 'ValidationException');
    }
    assert.equal(await listed(), 0);
  });
});
