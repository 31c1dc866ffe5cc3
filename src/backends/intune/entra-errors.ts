/** Entra ID's errors in words: which of its codes an administrator meets on the way to a federated credential, and what to change. */
import { MicrosoftError, type MicrosoftErrorReason, shownText } from './microsoft-error.ts';

interface EntraErrorRow {
  reason: MicrosoftErrorReason;
  advice: string;
}

const matching = 'In the app registration, under "Certificates & secrets", "Federated credentials", paste';
const waiting = 'A new credential takes some minutes to be known everywhere.';

/** The codes of learn.microsoft.com "Microsoft Entra authentication and authorization error codes" that a client assertion can meet. */
const rows: Readonly<Record<number, EntraErrorRow>> = {
  70021: row(`No federated credential of the application matches. ${matching} the connector's Issuer, Subject and Audience. ${waiting}`),
  700211: row(`No federated credential has the connector's issuer. ${matching} its OpenIdConfiguration.Issuer. ${waiting}`),
  700212: row(`No federated credential has the connector's audience. ${matching} its OpenIdConfiguration.Audience. ${waiting}`),
  700213: row(`No federated credential has the connector's subject. ${matching} its OpenIdConfiguration.Subject. ${waiting}`),
  7000226: row(`The application has no federated credential. ${matching} the connector's Issuer, Subject and Audience. ${waiting}`),
  700024: row("The connector's assertion is not valid now. Set the clock of this server."),
  700027: row(
    "The signature of the connector's assertion does not hold. Make sure that the Issuer URL leads to this server and to no other.",
  ),
  7000272: row(
    "Entra ID does not find the connector's key at its Issuer. Make sure that the URL leads to this server and that no cache keeps old keys.",
  ),
  700222: row("Entra ID takes no token of its own as an assertion. The Issuer must be the connector's."),
  7000112: row('The application is disabled. Enable it under "Enterprise applications", "Properties".'),
  700016: {
    reason: 'applicationNotFound',
    advice: 'The tenant does not have the application. AzureApplicationId must be its Application (client) ID, and Domain its own tenant.',
  },
  90002: {
    reason: 'applicationNotFound',
    advice: 'There is no such tenant. Domain must be the Directory (tenant) ID or the primary domain.',
  },
  70011: row('The scope is not valid. Check SCEP_MICROSOFT_CLOUD and SCEP_INTUNE_RESOURCE.'),
  500011: row('The tenant does not have the service that a token was asked for. Intune must be set up and licensed in it.'),
  // Passing, even where the issuer can be reached (Azure/azure-workload-identity#642).
  50166: away(),
  90061: away(),
  501661: away(),
};

function row(advice: string): EntraErrorRow {
  return { reason: 'noAccess', advice };
}

function away(): EntraErrorRow {
  return {
    reason: 'unreachable',
    advice:
      "Entra ID cannot fetch the connector's keys. The Issuer URL must answer anyone on the Internet over HTTPS, with a certificate that is publicly trusted, without a firewall rule or a sign-in.",
  };
}

/** `codes` and `description` are error_codes and error_description of the answer. The codes may change: what has none here is a refusal all the same. */
export function entraError(codes: readonly number[], description: string): MicrosoftError {
  const code = codes.find(known => rows[known] !== undefined) ?? codes[0];
  const { reason, advice } = rows[code ?? 0] ?? row(`It says: ${shownText(description.split('Trace ID:', 1)[0] ?? '')}`);
  const name = code === undefined ? '' : ` (AADSTS${code})`;
  return new MicrosoftError({ reason, service: 'Entra ID' }, `Entra ID gives the connector no token${name}. ${advice}`);
}
