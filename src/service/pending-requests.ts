/** Requests that wait for an operator: listed, approved, rejected. What a device is answered meanwhile and afterwards is the enrolment's. */
import type { Database, Query, TransactionRow } from '../backends/store/database.ts';
import { releaseDynamicChallenge } from '../backends/store/dynamic-challenges.ts';
import { decideRequest, findRequest, listRequests, type RequestKey, type RequestRow } from '../backends/store/transactions.ts';
import { conflict, resourceNotFound } from '../base/errors.ts';
import { formatName } from '../base/pki/name.ts';
import { parseCertificationRequest } from '../base/pki/pkcs10.ts';
import type { PublicKey } from '../base/pki/public-key.ts';
import { connectorArn, type Home, type Principal, parseRequestArn, requestArn } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { requestedSubjectAltName } from './certificate-profile.ts';
import { connectorIdOf, getConnectorRow, type PageRequest } from './connectors.ts';
import { enrolmentPolicyOf } from './enrolment-policies.ts';
import { formatSubjectAltName } from './name-rules.ts';
import { dayMs } from './validity.ts';

/** A page is read out of that many CSRs. */
export const pendingRequestLimits = { perPageMax: 100, reasonCharactersMax: 256 } as const;

type RequestStatus = 'PENDING' | 'APPROVED' | 'REJECTED';

export interface PendingRequest {
  RequestArn: string;
  ConnectorArn: string;
  Status: RequestStatus;
  TransactionId: string;
  /** RFC 4514. */
  Subject: string;
  SubjectAlternativeNames: string[];
  PublicKeyAlgorithm: string;
  /** SHA-256 of the CSR, in hexadecimal. */
  Fingerprint: string;
  Source?: string;
  RequestedAt: number;
  /** Until when it can be decided; of an approved one, until when the device can fetch its certificate. */
  ExpiresAt: number;
  DecidedBy?: string;
  Reason?: string;
}

interface PendingRequestsParts {
  database: Database;
  system: System;
  region: string;
}

export class PendingRequests {
  readonly #parts: PendingRequestsParts;

  constructor(parts: PendingRequestsParts) {
    this.#parts = parts;
  }

  /** Of the account, or of one connector. One that nobody decided in time counts as rejected. */
  async listPendingRequests(
    principal: Principal,
    { Status, ConnectorArn }: { Status?: RequestStatus | undefined; ConnectorArn?: string | undefined },
    { limit, after }: PageRequest,
  ): Promise<{ Requests: PendingRequest[]; next?: string }> {
    const { database, system } = this.#parts;
    const home = this.#homeOf(principal);
    if (ConnectorArn !== undefined) await getConnectorRow(database.query, home, ConnectorArn);
    const rows = await listRequests(database.query, {
      ...home,
      connectorId: ConnectorArn === undefined ? undefined : connectorIdOf(home, ConnectorArn),
      statuses: storedStatusesOf(Status),
      after: after === undefined ? undefined : parseCursor(after),
      // One more than asked for tells whether there is a next page.
      limit: limit + 1,
    });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const now = system.now();
    const fitting = page.filter(row => Status === undefined || statusOf(row, now) === Status);
    return {
      Requests: fitting.map(row => describe(row, home, now)),
      ...(rows.length > limit && last && { next: `${last.connector_id}/${last.transaction_row_id}` }),
    };
  }

  /** The device gets its certificate when it asks the next time. */
  async approveRequest(principal: Principal, RequestArn: string): Promise<Record<string, never>> {
    return this.#decide(principal, RequestArn, { verdict: 'APPROVED', reason: null });
  }

  /** The device is told the reason. What the request used of a dynamic challenge can be used again. */
  async rejectRequest(principal: Principal, RequestArn: string, Reason?: string): Promise<Record<string, never>> {
    return this.#decide(principal, RequestArn, { verdict: 'REJECTED', reason: Reason ?? null });
  }

  /** The same verdict again is fine: the answer to the first may have been lost. */
  async #decide(
    principal: Principal,
    RequestArn: string,
    { verdict, reason }: { verdict: 'APPROVED' | 'REJECTED'; reason: string | null },
  ): Promise<Record<string, never>> {
    const { database, system } = this.#parts;
    const home = this.#homeOf(principal);
    const now = system.now();
    await database.transaction(async query => {
      const row = await getRequestRow(query, home, RequestArn);
      if (row.connector_status === 'DELETING') {
        throw conflict('Connector', connectorArn(home, row.connector_id), 'The connector is being deleted.');
      }
      if (row.status !== 'PENDING' && statusOf(row, now) === verdict) return;
      if (row.status !== 'PENDING') throw conflict('Request', RequestArn, `The request is ${statusOf(row, now)} already.`);
      if (verdict === 'APPROVED' && statusOf(row, now) !== 'PENDING') throw conflict('Request', RequestArn, expiredMessage);
      const decision = { to: verdict === 'APPROVED' ? 'APPROVED' : 'FAILURE', reason, decidedBy: principal.arn, updatedAt: now } as const;
      const isDecided = await decideRequest(query, row.transaction_row_id, decision);
      if (isDecided && verdict === 'REJECTED' && row.dynamic_challenge_id !== null) {
        await releaseDynamicChallenge(query, row.dynamic_challenge_id);
      }
    });
    return {};
  }

  #homeOf({ accountId }: Principal): Home {
    return { accountId, region: this.#parts.region };
  }
}

const expiredMessage = 'Nobody decided the request before it expired.';

/** In the caller's account and Region; the ARN must be its own exactly, partition included. */
async function getRequestRow(query: Query, home: Home, arn: string): Promise<RequestRow> {
  const parts = parseRequestArn(arn);
  if (!parts || requestArn(home, parts.connectorId, parts.requestId) !== arn) throw resourceNotFound('Request', arn);
  const row = await findRequest(query, parts);
  if (!row) throw resourceNotFound('Request', arn);
  return row;
}

const statusByStored: Record<TransactionRow['status'], RequestStatus> = {
  PENDING: 'PENDING',
  APPROVED: 'APPROVED',
  ISSUING: 'APPROVED',
  NOTIFYING: 'APPROVED',
  SUCCESS: 'APPROVED',
  FAILURE: 'REJECTED',
};

function statusOf(row: RequestRow, now: number): RequestStatus {
  return row.status === 'PENDING' && expiryOf(row) <= now ? 'REJECTED' : statusByStored[row.status];
}

/** What may turn out to have this status: when a request expires is its connector's policy's to say, which no query knows. */
function storedStatusesOf(status: RequestStatus | undefined): TransactionRow['status'][] {
  const all = ['PENDING', 'APPROVED', 'ISSUING', 'NOTIFYING', 'SUCCESS', 'FAILURE'] as const;
  return all.filter(stored => status === undefined || statusByStored[stored] === status || (status === 'REJECTED' && stored === 'PENDING'));
}

/** From when it was made, and from when it was approved on, it has as many days as the policy gives it now. */
function expiryOf(row: RequestRow): number {
  const since = row.status === 'APPROVED' ? row.updated_at : row.requested_at;
  return since + enrolmentPolicyOf(row).Approval.ExpiresInDays * dayMs;
}

function describe(row: RequestRow, home: Home, now: number): PendingRequest {
  const csr = parseCertificationRequest(row.csr);
  const Status = statusOf(row, now);
  const reason = Status === 'REJECTED' && row.status === 'PENDING' ? expiredMessage : row.reason;
  return {
    RequestArn: requestArn(home, row.connector_id, row.transaction_row_id),
    ConnectorArn: connectorArn(home, row.connector_id),
    Status,
    TransactionId: row.transaction_id,
    Subject: formatName(csr.subject),
    SubjectAlternativeNames: requestedSubjectAltName(csr).map(formatSubjectAltName),
    PublicKeyAlgorithm: publicKeyAlgorithm(csr.publicKey),
    Fingerprint: row.csr_hash,
    ...(row.source !== null && { Source: row.source }),
    RequestedAt: row.requested_at,
    ExpiresAt: expiryOf(row),
    ...(row.decided_by !== null && { DecidedBy: row.decided_by }),
    ...(reason !== null && { Reason: reason }),
  };
}

const curveNames: Readonly<Record<number, string>> = { 256: 'prime256v1', 384: 'secp384r1', 521: 'secp521r1' };

/** In the form of acm-pca's KeyAlgorithm, such as RSA_2048 or EC_prime256v1. */
function publicKeyAlgorithm({ kind, bits }: PublicKey): string {
  return kind === 'EC' ? `EC_${curveNames[bits] ?? bits}` : `${kind}_${bits}`;
}

function parseCursor(cursor: string): RequestKey {
  const [connectorId = '', requestId = ''] = cursor.split('/');
  return { connectorId, requestId };
}
