/** What was read is used again until anything in the store changes, by this connection or by another. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Database } from '../backends/store/database.ts';
import { openSqliteDatabase } from '../backends/store/sqlite.ts';
import { RevisionCache } from './revision-cache.ts';

let directory: string;
let database: Database;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'scep-revision-'));
  database = await openSqliteDatabase({ file: join(directory, 'scep.db') });
});
afterEach(async () => {
  await database[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function insertAccount(into: Database, account_id: string): Promise<void> {
  await into.query.insertInto('accounts').values({ account_id, created_at: 1 }).execute();
}

function countingCache(of: Database) {
  const cache = new RevisionCache<{ accounts: number }>(of, 2);
  let readings = 0;
  const read = async () => {
    readings += 1;
    return { accounts: (await of.query.selectFrom('accounts').select('account_id').execute()).length };
  };
  return { get: (key = 'a') => cache.get(key, read), readings: () => readings };
}

describe('RevisionCache', () => {
  it('reads once while nothing changes', async () => {
    const { get, readings } = countingCache(database);
    for (let count = 0; count < 5; count++) assert.deepEqual(await get(), { accounts: 0 });
    assert.equal(readings(), 1);
  });

  it('reads again after a change of its own connection, within a transaction or not', async () => {
    const { get } = countingCache(database);
    await get();
    await insertAccount(database, '1');
    assert.deepEqual(await get(), { accounts: 1 });
    await database.transaction(query => query.deleteFrom('accounts').execute());
    assert.deepEqual(await get(), { accounts: 0 });
  });

  it("reads again after another process's change", async () => {
    await using other = await openSqliteDatabase({ file: join(directory, 'scep.db') });
    const { get, readings } = countingCache(database);
    await get();
    await insertAccount(other, '1');
    assert.deepEqual(await get(), { accounts: 1 });
    await get();
    assert.equal(readings(), 2);
  });

  it('never keeps what was read before a change that came meanwhile', async () => {
    const { get } = countingCache(database);
    const [during] = await Promise.all([
      get(),
      database.transaction(query => query.insertInto('accounts').values({ account_id: '1', created_at: 1 }).execute()),
    ]);
    assert.ok(during.accounts <= 1);
    assert.deepEqual(await get(), { accounts: 1 });
  });

  it('reads every time from a store that cannot tell', async () => {
    const { get, readings } = countingCache({ ...database, revision: () => undefined });
    await get();
    await get();
    assert.equal(readings(), 2);
  });

  it('keeps no more than it may', async () => {
    const { get, readings } = countingCache(database);
    for (const key of ['a', 'b', 'c', 'a']) await get(key);
    assert.equal(readings(), 4);
  });
});
