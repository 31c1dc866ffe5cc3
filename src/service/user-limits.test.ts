/** The limits of users, policies and keys, on both sides of each bound. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PolicyError } from '../base/iam/policy.ts';
import { checkLimit, checkPolicyDocument, checkPolicyName, checkUserName, policyDocumentForm, sessionPolicyForm } from './user-limits.ts';

const policy = '{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}';
const validation = { name: 'ValidationException' };

describe('checkLimit', () => {
  const limits = { UsersPerAccount: 1000, PoliciesPerUser: 10, AccessKeysPerUser: 10, SessionsPerUser: 1000 } as const;
  for (const [name, value] of Object.entries(limits) as [keyof typeof limits, number][]) {
    it(`lets ${name} come to ${value}`, () => {
      checkLimit(name, value - 1);
      assert.throws(() => checkLimit(name, value), { name: 'ServiceQuotaExceededException', statusCode: 402 });
    });
  }
});

describe('checkUserName and checkPolicyName', () => {
  it('take names of 64 and of 128 characters', () => {
    checkUserName('n'.repeat(64));
    assert.throws(() => checkUserName('n'.repeat(65)), validation);
    checkPolicyName('n'.repeat(128));
    assert.throws(() => checkPolicyName('n'.repeat(129)), validation);
  });

  it('take no name that a path cannot hold as one segment', () => {
    for (const name of ['', '.', '..', 'a/b', 'a b', 'a\n', 'é', '%41']) {
      assert.throws(() => checkUserName(name), validation, name);
      assert.throws(() => checkPolicyName(name), validation, name);
    }
    for (const name of ['...', '.a', 'a.', 'a+=,.@-_Z9']) checkUserName(name);
  });
});

describe('checkPolicyDocument', () => {
  it("takes a user's policy of 10,240 characters and a session's of 2,048", () => {
    for (const [form, charactersMax] of [
      [policyDocumentForm, 10_240],
      [sessionPolicyForm, 2_048],
    ] as const) {
      checkPolicyDocument(policy.padEnd(charactersMax), form);
      const message = `The policy has ${charactersMax + 1} characters, more than ${charactersMax}.`;
      assert.throws(() => checkPolicyDocument(policy.padEnd(charactersMax + 1), form), { ...validation, message });
    }
  });

  it("takes IAM's characters, and says how to write any other", () => {
    checkPolicyDocument(policy.replace('"Resource":"*"', '\t\r\n "Resource":"arn:aws:iam::1:user/caf\u00e9"'), policyDocumentForm);
    for (const character of ['\u0100', '\u0000', '\ud800', '\ufeff']) {
      const message = /Write it as \\u and four digits\.$/;
      assert.throws(() => checkPolicyDocument(policy.replace('"*"', `"${character}"`), policyDocumentForm), { ...validation, message });
    }
  });

  it('passes on what is wrong with a policy, and why', () => {
    for (const text of ['', '{', '{"Statement":[]}']) {
      assert.throws(
        () => checkPolicyDocument(text, policyDocumentForm),
        ({ name, message, cause }: Error) => name === 'ValidationException' && cause instanceof PolicyError && message === cause.message,
      );
    }
  });
});
