/** What AWS's API does not have about enrolment, as data: enrolment policies, dynamic challenges, requests that wait for approval, the connection test. */
import type { ConnectionTest } from '../../service/connection-test.ts';
import type { DynamicChallenges } from '../../service/dynamic-challenges.ts';
import type { EnrolmentPolicies } from '../../service/enrolment-policies.ts';
import { type PendingRequests, pendingRequestLimits } from '../../service/pending-requests.ts';
import {
  boundsShape,
  connectionStepShape,
  dynamicChallengeShape,
  enrolmentPolicyShape,
  expiresInSecondsShape,
  pendingRequestShape,
  reasonShape,
  requestStatusShape,
  usesShape,
} from './enrolment-shapes.ts';
import { pagingMembers } from './pagination.ts';
import { type RestOperation, restOperation } from './rest-json.ts';
import { clientToken, connectorArnText, requestArnText } from './scep-operations.ts';

export interface EnrolmentServices {
  enrolmentPolicies: EnrolmentPolicies;
  dynamicChallenges: DynamicChallenges;
  pendingRequests: PendingRequests;
  connectionTest: ConnectionTest;
}

const ofConnector = { ConnectorArn: { place: 'label', shape: connectorArnText, required: true } } as const;
const ofRequest = { RequestArn: { place: 'label', shape: requestArnText, required: true } } as const;
const ofPolicy = `/scep-connector/v1/connectors/{ConnectorArn}/enrolment-policy`;
const requests = '/scep-connector/v1/requests';

export const enrolmentOperations: readonly RestOperation<EnrolmentServices>[] = [
  restOperation({
    name: 'GetEnrolmentPolicy',
    method: 'GET',
    uri: ofPolicy,
    statusCode: 200,
    action: 'scep-connector:GetEnrolmentPolicy',
    resource: 'ConnectorArn',
    readOnly: true,
    input: ofConnector,
    output: { EnrolmentPolicy: { shape: enrolmentPolicyShape } },
    call: ({ enrolmentPolicies }, principal, { ConnectorArn }) => enrolmentPolicies.getEnrolmentPolicy(principal, ConnectorArn),
  }),
  restOperation({
    name: 'PutEnrolmentPolicy',
    method: 'PUT',
    uri: ofPolicy,
    statusCode: 200,
    action: 'scep-connector:PutEnrolmentPolicy',
    resource: 'ConnectorArn',
    closed: true,
    input: { ...ofConnector, EnrolmentPolicy: { place: 'body', shape: enrolmentPolicyShape, required: true } },
    output: { EnrolmentPolicy: { shape: enrolmentPolicyShape } },
    call: ({ enrolmentPolicies }, principal, { ConnectorArn, EnrolmentPolicy }) =>
      enrolmentPolicies.putEnrolmentPolicy(principal, ConnectorArn, EnrolmentPolicy),
  }),
  restOperation({
    name: 'CreateDynamicChallenge',
    method: 'POST',
    uri: '/scep-connector/v1/connectors/{ConnectorArn}/dynamic-challenges',
    statusCode: 202,
    action: 'scep-connector:CreateDynamicChallenge',
    resource: 'ConnectorArn',
    closed: true,
    input: {
      ...ofConnector,
      ExpiresInSeconds: { place: 'body', shape: expiresInSecondsShape },
      Uses: { place: 'body', shape: usesShape },
      Bounds: { place: 'body', shape: boundsShape },
      ClientToken: { place: 'body', shape: clientToken },
    },
    output: { DynamicChallenge: { shape: dynamicChallengeShape } },
    call: ({ dynamicChallenges }, principal, input) => dynamicChallenges.createDynamicChallenge(principal, input),
  }),
  restOperation({
    name: 'ListPendingRequests',
    method: 'GET',
    uri: requests,
    statusCode: 200,
    action: 'scep-connector:ListPendingRequests',
    resource: 'ConnectorArn',
    readOnly: true,
    input: {
      Status: { place: 'query', shape: requestStatusShape },
      ConnectorArn: { place: 'query', shape: connectorArnText },
      ...pagingMembers(pendingRequestLimits.perPageMax),
    },
    output: { Requests: { shape: { type: 'list', member: pendingRequestShape } }, NextToken: { shape: { type: 'string' } } },
    pagedBy: ['Status', 'ConnectorArn'],
    call: ({ pendingRequests }, principal, { Status, ConnectorArn }, page) =>
      pendingRequests.listPendingRequests(principal, { Status, ConnectorArn }, page),
  }),
  restOperation({
    name: 'ApproveRequest',
    method: 'POST',
    uri: `${requests}/{RequestArn}/approval`,
    statusCode: 204,
    action: 'scep-connector:ApproveRequest',
    resource: 'RequestArn',
    input: ofRequest,
    output: {},
    call: ({ pendingRequests }, principal, { RequestArn }) => pendingRequests.approveRequest(principal, RequestArn),
  }),
  restOperation({
    name: 'RejectRequest',
    method: 'POST',
    uri: `${requests}/{RequestArn}/rejection`,
    statusCode: 204,
    action: 'scep-connector:RejectRequest',
    resource: 'RequestArn',
    closed: true,
    input: {
      ...ofRequest,
      Reason: { place: 'body', shape: reasonShape },
    },
    output: {},
    call: ({ pendingRequests }, principal, { RequestArn, Reason }) => pendingRequests.rejectRequest(principal, RequestArn, Reason),
  }),
  restOperation({
    name: 'TestConnection',
    method: 'POST',
    uri: '/scep-connector/v1/connectors/{ConnectorArn}/connection-test',
    statusCode: 200,
    action: 'scep-connector:TestConnection',
    resource: 'ConnectorArn',
    input: ofConnector,
    output: { Steps: { shape: { type: 'list', member: connectionStepShape } } },
    call: ({ connectionTest }, principal, { ConnectorArn }) => connectionTest.testConnection(principal, ConnectorArn),
  }),
];
