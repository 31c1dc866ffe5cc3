/** The 12 operations of pca-connector-scep as data, in the terms of AWS's model (API version 2018-05-10). */
import { connectorService, connectorTemplateArn } from '../../base/private-ca.ts';
import { connectorArn, type Home } from '../../base/resources.ts';
import type { Challenges } from '../../service/challenges.ts';
import type { Connectors } from '../../service/connectors.ts';
import type { Tags } from '../../service/tags.ts';
import type { Dependency, ParsedInput } from './operation.ts';
import { pagingMembers } from './pagination.ts';
import { type RestOperation, restOperation } from './rest-json.ts';
import type { Members, Shape } from './validation.ts';

export interface ScepServices {
  connectors: Connectors;
  challenges: Challenges;
  tags: Tags;
}

const uuid = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const partition = 'aws(-[a-z]+)*';
const regionAndAccount = '[a-z]+(-[a-z]+)+-[1-9]\\d*:\\d{12}';
const connectorPattern = `arn:${partition}:pca-connector-scep:${regionAndAccount}:connector\\/${uuid}`;

const text = { type: 'string' } as const;
const sensitiveText = { type: 'string', sensitive: true } as const;
const timestamp = { type: 'timestamp' } as const;
const tags = { type: 'map' } as const;
export const connectorArnText = { type: 'string', minLength: 5, maxLength: 200, pattern: `^${connectorPattern}$` } as const;
const challengeArnText = { type: 'string', minLength: 5, maxLength: 200, pattern: `^${connectorPattern}\\/challenge\\/${uuid}$` } as const;
/** Of what waits for an operator, which AWS does not have. */
export const requestArnText = {
  type: 'string',
  minLength: 5,
  maxLength: 200,
  pattern: `^${connectorPattern}\\/request\\/${uuid}$`,
} as const;
const certificateAuthorityArnText = {
  type: 'string',
  minLength: 5,
  maxLength: 200,
  pattern: `^arn:${partition}:acm-pca:${regionAndAccount}:certificate-authority\\/${uuid}$`,
} as const;
export const clientToken = { type: 'string', minLength: 1, maxLength: 64, pattern: '^[!-~]+$' } as const;
const azurePart = '[a-zA-Z0-9]{2,15}';
const azureApplicationId = {
  type: 'string',
  minLength: 15,
  maxLength: 100,
  pattern: `^${azurePart}-${azurePart}-${azurePart}-${azurePart}-${azurePart}$`,
} as const;
const azureDomain = { type: 'string', minLength: 1, maxLength: 256, pattern: '^[a-zA-Z0-9._-]+$' } as const;
const vpcEndpointId = { type: 'string', minLength: 13, maxLength: 22, pattern: '^vpce-[0-9a-f]{8}([0-9a-f]{9})?$' } as const;
const mobileDeviceManagement = {
  type: 'union',
  members: {
    Intune: {
      shape: {
        type: 'structure',
        members: {
          AzureApplicationId: { shape: azureApplicationId, required: true },
          Domain: { shape: azureDomain, required: true },
        },
      },
    },
  },
} as const;

const paging = pagingMembers(1000);

/** AWS's Connector and ConnectorSummary. VpcEndpointId is never returned. */
const connector: Shape = {
  type: 'structure',
  members: {
    Arn: { shape: text },
    CertificateAuthorityArn: { shape: text },
    Type: { shape: text },
    MobileDeviceManagement: { shape: mobileDeviceManagement },
    OpenIdConfiguration: {
      shape: { type: 'structure', members: { Issuer: { shape: text }, Subject: { shape: text }, Audience: { shape: text } } },
    },
    Status: { shape: text },
    StatusReason: { shape: text },
    Endpoint: { shape: text },
    CreatedAt: { shape: timestamp },
    UpdatedAt: { shape: timestamp },
  },
};
const challengeMetadataMembers: Members = {
  Arn: { shape: text },
  ConnectorArn: { shape: text },
  CreatedAt: { shape: timestamp },
  UpdatedAt: { shape: timestamp },
};
const challengeMetadata: Shape = { type: 'structure', members: challengeMetadataMembers };
const challenge: Shape = { type: 'structure', members: { ...challengeMetadataMembers, Password: { shape: sensitiveText } } };

/** Whoever creates a connector must be allowed to do himself what the connector will do with the CA. Another account's CA is no connector's at all. */
function authorityUse({ CertificateAuthorityArn }: ParsedInput, { accountId }: Home): Dependency[] {
  if (typeof CertificateAuthorityArn !== 'string' || CertificateAuthorityArn.split(':', 5)[4] !== accountId) return [];
  const calledVia = { 'aws:calledvia': [connectorService] };
  const actions = ['DescribeCertificateAuthority', 'GetCertificate', 'GetCertificateAuthorityCertificate', 'IssueCertificate'];
  return actions.map(action => ({
    action: `acm-pca:${action}`,
    resource: CertificateAuthorityArn,
    context: action === 'IssueCertificate' ? { ...calledVia, 'acm-pca:templatearn': [connectorTemplateArn] } : calledVia,
  }));
}

/** Tags at creation take the permission to tag what is being created. */
function tagging({ Tags }: ParsedInput, resource: string): Dependency[] {
  const isTagged = typeof Tags === 'object' && Tags !== null && Object.keys(Tags).length > 0;
  return isTagged ? [{ action: 'pca-connector-scep:TagResource', resource }] : [];
}

export const scepOperations: readonly RestOperation<ScepServices>[] = [
  restOperation({
    name: 'CreateConnector',
    method: 'POST',
    uri: '/connectors',
    statusCode: 202,
    action: 'pca-connector-scep:CreateConnector',
    errors: ['ConflictException', 'ResourceNotFoundException', 'ServiceQuotaExceededException'],
    dependencies: (input, home) => [...authorityUse(input, home), ...tagging(input, connectorArn(home, '*'))],
    input: {
      CertificateAuthorityArn: { place: 'body', shape: certificateAuthorityArnText, required: true },
      MobileDeviceManagement: { place: 'body', shape: mobileDeviceManagement },
      VpcEndpointId: { place: 'body', shape: vpcEndpointId },
      ClientToken: { place: 'body', shape: clientToken },
      Tags: { place: 'body', shape: tags },
    },
    output: { ConnectorArn: { shape: text } },
    call: ({ connectors }, principal, input) => connectors.createConnector(principal, input),
  }),
  restOperation({
    name: 'GetConnector',
    method: 'GET',
    uri: '/connectors/{ConnectorArn}',
    statusCode: 200,
    action: 'pca-connector-scep:GetConnector',
    errors: ['ResourceNotFoundException'],
    readOnly: true,
    resource: 'ConnectorArn',
    input: { ConnectorArn: { place: 'label', shape: connectorArnText, required: true } },
    output: { Connector: { shape: connector } },
    call: ({ connectors }, principal, { ConnectorArn }) => connectors.getConnector(principal, ConnectorArn),
  }),
  restOperation({
    name: 'ListConnectors',
    method: 'GET',
    uri: '/connectors',
    statusCode: 200,
    action: 'pca-connector-scep:ListConnectors',
    errors: [],
    readOnly: true,
    input: paging,
    output: { Connectors: { shape: { type: 'list', member: connector } }, NextToken: { shape: text } },
    pagedBy: [],
    call: ({ connectors }, principal, _input, page) => connectors.listConnectors(principal, page),
  }),
  restOperation({
    name: 'DeleteConnector',
    method: 'DELETE',
    uri: '/connectors/{ConnectorArn}',
    statusCode: 202,
    action: 'pca-connector-scep:DeleteConnector',
    errors: ['ConflictException', 'ResourceNotFoundException'],
    resource: 'ConnectorArn',
    input: { ConnectorArn: { place: 'label', shape: connectorArnText, required: true } },
    output: {},
    call: ({ connectors }, principal, { ConnectorArn }) => connectors.deleteConnector(principal, ConnectorArn),
  }),
  restOperation({
    name: 'CreateChallenge',
    method: 'POST',
    uri: '/challenges',
    statusCode: 202,
    action: 'pca-connector-scep:CreateChallenge',
    errors: ['BadRequestException', 'ConflictException', 'ResourceNotFoundException', 'ServiceQuotaExceededException'],
    resource: 'ConnectorArn',
    dependencies: input => tagging(input, `${String(input['ConnectorArn'])}/challenge/*`),
    input: {
      ConnectorArn: { place: 'body', shape: connectorArnText, required: true },
      ClientToken: { place: 'body', shape: clientToken },
      Tags: { place: 'body', shape: tags },
    },
    output: { Challenge: { shape: challenge } },
    call: ({ challenges }, principal, input) => challenges.createChallenge(principal, input),
  }),
  restOperation({
    name: 'GetChallengeMetadata',
    method: 'GET',
    uri: '/challengeMetadata/{ChallengeArn}',
    statusCode: 200,
    action: 'pca-connector-scep:GetChallengeMetadata',
    errors: ['ResourceNotFoundException'],
    readOnly: true,
    resource: 'ChallengeArn',
    input: { ChallengeArn: { place: 'label', shape: challengeArnText, required: true } },
    output: { ChallengeMetadata: { shape: challengeMetadata } },
    call: ({ challenges }, principal, { ChallengeArn }) => challenges.getChallengeMetadata(principal, ChallengeArn),
  }),
  restOperation({
    name: 'ListChallengeMetadata',
    method: 'GET',
    uri: '/challengeMetadata',
    statusCode: 200,
    action: 'pca-connector-scep:ListChallengeMetadata',
    errors: ['ResourceNotFoundException'],
    readOnly: true,
    resource: 'ConnectorArn',
    input: { ...paging, ConnectorArn: { place: 'query', shape: connectorArnText, required: true } },
    output: { Challenges: { shape: { type: 'list', member: challengeMetadata } }, NextToken: { shape: text } },
    pagedBy: ['ConnectorArn'],
    call: ({ challenges }, principal, { ConnectorArn }, page) => challenges.listChallengeMetadata(principal, ConnectorArn, page),
  }),
  restOperation({
    name: 'GetChallengePassword',
    method: 'GET',
    uri: '/challengePasswords/{ChallengeArn}',
    statusCode: 200,
    action: 'pca-connector-scep:GetChallengePassword',
    errors: ['ResourceNotFoundException'],
    readOnly: true,
    resource: 'ChallengeArn',
    input: { ChallengeArn: { place: 'label', shape: challengeArnText, required: true } },
    output: { Password: { shape: sensitiveText } },
    call: ({ challenges }, principal, { ChallengeArn }) => challenges.getChallengePassword(principal, ChallengeArn),
  }),
  restOperation({
    name: 'DeleteChallenge',
    method: 'DELETE',
    uri: '/challenges/{ChallengeArn}',
    statusCode: 202,
    action: 'pca-connector-scep:DeleteChallenge',
    errors: ['ConflictException', 'ResourceNotFoundException'],
    resource: 'ChallengeArn',
    input: { ChallengeArn: { place: 'label', shape: challengeArnText, required: true } },
    output: {},
    call: ({ challenges }, principal, { ChallengeArn }) => challenges.deleteChallenge(principal, ChallengeArn),
  }),
  restOperation({
    name: 'ListTagsForResource',
    method: 'GET',
    uri: '/tags/{ResourceArn}',
    statusCode: 200,
    action: 'pca-connector-scep:ListTagsForResource',
    errors: ['ResourceNotFoundException'],
    readOnly: true,
    resource: 'ResourceArn',
    input: { ResourceArn: { place: 'label', shape: text, required: true } },
    output: { Tags: { shape: tags } },
    call: (services, principal, { ResourceArn }) => services.tags.listTagsForResource(principal, ResourceArn),
  }),
  restOperation({
    name: 'TagResource',
    method: 'POST',
    uri: '/tags/{ResourceArn}',
    statusCode: 204,
    action: 'pca-connector-scep:TagResource',
    errors: ['ResourceNotFoundException'],
    resource: 'ResourceArn',
    input: {
      ResourceArn: { place: 'label', shape: text, required: true },
      Tags: { place: 'body', shape: tags, required: true },
    },
    output: {},
    call: (services, principal, { ResourceArn, Tags }) => services.tags.tagResource(principal, ResourceArn, Tags),
  }),
  restOperation({
    name: 'UntagResource',
    method: 'DELETE',
    uri: '/tags/{ResourceArn}',
    statusCode: 204,
    action: 'pca-connector-scep:UntagResource',
    errors: ['ResourceNotFoundException'],
    resource: 'ResourceArn',
    input: {
      ResourceArn: { place: 'label', shape: text, required: true },
      TagKeys: { place: 'query', queryName: 'tagKeys', shape: { type: 'list', member: text }, required: true },
    },
    output: {},
    call: (services, principal, { ResourceArn, TagKeys }) => services.tags.untagResource(principal, ResourceArn, TagKeys),
  }),
];
