/** A store of the first schema is brought up to date, with what it held: keys keep what they could do, events what they said. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Kysely, type SqliteDatabase, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { LocalKeyProtector } from '../../src/backends/key-protector.ts';
import { initial } from '../../src/backends/store/migrations/0001-initial.ts';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';
import { toCloudTrail } from '../../src/base/cloud-trail.ts';
import { evaluate } from '../../src/base/iam/evaluation.ts';
import { realSystem } from '../../src/base/system.ts';
import { AccessKeys } from '../../src/service/access-keys.ts';
import { Users } from '../../src/service/users.ts';

const accountId = '000000000000';
const secret = 'a secret access key of the first schema';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'scep-upgrade-'));
  file = join(directory, 'scep.db');
});
afterEach(() => rm(directory, { recursive: true }));

/** What Kysely needs of a driver. */
function driver(database: DatabaseSync): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare(text) {
      const statement = database.prepare(text);
      return {
        reader: statement.columns().length > 0,
        all: parameters => statement.all(...(parameters as string[])),
        run: parameters => statement.run(...(parameters as string[])),
        iterate: parameters => statement.iterate(...(parameters as string[])),
      };
    },
  };
}

async function makeFirstSchema(keyProtector: LocalKeyProtector): Promise<void> {
  const database = new DatabaseSync(file);
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: driver(database) }) });
  const migration = initial({ text: 'text', blob: 'blob' });
  const { error } = await new Migrator({ db, provider: { getMigrations: async () => ({ '0001-initial': migration }) } }).migrateToLatest();
  assert.equal(error, undefined);
  const key = database.prepare('insert into access_keys values (?, ?, ?, ?, null, ?, null, ?)');
  for (const [id, name] of [
    ['AKIAADMINISTRATOR000', 'administrator'],
    ['AKIASECONDOFTHESAME0', 'administrator'],
    ['AKIACI00000000000000', 'ci'],
  ]) {
    key.run(id ?? '', accountId, name ?? '', await keyProtector.seal(Buffer.from(secret), `access-keys/${id}`), 'ACTIVE', 1000);
  }
  const event = database.prepare('insert into audit_events values (?, ?, ?, ?, ?, ?, null, ?, ?, null, ?)');
  event.run(
    '01',
    1_790_000_000_000,
    'CertificateIssued',
    accountId,
    'us-east-1',
    'connector',
    '192.0.2.7',
    'success',
    '{"serialNumber":"1f"}',
  );
  await db.destroy();
}

describe('a store of the first schema', () => {
  it('keeps its access keys, whose users may do everything as before', async () => {
    const keyProtector = new LocalKeyProtector(realSystem.randomBytes(32), realSystem);
    await makeFirstSchema(keyProtector);
    await using database = await openSqliteDatabase({ file });
    const accessKeys = new AccessKeys({ database, keyProtector, system: realSystem });
    const users = new Users({ database, system: realSystem, log: { info: () => {}, warn: () => {}, error: () => {} } });
    for (const [id, userName] of [
      ['AKIAADMINISTRATOR000', 'administrator'],
      ['AKIACI00000000000000', 'ci'],
    ] as const) {
      const found = await accessKeys.findSecret(id, undefined);
      assert.ok(found);
      assert.equal(found.secretAccessKey, secret);
      assert.equal(found.principal.arn, `arn:aws:iam::${accountId}:user/${userName}`);
      const { identity } = await users.policiesOf(found.principal);
      assert.equal(evaluate(identity, { action: 'acm-pca:PutPolicy', resource: 'arn:aws:acm-pca:::x', context: new Map() }), 'allow');
    }
    const { Users: listed } = await users.listUsers({ accountId }, { limit: 10 });
    assert.deepEqual(
      listed.map(({ UserName }) => UserName),
      ['administrator', 'ci'],
    );
  });

  it('keeps its audit events, which are shown in the form of the new ones', async () => {
    await makeFirstSchema(new LocalKeyProtector(realSystem.randomBytes(32), realSystem));
    await using database = await openSqliteDatabase({ file });
    const [row] = await database.query.selectFrom('audit_events').selectAll().execute();
    assert.ok(row);
    const { eventName, eventType, eventTime, serviceEventDetails } = toCloudTrail(row);
    assert.deepEqual(
      { eventName, eventType, eventTime, serviceEventDetails },
      {
        eventName: 'CertificateIssued',
        eventType: 'AwsServiceEvent',
        eventTime: '2026-09-21T14:13:20Z',
        serviceEventDetails: { outcome: 'success', serialNumber: '1f' },
      },
    );
  });

  it('is not upgraded twice', async () => {
    await makeFirstSchema(new LocalKeyProtector(realSystem.randomBytes(32), realSystem));
    await (await openSqliteDatabase({ file }))[Symbol.asyncDispose]();
    await using database = await openSqliteDatabase({ file });
    assert.equal((await database.query.selectFrom('users').selectAll().execute()).length, 2);
  });
});
