/** The port to a certificate authority: what the service may ask of the one that issues a connector's certificates. */
import type { Extension } from '../../base/pki/extensions.ts';
import type { Certificate } from '../../base/pki/x509.ts';
import type { ConnectorStatusReason } from '../../base/resources.ts';

export interface CertificateAuthority {
  /** The authority's own certificate, then its issuers up to the self-signed root. */
  readonly certificates: readonly [Certificate, ...Certificate[]];
  /** An end entity's certificate, DER. The same request gives the same certificate, not a second one. Throws CaError. */
  issue(request: IssueRequest): Promise<Uint8Array>;
}

/**
 * What the certificate is to say. The authority itself adds basicConstraints CA:FALSE, subjectKeyIdentifier and authorityKeyIdentifier, as AWS's
 * template BlankEndEntityCertificate_APICSRPassthrough does.
 */
export interface IssueRequest {
  /** 128 random bits in 32 hexadecimal digits, chosen when the intent was recorded. The embedded CA takes it for the serial number. */
  issuanceId: string;
  /** DER of the Name and of the SubjectPublicKeyInfo. */
  subject: Uint8Array;
  subjectPublicKeyInfo: Uint8Array;
  extensions: readonly Extension[];
  notBefore: number;
  notAfter: number;
}

/** The authority cannot issue: an outage, which `reason` names in the words of a connector's StatusReason. */
export class CaError extends Error {
  override readonly name = 'CaError';
  readonly reason: ConnectorStatusReason;

  constructor(reason: ConnectorStatusReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
