/** Which audit events are deleted, and how. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { insertAuditEvents } from '../backends/store/audit-events.ts';
import type { Database } from '../backends/store/database.ts';
import { openSqliteDatabase } from '../backends/store/sqlite.ts';
import type { Log } from '../base/events.ts';
import { realSystem, type System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import { AuditRetention, auditRetentionLimits } from './audit-retention.ts';

const dayMs = 24 * 60 * 60_000;
const now = 1_790_000_000_000;
const system: System = { ...realSystem, now: () => now };
const silent: Log = { info() {}, warn() {}, error() {} };

describe('the retention of audit events', () => {
  let directory: string;
  let database: Database;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'scep-retention-'));
    database = await openSqliteDatabase({ file: join(directory, 'scep.db') });
  });
  afterEach(async () => {
    await database[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  async function insertAt(...instants: number[]): Promise<void> {
    for (const at of instants) {
      const event_id = uuidV7({ ...system, now: () => at });
      await insertAuditEvents(database.query, [{ event_id, at, name: 'GetConnector', outcome: 'success', detail: '{}' }]);
    }
  }

  async function instants(): Promise<number[]> {
    const rows = await database.query.selectFrom('audit_events').select('at').orderBy('at').execute();
    return rows.map(({ at }) => at);
  }

  const run = async (retentionDays: number): Promise<void> => {
    await using retention = new AuditRetention({ database, system, log: silent, retentionDays });
    await retention.settle();
  };

  it('deletes what is older than the days that it is given, and nothing else', async () => {
    const oldest = now - 90 * dayMs;
    await insertAt(0, 1, oldest - 1, oldest, oldest + 1, now, now + dayMs);
    await run(90);
    assert.deepEqual(await instants(), [oldest, oldest + 1, now, now + dayMs]);
  });

  it('keeps everything when it is told to', async () => {
    await insertAt(0, 1, now);
    await run(Number.POSITIVE_INFINITY);
    assert.deepEqual(await instants(), [0, 1, now]);
  });

  it('deletes a few at a time until all are gone', async () => {
    const { eventsPerStepMax } = auditRetentionLimits;
    await database.transaction(async query => {
      for (let at = 0; at <= 2 * eventsPerStepMax; at++) {
        const event_id = uuidV7({ ...system, now: () => at });
        await insertAuditEvents(query, [{ event_id, at, name: 'GetConnector', outcome: 'success', detail: '{}' }]);
      }
    });
    let steps = 0;
    const counting: System = {
      ...system,
      now() {
        steps++;
        return now;
      },
    };
    await using retention = new AuditRetention({ database, system: counting, log: silent, retentionDays: 1 });
    await retention.settle();
    assert.deepEqual([await instants(), steps], [[], 3]);
  });
});
