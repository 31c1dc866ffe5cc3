/** The worker that gives up intents of which no certificate came: a process died between the two, or an authority did not answer, and nobody asked again. */
import { listOpenIntents } from '../backends/store/certificates.ts';
import type { Database } from '../backends/store/database.ts';
import type { Log } from '../base/events.ts';
import type { System } from '../base/system.ts';
import type { ScepTransactions } from './scep-transactions.ts';
import { StepLoop } from './step-loop.ts';

/** A device that asks again finishes its intent itself, and an authority answers within seconds; one that made a new key waits for its challenge so long. */
export const intentRecoveryLimits = { intentsPerStepMax: 100, intervalMs: 15_000, ageMinMs: 2 * 60_000 } as const;

interface IntentRecoveryParts {
  database: Database;
  system: System;
  log: Log;
  transactions: ScepTransactions;
}

export class IntentRecovery extends StepLoop {
  readonly #parts: IntentRecoveryParts;

  constructor(parts: IntentRecoveryParts) {
    const { intentsPerStepMax: itemsPerStepMax, intervalMs } = intentRecoveryLimits;
    super({ name: 'intent-recovery', intervalMs, itemsPerStepMax, log: parts.log });
    this.#parts = parts;
  }

  /** What IssueCertificate recorded, the issuance queue carries to its end. */
  async step(): Promise<number> {
    const { database, system, transactions, log } = this.#parts;
    const intents = await listOpenIntents(database.query, {
      kinds: ['DEVICE', 'RA', 'TLS'],
      createdBefore: system.now() - intentRecoveryLimits.ageMinMs,
      limit: intentRecoveryLimits.intentsPerStepMax,
    });
    for (const intent of intents) {
      const { connector_id: connectorId, subject } = intent;
      if (await transactions.abandon(intent)) log.warn({ connectorId, subject }, 'a certificate that was begun was not issued; given up');
    }
    return intents.length;
  }
}
