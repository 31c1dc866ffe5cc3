/** GetConnector, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { updateConnectorStatus } from '../../src/backends/store/connectors.ts';
import { type ApiServer, accountId, publicUrl, refusal, startApiServer, wireAnswer } from '../support/api-server.ts';

describe('GetConnector', () => {
  let server: ApiServer;
  let ConnectorArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    ConnectorArn = await server.createActiveConnector();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function connector() {
    return (await server.client().getConnector({ ConnectorArn }).promise()).Connector;
  }

  it('shows an ACTIVE connector with its secret endpoint, and no empty member', async () => {
    const { statusCode, text, headers } = await wireAnswer(server.client().getConnector({ ConnectorArn }));
    assert.equal(statusCode, 200);
    assert.equal(headers['content-type'], 'application/json');
    const { Connector } = JSON.parse(text) as { Connector: Record<string, unknown> };
    const { Endpoint, CreatedAt, UpdatedAt, ...rest } = Connector;
    assert.deepEqual(rest, {
      Arn: ConnectorArn,
      CertificateAuthorityArn: server.certificateAuthorityArn,
      Type: 'GENERAL_PURPOSE',
      Status: 'ACTIVE',
    });
    const address = `${publicUrl}/${accountId}-${ConnectorArn.split('/')[1]}`;
    assert.match(String(Endpoint), new RegExp(`^${address}/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`));
    assert.match(text, /"CreatedAt":\d{10}(\.\d{1,3})?,"UpdatedAt":\d{10}(\.\d{1,3})?\}/);
    assert.ok(Number(UpdatedAt) >= Number(CreatedAt));
  });

  it('shows why a connector FAILED, and no endpoint, as none answers', async () => {
    const connectorId = ConnectorArn.split('/')[1] ?? '';
    const statusReason = 'PRIVATECA_ACCESS_DENIED';
    await updateConnectorStatus(server.database.query, connectorId, ['ACTIVE'], 'FAILED', { statusReason, updatedAt: Date.now() });
    const { Status, StatusReason, Endpoint } = (await connector()) ?? {};
    assert.deepEqual({ Status, StatusReason, Endpoint }, { Status: 'FAILED', StatusReason: statusReason, Endpoint: undefined });
  });

  it('still shows a connector that is being deleted, until it is gone', async () => {
    await server.setStatus(ConnectorArn, 'DELETING');
    assert.equal((await connector())?.Status, 'DELETING');
    await server.finishDeletion(ConnectorArn);
    assert.equal((await refusal(server.client().getConnector({ ConnectorArn }))).code, 'ResourceNotFoundException');
  });

  it('does not know a connector that does not exist, nor one of another Region or partition', async () => {
    const unknown = [
      ConnectorArn.replace(/.{12}$/, '000000000000'),
      ConnectorArn.replace('eu-central-1', 'us-west-2'),
      ConnectorArn.replace('arn:aws:', 'arn:aws-us-gov:'),
    ];
    for (const arn of unknown) {
      const { Message: _message, ...rest } = await refusal(server.client().getConnector({ ConnectorArn: arn }));
      assert.deepEqual(rest, { code: 'ResourceNotFoundException', statusCode: 404, ResourceType: 'Connector', ResourceId: arn });
    }
  });

  it('is denied to another account, whether or not there is such a connector', async () => {
    for (const arn of [ConnectorArn, ConnectorArn.replace(/.{12}$/, '000000000000')]) {
      const { Message, ...rest } = await refusal(server.otherAccountsClient().getConnector({ ConnectorArn: arn }));
      assert.deepEqual(rest, { code: 'AccessDeniedException', statusCode: 403 });
      assert.match(
        Message,
        /^User: arn:aws:iam::444455556666:user\/administrator is not authorized to perform: pca-connector-scep:GetConnector /,
      );
    }
  });

  it('refuses what is not the ARN of a connector', async () => {
    for (const arn of ['arn:x', `${ConnectorArn}/challenge/x`, ConnectorArn.toUpperCase(), `${ConnectorArn}\n`, '../connectors']) {
      const { code, Message } = await refusal(server.client().getConnector({ ConnectorArn: arn }));
      assert.equal(code, 'ValidationException');
      assert.match(Message, /Value at 'connectorArn' failed to satisfy constraint: Member must satisfy regular expression pattern: \^arn/);
    }
  });
});
