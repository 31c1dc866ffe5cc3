/** What a client may be told when the store or the certificate authority cannot do its work: an outage to wait out, without the operator's file names. */
import { CaError } from '../backends/ca/certificate-authority.ts';
import { StoreError, type StoreErrorReason } from '../backends/store/database.ts';
import { OverloadError } from '../base/worker-pool.ts';

const messageByReason: Record<StoreErrorReason, string> = {
  full: 'The disk of this service is full. Nothing was changed; try again once its operator has freed some space.',
  'read-only': 'This service cannot write to its store. Nothing was changed; try again once its operator has restored write access.',
  locked: 'The store of this service is busy. Nothing was changed; try again.',
  unreachable: 'This service cannot reach its store. Try again later.',
  corrupt: 'The store of this service is damaged. Its operator has to restore a backup.',
  newer: 'The store of this service was changed by a newer version. Its operator has to run that version.',
};

/** Undefined when the error is not an outage. */
export function outageMessage(error: unknown): string | undefined {
  if (error instanceof CaError) return `This connector cannot issue at present (${error.reason}). Try again later.`;
  if (error instanceof OverloadError) return 'This service is overloaded. Try again later.';
  return error instanceof StoreError ? messageByReason[error.reason] : undefined;
}
