/** Requests that wait for an operator, as an enrolment leaves them in the store. */
import type { Insertable } from 'kysely';
import type { Query, Tables } from '../../src/backends/store/database.ts';
import { insertTransaction } from '../../src/backends/store/transactions.ts';
import { parseConnectorArn, requestArn } from '../../src/base/resources.ts';
import { realSystem } from '../../src/base/system.ts';
import { uuidV7 } from '../../src/base/uuid-v7.ts';
import { createCsr, ecKey } from './pki-fixtures.ts';

/** Its ARN. */
export async function insertWaitingRequest(
  query: Query,
  { ConnectorArn, now }: { ConnectorArn: string; now: number },
  change: Partial<Insertable<Tables['transactions']>> = {},
): Promise<string> {
  const connector = parseConnectorArn(ConnectorArn);
  if (!connector) throw new Error(`${ConnectorArn} is no connector's ARN`);
  const id = uuidV7({ ...realSystem, now: () => now });
  await insertTransaction(query, {
    transaction_row_id: id,
    connector_id: connector.connectorId,
    transaction_id: `transaction ${id}`,
    csr_hash: 'ab'.repeat(32),
    signer_key_hash: 'cd'.repeat(32),
    status: 'PENDING',
    certificate_id: null,
    reason: null,
    csr: createCsr(ecKey('prime256v1')),
    signer: Buffer.of(1),
    source: '192.0.2.7',
    requested_at: now,
    created_at: now,
    updated_at: now,
    ...change,
  });
  return requestArn(connector, connector.connectorId, id);
}
