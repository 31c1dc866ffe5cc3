/** CreateCertificateAuthority, GetCertificateAuthorityCsr and DescribeCertificateAuthority, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type ACMPCA from 'aws-sdk/clients/acmpca.js';
import { formatName } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { parsePem } from '../../src/base/pki/pem.ts';
import { parseCertificationRequest, verifyCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { accountIdOf, configuration, type PrivateCaServer, refusalOf, startPrivateCaServer } from '../support/private-ca-server.ts';

let server: PrivateCaServer;
before(async () => {
  server = await startPrivateCaServer();
});
after(() => server[Symbol.asyncDispose]());

const root = { CertificateAuthorityType: 'ROOT', CertificateAuthorityConfiguration: configuration } as const;
const create = (change: Partial<ACMPCA.CreateCertificateAuthorityRequest>) =>
  server.client.createCertificateAuthority({ ...root, ...change });
async function csrOf(arn: string) {
  const { Csr = '' } = await server.client.getCertificateAuthorityCsr({ CertificateAuthorityArn: arn }).promise();
  const [der = new Uint8Array(0)] = parsePem('CERTIFICATE REQUEST', Csr);
  return parseCertificationRequest(der);
}

test('an authority is CREATING until its key is made, and AWS’s waiter for the CSR waits for that', async () => {
  const { CertificateAuthorityArn = '' } = await create({}).promise();
  assert.equal((await server.describe(CertificateAuthorityArn)).Status, 'CREATING');
  const refused = await refusalOf(server.client.getCertificateAuthorityCsr({ CertificateAuthorityArn }));
  assert.match(refused, /^RequestInProgressException: /);
  const waiting = server.client
    .waitFor('certificateAuthorityCSRCreated', { CertificateAuthorityArn, $waiter: { delay: 0.01, maxAttempts: 500 } })
    .promise();
  await server.settle();
  assert.match((await waiting).Csr ?? '', /^-----BEGIN CERTIFICATE REQUEST-----\n/);
  assert.equal((await server.describe(CertificateAuthorityArn)).Status, 'PENDING_CERTIFICATE');
});

test('what was given is described as it was given, with AWS’s defaults beside it', async () => {
  const before = Date.now() - 1000;
  const CsrExtensions = { KeyUsage: { KeyCertSign: true, CRLSign: true } };
  const arn = await server.create({
    CertificateAuthorityType: 'SUBORDINATE',
    CertificateAuthorityConfiguration: { ...configuration, CsrExtensions },
  });
  const { CreatedAt, LastStateChangeAt, ...rest } = await server.describe(arn);
  assert.deepEqual(rest, {
    Arn: arn,
    OwnerAccount: accountIdOf(arn),
    Type: 'SUBORDINATE',
    Status: 'PENDING_CERTIFICATE',
    CertificateAuthorityConfiguration: { ...configuration, CsrExtensions },
    RevocationConfiguration: { CrlConfiguration: { Enabled: false }, OcspConfiguration: { Enabled: false } },
    KeyStorageSecurityStandard: 'FIPS_140_2_LEVEL_3_OR_HIGHER',
    UsageMode: 'GENERAL_PURPOSE',
  });
  assert.ok(Number(CreatedAt) > before && Number(LastStateChangeAt) >= Number(CreatedAt));
});

test('every value that is not a default comes back too', async () => {
  const RevocationConfiguration = {
    CrlConfiguration: {
      Enabled: true,
      ExpirationInDays: 5000,
      CustomCname: 'crl.example.com',
      S3BucketName: 'a-bucket',
      S3ObjectAcl: 'BUCKET_OWNER_FULL_CONTROL',
    },
    OcspConfiguration: { Enabled: false },
  };
  const arn = await server.create({
    RevocationConfiguration,
    KeyStorageSecurityStandard: 'FIPS_140_2_LEVEL_2_OR_HIGHER',
    UsageMode: 'SHORT_LIVED_CERTIFICATE',
  });
  const described = await server.describe(arn);
  assert.deepEqual(described.RevocationConfiguration, RevocationConfiguration);
  assert.equal(described.KeyStorageSecurityStandard, 'FIPS_140_2_LEVEL_2_OR_HIGHER');
  assert.equal(described.UsageMode, 'SHORT_LIVED_CERTIFICATE');
});

const keys: [KeyAlgorithm: string, SigningAlgorithm: string][] = [
  ['RSA_2048', 'SHA256WITHRSA'],
  ['RSA_2048', 'SHA512WITHRSA_PSS'],
  ['RSA_3072', 'SHA384WITHRSA'],
  ['RSA_4096', 'SHA512WITHRSA'],
  ['EC_prime256v1', 'SHA512WITHECDSA'],
  ['EC_secp384r1', 'SHA384WITHECDSA'],
  ['EC_secp521r1', 'SHA256WITHECDSA'],
  ['ML_DSA_44', 'ML_DSA_44'],
  ['ML_DSA_65', 'ML_DSA_65'],
  ['ML_DSA_87', 'ML_DSA_87'],
];

for (const [KeyAlgorithm, SigningAlgorithm] of keys) {
  test(`the CSR of ${KeyAlgorithm} is signed with its own key by ${SigningAlgorithm}`, async () => {
    const arn = await server.create({ CertificateAuthorityConfiguration: { ...configuration, KeyAlgorithm, SigningAlgorithm } });
    const csr = await csrOf(arn);
    assert.ok(verifyCertificationRequest(csr));
    assert.equal(formatName(csr.subject), 'CN=Example Root,O=Example,C=DE');
  });
}

test('the CSR carries the extensions that were asked for', async () => {
  const arn = await server.create({
    CertificateAuthorityConfiguration: {
      ...configuration,
      CsrExtensions: {
        KeyUsage: { DigitalSignature: true, KeyCertSign: true },
        SubjectInformationAccess: [
          {
            AccessMethod: { AccessMethodType: 'CA_REPOSITORY' },
            AccessLocation: { UniformResourceIdentifier: 'https://repository.example.com' },
          },
          { AccessMethod: { CustomObjectIdentifier: '1.2.3.4' }, AccessLocation: { DnsName: 'example.com' } },
        ],
      },
    },
  });
  const { extensions } = await csrOf(arn);
  const values = extensions.map(({ oid, value }) => [oid, Buffer.from(value).toString('hex')]);
  const url = Buffer.from('https://repository.example.com').toString('hex');
  const dns = Buffer.from('example.com').toString('hex');
  assert.deepEqual(values, [
    [Oid.keyUsage, '03020284'],
    ['1.3.6.1.5.5.7.1.11', `3040302a06082b06010505073005861e${url}301206032a0304820b${dns}`],
  ]);
});

const refusals: [what: string, change: () => Partial<ACMPCA.CreateCertificateAuthorityRequest>, expected: RegExp][] = [
  [
    'an algorithm of another family',
    () => ({ CertificateAuthorityConfiguration: { ...configuration, SigningAlgorithm: 'SHA256WITHRSA' } }),
    /^InvalidArgsException: A key of EC_prime256v1 does not sign with SHA256WITHRSA/,
  ],
  [
    'an ML-DSA of another parameter set',
    () => ({ CertificateAuthorityConfiguration: { ...configuration, KeyAlgorithm: 'ML_DSA_44', SigningAlgorithm: 'ML_DSA_65' } }),
    /^InvalidArgsException: /,
  ],
  [
    'SM2',
    () => ({ CertificateAuthorityConfiguration: { ...configuration, KeyAlgorithm: 'SM2', SigningAlgorithm: 'SM3WITHSM2' } }),
    /^InvalidArgsException: SM2 keys are not supported here/,
  ],
  [
    'a key storage of China',
    () => ({ KeyStorageSecurityStandard: 'CCPC_LEVEL_1_OR_HIGHER' }),
    /^InvalidArgsException: A certificate authority cannot be created in this region with the specified security standard\./,
  ],
  [
    'a subject without attributes',
    () => ({ CertificateAuthorityConfiguration: { ...configuration, Subject: {} } }),
    /^InvalidArgsException: A subject needs at least one attribute/,
  ],
  [
    'custom attributes beside standard ones',
    () => ({
      CertificateAuthorityConfiguration: {
        ...configuration,
        Subject: { CommonName: 'a', CustomAttributes: [{ ObjectIdentifier: '1.2.3.4', Value: 'b' }] },
      },
    }),
    /^InvalidArgsException: Custom attributes cannot be used/,
  ],
  [
    'an access method of two kinds',
    () => ({
      CertificateAuthorityConfiguration: {
        ...configuration,
        CsrExtensions: {
          SubjectInformationAccess: [
            { AccessMethod: { CustomObjectIdentifier: '1.2.3.4', AccessMethodType: 'CA_REPOSITORY' }, AccessLocation: { DnsName: 'a' } },
          ],
        },
      },
    }),
    /^InvalidArgsException: An AccessMethod needs exactly one/,
  ],
  [
    'an access location of two kinds',
    () => ({
      CertificateAuthorityConfiguration: {
        ...configuration,
        CsrExtensions: {
          SubjectInformationAccess: [
            { AccessMethod: { AccessMethodType: 'CA_REPOSITORY' }, AccessLocation: { DnsName: 'a', IpAddress: '127.0.0.1' } },
          ],
        },
      },
    }),
    /^InvalidArgsException: A GeneralName needs exactly one member/,
  ],
  [
    'a reserved tag',
    () => ({ Tags: [{ Key: 'aws:a', Value: '' }] }),
    /^InvalidTagException: Tag keys that begin with aws: are reserved: aws:a\./,
  ],
  [
    'a tag key twice',
    () => ({
      Tags: [
        { Key: 'a', Value: '1' },
        { Key: 'a', Value: '2' },
      ],
    }),
    /^InvalidTagException: A tag key may stand only once/,
  ],
  [
    'OCSP',
    () => ({ RevocationConfiguration: { OcspConfiguration: { Enabled: true } } }),
    /^InvalidArgsException: OCSP is not in this version/,
  ],
  [
    'a type that there is not',
    () => ({ CertificateAuthorityType: 'OTHER' }),
    /^ValidationException: 1 validation error detected: Value at 'certificateAuthorityType'/,
  ],
];

for (const [what, change, expected] of refusals) {
  test(`${what} is refused and nothing is made`, async () => {
    const count = async () => (await server.client.listCertificateAuthorities({}).promise()).CertificateAuthorities?.length;
    const before = await count();
    assert.match(await refusalOf(create(change())), expected);
    assert.equal(await count(), before);
  });
}

test('one idempotency token makes one authority in five minutes, and is refused with other parameters', async () => {
  const IdempotencyToken = 'once';
  const answers = await Promise.all(Array.from({ length: 20 }, () => create({ IdempotencyToken }).promise()));
  assert.equal(new Set(answers.map(answer => answer.CertificateAuthorityArn)).size, 1);
  const other = create({ IdempotencyToken, UsageMode: 'SHORT_LIVED_CERTIFICATE' });
  assert.match(await refusalOf(other), /^InvalidArgsException: The client token was used/);
  server.subject.advance(5 * 60_000 + 1);
  const later = await create({ IdempotencyToken }).promise();
  assert.notEqual(later.CertificateAuthorityArn, answers[0]?.CertificateAuthorityArn);
});

test('tags of a new authority are its tags', async () => {
  const arn = await server.create({ Tags: [{ Key: 'team', Value: 'pki' }, { Key: 'empty' }] });
  const { Tags } = await server.client.listTags({ CertificateAuthorityArn: arn }).promise();
  assert.deepEqual(Tags, [
    { Key: 'empty', Value: '' },
    { Key: 'team', Value: 'pki' },
  ]);
});

test('an authority whose key cannot be made is FAILED, says why, and can be deleted', async t => {
  t.mock.method(server.subject.certificateAuthorities, 'createKey', async () => {
    throw new Error('no key on purpose');
  });
  const arn = await server.create();
  const { Status, FailureReason } = await server.describe(arn);
  assert.deepEqual([Status, FailureReason], ['FAILED', 'OTHER']);
  assert.match(await refusalOf(server.client.getCertificateAuthorityCsr({ CertificateAuthorityArn: arn })), /^InvalidStateException: /);
  await server.client.deleteCertificateAuthority({ CertificateAuthorityArn: arn }).promise();
  assert.equal((await server.describe(arn)).Status, 'DELETED');
});

test('an ARN of another form is invalid, and one of nothing is not found', async () => {
  const described = (CertificateAuthorityArn: string) => refusalOf(server.client.describeCertificateAuthority({ CertificateAuthorityArn }));
  const arn = await server.create();
  assert.match(await described('arn:aws:acm-pca:eu-central-1:111122223333:certificate-authority/none'), /^InvalidArnException: /);
  assert.match(
    await described(arn.replace(/.{12}$/, '000000000000')),
    /^ResourceNotFoundException: Could not find certificate authority arn/,
  );
  assert.match(await described(arn.replace('eu-central-1', 'eu-west-1')), /^ResourceNotFoundException: /);
  assert.match(await described(arn.replace('arn:aws:', 'arn:aws-cn:')), /^ResourceNotFoundException: /);
  assert.match(await described('nothing'), /^ValidationException: /);
});
