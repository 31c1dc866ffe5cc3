/** TagResource, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, refusal, startApiServer, wireAnswer } from '../support/api-server.ts';

function numbered(from: number, count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`key${from + index}`, 'value']));
}

describe('TagResource', () => {
  let server: ApiServer;
  let ConnectorArn: string;
  beforeEach(async () => {
    server = await startApiServer();
    ConnectorArn = await server.createActiveConnector();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function tags(ResourceArn = ConnectorArn): Promise<Record<string, string>> {
    return (await server.client().listTagsForResource({ ResourceArn }).promise()).Tags ?? {};
  }

  it('answers 204 without a body and adds to what is there; a known key takes the new value', async () => {
    await server
      .client()
      .tagResource({ ResourceArn: ConnectorArn, Tags: { a: '1', b: '1' } })
      .promise();
    const { statusCode, text } = await wireAnswer(server.client().tagResource({ ResourceArn: ConnectorArn, Tags: { b: '2', c: '' } }));
    assert.deepEqual({ statusCode, text }, { statusCode: 204, text: '' });
    assert.deepEqual(await tags(), { a: '1', b: '2', c: '' });
  });

  it('tags a challenge, not its connector', async () => {
    const { Challenge } = await server.client().createChallenge({ ConnectorArn }).promise();
    const ResourceArn = Challenge?.Arn ?? '';
    await server
      .client()
      .tagResource({ ResourceArn, Tags: { a: '1' } })
      .promise();
    assert.deepEqual(await tags(ResourceArn), { a: '1' });
    assert.deepEqual(await tags(), {});
  });

  it('takes keys and values of every length and character that AWS allows', async () => {
    const Tags = { ['k'.repeat(128)]: 'v'.repeat(256), 'Größe 大きさ _.:/=+-@': 'é ñ 9', constructor: 'y' };
    await server.client().tagResource({ ResourceArn: ConnectorArn, Tags }).promise();
    assert.deepEqual(await tags(), Tags);
  });

  it('keeps a resource to 50 tags; replacing a value is not one more', async () => {
    const client = server.client();
    await client.tagResource({ ResourceArn: ConnectorArn, Tags: numbered(0, 50) }).promise();
    await client.tagResource({ ResourceArn: ConnectorArn, Tags: { key7: 'new' } }).promise();
    const { code, Message } = await refusal(client.tagResource({ ResourceArn: ConnectorArn, Tags: { more: '' } }));
    assert.equal(code, 'ValidationException');
    assert.match(Message, /at most 50 tags/);
    assert.deepEqual(await tags(), { ...numbered(0, 50), key7: 'new' });
  });

  it('refuses a tag that AWS does not allow, and then adds none of them', async () => {
    const wrong = [
      { 'aws:a': '' },
      { 'Aws:a': '' },
      { '': 'a' },
      { ['k'.repeat(129)]: '' },
      { a: 'v'.repeat(257) },
      { 'a*': '' },
      { a: '\u0000' },
    ];
    for (const tag of wrong) {
      const { code } = await refusal(server.client().tagResource({ ResourceArn: ConnectorArn, Tags: { good: 'a', ...tag } }));
      assert.equal(code, 'ValidationException');
    }
    assert.deepEqual(await tags(), {});
  });

  it('does not know a resource that does not exist', async () => {
    const arns = {
      Connector: ConnectorArn.replace(/.{12}$/, '000000000000'),
      Challenge: `${ConnectorArn}/challenge/00000000-0000-0000-0000-000000000000`,
    };
    for (const [ResourceType, ResourceArn] of Object.entries(arns)) {
      const { Message: _message, ...rest } = await refusal(server.client().tagResource({ ResourceArn, Tags: { a: 'b' } }));
      assert.deepEqual(rest, { code: 'ResourceNotFoundException', statusCode: 404, ResourceType, ResourceId: ResourceArn });
    }
  });

  it("is denied on another account's resource, and refuses what is no resource of this service", async () => {
    const request = server.otherAccountsClient().tagResource({ ResourceArn: ConnectorArn, Tags: { a: 'b' } });
    assert.equal((await refusal(request)).code, 'AccessDeniedException');
    for (const ResourceArn of ['x', server.certificateAuthorityArn]) {
      const { code, Message } = await refusal(server.client().tagResource({ ResourceArn, Tags: { a: 'b' } }));
      assert.equal(code, 'ValidationException');
      assert.match(Message, /ARN of a connector or of a challenge/);
    }
    assert.deepEqual(await tags(), {});
  });
});
