/** A record of the audit trail in CloudTrail's form (AWS CloudTrail User Guide, "CloudTrail record contents"; Private CA User Guide, "Log Connector for SCEP API calls"). */
import { connectorService } from './private-ca.ts';
import { connectorArn, parseCertificateAuthorityArn, parseChallengeArn, parseConnectorArn, parseRequestArn } from './resources.ts';

/** CloudTrail cuts its text members at 1 KB and leaves out parameters beyond 100 KB. */
export const recordLimits = { textCharactersMax: 1024, parameterCharactersMax: 65_536, parameterDepthMax: 16 } as const;

/** 'Service' is what the service did of its own accord: to CloudTrail a management event of the type AwsServiceEvent. */
export type AuditCategory = 'Management' | 'Data' | 'Service';

export type CloudTrailRecord = Readonly<Record<string, unknown>>;

/** An event as the store keeps it. `detail` is JSON: of a call its members that no column has, of the service's own doings what they are about. */
export interface StoredEvent {
  event_id: string;
  category: AuditCategory;
  at: number;
  name: string;
  account_id: string | null;
  region: string | null;
  connector_id: string | null;
  source: string | null;
  outcome: string;
  reason: string | null;
  detail: string;
}

/** The members of a call's record that no column has, as CloudTrail spells them. Absent ones may be undefined. */
export interface CallDetail {
  eventSource: string;
  userIdentity?: object;
  userAgent?: string | undefined;
  errorCode?: string | undefined;
  requestParameters?: object | null;
  responseElements?: object | null;
  additionalEventData?: object;
  requestID: string;
  readOnly: boolean;
  resources?: readonly Resource[] | undefined;
  tlsDetails?: object | undefined;
}

interface Resource {
  accountId: string;
  type: string;
  ARN: string;
}

export function toCloudTrail(event: StoredEvent): CloudTrailRecord {
  const detail: unknown = JSON.parse(event.detail);
  const accountId = event.account_id ?? undefined;
  const isCall = event.category !== 'Service';
  const call = isCall ? (detail as CallDetail) : undefined;
  const eventSource = call?.eventSource ?? connectorService;
  return present({
    // As in the samples of the two kinds of events.
    eventVersion: event.category === 'Data' ? '1.10' : '1.09',
    userIdentity: isCall ? (call?.userIdentity ?? device(accountId)) : present({ accountId, invokedBy: connectorService }),
    eventTime: `${new Date(event.at).toISOString().slice(0, 19)}Z`,
    eventSource,
    eventName: event.name,
    awsRegion: event.region ?? undefined,
    sourceIPAddress: event.source ?? eventSource,
    userAgent: isCall ? call?.userAgent : eventSource,
    errorCode: call?.errorCode,
    errorMessage: isCall ? (event.reason ?? undefined) : undefined,
    requestParameters: call?.requestParameters ?? null,
    responseElements: call?.responseElements ?? null,
    additionalEventData: call?.additionalEventData,
    requestID: call?.requestID,
    eventID: event.event_id,
    readOnly: call?.readOnly ?? false,
    resources: call?.resources ?? connectorOf(event),
    eventType: isCall ? 'AwsApiCall' : 'AwsServiceEvent',
    managementEvent: event.category !== 'Data',
    recipientAccountId: accountId,
    serviceEventDetails: isCall ? undefined : present({ outcome: event.outcome, reason: event.reason ?? undefined, ...(detail as object) }),
    eventCategory: event.category === 'Data' ? 'Data' : 'Management',
    tlsDetails: call?.tlsDetails,
  });
}

/** A SCEP client has no identity of AWS's: CloudTrail shows the account that owns the connector. */
function device(accountId: string | undefined): object {
  return present({ type: 'FederatedUser', principalId: accountId, accountId });
}

function connectorOf({ account_id: accountId, region, connector_id: connectorId }: StoredEvent): Resource[] | undefined {
  if (accountId === null || region === null || connectorId === null) return undefined;
  return resourcesOf(connectorArn({ accountId, region }, connectorId));
}

const resourceTypes: readonly (readonly [names: (arn: string) => boolean, type: string])[] = [
  [arn => parseConnectorArn(arn) !== undefined, 'AWS::PCAConnectorSCEP::Connector'],
  [arn => parseChallengeArn(arn) !== undefined, 'AWS::PCAConnectorSCEP::Challenge'],
  // AWS has no such resource, and no type for it.
  [arn => parseRequestArn(arn) !== undefined, 'ScepConnector::Request'],
  [arn => parseCertificateAuthorityArn(arn) !== undefined, 'AWS::ACMPCA::CertificateAuthority'],
  [arn => parseCertificateAuthorityArn(arn.replace(/\/certificate\/[0-9a-f]{1,64}$/, '')) !== undefined, 'AWS::ACMPCA::Certificate'],
  [arn => /^arn:aws[a-z-]*:iam::\d{12}:user\/[\w+=,.@-]{1,64}$/.test(arn), 'AWS::IAM::User'],
];

/** What an ARN names, if it is one of a resource that we know. */
export function resourcesOf(ARN: string): Resource[] | undefined {
  const type = resourceTypes.find(([names]) => names(ARN))?.[1];
  const accountId = ARN.split(':', 5)[4];
  return type === undefined || accountId === undefined ? undefined : [{ accountId, type, ARN }];
}

export function cutText(text: string): string {
  const { textCharactersMax } = recordLimits;
  return text.length <= textCharactersMax ? text : `${text.slice(0, textCharactersMax)}… (${text.length} characters)`;
}

/**
 * Parameters that are too long have their long values cut. CloudTrail leaves all of them out, behind which a policy can be hidden by making it
 * large; here that happens only to those with too many values.
 */
export function boundParameters(member: 'requestParameters' | 'responseElements', parameters: object | null): object | null {
  if (parameters === null) return null;
  const whole = copy(parameters, text => text);
  const originalSize = sizeOf(whole);
  if (originalSize <= recordLimits.parameterCharactersMax) return whole;
  const cut = copy(parameters, cutText);
  if (sizeOf(cut) <= recordLimits.parameterCharactersMax) return cut;
  return { reason: `${member} too large`, omitted: true, originalSize };
}

/** Values as they were sent may be nested as deeply as JSON.parse can read, which JSON.stringify cannot always write. */
function copy(parameters: object, each: (text: string) => string): object {
  const copyValue = (value: unknown, depth: number): unknown => {
    if (typeof value === 'string') return each(value);
    if (typeof value !== 'object' || value === null) return value;
    if (depth === recordLimits.parameterDepthMax) return '…';
    if (Array.isArray(value)) return value.map(member => copyValue(member, depth + 1));
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [each(name), copyValue(member, depth + 1)]));
  };
  return copyValue(parameters, 0) as object;
}

function sizeOf(value: object): number {
  return JSON.stringify(value).length;
}

function present(members: Readonly<Record<string, unknown>>): CloudTrailRecord {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
