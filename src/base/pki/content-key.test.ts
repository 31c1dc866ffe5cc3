/** Shows that a content key is taken out of a block exactly when the standard's padding is around it, and that a substitute follows from the block. */
import assert from 'node:assert/strict';
import { constants, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { encryptBlock } from '../../../test/support/cms-parts.ts';
import { createIdentity } from '../../../test/support/pki-fixtures.ts';
import { digests } from './algorithms.ts';
import { takeContentKey } from './content-key.ts';

const { certificate, privateKey } = createIdentity();
const { keyObject } = certificate.publicKey;

/** A block as OpenSSL pads it. */
function blockOf(key: Uint8Array, padding: Parameters<typeof takeContentKey>[1], label?: Uint8Array): Buffer {
  const options =
    padding === 'PKCS1'
      ? { padding: constants.RSA_PKCS1_PADDING }
      : { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: padding.oaep.openssl, ...(label && { oaepLabel: label }) };
  return privateDecrypt(
    { key: privateKey, padding: constants.RSA_NO_PADDING },
    publicEncrypt({ key: keyObject, ...options }, Buffer.from(key)),
  );
}

/** Whether OpenSSL itself finds this key in an OAEP block. */
function opensslFinds(key: Uint8Array, block: Uint8Array, oaepHash: string): boolean {
  try {
    const options = { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash };
    return privateDecrypt(options, encryptBlock(certificate, block)).equals(key);
  } catch {
    return false;
  }
}

function altered(block: Uint8Array, at: number, octet: number): Buffer {
  const copy = Buffer.from(block);
  copy[at] = octet;
  return copy;
}

const paddings = [['PKCS1', 'PKCS1'], ...Object.values(digests).map(oaep => [`OAEP with ${oaep.name}`, { oaep }] as const)] as const;

for (const [name, padding] of paddings) {
  describe(`a content key in ${name}`, () => {
    for (const keyBytes of [8, 16, 24, 32]) {
      it(`of ${keyBytes} octets is what OpenSSL put there`, () => {
        const key = randomBytes(keyBytes);
        assert.deepEqual(takeContentKey(blockOf(key, padding), padding, keyBytes), { key, intact: true });
      });
    }

    it('of another length is none, and its substitute has the right length', () => {
      for (const length of [0, 1, 8, 15, 17, 32, 60]) {
        const { key, intact } = takeContentKey(blockOf(randomBytes(length), padding), padding, 16);
        assert.deepEqual([key.length, intact], [16, false], `${length}`);
      }
    });

    it('has the same substitute each time, and another for another block', () => {
      const [one, other] = [blockOf(randomBytes(15), padding), blockOf(randomBytes(15), padding)];
      assert.deepEqual(takeContentKey(one, padding, 16), takeContentKey(Buffer.from(one), padding, 16));
      assert.notDeepEqual(takeContentKey(one, padding, 16).key, takeContentKey(other, padding, 16).key);
    });

    it('is none in a block that has no room for its padding', () => {
      for (const length of [0, 16, 17, 26, 32]) assert.equal(takeContentKey(Buffer.alloc(length), padding, 16).intact, false);
    });
  });
}

describe('PKCS#1 v1.5', () => {
  const key = randomBytes(16);
  const block = blockOf(key, 'PKCS1');
  const separatorAt = block.length - 17;

  it('holds in every octet before the key, and in none else', () => {
    for (let at = 0; at < block.length; at++) {
      // An octet of the filler may be any but 0; those around it are given.
      const [right, wrong] = at < 2 || at === separatorAt ? [block[at] ?? 0, (block[at] ?? 0) ^ 0x80] : [0xa5, 0];
      assert.equal(takeContentKey(altered(block, at, right), 'PKCS1', 16).intact, true, `octet ${at}`);
      assert.equal(takeContentKey(altered(block, at, wrong), 'PKCS1', 16).intact, at > separatorAt, `octet ${at}`);
    }
  });

  it('has a filler of at least eight octets', () => {
    const small = (filler: number) => Buffer.concat([Buffer.of(0, 2), Buffer.alloc(filler, 1), Buffer.of(0), key]);
    assert.equal(takeContentKey(small(8), 'PKCS1', 16).intact, true);
    assert.equal(takeContentKey(small(7), 'PKCS1', 16).intact, false);
  });
});

describe('OAEP', () => {
  const padding = { oaep: digests['SHA-256'] };

  it('holds in every octet, as it does for OpenSSL', () => {
    const key = randomBytes(16);
    const block = blockOf(key, padding);
    assert.ok(opensslFinds(key, block, 'sha256'));
    for (let at = 0; at < block.length; at++) {
      for (const bit of [1, 0x80]) {
        // What is no number below the modulus has no block.
        const wrong = altered(block, at, (block[at] ?? 0) ^ (at === 0 ? 1 : bit));
        const taken = takeContentKey(wrong, padding, 16);
        const found = taken.intact && Buffer.from(taken.key).equals(key);
        assert.equal(found, at > 0 && opensslFinds(key, wrong, 'sha256'), `octet ${at}`);
      }
    }
  });

  it('is none under a label or another digest', () => {
    const key = randomBytes(16);
    assert.equal(takeContentKey(blockOf(key, padding, Buffer.from('label')), padding, 16).intact, false);
    assert.equal(takeContentKey(blockOf(key, padding), { oaep: digests['SHA-512'] }, 16).intact, false);
  });
});
