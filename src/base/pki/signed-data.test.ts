/** Shows that SignedData is read, verified over the received bytes and made as others do it. */
import assert from 'node:assert/strict';
import { constants, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as fc from 'fast-check';
import * as pkijs from 'pkijs';
import { rewritten, segmented, streamed } from '../../../test/support/ber.ts';
import { cmsAttributes, type SignerInfoParts, signedData, signedMessage, signerInfo } from '../../../test/support/cms-parts.ts';
import { asn1Of, pkijsSignedData, pkijsVerifies, type WebSignature, webKeyPair } from '../../../test/support/foreign-pki.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa, createIdentity, defaultPolicy, ecKey, laxPolicy, rsaKey, seed } from '../../../test/support/pki-fixtures.ts';
import { digests, encodeAlgorithmIdentifier } from './algorithms.ts';
import { parseBer, Tag } from './asn1.ts';
import { contextConstructed, derNull, integer, objectIdentifier, octetString, printableString, sequence, tlv, utf8String } from './der.ts';
import { subjectKeyIdentifierExtension } from './extensions.ts';
import { Oid } from './oids.ts';
import {
  encodeDegenerate,
  encodeSignedData,
  findSignerCertificate,
  onlySigner,
  parseSignedData,
  requiredAttribute,
  verifySignerInfo,
} from './signed-data.ts';

const { ca, ra } = createCaAndRa();
const signer = createIdentity();
const content = Buffer.from('the content');

/** All that a receiver does: throws a PkiError unless the message has one signer and its signature holds. */
function verify(message: Uint8Array, policy = defaultPolicy): Buffer {
  const parsed = parseSignedData(message);
  const signerOf = onlySigner(parsed);
  verifySignerInfo(parsed, signerOf, findSignerCertificate(signerOf, parsed.certificates), policy);
  return Buffer.from(parsed.eContent ?? []);
}

const message = (parts: Partial<SignerInfoParts> = {}) => signedMessage(content, { signer, attributes: cmsAttributes(content), ...parts });

describe('SignedData by pkijs', () => {
  const signatures: WebSignature[] = (['SHA-256', 'SHA-384', 'SHA-512', 'SHA-1'] as const).flatMap((hash): WebSignature[] => [
    { name: 'RSASSA-PKCS1-v1_5', hash },
    { name: 'RSA-PSS', hash },
  ]);
  for (const signature of signatures) {
    it(`is read and verified with ${signature.name} and ${signature.hash}`, async () => {
      const { privateKey } = await webKeyPair(signer.privateKey, signature);
      const attributes = [new pkijs.Attribute({ type: Oid.transactionID, values: [new asn1js.PrintableString({ value: 'abc' })] })];
      const large = Buffer.alloc(5000, 'pkijs splits this into segments');
      const made = await pkijsSignedData({
        content: large,
        certificate: signer.certificate.der,
        privateKey,
        hash: signature.hash,
        attributes,
      });
      assert.deepEqual(verify(made, laxPolicy), large);
      const info = onlySigner(parseSignedData(made));
      assert.equal(requiredAttribute(info, Oid.transactionID, Tag.printableString, 'transactionID').octets().toString(), 'abc');
    });
  }

  it('is read and verified with ECDSA', async () => {
    const identity = createIdentity({ key: ecKey('prime256v1') });
    const { privateKey } = await webKeyPair(identity.privateKey, { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' });
    assert.deepEqual(
      verify(await pkijsSignedData({ content, certificate: identity.certificate.der, privateKey, hash: 'SHA-256', attributes: [] })),
      content,
    );
  });
});

describe('encodeSignedData', () => {
  it('makes what pkijs verifies and what we read back', async () => {
    for (const digest of Object.values(digests)) {
      const made = encodeSignedData({
        eContent: content,
        signedAttributes: [{ type: Oid.transactionID, value: printableString('abc') }],
        digest,
        certificate: signer.certificate,
        sign: ({ openssl }, data) => sign(openssl, data, signer.privateKey),
      });
      assert.ok(await pkijsVerifies(made), digest.name);
      assert.deepEqual(verify(made, laxPolicy), content);
      assert.deepEqual(
        [...(parseSignedData(made).signerInfos[0]?.attributes.keys() ?? [])].sort(),
        [Oid.contentType, Oid.messageDigest, Oid.transactionID].sort(),
      );
    }
  });

  it('keeps an empty content present, and rsaEncryption as its signature algorithm', () => {
    const made = encodeSignedData({
      eContent: Buffer.alloc(0),
      signedAttributes: [],
      digest: digests['SHA-256'],
      certificate: signer.certificate,
      sign: ({ openssl }, data) => sign(openssl, data, signer.privateKey),
    });
    assert.equal(parseSignedData(made).eContent?.length, 0);
    assert.equal(parseSignedData(made).signerInfos[0]?.signatureAlgorithm.oid, Oid.rsaEncryption);
    verify(made);
  });

  it('gives back what it was built from', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.uniqueArray(fc.nat(99), { maxLength: 5 }), fc.string(), (eContent, arcs, text) => {
        const signedAttributes = arcs.map(arc => ({ type: `1.2.3.${arc}`, value: utf8String(text) }));
        const sign512 = ({ openssl }: { openssl: string }, data: Uint8Array) => sign(openssl, data, rsaKey('small', 1024));
        const identity = createIdentity({ key: rsaKey('small', 1024) });
        const made = encodeSignedData({
          eContent,
          signedAttributes,
          digest: digests['SHA-512'],
          certificate: identity.certificate,
          sign: sign512,
        });
        assert.deepEqual(verify(made), Buffer.from(eContent));
        const { attributes } = onlySigner(parseSignedData(made));
        for (const { type, value } of signedAttributes)
          assert.deepEqual(
            attributes.get(type)?.map(({ bytes }) => [...bytes]),
            [[...value]],
          );
        assert.equal(attributes.size, arcs.length + 2);
      }),
      { seed, numRuns: 60 },
    );
  });
});

describe('encodeDegenerate', () => {
  it('makes what pkijs reads: certificates alone, in their order', () => {
    const made = encodeDegenerate({ certificates: [ra.certificate.der, ca.certificate.der] });
    const read = parseSignedData(made);
    assert.deepEqual(
      read.certificates.map(({ serialNumber }) => serialNumber),
      [ra, ca].map(({ certificate }) => certificate.serialNumber),
    );
    assert.equal(read.eContent, undefined);
    assert.deepEqual(read.signerInfos, []);
    const contentInfo = new pkijs.ContentInfo({ schema: asn1Of(made) });
    assert.equal(new pkijs.SignedData({ schema: contentInfo.content }).certificates?.length, 2);
    refused(() => onlySigner(read), 'malformed', /exactly one SignerInfo/);
  });
});

describe('what a verified message may look like', () => {
  it('has BER of indefinite length and its content in segments of segments', () => {
    assert.deepEqual(verify(streamed(message())), content);
    const halves = [content.subarray(0, 4), content.subarray(4)].map(half => segmented(half, 0x24, 3));
    const nested = signedData({
      eContent: tlv(0x24, ...halves),
      certificates: [signer.certificate.der],
      signerInfos: [signerInfo({ signer, attributes: cmsAttributes(content) })],
    });
    assert.deepEqual(verify(nested), content);
    assert.notDeepEqual(Buffer.from(rewritten(parseBer(nested))), Buffer.from(message()));
  });

  it('has signedAttrs in any order: the signature is over the bytes received', () => {
    const [contentType, messageDigest] = cmsAttributes(content);
    for (const attributes of [
      [contentType, messageDigest],
      [messageDigest, contentType],
    ])
      assert.deepEqual(verify(message({ attributes })), content);
  });

  it('names its signer by subjectKeyIdentifier, from the extension or from the key', () => {
    const identifier = Buffer.from('any identifier');
    const named = createIdentity({ extensions: [subjectKeyIdentifierExtension(identifier)] });
    verify(message({ signer: named, sid: tlv(0x80, identifier) }));
    verify(message({ sid: tlv(0x80, signer.certificate.publicKey.keyIdentifier) }));
    refused(
      () => verify(message({ signer: named, sid: tlv(0x80, named.certificate.publicKey.keyIdentifier) })),
      'noSignerCertificate',
      /not in the message/,
    );
  });

  it('carries other certificates before its signer’s, and attribute certificates that nobody reads', () => {
    const signerInfos = [signerInfo({ signer, attributes: cmsAttributes(content) })];
    const certificates = [ca.certificate.der, contextConstructed(1, derNull), signer.certificate.der];
    assert.deepEqual(verify(signedData({ eContent: octetString(content), certificates, signerInfos })), content);
  });

  it('has a signer whose serial number or whose issuer another certificate has too', () => {
    const { serialNumber } = signer.certificate;
    const sameSerialNumber = createIdentity({ subject: 'CN=Other', key: rsaKey('other'), serialNumber });
    const sameIssuer = createIdentity({ key: rsaKey('other') });
    const certificates = [sameSerialNumber, sameIssuer, signer].map(({ certificate }) => certificate.der);
    const signerInfos = [signerInfo({ signer, attributes: cmsAttributes(content) })];
    assert.deepEqual(verify(signedData({ eContent: octetString(content), certificates, signerInfos })), content);
  });

  it('has a digest and a signature algorithm without parameters, or a signature algorithm that names the digest', () => {
    verify(
      message({
        digestAlgorithm: sequence(objectIdentifier(digests['SHA-256'].oid)),
        signatureAlgorithm: sequence(objectIdentifier(Oid.rsaEncryption)),
      }),
    );
    verify(message({ signatureAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.11') }));
  });

  it('is signed with RSASSA-PSS', () => {
    const sha256 = encodeAlgorithmIdentifier(digests['SHA-256'].oid);
    const parameters = sequence(
      contextConstructed(0, sha256),
      contextConstructed(1, encodeAlgorithmIdentifier(Oid.mgf1, sha256)),
      contextConstructed(2, integer(32)),
    );
    const pss: Partial<SignerInfoParts> = {
      signatureAlgorithm: encodeAlgorithmIdentifier(Oid.rsassaPss, parameters),
      sign: (data, key) => sign('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
    };
    assert.deepEqual(verify(message(pss)), content);
    refused(() => verify(message({ ...pss, sign: (data, key) => sign('sha256', data, key) })), 'badSignature', /does not hold/);
  });
});
