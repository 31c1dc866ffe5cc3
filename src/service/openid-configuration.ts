/** What an INTUNE connector is to Entra ID: the values of the federated identity credential that its administrator enters. */
import type { ConnectorRow } from '../backends/store/database.ts';
import { connectorArn, type OpenIdConfiguration } from '../base/resources.ts';
import type { Endpoints } from './endpoints.ts';

/** Entra ID fetches the issuer's keys from outside, whatever the devices' way in, and compares each value octet by octet. */
export function openIdConfigurationOf(
  { account_id: accountId, region, connector_id: connectorId }: ConnectorRow,
  { endpoints, audience }: { endpoints: Endpoints; audience: string },
): OpenIdConfiguration {
  return {
    Issuer: `${endpoints.publicUrl}/${accountId}-${connectorId}/oidc`,
    Subject: connectorArn({ accountId, region }, connectorId),
    Audience: audience,
  };
}
