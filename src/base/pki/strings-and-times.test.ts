/** Shows what each character string and time of ASN.1 says, and which are refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as fc from 'fast-check';
import { hex, indefinite } from '../../../test/support/ber.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { seed } from '../../../test/support/pki-fixtures.ts';
import { parseBer, Tag } from './asn1.ts';
import { time, tlv } from './der.ts';
import { readText, readTime, textTags } from './strings-and-times.ts';

const text = (identifier: number, digits: string) => readText(parseBer(tlv(identifier, hex(digits))));
const utcTime = (value: string) => readTime(parseBer(tlv(Tag.utcTime, Buffer.from(value))));
const generalizedTime = (value: string) => readTime(parseBer(tlv(Tag.generalizedTime, Buffer.from(value))));

describe('readText', () => {
  it('reads every type of string', () => {
    const abc: [number, string][] = [
      [Tag.utf8String, '61 c3 a9'],
      [Tag.teletexString, '61 e9'],
      [Tag.bmpString, '00 61 00 e9'],
      [Tag.universalString, '00 00 00 61 00 00 00 e9'],
      [Tag.printableString, '61 e9'],
      [Tag.ia5String, '61 e9'],
      [Tag.visibleString, '61 e9'],
      [Tag.numericString, '61 e9'],
    ];
    for (const [tag, digits] of abc) assert.equal(text(tag, digits), 'aé', `tag ${tag}`);
    assert.deepEqual(new Set(abc.map(([tag]) => tag)), textTags);
  });

  it('reads whatever text asn1js writes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), value => {
        const inBmp = !/[\u{10000}-\u{10ffff}]/u.test(value);
        const strings = [new asn1js.Utf8String({ value }), new asn1js.UniversalString({ value: inBmp ? value : '' })];
        for (const string of strings) assert.equal(readText(parseBer(new Uint8Array(string.toBER()))), string.valueBlock.value);
        if (inBmp) assert.equal(readText(parseBer(new Uint8Array(new asn1js.BmpString({ value }).toBER()))), value);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('reads characters beyond the basic plane and keeps a byte order mark', () => {
    assert.equal(text(Tag.bmpString, 'd83d de00'), '😀');
    assert.equal(text(Tag.universalString, '0001f600'), '😀');
    assert.equal(text(Tag.utf8String, 'efbbbf 61'), '\ufeffa');
  });

  it('joins a string in segments', () => {
    const segments = ['70 72', '69 6e'].map(digits => tlv(Tag.octetString, hex(digits)));
    assert.equal(readText(parseBer(indefinite(0x2c, ...segments))), 'prin');
  });

  it('refuses octets that are no Unicode', () => {
    refused(() => text(Tag.utf8String, 'c3 28'), 'malformed', /UTF-8/);
    refused(() => text(Tag.utf8String, 'ed a0 80'), 'malformed', /UTF-8/);
    refused(() => text(Tag.bmpString, '00 61 00'), 'malformed', /odd/);
    refused(() => text(Tag.bmpString, 'd8 3d 00 61'), 'malformed', /surrogate/);
    refused(() => text(Tag.universalString, '00 00 61'), 'malformed', /multiple of four/);
    refused(() => text(Tag.universalString, '00 11 00 00'), 'malformed', /no Unicode/);
    refused(() => text(Tag.universalString, '00 00 d8 00'), 'malformed', /no Unicode/);
  });

  it('refuses what is no character string', () => {
    refused(() => text(Tag.octetString, '61'), 'malformed', /not a character string/);
    refused(() => readText(parseBer(hex('30 03 0c 01 61'))), 'malformed', /not a character string/);
  });
});

describe('readTime', () => {
  it('reads both types, with and without seconds, in UTC and with an offset', () => {
    const noon = Date.UTC(2026, 10, 22, 12, 30, 15);
    assert.equal(utcTime('261122123015Z'), noon);
    assert.equal(utcTime('2611221230Z'), noon - 15_000);
    assert.equal(utcTime('261122143015+0200'), noon);
    assert.equal(utcTime('261122070015-0530'), noon);
    assert.equal(generalizedTime('20261122123015Z'), noon);
    assert.equal(generalizedTime('202611221230Z'), noon - 15_000);
    assert.equal(generalizedTime('20261122123015.999Z'), noon);
    assert.equal(generalizedTime('20261123013015+1300'), noon);
  });

  it('takes two digits from 50 on for the twentieth century', () => {
    assert.equal(new Date(utcTime('500101000000Z')).getUTCFullYear(), 1950);
    assert.equal(new Date(utcTime('491231235959Z')).getUTCFullYear(), 2049);
  });

  it('reads the years that JavaScript would move to the twentieth century, and the last one', () => {
    assert.equal(generalizedTime('00500101000000Z'), Date.parse('0050-01-01T00:00:00Z'));
    assert.equal(generalizedTime('99991231235959Z'), Date.parse('9999-12-31T23:59:59Z'));
  });

  it('refuses days that are in no calendar and hours that are on no clock', () => {
    const wrong = ['20260230000000Z', '20260229000000Z', '20261301000000Z', '20260001000000Z', '20260100000000Z', '20260132000000Z'];
    for (const value of wrong) refused(() => generalizedTime(value), 'malformed', /no calendar/);
    assert.equal(generalizedTime('20240229000000Z'), Date.UTC(2024, 1, 29));
    for (const value of ['20260101240000Z', '20260101006000Z', '20260101000060Z', '20260101000000+2400', '20260101000000-0060']) {
      refused(() => generalizedTime(value), 'malformed', /no clock/);
    }
  });

  it('refuses other forms', () => {
    for (const value of [
      '',
      '261122123015',
      '26112212Z',
      '261122123015+02',
      '2611221230155Z',
      ' 61122123015Z',
      '261122123015z',
      '-61122123015Z',
    ]) {
      refused(() => utcTime(value), 'malformed', /cannot be read/);
    }
    for (const value of ['20261122123015', '2026112212Z', '20261122123015.Z', '20261122123015Z\n']) {
      refused(() => generalizedTime(value), 'malformed', /cannot be read/);
    }
    refused(() => readTime(parseBer(tlv(Tag.utf8String, Buffer.from('261122123015Z')))), 'malformed', /neither/);
  });

  it('reads what our writer writes, to the second', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('1900-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        instant => {
          const at = instant.getTime();
          assert.equal(readTime(parseBer(time(at))), Math.floor(at / 1000) * 1000);
        },
      ),
      { seed, numRuns: 500 },
    );
  });
});
