/** Shows that the DER writer gives the one encoding that X.690 allows, and that what was read from DER is written to the same bytes. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as fc from 'fast-check';
import { rewritten } from '../../../test/support/ber.ts';
import { createCaAndRa, createCsr, createIdentity, createPkcsReq, ecKey, rsaKey, seed } from '../../../test/support/pki-fixtures.ts';
import { digests } from './algorithms.ts';
import { parseBer } from './asn1.ts';
import * as der from './der.ts';
import { encodeDegenerate, parseSignedData } from './signed-data.ts';
import { parseCertificate } from './x509.ts';

const digitsOf = (octets: Uint8Array) => Buffer.from(octets).toString('hex');
const bufferOf = (octets: ArrayBuffer) => Buffer.from(octets).toString('hex');

describe('tlv', () => {
  it('writes the shortest length', () => {
    const heads: [number, string][] = [
      [0, '0400'],
      [0x7f, '047f'],
      [0x80, '048180'],
      [0xff, '0481ff'],
      [0x100, '04820100'],
      [0xffff, '0482ffff'],
      [0x10000, '0483010000'],
      [0xffffff, '0483ffffff'],
      [0x1000000, '048401000000'],
    ];
    for (const [length, head] of heads) {
      const encoded = der.tlv(0x04, Buffer.alloc(length));
      assert.equal(digitsOf(encoded.subarray(0, head.length / 2)), head);
      assert.equal(encoded.length, head.length / 2 + length);
    }
  });

  it('joins its parts', () => {
    assert.equal(digitsOf(der.tlv(0x30, der.derNull, Buffer.alloc(0), der.derTrue)), '300505000101ff');
  });
});

describe('the writers', () => {
  it('write integers as asn1js does, from numbers and from octets', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(300), fc.maxSafeNat()), value => {
        const expected = bufferOf(asn1js.Integer.fromBigInt(BigInt(value)).toBER());
        assert.equal(digitsOf(der.integer(value)), expected);
        assert.equal(digitsOf(der.integer(Buffer.from(value.toString(16).padStart(20, '0'), 'hex'))), expected);
      }),
      { seed, numRuns: 500 },
    );
    for (const value of [-1, 1.5, 2 ** 53]) assert.throws(() => der.integer(value), RangeError);
  });

  it('write object identifiers as asn1js does and as our reader reads', () => {
    const oid = fc
      .tuple(fc.nat(2), fc.nat(39), fc.array(fc.nat(2 ** 48), { maxLength: 6 }))
      .map(([root, second, arcs]) => [root, second, ...arcs].join('.'));
    fc.assert(
      fc.property(oid, dotted => {
        assert.equal(digitsOf(der.objectIdentifier(dotted)), bufferOf(new asn1js.ObjectIdentifier({ value: dotted }).toBER()));
      }),
      { seed, numRuns: 500 },
    );
    const uuid = '2.25.329800735698586629295641978511506172918';
    assert.equal(parseBer(der.objectIdentifier(uuid)).oid(), uuid);
    assert.equal(parseBer(der.objectIdentifier('2.999')).oid(), '2.999');
  });

  it('write the strings as asn1js does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (text, ascii) => {
        assert.equal(digitsOf(der.utf8String(text)), bufferOf(new asn1js.Utf8String({ value: text }).toBER()));
        assert.equal(digitsOf(der.printableString(ascii)), bufferOf(new asn1js.PrintableString({ value: ascii }).toBER()));
        assert.equal(digitsOf(der.ia5String(ascii)), bufferOf(new asn1js.IA5String({ value: ascii }).toBER()));
      }),
      { seed },
    );
  });

  it('sort the members of a SET OF by their encodings', () => {
    assert.equal(
      digitsOf(der.setOf(der.octetString(Buffer.from('b')), der.derNull, der.octetString(Buffer.from('a')))),
      '31080401610401620500',
    );
    assert.equal(digitsOf(der.setOf()), '3100');
  });

  it('leave out the trailing zero bits of named bits', () => {
    assert.equal(digitsOf(der.namedBitString([])), '030100');
    assert.equal(digitsOf(der.namedBitString([0])), '03020780');
    assert.equal(digitsOf(der.namedBitString([2, 0])), '030205a0');
    assert.equal(digitsOf(der.namedBitString([8])), '0303070080');
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(20)), bits => {
        assert.deepEqual(
          [...parseBer(der.namedBitString(bits)).namedBits()],
          bits.toSorted((a, b) => a - b),
        );
      }),
      { seed },
    );
  });

  it('tag by context', () => {
    assert.equal(digitsOf(der.contextConstructed(3, der.derNull)), 'a3020500');
    assert.equal(digitsOf(der.contextPrimitive(2, Buffer.from('a'))), '820161');
  });

  it('write times as UTCTime from 1950 to 2049 and as GeneralizedTime otherwise', () => {
    const written = (instant: string) => Buffer.from(der.time(Date.parse(instant))).toString('latin1');
    assert.equal(written('2049-12-31T23:59:59Z'), '\u0017\r491231235959Z');
    assert.equal(written('2050-01-01T00:00:00Z'), '\u0018\u000f20500101000000Z');
    assert.equal(written('1950-01-01T00:00:00.999Z'), '\u0017\r500101000000Z');
    assert.equal(written('1949-12-31T23:59:59Z'), '\u0018\u000f19491231235959Z');
  });
});

describe('what was read from DER', () => {
  const { ca, ra } = createCaAndRa();
  const client = createIdentity();
  const message = createPkcsReq({ client, ra });
  const oaepMessage = createPkcsReq({
    client,
    ra,
    digest: digests['SHA-512'],
    keyTransport: { scheme: 'OAEP', digest: digests['SHA-256'] },
  });
  const eContent = parseSignedData(message).eContent ?? Buffer.alloc(0);
  const samples: [string, Uint8Array][] = [
    ['a root', ca.certificate.der],
    ['an RA certificate', ra.certificate.der],
    ['a certificate on P-521', createIdentity({ key: ecKey('secp521r1') }).certificate.der],
    ['a SubjectPublicKeyInfo', client.certificate.publicKey.spki],
    ['a CSR', createCsr(rsaKey('client'), 'secret')],
    ['a PKCSReq', message],
    ['a PKCSReq with OAEP', oaepMessage],
    ['a pkcsPKIEnvelope', eContent],
    ['a degenerate SignedData', encodeDegenerate({ certificates: [ra.certificate.der, ca.certificate.der] })],
    [
      'what asn1js wrote',
      new Uint8Array(new asn1js.Sequence({ value: [new asn1js.OctetString({ valueHex: randomBytes(300) }), new asn1js.Null()] }).toBER()),
    ],
  ];
  for (const [name, encoded] of samples) {
    it(`is written to the same bytes: ${name}`, () => {
      assert.ok(encoded.length > 100);
      assert.equal(digitsOf(rewritten(parseBer(encoded))), digitsOf(encoded));
    });
  }

  it('is what it was built from: the certificate', () => {
    const certificate = parseCertificate(ra.certificate.der);
    assert.equal(certificate.serialNumber, ra.certificate.serialNumber);
    assert.deepEqual(certificate.issuer, ca.certificate.subject);
  });
});
