/** Users: the principals of an account, their inline policies, and what those allow a caller to do. */
import { LRUCache } from 'lru-cache';
import { countAccessKeys, deleteTemporaryAccessKeys } from '../backends/store/access-keys.ts';
import { insertAccount } from '../backends/store/accounts.ts';
import type { Database, Query, UserRow } from '../backends/store/database.ts';
import {
  deleteUserPolicy,
  findUserPolicy,
  listUserPolicies,
  listUserPolicyDocuments,
  putUserPolicy,
} from '../backends/store/user-policies.ts';
import { countUsers, deleteUser, findUser, insertUser, listUsers, type UserKey } from '../backends/store/users.ts';
import { conflict, resourceNotFound, validationException } from '../base/errors.ts';
import type { Log } from '../base/events.ts';
import { type Policy, parsePolicy } from '../base/iam/policy.ts';
import type { Principal } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import type { PageRequest } from './connectors.ts';
import { RevisionCache } from './revision-cache.ts';
import { checkLimit, checkPolicyDocument, checkPolicyName, checkUserName, policyDocumentForm } from './user-limits.ts';

const usersCachedMax = 1000;
const policiesCachedMax = 1000;
/** Twelve digits, as AWS's account ids. */
const accountIdForm = /^\d{12}$/;
/** Who the first access key of an account belongs to. */
export const administratorName = 'administrator';
/** AWS's managed policy of that name. */
export const administratorAccess: InlinePolicy = {
  PolicyName: 'AdministratorAccess',
  PolicyDocument: '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
};

interface UsersDependencies {
  database: Database;
  system: System;
  log: Log;
}

/** Whose users they are. */
export interface Account {
  accountId: string;
}

export interface InlinePolicy {
  PolicyName: string;
  PolicyDocument: string;
}

interface User {
  UserName: string;
  Arn: string;
  CreatedAt: number;
}

const denyEverything = parsePolicy('{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}', 'identity');

/** What decides on a caller's request: both must allow it. */
interface CallerPolicies {
  identity: readonly Policy[];
  session?: Policy;
}

export class Users {
  readonly #dependencies: UsersDependencies;
  readonly #policies = new LRUCache<string, Policy | 'unreadable'>({ max: policiesCachedMax });
  readonly #documents: RevisionCache<string[]>;

  constructor(dependencies: UsersDependencies) {
    this.#dependencies = dependencies;
    this.#documents = new RevisionCache(dependencies.database, usersCachedMax);
  }

  /** A change counts at the next request. */
  async policiesOf({ accountId, userName, arn, sessionPolicy }: Principal): Promise<CallerPolicies> {
    const { query } = this.#dependencies.database;
    const documents = await this.#documents.get(arn, () => listUserPolicyDocuments(query, { accountId, userName }));
    const identity = documents.map(document => this.#parse(document, arn));
    const session = sessionPolicy === undefined ? undefined : this.#parse(sessionPolicy, arn);
    // What cannot be read may hold the Deny that counts, against the policy of a CA too.
    if (session === 'unreadable' || !identity.every(policy => policy !== 'unreadable')) return { identity: [denyEverything] };
    return { identity, ...(session && { session }) };
  }

  /** One that cannot be read is reported once while it is remembered, not at each request. */
  #parse(document: string, arn: string): Policy | 'unreadable' {
    const known = this.#policies.get(document);
    if (known !== undefined) return known;
    let policy: Policy | 'unreadable';
    try {
      policy = parsePolicy(document, 'identity');
    } catch (err) {
      this.#dependencies.log.error({ err, arn }, 'a stored policy cannot be read: its user may do nothing');
      policy = 'unreadable';
    }
    this.#policies.set(document, policy);
    return policy;
  }

  /** Without a policy the user may do nothing. */
  async createUser({ accountId }: Account, { UserName }: { UserName: string }, policy?: InlinePolicy): Promise<{ User: User }> {
    checkUserName(UserName);
    if (policy) checkPolicy(policy);
    const { database, system } = this.#dependencies;
    const user = { accountId, userName: UserName };
    const now = system.now();
    await database.transaction(async query => {
      if (await findUser(query, user)) throw conflict('User', UserName, `User ${UserName} exists already. Choose another name.`);
      await addUser(query, user, now, policy);
    });
    return { User: describe({ account_id: accountId, user_name: UserName, created_at: now }) };
  }

  async listUsers({ accountId }: Account, { limit, after }: PageRequest): Promise<{ Users: User[]; next?: string }> {
    const rows = await listUsers(this.#dependencies.database.query, { accountId, afterName: after, limit: limit + 1 });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return { Users: page.map(describe), ...(rows.length > limit && last && { next: last.user_name }) };
  }

  /** Its temporary keys go with it: they are only its own for a while. */
  async deleteUser({ accountId }: Account, { UserName }: { UserName: string }): Promise<Record<string, never>> {
    await this.#dependencies.database.transaction(async query => {
      const user = { accountId, userName: UserName };
      await checkUserExists(query, user);
      const keys = await countAccessKeys(query, user, 'permanent');
      const policies = (await listUserPolicyDocuments(query, user)).length;
      if (keys + policies > 0) {
        throw conflict('User', UserName, `User ${UserName} still has ${keys} access keys and ${policies} policies. Delete those first.`);
      }
      await deleteTemporaryAccessKeys(query, user);
      await deleteUser(query, user);
    });
    return {};
  }

  async putUserPolicy(
    { accountId }: Account,
    { UserName, ...policy }: InlinePolicy & { UserName: string },
  ): Promise<Record<string, never>> {
    checkPolicy(policy);
    const { database, system } = this.#dependencies;
    const user = { accountId, userName: UserName };
    await database.transaction(async query => {
      await checkUserExists(query, user);
      const isNew = (await findUserPolicy(query, { ...user, policyName: policy.PolicyName })) === undefined;
      if (isNew) checkLimit('PoliciesPerUser', (await listUserPolicyDocuments(query, user)).length);
      await addPolicy(query, user, system.now(), policy);
    });
    return {};
  }

  async getUserPolicy(
    { accountId }: Account,
    { UserName, PolicyName }: { UserName: string; PolicyName: string },
  ): Promise<InlinePolicy & { UserName: string }> {
    const { query } = this.#dependencies.database;
    const user = { accountId, userName: UserName };
    await checkUserExists(query, user);
    const row = await findUserPolicy(query, { ...user, policyName: PolicyName });
    if (!row) throw resourceNotFound('Policy', PolicyName);
    return { UserName, PolicyName, PolicyDocument: row.document };
  }

  async listUserPolicies(
    { accountId }: Account,
    { UserName }: { UserName: string },
    { limit, after }: PageRequest,
  ): Promise<{ PolicyNames: string[]; next?: string }> {
    const { query } = this.#dependencies.database;
    const user = { accountId, userName: UserName };
    await checkUserExists(query, user);
    const rows = await listUserPolicies(query, { ...user, afterName: after, limit: limit + 1 });
    const PolicyNames = rows.slice(0, limit).map(row => row.policy_name);
    const last = PolicyNames.at(-1);
    return { PolicyNames, ...(rows.length > limit && last !== undefined && { next: last }) };
  }

  async deleteUserPolicy(
    { accountId }: Account,
    { UserName, PolicyName }: { UserName: string; PolicyName: string },
  ): Promise<Record<string, never>> {
    await this.#dependencies.database.transaction(async query => {
      const user = { accountId, userName: UserName };
      await checkUserExists(query, user);
      if (!(await deleteUserPolicy(query, { ...user, policyName: PolicyName }))) throw resourceNotFound('Policy', PolicyName);
    });
    return {};
  }
}

export function userArn({ accountId, userName }: UserKey): string {
  return `arn:aws:iam::${accountId}:user/${userName}`;
}

export async function checkUserExists(query: Query, user: UserKey): Promise<void> {
  if (!(await findUser(query, user))) throw resourceNotFound('User', user.userName);
}

/** The administrator as he is found, or else with AdministratorAccess. */
export async function makeSureOfAdministrator(query: Query, accountId: string, now: number): Promise<void> {
  const user = { accountId, userName: administratorName };
  if (!(await findUser(query, user))) await addUser(query, user, now, administratorAccess);
}

/** An account comes into being with its first user. */
async function addUser(query: Query, user: UserKey, now: number, policy?: InlinePolicy): Promise<void> {
  const { accountId, userName } = user;
  if (!accountIdForm.test(accountId)) throw validationException('An account id is 12 digits.');
  checkLimit('UsersPerAccount', await countUsers(query, accountId));
  await insertAccount(query, { account_id: accountId, created_at: now });
  await insertUser(query, { account_id: accountId, user_name: userName, created_at: now });
  if (policy) await addPolicy(query, user, now, policy);
}

async function addPolicy(query: Query, { accountId, userName }: UserKey, now: number, policy: InlinePolicy): Promise<void> {
  await putUserPolicy(query, {
    account_id: accountId,
    user_name: userName,
    policy_name: policy.PolicyName,
    document: policy.PolicyDocument,
    created_at: now,
    updated_at: now,
  });
}

function checkPolicy({ PolicyName, PolicyDocument }: InlinePolicy): void {
  checkPolicyName(PolicyName);
  checkPolicyDocument(PolicyDocument, policyDocumentForm);
}

function describe({ account_id: accountId, user_name: UserName, created_at: CreatedAt }: UserRow): User {
  return { UserName, Arn: userArn({ accountId, userName: UserName }), CreatedAt };
}
