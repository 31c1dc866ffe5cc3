/** A server with an INTUNE connector, the tenant that it is registered in, and what its administrator sees of it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type PcaConnectorScep from 'aws-sdk/clients/pcaconnectorscep.js';
import { encodePem } from '../../src/base/pki/pem.ts';
import { parseConnectorArn } from '../../src/base/resources.ts';
import { realSystem } from '../../src/base/system.ts';
import { createApiClient } from './api-client.ts';
import type { Expectations } from './microsoft/challenge.ts';
import type { Application, ChallengeOptions, Tenant } from './microsoft/directory.ts';
import { startMicrosoft } from './microsoft/listener.ts';
import type { Microsoft } from './microsoft/microsoft.ts';
import { type HttpAnswer, RawScepClient, type SendOptions, send } from './raw-scep-client.ts';
import { type Answered, callAs } from './signed-calls.ts';
import { startTemporaryServer, type TemporaryServer } from './temporary-server.ts';
import { until } from './waiting.ts';

const region = 'us-east-1';
const publicUrl = 'https://scep.example.com';

/** As GetConnector shows it, with what an INTUNE connector has when it is ACTIVE. */
interface IntuneConnector {
  Arn: string;
  CertificateAuthorityArn: string;
  Endpoint: string;
  OpenIdConfiguration: { Issuer: string; Subject: string; Audience: string };
}

/** What is otherwise than Intune has it, and what the CSR must hold. */
export type ChallengeChange = Partial<ChallengeOptions & { expectations: Expectations }>;

export class IntuneSubject implements AsyncDisposable {
  readonly server: TemporaryServer;
  readonly connector: IntuneConnector;
  readonly microsoft: Microsoft;
  readonly tenant: Tenant;
  readonly application: Application;
  /** Of the server, where it differs from a test's own. */
  readonly settings: Readonly<Record<string, string>>;
  readonly #running: AsyncDisposableStack;

  private constructor(server: TemporaryServer, connector: IntuneConnector, at: Registration, running: AsyncDisposableStack) {
    this.server = server;
    this.connector = connector;
    this.microsoft = at.microsoft;
    this.tenant = at.tenant;
    this.application = at.application;
    this.settings = at.settings;
    this.#running = running;
  }

  /** Everything is granted, and the federated credential is made. */
  static async start(env: Record<string, string> = {}): Promise<IntuneSubject> {
    await using starting = new AsyncDisposableStack();
    const started: { subject?: IntuneSubject } = {};
    const now = () => started.subject?.server.now() ?? realSystem.now();
    const fetchIssuer = async (url: string) => {
      if (started.subject === undefined) throw new Error('the server is not there yet');
      const { statusCode, body } = await started.subject.getPublic(url);
      return { status: statusCode, body };
    };
    const { microsoft, url } = starting.use(await startMicrosoft({ now, fetchIssuer }));
    const tenant = microsoft.addTenant();
    const application = tenant.addApplication().grant('scep_challenge_provider', 'Application.Read.All');
    const settings = { SCEP_PUBLIC_URL: publicUrl, SCEP_ENTRA_URL: url, SCEP_GRAPH_URL: url, SCEP_INTUNE_HOSTS: '127.0.0.1', ...env };
    const server = starting.use(await startTemporaryServer({ env: settings }));
    const api = createApiClient(server.apiUrl, server.credentialsFile);
    const connector = await createIntuneConnector(api, { clientId: application.clientId, domain: tenant.domain });
    const { Issuer: issuer, Subject, Audience: audience } = connector.OpenIdConfiguration;
    application.addFederatedCredential({ issuer, subject: Subject, audience });
    started.subject = new IntuneSubject(server, connector, { microsoft, tenant, application, settings }, starting.move());
    return started.subject;
  }

  /** Its address changes when the server starts again. */
  get api(): PcaConnectorScep {
    return createApiClient(this.server.apiUrl, this.server.credentialsFile);
  }

  get connectorId(): string {
    return parseConnectorArn(this.connector.Arn)?.connectorId ?? '';
  }

  /** What answers at a URL of the server's public name, asked as from outside: over TLS, trusting the server's CA in place of a public one. */
  async getPublic(url: string, options: SendOptions = {}): Promise<HttpAnswer> {
    const { origin } = new URL(this.connector.OpenIdConfiguration.Issuer);
    assert.ok(url.startsWith(`${origin}/`), url);
    return send(`${new URL(this.server.tlsUrl).origin}${url.slice(origin.length)}`, {
      ca: encodePem('CERTIFICATE', this.server.caCertificate),
      ...options,
    });
  }

  /** Calls an operation that AWS does not have, as the administrator. */
  async call(method: string, path: string, body?: object): Promise<Answered> {
    const { apiUrl: url, now, credentialsFile } = this.server;
    const [, accessKeyId = '', secretAccessKey = ''] =
      /aws_access_key_id = (\S+)\naws_secret_access_key = (\S+)/.exec(await readFile(credentialsFile, 'utf8')) ?? [];
    return callAs({ url, now, region }, { accessKeyId, secretAccessKey })(method, path, body);
  }

  /** Over plain HTTP, at the address that the server has now. */
  get url(): string {
    return new URL(new URL(this.connector.Endpoint).pathname, this.server.url).href;
  }

  /** A challenge for what a RawScepClient asks for by itself, with what is not as Intune has made it. */
  challenge(change: ChallengeChange = {}): string {
    const { tenant } = this;
    const device = change.device ?? tenant.addDevice();
    const expectations = change.expectations ?? { subject: 'CN=printer-7,O=Example' };
    return tenant.createChallenge({ device, profile: tenant.addProfile(expectations, [device]), ...change });
  }

  async connect(challengePassword = this.challenge()): Promise<RawScepClient> {
    return RawScepClient.connect({ url: this.url, challengePassword, database: this.server.database });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.disposeAsync();
  }
}

interface Registration {
  microsoft: Microsoft;
  tenant: Tenant;
  application: Application;
  settings: Record<string, string>;
}

/** Beside the connector of the first start, at the same authority. */
export async function createIntuneConnector(
  api: PcaConnectorScep,
  { clientId, domain }: { clientId: string; domain: string },
): Promise<IntuneConnector> {
  const { Connectors = [] } = await api.listConnectors().promise();
  const CertificateAuthorityArn = Connectors[0]?.CertificateAuthorityArn ?? '';
  const Intune = { AzureApplicationId: clientId, Domain: domain };
  const { ConnectorArn = '' } = await api.createConnector({ CertificateAuthorityArn, MobileDeviceManagement: { Intune } }).promise();
  const find = async () => (await api.getConnector({ ConnectorArn }).promise()).Connector;
  await until(async () => (await find())?.Status !== 'CREATING', 'the connector is made');
  const connector = await find();
  assert.deepEqual([connector?.Type, connector?.Status], ['INTUNE', 'ACTIVE']);
  return connector as IntuneConnector;
}
