/** One SCEP transaction: who may enrol, for what, issued by whom and recorded where. What was seen before is answered as before. */
import { attempt, type Database, type TransactionRow } from '../backends/store/database.ts';
import { hasPendingRequests, moveTransaction } from '../backends/store/transactions.ts';
import { enrolmentPending, enrolmentRefused, type ScepSubject } from '../base/events.ts';
import { formatName } from '../base/pki/name.ts';
import { parseCertificationRequest, withoutChallengePasswords } from '../base/pki/pkcs10.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { parseCertificate } from '../base/pki/x509.ts';
import { type Failure, failure, failureOf } from '../base/scep.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import type { Audit } from './audit.ts';
import type { Authorisations } from './authorisations.ts';
import type { CertificateOrder, Certificates, IssuedCertificate } from './certificates.ts';
import type { EnrolmentIssuance, WaitingRequest } from './enrolment-issuance.ts';
import type { IntuneNotifications } from './intune-notifications.ts';
import { CertificateHeldError, IntentAbandonedError, TooManyPendingError } from './outage.ts';
import type { EnrolmentEndpoint, EnrolmentOutcome, EnrolmentRequest, OpenedRequest } from './scep-requests.ts';
import { type Begun, certificateIdOf, type ScepTransactions, type TransactionChange, type Written } from './scep-transactions.ts';
import { dayMs } from './validity.ts';

export const enrolmentLimits = { pendingRequestsMax: 1000 } as const;

export interface EnrolmentParts {
  database: Database;
  system: System;
  audit: Audit;
  certificates: Certificates;
  authorisations: Authorisations;
  transactions: ScepTransactions;
  issuance: EnrolmentIssuance;
  intuneNotifications: IntuneNotifications;
}

export class Enrolment {
  readonly #parts: EnrolmentParts;

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
  }

  /**
   * PKCSReq and RenewalReq. The same transaction with the same CSR and signer gets the same answer; with another CSR it is a new one, because certmonger
   * and sscep use their transactionIDs again. A refusal is an answer; an outage (CaError, StoreError, MicrosoftError) is thrown.
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
        const waiting = waitingRequest(request, seen);
        const issued = await this.#parts.issuance.finish(endpoint, waiting, seen);
        return this.#deliver(endpoint, waiting, issued, seen.transaction_row_id);
      }
      case 'NOTIFYING':
        return this.#afterNotice(endpoint, request, seen.transaction_row_id);
      default:
        return seen.status satisfies never;
    }
  }

  /** The device has what came of it once Intune knows. Throws CertificateHeldError. */
  async #afterNotice(
    endpoint: EnrolmentEndpoint,
    request: OpenedRequest & { csr: EnrolmentRequest['csr'] | undefined },
    transactionRowId: string,
  ): Promise<EnrolmentOutcome> {
    const { intuneNotifications, transactions } = this.#parts;
    await intuneNotifications.deliver(transactionRowId);
    const ended = await transactions.get(transactionRowId);
    const answer = ended && ended.status !== 'NOTIFYING' ? await this.#answerAgain(endpoint, request, ended) : undefined;
    if (answer === undefined) throw new CertificateHeldError('Another process tells it.');
    return answer;
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
    const { issuance, authorisations } = this.#parts;
    const issuer = await issuance.openIssuer(endpoint);
    const authorisation = await authorisations.authorise(endpoint, request);
    if ('pkiStatus' in authorisation) return authorisation;
    const order = issuance.order(endpoint, request, issuer);
    const begun = { authorisation, ended };
    if ('pkiStatus' in order) return authorisation.by === 'intune' ? this.#failValidated(endpoint, request, order, begun) : order;
    // A renewal gives nothing new, so the operator's word is asked for only once. Intune knows no request that waits.
    const waits = endpoint.policy.Approval.Mode === 'MANUAL' && authorisation.by !== 'renewal' && authorisation.by !== 'intune';
    return waits ? this.#hold(endpoint, request, order, begun) : this.#issue(endpoint, request, order, begun);
  }

  /** Intune is told of what fails after it has validated it, once: the transaction has failed, and whoever asks again is told the same. */
  async #failValidated(
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    refusal: Failure,
    { authorisation, ended }: Begun,
  ): Promise<Failure | 'lost'> {
    const { database, intuneNotifications, system, transactions } = this.#parts;
    const transactionRowId = ended?.transaction_row_id ?? uuidV7(system);
    const sealedCsr = await intuneNotifications.sealCsr(transactionRowId, request.csr.der);
    const { transactionID } = request;
    const notification = { transactionRowId, transactionID, connectorId: endpoint.connectorId, sealedCsr };
    const isRecorded = await attempt(database, async query => {
      const change = { status: 'FAILURE', reason: refusal.reason } as const;
      const written = await transactions.write(query, endpoint, request, { authorisation, ended, change, transactionRowId });
      if (written !== 'written') return false;
      await intuneNotifications.insert(query, { ...notification, outcome: { errorDescription: refusal.reason } });
      return true;
    });
    if (!isRecorded) return 'lost';
    intuneNotifications.wake();
    return refusal;
  }

  /** Records that the request waits for an operator, and takes its challenge for it. */
  async #hold(
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    { issuer }: CertificateOrder,
    { authorisation, ended }: Begun,
  ): Promise<EnrolmentOutcome | 'lost'> {
    const { database, system, audit, authorisations, issuance, transactions } = this.#parts;
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
      await issuance.checkUnchanged(query, endpoint, issuer);
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
    const { system, authorisations, issuance, transactions } = this.#parts;
    let written = 'lost' as Written;
    const transactionRowId = begun.ended?.transaction_row_id ?? uuidV7(system);
    const issued = await issuance.issue(endpoint, request, order, {
      authorisation: begun.authorisation,
      transactionRowId,
      record: async (query, certificateId) => {
        const change = { status: 'ISSUING', certificate_id: certificateId } as const;
        written = await transactions.write(query, endpoint, request, { ...begun, transactionRowId, change });
        return written === 'written';
      },
    });
    if (issued !== undefined) return this.#deliver(endpoint, request, issued, transactionRowId);
    return written === 'unauthorised' ? authorisations.refusalOf(begun.authorisation) : 'lost';
  }

  /** The operator's word authorises: a challenge may have ended while the request waited. */
  async #issueApproved(
    endpoint: EnrolmentEndpoint,
    request: WaitingRequest,
    approved: TransactionRow,
  ): Promise<EnrolmentOutcome | undefined> {
    const { issuance } = this.#parts;
    const { transaction_row_id: transactionRowId } = approved;
    const order = issuance.order(endpoint, request, await issuance.openIssuer(endpoint));
    if ('pkiStatus' in order) return order;
    const issued = await issuance.issue(endpoint, request, order, {
      authorisation: { by: 'approval', decidedBy: approved.decided_by ?? '' },
      transactionRowId,
      record: (query, certificateId) => {
        const change = { status: 'ISSUING', certificate_id: certificateId, updated_at: this.#parts.system.now() } as const;
        return moveTransaction(query, transactionRowId, approved, change);
      },
    });
    if (issued !== undefined) return this.#deliver(endpoint, request, issued, transactionRowId);
    const seen = await this.#parts.transactions.get(transactionRowId);
    // Another copy of the request, or another poll, took it to its authority, which failed: the approval is there for the next.
    if (seen === undefined || seen.status === 'APPROVED') throw new IntentAbandonedError();
    return this.#answerAgain(endpoint, request, seen);
  }

  async #deliver(
    endpoint: EnrolmentEndpoint,
    request: WaitingRequest,
    issued: IssuedCertificate | Failure,
    transactionRowId: string,
  ): Promise<EnrolmentOutcome> {
    if ('pkiStatus' in issued) return issued;
    return endpoint.intune ? this.#afterNotice(endpoint, request, transactionRowId) : this.#success(endpoint, issued);
  }

  async #success(endpoint: EnrolmentEndpoint, { certificate }: IssuedCertificate): Promise<EnrolmentOutcome> {
    if (!endpoint.policy.CaCertificateInCertRep) return { pkiStatus: 'SUCCESS', certificates: [certificate] };
    const { authority } = await this.#parts.issuance.openIssuer(endpoint);
    return { pkiStatus: 'SUCCESS', certificates: [certificate, authority.certificates[0].der] };
  }
}

function waitingRequest(request: OpenedRequest & { csr: EnrolmentRequest['csr'] | undefined }, seen: TransactionRow): WaitingRequest {
  if (request.csr !== undefined) return { ...request, csr: request.csr };
  if (seen.csr === null || seen.signer === null) throw new Error(`transaction ${seen.transaction_row_id} waits without its CSR`);
  return { ...request, csr: parseCertificationRequest(seen.csr), signer: parseCertificate(seen.signer) };
}

function subjectOf({ accountId, region, connectorId }: EnrolmentEndpoint): Omit<ScepSubject, 'transactionID' | 'source'> {
  return { accountId, region, connectorId };
}
