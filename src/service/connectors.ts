/** Connectors: the API's operations on them. Creating and deleting only change a row; the lifecycle does the work. */

import { findCertificateAuthority } from '../backends/store/certificate-authorities.ts';
import { countConnectors, findConnector, insertConnector, listConnectors, updateConnectorStatus } from '../backends/store/connectors.ts';
import type { ConnectorRow, Database, Query } from '../backends/store/database.ts';
import { putTags } from '../backends/store/tags.ts';
import { conflict, resourceNotFound, validationException } from '../base/errors.ts';
import type { Quotas } from '../base/quotas.ts';
import {
  type Connector,
  certificateAuthorityArn,
  connectorArn,
  type Home,
  type MobileDeviceManagement,
  type Principal,
  parseCertificateAuthorityArn,
  parseConnectorArn,
} from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { createOnce, tokenReusedMessage } from './client-tokens.ts';
import type { Endpoints } from './endpoints.ts';
import { openIdConfigurationOf } from './openid-configuration.ts';
import { checkQuota } from './quotas.ts';
import { checkTags } from './tag-limits.ts';

/** AWS: the CA's certificate must be valid for at least one year from today. */
const caValidityLeftMsMin = 365 * 24 * 60 * 60_000;

/** Which part of a list is wanted: at most `limit` items, those after the cursor. */
export interface PageRequest {
  limit: number;
  after?: string | undefined;
}

interface ConnectorsDependencies {
  database: Database;
  system: System;
  region: string;
  endpoints: Endpoints;
  /** Of the tokens that INTUNE connectors sign. */
  audience: string;
  quotas: Quotas;
  /** Told that a connector waits for the lifecycle. */
  wakeLifecycle: () => void;
}

interface CreateConnectorRequest {
  CertificateAuthorityArn: string;
  MobileDeviceManagement?: MobileDeviceManagement;
  VpcEndpointId?: string;
  ClientToken?: string;
  Tags?: Record<string, string>;
}

export class Connectors {
  readonly #dependencies: ConnectorsDependencies;

  constructor(dependencies: ConnectorsDependencies) {
    this.#dependencies = dependencies;
  }

  async createConnector(principal: Principal, request: CreateConnectorRequest): Promise<{ ConnectorArn: string }> {
    const { database, system, quotas, wakeLifecycle } = this.#dependencies;
    const { ClientToken, ...parameters } = request;
    const { Tags = {} } = parameters;
    checkTags(Tags);
    const home = this.#homeOf(principal);
    const now = system.now();
    const mismatch = (arn: string) => conflict('Connector', arn, tokenReusedMessage);
    const ConnectorArn = await database.transaction(query =>
      createOnce(query, { accountId: home.accountId, operation: 'CreateConnector', ClientToken, parameters, now, mismatch }, async () => {
        await checkCertificateAuthority(query, home, request.CertificateAuthorityArn, now);
        checkQuota('CONNECTORS', quotas.resources.CONNECTORS, await countConnectors(query, home));
        const row = newConnectorRow(home, request, system, now);
        await insertConnector(query, row);
        const arn = connectorArn(home, row.connector_id);
        await putTags(query, arn, Tags);
        return arn;
      }),
    );
    wakeLifecycle();
    return { ConnectorArn };
  }

  async getConnector(principal: Principal, ConnectorArn: string): Promise<{ Connector: Connector }> {
    const row = await getConnectorRow(this.#dependencies.database.query, this.#homeOf(principal), ConnectorArn);
    return { Connector: this.#describe(row) };
  }

  async listConnectors(principal: Principal, { limit, after }: PageRequest): Promise<{ Connectors: Connector[]; next?: string }> {
    const { database } = this.#dependencies;
    // One more than asked for tells whether there is a next page.
    const rows = await listConnectors(database.query, { ...this.#homeOf(principal), afterId: after, limit: limit + 1 });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return { Connectors: page.map(row => this.#describe(row)), ...(rows.length > limit && last && { next: last.connector_id }) };
  }

  /** A connector that is being deleted already is not an error: the operation is idempotent in AWS's model. */
  async deleteConnector(principal: Principal, ConnectorArn: string): Promise<Record<string, never>> {
    const { database, system, wakeLifecycle } = this.#dependencies;
    await database.transaction(async query => {
      const row = await getConnectorRow(query, this.#homeOf(principal), ConnectorArn);
      if (row.status === 'CREATING')
        throw conflict('Connector', ConnectorArn, 'The connector is being created. Delete it once it is ACTIVE or FAILED.');
      const change = { statusReason: row.status_reason ?? undefined, updatedAt: system.now() };
      await updateConnectorStatus(query, row.connector_id, ['ACTIVE', 'FAILED'], 'DELETING', change);
    });
    wakeLifecycle();
    return {};
  }

  #homeOf({ accountId }: Principal): Home {
    return { accountId, region: this.#dependencies.region };
  }

  #describe(row: ConnectorRow): Connector {
    const { account_id: accountId, region, azure_application_id: AzureApplicationId, azure_domain: Domain } = row;
    const { endpoints } = this.#dependencies;
    const baseUrl = endpoints.findBaseUrl(row.vpc_endpoint_id);
    // Where nothing answers yet, or never will, there is no endpoint to show.
    const hasEndpoint = baseUrl !== undefined && (row.status === 'ACTIVE' || row.status === 'DELETING');
    return {
      Arn: connectorArn({ accountId, region }, row.connector_id),
      CertificateAuthorityArn: row.certificate_authority_arn,
      Type: row.type,
      ...(AzureApplicationId !== null && Domain !== null && { MobileDeviceManagement: { Intune: { AzureApplicationId, Domain } } }),
      ...(row.type === 'INTUNE' && { OpenIdConfiguration: openIdConfigurationOf(row, this.#dependencies) }),
      Status: row.status,
      ...(row.status_reason !== null && { StatusReason: row.status_reason }),
      ...(hasEndpoint && { Endpoint: `${baseUrl}/${accountId}-${row.connector_id}/${row.endpoint_secret}` }),
      CreatedAt: row.created_at,
      UpdatedAt: row.updated_at,
    };
  }
}

/** The id of a connector in the caller's account and Region; the ARN must be its own exactly, partition included. */
export function connectorIdOf(home: Home, arn: string): string {
  const connectorId = parseConnectorArn(arn)?.connectorId;
  if (connectorId === undefined || connectorArn(home, connectorId) !== arn) throw resourceNotFound('Connector', arn);
  return connectorId;
}

export async function getConnectorRow(query: Query, home: Home, arn: string): Promise<ConnectorRow> {
  const row = await findConnector(query, { ...home, connectorId: connectorIdOf(home, arn) });
  if (!row) throw resourceNotFound('Connector', arn);
  return row;
}

/** A CA shared by another account is not supported, as with AWS, and looks like one that does not exist. */
async function checkCertificateAuthority(query: Query, home: Home, arn: string, now: number): Promise<void> {
  const caId = parseCertificateAuthorityArn(arn)?.caId;
  const isOurs = caId !== undefined && certificateAuthorityArn(home, caId) === arn;
  const row = isOurs ? await findCertificateAuthority(query, { ...home, caId }) : undefined;
  if (!row) throw resourceNotFound('CertificateAuthority', arn);
  if (row.status !== 'ACTIVE') throw validationException(`The certificate authority is not active, but ${row.status}.`, 'INVALID_STATE');
  if (row.usage_mode !== 'GENERAL_PURPOSE') {
    throw validationException('The usage mode of the certificate authority must be GENERAL_PURPOSE.', 'INVALID_CA_USAGE_MODE');
  }
  if ((row.not_after ?? 0) - now < caValidityLeftMsMin) {
    const message = 'The certificate authority certificate validity must be at least one year from today.';
    throw validationException(message, 'CA_CERT_VALIDITY_TOO_SHORT');
  }
}

function newConnectorRow({ accountId, region }: Home, request: CreateConnectorRequest, system: System, now: number): ConnectorRow {
  const intune = request.MobileDeviceManagement?.Intune;
  return {
    connector_id: system.randomUUID(),
    account_id: accountId,
    region,
    certificate_authority_arn: request.CertificateAuthorityArn,
    type: intune ? 'INTUNE' : 'GENERAL_PURPOSE',
    azure_application_id: intune?.AzureApplicationId ?? null,
    azure_domain: intune?.Domain ?? null,
    vpc_endpoint_id: request.VpcEndpointId ?? null,
    endpoint_secret: system.randomUUID(),
    status: 'CREATING',
    status_reason: null,
    enrolment_policy: null,
    ra_renewal_at: 0,
    revocation_poll_at: 0,
    lease_until_at: 0,
    created_at: now,
    updated_at: now,
  };
}
