/** The tags of certificate authorities, which acm-pca has as a list of pairs. */
import type { Database, Query } from '../backends/store/database.ts';
import { deleteTags, listTags, putTags } from '../backends/store/tags.ts';
import { ServiceException } from '../base/errors.ts';
import type { System } from '../base/system.ts';
import { checkNotDeleted, getAuthorityRow } from './certificate-authorities.ts';
import type { PageRequest } from './connectors.ts';

const tagsPerAuthorityMax = 50;

/** Length and characters are checked with the shapes. */
export interface Tag {
  Key: string;
  Value?: string;
}

interface TagsRequest {
  CertificateAuthorityArn: string;
  Tags: Tag[];
}

interface AuthorityTagsDependencies {
  database: Database;
  system: System;
  region: string;
}

export class AuthorityTags {
  readonly #dependencies: AuthorityTagsDependencies;

  constructor(dependencies: AuthorityTagsDependencies) {
    this.#dependencies = dependencies;
  }

  async tagCertificateAuthority({ CertificateAuthorityArn, Tags }: TagsRequest): Promise<Record<string, never>> {
    const tags = tagsOf(Tags);
    await this.#dependencies.database.transaction(async query => {
      await this.#check(query, CertificateAuthorityArn);
      const keys = new Set([...Object.keys(await listTags(query, CertificateAuthorityArn)), ...Object.keys(tags)]);
      if (keys.size > tagsPerAuthorityMax) {
        throw new ServiceException('TooManyTagsException', `A certificate authority can have at most ${tagsPerAuthorityMax} tags.`);
      }
      await putTags(query, CertificateAuthorityArn, tags);
    });
    return {};
  }

  /** A tag that is named with a value is removed only if it has that value. One that is not there is no error. */
  async untagCertificateAuthority({ CertificateAuthorityArn, Tags }: TagsRequest): Promise<Record<string, never>> {
    tagsOf(Tags);
    await this.#dependencies.database.transaction(async query => {
      await this.#check(query, CertificateAuthorityArn);
      const existing = await listTags(query, CertificateAuthorityArn);
      const matching = Tags.filter(({ Key, Value }) => Value === undefined || Value === existing[Key]);
      await deleteTags(
        query,
        CertificateAuthorityArn,
        matching.map(({ Key }) => Key),
      );
    });
    return {};
  }

  async listTags(
    { CertificateAuthorityArn }: { CertificateAuthorityArn: string },
    { limit, after = '' }: PageRequest,
  ): Promise<{ Tags: Tag[]; next?: string }> {
    const { query } = this.#dependencies.database;
    await this.#check(query, CertificateAuthorityArn);
    const tags = Object.entries(await listTags(query, CertificateAuthorityArn)).sort(([a], [b]) => (a < b ? -1 : 1));
    const rest = tags.filter(([key]) => key > after);
    const page = rest.slice(0, limit).map(([Key, Value]) => ({ Key, Value }));
    const last = page.at(-1);
    return { Tags: page, ...(rest.length > limit && last && { next: last.Key }) };
  }

  async #check(query: Query, arn: string): Promise<void> {
    const { region, system } = this.#dependencies;
    checkNotDeleted(await getAuthorityRow(query, region, system.now(), arn), 'tagging');
  }
}

/** By key. Throws InvalidTagException on a key that is reserved or stands twice. */
export function tagsOf(tags: readonly Tag[]): Record<string, string> {
  const reserved = tags.find(({ Key }) => /^aws:/i.test(Key));
  if (reserved) throw new ServiceException('InvalidTagException', `Tag keys that begin with aws: are reserved: ${reserved.Key}.`);
  const byKey = new Map(tags.map(({ Key, Value = '' }) => [Key, Value]));
  if (byKey.size < tags.length) throw new ServiceException('InvalidTagException', 'A tag key may stand only once in a request.');
  return Object.fromEntries(byKey);
}
