/** The clock and the source of randomness: the only file that reads either, so that a test or the simulation can hand in its own. */
import { randomBytes, randomUUID } from 'node:crypto';

export interface System {
  /** The present instant in integer milliseconds since the epoch. */
  now(): number;
  /** `size` bytes fit for keys, nonces and serial numbers. */
  randomBytes(size: number): Uint8Array;
  /** A random (version 4) UUID in lower case. */
  randomUUID(): string;
}

export const realSystem: System = {
  now: () => Date.now(),
  randomBytes: size => randomBytes(size),
  randomUUID: () => randomUUID(),
};

/** Does the work, and comes back from it no sooner. For less than a timer can do: it waits without giving the thread away. */
export function takeAtLeast<T>(ms: number, work: () => T): T {
  const until = performance.now() + ms;
  try {
    return work();
  } finally {
    while (performance.now() < until);
  }
}
