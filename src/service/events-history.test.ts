/** The audit trail as its account sees it: filters, pages and their bounds. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Insertable } from 'kysely';
import { insertAuditEvents } from '../backends/store/audit-events.ts';
import type { Database, Tables } from '../backends/store/database.ts';
import { openSqliteDatabase } from '../backends/store/sqlite.ts';
import { connectorArn } from '../base/resources.ts';
import { realSystem as system } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import { type EventFilter, Events, eventsHistoryLimits } from './events-history.ts';

const accountId = '111122223333';
const otherAccountId = '444455556666';
const region = 'us-east-1';
const start = 1_790_000_000_000;
const principalOf = (account: string) => ({ accountId: account, arn: userArn(account), userName: 'ci', accessKeyId: 'AKIA' });
const userArn = (account: string) => `arn:aws:iam::${account}:user/ci`;
const connectorA = system.randomUUID();
const connectorB = system.randomUUID();
const arnOf = (connectorId: string, account = accountId) => connectorArn({ accountId: account, region }, connectorId);

type Row = Partial<Insertable<Tables['audit_events']>> & { at: number };

function row({ at, ...rest }: Row): Insertable<Tables['audit_events']> {
  const event_id = uuidV7({ ...system, now: () => at });
  const common = { category: 'Management', name: 'GetConnector', account_id: accountId, region, principal: userArn(accountId) } as const;
  return { event_id, at, ...common, connector_id: connectorA, source: '::1', outcome: 'success', detail: '{"readOnly":true}', ...rest };
}

describe('the history of events', () => {
  let directory: string;
  let database: Database;
  let events: Events;

  async function insert(rows: readonly Row[]): Promise<void> {
    await database.transaction(async query => {
      for (let at = 0; at < rows.length; at += 1000) await insertAuditEvents(query, rows.slice(at, at + 1000).map(row));
    });
  }

  async function names(filter: EventFilter, account = accountId): Promise<unknown[]> {
    const { Events: records } = await events.listEvents(principalOf(account), filter, { limit: 100 });
    return records.map(({ eventName }) => eventName);
  }

  /** Each page's size, and every name that was listed. */
  async function walk(filter: EventFilter, limit: number, account = accountId): Promise<{ sizes: number[]; names: unknown[] }> {
    const walked = { sizes: [] as number[], names: [] as unknown[] };
    let after: string | undefined;
    do {
      const { Events: records, next } = await events.listEvents(principalOf(account), filter, { limit, after });
      walked.sizes.push(records.length);
      walked.names.push(...records.map(({ eventName }) => eventName));
      after = next;
    } while (after !== undefined);
    return walked;
  }

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'scep-history-'));
    database = await openSqliteDatabase({ file: join(directory, 'scep.db') });
    events = new Events({ database });
    await insert([
      { at: start, name: 'A' },
      { at: start + 1, name: 'B', outcome: 'failure' },
      { at: start + 2, name: 'C', category: 'Data', principal: null },
      { at: start + 3, name: 'D', category: 'Service', principal: null },
      { at: start + 4, name: 'E', connector_id: connectorB },
      { at: start + 5, name: 'F', connector_id: null },
      { at: start + 6, name: 'G', account_id: otherAccountId, connector_id: connectorB, principal: userArn(otherAccountId) },
      { at: start + 7, name: 'H', account_id: null, connector_id: null },
    ]);
  });
  after(async () => {
    await database[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  it('is the caller’s account alone, newest first', async () => {
    assert.deepEqual(await names({}), ['F', 'E', 'D', 'C', 'B', 'A']);
    assert.deepEqual(await names({}, otherAccountId), ['G']);
    assert.deepEqual(await names({}, '777788889999'), []);
  });

  it('is narrowed by each filter', async () => {
    assert.deepEqual(await names({ name: 'B' }), ['B']);
    assert.deepEqual(await names({ category: 'Data' }), ['C']);
    assert.deepEqual(await names({ category: 'Service' }), ['D']);
    assert.deepEqual(await names({ outcome: 'failure' }), ['B']);
    assert.deepEqual(await names({ connectorArn: arnOf(connectorA) }), ['D', 'C', 'B', 'A']);
    assert.deepEqual(await names({ principalArn: userArn(accountId) }), ['F', 'E', 'B', 'A']);
    assert.deepEqual(await names({ principalArn: userArn(otherAccountId) }), []);
    assert.deepEqual(await names({ connectorArn: arnOf(connectorA), category: 'Management', outcome: 'success' }), ['A']);
  });

  it('begins and ends with the instants that are given', async () => {
    assert.deepEqual(await names({ startAt: start + 3 }), ['F', 'E', 'D']);
    assert.deepEqual(await names({ endAt: start + 1 }), ['B', 'A']);
    assert.deepEqual(await names({ startAt: start + 1, endAt: start + 2 }), ['C', 'B']);
    assert.deepEqual(await names({ startAt: start + 100 }), []);
    assert.deepEqual(await names({ endAt: 0 }), []);
  });

  it('shows nothing of another account’s connector, whatever account its ARN names', async () => {
    assert.deepEqual(await names({ connectorArn: arnOf(connectorB) }), ['E']);
    assert.deepEqual(await names({ connectorArn: arnOf(connectorA) }, otherAccountId), []);
    assert.deepEqual(await names({ connectorArn: arnOf(connectorA, otherAccountId) }, otherAccountId), []);
  });

  it('comes in pages that together hold every event once', async () => {
    for (const [limit, sizes] of [
      [1, [1, 1, 1, 1, 1, 1]],
      [4, [4, 2]],
      [6, [6]],
    ] as const) {
      assert.deepEqual(await walk({}, limit), { sizes, names: ['F', 'E', 'D', 'C', 'B', 'A'] });
    }
    assert.deepEqual(await walk({ endAt: start + 2 }, 2), { sizes: [2, 1], names: ['C', 'B', 'A'] });
  });

  it('looks at so many events a page, and goes on with the next page although none of them fits', async () => {
    const { scanRowsMax } = eventsHistoryLimits;
    const many = '777788889999';
    const count = 2 * scanRowsMax + 100;
    await insert(
      Array.from({ length: count }, (_, n) => ({
        at: start + n,
        account_id: many,
        connector_id: connectorB,
        name: n === 50 || n === count - 1 ? 'Rare' : 'Common',
      })),
    );
    assert.deepEqual(await walk({ name: 'Rare' }, 10, many), { sizes: [1, 0, 1], names: ['Rare', 'Rare'] });
    assert.deepEqual(await walk({ name: 'Rare', connectorArn: arnOf(connectorB, many) }, 10, many), {
      sizes: [1, 0, 1],
      names: ['Rare', 'Rare'],
    });
    const { sizes } = await walk({}, 100, many);
    assert.equal(
      sizes.reduce((sum, size) => sum + size),
      count,
    );
  });

  it('reads what was recorded before there were categories', async () => {
    const old = '888899990000';
    const detail = '{"transactionID":"T","serialNumber":"0a","subject":"CN=x","notAfter":1}';
    await insert([{ at: start, account_id: old, name: 'CertificateIssued', principal: null, category: undefined, detail }]);
    const { Events: records } = await events.listEvents(principalOf(old), {}, { limit: 1 });
    assert.equal(records[0]?.['eventType'], 'AwsServiceEvent');
    assert.deepEqual(records[0]?.['serviceEventDetails'], { outcome: 'success', ...(JSON.parse(detail) as object) });
  });
});
