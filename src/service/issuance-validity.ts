/** When a certificate of IssueCertificate begins and ends: AWS's Validity as instants, pure. */
import { validationException } from '../base/errors.ts';
import { dayMs, hourMs } from './validity.ts';

export interface Validity {
  Value: number;
  Type: ValidityPeriodType;
}

export type ValidityPeriodType = 'END_DATE' | 'ABSOLUTE' | 'DAYS' | 'MONTHS' | 'YEARS';

/** An authority of usage mode SHORT_LIVED_CERTIFICATE issues for a week at most; AWS does not hold root certificates to it. */
export const shortLivedMsMax = 7 * dayMs;
const backdateMs = hourMs;
/** AWS: "The minimum validity for a certificate using absolute time is one second." */
const durationMsMin = 1000;
/** RFC 5280 section 4.1.2.5: no certificate ends after the year 9999. */
const endOfTime = Date.UTC(9999, 11, 31, 23, 59, 59);

interface ValidityRequest {
  Validity: Validity;
  ValidityNotBefore?: Validity | undefined;
}

/** Both in whole seconds, as a certificate says them. Throws ValidationException. */
export function issuanceValidity(
  { Validity, ValidityNotBefore }: ValidityRequest,
  { now, notAfterMax }: { now: number; notAfterMax: number },
): { notBefore: number; notAfter: number } {
  const notBefore = ValidityNotBefore === undefined ? wholeSeconds(now - backdateMs) : beginningOf(ValidityNotBefore);
  const notAfter = endOf(Validity, now);
  if (notAfter < Math.max(notBefore, wholeSeconds(now)) + durationMsMin) {
    throw validationException('The validity of the certificate must end at least one second after it begins, and in the future.');
  }
  if (notAfter > notAfterMax) {
    const latest = new Date(notAfterMax).toISOString();
    throw validationException(`The validity of the certificate must not end after what its certificate authority may issue, ${latest}.`);
  }
  return { notBefore, notAfter };
}

function beginningOf({ Type, Value }: Validity): number {
  if (Type !== 'ABSOLUTE') throw validationException('The Type of ValidityNotBefore must be ABSOLUTE.');
  return absolute(Value);
}

/** The two relative to a calendar count in UTC; where a month has no such day they end on its last. */
function endOf({ Type, Value }: Validity, now: number): number {
  switch (Type) {
    case 'END_DATE':
      return parseEndDate(Value);
    case 'ABSOLUTE':
      return absolute(Value);
    case 'DAYS':
      return checked(wholeSeconds(now) + Value * dayMs);
    case 'MONTHS':
      return addMonths(now, Value);
    case 'YEARS':
      return addMonths(now, 12 * Value);
    default:
      return Type satisfies never;
  }
}

function absolute(seconds: number): number {
  return checked(seconds * 1000);
}

function addMonths(now: number, months: number): number {
  const at = new Date(wholeSeconds(now));
  const day = at.getUTCDate();
  at.setUTCMonth(at.getUTCMonth() + months, 1);
  const lastDay = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 0)).getUTCDate();
  return checked(at.setUTCDate(Math.min(day, lastDay)));
}

/**
 * UTCTime (YYMMDDHHMMSS) or GeneralizedTime (YYYYMMDDHHMMSS), as a number, so that a UTCTime of the years 2000 to 2009 has lost its leading
 * zeros. Two digits from 50 on are 19xx.
 */
function parseEndDate(value: number): number {
  const given = String(value);
  const utcTime = given.padStart(12, '0');
  const digits = utcTime.length === 12 ? `${utcTime < '5' ? 20 : 19}${utcTime}` : given;
  const [, date = '', time = ''] = /^(\d{8})(\d{6})$/.exec(digits) ?? [];
  const iso = `${date.replace(/(....)(..)(..)/, '$1-$2-$3')}T${time.replace(/(..)(..)(..)/, '$1:$2:$3')}.000Z`;
  const at = new Date(iso);
  // A day that is in no calendar, such as 31 April, would come out as another.
  if (Number.isNaN(at.getTime()) || at.toISOString() !== iso) {
    throw validationException('An END_DATE must be a time of the calendar as YYMMDDHHMMSS or YYYYMMDDHHMMSS.');
  }
  return at.getTime();
}

function checked(at: number): number {
  // NaN, too, is beyond any calendar.
  if (at <= endOfTime) return at;
  throw validationException('The validity of the certificate must not end after the year 9999.');
}

function wholeSeconds(at: number): number {
  return Math.floor(at / 1000) * 1000;
}
