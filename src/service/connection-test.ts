/** TestConnection: the way from a connector's issuer to Intune's validation, step by step, without a device. */
import { decodeProtectedHeader } from 'jose';
import { z } from 'zod';
import { generatePrivateKey } from '../backends/ca/embedded-ca.ts';
import type { EntraClient } from '../backends/intune/entra.ts';
import { MicrosoftError } from '../backends/intune/microsoft-error.ts';
import { microsoftHttpLimits, parseJson, type Transport } from '../backends/intune/microsoft-http.ts';
import type { ConnectorRow, Database } from '../backends/store/database.ts';
import { conflict, validationException } from '../base/errors.ts';
import { createSigner } from '../base/pki/algorithms.ts';
import { parseNameString } from '../base/pki/name.ts';
import { createCertificationRequest } from '../base/pki/pkcs10.ts';
import { publicKeyOf } from '../base/pki/public-key.ts';
import type { Principal } from '../base/resources.ts';
import { SingleFlight } from '../base/single-flight.ts';
import type { System } from '../base/system.ts';
import { getConnectorRow } from './connectors.ts';
import { type IntuneAccess, intuneConnectorOf } from './intune-access.ts';
import type { IntuneConnector } from './scep-requests.ts';

export type ConnectionStepName = 'Issuer' | 'GraphToken' | 'IntuneServices' | 'IntuneToken' | 'IntuneValidation';

export interface ConnectionStep {
  Name: ConnectionStepName;
  /** WARNING: it may work all the same, and the next steps tell. */
  Outcome: 'SUCCEEDED' | 'WARNING' | 'FAILED' | 'SKIPPED';
  /** What was found, and what to change. */
  Advice: string;
}

interface ConnectionTestParts {
  database: Database;
  system: System;
  region: string;
  intune: IntuneAccess;
  transport: Transport;
  /** Of the connector's OpenIdConfiguration. */
  issuerOf: (connector: ConnectorRow) => string;
}

type Finding = Omit<ConnectionStep, 'Name'>;

const discoveryDocument = z.object({ issuer: z.string(), jwks_uri: z.string() });
const keySet = z.object({ keys: z.array(z.object({ kid: z.string() })) });

export class ConnectionTest {
  readonly #parts: ConnectionTestParts;
  /** Of one connector there is one at a time: whoever asks meanwhile is told the same. */
  readonly #walks = new SingleFlight<ConnectionStep[]>();

  constructor(parts: ConnectionTestParts) {
    this.#parts = parts;
  }

  /** Throws ValidationException for a connector that does not ask Intune, ConflictException for one that is not ACTIVE. */
  async testConnection({ accountId }: Pick<Principal, 'accountId'>, ConnectorArn: string): Promise<{ Steps: ConnectionStep[] }> {
    const { database, region } = this.#parts;
    const row = await getConnectorRow(database.query, { accountId, region }, ConnectorArn);
    const connector = intuneConnectorOf(row);
    if (connector === undefined) {
      throw validationException('Only INTUNE connectors have a connection to test.', 'INVALID_CONNECTOR_TYPE');
    }
    if (row.status !== 'ACTIVE') throw conflict('Connector', ConnectorArn, `The connector is ${row.status}, not ACTIVE.`);
    return { Steps: await this.#walks.run(connector.connectorId, () => this.#walk(connector, this.#parts.issuerOf(row))) };
  }

  /** Whether Entra ID can fetch the issuer's keys is Entra ID's to say: the other steps go on whatever the first finds. */
  async #walk(connector: IntuneConnector, issuer: string): Promise<ConnectionStep[]> {
    const client = this.#parts.intune.clientOf(connector);
    const steps: ConnectionStep[] = [{ Name: 'Issuer', ...(await orFailed(() => this.#checkIssuer(issuer, client))) }];
    const rest: [ConnectionStepName, () => Promise<Finding>][] = [
      ['GraphToken', () => this.#fetchToken(client, 'Microsoft Graph')],
      ['IntuneServices', () => this.#locateServices(client)],
      ['IntuneToken', () => this.#fetchToken(client, 'Intune')],
      ['IntuneValidation', () => this.#probe(client)],
    ];
    let failed: ConnectionStepName | undefined;
    for (const [Name, work] of rest) {
      const finding: Finding =
        failed === undefined ? await orFailed(work) : { Outcome: 'SKIPPED', Advice: `Mend ${failed} first, then test again.` };
      steps.push({ Name, ...finding });
      if (finding.Outcome === 'FAILED') failed = Name;
    }
    return steps;
  }

  /** As Entra ID does: the document, then the keys that it names, from where everyone asks. */
  async #checkIssuer(issuer: string, client: EntraClient): Promise<Finding> {
    if (!issuer.startsWith('https://')) {
      return {
        Outcome: 'FAILED',
        Advice: `The issuer ${issuer} is not at an https URL. Set SCEP_PUBLIC_URL to one that Microsoft can reach.`,
      };
    }
    try {
      return await this.#fetchIssuer(issuer, client);
    } catch (error) {
      if (!(error instanceof MicrosoftError)) throw error;
      const Advice = `${error.message} Seen from here; Microsoft has to reach it from the Internet, over HTTPS with a certificate that is publicly trusted.`;
      return { Outcome: 'WARNING', Advice };
    }
  }

  /** What another server says is not followed. */
  async #fetchIssuer(issuer: string, client: EntraClient): Promise<Finding> {
    const document = await this.#get(`${issuer}/.well-known/openid-configuration`, discoveryDocument);
    if (document.issuer !== issuer || document.jwks_uri !== `${issuer}/jwks`) {
      return {
        Outcome: 'FAILED',
        Advice: `What answers at ${issuer} says that it is ${document.issuer}. Lead the URL to this server alone.`,
      };
    }
    const { keys } = await this.#get(document.jwks_uri, keySet);
    const { kid } = decodeProtectedHeader(await client.createAssertion());
    if (!keys.some(key => key.kid === kid)) {
      return {
        Outcome: 'FAILED',
        Advice: `${document.jwks_uri} does not have the connector's present key. Lead the URL to this server, past any cache.`,
      };
    }
    return { Outcome: 'SUCCEEDED', Advice: `${issuer} answers with the connector's keys.` };
  }

  async #get<Form extends z.ZodType>(url: string, form: Form): Promise<z.output<Form>> {
    const request = { service: 'The issuer', method: 'GET', url, headers: { accept: 'application/json' } } as const;
    const { status, body } = await this.#parts.transport(request, microsoftHttpLimits.callTimeoutMs);
    if (status !== 200)
      throw new MicrosoftError({ reason: 'unreachable', service: 'The issuer' }, `${url} answers with HTTP status ${status}.`);
    const parsed = parseJson(form, body);
    if (parsed !== undefined) return parsed;
    throw new MicrosoftError(
      { reason: 'unreachable', service: 'The issuer' },
      `${url} does not answer with what an OpenID issuer publishes.`,
    );
  }

  async #fetchToken(client: EntraClient, of: 'Microsoft Graph' | 'Intune'): Promise<Finding> {
    await this.#parts.intune.client.fetchToken(client, of);
    return { Outcome: 'SUCCEEDED', Advice: `Entra ID gives the application a token for ${of}.` };
  }

  async #locateServices(client: EntraClient): Promise<Finding> {
    const url = await this.#parts.intune.client.locateServices(client);
    return { Outcome: 'SUCCEEDED', Advice: `Microsoft Graph says where Intune validates: at ${new URL(url).host}.` };
  }

  /** A CSR without a challenge, which Intune can only refuse: if it does, it has let the application ask. */
  async #probe(client: EntraClient): Promise<Finding> {
    const privateKey = await generatePrivateKey('EC_prime256v1');
    const subject = parseNameString('CN=Connection test of Open Connector for SCEP').der;
    const template = { subject, subjectPublicKeyInfo: publicKeyOf(privateKey).spki, extensions: [] };
    const csr = createCertificationRequest(template, createSigner(privateKey));
    const transactionID = this.#parts.system.randomUUID();
    const { code, activityId } = await this.#parts.intune.client.validateRequest(client, { transactionID, csr });
    return {
      Outcome: 'SUCCEEDED',
      Advice: `Intune lets the application validate: it refuses a request without a challenge (${code}, activity ${activityId}).`,
    };
  }
}

async function orFailed(work: () => Promise<Finding>): Promise<Finding> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MicrosoftError) return { Outcome: 'FAILED', Advice: error.message };
    throw error;
  }
}
