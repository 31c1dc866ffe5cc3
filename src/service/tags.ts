/** The tag operations of the API, on connectors and challenges. */

import type { Database, Query } from '../backends/store/database.ts';
import { deleteTags, listTags, putTags } from '../backends/store/tags.ts';
import { validationException } from '../base/errors.ts';
import { type Home, type Principal, parseChallengeArn, parseConnectorArn } from '../base/resources.ts';
import { getChallengeRow } from './challenges.ts';
import { getConnectorRow } from './connectors.ts';
import { checkTagKeys, checkTags } from './tag-limits.ts';

interface TagsDependencies {
  database: Database;
  region: string;
}

export class Tags {
  readonly #database: Database;
  readonly #region: string;

  constructor({ database, region }: TagsDependencies) {
    this.#database = database;
    this.#region = region;
  }

  /** Of any resource, for IAM's decision on a request: what does not exist has none. */
  async tagsOf(arn: string): Promise<Record<string, string>> {
    return listTags(this.#database.query, arn);
  }

  async listTagsForResource(principal: Principal, ResourceArn: string): Promise<{ Tags: Record<string, string> }> {
    const { query } = this.#database;
    await checkResource(query, this.#homeOf(principal), ResourceArn);
    return { Tags: await listTags(query, ResourceArn) };
  }

  async tagResource(principal: Principal, ResourceArn: string, tags: Record<string, string>): Promise<Record<string, never>> {
    await this.#database.transaction(async query => {
      await checkResource(query, this.#homeOf(principal), ResourceArn);
      checkTags(tags, Object.keys(await listTags(query, ResourceArn)));
      await putTags(query, ResourceArn, tags);
    });
    return {};
  }

  /** A key that the resource does not have is no error: the operation is idempotent in AWS's model. */
  async untagResource(principal: Principal, ResourceArn: string, TagKeys: readonly string[]): Promise<Record<string, never>> {
    checkTagKeys(TagKeys);
    await this.#database.transaction(async query => {
      await checkResource(query, this.#homeOf(principal), ResourceArn);
      await deleteTags(query, ResourceArn, TagKeys);
    });
    return {};
  }

  #homeOf({ accountId }: Principal): Home {
    return { accountId, region: this.#region };
  }
}

/** Tags belong to what exists in the caller's account and Region. */
async function checkResource(query: Query, home: Home, arn: string): Promise<void> {
  if (parseChallengeArn(arn)) await getChallengeRow(query, home, arn);
  else if (parseConnectorArn(arn)) await getConnectorRow(query, home, arn);
  else throw validationException('ResourceArn must be the ARN of a connector or of a challenge.');
}
