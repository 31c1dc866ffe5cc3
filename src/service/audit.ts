/** Turns an event into a row of the audit table and a line of the log. */
import { insertAuditEvent } from '../backends/store/audit-events.ts';
import type { Database, Query } from '../backends/store/database.ts';
import type { AuditEvent, Log } from '../base/events.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';

export class Audit {
  readonly #database: Database;
  readonly #system: System;
  readonly #log: Log;

  constructor({ database, system, log }: { database: Database; system: System; log: Log }) {
    this.#database = database;
    this.#system = system;
    this.#log = log;
  }

  /** Within the transaction of what it reports: the row is there exactly when that is. The caller logs with `log` once it is committed. */
  async insert(query: Query, event: AuditEvent): Promise<void> {
    await insertAuditEvent(query, {
      event_id: uuidV7(this.#system),
      at: this.#system.now(),
      name: event.name,
      account_id: event.accountId ?? null,
      region: event.region ?? null,
      connector_id: event.connectorId ?? null,
      principal: event.principal ?? null,
      source: event.source ?? null,
      outcome: event.outcome,
      reason: event.reason ?? null,
      detail: JSON.stringify(event.detail),
    });
  }

  log(event: AuditEvent): void {
    const { name, detail, ...fields } = event;
    const line = { event: name, ...fields, ...detail };
    if (event.outcome === 'success') this.#log.info(line, name);
    else this.#log.warn(line, name);
  }

  /** An event that stands alone, such as a refusal. It must not turn a refusal into an outage, so a full disk costs the row, not the answer. */
  async record(event: AuditEvent): Promise<void> {
    this.log(event);
    try {
      await this.insert(this.#database.query, event);
    } catch (error) {
      this.#log.error({ err: error, event: event.name }, 'an audit event could not be stored');
    }
  }
}
