/** What an operator does to a running server's connectors by its API: sets a policy, decides what waits, makes challenges, connectors and revocations. */
import assert from 'node:assert/strict';
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import type { EnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { certificateAuthorityArn, connectorArn } from '../../src/base/resources.ts';
import { createApiClient, sharedCredentials } from './api-client.ts';
import { fetchSigned } from './signed-request.ts';
import { accountId, type TemporaryServer } from './temporary-server.ts';
import { until } from './waiting.ts';

const region = 'us-east-1';
const base = '/scep-connector/v1';
const perPage = 100;

/** The API of a server, the administrator's access key, and the connector that it is about. */
export interface Operated {
  apiUrl: string;
  credentialsFile: string;
  connectorId: string;
  /** The server's clock, where it may have been moved. */
  now?: () => number;
}

async function call(server: Operated, method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const credentials = sharedCredentials(server.credentialsFile);
  const request = { method, url: `${server.apiUrl}${base}${path}`, ...(body && { body: JSON.stringify(body) }) };
  const signingDate = new Date(server.now?.() ?? Date.now());
  const response = await fetchSigned(request, { credentials, region, signingDate });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
}

function pathOf({ connectorId }: Operated): string {
  return `/connectors/${encodeURIComponent(connectorArn({ accountId, region }, connectorId))}`;
}

/** The connector's policy with these sections in place of those that it has. */
export async function setEnrolmentPolicy(server: Operated, change: Partial<EnrolmentPolicy>): Promise<void> {
  const path = `${pathOf(server)}/enrolment-policy`;
  const { EnrolmentPolicy: policy } = await call(server, 'GET', path);
  await call(server, 'PUT', path, { EnrolmentPolicy: { ...(policy as EnrolmentPolicy), ...change } });
}

export interface WaitingRequest {
  RequestArn: string;
  TransactionId: string;
  Subject: string;
}

export async function listWaiting(server: Operated): Promise<WaitingRequest[]> {
  const { Requests } = await call(server, 'GET', `/requests?Status=PENDING&MaxResults=${perPage}`);
  return Requests as WaitingRequest[];
}

/** Approves every request that waits, and says how many there were. */
export async function approveWaiting(server: Operated): Promise<number> {
  const waiting = await listWaiting(server);
  for (const { RequestArn } of waiting) await call(server, 'POST', `/requests/${encodeURIComponent(RequestArn)}/approval`);
  return waiting.length;
}

/** Rejects the requests that wait, those alone that `isMeant`. */
export async function rejectWaiting(
  server: Operated,
  Reason?: string,
  isMeant: (request: WaitingRequest) => boolean = () => true,
): Promise<void> {
  const waiting = (await listWaiting(server)).filter(isMeant);
  assert.ok(waiting.length > 0, 'nothing waits');
  for (const { RequestArn } of waiting) {
    await call(server, 'POST', `/requests/${encodeURIComponent(RequestArn)}/rejection`, Reason === undefined ? {} : { Reason });
  }
}

/** The password of a new dynamic challenge: good for one use and an hour, unless it is asked for otherwise. */
export async function createDynamicChallenge(
  server: Operated,
  request: { ExpiresInSeconds?: number; Uses?: number } = {},
): Promise<string> {
  const { DynamicChallenge } = await call(server, 'POST', `${pathOf(server)}/dynamic-challenges`, request);
  return (DynamicChallenge as { Password: string }).Password;
}

export function acmPcaClient({ apiUrl, credentialsFile }: Pick<Operated, 'apiUrl' | 'credentialsFile'>): ACMPCA {
  return new ACMPCA({ endpoint: apiUrl, region, maxRetries: 0, credentials: sharedCredentials(credentialsFile) });
}

/** Revokes a certificate of the first authority. `serialNumber` is hexadecimal. */
export async function revoke(server: TemporaryServer, serialNumber: string): Promise<void> {
  const CertificateAuthorityArn = await findAuthorityArn(server);
  const RevocationReason = 'KEY_COMPROMISE';
  await acmPcaClient(server).revokeCertificate({ CertificateAuthorityArn, CertificateSerial: serialNumber, RevocationReason }).promise();
}

async function findAuthorityArn({ database }: TemporaryServer): Promise<string> {
  const { ca_id } = await database.query.selectFrom('certificate_authorities').select('ca_id').executeTakeFirstOrThrow();
  return certificateAuthorityArn({ accountId, region }, ca_id);
}

/** Another connector, at the first one's authority unless another is named, with a challenge. */
export async function createConnector(
  server: TemporaryServer,
  authorityArn?: string,
): Promise<Pick<TemporaryServer, 'url' | 'challengePassword' | 'connectorId' | 'database'>> {
  const api = createApiClient(server.apiUrl, server.credentialsFile);
  const CertificateAuthorityArn = authorityArn ?? (await findAuthorityArn(server));
  const { ConnectorArn = '' } = await api.createConnector({ CertificateAuthorityArn }).promise();
  const find = async () => (await api.getConnector({ ConnectorArn }).promise()).Connector;
  await until(async () => (await find())?.Status !== 'CREATING', 'the connector is made');
  const connector = await find();
  assert.equal(connector?.Status, 'ACTIVE');
  const { Challenge } = await api.createChallenge({ ConnectorArn }).promise();
  return {
    url: new URL(new URL(connector.Endpoint ?? '').pathname, server.url).href,
    challengePassword: Challenge?.Password ?? '',
    connectorId: ConnectorArn.split('/').at(-1) ?? '',
    database: server.database,
  };
}
