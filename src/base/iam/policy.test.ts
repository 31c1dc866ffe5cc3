/** What is no policy is refused with a sentence that says where; what is one is evaluated without surprises. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { evaluate } from './evaluation.ts';
import { type Policy, PolicyError, type PolicyKind, parsePolicy, policyLimits } from './policy.ts';

const allowAll = { Effect: 'Allow', Action: '*', Resource: '*' };
const statement = (elements: object) => ({ Version: '2012-10-17', Statement: { ...allowAll, ...elements } });
const condition = (Condition: unknown) => statement({ Condition });
const principal = (Principal: unknown) => statement({ Principal });

function refusal(policy: unknown, kind: PolicyKind): string {
  try {
    parsePolicy(typeof policy === 'string' ? policy : JSON.stringify(policy), kind);
  } catch (error) {
    assert.ok(error instanceof PolicyError, String(error));
    assert.equal(error.name, 'PolicyError');
    return error.message;
  }
  return 'none';
}

describe('an identity-based policy is refused', () => {
  const refusals: [policy: unknown, message: RegExp][] = [
    ['', /^The policy is not JSON/],
    ['{\n  "Version": 2012-10-17\n}', /^The policy is not JSON: look at line 2, column 18\.$/],
    ['{"Statement":{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}}', /has the key "Effect" twice/],
    ['{"Statement":{"Effect":"Deny","E\\u0066fect" : "Allow","Action":"*","Resource":"*"}}', /has the key "Effect" twice/],
    ['{"Statement":{"Action":"*","Condition":{"Bool":{"a:b":true}},"Action":"*"}}', /has the key "Action" twice/],
    ['"Effect"', /^The policy must be a JSON object/],
    [[allowAll], /^The policy must be a JSON object/],
    [null, /^The policy must be a JSON object/],
    [{}, /^Statement must be an object or a list/],
    [{ Statement: [] }, /^Statement must be an object or a list/],
    [{ Statement: [allowAll, 'Allow'] }, /^Statement must be an object or a list/],
    [{ Statement: Array.from({ length: policyLimits.statementsMax + 1 }, () => allowAll) }, /^Statement has 401 objects, more than 400/],
    [{ ...statement({}), Version: '2012-10-18' }, /^Version must be/],
    [{ ...statement({}), Version: 20121017 }, /^Version must be/],
    [{ ...statement({}), Id: 1 }, /^Id must be a string/],
    [{ ...statement({}), Statements: [] }, /^The policy may have Version, Id, Statement, but not "Statements"/],
    [statement({ Conditions: {} }), /^Statement 1 may have .*, but not "Conditions"/],
    [statement({ ['__proto__']: {} }), /^Statement 1 may have .*, but not "__proto__"/],
    [{ Statement: [allowAll, { ...allowAll, Effect: 'allow' }] }, /^Statement 2: Effect must be Allow or Deny/],
    [statement({ Effect: undefined }), /^Statement 1: Effect must be/],
    [statement({ Sid: 'not allowed' }), /^Statement 1: Sid must be of letters and digits/],
    [statement({ Sid: 1 }), /^Statement 1: Sid must be a string/],
    [
      {
        Statement: [
          { ...allowAll, Sid: 'a' },
          { ...allowAll, Sid: 'a' },
        ],
      },
      /^Statement 2: Sid is that of a statement before/,
    ],
    [statement({ Principal: '*' }), /^Statement 1 must not have Principal/],
    [statement({ NotPrincipal: { AWS: '*' } }), /^Statement 1 must not have Principal/],
    [statement({ Action: undefined }), /^Statement 1 must have either Action or NotAction/],
    [statement({ NotAction: '*' }), /^Statement 1 must have either Action or NotAction/],
    [statement({ Action: [] }), /^Statement 1: Action must be a string or a list/],
    [statement({ Action: ['s3:Get*', 1] }), /^Statement 1: Action must be a string or a list/],
    [statement({ Action: 'GetObject' }), /^Statement 1: Action must be "\*" or of the form service:action, not "GetObject"/],
    [statement({ Action: 's3:${aws:username}' }), /^Statement 1: Action must be/],
    [statement({ Action: 's*:GetObject' }), /^Statement 1: Action must be/],
    [statement({ Resource: undefined }), /^Statement 1 must have either Resource or NotResource/],
    [statement({ NotResource: '*' }), /^Statement 1 must have either Resource or NotResource/],
    [statement({ Resource: {} }), /^Statement 1: Resource must be a string or a list/],
    [statement({ Resource: 'my-bucket' }), /^Statement 1: Resource must be "\*" or an ARN, not "my-bucket"/],
    [statement({ Resource: 'arn:*' }), /^Statement 1: Resource must be "\*" or an ARN/],
    [statement({ Resource: '' }), /^Statement 1: Resource must be "\*" or an ARN/],
    [statement({ Resource: 'arn:aws:s3:::${aws:username' }), /^Statement 1: Resource has a policy variable of another form/],
    [statement({ Resource: 'arn:aws:s3:::${username}' }), /^Statement 1: Resource has a policy variable of another form/],
    [statement({ Resource: 'arn:aws:s3:::${aws:username, anonymous}' }), /^Statement 1: Resource has a policy variable of another form/],
    [
      statement({ Resource: 'arn:aws:sqs:us-east-2:${aws:PrincipalAccount}:q' }),
      /^Statement 1: Resource may have .* after the fifth colon/,
    ],
    [condition([]), /^Statement 1: Condition must be an object/],
    [condition('Bool'), /^Statement 1: Condition must be an object/],
    [condition({ Bool: {} }), /^Statement 1: Condition "Bool" must be an object of keys/],
    [condition({ Bool: [true] }), /^Statement 1: Condition "Bool" must be an object of keys/],
    [condition({ StringMatches: { 'aws:username': 'a' } }), /^Statement 1: Condition has an operator that does not exist, "StringMatches"/],
    [condition({ stringEquals: { 'aws:username': 'a' } }), /operator that does not exist/],
    [condition({ toString: { 'aws:username': 'a' } }), /operator that does not exist/],
    [condition({ NullIfExists: { 'aws:username': 'true' } }), /operator that does not exist/],
    [condition({ 'ForAllValues:Null': { 'aws:username': 'true' } }), /operator that does not exist/],
    [condition({ 'ForSomeValues:StringLike': { 'aws:username': 'a' } }), /operator that does not exist/],
    [condition({ StringEquals: { username: 'a' } }), /has the key "username", which must be of the form service:key/],
    [condition({ StringEquals: { 'aws:username': [] } }), /"StringEquals" "aws:username" must have a value/],
    [condition({ StringEquals: { 'aws:username': null } }), /must be a string, a number, true or false/],
    [condition({ StringEquals: { 'aws:username': ['a', { a: 1 }] } }), /must be a string, a number, true or false/],
    [condition({ StringEquals: { 'aws:username': 'a', 'aws:UserName': 'b' } }), /has the key "aws:UserName" twice/],
    [condition({ StringEquals: { 'aws:username': '${}' } }), /policy variable of another form/],
    [condition({ ArnLike: { 'aws:SourceArn': '*' } }), /must be an ARN/],
    [condition({ ArnEquals: { 'aws:SourceArn': 'arn:aws:sns:*' } }), /must be an ARN/],
    [condition({ NumericEquals: { 's3:max-keys': 'ten' } }), /must be a number, not "ten"/],
    [condition({ NumericEquals: { 's3:max-keys': '${aws:username}' } }), /must be a number/],
    [condition({ DateLessThan: { 'aws:CurrentTime': 'tomorrow' } }), /must be a date/],
    [condition({ DateLessThan: { 'aws:CurrentTime': '2030-02-30' } }), /must be a date/],
    [condition({ DateLessThan: { 'aws:CurrentTime': '2030-01-01T00:00:00' } }), /must be a date/],
    [condition({ DateLessThan: { 'aws:CurrentTime': '2030-01T00:00Z' } }), /must be a date/],
    [condition({ DateLessThan: { 'aws:CurrentTime': '2030-01-01T24:01:00Z' } }), /must be a date/],
    [condition({ Bool: { 'aws:SecureTransport': 'yes' } }), /must be true or false/],
    [condition({ Null: { 'aws:TokenIssueTime': 'maybe' } }), /must be true or false/],
    [condition({ BinaryEquals: { 'test:key': 'not base64' } }), /must be base64/],
    ...['300.0.0.0', '10.0.0.0/33', '2001:db8::/129', '10.0.0/8', 'fe80::1%eth0', 'example.com', '*'].map((network): [unknown, RegExp] => [
      condition({ IpAddress: { 'aws:SourceIp': network } }),
      /must be an IP address or a network/,
    ]),
  ];
  for (const [policy, message] of refusals) {
    const text = typeof policy === 'string' ? policy : JSON.stringify(policy);
    it(text.length > 200 ? `${text.slice(0, 80)}…` : text, () => assert.match(refusal(policy, 'identity'), message));
  }
});

describe("a resource's policy is refused", () => {
  const refusals: [policy: unknown, message: RegExp][] = [
    [statement({}), /^Statement 1 must have either Principal or NotPrincipal/],
    [statement({ Principal: '*', NotPrincipal: '*' }), /^Statement 1 must have either Principal or NotPrincipal/],
    [statement({ NotPrincipal: '*' }), /^Statement 1: NotPrincipal must be used with Deny/],
    [principal('111122223333'), /^Statement 1: Principal must be "\*" or an object/],
    [principal({}), /^Statement 1: Principal must be "\*" or an object/],
    [principal({ AWS: [] }), /^Statement 1: Principal "AWS" must be a string or a list/],
    [principal({ AWS: '1111' }), /^Statement 1: Principal AWS must be/],
    [principal({ AWS: 'arn:aws:iam::111122223333:user/*' }), /^Statement 1: Principal AWS must be/],
    [principal({ AWS: 'arn:aws:iam::*:root' }), /^Statement 1: Principal AWS must be/],
    [principal({ AWS: 'arn:aws:s3:::bucket' }), /^Statement 1: Principal AWS must be/],
    [principal({ Service: '*' }), /^Statement 1: Principal Service must be the name of a service/],
    [principal({ User: 'Bob' }), /^Statement 1: Principal may have .*, but not "User"/],
    [statement({ Principal: '*', Resource: 'arn:aws:sqs' }), /^Statement 1: Resource must be an ARN of six parts/],
  ];
  for (const [policy, message] of refusals) {
    it(JSON.stringify(policy), () => assert.match(refusal(policy, 'resource'), message));
  }

  it('when it is longer than its kind may be, which an identity may be less', () => {
    const padded = (policy: object, length: number) => JSON.stringify(policy).padEnd(length);
    const { identity, resource } = policyLimits.charactersMax;
    assert.equal(refusal(padded(statement({}), identity), 'identity'), 'none');
    assert.equal(refusal(padded(statement({}), identity + 1), 'identity'), 'The policy has 20481 characters, more than 20480.');
    assert.equal(refusal(padded(principal('*'), resource), 'resource'), 'none');
    assert.equal(refusal(padded(principal('*'), resource + 1), 'resource'), 'The policy has 81921 characters, more than 81920.');
  });
});

describe('a policy', () => {
  it('may have every element of the grammar', () => {
    const sids = [
      { ...allowAll, Sid: '' },
      { ...allowAll, Sid: '' },
      { ...allowAll, Sid: 'With1' },
    ];
    assert.equal(refusal({ Version: '2008-10-17', Id: 'an id', Statement: sids }, 'identity'), 'none');
    const federated = { CanonicalUser: 'a', Federated: 'accounts.google.com', AWS: 'arn:aws:sts::111122223333:assumed-role/a/b' };
    assert.equal(refusal(statement({ Sid: 'a sid', Principal: federated }), 'resource'), 'none');
  });

  it('says which keys it asks for, those of its variables included', () => {
    const resource = 'arn:aws:s3:::${aws:PrincipalTag/dept}';
    const policy = parsePolicy(
      JSON.stringify(statement({ Resource: resource, Condition: { StringLike: { 'aws:ResourceTag/a': '${aws:username}' } } })),
      'identity',
    );
    for (const prefix of ['aws:resourcetag/', 'aws:principaltag/', 'aws:username']) assert.ok(policy.mentions(prefix), prefix);
    assert.ok(!policy.mentions('aws:requesttag/'));
  });

  it('is read and evaluated in bounded time, however it repeats itself', () => {
    const policy = parsePolicy(JSON.stringify(condition({ StringLike: { 'aws:username': `${'*a'.repeat(2000)}b` } })), 'identity');
    const context = new Map([['aws:username', ['a'.repeat(2000)]]]);
    assert.equal(evaluate([policy], { action: 'iam:GetUser', resource: '*', context }), 'implicitDeny');
    for (const part of ['\\', '"', '${', '${aws: ', '1', '1e', ':', '::', 'T00:00']) {
      const text = `${part.repeat(2000)}x`;
      assert.match(refusal(condition({ NumericEquals: { 'aws:username': text } }), 'identity'), /must be a number/);
      assert.match(refusal(condition({ DateEquals: { 'aws:username': text } }), 'identity'), /must be a date/);
      assert.match(refusal(condition({ IpAddress: { 'aws:username': text } }), 'identity'), /must be an IP address/);
      assert.match(refusal(statement({ Resource: text }), 'identity'), /must be "\*" or an ARN/);
    }
  });
});

describe('whatever it is given', () => {
  it('parsing throws nothing but a PolicyError', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      nearlyPolicies().map(policy => JSON.stringify(policy)),
    );
    fc.assert(
      fc.property(texts, fc.constantFrom('identity', 'resource'), (text, kind) => void parsed(text, kind)),
      { numRuns: 2000 },
    );
  });

  it('evaluating gives one of three decisions, and a Deny of everything always wins', () => {
    const denied = parsePolicy(JSON.stringify({ Statement: { ...allowAll, Effect: 'Deny' } }), 'identity');
    let policies = 0;
    fc.assert(
      fc.property(nearlyPolicies(), requests(), (document, request) => {
        const policy = parsed(JSON.stringify(document), 'identity');
        if (policy === undefined) return;
        policies += 1;
        assert.ok(['explicitDeny', 'allow', 'implicitDeny'].includes(evaluate([policy], request)));
        assert.equal(evaluate([policy, denied], request), 'explicitDeny');
        assert.equal(evaluate([denied, policy], request), 'explicitDeny');
      }),
      { numRuns: 2000 },
    );
    assert.ok(policies > 200, `only ${policies} of them were policies`);
  });
});

function parsed(text: string, kind: PolicyKind): Policy | undefined {
  try {
    return parsePolicy(text, kind);
  } catch (error) {
    assert.ok(error instanceof PolicyError, String(error));
    return undefined;
  }
}

const words = [
  '*',
  '**',
  'a*',
  '*?*',
  'arn:aws:sqs',
  'arn:aws:s3:::*',
  'arn:*:s3:*',
  's3:*',
  'arn:aws:s3:::${aws:username}',
  'true',
  '::1',
  '1',
  '',
];

function nearlyPolicies() {
  const word = fc.constantFrom(...words);
  const condition = (operator: string, value: fc.Arbitrary<unknown>) =>
    fc.dictionary(fc.constant(operator), fc.dictionary(fc.constantFrom('aws:username', 'aws:SourceIp'), value, { minKeys: 1 }));
  const elements = {
    Effect: fc.constantFrom('Allow', 'Deny'),
    Action: fc.constantFrom('*', 's3:*', ['s3:Get?', '*:*']),
    Resource: fc.oneof(fc.constant('*'), word),
    Condition: fc.oneof(
      condition('StringLike', word),
      condition('ForAllValues:StringNotEqualsIfExists', fc.array(word)),
      condition('ForAnyValue:ArnLike', fc.constantFrom('arn:*:*:*:*:*', 'arn:aws:s3:::${aws:username}*', '*')),
      condition('IpAddress', fc.constantFrom('::/0', '0.0.0.0/0', '*')),
      condition('NumericLessThan', fc.oneof(fc.integer(), word)),
      condition('Null', fc.boolean()),
    ),
  };
  const statements = fc.array(fc.record(elements, { requiredKeys: ['Effect', 'Action', 'Resource'] }), { minLength: 1, maxLength: 2 });
  return fc.record({ Version: fc.constantFrom('2008-10-17', '2012-10-17'), Statement: statements });
}

function requests() {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...words));
  const context = fc.dictionary(fc.constantFrom('aws:username', 'aws:sourceip'), fc.array(text));
  return fc.record({ action: text, resource: text, context: context.map(values => new Map(Object.entries(values))) });
}
