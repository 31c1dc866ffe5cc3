/** The worker that makes the keys of CREATING certificate authorities and destroys those of deleted ones. Each is claimed by a lease, so many nodes may run it. */
import { deleteAuthorityPermissionsOf } from '../backends/store/authority-permissions.ts';
import {
  claimCertificateAuthorities,
  deleteCertificateAuthorityRow,
  updateCertificateAuthority,
} from '../backends/store/certificate-authorities.ts';
import { type CertificateAuthorityRow, type Database, StoreError } from '../backends/store/database.ts';
import { deleteAllTags } from '../backends/store/tags.ts';
import type { Log } from '../base/events.ts';
import { certificateAuthorityArn } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { describeConfiguration, keyOrderOf } from './authority-configuration.ts';
import type { CertificateAuthorities } from './certificate-authorities.ts';
import { StepLoop } from './step-loop.ts';

/** An RSA-4096 key takes seconds on a slow machine: few are claimed at a time. */
const authorityLifecycleLimits = { authoritiesPerStepMax: 4, leaseMs: 120_000, intervalMs: 30_000 } as const;

interface AuthorityLifecycleParts {
  database: Database;
  system: System;
  log: Log;
  certificateAuthorities: CertificateAuthorities;
}

export class AuthorityLifecycle extends StepLoop {
  readonly #parts: AuthorityLifecycleParts;

  constructor(parts: AuthorityLifecycleParts) {
    const { authoritiesPerStepMax: itemsPerStepMax, intervalMs } = authorityLifecycleLimits;
    super({ name: 'authority-lifecycle', intervalMs, itemsPerStepMax, log: parts.log });
    this.#parts = parts;
  }

  /** Claims up to `authoritiesPerStepMax` authorities and settles each. Returns how many it claimed. */
  async step(): Promise<number> {
    const { database, system } = this.#parts;
    const now = system.now();
    const claimed = await claimCertificateAuthorities(database.query, {
      now,
      leaseUntilAt: now + authorityLifecycleLimits.leaseMs,
      limit: authorityLifecycleLimits.authoritiesPerStepMax,
    });
    for (const row of claimed) await (row.status === 'CREATING' ? this.#create(row) : this.#destroy(row));
    return claimed.length;
  }

  async #create(row: CertificateAuthorityRow): Promise<void> {
    const { database, system, log, certificateAuthorities } = this.#parts;
    try {
      const order = keyOrderOf(describeConfiguration(row));
      const { sealedKey, csr } = await certificateAuthorities.createKey(row.ca_id, order);
      const change = { status: 'PENDING_CERTIFICATE', sealed_key: sealedKey, csr, updated_at: system.now() } as const;
      await updateCertificateAuthority(database.query, row.ca_id, ['CREATING'], change);
    } catch (error) {
      // The store being away is no verdict on the authority: the lease runs out and the work is done then.
      if (error instanceof StoreError) throw error;
      log.error({ err: error, caId: row.ca_id }, 'a certificate authority could not be created');
      const change = { status: 'FAILED', failure_reason: 'OTHER', updated_at: system.now() } as const;
      await updateCertificateAuthority(database.query, row.ca_id, ['CREATING'], change);
    }
  }

  /** The certificates that it issued stay in the inventory: they are the record of what was issued. */
  async #destroy({ ca_id, account_id: accountId, region }: CertificateAuthorityRow): Promise<void> {
    const { database, system } = this.#parts;
    await database.transaction(async query => {
      // It may have been restored since it was claimed.
      if (!(await deleteCertificateAuthorityRow(query, ca_id, system.now()))) return;
      await deleteAuthorityPermissionsOf(query, ca_id);
      await deleteAllTags(query, certificateAuthorityArn({ accountId, region }, ca_id));
    });
  }
}
