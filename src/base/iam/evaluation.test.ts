/** The examples of the IAM User Guide, each with what the page says of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AccessRequest, type Decision, evaluate } from './evaluation.ts';
import { type PolicyKind, parsePolicy } from './policy.ts';

type Statement = Record<string, unknown>;
type Context = Record<string, string | readonly string[]>;

interface Example {
  page: string;
  policy: Statement | readonly Statement[];
  /** Those beside it, to be allowed what it does not deny. */
  also?: Statement;
  kind?: PolicyKind;
  /** Null for none. */
  version?: string | null;
  /** What the cases have in common. */
  action?: string;
  resource?: string;
  cases: readonly (readonly [what: string, request: Request, decision: Decision])[];
}

interface Request {
  action?: string;
  resource?: string;
  context?: Context;
  principal?: AccessRequest['principal'];
}

function decide({ policy, also, kind = 'identity', version = '2012-10-17', ...common }: Example, request: Request): Decision {
  const policies = [parsePolicy(JSON.stringify({ ...(version && { Version: version }), Statement: policy }), kind)];
  if (also) policies.push(parsePolicy(JSON.stringify({ Statement: also }), 'identity'));
  const { action = 'iam:GetUser', resource = '*', context = {}, principal } = { ...common, ...request };
  const entries = Object.entries(context).map(([key, value]) => [key.toLowerCase(), [value].flat()] as const);
  return evaluate(policies, { action, resource, context: new Map(entries), ...(principal && { principal }) });
}

const everything = { Effect: 'Allow', Action: '*', Resource: '*' };
const allowIf = (Condition: object) => ({ ...everything, Condition });
const denyIf = (Condition: object) => ({ ...everything, Effect: 'Deny', Condition });
const user = (name: string, accountId = '444455556666') => ({ arn: `arn:aws:iam::${accountId}:user/${name}`, accountId });
const key = (name: string, value: string | readonly string[]): Request => ({ context: { [name]: value } });

const bucket = 'arn:aws:s3:::amzn-s3-demo-bucket';
const anyOf = (decision: Decision, paths: string[]): Example['cases'] =>
  paths.map(path => [path, { resource: `${bucket}/${path}` }, decision]);
const elements: Example[] = [
  {
    page: 'Policy evaluation logic',
    policy: [
      {
        Sid: 'AllowS3ListRead',
        Effect: 'Allow',
        Action: ['s3:GetBucketLocation', 's3:GetAccountPublicAccessBlock', 's3:ListAccessPoints', 's3:ListAllMyBuckets'],
        Resource: 'arn:aws:s3:::*',
      },
      { Sid: 'AllowS3Self', Effect: 'Allow', Action: 's3:*', Resource: ['arn:aws:s3:::carlossalazar/*', 'arn:aws:s3:::carlossalazar'] },
      { Sid: 'DenyS3Logs', Effect: 'Deny', Action: 's3:*', Resource: 'arn:aws:s3:::*log*' },
    ],
    cases: [
      ['Carlos saves into his logs', { action: 's3:PutObject', resource: 'arn:aws:s3:::carlossalazar-logs/a' }, 'explicitDeny'],
      ['Carlos saves into his bucket', { action: 's3:PutObject', resource: 'arn:aws:s3:::carlossalazar/a' }, 'allow'],
      ["Carlos saves into another's bucket", { action: 's3:PutObject', resource: 'arn:aws:s3:::mary/a' }, 'implicitDeny'],
      ['Carlos asks where a bucket is', { action: 's3:GetBucketLocation', resource: 'arn:aws:s3:::mary' }, 'allow'],
    ],
  },
  {
    page: 'Policy evaluation logic, explicit and implicit denies',
    policy: [
      { Sid: 'AllowGetList', Effect: 'Allow', Action: ['iam:Get*', 'iam:List*'], Resource: '*' },
      { Sid: 'DenyReports', Effect: 'Deny', Action: 'iam:*Report', Resource: '*' },
    ],
    cases: [
      ['an action with the prefix Get', { action: 'iam:GetRole' }, 'allow'],
      ['any other action', { action: 'iam:CreatePolicy' }, 'implicitDeny'],
      ['a report', { action: 'iam:GetOrganizationsAccessReport' }, 'explicitDeny'],
    ],
  },
  {
    page: 'Policy evaluation logic, an Allow elsewhere',
    policy: { Effect: 'Deny', Action: 'iam:*Report', Resource: '*' },
    also: { Effect: 'Allow', Action: 'iam:GenerateCredentialReport', Resource: '*' },
    cases: [['an explicit deny overrides it', { action: 'iam:GenerateCredentialReport' }, 'explicitDeny']],
  },
  {
    page: 'Action',
    policy: { Effect: 'Allow', Action: ['iam:ListAccessKeys', 'iam:*AccessKey*', 'ec2:Describe?pcs'], Resource: '*' },
    cases: [
      ['the prefix and the name are case insensitive', { action: 'IAM:listaccesskeys' }, 'allow'],
      ['includes AccessKey', { action: 'iam:UpdateAccessKey' }, 'allow'],
      ['does not include it', { action: 'iam:UpdateUser' }, 'implicitDeny'],
      ['includes it in another service', { action: 's3:UpdateAccessKey' }, 'implicitDeny'],
      ['a single-character wildcard', { action: 'ec2:DescribeVpcs' }, 'allow'],
      ['a single-character wildcard takes one', { action: 'ec2:Describepcs' }, 'implicitDeny'],
    ],
  },
  {
    page: 'NotAction with Allow',
    policy: { Effect: 'Allow', NotAction: 's3:DeleteBucket', Resource: 'arn:aws:s3:::*' },
    cases: [
      ['all S3 actions', { action: 's3:PutObject', resource: `${bucket}/a` }, 'allow'],
      ['except for deleting a bucket', { action: 's3:DeleteBucket', resource: bucket }, 'implicitDeny'],
      ['nor what requires the "*" resource', { action: 's3:ListAllMyBuckets' }, 'implicitDeny'],
      ['nor other services', { action: 'ec2:RunInstances', resource: 'arn:aws:ec2:us-east-1:1:instance/i' }, 'implicitDeny'],
    ],
  },
  {
    page: 'NotAction with Deny',
    policy: { ...denyIf({ BoolIfExists: { 'aws:MultiFactorAuthPresent': 'false' } }), Action: undefined, NotAction: 'iam:*' },
    also: everything,
    cases: [
      ['other services without MFA', { action: 'ec2:RunInstances', ...key('aws:MultiFactorAuthPresent', 'false') }, 'explicitDeny'],
      ['with MFA', { action: 'ec2:RunInstances', ...key('aws:MultiFactorAuthPresent', 'true') }, 'allow'],
      ['IAM without MFA', { action: 'iam:GetUser', ...key('aws:MultiFactorAuthPresent', 'false') }, 'allow'],
      ['long-term credentials, which do not have the key', { action: 'ec2:RunInstances' }, 'explicitDeny'],
    ],
  },
  {
    page: 'NotResource',
    policy: {
      Effect: 'Deny',
      Action: 's3:*',
      NotResource: ['arn:aws:s3:::HRBucket/Payroll', 'arn:aws:s3:::HRBucket/Payroll/*'],
    },
    also: everything,
    action: 's3:GetObject',
    cases: [
      ['the folder', { resource: 'arn:aws:s3:::HRBucket/Payroll' }, 'allow'],
      ['in the folder', { resource: 'arn:aws:s3:::HRBucket/Payroll/january' }, 'allow'],
      ['elsewhere', { resource: 'arn:aws:s3:::HRBucket/Reviews' }, 'explicitDeny'],
    ],
  },
  {
    page: 'Resource, wildcards',
    policy: { Effect: 'Allow', Action: 's3:GetObject', Resource: `${bucket}/*/test/*` },
    action: 's3:GetObject',
    cases: anyOf('allow', [
      '1/test/object.jpg',
      '1/2/test/object.jpg',
      '1/2/test/3/object.jpg',
      '1/2/3/test/4/object.jpg',
      '1///test///object.jpg',
      '1/test/.jpg',
      '/test/object.jpg',
      '1/test/',
    ]),
  },
  {
    page: 'Resource, what wildcards do not match',
    policy: { Effect: 'Allow', Action: 's3:GetObject', Resource: `${bucket}/*/test/*` },
    action: 's3:GetObject',
    cases: anyOf('implicitDeny', ['1-test/object.jpg', 'test/object.jpg', '1/2/test.jpg']),
  },
  {
    page: 'Resource, segments',
    policy: [
      { Effect: 'Allow', Action: 'sqs:*', Resource: 'arn:aws:sqs:us-*-1:11112222333?:queue?' },
      { Effect: 'Allow', Action: 'dynamodb:*', Resource: 'arn:aws:dynamodb:*:table/prod-*' },
    ],
    action: 'sqs:SendMessage',
    cases: [
      ['within segments', { resource: 'arn:aws:sqs:us-east-1:111122223333:queue1' }, 'allow'],
      ['a wildcard does not span segments', { resource: 'arn:aws:sqs:us-east-2:1:a-1:111122223333:queue1' }, 'implicitDeny'],
      ['a single character is none of the next segment', { resource: 'arn:aws:sqs:us-east-1:11112222333::queue1' }, 'implicitDeny'],
      [
        'a * that is the last of its segment matches beyond the colon',
        { action: 'dynamodb:GetItem', resource: 'arn:aws:dynamodb:us-east-1:111122223333:table/prod-1' },
        'allow',
      ],
      ['the user name is case sensitive', { resource: 'arn:aws:sqs:us-east-1:111122223333:Queue1' }, 'implicitDeny'],
    ],
  },
  {
    page: 'IAM ARNs, incomplete ARN',
    policy: { Effect: 'Allow', Action: '*', Resource: 'arn:aws:sqs' },
    cases: [
      ['all resources of the service', { action: 'sqs:SendMessage', resource: 'arn:aws:sqs:us-east-2:111122223333:q' }, 'allow'],
      ['none of another', { action: 'sns:Publish', resource: 'arn:aws:sns:us-east-2:111122223333:t' }, 'implicitDeny'],
    ],
  },
];

const bobAndHisAccount = ['arn:aws:iam::444455556666:user/Bob', 'arn:aws:iam::444455556666:root'];
const everyone = { ...everything, Principal: '*' };
const principals: Example[] = [
  ...['arn:aws:iam::123456789012:root', '123456789012'].map(
    (AWS): Example => ({
      page: `Principal, the account as ${AWS}`,
      kind: 'resource',
      policy: { ...everything, Principal: { AWS } },
      cases: [
        ['a user of it', { principal: user('Ana', '123456789012') }, 'allow'],
        ['a user of another', { principal: user('Ana', '555555555555') }, 'implicitDeny'],
        ['a service', { principal: { service: 'ecs.amazonaws.com' } }, 'implicitDeny'],
        ['nobody', {}, 'implicitDeny'],
      ],
    }),
  ),
  {
    page: 'Principal, several',
    kind: 'resource',
    policy: {
      ...everything,
      Principal: { AWS: ['arn:aws:iam::444455556666:user/Ana', '555555555555'], Service: ['ecs.amazonaws.com', 'elb.amazonaws.com'] },
    },
    cases: [
      ['the user', { principal: user('Ana') }, 'allow'],
      ['the user name is case sensitive', { principal: user('ana') }, 'implicitDeny'],
      ['any user of the account', { principal: user('Mary', '555555555555') }, 'allow'],
      ['one of the services', { principal: { service: 'elb.amazonaws.com' } }, 'allow'],
      ['another service', { principal: { service: 'sns.amazonaws.com' } }, 'implicitDeny'],
    ],
  },
  ...['*', { AWS: '*' }].map(
    (Principal): Example => ({
      page: `Principal, all as ${JSON.stringify(Principal)}`,
      kind: 'resource',
      policy: { ...everything, Principal },
      cases: [
        ['a user', { principal: user('Ana') }, 'allow'],
        ['an anonymous user', {}, 'allow'],
      ],
    }),
  ),
  {
    page: 'Principal, instead of NotPrincipal',
    kind: 'resource',
    policy: [everyone, { ...denyIf({ ArnNotEquals: { 'aws:PrincipalArn': 'arn:aws:iam::444455556666:user/user-name' } }), Principal: '*' }],
    cases: [
      ['the one specified', key('aws:PrincipalArn', 'arn:aws:iam::444455556666:user/user-name'), 'allow'],
      ['another', key('aws:PrincipalArn', 'arn:aws:iam::444455556666:user/other'), 'explicitDeny'],
    ],
  },
  {
    page: 'NotPrincipal with Deny',
    kind: 'resource',
    policy: [everyone, { ...everything, Effect: 'Deny', NotPrincipal: { AWS: bobAndHisAccount } }],
    cases: [
      ['Bob', { principal: user('Bob') }, 'allow'],
      ["another user of Bob's account", { principal: user('Alice') }, 'explicitDeny'],
      ["Bob's account itself", { principal: { arn: 'arn:aws:iam::444455556666:root', accountId: '444455556666' } }, 'allow'],
      ['a user of another account', { principal: user('Bob', '111122223333') }, 'explicitDeny'],
      ['a service', { principal: { service: 'ecs.amazonaws.com' } }, 'explicitDeny'],
    ],
  },
  {
    page: 'NotPrincipal, an account alone',
    kind: 'resource',
    policy: [everyone, { ...everything, Effect: 'Deny', NotPrincipal: { AWS: '444455556666' } }],
    cases: [
      ['a user of it', { principal: user('Alice') }, 'allow'],
      ['a user of another', { principal: user('Alice', '111122223333') }, 'explicitDeny'],
    ],
  },
];

const home = { Effect: 'Allow', Action: 's3:*', Resource: `${bucket}/home/\${aws:username}/*` };
const special = { Effect: 'Allow', Action: 's3:*', Resource: `${bucket}/\${*}\${?}\${$}{aws:username}` };
const dept = 'aws:PrincipalTag/dept';
const variables: Example[] = [
  {
    page: 'Variables and tags, Resource',
    policy: home,
    action: 's3:GetObject',
    cases: [
      ["one's own directory", { resource: `${bucket}/home/David/a`, context: { 'aws:username': 'David' } }, 'allow'],
      ["another's", { resource: `${bucket}/home/Mary/a`, context: { 'aws:username': 'David' } }, 'implicitDeny'],
      ['key names are case-insensitive', { resource: `${bucket}/home/David/a`, context: { 'AWS:UserName': 'David' } }, 'allow'],
      ['a variable with no value matches no resource', { resource: `${bucket}/home//a` }, 'implicitDeny'],
      ['a multivalued key has no value', { resource: `${bucket}/home/a/b`, context: { 'aws:username': ['a', 'b'] } }, 'implicitDeny'],
      ['a value is no pattern', { resource: `${bucket}/home/Mary/a`, context: { 'aws:username': '*' } }, 'implicitDeny'],
    ],
  },
  ...['2008-10-17', null].map(
    (version): Example => ({
      page: `Version ${version ?? 'absent'}`,
      version,
      policy: home,
      action: 's3:GetObject',
      cases: [
        ['a variable is not recognized', { resource: `${bucket}/home/David/a`, context: { 'aws:username': 'David' } }, 'implicitDeny'],
        ['but literal', { resource: `${bucket}/home/\${aws:username}/a`, context: { 'aws:username': 'David' } }, 'allow'],
      ],
    }),
  ),
  {
    page: 'Variables and tags, special characters',
    policy: special,
    action: 's3:GetObject',
    cases: [
      ['they are themselves', { resource: `${bucket}/*?\${aws:username}` }, 'allow'],
      ['and no wildcards', { resource: `${bucket}/ab\${aws:username}` }, 'implicitDeny'],
    ],
  },
  {
    page: 'Variables and tags, default values',
    policy: allowIf({ StringEquals: { 's3:prefix': "${aws:PrincipalTag/team, 'company-wide'}" } }),
    cases: [
      ['the value', { context: { 's3:prefix': 'yellow', 'aws:PrincipalTag/team': 'yellow' } }, 'allow'],
      ['the default for no value', key('s3:prefix', 'company-wide'), 'allow'],
      ['not the default beside a value', { context: { 's3:prefix': 'company-wide', 'aws:PrincipalTag/team': 'red' } }, 'implicitDeny'],
    ],
  },
  {
    page: 'Variables and tags, tags',
    policy: { Effect: 'Allow', Action: 's3:GetObject', Resource: `${bucket}/\${${dept}}/*` },
    action: 's3:GetObject',
    cases: [
      ['the own department', { resource: `${bucket}/sales/a`, ...key(dept, 'sales') }, 'allow'],
      ['another department', { resource: `${bucket}/legal/a`, ...key(dept, 'sales') }, 'implicitDeny'],
    ],
  },
  {
    page: 'Variables and tags, no value',
    policy: denyIf({ StringNotEquals: { 's3:ExistingObjectTag/Team': '${aws:PrincipalTag/Team}' } }),
    also: everything,
    cases: [
      ['the teams are equal', { context: { 's3:ExistingObjectTag/Team': 'a', 'aws:PrincipalTag/Team': 'a' } }, 'allow'],
      ['they are not', { context: { 's3:ExistingObjectTag/Team': 'a', 'aws:PrincipalTag/Team': 'b' } }, 'explicitDeny'],
      ['the principal has none', { context: { 's3:ExistingObjectTag/Team': 'a' } }, 'explicitDeny'],
    ],
  },
  {
    page: 'Controlling access to AWS resources using tags',
    policy: {
      Effect: 'Allow',
      Action: ['ec2:StartInstances', 'ec2:StopInstances'],
      Resource: 'arn:aws:ec2:*:*:instance/*',
      Condition: { StringEquals: { 'aws:ResourceTag/Owner': '${aws:username}' } },
    },
    action: 'ec2:StartInstances',
    resource: 'arn:aws:ec2:us-east-1:111122223333:instance/i-1',
    cases: [
      ['tagged Owner', { context: { 'aws:ResourceTag/Owner': 'richard-roe', 'aws:username': 'richard-roe' } }, 'allow'],
      ['tagged owner', { context: { 'aws:resourcetag/owner': 'richard-roe', 'aws:username': 'richard-roe' } }, 'allow'],
      ["another's", { context: { 'aws:ResourceTag/Owner': 'jane', 'aws:username': 'richard-roe' } }, 'implicitDeny'],
      ['untagged', { context: { 'aws:username': 'richard-roe' } }, 'implicitDeny'],
    ],
  },
];

for (const example of [...elements, ...principals, ...variables]) {
  describe(example.page, () => {
    for (const [what, request, decision] of example.cases) {
      it(`${decision}: ${what}`, () => assert.equal(decide(example, request), decision));
    }
  });
}
