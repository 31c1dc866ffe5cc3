/** Keeps the audit trail: an event becomes a row of the audit table, a line of the audit file and, of the service's own doings, a line of the log. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { insertAuditEvents } from '../backends/store/audit-events.ts';
import type { AuditEventRow, Database, Query } from '../backends/store/database.ts';
import { toCloudTrail } from '../base/cloud-trail.ts';
import type { AuditEvent, Log } from '../base/events.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import type { AuditFile } from './audit-file.ts';

/** A batch is one transaction. An event that nobody waits for is in the table after `intervalMs`. */
export const auditLimits = { batchRowsMax: 300, intervalMs: 100, queueRowsMax: 2000 } as const;

interface AuditParts {
  database: Database;
  system: System;
  log: Log;
  file?: AuditFile | undefined;
}

export class Audit implements AsyncDisposable {
  readonly #parts: AuditParts;
  /** An event's row is made once, so that it has one id in the table and in the file. */
  readonly #rows = new WeakMap<AuditEvent, AuditEventRow>();
  readonly #queue: AuditEventRow[] = [];
  /** What was begun of writing the queue, one behind the other. */
  #writing: Promise<void> = Promise.resolve();
  /** The last of them, while it still takes what is queued. */
  #next: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** How many rows the store's present outage has cost. */
  #rowsLost = 0;

  constructor(parts: AuditParts) {
    this.#parts = parts;
  }

  /** Within the transaction of what it reports: the row is there exactly when that is. The caller logs the same event once it is committed. */
  async insert(query: Query, event: AuditEvent): Promise<void> {
    await insertAuditEvents(query, [this.#rowOf(event)]);
  }

  /** What `insert` has put into the table, once that is committed. */
  log(event: AuditEvent): void {
    this.#logLine(event);
    this.#parts.file?.write([toCloudTrail(this.#rowOf(event))]);
  }

  /** An event that stands alone, such as a refusal. Never within a transaction: it would wait for itself. */
  async record(event: AuditEvent): Promise<void> {
    this.#logLine(event);
    await this.recordCall(event);
  }

  /**
   * Of a call; its front has logged it. Returns at once, or when the event is awaited once it is on the disk together with those of other
   * callers. When the queue is full everyone waits. Never rejects: a full disk costs the record, not the answer.
   */
  async recordCall(event: AuditEvent): Promise<void> {
    while (this.#queue.length >= auditLimits.queueRowsMax) await this.#flush();
    this.#queue.push(this.#rowOf(event));
    if (event.awaited) await this.#flush();
    else if (this.#queue.length >= auditLimits.batchRowsMax) void this.#flush();
    else this.#timer ??= setTimeout(() => void this.#flush(), auditLimits.intervalMs).unref();
  }

  /** Resolves when everything that is queued now is written. Whoever comes before the writing begins shares it. */
  #flush(): Promise<void> {
    this.#next ??= this.#writing = this.#writing.then(() => this.#writeQueue());
    return this.#next;
  }

  async #writeQueue(): Promise<void> {
    // The embedded database never lets go of the thread: without a turn of the event loop nobody could join.
    await nextTurn();
    this.#next = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (let left = this.#queue.length; left > 0; ) {
      const batch = this.#queue.splice(0, Math.min(left, auditLimits.batchRowsMax));
      left -= batch.length;
      await this.#write(batch);
      if (left > 0) await nextTurn();
    }
  }

  async #write(batch: readonly AuditEventRow[]): Promise<void> {
    const { database, file, log } = this.#parts;
    try {
      await database.transaction(query => insertAuditEvents(query, batch));
      this.#endOutage();
    } catch (error) {
      if (this.#rowsLost === 0) log.error({ err: error }, 'audit events cannot be stored; requests are answered without');
      this.#rowsLost += batch.length;
    }
    file?.write(batch.map(toCloudTrail));
  }

  #endOutage(): void {
    if (this.#rowsLost > 0) this.#parts.log.warn({ events: this.#rowsLost }, 'audit events were not stored');
    this.#rowsLost = 0;
  }

  #rowOf(event: AuditEvent): AuditEventRow {
    const known = this.#rows.get(event);
    if (known !== undefined) return known;
    const at = this.#parts.system.now();
    const row: AuditEventRow = {
      event_id: uuidV7({ ...this.#parts.system, now: () => at }),
      category: event.category,
      at,
      name: event.name,
      account_id: event.accountId ?? null,
      region: event.region ?? null,
      connector_id: event.connectorId ?? null,
      principal: event.principal ?? null,
      source: event.source ?? null,
      outcome: event.outcome,
      reason: event.reason ?? null,
      detail: JSON.stringify(event.detail),
    };
    this.#rows.set(event, row);
    return row;
  }

  #logLine(event: AuditEvent): void {
    const { category: _category, awaited: _awaited, name, detail, ...fields } = event;
    const line = { event: name, ...fields, ...detail };
    if (event.outcome === 'success') this.#parts.log.info(line, name);
    else this.#parts.log.warn(line, name);
  }

  /** Writes what is queued. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flush();
    this.#endOutage();
  }
}
