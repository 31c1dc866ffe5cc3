/** Queries on user_policies: the inline policies of users. */
import type { Query, UserPolicyRow } from './database.ts';
import type { UserKey } from './users.ts';

/** One of the same name takes the new document. */
export async function putUserPolicy(query: Query, row: UserPolicyRow): Promise<void> {
  await query
    .insertInto('user_policies')
    .values(row)
    .onConflict(conflict =>
      conflict.columns(['account_id', 'user_name', 'policy_name']).doUpdateSet(({ ref }) => ({
        document: ref('excluded.document'),
        updated_at: ref('excluded.updated_at'),
      })),
    )
    .execute();
}

export async function findUserPolicy(
  query: Query,
  { accountId, userName, policyName }: UserKey & { policyName: string },
): Promise<UserPolicyRow | undefined> {
  return query
    .selectFrom('user_policies')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('user_name', '=', userName)
    .where('policy_name', '=', policyName)
    .executeTakeFirst();
}

export async function listUserPolicies(
  query: Query,
  { accountId, userName, afterName, limit }: UserKey & { afterName?: string | undefined; limit: number },
): Promise<UserPolicyRow[]> {
  return query
    .selectFrom('user_policies')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('user_name', '=', userName)
    .where('policy_name', '>', afterName ?? '')
    .orderBy('policy_name')
    .limit(limit)
    .execute();
}

/** All of them: one that was left out might hold the Deny. */
export async function listUserPolicyDocuments(query: Query, { accountId, userName }: UserKey): Promise<string[]> {
  const rows = await query
    .selectFrom('user_policies')
    .select('document')
    .where('account_id', '=', accountId)
    .where('user_name', '=', userName)
    .execute();
  return rows.map(row => row.document);
}

/** Whether it was there. */
export async function deleteUserPolicy(
  query: Query,
  { accountId, userName, policyName }: UserKey & { policyName: string },
): Promise<boolean> {
  const result = await query
    .deleteFrom('user_policies')
    .where('account_id', '=', accountId)
    .where('user_name', '=', userName)
    .where('policy_name', '=', policyName)
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}
