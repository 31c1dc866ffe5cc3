/** The worker that deletes audit events once they are older than they are to be kept, a few in each transaction. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { deleteAuditEvents, firstAuditEventId } from '../backends/store/audit-events.ts';
import type { Database } from '../backends/store/database.ts';
import type { Log } from '../base/events.ts';
import type { System } from '../base/system.ts';
import { StepLoop } from './step-loop.ts';

export const auditRetentionLimits = { eventsPerStepMax: 200, intervalMs: 60_000 } as const;

const dayMs = 24 * 60 * 60_000;

interface AuditRetentionParts {
  database: Database;
  system: System;
  log: Log;
  /** Infinity keeps every event. */
  retentionDays: number;
}

export class AuditRetention extends StepLoop {
  readonly #parts: AuditRetentionParts;

  constructor(parts: AuditRetentionParts) {
    const { eventsPerStepMax: itemsPerStepMax, intervalMs } = auditRetentionLimits;
    super({ name: 'audit-retention', intervalMs, itemsPerStepMax, log: parts.log });
    this.#parts = parts;
  }

  /** Deletes the oldest that have had their days. */
  async step(): Promise<number> {
    const { database, system, retentionDays } = this.#parts;
    const beforeId = firstAuditEventId(Math.max(0, system.now() - retentionDays * dayMs));
    const deleted = await deleteAuditEvents(database.query, { beforeId, limit: auditRetentionLimits.eventsPerStepMax });
    // The embedded database never lets go of the thread: requests get their turn between steps.
    await nextTurn();
    return deleted;
  }
}
