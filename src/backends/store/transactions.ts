/** Queries on transactions: which SCEP transactions were seen and what became of them. */
import type { Insertable } from 'kysely';
import type { Query, Tables, TransactionRow } from './database.ts';

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

export async function updateTransaction(
  query: Query,
  transactionRowId: string,
  change: Pick<TransactionRow, 'status' | 'updated_at'> & Partial<Pick<TransactionRow, 'certificate_id' | 'reason'>>,
): Promise<void> {
  await query.updateTable('transactions').set(change).where('transaction_row_id', '=', transactionRowId).execute();
}

/** The newest transaction of this identifier and this signer, whatever its CSR: what a CertPoll is about. */
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
    .orderBy('updated_at', 'desc')
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
    .where('requested_at', 'is not', null)
    .where('requested_at', '>=', requestedSince)
    .where('status', '=', 'PENDING')
    .limit(1)
    .offset(count - 1)
    .executeTakeFirst();
  return row !== undefined;
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
