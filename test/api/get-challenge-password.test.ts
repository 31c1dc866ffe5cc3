/** GetChallengePassword, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, refusal, startApiServer, wireAnswer } from '../support/api-server.ts';

describe('GetChallengePassword', () => {
  let server: ApiServer;
  let challenges: { Arn: string; Password: string }[];
  beforeEach(async () => {
    server = await startApiServer();
    const ConnectorArn = await server.createActiveConnector();
    const create = async () => {
      const { Challenge } = await server.client().createChallenge({ ConnectorArn }).promise();
      return { Arn: Challenge?.Arn ?? '', Password: Challenge?.Password ?? '' };
    };
    challenges = [await create(), await create()];
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('gives the password of that challenge and nothing else, as often as asked', async () => {
    for (const { Arn: ChallengeArn, Password } of [...challenges, ...challenges]) {
      const { statusCode, text } = await wireAnswer(server.client().getChallengePassword({ ChallengeArn }));
      assert.equal(statusCode, 200);
      assert.deepEqual(JSON.parse(text), { Password });
    }
  });

  it('does not give the password of one challenge for another: the sealed value is bound to its row', async () => {
    const [first, second] = challenges;
    assert.ok(first && second);
    const { query } = server.database;
    const { sealed_password } = await query
      .selectFrom('challenges')
      .select('sealed_password')
      .where('challenge_id', '=', second.Arn.split('/').at(-1) ?? '')
      .executeTakeFirstOrThrow();
    await query.updateTable('challenges').set({ sealed_password }).execute();
    const { Message, ...rest } = await refusal(server.client().getChallengePassword({ ChallengeArn: first.Arn }));
    assert.deepEqual({ Message, ...rest }, { code: 'InternalServerException', statusCode: 500, Message: 'An internal error occurred.' });
    assert.equal(server.reports.length, 1);
  });

  it('does not know a challenge that was deleted', async () => {
    const ChallengeArn = challenges[0]?.Arn ?? '';
    await server.client().deleteChallenge({ ChallengeArn }).promise();
    const { Message: _message, ...rest } = await refusal(server.client().getChallengePassword({ ChallengeArn }));
    assert.deepEqual(rest, { code: 'ResourceNotFoundException', statusCode: 404, ResourceType: 'Challenge', ResourceId: ChallengeArn });
  });

  it("is denied on another account's challenge", async () => {
    const request = server.otherAccountsClient().getChallengePassword({ ChallengeArn: challenges[0]?.Arn ?? '' });
    assert.equal((await refusal(request)).code, 'AccessDeniedException');
  });
});
