/** One SCEP transaction: who may enrol, for what, issued by whom and recorded where. What was seen before is answered as before. */
import { findConnectorById } from '../backends/store/connectors.ts';
import { attempt, type Database, type Query, StoreError, type TransactionRow } from '../backends/store/database.ts';
import { hasPendingRequests, moveTransaction, updateTransaction } from '../backends/store/transactions.ts';
import { type AuditEvent, certificateIssued, enrolmentPending, enrolmentRefused, type ScepSubject } from '../base/events.ts';
import { formatName } from '../base/pki/name.ts';
import { parseCertificationRequest, withoutChallengePasswords } from '../base/pki/pkcs10.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { parseCertificate } from '../base/pki/x509.ts';
import { type Failure, failure, failureOf } from '../base/scep.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import type { Audit } from './audit.ts';
import type { Authorisation, Authorisations } from './authorisations.ts';
import type { CertificateAuthorities, OpenAuthority } from './certificate-authorities.ts';
import { applyProfile } from './certificate-profile.ts';
import type { Alongside, CertificateOrder, Certificates, IssuedCertificate } from './certificates.ts';
import { ConnectorChangedError, IntentAbandonedError, TooManyPendingError } from './outage.ts';
import type { EnrolmentEndpoint, EnrolmentOutcome, EnrolmentRequest, OpenedRequest } from './scep-requests.ts';
import { type Begun, certificateIdOf, type ScepTransactions, type TransactionChange, type Written } from './scep-transactions.ts';
import { dayMs } from './validity.ts';

export const enrolmentLimits = { pendingRequestsMax: 1000 } as const;

export interface EnrolmentParts {
  database: Database;
  system: System;
  audit: Audit;
  certificateAuthorities: CertificateAuthorities;
  certificates: Certificates;
  authorisations: Authorisations;
  transactions: ScepTransactions;
  /** Whether the account may have one more certificate issued now. */
  takeIssuance: (accountId: string) => boolean;
}

export class Enrolment {
  readonly #parts: EnrolmentParts;

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
  }

  /**
   * PKCSReq and RenewalReq. The same transaction with the same CSR and signer gets the same answer; with another CSR it is a new one, because certmonger
   * and sscep use their transactionIDs again. A refusal is an answer; an outage (CaError, StoreError) is thrown.
   */
  async enrol(endpoint: EnrolmentEndpoint, request: EnrolmentRequest): Promise<EnrolmentOutcome> {
    return this.#orRefusal(endpoint, request, async () => {
      const seen = await this.#parts.transactions.find(endpoint, request);
      const known = seen && (await this.#answerAgain(endpoint, request, seen));
      return known ?? this.#begin(endpoint, request, seen);
    });
  }

  /**
   * CertPoll (RFC 8894 section 3.3.3): the newest transaction of this identifier that the same key signed. Whoever only knows the identifier gets
   * nothing.
   */
  async poll(endpoint: EnrolmentEndpoint, request: OpenedRequest): Promise<EnrolmentOutcome> {
    return this.#orRefusal(endpoint, request, async () => {
      const seen = await this.#parts.transactions.findBySigner(endpoint, request);
      const known = seen && (await this.#answerAgain(endpoint, { ...request, csr: undefined }, seen));
      return known ?? failure('badCertId', 'There is no request of this transaction that waits, or it was not decided in time.');
    });
  }

  async #orRefusal(endpoint: EnrolmentEndpoint, request: OpenedRequest, work: () => Promise<EnrolmentOutcome>): Promise<EnrolmentOutcome> {
    let outcome: EnrolmentOutcome;
    try {
      outcome = await work();
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      outcome = failureOf(error);
    }
    return outcome.pkiStatus === 'FAILURE' ? this.recordRefusal(endpoint, request, outcome) : outcome;
  }

  /** A request that failed before it could be understood as an enrolment leaves the same trace. */
  async recordRefusal(
    endpoint: EnrolmentEndpoint,
    { transactionID, source }: Pick<OpenedRequest, 'transactionID' | 'source'>,
    refusal: Failure,
  ): Promise<Failure> {
    await this.#parts.audit.record(enrolmentRefused({ ...subjectOf(endpoint), transactionID, source }, refusal));
    return refusal;
  }

  /** What the transaction's earlier request was or will be answered; undefined when that is over and a new one begins. */
  async #answerAgain(
    endpoint: EnrolmentEndpoint,
    request: OpenedRequest & { csr: EnrolmentRequest['csr'] | undefined },
    seen: TransactionRow,
  ): Promise<EnrolmentOutcome | undefined> {
    switch (seen.status) {
      case 'SUCCESS': {
        const certificate = await this.#parts.certificates.getCertificate(certificateIdOf(seen));
        if (certificate.isRevoked)
          return failure('badRequest', 'The certificate of this request is revoked. Make a new key to enrol again.');
        const isRenewed = request.csr !== undefined && Buffer.compare(certificate.certificate, request.signer.der) === 0;
        return this.#isFresh(certificate) && !isRenewed ? this.#success(endpoint, certificate) : undefined;
      }
      case 'PENDING':
        return this.#isOver(endpoint, seen.requested_at) ? undefined : { pkiStatus: 'PENDING' };
      case 'FAILURE':
        return this.#isOver(endpoint, seen.updated_at) ? undefined : failure('badRequest', seen.reason ?? 'The request was rejected.');
      case 'APPROVED': {
        if (this.#isOver(endpoint, seen.updated_at)) return undefined;
        return this.#issueApproved(endpoint, waitingRequest(request, seen), seen);
      }
      case 'ISSUING': {
        // Only the CSR says what was begun; whoever polls for one that did not wait asks again.
        if (request.csr === undefined && seen.csr === null) return { pkiStatus: 'PENDING' };
        return this.#finish(endpoint, waitingRequest(request, seen), seen);
      }
      case 'NOTIFYING':
        throw new Error('Intune is not told yet');
      default:
        return seen.status satisfies never;
    }
  }

  /**
   * A lost answer is asked for again within minutes or days. Once half of the certificate's life is over it is a renewal that looks the same, as
   * strongSwan's does, whose transactionID and CSR follow from the key: to answer with the old certificate would let the device run out of time.
   * Whoever signs with the certificate has got it and wants another at any time, as scepclient does, which sends the CSR that it keeps.
   */
  #isFresh({ createdAt, notAfter }: IssuedCertificate): boolean {
    return this.#parts.system.now() < (createdAt + notAfter) / 2;
  }

  #isOver({ policy }: EnrolmentEndpoint, since: number | null): boolean {
    return (since ?? 0) + policy.Approval.ExpiresInDays * dayMs <= this.#parts.system.now();
  }

  /** A copy of the request that was faster may have used what this one is refused for the want of: then its answer is this one's. */
  async #begin(endpoint: EnrolmentEndpoint, request: EnrolmentRequest, ended: TransactionRow | undefined): Promise<EnrolmentOutcome> {
    const begun = await this.#tryToBegin(endpoint, request, ended);
    if (begun !== 'lost' && begun.pkiStatus !== 'FAILURE') return begun;
    const seen = await this.#parts.transactions.find(endpoint, request);
    const isAnothers = seen !== undefined && (seen.updated_at !== ended?.updated_at || seen.status !== ended.status);
    const again = isAnothers ? await this.#answerAgain(endpoint, request, seen) : undefined;
    if (again !== undefined) return again;
    if (begun === 'lost') throw new IntentAbandonedError();
    return begun;
  }

  async #tryToBegin(
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    ended: TransactionRow | undefined,
  ): Promise<EnrolmentOutcome | 'lost'> {
    const issuer = await this.#openIssuer(endpoint);
    const authorisation = await this.#parts.authorisations.authorise(endpoint, request);
    if ('pkiStatus' in authorisation) return authorisation;
    const order = this.#order(endpoint, request, issuer);
    if ('pkiStatus' in order) return order;
    // A renewal gives nothing new, so the operator's word is asked for only once.
    const waits = endpoint.policy.Approval.Mode === 'MANUAL' && authorisation.by !== 'renewal';
    const begun = { authorisation, ended };
    return waits ? this.#hold(endpoint, request, order, begun) : this.#issue(endpoint, request, order, begun);
  }

  async #openIssuer({ certificateAuthorityArn }: EnrolmentEndpoint): Promise<OpenAuthority> {
    return this.#parts.certificateAuthorities.openForConnector(certificateAuthorityArn);
  }

  #order(endpoint: EnrolmentEndpoint, { csr }: Pick<EnrolmentRequest, 'csr'>, issuer: OpenAuthority): CertificateOrder | Failure {
    const issuerNotAfter = issuer.authority.certificates[0].notAfter;
    const content = applyProfile(csr, endpoint.policy, { now: this.#parts.system.now(), issuerNotAfter });
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

  /** Records that the request waits for an operator, and takes its challenge for it. */
  async #hold(
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    { issuer }: CertificateOrder,
    { authorisation, ended }: Begun,
  ): Promise<EnrolmentOutcome | 'lost'> {
    const { database, system, audit, authorisations, transactions } = this.#parts;
    const now = system.now();
    const requestedSince = now - endpoint.policy.Approval.ExpiresInDays * dayMs;
    const { connectorId } = endpoint;
    const waiting = { connectorId, requestedSince, count: enrolmentLimits.pendingRequestsMax };
    const event = enrolmentPending(
      { ...subjectOf(endpoint), transactionID: request.transactionID, source: request.source },
      { subject: formatName(request.csr.subject) },
    );
    let written = 'lost' as Written;
    const held = await attempt(database, async query => {
      await this.#checkUnchanged(query, endpoint, issuer);
      if (await hasPendingRequests(query, waiting)) throw new TooManyPendingError();
      const { signer, source } = request;
      const csr = withoutChallengePasswords(request.csr);
      const change: TransactionChange = { status: 'PENDING', csr, signer: signer.der, source, requested_at: now };
      written = await transactions.write(query, endpoint, request, { authorisation, ended, change });
      if (written !== 'written') return false;
      await audit.insert(query, event);
      return true;
    });
    if (!held) return written === 'unauthorised' ? authorisations.refusalOf(authorisation) : 'lost';
    audit.log(event);
    return { pkiStatus: 'PENDING' };
  }

  /**
   * Records the intent together with the claim on what authorises it, then issues. An authority that fails leaves everything as it was: the challenge
   * authorises another try.
   */
  async #issue(
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    order: CertificateOrder,
    begun: Begun,
  ): Promise<EnrolmentOutcome | 'lost'> {
    const { system, authorisations, transactions } = this.#parts;
    let written = 'lost' as Written;
    const outcome = await this.#issueWith(endpoint, request, order, {
      authorisation: begun.authorisation,
      transactionRowId: begun.ended?.transaction_row_id ?? uuidV7(system),
      record: async (query, certificateId, transactionRowId) => {
        const change = { status: 'ISSUING', certificate_id: certificateId } as const;
        written = await transactions.write(query, endpoint, request, { ...begun, transactionRowId, change });
        return written === 'written';
      },
    });
    if (outcome !== undefined) return outcome;
    return written === 'unauthorised' ? authorisations.refusalOf(begun.authorisation) : 'lost';
  }

  /** The operator's word authorises: a challenge may have ended while the request waited. */
  async #issueApproved(
    endpoint: EnrolmentEndpoint,
    request: WaitingRequest,
    approved: TransactionRow,
  ): Promise<EnrolmentOutcome | undefined> {
    const order = this.#order(endpoint, request, await this.#openIssuer(endpoint));
    if ('pkiStatus' in order) return order;
    const outcome = await this.#issueWith(endpoint, request, order, {
      authorisation: { by: 'approval', decidedBy: approved.decided_by ?? '' },
      transactionRowId: approved.transaction_row_id,
      record: (query, certificateId) => {
        const change = { status: 'ISSUING', certificate_id: certificateId, updated_at: this.#parts.system.now() } as const;
        return moveTransaction(query, approved.transaction_row_id, approved, change);
      },
    });
    if (outcome !== undefined) return outcome;
    const seen = await this.#parts.transactions.get(approved.transaction_row_id);
    // Another copy of the request, or another poll, took it to its authority, which failed: the approval is there for the next.
    if (seen === undefined || seen.status === 'APPROVED') throw new IntentAbandonedError();
    return this.#answerAgain(endpoint, request, seen);
  }

  /** Undefined when `record` answers false. */
  async #issueWith(
    endpoint: EnrolmentEndpoint,
    request: WaitingRequest,
    order: CertificateOrder,
    { transactionRowId, authorisation, record }: Issuance,
  ): Promise<EnrolmentOutcome | undefined> {
    const { certificates, transactions, takeIssuance } = this.#parts;
    if (!takeIssuance(endpoint.accountId)) {
      return failure('badRequest', 'Certificate authority issuance limit exceeded.', { code: 'issuanceLimitExceeded' });
    }
    let intentId: string | undefined;
    try {
      const issued = await certificates.issue(order, {
        ...this.#alongside(endpoint, request, { transactionRowId, authorisation }),
        atIntent: async (query, certificateId) => {
          await this.#checkUnchanged(query, endpoint, order.issuer);
          const recorded = await record(query, certificateId, transactionRowId);
          if (recorded) intentId = certificateId;
          return recorded;
        },
      });
      return issued && this.#success(endpoint, issued);
    } catch (error) {
      // A store that cannot be written cannot be tidied either: the worker does it later.
      if (intentId !== undefined && !(error instanceof StoreError)) {
        await transactions.abandon({ certificate_id: intentId, transaction_row_id: transactionRowId });
      }
      throw error;
    }
  }

  async #finish(endpoint: EnrolmentEndpoint, request: WaitingRequest, seen: TransactionRow): Promise<EnrolmentOutcome> {
    const order = this.#order(endpoint, request, await this.#openIssuer(endpoint));
    if ('pkiStatus' in order) {
      // The policy no longer allows what was begun.
      await this.#parts.transactions.abandon({ certificate_id: certificateIdOf(seen), transaction_row_id: seen.transaction_row_id });
      return order;
    }
    const alongside = this.#alongside(endpoint, request, {
      transactionRowId: seen.transaction_row_id,
      authorisation: { by: 'resumption' },
    });
    return this.#success(endpoint, await this.#parts.certificates.resume(certificateIdOf(seen), order, alongside));
  }

  /** What is committed with the certificate: the end of the transaction and its audit event. */
  #alongside(
    endpoint: EnrolmentEndpoint,
    request: WaitingRequest,
    { transactionRowId, authorisation }: Pick<Issuance, 'transactionRowId' | 'authorisation'>,
  ): Alongside {
    const { audit, system } = this.#parts;
    const { transactionID, source } = request;
    let event: AuditEvent | undefined;
    return {
      transactionRowId,
      atRecord: async (query, { serialNumber, subjectText, notAfter }) => {
        const certificate = { serialNumber, subject: subjectText, notAfter, authorisation };
        event = certificateIssued({ ...subjectOf(endpoint), transactionID, source }, certificate);
        await updateTransaction(query, transactionRowId, { status: 'SUCCESS', updated_at: system.now() });
        await audit.insert(query, event);
      },
      afterRecord: () => event && audit.log(event),
    };
  }

  /** Nothing is begun by what an administrator has changed since the request came. Throws ConnectorChangedError. */
  async #checkUnchanged(query: Query, { connectorId, policyDocument }: EnrolmentEndpoint, issuer: OpenAuthority): Promise<void> {
    const connector = await findConnectorById(query, connectorId);
    const isSame = connector?.status === 'ACTIVE' && connector.enrolment_policy === policyDocument;
    if (!isSame || !(await this.#parts.certificateAuthorities.isUnchanged(query, issuer))) throw new ConnectorChangedError();
  }

  async #success({ policy, certificateAuthorityArn }: EnrolmentEndpoint, { certificate }: IssuedCertificate): Promise<EnrolmentOutcome> {
    if (!policy.CaCertificateInCertRep) return { pkiStatus: 'SUCCESS', certificates: [certificate] };
    const { authority } = await this.#parts.certificateAuthorities.openForConnector(certificateAuthorityArn);
    return { pkiStatus: 'SUCCESS', certificates: [certificate, authority.certificates[0].der] };
  }
}

interface Issuance {
  transactionRowId: string;
  authorisation: Authorisation | { by: 'approval'; decidedBy: string } | { by: 'resumption' };
  record(query: Query, certificateId: string, transactionRowId: string): Promise<boolean>;
}

/** A request, or a poll, together with the CSR that it is about. */
type WaitingRequest = OpenedRequest & Pick<EnrolmentRequest, 'csr'>;

function waitingRequest(request: OpenedRequest & { csr: EnrolmentRequest['csr'] | undefined }, seen: TransactionRow): WaitingRequest {
  if (request.csr !== undefined) return { ...request, csr: request.csr };
  if (seen.csr === null || seen.signer === null) throw new Error(`transaction ${seen.transaction_row_id} waits without its CSR`);
  return { ...request, csr: parseCertificationRequest(seen.csr), signer: parseCertificate(seen.signer) };
}

function subjectOf({ accountId, region, connectorId }: EnrolmentEndpoint): Omit<ScepSubject, 'transactionID' | 'source'> {
  return { accountId, region, connectorId };
}
