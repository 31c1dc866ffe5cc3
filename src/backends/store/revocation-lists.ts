/** Queries for certificate revocation lists: what an authority has revoked, and the number that its next list is given. */
import type { RevocationReason } from '../../base/private-ca.ts';
import type { Query } from './database.ts';

/** A number that no list of the authority has had. */
export async function takeCrlNumber(query: Query, caId: string): Promise<number> {
  const { crl_number } = await query
    .updateTable('certificate_authorities')
    .set(({ eb }) => ({ crl_number: eb('crl_number', '+', 1) }))
    .where('ca_id', '=', caId)
    .returning('crl_number')
    .executeTakeFirstOrThrow();
  return crl_number;
}

/** When the authority last revoked one; 0 when it never did. */
export async function findLatestRevocation(query: Query, caId: string): Promise<number> {
  const { latest } = await query
    .selectFrom('certificates')
    .select(({ fn }) => fn.max('revoked_at').as('latest'))
    .where('ca_id', '=', caId)
    .where('revoked_at', 'is not', null)
    .executeTakeFirstOrThrow();
  return latest ?? 0;
}

interface RevokedRow {
  serial_number: string;
  revoked_at: number | null;
  revocation_reason: RevocationReason | null;
}

/** Those whose validity ends at `notAfterMin` or later; where they are too many, not the ones that end first. */
export async function listRevokedCertificates(
  query: Query,
  { caId, notAfterMin, limit }: { caId: string; notAfterMin: number; limit: number },
): Promise<RevokedRow[]> {
  return query
    .selectFrom('certificates')
    .select(['serial_number', 'revoked_at', 'revocation_reason'])
    .where('ca_id', '=', caId)
    .where('revoked_at', 'is not', null)
    .where('not_after', '>=', notAfterMin)
    .orderBy('not_after', 'desc')
    .limit(limit)
    .execute();
}

/** Whether the authority has revoked that many, expired ones included: read from the index alone, since each revocation asks. */
export async function hasRevokedCertificates(query: Query, caId: string, count: number): Promise<boolean> {
  const row = await query
    .selectFrom('certificates')
    .select('revoked_at')
    .where('ca_id', '=', caId)
    .where('revoked_at', 'is not', null)
    .orderBy('revoked_at')
    .limit(1)
    .offset(count - 1)
    .executeTakeFirst();
  return row !== undefined;
}
