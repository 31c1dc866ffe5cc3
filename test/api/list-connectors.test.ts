/** ListConnectors, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type ApiServer, otherAccountId, refusal, startApiServer, wireAnswer } from '../support/api-server.ts';

describe('ListConnectors', () => {
  let server: ApiServer;
  beforeEach(async () => {
    server = await startApiServer();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function pages(MaxResults: number): Promise<string[][]> {
    const arns: string[][] = [];
    let NextToken: string | undefined;
    do {
      const page = await server
        .client()
        .listConnectors({ MaxResults, ...(NextToken !== undefined && { NextToken }) })
        .promise();
      arns.push((page.Connectors ?? []).map(({ Arn = '' }) => Arn));
      ({ NextToken } = page);
    } while (NextToken !== undefined);
    return arns;
  }

  it('answers 200 with an empty list to an account without connectors', async () => {
    const { statusCode, text } = await wireAnswer(server.client().listConnectors({}));
    assert.equal(statusCode, 200);
    assert.equal(text, '{"Connectors":[]}');
  });

  it('lists each connector with the same members as GetConnector', async () => {
    const ConnectorArn = await server.createActiveConnector();
    const { Connectors, NextToken } = await server.client().listConnectors({}).promise();
    assert.deepEqual(Connectors, [(await server.client().getConnector({ ConnectorArn }).promise()).Connector]);
    assert.equal(NextToken, undefined);
  });

  it('gives pages that together hold every connector once', async () => {
    const arns = await Promise.all(Array.from({ length: 7 }, () => server.createActiveConnector()));
    for (const [size, expected] of [
      [1, 7],
      [3, 3],
      [7, 1],
      [1000, 1],
    ] as const) {
      const listed = await pages(size);
      assert.equal(listed.length, expected);
      assert.deepEqual(listed.flat().sort(), arns.toSorted());
    }
  });

  it('continues where it was although connectors come and go between pages', async () => {
    const before = (await Promise.all(Array.from({ length: 4 }, () => server.createActiveConnector()))).toSorted();
    const first = await server.client().listConnectors({ MaxResults: 2 }).promise();
    await server.setStatus(before[1] ?? '', 'DELETING');
    await server.finishDeletion(before[1] ?? '');
    const { NextToken = '' } = first;
    const second = await server.client().listConnectors({ MaxResults: 2, NextToken }).promise();
    assert.deepEqual(
      [...(first.Connectors ?? []), ...(second.Connectors ?? [])].map(({ Arn }) => Arn),
      before,
    );
  });

  it("shows nothing of other accounts and Regions, and takes no other account's NextToken", async () => {
    await Promise.all([server.createActiveConnector(), server.createActiveConnector()]);
    const { NextToken = '' } = await server.client().listConnectors({ MaxResults: 1 }).promise();
    const other = server.otherAccountsClient();
    assert.deepEqual((await other.listConnectors({}).promise()).Connectors, []);
    assert.equal((await refusal(other.listConnectors({ NextToken }))).code, 'ValidationException');
    await server.database.query.updateTable('connectors').set({ region: 'us-west-2', account_id: otherAccountId }).execute();
    assert.deepEqual((await server.client().listConnectors({}).promise()).Connectors, []);
    assert.deepEqual((await other.listConnectors({}).promise()).Connectors, []);
  });

  it('refuses a NextToken that it did not give', async () => {
    for (const NextToken of ['AAAA', 'A'.repeat(96)]) {
      const { Message, ...rest } = await refusal(server.client().listConnectors({ NextToken }));
      assert.deepEqual(rest, { code: 'ValidationException', statusCode: 400, Reason: 'OTHER' });
      assert.match(Message, /^NextToken is not one/);
    }
    const { Message } = await refusal(server.client().listConnectors({ NextToken: '***' }));
    assert.match(Message, /Value at 'nextToken' failed to satisfy constraint: Member must satisfy regular expression pattern/);
  });

  it('refuses MaxResults outside 1 to 1000', async () => {
    for (const [MaxResults, constraint] of [
      [0, 'greater than or equal to 1'],
      [1001, 'less than or equal to 1000'],
    ] as const) {
      const { Message } = await refusal(server.client().listConnectors({ MaxResults }));
      const expected = `1 validation error detected: Value at 'maxResults' failed to satisfy constraint: Member must have value ${constraint}`;
      assert.equal(Message, expected);
    }
  });
});
