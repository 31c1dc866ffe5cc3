/** When a certificate begins and ends: an hour back unless told otherwise, as AWS Private CA does for devices whose clock is slow, and never after its issuer. */
import type { PolicyValidity } from '../base/enrolment-policy.ts';

export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;
export const yearMs = 365 * dayMs;

export function validityUntil(
  endsAt: number,
  { now, issuerNotAfter, backdateMs = hourMs }: { now: number; issuerNotAfter: number; backdateMs?: number },
): { notBefore: number; notAfter: number } {
  return { notBefore: now - backdateMs, notAfter: Math.min(endsAt, issuerNotAfter) };
}

/** The instant at which a validity that begins at `from` ends, by the calendar of UTC. */
export function addValidity(from: number, { Value, Type }: PolicyValidity): number {
  const at = new Date(from);
  switch (Type) {
    case 'DAYS':
      return at.setUTCDate(at.getUTCDate() + Value);
    case 'MONTHS':
      return at.setUTCMonth(at.getUTCMonth() + Value);
    case 'YEARS':
      return at.setUTCFullYear(at.getUTCFullYear() + Value);
    default:
      return Type satisfies never;
  }
}
