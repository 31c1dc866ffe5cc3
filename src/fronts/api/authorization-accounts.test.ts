/** Who may do what to whose resource: one's own account's, another's, and what a private CA's policy changes. */
import { describe } from 'node:test';
import {
  accountId,
  allow,
  ann,
  authority,
  connector,
  type DecisionCase,
  foreignAuthority,
  grant,
  testDecisions,
} from '../../../test/support/access-questions.ts';

const cases: DecisionCase[] = [
  [
    "another account's connector, whatever the policies",
    'GetConnector',
    { ConnectorArn: connector.replace(accountId, '444455556666') },
    { identity: [allow('*')] },
    false,
  ],
  [
    "another account's CA without its policy",
    'DescribeCertificateAuthority',
    { CertificateAuthorityArn: foreignAuthority },
    { identity: [allow('*')] },
    false,
  ],
  [
    "another account's CA with it",
    'DescribeCertificateAuthority',
    { CertificateAuthorityArn: foreignAuthority },
    {
      identity: [allow('*')],
      resource: [grant({ AWS: accountId }, 'acm-pca:DescribeCertificateAuthority')],
    },
    true,
  ],
  [
    "another account's CA with its policy alone",
    'DescribeCertificateAuthority',
    { CertificateAuthorityArn: foreignAuthority },
    {
      resource: [grant({ AWS: ann.arn }, 'acm-pca:DescribeCertificateAuthority')],
    },
    false,
  ],
  [
    "one's own CA with its policy alone",
    'DescribeCertificateAuthority',
    { CertificateAuthorityArn: authority },
    {
      resource: [grant({ AWS: ann.arn }, 'acm-pca:DescribeCertificateAuthority')],
    },
    true,
  ],
  [
    "one's own CA with its policy for the whole account alone",
    'DescribeCertificateAuthority',
    { CertificateAuthorityArn: authority },
    { resource: [grant({ AWS: accountId }, 'acm-pca:DescribeCertificateAuthority')] },
    false,
  ],
  [
    "a session with its user's grant in the CA's policy, outside its own",
    'DescribeCertificateAuthority',
    { CertificateAuthorityArn: authority },
    { session: [allow('acm-pca:List*')], resource: [grant({ AWS: ann.arn }, 'acm-pca:DescribeCertificateAuthority')] },
    false,
  ],
  [
    "a Deny in one's own CA's policy",
    'DescribeCertificateAuthority',
    { CertificateAuthorityArn: authority },
    {
      identity: [allow('*')],
      resource: [{ ...grant('*', 'acm-pca:*'), Effect: 'Deny' }],
    },
    false,
  ],
];

describe('authorize', () => {
  testDecisions(cases);
});
