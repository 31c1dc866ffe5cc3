/** The worker behind IssueCertificate: signs what is recorded as intent, several at a time, each claimed by a lease, so many nodes may run it. */
import { CaError } from '../backends/ca/certificate-authority.ts';
import { completeCertificate } from '../backends/store/certificates.ts';
import { type Database, type IssuanceRow, StoreError } from '../backends/store/database.ts';
import { claimIssuances, deleteIssuance } from '../backends/store/issuances.ts';
import type { Log } from '../base/events.ts';
import { fingerprint } from '../base/pki/x509.ts';
import type { System } from '../base/system.ts';
import type { CertificateAuthorities } from './certificate-authorities.ts';
import { StepLoop } from './step-loop.ts';

export const issuanceLimits = { signaturesAtOnceMax: 16, leaseMs: 60_000, intervalMs: 5000, triedForMsMax: 60 * 60_000 } as const;

interface IssuanceQueueParts {
  database: Database;
  system: System;
  log: Log;
  certificateAuthorities: CertificateAuthorities;
}

export class IssuanceQueue extends StepLoop {
  readonly #parts: IssuanceQueueParts;

  constructor(parts: IssuanceQueueParts) {
    const { intervalMs, signaturesAtOnceMax: itemsPerStepMax } = issuanceLimits;
    super({ name: 'issuance', intervalMs, itemsPerStepMax, log: parts.log });
    this.#parts = parts;
  }

  /** Claims up to `signaturesAtOnceMax` issuances and settles each. Returns how many it claimed. */
  async step(): Promise<number> {
    const { database, system } = this.#parts;
    const now = system.now();
    const { leaseMs, signaturesAtOnceMax } = issuanceLimits;
    const claimed = await claimIssuances(database.query, { now, leaseUntilAt: now + leaseMs, limit: signaturesAtOnceMax });
    const outcomes = await Promise.allSettled(claimed.map(issuance => this.#issue(issuance)));
    const failure = outcomes.find(({ status }) => status === 'rejected');
    if (failure?.status === 'rejected') throw failure.reason;
    return claimed.length;
  }

  async #issue(issuance: IssuanceRow): Promise<void> {
    const { certificate_id: certificateId, ca_id: caId } = issuance;
    const { database, certificateAuthorities, log } = this.#parts;
    try {
      const authority = await certificateAuthorities.openForSigning(caId);
      await this.#record(certificateId, await authority.signTbs(issuance.tbs_certificate));
    } catch (error) {
      if (!this.#isFinal(error, issuance)) throw error;
      log.error({ err: error, certificateId, caId }, 'a certificate could not be issued');
      await deleteIssuance(database.query, certificateId);
    }
  }

  /** An authority that is gone does not come back. Any other failure is an outage: the lease runs out and the work is done then, for a while. */
  #isFinal(error: unknown, { created_at: createdAt }: IssuanceRow): boolean {
    if (error instanceof StoreError) return false;
    return error instanceof CaError || this.#parts.system.now() - createdAt > issuanceLimits.triedForMsMax;
  }

  /** Of two workers that sign the same, because the lease of one ran out, the first to record wins. */
  async #record(certificateId: string, certificate: Uint8Array): Promise<void> {
    const { database, system } = this.#parts;
    await database.transaction(async query => {
      await completeCertificate(query, certificateId, { certificate, fingerprint: fingerprint(certificate), issuedAt: system.now() });
      await deleteIssuance(query, certificateId);
    });
  }
}
