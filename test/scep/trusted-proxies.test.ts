/** F.24: where a request comes from is its peer's address, unless that is a proxy which the operator trusts; in the log, the audit trail and the limits. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { listAuditEvents } from '../../src/backends/store/audit-events.ts';
import { connectorArn } from '../../src/base/resources.ts';
import { failureLimits } from '../../src/service/failure-limits.ts';
import { createApiClient } from '../support/api-client.ts';
import { pemOf, RawScepClient, send } from '../support/raw-scep-client.ts';
import { challengePassword } from '../support/scep-messages.ts';
import { requireSourceAddress } from '../support/source-address.ts';
import { accountId, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const proxy = '127.0.0.8';
const stranger = '127.0.0.9';
const device = '203.0.113.9';

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer({ env: { SCEP_TRUSTED_PROXIES: `10.0.0.0/8,${proxy}` } });
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

const post = (body: Uint8Array, localAddress: string, forwardedFor: string, url = server.url) =>
  send(url, { method: 'POST', body, localAddress, headers: { 'x-forwarded-for': forwardedFor }, ca: pemOf(server.caCertificate) });

/** What the log and the audit trail say of one request. */
async function sourcesOf(work: () => Promise<unknown>): Promise<{ log: unknown[]; audit: unknown[] }> {
  const list = () => listAuditEvents(server.database.query, { connectorId: server.connectorId, limit: 1000 });
  // A call that is awaited takes those before it along.
  const ResourceArn = connectorArn({ accountId, region: 'us-east-1' }, server.connectorId);
  const flush = () => createApiClient(server.apiUrl, server.credentialsFile).tagResource({ ResourceArn, Tags: {} }).promise();
  await flush();
  const known = new Set((await list()).map(({ event_id }) => event_id));
  const linesBefore = server.logLines.length;
  await work();
  const log = server.logLines.slice(linesBefore).flatMap(line => (line['msg'] === 'scep request' ? [line['source']] : []));
  await flush();
  const added = (await list()).filter(({ event_id, category }) => !known.has(event_id) && category !== 'Management');
  return { log, audit: added.map(({ source }) => source) };
}

describe('F.24: X-Forwarded-For', { skip: await requireSourceAddress(proxy) }, () => {
  for (const listener of ['url', 'tlsUrl'] as const) {
    it(`from a trusted proxy says the source, over ${listener === 'url' ? 'HTTP' : 'HTTPS'}`, async () => {
      const { log, audit } = await sourcesOf(() => post(client.request(), proxy, `1.1.1.1, ${device}, 10.1.2.3`, server[listener]));
      assert.deepEqual(log, [device]);
      // The certificate, and the request for it.
      assert.deepEqual(audit, [device, device]);
    });

    it(`from anybody else is ignored, over ${listener === 'url' ? 'HTTP' : 'HTTPS'}`, async () => {
      const { log, audit } = await sourcesOf(() => post(client.request(), stranger, `${device}, ${proxy}`, server[listener]));
      assert.deepEqual(log, [stranger]);
      assert.deepEqual(audit, [stranger, stranger]);
    });
  }

  const guess = () => client.request({ challenge: challengePassword(randomUUID()) });
  /** The status of one guess after as many as a source has. */
  const guessOften = async (send: (index: number) => Promise<{ statusCode: number }>) => {
    for (let index = 0; index < failureLimits.challenge.source.failuresMax; index++) assert.equal((await send(index)).statusCode, 200);
    return (await send(-1)).statusCode;
  };

  it('from a trusted proxy keeps the failures of its devices apart', async () => {
    assert.equal(await guessOften(() => post(guess(), proxy, '203.0.113.66')), 429);
    assert.equal((await post(client.request(), proxy, '203.0.113.67')).statusCode, 200);
  });

  it('from a device does not wash its failures away, whether or not it comes through the proxy', async () => {
    assert.equal(await guessOften(index => post(guess(), stranger, `198.51.100.${index + 1}`)), 429);
    assert.equal(await guessOften(index => post(guess(), proxy, `198.51.100.${index + 1}, 203.0.113.68`)), 429);
  });
});
