/** Queries on challenges: the passwords of a general-purpose connector. */
import type { Home } from '../../base/resources.ts';
import type { ChallengeRow, Query } from './database.ts';

export async function insertChallenge(query: Query, row: ChallengeRow): Promise<void> {
  await query.insertInto('challenges').values(row).execute();
}

export async function findChallenge(
  query: Query,
  { accountId, region, connectorId, challengeId }: Home & { connectorId: string; challengeId: string },
): Promise<ChallengeRow | undefined> {
  return query
    .selectFrom('challenges')
    .selectAll()
    .where('challenge_id', '=', challengeId)
    .where('connector_id', '=', connectorId)
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirst();
}

export async function listChallenges(
  query: Query,
  { connectorId, afterId, limit }: { connectorId: string; afterId?: string | undefined; limit: number },
): Promise<ChallengeRow[]> {
  return query
    .selectFrom('challenges')
    .selectAll()
    .where('connector_id', '=', connectorId)
    .where('challenge_id', '>', afterId ?? '')
    .orderBy('challenge_id')
    .limit(limit)
    .execute();
}

/** All of them, so that a candidate can be compared with each in constant time; the quota bounds their number. */
export async function listChallengeMacs(query: Query, connectorId: string): Promise<Pick<ChallengeRow, 'challenge_id' | 'password_mac'>[]> {
  return query.selectFrom('challenges').select(['challenge_id', 'password_mac']).where('connector_id', '=', connectorId).execute();
}

/** For the quota, which keeps the count small. */
export async function countChallenges(query: Query, connectorId: string): Promise<number> {
  const { count } = await query
    .selectFrom('challenges')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('connector_id', '=', connectorId)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Whether it was there. */
export async function deleteChallenge(query: Query, challengeId: string): Promise<boolean> {
  const result = await query.deleteFrom('challenges').where('challenge_id', '=', challengeId).executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}

export async function deleteChallengesOf(query: Query, connectorId: string): Promise<void> {
  await query.deleteFrom('challenges').where('connector_id', '=', connectorId).execute();
}
