/** The records of SCEP transactions: what identifies one, how it takes what authorises it, and how one is given up of which no certificate came. */
import { createHash } from 'node:crypto';
import { deleteIntent } from '../backends/store/certificates.ts';
import type { CertificateRow, Database, Query, TransactionRow } from '../backends/store/database.ts';
import { releaseDynamicChallenge } from '../backends/store/dynamic-challenges.ts';
import {
  deleteIssuingTransaction,
  findTransaction,
  findTransactionBySigner,
  getTransaction,
  insertTransaction,
  moveTransaction,
} from '../backends/store/transactions.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import type { Authorisation, Authorisations } from './authorisations.ts';
import type { EnrolmentEndpoint, EnrolmentRequest, OpenedRequest } from './scep-requests.ts';

/** How a request begins: by whose leave, and as the continuation of which transaction that ended long ago. */
export interface Begun {
  authorisation: Authorisation;
  ended: TransactionRow | undefined;
}

/** Or what came too late: the authorisation, which is no longer good, or the request, since another was the first with this transaction. */
export type Written = 'written' | 'unauthorised' | 'lost';

export type TransactionChange = Partial<TransactionRow> & Pick<TransactionRow, 'status'>;

interface ScepTransactionsParts {
  database: Database;
  system: System;
  authorisations: Authorisations;
}

export class ScepTransactions {
  readonly #parts: ScepTransactionsParts;

  constructor(parts: ScepTransactionsParts) {
    this.#parts = parts;
  }

  async find({ connectorId }: EnrolmentEndpoint, request: EnrolmentRequest): Promise<TransactionRow | undefined> {
    return findTransaction(this.#parts.database.query, { connectorId, ...transactionKey(request) });
  }

  /** The newest with the transactionID that this signer's key began, whatever its CSR. */
  async findBySigner({ connectorId }: EnrolmentEndpoint, { transactionID, signer }: OpenedRequest): Promise<TransactionRow | undefined> {
    const key = { connectorId, transactionId: transactionID, signerKeyHash: sha256(signer.publicKey.spki) };
    return findTransactionBySigner(this.#parts.database.query, key);
  }

  async get(transactionRowId: string): Promise<TransactionRow | undefined> {
    return getTransaction(this.#parts.database.query, transactionRowId);
  }

  /** Takes the authorisation and writes the transaction. Unless it is 'written' the caller undoes everything. */
  async write(
    query: Query,
    endpoint: EnrolmentEndpoint,
    request: EnrolmentRequest,
    {
      authorisation,
      ended,
      change,
      transactionRowId = uuidV7(this.#parts.system),
    }: Begun & { change: TransactionChange; transactionRowId?: string },
  ): Promise<Written> {
    const now = this.#parts.system.now();
    // Of a request that waited in vain.
    if (ended?.dynamic_challenge_id && ended.status !== 'SUCCESS') await releaseDynamicChallenge(query, ended.dynamic_challenge_id);
    if (!(await this.#parts.authorisations.claim(query, endpoint, authorisation))) return 'unauthorised';
    const columns = { ...unwritten, ...claimColumns(authorisation), updated_at: now, ...change };
    if (ended !== undefined) return (await moveTransaction(query, ended.transaction_row_id, ended, columns)) ? 'written' : 'lost';
    const { transactionId, csrHash, signerKeyHash } = transactionKey(request);
    const isInserted = await insertTransaction(query, {
      transaction_row_id: transactionRowId,
      connector_id: endpoint.connectorId,
      transaction_id: transactionId,
      csr_hash: csrHash,
      signer_key_hash: signerKeyHash,
      created_at: now,
      ...columns,
    });
    return isInserted ? 'written' : 'lost';
  }

  /**
   * Gives up an intent of which no certificate came: an approved request can be fetched again, and of any other the challenge authorises again. False
   * when the certificate was recorded after all.
   */
  async abandon(intent: Pick<CertificateRow, 'certificate_id' | 'transaction_row_id'>): Promise<boolean> {
    const { certificate_id: certificateId, transaction_row_id: transactionRowId } = intent;
    return this.#parts.database.transaction(async query => {
      if (!(await deleteIntent(query, certificateId))) return false;
      const row = transactionRowId === null ? undefined : await getTransaction(query, transactionRowId);
      if (row === undefined) return true;
      if (row.requested_at !== null) {
        const change = { status: 'APPROVED', certificate_id: null, updated_at: this.#parts.system.now() } as const;
        await moveTransaction(query, row.transaction_row_id, { status: 'ISSUING', certificate_id: certificateId }, change);
        return true;
      }
      const isGone = await deleteIssuingTransaction(query, row.transaction_row_id, certificateId);
      if (isGone && row.dynamic_challenge_id !== null) await releaseDynamicChallenge(query, row.dynamic_challenge_id);
      return true;
    });
  }
}

/** What a transaction that begins anew no longer says. */
const unwritten = {
  certificate_id: null,
  reason: null,
  csr: null,
  signer: null,
  source: null,
  requested_at: null,
  decided_by: null,
} as const;

function claimColumns(authorisation: Authorisation): Pick<TransactionRow, 'dynamic_challenge_id' | 'renewed_certificate_id'> {
  return {
    dynamic_challenge_id: authorisation.by === 'dynamicChallenge' ? authorisation.dynamicChallengeId : null,
    renewed_certificate_id: authorisation.by === 'renewal' ? authorisation.certificateId : null,
  };
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

export function certificateIdOf(row: TransactionRow): string {
  if (row.certificate_id === null) throw new Error(`transaction ${row.transaction_row_id} has no certificate`);
  return row.certificate_id;
}
