/** PKIOperation by GET: the forms in which real clients write the message, and what is answered to those that nobody can read. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { issuanceIn, issuedBy, RawScepClient, send } from '../support/raw-scep-client.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

const urlOf = (message: string) => `${server.url}?operation=PKIOperation&message=${message}`;

/** A request whose base64 holds everything that clients write differently: `+`, `/` and padding. */
function base64OfRequest(): string {
  for (let length = 1; ; length++) {
    const base64 = Buffer.from(client.request({ transactionID: 'T'.repeat(length) })).toString('base64');
    if (/\+/.test(base64) && /\//.test(base64) && base64.endsWith('=')) return base64;
  }
}

const wrapped = (base64: string, lineBreak: string) => (base64.match(/.{1,64}/g) ?? []).map(line => line + lineBreak).join('');

describe('the message of a GET', () => {
  const forms: [name: string, form: (base64: string) => string][] = [
    ['with everything escaped, as certmonger does', encodeURIComponent],
    ['with nothing escaped', base64 => base64],
    ['with + and / raw and = escaped, as Apple does', base64 => base64.replaceAll('=', '%3D')],
    ['with + escaped alone, broken by %0A, as strongSwan does', base64 => wrapped(base64, '%0A').replaceAll('+', '%2B')],
    ['with + escaped in lower case', base64 => base64.replaceAll('+', '%2b').replaceAll('/', '%2f').replaceAll('=', '%3d')],
    ['with + turned into an escaped space', base64 => base64.replaceAll('+', '%20')],
    ['without padding', base64 => base64.replaceAll('=', '')],
    ['in base64url without padding', base64 => Buffer.from(base64, 'base64').toString('base64url')],
    ['in base64url with padding', base64 => base64.replaceAll('+', '-').replaceAll('/', '_')],
    ['broken by %0D%0A', base64 => wrapped(base64, '%0D%0A')],
    ['broken and indented by tabs', base64 => wrapped(base64, '%0A%09')],
    ['with its first character escaped', base64 => `%4D${base64.slice(1)}`],
  ];
  for (const [name, form] of forms) {
    it(`is read ${name}`, async () => {
      const base64 = base64OfRequest();
      assert.equal(base64[0], 'M');
      issuedBy(client.decode(await send(urlOf(form(base64)))));
    });
  }

  it('is read wherever it stands in the query', async () => {
    const message = encodeURIComponent(base64OfRequest());
    for (const query of [`message=${message}&operation=PKIOperation`, `x=y&operation=PKIOperation&z&message=${message}&message=`]) {
      issuedBy(client.decode(await send(`${server.url}?${query}`)));
    }
  });

  it('is read below /pkiclient.exe', async () => {
    const message = encodeURIComponent(base64OfRequest());
    issuedBy(client.decode(await send(`${server.url}/pkiclient.exe?operation=PKIOperation&message=${message}`)));
  });

  it('may be 64 KB long', async () => {
    const unknown = { oid: '1.3.6.1.4.1.99999.1', critical: false, value: Buffer.alloc(47_500, 0x05) };
    const url = urlOf(encodeURIComponent(Buffer.from(client.request({ extensions: [unknown] })).toString('base64')));
    assert.ok(url.length > 64 * 1024, `${url.length}`);
    issuedBy(client.decode(await send(url)));
  });
});

describe('a message that is not base64', () => {
  const forms: [name: string, form: (base64: string) => string][] = [
    ['absent', () => ''],
    ['an escape that is none', base64 => `%zz${base64}`],
    ['half an escape at its end', base64 => `${base64}%4`],
    ['a percent sign alone', () => '%'],
    ['a character of no alphabet', base64 => `${base64.slice(0, 40)}!${base64.slice(41)}`],
    ['an octet beyond ASCII', base64 => `${base64.slice(0, 40)}%FF${base64.slice(41)}`],
    ['a null octet', base64 => `${base64}%00`],
    ['a length that leaves 1 when divided by 4', base64 => base64.slice(0, 401)],
    ['padding alone', () => '===='],
  ];
  for (const [name, form] of forms) {
    it(`is answered with 400: ${name}`, async () => {
      const base64 = base64OfRequest();
      const issued = await issuanceIn(server.database);
      const { statusCode, headers, body } = await send(urlOf(form(base64)));
      assert.deepEqual([statusCode, headers['content-type']], [400, 'text/plain']);
      assert.equal(String(body), 'The request must contain base64.\n');
      assert.deepEqual(await issuanceIn(server.database), issued);
    });
  }

  it('is answered with 400 where there is no message at all', async () => {
    const { statusCode, body } = await send(`${server.url}?operation=PKIOperation`);
    assert.deepEqual([statusCode, String(body)], [400, 'The request must contain base64.\n']);
  });

  it('is answered with 400 where it is base64 of something else', async () => {
    const { statusCode, headers, body } = await send(urlOf('SGVsbG8'));
    assert.deepEqual([statusCode, headers['content-type']], [400, 'text/plain']);
    assert.doesNotMatch(String(body), /base64/);
  });
});
