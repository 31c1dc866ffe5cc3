/** Shows that we read the certificates that node-forge, pkijs and OpenSSL make, and they ours, and that a signature holds for its bytes alone. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as fc from 'fast-check';
import forge from 'node-forge';
import * as pkijs from 'pkijs';
import { hex } from '../../../test/support/ber.ts';
import {
  forgeAsn1,
  forgeDer,
  forgePrivateKey,
  forgePublicKey,
  pkijsCertificate,
  pkijsName,
  type WebSignature,
  webKeyPair,
} from '../../../test/support/foreign-pki.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa, createIdentity, ecKey, rsaKey, seed, validity } from '../../../test/support/pki-fixtures.ts';
import type { SigningAlgorithm } from '../private-ca.ts';
import { createSigner, signatureAlgorithmIdentifiers } from './algorithms.ts';
import { parseBer } from './asn1.ts';
import { bitString, contextConstructed, derNull, integer, sequence, time, tlv } from './der.ts';
import {
  generalName,
  KeyUsage,
  parseBasicConstraints,
  parseExtKeyUsage,
  parseKeyUsage,
  parseSubjectAltName,
  subjectAltNameExtension,
} from './extensions.ts';
import { formatName, namesEqual, parseNameString } from './name.ts';
import { Oid } from './oids.ts';
import { publicKeyOf } from './public-key.ts';
import {
  createCertificate,
  encodeTbsCertificate,
  fingerprint,
  formatSerialNumber,
  isSelfIssued,
  parseCertificate,
  signatureAlgorithmOf,
  signTbsCertificate,
  subjectKeyIdentifier,
  verifyCertificateSignature,
} from './x509.ts';

const { ca, ra } = createCaAndRa();

describe('parseCertificate', () => {
  it('reads what node-forge makes', () => {
    const [issuerKey, publicKey] = [forgePrivateKey(rsaKey('ca')), forgePublicKey(rsaKey('client'))];
    const text = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 });
    const second = fc.integer({ min: Date.UTC(1970, 0) / 1000, max: Date.UTC(2049, 11) / 1000 });
    fc.assert(
      fc.property(
        text,
        text,
        fc.uint8Array({ minLength: 1, maxLength: 20 }),
        second,
        second,
        (commonName, organization, serial, from, to) => {
          const made = forge.pki.createCertificate();
          const serialNumber = `01${Buffer.from(serial).toString('hex')}`;
          Object.assign(made, { serialNumber, publicKey });
          Object.assign(made.validity, { notBefore: new Date(from * 1000), notAfter: new Date(to * 1000) });
          made.setSubject([
            { shortName: 'CN', value: commonName },
            { shortName: 'O', value: organization },
          ]);
          made.setIssuer([{ shortName: 'CN', value: 'Example Root' }]);
          made.setExtensions([
            { name: 'basicConstraints', cA: true, pathLenConstraint: 2 },
            { name: 'keyUsage', digitalSignature: true, keyCertSign: true },
            { name: 'extKeyUsage', clientAuth: true, '1.2.3.4': true },
            {
              name: 'subjectAltName',
              altNames: [
                { type: 2, value: 'a.example.com' },
                { type: 7, ip: '192.0.2.7' },
              ],
            },
          ]);
          made.sign(issuerKey, forge.md.sha256.create());
          const read = parseCertificate(forgeDer(forge.pki.certificateToAsn1(made)));
          assert.equal(read.serialNumber, serialNumber.padStart(32, '0'));
          assert.deepEqual(
            read.subject.rdns.flat().map(({ value }) => value),
            [commonName, organization],
          );
          assert.deepEqual([read.notBefore, read.notAfter], [from * 1000, to * 1000]);
          assert.ok(read.publicKey.equals(publicKeyOf(rsaKey('client'))));
          verifyCertificateSignature(read, ca.certificate);
          const [constraints, keyUsage, extKeyUsage, altName] = read.extensions;
          assert.ok(constraints && keyUsage && extKeyUsage && altName);
          assert.deepEqual(parseBasicConstraints(constraints), { cA: true, pathLenConstraint: 2 });
          assert.deepEqual([...parseKeyUsage(keyUsage)], [KeyUsage.digitalSignature, KeyUsage.keyCertSign]);
          assert.deepEqual(parseExtKeyUsage(extKeyUsage).sort(), ['1.2.3.4', Oid.clientAuth]);
          assert.deepEqual(
            parseSubjectAltName(altName).map(({ value }) => value),
            ['a.example.com', '192.0.2.7'],
          );
        },
      ),
      { seed, numRuns: 30 },
    );
  });

  const signatures: [string, KeyObject, WebSignature][] = [
    ...(['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'] as const).flatMap((hash): [string, KeyObject, WebSignature][] => [
      [`RSA with ${hash}`, rsaKey('client'), { name: 'RSASSA-PKCS1-v1_5', hash }],
      [`RSASSA-PSS with ${hash}`, rsaKey('client'), { name: 'RSA-PSS', hash }],
    ]),
    ['ECDSA on P-256', ecKey('prime256v1'), { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' }],
    ['ECDSA on P-384', ecKey('secp384r1'), { name: 'ECDSA', hash: 'SHA-384', namedCurve: 'P-384' }],
    ['ECDSA on P-521', ecKey('secp521r1'), { name: 'ECDSA', hash: 'SHA-512', namedCurve: 'P-521' }],
  ];
  for (const [name, key, signature] of signatures) {
    it(`reads and verifies what pkijs makes: ${name}`, async () => {
      const { privateKey, publicKey } = await webKeyPair(key, signature);
      const subject = pkijsName([
        [Oid.commonName, new asn1js.BmpString({ value: 'gerät' })],
        ['2.5.4.10', new asn1js.TeletexString({ value: 'Lab' })],
      ]);
      const made = new pkijs.Certificate({
        version: 2,
        serialNumber: new asn1js.Integer({ value: 4711 }),
        issuer: subject,
        subject,
        notBefore: new pkijs.Time({ type: 0, value: new Date(validity.notBefore) }),
        notAfter: new pkijs.Time({ type: 1, value: new Date(Date.UTC(2060, 0, 1)) }),
      });
      await made.subjectPublicKeyInfo.importKey(publicKey);
      await made.sign(privateKey, signature.hash);
      const read = parseCertificate(Buffer.from(made.toSchema(true).toBER()));
      assert.equal(read.serialNumber, formatSerialNumber(hex('12 67')));
      // pkijs writes all attributes into one RDN.
      assert.equal(formatName(read.subject), 'CN=gerät+O=Lab');
      assert.deepEqual([read.notBefore, read.notAfter], [validity.notBefore, Date.UTC(2060, 0, 1)]);
      assert.ok(read.publicKey.equals(publicKeyOf(key)));
      assert.ok(isSelfIssued(read));
      verifyCertificateSignature(read, read);
      refused(() => verifyCertificateSignature(read, ra.certificate), 'badSignature', /not signed by its issuer/);
    });
  }

  /** The parts of a tbsCertificate in order; a test leaves one out or puts another in its place. */
  const parts = () => {
    const name = parseNameString('CN=a').der;
    const algorithm = createSigner(ecKey('prime256v1')).algorithm;
    const times = sequence(time(validity.notBefore), time(validity.notAfter));
    return [contextConstructed(0, integer(2)), integer(1), algorithm, name, times, name, publicKeyOf(ecKey('prime256v1')).spki];
  };
  const certificateOf = (tbs: readonly Uint8Array[]) => {
    const signer = createSigner(ecKey('prime256v1'));
    return sequence(sequence(...tbs), signer.algorithm, bitString(signer.sign(sequence(...tbs))));
  };

  it('reads version 1, as certmonger signs with it, and the unique identifiers that nobody writes', () => {
    const version1 = parseCertificate(certificateOf(parts().slice(1)));
    assert.deepEqual(version1.extensions, []);
    verifyCertificateSignature(version1, version1);
    const withIdentifiers = [...parts(), tlv(0x81, hex('00 61')), tlv(0x82, hex('00 61'))];
    assert.equal(parseCertificate(certificateOf(withIdentifiers)).extensions.length, 0);
  });

  it('refuses a certificate that lacks a part, has one too many or one of another type', () => {
    const whole = parts();
    for (let index = 1; index < whole.length; index++) {
      refused(() => parseCertificate(certificateOf(whole.toSpliced(index, 1))), 'malformed');
      refused(() => parseCertificate(certificateOf(whole.with(index, derNull))), 'malformed');
    }
    refused(() => parseCertificate(certificateOf([...whole, derNull])), 'malformed', /a part too many/);
    refused(() => parseCertificate(certificateOf(whole.with(4, sequence(time(0))))), 'malformed', /without two times/);
    refused(() => parseCertificate(sequence(sequence(...whole))), 'malformed');
    refused(() => parseCertificate(derNull), 'malformed');
    refused(() => parseCertificate(Buffer.alloc(0)), 'malformed');
  });

  it('refuses a signature with an algorithm that we do not implement', () => {
    const unknown = sequence(sequence(...parts()), sequence(tlv(0x06, hex('2a 03'))), bitString(Buffer.alloc(8)));
    const certificate = parseCertificate(unknown);
    refused(() => verifyCertificateSignature(certificate, certificate), 'unsupportedAlgorithm', /1\.2\.3/);
  });
});

describe('a serial number', () => {
  it('is at least 32 hexadecimal digits without a sign', () => {
    assert.equal(formatSerialNumber(hex('05')), '5'.padStart(32, '0'));
    assert.equal(formatSerialNumber(hex('00 ff')), 'ff'.padStart(32, '0'));
    assert.equal(formatSerialNumber(hex('00')), '0'.repeat(32));
    assert.equal(formatSerialNumber(hex(`00${'ab'.repeat(20)}`)), 'ab'.repeat(20));
    assert.equal(formatSerialNumber(hex('11'.repeat(64))).length, 128);
    refused(() => formatSerialNumber(hex('11'.repeat(65))), 'malformed', /impossible length/);
  });

  it('is kept as received for naming the certificate', () => {
    const { certificate } = createIdentity({ key: ecKey('prime256v1'), serialNumber: 'ff01' });
    assert.deepEqual(Buffer.from(certificate.serialNumberDer), hex('02 03 00 ff 01'));
  });
});

describe('createCertificate', () => {
  const leaf = createIdentity({
    issuer: ca,
    subject: 'CN=Gerät 7,O=Example\\, Inc.,C=CH',
    extensions: [subjectAltNameExtension([generalName.dns('a.example.com')], false)],
    serialNumber: '8000000000000000000000000000002a',
  });

  it('makes what OpenSSL, node-forge and pkijs read and verify', async () => {
    const openssl = new X509Certificate(leaf.certificate.der);
    assert.equal(openssl.subject, 'C=CH\nO=Example\\, Inc.\nCN=Gerät 7');
    assert.equal(openssl.serialNumber, leaf.certificate.serialNumber.toUpperCase());
    assert.equal(openssl.validFromDate.getTime(), validity.notBefore);
    assert.equal(openssl.validToDate.getTime(), validity.notAfter);
    assert.equal(openssl.fingerprint256.replaceAll(':', '').toLowerCase(), fingerprint(leaf.certificate.der));
    assert.ok(openssl.verify(new X509Certificate(ca.certificate.der).publicKey));
    assert.ok(openssl.checkIssued(new X509Certificate(ca.certificate.der)));

    const forgeCa = forge.pki.certificateFromAsn1(forgeAsn1(ca.certificate.der));
    const forgeLeaf = forge.pki.certificateFromAsn1(forgeAsn1(leaf.certificate.der));
    assert.ok(forgeCa.verify(forgeLeaf));
    assert.equal(forgeLeaf.serialNumber, `00${leaf.certificate.serialNumber}`);
    assert.ok(await pkijsCertificate(leaf.certificate.der).verify(pkijsCertificate(ca.certificate.der)));
  });

  it('signs with each key that a CA may have', async () => {
    for (const key of [rsaKey('ca'), ecKey('prime256v1'), ecKey('secp384r1'), ecKey('secp521r1')]) {
      const root = createIdentity({ key });
      const issued = createIdentity({ issuer: root, subject: 'CN=issued' });
      verifyCertificateSignature(issued.certificate, root.certificate);
      assert.ok(new X509Certificate(issued.certificate.der).verify(new X509Certificate(root.certificate.der).publicKey));
      assert.ok(await pkijsCertificate(issued.certificate.der).verify(pkijsCertificate(root.certificate.der)));
    }
  });

  it('signs with ML-DSA as Node verifies it, and is not fooled by another key', () => {
    for (const type of ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const) {
      const root = createIdentity({ key: generateKeyPairSync(type).privateKey, subject: 'CN=Quantum Root' });
      const issued = createIdentity({ issuer: root, subject: 'CN=issued', key: generateKeyPairSync(type).privateKey });
      const [nodeRoot, nodeIssued] = [new X509Certificate(root.certificate.der), new X509Certificate(issued.certificate.der)];
      assert.ok(nodeIssued.verify(nodeRoot.publicKey) && nodeIssued.checkIssued(nodeRoot), type);
      assert.equal(nodeIssued.publicKey.asymmetricKeyType, type);
      assert.ok(!nodeIssued.verify(nodeIssued.publicKey));
      verifyCertificateSignature(issued.certificate, root.certificate);
      refused(() => verifyCertificateSignature(issued.certificate, issued.certificate), 'badSignature');
      const altered = Buffer.from(issued.certificate.der);
      altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
      refused(() => verifyCertificateSignature(parseCertificate(altered), root.certificate), 'badSignature');
    }
  });

  it('signs with RSASSA-PSS as Node and pkijs verify it', async () => {
    const subjectPublicKeyInfo = publicKeyOf(rsaKey('client')).spki;
    const name = parseNameString('CN=PSS').der;
    const template = { serialNumber: '01', issuer: name, subject: name, subjectPublicKeyInfo, ...validity, extensions: [] };
    for (const signing of ['SHA256WITHRSA_PSS', 'SHA384WITHRSA_PSS', 'SHA512WITHRSA_PSS'] satisfies SigningAlgorithm[]) {
      const der = createCertificate(template, createSigner(rsaKey('client'), signing));
      assert.ok(new X509Certificate(der).verify(new X509Certificate(der).publicKey), signing);
      assert.ok(await pkijsCertificate(der).verify());
      verifyCertificateSignature(parseCertificate(der), parseCertificate(der));
    }
  });

  it('writes validity up to the last second there is, as UTCTime until 2049 and as GeneralizedTime after', () => {
    const { issuer, subject, publicKey } = ca.certificate;
    const template = { serialNumber: '01', issuer: issuer.der, subject: subject.der, subjectPublicKeyInfo: publicKey.spki, extensions: [] };
    for (const [notAfter, header, text] of [
      [Date.UTC(2049, 11, 31, 23, 59, 59), '17 0d', '491231235959Z'],
      [Date.UTC(2050, 0, 1), '18 0f', '20500101000000Z'],
      [Date.UTC(9999, 11, 31, 23, 59, 59), '18 0f', '99991231235959Z'],
    ] as const) {
      const der = createCertificate({ ...template, notBefore: 0, notAfter }, createSigner(rsaKey('ca')));
      assert.ok(Buffer.from(der).includes(Buffer.concat([time(0), hex(header), Buffer.from(text)])), text);
      assert.equal(parseCertificate(der).notAfter, notAfter);
      assert.equal(new X509Certificate(der).validToDate.getTime(), notAfter);
    }
  });

  it('gives back what it was built from', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
    const signer = createSigner(ecKey('prime256v1'));
    fc.assert(
      fc.property(
        name,
        fc.uint8Array({ minLength: 16, maxLength: 20 }),
        fc.nat(2 ** 32),
        fc.uint8Array({ maxLength: 300 }),
        (text, serial, from, value) => {
          const subject = parseNameString(`CN=${[...Buffer.from(text)].map(octet => `\\${octet.toString(16).padStart(2, '0')}`).join('')}`);
          const template = {
            serialNumber: Buffer.from(serial).toString('hex'),
            issuer: ca.certificate.subject.der,
            subject: subject.der,
            subjectPublicKeyInfo: ca.certificate.publicKey.spki,
            notBefore: from * 1000,
            notAfter: from * 2000,
            extensions: [{ oid: '1.2.3', critical: true, value }],
          };
          const read = parseCertificate(createCertificate(template, signer));
          assert.equal(read.subject.rdns[0]?.[0]?.value, text);
          assert.ok(namesEqual(read.subject, subject));
          assert.ok(namesEqual(read.issuer, ca.certificate.subject));
          assert.equal(BigInt(`0x${read.serialNumber}`), BigInt(`0x${template.serialNumber}`));
          assert.deepEqual([read.notBefore, read.notAfter], [template.notBefore, template.notAfter]);
          assert.deepEqual(
            read.extensions.map(extension => ({ ...extension, value: [...extension.value] })),
            [{ oid: '1.2.3', critical: true, value: [...value] }],
          );
          assert.ok(read.publicKey.equals(ca.certificate.publicKey));
        },
      ),
      { seed, numRuns: 200 },
    );
  });
});

describe('a tbsCertificate', () => {
  const subject = parseNameString('CN=later').der;
  const subjectPublicKeyInfo = publicKeyOf(ecKey('prime256v1')).spki;
  const template = { serialNumber: '0a', issuer: subject, subject, subjectPublicKeyInfo, ...validity, extensions: [] };

  it('is encoded without a key and signed later', () => {
    const tbsCertificate = encodeTbsCertificate(template, signatureAlgorithmIdentifiers.SHA384WITHECDSA);
    assert.deepEqual(Buffer.from(signatureAlgorithmOf(tbsCertificate)), signatureAlgorithmIdentifiers.SHA384WITHECDSA);
    const der = signTbsCertificate(tbsCertificate, createSigner(ecKey('prime256v1'), 'SHA384WITHECDSA'));
    const certificate = parseCertificate(der);
    assert.deepEqual(Buffer.from(certificate.tbsCertificate), tbsCertificate);
    verifyCertificateSignature(certificate, certificate);
    assert.ok(new X509Certificate(der).verify(new X509Certificate(der).publicKey));
  });

  it('is not signed with another algorithm than it names', () => {
    const tbsCertificate = encodeTbsCertificate(template, signatureAlgorithmIdentifiers.SHA256WITHECDSA);
    for (const signer of [createSigner(ecKey('prime256v1'), 'SHA384WITHECDSA'), createSigner(rsaKey('ca'))]) {
      assert.throws(() => signTbsCertificate(tbsCertificate, signer), { name: 'TypeError', message: /another signature algorithm/ });
    }
    refused(() => signTbsCertificate(derNull, createSigner(rsaKey('ca'))), 'malformed', /tbsCertificate/);
  });
});

describe('a certificate', () => {
  it('knows its key identifier, and its issuer apart from itself', () => {
    const identifier = createHash('sha1').update(ra.certificate.publicKey.subjectPublicKey).digest();
    assert.deepEqual(Buffer.from(subjectKeyIdentifier(ra.certificate) ?? []), identifier);
    assert.equal(subjectKeyIdentifier(createIdentity().certificate), undefined);
    assert.ok(isSelfIssued(ca.certificate));
    assert.ok(!isSelfIssued(ra.certificate));
  });

  it('is the octets that were received, to the last', () => {
    assert.deepEqual(parseCertificate(parseBer(ra.certificate.der)).der, ra.certificate.der);
    assert.ok(Buffer.from(ra.certificate.der).includes(Buffer.from(ra.certificate.tbsCertificate)));
  });
});
