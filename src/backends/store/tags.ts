/** Queries on tags, by the ARN of the resource that carries them. */
import type { Query } from './database.ts';

/** Adds tags; a key that is already there takes the new value. */
export async function putTags(query: Query, resourceArn: string, tags: Readonly<Record<string, string>>): Promise<void> {
  const rows = Object.entries(tags).map(([tag_key, tag_value]) => ({ resource_arn: resourceArn, tag_key, tag_value }));
  if (rows.length === 0) return;
  await query
    .insertInto('tags')
    .values(rows)
    .onConflict(conflict =>
      conflict.columns(['resource_arn', 'tag_key']).doUpdateSet(row => ({ tag_value: row.ref('excluded.tag_value') })),
    )
    .execute();
}

/** In the order of their keys. */
export async function listTags(query: Query, resourceArn: string): Promise<Record<string, string>> {
  const rows = await query
    .selectFrom('tags')
    .select(['tag_key', 'tag_value'])
    .where('resource_arn', '=', resourceArn)
    .orderBy('tag_key')
    .execute();
  return Object.fromEntries(rows.map(row => [row.tag_key, row.tag_value]));
}

export async function deleteTags(query: Query, resourceArn: string, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  await query.deleteFrom('tags').where('resource_arn', '=', resourceArn).where('tag_key', 'in', keys).execute();
}

export async function deleteAllTags(query: Query, resourceArn: string): Promise<void> {
  await query.deleteFrom('tags').where('resource_arn', '=', resourceArn).execute();
}

/** Of everything below a resource, such as a connector's challenges: its ARN and a slash begin theirs, and `0` is what follows `/`. */
export async function deleteTagsUnder(query: Query, resourceArn: string): Promise<void> {
  await query.deleteFrom('tags').where('resource_arn', '>', `${resourceArn}/`).where('resource_arn', '<', `${resourceArn}0`).execute();
}
