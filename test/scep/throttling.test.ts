/** A connector's own rates: none unless they are set, and then HTTP 429 with the time to wait. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { issuanceIn, RawScepClient, send } from '../support/raw-scep-client.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

let server: TemporaryServer;
afterEach(() => server[Symbol.asyncDispose]());

/** The status of the first answer that is not 200, and how many came before it. A bucket holds a minute's worth, and may fill while it is emptied. */
async function drain(ask: () => Promise<{ statusCode: number; headers: Record<string, unknown> }>, atMost: number) {
  for (let count = 0; count < atMost; count++) {
    const { statusCode, headers } = await ask();
    if (statusCode !== 200) return { count, statusCode, retryAfter: headers['retry-after'] };
  }
  return undefined;
}

describe("a connector's rate", () => {
  it('is none by default', async () => {
    server = await startTemporaryServer();
    assert.equal(await drain(() => send(`${server.url}?operation=GetCACaps`), 100), undefined);
  });

  for (const [operation, setting] of [
    ['GetCACaps', 'SCEP_RATE_GET_CA_CAPS'],
    ['GetCACert', 'SCEP_RATE_GET_CA_CERT'],
  ] as const) {
    it(`of ${operation}, where it is set, ends in 429 and leaves other operations alone`, async () => {
      server = await startTemporaryServer({ env: { [setting]: '1' } });
      const refused = await drain(() => send(`${server.url}?operation=${operation}`), 300);
      assert.ok(refused && refused.count >= 60);
      assert.deepEqual([refused.statusCode, refused.retryAfter], [429, '1']);
      const other = operation === 'GetCACaps' ? 'GetCACert' : 'GetCACaps';
      assert.equal((await send(`${server.url}?operation=${other}`)).statusCode, 200);
      server.advance(1000);
      assert.equal((await send(`${server.url}?operation=${operation}`)).statusCode, 200);
    });
  }

  it('of PKCSReq ends in 429 before anything is decrypted, and issues nothing', async () => {
    server = await startTemporaryServer({ env: { SCEP_RATE_PKCS_REQ: '1' } });
    const client = await RawScepClient.connect(server);
    const message = client.request();
    const refused = await drain(() => send(server.url, { method: 'POST', body: message }), 300);
    assert.ok(refused && refused.count >= 60);
    assert.equal(refused.statusCode, 429);
    // On a slow machine the next may find a token that has come meanwhile.
    for (;;) {
      const before = await issuanceIn(server.database);
      const { statusCode } = await send(server.url, { method: 'POST', body: client.request() });
      if (statusCode === 200) continue;
      assert.deepEqual([statusCode, await issuanceIn(server.database)], [429, before]);
      break;
    }
  });
});
