/** The quotas of the two AWS services with AWS's defaults and codes (AWS General Reference, "AWS Private CA endpoints and quotas"). */

export interface Quota {
  default: number;
  /** Where AWS publishes one. */
  QuotaCode?: string;
  description: string;
}

export type Rate = Omit<Quota, 'description'>;

/** How many there may be. */
export const resourceQuotas = {
  CONNECTORS: { default: 20, QuotaCode: 'L-CB21FAEA', description: 'connectors per account' },
  CHALLENGES: { default: 5, QuotaCode: 'L-D42FC980', description: 'challenges per connector' },
  CERTIFICATE_AUTHORITIES: { default: 200, QuotaCode: 'L-799883CD', description: 'private CAs per account' },
} as const satisfies Record<string, Quota>;
export type ResourceQuotaName = keyof typeof resourceQuotas;

/** How many calls a second an account may make of an operation: AWS's operation names. */
export const rateQuotas = {
  CreateChallenge: { default: 5, QuotaCode: 'L-F76F0010' },
  CreateConnector: { default: 5, QuotaCode: 'L-7ED03DC7' },
  DeleteChallenge: { default: 5, QuotaCode: 'L-35687899' },
  DeleteConnector: { default: 5, QuotaCode: 'L-A87A2654' },
  GetChallengeMetadata: { default: 50, QuotaCode: 'L-2F85730F' },
  GetChallengePassword: { default: 50, QuotaCode: 'L-32FCF930' },
  GetConnector: { default: 50, QuotaCode: 'L-2A99D11A' },
  ListChallengeMetadata: { default: 50, QuotaCode: 'L-8450A20F' },
  ListConnectors: { default: 50, QuotaCode: 'L-98EB5A5D' },
  ListTagsForResource: { default: 50, QuotaCode: 'L-43C22268' },
  TagResource: { default: 50, QuotaCode: 'L-F4B10249' },
  UntagResource: { default: 50, QuotaCode: 'L-F422750F' },
  CreateCertificateAuthority: { default: 1 },
  CreateCertificateAuthorityAuditReport: { default: 1 },
  CreatePermission: { default: 1 },
  DeleteCertificateAuthority: { default: 10 },
  DeletePermission: { default: 1 },
  DeletePolicy: { default: 5 },
  DescribeCertificateAuthority: { default: 20 },
  DescribeCertificateAuthorityAuditReport: { default: 20 },
  GetCertificate: { default: 75, QuotaCode: 'L-1725E639' },
  GetCertificateAuthorityCertificate: { default: 20 },
  GetCertificateAuthorityCsr: { default: 10 },
  GetPolicy: { default: 5 },
  ImportCertificateAuthorityCertificate: { default: 10 },
  IssueCertificate: { default: 25, QuotaCode: 'L-CAFB4993' },
  ListCertificateAuthorities: { default: 20 },
  ListPermissions: { default: 5 },
  ListTags: { default: 20 },
  PutPolicy: { default: 5 },
  RestoreCertificateAuthority: { default: 20 },
  RevokeCertificate: { default: 20 },
  TagCertificateAuthority: { default: 10 },
  UntagCertificateAuthority: { default: 10 },
  UpdateCertificateAuthority: { default: 10 },
} as const satisfies Record<string, Rate>;
export type RateQuotaName = keyof typeof rateQuotas;

/** How many requests a second a connector answers. */
export const connectorRateQuotas = {
  GetCACaps: { default: 20, QuotaCode: 'L-456B57EC' },
  GetCACert: { default: 20, QuotaCode: 'L-5967BA28' },
  PKCSReq: { default: 10, QuotaCode: 'L-A0B79F1B' },
} as const satisfies Record<string, Rate>;
export type ConnectorRateQuotaName = keyof typeof connectorRateQuotas;

/** The values in force; Infinity where a quota is switched off. */
export interface Quotas {
  readonly resources: Readonly<Record<ResourceQuotaName, number>>;
  readonly rates: Readonly<Record<RateQuotaName, number>>;
  readonly connectorRates: Readonly<Record<ConnectorRateQuotaName, number>>;
}
