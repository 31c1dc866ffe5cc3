/** The audit trail's queue: who waits, what shares a transaction, and what an outage of the store costs. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type AuditEventRow, type Database, StoreError } from '../backends/store/database.ts';
import { openSqliteDatabase } from '../backends/store/sqlite.ts';
import { type ApiCall, type AuditEvent, apiCalled, connectorActivated, connectorDeleted, type Log } from '../base/events.ts';
import { realSystem as system } from '../base/system.ts';
import { Audit, auditLimits } from './audit.ts';
import { AuditFile } from './audit-file.ts';

const accountId = '111122223333';
const subject = { accountId, region: 'us-east-1', connectorId: system.randomUUID() };

function call(operation: string, { readOnly = false }: { readOnly?: boolean } = {}): AuditEvent {
  const userName = 'administrator';
  const apiCall: ApiCall = {
    operation,
    eventSource: 'pca-connector-scep.amazonaws.com',
    principal: { accountId, arn: `arn:aws:iam::${accountId}:user/${userName}`, userName, accessKeyId: 'AKIA' },
    region: 'us-east-1',
    source: '127.0.0.1',
    requestId: system.randomUUID(),
    readOnly,
    requestParameters: { Name: operation },
    responseElements: null,
  };
  return apiCalled(apiCall);
}

const read = (operation: string) => call(operation, { readOnly: true });

interface Line {
  level: string;
  fields: object;
  message: string;
}

let directory: string;
let database: Database;
let lines: Line[];
/** How many rows each transaction wrote. */
let batches: number[];
/** Set: what becomes of the next transactions instead. */
let obstacle: (() => Promise<void>) | undefined;

const log: Log = {
  info: (fields, message) => void lines.push({ level: 'info', fields, message }),
  warn: (fields, message) => void lines.push({ level: 'warn', fields, message }),
  error: (fields, message) => void lines.push({ level: 'error', fields, message }),
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'scep-audit-'));
  database = await openSqliteDatabase({ file: join(directory, 'scep.db') });
  lines = [];
  batches = [];
  obstacle = undefined;
});
afterEach(async () => {
  await database[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** The store, observed and in the way where the test wants it. */
function observedDatabase(): Database {
  return {
    query: database.query,
    async transaction(work) {
      await obstacle?.();
      const before = await rows();
      const result = await database.transaction(work);
      batches.push((await rows()).length - before.length);
      return result;
    },
    revision: () => undefined,
    async [Symbol.asyncDispose]() {},
  };
}

function createAudit(file?: AuditFile): Audit {
  return new Audit({ database: observedDatabase(), system, log, file });
}

function rows(): Promise<AuditEventRow[]> {
  return database.query.selectFrom('audit_events').selectAll().orderBy('event_id').execute();
}

async function names(): Promise<string[]> {
  return (await rows()).map(({ name }) => name).sort();
}

function full(): Promise<never> {
  return Promise.reject(new StoreError('full', 'The disk is full.'));
}

describe('a call that is awaited', () => {
  it('is in the table when its record is done, and so is every call before it', async () => {
    await using audit = createAudit();
    await audit.recordCall(read('GetConnector'));
    assert.deepEqual(await names(), []);
    await audit.recordCall(call('CreateChallenge'));
    assert.deepEqual(await names(), ['CreateChallenge', 'GetConnector']);
  });

  it('shares a transaction with the others of its time', async () => {
    await using audit = createAudit();
    await Promise.all(Array.from({ length: 32 }, (_, index) => audit.recordCall(call(`Call${index}`))));
    assert.deepEqual(batches, [32]);
  });

  it('that comes while a batch is written is in the next', async () => {
    await using audit = createAudit();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    obstacle = () => {
      begin();
      return gate;
    };
    const first = audit.recordCall(call('First'));
    await begun;
    const others = [audit.recordCall(call('Second')), audit.recordCall(call('Third'))];
    open();
    await first;
    await Promise.all(others);
    assert.deepEqual(batches, [1, 2]);
  });
});

describe('a call that only read', () => {
  it('does not wait for the disk', async () => {
    await using audit = createAudit();
    obstacle = full;
    const before = batches.length;
    await audit.recordCall(read('GetConnector'));
    assert.equal(batches.length, before);
    assert.deepEqual(lines, []);
    obstacle = undefined;
  });

  it('is in the table after the interval', async () => {
    await using audit = createAudit();
    await audit.recordCall(read('GetConnector'));
    // The interval's timer does not keep the process alive.
    const alive = setInterval(() => {}, auditLimits.intervalMs);
    while ((await rows()).length === 0) await nextTurn();
    clearInterval(alive);
    assert.deepEqual(batches, [1]);
  });

  it('is written without waiting for the interval once there is a whole batch', async () => {
    await using audit = createAudit();
    for (let n = 0; n < auditLimits.batchRowsMax; n++) await audit.recordCall(read('GetConnector'));
    while (batches.length === 0) await nextTurn();
    assert.deepEqual(batches, [auditLimits.batchRowsMax]);
  });

  it('is written when the server stops', async () => {
    const audit = createAudit();
    await audit.recordCall(read('GetConnector'));
    await audit[Symbol.asyncDispose]();
    assert.deepEqual(await names(), ['GetConnector']);
  });
});

describe('the queue', () => {
  it('is bounded: when it is full everyone waits, and nothing is dropped', async () => {
    await using audit = createAudit();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    obstacle = () => gate;
    const surplus = 50;
    const sent = auditLimits.batchRowsMax + auditLimits.queueRowsMax + surplus;
    let recorded = 0;
    const records: Promise<void>[] = [];
    for (let n = 0; n < sent; n++) {
      records.push(audit.recordCall(read('GetConnector')).then(() => void recorded++));
      // Lets the first batch leave the queue before the others fill it.
      if (n === auditLimits.batchRowsMax) await nextTurn();
    }
    await nextTurn();
    assert.ok(recorded < sent, 'nobody waits');
    assert.ok(recorded >= auditLimits.queueRowsMax, 'somebody waits for a queue that has room');
    open();
    await Promise.all(records);
    await audit.recordCall(call('Last'));
    assert.equal((await rows()).length, sent + 1);
    assert.ok(Math.max(...batches) <= auditLimits.batchRowsMax);
  });
});

describe('a store that cannot write', () => {
  it('costs the records, not the answers, and is reported once for each outage, with a count', async () => {
    await using audit = createAudit();
    obstacle = full;
    for (let n = 0; n < 3; n++) await audit.recordCall(call('CreateChallenge'));
    obstacle = undefined;
    await audit.recordCall(call('CreateConnector'));
    obstacle = full;
    await audit.recordCall(call('DeleteConnector'));
    obstacle = undefined;
    await audit.recordCall(call('DeleteChallenge'));
    assert.deepEqual(await names(), ['CreateConnector', 'DeleteChallenge']);
    assert.deepEqual(
      lines.map(({ level, message }) => [level, message]),
      [
        ['error', 'audit events cannot be stored; requests are answered without'],
        ['warn', 'audit events were not stored'],
        ['error', 'audit events cannot be stored; requests are answered without'],
        ['warn', 'audit events were not stored'],
      ],
    );
    assert.deepEqual([lines[1]?.fields, lines[3]?.fields], [{ events: 3 }, { events: 1 }]);
  });

  it('is counted when the server stops, too', async () => {
    const audit = createAudit();
    obstacle = full;
    await audit.recordCall(call('CreateChallenge'));
    await audit.recordCall(read('GetConnector'));
    await audit[Symbol.asyncDispose]();
    assert.deepEqual(lines.at(-1), { level: 'warn', fields: { events: 2 }, message: 'audit events were not stored' });
  });

  it('leaves the file, which has its records all the same', async () => {
    const path = join(directory, 'audit.jsonl');
    await using file = new AuditFile(path, log);
    await using audit = createAudit(file);
    obstacle = full;
    await audit.recordCall(call('CreateChallenge'));
    assert.deepEqual(
      (await readRecords(path)).map(({ eventName }) => eventName),
      ['CreateChallenge'],
    );
  });
});

describe('the file', () => {
  it('has each record once, under the id that it has in the table', async () => {
    const path = join(directory, 'audit.jsonl');
    await using file = new AuditFile(path, log);
    await using audit = createAudit(file);
    await audit.recordCall(read('GetConnector'));
    await audit.record(connectorActivated(subject, { serialNumbers: ['0a'], notAfter: 1 }));
    const deleted = connectorDeleted(subject);
    await database.transaction(query => audit.insert(query, deleted));
    assert.equal((await readRecords(path)).length, 2);
    audit.log(deleted);
    const stored = (await rows()).map(({ event_id, name }) => `${event_id} ${name}`);
    const written = (await readRecords(path)).map(({ eventID, eventName }) => `${eventID} ${eventName}`);
    assert.deepEqual(written.sort(), stored.sort());
    assert.equal(written.length, 3);
  });
});

describe('the log', () => {
  it('has a line of what the service did itself, and none of a call, which its front logs', async () => {
    await using audit = createAudit();
    await audit.recordCall(call('CreateChallenge'));
    assert.deepEqual(lines, []);
    await audit.record(connectorActivated(subject, { serialNumbers: ['0a'], notAfter: 1 }));
    const fields = { event: 'ConnectorActivated', ...subject, outcome: 'success', serialNumbers: ['0a'], notAfter: 1 };
    assert.deepEqual(lines, [{ level: 'info', fields, message: 'ConnectorActivated' }]);
  });
});

async function readRecords(path: string): Promise<{ eventID: string; eventName: string }[]> {
  const text = await readFile(path, 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as { eventID: string; eventName: string });
}
