/** Queries on client_tokens: what makes a repeated create answer as the first one did. */
import type { ClientTokenRow, Query } from './database.ts';

export async function findClientToken(
  query: Query,
  { accountId, operation, clientToken }: { accountId: string; operation: string; clientToken: string },
): Promise<ClientTokenRow | undefined> {
  return query
    .selectFrom('client_tokens')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('operation', '=', operation)
    .where('client_token', '=', clientToken)
    .executeTakeFirst();
}

export async function insertClientToken(query: Query, row: ClientTokenRow): Promise<void> {
  await query.insertInto('client_tokens').values(row).execute();
}

export async function deleteClientTokensBefore(query: Query, createdBeforeAt: number): Promise<void> {
  await query.deleteFrom('client_tokens').where('created_at', '<', createdBeforeAt).execute();
}
