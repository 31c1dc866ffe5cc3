/** The services in dependency order, and what the API takes of them. */
import { IntuneClient } from './backends/intune/intune-client.ts';
import type { Transport } from './backends/intune/microsoft-http.ts';
import type { Log } from './base/events.ts';
import type { Workers } from './base/worker-pool.ts';
import type { Config } from './config.ts';
import type { ApiDependencies } from './fronts/api/handler.ts';
import type { Installation } from './installation.ts';
import type { Audit } from './service/audit.ts';
import { AuditRetention } from './service/audit-retention.ts';
import { Authorisations } from './service/authorisations.ts';
import { AuthorityLifecycle } from './service/authority-lifecycle.ts';
import { CertificateAuthorities } from './service/certificate-authorities.ts';
import { CertificateIssuance } from './service/certificate-issuance.ts';
import { CertificateLookup } from './service/certificate-lookup.ts';
import { Certificates } from './service/certificates.ts';
import { Challenges } from './service/challenges.ts';
import { ConnectionTest } from './service/connection-test.ts';
import { Connectors } from './service/connectors.ts';
import { DynamicChallenges } from './service/dynamic-challenges.ts';
import { Endpoints } from './service/endpoints.ts';
import { Enrolment } from './service/enrolment.ts';
import { EnrolmentEndpoints } from './service/enrolment-endpoints.ts';
import { EnrolmentIssuance } from './service/enrolment-issuance.ts';
import { EnrolmentPolicies } from './service/enrolment-policies.ts';
import { Events } from './service/events-history.ts';
import { FailureLimits } from './service/failure-limits.ts';
import { IntentRecovery } from './service/intent-recovery.ts';
import { IntuneAccess } from './service/intune-access.ts';
import { IntuneNotifications } from './service/intune-notifications.ts';
import { IntuneRevocations } from './service/intune-revocations.ts';
import { IssuanceQueue } from './service/issuance-queue.ts';
import { Lifecycle } from './service/lifecycle.ts';
import { OidcKeys } from './service/oidc-keys.ts';
import { openIdConfigurationOf } from './service/openid-configuration.ts';
import { PendingRequests } from './service/pending-requests.ts';
import { PrivateCa } from './service/private-ca.ts';
import { RaKeys } from './service/ra-keys.ts';
import { RevocationLists } from './service/revocation-lists.ts';
import { ScepTransactions } from './service/scep-transactions.ts';
import { Tags } from './service/tags.ts';
import { Throttling } from './service/throttling.ts';
import { Users } from './service/users.ts';

export type Services = ReturnType<typeof createServices>;

export interface ServicesParts {
  installation: Installation;
  workers: Workers;
  audit: Audit;
  log: Log;
  /** The network between this server and Microsoft. */
  transport: Transport;
}

/** Nothing of it runs by itself: the workers among them wait to be started. */
export function createServices(config: Config, { installation, workers, audit, log, transport }: ServicesParts) {
  const { database, keyProtector, system, accessKeys } = installation;
  const { region, compatibility, quotas, publicationUrl } = config;
  const common = { database, keyProtector, system, region, log, quotas };
  const endpoints = new Endpoints(config);
  const certificates = new Certificates(common);
  const certificateAuthorities = new CertificateAuthorities({ ...common, workers, compatibility, publicationUrl });
  const raKeys = new RaKeys({ ...common, certificates });
  const openId = { endpoints, audience: config.microsoft.tokenExchangeAudience };
  const oidcKeys = new OidcKeys({ ...common, ...openId, audit });
  const lifecycle = new Lifecycle({ ...common, audit, certificateAuthorities, raKeys, oidcKeys, endpoints });
  const connectors = new Connectors({ ...common, ...openId, wakeLifecycle: () => lifecycle.wake() });
  const challenges = new Challenges(common);
  const dynamicChallenges = new DynamicChallenges(common);
  const throttling = new Throttling(common);
  const failureLimits = new FailureLimits(common);
  const intune = new IntuneAccess({
    client: new IntuneClient({ ...config.microsoft, transport, system }),
    signAssertion: async connector => (await oidcKeys.signAssertion(connector)).assertion,
  });
  const intuneNotifications = new IntuneNotifications({ ...common, audit, intune });
  const authorisations = new Authorisations({ ...common, challenges, dynamicChallenges, failureLimits, intune });
  const transactions = new ScepTransactions({ ...common, authorisations });
  // AWS's connector issues within its account's quota of IssueCertificate.
  const takeIssuance = (accountId: string) => compatibility === 'clients' || throttling.tryTake(accountId, 'IssueCertificate');
  const issuing = { certificates, transactions, intuneNotifications };
  const issuanceParts = { ...common, ...issuing, audit, certificateAuthorities, takeIssuance };
  const enrolment = new Enrolment({ ...common, ...issuing, audit, authorisations, issuance: new EnrolmentIssuance(issuanceParts) });
  const enrolmentEndpoints = new EnrolmentEndpoints({ ...common, certificateAuthorities, raKeys, endpoints, compatibility });
  const revocationLists = new RevocationLists({ ...common, certificateAuthorities });
  const authorityLifecycle = new AuthorityLifecycle({ ...common, certificateAuthorities });
  const quota = quotas.resources.CERTIFICATE_AUTHORITIES;
  const wakes = { wakeLifecycle: () => authorityLifecycle.wake(), wakeConnectors: () => lifecycle.wake() };
  const privateCa = new PrivateCa({ ...common, quota, ...wakes });
  const issuanceQueue = new IssuanceQueue({ ...common, certificateAuthorities });
  const issuance = new CertificateIssuance({ ...common, publicationUrl, issuanceQueue });
  return {
    accessKeys,
    audit,
    certificates,
    certificateAuthorities,
    raKeys,
    oidcKeys,
    connectors,
    challenges,
    connectionTest: new ConnectionTest({ ...common, intune, transport, issuerOf: row => openIdConfigurationOf(row, openId).Issuer }),
    dynamicChallenges,
    pendingRequests: new PendingRequests(common),
    enrolment,
    enrolmentEndpoints,
    enrolmentPolicies: new EnrolmentPolicies({ ...common, wakeLifecycle: () => lifecycle.wake() }),
    certificateLookup: new CertificateLookup({ ...common, enrolmentEndpoints, revocationLists }),
    failureLimits,
    intuneNotifications,
    intuneRevocations: new IntuneRevocations({ ...common, audit, intune }),
    intentRecovery: new IntentRecovery({ ...common, transactions }),
    privateCa,
    issuance,
    lifecycle,
    authorityLifecycle,
    issuanceQueue,
    auditRetention: new AuditRetention({ ...common, retentionDays: config.auditRetentionDays }),
    revocationLists,
    tags: new Tags(common),
    users: new Users(common),
    events: new Events(common),
    throttling,
    workers,
  };
}

export function apiDependencies(
  services: Services,
  { keyProtector, system, accessKeys }: Installation,
  region: string,
  log: Log,
): ApiDependencies {
  const { users, privateCa, tags, throttling, audit } = services;
  return {
    services,
    secretLookup: (accessKeyId, sessionToken) => accessKeys.findSecret(accessKeyId, sessionToken),
    access: {
      policiesOf: principal => users.policiesOf(principal),
      resourcePolicyOf: arn => privateCa.policies.resourcePolicyOf(arn),
      tagsOf: arn => tags.tagsOf(arn),
    },
    throttling,
    record: event => audit.recordCall(event),
    mac: (data, purpose) => keyProtector.mac(data, purpose),
    system,
    region,
    log,
  };
}
