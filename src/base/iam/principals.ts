/** The Principal and NotPrincipal elements of a resource's policy (IAM User Guide, "AWS JSON policy elements: Principal", "NotPrincipal"). */
import { isRecord, PolicyError, quoted, readStrings } from './document.ts';

/** Who asks: an AWS principal's ARN with its account, or a service's name such as pca-connector-scep.amazonaws.com. */
export type Requester = { arn: string; accountId: string } | { service: string };

/** Without a requester, whether it is meant for everyone. */
export type PrincipalTest = (requester: Requester | undefined) => boolean;

interface Principals {
  everyone: boolean;
  accounts: Set<string>;
  arns: Set<string>;
  services: Set<string>;
}

export function compilePrincipal(value: unknown, where: string): PrincipalTest {
  const principals = parsePrincipals(value, where);
  return requester => isAmong(requester, principals);
}

/**
 * Who is not named. Beside a user of its own an account does not stand for all its users: with Bob and Bob's account named, everyone but Bob is meant
 * ("NotPrincipal with Deny").
 */
export function compileNotPrincipal(value: unknown, where: string): PrincipalTest {
  const principals = parsePrincipals(value, where);
  for (const account of Array.from(principals.arns, arn => arn.split(':')[4] ?? '')) {
    if (principals.accounts.delete(account)) principals.arns.add(`arn:aws:iam::${account}:root`);
  }
  return requester => !isAmong(requester, principals);
}

function isAmong(requester: Requester | undefined, { everyone, accounts, arns, services }: Principals): boolean {
  if (everyone || requester === undefined) return everyone;
  if ('service' in requester) return services.has(requester.service);
  return accounts.has(requester.accountId) || arns.has(requester.arn);
}

function parsePrincipals(value: unknown, where: string): Principals {
  const principals: Principals = { everyone: value === '*', accounts: new Set(), arns: new Set(), services: new Set() };
  if (value === '*') return principals;
  if (!isRecord(value) || Object.keys(value).length === 0) {
    throw new PolicyError(`${where} must be "*" or an object with AWS or Service, such as {"AWS": "111122223333"}.`);
  }
  for (const [type, names] of Object.entries(value)) {
    for (const name of readStrings(names, `${where} ${quoted(type)}`)) addPrincipal(principals, type, name, where);
  }
  return principals;
}

function addPrincipal(principals: Principals, type: string, name: string, where: string): void {
  switch (type) {
    case 'AWS':
      return addAwsPrincipal(principals, name, where);
    case 'Service':
      if (!/^[a-z\d-]+(?:\.[a-z\d-]+)+$/.test(name)) {
        throw new PolicyError(
          `${where} Service must be the name of a service, such as pca-connector-scep.amazonaws.com, not ${quoted(name)}.`,
        );
      }
      principals.services.add(name);
      return;
    // No request comes from one: they are read, and match nobody.
    case 'Federated':
    case 'CanonicalUser':
      return;
    default:
      throw new PolicyError(`${where} may have AWS, Service, Federated and CanonicalUser, but not ${quoted(type)}.`);
  }
}

/** "You cannot use a wildcard to match part of a principal name or ARN." */
function addAwsPrincipal(principals: Principals, name: string, where: string): void {
  if (name === '*') {
    principals.everyone = true;
    return;
  }
  const [, account] = /^(?:arn:aws[a-z-]*:iam::)?(\d{12})(?::root)?$/.exec(name) ?? [];
  if (account !== undefined) principals.accounts.add(account);
  else if (/^arn:aws[a-z-]*:(?:iam|sts)::\d{12}:[^*?]+$/.test(name)) principals.arns.add(name);
  else throw new PolicyError(`${where} AWS must be "*", a twelve-digit account or the whole ARN of a principal, not ${quoted(name)}.`);
}
