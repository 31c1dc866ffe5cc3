/** The codec's one kind of refusal, as the tests ask for it. */
import assert from 'node:assert/strict';
import { PkiError, type PkiErrorReason } from '../../src/base/pki/pki-error.ts';

/** `work` must throw a PkiError with this reason and, where given, this text. Returns it. */
export function refused(work: () => unknown, reason: PkiErrorReason, message?: RegExp): PkiError {
  const error = caught(work);
  assert.ok(error instanceof PkiError, `a PkiError was due, not ${String(error)}`);
  assert.equal(error.reason, reason, error.message);
  if (message !== undefined) assert.match(error.message, message);
  return error;
}

/** What `work` gives, or undefined when it throws a PkiError; any other exception is a failure that names the input. */
export function valueOrRefusal<T>(work: () => T, describeInput: () => string): T | undefined {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof PkiError) return undefined;
    throw new Error(`not a PkiError on ${describeInput()}`, { cause });
  }
}

function caught(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}
