/** The command as a child process: runs it, starts its server, reads from its output where that listens, and ends it by its process id. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const root = join(import.meta.dirname, '..', '..');
const command = join(root, 'src', 'cli.ts');
const timeoutMs = 20_000;

/** What `npx scep-connector` runs. */
export const launcher = join(root, 'bin', 'scep-connector.mjs');

/** Compiled code is kept from one start to the next, which nearly halves each; it goes with this process, as does the working directory. */
const scratch = mkdtempSync(join(tmpdir(), 'scep-command-'));
const workingDirectory = join(scratch, 'work');
mkdirSync(workingDirectory);
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

export type Settings = Readonly<Record<string, string>>;

/** Every listener on a port that the operating system chooses. */
export function settingsFor(dataDir: string, settings: Settings = {}): Settings {
  return {
    SCEP_DATA_DIR: dataDir,
    SCEP_API_LISTEN: '127.0.0.1:0',
    SCEP_ENROLL_LISTEN: '127.0.0.1:0',
    SCEP_ENROLL_TLS_LISTEN: '127.0.0.1:0',
    ...settings,
  };
}

export interface CommandOptions {
  settings?: Settings;
  cwd?: string;
  /** A program with its arguments that runs the command in its place, for example to take rights away from it. */
  through?: readonly string[];
  /** Takes what goes to stderr, at its end. */
  logFile?: string;
}

export interface Ended {
  /** Null when a signal ended it. */
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs the command to its end; one that does not end in time is killed and has no status. */
export async function runCommand(args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  return runToEnd([...(options.through ?? []), process.execPath, command, ...args], options);
}

/** Kills `serve` at once when `isTime`. */
export async function killServer(dataDir: string, isTime: () => boolean): Promise<Ended> {
  await using server = new ServerProcess([process.execPath, command, 'serve'], { settings: settingsFor(dataDir) });
  const watch = setInterval(() => isTime() && server.signal('SIGKILL'), 1);
  const ended = await Promise.race([server.ended, wait(timeoutMs, undefined, { ref: false })]);
  clearInterval(watch);
  return ended ?? server.kill();
}

/** Runs a line as a person would who types it into a shell. */
export async function runInShell(line: string, options: Omit<CommandOptions, 'through'> = {}): Promise<Ended> {
  return runToEnd(['/bin/sh', '-c', line], options);
}

async function runToEnd(words: readonly string[], options: CommandOptions): Promise<Ended> {
  await using child = new Child(words, options);
  const timer = setTimeout(() => child.signal('SIGKILL'), timeoutMs);
  const ended = await child.ended;
  clearTimeout(timer);
  return ended;
}

/** Waits until it is ready. Throws when it ends before that, with what it wrote to stderr. */
export async function startServer(dataDir: string, options: CommandOptions = {}): Promise<ServerProcess> {
  const settings = settingsFor(dataDir, options.settings);
  const server = new ServerProcess([...(options.through ?? []), process.execPath, command, 'serve'], { ...options, settings });
  try {
    await server.until('the server is not ready', () => server.apiUrl !== '');
    // Two pipes keep no order between them, so the line of the last listener is waited for as well.
    if (!options.logFile) await server.until('no listener was logged', () => server.stderr.includes(`listening at ${server.apiUrl}"`));
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

class Child implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';
  #hasEnded = false;
  #onOutput: () => void = () => {};

  constructor([program = '', ...args]: readonly string[], { settings = {}, cwd = workingDirectory, logFile }: CommandOptions) {
    const log = logFile === undefined ? 'pipe' : openSync(logFile, 'a');
    const child = spawn(program, args, { cwd, env: environment(settings), stdio: ['ignore', 'pipe', log] });
    if (log !== 'pipe') closeSync(log);
    this.#process = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#onOutput();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#onOutput();
    });
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => {
        this.#hasEnded = true;
        resolve({ status, signal, stdout: this.stdout, stderr: this.stderr });
        this.#onOutput();
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  signal(name: NodeJS.Signals): void {
    if (!this.#hasEnded) this.#process.kill(name);
  }

  /** Resolves when its output makes `isTrue` so. */
  async until(complaint: string, isTrue: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = () => reject(new Error(`${complaint}:\n${this.stdout}${this.stderr}`));
    this.#onOutput = () => {
      if (isTrue()) resolve();
      else if (this.#hasEnded) fail();
    };
    const timer = setTimeout(fail, timeoutMs);
    this.#onOutput();
    await promise.finally(() => clearTimeout(timer));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGKILL');
    await this.ended;
  }
}

/** `serve`, ready. */
export class ServerProcess extends Child {
  /** `http://127.0.0.1:PORT`, as are the next two; each is empty when there is no such listener. */
  get apiUrl(): string {
    return /\bAPI(?: is at)? +(http:\/\/[\d.]+:\d+)/.exec(this.stdout)?.[1] ?? '';
  }

  get enrollUrl(): string {
    return this.#listeners().find(url => url.startsWith('http:') && url !== this.apiUrl) ?? '';
  }

  get enrollTlsUrl(): string {
    return this.#listeners().find(url => url.startsWith('https:')) ?? '';
  }

  #listeners(): string[] {
    return [...this.stderr.matchAll(/"Server listening at (https?:\/\/[\d.]+:\d+)"/g)].map(([, url = '']) => url);
  }

  /** As an operator stops it. */
  async stop(): Promise<Ended> {
    this.signal('SIGTERM');
    return this.ended;
  }

  /** As a crash would. */
  async kill(): Promise<Ended> {
    this.signal('SIGKILL');
    return this.ended;
  }
}

/** What a first start shows a person. */
export interface FirstStart {
  /** The secret part of the SCEP URLs. */
  path: string;
  scepUrl: string;
  challengePassword: string;
  caFingerprint: string;
  enrollLine: string;
}

export function readFirstStart(stdout: string): FirstStart {
  const after = (label: string) => new RegExp(`^ {2}${label} +(\\S+)`, 'm').exec(stdout)?.[1] ?? '';
  const scepUrl = after('SCEP URL');
  return {
    path: scepUrl.replace(/^https?:\/\/[^/]+/, ''),
    scepUrl,
    challengePassword: after('Challenge password'),
    caFingerprint: after('CA SHA-256'),
    enrollLine: /^ +(npx scep-connector enroll .*)$/m.exec(stdout)?.[1] ?? '',
  };
}

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

export async function makeTemporaryDirectory(): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'scep-e2e-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A port of 127.0.0.1 that nothing listens on. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise(resolve => void server.once('listening', resolve));
  const address = server.address();
  await new Promise(resolve => void server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** This process's own, without what a setting or the test runner would change in the child. */
function environment(settings: Settings): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:SCEP_|NODE_)/.test(name));
  return { ...Object.fromEntries(kept), NODE_COMPILE_CACHE: join(scratch, 'compiled'), ...settings };
}
