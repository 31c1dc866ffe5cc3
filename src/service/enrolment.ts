/** One SCEP transaction: which connector it is for, who may enrol, for what, issued by whom and recorded where. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { CaError } from '../backends/ca/certificate-authority.ts';
import { findCertificateByFingerprint } from '../backends/store/certificates.ts';
import { listChallengeMacs } from '../backends/store/challenges.ts';
import { findConnectorById } from '../backends/store/connectors.ts';
import type { ConnectorRow, Database, TransactionRow } from '../backends/store/database.ts';
import { findTransaction, insertTransaction, restartTransaction, updateTransaction } from '../backends/store/transactions.ts';
import { algorithmPolicyOf, type EnrolmentPolicy } from '../base/enrolment-policy.ts';
import { type AuditEvent, certificateIssued, enrolmentRefused, type ScepSubject } from '../base/events.ts';
import { type AlgorithmPolicy, digests, resolveSignatureAlgorithm, unsupportedAlgorithm } from '../base/pki/algorithms.ts';
import type { KeyPair } from '../base/pki/enveloped-data.ts';
import { type CertificationRequest, verifyCertificationRequest } from '../base/pki/pkcs10.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { type Certificate, fingerprint } from '../base/pki/x509.ts';
import { type Failure, failure, failureOf } from '../base/scep.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import type { Audit } from './audit.ts';
import type { CertificateAuthorities, OpenAuthority } from './certificate-authorities.ts';
import { applyProfile } from './certificate-profile.ts';
import type { Alongside, CertificateOrder, Certificates, IssuedCertificate } from './certificates.ts';
import type { Challenges } from './challenges.ts';
import type { Endpoints } from './endpoints.ts';
import { enrolmentPolicyOf } from './enrolment-policies.ts';
import type { RaKeys } from './ra-keys.ts';

/** How far a device's clock may be ahead of ours before the certificate it has just made for itself counts as expired. */
const signerClockSkewMs = 15 * 60_000;

/** A connector that a SCEP URL leads to. */
export interface EnrolmentEndpoint {
  connectorId: string;
  accountId: string;
  region: string;
  certificateAuthorityArn: string;
  /** Whether it answers; CREATING is about to, FAILED and DELETING are not. */
  status: ConnectorRow['status'];
  policy: EnrolmentPolicy;
  algorithms: AlgorithmPolicy;
}

/** A PKCSReq whose CMS signature holds and whose envelope was opened. */
export interface EnrolmentRequest {
  transactionID: string;
  signer: Certificate;
  csr: CertificationRequest;
  /** The address it came from. */
  source: string;
}

/** The challenge whose password a request held. */
interface Authorisation {
  challengeId: string;
}

const invalidChallenge = failure('badRequest', 'The challenge password is invalid.');

export type EnrolmentOutcome = { pkiStatus: 'SUCCESS'; certificate: Uint8Array } | Failure;

export interface EnrolmentParts {
  database: Database;
  system: System;
  audit: Audit;
  certificateAuthorities: CertificateAuthorities;
  certificates: Certificates;
  challenges: Challenges;
  raKeys: RaKeys;
  endpoints: Endpoints;
}

export class Enrolment {
  readonly #parts: EnrolmentParts;

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
  }

  /** The connector behind `/{accountId}-{connectorId}/{secret}` at a host. The secret is compared in constant time. */
  async findEndpoint({
    accountId,
    connectorId,
    secret,
    host,
  }: {
    accountId: string;
    connectorId: string;
    secret: string;
    host: string | undefined;
  }): Promise<EnrolmentEndpoint | undefined> {
    const row = await findConnectorById(this.#parts.database.query, connectorId);
    if (row === undefined || row.account_id !== accountId || !secretsEqual(row.endpoint_secret, secret)) return undefined;
    if (!this.#parts.endpoints.isReachedAt(row.vpc_endpoint_id, host)) return undefined;
    const policy = enrolmentPolicyOf(row);
    return {
      connectorId,
      accountId,
      region: row.region,
      certificateAuthorityArn: row.certificate_authority_arn,
      status: row.status,
      policy,
      algorithms: algorithmPolicyOf(policy),
    };
  }

  /** Newest first, at least one. Throws CaError when none is valid any more. */
  async listRaKeyPairs(endpoint: EnrolmentEndpoint): Promise<KeyPair[]> {
    const keyPairs = await this.#parts.raKeys.listKeyPairs(endpoint.connectorId);
    if (keyPairs.length === 0) throw new CaError('INTERNAL_FAILURE', 'The connector has no valid RA certificate.');
    return keyPairs;
  }

  /** GetCACert's answer: the RA certificate, the issuing CA and its issuers up to the root. Throws CaError. */
  async listCaCertificates(endpoint: EnrolmentEndpoint): Promise<Certificate[]> {
    const [keyPairs, { authority }] = await Promise.all([
      this.listRaKeyPairs(endpoint),
      this.#parts.certificateAuthorities.openForConnector(endpoint.certificateAuthorityArn),
    ]);
    return [...keyPairs.slice(0, 1).map(({ certificate }) => certificate), ...authority.certificates];
  }

  /**
   * Enrols. The same transaction with the same CSR and signer gets the same certificate; with another CSR it is a new one, because certmonger
   * and sscep use their transactionIDs again. A refusal is an answer; an outage (CaError, StoreError) is thrown.
   */
  async enrol(endpoint: EnrolmentEndpoint, request: EnrolmentRequest): Promise<EnrolmentOutcome> {
    try {
      const seen = await this.#findTransaction(endpoint, request);
      const certificate = seen?.status === 'SUCCESS' ? await this.#parts.certificates.getCertificate(certificateIdOf(seen)) : undefined;
      if (certificate !== undefined && this.#isFresh(certificate)) return success(certificate);
      const issuer = await this.#parts.certificateAuthorities.openForConnector(endpoint.certificateAuthorityArn);
      // An open intent was authorised when it was recorded, and its challenge may be gone by now.
      const outcome =
        seen?.status === 'ISSUING'
          ? await this.#finish(endpoint, request, issuer, seen)
          : await this.#begin(endpoint, request, issuer, seen);
      return 'pkiStatus' in outcome ? await this.recordRefusal(endpoint, request, outcome) : success(outcome);
    } catch (error) {
      if (!(error instanceof PkiError)) throw error;
      return this.recordRefusal(endpoint, request, failureOf(error));
    }
  }

  /**
   * A lost answer is asked for again within minutes or days. Once half of the certificate's life is over it is a renewal that looks the same, as
   * strongSwan's does, whose transactionID and CSR follow from the key: to answer with the old certificate would let the device run out of time. Nor
   * is a revoked one of any use to it.
   */
  #isFresh({ createdAt, notAfter, isRevoked }: IssuedCertificate): boolean {
    return !isRevoked && this.#parts.system.now() < (createdAt + notAfter) / 2;
  }

  /** A request that failed before it could be understood as an enrolment leaves the same trace. */
  async recordRefusal(
    endpoint: EnrolmentEndpoint,
    { transactionID, source }: { transactionID: string; source: string },
    refusal: Failure,
  ): Promise<Failure> {
    const subject: ScepSubject = { ...endpoint, transactionID, source };
    await this.#parts.audit.record(enrolmentRefused(subject, refusal));
    return refusal;
  }

  /** Proof of possession first, then the challenge: a guess at the password costs the guesser a key and a signature. */
  async #begin(
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    issuer: OpenAuthority,
    ended: TransactionRow | undefined,
  ): Promise<IssuedCertificate | Failure> {
    const refusal = (await this.#checkSigner(endpoint, request)) ?? checkProofOfPossession(request.csr, endpoint.algorithms);
    if (refusal !== undefined) return refusal;
    const authorisation = await this.#checkChallenge(endpoint, request.csr.challengePasswords);
    if ('pkiStatus' in authorisation) return authorisation;
    const order = this.#order(endpoint, request, issuer);
    return 'pkiStatus' in order ? order : this.#issue(endpoint, request, order, { ...authorisation, ended });
  }

  async #finish(
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    issuer: OpenAuthority,
    seen: TransactionRow,
  ): Promise<IssuedCertificate | Failure> {
    const order = this.#order(endpoint, request, issuer);
    return 'pkiStatus' in order ? order : this.#resume(endpoint, request, order, seen);
  }

  /**
   * A signer's own certificate proves nothing, so its key must be the CSR's: else the answer goes to whoever signed. Keys are compared, not names,
   * which Cisco, pfSense and sscep let differ. A certificate of this connector may sign for a new key, as certmonger's rekey does.
   */
  async #checkSigner(endpoint: EnrolmentEndpoint, { signer, csr }: EnrolmentRequest): Promise<Failure | undefined> {
    const now = this.#parts.system.now();
    if (signer.notAfter + signerClockSkewMs < now) return failure('badMessageCheck', 'The certificate included in the request is expired.');
    if (signer.publicKey.equals(csr.publicKey)) return undefined;
    const row = await findCertificateByFingerprint(this.#parts.database.query, fingerprint(signer.der));
    if (row?.connector_id === endpoint.connectorId && row.kind === 'DEVICE' && row.status === 'ISSUED') return undefined;
    return failure('badMessageCheck', 'The request is not signed with the key that the certificate signing request is for.');
  }

  async #checkChallenge(endpoint: EnrolmentEndpoint, challengePasswords: readonly string[]): Promise<Authorisation | Failure> {
    const [password, second] = challengePasswords;
    if (password === undefined || second !== undefined) {
      return failure('badRequest', 'Exactly one challenge password is required in the certificate signing request.');
    }
    const challengeId = await this.#parts.challenges.verifyChallengePassword(endpoint.connectorId, password);
    return challengeId === undefined ? invalidChallenge : { challengeId };
  }

  #order(endpoint: EnrolmentEndpoint, { csr }: EnrolmentRequest, issuer: OpenAuthority): CertificateOrder | Failure {
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

  /**
   * Records the intent, together with a last look at the challenge: one that was deleted meanwhile authorises nothing. `ended` is the same
   * transaction as it ended long ago, which is then opened again.
   */
  async #issue(
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    order: CertificateOrder,
    { challengeId, ended }: Authorisation & { ended: TransactionRow | undefined },
  ): Promise<IssuedCertificate | Failure> {
    const { system, certificates } = this.#parts;
    const transactionRowId = ended?.transaction_row_id ?? uuidV7(system);
    const now = system.now();
    const { transactionId, csrHash, signerKeyHash } = transactionKey(request);
    const issued = await certificates.issue(order, {
      ...this.#alongside(endpoint, request, transactionRowId),
      atIntent: async (query, certificateId) => {
        const challenges = await listChallengeMacs(query, endpoint.connectorId);
        if (!challenges.some(({ challenge_id }) => challenge_id === challengeId)) return false;
        if (ended !== undefined) {
          return restartTransaction(query, transactionRowId, { fromCertificateId: certificateIdOf(ended), certificateId, updatedAt: now });
        }
        return insertTransaction(query, {
          transaction_row_id: transactionRowId,
          connector_id: endpoint.connectorId,
          transaction_id: transactionId,
          csr_hash: csrHash,
          signer_key_hash: signerKeyHash,
          status: 'ISSUING',
          certificate_id: certificateId,
          reason: null,
          created_at: now,
          updated_at: now,
        });
      },
    });
    if (issued !== undefined) return issued;
    // Given up: another request with the same transaction came first, or else the challenge is gone.
    const seen = await this.#findTransaction(endpoint, request);
    const isAnothers = seen !== undefined && seen.certificate_id !== ended?.certificate_id;
    return isAnothers ? this.#resume(endpoint, request, order, seen) : invalidChallenge;
  }

  async #resume(
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    order: CertificateOrder,
    seen: TransactionRow,
  ): Promise<IssuedCertificate> {
    return this.#parts.certificates.resume(certificateIdOf(seen), order, this.#alongside(endpoint, request, seen.transaction_row_id));
  }

  /** What is committed with the certificate: the end of the transaction and its audit event. */
  #alongside(endpoint: EnrolmentEndpoint, request: EnrolmentRequest, transactionRowId: string): Alongside {
    const { audit, system } = this.#parts;
    const subject: ScepSubject = { ...endpoint, transactionID: request.transactionID, source: request.source };
    let event: AuditEvent | undefined;
    return {
      transactionRowId,
      atRecord: async (query, { serialNumber, subjectText, notAfter }) => {
        event = certificateIssued(subject, { serialNumber, subject: subjectText, notAfter });
        await updateTransaction(query, transactionRowId, { status: 'SUCCESS', updated_at: system.now() });
        await audit.insert(query, event);
      },
      afterRecord: () => event && audit.log(event),
    };
  }

  async #findTransaction(endpoint: EnrolmentEndpoint, request: EnrolmentRequest): Promise<TransactionRow | undefined> {
    return findTransaction(this.#parts.database.query, { connectorId: endpoint.connectorId, ...transactionKey(request) });
  }
}

/** The signer's key is part of what identifies a transaction, so knowing a device's transactionID and CSR gets nobody its answer. */
function transactionKey({ transactionID, csr, signer }: EnrolmentRequest): {
  transactionId: string;
  csrHash: string;
  signerKeyHash: string;
} {
  return { transactionId: transactionID, csrHash: sha256(csr.der), signerKeyHash: sha256(signer.publicKey.spki) };
}

function sha256(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('hex');
}

function certificateIdOf(row: TransactionRow): string {
  if (row.certificate_id === null) throw new Error(`transaction ${row.transaction_row_id} has no certificate`);
  return row.certificate_id;
}

function success({ certificate }: IssuedCertificate): EnrolmentOutcome {
  return { pkiStatus: 'SUCCESS', certificate };
}

function secretsEqual(a: string, b: string): boolean {
  const [octetsA, octetsB] = [Buffer.from(a), Buffer.from(b)];
  return octetsA.length === octetsB.length && timingSafeEqual(octetsA, octetsB);
}

/** The CSR is signed with the key that it is for (RFC 8894 section 7.6), by an algorithm that is not refused. Throws PkiError. */
function checkProofOfPossession(csr: CertificationRequest, algorithms: AlgorithmPolicy): Failure | undefined {
  const { digest } = resolveSignatureAlgorithm(csr.signatureAlgorithm);
  if (digest !== undefined && !algorithms.digests.has(digest))
    throw unsupportedAlgorithm(digests[digest].oid, 'SHA-256 to sign the certificate signing request');
  return verifyCertificationRequest(csr)
    ? undefined
    : failure('badMessageCheck', 'The signature of the certificate signing request does not hold.');
}
