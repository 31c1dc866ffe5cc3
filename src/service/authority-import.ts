/** ImportCertificateAuthorityCertificate: what makes an authority ACTIVE, and what renews it. */
import { updateCertificateAuthority } from '../backends/store/certificate-authorities.ts';
import { makeConnectorsDue } from '../backends/store/connectors.ts';
import type { CertificateAuthorityRow, Database } from '../backends/store/database.ts';
import { ServiceException } from '../base/errors.ts';
import { namesEqual } from '../base/pki/name.ts';
import { parseCertificationRequest } from '../base/pki/pkcs10.ts';
import type { Certificate } from '../base/pki/x509.ts';
import type { System } from '../base/system.ts';
import { checkPath, mismatch, type Path, parsePath } from './authority-path.ts';
import { checkStatus, getAuthorityRow } from './certificate-authorities.ts';

export interface ImportRequest {
  CertificateAuthorityArn: string;
  Certificate: Uint8Array;
  CertificateChain?: Uint8Array;
}

interface AuthorityImportDependencies {
  database: Database;
  system: System;
  region: string;
  /** Told that connectors are due for RA keys of another issuer. */
  wakeConnectors: () => void;
}

export async function importCertificateAuthorityCertificate(
  { database, system, region, wakeConnectors }: AuthorityImportDependencies,
  { CertificateAuthorityArn, Certificate: certificate, CertificateChain }: ImportRequest,
): Promise<Record<string, never>> {
  const now = system.now();
  const row = await getAuthorityRow(database.query, region, now, CertificateAuthorityArn);
  checkTakesCertificate(row, now);
  const path = parsePath(certificate, CertificateChain);
  checkIsOf(row, path[0]);
  checkPath(row.type, path, now);
  const isUnchanged = await database.transaction(async query => {
    // The certificate that it has already may be imported again, with another chain for example.
    if (row.certificate === null || Buffer.compare(row.certificate, path[0].der) !== 0) {
      await makeConnectorsDue(query, CertificateAuthorityArn, now);
    }
    return updateCertificateAuthority(query, row.ca_id, [row.status], certificateColumns(row, path, now));
  });
  if (!isUnchanged) {
    throw new ServiceException(
      'ConcurrentModificationException',
      'The certificate authority was changed at the same time. Look at it again.',
    );
  }
  wakeConnectors();
  return {};
}

/** AWS's table "Understand AWS Private CA CA status": a DISABLED authority is not renewed. */
function checkTakesCertificate(row: CertificateAuthorityRow, now: number): void {
  if (row.status === 'CREATING') throw new ServiceException('RequestInProgressException', 'The certificate authority is being created.');
  checkStatus(row, now, ['PENDING_CERTIFICATE', 'ACTIVE', 'EXPIRED'], 'importing a certificate');
}

function checkIsOf({ csr }: CertificateAuthorityRow, certificate: Certificate): void {
  if (csr === null) throw new ServiceException('InvalidRequestException', 'The certificate authority has no certificate signing request.');
  const request = parseCertificationRequest(csr);
  if (!request.publicKey.equals(certificate.publicKey)) throw mismatch('The certificate is not for the key of this certificate authority.');
  if (!namesEqual(request.subject, certificate.subject)) {
    throw mismatch('The certificate is not for the subject of this certificate authority.');
  }
}

/** One that was disabled before it expired stays so, as AWS has it. */
function certificateColumns(row: CertificateAuthorityRow, [own, ...issuers]: Path, now: number) {
  return {
    status: row.status === 'PENDING_CERTIFICATE' ? ('ACTIVE' as const) : row.status,
    certificate: own.der,
    chain: issuers.length === 0 ? null : Buffer.concat(issuers.map(({ der }) => der)),
    serial_number: own.serialNumber,
    not_before: own.notBefore,
    not_after: own.notAfter,
    updated_at: now,
  };
}
