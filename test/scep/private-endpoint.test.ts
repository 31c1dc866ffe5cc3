/** A connector with a VpcEndpointId answers at the private address that the setting gives that endpoint, and nowhere else. */
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { createApiClient, sharedCredentials } from '../support/api-client.ts';
import { exchange } from '../support/raw-scep-client.ts';
import { fetchSigned } from '../support/signed-request.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';
import { until } from '../support/waiting.ts';

const VpcEndpointId = 'vpce-0123456789abcdef0';
const host = 'scep.plant.example:9443';

let server: TemporaryServer;
let path: string;
before(async () => {
  server = await startTemporaryServer({ env: { SCEP_VPC_ENDPOINTS: `${VpcEndpointId}=https://${host}` } });
  const client = createApiClient(server.apiUrl, server.credentialsFile);
  const { Connectors: [first] = [] } = await client.listConnectors().promise();
  const body = JSON.stringify({ CertificateAuthorityArn: first?.CertificateAuthorityArn, VpcEndpointId });
  const credentials = sharedCredentials(server.credentialsFile);
  const request = { method: 'POST', url: `${server.apiUrl}/connectors`, body };
  const response = await fetchSigned(request, { credentials, region: 'us-east-1' });
  const { ConnectorArn } = (await response.json()) as { ConnectorArn: string };
  const endpoint = async () => (await client.getConnector({ ConnectorArn }).promise()).Connector?.Endpoint;
  await until(async () => (await endpoint()) !== undefined, 'the connector has an endpoint');
  const Endpoint = (await endpoint()) ?? '';
  assert.ok(Endpoint.startsWith(`https://${host}/000000000000-`), Endpoint);
  path = new URL(Endpoint).pathname;
});
after(() => server[Symbol.asyncDispose]());

function statusAt(Host: string): Promise<number | undefined> {
  const url = `${new URL(server.url).origin}${path}?operation=GetCACaps`;
  return new Promise((resolve, reject) => {
    get(url, { headers: { Host } }, response => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

describe('a connector with a private endpoint', () => {
  it('answers requests for its own host, however that is written', async () => {
    for (const Host of [host, host.toUpperCase()]) assert.equal(await statusAt(Host), 200);
  });

  it('is not there for any other, nor for none', async () => {
    for (const Host of [new URL(server.url).host, 'scep.plant.example', 'localhost', `${host}.example`])
      assert.equal(await statusAt(Host), 404, Host);
    const origin = new URL(server.url).origin;
    assert.match(await exchange(origin, `GET ${path}?operation=GetCACaps HTTP/1.0\r\n\r\n`), /^HTTP\/1\.\d 404 /);
  });

  it('goes by the host of a target in absolute form, which is the one that counts', async () => {
    const origin = new URL(server.url).origin;
    const ask = (target: string, Host: string) =>
      exchange(origin, `GET ${target}${path}?operation=GetCACaps HTTP/1.1\r\nHost: ${Host}\r\nConnection: close\r\n\r\n`);
    assert.match(await ask(`http://${host}`, 'localhost'), /^HTTP\/1\.1 200 /);
    assert.match(await ask('http://localhost', host), /^HTTP\/1\.1 404 /);
  });

  it('leaves public connectors where they were', async () => {
    assert.equal((await fetch(`${server.url}?operation=GetCACaps`)).status, 200);
  });
});
