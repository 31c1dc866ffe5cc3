/** DeleteChallenge, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, refusal, startApiServer, wireAnswer } from '../support/api-server.ts';

describe('DeleteChallenge', () => {
  let server: ApiServer;
  let ConnectorArn: string;
  let ChallengeArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    ConnectorArn = await server.createActiveConnector();
    const { Challenge } = await server
      .client()
      .createChallenge({ ConnectorArn, Tags: { a: 'b' } })
      .promise();
    ChallengeArn = Challenge?.Arn ?? '';
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('answers 202 without a body; the challenge and its tags are gone at once', async () => {
    const { statusCode, text } = await wireAnswer(server.client().deleteChallenge({ ChallengeArn }));
    assert.deepEqual({ statusCode, text }, { statusCode: 202, text: '' });
    for (const table of ['challenges', 'tags'] as const) {
      assert.deepEqual(await server.database.query.selectFrom(table).selectAll().execute(), []);
    }
    const { Message: _message, ...rest } = await refusal(server.client().deleteChallenge({ ChallengeArn }));
    assert.deepEqual(rest, { code: 'ResourceNotFoundException', statusCode: 404, ResourceType: 'Challenge', ResourceId: ChallengeArn });
  });

  it('deletes that challenge only, and makes room for another', async () => {
    const client = server.client();
    for (let count = 0; count < 4; count += 1) await client.createChallenge({ ConnectorArn }).promise();
    await client.deleteChallenge({ ChallengeArn }).promise();
    const { Challenges = [] } = await client.listChallengeMetadata({ ConnectorArn }).promise();
    assert.equal(Challenges.length, 4);
    await client.createChallenge({ ConnectorArn }).promise();
  });

  it('works on a connector that is being deleted', async () => {
    await server.client().deleteConnector({ ConnectorArn }).promise();
    await server.client().deleteChallenge({ ChallengeArn }).promise();
  });

  it("is denied on another account's challenge", async () => {
    assert.equal((await refusal(server.otherAccountsClient().deleteChallenge({ ChallengeArn }))).code, 'AccessDeniedException');
    await server.client().getChallengeMetadata({ ChallengeArn }).promise();
  });
});
