/** From the unwrapping of the content key to the last octet of the CSR every failure has one answer, so that none tells an attacker which it was. */
import assert from 'node:assert/strict';
import { constants, publicEncrypt, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { digests } from '../../src/base/pki/algorithms.ts';
import type { KeyTransport } from '../../src/base/pki/enveloped-data.ts';
import { RawScepClient } from '../support/raw-scep-client.ts';
import type { EnvelopeParts } from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

const uniform = { failInfo: 'badRequest', failInfoText: 'The request could not be decoded. Please send a valid SCEP request.' };
const blockBytes = 16;

/** PKCS#7 padding by hand, whose last octet then is `last` and the others `rest`. */
function padded(content: Uint8Array, last: (length: number) => number, rest: (length: number) => number = length => length): Uint8Array {
  const length = blockBytes - (content.length % blockBytes);
  return Buffer.concat([content, Buffer.alloc(length - 1, rest(length)), Buffer.of(last(length))]);
}

/** The RSA operation without a padding of OpenSSL's. */
function encryptedRaw(block: Uint8Array): Uint8Array {
  return publicEncrypt({ key: client.ra.publicKey.keyObject, padding: constants.RSA_NO_PADDING }, block);
}

/** A PKCS#1 v1.5 block (RFC 8017 section 7.2.1) with a part changed. */
function pkcs1Block({ first = 0, type = 2, separator = 0, key = randomBytes(16) } = {}): Uint8Array {
  const filler = Buffer.alloc(256 - 3 - key.length, 0x5a);
  return Buffer.concat([Buffer.of(first, type), filler, Buffer.of(separator), key]);
}

function recipient(encryptedKey: () => Uint8Array, keyTransport: KeyTransport = { scheme: 'PKCS1' }): () => Partial<EnvelopeParts> {
  return () => ({ recipients: [{ certificate: client.ra, keyTransport, encryptedKey: encryptedKey() }] });
}

const oaep: KeyTransport = { scheme: 'OAEP', digest: digests['SHA-256'] };
const withOaep = (change: Partial<EnvelopeParts>) => () => ({ recipients: [{ certificate: client.ra, keyTransport: oaep }], ...change });

describe('a request that cannot be decrypted', () => {
  const envelopes: [name: string, envelope: () => Partial<EnvelopeParts>][] = [
    ['a wrapped key of noise', recipient(() => encryptedRaw(Buffer.concat([Buffer.of(0), randomBytes(255)])))],
    ['a padding that does not begin with 0', recipient(() => encryptedRaw(pkcs1Block({ first: 1 })))],
    ['a padding of type 1', recipient(() => encryptedRaw(pkcs1Block({ type: 1 })))],
    ['a padding without an end', recipient(() => encryptedRaw(pkcs1Block({ separator: 0x5a, key: Buffer.alloc(16, 0x5a) })))],
    ['a wrapped key shorter than the modulus', recipient(() => randomBytes(255))],
    ['a wrapped key longer than the modulus', recipient(() => randomBytes(257))],
    ['a wrapped key beyond the modulus', recipient(() => Buffer.alloc(256, 0xff))],
    ['an empty wrapped key', recipient(() => Buffer.alloc(0))],
    ['a content key of 15 octets', () => ({ contentKey: randomBytes(15) })],
    ['a content key of 24 octets', () => ({ contentKey: randomBytes(24) })],
    ['no content key', () => ({ contentKey: Buffer.alloc(0) })],
    ['another content key', recipient(() => encryptedRaw(pkcs1Block()))],
    ['an OAEP of noise', recipient(() => encryptedRaw(Buffer.concat([Buffer.of(0), randomBytes(255)])), oaep)],
    ['PKCS#1 v1.5 called OAEP', recipient(() => encryptedRaw(pkcs1Block()), oaep)],
    ['a content key of 15 octets in OAEP', withOaep({ contentKey: randomBytes(15) })],
    ['a CBC padding of 0', () => ({ content: padded(client.csr(), () => 0), isPadded: true })],
    ['a CBC padding longer than a block', () => ({ content: padded(client.csr(), () => blockBytes + 1), isPadded: true })],
    ['a CBC padding of 255', () => ({ content: padded(client.csr(), () => 255), isPadded: true })],
    [
      'a CBC padding whose octets differ',
      () => ({
        content: padded(
          Buffer.alloc(10),
          length => length,
          () => 0,
        ),
        isPadded: true,
      }),
    ],
    ['ciphertext of no whole number of blocks', () => ({ encryptedContent: randomBytes(100) })],
    ['no ciphertext', () => ({ encryptedContent: Buffer.alloc(0) })],
    ['ciphertext of noise', () => ({ encryptedContent: randomBytes(1024) })],
    ['nothing inside', () => ({ content: Buffer.alloc(0) })],
    ['text inside', () => ({ content: Buffer.from('-----BEGIN CERTIFICATE REQUEST-----') })],
    ['a certificate inside', () => ({ content: client.device.certificate.der })],
    ['half a CSR inside', () => ({ content: client.csr().subarray(0, 300) })],
    ['a CSR and more inside', () => ({ content: Buffer.concat([client.csr(), Buffer.of(0)]) })],
    ['10,000 nested indefinite lengths inside', () => ({ content: Buffer.alloc(20_000, Buffer.from('3080', 'hex')) })],
  ];
  for (const [name, envelope] of envelopes) {
    it(`is refused in the one way: ${name}`, async () => {
      assert.deepEqual(await client.refusal(client.request({ envelope: envelope() })), uniform);
    });
  }

  it('is refused in the one way in the audit trail and the log too', async () => {
    const events = await server.database.query.selectFrom('audit_events').selectAll().where('name', '=', 'EnrolmentRefused').execute();
    assert.equal(events.length, envelopes.length);
    for (const { reason } of events) assert.equal(reason, uniform.failInfoText);
    const hits = server.logLines.filter(line => line['operation'] === 'PKIOperation');
    assert.equal(hits.length, envelopes.length);
    for (const { reason, outcome, statusCode } of hits) {
      assert.deepEqual({ reason, outcome, statusCode }, { reason: uniform.failInfoText, outcome: 'FAILURE', statusCode: 200 });
    }
  });
});

describe('a request that can be decrypted', () => {
  it('is what all of the above were but for one part', async () => {
    await client.enrol();
    await client.enrol({ envelope: { content: padded(client.csr(), length => length), isPadded: true } });
    await client.enrol({ envelope: withOaep({})() });
    const key = randomBytes(16);
    const encryptedKey = encryptedRaw(pkcs1Block({ key }));
    await client.enrol({ envelope: { contentKey: key, recipients: [{ certificate: client.ra, encryptedKey }] } });
  });
});
