/** Queries on transactions: which SCEP transactions were seen and what became of them. */
import { type Insertable, sql } from 'kysely';
import type { Home } from '../../base/resources.ts';
import type { ConnectorRow, Query, Tables, TransactionRow } from './database.ts';

/** Whether it was inserted; false when the same transaction is already there. */
export async function insertTransaction(query: Query, row: Insertable<Tables['transactions']>): Promise<boolean> {
  const result = await query
    .insertInto('transactions')
    .values(row)
    .onConflict(conflict => conflict.columns(['connector_id', 'transaction_id', 'csr_hash', 'signer_key_hash']).doNothing())
    .executeTakeFirstOrThrow();
  return result.numInsertedOrUpdatedRows === 1n;
}

/** Whether the transaction was still as `from` says and now is as `change` says, so that of several requests one moves it. */
export async function moveTransaction(
  query: Query,
  transactionRowId: string,
  from: Pick<TransactionRow, 'status' | 'certificate_id'>,
  change: Pick<TransactionRow, 'status' | 'updated_at'> & Partial<Omit<TransactionRow, 'transaction_row_id'>>,
): Promise<boolean> {
  const result = await query
    .updateTable('transactions')
    .set(change)
    .where('transaction_row_id', '=', transactionRowId)
    .where('status', '=', from.status)
    .where('certificate_id', from.certificate_id === null ? 'is' : '=', from.certificate_id)
    .executeTakeFirstOrThrow();
  return result.numUpdatedRows === 1n;
}

export async function findTransaction(
  query: Query,
  key: { connectorId: string; transactionId: string; csrHash: string; signerKeyHash: string },
): Promise<TransactionRow | undefined> {
  return query
    .selectFrom('transactions')
    .selectAll()
    .where('connector_id', '=', key.connectorId)
    .where('transaction_id', '=', key.transactionId)
    .where('csr_hash', '=', key.csrHash)
    .where('signer_key_hash', '=', key.signerKeyHash)
    .executeTakeFirst();
}

/** A request that waits, or has waited, for an operator, with its connector's policy and status. */
export type RequestRow = TransactionRow & { csr: Uint8Array; requested_at: number } & Pick<ConnectorRow, 'enrolment_policy'> & {
    connector_status: ConnectorRow['status'];
  };

interface RequestScope extends Home {
  connectorId?: string | undefined;
  statuses: readonly TransactionRow['status'][];
}

/** Of connectors that are there, in the order of connector and row; `after` is the last of the page before. */
export async function listRequests(
  query: Query,
  { accountId, region, connectorId, statuses, after, limit }: RequestScope & { after?: RequestKey | undefined; limit: number },
): Promise<RequestRow[]> {
  const rows = await requests(query, { accountId, region, connectorId })
    .where('transactions.status', 'in', statuses)
    .$if(after !== undefined, only =>
      only.where(({ eb, refTuple, tuple }) =>
        eb(
          refTuple('connectors.connector_id', 'transactions.transaction_row_id'),
          '>',
          tuple(after?.connectorId ?? '', after?.requestId ?? ''),
        ),
      ),
    )
    .orderBy('connectors.connector_id')
    .orderBy('transactions.transaction_row_id')
    .limit(limit)
    .execute();
  return rows as RequestRow[];
}

export interface RequestKey {
  connectorId: string;
  requestId: string;
}

export async function findRequest(
  query: Query,
  { accountId, region, connectorId, requestId }: Home & RequestKey,
): Promise<RequestRow | undefined> {
  const row = await requests(query, { accountId, region, connectorId })
    .where('transactions.transaction_row_id', '=', requestId)
    .executeTakeFirst();
  return row as RequestRow | undefined;
}

function requests(query: Query, { accountId, region, connectorId }: Home & { connectorId?: string | undefined }) {
  return query
    .selectFrom('connectors')
    .innerJoin('transactions', 'transactions.connector_id', 'connectors.connector_id')
    .selectAll('transactions')
    .select(['connectors.enrolment_policy', 'connectors.status as connector_status'])
    .where('connectors.account_id', '=', accountId)
    .where('connectors.region', '=', region)
    .where('transactions.requested_at', 'is not', null)
    .where('transactions.csr', 'is not', null)
    .$if(connectorId !== undefined, only => only.where('connectors.connector_id', '=', connectorId ?? ''));
}

/**
 * Whether the request was waiting and is now decided: compare-and-set, so that of two operators one decides. A rejected one no longer holds the use
 * of a dynamic challenge; whoever rejects it gives that back, in the same database transaction.
 */
export async function decideRequest(
  query: Query,
  transactionRowId: string,
  { to, reason, decidedBy, updatedAt }: { to: 'APPROVED' | 'FAILURE'; reason: string | null; decidedBy: string; updatedAt: number },
): Promise<boolean> {
  const result = await query
    .updateTable('transactions')
    .set({ status: to, reason, decided_by: decidedBy, updated_at: updatedAt, ...(to === 'FAILURE' && { dynamic_challenge_id: null }) })
    .where('transaction_row_id', '=', transactionRowId)
    .where('status', '=', 'PENDING')
    .where('requested_at', 'is not', null)
    .executeTakeFirstOrThrow();
  return result.numUpdatedRows === 1n;
}

export async function updateTransaction(
  query: Query,
  transactionRowId: string,
  change: Pick<TransactionRow, 'status' | 'updated_at'> & Partial<Pick<TransactionRow, 'certificate_id' | 'reason'>>,
): Promise<void> {
  await query.updateTable('transactions').set(change).where('transaction_row_id', '=', transactionRowId).execute();
}

/** The transaction of this identifier that this signer asked for last, whatever its CSR: what a CertPoll is about. A decision makes none newer. */
export async function findTransactionBySigner(
  query: Query,
  key: { connectorId: string; transactionId: string; signerKeyHash: string },
): Promise<TransactionRow | undefined> {
  return query
    .selectFrom('transactions')
    .selectAll()
    .where('connector_id', '=', key.connectorId)
    .where('transaction_id', '=', key.transactionId)
    .where('signer_key_hash', '=', key.signerKeyHash)
    .orderBy(({ fn }) => fn.coalesce('requested_at', 'updated_at'), 'desc')
    .orderBy('transaction_row_id', 'desc')
    .limit(1)
    .executeTakeFirst();
}

export async function getTransaction(query: Query, transactionRowId: string): Promise<TransactionRow | undefined> {
  return query.selectFrom('transactions').selectAll().where('transaction_row_id', '=', transactionRowId).executeTakeFirst();
}

/** Whether a connector has that many requests that wait, of those made since an instant. */
export async function hasPendingRequests(
  query: Query,
  { connectorId, requestedSince, count }: { connectorId: string; requestedSince: number; count: number },
): Promise<boolean> {
  const row = await query
    .selectFrom('transactions')
    .select('transaction_row_id')
    .where('connector_id', '=', connectorId)
    .where('requested_at', '>=', requestedSince)
    // Spelt out, as only so the engines know that the index of those that wait will do.
    .where('status', '=', sql.lit<'PENDING'>('PENDING'))
    .limit(1)
    .offset(count - 1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Takes the uses of a dynamic challenge away from the requests that waited for an operator, or for their device, in vain. How many there were. */
export async function takeLapsedClaims(
  query: Query,
  { dynamicChallengeId, lapsedBefore }: { dynamicChallengeId: string; lapsedBefore: number },
): Promise<number> {
  const result = await query
    .updateTable('transactions')
    .set({ dynamic_challenge_id: null })
    .where('dynamic_challenge_id', '=', dynamicChallengeId)
    .where(({ and, eb, or }) =>
      or([
        and([eb('status', '=', 'PENDING'), eb('requested_at', '<=', lapsedBefore)]),
        and([eb('status', '=', 'APPROVED'), eb('updated_at', '<=', lapsedBefore)]),
      ]),
    )
    .executeTakeFirstOrThrow();
  return Number(result.numUpdatedRows);
}

/** How often a certificate has authorised a renewal. */
export async function countRenewals(query: Query, renewedCertificateId: string): Promise<number> {
  const { count } = await query
    .selectFrom('transactions')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('renewed_certificate_id', '=', renewedCertificateId)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Whether the transaction was there, issuing this certificate. */
export async function deleteIssuingTransaction(query: Query, transactionRowId: string, certificateId: string): Promise<boolean> {
  const result = await query
    .deleteFrom('transactions')
    .where('transaction_row_id', '=', transactionRowId)
    .where('status', '=', 'ISSUING')
    .where('certificate_id', '=', certificateId)
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}
