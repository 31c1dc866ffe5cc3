/** Shows that whatever is wrong with a content key or a padding, decryption goes on to its end and only `intact` tells. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { encryptBlock, encryption, encryptKey, envelope, recipientInfo } from '../../../test/support/cms-parts.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa } from '../../../test/support/pki-fixtures.ts';
import { contentCiphers, encodeAlgorithmIdentifier } from './algorithms.ts';
import { takeContentKey } from './content-key.ts';
import { integer, octetString, sequence, tlv } from './der.ts';
import { findOpening, openContent, parseEnvelopedData } from './enveloped-data.ts';
import { Oid } from './oids.ts';

const { ra } = createCaAndRa();
const content = Buffer.from('a content of more than one block');

function open(message: Uint8Array) {
  const opening = findOpening(parseEnvelopedData(message), [ra]);
  const opened = openContent(opening);
  return { ...opening, ...opened, content: Buffer.from(opened.content) };
}

describe('openContent', () => {
  const cipher = contentCiphers['AES-128-CBC'];
  /** What opens to something wrong: the content key of 16 octets, or a content with its own padding, in its place. */
  const openBroken = (encryptedKey: (key: Uint8Array) => Uint8Array, padded?: Uint8Array) => {
    const { key, algorithm, encrypt } = encryption(cipher);
    const encryptedContent = padded === undefined ? encrypt(content) : encrypt(padded, { padded: true });
    const info = recipientInfo({ recipient: ra.certificate, encryptedKey: encryptedKey(key) });
    return open(envelope({ recipientInfos: [info], algorithm, encryptedContent }));
  };
  const rightKey = (key: Uint8Array) => encryptKey(ra.certificate, key);
  const block =
    (...head: number[]) =>
    (key: Uint8Array) => {
      const octets = Buffer.alloc(256, 0x11);
      octets.set(head);
      octets.set([0, ...key], 256 - 1 - key.length);
      return encryptBlock(ra.certificate, octets);
    };

  it('is intact when all is right', () => {
    assert.equal(openBroken(rightKey).intact, true);
    assert.equal(openBroken(block(0, 2)).intact, true);
  });

  it('goes on with noise after a content key that is none, of whatever kind', () => {
    const wrong: [string, (key: Uint8Array) => Uint8Array][] = [
      ['padding of type 1', block(0, 1)],
      ['padding that does not begin with 0', block(1, 2)],
      ['too little padding', block(0, 2, 1, 1, 0)],
      ['no end of the padding', () => encryptBlock(ra.certificate, Buffer.alloc(256, 1).fill(0, 0, 1).fill(2, 1, 2))],
      ['a key one octet short', key => encryptKey(ra.certificate, key.subarray(1))],
      ['a key one octet long', key => encryptKey(ra.certificate, Buffer.concat([key, Buffer.of(1)]))],
      ['an empty key', () => encryptKey(ra.certificate, Buffer.alloc(0))],
      ['a key of AES-256', () => encryptKey(ra.certificate, randomBytes(32))],
      ['no octets', () => Buffer.alloc(0)],
      // The last one: the first is 0 once in a while, and then nothing is missing.
      ['an octet too few', key => encryptKey(ra.certificate, key).subarray(0, -1)],
      ['an octet too many', key => Buffer.concat([encryptKey(ra.certificate, key), Buffer.of(0)])],
      ['more than the modulus', () => Buffer.alloc(256, 0xff)],
      ['random octets', () => Buffer.concat([Buffer.of(0), randomBytes(255)])],
    ];
    for (const [name, encryptedKey] of wrong) {
      const opened = openBroken(encryptedKey);
      assert.equal(opened.intact, false, name);
      assert.notDeepEqual(opened.content.subarray(0, 16), content.subarray(0, 16), name);
    }
  });

  it('meets the same noise each time', () => {
    const { key, algorithm, encrypt } = encryption(cipher);
    const info = recipientInfo({ recipient: ra.certificate, encryptedKey: encryptKey(ra.certificate, key.subarray(1)) });
    const message = envelope({ recipientInfos: [info], algorithm, encryptedContent: encrypt(content) });
    assert.deepEqual(open(message).content, open(message).content);
  });

  it('is not intact after a content key that is none, even if the substitute happens to be the right one', () => {
    const block = randomBytes(256).fill(0, 0, 1);
    const { key, intact } = takeContentKey(block, 'PKCS1', cipher.keyBytes);
    assert.equal(intact, false);
    const { algorithm, encrypt } = encryption(cipher, key);
    const info = recipientInfo({ recipient: ra.certificate, encryptedKey: encryptBlock(ra.certificate, block) });
    const opened = open(envelope({ recipientInfos: [info], algorithm, encryptedContent: encrypt(content) }));
    assert.deepEqual([opened.content, opened.intact], [content, false]);
  });

  it('is not intact after a padding that is none, and keeps the content whole', () => {
    const last = (...octets: number[]) =>
      Buffer.concat([content.subarray(0, 16), Buffer.alloc(16 - octets.length, 7), Buffer.from(octets)]);
    for (const padded of [
      last(0),
      last(17),
      last(255),
      last(2, 3, 3),
      last(2),
      last(1, 2),
      Buffer.concat([content.subarray(0, 16), Buffer.alloc(16, 16).fill(15, 0, 1)]),
      Buffer.alloc(32, 17),
    ]) {
      const opened = openBroken(rightKey, padded);
      assert.equal(opened.intact, false, padded.toString('hex'));
      assert.equal(opened.content.length, padded.length);
    }
    for (const [padded, length] of [
      [last(1), 31],
      [last(2, 2), 30],
      [Buffer.alloc(32, 16), 16],
    ] as const) {
      const opened = openBroken(rightKey, padded);
      assert.deepEqual([opened.intact, opened.content.length], [true, length]);
    }
  });

  it('refuses a content that is no whole number of blocks, which anyone can see', () => {
    for (const length of [0, 1, 15, 17]) {
      const { key, algorithm } = encryption(cipher);
      const info = recipientInfo({ recipient: ra.certificate, encryptedKey: encryptKey(ra.certificate, key) });
      refused(
        () => open(envelope({ recipientInfos: [info], algorithm, encryptedContent: Buffer.alloc(length) })),
        'malformed',
        /whole number of blocks/,
      );
    }
  });

  it('takes the content key of another cipher for none', () => {
    const { algorithm, encrypt } = encryption(contentCiphers['AES-256-CBC']);
    const info = recipientInfo({ recipient: ra.certificate, encryptedKey: encryptKey(ra.certificate, randomBytes(16)) });
    assert.equal(open(envelope({ recipientInfos: [info], algorithm, encryptedContent: encrypt(content) })).intact, false);
  });

  it('reads an encryptedKey in segments', () => {
    const { key, algorithm, encrypt } = encryption(cipher);
    const encryptedKey = encryptKey(ra.certificate, key);
    const [version, rid, transport] = [
      integer(0),
      sequence(ra.certificate.issuer.der, ra.certificate.serialNumberDer),
      encodeAlgorithmIdentifier(Oid.rsaEncryption),
    ];
    const segments = tlv(0x24, octetString(encryptedKey.subarray(0, 100)), octetString(encryptedKey.subarray(100)));
    const info = sequence(version, rid, transport, segments);
    assert.deepEqual(open(envelope({ recipientInfos: [info], algorithm, encryptedContent: encrypt(content) })).content, content);
  });
});
