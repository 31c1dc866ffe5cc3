/** Shows that names are read, compared and written as RFC 5280 and RFC 4514 say, and that no name can pass for another in a line of text. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { hex } from '../../../test/support/ber.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { rsaKey, seed, validity } from '../../../test/support/pki-fixtures.ts';
import { createSigner } from './algorithms.ts';
import { parseBer, Tag } from './asn1.ts';
import { objectIdentifier, printableString, sequence, setOf, tlv, utf8String } from './der.ts';
import { createName, formatName, isReadable, Name, namesEqual, parseNameString } from './name.ts';
import { publicKeyOf } from './public-key.ts';
import { createCertificate } from './x509.ts';

const commonName = '2.5.4.3';
const nameOf = (value: Uint8Array, type = commonName) => new Name(parseBer(sequence(setOf(sequence(objectIdentifier(type), value)))));

const firstValueTag = (name: Name) => parseBer(name.der).parts?.[0]?.parts?.[0]?.parts?.[1]?.tag;

describe('Name', () => {
  it('reads each attribute of each RDN and keeps the bytes', () => {
    const encoded = hex(
      '30 26 31 0b 30 09 06 03 55 04 06 13 02 43 48 31 17 30 0a 06 03 55 04 03 0c 03 61 c3 a9 30 09 06 03 55 04 0b 16 02 4f 55',
    );
    const name = new Name(parseBer(encoded));
    assert.deepEqual(name.rdns, [
      [{ type: '2.5.4.6', value: 'CH', isText: true }],
      [
        { type: commonName, value: 'aé', isText: true },
        { type: '2.5.4.11', value: 'OU', isText: true },
      ],
    ]);
    assert.deepEqual(Buffer.from(name.der), encoded);
    assert.equal(formatName(name), 'CN=aé+OU=OU,C=CH');
  });

  it('shows values that are no strings in hexadecimal, times among them', () => {
    assert.equal(formatName(nameOf(tlv(Tag.bitString, hex('00 ff')), '2.5.4.45')), '2.5.4.45=#030200ff');
    const dateOfBirth = tlv(Tag.generalizedTime, Buffer.from('19700101000000Z'));
    assert.equal(formatName(nameOf(dateOfBirth, '1.3.6.1.5.5.7.9.1')), '1.3.6.1.5.5.7.9.1=#180f31393730303130313030303030305a');
  });

  it('refuses what is no Name', () => {
    for (const digits of [
      '30 02 05 00',
      '30 04 31 02 05 00',
      // An RDN with another tag than SET, an attribute with another than SEQUENCE: the fuzzer had certificates made of them.
      '30 0c f1 0a 30 08 06 03 55 04 03 0c 01 61',
      '30 0c 31 0a b0 08 06 03 55 04 03 0c 01 61',
      '30 09 31 07 30 05 06 03 55 04 03',
      '30 0b 31 09 30 07 06 03 55 04 03 0c ff',
      '30 0b 31 09 30 07 0c 01 61 0c 02 61 62',
      '05 00',
    ]) {
      refused(() => new Name(parseBer(hex(digits))).rdns, 'malformed');
    }
    refused(() => nameOf(tlv(Tag.utf8String, hex('ff'))).rdns, 'malformed', /UTF-8/);
  });
});

describe('isReadable', () => {
  const text = Buffer.from('00000041', 'hex');
  const values: [name: string, value: Uint8Array][] = [
    ...Object.entries(Tag).flatMap(([name, tag]): [string, Uint8Array][] =>
      typeof tag === 'number' && tag >= Tag.utf8String && tag !== Tag.sequence && tag !== Tag.set ? [[name, tlv(tag, text)]] : [],
    ),
    ['BIT STRING', tlv(Tag.bitString, hex('00 ff'))],
    ['OCTET STRING', tlv(Tag.octetString, text)],
    ['INTEGER', tlv(Tag.integer, text)],
    ['NULL', tlv(Tag.null)],
    ['[12]', tlv(Tag.context(12), text)],
  ];
  for (const [about, value] of values) {
    it(`says of a subject with a value of type ${about} whether OpenSSL reads the certificate`, () => {
      const subject = nameOf(value);
      const template = { subject: subject.der, subjectPublicKeyInfo: publicKeyOf(rsaKey('client')).spki, extensions: [] };
      const issued = { ...template, ...validity, issuer: nameOf(utf8String('CA')).der, serialNumber: '01' };
      const certificate = createCertificate(issued, createSigner(rsaKey('client')));
      if (isReadable(subject)) assert.doesNotThrow(() => new X509Certificate(certificate));
      else assert.throws(() => new X509Certificate(certificate));
    });
  }
});

describe('namesEqual', () => {
  it('compares what names say, not which string types say it', () => {
    assert.ok(namesEqual(nameOf(utf8String('Lab')), nameOf(printableString('Lab'))));
    assert.ok(!namesEqual(nameOf(utf8String('Lab')), nameOf(utf8String('lab'))));
    assert.ok(!namesEqual(parseNameString('CN=a,OU=b'), parseNameString('OU=b,CN=a')));
    assert.ok(!namesEqual(parseNameString('CN=a,OU=b'), parseNameString('CN=a+OU=b')));
  });

  it('never takes text for the hexadecimal form of something else', () => {
    const bits = nameOf(tlv(Tag.bitString, hex('00 ff')));
    assert.ok(!namesEqual(bits, nameOf(utf8String('#030200ff'))));
    assert.notEqual(formatName(bits), formatName(nameOf(utf8String('#030200ff'))));
  });
});

describe('formatName', () => {
  it('escapes what RFC 4514 demands', () => {
    assert.equal(formatName(nameOf(utf8String(' "a",b+c;<d>\\ '))), 'CN=\\ \\"a\\"\\,b\\+c\\;\\<d\\>\\\\\\ ');
    assert.equal(formatName(nameOf(utf8String(' '))), 'CN=\\ ');
    assert.equal(formatName(nameOf(utf8String('#a'))), 'CN=\\#a');
  });

  it('is one line without control characters, whatever the value', () => {
    for (const text of ['a\nCN=admin', '#\nCN=admin', 'a\u0000b', 'a\u2028b', '\u0085', 'a\u007f']) {
      // oxlint-disable-next-line no-control-regex -- they are what must not come through
      assert.doesNotMatch(formatName(nameOf(utf8String(text))), /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
    }
    assert.equal(formatName(nameOf(utf8String('a\nb'))), 'CN=a\\0ab');
  });
});

describe('parseNameString', () => {
  it('reads the attribute types by name and by number, and spaces around them', () => {
    assert.equal(formatName(parseNameString('cn = printer 7 , 1.2.3.4=x, C=CH')), 'CN=printer 7,1.2.3.4=x,C=CH');
    assert.equal(formatName(parseNameString('CN=a\\,b\\ ,O=\\#x\\c3\\a9')), 'CN=a\\,b\\ ,O=\\#xé');
  });

  it('writes what its string type cannot hold as UTF8String', () => {
    const tagOf = (text: string) => firstValueTag(parseNameString(text));
    assert.equal(tagOf('C=CH'), Tag.printableString);
    assert.equal(tagOf('C=日本'), Tag.utf8String);
    assert.equal(tagOf('serialNumber=a_b'), Tag.utf8String);
    assert.equal(tagOf('DC=example'), Tag.ia5String);
    assert.equal(tagOf('emailAddress=é@example.com'), Tag.utf8String);
    assert.equal(tagOf('CN=a'), Tag.utf8String);
  });

  it('gives back every name that formatName wrote', () => {
    const type = fc.constantFrom('CN', 'O', 'OU', 'C', 'DC', 'emailAddress', 'serialNumber', '1.2.3.4');
    const value = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
    const special = fc.string({
      unit: fc.constantFrom(' ', '\\', ',', '+', '#', '=', '"', '\n', 'a', '4', '1', 'é'),
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(type, fc.oneof(value, special)), { minLength: 1, maxLength: 4 }), attributes => {
        const encoded = attributes.map(([shortName, text]) => {
          const known = parseNameString(`${shortName}=x`).rdns[0]?.[0]?.type ?? '';
          return setOf(sequence(objectIdentifier(known), utf8String(text)));
        });
        const name = new Name(parseBer(sequence(...encoded)));
        assert.deepEqual(parseNameString(formatName(name)).rdns, name.rdns);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it('names the part that it cannot read', () => {
    for (const text of ['', 'CN', '=a', 'XX=a', 'CN=a,b', '3.1=a', '1.99=a', 'CN=a,,O=b'])
      refused(() => parseNameString(text), 'malformed', /is not TYPE=value/);
  });
});

describe('createName', () => {
  it('gives each attribute an RDN of its own, in this order', () => {
    const name = createName([
      { type: 'C', value: 'CH' },
      { type: 'CN', value: 'a,b+c' },
      { type: '1.3.6.1.4.1.37244.2.1', value: 'FFF1' },
      { type: 'generationQualifier', value: 'Jr.' },
    ]);
    assert.equal(formatName(name), 'generationQualifier=Jr.,1.3.6.1.4.1.37244.2.1=FFF1,CN=a\\,b\\+c,C=CH');
    assert.ok(namesEqual(name, parseNameString(formatName(name))));
  });

  it('writes each value in the string of its type', () => {
    const tagOf = (type: string) => firstValueTag(createName([{ type, value: 'a' }]));
    for (const type of ['C', 'serialNumber', 'dnQualifier']) assert.equal(tagOf(type), Tag.printableString, type);
    for (const type of ['DC', 'emailAddress']) assert.equal(tagOf(type), Tag.ia5String, type);
    for (const type of ['CN', 'SN', '1.2.3']) assert.equal(tagOf(type), Tag.utf8String, type);
  });

  it('refuses what the string of a type cannot hold, where parseNameString would take another string', () => {
    for (const [type, value] of [
      ['C', '日本'],
      ['serialNumber', 'a_b'],
      ['DC', 'é'],
      ['CN', ''],
      ['CN', 'a\0b'],
      ['CN', '\ud800'],
    ] as const) {
      refused(() => createName([{ type, value }]), 'malformed', /cannot hold/);
    }
    refused(() => createName([{ type: '1.99', value: 'a' }]), 'malformed', /no attribute type/);
  });
});
