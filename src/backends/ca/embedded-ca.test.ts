/** The embedded authority with every kind of key, on real worker threads: what it signs is verified by Node and by our own codec. */
import assert from 'node:assert/strict';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { after, describe, it } from 'node:test';
import {
  findSigningAlgorithm,
  parseAlgorithmIdentifier,
  resolveSignatureAlgorithm,
  signatureAlgorithmIdentifiers,
  verifySignature,
} from '../../base/pki/algorithms.ts';
import { parseBer } from '../../base/pki/asn1.ts';
import { authorityKeyIdentifierExtension, KeyUsage, keyUsageExtension, parseBasicConstraints } from '../../base/pki/extensions.ts';
import { parseNameString } from '../../base/pki/name.ts';
import { publicKeyOf } from '../../base/pki/public-key.ts';
import {
  encodeTbsCertificate,
  parseCertificate,
  signatureAlgorithmOf,
  subjectKeyIdentifier,
  verifyCertificateSignature,
} from '../../base/pki/x509.ts';
import { isSigningAlgorithmOf, type KeyAlgorithm, keyAlgorithms, type SigningAlgorithm, signingAlgorithms } from '../../base/private-ca.ts';
import { WorkerPool } from '../../base/worker-pool.ts';
import { createRootCertificate, EmbeddedCertificateAuthority, generatePrivateKey, signTbsTask } from './embedded-ca.ts';

const validity = { notBefore: Date.UTC(2026, 0, 1), notAfter: Date.UTC(2051, 0, 1) } as const;
const subject = parseNameString('CN=Example Root,O=Example').der;
const keys = new Map(await Promise.all(keyAlgorithms.map(async algorithm => [algorithm, await generatePrivateKey(algorithm)] as const)));

function keyOf(algorithm: KeyAlgorithm): KeyObject {
  const key = keys.get(algorithm);
  assert.ok(key);
  return key;
}

describe('generatePrivateKey', () => {
  it('makes the key that AWS Private CA’s name says', () => {
    const made = keyAlgorithms.map(algorithm => {
      const { asymmetricKeyType, asymmetricKeyDetails } = keyOf(algorithm);
      return [asymmetricKeyType, asymmetricKeyDetails?.modulusLength ?? asymmetricKeyDetails?.namedCurve];
    });
    assert.deepEqual(made, [
      ['rsa', 2048],
      ['rsa', 3072],
      ['rsa', 4096],
      ['ec', 'prime256v1'],
      ['ec', 'secp384r1'],
      ['ec', 'secp521r1'],
      ['ml-dsa-44', undefined],
      ['ml-dsa-65', undefined],
      ['ml-dsa-87', undefined],
    ]);
  });
});

describe('an embedded authority', () => {
  const pool = new WorkerPool(1);
  after(() => pool[Symbol.asyncDispose]());

  /** With its key as the store gives it back: sealed and opened as PKCS#8. */
  function openAuthority(algorithm: KeyAlgorithm, signing?: SigningAlgorithm): EmbeddedCertificateAuthority {
    const privateKey = createPrivateKey({ key: keyOf(algorithm).export({ format: 'der', type: 'pkcs8' }), format: 'der', type: 'pkcs8' });
    const root = parseCertificate(createRootCertificate(privateKey, { serialNumber: '01', subject, ...validity }));
    const signingAlgorithm = signing ?? findSigningAlgorithm(signatureAlgorithmOf(root.tbsCertificate));
    assert.ok(signingAlgorithm);
    return new EmbeddedCertificateAuthority({ certificates: [root], privateKey, signingAlgorithm, crlUrl: undefined, workers: pool });
  }

  const device = publicKeyOf(keyOf('EC_secp521r1'));
  const request = {
    issuanceId: '8000000000000000000000000000002a',
    subject: parseNameString('CN=printer-7').der,
    subjectPublicKeyInfo: device.spki,
    extensions: [keyUsageExtension([KeyUsage.digitalSignature])],
    ...validity,
  };

  for (const algorithm of keyAlgorithms) {
    for (const signing of signingAlgorithms.filter(candidate => isSigningAlgorithmOf(candidate, algorithm))) {
      it(`with ${algorithm} issues and revokes with ${signing}`, async () => {
        const authority = openAuthority(algorithm, signing);
        const [root] = authority.certificates;
        const der = await authority.issue(request);
        const issued = parseCertificate(der);
        verifyCertificateSignature(issued, root);
        assert.equal(findSigningAlgorithm(signatureAlgorithmOf(issued.tbsCertificate)), signing);
        const [nodeIssued, nodeRoot] = [new X509Certificate(der), new X509Certificate(root.der)];
        assert.ok(nodeIssued.verify(nodeRoot.publicKey) && nodeIssued.checkIssued(nodeRoot));

        const list = await authority.signCertificateList({
          cRLNumber: 7,
          thisUpdate: validity.notBefore,
          nextUpdate: validity.notAfter,
          revokedCertificates: [{ serialNumber: issued.serialNumber, revokedAt: validity.notBefore, reason: 'KEY_COMPROMISE' }],
        });
        const [tbsCertList, algorithmIdentifier, signature] = parseBer(list).elements('CertificateList');
        assert.ok(tbsCertList && algorithmIdentifier && signature);
        assert.equal(findSigningAlgorithm(algorithmIdentifier.bytes), signing);
        const resolved = resolveSignatureAlgorithm(parseAlgorithmIdentifier(algorithmIdentifier));
        assert.ok(verifySignature(resolved, root.publicKey, tbsCertList.bytes, signature.bitStringOctets()));
        assert.ok(tbsCertList.bytes.includes(Buffer.from(subject)));
        assert.ok(tbsCertList.bytes.includes(Buffer.from(subjectKeyIdentifier(root) ?? [])));
        assert.ok(tbsCertList.bytes.includes(Buffer.from(request.issuanceId, 'hex')));
      });
    }
  }

  it('issues what was asked for, with the extensions of AWS’s end entity template', async () => {
    const authority = openAuthority('EC_prime256v1');
    const [root] = authority.certificates;
    const issued = parseCertificate(await authority.issue(request));
    assert.equal(issued.serialNumber, request.issuanceId);
    assert.deepEqual([issued.notBefore, issued.notAfter], [validity.notBefore, validity.notAfter]);
    assert.deepEqual(Buffer.from(issued.issuer.der), Buffer.from(root.subject.der));
    assert.ok(issued.publicKey.equals(device));
    assert.deepEqual(Buffer.from(subjectKeyIdentifier(issued) ?? []), Buffer.from(device.keyIdentifier));
    const [basicConstraints, authorityKeyIdentifier, , keyUsage] = issued.extensions;
    assert.ok(basicConstraints && authorityKeyIdentifier && keyUsage);
    assert.deepEqual(parseBasicConstraints(basicConstraints), { cA: false, pathLenConstraint: undefined });
    const expected = authorityKeyIdentifierExtension(subjectKeyIdentifier(root) ?? Buffer.alloc(0));
    assert.deepEqual(Buffer.from(authorityKeyIdentifier.value), Buffer.from(expected.value));
    assert.deepEqual(
      { ...keyUsage, value: Buffer.from(keyUsage.value).toString('hex') },
      { oid: '2.5.29.15', critical: true, value: '03020780' },
    );
  });

  /** A self-signed certificate to be, for this key and by this algorithm. */
  function selfSignedTbs(algorithm: KeyAlgorithm, signatureAlgorithm: Uint8Array): Uint8Array {
    const { spki: subjectPublicKeyInfo } = publicKeyOf(keyOf(algorithm));
    const template = { serialNumber: '02', issuer: subject, subject, subjectPublicKeyInfo, ...validity, extensions: [] };
    return encodeTbsCertificate(template, signatureAlgorithm);
  }

  it('signs a tbsCertificate with the algorithm that it names, whichever it uses itself', async () => {
    const authority = openAuthority('RSA_2048', 'SHA256WITHRSA');
    for (const signing of signingAlgorithms.filter(candidate => isSigningAlgorithmOf(candidate, 'RSA_2048'))) {
      const tbsCertificate = selfSignedTbs('RSA_2048', signatureAlgorithmIdentifiers[signing]);
      const certificate = parseCertificate(await authority.signTbs(tbsCertificate));
      assert.deepEqual(Buffer.from(certificate.tbsCertificate), Buffer.from(tbsCertificate));
      verifyCertificateSignature(certificate, certificate);
    }
  });

  it('does not sign a tbsCertificate for another family of keys or by an algorithm that AWS does not have', async () => {
    const authority = openAuthority('RSA_2048');
    for (const signing of ['SHA256WITHECDSA', 'ML_DSA_65'] as const) {
      await assert.rejects(authority.signTbs(selfSignedTbs('RSA_2048', signatureAlgorithmIdentifiers[signing])), /does not sign with/);
    }
    const sha1WithRsa = Buffer.from('300d06092a864886f70d0101050500', 'hex');
    await assert.rejects(authority.signTbs(selfSignedTbs('RSA_2048', sha1WithRsa)), /a signature algorithm that no authority has/);
    await assert.rejects(
      openAuthority('ML_DSA_44').signTbs(selfSignedTbs('ML_DSA_44', signatureAlgorithmIdentifiers.ML_DSA_65)),
      /does not/,
    );
  });

  it('gets its first certificate from its key alone', async () => {
    const tbsCertificate = selfSignedTbs('ML_DSA_65', signatureAlgorithmIdentifiers.ML_DSA_65);
    const root = parseCertificate(await pool.run(signTbsTask, { tbsCertificate, privateKey: keyOf('ML_DSA_65') }));
    verifyCertificateSignature(root, root);
    const authority = new EmbeddedCertificateAuthority({
      certificates: [root],
      privateKey: keyOf('ML_DSA_65'),
      signingAlgorithm: 'ML_DSA_65',
      crlUrl: undefined,
      workers: pool,
    });
    verifyCertificateSignature(parseCertificate(await authority.issue(request)), root);
  });
});
