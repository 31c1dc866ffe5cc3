/** From an authorised request to its certificate: the order by the connector's policy, the intent, and what is recorded together with the certificate. */
import { findConnectorById } from '../backends/store/connectors.ts';
import { type Query, StoreError, type TransactionRow } from '../backends/store/database.ts';
import { updateTransaction } from '../backends/store/transactions.ts';
import { type AuditEvent, certificateIssued } from '../base/events.ts';
import { type Failure, failure } from '../base/scep.ts';
import type { System } from '../base/system.ts';
import type { Audit } from './audit.ts';
import type { Authorisation } from './authorisations.ts';
import type { CertificateAuthorities, OpenAuthority } from './certificate-authorities.ts';
import { applyProfile } from './certificate-profile.ts';
import type { Alongside, CertificateOrder, Certificates, IssuedCertificate } from './certificates.ts';
import type { IntuneNotifications } from './intune-notifications.ts';
import { ConnectorChangedError } from './outage.ts';
import type { EnrolmentEndpoint, EnrolmentRequest, OpenedRequest } from './scep-requests.ts';
import { certificateIdOf, type ScepTransactions } from './scep-transactions.ts';

export interface EnrolmentIssuanceParts {
  system: System;
  audit: Audit;
  certificateAuthorities: CertificateAuthorities;
  certificates: Certificates;
  transactions: ScepTransactions;
  intuneNotifications: IntuneNotifications;
  /** Whether the account may have one more certificate issued now. */
  takeIssuance: (accountId: string) => boolean;
}

/** A request, or a poll, together with the CSR that it is about. */
export type WaitingRequest = OpenedRequest & Pick<EnrolmentRequest, 'csr'>;

interface Issuance {
  transactionRowId: string;
  authorisation: Authorisation | { by: 'approval'; decidedBy: string } | { by: 'resumption' };
  record(query: Query, certificateId: string, transactionRowId: string): Promise<boolean>;
}

export class EnrolmentIssuance {
  readonly #parts: EnrolmentIssuanceParts;

  constructor(parts: EnrolmentIssuanceParts) {
    this.#parts = parts;
  }

  /** The authority that issues for the connector. Throws CaError. */
  async openIssuer({ certificateAuthorityArn }: EnrolmentEndpoint): Promise<OpenAuthority> {
    return this.#parts.certificateAuthorities.openForConnector(certificateAuthorityArn);
  }

  order(endpoint: EnrolmentEndpoint, { csr }: Pick<EnrolmentRequest, 'csr'>, issuer: OpenAuthority): CertificateOrder | Failure {
    const content = applyProfile(csr, endpoint.policy, {
      now: this.#parts.system.now(),
      issuerNotAfter: issuer.authority.certificates[0].notAfter,
      areNamesVouched: endpoint.intune !== undefined,
    });
    if ('pkiStatus' in content) return content;
    return {
      kind: 'DEVICE',
      connectorId: endpoint.connectorId,
      issuer,
      subject: csr.subject.der,
      subjectPublicKeyInfo: csr.publicKey.spki,
      extensions: content.extensions,
      notBefore: content.notBefore,
      notAfter: content.notAfter,
      subjectText: content.subject,
      subjectAlternativeNames: content.subjectAlternativeNames,
    };
  }

  /**
   * Undefined when `record` answers false. An authority that fails leaves everything as it was: what authorised the request authorises another try.
   */
  async issue(
    endpoint: EnrolmentEndpoint,
    request: WaitingRequest,
    order: CertificateOrder,
    { transactionRowId, authorisation, record }: Issuance,
  ): Promise<IssuedCertificate | Failure | undefined> {
    const { certificates, transactions, takeIssuance } = this.#parts;
    if (!takeIssuance(endpoint.accountId)) {
      return failure('badRequest', 'Certificate authority issuance limit exceeded.', { code: 'issuanceLimitExceeded' });
    }
    let intentId: string | undefined;
    try {
      return await certificates.issue(order, {
        ...(await this.#alongside(endpoint, request, { transactionRowId, authorisation })),
        atIntent: async (query, certificateId) => {
          await this.checkUnchanged(query, endpoint, order.issuer);
          const recorded = await record(query, certificateId, transactionRowId);
          if (recorded) intentId = certificateId;
          return recorded;
        },
      });
    } catch (error) {
      // A store that cannot be written cannot be tidied either: the worker does it later.
      if (intentId !== undefined && !(error instanceof StoreError)) {
        await transactions.abandon({ certificate_id: intentId, transaction_row_id: transactionRowId });
      }
      throw error;
    }
  }

  /** Carries to its end what an earlier request began. */
  async finish(endpoint: EnrolmentEndpoint, request: WaitingRequest, seen: TransactionRow): Promise<IssuedCertificate | Failure> {
    const order = this.order(endpoint, request, await this.openIssuer(endpoint));
    if ('pkiStatus' in order) {
      // The policy no longer allows what was begun.
      await this.#parts.transactions.abandon({ certificate_id: certificateIdOf(seen), transaction_row_id: seen.transaction_row_id });
      return order;
    }
    const alongside = await this.#alongside(endpoint, request, {
      transactionRowId: seen.transaction_row_id,
      authorisation: { by: 'resumption' },
    });
    return this.#parts.certificates.resume(certificateIdOf(seen), order, alongside);
  }

  /** Nothing is begun by what an administrator has changed since the request came. Throws ConnectorChangedError. */
  async checkUnchanged(query: Query, { connectorId, policyDocument }: EnrolmentEndpoint, issuer: OpenAuthority): Promise<void> {
    const connector = await findConnectorById(query, connectorId);
    const isSame = connector?.status === 'ACTIVE' && connector.enrolment_policy === policyDocument;
    if (!isSame || !(await this.#parts.certificateAuthorities.isUnchanged(query, issuer))) throw new ConnectorChangedError();
  }

  /** What is committed with the certificate: the end of the transaction, or what Intune has to know before that, and its audit event. */
  async #alongside(
    endpoint: EnrolmentEndpoint,
    request: WaitingRequest,
    { transactionRowId, authorisation }: Pick<Issuance, 'transactionRowId' | 'authorisation'>,
  ): Promise<Alongside> {
    const { audit, intuneNotifications, system } = this.#parts;
    const { accountId, region, connectorId } = endpoint;
    const { transactionID, source } = request;
    const sealedCsr = endpoint.intune && (await intuneNotifications.sealCsr(transactionRowId, request.csr.der));
    let event: AuditEvent | undefined;
    return {
      transactionRowId,
      atRecord: async (query, { certificateId, serialNumber, subjectText, notAfter }) => {
        const certificate = { serialNumber, subject: subjectText, notAfter, authorisation };
        event = certificateIssued({ accountId, region, connectorId, transactionID, source }, certificate);
        await updateTransaction(query, transactionRowId, { status: sealedCsr ? 'NOTIFYING' : 'SUCCESS', updated_at: system.now() });
        if (sealedCsr) {
          await intuneNotifications.insert(query, { transactionRowId, transactionID, connectorId, sealedCsr, outcome: { certificateId } });
        }
        await audit.insert(query, event);
      },
      afterRecord: () => event && audit.log(event),
    };
  }
}
