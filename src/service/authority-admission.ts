/** Whom the resource policy of a certificate authority admits: principals of other accounts, and the connector service. */
import { LRUCache } from 'lru-cache';
import type { CertificateAuthorityRow } from '../backends/store/database.ts';
import { evaluate } from '../base/iam/evaluation.ts';
import { type Policy, parsePolicy } from '../base/iam/policy.ts';
import { connectorService, connectorTemplateArn } from '../base/private-ca.ts';
import { certificateAuthorityArn, type Principal } from '../base/resources.ts';

const parsedPoliciesMax = 200;

/** By their text: to compile a policy costs far more than to ask it. */
const parsedPolicies = new LRUCache<string, Policy>({ max: parsedPoliciesMax });

/** Whether the authority's policy lets a principal of another account see it. */
export function admitsPrincipal(row: CertificateAuthorityRow, { arn, accountId }: Principal): boolean {
  const policy = policyOf(row);
  if (policy === undefined) return false;
  const request = {
    action: 'acm-pca:DescribeCertificateAuthority',
    resource: arnOf(row),
    context: new Map(),
    principal: { arn, accountId },
  };
  return evaluate([policy], request) === 'allow';
}

/** Whether connectors may issue from the authority: unless its policy denies it, and under 'aws' only once its policy allows it, as at AWS a RAM share does. */
export function admitsConnectorService(row: CertificateAuthorityRow, compatibility: 'clients' | 'aws'): boolean {
  const policy = policyOf(row);
  const context = new Map([
    ['acm-pca:templatearn', [connectorTemplateArn]],
    ['aws:sourceaccount', [row.account_id]],
    ['aws:principalisawsservice', ['true']],
    ['aws:principalservicename', [connectorService]],
  ]);
  const request = { action: 'acm-pca:IssueCertificate', resource: arnOf(row), context, principal: { service: connectorService } };
  const decision = policy === undefined ? 'implicitDeny' : evaluate([policy], request);
  return compatibility === 'aws' ? decision === 'allow' : decision !== 'explicitDeny';
}

/** Its policy, compiled; undefined when it has none. */
export function policyOf({ policy: text }: CertificateAuthorityRow): Policy | undefined {
  if (text === null) return undefined;
  const known = parsedPolicies.get(text);
  if (known !== undefined) return known;
  const policy = parsePolicy(text, 'resource');
  parsedPolicies.set(text, policy);
  return policy;
}

function arnOf({ account_id: accountId, region, ca_id: caId }: CertificateAuthorityRow): string {
  return certificateAuthorityArn({ accountId, region }, caId);
}
