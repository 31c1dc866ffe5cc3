/** DeleteConnector, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, refusal, startApiServer, wireAnswer } from '../support/api-server.ts';

describe('DeleteConnector', () => {
  let server: ApiServer;
  let ConnectorArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    ConnectorArn = await server.createActiveConnector();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function status(): Promise<string | undefined> {
    return (await server.client().getConnector({ ConnectorArn }).promise()).Connector?.Status;
  }

  it('answers 202 without a body, leaves the connector DELETING and wakes the lifecycle', async () => {
    const woken = server.wakeUps;
    const { statusCode, text } = await wireAnswer(server.client().deleteConnector({ ConnectorArn }));
    assert.deepEqual({ statusCode, text }, { statusCode: 202, text: '' });
    assert.equal(await status(), 'DELETING');
    assert.equal(server.wakeUps, woken + 1);
  });

  it('may be repeated while the connector is DELETING, and not once it is gone', async () => {
    await server.client().deleteConnector({ ConnectorArn }).promise();
    const [first] = await server.database.query.selectFrom('connectors').select('updated_at').execute();
    server.advance(1000);
    await server.client().deleteConnector({ ConnectorArn }).promise();
    assert.deepEqual(await server.database.query.selectFrom('connectors').select('updated_at').execute(), [first]);
    await server.finishDeletion(ConnectorArn);
    const { Message: _message, ...rest } = await refusal(server.client().deleteConnector({ ConnectorArn }));
    assert.deepEqual(rest, { code: 'ResourceNotFoundException', statusCode: 404, ResourceType: 'Connector', ResourceId: ConnectorArn });
  });

  it('deletes a connector that FAILED', async () => {
    await server.setStatus(ConnectorArn, 'FAILED');
    await server.client().deleteConnector({ ConnectorArn }).promise();
    assert.equal(await status(), 'DELETING');
  });

  it('conflicts with a creation under way', async () => {
    await server.setStatus(ConnectorArn, 'CREATING');
    const { Message, ...rest } = await refusal(server.client().deleteConnector({ ConnectorArn }));
    assert.deepEqual(rest, { code: 'ConflictException', statusCode: 409, ResourceType: 'Connector', ResourceId: ConnectorArn });
    assert.match(Message, /being created/);
    assert.equal(await status(), 'CREATING');
  });

  it("is denied on another account's connector", async () => {
    assert.equal((await refusal(server.otherAccountsClient().deleteConnector({ ConnectorArn }))).code, 'AccessDeniedException');
    assert.equal(await status(), 'ACTIVE');
  });
});
