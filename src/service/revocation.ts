/** Revoking a certificate, whoever wants it: the next CRL of its authority has it. */
import { revokeCertificate } from '../backends/store/certificates.ts';
import type { CertificateRow, Query } from '../backends/store/database.ts';
import { findLatestRevocation } from '../backends/store/revocation-lists.ts';
import type { RevocationReason } from '../base/private-ca.ts';

/** Within a transaction. Whether it was valid until now. */
export async function revoke(
  query: Query,
  { certificate_id, ca_id }: Pick<CertificateRow, 'certificate_id' | 'ca_id'>,
  { reason, now }: { reason: RevocationReason; now: number },
): Promise<boolean> {
  // Later than any other, so that the latest revocation tells whether a CRL has them all.
  const revokedAt = Math.max(now, (await findLatestRevocation(query, ca_id)) + 1);
  return revokeCertificate(query, certificate_id, { revokedAt, reason });
}
