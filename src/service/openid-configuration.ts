/** What identifies an INTUNE connector to Entra ID. */
import { connectorArn, type OpenIdConfiguration } from '../base/resources.ts';
import type { NamedConnector } from './scep-requests.ts';

/** The same for every connector. */
export interface IssuerParts {
  publicUrl: string;
  /** The audience that Entra ID has in this cloud. */
  tokenExchangeAudience: string;
}

/** Entra ID compares each of the three letter by letter. It fetches the issuer's keys from outside, whatever the devices' way in. */
export function openIdConfigurationOf(
  { accountId, region, connectorId }: NamedConnector,
  { publicUrl, tokenExchangeAudience }: IssuerParts,
): OpenIdConfiguration {
  return {
    Issuer: `${publicUrl}/${accountId}-${connectorId}/oidc`,
    Subject: connectorArn({ accountId, region }, connectorId),
    Audience: tokenExchangeAudience,
  };
}
