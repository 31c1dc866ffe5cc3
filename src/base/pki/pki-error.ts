/** The one exception of the codec: what is wrong with received bytes, in a form that SCEP's failInfo can be chosen from. */

/**
 * - `malformed`: the bytes are not the CMS, PKCS#10 or X.509 that the syntax demands (failInfo badRequest, HTTP 400 before a transactionID is known)
 * - `undecodable`: CMS it is, but no SCEP: an attribute that the RFC demands, or what the envelope holds, cannot be read (badRequest)
 * - `otherRecipient`: the envelope is for other keys than ours; nothing was decrypted (badRequest)
 * - `unsupportedAlgorithm`: an algorithm we do not know or policy refuses (badAlg)
 * - `unsuitableRecipient`: an answer cannot be encrypted to the signer's key (badAlg)
 * - `badTime`: the signer's clock is further off than policy allows (badTime)
 * - `badSignature`: a signature or digest does not hold (badMessageCheck)
 * - `noSignerCertificate`: the certificate that a signer names is not there (badMessageCheck)
 */
export type PkiErrorReason =
  | 'malformed'
  | 'undecodable'
  | 'otherRecipient'
  | 'unsupportedAlgorithm'
  | 'unsuitableRecipient'
  | 'badTime'
  | 'badSignature'
  | 'noSignerCertificate';

export class PkiError extends Error {
  override readonly name = 'PkiError';
  readonly reason: PkiErrorReason;
  /** The OID of an algorithm that is not supported, where there is one. */
  readonly algorithm: string | undefined;

  constructor(reason: PkiErrorReason, message: string, { algorithm, ...options }: ErrorOptions & { algorithm?: string | undefined } = {}) {
    super(message, options);
    this.reason = reason;
    this.algorithm = algorithm;
  }
}

export function malformed(message: string, options?: ErrorOptions): PkiError {
  return new PkiError('malformed', message, options);
}

export function undecodable(message: string, options?: ErrorOptions): PkiError {
  return new PkiError('undecodable', message, options);
}
