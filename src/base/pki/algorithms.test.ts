/** Shows how algorithms are named and resolved, and that signatures hold only for the data, key and algorithm they were made with. */
import assert from 'node:assert/strict';
import { constants, hash, sign, verify } from 'node:crypto';
import { describe, it } from 'node:test';
import { refused } from '../../../test/support/pki-error-check.ts';
import { ecKey, rsaKey } from '../../../test/support/pki-fixtures.ts';
import {
  algorithmName,
  contentCiphers,
  createSigner,
  type Digest,
  digestOf,
  digests,
  encodeAlgorithmIdentifier,
  parseAlgorithmIdentifier,
  parseMgf1,
  requireDigest,
  resolveSignatureAlgorithm,
  verifySignature,
} from './algorithms.ts';
import { parseBer } from './asn1.ts';
import { contextConstructed, derNull, integer, objectIdentifier, sequence } from './der.ts';
import { Oid } from './oids.ts';
import { publicKeyOf } from './public-key.ts';

const parsed = (encoded: Uint8Array) => parseAlgorithmIdentifier(parseBer(encoded));
const data = Buffer.from('what is signed');

/** RSASSA-PSS with these parameters; undefined ones are left out. */
function pss(digest?: Digest, mgfDigest?: Digest, saltLength?: number): Uint8Array {
  const parts = [
    digest && contextConstructed(0, encodeAlgorithmIdentifier(digest.oid)),
    mgfDigest && contextConstructed(1, encodeAlgorithmIdentifier(Oid.mgf1, encodeAlgorithmIdentifier(mgfDigest.oid))),
    saltLength === undefined ? undefined : contextConstructed(2, integer(saltLength)),
  ];
  return encodeAlgorithmIdentifier(Oid.rsassaPss, sequence(...parts.filter(part => part !== undefined)));
}

describe('an AlgorithmIdentifier', () => {
  it('is read with its parameters, with NULL and without any', () => {
    assert.equal(parsed(encodeAlgorithmIdentifier(Oid.rsaEncryption)).parameters?.tag, 0x05);
    assert.equal(parsed(sequence(objectIdentifier(Oid.rsaEncryption))).parameters, undefined);
    refused(() => parsed(sequence(objectIdentifier(Oid.rsaEncryption), derNull, derNull)), 'malformed');
    refused(() => parsed(sequence()), 'malformed');
  });

  it('has a name that a person knows, or its number', () => {
    assert.equal(algorithmName('1.3.14.3.2.7'), 'DES-CBC');
    assert.equal(algorithmName('1.2.840.113549.2.5'), 'MD5');
    assert.equal(algorithmName('2.16.840.1.101.3.4.2.1'), 'SHA-256');
    assert.equal(algorithmName('1.2.3'), '1.2.3');
  });
});

describe('a digest', () => {
  it('is the one of its name', () => {
    for (const [name, openssl] of [
      ['SHA-1', 'sha1'],
      ['SHA-256', 'sha256'],
      ['SHA-384', 'sha384'],
      ['SHA-512', 'sha512'],
    ] as const) {
      assert.equal(Buffer.from(digestOf(digests[name], data)).toString('hex'), hash(openssl, data, 'hex'));
    }
  });

  it('is refused by name and number when we do not implement it', () => {
    refused(
      () => requireDigest({ oid: '1.2.840.113549.2.5', parameters: undefined }),
      'unsupportedAlgorithm',
      /1\.2\.840\.113549\.2\.5 \(MD5\)\. Use SHA-256/,
    );
    refused(() => requireDigest({ oid: '1.2.3.4', parameters: undefined }), 'unsupportedAlgorithm', /: 1\.2\.3\.4\. Use/);
  });

  it('of a mask generation function is MGF1’s', () => {
    const mgf1 = parsed(encodeAlgorithmIdentifier(Oid.mgf1, encodeAlgorithmIdentifier(digests['SHA-384'].oid)));
    assert.equal(parseMgf1(mgf1), digests['SHA-384']);
    refused(() => parseMgf1({ oid: '1.2.3', parameters: mgf1.parameters }), 'unsupportedAlgorithm', /MGF1/);
    refused(() => parseMgf1({ oid: Oid.mgf1, parameters: undefined }), 'unsupportedAlgorithm', /MGF1/);
  });
});

describe('a signature of a certificate or a CSR', () => {
  const keys = [
    ['RSA', rsaKey('client'), '1.2.840.113549.1.1.11'],
    ['P-256', ecKey('prime256v1'), '1.2.840.10045.4.3.2'],
    ['P-384', ecKey('secp384r1'), '1.2.840.10045.4.3.3'],
    ['P-521', ecKey('secp521r1'), '1.2.840.10045.4.3.4'],
  ] as const;
  for (const [name, key, oid] of keys) {
    it(`is made and verified with ${name} and the digest that fits it`, () => {
      const signer = createSigner(key);
      const algorithm = parsed(signer.algorithm);
      assert.equal(algorithm.oid, oid);
      assert.equal(algorithm.parameters?.tag, name === 'RSA' ? 0x05 : undefined);
      const signature = signer.sign(data);
      const resolved = resolveSignatureAlgorithm(algorithm);
      assert.ok(verify(digests[resolved.digest].openssl, data, key, signature));
      assert.ok(verifySignature(resolved, publicKeyOf(key), data, signature));
      assert.ok(!verifySignature(resolved, publicKeyOf(key), Buffer.from('something else'), signature));
      for (const [otherName, otherKey] of keys)
        if (otherName !== name) assert.ok(!verifySignature(resolved, publicKeyOf(otherKey), data, signature));
    });
  }

  it('does not hold when it is empty, too short or too long', () => {
    const resolved = resolveSignatureAlgorithm(parsed(createSigner(rsaKey('client')).algorithm));
    for (const length of [0, 1, 255, 257, 10_000])
      assert.ok(!verifySignature(resolved, publicKeyOf(rsaKey('client')), data, Buffer.alloc(length)), `${length}`);
  });

  it('is known by each algorithm of RSA and of ECDSA, SHA-1 too: policy decides on it', () => {
    const oids = { '1.2.840.113549.1.1.5': 'SHA-1', '1.2.840.113549.1.1.13': 'SHA-512', '1.2.840.10045.4.1': 'SHA-1' };
    for (const [oid, digest] of Object.entries(oids))
      assert.equal(resolveSignatureAlgorithm({ oid, parameters: undefined }).digest, digest);
  });

  it('is refused with an algorithm that we do not implement', () => {
    refused(
      () => resolveSignatureAlgorithm({ oid: '1.2.840.113549.1.1.4', parameters: undefined }),
      'unsupportedAlgorithm',
      /MD5 with RSA/,
    );
    refused(() => resolveSignatureAlgorithm({ oid: '1.3.101.112', parameters: undefined }), 'unsupportedAlgorithm', /1\.3\.101\.112/);
    refused(() => resolveSignatureAlgorithm({ oid: Oid.rsaEncryption, parameters: undefined }), 'unsupportedAlgorithm');
    assert.equal(resolveSignatureAlgorithm({ oid: Oid.rsaEncryption, parameters: undefined }, digests['SHA-384']).digest, 'SHA-384');
  });
});

describe('RSASSA-PSS', () => {
  const key = rsaKey('client');
  const signPss = (digest: Digest, saltLength: number) =>
    sign(digest.openssl, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });

  it('is verified with each digest and with any salt', () => {
    for (const digest of Object.values(digests)) {
      for (const saltLength of [0, 20, 32]) {
        const resolved = resolveSignatureAlgorithm(parsed(pss(digest, digest, saltLength)));
        assert.ok(verifySignature(resolved, publicKeyOf(key), data, signPss(digest, saltLength)), `${digest.name} ${saltLength}`);
        assert.ok(!verifySignature(resolved, publicKeyOf(key), data, signPss(digest, saltLength + 1)));
      }
    }
  });

  it('means SHA-1 and a salt of 20 octets where it says nothing', () => {
    const signature = signPss(digests['SHA-1'], 20);
    for (const identifier of [pss(), sequence(objectIdentifier(Oid.rsassaPss))]) {
      assert.ok(verifySignature(resolveSignatureAlgorithm(parsed(identifier)), publicKeyOf(key), data, signature));
    }
  });

  it('is refused with two digests, an unknown one or a salt that cannot be', () => {
    refused(
      () => resolveSignatureAlgorithm(parsed(pss(digests['SHA-256'], undefined, 32))),
      'unsupportedAlgorithm',
      /two different digests/,
    );
    const md5: Digest = { ...digests['SHA-1'], oid: '1.2.840.113549.2.5' };
    refused(() => resolveSignatureAlgorithm(parsed(pss(md5, md5, 16))), 'unsupportedAlgorithm', /MD5/);
    refused(() => resolveSignatureAlgorithm(parsed(pss(digests['SHA-256'], digests['SHA-256'], 513))), 'malformed', /impossible length/);
    refused(() => resolveSignatureAlgorithm(parsed(encodeAlgorithmIdentifier(Oid.rsassaPss, derNull))), 'malformed');
    refused(
      () => resolveSignatureAlgorithm(parsed(encodeAlgorithmIdentifier(Oid.rsassaPss, sequence(contextConstructed(0))))),
      'malformed',
      /empty/,
    );
  });
});

describe('the content ciphers', () => {
  it('have the lengths that their names say', () => {
    const lengths = Object.values(contentCiphers).map(({ name, keyBytes, blockBytes }) => [name, keyBytes * 8, blockBytes * 8]);
    assert.deepEqual(lengths, [
      ['AES-128-CBC', 128, 128],
      ['AES-192-CBC', 192, 128],
      ['AES-256-CBC', 256, 128],
      ['3DES-CBC', 192, 64],
      ['DES-CBC', 64, 64],
    ]);
  });
});
