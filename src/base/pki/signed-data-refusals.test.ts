/** Shows that no SignedData gets through whose attributes are ambiguous, whose signature does not hold or whose algorithms are refused. */
import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { attribute, cmsAttributes, type SignerInfoParts, signedData, signedMessage, signerInfo } from '../../../test/support/cms-parts.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa, createIdentity, defaultPolicy, ecKey, laxPolicy, rsaKey } from '../../../test/support/pki-fixtures.ts';
import { digests, encodeAlgorithmIdentifier } from './algorithms.ts';
import { parseBer, Tag } from './asn1.ts';
import { contextConstructed, derNull, objectIdentifier, octetString, printableString, sequence, setOf, tlv, utf8String } from './der.ts';
import { Oid } from './oids.ts';
import {
  encodeContentInfo,
  findSignerCertificate,
  onlySigner,
  optionalAttribute,
  parseSignedData,
  signedDataLimits,
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

describe('signedAttrs that could be taken for something else', () => {
  const [contentType, messageDigest] = cmsAttributes(content);
  const otherDigest = attribute(Oid.messageDigest, octetString(Buffer.alloc(32)));
  const wrong: [string, Partial<SignerInfoParts>, RegExp][] = [
    ['absent', { attributes: undefined, eContent: content }, /without signedAttrs/],
    ['empty', { attributes: [] }, /contentType is missing/],
    ['without contentType', { attributes: [messageDigest] }, /contentType is missing/],
    ['without messageDigest', { attributes: [contentType] }, /messageDigest is missing/],
    ['with two messageDigest attributes, equal', { attributes: [contentType, messageDigest, messageDigest] }, /stands twice/],
    ['with two messageDigest attributes, the first right', { attributes: [contentType, messageDigest, otherDigest] }, /stands twice/],
    ['with two messageDigest attributes, the second right', { attributes: [contentType, otherDigest, messageDigest] }, /stands twice/],
    ['with two contentType attributes', { attributes: [contentType, contentType, messageDigest] }, /stands twice/],
    [
      'with two transactionID attributes',
      {
        attributes: [
          contentType,
          messageDigest,
          attribute(Oid.transactionID, printableString('a')),
          attribute(Oid.transactionID, printableString('b')),
        ],
      },
      /stands twice/,
    ],
    [
      'with two values of messageDigest',
      { attributes: [contentType, attribute(Oid.messageDigest, octetString(Buffer.alloc(32)), octetString(Buffer.alloc(31)))] },
      /messageDigest is not one value/,
    ],
    ['with no value of contentType', { attributes: [attribute(Oid.contentType), messageDigest] }, /contentType is not one value/],
    [
      'with a contentType of another kind',
      { attributes: [attribute(Oid.contentType, objectIdentifier(Oid.envelopedData)), messageDigest] },
      /contentType is not eContentType/,
    ],
    [
      'with a contentType that is no OBJECT IDENTIFIER',
      { attributes: [attribute(Oid.contentType, utf8String(Oid.data)), messageDigest] },
      /contentType is not one value/,
    ],
  ];
  for (const [name, parts, text] of wrong) {
    it(`are refused: ${name}`, () => {
      refused(() => verify(message(parts)), 'malformed', text);
    });
  }

  it('are refused with more attributes than any message has', () => {
    const many = (count: number) =>
      message({
        attributes: [contentType, messageDigest, ...Array.from({ length: count - 2 }, (_, arc) => attribute(`1.2.3.${arc}`, derNull))],
      });
    assert.deepEqual(verify(many(signedDataLimits.signedAttrsMax)), content);
    refused(() => verify(many(signedDataLimits.signedAttrsMax + 1)), 'malformed', /more than 64 signedAttrs/);
  });

  it('are not read from unsignedAttrs', () => {
    const unsigned = message({ attributes: [contentType], unsignedAttrs: contextConstructed(1, messageDigest) });
    refused(() => verify(unsigned), 'malformed', /messageDigest is missing/);
    assert.equal(optionalAttribute(onlySigner(parseSignedData(unsigned)), Oid.messageDigest, Tag.octetString, 'messageDigest'), undefined);
  });

  it('are no content: a signature over signedAttrs does not sign the same bytes as a content', () => {
    const signedAttrs = tlv(0x31, contentType, messageDigest);
    const replayed = signedMessage(signedAttrs, { signer, attributes: undefined, eContent: signedAttrs });
    refused(() => verify(replayed), 'malformed', /without signedAttrs/);
  });
});

describe('a signature that does not hold', () => {
  it('is refused: other content, other attributes, other key', () => {
    const signerInfos = [signerInfo({ signer, attributes: cmsAttributes(content) })];
    const certificates = [signer.certificate.der];
    refused(
      () => verify(signedData({ eContent: octetString(Buffer.from('another')), certificates, signerInfos })),
      'badSignature',
      /messageDigest is not the digest/,
    );
    refused(
      () => verify(signedData({ eContent: undefined, certificates, signerInfos })),
      'badSignature',
      /messageDigest is not the digest/,
    );
    refused(
      () => verify(message({ sign: data => sign('sha256', Buffer.concat([data, data]), signer.privateKey) })),
      'badSignature',
      /does not hold/,
    );
    refused(() => verify(message({ sign: data => sign('sha256', data, rsaKey('other')) })), 'badSignature', /does not hold/);
    refused(() => verify(message({ sign: () => Buffer.alloc(0) })), 'badSignature', /does not hold/);
  });

  it('is refused when its signer’s certificate is not in the message', () => {
    const signerInfos = [signerInfo({ signer, attributes: cmsAttributes(content) })];
    for (const certificates of [undefined, [], [ca.certificate.der, ra.certificate.der], [createIdentity().certificate.der]]) {
      const parts = { eContent: octetString(content), signerInfos, ...(certificates === undefined ? {} : { certificates }) };
      refused(() => verify(signedData(parts)), 'noSignerCertificate', /certificate is not in the message/);
    }
  });

  it('is refused when its algorithm is for another kind of key', () => {
    const ecdsa = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
    refused(() => verify(message({ signatureAlgorithm: ecdsa })), 'badSignature');
    refused(() => verify(message({ signer: createIdentity({ key: ecKey('prime256v1') }) })), 'badSignature');
  });
});

describe('algorithms that do not agree or are not allowed', () => {
  it('are refused: a digestAlgorithm beside a signatureAlgorithm with another digest', () => {
    const sha384Signature = {
      signatureAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.12'),
      sign: (data: Uint8Array) => sign('sha384', data, signer.privateKey),
    };
    refused(() => verify(message(sha384Signature)), 'malformed', /do not agree/);
    const sha1Digest = {
      digest: digests['SHA-1'],
      attributes: cmsAttributes(content, digests['SHA-1']),
      signatureAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.11'),
    };
    refused(() => verify(message(sha1Digest), laxPolicy), 'malformed', /do not agree/);
  });

  it('are refused by policy: SHA-1', () => {
    const sha1 = message({ digest: digests['SHA-1'], attributes: cmsAttributes(content, digests['SHA-1']) });
    refused(() => verify(sha1), 'unsupportedAlgorithm', /SHA-1.*Use SHA-256/);
    assert.deepEqual(verify(sha1, laxPolicy), content);
  });

  it('are refused when we do not implement them: MD5 and unknown ones', () => {
    refused(
      () => verify(message({ digestAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.2.5') })),
      'unsupportedAlgorithm',
      /1\.2\.840\.113549\.2\.5 \(MD5\)/,
    );
    refused(() => verify(message({ digestAlgorithm: encodeAlgorithmIdentifier('1.2.3') })), 'unsupportedAlgorithm', /1\.2\.3\./);
    refused(
      () => verify(message({ signatureAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.4') })),
      'unsupportedAlgorithm',
      /MD5 with RSA/,
    );
    refused(() => verify(message({ signatureAlgorithm: encodeAlgorithmIdentifier('1.2.3') })), 'unsupportedAlgorithm', /1\.2\.3\./);
  });
});

describe('SignedData that breaks the syntax', () => {
  const one = signerInfo({ signer, attributes: cmsAttributes(content) });
  const certificates = [signer.certificate.der];

  it('has two SignerInfos, even twice the same, or none', () => {
    for (const signerInfos of [[one, one], [one, signerInfo({ signer: ra, attributes: cmsAttributes(content) })], []]) {
      refused(
        () => verify(signedData({ eContent: octetString(content), certificates: [...certificates, ra.certificate.der], signerInfos })),
        'malformed',
        /exactly one SignerInfo/,
      );
    }
  });

  it('has more certificates than any message has', () => {
    const many = (count: number) =>
      signedData({
        eContent: octetString(content),
        certificates: Array.from({ length: count }, () => signer.certificate.der),
        signerInfos: [one],
      });
    assert.deepEqual(verify(many(signedDataLimits.certificatesMax)), content);
    refused(() => verify(many(signedDataLimits.certificatesMax + 1)), 'malformed', /more than 10 certificates/);
  });

  it('has another content type or none, or a content of another type', () => {
    refused(
      () => parseSignedData(encodeContentInfo(Oid.envelopedData, sequence())),
      'malformed',
      /1\.2\.840\.113549\.1\.7\.3 where 1\.2\.840\.113549\.1\.7\.2 must be/,
    );
    refused(() => parseSignedData(sequence(objectIdentifier(Oid.signedData), contextConstructed(0))), 'malformed', /without content/);
    refused(() => parseSignedData(sequence(objectIdentifier(Oid.signedData))), 'malformed');
    refused(
      () => parseSignedData(signedData({ eContent: utf8String('a'), certificates, signerInfos: [one] })),
      'malformed',
      /eContent is no OCTET STRING/,
    );
  });

  it('has a SignerInfo that lacks a part or has a sid of unknown form', () => {
    const parts = parseBer(one)
      .elements('SignerInfo')
      .map(part => part.bytes);
    for (let index = 0; index < parts.length; index++) {
      refused(
        () =>
          parseSignedData(
            signedData({ eContent: octetString(content), certificates, signerInfos: [sequence(...parts.toSpliced(index, 1))] }),
          ),
        'malformed',
      );
    }
    for (const sid of [
      derNull,
      sequence(),
      sequence(signer.certificate.issuer.der),
      contextConstructed(0, derNull),
      tlv(0x81, Buffer.of(1)),
    ]) {
      refused(() => parseSignedData(message({ sid })), 'malformed');
    }
  });

  it('has attributes that are none', () => {
    for (const odd of [
      derNull,
      sequence(),
      sequence(objectIdentifier('1.2.3')),
      sequence(objectIdentifier('1.2.3'), derNull),
      sequence(objectIdentifier('1.2.3'), setOf(), derNull),
    ]) {
      refused(() => parseSignedData(message({ attributes: [...cmsAttributes(content), odd] })), 'malformed');
    }
  });
});
