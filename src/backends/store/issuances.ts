/** Queries on issuances: the queue of what IssueCertificate has promised and an authority has still to sign. */
import type { Insertable } from 'kysely';
import type { CertificateRow, IssuanceRow, Query, Tables } from './database.ts';

export async function insertIssuance(query: Query, row: Insertable<Tables['issuances']>): Promise<void> {
  await query.insertInto('issuances').values(row).execute();
}

/** The certificate with this serial number and whether it waits here; both at one instant, since a worker moves it on. */
export async function findCertificateAndIssuance(
  query: Query,
  { caId, serialNumber }: { caId: string; serialNumber: string },
): Promise<{ certificate: CertificateRow; isQueued: boolean } | undefined> {
  const row = await query
    .selectFrom('certificates')
    .leftJoin('issuances', 'issuances.certificate_id', 'certificates.certificate_id')
    .selectAll('certificates')
    .select('issuances.certificate_id as issuance_id')
    .where('certificates.ca_id', '=', caId)
    .where('certificates.serial_number', '=', serialNumber)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { issuance_id: issuanceId, ...certificate } = row;
  return { certificate, isQueued: issuanceId !== null };
}

/** Leases to one worker up to `limit` issuances that nobody holds at `now`, the oldest first: a certificate_id begins with its time. */
export async function claimIssuances(
  query: Query,
  { now, leaseUntilAt, limit }: { now: number; leaseUntilAt: number; limit: number },
): Promise<IssuanceRow[]> {
  return (
    query
      .updateTable('issuances')
      .set({ lease_until_at: leaseUntilAt })
      // Asked again here: PostgreSQL rechecks only this condition when another worker was faster.
      .where('lease_until_at', '<=', now)
      .where('certificate_id', 'in', free =>
        free.selectFrom('issuances').select('certificate_id').where('lease_until_at', '<=', now).orderBy('certificate_id').limit(limit),
      )
      .returningAll()
      .execute()
  );
}

export async function deleteIssuance(query: Query, certificateId: string): Promise<void> {
  await query.deleteFrom('issuances').where('certificate_id', '=', certificateId).execute();
}
