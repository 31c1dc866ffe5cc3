/** Octets that are no message, messages in the forms of BER that real clients write, and other things than a pkcsPKIEnvelope in a message. */
import { contentCiphers } from '../../../src/base/pki/algorithms.ts';
import { integer, octetString, sequence } from '../../../src/base/pki/der.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { encodeContentInfo, encodeDegenerate } from '../../../src/base/pki/signed-data.ts';
import { streamed } from '../../support/ber.ts';
import { signedData } from '../../support/cms-parts.ts';
import { encodeSignedMessage, encodeSignerInfo } from '../../support/scep-messages.ts';
import { identity } from '../../support/vector-identities.ts';
import { type Drafts, refused, success, unreadable } from '../maker.ts';

const device = identity('device');
const nested = (levels: number, octets: string) => Buffer.alloc(levels * (octets.length / 2), Buffer.from(octets, 'hex'));

export const encoding: Drafts = {
  'ber-streamed': {
    stands: 'BER of indefinite length with the content in segments, as jscep, Android and Apple send it',
    ...success,
    make: maker => streamed(maker.request()),
  },
  'ber-streamed-twice': {
    stands: 'BER of indefinite length with the content in segments, and the pkcsPKIEnvelope in it too',
    ...success,
    make: maker => streamed(maker.request({ eContent: streamed(maker.envelope(maker.csr())) })),
  },
  'ber-streamed-aes-256': {
    stands: 'BER as ChromeOS sends it, with AES-256',
    ...success,
    make: maker => streamed(maker.request({ envelope: { cipher: contentCiphers['AES-256-CBC'] } })),
  },
  'ber-unfinished': {
    stands: 'F.13: BER of indefinite length without its end',
    ...unreadable('the message ends inside an element'),
    make: maker => streamed(maker.request()).subarray(0, -2),
  },
  'nested-indefinite-10000': {
    stands: 'negative test: 10 000 nested indefinite lengths',
    ...unreadable('elements are nested more than 32 deep'),
    make: () => Buffer.concat([nested(10_000, '3080'), nested(10_000, '0000')]),
  },
  'nested-indefinite-10000-unfinished': {
    stands: 'negative test: 10 000 nested indefinite lengths without their ends',
    ...unreadable('elements are nested more than 32 deep'),
    make: () => nested(10_000, '3080'),
  },
  'nested-indefinite-10000-in-eContent': {
    stands: 'negative test: 10 000 nested indefinite lengths in place of the pkcsPKIEnvelope',
    ...refused('badRequest', 'The request is refused: elements are nested more than 32 deep.'),
    make: maker => maker.request({ eContent: Buffer.concat([nested(10_000, '3080'), nested(10_000, '0000')]) }),
  },
  'empty-body': {
    stands: 'an empty body, as old macOS sends it',
    ...unreadable('the message ends inside an element'),
    make: () => Buffer.alloc(0),
  },
  text: {
    stands: 'a body of text',
    ...unreadable('an element runs past the end of what holds it'),
    make: () => Buffer.from('hello, world'),
  },
  'length-of-4-gigabytes': {
    stands: 'F.13: a length beyond every message',
    ...unreadable('an element runs past the end of what holds it'),
    make: () => Buffer.from('3084ffffffff00', 'hex'),
  },
  truncated: {
    stands: 'a message without its last octet',
    ...unreadable('an element runs past the end of what holds it'),
    make: maker => maker.request().subarray(0, -1),
  },
  'octets-behind': {
    stands: 'a message and two octets more',
    ...unreadable('2 bytes follow the end of the message'),
    make: maker => Buffer.concat([maker.request(), Buffer.of(1, 1)]),
  },
  'csr-alone': {
    stands: 'a CSR without CMS',
    ...unreadable('ContentInfo: contentType has tag 0x10, not 0x6'),
    make: maker => maker.csr(),
  },
  'enveloped-alone': {
    stands: 'B20: the outer ContentInfo is envelopedData',
    ...unreadable(`a ContentInfo of type ${Oid.envelopedData} where ${Oid.signedData} must be`),
    make: maker => maker.envelope(maker.csr()),
  },
  compressed: {
    stands: 'F.14: CompressedData',
    ...unreadable(`a ContentInfo of type 1.2.840.113549.1.9.16.1.9 where ${Oid.signedData} must be`),
    make: maker => encodeContentInfo('1.2.840.113549.1.9.16.1.9', sequence(integer(0), octetString(maker.random(64)))),
  },
  'eContent-absent': {
    stands: 'B21: a PKCSReq without pkcsPKIEnvelope',
    ...refused('badRequest', 'The request is refused: a request without a pkcsPKIEnvelope.'),
    make(maker) {
      const info = encodeSignerInfo({ signer: device, eContent: undefined, attributes: maker.attributes() });
      return encodeSignedMessage({ eContent: undefined, certificates: [device.certificate], signerInfos: [info] });
    },
  },
  'eContent-empty': {
    stands: 'B21: a PKCSReq with an empty pkcsPKIEnvelope',
    ...refused('badRequest', 'The request is refused: a request without a pkcsPKIEnvelope.'),
    make: maker => maker.request({ eContent: Buffer.alloc(0) }),
  },
  'eContent-no-octets': {
    stands: 'the pkcsPKIEnvelope as it is, in no OCTET STRING',
    ...unreadable('eContent is no OCTET STRING'),
    make(maker) {
      const eContent = maker.envelope(maker.csr());
      const signerInfos = [encodeSignerInfo({ signer: device, eContent, attributes: maker.attributes() })];
      return signedData({ eContent, certificates: [device.certificate.der], signerInfos });
    },
  },
  'eContent-csr': {
    stands: 'B25: a CSR in place of the pkcsPKIEnvelope, so that the challenge is there to be read',
    ...refused('badRequest', 'The request is refused: ContentInfo: contentType has tag 0x10, not 0x6.'),
    make: maker => maker.request({ eContent: maker.csr() }),
  },
  'eContent-signedData': {
    stands: 'B21: a SignedData in place of the pkcsPKIEnvelope',
    ...refused('badRequest', `The request is refused: a ContentInfo of type ${Oid.signedData} where ${Oid.envelopedData} must be.`),
    make: maker => maker.request({ eContent: encodeDegenerate({ certificates: [device.certificate.der] }) }),
  },
};
