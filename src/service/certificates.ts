/** Issuing: the intent is recorded before the authority signs, and the certificate before anyone is given it. */
import { completeCertificate, findCertificate, insertCertificate } from '../backends/store/certificates.ts';
import { attempt, type CertificateRow, type Database, type Query } from '../backends/store/database.ts';
import type { Extension } from '../base/pki/extensions.ts';
import { fingerprint, newSerialNumber } from '../base/pki/x509.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import type { OpenAuthority } from './certificate-authorities.ts';
import { IntentAbandonedError } from './outage.ts';

export interface CertificateOrder {
  kind: 'DEVICE' | 'RA' | 'TLS';
  connectorId?: string | undefined;
  issuer: OpenAuthority;
  /** DER of the Name and of the SubjectPublicKeyInfo. */
  subject: Uint8Array;
  subjectPublicKeyInfo: Uint8Array;
  extensions: readonly Extension[];
  notBefore: number;
  notAfter: number;
  /** For the inventory. */
  subjectText: string;
  subjectAlternativeNames: readonly string[];
}

/** What goes into the same database transaction as the intent and as the finished certificate. */
export interface Alongside {
  transactionRowId?: string | undefined;
  /** Answers false when the intent is not to be, as when another request has just recorded the same: this one is then given up and all undone. */
  atIntent?: (query: Query, certificateId: string) => Promise<boolean>;
  atRecord?: (query: Query, issued: IssuedCertificate) => Promise<void>;
  /** Once that is committed. */
  afterRecord?: (issued: IssuedCertificate) => void;
}

export interface IssuedCertificate {
  certificateId: string;
  serialNumber: string;
  certificate: Uint8Array;
  subjectText: string;
  /** When the intent was recorded: notBefore lies an hour earlier. */
  createdAt: number;
  notBefore: number;
  notAfter: number;
  isRevoked: boolean;
}

export class Certificates {
  readonly #database: Database;
  readonly #system: System;

  constructor({ database, system }: { database: Database; system: System }) {
    this.#database = database;
    this.#system = system;
  }

  /** Undefined when `atIntent` gave it up. */
  async issue(order: CertificateOrder, alongside: Alongside = {}): Promise<IssuedCertificate | undefined> {
    const intent = this.#intent(order, alongside.transactionRowId);
    const recorded = await attempt(this.#database, async query => {
      if (alongside.atIntent && !(await alongside.atIntent(query, intent.certificate_id))) return false;
      await insertCertificate(query, intent);
      return true;
    });
    return recorded ? this.#complete(intent, order, alongside) : undefined;
  }

  /**
   * Carries an intent to its end that an earlier request, or the process before a crash, recorded: with the serial number and validity of the
   * intent, so it is the same certificate. Of several that do so at once the first to record wins and all answer with its certificate.
   */
  async resume(certificateId: string, order: CertificateOrder, alongside: Alongside): Promise<IssuedCertificate> {
    const intent = await findCertificate(this.#database.query, certificateId);
    if (intent === undefined) throw new IntentAbandonedError();
    return intent.status === 'ISSUING' ? this.#complete(intent, order, alongside) : toIssued(intent);
  }

  async #complete(intent: CertificateRow, order: CertificateOrder, alongside: Alongside): Promise<IssuedCertificate> {
    const certificate = await order.issuer.authority.issue({
      issuanceId: intent.serial_number,
      subject: order.subject,
      subjectPublicKeyInfo: order.subjectPublicKeyInfo,
      extensions: order.extensions,
      notBefore: intent.not_before,
      notAfter: intent.not_after,
    });
    const issued = toIssued({ ...intent, certificate });
    const isFirst = await this.#database.transaction(async query => {
      const record = { certificate, fingerprint: fingerprint(certificate), issuedAt: this.#system.now() };
      const completed = await completeCertificate(query, intent.certificate_id, record);
      if (completed) await alongside.atRecord?.(query, issued);
      return completed;
    });
    if (!isFirst) return this.#recorded(intent.certificate_id);
    alongside.afterRecord?.(issued);
    return issued;
  }

  /** A recorded certificate. */
  async getCertificate(certificateId: string): Promise<IssuedCertificate> {
    return toIssued(await this.#find(certificateId));
  }

  /** What another has recorded of the same intent; it may have been given up instead, and then nobody is given a certificate of it. */
  async #recorded(certificateId: string): Promise<IssuedCertificate> {
    const row = await findCertificate(this.#database.query, certificateId);
    if (row === undefined) throw new IntentAbandonedError();
    return toIssued(row);
  }

  async #find(certificateId: string): Promise<CertificateRow> {
    const row = await findCertificate(this.#database.query, certificateId);
    if (row === undefined) throw new Error(`certificate ${certificateId} is not in the store`);
    return row;
  }

  #intent(order: CertificateOrder, transactionRowId: string | undefined): CertificateRow {
    return {
      certificate_id: uuidV7(this.#system),
      account_id: order.issuer.home.accountId,
      region: order.issuer.home.region,
      ca_id: order.issuer.caId,
      serial_number: newSerialNumber(this.#system.randomBytes),
      connector_id: order.connectorId ?? null,
      kind: order.kind,
      transaction_row_id: transactionRowId ?? null,
      subject: order.subjectText,
      subject_alternative_names: JSON.stringify(order.subjectAlternativeNames),
      not_before: order.notBefore,
      not_after: order.notAfter,
      status: 'ISSUING',
      certificate: null,
      fingerprint: null,
      created_at: this.#system.now(),
      issued_at: null,
      revoked_at: null,
      revocation_reason: null,
    };
  }
}

function toIssued(row: CertificateRow): IssuedCertificate {
  if (row.certificate === null) throw new Error(`certificate ${row.certificate_id} is not issued`);
  return {
    certificateId: row.certificate_id,
    serialNumber: row.serial_number,
    certificate: row.certificate,
    subjectText: row.subject,
    createdAt: row.created_at,
    notBefore: row.not_before,
    notAfter: row.not_after,
    isRevoked: row.revoked_at !== null,
  };
}
