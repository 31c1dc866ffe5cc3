/** The audit file: appended, rotated, and on a disk that fails. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, readFile, rename, rm, stat, symlink, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Log } from '../base/events.ts';
import { StartError } from '../base/start-error.ts';
import { AuditFile, auditFileLimits } from './audit-file.ts';

const fullDisk = '/dev/full';
const withoutFullDisk = existsSync(fullDisk) ? false : `there is no ${fullDisk} here`;

let directory: string;
let path: string;
let lines: { fields: object; message: string }[];
const note = (fields: object, message: string) => void lines.push({ fields, message });
/** What goes well is not noted. */
const log: Log = { info: () => {}, warn: note, error: note };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'scep-audit-file-'));
  path = join(directory, 'audit.jsonl');
  lines = [];
});
afterEach(() => rm(directory, { recursive: true }));

const linesOf = async (file: string) => (await readFile(file, 'utf8')).split('\n').slice(0, -1);

describe('an audit file', () => {
  it('has a record a line, is added to, and is for its owner only', async () => {
    await appendFile(path, '{"n":0}\n');
    {
      await using file = new AuditFile(path, log);
      file.write([{ n: 1 }, { n: 2, text: 'a\nb\u2028' }]);
      file.write([]);
      file.write([{ n: 3 }]);
    }
    assert.deepEqual(
      (await linesOf(path)).map(line => (JSON.parse(line) as { n: number }).n),
      [0, 1, 2, 3],
    );
    const fresh = join(directory, 'fresh.jsonl');
    await using another = new AuditFile(fresh, log);
    another.write([{ n: 1 }]);
    assert.equal((await stat(fresh)).mode & 0o777, 0o600);
  });

  it('whose directory is missing stops the start with a line that says what to do', () => {
    assert.throws(
      () => new AuditFile(join(directory, 'absent', 'audit.jsonl'), log),
      (error: unknown) =>
        error instanceof StartError &&
        error.message ===
          `SCEP_AUDIT_FILE: ${directory}/absent/audit.jsonl cannot be opened (ENOENT). Name a file that this user may write, in a directory that exists.`,
    );
    assert.throws(() => new AuditFile(directory, log), /^StartError: SCEP_AUDIT_FILE: .* cannot be opened \(EISDIR\)\./);
  });

  it('that was moved away is made anew', async () => {
    await using file = new AuditFile(path, log);
    file.write([{ n: 1 }]);
    await rename(path, `${path}.1`);
    file.write([{ n: 2 }]);
    file.reopen();
    file.reopen();
    file.write([{ n: 3 }]);
    assert.deepEqual(await linesOf(`${path}.1`), ['{"n":1}', '{"n":2}']);
    assert.deepEqual(await linesOf(path), ['{"n":3}']);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(lines, []);
  });

  it('that cannot be made anew goes on as it was, and says so', async () => {
    const inner = join(directory, 'logs');
    await mkdir(inner);
    await using file = new AuditFile(join(inner, 'audit.jsonl'), log);
    file.write([{ n: 1 }]);
    await rename(inner, `${inner}.old`);
    file.reopen();
    file.write([{ n: 2 }]);
    await nextTurn();
    assert.deepEqual(await linesOf(join(`${inner}.old`, 'audit.jsonl')), ['{"n":1}', '{"n":2}']);
    assert.deepEqual(
      lines.map(({ message }) => message),
      ['the audit file cannot be opened anew; its lines go on in the old one'],
    );
    await mkdir(inner);
    file.reopen();
    file.write([{ n: 3 }]);
    assert.deepEqual(await linesOf(join(inner, 'audit.jsonl')), ['{"n":3}']);
  });
});

describe('a disk that fails', { skip: withoutFullDisk }, () => {
  beforeEach(() => symlink(fullDisk, path));

  const replaceDisk = async (file: AuditFile) => {
    await unlink(path);
    file.reopen();
  };

  it('is reported once, and what waited is written when it works again', async () => {
    await using file = new AuditFile(path, log);
    for (const n of [1, 2, 3]) file.write([{ n }]);
    await nextTurn();
    assert.deepEqual(
      lines.map(({ message }) => message),
      ['the audit file cannot be written; its lines wait in memory'],
    );
    await replaceDisk(file);
    file.write([{ n: 4 }]);
    assert.deepEqual(await linesOf(path), ['{"n":1}', '{"n":2}', '{"n":3}', '{"n":4}']);
    assert.deepEqual(lines[1], {
      fields: { file: path, lines: 0 },
      message: 'the audit file is written again; lines that found no room were lost',
    });
  });

  it('costs the lines that find no room in memory, and they are counted', async () => {
    const records = Array.from({ length: 20 }, (_, n) => ({ n, text: 'x'.repeat(auditFileLimits.bufferBytesMax / 16) }));
    await using file = new AuditFile(path, log);
    for (const record of records) file.write([record]);
    await replaceDisk(file);
    file.write([{ n: 20 }]);
    const written = (await linesOf(path)).map(line => (JSON.parse(line) as { n: number }).n);
    assert.deepEqual(written, [...records.slice(0, 15).map(({ n }) => n), 20]);
    assert.deepEqual(
      lines.map(({ fields }) => Reflect.get(fields, 'lines')),
      [undefined, 5],
    );
  });

  it('does not keep the server from stopping', async () => {
    const file = new AuditFile(path, log);
    file.write([{ n: 1 }]);
    await file[Symbol.asyncDispose]();
    assert.equal(lines.length, 1);
  });
});
