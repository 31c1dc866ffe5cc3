/** Tests of what is particular to the embedded database: its file, its settings, and how it refuses. */
import assert from 'node:assert/strict';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { sql } from 'kysely';
import { type Database, type Query, StoreError, type StoreErrorReason } from './database.ts';
import { openSqliteDatabase } from './sqlite.ts';
import { findStoreProperty, insertStoreProperty } from './store-properties.ts';
import { listTags, putTags } from './tags.ts';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'scep-sqlite-'));
  file = join(directory, 'scep.db');
});
afterEach(() => rm(directory, { recursive: true }));

function refusal(reason: StoreErrorReason, words: RegExp): (error: unknown) => boolean {
  return error => {
    assert.ok(error instanceof StoreError, String(error));
    assert.equal(error.reason, reason);
    assert.match(error.message, words);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  };
}

async function assertRefusedUnchanged(reason: StoreErrorReason, words: RegExp): Promise<void> {
  const before = await readFile(file);
  await assert.rejects(openSqliteDatabase({ file }), refusal(reason, words));
  assert.deepEqual(await readFile(file), before);
}

async function pragma(query: Query, name: string): Promise<unknown> {
  const { rows } = await sql<Record<string, unknown>>`pragma ${sql.raw(name)}`.execute(query);
  return Object.values(rows[0] ?? {})[0];
}

/** Enough rows for several pages of each kind. */
async function fill(database: Database): Promise<void> {
  for (let n = 0; n < 40; n++) await insertStoreProperty(database.query, `property ${n}`, Buffer.alloc(1000, n));
}

async function makeFilledDatabase(): Promise<void> {
  await using database = await openSqliteDatabase({ file });
  await fill(database);
}

/** Runs as a user to whom permissions apply, when the tests themselves run as root. */
async function asOrdinaryUser(work: () => Promise<void>): Promise<void> {
  const nobody = 65_534;
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(nobody);
  try {
    await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

test('a commit waits for the disk, and the other settings hold on every opening', async () => {
  for (let opening = 0; opening < 2; opening++) {
    await using database = await openSqliteDatabase({ file });
    const settings = {
      journal_mode: 'wal',
      synchronous: 2,
      foreign_keys: 1,
      busy_timeout: 5_000,
      wal_autocheckpoint: 16_384,
      cache_size: -65_536,
    };
    for (const [name, value] of Object.entries(settings)) assert.equal(await pragma(database.query, name), value, name);
  }
});

test('the file is for its owner only', async () => {
  await makeFilledDatabase();
  assert.equal((await stat(file)).mode & 0o777, 0o600);
});

test('transactions run in the order in which they were begun', async () => {
  await using database = await openSqliteDatabase({ file });
  const order: number[] = [];
  const works = Array.from({ length: 50 }, (_, n) =>
    database.transaction(async query => {
      await putTags(query, 'arn', { key: String(n) });
      await listTags(query, 'arn');
      order.push(n);
    }),
  );
  await Promise.all(works);
  assert.deepEqual(
    order,
    Array.from({ length: 50 }, (_, n) => n),
  );
});

test('closing lets a transaction that was begun finish', async () => {
  const database = await openSqliteDatabase({ file });
  const begun = database.transaction(async query => {
    await putTags(query, 'arn', { a: '1' });
    await new Promise(resolve => setImmediate(resolve));
    await putTags(query, 'arn', { b: '2' });
  });
  await database[Symbol.asyncDispose]();
  await begun;
  await using reopened = await openSqliteDatabase({ file });
  assert.deepEqual(await listTags(reopened.query, 'arn'), { a: '1', b: '2' });
});

test('what was committed survives a crash, what was not is gone', async () => {
  const crashed = join(directory, 'crashed.db');
  await using database = await openSqliteDatabase({ file });
  await putTags(database.query, 'arn', { committed: 'yes' });
  await database.transaction(async query => {
    await putTags(query, 'arn', { open: 'yes' });
    for (const suffix of ['', '-wal']) await copyFile(file + suffix, crashed + suffix);
  });
  await using recovered = await openSqliteDatabase({ file: crashed });
  assert.deepEqual(await listTags(recovered.query, 'arn'), { committed: 'yes' });
});

test('a file that is not a database is refused unchanged', async () => {
  for (const content of ['x', 'SQLite format 2\0 and more', 'a text of some length\n'.repeat(1000)]) {
    await writeFile(file, content);
    await assertRefusedUnchanged('corrupt', /scep\.db is damaged .*Restore a backup/);
  }
});

test('a truncated database is refused unchanged', async () => {
  await makeFilledDatabase();
  const { size } = await stat(file);
  for (const length of [size - 4096, Math.floor(size / 2), 4096, 100, 16]) {
    await truncate(file, length);
    await assertRefusedUnchanged('corrupt', /is damaged/);
  }
});

test('a database with an overwritten page is refused unchanged', async () => {
  await makeFilledDatabase();
  const sound = await readFile(file);
  for (const page of [0, 1, 2, 3]) {
    const damaged = Buffer.from(sound);
    damaged.fill(0xa5, page * 4096 + 100, (page + 1) * 4096);
    await writeFile(file, damaged);
    await assertRefusedUnchanged('corrupt', /is damaged/);
  }
});

test('a newer database is refused unchanged, even with a crashed log beside it', async () => {
  const newer = join(directory, 'newer.db');
  {
    await using database = await openSqliteDatabase({ file: newer });
    await sql`insert into kysely_migration (name, timestamp) values ('0007-later', '2030-01-01T00:00:00.000Z')`.execute(database.query);
    await copyFile(newer, file);
    await copyFile(`${newer}-wal`, `${file}-wal`);
  }
  const log = await readFile(`${file}-wal`);
  await assertRefusedUnchanged('newer', /newer version \(schema 7, this version knows 4\)\. Use that version or restore a backup/);
  assert.deepEqual(await readFile(`${file}-wal`), log);
});

test("another program's database is refused unchanged", async () => {
  const foreign = new DatabaseSync(file);
  foreign.exec('create table guests (name text)');
  foreign.close();
  await assertRefusedUnchanged('corrupt', /tables are those of another program/);
});

test('a missing directory and a directory in the place of the file are refused', async () => {
  await assert.rejects(
    openSqliteDatabase({ file: join(directory, 'absent', 'scep.db') }),
    refusal('unreachable', /Check that its directory exists/),
  );
  await mkdir(file);
  await assert.rejects(openSqliteDatabase({ file }), refusal('unreachable', /scep\.db cannot be reached/));
});

test('an existing file in a directory that may not be written to is refused unchanged', async () => {
  await makeFilledDatabase();
  await chmod(file, 0o666);
  await chmod(directory, 0o555);
  const before = await readFile(file);
  await asOrdinaryUser(() =>
    assert.rejects(openSqliteDatabase({ file }), refusal('read-only', /Let this user write to the file and to its directory/)),
  );
  await chmod(directory, 0o755);
  assert.deepEqual(await readFile(file), before);
});

test('a directory that may not be written to is refused on a first start', async () => {
  await chmod(directory, 0o555);
  await asOrdinaryUser(() =>
    assert.rejects(openSqliteDatabase({ file }), refusal('read-only', /Let this user write to the file and to its directory/)),
  );
  await chmod(directory, 0o755);
});

test('an existing file that may not be written to is refused unchanged', async () => {
  await makeFilledDatabase();
  await chmod(directory, 0o777);
  await chmod(file, 0o444);
  const before = await readFile(file);
  await asOrdinaryUser(() => assert.rejects(openSqliteDatabase({ file }), refusal('read-only', /Let this user write to the file/)));
  assert.deepEqual(await readFile(file), before);
});

test('a database opened for reading answers, and refuses writes and transactions that write', async () => {
  await makeFilledDatabase();
  await using database = await openSqliteDatabase({ file, readOnly: true });
  assert.equal((await findStoreProperty(database.query, 'property 7'))?.length, 1000);
  await assert.rejects(putTags(database.query, 'arn', { a: '1' }), refusal('read-only', /cannot be written/));
  await assert.rejects(
    database.transaction(query => putTags(query, 'arn', { a: '1' })),
    refusal('read-only', /cannot be written/),
  );
  assert.deepEqual(await database.transaction(query => listTags(query, 'arn')), {});
  await assert.rejects(openSqliteDatabase({ file: join(directory, 'absent.db'), readOnly: true }), refusal('unreachable', /absent\.db/));
});

test('a full disk refuses the transaction as a whole, and work goes on once there is room', async () => {
  await using database = await openSqliteDatabase({ file });
  const pages = Number(await pragma(database.query, 'page_count'));
  await pragma(database.query, `max_page_count = ${pages + 2}`);
  const tooMuch = () =>
    database.transaction(async query => {
      await putTags(query, 'arn', { small: '1' });
      await insertStoreProperty(query, 'large', Buffer.alloc(100_000));
    });
  await assert.rejects(tooMuch(), refusal('full', /The disk that holds .*scep\.db is full .*Free some space/));
  assert.deepEqual(await listTags(database.query, 'arn'), {});
  await pragma(database.query, `max_page_count = ${pages + 1000}`);
  await tooMuch();
  assert.deepEqual(await listTags(database.query, 'arn'), { small: '1' });
});

test('a database that another process keeps locked says so', async () => {
  await using database = await openSqliteDatabase({ file });
  await pragma(database.query, 'busy_timeout = 1');
  const other = new DatabaseSync(file);
  other.exec('begin immediate');
  await assert.rejects(
    database.transaction(query => putTags(query, 'arn', { a: '1' })),
    refusal('locked', /in use by another process/),
  );
  other.exec('rollback');
  other.close();
  await database.transaction(query => putTags(query, 'arn', { a: '1' }));
});

test('a transaction keeps other processes from writing from its first statement on', async () => {
  await using database = await openSqliteDatabase({ file });
  const other = new DatabaseSync(file);
  await database.transaction(async query => {
    await listTags(query, 'arn');
    assert.throws(() => other.exec('begin immediate'), /database is locked/);
  });
  other.exec('begin immediate');
  other.close();
});

test('a mistake in a query is a bug and no outage', async () => {
  await using database = await openSqliteDatabase({ file });
  await assert.rejects(sql`select nonsense`.execute(database.query), error => !(error instanceof StoreError));
});
