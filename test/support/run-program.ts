/** Runs another program to its end without holding up this process, whose server the program may be talking to. */
import { spawn } from 'node:child_process';
import { buffer } from 'node:stream/consumers';
import { findProgram, type Program } from './programs.ts';

const timeoutMs = 60_000;

export interface Ended {
  /** Null when it was killed, as it is when it does not end in time. */
  status: number | null;
  stdout: Buffer;
  stderr: string;
}

export async function runProgram(
  program: Program,
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string> },
): Promise<Ended> {
  const child = spawn(findProgram(program) ?? program, args, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject);
  child.on('close', resolve);
  const [status, stdout, stderr] = await Promise.all([promise, buffer(child.stdout), buffer(child.stderr)]);
  return { status, stdout, stderr: stderr.toString() };
}
