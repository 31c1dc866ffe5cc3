/** Which permissions an operation takes and which condition keys a request brings. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  allow,
  ann,
  ask,
  authority,
  challenge,
  connector,
  type DecisionCase,
  deny,
  foreignAuthority,
  refused,
  testDecisions,
} from '../../../test/support/access-questions.ts';

const getConnector = { ConnectorArn: connector };
const useAuthority = allow([
  'acm-pca:DescribeCertificateAuthority',
  'acm-pca:GetCertificate',
  'acm-pca:GetCertificateAuthorityCertificate',
  'acm-pca:IssueCertificate',
]);

const cases: DecisionCase[] = [
  ['nothing is allowed to a user without policies', 'GetConnector', getConnector, {}, false],
  ['an Allow on the ARN', 'GetConnector', getConnector, { identity: [allow('pca-connector-scep:GetConnector', connector)] }, true],
  [
    'an Allow on another ARN',
    'GetConnector',
    getConnector,
    { identity: [allow('pca-connector-scep:GetConnector', `${connector}0`)] },
    false,
  ],
  ['an Allow of another action', 'GetConnector', getConnector, { identity: [allow('pca-connector-scep:List*')] }, false],
  ['a Deny beside the Allow', 'GetConnector', getConnector, { identity: [allow('*'), deny('pca-connector-scep:Get*')] }, false],
  [
    "a challenge is below its connector's ARN",
    'GetChallengePassword',
    { ChallengeArn: challenge },
    { identity: [allow('*', `${connector}/*`)] },
    true,
  ],
  [
    'a connector alone is not its challenges',
    'GetChallengePassword',
    { ChallengeArn: challenge },
    { identity: [allow('*', connector)] },
    false,
  ],
  ['a list has no resource', 'ListConnectors', {}, { identity: [allow('pca-connector-scep:ListConnectors')] }, true],
  ['a list is not allowed on an ARN', 'ListConnectors', {}, { identity: [allow('pca-connector-scep:ListConnectors', connector)] }, false],

  [
    'a session without its policy’s Allow',
    'GetConnector',
    getConnector,
    { identity: [allow('*')], session: [allow('pca-connector-scep:List*')] },
    false,
  ],
  ['a session with it', 'GetConnector', getConnector, { identity: [allow('*')], session: [allow('pca-connector-scep:Get*')] }, true],
  ['a session cannot do more than its user', 'GetConnector', getConnector, { identity: [], session: [allow('*')] }, false],
  ['a Deny in the session', 'GetConnector', getConnector, { identity: [allow('*')], session: [allow('*'), deny('*', connector)] }, false],

  [
    'a tag of the resource',
    'GetConnector',
    getConnector,
    {
      identity: [allow('*', '*', { StringEquals: { 'aws:ResourceTag/Team': 'net' } })],
      tags: { Team: 'net' },
    },
    true,
  ],
  [
    'another value of that tag',
    'GetConnector',
    getConnector,
    {
      identity: [allow('*', '*', { StringEquals: { 'aws:ResourceTag/Team': 'net' } })],
      tags: { Team: 'web' },
    },
    false,
  ],
  [
    'no such tag',
    'GetConnector',
    getConnector,
    { identity: [allow('*', '*', { StringEquals: { 'aws:ResourceTag/Team': 'net' } })] },
    false,
  ],
  [
    'the tags in the request',
    'TagResource',
    { ResourceArn: connector, Tags: { Team: 'net' } },
    {
      identity: [
        allow('*', '*', { StringEquals: { 'aws:RequestTag/Team': 'net' }, 'ForAllValues:StringEquals': { 'aws:TagKeys': ['Team'] } }),
      ],
    },
    true,
  ],
  [
    'one tag more than the keys allow',
    'TagResource',
    { ResourceArn: connector, Tags: { Team: 'net', Cost: '1' } },
    {
      identity: [allow('*', '*', { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['Team'] } })],
    },
    false,
  ],
  [
    'the keys to be taken away',
    'UntagResource',
    { ResourceArn: connector, TagKeys: ['Cost'] },
    {
      identity: [allow('*'), deny('*', '*', { 'ForAnyValue:StringEquals': { 'aws:TagKeys': ['Cost'] } })],
    },
    false,
  ],

  [
    'tags at creation without TagResource',
    'CreateChallenge',
    { ConnectorArn: connector, Tags: { a: 'b' } },
    {
      identity: [allow('pca-connector-scep:CreateChallenge')],
    },
    false,
  ],
  [
    'tags at creation with TagResource',
    'CreateChallenge',
    { ConnectorArn: connector, Tags: { a: 'b' } },
    {
      identity: [
        allow('pca-connector-scep:CreateChallenge', connector),
        allow('pca-connector-scep:TagResource', `${connector}/challenge/*`),
      ],
    },
    true,
  ],
  [
    'no tags at creation',
    'CreateChallenge',
    { ConnectorArn: connector, Tags: {} },
    { identity: [allow('pca-connector-scep:CreateChallenge')] },
    true,
  ],

  [
    'a connector takes the use of its CA',
    'CreateConnector',
    { CertificateAuthorityArn: authority },
    {
      identity: [allow('pca-connector-scep:CreateConnector')],
    },
    false,
  ],
  [
    'with it',
    'CreateConnector',
    { CertificateAuthorityArn: authority },
    { identity: [allow('pca-connector-scep:CreateConnector'), useAuthority] },
    true,
  ],
  [
    "AWS's sample policy, by the connector's template and service only",
    'CreateConnector',
    { CertificateAuthorityArn: authority },
    {
      identity: [
        allow([
          'pca-connector-scep:*',
          'acm-pca:DescribeCertificateAuthority',
          'acm-pca:GetCertificate',
          'acm-pca:GetCertificateAuthorityCertificate',
        ]),
        allow('acm-pca:IssueCertificate', '*', {
          ArnLike: { 'acm-pca:TemplateArn': 'arn:aws:acm-pca:::template/BlankEndEntityCertificate_APICSRPassthrough/V*' },
          'ForAnyValue:StringEquals': { 'aws:CalledVia': 'pca-connector-scep.amazonaws.com' },
        }),
      ],
    },
    true,
  ],
  [
    "another account's CA is left to the operation, which knows none",
    'CreateConnector',
    { CertificateAuthorityArn: foreignAuthority },
    {
      identity: [allow('pca-connector-scep:CreateConnector')],
    },
    true,
  ],

  [
    'where the request comes from',
    'ListConnectors',
    {},
    { identity: [allow('*', '*', { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } })] },
    true,
  ],
  ['from elsewhere', 'ListConnectors', {}, { identity: [allow('*', '*', { IpAddress: { 'aws:SourceIp': '198.51.100.0/24' } })] }, false],
  [
    'before a date',
    'ListConnectors',
    {},
    { identity: [allow('*', '*', { DateLessThan: { 'aws:CurrentTime': '2026-11-24T00:00:00Z' } })] },
    true,
  ],
  [
    'after it',
    'ListConnectors',
    {},
    { identity: [allow('*', '*', { DateLessThan: { 'aws:CurrentTime': '2026-11-22T00:00:00Z' } })] },
    false,
  ],
  ['who asks', 'ListConnectors', {}, { identity: [allow('*', '*', { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:user/a*' } })] }, true],
  [
    'a variable',
    'TagResource',
    { ResourceArn: connector, Tags: { Owner: 'ann' } },
    {
      identity: [allow('*', '*', { StringEquals: { 'aws:RequestTag/Owner': '${aws:username}' } })],
    },
    true,
  ],
  [
    'a variable with another value',
    'TagResource',
    { ResourceArn: connector, Tags: { Owner: 'bob' } },
    {
      identity: [allow('*', '*', { StringEquals: { 'aws:RequestTag/Owner': '${aws:username}' } })],
    },
    false,
  ],
  ['without TLS', 'ListConnectors', {}, { identity: [allow('*'), deny('*', '*', { Bool: { 'aws:SecureTransport': 'false' } })] }, false],
  ['with which program', 'ListConnectors', {}, { identity: [allow('*', '*', { StringLike: { 'aws:UserAgent': 'aws-cli/*' } })] }, true],
  [
    'in which Region',
    'ListConnectors',
    {},
    { identity: [allow('*', '*', { StringEquals: { 'aws:RequestedRegion': 'us-east-1' } })] },
    false,
  ],
];

describe('authorize', () => {
  testDecisions(cases);

  it('says who may not do what to what, and not why', async () => {
    const message = `User: ${ann.arn} is not authorized to perform: pca-connector-scep:GetConnector on resource: ${connector}`;
    await assert.rejects(ask('GetConnector', getConnector, {}), { message });
    await assert.rejects(ask('GetConnector', getConnector, { identity: [deny('*')] }), { message });
  });

  it('takes a member that is missing or of another type for no resource', async () => {
    for (const input of [{}, { ConnectorArn: 7 }, { ConnectorArn: null }, { ConnectorArn: [connector] }]) {
      await ask('GetConnector', input, { identity: [allow('*')] });
      await assert.rejects(ask('GetConnector', input, { identity: [allow('*', connector)] }), refused);
    }
  });

  it('does not stumble over tags of any form', async () => {
    for (const Tags of [
      null,
      'text',
      7,
      [],
      [null, 7, {}, { Key: 1 }, { Key: 'a' }, { Key: 'a', Value: 'b' }],
      { a: 1, b: null },
      { '': '' },
    ]) {
      await ask('TagResource', { ResourceArn: connector, Tags }, { identity: [allow('*')] });
    }
  });
});
