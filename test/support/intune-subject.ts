/** A server with an INTUNE connector, and what its administrator sees of it. */
import assert from 'node:assert/strict';
import type PcaConnectorScep from 'aws-sdk/clients/pcaconnectorscep.js';
import { LocalKeyProtector, loadMasterKey } from '../../src/backends/key-protector.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { parseConnectorArn } from '../../src/base/resources.ts';
import { realSystem, type System } from '../../src/base/system.ts';
import { Audit } from '../../src/service/audit.ts';
import { OidcKeys } from '../../src/service/oidc-keys.ts';
import { createApiClient } from './api-client.ts';
import { type HttpAnswer, type SendOptions, send } from './raw-scep-client.ts';
import { startTemporaryServer, type TemporaryServer } from './temporary-server.ts';
import { until } from './waiting.ts';

const region = 'us-east-1';
const publicUrl = 'https://scep.example.com';
const silent = { info: () => {}, warn: () => {}, error: () => {} };

/** As GetConnector shows it, with what an INTUNE connector has when it is ACTIVE. */
interface IntuneConnector {
  Arn: string;
  CertificateAuthorityArn: string;
  Endpoint: string;
  OpenIdConfiguration: { Issuer: string; Subject: string; Audience: string };
}

export interface EntraApplication {
  clientId: string;
  domain: string;
}

const nobody: EntraApplication = { clientId: '00000000-0000-4000-8000-000000000000', domain: 'contoso.example' };

export class IntuneSubject implements AsyncDisposable {
  readonly server: TemporaryServer;
  readonly connector: IntuneConnector;

  private constructor(server: TemporaryServer, connector: IntuneConnector) {
    this.server = server;
    this.connector = connector;
  }

  static async start(env: Record<string, string> = {}, application: EntraApplication = nobody): Promise<IntuneSubject> {
    await using starting = new AsyncDisposableStack();
    const server = starting.use(await startTemporaryServer({ env: { SCEP_PUBLIC_URL: publicUrl, ...env } }));
    const connector = await createIntuneConnector(createApiClient(server.apiUrl, server.credentialsFile), application);
    starting.move();
    return new IntuneSubject(server, connector);
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
    assert.ok(url.startsWith(`${publicUrl}/`), url);
    const { origin } = new URL(this.server.tlsUrl);
    return send(`${origin}${url.slice(publicUrl.length)}`, { ca: encodePem('CERTIFICATE', this.server.caCertificate), ...options });
  }

  /** As another node of the server would sign it. */
  async signAssertion(): Promise<string> {
    const { database, dataDir, now } = this.server;
    const system: System = { ...realSystem, now };
    const keyProtector = new LocalKeyProtector(await loadMasterKey(`${dataDir}/master.key`, { system, create: false }), system);
    const { Audience: tokenExchangeAudience } = this.connector.OpenIdConfiguration;
    const audit = new Audit({ database, system, log: silent });
    const keys = new OidcKeys({ database, keyProtector, system, audit, log: silent, issuer: { publicUrl, tokenExchangeAudience } });
    const { accountId = '', connectorId = '' } = parseConnectorArn(this.connector.Arn) ?? {};
    return keys.signAssertion({ accountId, region, connectorId });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}

/** Beside the connector of the first start, at the same authority. */
async function createIntuneConnector(api: PcaConnectorScep, { clientId, domain }: EntraApplication): Promise<IntuneConnector> {
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
