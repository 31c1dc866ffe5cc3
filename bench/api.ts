/** What a GetConnector takes under 32 signed callers at once, and what share of the server's CPU the signature and the authorisation are. */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { parseConfig } from '../src/config.ts';
import { authorize } from '../src/fronts/api/authorization.ts';
import type { ApiRequest } from '../src/fronts/api/request.ts';
import { scepOperations } from '../src/fronts/api/scep-operations.ts';
import { verifySigV4 } from '../src/fronts/api/sigv4.ts';
import { openInstallation } from '../src/installation.ts';
import { Users } from '../src/service/users.ts';
import { createApiClient, sharedCredentials } from '../test/support/api-client.ts';
import { makeTemporaryDirectory, type ServerProcess, startServer } from '../test/support/command.ts';
import { signHeaders } from '../test/support/signed-request.ts';
import type { Measurement } from './run.ts';

const callers = 32;
const warmUpRequests = 4000;
const requests = 20_000;
const authorizationRounds = 5000;
/** Signatures are good for a quarter of an hour, so one is made for the whole run: the server checks it each time. */
const region = 'us-east-1';
const p99OverP50Max = 3;
const authShareMax = 0.2;

interface SignedGet {
  url: URL;
  headers: Record<string, string>;
}

export async function measureApi(): Promise<Measurement> {
  await using directory = await makeTemporaryDirectory();
  const dataDir = join(directory.path, 'data');
  await using server = await startServer(dataDir, { settings: { SCEP_RATE_GET_CONNECTOR: 'off' } });
  const get = await signGetConnector(server, join(dataDir, 'credentials'));
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  await callAtOnce(agent, get, warmUpRequests);
  const cpuBefore = cpuMicros(server.pid);
  const startedAt = performance.now();
  const times = await callAtOnce(agent, get, requests);
  const seconds = (performance.now() - startedAt) / 1000;
  const cpuPerRequest = (cpuMicros(server.pid) - cpuBefore) / requests;
  agent.destroy();
  const authPerRequest = await measureAuthorization(dataDir, get);

  const sorted = times.toSorted((a, b) => a - b);
  const [p50Ms, p99Ms] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
  const figures = {
    requestsPerSecond: Math.round(requests / seconds),
    p50Ms,
    p99Ms,
    p99OverP50: p99Ms / p50Ms,
    cpuMicrosPerRequest: cpuPerRequest,
    authMicrosPerRequest: authPerRequest,
    authShare: authPerRequest / cpuPerRequest,
  };
  return {
    title: `GetConnector, ${requests} requests by ${callers} callers at once`,
    rows: [
      ['requests per second', String(figures.requestsPerSecond)],
      ['p50', `${p50Ms.toFixed(2)} ms`],
      ['p99', `${p99Ms.toFixed(2)} ms`],
      ['p99 over p50', `${figures.p99OverP50.toFixed(2)} (at most ${p99OverP50Max})`],
      ['server CPU per request', `${cpuPerRequest.toFixed(0)} µs`],
      [
        'of it signature and authorisation',
        `${authPerRequest.toFixed(0)} µs, a share of ${figures.authShare.toFixed(3)} (at most ${authShareMax})`,
      ],
    ],
    figures,
  };
}

async function signGetConnector(server: ServerProcess, credentialsFile: string): Promise<SignedGet> {
  const { Connectors: [connector] = [] } = await createApiClient(server.apiUrl, credentialsFile).listConnectors().promise();
  const url = new URL(`/connectors/${encodeURIComponent(connector?.Arn ?? '')}`, server.apiUrl);
  const { accessKeyId, secretAccessKey } = sharedCredentials(credentialsFile);
  const headers = await signHeaders({ method: 'GET', url: url.href }, { credentials: { accessKeyId, secretAccessKey }, region });
  return { url, headers };
}

/** The milliseconds that each request took. Each caller sends its next once it has the answer to its last. */
async function callAtOnce(agent: Agent, get: SignedGet, count: number): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  const call = async () => {
    while (left > 0) {
      left -= 1;
      const startedAt = performance.now();
      const status = await send(agent, get);
      if (status !== 200) throw new Error(`GetConnector was answered with ${status}`);
      times.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  return times;
}

function send(agent: Agent, { url, headers }: SignedGet): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, headers }, response => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

/** User and system time of a process so far (proc(5), stat: fields 14 and 15, in hundredths of a second). */
function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** The CPU that verifying the same signature and deciding on the same request take, over the same store. */
async function measureAuthorization(dataDir: string, get: SignedGet): Promise<number> {
  const { config, secrets } = parseConfig({ SCEP_DATA_DIR: dataDir });
  await using installation = await openInstallation(config, secrets);
  const silent = { info: () => {}, warn: () => {}, error: () => {} };
  const users = new Users({ ...installation, log: silent });
  const access = { policiesOf: users.policiesOf.bind(users), resourcePolicyOf: async () => undefined, tagsOf: async () => ({}) };
  const operation = scepOperations.find(({ name }) => name === 'GetConnector');
  if (operation === undefined) throw new Error('there is no GetConnector');
  const { accessKeys } = installation;
  const incoming: ApiRequest = {
    method: 'GET',
    rawUrl: get.url.pathname,
    headers: Object.entries(get.headers),
    body: new Uint8Array(0),
    source: '127.0.0.1',
  };
  const input = { ConnectorArn: decodeURIComponent(get.url.pathname.slice('/connectors/'.length)) };
  const decide = async () => {
    const now = Date.now();
    const secretLookup = (id: string, token: string | undefined) => accessKeys.findSecret(id, token);
    const principal = await verifySigV4(incoming, { secretLookup, now, region, service: 'pca-connector-scep' });
    const home = { accountId: principal.accountId, region };
    await authorize(access, { operation, principal, input, request: incoming, home, now });
  };
  for (let round = 0; round < authorizationRounds; round++) await decide();
  const before = process.cpuUsage();
  for (let round = 0; round < authorizationRounds; round++) await decide();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / authorizationRounds;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}
