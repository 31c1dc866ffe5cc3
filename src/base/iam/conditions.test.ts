/** What the IAM User Guide's pages on conditions say, row by row: whether a condition holds for a request. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { evaluate } from './evaluation.ts';
import { parsePolicy } from './policy.ts';

type Context = Record<string, string | readonly string[]>;
type Row = readonly [condition: object, context: Context, holds: boolean];

function holds(Condition: object, context: Context): boolean {
  const statement = { Effect: 'Allow', Action: '*', Resource: '*', Condition };
  const policy = parsePolicy(JSON.stringify({ Version: '2012-10-17', Statement: statement }), 'identity');
  const entries = Object.entries(context).map(([key, value]) => [key.toLowerCase(), [value].flat()] as const);
  return evaluate([policy], { action: 'iam:GetUser', resource: '*', context: new Map(entries) }) === 'allow';
}

const arn = (path: string) => `arn:aws:iam::222222222222:user/${path}`;
const departments = { 'aws:PrincipalTag/department': ['finance', 'hr', 'legal'], 'aws:PrincipalTag/role': ['audit', 'security'] };
const named = { StringEquals: departments, ArnLike: { 'aws:PrincipalArn': [arn('Ana'), arn('Mary')] } };
const notNamed = { StringEquals: departments, ArnNotLike: { 'aws:PrincipalArn': [arn('Ana'), arn('Mary')] } };
const who = (department: string, role: string, name: string) => ({
  'aws:PrincipalTag/department': department,
  'aws:PrincipalTag/role': role,
  'aws:PrincipalArn': arn(name),
});
const prefixes = { StringLike: { 's3:prefix': ['', 'home/', 'home/${aws:username}/'] } };
const instanceTypes = { 'ec2:InstanceType': ['t1.*', 't2.*', 'm3.*'] };
const key1 = { 'ForAllValues:StringNotLike': { 'aws:TagKeys': 'key1*' } };
const key1Or2 = { 'ForAllValues:StringNotLike': { 'aws:TagKeys': ['key1*', 'key2*'] } };
const attributes = { 'dynamodb:Attributes': ['PostDateTime', 'Message', 'Tags'] };
const webserver = { 'ForAnyValue:StringEquals': { 'aws:TagKeys': 'webserver' } };
const ranges = { IpAddress: { 'aws:SourceIp': ['203.0.113.0/24', '2001:DB8:1234:5678::/64'] } };
const outside = { NotIpAddress: { 'aws:SourceIp': ['192.0.2.0/24', '203.0.113.0/24'] } };
const afternoon = {
  DateGreaterThan: { 'aws:CurrentTime': '2019-07-16T12:00:00Z' },
  DateLessThan: { 'aws:CurrentTime': '2019-07-16T15:00:00Z' },
  IpAddress: { 'aws:SourceIp': ['192.0.2.0/24', '203.0.113.0/24'] },
};
const afternoonFrom = (time: string, ip: string) => ({ 'aws:CurrentTime': `2019-07-16T${time}Z`, 'aws:SourceIp': ip });
const environment = {
  StringEquals: { 'aws:RequestTag/environment': ['preprod', 'production'] },
  'ForAllValues:StringEquals': { 'aws:TagKeys': 'environment' },
};
const finance = 'arn:aws:someservice:*:111122223333:finance/*';
const crossing = 'arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt';
const topic = 'arn:aws:sns:us-east-1:123456789012:topic-1';

const pages: Record<string, readonly Row[]> = {
  'Condition, names of keys and values': [
    [{ StringEquals: { 'aws:username': 'john' } }, { 'aws:username': 'john' }, true],
    [{ StringEquals: { 'aws:username': 'john' } }, { 'aws:username': 'John' }, false],
    [{ StringEqualsIgnoreCase: { 'aws:username': 'john' } }, { 'aws:username': 'John' }, true],
    [
      { StringEqualsIgnoreCase: { 'aws:username': '${aws:PrincipalTag/Name}' } },
      { 'aws:username': 'a', 'aws:PrincipalTag/Name': 'A' },
      true,
    ],
    [{ IpAddress: { 'AWS:SourceIP': '203.0.113.1' } }, { 'aws:SourceIp': '203.0.113.1' }, true],
  ],
  'Condition operators, String': [
    [{ StringEquals: { 'aws:PrincipalTag/job-category': 'iamuser-admin' } }, { 'aws:PrincipalTag/job-category': 'iamuser-admin' }, true],
    [{ StringEquals: { 'aws:PrincipalTag/job-category': 'iamuser-admin' } }, {}, false],
    [{ StringEquals: { 'aws:PrincipalTag/job-category': 'iam*' } }, { 'aws:PrincipalTag/job-category': 'iamuser-admin' }, false],
    [{ StringNotEquals: { 'aws:username': 'john' } }, { 'aws:username': 'John' }, true],
    [{ StringNotEquals: { 'aws:username': 'john' } }, { 'aws:username': 'john' }, false],
    [{ StringNotEquals: { 'aws:username': 'john' } }, {}, true],
    [{ StringNotEqualsIgnoreCase: { 'aws:username': 'john' } }, { 'aws:username': 'JOHN' }, false],
    [prefixes, { 's3:prefix': '', 'aws:username': 'David' }, true],
    [prefixes, { 's3:prefix': 'home/', 'aws:username': 'David' }, true],
    [prefixes, { 's3:prefix': 'home/David/', 'aws:username': 'David' }, true],
    [prefixes, { 's3:prefix': 'home/Mary/', 'aws:username': 'David' }, false],
    [{ StringLike: { 's3:prefix': 'a?c*' } }, { 's3:prefix': 'abcdef' }, true],
    [{ StringLike: { 's3:prefix': 'a?c*' } }, { 's3:prefix': 'Abcdef' }, false],
    [{ StringLike: { 's3:prefix': 'abc' } }, { 's3:prefix': 'abcdef' }, false],
    [{ StringLike: { 's3:prefix': '100${*}' } }, { 's3:prefix': '100*' }, true],
    [{ StringLike: { 's3:prefix': '100${*}' } }, { 's3:prefix': '1000' }, false],
    [{ StringNotLike: { 's3:prefix': 'a*' } }, { 's3:prefix': 'b' }, true],
    [{ StringNotLike: { 's3:prefix': 'a*' } }, {}, true],
  ],
  'Condition operators, Numeric': [
    [{ NumericLessThanEquals: { 's3:max-keys': '10' } }, { 's3:max-keys': '10' }, true],
    [{ NumericLessThanEquals: { 's3:max-keys': 10 } }, { 's3:max-keys': '11' }, false],
    [{ NumericLessThan: { 's3:max-keys': '10' } }, { 's3:max-keys': '10' }, false],
    [{ NumericLessThan: { 's3:max-keys': '10' } }, { 's3:max-keys': '9' }, true],
    [{ NumericGreaterThan: { 's3:max-keys': '10' } }, { 's3:max-keys': '10' }, false],
    [{ NumericGreaterThan: { 's3:max-keys': '9.5' } }, { 's3:max-keys': '10' }, true],
    [{ NumericGreaterThanEquals: { 's3:max-keys': '10' } }, { 's3:max-keys': '10.0' }, true],
    [{ NumericEquals: { 's3:max-keys': '10' } }, { 's3:max-keys': '1e1' }, true],
    [{ NumericEquals: { 's3:max-keys': '10' } }, { 's3:max-keys': 'ten' }, false],
    [{ NumericNotEquals: { 's3:max-keys': '10' } }, { 's3:max-keys': '10' }, false],
    [{ NumericNotEquals: { 's3:max-keys': ['10', '11'] } }, { 's3:max-keys': '12' }, true],
    [{ NumericLessThanEquals: { 's3:max-keys': '10' } }, {}, false],
  ],
  'Condition operators, Date': [
    [{ DateGreaterThan: { 'aws:TokenIssueTime': '2020-01-01T00:00:01Z' } }, { 'aws:TokenIssueTime': '2020-01-01T00:00:02Z' }, true],
    [{ DateGreaterThan: { 'aws:TokenIssueTime': '2020-01-01T00:00:01Z' } }, { 'aws:TokenIssueTime': '2020-01-01T00:00:01Z' }, false],
    [{ DateGreaterThan: { 'aws:TokenIssueTime': '2020-01-01T00:00:01Z' } }, {}, false],
    [{ DateGreaterThanEquals: { 'aws:CurrentTime': '2020-01-01' } }, { 'aws:CurrentTime': '2020-01-01T00:00:00.000Z' }, true],
    [{ DateLessThan: { 'aws:CurrentTime': '2020' } }, { 'aws:CurrentTime': '2019-12-31T23:59:59Z' }, true],
    [{ DateLessThanEquals: { 'aws:CurrentTime': '2020-01' } }, { 'aws:CurrentTime': '2020-01-01T00:00:01Z' }, false],
    [{ DateEquals: { 'aws:CurrentTime': '2020-01-01T02:00+02:00' } }, { 'aws:CurrentTime': '2020-01-01T00:00:00Z' }, true],
    [{ DateEquals: { 'aws:EpochTime': 1577836800 } }, { 'aws:EpochTime': '1577836800' }, true],
    [{ DateEquals: { 'aws:CurrentTime': '1577836800' } }, { 'aws:CurrentTime': '2020-01-01T00:00:00Z' }, true],
    [{ DateNotEquals: { 'aws:CurrentTime': '2020-01-01' } }, { 'aws:CurrentTime': '2020-01-01T00:00:00Z' }, false],
    [{ DateNotEquals: { 'aws:CurrentTime': '2020-01-01' } }, {}, true],
  ],
  'Condition operators, Boolean, Binary and Null': [
    [{ Bool: { 'aws:SecureTransport': 'false' } }, { 'aws:SecureTransport': 'false' }, true],
    [{ Bool: { 'aws:SecureTransport': false } }, { 'aws:SecureTransport': 'true' }, false],
    [{ Bool: { 'aws:SecureTransport': 'false' } }, {}, false],
    [{ BinaryEquals: { 'test:key': 'QmluYXJ5VmFsdWVJbkJhc2U2NA==' } }, { 'test:key': 'QmluYXJ5VmFsdWVJbkJhc2U2NA==' }, true],
    [{ BinaryEquals: { 'test:key': 'QmluYXJ5VmFsdWVJbkJhc2U2NA==' } }, { 'test:key': 'QmluYXJ5VmFsdWU=' }, false],
    [{ Null: { 'aws:TokenIssueTime': 'true' } }, {}, true],
    [{ Null: { 'aws:TokenIssueTime': 'true' } }, { 'aws:TokenIssueTime': '2020-01-01T00:00:01Z' }, false],
    [{ Null: { 'aws:TokenIssueTime': false } }, { 'aws:TokenIssueTime': '2020-01-01T00:00:01Z' }, true],
    [{ Null: { 'aws:TokenIssueTime': 'false' } }, { 'aws:TokenIssueTime': [] }, false],
  ],
  'Condition operators, IP address': [
    [ranges, { 'aws:SourceIp': '203.0.113.255' }, true],
    [ranges, { 'aws:SourceIp': '203.0.114.0' }, false],
    [ranges, { 'aws:SourceIp': '2001:db8:1234:5678:ffff::1' }, true],
    [ranges, { 'aws:SourceIp': '2001:db8:1234:5679::1' }, false],
    [ranges, { 'aws:SourceIp': '::ffff:203.0.113.7' }, true],
    [ranges, { 'aws:SourceIp': '::ffff:cb00:7107' }, true],
    [ranges, { 'aws:SourceIp': '::203.0.113.7' }, false],
    [ranges, {}, false],
    [{ IpAddress: { 'aws:SourceIp': '::ffff:203.0.113.0/120' } }, { 'aws:SourceIp': '203.0.113.7' }, true],
    [{ IpAddress: { 'aws:SourceIp': '203.0.113.7/0' } }, { 'aws:SourceIp': '8.8.8.8' }, true],
    [{ IpAddress: { 'aws:SourceIp': '203.0.113.130/25' } }, { 'aws:SourceIp': '203.0.113.127' }, false],
    [{ IpAddress: { 'aws:SourceIp': '203.0.113.7' } }, { 'aws:SourceIp': '203.0.113.8' }, false],
    [{ IpAddress: { 'aws:SourceIp': '2001:db8::1' } }, { 'aws:SourceIp': '2001:db8::2' }, false],
    [{ IpAddress: { 'aws:SourceIp': 'fe80::1' } }, { 'aws:SourceIp': 'fe80::1%eth0.100' }, true],
    [{ IpAddress: { 'aws:SourceIp': '::/0' } }, { 'aws:SourceIp': '203.0.113.7' }, false],
    [{ IpAddress: { 'aws:SourceIp': '0.0.0.0/0' } }, { 'aws:SourceIp': '2001:db8::1' }, false],
    [{ IpAddress: { 'aws:SourceIp': '::ffff:203.0.113.7/90' } }, { 'aws:SourceIp': '203.0.113.7' }, false],
    [outside, { 'aws:SourceIp': '192.0.2.7' }, false],
    [outside, { 'aws:SourceIp': '203.0.113.7' }, false],
    [outside, { 'aws:SourceIp': '::ffff:203.0.113.7' }, false],
    [outside, { 'aws:SourceIp': '198.51.100.7' }, true],
    [outside, { 'aws:SourceIp': '2001:db8::1' }, true],
    [outside, {}, true],
  ],
  'Condition operators, ARN': [
    [{ StringLike: { 'aws:SourceArn': finance } }, { 'aws:SourceArn': crossing }, true],
    [{ ArnLike: { 'aws:SourceArn': finance } }, { 'aws:SourceArn': crossing }, false],
    [{ ArnLike: { 'aws:SourceArn': finance } }, { 'aws:SourceArn': 'arn:aws:someservice:us-east-2:111122223333:finance/a:b/c' }, true],
    [{ ArnEquals: { 'aws:SourceArn': 'arn:aws:sns:*:123456789012:topic-?' } }, { 'aws:SourceArn': topic }, true],
    [{ ArnEquals: { 'aws:SourceArn': 'arn:aws:sns:*:*:*' } }, { 'aws:SourceArn': topic }, true],
    [{ ArnEquals: { 'aws:SourceArn': topic.toUpperCase().replace('ARN', 'arn') } }, { 'aws:SourceArn': topic }, false],
    [{ ArnEquals: { 'aws:SourceArn': topic } }, {}, false],
    [{ ArnNotEquals: { 'aws:SourceArn': topic } }, { 'aws:SourceArn': topic }, false],
    [{ ArnNotLike: { 'aws:SourceArn': 'arn:aws:sns:*:*:other' } }, { 'aws:SourceArn': topic }, true],
    [{ ArnLike: { 'aws:SourceArn': 'arn:aws:sns:*:*:${aws:username}-?' } }, { 'aws:SourceArn': topic, 'aws:username': 'topic' }, true],
    [{ ArnLike: { 'aws:SourceArn': 'arn:aws:sns:*:*:${aws:username}' } }, { 'aws:SourceArn': topic, 'aws:username': '*' }, false],
    [{ ArnLike: { 'aws:SourceArn': '${aws:PrincipalArn}' } }, { 'aws:SourceArn': topic, 'aws:PrincipalArn': topic }, true],
  ],
  'Condition operators, …IfExists': [
    [{ StringLike: instanceTypes }, {}, false],
    [{ StringLikeIfExists: instanceTypes }, {}, true],
    [{ StringLikeIfExists: instanceTypes }, { 'ec2:InstanceType': 't2.micro' }, true],
    [{ StringLikeIfExists: instanceTypes }, { 'ec2:InstanceType': 'c5.large' }, false],
    [{ StringNotEqualsIfExists: instanceTypes }, {}, true],
    [{ 'ForAnyValue:StringLikeIfExists': instanceTypes }, {}, true],
  ],
  'Conditions with multiple keys or values': [
    [named, who('legal', 'audit', 'Mary'), true],
    [named, who('hr', 'audit', 'Nikki'), false],
    [named, who('hr', 'payroll', 'Mary'), false],
    [named, { 'aws:PrincipalTag/department': 'hr', 'aws:PrincipalArn': arn('Mary') }, false],
    [named, { 'aws:PrincipalArn': arn('Mary') }, false],
    [notNamed, who('legal', 'audit', 'Nikki'), true],
    [notNamed, who('hr', 'audit', 'Mary'), false],
    [notNamed, who('hr', 'payroll', 'Nikki'), false],
    [notNamed, { 'aws:PrincipalTag/department': 'hr', 'aws:PrincipalArn': arn('Nikki') }, false],
    [notNamed, { 'aws:PrincipalArn': arn('Nikki') }, false],
    [afternoon, afternoonFrom('13:00:00', '192.0.2.1'), true],
    [afternoon, afternoonFrom('13:00:00', '203.0.113.1'), true],
    [afternoon, afternoonFrom('13:00:00', '198.51.100.1'), false],
    [afternoon, afternoonFrom('11:59:59', '192.0.2.1'), false],
    [afternoon, afternoonFrom('15:00:00', '192.0.2.1'), false],
  ],
  'Multivalued context keys': [
    [{ 'ForAllValues:StringEquals': attributes }, { 'dynamodb:Attributes': ['Message', 'Tags'] }, true],
    [{ 'ForAllValues:StringEquals': attributes }, { 'dynamodb:Attributes': ['PostDateTime', 'UserName'] }, false],
    [{ 'ForAllValues:StringEquals': attributes }, {}, true],
    [{ 'ForAllValues:StringEquals': attributes }, { 'dynamodb:Attributes': [] }, true],
    [{ 'ForAllValues:StringEquals': attributes }, { 'dynamodb:Attributes': '' }, true],
    [{ 'ForAnyValue:StringEquals': attributes }, { 'dynamodb:Attributes': ['UserName', 'Message', 'ID'] }, true],
    [{ 'ForAnyValue:StringEquals': attributes }, { 'dynamodb:Attributes': 'UserName' }, false],
    [{ 'ForAnyValue:StringEquals': attributes }, {}, false],
    [{ 'ForAnyValue:StringLike': { 'aws:TagKeys': '*' } }, { 'aws:TagKeys': '' }, false],
    [{ 'ForAllValues:StringEquals': attributes, Null: { 'dynamodb:Attributes': 'false' } }, {}, false],
  ],
  'Multivalued context keys, without a set operator': [
    [{ StringEquals: { 'aws:TagKeys': 'a' } }, { 'aws:TagKeys': ['a', 'b'] }, true],
    [{ StringNotEquals: { 'aws:TagKeys': 'a' } }, { 'aws:TagKeys': ['a', 'b'] }, false],
  ],
  'Multivalued context key examples': [
    [key1, { 'aws:TagKeys': 'key1:legal' }, false],
    [key1, { 'aws:TagKeys': ['key1:hr', 'key1:personnel'] }, false],
    [key1, { 'aws:TagKeys': 'key2:audit' }, true],
    [key1, {}, true],
    [key1Or2, { 'aws:TagKeys': 'key1:legal' }, false],
    [key1Or2, { 'aws:TagKeys': ['key1:hr', 'key1:personnel'] }, false],
    [key1Or2, { 'aws:TagKeys': ['key1:hr', 'key2:audit'] }, false],
    [key1Or2, { 'aws:TagKeys': 'key3:legal' }, true],
    [key1Or2, {}, true],
    [webserver, { 'aws:TagKeys': 'webserver' }, true],
    [webserver, { 'aws:TagKeys': ['environment', 'webserver', 'test'] }, true],
    [webserver, { 'aws:TagKeys': ['environment', 'test'] }, false],
    [webserver, {}, false],
    [{ 'ForAnyValue:StringNotLike': { 'aws:TagKeys': 'key1*' } }, { 'aws:TagKeys': ['key1:hr', 'key2'] }, true],
    [{ 'ForAnyValue:StringNotLike': { 'aws:TagKeys': 'key1*' } }, {}, false],
  ],
  'Controlling access during AWS requests': [
    [environment, { 'aws:RequestTag/environment': 'preprod', 'aws:TagKeys': 'environment' }, true],
    [environment, { 'aws:RequestTag/environment': 'test', 'aws:TagKeys': 'environment' }, false],
    [environment, { 'aws:RequestTag/environment': 'preprod', 'aws:TagKeys': 'Environment' }, false],
    [environment, { 'aws:RequestTag/environment': 'preprod', 'aws:TagKeys': ['environment', 'owner'] }, false],
    [environment, {}, false],
  ],
};

for (const [page, rows] of Object.entries(pages)) {
  describe(page, () => {
    for (const [condition, context, expected] of rows) {
      const verb = expected ? 'holds' : 'does not hold';
      it(`${JSON.stringify(condition)} ${verb} for ${JSON.stringify(context)}`, () => assert.equal(holds(condition, context), expected));
    }
  });
}
