/** What an operation's shapes do not say: certification requests, templates and policies that an API takes, and some that it must refuse. */
import { basicConstraintsExtension } from '../../src/base/pki/extensions.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { createCsr, createIdentity, ecKey, rsaKey } from '../support/pki-fixtures.ts';

const csr = createCsr(ecKey('prime256v1'));
const csrPem = encodePem('CERTIFICATE REQUEST', csr);
const rsaCsrPem = encodePem('CERTIFICATE REQUEST', createCsr(rsaKey('fuzz'), 'challenge'));

/** As the API takes them: a blob, PEM within base64. */
export const certificationRequests: readonly string[] = [
  csrPem,
  rsaCsrPem,
  encodePem('NEW CERTIFICATE REQUEST', csr),
  encodePem('CERTIFICATE', csr),
  encodePem('CERTIFICATE REQUEST', csr.subarray(0, -9)),
  encodePem('CERTIFICATE REQUEST', Buffer.alloc(300, 0x30)),
  csrPem.replace('A', 'B'),
  `${csrPem}${csrPem}`,
  csrPem.slice(0, 90),
  '-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n',
].map(text => Buffer.from(text).toString('base64'));

export const templates: readonly string[] = [
  'EndEntityCertificate/V1',
  'EndEntityClientAuthCertificate_APIPassthrough/V1',
  'BlankEndEntityCertificate_APICSRPassthrough/V1',
  'BlankEndEntityCertificate_CriticalBasicConstraints_APICSRPassthrough/V1',
  'CodeSigningCertificate_CSRPassthrough/V1',
  'OCSPSigningCertificate/V1',
  'SubordinateCACertificate_PathLen0/V1',
  'RootCACertificate/V1',
  'EndEntityCertificate/V2',
  '__proto__/V1',
].map(name => `arn:aws:acm-pca:::template/${name}`);

const allow = { Effect: 'Allow', Action: 'pca-connector-scep:*', Resource: '*' };
const documentOf = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
const condition = {
  StringLikeIfExists: { 'aws:username': ['device-?', '*'] },
  'ForAnyValue:StringEquals': { 'aws:TagKeys': 'team' },
  DateGreaterThan: { 'aws:CurrentTime': '2020-01-01T00:00:00Z' },
  IpAddress: { 'aws:SourceIp': '127.0.0.0/8' },
  Null: { 'aws:ResourceTag/team': 'true' },
};

export const policyDocuments = {
  identity: [
    documentOf(allow),
    documentOf({ Effect: 'Deny', NotAction: 'iam:*', NotResource: 'arn:aws:x' }, { ...allow, Condition: condition }),
    documentOf({ ...allow, Resource: `${'*a'.repeat(100)}b` }),
    documentOf({ ...allow, Condition: { StringEquals: { __proto__: null, 'aws:PrincipalTag/x': '${aws:username}' } } }),
    documentOf({ ...allow, Condition: { NumericLessThan: { 'aws:EpochTime': '1e999' }, Bool: { 'aws:SecureTransport': 'maybe' } } }),
    documentOf(),
    documentOf({ Effect: 'Perhaps', Action: [], Resource: {} }),
    '{"Version":"2012-10-17","Version":"2008-10-17","Statement":{}}',
    `{"Statement":${'['.repeat(1000)}${']'.repeat(1000)}}`,
    '{"__proto__":{"Statement":[]}}',
    '"2012-10-17"',
    'not JSON',
  ],
  resource: [
    documentOf({ ...allow, Action: 'acm-pca:IssueCertificate', Principal: { Service: 'pca-connector-scep.amazonaws.com' } }),
    documentOf({ Effect: 'Deny', Action: 'acm-pca:IssueCertificate', Resource: '*', Principal: { AWS: '444455556666' } }),
    documentOf({ Effect: 'Deny', Action: '*', Resource: '*', Principal: '*' }),
    documentOf({ ...allow, Principal: { AWS: ['*', 'arn:aws:iam::111122223333:root', 7] } }),
  ],
} as const;

const caPem = encodePem(
  'CERTIFICATE',
  createIdentity({ key: rsaKey('fuzz'), extensions: [basicConstraintsExtension(true)] }).certificate.der,
);

export const enrolmentPolicies: readonly object[] = [
  {},
  { Approval: { Mode: 'MANUAL', ExpiresInDays: 1 }, Renewal: { Mode: 'CERTIFICATE' }, RaCertificates: 'TWO' },
  { Subject: { Allowed: ['CN=device-*', 'O=?'], Required: ['CN'] }, SubjectAlternativeNames: { Allowed: [], Max: 0 } },
  { NextCaCertificate: caPem, SigningTimeToleranceMinutes: 1, LegacyAlgorithms: { Sha1: true, TripleDes: true, SingleDes: true } },
  { NextCaCertificate: `${caPem}-----BEGIN CERTIFICATE-----\n====\n-----END CERTIFICATE-----` },
  { Validity: { Default: { Value: 36_500, Type: 'YEARS' }, Maximum: { Value: 36_500, Type: 'YEARS' } } },
  { Subject: { Allowed: [`CN=${'*a'.repeat(100)}b`] } },
  { ExtendedKeyUsages: ['2.999999999999999999999999999999999999999', 'constructor', '__proto__'] },
  { Keys: { RsaBitsMin: 16_384, RsaBitsMax: 2048, Curves: [] }, GetCaCert: 'RA_CERTIFICATE' },
];

export const challengeBounds: readonly object[] = [
  {},
  { Subject: 'CN=device-*,O=?', SubjectAlternativeNames: ['DNS:*.example.com'], ExtendedKeyUsages: ['clientAuth', '1.3.6.1.5.5.7.3.1'] },
  { Subject: 'CN=\\ff\\,+O=\\', SubjectAlternativeNames: [] },
  { Subject: 'CN=\u0000' },
  { Subject: `${'CN=a+'.repeat(200)}O=b` },
  { SubjectAlternativeNames: ['DNS:', ':', 'constructor:a'], ExtendedKeyUsages: ['anyExtendedKeyUsage'] },
];
