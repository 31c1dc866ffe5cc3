/** The resource policies of certificate authorities: kept, shown, and asked who is admitted. */
import { findCertificateAuthority, updateCertificateAuthority } from '../backends/store/certificate-authorities.ts';
import type { CertificateAuthorityRow, Database, Query } from '../backends/store/database.ts';
import { ServiceException } from '../base/errors.ts';
import { evaluate } from '../base/iam/evaluation.ts';
import { type Policy, PolicyError, parsePolicy } from '../base/iam/policy.ts';
import { type Principal, parseCertificateAuthorityArn } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { policyOf } from './authority-admission.ts';
import { checkNotDeleted, getAuthorityRow } from './certificate-authorities.ts';

interface AuthorityPoliciesDependencies {
  database: Database;
  system: System;
  region: string;
}

export class AuthorityPolicies {
  readonly #dependencies: AuthorityPoliciesDependencies;

  constructor(dependencies: AuthorityPoliciesDependencies) {
    this.#dependencies = dependencies;
  }

  async putPolicy(
    principal: Principal,
    { ResourceArn, Policy: text }: { ResourceArn: string; Policy: string },
  ): Promise<Record<string, never>> {
    const policy = checkPolicy(text);
    if (locksOut(policy, principal, ResourceArn)) {
      const message = 'The policy would deny its own caller to change it again. Leave out acm-pca:PutPolicy and acm-pca:DeletePolicy.';
      throw new ServiceException('LockoutPreventedException', message);
    }
    return this.#set(ResourceArn, text);
  }

  async getPolicy({ ResourceArn }: { ResourceArn: string }): Promise<{ Policy: string }> {
    const { policy } = await this.#find(this.#dependencies.database.query, ResourceArn);
    if (policy === null) throw new ServiceException('ResourceNotFoundException', `${ResourceArn} has no policy.`);
    return { Policy: policy };
  }

  /** Without a policy it succeeds too, as AWS's does. */
  async deletePolicy({ ResourceArn }: { ResourceArn: string }): Promise<Record<string, never>> {
    return this.#set(ResourceArn, null);
  }

  /** Of an authority that exists and has one: what authorisation asks about callers, before anything else is looked up. */
  async resourcePolicyOf(arn: string): Promise<Policy | undefined> {
    const parts = parseCertificateAuthorityArn(arn);
    const row = parts && (await findCertificateAuthority(this.#dependencies.database.query, parts));
    return row && policyOf(row);
  }

  async #set(arn: string, policy: string | null): Promise<Record<string, never>> {
    const { database, system } = this.#dependencies;
    await database.transaction(async query => {
      const { ca_id, status } = await this.#find(query, arn);
      await updateCertificateAuthority(query, ca_id, [status], { policy, updated_at: system.now() });
    });
    return {};
  }

  async #find(query: Query, arn: string): Promise<CertificateAuthorityRow> {
    const { region, system } = this.#dependencies;
    const row = await getAuthorityRow(query, region, system.now(), arn);
    checkNotDeleted(row, 'a policy');
    return row;
  }
}

function checkPolicy(text: string): Policy {
  try {
    return parsePolicy(text, 'resource');
  } catch (cause) {
    if (!(cause instanceof PolicyError)) throw cause;
    throw new ServiceException('InvalidPolicyException', cause.message, {}, { cause });
  }
}

function locksOut(policy: Policy, { arn, accountId }: Principal, resource: string): boolean {
  return ['acm-pca:PutPolicy', 'acm-pca:DeletePolicy'].some(action => {
    const request = { action, resource, context: new Map(), principal: { arn, accountId } };
    return evaluate([policy], request) === 'explicitDeny';
  });
}
