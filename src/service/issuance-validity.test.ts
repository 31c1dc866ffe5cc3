/** AWS's Validity: every type, both sides of every bound. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ServiceException } from '../base/errors.ts';
import { issuanceValidity, type Validity } from './issuance-validity.ts';

const now = Date.UTC(2026, 0, 31, 12, 34, 54, 789);
const unlimited = Number.POSITIVE_INFINITY;

function validityOf(Type: Validity['Type'], Value: number, options: { at?: number; notAfterMax?: number; from?: Validity } = {}) {
  const { at = now, notAfterMax = unlimited, from } = options;
  const { notBefore, notAfter } = issuanceValidity({ Validity: { Type, Value }, ValidityNotBefore: from }, { now: at, notAfterMax });
  return { notBefore: new Date(notBefore).toISOString(), notAfter: new Date(notAfter).toISOString() };
}

function endOf(Type: Validity['Type'], Value: number, options: { at?: number; notAfterMax?: number; from?: Validity } = {}): string {
  return validityOf(Type, Value, options).notAfter;
}

function assertRefused(work: () => unknown, message: RegExp): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof ServiceException);
    assert.equal(error.name, 'ValidationException');
    assert.match(error.message, message);
    return true;
  });
}

const beyondAnyYear = /must not end after the year 9999/;
const noTime = /must be a time of the calendar/;
const tooShort = /at least one second after it begins/;

describe('the end of a certificate', () => {
  it('counts days from the issuance in whole seconds', () => {
    assert.equal(endOf('DAYS', 1), '2026-02-01T12:34:54.000Z');
    assert.equal(endOf('DAYS', 90), '2026-05-01T12:34:54.000Z');
  });

  it('counts months and years by the calendar, and takes the last day of a month that is shorter', () => {
    assert.equal(endOf('MONTHS', 1), '2026-02-28T12:34:54.000Z');
    assert.equal(endOf('MONTHS', 2), '2026-03-31T12:34:54.000Z');
    assert.equal(endOf('MONTHS', 25), '2028-02-29T12:34:54.000Z');
    assert.equal(endOf('YEARS', 1), '2027-01-31T12:34:54.000Z');
    assert.equal(endOf('YEARS', 1, { at: Date.UTC(2028, 1, 29) }), '2029-02-28T00:00:00.000Z');
    assert.equal(endOf('YEARS', 4, { at: Date.UTC(2028, 1, 29) }), '2032-02-29T00:00:00.000Z');
  });

  it('is at an absolute second', () => {
    assert.equal(endOf('ABSOLUTE', 2_524_608_000), '2050-01-01T00:00:00.000Z');
  });

  it('is at an END_DATE of two or four digits of the year', () => {
    assert.equal(endOf('END_DATE', 491_231_235_959), '2049-12-31T23:59:59.000Z');
    assert.equal(endOf('END_DATE', 20_491_231_235_959), '2049-12-31T23:59:59.000Z');
    assert.equal(endOf('END_DATE', 20_500_101_000_000), '2050-01-01T00:00:00.000Z');
    assert.equal(endOf('END_DATE', 280_229_000_000), '2028-02-29T00:00:00.000Z');
  });

  it('takes an END_DATE from 50 on for one of the last century, and gives a number its leading zeros back', () => {
    const at = Date.UTC(1949, 0, 1);
    const from: Validity = { Type: 'ABSOLUTE', Value: 1 };
    assert.equal(endOf('END_DATE', 991_231_235_959, { at, from }), '1999-12-31T23:59:59.000Z');
    assert.equal(endOf('END_DATE', 700_101_000_002, { at, from }), '1970-01-01T00:00:02.000Z');
    assert.equal(endOf('END_DATE', 90_615_123_000, { at, from }), '2009-06-15T12:30:00.000Z');
    assert.equal(endOf('END_DATE', 101_000_000, { at, from }), '2000-01-01T00:00:00.000Z');
  });

  it('refuses an END_DATE that is in no calendar or on no clock', () => {
    for (const value of [
      20_260_431_000_000, 20_270_229_000_000, 20_261_301_000_000, 20_260_001_000_000, 20_260_500_000_000, 20_260_501_240_000,
      20_260_501_006_000, 20_260_501_000_060, 1, 2_026_050_100_000, 202_605_010_000_000, 1e21,
    ])
      assertRefused(() => endOf('END_DATE', value), noTime);
  });

  it('is in the year 9999 at the latest', () => {
    assert.equal(endOf('ABSOLUTE', 253_402_300_799), '9999-12-31T23:59:59.000Z');
    assertRefused(() => endOf('ABSOLUTE', 253_402_300_800), beyondAnyYear);
    assert.equal(endOf('YEARS', 7973), '9999-01-31T12:34:54.000Z');
    assertRefused(() => endOf('YEARS', 7974), beyondAnyYear);
    for (const type of ['DAYS', 'MONTHS', 'YEARS', 'ABSOLUTE'] as const) {
      assertRefused(() => endOf(type, Number.MAX_SAFE_INTEGER), beyondAnyYear);
    }
  });

  it('is a second in the future at least', () => {
    const second = Math.floor(now / 1000);
    assert.equal(endOf('ABSOLUTE', second + 1), '2026-01-31T12:34:55.000Z');
    assertRefused(() => endOf('ABSOLUTE', second), tooShort);
    assertRefused(() => endOf('END_DATE', 20_260_131_123_454), tooShort);
  });

  it('is what the issuer may issue at the latest', () => {
    const notAfterMax = Date.UTC(2027, 0, 31, 12, 34, 54);
    assert.equal(endOf('YEARS', 1, { notAfterMax }), '2027-01-31T12:34:54.000Z');
    assertRefused(() => endOf('YEARS', 1, { notAfterMax: notAfterMax - 1000 }), /must not end after .* 2027-01-31T12:34:53.000Z/);
  });
});

describe('the beginning of a certificate', () => {
  it('is an hour before its issuance', () => {
    assert.equal(validityOf('DAYS', 1).notBefore, '2026-01-31T11:34:54.000Z');
  });

  it('is at the absolute second that was asked for, which does not move the end', () => {
    const from: Validity = { Type: 'ABSOLUTE', Value: Date.UTC(2026, 1, 20) / 1000 };
    assert.deepEqual(validityOf('DAYS', 20, { from }), { notBefore: '2026-02-20T00:00:00.000Z', notAfter: '2026-02-20T12:34:54.000Z' });
  });

  it('is before the end', () => {
    const end = Date.UTC(2026, 1, 1) / 1000;
    assert.ok(validityOf('ABSOLUTE', end, { from: { Type: 'ABSOLUTE', Value: end - 1 } }));
    assertRefused(() => validityOf('ABSOLUTE', end, { from: { Type: 'ABSOLUTE', Value: end } }), tooShort);
  });

  it('is of no other type', () => {
    for (const Type of ['END_DATE', 'DAYS', 'MONTHS', 'YEARS'] as const) {
      assertRefused(() => validityOf('YEARS', 1, { from: { Type, Value: 1 } }), /ValidityNotBefore must be ABSOLUTE/);
    }
    assertRefused(() => validityOf('YEARS', 1, { from: { Type: 'ABSOLUTE', Value: 253_402_300_800 } }), beyondAnyYear);
  });
});
