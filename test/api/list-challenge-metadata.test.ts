/** ListChallengeMetadata, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, refusal, region, startApiServer, wireAnswer } from '../support/api-server.ts';
import { fetchSigned } from '../support/signed-request.ts';

describe('ListChallengeMetadata', () => {
  let server: ApiServer;
  let ConnectorArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    ConnectorArn = await server.createActiveConnector();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function createChallenges(count: number): Promise<string[]> {
    const arns: string[] = [];
    for (let index = 0; index < count; index += 1) {
      const { Challenge } = await server.client().createChallenge({ ConnectorArn }).promise();
      arns.push(Challenge?.Arn ?? '');
    }
    return arns.toSorted();
  }

  it('answers 200 with an empty list for a connector without challenges', async () => {
    const { statusCode, text } = await wireAnswer(server.client().listChallengeMetadata({ ConnectorArn }));
    assert.deepEqual({ statusCode, text }, { statusCode: 200, text: '{"Challenges":[]}' });
  });

  it('gives pages that together hold every challenge of that connector once, and no password', async () => {
    const arns = await createChallenges(5);
    await server
      .client()
      .createChallenge({ ConnectorArn: await server.createActiveConnector() })
      .promise();
    const listed: (string | undefined)[] = [];
    let NextToken: string | undefined;
    for (let page = 0; page < 3; page += 1) {
      const request = { ConnectorArn, MaxResults: 2, ...(NextToken !== undefined && { NextToken }) };
      const { text } = await wireAnswer(server.client().listChallengeMetadata(request));
      const answer = JSON.parse(text) as { Challenges: Record<string, unknown>[]; NextToken?: string };
      for (const challenge of answer.Challenges) {
        assert.deepEqual(Object.keys(challenge), ['Arn', 'ConnectorArn', 'CreatedAt', 'UpdatedAt']);
        listed.push(String(challenge['Arn']));
      }
      ({ NextToken } = answer);
    }
    assert.equal(NextToken, undefined);
    assert.deepEqual(listed, arns);
  });

  it('takes a NextToken only for the connector it was given for', async () => {
    await createChallenges(2);
    const { NextToken = '' } = await server.client().listChallengeMetadata({ ConnectorArn, MaxResults: 1 }).promise();
    const other = await server.createActiveConnector();
    for (const request of [
      server.client().listChallengeMetadata({ ConnectorArn: other, NextToken }),
      server.client().listConnectors({ NextToken }),
    ]) {
      assert.match((await refusal(request)).Message, /^NextToken is not one/);
    }
  });

  it('does not know a connector that does not exist', async () => {
    const unknown = ConnectorArn.replace(/.{12}$/, '000000000000');
    const { Message: _message, ...rest } = await refusal(server.client().listChallengeMetadata({ ConnectorArn: unknown }));
    assert.deepEqual(rest, { code: 'ResourceNotFoundException', statusCode: 404, ResourceType: 'Connector', ResourceId: unknown });
  });

  it("is denied on another account's connector", async () => {
    assert.equal((await refusal(server.otherAccountsClient().listChallengeMetadata({ ConnectorArn }))).code, 'AccessDeniedException');
  });

  it('requires the connector', async () => {
    const url = `${server.url}/challengeMetadata`;
    const response = await fetchSigned({ method: 'GET', url }, { credentials: server.credentials, region });
    assert.equal(response.status, 400);
    assert.deepEqual(await response.json(), {
      Message: "1 validation error detected: Value at 'connectorArn' failed to satisfy constraint: Member must not be null",
      Reason: 'OTHER',
    });
  });
});
