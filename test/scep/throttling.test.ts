/** A connector's own rates: none unless they are set, and then HTTP 429 with the time to wait. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { failureLimits } from '../../src/service/failure-limits.ts';
import { type HttpAnswer, issuanceIn, RawScepClient, send } from '../support/raw-scep-client.ts';
import { withFlippedOctet } from '../support/scep-messages.ts';
import { startTemporaryServer, stoppedClock, type TemporaryServer } from '../support/temporary-server.ts';

let server: TemporaryServer;
afterEach(() => server[Symbol.asyncDispose]());

/** Under a clock that stands still a bucket is what it holds: a minute's worth. */
async function start(env: Record<string, string>): Promise<void> {
  server = await startTemporaryServer({ env, now: stoppedClock() });
}

const get = (operation: string) => () => send(`${server.url}?operation=${operation}`);
const post = (body: Uint8Array) => send(server.url, { method: 'POST', body });

/** How many are let in before the first is not, or none of so many. */
async function countAdmitted(ask: () => Promise<HttpAnswer>, atMost: number): Promise<number> {
  for (let count = 0; count < atMost; count++) {
    const { statusCode } = await ask();
    if (statusCode === 429) return count;
    // What AWS's errors give a FAILURE.
    assert.ok(statusCode === 200 || statusCode === 400, `HTTP ${statusCode}`);
  }
  return atMost;
}

/** AWS's rates, a minute's worth of each. */
const awsBuckets = [
  ['GetCACaps', 20 * 60],
  ['GetCACert', 20 * 60],
  ['PKCSReq', 10 * 60],
] as const;

/** How many of each are let in, when that is more than AWS would let. */
async function admitted(): Promise<(readonly [operation: string, count: number])[]> {
  const client = await RawScepClient.connect(server);
  // The cheapest: counted before its signature is found wrong.
  const forged = withFlippedOctet(client.request(), -1);
  const counts: [string, number][] = [];
  for (const [operation, bucket] of awsBuckets) {
    const ask = operation === 'PKCSReq' ? () => post(forged) : get(operation);
    counts.push([operation, await countAdmitted(ask, bucket + 50)]);
  }
  return counts;
}

describe("a connector's rate", () => {
  it('is none by default: more pass than AWS would let', async () => {
    await start({});
    assert.deepEqual(
      await admitted(),
      awsBuckets.map(([operation, bucket]) => [operation, bucket + 50]),
    );
  });

  it("is AWS's under SCEP_COMPATIBILITY=aws", async () => {
    await start({ SCEP_COMPATIBILITY: 'aws' });
    // The first GetCACert is the client's own.
    assert.deepEqual(
      await admitted(),
      awsBuckets.map(([operation, bucket]) => [operation, operation === 'GetCACert' ? bucket - 1 : bucket]),
    );
  });

  for (const [operation, setting] of [
    ['GetCACaps', 'SCEP_RATE_GET_CA_CAPS'],
    ['GetCACert', 'SCEP_RATE_GET_CA_CERT'],
  ] as const) {
    it(`of ${operation}, where it is set, ends in 429 and leaves other operations alone`, async () => {
      await start({ [setting]: '1' });
      assert.equal(await countAdmitted(get(operation), 300), 60);
      const { statusCode, headers } = await get(operation)();
      assert.deepEqual([statusCode, headers['retry-after']], [429, '1']);
      const other = operation === 'GetCACaps' ? 'GetCACert' : 'GetCACaps';
      assert.equal((await get(other)()).statusCode, 200);
      server.advance(1000);
      assert.equal((await get(operation)()).statusCode, 200);
    });
  }

  it('of PKCSReq ends in 429 before anything is decrypted, and issues nothing', async () => {
    await start({ SCEP_RATE_PKCS_REQ: '1' });
    const client = await RawScepClient.connect(server);
    const message = client.request();
    assert.equal(await countAdmitted(() => post(message), 300), 60);
    const issued = await issuanceIn(server.database);
    assert.equal((await post(client.request())).statusCode, 429);
    // Were they decrypted, so many failures would keep this source waiting for longer than the one second that brings the next token.
    const damaged = client.request({ envelope: { encryptedContent: Buffer.alloc(64) } });
    assert.equal(failureLimits.decryption.source.failuresMax, 100);
    for (let count = 0; count < 100; count++) assert.equal((await post(damaged)).statusCode, 429);
    assert.deepEqual(await issuanceIn(server.database), issued);
    server.advance(1000);
    await client.enrol();
  });
});
