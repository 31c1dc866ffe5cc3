/** Where a SCEP URL leads: the connector behind it, its key pairs, and the certificates that GetCACert and GetNextCACert answer with. */
import { timingSafeEqual } from 'node:crypto';
import { findAccount } from '../backends/store/accounts.ts';
import { findConnectorById } from '../backends/store/connectors.ts';
import type { ConnectorRow, Database } from '../backends/store/database.ts';
import { algorithmPolicyOf } from '../base/enrolment-policy.ts';
import { parsePem } from '../base/pki/pem.ts';
import type { Certificate } from '../base/pki/x509.ts';
import type { CertificateAuthorities, OpenAuthority } from './certificate-authorities.ts';
import type { Endpoints } from './endpoints.ts';
import { enrolmentPolicyOf } from './enrolment-policies.ts';
import { intuneConnectorOf } from './intune-access.ts';
import type { RaKeyRing, RaKeys } from './ra-keys.ts';
import type { EnrolmentEndpoint, NamedConnector } from './scep-requests.ts';

interface EnrolmentEndpointsParts {
  database: Database;
  certificateAuthorities: CertificateAuthorities;
  raKeys: RaKeys;
  endpoints: Endpoints;
  compatibility: 'clients' | 'aws';
}

/** What a URL leads to. With a wrong secret, or at a wrong host, it only names a connector. */
export interface FoundEndpoint {
  named?: NamedConnector;
  endpoint?: EnrolmentEndpoint;
}

export class EnrolmentEndpoints {
  readonly #parts: EnrolmentEndpointsParts;

  constructor(parts: EnrolmentEndpointsParts) {
    this.#parts = parts;
  }

  /** What is behind `/{accountId}-{connectorId}/{secret}` at a host. The secret is compared in constant time. */
  async findEndpoint({
    accountId,
    connectorId,
    secret,
    host,
  }: {
    accountId: string;
    connectorId: string;
    secret: string;
    host: string | undefined;
  }): Promise<FoundEndpoint> {
    const row = await findConnectorById(this.#parts.database.query, connectorId);
    if (row === undefined || row.account_id !== accountId) return {};
    const named = { accountId, region: row.region, connectorId };
    if (!secretsEqual(row.endpoint_secret, secret) || !this.#parts.endpoints.isReachedAt(row.vpc_endpoint_id, host)) return { named };
    return { named, endpoint: this.#endpointOf(row) };
  }

  #endpointOf(row: ConnectorRow): EnrolmentEndpoint {
    const policy = enrolmentPolicyOf(row);
    return {
      connectorId: row.connector_id,
      accountId: row.account_id,
      region: row.region,
      intune: intuneConnectorOf(row),
      certificateAuthorityArn: row.certificate_authority_arn,
      status: row.status,
      policy,
      policyDocument: row.enrolment_policy,
      // Intune renews by a new challenge, and is to be asked each time.
      renews: policy.Renewal.Mode === 'CERTIFICATE' && this.#parts.compatibility === 'clients' && row.type !== 'INTUNE',
      algorithms: algorithmPolicyOf(policy),
    };
  }

  async accountExists(accountId: string): Promise<boolean> {
    return (await findAccount(this.#parts.database.query, accountId)) !== undefined;
  }

  /** Throws CaError when none is valid any more. */
  async getRaKeys({ connectorId }: EnrolmentEndpoint): Promise<RaKeyRing> {
    return this.#parts.raKeys.getRaKeys(connectorId);
  }

  /** GetCACert's answer: the RA certificate or certificates, the issuing CA and its issuers up to the root. Throws CaError. */
  async listCaCertificates(endpoint: EnrolmentEndpoint): Promise<Certificate[]> {
    const [{ certificates }, { authority }] = await Promise.all([this.getRaKeys(endpoint), this.openAuthority(endpoint)]);
    return [...certificates, ...authority.certificates];
  }

  /** The certificate that requests are encrypted to. Throws CaError. */
  async getRaCertificate(endpoint: EnrolmentEndpoint): Promise<Certificate> {
    return (await this.getRaKeys(endpoint)).recipient;
  }

  /** The authority that issues for the connector. Throws CaError. */
  async openAuthority({ certificateAuthorityArn }: EnrolmentEndpoint): Promise<OpenAuthority> {
    return this.#parts.certificateAuthorities.openForConnector(certificateAuthorityArn);
  }

  /**
   * Whether GetNextCACert is answered: there are next certificates, and the CA's key can sign them in CMS. An ML-DSA key can not, in what SCEP's
   * clients read. Never where AWS is to be matched, whose connector does not have the operation.
   */
  async hasNextCaCertificates(endpoint: EnrolmentEndpoint): Promise<boolean> {
    if (endpoint.policy.NextCaCertificate === undefined || this.#parts.compatibility === 'aws') return false;
    const { authority } = await this.openAuthority(endpoint);
    return authority.certificates[0].publicKey.kind !== 'ML-DSA';
  }

  /** GetNextCACert's answer (RFC 8894 section 4.7.1): the next CA's certificates in a SignedData that the present CA has signed, DER. Throws CaError. */
  async signNextCaCertificates(endpoint: EnrolmentEndpoint): Promise<Uint8Array> {
    const certificates = parsePem('CERTIFICATE', endpoint.policy.NextCaCertificate ?? '');
    const { authority } = await this.openAuthority(endpoint);
    return authority.signCertificates(certificates);
  }
}

function secretsEqual(a: string, b: string): boolean {
  const [octetsA, octetsB] = [Buffer.from(a), Buffer.from(b)];
  return octetsA.length === octetsB.length && timingSafeEqual(octetsA, octetsB);
}
