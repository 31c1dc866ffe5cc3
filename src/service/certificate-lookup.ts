/** GetCert and GetCRL (RFC 8894 sections 3.3.4 and 3.3.5): a device's own certificate again, and its authority's revocation list. */
import { findCertificateBySerial } from '../backends/store/certificates.ts';
import type { Database } from '../backends/store/database.ts';
import { getTransaction } from '../backends/store/transactions.ts';
import { type Name, namesEqual } from '../base/pki/name.ts';
import { parseCertificate } from '../base/pki/x509.ts';
import { type Failure, failure } from '../base/scep.ts';
import type { EnrolmentEndpoints } from './enrolment-endpoints.ts';
import type { RevocationLists } from './revocation-lists.ts';
import type { EnrolmentEndpoint, OpenedRequest } from './scep-requests.ts';

/** One answer to what names nothing and to what does not decrypt: see `openIssuerAndSerialNumber`. */
const unreadable = 'The request could not be decoded, or';

/** A list travels encrypted, in one message, into memory that is often small; longer ones are fetched over HTTP. */
export const certificateLookupLimits = { crlBytesMax: 1024 * 1024 } as const;

export interface IssuerAndSerialNumber {
  issuer: Name;
  serialNumber: string;
}

export class CertificateLookup {
  readonly #database: Database;
  readonly #enrolmentEndpoints: EnrolmentEndpoints;
  readonly #revocationLists: RevocationLists;

  constructor(parts: { database: Database; enrolmentEndpoints: EnrolmentEndpoints; revocationLists: RevocationLists }) {
    this.#database = parts.database;
    this.#enrolmentEndpoints = parts.enrolmentEndpoints;
    this.#revocationLists = parts.revocationLists;
  }

  /**
   * Only to the holder of the certificate's key, and only what this connector issued: serial numbers are nobody's to try. Every other answer is the
   * same.
   */
  async findCertificate(
    endpoint: EnrolmentEndpoint,
    { signer }: OpenedRequest,
    { issuer, serialNumber }: IssuerAndSerialNumber,
  ): Promise<{ certificate: Uint8Array } | Failure> {
    const { caId } = await this.#enrolmentEndpoints.openAuthority(endpoint);
    const row = await findCertificateBySerial(this.#database.query, { caId, serialNumber });
    const isHeld = endpoint.intune && row?.transaction_row_id ? await this.#isHeld(row.transaction_row_id) : false;
    const certificate = row?.certificate && !isHeld ? parseCertificate(row.certificate) : undefined;
    const isOwn =
      certificate !== undefined &&
      row?.connector_id === endpoint.connectorId &&
      row.kind === 'DEVICE' &&
      namesEqual(certificate.issuer, issuer) &&
      certificate.publicKey.equals(signer.publicKey);
    return isOwn
      ? { certificate: certificate.der }
      : failure('badCertId', `${unreadable} there is no such certificate of the key that signed it.`);
  }

  /** Intune has not taken notice of it: nobody is given it. */
  async #isHeld(transactionRowId: string): Promise<boolean> {
    const transaction = await getTransaction(this.#database.query, transactionRowId);
    return transaction?.status !== 'SUCCESS';
  }

  /** For anyone who signs: a list is public. */
  async findRevocationList(endpoint: EnrolmentEndpoint, { issuer }: IssuerAndSerialNumber): Promise<{ crl: Uint8Array } | Failure> {
    const { caId, authority } = await this.#enrolmentEndpoints.openAuthority(endpoint);
    if (!namesEqual(authority.certificates[0].subject, issuer)) {
      return failure('badCertId', `${unreadable} its issuer is not the certificate authority of this connector.`);
    }
    const { der } = await this.#revocationLists.getRevocationList(caId);
    if (der.length <= certificateLookupLimits.crlBytesMax) return { crl: der };
    return failure('badRequest', `The CRL has more than ${certificateLookupLimits.crlBytesMax} bytes. Fetch it over HTTP.`);
  }
}
