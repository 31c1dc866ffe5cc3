/** Tasks for the worker pool's tests, in a module of their own: a worker imports the module of each task it runs. */
import type { KeyObject } from 'node:crypto';
import { malformed } from '../../src/base/pki/pki-error.ts';
import type { Task } from '../../src/base/worker-pool.ts';

export function add({ a, b }: { a: number; b: number }): number {
  return a + b;
}
export function refuse(message: string): never {
  throw malformed(message);
}
export function fail(message: string): never {
  throw new TypeError(message);
}
export function modulusLength(key: KeyObject): number | undefined {
  return key.asymmetricKeyDetails?.modulusLength;
}
export function endThread(): never {
  process.exit(1);
}

function task<Input, Output>(name: string, run: (input: Input) => Output): Task<Input, Output> {
  return { module: import.meta.url, name, run };
}

export const addTask = task('add', add);
export const refuseTask = task('refuse', refuse);
export const failTask = task('fail', fail);
export const modulusLengthTask = task('modulusLength', modulusLength);
export const endThreadTask = task('endThread', endThread);
