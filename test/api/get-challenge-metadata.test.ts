/** GetChallengeMetadata, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, refusal, startApiServer, wireAnswer } from '../support/api-server.ts';

describe('GetChallengeMetadata', () => {
  let server: ApiServer;
  let ConnectorArn: string;
  let ChallengeArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    ConnectorArn = await server.createActiveConnector();
    const { Challenge } = await server.client().createChallenge({ ConnectorArn }).promise();
    ChallengeArn = Challenge?.Arn ?? '';
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('shows everything of a challenge but its password', async () => {
    const { statusCode, text } = await wireAnswer(server.client().getChallengeMetadata({ ChallengeArn }));
    assert.equal(statusCode, 200);
    const { ChallengeMetadata } = JSON.parse(text) as { ChallengeMetadata: Record<string, unknown> };
    const { CreatedAt, UpdatedAt, ...rest } = ChallengeMetadata;
    assert.deepEqual(rest, { Arn: ChallengeArn, ConnectorArn });
    assert.equal(UpdatedAt, CreatedAt);
    assert.ok(Math.abs(Number(CreatedAt) * 1000 - Date.now()) < 10_000);
  });

  it('does not know a challenge that does not exist, or under another connector', async () => {
    const other = await server.createActiveConnector();
    for (const arn of [ChallengeArn.replace(/.{12}$/, '000000000000'), ChallengeArn.replace(ConnectorArn, other)]) {
      const { Message: _message, ...rest } = await refusal(server.client().getChallengeMetadata({ ChallengeArn: arn }));
      assert.deepEqual(rest, { code: 'ResourceNotFoundException', statusCode: 404, ResourceType: 'Challenge', ResourceId: arn });
    }
  });

  it("is denied on another account's challenge", async () => {
    assert.equal((await refusal(server.otherAccountsClient().getChallengeMetadata({ ChallengeArn }))).code, 'AccessDeniedException');
  });

  it('refuses what is not the ARN of a challenge', async () => {
    const { code, Message } = await refusal(server.client().getChallengeMetadata({ ChallengeArn: ConnectorArn }));
    assert.equal(code, 'ValidationException');
    assert.match(Message, /Value at 'challengeArn' failed to satisfy constraint: Member must satisfy regular expression pattern/);
  });
});
