/** How certificate authorities change: UpdateCertificateAuthority, DeleteCertificateAuthority, RestoreCertificateAuthority, and what runs out. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type ACMPCA from 'aws-sdk/clients/acmpca.js';
import { listAuthorityPermissions } from '../../src/backends/store/authority-permissions.ts';
import { findCertificateAuthorityById } from '../../src/backends/store/certificate-authorities.ts';
import { findCertificateBySerial } from '../../src/backends/store/certificates.ts';
import { listTags } from '../../src/backends/store/tags.ts';
import { parseCertificateAuthorityArn } from '../../src/base/resources.ts';
import { PrivateCa } from '../../src/service/private-ca.ts';
import { principal, region } from '../support/private-ca.ts';
import { type PrivateCaServer, refusalOf, startPrivateCaServer } from '../support/private-ca-server.ts';

const dayMs = 24 * 60 * 60_000;

let server: PrivateCaServer;
before(async () => {
  server = await startPrivateCaServer();
});
after(() => server[Symbol.asyncDispose]());

let arn: string;
beforeEach(async () => {
  arn = await server.subject.createRoot();
});

const update = (change: Omit<ACMPCA.UpdateCertificateAuthorityRequest, 'CertificateAuthorityArn'>) =>
  server.client.updateCertificateAuthority({ CertificateAuthorityArn: arn, ...change });
const remove = (days?: number) =>
  server.client.deleteCertificateAuthority({ CertificateAuthorityArn: arn, ...(days && { PermanentDeletionTimeInDays: days }) });
const restore = () => server.client.restoreCertificateAuthority({ CertificateAuthorityArn: arn });
const status = async () => (await server.describe(arn)).Status;

test('an active authority is disabled and made active again, and each time its last change is told', async () => {
  const { LastStateChangeAt: first } = await server.describe(arn);
  server.subject.advance(1000);
  await update({ Status: 'DISABLED' }).promise();
  const disabled = await server.describe(arn);
  assert.equal(disabled.Status, 'DISABLED');
  assert.ok(Number(disabled.LastStateChangeAt) > Number(first));
  await update({ Status: 'ACTIVE' }).promise();
  assert.equal(await status(), 'ACTIVE');
});

test('a disabled authority does not issue, and says so', async () => {
  await update({ Status: 'DISABLED' }).promise();
  await assert.rejects(server.subject.issue(arn), { name: 'InvalidStateException' });
  await assert.rejects(server.subject.certificateAuthorities.openAuthority(arn), { reason: 'PRIVATECA_INVALID_STATE' });
});

test('a revocation configuration is changed member by member', async () => {
  const CrlConfiguration = { Enabled: true, ExpirationInDays: 7 };
  await update({ RevocationConfiguration: { CrlConfiguration } }).promise();
  await update({ RevocationConfiguration: { OcspConfiguration: { Enabled: false } } }).promise();
  assert.deepEqual((await server.describe(arn)).RevocationConfiguration, { CrlConfiguration, OcspConfiguration: { Enabled: false } });
  await update({ RevocationConfiguration: { CrlConfiguration: { Enabled: false } } }).promise();
  assert.deepEqual((await server.describe(arn)).RevocationConfiguration?.CrlConfiguration, { Enabled: false });
});

const refusedConfigurations: [what: string, configuration: ACMPCA.RevocationConfiguration, expected: RegExp][] = [
  ['OCSP', { OcspConfiguration: { Enabled: true } }, /^InvalidArgsException: OCSP is not in this version/],
  [
    'a responder of OCSP that is not enabled',
    { OcspConfiguration: { Enabled: false, OcspCustomCname: 'a' } },
    /^InvalidArgsException: A OcspConfiguration that is not enabled must have Enabled alone, not OcspCustomCname/,
  ],
  [
    'a life of CRLs that are not enabled',
    { CrlConfiguration: { Enabled: false, ExpirationInDays: 7 } },
    /^InvalidArgsException: .*not ExpirationInDays/,
  ],
  ['CRLs without a life', { CrlConfiguration: { Enabled: true } }, /^InvalidArgsException: .*needs ExpirationInDays/],
  [
    'a CNAME with a protocol',
    { CrlConfiguration: { Enabled: true, ExpirationInDays: 7, CustomCname: 'http://crl.example.com' } },
    /^InvalidArgsException: CustomCname must not include a protocol prefix/,
  ],
  [
    'a CNAME for an extension that is left out',
    {
      CrlConfiguration: {
        Enabled: true,
        ExpirationInDays: 7,
        CustomCname: 'crl.example.com',
        CrlDistributionPointExtensionConfiguration: { OmitExtension: true },
      },
    },
    /^InvalidArgsException: OmitExtension cannot be used with CustomCname/,
  ],
];

for (const [what, RevocationConfiguration, expected] of refusedConfigurations) {
  test(`${what} is refused`, async () => {
    assert.match(await refusalOf(update({ RevocationConfiguration })), expected);
  });
}

test('partitioned CRLs are refused in a sentence', async () => {
  // The client does not know CrlType yet.
  const CrlConfiguration = { Enabled: true, ExpirationInDays: 7, CrlType: 'PARTITIONED' };
  const request = { CertificateAuthorityArn: arn, RevocationConfiguration: { CrlConfiguration } };
  await assert.rejects(server.subject.privateCa.updateCertificateAuthority(request), {
    name: 'InvalidArgsException',
    message: /Partitioned CRLs are not supported here/,
  });
});

test('an update of nothing, and to a status that is not for a caller to set, is refused', async () => {
  assert.match(await refusalOf(update({})), /^InvalidArgsException: Give a Status/);
  for (const Status of ['CREATING', 'PENDING_CERTIFICATE', 'DELETED', 'EXPIRED', 'FAILED']) {
    assert.match(await refusalOf(update({ Status })), new RegExp(`^InvalidArgsException: .* not to ${Status}`));
  }
});

test('an authority without a certificate is not updated', async () => {
  arn = await server.create();
  assert.match(await refusalOf(update({ Status: 'DISABLED' })), /^InvalidStateException: .*it is PENDING_CERTIFICATE/);
});

test('an active authority is not deleted before it is disabled', async () => {
  assert.match(
    await refusalOf(remove()),
    /^InvalidStateException: The certificate authority is not in a valid state for deletion: it is ACTIVE/,
  );
});

test('a deleted authority can be restored for thirty days to what it was, and answers nothing but what it is until then', async () => {
  await update({ Status: 'DISABLED' }).promise();
  await remove().promise();
  const { Status, RestorableUntil } = await server.describe(arn);
  assert.equal(Status, 'DELETED');
  const days = (Number(RestorableUntil) - server.subject.system.now()) / dayMs;
  assert.ok(days > 29.9 && days <= 30, `${days} days`);
  const CertificateAuthorityArn = arn;
  const { client } = server;
  const refused = [
    remove(),
    update({ Status: 'ACTIVE' }),
    client.getCertificateAuthorityCertificate({ CertificateAuthorityArn }),
    client.getCertificateAuthorityCsr({ CertificateAuthorityArn }),
    client.listTags({ CertificateAuthorityArn }),
    client.tagCertificateAuthority({ CertificateAuthorityArn, Tags: [{ Key: 'a' }] }),
    client.listPermissions({ CertificateAuthorityArn }),
    client.getPolicy({ ResourceArn: arn }),
    client.deletePolicy({ ResourceArn: arn }),
  ];
  for (const request of refused) assert.match(await refusalOf(request), /^InvalidStateException: /);
  await assert.rejects(server.subject.certificateAuthorities.openAuthority(arn), { reason: 'PRIVATECA_RESOURCE_NOT_FOUND' });
  await restore().promise();
  const restored = await server.describe(arn);
  assert.equal(restored.Status, 'DISABLED');
  assert.equal(restored.RestorableUntil, undefined);
  await update({ Status: 'ACTIVE' }).promise();
  await server.subject.issue(arn);
});

test('only a deleted authority is restored', async () => {
  assert.match(await refusalOf(restore()), /^InvalidStateException: .*it is ACTIVE/);
});

test('an authority that was deleted while it was being made is made once it is restored', async () => {
  const { privateCa, database } = server.subject;
  const request = {
    CertificateAuthorityType: 'ROOT',
    CertificateAuthorityConfiguration: (await server.describe(arn)).CertificateAuthorityConfiguration,
  };
  const { CertificateAuthorityArn = '' } = await server.client
    .createCertificateAuthority(request as ACMPCA.CreateCertificateAuthorityRequest)
    .promise();
  arn = CertificateAuthorityArn;
  await remove(7).promise();
  await server.settle();
  assert.equal((await findCertificateAuthorityById(database.query, caIdOf(arn)))?.csr, null);
  await privateCa.restoreCertificateAuthority({ CertificateAuthorityArn });
  await server.settle();
  assert.equal(await status(), 'PENDING_CERTIFICATE');
});

test('once the days are over the authority is gone with all that is its own, and what it issued is still known', async () => {
  const { database } = server.subject;
  const { query } = database;
  const CertificateAuthorityArn = arn;
  await server.client.tagCertificateAuthority({ CertificateAuthorityArn, Tags: [{ Key: 'a', Value: 'b' }] }).promise();
  await server.client.createPermission({ CertificateAuthorityArn, Principal: 'acm.amazonaws.com', Actions: ['GetCertificate'] }).promise();
  const { certificate } = await server.subject.issue(arn);
  await update({ Status: 'DISABLED' }).promise();
  await remove(7).promise();
  server.subject.advance(7 * dayMs - 60_000);
  await server.settle();
  assert.equal(await status(), 'DELETED');
  server.subject.advance(60_000);
  assert.match(await refusalOf(restore()), /^ResourceNotFoundException: /);
  const { CertificateAuthorities = [] } = await server.client.listCertificateAuthorities({}).promise();
  assert.ok(!CertificateAuthorities.some(({ Arn }) => Arn === arn));
  await server.settle();
  assert.equal(await findCertificateAuthorityById(query, caIdOf(arn)), undefined);
  assert.deepEqual(await listTags(query, arn), {});
  assert.deepEqual(await listAuthorityPermissions(query, caIdOf(arn)), []);
  assert.ok(await findCertificateBySerial(query, { caId: caIdOf(arn), serialNumber: certificate.serialNumber }));
});

test('the days to restore are from seven to thirty', async () => {
  for (const days of [6, 31]) assert.match(await refusalOf(remove(days)), /^ValidationException: .*permanentDeletionTimeInDays/);
  arn = await server.create();
  await remove(7).promise();
});

test('an authority whose certificate has run out is EXPIRED: it neither issues nor is updated, and can be deleted and restored', async () => {
  arn = await server.subject.createRoot({ validity: { Type: 'DAYS', Value: 40 } });
  const { NotAfter } = await server.describe(arn);
  server.subject.advance(40 * dayMs);
  const expired = await server.describe(arn);
  assert.equal(expired.Status, 'EXPIRED');
  assert.deepEqual(expired.LastStateChangeAt, NotAfter);
  assert.match(await refusalOf(update({ Status: 'DISABLED' })), /^InvalidStateException: .*it is EXPIRED/);
  await assert.rejects(server.subject.certificateAuthorities.openAuthority(arn), { reason: 'PRIVATECA_INVALID_STATE', message: /expired/ });
  await remove().promise();
  await restore().promise();
  assert.equal(await status(), 'EXPIRED');
});

test('the quota counts every authority that could be restored', async () => {
  const { system, database } = server.subject;
  const { CertificateAuthorities = [] } = await server.client.listCertificateAuthorities({}).promise();
  const limited = new PrivateCa({
    database,
    system,
    region,
    quota: CertificateAuthorities.length,
    wakeLifecycle: () => {},
    wakeConnectors: () => {},
  });
  const { CertificateAuthorityConfiguration } = await server.describe(arn);
  const request = { CertificateAuthorityType: 'ROOT', CertificateAuthorityConfiguration } as Parameters<
    typeof limited.createCertificateAuthority
  >[1];
  await assert.rejects(limited.createCertificateAuthority(principal, request), {
    name: 'LimitExceededException',
    message: `The quota of ${CertificateAuthorities.length} private CAs per account is reached.`,
  });
});

test('audit reports are answered with what there is in their place', async () => {
  const CertificateAuthorityArn = arn;
  const { client } = server;
  const report = { CertificateAuthorityArn, S3BucketName: 'bucket', AuditReportResponseFormat: 'JSON' };
  assert.match(
    await refusalOf(client.createCertificateAuthorityAuditReport(report)),
    /^RequestFailedException: Audit reports are not supported here/,
  );
  const AuditReportId = '11111111-1111-1111-1111-111111111111';
  assert.match(
    await refusalOf(client.describeCertificateAuthorityAuditReport({ CertificateAuthorityArn, AuditReportId })),
    /^ResourceNotFoundException: Audit reports are not supported here/,
  );
});

function caIdOf(authorityArn: string): string {
  return parseCertificateAuthorityArn(authorityArn)?.caId ?? '';
}
