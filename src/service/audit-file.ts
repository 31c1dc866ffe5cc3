/** The audit trail as a file: one CloudTrail record a line, appended. A disk that fails costs lines, never an answer. */
import { closeSync, openSync } from 'node:fs';
import { pino } from 'pino';
import type { CloudTrailRecord } from '../base/cloud-trail.ts';
import type { Log } from '../base/events.ts';
import { StartError, systemErrorCode } from '../base/start-error.ts';

/** What waits in memory for a disk to work again. */
export const auditFileLimits = { bufferBytesMax: 16 * 1024 * 1024 } as const;

const ownerOnly = 0o600;

export class AuditFile implements AsyncDisposable {
  readonly #path: string;
  readonly #log: Log;
  readonly #destination: ReturnType<typeof pino.destination>;
  #isFailing = false;
  #linesLost = 0;

  /** Throws StartError when the file cannot be opened. */
  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
    this.#destination = openDestination(path);
    this.#destination.on('error', error => this.#fail(error));
    this.#destination.on('drop', (text: string) => this.#drop(text));
    this.#destination.on('write', () => this.#recover());
  }

  write(records: readonly CloudTrailRecord[]): void {
    this.#destination.write(records.map(record => `${JSON.stringify(record)}\n`).join(''));
  }

  /** After the file was moved away: its lines go on in a new one. Where that cannot be made they go on in the old one. */
  reopen(): void {
    try {
      // Tried first: after a failure within `reopen` the next one that succeeds closes the old descriptor twice (sonic-boom 4.2).
      closeSync(openSync(this.#path, 'a', ownerOnly));
      this.#destination.reopen();
      this.#log.info({ file: this.#path }, 'the audit file was opened anew');
    } catch (error) {
      this.#log.error({ err: error, file: this.#path }, 'the audit file cannot be opened anew; its lines go on in the old one');
    }
  }

  #fail(error: unknown): void {
    if (!this.#isFailing) this.#log.error({ err: error, file: this.#path }, 'the audit file cannot be written; its lines wait in memory');
    this.#isFailing = true;
  }

  #drop(text: string): void {
    this.#linesLost += text.split('\n').length - 1;
    // What waits is tried again by the next line, but not by one that is dropped.
    this.#destination.flush();
  }

  #recover(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#log.warn({ file: this.#path, lines: this.#linesLost }, 'the audit file is written again; lines that found no room were lost');
    this.#linesLost = 0;
  }

  /** What was written is with the operating system by now; what waits for a disk that fails is tried once more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#destination.once('error', () => this.#destination.destroy());
    this.#destination.end();
  }
}

/** Synchronous: a line is out of the process when it was written, and a file that cannot be opened is known at once. */
function openDestination(path: string): ReturnType<typeof pino.destination> {
  try {
    const { bufferBytesMax: maxLength } = auditFileLimits;
    // With no minLength `flush` would do nothing.
    return pino.destination({ dest: path, append: true, mkdir: false, mode: ownerOnly, sync: true, minLength: 1, maxLength });
  } catch (cause) {
    const advice = 'Name a file that this user may write, in a directory that exists.';
    throw new StartError(`SCEP_AUDIT_FILE: ${path} cannot be opened (${systemErrorCode(cause)}). ${advice}`, { cause });
  }
}
