/** The embedded database: node:sqlite behind Kysely, one connection, every commit on the disk before it is answered. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { type DialectAdapter, Kysely, SqliteAdapter, type SqliteDatabase, SqliteDialect, type SqliteStatement, sql } from 'kysely';
import { type Database, type Query, StoreError, type StoreErrorReason, type Tables } from './database.ts';
import { findSchemaState, migrate, newestSchema } from './migrations/index.ts';

/** How long a statement waits for another process's write, such as `access-key create` beside a running server. It blocks the event loop. */
const busyTimeoutMs = 5_000;
const walCheckpointPages = 16_384;
const cacheKiB = 65_536;
const statementsCachedMax = 256;
/** A larger file is not checked in full at each start: that would read all of it. */
const integrityCheckBytesMax = 64 * 1024 * 1024;

const fileHeader = 'SQLite format 3\0';
const columnTypes = { text: 'text', blob: 'blob' } as const;

/**
 * Opens the database, making it when the file is missing or empty, and brings its schema up to date. The directory must exist. A file
 * that is damaged, newer or another program's is refused unchanged.
 */
export async function openSqliteDatabase({ file, readOnly = false }: { file: string; readOnly?: boolean }): Promise<Database> {
  if (bytesIn(file) > 0) await inspect(file);
  if (!readOnly) makeFile(file);
  const database = connect(file, { readOnly });
  try {
    if (!readOnly) {
      await setUp(database.query);
      await database.transaction(query => migrate(query, columnTypes));
    }
    return database;
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

/** Refuses what we must not write to, through a connection that cannot write. */
async function inspect(file: string): Promise<void> {
  if (!startsAsSqlite(file)) throw storeError('corrupt', file, 'the file is not a SQLite database');
  // Even a reader makes the -shm and -wal files, unless it is told that nobody writes; without a -wal there is nothing in one to be missed.
  await using database = connect(file, { readOnly: true, immutable: bytesIn(`${file}-wal`) === 0 });
  if (bytesIn(file) <= integrityCheckBytesMax) {
    const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check(1)`.execute(database.query);
    const verdict = rows[0]?.integrity_check;
    if (verdict !== 'ok') throw storeError('corrupt', file, verdict?.split('\n').at(-1) ?? 'the integrity check gave no answer');
  }
  const state = await findSchemaState(database.query);
  if (state.kind === 'foreign') throw storeError('corrupt', file, 'its tables are those of another program');
  if (state.kind === 'newer') throw storeError('newer', file, `schema ${state.schema}, this version knows ${newestSchema}`);
}

/** WAL with synchronous FULL: readers never wait, and a commit that was answered survives a power cut (SQLite, "Write-Ahead Logging"). */
async function setUp(query: Query): Promise<void> {
  await sql`pragma journal_mode = wal`.execute(query);
  await sql`pragma synchronous = full`.execute(query);
  await sql`pragma wal_autocheckpoint = ${sql.lit(walCheckpointPages)}`.execute(query);
  await sql`pragma cache_size = ${sql.lit(-cacheKiB)}`.execute(query);
}

function connect(file: string, access: Access): Database {
  const connection = new Connection(file, access);
  const query = new Kysely<Tables>({ dialect: new EmbeddedDialect({ database: connection }) });
  return {
    query,
    transaction: work => query.transaction().execute(work),
    revision: () => connection.revision(),
    async [Symbol.asyncDispose]() {
      // Waits its turn, so that what was begun is finished.
      await query.connection().execute(async () => {});
      await query.destroy();
    },
  };
}

/** SQLite rolls schema changes back like any others; Kysely's own adapter does not count on it. */
class EmbeddedDialect extends SqliteDialect {
  override createAdapter(): DialectAdapter {
    return new EmbeddedAdapter();
  }
}

class EmbeddedAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

interface Access {
  readOnly: boolean;
  /** SQLite takes no lock and looks for no log. */
  immutable?: boolean;
}

/** What Kysely needs of a driver, over node:sqlite: statements are prepared once, and SQLite's failures come out as StoreError. */
class Connection implements SqliteDatabase {
  readonly #file: string;
  readonly #readOnly: boolean;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, SqliteStatement>();

  constructor(file: string, { readOnly, immutable = false }: Access) {
    this.#file = file;
    this.#readOnly = readOnly;
    const options = { readOnly, timeout: busyTimeoutMs, enableForeignKeyConstraints: true };
    const location = immutable ? new URL(`${pathToFileURL(file).href}?immutable=1`) : file;
    this.#database = this.#attempt(() => new DatabaseSync(location, options));
  }

  prepare(sqlText: string): SqliteStatement {
    // A transaction takes the write lock at once: one that began by reading could not be sure to get it later.
    if (sqlText === 'begin' && !this.#readOnly) return this.#cached('begin immediate');
    // A full disk or an I/O error has already rolled back by itself.
    if (sqlText === 'rollback' && !this.#database.isTransaction) return nothingToDo;
    return this.#cached(sqlText);
  }

  /** Other connections' commits change the one number, this connection's changes the other (SQLite, "PRAGMA data_version"). */
  revision(): string {
    const [others] = this.#cached('pragma data_version').all([]) as { data_version: number }[];
    const [own] = this.#cached('select total_changes() as changes').all([]) as { changes: number }[];
    return `${others?.data_version}/${own?.changes}`;
  }

  close(): void {
    this.#statements.clear();
    this.#attempt(() => this.#database.close());
  }

  /** The least recently used statement goes first: a Map keeps the order of insertion. */
  #cached(sqlText: string): SqliteStatement {
    const statement = this.#statements.get(sqlText) ?? this.#statement(this.#attempt(() => this.#database.prepare(sqlText)));
    this.#statements.delete(sqlText);
    this.#statements.set(sqlText, statement);
    if (this.#statements.size > statementsCachedMax) {
      const [oldest] = this.#statements.keys();
      if (oldest !== undefined) this.#statements.delete(oldest);
    }
    return statement;
  }

  #statement(statement: StatementSync): SqliteStatement {
    return {
      reader: statement.columns().length > 0,
      // node:sqlite's rows have no prototype; ours are plain objects, as other drivers' are.
      all: parameters => this.#attempt(() => statement.all(...sqlInputs(parameters)).map(row => ({ ...row }))),
      run: parameters => this.#attempt(() => statement.run(...sqlInputs(parameters))),
      iterate: parameters => this.#attempt(() => statement.iterate(...sqlInputs(parameters))),
    };
  }

  #attempt<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw asStoreError(error, this.#file);
    }
  }
}

/** Kysely does not know the columns' types; node:sqlite refuses at run time what it cannot bind. */
function sqlInputs(parameters: readonly unknown[]): readonly SQLInputValue[] {
  return parameters as readonly SQLInputValue[];
}

const nothingToDo: SqliteStatement = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [].values(),
};

/** SQLite's primary result codes (https://www.sqlite.org/rescode.html) that are outages. Any other code is a bug and stays as it is. */
const reasonByResultCode: Readonly<Record<number, StoreErrorReason>> = {
  3: 'read-only', // SQLITE_PERM
  5: 'locked', // SQLITE_BUSY
  6: 'locked', // SQLITE_LOCKED
  8: 'read-only', // SQLITE_READONLY
  10: 'unreachable', // SQLITE_IOERR
  11: 'corrupt', // SQLITE_CORRUPT
  13: 'full', // SQLITE_FULL
  14: 'unreachable', // SQLITE_CANTOPEN
  26: 'corrupt', // SQLITE_NOTADB
};

const reasonBySystemError: Readonly<Record<string, StoreErrorReason>> = {
  EACCES: 'read-only',
  EPERM: 'read-only',
  EROFS: 'read-only',
  ENOSPC: 'full',
  EDQUOT: 'full',
};

function asStoreError(error: unknown, file: string): unknown {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return error;
  // The low byte of an extended result code is the primary one.
  const reason = reasonByResultCode[error.errcode & 0xff];
  return reason ? storeError(reason, file, error.message, error) : error;
}

function storeError(reason: StoreErrorReason, file: string, detail: string, cause?: unknown): StoreError {
  return new StoreError(reason, storeErrorMessage(reason, file, detail), { cause });
}

function storeErrorMessage(reason: StoreErrorReason, file: string, detail: string): string {
  switch (reason) {
    case 'corrupt':
      return `The database in ${file} is damaged (${detail}). Restore a backup of it; the file was left as it is.`;
    case 'newer':
      return `The database in ${file} was made by a newer version (${detail}). Use that version or restore a backup; the file was left as it is.`;
    case 'read-only':
      return `The database in ${file} cannot be written (${detail}). Let this user write to the file and to its directory.`;
    case 'full':
      return `The disk that holds ${file} is full (${detail}). Free some space and try again.`;
    case 'locked':
      return `The database in ${file} is in use by another process (${detail}). Stop that process or try again.`;
    case 'unreachable':
      return `The database in ${file} cannot be reached (${detail}). Check that its directory exists, that this user may write there, and that the disk works.`;
    default:
      return reason satisfies never;
  }
}

/** Only its owner may read it. Says more precisely than SQLite why a file cannot be made or written. */
function makeFile(file: string): void {
  withFile(file, () => closeSync(openSync(file, 'a', 0o600)));
}

function bytesIn(file: string): number {
  return withFile(file, () => statSync(file, { throwIfNoEntry: false })?.size ?? 0);
}

function startsAsSqlite(file: string): boolean {
  const header = Buffer.alloc(fileHeader.length);
  withFile(file, () => {
    const descriptor = openSync(file, 'r');
    try {
      readSync(descriptor, header);
    } finally {
      closeSync(descriptor);
    }
  });
  return header.toString('latin1') === fileHeader;
}

function withFile<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw storeError(reasonBySystemError[code] ?? 'unreachable', file, message, error);
  }
}
