/** Queries on certificates: the intent recorded before signing, the certificate before it is released, and its revocation. */
import type { Insertable } from 'kysely';
import type { RevocationReason } from '../../base/private-ca.ts';
import type { CertificateRow, Query, Tables } from './database.ts';

/** Throws when the authority has already used the serial number. */
export async function insertCertificate(query: Query, row: Insertable<Tables['certificates']>): Promise<void> {
  await query.insertInto('certificates').values(row).execute();
}

/** Whether the intent was still open: a certificate is recorded once. */
export async function completeCertificate(
  query: Query,
  certificateId: string,
  { certificate, fingerprint, issuedAt }: { certificate: Uint8Array; fingerprint: string; issuedAt: number },
): Promise<boolean> {
  const result = await query
    .updateTable('certificates')
    .set({ status: 'ISSUED', certificate, fingerprint, issued_at: issuedAt })
    .where('certificate_id', '=', certificateId)
    .where('status', '=', 'ISSUING')
    .executeTakeFirstOrThrow();
  return result.numUpdatedRows === 1n;
}

export async function findCertificate(query: Query, certificateId: string): Promise<CertificateRow | undefined> {
  return query.selectFrom('certificates').selectAll().where('certificate_id', '=', certificateId).executeTakeFirst();
}

export async function findCertificateBySerial(
  query: Query,
  { caId, serialNumber }: { caId: string; serialNumber: string },
): Promise<CertificateRow | undefined> {
  return query
    .selectFrom('certificates')
    .selectAll()
    .where('ca_id', '=', caId)
    .where('serial_number', '=', serialNumber)
    .executeTakeFirst();
}

export async function findCertificateByFingerprint(query: Query, fingerprint: string): Promise<CertificateRow | undefined> {
  return query.selectFrom('certificates').selectAll().where('fingerprint', '=', fingerprint).executeTakeFirst();
}

/** Whether it was valid until now: a certificate is revoked once. */
export async function revokeCertificate(
  query: Query,
  certificateId: string,
  { revokedAt, reason }: { revokedAt: number; reason: RevocationReason },
): Promise<boolean> {
  const result = await query
    .updateTable('certificates')
    .set({ status: 'REVOKED', revoked_at: revokedAt, revocation_reason: reason })
    .where('certificate_id', '=', certificateId)
    .where('status', '=', 'ISSUED')
    .executeTakeFirstOrThrow();
  return result.numUpdatedRows === 1n;
}

/** Whether the intent was still open: of one that is deleted nothing can be recorded any more. */
export async function deleteIntent(query: Query, certificateId: string): Promise<boolean> {
  const result = await query
    .deleteFrom('certificates')
    .where('certificate_id', '=', certificateId)
    .where('status', '=', 'ISSUING')
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}

/** Intents of these kinds that were recorded before an instant and never completed, oldest first. */
export async function listOpenIntents(
  query: Query,
  { kinds, createdBefore, limit }: { kinds: readonly CertificateRow['kind'][]; createdBefore: number; limit: number },
): Promise<CertificateRow[]> {
  return query
    .selectFrom('certificates')
    .selectAll()
    .where('status', '=', 'ISSUING')
    .where('created_at', '<', createdBefore)
    .where('kind', 'in', kinds)
    .orderBy('created_at')
    .limit(limit)
    .execute();
}
