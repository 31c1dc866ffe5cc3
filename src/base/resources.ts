/** The resources of the AWS API (connectors, challenges and their statuses) in AWS's own spelling, and the ARNs that name them. */

export type ConnectorStatus = 'CREATING' | 'ACTIVE' | 'DELETING' | 'FAILED';
export type ConnectorType = 'GENERAL_PURPOSE' | 'INTUNE';
export type ConnectorStatusReason =
  | 'INTERNAL_FAILURE'
  | 'PRIVATECA_ACCESS_DENIED'
  | 'PRIVATECA_INVALID_STATE'
  | 'PRIVATECA_RESOURCE_NOT_FOUND'
  | 'VPC_ENDPOINT_RESOURCE_NOT_FOUND'
  | 'VPC_ENDPOINT_DNS_ENTRIES_NOT_FOUND';

/** AWS's MobileDeviceManagement is a union: absent, or exactly one member. */
export interface MobileDeviceManagement {
  Intune: { AzureApplicationId: string; Domain: string };
}

export interface OpenIdConfiguration {
  Issuer: string;
  Subject: string;
  Audience: string;
}

/** AWS's Connector and ConnectorSummary, which have the same members. Instants are milliseconds here; `rest-json.ts` writes epoch seconds. */
export interface Connector {
  Arn: string;
  CertificateAuthorityArn: string;
  Type: ConnectorType;
  MobileDeviceManagement?: MobileDeviceManagement;
  OpenIdConfiguration?: OpenIdConfiguration;
  Status: ConnectorStatus;
  StatusReason?: ConnectorStatusReason;
  Endpoint?: string;
  CreatedAt: number;
  UpdatedAt: number;
}

export interface ChallengeMetadata {
  Arn: string;
  ConnectorArn: string;
  CreatedAt: number;
  UpdatedAt: number;
}

export interface Challenge extends ChallengeMetadata {
  Password: string;
}

/** Who calls the API: the user whose access key the request was signed with. */
export interface Principal {
  accountId: string;
  arn: string;
  userName: string;
  accessKeyId: string;
  /** Of a temporary credential: the IAM policy that narrows what its user may do. */
  sessionPolicy?: string;
}

/** Where a resource lives: the account and region columns of every row. */
export interface Home {
  accountId: string;
  region: string;
}

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const connectorArnForm = new RegExp(
  `^arn:aws(?:-[a-z]+)*:pca-connector-scep:([a-z]+(?:-[a-z]+)+-[1-9]\\d*):(\\d{12}):connector/(${uuid})$`,
);
const challengeArnForm = new RegExp(
  `^arn:aws(?:-[a-z]+)*:pca-connector-scep:([a-z]+(?:-[a-z]+)+-[1-9]\\d*):(\\d{12}):connector/(${uuid})/challenge/(${uuid})$`,
);
const requestArnForm = new RegExp(
  `^arn:aws(?:-[a-z]+)*:pca-connector-scep:([a-z]+(?:-[a-z]+)+-[1-9]\\d*):(\\d{12}):connector/(${uuid})/request/(${uuid})$`,
);
const certificateAuthorityArnForm = new RegExp(
  `^arn:aws(?:-[a-z]+)*:acm-pca:([a-z]+(?:-[a-z]+)+-[1-9]\\d*):(\\d{12}):certificate-authority/(${uuid})$`,
);

export function connectorArn(home: Home, connectorId: string): string {
  return `arn:aws:pca-connector-scep:${home.region}:${home.accountId}:connector/${connectorId}`;
}

export function challengeArn(home: Home, connectorId: string, challengeId: string): string {
  return `${connectorArn(home, connectorId)}/challenge/${challengeId}`;
}

/** Of a request that waits, or has waited, for an operator: AWS has none. */
export function requestArn(home: Home, connectorId: string, requestId: string): string {
  return `${connectorArn(home, connectorId)}/request/${requestId}`;
}

export function certificateAuthorityArn(home: Home, caId: string): string {
  return `arn:aws:acm-pca:${home.region}:${home.accountId}:certificate-authority/${caId}`;
}

/** The parts of a connector's ARN, or undefined when the text is not one. */
export function parseConnectorArn(arn: string): (Home & { connectorId: string }) | undefined {
  const [, region, accountId, connectorId] = connectorArnForm.exec(arn) ?? [];
  return region && accountId && connectorId ? { region, accountId, connectorId } : undefined;
}

/** The parts of a challenge's ARN, or undefined when the text is not one. */
export function parseChallengeArn(arn: string): (Home & { connectorId: string; challengeId: string }) | undefined {
  const [, region, accountId, connectorId, challengeId] = challengeArnForm.exec(arn) ?? [];
  return region && accountId && connectorId && challengeId ? { region, accountId, connectorId, challengeId } : undefined;
}

/** The parts of a waiting request's ARN, or undefined when the text is not one. */
export function parseRequestArn(arn: string): (Home & { connectorId: string; requestId: string }) | undefined {
  const [, region, accountId, connectorId, requestId] = requestArnForm.exec(arn) ?? [];
  return region && accountId && connectorId && requestId ? { region, accountId, connectorId, requestId } : undefined;
}

/** The parts of a certificate authority's ARN, or undefined when the text is not one. */
export function parseCertificateAuthorityArn(arn: string): (Home & { caId: string }) | undefined {
  const [, region, accountId, caId] = certificateAuthorityArnForm.exec(arn) ?? [];
  return region && accountId && caId ? { region, accountId, caId } : undefined;
}
