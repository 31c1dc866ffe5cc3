/** The one exception of the codec: what is wrong with received bytes, in a form that SCEP's failInfo can be chosen from. */

/**
 * - `malformed`: the bytes are not what the syntax demands (failInfo badRequest, HTTP 400 before a transactionID is known)
 * - `unsupportedAlgorithm`: an algorithm we do not know or policy refuses (failInfo badAlg)
 * - `badSignature`: a signature, digest or the identity of a signer does not hold (failInfo badMessageCheck)
 */
export type PkiErrorReason = 'malformed' | 'unsupportedAlgorithm' | 'badSignature';

export class PkiError extends Error {
  override readonly name = 'PkiError';
  readonly reason: PkiErrorReason;

  constructor(reason: PkiErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

export function malformed(message: string, options?: ErrorOptions): PkiError {
  return new PkiError('malformed', message, options);
}
