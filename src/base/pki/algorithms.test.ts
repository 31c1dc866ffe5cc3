/** Shows how algorithms are named and resolved, and that signatures hold only for the data, key and algorithm they were made with. */
import assert from 'node:assert/strict';
import { constants, createPublicKey, generateKeyPairSync, hash, type KeyObject, sign, verify } from 'node:crypto';
import { describe, it } from 'node:test';
import { hex } from '../../../test/support/ber.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { ecKey, rsaKey } from '../../../test/support/pki-fixtures.ts';
import { type SigningAlgorithm, signingAlgorithms } from '../private-ca.ts';
import {
  algorithmName,
  contentCiphers,
  createSigner,
  type Digest,
  digestOf,
  digests,
  encodeAlgorithmIdentifier,
  findSigningAlgorithm,
  parseAlgorithmIdentifier,
  parseMgf1,
  requireDigest,
  resolveSignatureAlgorithm,
  signatureAlgorithmIdentifiers,
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
      assert.ok(resolved.digest !== undefined && verify(digests[resolved.digest].openssl, data, key, signature));
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

const mlDsaKeys = {
  ML_DSA_44: generateKeyPairSync('ml-dsa-44').privateKey,
  ML_DSA_65: generateKeyPairSync('ml-dsa-65').privateKey,
  ML_DSA_87: generateKeyPairSync('ml-dsa-87').privateKey,
};

describe('createSigner', () => {
  const rsaPss = { padding: constants.RSA_PKCS1_PSS_PADDING };
  const ec = ecKey('prime256v1');
  /** How Node verifies what each of AWS's algorithms signs, with the AlgorithmIdentifier of RFC 4055, 5758 and 9881. */
  const cases: Record<SigningAlgorithm, [key: KeyObject, digest: string | null, options: object, identifier: string]> = {
    SHA256WITHRSA: [rsaKey('client'), 'sha256', {}, '30 0d 06 09 2a 86 48 86 f7 0d 01 01 0b 05 00'],
    SHA384WITHRSA: [rsaKey('client'), 'sha384', {}, '30 0d 06 09 2a 86 48 86 f7 0d 01 01 0c 05 00'],
    SHA512WITHRSA: [rsaKey('client'), 'sha512', {}, '30 0d 06 09 2a 86 48 86 f7 0d 01 01 0d 05 00'],
    SHA256WITHRSA_PSS: [rsaKey('client'), 'sha256', { ...rsaPss, saltLength: 32 }, pssIdentifier('01', '20')],
    SHA384WITHRSA_PSS: [rsaKey('client'), 'sha384', { ...rsaPss, saltLength: 48 }, pssIdentifier('02', '30')],
    SHA512WITHRSA_PSS: [rsaKey('client'), 'sha512', { ...rsaPss, saltLength: 64 }, pssIdentifier('03', '40')],
    SHA256WITHECDSA: [ec, 'sha256', {}, '30 0a 06 08 2a 86 48 ce 3d 04 03 02'],
    SHA384WITHECDSA: [ec, 'sha384', {}, '30 0a 06 08 2a 86 48 ce 3d 04 03 03'],
    SHA512WITHECDSA: [ec, 'sha512', {}, '30 0a 06 08 2a 86 48 ce 3d 04 03 04'],
    ML_DSA_44: [mlDsaKeys.ML_DSA_44, null, {}, '30 0b 06 09 60 86 48 01 65 03 04 03 11'],
    ML_DSA_65: [mlDsaKeys.ML_DSA_65, null, {}, '30 0b 06 09 60 86 48 01 65 03 04 03 12'],
    ML_DSA_87: [mlDsaKeys.ML_DSA_87, null, {}, '30 0b 06 09 60 86 48 01 65 03 04 03 13'],
  };

  /** RSASSA-PSS with one SHA-2 digest for both, by the last octet of its OID, and this salt length. */
  function pssIdentifier(digest: string, salt: string): string {
    const sha2 = `30 0d 06 09 60 86 48 01 65 03 04 02 ${digest} 05 00`;
    const mgf1 = `30 1a 06 09 2a 86 48 86 f7 0d 01 01 08 ${sha2}`;
    return `30 41 06 09 2a 86 48 86 f7 0d 01 01 0a 30 34 a0 0f ${sha2} a1 1c ${mgf1} a2 03 02 01 ${salt}`;
  }

  for (const signing of signingAlgorithms) {
    it(`signs with ${signing}, which our codec and Node verify`, () => {
      const [key, digest, options, identifier] = cases[signing];
      const signer = createSigner(key, signing);
      assert.deepEqual(Buffer.from(signer.algorithm), hex(identifier));
      const signature = signer.sign(data);
      assert.ok(verify(digest, data, { key: createPublicKey(key), ...options }, signature));
      const resolved = resolveSignatureAlgorithm(parsed(signer.algorithm));
      assert.ok(verifySignature(resolved, publicKeyOf(key), data, signature));
      assert.ok(!verifySignature(resolved, publicKeyOf(key), Buffer.from('something else'), signature));
      assert.equal(findSigningAlgorithm(signer.algorithm), signing);
    });
  }

  it('uses the digest that fits the key, and ML-DSA of the key’s parameter set, unless told otherwise', () => {
    const usual = [rsaKey('client'), ecKey('prime256v1'), ecKey('secp384r1'), ecKey('secp521r1'), ...Object.values(mlDsaKeys)].map(key =>
      findSigningAlgorithm(createSigner(key).algorithm),
    );
    const ecdsa = ['SHA256WITHECDSA', 'SHA384WITHECDSA', 'SHA512WITHECDSA'];
    assert.deepEqual(usual, ['SHA256WITHRSA', ...ecdsa, 'ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87']);
  });

  it('signs on each curve with each digest', () => {
    for (const curve of ['prime256v1', 'secp384r1', 'secp521r1'] as const) {
      for (const signing of ['SHA256WITHECDSA', 'SHA384WITHECDSA', 'SHA512WITHECDSA'] as const) {
        const signature = createSigner(ecKey(curve), signing).sign(data);
        assert.ok(verify(cases[signing][1], data, createPublicKey(ecKey(curve)), signature), `${curve} ${signing}`);
      }
    }
  });

  it('is a TypeError for an algorithm of another family than the key, and for a key that signs no certificate', () => {
    const family = (signing: SigningAlgorithm) => cases[signing][0];
    for (const signing of signingAlgorithms) {
      for (const other of signingAlgorithms.filter(candidate => family(candidate) !== family(signing))) {
        assert.throws(() => createSigner(family(signing), other), {
          name: 'TypeError',
          message: new RegExp(`does not sign with ${other}`),
        });
      }
    }
    assert.throws(() => createSigner(generateKeyPairSync('ed25519').privateKey), { name: 'TypeError', message: /ed25519/ });
    assert.throws(() => createSigner(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey), TypeError);
  });

  it('does not know an identifier that is not of its own making', () => {
    assert.equal(findSigningAlgorithm(encodeAlgorithmIdentifier('1.2.840.113549.1.1.5')), undefined);
    assert.equal(findSigningAlgorithm(encodeAlgorithmIdentifier(Oid.mlDsa44)), undefined);
  });
});

describe('ML-DSA', () => {
  it('does not hold for the key of another parameter set, nor under the name of one', () => {
    for (const [signing, key] of Object.entries(mlDsaKeys) as [keyof typeof mlDsaKeys, KeyObject][]) {
      const signature = createSigner(key).sign(data);
      for (const other of Object.keys(mlDsaKeys) as (keyof typeof mlDsaKeys)[]) {
        const named = resolveSignatureAlgorithm(parsed(signatureAlgorithmIdentifiers[other]));
        assert.equal(verifySignature(named, publicKeyOf(key), data, signature), other === signing);
        const own = resolveSignatureAlgorithm(parsed(signatureAlgorithmIdentifiers[signing]));
        assert.equal(verifySignature(own, publicKeyOf(mlDsaKeys[other]), data, signature), other === signing);
      }
      assert.ok(
        !verifySignature(resolveSignatureAlgorithm(parsed(createSigner(key).algorithm)), publicKeyOf(rsaKey('client')), data, signature),
      );
    }
  });

  it('does not hold when it is empty, too short or too long', () => {
    const resolved = resolveSignatureAlgorithm(parsed(signatureAlgorithmIdentifiers.ML_DSA_65));
    const signature = createSigner(mlDsaKeys.ML_DSA_65).sign(data);
    const wrong = [Buffer.alloc(0), Buffer.alloc(3309), signature.subarray(1), Buffer.concat([signature, Buffer.of(0)])];
    for (const bad of wrong) assert.ok(!verifySignature(resolved, publicKeyOf(mlDsaKeys.ML_DSA_65), data, bad));
  });

  it('is malformed with parameters, and refused by name in a SignerInfo', () => {
    refused(() => resolveSignatureAlgorithm(parsed(encodeAlgorithmIdentifier(Oid.mlDsa65))), 'malformed', /ML-DSA with parameters/);
    const identifier = parsed(signatureAlgorithmIdentifiers.ML_DSA_65);
    refused(() => resolveSignatureAlgorithm(identifier, digests['SHA-512']), 'unsupportedAlgorithm', /\(ML-DSA-65\)\. Use RSA/);
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
