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

/** Whether a finished transaction was opened again for a new certificate: only from the certificate it ended with, so that one request does it. */
export async function restartTransaction(
  query: Query,
  transactionRowId: string,
  change: { fromCertificateId: string; certificateId: string; updatedAt: number },
): Promise<boolean> {
  const result = await query
    .updateTable('transactions')
    .set({ status: 'ISSUING', certificate_id: change.certificateId, updated_at: change.updatedAt })
    .where('transaction_row_id', '=', transactionRowId)
    .where('status', '=', 'SUCCESS')
    .where('certificate_id', '=', change.fromCertificateId)
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
