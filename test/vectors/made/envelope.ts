/** EnvelopedData: for whom it is, and everything that is broken behind the RA's key, which has one answer. */
import { type ContentCipher, contentCiphers, digests } from '../../../src/base/pki/algorithms.ts';
import {
  contextConstructed,
  contextPrimitive,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  tlv,
} from '../../../src/base/pki/der.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { encodeContentInfo, encodeDegenerate } from '../../../src/base/pki/signed-data.ts';
import { streamed } from '../../support/ber.ts';
import { encryptBlock, encryption, recipientInfo } from '../../support/cms-parts.ts';
import { type EnvelopeParts, type RecipientParts, withFlippedOctet } from '../../support/scep-messages.ts';
import { type IdentityName, identity } from '../../support/vector-identities.ts';
import { type Draft, type Drafts, type Maker, refused, success, undecodable } from '../maker.ts';

const aes: ContentCipher = contentCiphers['AES-128-CBC'];
const notOurs = refused('badRequest', 'The message is not encrypted to this endpoint’s current certificate. Fetch GetCACert again.');
const certificate = (name: IdentityName) => identity(name).certificate;
const recipients = (...names: IdentityName[]) => ({ recipients: names.map(name => ({ certificate: certificate(name) })) });

/** Sound but for its envelope. */
function sealed(stands: string, change: (maker: Maker) => Partial<EnvelopeParts> & { content?: Uint8Array }): Draft {
  return {
    stands,
    ...undecodable,
    make(maker) {
      const { content = maker.csr(), ...envelope } = change(maker);
      return maker.request({ eContent: maker.envelope(content, envelope) });
    },
  };
}

function withRecipient(stands: string, change: (maker: Maker) => Partial<RecipientParts>): Draft {
  return sealed(stands, maker => ({ recipients: [{ certificate: maker.ra, ...change(maker) }] }));
}

/** An RSA block that begins thus and ends with 0 and a content key. */
function block(maker: Maker, head: readonly number[], key: Uint8Array, separator = 0): Uint8Array {
  const octets = Buffer.alloc(256, 0x11);
  octets.set(head);
  octets.set([separator, ...key], 256 - key.length - 1);
  return encryptBlock(maker.ra, octets);
}

/** The content key that the envelope is encrypted under, in an RSA block that begins thus. */
function padding(stands: string, head: readonly number[], separator = 0): Draft {
  return sealed(stands, maker => {
    const contentKey = Buffer.alloc(16, 0x42);
    return { contentKey, recipients: [{ certificate: maker.ra, encryptedKey: block(maker, head, contentKey, separator) }] };
  });
}

/** CBC's last block in other words. */
function cbcPadding(stands: string, last: (padding: number) => number[]): Draft {
  return sealed(stands, maker => {
    const csr = maker.csr();
    const size = 16 - (csr.length % 16);
    return { content: Buffer.concat([csr, Buffer.from(last(size))]), isPadded: true };
  });
}

/** Octet `at` of the ciphertext flipped, counted from its end: what a padding oracle is asked. */
function flipped(at: number): Draft {
  return {
    stands: `negative test: CBC padding flips: octet ${at} of the ciphertext, from its end`,
    ...undecodable,
    make: maker => maker.request({ eContent: withFlippedOctet(maker.envelope(maker.csr()), at) }),
  };
}

/** An EnvelopedData of which any part is given. */
function enveloped(
  maker: Maker,
  parts: { infos: Uint8Array[]; before?: Uint8Array[]; behind?: Uint8Array[]; key?: Uint8Array },
): Uint8Array {
  const { infos, before = [], behind = [], key = Buffer.alloc(16, 0x42) } = parts;
  const { algorithm, encrypt } = encryption(aes, key, maker.random(16));
  const content = sequence(objectIdentifier(Oid.data), algorithm, contextPrimitive(0, encrypt(maker.csr())));
  return encodeContentInfo(Oid.envelopedData, sequence(integer(2), ...before, setOf(...infos), content, ...behind));
}

const ours = (maker: Maker) => recipientInfo({ recipient: maker.ra, encryptedKey: maker.wrap(maker.ra, Buffer.alloc(16, 0x42)) });

/** A PasswordRecipientInfo (RFC 3211) of PBKDF2 with so many iterations. */
function passwordRecipient(maker: Maker, iterations: number): Uint8Array {
  const pbkdf2 = tlv(0xa0, objectIdentifier('1.2.840.113549.1.5.12'), sequence(octetString(maker.random(8)), integer(iterations)));
  const wrap = sequence(objectIdentifier('1.2.840.113549.1.9.16.3.9'), sequence(objectIdentifier(aes.oid), octetString(maker.random(16))));
  return contextConstructed(3, integer(0), pbkdf2, wrap, octetString(maker.random(32)));
}

export const envelope: Drafts = {
  'unknown-key': {
    stands: 'negative test: RecipientInfo for unknown key',
    ...notOurs,
    make: maker => maker.request({ envelope: recipients('device-2') }),
  },
  'of-another-connector': {
    stands: 'F.19: encrypted to the RA of another connector',
    ...notOurs,
    make: maker => maker.request({ ra: 'ra-other' }),
  },
  'of-the-ca': {
    stands: 'B71: encrypted to the CA, whose key signs and never decrypts',
    ...notOurs,
    make: maker => maker.request({ ra: 'ca' }),
  },
  'first-foreign': {
    stands: 'tolerance test: first RecipientInfo foreign, second ours',
    ...success,
    make: maker => maker.request({ envelope: recipients('device-2', 'ra-default') }),
  },
  'second-foreign': {
    stands: 'first RecipientInfo ours, second the CA, as micromdm sends it',
    ...success,
    make: maker => maker.request({ envelope: recipients('ra-default', 'ca') }),
  },
  'tenth-ours': {
    stands: 'F.13: ten RecipientInfos, the last ours',
    ...success,
    make: maker => maker.request({ envelope: recipients(...Array<IdentityName>(9).fill('ca'), 'ra-default') }),
  },
  'eleven-recipients': {
    stands: 'F.13: eleven RecipientInfos',
    ...refused('badRequest', 'The request is refused: more than 10 recipients.'),
    make: maker => maker.request({ envelope: recipients(...Array<IdentityName>(10).fill('ca'), 'ra-default') }),
  },
  'no-recipient': { stands: 'F.13: no RecipientInfo', ...notOurs, make: maker => maker.request({ envelope: { recipients: [] } }) },
  subjectKeyIdentifier: {
    stands: 'tolerance test: SKI recipient',
    ...success,
    make: maker => maker.request({ envelope: { recipients: [{ certificate: maker.ra, identifiedBy: 'subjectKeyIdentifier' }] } }),
  },
  'subjectKeyIdentifier-unknown': {
    stands: 'negative test: SKI recipient for unknown key',
    ...notOurs,
    make: maker =>
      maker.request({ envelope: { recipients: [{ certificate: certificate('ra-other'), identifiedBy: 'subjectKeyIdentifier' }] } }),
  },
  'two-ra-newest': {
    stands: 'after the RA key was replaced, the new one decrypts',
    connector: 'two-ra',
    ...success,
    make: maker => maker.request({ ra: 'ra-two-new' }),
  },
  'two-ra-old': {
    stands: 'tolerance test: expired RA during rotation (old key still decrypts), before its certificate ends',
    connector: 'two-ra',
    ...success,
    make: maker => maker.request({ ra: 'ra-two-old' }),
  },
  'two-ra-expired': {
    stands: 'negative test: expired RA during rotation, a day after its certificate has ended: the device is told to fetch the new one',
    connector: 'two-ra',
    ...notOurs,
    make: maker => maker.request({ ra: 'ra-two-expired' }),
  },
  'two-ra-both': {
    stands: 'encrypted to both RA keys, the old one first',
    connector: 'two-ra',
    ...success,
    make: maker => maker.request({ envelope: recipients('ra-two-old', 'ra-two-new') }),
  },
  'two-purposes': {
    stands: 'an RA of two certificates, encrypted to the one that decrypts (Aruba, FIPS)',
    connector: 'two-purposes',
    ...success,
    make: maker => maker.request({ ra: 'ra-decrypting' }),
  },
  'two-purposes-confused': {
    stands: 'an RA of two certificates, encrypted to the one that signs',
    connector: 'two-purposes',
    ...notOurs,
    make: maker => maker.request({ ra: 'ra-signing' }),
  },
  'two-purposes-both': {
    stands: 'an RA of two certificates, encrypted to both, as micromdm does',
    connector: 'two-purposes',
    ...success,
    make: maker => maker.request({ envelope: recipients('ra-signing', 'ra-decrypting') }),
  },
  'password-recipient': {
    stands: 'F.13: a PasswordRecipientInfo with 10⁹ iterations, which is not for us',
    ...notOurs,
    make: maker => maker.request({ eContent: enveloped(maker, { infos: [passwordRecipient(maker, 1_000_000_000)] }) }),
  },
  'password-recipient-beside-ours': {
    stands: 'B24: a PasswordRecipientInfo beside ours, which is passed over',
    ...success,
    make: maker => maker.request({ eContent: enveloped(maker, { infos: [ours(maker), passwordRecipient(maker, 1000)] }) }),
  },
  'originatorInfo-and-unprotectedAttrs': {
    stands: 'RFC 5652 section 6.1: originatorInfo and unprotectedAttrs, which nothing is read from',
    ...success,
    make: maker =>
      maker.request({
        eContent: enveloped(maker, {
          infos: [ours(maker)],
          before: [contextConstructed(0, contextConstructed(0, certificate('device').der))],
          behind: [contextConstructed(1, sequence(objectIdentifier('1.2.3.4'), setOf(integer(1))))],
        }),
      }),
  },
  'ber-streamed': {
    stands: 'encryptedContent in segments of BER',
    ...success,
    make: maker => maker.request({ eContent: streamed(maker.envelope(maker.csr())) }),
  },
  'oaep-sha1': {
    stands: 'RSAES-OAEP with SHA-1, as Windows sends it',
    once: true,
    ...success,
    make: maker => maker.request({ envelope: oaep(maker, digests['SHA-1']) }),
  },
  'oaep-sha256': {
    stands: 'RSAES-OAEP with SHA-256',
    once: true,
    ...success,
    make: maker => maker.request({ envelope: oaep(maker, digests['SHA-256']) }),
  },
  'oaep-sha512': {
    stands: 'RSAES-OAEP with SHA-512',
    once: true,
    ...success,
    make: maker => maker.request({ envelope: oaep(maker, digests['SHA-512']) }),
  },
  'oaep-noise': withRecipient('F.1: RSAES-OAEP whose block is noise', maker => ({
    keyTransport: { scheme: 'OAEP', digest: digests['SHA-256'] },
    encryptedKey: block(maker, [0, 9], maker.random(16)),
  })),
  'oaep-in-name': withRecipient('F.1: PKCS#1 v1.5 called RSAES-OAEP', maker => ({
    keyTransport: { scheme: 'OAEP', digest: digests['SHA-256'] },
    encryptedKey: maker.wrap(maker.ra, Buffer.alloc(16, 0x42)),
  })),

  'rsa-padding-of-type-1': padding('F.1: an RSA padding of type 1', [0, 1]),
  'rsa-padding-begins-with-7': padding('F.1: an RSA padding that does not begin with 0', [7, 2]),
  'rsa-padding-short': padding('F.1: an RSA padding of less than 8 octets', [0, 2, 1, 0]),
  'rsa-padding-without-end': padding('F.1: an RSA padding without its end', [0, 2], 0x11),
  'content-key-short': sealed('F.1: a content key of 15 octets', () => ({ contentKey: Buffer.alloc(15, 0x42) })),
  'content-key-long': sealed('F.1: a content key of 32 octets where AES-128 wants 16', () => ({ contentKey: Buffer.alloc(32, 0x42) })),
  'content-key-empty': sealed('F.1: a content key of no octets', () => ({ contentKey: Buffer.alloc(0) })),
  'content-key-another': withRecipient('F.1: another content key', maker => ({
    encryptedKey: maker.wrap(maker.ra, Buffer.alloc(16, 0x43)),
  })),
  'encrypted-key-short': withRecipient('F.1: an encryptedKey shorter than the modulus', () => ({ encryptedKey: Buffer.alloc(255, 1) })),
  'encrypted-key-long': withRecipient('F.1: an encryptedKey longer than the modulus', () => ({ encryptedKey: Buffer.alloc(257, 1) })),
  'encrypted-key-beyond-modulus': withRecipient('F.1: an encryptedKey beyond the modulus', () => ({
    encryptedKey: Buffer.alloc(256, 0xff),
  })),
  'encrypted-key-empty': withRecipient('F.1: an empty encryptedKey', () => ({ encryptedKey: Buffer.alloc(0) })),
  'encrypted-key-zero': withRecipient('F.1: an encryptedKey of zeros', () => ({ encryptedKey: Buffer.alloc(256) })),

  'cbc-flip-1': flipped(-1),
  'cbc-flip-16': flipped(-16),
  'cbc-flip-17': flipped(-17),
  'cbc-flip-18': flipped(-18),
  'cbc-flip-32': {
    ...flipped(-32),
    stands: 'F.2: octet -32 of the ciphertext flipped: the padding holds, and only the signature of the CSR is another',
    ...refused('badMessageCheck', 'The signature of the certificate signing request does not hold.'),
  },
  'cbc-flip-first': {
    stands: 'F.2: the first octet of the ciphertext flipped: the padding holds, the CSR does not begin as one',
    ...undecodable,
    make(maker) {
      const whole = Buffer.from(maker.envelope(maker.csr()));
      const ciphertext = Math.ceil((maker.csr().length + 1) / 16) * 16;
      return maker.request({ eContent: withFlippedOctet(whole, whole.length - ciphertext) });
    },
  },
  'cbc-padding-0': cbcPadding('negative test: CBC padding flips: a padding of 0', size => Array<number>(size).fill(0)),
  'cbc-padding-17': cbcPadding('negative test: CBC padding flips: longer than a block', size => Array<number>(size).fill(17)),
  'cbc-padding-255': cbcPadding('negative test: CBC padding flips: a padding of 255', size => Array<number>(size).fill(255)),
  'cbc-padding-uneven': cbcPadding('negative test: CBC padding flips: its octets differ', size => [
    ...Array<number>(size - 1).fill(size ^ 1),
    size,
  ]),
  'ciphertext-17-octets': sealed('F.2: ciphertext of no whole number of blocks', maker => ({ encryptedContent: maker.random(17) })),
  'ciphertext-empty': sealed('F.2: no ciphertext', () => ({ encryptedContent: Buffer.alloc(0) })),
  'ciphertext-noise': sealed('F.2: ciphertext of noise', maker => ({ encryptedContent: maker.random(1024) })),

  'content-empty': sealed('F.1: nothing inside', () => ({ content: Buffer.alloc(0) })),
  'content-text': sealed('F.1: text inside', () => ({ content: Buffer.from('-----BEGIN CERTIFICATE REQUEST-----') })),
  'content-noise': sealed('F.1: noise inside', maker => ({ content: maker.random(600) })),
  'content-certificate': sealed('F.1: a certificate inside', () => ({ content: certificate('device').der })),
  'content-certs-only': sealed('F.1: a degenerate SignedData inside', () => ({
    content: encodeDegenerate({ certificates: [certificate('device').der] }),
  })),
  'content-half-a-csr': sealed('F.1: half a CSR inside', maker => ({ content: maker.csr().subarray(0, 300) })),
  'content-csr-and-more': sealed('F.1: a CSR and more inside', maker => ({ content: Buffer.concat([maker.csr(), Buffer.of(0)]) })),
  'content-nested-10000': sealed('negative test: 10 000 nested indefinite lengths inside', () => ({
    content: Buffer.alloc(20_000, Buffer.from('3080', 'hex')),
  })),
  'iv-short': {
    stands: 'F.13: an initialization vector of 8 octets',
    ...refused('badRequest', 'The request is refused: an initialization vector of the wrong length.'),
    make(maker) {
      const infos = setOf(ours(maker));
      const algorithm = sequence(objectIdentifier(aes.oid), octetString(maker.random(8)));
      const content = sequence(objectIdentifier(Oid.data), algorithm, contextPrimitive(0, maker.random(64)));
      return maker.request({ eContent: encodeContentInfo(Oid.envelopedData, sequence(integer(0), infos, content)) });
    },
  },
};

function oaep(maker: Maker, digest: (typeof digests)[keyof typeof digests]): Partial<EnvelopeParts> {
  return { recipients: [{ certificate: maker.ra, keyTransport: { scheme: 'OAEP', digest } }] };
}
