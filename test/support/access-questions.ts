/** Questions to IAM about one user's request, with the policies and tags that a test gives. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Policy, parsePolicy } from '../../src/base/iam/policy.ts';
import type { Principal } from '../../src/base/resources.ts';
import { type Access, authorize } from '../../src/fronts/api/authorization.ts';
import type { Operation, ParsedInput } from '../../src/fronts/api/operation.ts';
import type { ApiRequest } from '../../src/fronts/api/request.ts';
import { scepOperations } from '../../src/fronts/api/scep-operations.ts';

export const accountId = '111122223333';
const home = { accountId, region: 'eu-central-1' };
export const connector = `arn:aws:pca-connector-scep:eu-central-1:${accountId}:connector/0a1b2c3d-0000-4000-8000-0123456789ab`;
export const challenge = `${connector}/challenge/0a1b2c3d-0000-4000-8000-0123456789ab`;
export const authority = `arn:aws:acm-pca:eu-central-1:${accountId}:certificate-authority/0a1b2c3d-0000-4000-8000-0123456789ab`;
export const foreignAuthority = authority.replace(accountId, '444455556666');
export const ann: Principal = { accountId, arn: `arn:aws:iam::${accountId}:user/ann`, userName: 'ann', accessKeyId: 'AKIA' };
const request: ApiRequest = {
  method: 'GET',
  rawUrl: '/',
  headers: [['User-Agent', 'aws-cli/2']],
  body: new Uint8Array(0),
  source: '192.0.2.7',
};

type Statement = Record<string, unknown>;
export interface Rights {
  identity?: Statement[];
  session?: Statement[];
  resource?: Statement[];
  tags?: Record<string, string>;
}

function policy(kind: 'identity' | 'resource', Statement: Statement[]): Policy {
  return parsePolicy(JSON.stringify({ Version: '2012-10-17', Statement }), kind);
}

function accessOf({ identity = [], session, resource, tags = {} }: Rights): Access {
  return {
    policiesOf: async () => ({
      identity: identity.length > 0 ? [policy('identity', identity)] : [],
      ...(session && { session: policy('identity', session) }),
    }),
    resourcePolicyOf: async () => resource && policy('resource', resource),
    tagsOf: async () => tags,
  };
}

const describeAuthority: Operation<never> = {
  name: 'DescribeCertificateAuthority',
  action: 'acm-pca:DescribeCertificateAuthority',
  resource: 'CertificateAuthorityArn',
  input: { CertificateAuthorityArn: { shape: { type: 'string' } } },
  output: {},
  call: async () => ({}),
};
const operations = [...scepOperations, describeAuthority] as readonly Operation<never>[];

export async function ask(name: string, input: ParsedInput, rights: Rights): Promise<void> {
  const operation = operations.find(each => each.name === name);
  assert.ok(operation);
  await authorize(accessOf(rights), { operation, principal: ann, input, request, home, now: Date.UTC(2026, 10, 23) });
}

export const allow = (Action: string | string[], Resource: string | string[] = '*', Condition?: object): Statement => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition && { Condition }),
});
export const deny = (Action: string, Resource = '*', Condition?: object): Statement => ({
  ...allow(Action, Resource, Condition),
  Effect: 'Deny',
});
export const grant = (Principal: unknown, Action: string): Statement => ({ Effect: 'Allow', Principal, Action, Resource: '*' });
export const refused = { name: 'AccessDeniedException', statusCode: 403 };

export type DecisionCase = [what: string, operation: string, input: ParsedInput, rights: Rights, isAllowed: boolean];

/** A test for each case. */
export function testDecisions(cases: readonly DecisionCase[]): void {
  for (const [what, operation, input, rights, isAllowed] of cases) {
    it(`${isAllowed ? 'allows' : 'denies'}: ${what}`, async () => {
      if (isAllowed) await ask(operation, input, rights);
      else await assert.rejects(ask(operation, input, rights), refused);
    });
  }
}
