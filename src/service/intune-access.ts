/** What Intune says of a device's request, and what a connector needs to ask it. */
import type { EntraClient } from '../backends/intune/entra.ts';
import type { IntuneClient, IntuneVerdict } from '../backends/intune/intune-client.ts';
import { MicrosoftError } from '../backends/intune/microsoft-error.ts';
import type { ConnectorRow } from '../backends/store/database.ts';
import { type ConnectorError, type Failure, failure } from '../base/scep.ts';
import type { EnrolmentRequest, IntuneConnector, NamedConnector } from './scep-requests.ts';

interface IntuneAccessParts {
  client: IntuneClient;
  /** The connector's own word for who it is, signed with a key that its issuer publishes. */
  signAssertion: (connector: NamedConnector) => Promise<string>;
}

export class IntuneAccess {
  readonly client: IntuneClient;
  readonly #signAssertion: IntuneAccessParts['signAssertion'];

  constructor({ client, signAssertion }: IntuneAccessParts) {
    this.client = client;
    this.#signAssertion = signAssertion;
  }

  clientOf(connector: IntuneConnector): EntraClient {
    const { connectorId, applicationId, domain } = connector;
    return { connectorId, applicationId, domain, createAssertion: () => this.#signAssertion(connector) };
  }

  /** Undefined when the device may have what it asks for, by the activity's id. Throws MicrosoftError when nobody has said. */
  async validate(
    connector: IntuneConnector,
    { transactionID, csr }: Pick<EnrolmentRequest, 'transactionID' | 'csr'>,
  ): Promise<{ activityId: string } | Failure> {
    let verdict: IntuneVerdict;
    try {
      verdict = await this.client.validateRequest(this.clientOf(connector), { transactionID, csr: csr.der });
    } catch (error) {
      if (!(error instanceof MicrosoftError) || error.reason === 'unreachable') throw error;
      return failure('badRequest', error.message, connectorErrorOf(error));
    }
    const { code, description, activityId } = verdict;
    if (verdict.isSuccess) return { activityId };
    const reason = `Intune refuses the request: ${[code, description].filter(text => text !== '').join(': ')}`;
    const advice = verdictAdvice[code];
    return {
      ...failure('badRequest', advice === undefined ? reason : `${reason} ${advice}`, { code: 'intuneValidationFailed', detail: code }),
      intune: { code, activityId },
    };
  }
}

/** What an administrator can do about it, where the code does not say. */
const verdictAdvice: Readonly<Record<string, string>> = {
  BadTenantIdInChallenge:
    'The profile is of another tenant than the connector: its Domain and AzureApplicationId must be those of the tenant of the devices.',
  ChallengeExpired: 'Intune sends a new challenge with its next policy cycle.',
};

function connectorErrorOf({ reason, permission }: MicrosoftError): ConnectorError {
  switch (reason) {
    case 'applicationNotFound':
      return { code: 'azureApplicationNotFound' };
    case 'actionDenied':
      return { code: 'azureActionDenied', detail: permission ?? '' };
    case 'noAccess':
    case 'unreachable':
      return { code: 'noAzureAccess' };
    default:
      return reason satisfies never;
  }
}

/** Undefined of a connector that is not of Intune. */
export function intuneConnectorOf(row: ConnectorRow): IntuneConnector | undefined {
  const { account_id: accountId, region, connector_id: connectorId, azure_application_id: applicationId, azure_domain: domain } = row;
  return applicationId === null || domain === null ? undefined : { accountId, region, connectorId, applicationId, domain };
}
