/** A store of an older schema is brought up to date, with what it held: keys keep what they could do, events what they said. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Kysely, type SqliteDatabase, SqliteDialect } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { LocalKeyProtector } from '../../src/backends/key-protector.ts';
import { initial } from '../../src/backends/store/migrations/0001-initial.ts';
import { controlPlane } from '../../src/backends/store/migrations/0002-control-plane.ts';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';
import { toCloudTrail } from '../../src/base/cloud-trail.ts';
import { evaluate } from '../../src/base/iam/evaluation.ts';
import { realSystem } from '../../src/base/system.ts';
import { AccessKeys } from '../../src/service/access-keys.ts';
import { Users } from '../../src/service/users.ts';

const accountId = '000000000000';
const secret = 'a secret access key of the first schema';
const types = { text: 'text', blob: 'blob' } as const;

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

async function makeSchema(migrations: Record<string, Migration>): Promise<{ database: DatabaseSync; db: Kysely<unknown> }> {
  const database = new DatabaseSync(file);
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: driver(database) }) });
  const { error } = await new Migrator({ db, provider: { getMigrations: async () => migrations } }).migrateToLatest();
  assert.equal(error, undefined);
  return { database, db };
}

async function makeFirstSchema(keyProtector: LocalKeyProtector): Promise<void> {
  const { database, db } = await makeSchema({ '0001-initial': initial(types) });
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

/** Connectors as the second schema had them: their RA keys by the instants between which these are valid. */
async function makeSecondSchema(
  connectors: Record<string, [status: string, ...keys: [notBefore: number, notAfter: number][]]>,
): Promise<void> {
  const { database, db } = await makeSchema({ '0001-initial': initial(types), '0002-control-plane': controlPlane(types) });
  const columns = 'connector_id, account_id, region, certificate_authority_arn, type, endpoint_secret, status, created_at, updated_at';
  const connector = database.prepare(
    `insert into connectors (${columns}) values (?, ?, 'us-east-1', 'arn', 'GENERAL_PURPOSE', 's', ?, 1, 1)`,
  );
  const raKey = database.prepare("insert into ra_keys values (?, ?, 'certificate', x'00', x'00', 'ACTIVE', ?, ?, ?)");
  for (const [id, [status, ...keys]] of Object.entries(connectors)) {
    connector.run(id, accountId, status);
    for (const [notBefore, notAfter] of keys) raKey.run(`${id}/${notBefore}`, id, notBefore, notAfter, notBefore);
  }
  await db.destroy();
}

describe('a store of the second schema', () => {
  const start = 1_790_000_000_000;

  it('has its connectors due for new RA keys at two thirds of the life of their newest', async () => {
    await makeSecondSchema({
      one: ['ACTIVE', [start, start + 300]],
      // One that crashed between its keys and its status has two.
      two: ['ACTIVE', [start, start + 300], [start + 100, start + 1000]],
      making: ['CREATING'],
    });
    await using database = await openSqliteDatabase({ file });
    const rows = await database.query.selectFrom('connectors').select(['connector_id', 'ra_renewal_at']).execute();
    assert.deepEqual(Object.fromEntries(rows.map(row => [row.connector_id, row.ra_renewal_at])), {
      one: start + 200,
      two: start + 700,
      making: 0,
    });
    const keys = await database.query.selectFrom('ra_keys').select(['purpose', 'status']).distinct().execute();
    assert.deepEqual(keys, [{ purpose: 'BOTH', status: 'ACTIVE' }]);
  });
});
