/** One client token, two hundred requests at once, two servers over one store, a restart: one challenge and one answer. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { sharedCredentials } from '../support/api-client.ts';
import { makeTemporaryDirectory, type ServerProcess, startServer, type TemporaryDirectory } from '../support/command.ts';
import { fetchSigned } from '../support/signed-request.ts';

const requestsAtOnce = 200;
const region = 'us-east-1';

let directory: TemporaryDirectory;
let dataDir: string;
let servers: ServerProcess[];
before(async () => {
  directory = await makeTemporaryDirectory();
  dataDir = join(directory.path, 'data');
  // The second has a connection of its own to the same store.
  servers = [await startServer(dataDir), await startServer(dataDir)];
});
after(async () => {
  for (const server of servers) await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

async function call(server: ServerProcess, method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const credentials = sharedCredentials(join(dataDir, 'credentials'));
  const request = { method, url: server.apiUrl + path, ...(body && { body: JSON.stringify(body) }) };
  const response = await fetchSigned(request, { credentials, region });
  return { status: response.status, ...((await response.json()) as object) };
}

async function firstConnector(): Promise<string> {
  const [server] = servers;
  assert.ok(server);
  const { Connectors } = (await call(server, 'GET', '/connectors')) as { Connectors: { Arn: string }[] };
  return Connectors[0]?.Arn ?? '';
}

async function countChallenges(server: ServerProcess, ConnectorArn: string): Promise<number> {
  const { Challenges } = (await call(server, 'GET', `/challengeMetadata?ConnectorArn=${encodeURIComponent(ConnectorArn)}`)) as {
    Challenges: object[];
  };
  return Challenges.length;
}

describe('a client token', () => {
  it('makes one challenge of two hundred concurrent CreateChallenge calls, by one server and by two, and gives all of them its password', async () => {
    const ConnectorArn = await firstConnector();
    for (const [ClientToken, asked] of [
      ['one-server', servers.slice(0, 1)],
      ['two-servers', servers],
    ] as const) {
      const before = await countChallenges(asked[0] as ServerProcess, ConnectorArn);
      const answers = await Promise.all(
        Array.from({ length: requestsAtOnce }, (_, index) =>
          call(asked[index % asked.length] as ServerProcess, 'POST', '/challenges', { ConnectorArn, ClientToken }),
        ),
      );
      assert.equal(answers.length, requestsAtOnce);
      for (const answer of answers) assert.deepEqual(answer, answers[0]);
      assert.equal(answers[0]?.['status'], 202);
      assert.equal((await countChallenges(asked[0] as ServerProcess, ConnectorArn)) - before, 1);
    }
  });

  it('gives the same answer after a restart', async () => {
    const ConnectorArn = await firstConnector();
    const request = { ConnectorArn, ClientToken: 'restart' };
    const first = await call(servers[0] as ServerProcess, 'POST', '/challenges', request);
    assert.equal(first['status'], 202);
    for (const server of servers) await server.kill();
    servers = [await startServer(dataDir)];
    assert.deepEqual(await call(servers[0] as ServerProcess, 'POST', '/challenges', request), first);
  });
});
