/** SignedData: attributes twice or missing, signers too many or too few, and signatures that do not hold. */
import { digests, encodeAlgorithmIdentifier } from '../../../src/base/pki/algorithms.ts';
import {
  contextConstructed,
  integer,
  objectIdentifier,
  octetString,
  printableString,
  sequence,
  setOf,
  tlv,
} from '../../../src/base/pki/der.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { encodeDegenerate } from '../../../src/base/pki/signed-data.ts';
import { attribute, cmsAttributes, signedData, signerInfo } from '../../support/cms-parts.ts';
import { encodeSignedMessage, encodeSignerInfo, withFlippedOctet } from '../../support/scep-messages.ts';
import { identity } from '../../support/vector-identities.ts';
import { type Drafts, type Maker, refused, success, unreadable } from '../maker.ts';

const device = identity('device');
const notHeld = refused('badMessageCheck', 'The request is refused: the signature of the message does not hold.');
const notIncluded = refused('badMessageCheck', 'The request is refused: the signer’s certificate is not in the message.');
const twice = (type: string) => unreadable(`signed attribute ${type} stands twice`);
const oneSigner = unreadable('a message must have exactly one SignerInfo');

/** A message of one SignerInfo whose signedAttrs are these, signed as they stand. */
function withAttributes(maker: Maker, change: (cms: Uint8Array[], scep: Uint8Array[]) => Uint8Array[]): Uint8Array {
  const eContent = maker.envelope(maker.csr());
  const attributes = change(cmsAttributes(eContent), maker.attributes());
  return message(eContent, [signerInfo({ signer: device, attributes })]);
}

function message(eContent: Uint8Array, signerInfos: Uint8Array[], certificates = [device.certificate]): Uint8Array {
  return encodeSignedMessage({ eContent, certificates, signerInfos });
}

/** Any part of a sound message's SignedData otherwise. */
function withSignedData(maker: Maker, change: Partial<Parameters<typeof signedData>[0]>): Uint8Array {
  const eContent = maker.envelope(maker.csr());
  const signer = encodeSignerInfo({ signer: device, eContent, attributes: maker.attributes() });
  return signedData({ eContent: octetString(eContent), certificates: [device.certificate.der], signerInfos: [signer], ...change });
}

export const cms: Drafts = {
  whole: { stands: 'a PKCSReq with nothing wrong', ...success, make: maker => maker.request() },

  'two-signer-infos': {
    stands: 'negative test: two SignerInfos, by two keys',
    ...oneSigner,
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      const signers = [device, identity('device-2')];
      const infos = signers.map(signer => encodeSignerInfo({ signer, eContent, attributes: maker.attributes() }));
      return message(
        eContent,
        infos,
        signers.map(({ certificate }) => certificate),
      );
    },
  },
  'same-signer-info-twice': {
    stands: 'negative test: two SignerInfos, the same twice',
    ...oneSigner,
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      const info = encodeSignerInfo({ signer: device, eContent, attributes: maker.attributes() });
      return message(eContent, [info, info]);
    },
  },
  'no-signer-info': { stands: 'F.8: no SignerInfo', ...oneSigner, make: maker => withSignedData(maker, { signerInfos: [] }) },
  'certs-only': {
    stands: 'F.8: a degenerate SignedData',
    ...oneSigner,
    make: () => encodeDegenerate({ certificates: [device.certificate.der] }),
  },

  'transactionID-twice': {
    stands: 'negative test: duplicate transactionID attribute',
    ...twice(Oid.transactionID),
    make: maker => maker.request({ signedAttributes: [attribute(Oid.transactionID, printableString('another'))] }),
  },
  'transactionID-of-two-values': {
    stands: 'negative test: duplicate transactionID, as two values of one attribute',
    ...unreadable('transactionID is not one value'),
    make: maker =>
      withAttributes(maker, (required, [, ...rest]) => [
        ...required,
        attribute(Oid.transactionID, printableString('one'), printableString('two')),
        ...rest,
      ]),
  },
  'messageType-twice': {
    stands: 'F.8: messageType twice, PKCSReq and CertPoll',
    ...twice(Oid.messageType),
    make: maker => maker.request({ signedAttributes: [attribute(Oid.messageType, printableString('20'))] }),
  },
  'senderNonce-twice': {
    stands: 'F.8: senderNonce twice',
    ...twice(Oid.senderNonce),
    make: maker => maker.request({ signedAttributes: [attribute(Oid.senderNonce, octetString(maker.random(16)))] }),
  },
  'messageDigest-twice': {
    stands: 'negative test: messageDigest twice',
    ...twice(Oid.messageDigest),
    make: maker => maker.request({ signedAttributes: [attribute(Oid.messageDigest, octetString(maker.random(32)))] }),
  },
  'messageDigest-of-two-values': {
    stands: 'negative test: messageDigest twice, as two values of one attribute',
    ...refused('badRequest', 'The request is refused: messageDigest is not one value of its type.'),
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      const digest = Buffer.alloc(32, 7);
      const [contentType, right] = cmsAttributes(eContent);
      const value = right.subarray(-34);
      const attributes = [contentType, attribute(Oid.messageDigest, value, octetString(digest)), ...maker.attributes()];
      return message(eContent, [signerInfo({ signer: device, attributes })]);
    },
  },
  'messageDigest-missing': {
    stands: 'F.8: no messageDigest',
    ...refused('badRequest', 'The request is refused: messageDigest is missing.'),
    make: maker => withAttributes(maker, ([contentType], scep) => [contentType ?? Buffer.alloc(0), ...scep]),
  },
  'contentType-twice': {
    stands: 'F.8: contentType twice',
    ...twice(Oid.contentType),
    make: maker => maker.request({ signedAttributes: [attribute(Oid.contentType, objectIdentifier(Oid.envelopedData))] }),
  },
  'contentType-missing': {
    stands: 'F.8: no contentType',
    ...refused('badRequest', 'The request is refused: contentType is missing.'),
    make: maker => withAttributes(maker, ([, messageDigest], scep) => [messageDigest ?? Buffer.alloc(0), ...scep]),
  },
  'contentType-another': {
    stands: 'F.8: contentType is not eContentType',
    ...refused('badRequest', 'The request is refused: contentType is not eContentType.'),
    make: maker =>
      withAttributes(maker, ([, messageDigest = Buffer.alloc(0)], scep) => [
        attribute(Oid.contentType, objectIdentifier(Oid.envelopedData)),
        messageDigest,
        ...scep,
      ]),
  },
  'attribute-without-value': {
    stands: 'F.8: a messageType of no value',
    ...unreadable('messageType is missing'),
    make: maker =>
      withAttributes(maker, (required, [transactionID = Buffer.alloc(0), , ...rest]) => [
        ...required,
        transactionID,
        attribute(Oid.messageType),
        ...rest,
      ]),
  },
  'without-signedAttrs': {
    stands: 'negative test: signedAttrs absent, the signature is over the content',
    ...unreadable('a SignerInfo without signedAttrs'),
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      return message(eContent, [signerInfo({ signer: device, attributes: undefined, eContent })]);
    },
  },
  'signedAttrs-as-content': {
    stands: 'F.8: a signature over signedAttrs passed off as one over a content, which is their DER',
    ...unreadable('a SignerInfo without signedAttrs'),
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      const attributes = setOf(...cmsAttributes(eContent), ...maker.attributes());
      return message(attributes, [signerInfo({ signer: device, attributes: undefined, eContent: attributes })]);
    },
  },
  'attributes-unsigned': {
    stands: 'F.8: SCEP’s attributes among the unsigned ones',
    expect: { statusCode: 400 },
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      const unsignedAttrs = contextConstructed(1, ...maker.attributes());
      return message(eContent, [signerInfo({ signer: device, attributes: cmsAttributes(eContent), unsignedAttrs })]);
    },
  },
  'unsigned-attributes-beside': {
    stands: 'F.8: another transactionID among the unsigned attributes, which is not read',
    ...success,
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      const unsignedAttrs = contextConstructed(1, attribute(Oid.transactionID, printableString('unsigned')));
      const attributes = [...cmsAttributes(eContent), ...maker.attributes()];
      return message(eContent, [signerInfo({ signer: device, attributes, unsignedAttrs })]);
    },
  },
  'attributes-unsorted': {
    stands: 'signedAttrs that are not in DER’s order, signed over the bytes as sent',
    ...success,
    make: maker => withAttributes(maker, (required, scep) => [...scep, ...required].toReversed()),
  },
  'attributes-unknown': {
    stands: 'randomNonce and an unknown attribute, as in the RFC’s own samples',
    ...success,
    make: maker =>
      maker.request({
        signedAttributes: [
          attribute('1.2.840.113549.1.9.25.3', octetString(maker.random(16))),
          attribute('1.2.3.4', sequence(integer(1), printableString('x'))),
        ],
      }),
  },
  'signingTime-long-ago': {
    stands: 'a signingTime of 2001, which is not checked',
    ...success,
    make: maker => maker.request({ signedAttributes: [attribute(Oid.signingTime, tlv(0x17, Buffer.from('010101000000Z')))] }),
  },
  'attributes-1000': {
    stands: 'F.13: a thousand signedAttrs',
    ...unreadable('more than 64 signedAttrs'),
    make: maker =>
      maker.request({ signedAttributes: Array.from({ length: 1000 }, (_, index) => attribute(`1.2.3.${index}`, integer(index))) }),
  },

  'eContentType-envelopedData': {
    stands: 'negative test: eContentType ≠ data (id-envelopedData)',
    ...refused('badRequest', 'The request is refused: eContentType is not id-data.'),
    make: maker => withSignedData(maker, { eContentType: Oid.envelopedData }),
  },
  'eContentType-signedAttrs-agree': {
    stands: 'negative test: eContentType ≠ data (1.2.3.4), and contentType says so too',
    ...refused('badRequest', 'The request is refused: eContentType is not id-data.'),
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      const [, messageDigest] = cmsAttributes(eContent);
      const attributes = [attribute(Oid.contentType, objectIdentifier('1.2.3.4')), messageDigest, ...maker.attributes()];
      const signerInfos = [signerInfo({ signer: device, attributes })];
      return encodeSignedMessage({ eContent, eContentType: '1.2.3.4', certificates: [device.certificate], signerInfos });
    },
  },

  'signature-flipped': {
    stands: 'a wrong CMS signature',
    ...notHeld,
    make: maker => withFlippedOctet(maker.request(), -1),
  },
  'signed-by-another-key': {
    stands: 'signed by another key than the certificate’s',
    ...notHeld,
    make: maker => maker.request({ signing: { signer: { certificate: device.certificate, privateKey: maker.key('device-2') } } }),
  },
  'transactionID-changed': {
    stands: 'a transactionID that was changed on the way',
    ...notHeld,
    make(maker) {
      const whole = Buffer.from(maker.request({ transactionID: 'AAAABBBBCCCCDDDD' }));
      return withFlippedOctet(whole, whole.indexOf('AAAABBBBCCCCDDDD'));
    },
  },
  'content-changed': {
    stands: 'a content that was changed on the way',
    ...refused('badMessageCheck', 'The request is refused: messageDigest is not the digest of the content.'),
    make(maker) {
      const eContent = Buffer.from(maker.envelope(maker.csr()));
      const whole = Buffer.from(maker.request({ eContent }));
      return withFlippedOctet(whole, whole.indexOf(eContent) + eContent.length - 1);
    },
  },
  'certificate-missing': { stands: 'B8: no certificate', ...notIncluded, make: maker => withSignedData(maker, { certificates: [] }) },
  'certificate-of-another': {
    stands: 'B8: the certificate of another device',
    ...notIncluded,
    make: maker => withSignedData(maker, { certificates: [identity('device-2').certificate.der] }),
  },
  'certificate-expired': {
    stands: 'negative test: a signer whose self-signed certificate is expired',
    ...refused('badMessageCheck', 'The certificate included in the request is expired.'),
    make: maker => maker.request({ signer: 'device-expired' }),
  },
  'certificates-ten': {
    stands: 'F.13: ten certificates, the signer’s the last',
    ...success,
    make: maker =>
      withSignedData(maker, { certificates: [...Array<Uint8Array>(9).fill(identity('ca').certificate.der), device.certificate.der] }),
  },
  'certificates-eleven': {
    stands: 'F.13: eleven certificates',
    ...unreadable('more than 10 certificates'),
    make: maker => withSignedData(maker, { certificates: Array<Uint8Array>(11).fill(device.certificate.der) }),
  },
  'sid-subjectKeyIdentifier': {
    stands: 'the signer named by its key identifier',
    ...success,
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      const attributes = [...cmsAttributes(eContent), ...maker.attributes()];
      const sid = tlv(0x80, device.certificate.publicKey.keyIdentifier);
      return message(eContent, [signerInfo({ signer: device, attributes, sid })]);
    },
  },
  'digest-names-disagree': {
    stands: 'F.8: digestAlgorithm SHA-256, signatureAlgorithm sha512WithRSAEncryption',
    ...refused('badRequest', 'The request is refused: digestAlgorithm and signatureAlgorithm do not agree.'),
    make: maker => maker.request({ signing: { signatureAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.13') } }),
  },
  'parameters-absent': {
    stands: 'AlgorithmIdentifiers without NULL, as Go’s libraries write them',
    ...success,
    make: maker =>
      withSigner(maker, {
        digestAlgorithm: sequence(objectIdentifier(digests['SHA-256'].oid)),
        signatureAlgorithm: sequence(objectIdentifier(Oid.rsaEncryption)),
      }),
  },
};

function withSigner(maker: Maker, change: Partial<Parameters<typeof signerInfo>[0]>): Uint8Array {
  const eContent = maker.envelope(maker.csr());
  const attributes = [...cmsAttributes(eContent), ...maker.attributes()];
  return message(eContent, [signerInfo({ signer: device, attributes, ...change })]);
}
