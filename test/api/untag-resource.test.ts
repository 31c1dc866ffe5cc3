/** UntagResource, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, refusal, region, startApiServer, wireAnswer } from '../support/api-server.ts';
import { fetchSigned } from '../support/signed-request.ts';

describe('UntagResource', () => {
  let server: ApiServer;
  let ResourceArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    ResourceArn = await server.createActiveConnector();
    await server
      .client()
      .tagResource({ ResourceArn, Tags: { a: '1', 'b c/ü': '2', d: '3' } })
      .promise();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function tags(): Promise<Record<string, string> | undefined> {
    return (await server.client().listTagsForResource({ ResourceArn }).promise()).Tags;
  }

  it('answers 204 without a body and removes every tag named', async () => {
    const { statusCode, text } = await wireAnswer(server.client().untagResource({ ResourceArn, TagKeys: ['a', 'b c/ü'] }));
    assert.deepEqual({ statusCode, text }, { statusCode: 204, text: '' });
    assert.deepEqual(await tags(), { d: '3' });
  });

  it('may be repeated: a key that is not there is no error', async () => {
    for (let count = 0; count < 2; count += 1)
      await server
        .client()
        .untagResource({ ResourceArn, TagKeys: ['a', 'none'] })
        .promise();
    assert.deepEqual(await tags(), { 'b c/ü': '2', d: '3' });
  });

  it('requires keys', async () => {
    const url = `${server.url}/tags/${encodeURIComponent(ResourceArn)}?TagKeys=a`;
    const response = await fetchSigned({ method: 'DELETE', url }, { credentials: server.credentials, region });
    assert.equal(response.status, 400);
    assert.match(await response.text(), /Value at 'tagKeys' failed to satisfy constraint: Member must not be null/);
  });

  it('refuses reserved keys', async () => {
    assert.match((await refusal(server.client().untagResource({ ResourceArn, TagKeys: ['aws:a'] }))).Message, /reserved/);
  });

  it("does not know a resource that does not exist, and is denied on another account's", async () => {
    const unknown = ResourceArn.replace(/.{12}$/, '000000000000');
    assert.equal(
      (await refusal(server.client().untagResource({ ResourceArn: unknown, TagKeys: ['a'] }))).code,
      'ResourceNotFoundException',
    );
    assert.equal(
      (await refusal(server.otherAccountsClient().untagResource({ ResourceArn, TagKeys: ['a'] }))).code,
      'AccessDeniedException',
    );
    assert.equal((await tags())?.['a'], '1');
  });
});
