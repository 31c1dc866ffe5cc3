/** Queries on certificate_authorities: the authorities of the embedded CA; a status moves only by compare-and-set. */
import type { Insertable, Updateable } from 'kysely';
import type { CertificateAuthorityStatus } from '../../base/private-ca.ts';
import type { Home } from '../../base/resources.ts';
import type { CertificateAuthorityRow, Query, Tables } from './database.ts';

/** What may be changed of an authority. */
export type AuthorityChange = Updateable<Tables['certificate_authorities']> & { updated_at: number };

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

/** For what has no caller: publication, and the worker. */
export async function findCertificateAuthorityById(query: Query, caId: string): Promise<CertificateAuthorityRow | undefined> {
  return query.selectFrom('certificate_authorities').selectAll().where('ca_id', '=', caId).executeTakeFirst();
}

interface AuthorityPage extends Home {
  afterId?: string | undefined;
  limit: number;
}

export async function listCertificateAuthorities(query: Query, page: AuthorityPage): Promise<CertificateAuthorityRow[]> {
  return pageOf(query, page).where('account_id', '=', page.accountId).execute();
}

/** Those of other accounts that have a resource policy at all: whether it admits the caller is for the policy to say. */
export async function listCertificateAuthoritiesWithPolicy(query: Query, page: AuthorityPage): Promise<CertificateAuthorityRow[]> {
  return pageOf(query, page).where('account_id', '!=', page.accountId).where('policy', 'is not', null).execute();
}

function pageOf(query: Query, { region, afterId, limit }: AuthorityPage) {
  const authorities = query.selectFrom('certificate_authorities').selectAll().where('region', '=', region);
  return authorities
    .where('ca_id', '>', afterId ?? '')
    .orderBy('ca_id')
    .limit(limit);
}

/** For the quota, which keeps the count small. Deleted ones count until they are gone, as with AWS. */
export async function countCertificateAuthorities(query: Query, { accountId, region }: Home): Promise<number> {
  const { count } = await query
    .selectFrom('certificate_authorities')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Whether the authority was in one of `from` and is now changed. A lease ends with the status it was taken for. */
export async function updateCertificateAuthority(
  query: Query,
  caId: string,
  from: readonly CertificateAuthorityStatus[],
  change: AuthorityChange,
): Promise<boolean> {
  const result = await query
    .updateTable('certificate_authorities')
    .set(change.status === undefined ? change : { ...change, state_changed_at: change.updated_at, lease_until_at: 0 })
    .where('ca_id', '=', caId)
    .where('status', 'in', from)
    .executeTakeFirstOrThrow();
  return result.numUpdatedRows === 1n;
}

/** Leases to one worker up to `limit` authorities that nobody holds at `now`: those that are CREATING, and those whose time to be restored is over. */
export async function claimCertificateAuthorities(
  query: Query,
  { now, leaseUntilAt, limit }: { now: number; leaseUntilAt: number; limit: number },
): Promise<CertificateAuthorityRow[]> {
  return (
    query
      .updateTable('certificate_authorities')
      .set({ lease_until_at: leaseUntilAt })
      // Asked again here: PostgreSQL rechecks only this condition when another worker was faster.
      .where('lease_until_at', '<=', now)
      .where('ca_id', 'in', free =>
        free
          .selectFrom('certificate_authorities')
          .select('ca_id')
          .where(({ and, eb, or }) =>
            or([eb('status', '=', 'CREATING'), and([eb('status', '=', 'DELETED'), eb('restorable_until_at', '<=', now)])]),
          )
          .where('lease_until_at', '<=', now)
          .orderBy('ca_id')
          .limit(limit),
      )
      .returningAll()
      .execute()
  );
}

/** Whether it was there, and past its time to be restored. */
export async function deleteCertificateAuthorityRow(query: Query, caId: string, now: number): Promise<boolean> {
  const result = await query
    .deleteFrom('certificate_authorities')
    .where('ca_id', '=', caId)
    .where('status', '=', 'DELETED')
    .where('restorable_until_at', '<=', now)
    .executeTakeFirstOrThrow();
  return result.numDeletedRows === 1n;
}
