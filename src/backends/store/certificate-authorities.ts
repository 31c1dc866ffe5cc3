/** Queries on certificate_authorities: the authorities of the embedded CA. */
import type { Insertable } from 'kysely';
import type { Home } from '../../base/resources.ts';
import type { CertificateAuthorityRow, Query, Tables } from './database.ts';

export async function insertCertificateAuthority(query: Query, row: Insertable<Tables['certificate_authorities']>): Promise<void> {
  await query.insertInto('certificate_authorities').values(row).execute();
}

export async function findCertificateAuthority(
  query: Query,
  { accountId, region, caId }: Home & { caId: string },
): Promise<CertificateAuthorityRow | undefined> {
  return query
    .selectFrom('certificate_authorities')
    .selectAll()
    .where('ca_id', '=', caId)
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirst();
}

/** For what has no caller: publication. */
export async function findCertificateAuthorityById(query: Query, caId: string): Promise<CertificateAuthorityRow | undefined> {
  return query.selectFrom('certificate_authorities').selectAll().where('ca_id', '=', caId).executeTakeFirst();
}

export async function listCertificateAuthorities(
  query: Query,
  { accountId, region, afterId, limit }: Home & { afterId?: string | undefined; limit: number },
): Promise<CertificateAuthorityRow[]> {
  return query
    .selectFrom('certificate_authorities')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('ca_id', '>', afterId ?? '')
    .orderBy('ca_id')
    .limit(limit)
    .execute();
}
