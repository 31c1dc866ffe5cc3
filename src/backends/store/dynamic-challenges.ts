/** Queries on dynamic_challenges: passwords that end, and that authorise a number of times. */
import type { DynamicChallengeRow, Query } from './database.ts';

export async function insertDynamicChallenge(query: Query, row: DynamicChallengeRow): Promise<void> {
  await query.insertInto('dynamic_challenges').values(row).execute();
}

export async function findDynamicChallenge(query: Query, dynamicChallengeId: string): Promise<DynamicChallengeRow | undefined> {
  return query.selectFrom('dynamic_challenges').selectAll().where('dynamic_challenge_id', '=', dynamicChallengeId).executeTakeFirst();
}

/** The MAC is keyed, so that how long the index takes to find it says nothing about the password. */
export async function findDynamicChallengeByMac(
  query: Query,
  { connectorId, passwordMac }: { connectorId: string; passwordMac: Uint8Array },
): Promise<DynamicChallengeRow | undefined> {
  return query
    .selectFrom('dynamic_challenges')
    .selectAll()
    .where('connector_id', '=', connectorId)
    .where('password_mac', '=', passwordMac)
    .executeTakeFirst();
}

/** For the limit, which keeps the count small: those that have not ended and have a use left. */
export async function countDynamicChallenges(query: Query, { connectorId, now }: { connectorId: string; now: number }): Promise<number> {
  const { count } = await query
    .selectFrom('dynamic_challenges')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('connector_id', '=', connectorId)
    .where('expires_at', '>', now)
    .whereRef('uses_claimed', '<', 'uses')
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Whether a use was left and is now taken: compare-and-set, so that no two requests take the same. */
export async function claimDynamicChallenge(query: Query, dynamicChallengeId: string, now: number): Promise<boolean> {
  const result = await query
    .updateTable('dynamic_challenges')
    .set(({ eb }) => ({ uses_claimed: eb('uses_claimed', '+', 1) }))
    .where('dynamic_challenge_id', '=', dynamicChallengeId)
    .where('expires_at', '>', now)
    .whereRef('uses_claimed', '<', 'uses')
    .executeTakeFirstOrThrow();
  return result.numUpdatedRows === 1n;
}

/** Gives uses back of which nothing came. Only whoever took them away from their transactions calls this, in the same database transaction. */
export async function releaseDynamicChallenge(query: Query, dynamicChallengeId: string, uses = 1): Promise<void> {
  await query
    .updateTable('dynamic_challenges')
    .set(({ eb }) => ({ uses_claimed: eb('uses_claimed', '-', uses) }))
    .where('dynamic_challenge_id', '=', dynamicChallengeId)
    .where('uses_claimed', '>=', uses)
    .execute();
}

/** Of a connector, those that ended before an instant. */
export async function deleteDynamicChallengesBefore(
  query: Query,
  { connectorId, endedBefore }: { connectorId: string; endedBefore: number },
): Promise<void> {
  await query.deleteFrom('dynamic_challenges').where('connector_id', '=', connectorId).where('expires_at', '<', endedBefore).execute();
}

export async function deleteDynamicChallengesOf(query: Query, connectorId: string): Promise<void> {
  await query.deleteFrom('dynamic_challenges').where('connector_id', '=', connectorId).execute();
}
