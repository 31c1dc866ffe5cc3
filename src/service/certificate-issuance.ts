/** IssueCertificate, GetCertificate and RevokeCertificate of acm-pca: what is asked for is checked and recorded at once, and signed by the queue. */
import { insertCertificate } from '../backends/store/certificates.ts';
import type { CertificateAuthorityRow, CertificateRow, Database, Query } from '../backends/store/database.ts';
import { findCertificateAndIssuance, insertIssuance } from '../backends/store/issuances.ts';
import { hasRevokedCertificates, listRevokedCertificates } from '../backends/store/revocation-lists.ts';
import { invalidArgs, ServiceException } from '../base/errors.ts';
import { certificateListLimits } from '../base/pki/crl.ts';
import { encodePem } from '../base/pki/pem.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { type Certificate, isSelfIssued, newSerialNumber, parseCertificate, verifyCertificateSignature } from '../base/pki/x509.ts';
import type { CertificateAuthorityStatus, RevocationReason } from '../base/private-ca.ts';
import type { Principal } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import { certificatesOf, checkStatus, getAuthorityRow } from './certificate-authorities.ts';
import { createOnce, tokenReusedMessage } from './client-tokens.ts';
import { type IssuancePlan, type IssueCertificateRequest, parseCsr, planIssuance } from './issuance-plan.ts';
import type { IssuanceQueue } from './issuance-queue.ts';
import { revoke } from './revocation.ts';

interface CertificateIssuanceParts {
  database: Database;
  system: System;
  region: string;
  /** What the URLs of CRLs begin with, without a trailing slash. */
  publicationUrl: string;
  issuanceQueue: IssuanceQueue;
}

interface RevokeCertificateRequest {
  CertificateAuthorityArn: string;
  CertificateSerial: string;
  RevocationReason: RevocationReason;
}

const certificateArnForm = /^(.*)\/certificate\/([0-9a-f]{32})$/;
/** As `openssl x509 -serial` writes it, or with colons as `-text` does. */
const serialNumberForm = /^[0-9a-f]+$|^[0-9a-f]{2}(?::[0-9a-f]{2})*$/i;
/** AWS: a DISABLED authority still revokes, and so does one whose certificate has ended. */
const revokingStatuses: readonly CertificateAuthorityStatus[] = ['ACTIVE', 'DISABLED', 'EXPIRED'];
const certificatelessStatuses: readonly CertificateAuthorityStatus[] = ['CREATING', 'FAILED', 'DELETED'];

export class CertificateIssuance {
  readonly #parts: CertificateIssuanceParts;

  constructor(parts: CertificateIssuanceParts) {
    this.#parts = parts;
  }

  /** All that can be said of the request is said now; what is recorded is signed whatever becomes of this process. */
  async issueCertificate(principal: Principal, request: IssueCertificateRequest): Promise<{ CertificateArn: string }> {
    const { database, system, issuanceQueue } = this.#parts;
    const { IdempotencyToken: ClientToken, ...parameters } = request;
    const csr = parseCsr(request.Csr);
    const now = system.now();
    const once = {
      accountId: principal.accountId,
      operation: 'IssueCertificate' as const,
      ClientToken,
      parameters: { ...parameters, Csr: Buffer.from(request.Csr).toString('base64') },
      now,
      // AWS does not say what a token used with other parameters is answered with.
      mismatch: () => invalidArgs(tokenReusedMessage),
    };
    const CertificateArn = await database.transaction(query =>
      createOnce(query, once, async () => {
        const row = await this.#getRow(query, request.CertificateAuthorityArn);
        const serialNumber = newSerialNumber(system.randomBytes);
        const plan = planIssuance(request, csr, { row, now, serialNumber, publicationUrl: this.#parts.publicationUrl });
        await this.#recordIntent(query, row, serialNumber, plan);
        return `${request.CertificateAuthorityArn}/certificate/${serialNumber}`;
      }),
    );
    issuanceQueue.wake();
    return { CertificateArn };
  }

  async #recordIntent(query: Query, row: CertificateAuthorityRow, serialNumber: string, plan: IssuancePlan): Promise<void> {
    const { system } = this.#parts;
    const certificateId = uuidV7(system);
    const createdAt = system.now();
    await insertCertificate(query, {
      certificate_id: certificateId,
      account_id: row.account_id,
      region: row.region,
      ca_id: row.ca_id,
      serial_number: serialNumber,
      kind: 'API',
      subject: plan.subjectText,
      subject_alternative_names: JSON.stringify(plan.subjectAlternativeNames),
      not_before: plan.notBefore,
      not_after: plan.notAfter,
      status: 'ISSUING',
      created_at: createdAt,
    });
    await insertIssuance(query, {
      certificate_id: certificateId,
      ca_id: row.ca_id,
      tbs_certificate: plan.tbsCertificate,
      created_at: createdAt,
    });
  }

  /** The chain ends with the root; a self-signed certificate is a chain by itself and has none. */
  async getCertificate({
    CertificateAuthorityArn,
    CertificateArn,
  }: {
    CertificateAuthorityArn: string;
    CertificateArn: string;
  }): Promise<{ Certificate: string; CertificateChain?: string }> {
    const { query } = this.#parts.database;
    const [, authorityArn, serialNumber] = certificateArnForm.exec(CertificateArn) ?? [];
    if (serialNumber === undefined) throw new ServiceException('InvalidArnException', `${CertificateArn} is not the ARN of a certificate.`);
    const row = await this.#getRow(query, CertificateAuthorityArn);
    if (certificatelessStatuses.includes(row.status)) {
      const message = `The certificate authority ${CertificateAuthorityArn} is not in the correct state to have issued certificates.`;
      throw new ServiceException('InvalidStateException', message);
    }
    const isOfAuthority = authorityArn === CertificateAuthorityArn;
    const found = isOfAuthority ? await findCertificateAndIssuance(query, { caId: row.ca_id, serialNumber }) : undefined;
    if (found === undefined) throw notFound(`certificate ${CertificateArn}`);
    const certificate = issuedCertificate(found);
    const issuers = isSelfSigned(parseCertificate(certificate)) ? [] : (certificatesOf(row) ?? []);
    return {
      Certificate: encodePem('CERTIFICATE', certificate),
      ...(issuers.length > 0 && { CertificateChain: issuers.map(({ der }) => encodePem('CERTIFICATE', der)).join('') }),
    };
  }

  /** Any certificate of the authority, whoever had it issued. The authority's next CRL has it. */
  async revokeCertificate(request: RevokeCertificateRequest): Promise<Record<string, never>> {
    const { database, system } = this.#parts;
    const serialNumber = parseSerialNumber(request.CertificateSerial);
    await database.transaction(async query => {
      const row = await this.#getRow(query, request.CertificateAuthorityArn);
      const now = system.now();
      checkStatus(row, now, revokingStatuses, 'revoking a certificate');
      const found = await findCertificateAndIssuance(query, { caId: row.ca_id, serialNumber });
      if (found === undefined) throw notFound(`a certificate with the serial number ${request.CertificateSerial}`);
      checkRevocable(found, now);
      await checkListLength(query, row.ca_id, now);
      await revoke(query, found.certificate, { reason: request.RevocationReason, now });
    });
    return {};
  }

  async #getRow(query: Query, arn: string): Promise<CertificateAuthorityRow> {
    const { region, system } = this.#parts;
    return getAuthorityRow(query, region, system.now(), arn);
  }
}

/** AWS: issuing "can still fail", and then GetCertificate fails; an intent that no longer waits for the queue is one that failed. */
function issuedCertificate({
  certificate: { certificate, kind },
  isQueued,
}: {
  certificate: CertificateRow;
  isQueued: boolean;
}): Uint8Array {
  if (certificate !== null) return certificate;
  if (kind === 'API' && !isQueued) {
    throw new ServiceException('RequestFailedException', 'The certificate could not be issued. Request it again.');
  }
  throw new ServiceException('RequestInProgressException', 'The certificate is still being issued. Ask for it again in a moment.');
}

function checkRevocable(found: { certificate: CertificateRow; isQueued: boolean }, now: number): void {
  const { status, not_after: notAfter } = found.certificate;
  const certificate = parseCertificate(issuedCertificate(found));
  if (status === 'REVOKED') throw new ServiceException('RequestAlreadyProcessedException', 'The certificate is already revoked.');
  // Terraform's provider looks for these words when it destroys the certificate of a root.
  if (isSelfSigned(certificate)) throw invalidRequest('Self-signed certificate can not be revoked. Delete its certificate authority.');
  if (notAfter <= now) throw invalidRequest('The certificate is expired, and an expired certificate is not revoked.');
}

/** The second question reads every certificate that it counts, so it is only asked once it may matter. */
async function checkListLength(query: Query, caId: string, now: number): Promise<void> {
  const limit = certificateListLimits.entriesMax;
  if (!(await hasRevokedCertificates(query, caId, limit))) return;
  const unexpired = await listRevokedCertificates(query, { caId, notAfterMin: now, limit });
  if (unexpired.length < limit) return;
  throw new ServiceException('LimitExceededException', `The certificate authority has ${limit} unexpired revoked certificates.`);
}

/** Leading zeros may be missing, as in what Terraform's provider sends, or added, as in the INTEGER. */
function parseSerialNumber(text: string): string {
  if (!serialNumberForm.test(text)) throw invalidRequest('CertificateSerial must be in hexadecimal format.');
  return text.toLowerCase().replaceAll(':', '').replace(/^0+/, '').padStart(32, '0');
}

function isSelfSigned(certificate: Certificate): boolean {
  if (!isSelfIssued(certificate)) return false;
  try {
    verifyCertificateSignature(certificate, certificate);
    return true;
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    return false;
  }
}

function invalidRequest(message: string): ServiceException {
  return new ServiceException('InvalidRequestException', message);
}

function notFound(what: string): ServiceException {
  return new ServiceException('ResourceNotFoundException', `Could not find ${what}.`);
}
