/** What a client may be told when the store or the certificate authority cannot do its work: an outage to wait out, without the operator's file names. */
import { CaError } from '../backends/ca/certificate-authority.ts';
import { MicrosoftError } from '../backends/intune/microsoft-error.ts';
import { StoreError, type StoreErrorReason } from '../backends/store/database.ts';
import type { ConnectorStatusReason } from '../base/resources.ts';
import type { ConnectorError, ConnectorErrorCode } from '../base/scep.ts';
import { OverloadError } from '../base/worker-pool.ts';

/** What was asked for is not what it was when the request came. The next request finds it as it is. */
export class ConnectorChangedError extends Error {
  override readonly name = 'ConnectorChangedError';

  constructor() {
    super('The connector has changed since the request was initiated.');
  }
}

/** Another request gave up what this one was to finish. The next one begins anew. */
export class IntentAbandonedError extends Error {
  override readonly name = 'IntentAbandonedError';

  constructor() {
    super('The certificate was not issued. Try again.');
  }
}

/** A device that waits its turn comes back; one that is refused does not. */
export class TooManyPendingError extends Error {
  override readonly name = 'TooManyPendingError';

  constructor() {
    super('Too many requests wait for approval. Try again once an operator has decided some of them.');
  }
}

/** Intune has to know of a certificate before its device has it. The device comes back for it. */
export class CertificateHeldError extends Error {
  override readonly name = 'CertificateHeldError';
  readonly retryAfterMs: number | undefined;

  constructor(reason: string, retryAfterMs?: number) {
    super(`The certificate is held until Intune has taken notice of it. ${reason}`);
    this.retryAfterMs = retryAfterMs;
  }
}

const messageByReason: Record<StoreErrorReason, string> = {
  full: 'The disk of this service is full. Nothing was changed; try again once its operator has freed some space.',
  'read-only': 'This service cannot write to its store. Nothing was changed; try again once its operator has restored write access.',
  locked: 'The store of this service is busy. Nothing was changed; try again.',
  unreachable: 'This service cannot reach its store. Try again later.',
  corrupt: 'The store of this service is damaged. Its operator has to restore a backup.',
  newer: 'The store of this service was changed by a newer version. Its operator has to run that version.',
};

const errorByReason: Partial<Record<ConnectorStatusReason, ConnectorErrorCode>> = {
  PRIVATECA_ACCESS_DENIED: 'authorityAccessDenied',
  PRIVATECA_INVALID_STATE: 'authorityNotActive',
  PRIVATECA_RESOURCE_NOT_FOUND: 'authorityDoesNotExist',
};

interface Outage {
  message: string;
  /** What AWS's connector calls it, where it does. */
  error?: ConnectorError;
  /** Where it is known how long it will last. */
  retryAfterMs?: number | undefined;
}

/** Undefined when the error is not an outage. */
export function outageOf(error: unknown): Outage | undefined {
  if (error instanceof CaError) {
    const code = errorByReason[error.reason];
    const message = `This connector cannot issue at present (${error.reason}). Try again later.`;
    return { message, ...(code && { error: { code } }) };
  }
  if (error instanceof ConnectorChangedError) return { message: `${error.message} Try again.`, error: { code: 'connectorChanged' } };
  if (error instanceof IntentAbandonedError || error instanceof TooManyPendingError) return { message: error.message };
  if (error instanceof MicrosoftError || error instanceof CertificateHeldError) {
    return { message: 'This connector waits for Microsoft Intune. Try again later.', retryAfterMs: error.retryAfterMs };
  }
  if (error instanceof OverloadError) return { message: 'This service is overloaded. Try again later.' };
  return error instanceof StoreError ? { message: messageByReason[error.reason] } : undefined;
}
