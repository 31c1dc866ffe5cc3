/** Shows which public keys are read, how they are compared, and that a hostile one is refused before OpenSSL computes with it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import { hex } from '../../../test/support/ber.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { ecKey, rsaKey } from '../../../test/support/pki-fixtures.ts';
import { encodeAlgorithmIdentifier } from './algorithms.ts';
import { parseBer, Tag } from './asn1.ts';
import { bitString, derNull, objectIdentifier, sequence, tlv } from './der.ts';
import { Oid } from './oids.ts';
import { parsePublicKey, publicKeyLimits, publicKeyOf } from './public-key.ts';

const spkiOf = (publicKey: KeyObject) => publicKey.export({ format: 'der', type: 'spki' });
const parsed = (spki: Uint8Array) => parsePublicKey(parseBer(spki));
/** An RSA SubjectPublicKeyInfo from the content octets of the two INTEGERs. */
const rsa = (modulus: Uint8Array, exponent: Uint8Array) =>
  sequence(encodeAlgorithmIdentifier(Oid.rsaEncryption), bitString(sequence(tlv(Tag.integer, modulus), tlv(Tag.integer, exponent))));
const f4 = hex('01 00 01');

/** The content octets of 2^(bits - 1) + 1. */
function modulusOf(bits: number): Uint8Array {
  const octets = Buffer.alloc((bits >> 3) + 1);
  octets.writeUInt8(1, octets.length - 1);
  octets.writeUInt8(1 << ((bits - 1) & 7), octets.length - 1 - ((bits - 1) >> 3));
  return octets;
}

describe('parsePublicKey', () => {
  it('reads RSA keys of every length that OpenSSL makes, 512 bits too: how many are enough is policy', () => {
    for (const modulusLength of [512, 1024, 1031, 2048]) {
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength });
      const read = parsed(spkiOf(publicKey));
      assert.deepEqual([read.kind, read.bits], ['RSA', modulusLength]);
      assert.ok(read.keyObject.equals(publicKey));
    }
  });

  it('reads the exponents 3 and 2^32 + 1', () => {
    for (const publicExponent of [3, 2 ** 32 + 1]) {
      const exponent = Buffer.from(publicExponent.toString(16).padStart(10, '0'), 'hex');
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024, publicExponent: 65_537 });
      const modulus = Buffer.concat([Buffer.of(0), Buffer.from(publicKey.export({ format: 'jwk' }).n ?? '', 'base64url')]);
      assert.equal(parsed(rsa(modulus, exponent)).bits, 1024);
      assert.equal(parsed(rsa(modulus, exponent)).keyObject.asymmetricKeyDetails?.publicExponent, BigInt(publicExponent));
    }
  });

  it('refuses parameters that would make a certificate unreadable: a NULL that is not empty, and what follows', () => {
    const { spki, subjectPublicKey } = publicKeyOf(rsaKey('client'));
    const withParameters = (...parameters: Uint8Array[]) =>
      sequence(sequence(objectIdentifier(Oid.rsaEncryption), ...parameters), bitString(subjectPublicKey));
    assert.deepEqual(parsed(withParameters(derNull)).spki, spki);
    assert.equal(parsed(withParameters()).bits, 2048);
    for (const parameters of [[tlv(Tag.null, hex('00'))], [derNull, derNull], [sequence()]])
      refused(() => parsed(withParameters(...parameters)), 'malformed');
    const curve = [objectIdentifier(Oid.ecPublicKey), objectIdentifier(Oid.prime256v1)];
    const point = bitString(publicKeyOf(ecKey('prime256v1')).subjectPublicKey);
    assert.equal(parsed(sequence(sequence(...curve), point)).bits, 256);
    refused(() => parsed(sequence(sequence(...curve, derNull), point)), 'malformed');
  });

  it('reads keys on the three NIST curves', () => {
    for (const [curve, bits] of [
      ['prime256v1', 256],
      ['secp384r1', 384],
      ['secp521r1', 521],
    ] as const) {
      const read = publicKeyOf(ecKey(curve));
      assert.deepEqual([read.kind, read.bits], ['EC', bits]);
      assert.equal(read.keyObject.asymmetricKeyDetails?.namedCurve, curve);
    }
  });

  it('reads ML-DSA keys of the three parameter sets', () => {
    for (const [type, octets] of [
      ['ml-dsa-44', 1312],
      ['ml-dsa-65', 1952],
      ['ml-dsa-87', 2592],
    ] as const) {
      const { publicKey } = generateKeyPairSync(type);
      const read = parsed(spkiOf(publicKey));
      assert.deepEqual([read.kind, read.bits, read.subjectPublicKey.length], ['ML-DSA', 8 * octets, octets]);
      assert.ok(read.keyObject.equals(publicKey));
    }
  });

  it('refuses an ML-DSA key that is not as long as its parameter set wants it, or that has parameters', () => {
    const mlDsa = (octets: number, ...parameters: Uint8Array[]) =>
      sequence(sequence(objectIdentifier(Oid.mlDsa65), ...parameters), bitString(Buffer.alloc(octets)));
    assert.equal(parsed(mlDsa(1952)).kind, 'ML-DSA');
    for (const octets of [0, 1312, 1951, 1953, 2592]) {
      refused(() => parsed(mlDsa(octets)), 'malformed', new RegExp(`an ML-DSA key of ${octets} octets`));
    }
    refused(() => parsed(mlDsa(1952, derNull)), 'malformed', /a part too many/);
  });

  it('can name other keys as such', () => {
    for (const type of ['ed25519', 'x25519'] as const)
      assert.equal(parsed(spkiOf(generateKeyPairSync(type as 'ed25519').publicKey)).kind, 'other');
    assert.equal(parsed(spkiOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey)).kind, 'other');
    assert.equal(
      parsed(spkiOf(generateKeyPairSync('ec', { namedCurve: 'prime256v1', paramEncoding: 'explicit' }).publicKey)).kind,
      'other',
    );
    assert.equal(parsed(spkiOf(generateKeyPairSync('rsa-pss', { modulusLength: 1024 }).publicKey)).kind, 'other');
  });

  it('refuses a modulus that is even, negative, zero or longer than 16,384 bits', () => {
    refused(() => parsed(rsa(hex('00 ff fe'), f4)), 'malformed', /even RSA modulus/);
    refused(() => parsed(rsa(hex('ff 01'), f4)), 'malformed', /negative RSA modulus/);
    refused(() => parsed(rsa(hex('00'), f4)), 'malformed', /even RSA modulus/);
    refused(() => parsed(rsa(hex(''), f4)), 'malformed', /empty/);
    assert.equal(parsed(rsa(modulusOf(publicKeyLimits.rsaModulusBitsMax), f4)).bits, 16_384);
    refused(() => parsed(rsa(modulusOf(publicKeyLimits.rsaModulusBitsMax + 1), f4)), 'malformed', /modulus of 16385 bits/);
    refused(() => parsed(rsa(modulusOf(16_400), f4)), 'malformed', /modulus of 16400 bits/);
  });

  it('refuses an exponent that is even, 1, zero, negative or longer than 33 bits', () => {
    const modulus = modulusOf(2048);
    for (const exponent of ['02', '01 00 00', '01', '00']) refused(() => parsed(rsa(modulus, hex(exponent))), 'malformed', /even or 1/);
    refused(() => parsed(rsa(modulus, hex('ff'))), 'malformed', /negative RSA publicExponent/);
    refused(() => parsed(rsa(modulus, hex('02 00 00 00 01'))), 'malformed', /exponent of 34 bits/);
    refused(() => parsed(rsa(modulus, modulus)), 'malformed', /exponent of 2048 bits/);
  });

  it('refuses what is no SubjectPublicKeyInfo', () => {
    const algorithm = encodeAlgorithmIdentifier(Oid.rsaEncryption);
    const wrong = [
      sequence(),
      sequence(algorithm),
      sequence(algorithm, tlv(Tag.bitString, hex('01 00'))),
      sequence(algorithm, bitString(Buffer.alloc(0))),
      sequence(algorithm, bitString(sequence())),
      sequence(algorithm, bitString(sequence(tlv(Tag.integer, modulusOf(512)), tlv(Tag.integer, f4), derNull))),
      sequence(algorithm, bitString(Buffer.concat([sequence(tlv(Tag.integer, modulusOf(512)), tlv(Tag.integer, f4)), Buffer.of(0)]))),
      sequence(algorithm, bitString(sequence()), derNull),
      sequence(sequence(derNull), bitString(sequence())),
    ];
    for (const spki of wrong) refused(() => parsed(spki), 'malformed');
  });
});

describe('a public key that OpenSSL does not take', () => {
  it('is a PkiError when it is used: a point that is not on its curve', () => {
    const point = Buffer.from(publicKeyOf(ecKey('prime256v1')).subjectPublicKey);
    point[64] = (point[64] ?? 0) ^ 1;
    const algorithm = sequence(objectIdentifier(Oid.ecPublicKey), objectIdentifier(Oid.prime256v1));
    const key = parsed(sequence(algorithm, bitString(point)));
    assert.equal(key.kind, 'EC');
    refused(() => key.keyObject, 'malformed', /cannot be used/);
  });
});

describe('equals', () => {
  it('compares keys, not their encodings', () => {
    const key = publicKeyOf(rsaKey('client'));
    const withoutNull = sequence(sequence(objectIdentifier(Oid.rsaEncryption)), bitString(key.subjectPublicKey));
    assert.ok(key.equals(parsed(withoutNull)));
    assert.ok(!key.equals(publicKeyOf(rsaKey('other'))));
    assert.ok(!key.equals(publicKeyOf(ecKey('prime256v1'))));
  });

  it('tells curves apart by more than the octets of the point', () => {
    const p256 = publicKeyOf(ecKey('prime256v1'));
    const p384 = sequence(sequence(objectIdentifier(Oid.ecPublicKey), objectIdentifier(Oid.secp384r1)), bitString(p256.subjectPublicKey));
    assert.ok(!p256.equals(parsed(p384)));
  });

  it('tells ML-DSA keys apart', () => {
    const [one, other] = [generateKeyPairSync('ml-dsa-44').publicKey, generateKeyPairSync('ml-dsa-44').publicKey];
    assert.ok(publicKeyOf(one).equals(parsed(spkiOf(one))));
    assert.ok(!publicKeyOf(one).equals(publicKeyOf(other)));
  });
});
