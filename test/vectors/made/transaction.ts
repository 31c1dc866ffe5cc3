/** SCEP's own attributes, and transactions that come twice: identifiers and nonces of every form that clients use, and message types that nobody may. */
import { integer, octetString, printableString, utf8String } from '../../../src/base/pki/der.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { attribute } from '../../support/cms-parts.ts';
import { type Draft, type Drafts, type Maker, refused, success, unreadable } from '../maker.ts';

const impossibleId = unreadable('a transactionID of impossible length');
const notPrintable = unreadable('a transactionID with characters that are not printable');

function withId(stands: string, transactionID: string): Draft {
  return { stands, ...success, make: maker => maker.request({ transactionID }) };
}

function withNonce(stands: string, senderNonce: (maker: Maker) => Uint8Array | null): Draft {
  return { stands, ...success, make: maker => maker.request({ senderNonce: senderNonce(maker) }) };
}

/** The text names the types that there are, which grow. */
function withType(stands: string, messageType: string): Draft {
  return { stands, ...refused('badRequest'), make: maker => maker.request({ messageType }) };
}

/** SCEP's attributes as given, in place of the usual ones. */
function withAttributes(maker: Maker, attributes: (usual: Uint8Array[]) => (Uint8Array | undefined)[]): Uint8Array {
  const chosen = attributes(maker.attributes()).filter(given => given !== undefined);
  return maker.request({ signing: { attributes: chosen } });
}

export const transaction: Drafts = {
  'nonce-missing': withNonce('tolerance test: missing senderNonce', () => null),
  'nonce-8-octets': withNonce('tolerance test: 8-byte nonce, as of old iOS', maker => maker.random(8)),
  'nonce-64-octets': withNonce('B29: a nonce of 64 octets', maker => maker.random(64)),
  'nonce-65-octets': {
    stands: 'B29: a nonce of 65 octets',
    ...unreadable('a senderNonce of impossible length'),
    make: maker => maker.request({ senderNonce: maker.random(65) }),
  },
  'nonce-no-octets': {
    stands: 'B29: a nonce that is no OCTET STRING',
    ...unreadable('senderNonce is not one value of its type'),
    make: maker =>
      maker.request({ senderNonce: null, signedAttributes: [attribute(Oid.senderNonce, printableString('0123456789abcdef'))] }),
  },
  'nonce-of-recipient': {
    stands: 'B28: a recipientNonce in a request, which is not looked at',
    ...success,
    make: maker => maker.request({ signedAttributes: [attribute(Oid.recipientNonce, octetString(maker.random(16)))] }),
  },

  'id-with-space': withId('tolerance test: txid with space, as sscep’s', 'SSCEP transactionId'),
  'id-base64': withId('tolerance test: txid with `+/=`, as micromdm’s', 'k+ieBEewequAqNwRhWLlj/TjBQM='),
  'id-77-digits': withId('B30: 77 digits, as certmonger’s', '7'.repeat(77)),
  'id-uuid': withId('B30: a UUID', '4b7a3c52-4d1e-4c55-9a0e-0d7c8f1e2a3b'),
  'id-200-characters': withId('tolerance test: txid of 200 chars', 'x'.repeat(200)),
  'id-256-characters': withId('tolerance test: txid of 256 chars', 'y'.repeat(256)),
  'id-257-characters': {
    stands: 'F.13: txid of 257 chars',
    ...impossibleId,
    make: maker => maker.request({ transactionID: 'z'.repeat(257) }),
  },
  'id-100-kilobytes': {
    stands: 'F.13: txid of 100 KB',
    ...impossibleId,
    make: maker => maker.request({ transactionID: 'z'.repeat(100_000) }),
  },
  'id-empty': { stands: 'negative test: txid empty', ...impossibleId, make: maker => maker.request({ transactionID: '' }) },
  'id-missing': {
    stands: 'B27: no transactionID',
    ...unreadable('transactionID is missing'),
    make: maker => withoutId(maker, undefined),
  },
  'id-line-break': {
    stands: 'F.20: a line break in the txid',
    ...notPrintable,
    make: maker => maker.request({ transactionID: 'a\nlevel=50' }),
  },
  'id-escape': {
    stands: 'F.20: a terminal’s escape in the txid',
    ...notPrintable,
    make: maker => maker.request({ transactionID: '\u001b[2J' }),
  },
  'id-null': { stands: 'F.20: a null in the txid', ...notPrintable, make: maker => maker.request({ transactionID: 'a\0b' }) },
  'id-utf8': {
    stands: 'B30: a txid that is a UTF8String',
    ...success,
    make: maker => withoutId(maker, attribute(Oid.transactionID, utf8String('a-utf8-transaction'))),
  },
  'id-integer': {
    stands: 'B30: a txid that is no string',
    expect: { statusCode: 400 },
    make: maker => withoutId(maker, attribute(Oid.transactionID, integer(7))),
  },

  'type-18': withType('negative test: messageType 18 (UpdateReq, of drafts alone)', '18'),
  'type-99': withType('negative test: messageType 99', '99'),
  'type-019': withType('negative test: messageType "019"', '019'),
  'type-3': withType('B31: messageType 3 (CertRep) from a client', '3'),
  'type-0': withType('B31: messageType 0, which is reserved', '0'),
  'type-name': withType('B31: messageType "PKCSReq"', 'PKCSReq'),
  'type-empty': withType('B31: an empty messageType', ''),
  'type-space': withType('B31: messageType " 19"', ' 19'),
  'type-200-digits': withType('F.20: a messageType of 200 digits', '1'.repeat(200)),
  'type-absent': {
    stands: 'negative test: messageType absent',
    ...refused('badRequest'),
    make: maker => maker.request({ messageType: null }),
  },
  'type-utf8': {
    stands: 'B31: a messageType that is a UTF8String',
    ...success,
    make: maker => maker.request({ messageType: null, signedAttributes: [attribute(Oid.messageType, utf8String('19'))] }),
  },
  'type-integer': {
    stands: 'B31: a messageType that is an INTEGER',
    expect: { statusCode: 400 },
    make: maker => maker.request({ messageType: null, signedAttributes: [attribute(Oid.messageType, integer(19))] }),
  },

  'same-id-first': {
    stands: 'a transactionID that will be used again',
    ...success,
    make: maker => maker.request({ transactionID: 'used-more-than-once' }),
  },
  'same-id-same-csr': {
    stands: 'F.9: the same message again, which gets the same certificate',
    seed: 'transaction/same-id-first',
    after: 'transaction/same-id-first',
    ...success,
    make: maker => maker.request({ transactionID: 'used-more-than-once' }),
  },
  'same-id-other-csr': {
    stands: 'tolerance test: same txid different CSR, which is a new transaction (certmonger, sscep)',
    after: 'transaction/same-id-same-csr',
    ...success,
    make: maker => maker.request({ transactionID: 'used-more-than-once' }),
  },
  'same-id-other-signer': {
    stands: 'F.10: same txid and the CSR of another device, with another signer',
    after: 'transaction/same-id-first',
    seed: 'transaction/same-id-first',
    ...refused('badMessageCheck', 'The request is not signed with the key that the certificate signing request is for.'),
    make: maker => maker.request({ transactionID: 'used-more-than-once', signer: 'device-2', csrKey: 'device' }),
  },
  'same-csr-in-parallel': {
    stands: 'tolerance test: same CSR twice in parallel',
    parallel: 2,
    ...success,
    make: maker => maker.request(),
  },
  'same-csr-eight-in-parallel': {
    stands: 'F.6: same CSR eight times in parallel',
    parallel: 8,
    ...success,
    make: maker => maker.request(),
  },
};

/** SCEP's attributes but for the transactionID, in whose place this stands. */
function withoutId(maker: Maker, replacement: Uint8Array | undefined): Uint8Array {
  return withAttributes(maker, ([, ...rest]) => [replacement, ...rest]);
}
