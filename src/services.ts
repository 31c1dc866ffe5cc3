/** The services in dependency order, and what the API takes of them. */
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
import { Connectors } from './service/connectors.ts';
import { DynamicChallenges } from './service/dynamic-challenges.ts';
import { Endpoints } from './service/endpoints.ts';
import { Enrolment } from './service/enrolment.ts';
import { EnrolmentEndpoints } from './service/enrolment-endpoints.ts';
import { EnrolmentPolicies } from './service/enrolment-policies.ts';
import { Events } from './service/events-history.ts';
import { FailureLimits } from './service/failure-limits.ts';
import { IntentRecovery } from './service/intent-recovery.ts';
import { IssuanceQueue } from './service/issuance-queue.ts';
import { Lifecycle } from './service/lifecycle.ts';
import { OidcKeys } from './service/oidc-keys.ts';
import { PendingRequests } from './service/pending-requests.ts';
import { PrivateCa } from './service/private-ca.ts';
import { RaKeys } from './service/ra-keys.ts';
import { RevocationLists } from './service/revocation-lists.ts';
import { ScepTransactions } from './service/scep-transactions.ts';
import { Tags } from './service/tags.ts';
import { Throttling } from './service/throttling.ts';
import { Users } from './service/users.ts';

/** What Entra ID expects in the tokens of a federated credential. Other clouds have other names. */
const tokenExchangeAudience = 'api://AzureADTokenExchange';

export type Services = ReturnType<typeof createServices>;

export interface ServicesParts {
  installation: Installation;
  workers: Workers;
  audit: Audit;
  log: Log;
}

/** Nothing of it runs by itself: the workers among them wait to be started. */
export function createServices(config: Config, { installation, workers, audit, log }: ServicesParts) {
  const { database, keyProtector, system, accessKeys } = installation;
  const { region, compatibility, quotas, publicationUrl } = config;
  const common = { database, keyProtector, system, region, log, quotas };
  const endpoints = new Endpoints(config);
  const certificates = new Certificates(common);
  const certificateAuthorities = new CertificateAuthorities({ ...common, workers, compatibility, publicationUrl });
  const raKeys = new RaKeys({ ...common, certificates });
  const openId = { endpoints, audience: tokenExchangeAudience };
  const oidcKeys = new OidcKeys({ ...common, ...openId, audit });
  const lifecycle = new Lifecycle({ ...common, audit, certificateAuthorities, raKeys, oidcKeys, endpoints });
  const connectors = new Connectors({ ...common, ...openId, wakeLifecycle: () => lifecycle.wake() });
  const challenges = new Challenges(common);
  const dynamicChallenges = new DynamicChallenges(common);
  const throttling = new Throttling(common);
  const failureLimits = new FailureLimits(common);
  const authorisations = new Authorisations({ ...common, challenges, dynamicChallenges, failureLimits });
  const transactions = new ScepTransactions({ ...common, authorisations });
  // AWS's connector issues within its account's quota of IssueCertificate.
  const takeIssuance = (accountId: string) => compatibility === 'clients' || throttling.tryTake(accountId, 'IssueCertificate');
  const issuing = { certificateAuthorities, certificates, authorisations, transactions, takeIssuance };
  const enrolment = new Enrolment({ ...common, audit, ...issuing });
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
    dynamicChallenges,
    pendingRequests: new PendingRequests(common),
    enrolment,
    enrolmentEndpoints,
    enrolmentPolicies: new EnrolmentPolicies({ ...common, wakeLifecycle: () => lifecycle.wake() }),
    certificateLookup: new CertificateLookup({ ...common, enrolmentEndpoints, revocationLists }),
    failureLimits,
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
