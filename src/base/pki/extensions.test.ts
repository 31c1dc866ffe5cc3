/** Shows that the extensions of certificates and CSRs are read as others write them and written as others read them. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { hex, indefinite, segmented } from '../../../test/support/ber.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createIdentity, ecKey } from '../../../test/support/pki-fixtures.ts';
import { parseBer, Tag } from './asn1.ts';
import { contextConstructed, contextPrimitive, derNull, derTrue, integer, objectIdentifier, octetString, sequence, tlv } from './der.ts';
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  type Extension,
  encodeExtensions,
  extKeyUsageExtension,
  findExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  normalizeExtension,
  parseBasicConstraints,
  parseExtensions,
  parseExtKeyUsage,
  parseIpAddress,
  parseKeyUsage,
  parseSubjectAltName,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from './extensions.ts';
import { parseNameString } from './name.ts';
import { Oid } from './oids.ts';

const extensionOf = (value: Uint8Array): Extension => ({ oid: '1.2.3', critical: false, value });
const namesOf = (...names: { der: Uint8Array }[]) => parseSubjectAltName(subjectAltNameExtension(names, false));
/** The extension as the pkijs class of its own type reads it. */
const pkijsRead = ({ value }: Extension) => asn1js.fromBER(value).result;

describe('a list of extensions', () => {
  it('comes back as it was written', () => {
    const extensions = [
      basicConstraintsExtension(true, 0),
      keyUsageExtension([KeyUsage.keyCertSign]),
      subjectKeyIdentifierExtension(hex('0102')),
    ];
    const read = parseExtensions(parseBer(encodeExtensions(extensions)));
    assert.deepEqual(
      read.map(({ oid, critical }) => [oid, critical]),
      [
        [Oid.basicConstraints, true],
        [Oid.keyUsage, true],
        [Oid.subjectKeyIdentifier, false],
      ],
    );
    for (const [index, { value }] of read.entries()) assert.deepEqual([...value], [...(extensions[index]?.value ?? [])]);
    assert.equal(findExtension(read, Oid.keyUsage)?.oid, Oid.keyUsage);
    assert.equal(findExtension(read, Oid.extKeyUsage), undefined);
  });

  it('is refused when one stands twice or is no extension', () => {
    const one = sequence(objectIdentifier('1.2.3'), octetString(derNull));
    refused(() => parseExtensions(parseBer(sequence(one, one))), 'malformed', /stands twice/);
    for (const wrong of [
      sequence(),
      sequence(objectIdentifier('1.2.3')),
      sequence(objectIdentifier('1.2.3'), derNull),
      sequence(objectIdentifier('1.2.3'), octetString(derNull), derTrue),
    ]) {
      refused(() => parseExtensions(parseBer(sequence(wrong))), 'malformed');
    }
  });
});

describe('keyUsage', () => {
  it('is written as OpenSSL and pkijs read it and read as it was written', () => {
    for (const bits of [[0], [0, 2], [5, 6], [0, 1, 2, 3, 4, 5, 6, 7, 8], []]) {
      const extension = keyUsageExtension(bits);
      assert.deepEqual([...parseKeyUsage(extension)], bits);
      const bitString = pkijsRead(extension);
      assert.ok(bitString instanceof asn1js.BitString);
      const [octet = 0, ninth = 0] = bitString.valueBlock.valueHexView;
      assert.equal(
        (octet << 8) | ninth,
        bits.reduce((sum, bit) => sum | (0x8000 >> bit), 0),
      );
    }
  });

  it('is refused when it is no BIT STRING', () => {
    refused(() => parseKeyUsage(extensionOf(octetString(hex('05 a0')))), 'malformed', /no BIT STRING/);
    refused(() => parseKeyUsage(extensionOf(Buffer.alloc(0))), 'malformed');
  });
});

describe('extKeyUsage', () => {
  it('lists purposes', () => {
    const extension = extKeyUsageExtension([Oid.clientAuth, Oid.serverAuth]);
    assert.deepEqual(parseExtKeyUsage(extension), [Oid.clientAuth, Oid.serverAuth]);
    assert.deepEqual(new pkijs.ExtKeyUsage({ schema: pkijsRead(extension) }).keyPurposes, [Oid.clientAuth, Oid.serverAuth]);
    const { certificate } = createIdentity({ key: ecKey('prime256v1'), extensions: [extension] });
    assert.deepEqual(new X509Certificate(certificate.der).keyUsage, [Oid.clientAuth, Oid.serverAuth]);
    refused(() => parseExtKeyUsage(extensionOf(sequence(derNull))), 'malformed', /no OBJECT IDENTIFIER/);
  });
});

describe('basicConstraints', () => {
  it('says whether the certificate is a CA’s, and how long its path may be', () => {
    for (const [cA, pathLen] of [
      [true, undefined],
      [true, 0],
      [true, 3],
      [false, undefined],
    ] as const) {
      const extension = basicConstraintsExtension(cA, pathLen);
      assert.deepEqual(parseBasicConstraints(extension), { cA, pathLenConstraint: pathLen });
      const read = new pkijs.BasicConstraints({ schema: pkijsRead(extension) });
      assert.deepEqual([read.cA, read.pathLenConstraint], [cA, pathLen]);
    }
    assert.deepEqual(parseBasicConstraints(extensionOf(sequence(tlv(Tag.boolean, hex('00'))))), {
      cA: false,
      pathLenConstraint: undefined,
    });
    refused(() => parseBasicConstraints(extensionOf(sequence(integer(1), derTrue))), 'malformed');
  });
});

describe('the key identifiers', () => {
  it('are read by pkijs', () => {
    const identifier = hex('00112233445566778899aabbccddeeff00112233');
    const authority = new pkijs.AuthorityKeyIdentifier({ schema: pkijsRead(authorityKeyIdentifierExtension(identifier)) });
    assert.deepEqual(Buffer.from(authority.keyIdentifier?.valueBlock.valueHexView ?? []), identifier);
    const subject = pkijsRead(subjectKeyIdentifierExtension(identifier));
    assert.ok(subject instanceof asn1js.OctetString);
    assert.deepEqual(Buffer.from(subject.valueBlock.valueHexView), identifier);
  });
});

describe('subjectAltName', () => {
  it('comes in DER from names in BER', () => {
    const dns = { der: segmented(Buffer.from('a.example.com'), 0xa2, 5) };
    const ip = { der: segmented(Buffer.from([10, 0, 0, 1]), 0xa7, 2) };
    const upn = {
      der: indefinite(0xa0, objectIdentifier(Oid.userPrincipalName), indefinite(0xa0, segmented(Buffer.from('a@b'), 0x2c, 2))),
    };
    const expected = [generalName.dns('a.example.com'), generalName.ip(Buffer.from([10, 0, 0, 1])), generalName.userPrincipalName('a@b')];
    assert.deepEqual(
      namesOf(dns, ip, upn).map(({ der }) => Buffer.from(der)),
      expected.map(({ der }) => Buffer.from(der)),
    );
  });

  it('is refused with a NUL, a line break or an octet above ASCII in a name', () => {
    for (const name of ['bank.example\0.evil.example', 'a\nb', 'm\u00fcnchen.example', 'a\u007f']) {
      refused(() => namesOf(generalName.dns(name)), 'malformed', /printable ASCII/);
      refused(() => namesOf(generalName.email(name)), 'malformed', /printable ASCII/);
      refused(() => namesOf(generalName.uri(name)), 'malformed', /printable ASCII/);
    }
  });

  const directory = parseNameString('CN=a,O=b').der;

  it('holds names of every type', () => {
    const names = namesOf(
      generalName.dns('a.example.com'),
      generalName.email('a@example.com'),
      generalName.uri('urn:uuid:1'),
      generalName.ip(parseIpAddress('192.0.2.7')),
      generalName.ip(parseIpAddress('2001:db8::7')),
      generalName.userPrincipalName('ü@example.com'),
      { der: contextConstructed(4, directory) },
      { der: contextPrimitive(8, hex('2a 03')) },
      { der: contextConstructed(0, objectIdentifier('1.2.3'), contextConstructed(0, derNull)) },
      { der: contextConstructed(5, derNull) },
    );
    assert.deepEqual(
      names.map(({ type, value, otherNameOid }) => [type, value, ...(otherNameOid === undefined ? [] : [otherNameOid])]),
      [
        ['dNSName', 'a.example.com'],
        ['rfc822Name', 'a@example.com'],
        ['uniformResourceIdentifier', 'urn:uuid:1'],
        ['iPAddress', '192.0.2.7'],
        ['iPAddress', '2001:db8:0:0:0:0:0:7'],
        ['otherName', 'ü@example.com', Oid.userPrincipalName],
        ['directoryName', 'CN=a,O=b'],
        ['registeredID', '1.2.3'],
        ['otherName', '0500', '1.2.3'],
        ['ediPartyName', 'a5020500'],
      ],
    );
  });

  it('is read by OpenSSL and by pkijs as it was written', () => {
    const extension = subjectAltNameExtension(
      [
        generalName.dns('a.example.com'),
        generalName.email('a@example.com'),
        generalName.uri('urn:a'),
        generalName.ip(parseIpAddress('2001:db8::7')),
      ],
      true,
    );
    assert.equal(extension.critical, true);
    const { certificate } = createIdentity({ key: ecKey('prime256v1'), extensions: [extension] });
    assert.equal(
      new X509Certificate(certificate.der).subjectAltName,
      'DNS:a.example.com, email:a@example.com, URI:urn:a, IP Address:2001:DB8:0:0:0:0:0:7',
    );
    assert.deepEqual(
      new pkijs.GeneralNames({ schema: pkijsRead(extension) }).names.map(({ type }) => type),
      [2, 1, 6, 7],
    );
  });

  it('is refused with a name that cannot be read', () => {
    for (const der of [
      '87 03 c0 00 02',
      '89 00',
      'a4 00',
      '04 01 61',
      'a0 05 06 03 2a 03 04',
      'a0 07 06 03 2a 03 04 a0 00',
      '88 00',
      'a2 03 02 01 05',
    ]) {
      refused(() => namesOf({ der: hex(der) }), 'malformed');
    }
    refused(
      () => namesOf({ der: contextConstructed(0, objectIdentifier(Oid.userPrincipalName), contextConstructed(0, derNull)) }),
      'malformed',
    );
  });
});

describe('generalName', () => {
  it('writes every type that pkijs reads as it was meant', () => {
    const directory = parseNameString('CN=a,O=b');
    const extension = subjectAltNameExtension(
      [
        generalName.otherName('1.2.3.4', 'ü'),
        generalName.directory(directory),
        generalName.ediParty('party', 'assigner'),
        generalName.ediParty('party'),
        generalName.registeredId('2.999.3'),
      ],
      false,
    );
    const { names } = new pkijs.GeneralNames({ schema: pkijsRead(extension) });
    assert.deepEqual(
      names.map(({ type }) => type),
      [0, 4, 5, 5, 8],
    );
    assert.equal(names[4]?.value, '2.999.3');
    assert.deepEqual(
      parseSubjectAltName(extension).map(({ value }) => value),
      ['0c02c3bc', 'CN=a,O=b', 'a515a00a0c0861737369676e6572a1070c057061727479', 'a509a1070c057061727479', '2.999.3'],
    );
  });
});

describe('normalizeExtension', () => {
  const copy = (oid: string, value: Uint8Array) => normalizeExtension({ oid, critical: true, value });

  it('writes the extensions it knows anew in DER and keeps whether they are critical', () => {
    const bits = copy(Oid.keyUsage, hex('03 03 00 a0 00'));
    assert.deepEqual([bits.critical, Buffer.from(bits.value)], [true, hex('03 02 05 a0')]);
    const purposes = copy(Oid.extKeyUsage, indefinite(0x30, objectIdentifier(Oid.clientAuth)));
    assert.deepEqual(purposes, extKeyUsageExtension([Oid.clientAuth], true));
    const names = copy(Oid.subjectAltName, indefinite(0x30, segmented(Buffer.from('a.example.com'), 0xa2, 5)));
    assert.deepEqual(names.value, subjectAltNameExtension([generalName.dns('a.example.com')], true).value);
  });

  it('leaves any other extension as it came', () => {
    const value = hex('31 06 13 01 61 02 01 01');
    assert.deepEqual(copy('1.2.3', value), { oid: '1.2.3', critical: true, value });
  });

  it('refuses what is not well-formed, not of its syntax, or empty', () => {
    refused(() => copy('1.2.3', hex('30 05 02')), 'malformed');
    refused(() => copy('1.2.3', hex('')), 'malformed');
    refused(() => copy('1.2.3', hex('05 00 00')), 'malformed');
    refused(() => copy(Oid.keyUsage, sequence()), 'malformed');
    refused(() => copy(Oid.subjectAltName, sequence(derNull)), 'malformed');
    refused(() => copy(Oid.keyUsage, hex('03 02 07 00')), 'malformed', /keyUsage is there and holds nothing/);
    refused(() => copy(Oid.extKeyUsage, sequence()), 'malformed', /holds nothing/);
    refused(() => copy(Oid.subjectAltName, sequence()), 'malformed', /holds nothing/);
  });
});

describe('parseIpAddress', () => {
  it('reads every form of both versions', () => {
    const octets: [string, string][] = [
      ['192.0.2.7', 'c0000207'],
      ['::', '00'.repeat(16)],
      ['::1', `${'00'.repeat(15)}01`],
      ['2001:db8::7', '20010db8000000000000000000000007'],
      ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
      ['::ffff:192.0.2.7', '00000000000000000000ffffc0000207'],
    ];
    for (const [text, digits] of octets) assert.equal(Buffer.from(parseIpAddress(text)).toString('hex'), digits, text);
  });

  it('refuses what is no address, and one with a zone', () => {
    for (const text of ['', '192.0.2', '192.0.2.256', 'example.com', '1::2::3', 'fe80::1%eth0'])
      refused(() => parseIpAddress(text), 'malformed', /no IP address/);
  });
});
