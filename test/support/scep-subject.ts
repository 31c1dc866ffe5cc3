/** A server together with what its administrator does to it and its devices know of it. */
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import type PcaConnectorScep from 'aws-sdk/clients/pcaconnectorscep.js';
import { updateEnrolmentPolicy } from '../../src/backends/store/connectors.ts';
import { defaultEnrolmentPolicy, type EnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { type ConnectorStatus, connectorArn } from '../../src/base/resources.ts';
import { createApiClient, sharedCredentials } from './api-client.ts';
import { type HttpAnswer, RawScepClient, send } from './raw-scep-client.ts';
import { accountId, startTemporaryServer, type TemporaryServer } from './temporary-server.ts';

const region = 'us-east-1';

export class Subject {
  readonly server: TemporaryServer;
  readonly client: RawScepClient;
  readonly api: PcaConnectorScep;
  readonly privateCa: ACMPCA;
  readonly env: Readonly<Record<string, string>>;

  constructor(server: TemporaryServer, client: RawScepClient, env: Readonly<Record<string, string>>) {
    this.server = server;
    this.client = client;
    this.env = env;
    this.api = createApiClient(server.apiUrl, server.credentialsFile);
    const credentials = sharedCredentials(server.credentialsFile);
    this.privateCa = new ACMPCA({ endpoint: server.apiUrl, region, maxRetries: 0, credentials });
  }

  static async start(env: Record<string, string>): Promise<Subject> {
    const server = await startTemporaryServer({ env });
    return new Subject(server, await RawScepClient.connect(server), env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }

  get(path: string): Promise<HttpAnswer> {
    return send(`${new URL(this.server.url).origin}${path}`);
  }

  get path(): string {
    return new URL(this.server.url).pathname;
  }

  async authorityArn(): Promise<string> {
    const ConnectorArn = connectorArn({ accountId, region }, this.server.connectorId);
    const { Connector } = await this.api.getConnector({ ConnectorArn }).promise();
    return Connector?.CertificateAuthorityArn ?? '';
  }

  async setAuthorityStatus(Status: 'ACTIVE' | 'DISABLED'): Promise<void> {
    const CertificateAuthorityArn = await this.authorityArn();
    await this.privateCa.updateCertificateAuthority({ CertificateAuthorityArn, Status }).promise();
  }

  /** Leased for ever, so that the lifecycle leaves it alone. */
  async setConnectorStatus(status: ConnectorStatus): Promise<void> {
    const change = { status, lease_until_at: Number.MAX_SAFE_INTEGER };
    await this.server.database.query.updateTable('connectors').set(change).execute();
  }

  async setEnrolmentPolicy(change: Partial<EnrolmentPolicy>): Promise<void> {
    const enrolmentPolicy = JSON.stringify({ ...defaultEnrolmentPolicy, ...change });
    const { database, connectorId } = this.server;
    await updateEnrolmentPolicy(database.query, connectorId, { enrolmentPolicy, isRaDue: false, updatedAt: Date.now() });
  }
}
