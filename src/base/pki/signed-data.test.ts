/** Shows that SignedData is read, verified over the received bytes and made as others do it, and that no ambiguity of its attributes gets through. */
import assert from 'node:assert/strict';
import { constants, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import fc from 'fast-check';
import * as pkijs from 'pkijs';
import { rewritten, segmented, streamed } from '../../../test/support/ber.ts';
import { attribute, cmsAttributes, type SignerInfoParts, signedData, signedMessage, signerInfo } from '../../../test/support/cms-parts.ts';
import { asn1Of, pkijsSignedData, pkijsVerifies, type WebSignature, webKeyPair } from '../../../test/support/foreign-pki.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa, createIdentity, defaultPolicy, ecKey, laxPolicy, rsaKey, seed } from '../../../test/support/pki-fixtures.ts';
import { digests, encodeAlgorithmIdentifier } from './algorithms.ts';
import { parseBer, Tag } from './asn1.ts';
import {
  contextConstructed,
  derNull,
  integer,
  objectIdentifier,
  octetString,
  printableString,
  sequence,
  setOf,
  tlv,
  utf8String,
} from './der.ts';
import { subjectKeyIdentifierExtension } from './extensions.ts';
import { Oid } from './oids.ts';
import {
  encodeContentInfo,
  encodeDegenerate,
  encodeSignedData,
  findSignerCertificate,
  onlySigner,
  optionalAttribute,
  parseSignedData,
  requiredAttribute,
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
    const made = encodeDegenerate([ra.certificate.der, ca.certificate.der]);
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
      'badSignature',
      /not in the message/,
    );
  });

  it('carries other certificates before its signer’s, and attribute certificates that nobody reads', () => {
    const signerInfos = [signerInfo({ signer, attributes: cmsAttributes(content) })];
    const certificates = [ca.certificate.der, contextConstructed(1, derNull), signer.certificate.der];
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
      refused(() => verify(signedData(parts)), 'badSignature', /certificate is not in the message/);
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
