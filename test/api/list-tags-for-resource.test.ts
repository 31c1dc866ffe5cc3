/** ListTagsForResource, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, refusal, startApiServer, wireAnswer } from '../support/api-server.ts';

describe('ListTagsForResource', () => {
  let server: ApiServer;
  let ResourceArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    ResourceArn = await server.createActiveConnector();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('answers 200 with an empty map for a resource without tags', async () => {
    const { statusCode, text } = await wireAnswer(server.client().listTagsForResource({ ResourceArn }));
    assert.deepEqual({ statusCode, text }, { statusCode: 200, text: '{"Tags":{}}' });
  });

  it('lists every tag of that resource only', async () => {
    const Tags = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`key${index}`, `value${index}`]));
    const other = await server.createActiveConnector();
    await server.client().tagResource({ ResourceArn, Tags }).promise();
    await server
      .client()
      .tagResource({ ResourceArn: other, Tags: { other: '' } })
      .promise();
    assert.deepEqual((await server.client().listTagsForResource({ ResourceArn }).promise()).Tags, Tags);
  });

  it("does not know a resource that does not exist, and is denied on another account's", async () => {
    const unknown = ResourceArn.replace(/.{12}$/, '000000000000');
    const { Message: _message, ...rest } = await refusal(server.client().listTagsForResource({ ResourceArn: unknown }));
    assert.deepEqual(rest, { code: 'ResourceNotFoundException', statusCode: 404, ResourceType: 'Connector', ResourceId: unknown });
    assert.equal((await refusal(server.otherAccountsClient().listTagsForResource({ ResourceArn }))).code, 'AccessDeniedException');
  });
});
