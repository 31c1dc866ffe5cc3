/** Every implementation of Database, and sample rows, for the contract's suites. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe } from 'node:test';
import type { Insertable } from 'kysely';
import type { Database, Tables } from '../../src/backends/store/database.ts';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';

/** Room for one database, empty at first. */
interface Place extends AsyncDisposable {
  open(): Promise<Database>;
}

const implementations: { name: string; makePlace: () => Promise<Place> }[] = [{ name: 'SQLite', makePlace: makeSqlitePlace }];

async function makeSqlitePlace(): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), 'scep-store-'));
  return {
    open: () => openSqliteDatabase({ file: join(directory, 'scep.db') }),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

/** The database of the running test: a new one for each. */
export interface Subject {
  readonly database: Database;
  reopen(): Promise<void>;
}

export function describeEveryDatabase(suite: (subject: Subject) => void): void {
  for (const { name, makePlace } of implementations) {
    describe(name, () => {
      let place: Place;
      let database: Database;
      beforeEach(async () => {
        place = await makePlace();
        database = await place.open();
      });
      afterEach(async () => {
        await database[Symbol.asyncDispose]();
        await place[Symbol.asyncDispose]();
      });
      suite({
        get database() {
          return database;
        },
        async reopen() {
          await database[Symbol.asyncDispose]();
          database = await place.open();
        },
      });
    });
  }
}

export const home = { accountId: '000000000000', region: 'us-east-1' };
export const homeColumns = { account_id: home.accountId, region: home.region };
/** Later than 2^32 milliseconds, as every real instant is. */
export const now = 1_790_000_000_000;
export const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);

/** Ids in ascending order, in the form of a UUID. */
export function uuid(n: number): string {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
}

export function connector(n: number, change: Partial<Insertable<Tables['connectors']>> = {}): Insertable<Tables['connectors']> {
  return {
    connector_id: uuid(n),
    ...homeColumns,
    certificate_authority_arn: 'arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/ca',
    type: 'GENERAL_PURPOSE',
    endpoint_secret: 'secret',
    status: 'CREATING',
    created_at: now,
    updated_at: now,
    ...change,
  };
}
