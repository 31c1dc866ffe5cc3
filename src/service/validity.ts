/** When a certificate begins and ends: an hour back unless told otherwise, as AWS Private CA does for devices whose clock is slow, and never after its issuer. */

export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;
export const yearMs = 365 * dayMs;

export function validityUntil(
  endsAt: number,
  { now, issuerNotAfter, backdateMs = hourMs }: { now: number; issuerNotAfter: number; backdateMs?: number },
): { notBefore: number; notAfter: number } {
  return { notBefore: now - backdateMs, notAfter: Math.min(endsAt, issuerNotAfter) };
}
