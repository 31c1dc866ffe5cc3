/** Attacks by what is sent (F.1, F.2, F.13, F.14): oracles behind the RA key, messages that cost more to read than to send, and compression. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { contentCiphers } from '../../../src/base/pki/algorithms.ts';
import { parseBer } from '../../../src/base/pki/asn1.ts';
import {
  bitString,
  contextConstructed,
  derNull,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  tlv,
} from '../../../src/base/pki/der.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { encodeContentInfo } from '../../../src/base/pki/signed-data.ts';
import { MessageType } from '../../../src/base/scep.ts';
import { failureLimits } from '../../../src/service/failure-limits.ts';
import { attribute, encryptBlock, encryption, encryptKey, envelope, recipientInfo, signedMessage } from '../../support/cms-parts.ts';
import { rsaKey } from '../../support/pki-fixtures.ts';
import { exchange, issuanceIn, issuedBy, RawScepClient, send } from '../../support/raw-scep-client.ts';
import { createDevice, withFlippedOctet } from '../../support/scep-messages.ts';
import { startTemporaryServer, stoppedClock, type TemporaryServer } from '../../support/temporary-server.ts';

const undecodable = 'The request could not be decoded. Please send a valid SCEP request.';
const blockBytes = 16;
const compressedData = '1.2.840.113549.1.9.16.1.9';

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

/** All that an answer shows, but for what is random or a time in each. */
async function appearance(eContent: Uint8Array): Promise<object> {
  const answer = await client.post(client.request({ eContent }));
  const { 'x-amzn-requestid': _id, date: _date, ...headers } = answer.headers;
  const { senderNonce: _own, recipientNonce: _echo, transactionID: _id2, ...certRep } = client.decode(answer);
  return { headers, length: answer.body.length, ...certRep };
}

/** A request in an envelope whose parts are known, as the attacker's own are. */
function sealedCsr() {
  const { key, algorithm, encrypt } = encryption();
  const ciphertext = encrypt(client.csr());
  const seal = (encryptedContent: Uint8Array, encryptedKey = encryptKey(client.ra, key)) =>
    envelope({ recipientInfos: [recipientInfo({ recipient: client.ra, encryptedKey })], algorithm, encryptedContent });
  return { key, encrypt, ciphertext, seal };
}

/** A PKCS#1 v1.5 block (RFC 8017 section 7.2.1), or what is nearly one. */
function block(key: Uint8Array, { type = 2, separator = 0 } = {}): Uint8Array {
  return encryptBlock(client.ra, Buffer.concat([Buffer.of(0, type), Buffer.alloc(253 - key.length, 0x5a), Buffer.of(separator), key]));
}

async function sameFor(envelopes: readonly [name: string, eContent: Uint8Array][]): Promise<void> {
  const issued = await issuanceIn(server.database);
  const [first, ...others] = await Promise.all(envelopes.map(async ([, eContent]) => appearance(eContent)));
  for (const [index, other] of others.entries()) assert.deepEqual(other, first, envelopes[index + 1]?.[0]);
  assert.deepEqual(first, { ...first, pkiStatus: 'FAILURE', failInfo: 'badRequest', failInfoText: undecodable });
  assert.deepEqual(await issuanceIn(server.database), issued);
}

describe('F.1: an oracle in the padding of the wrapped content key', () => {
  it('shows nothing: wrong paddings, wrong lengths of the key and wrong keys are answered alike, header for header and octet for octet', async () => {
    const { key, ciphertext, seal } = sealedCsr();
    await sameFor([
      ['a padding that is none', seal(ciphertext, block(key, { type: 1 }))],
      ['a padding that does not end', seal(ciphertext, block(key, { separator: 0x5a }))],
      ['a right padding around a key that is too short', seal(ciphertext, block(key.subarray(1)))],
      ['a right padding around no key', seal(ciphertext, block(Buffer.alloc(0)))],
      ['a right padding around another key', seal(ciphertext, block(randomBytes(key.length)))],
      ['the right key around what is no request', sealedText('no request')],
    ]);
  });

  it('is no way to try on: after a hundred failures its source waits, and so does a right request from there', async () => {
    await using own = await startTemporaryServer({ now: stoppedClock() });
    const guesser = await RawScepClient.connect(own);
    const { failuresMax, forgetMs } = failureLimits.decryption.source;
    for (let count = 0; count < failuresMax; count++) {
      const eContent = guesser.envelope(Buffer.from('no request'));
      assert.equal((await guesser.exchange(guesser.request({ eContent }))).failInfoText, undecodable);
    }
    const waits = await guesser.post(guesser.request());
    assert.equal(waits.statusCode, 429);
    assert.match(String(waits.headers['retry-after']), /^\d+$/);
    own.advance(forgetMs);
    await guesser.enrol();
  });

  it('would be given away by a right request, which is what the tests above are but for one part', async () => {
    const { key, ciphertext, seal } = sealedCsr();
    issuedBy(await client.exchange(client.request({ eContent: seal(ciphertext, block(key)) })));
  });
});

function sealedText(text: string): Uint8Array {
  return client.envelope(Buffer.from(text));
}

describe('F.2: an oracle in the padding of the encrypted content', () => {
  it('shows nothing: a wrong padding, a right one around noise, and a content that was cut short are answered alike', async () => {
    const { ciphertext, encrypt, seal } = sealedCsr();
    const whole = Buffer.alloc(blockBytes * 4, 0x41);
    await sameFor([
      ['a last octet that is another', seal(withFlippedOctet(ciphertext, -1))],
      ['a block before the last that changes the padding', seal(withFlippedOctet(ciphertext, -blockBytes - 1))],
      ['a padding of 0', seal(encrypt(Buffer.concat([whole, Buffer.alloc(blockBytes)]), { padded: true }))],
      ['a padding longer than a block', seal(encrypt(Buffer.concat([whole, Buffer.alloc(blockBytes, 17)]), { padded: true }))],
      ['a right padding around noise', seal(encrypt(randomBytes(100)))],
      ['a right padding around DER that is no CSR', seal(encrypt(sequence(integer(1))))],
      ['blocks left out', seal(ciphertext.subarray(0, -2 * blockBytes))],
      ['no whole number of blocks', seal(ciphertext.subarray(1))],
      ['nothing', seal(Buffer.alloc(0))],
    ]);
  });

  /**
   * Blocks of a device's captured request in a message of another type: the attacker has its beginning in hand by the initialization vector, and the last
   * octet of the block before the last decides whether the padding is right.
   */
  it('shows nothing by GetCert, GetCRL and CertPoll around what was captured from a device', async () => {
    const { key, algorithm, encrypt } = encryption();
    const captured = Buffer.from(encrypt(client.csr()));
    const plaintext = Buffer.from(client.csr());
    const iv = parseBer(algorithm).elements('algorithm')[1]?.octets() ?? Buffer.alloc(0);
    const begins = Buffer.concat([Buffer.from('302d30000229', 'hex'), Buffer.alloc(10, 1)]);
    const chosen = Buffer.from(iv.map((octet, index) => octet ^ (plaintext[index] ?? 0) ^ (begins[index] ?? 0)));
    const attacker = createDevice(rsaKey('second'));
    const at = 4 * blockBytes;
    const ask = async (messageType: string, guess: number) => {
      const before = Buffer.alloc(blockBytes, 0x77);
      before[blockBytes - 1] = (captured[at - 1] ?? 0) ^ guess ^ 1;
      const encryptedContent = Buffer.concat([captured.subarray(0, blockBytes), before, captured.subarray(at, at + blockBytes)]);
      const recipientInfos = [recipientInfo({ recipient: client.ra, encryptedKey: encryptKey(client.ra, key) })];
      const withIv = sequence(objectIdentifier(contentCiphers['AES-128-CBC'].oid), octetString(chosen));
      const eContent = envelope({ recipientInfos, algorithm: withIv, encryptedContent });
      return client.refusal(client.request({ messageType, device: attacker, eContent }), attacker);
    };
    const right = plaintext[at + blockBytes - 1] ?? 0;
    for (const type of ['GetCert', 'GetCRL', 'CertPoll'] as const) {
      const [known, ...others] = await Promise.all([right, right ^ 1, right ^ 0x80].map(guess => ask(MessageType[type], guess)));
      assert.equal(known?.failInfo, 'badCertId', type);
      for (const other of others) assert.deepEqual(other, known, type);
    }
  });

  it('costs a signature for each try: what was altered and not signed anew is never decrypted', async () => {
    const { ciphertext, seal } = sealedCsr();
    const message = Buffer.from(client.request({ eContent: seal(ciphertext) }));
    const at = message.indexOf(ciphertext) + ciphertext.length - 1;
    assert.deepEqual(await client.refusal(withFlippedOctet(message, at)), {
      failInfo: 'badMessageCheck',
      failInfoText: 'The request is refused: messageDigest is not the digest of the content.',
    });
  });
});

describe('F.13: a message that is made to cost much', () => {
  const nested = Buffer.concat([Buffer.alloc(20_000, Buffer.from('3080', 'hex')), Buffer.alloc(20_000)]);
  const signed = (attributes: readonly Uint8Array[]) => signedMessage(Buffer.alloc(0), { signer: client.device, attributes });
  const many = (count: number) => Array.from({ length: count }, (_, index) => attribute(`1.2.3.${index}`, derNull));
  const unreadable: [name: string, message: () => Uint8Array, reason: string][] = [
    ['10,000 nested indefinite lengths', () => nested, 'elements are nested more than 32 deep'],
    ['a length of four gigabytes', () => Buffer.from('3084ffffffff', 'hex'), 'an element runs past the end of what holds it'],
    [
      'a hundred thousand elements',
      () => sequence(Buffer.alloc(200_000, Buffer.from('0500', 'hex'))),
      'there are more than 20000 elements',
    ],
    ['a thousand signed attributes', () => signed(many(1000)), 'more than 64 signedAttrs'],
  ];
  for (const [name, message, reason] of unreadable) {
    it(`is refused at the limit, before anything is computed: ${name}`, async () => {
      const { statusCode, text } = await client.rejection(message());
      assert.equal(statusCode, 400);
      assert.ok(text.startsWith(`The request is refused: ${reason}`), text);
    });
  }

  it('is refused with its body or its URL alone, which are limited as they come in', async () => {
    const { pathname } = new URL(server.url);
    const chunks = Buffer.from(`100000\r\n${'0'.repeat(0x10_00_00)}\r\n0\r\n\r\n`);
    const head = Buffer.from(`POST ${pathname} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`);
    assert.match(await exchange(server.url, Buffer.concat([head, chunks])), /^HTTP\/1\.1 413 /);
    const url = `GET ${pathname}?operation=PKIOperation&message=${'A'.repeat(200_000)} HTTP/1.0\r\n\r\n`;
    assert.match(await exchange(server.url, url), /^HTTP\/1\.1 431 /);
  });

  it('is refused with eleven recipients', async () => {
    const recipients = Array.from({ length: 11 }, () => ({ certificate: client.ra }));
    assert.deepEqual(await client.refusal(client.request({ envelope: { recipients } })), {
      failInfo: 'badRequest',
      failInfoText: 'The request is refused: more than 10 recipients.',
    });
  });

  it('is refused with a key derived from a password by a billion iterations, none of which is computed', async () => {
    const pbkdf2 = tlv(0xa0, objectIdentifier('1.2.840.113549.1.5.12'), sequence(octetString(randomBytes(8)), integer(1_000_000_000)));
    const wrap = sequence(
      objectIdentifier('1.2.840.113549.1.9.16.3.9'),
      sequence(objectIdentifier(contentCiphers['AES-128-CBC'].oid), octetString(randomBytes(16))),
    );
    const passwordRecipient = contextConstructed(3, integer(0), pbkdf2, wrap, octetString(randomBytes(32)));
    const { algorithm, encrypt } = encryption();
    const eContent = envelope({ recipientInfos: [passwordRecipient], algorithm, encryptedContent: encrypt(client.csr()) });
    assert.deepEqual(await client.refusal(client.request({ eContent })), {
      failInfo: 'badRequest',
      failInfoText: 'The message is not encrypted to this endpoint’s current certificate. Fetch GetCACert again.',
    });
  });

  const keys: [name: string, modulusBytes: number, exponent: Uint8Array][] = [
    ['a modulus of 16,400 bits', 2050, Buffer.of(1, 0, 1)],
    ['an exponent as long as the modulus', 256, Buffer.alloc(256, 0x7f)],
  ];
  for (const [name, modulusBytes, exponent] of keys) {
    it(`is refused before it is verified with a key that is slow to use: ${name}`, async () => {
      const modulus = Buffer.concat([Buffer.of(0), Buffer.alloc(modulusBytes, 0xff)]);
      const key = sequence(tlv(0x02, modulus), tlv(0x02, exponent));
      const subjectPublicKeyInfo = sequence(sequence(objectIdentifier(Oid.rsaEncryption), derNull), bitString(key));
      const { failInfoText } = await client.refusal(client.request({ csrParts: { subjectPublicKeyInfo } }));
      assert.equal(failInfoText, undecodable);
    });
  }
});

describe('F.14: compression, by which little becomes much', () => {
  const compressed = () =>
    encodeContentInfo(
      compressedData,
      sequence(integer(0), sequence(objectIdentifier('1.2.840.113549.1.9.16.3.8')), sequence(objectIdentifier(Oid.data), setOf())),
    );

  it('is refused as CompressedData, wherever it stands', async () => {
    const { statusCode, text } = await client.rejection(compressed());
    assert.deepEqual(
      [statusCode, text],
      [400, `The request is refused: a ContentInfo of type ${compressedData} where ${Oid.signedData} must be.\n`],
    );
    const inMessage = await client.refusal(client.request({ eContent: compressed() }));
    assert.equal(
      inMessage.failInfoText,
      `The request is refused: a ContentInfo of type ${compressedData} where ${Oid.envelopedData} must be.`,
    );
    assert.equal((await client.refusal(client.request({ csr: compressed() }))).failInfoText, undecodable);
  });

  it('is not undone as a Content-Encoding: the body is read as it came, and refused', async () => {
    const issued = await issuanceIn(server.database);
    const headers = { 'content-encoding': 'gzip' };
    const { statusCode, body } = await send(server.url, { method: 'POST', headers, body: gzipSync(client.request()) });
    assert.deepEqual([statusCode, String(body).startsWith('The request is refused: ')], [400, true]);
    assert.deepEqual(await issuanceIn(server.database), issued);
  });
});
