/** The worker that makes the keys of certificate authorities: claimed once, taken up again after a crash, and never over what a caller has changed. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { findCertificateAuthorityById } from '../../src/backends/store/certificate-authorities.ts';
import { StoreError } from '../../src/backends/store/database.ts';
import { AuthorityLifecycle } from '../../src/service/authority-lifecycle.ts';
import { openPrivateCa, type PrivateCaSubject, principal } from '../support/private-ca.ts';

let subject: PrivateCaSubject;
beforeEach(async () => {
  subject = await openPrivateCa();
});
afterEach(() => subject[Symbol.asyncDispose]());

const log = { info: () => {}, warn: () => {}, error: () => {} };
const makeWorker = () => new AuthorityLifecycle({ ...subject, log });

async function create(CommonName = 'Example'): Promise<string> {
  const { CertificateAuthorityArn } = await subject.privateCa.createCertificateAuthority(principal, {
    CertificateAuthorityType: 'ROOT',
    CertificateAuthorityConfiguration: { KeyAlgorithm: 'EC_prime256v1', SigningAlgorithm: 'SHA256WITHECDSA', Subject: { CommonName } },
  });
  return CertificateAuthorityArn;
}

async function statusOf(arn: string): Promise<string | undefined> {
  return (await findCertificateAuthorityById(subject.database.query, arn.slice(-36)))?.status;
}

test('of two workers at once each takes what the other does not', async t => {
  const arns = await Promise.all(Array.from({ length: 7 }, (_, n) => create(`Example ${n}`)));
  const createKey = t.mock.method(subject.certificateAuthorities, 'createKey');
  await Promise.all([makeWorker().settle(), makeWorker().settle()]);
  assert.equal(createKey.mock.callCount(), 7);
  for (const arn of arns) assert.equal(await statusOf(arn), 'PENDING_CERTIFICATE');
});

test('what a worker had claimed when its process ended is done by another once the lease has run out', async t => {
  const arn = await create();
  // It never comes back.
  t.mock.method(subject.certificateAuthorities, 'createKey', () => new Promise<never>(() => {}), { times: 1 });
  void makeWorker().step();
  const another = makeWorker();
  await another.settle();
  assert.equal(await statusOf(arn), 'CREATING');
  subject.advance(120_000);
  await another.settle();
  assert.equal(await statusOf(arn), 'PENDING_CERTIFICATE');
});

test('a store that is away is no verdict on an authority', async t => {
  const arn = await create();
  const away = async () => {
    throw new StoreError('locked', 'The store is busy.');
  };
  t.mock.method(subject.certificateAuthorities, 'createKey', away, { times: 1 });
  const worker = makeWorker();
  await assert.rejects(worker.step(), StoreError);
  assert.equal(await statusOf(arn), 'CREATING');
  subject.advance(120_000);
  await worker.settle();
  assert.equal(await statusOf(arn), 'PENDING_CERTIFICATE');
});

test('an authority that is deleted while its key is being made stays deleted', async t => {
  const arn = await create();
  const { certificateAuthorities, privateCa } = subject;
  const make = certificateAuthorities.createKey.bind(certificateAuthorities);
  t.mock.method(certificateAuthorities, 'createKey', async (...args: Parameters<typeof make>) => {
    await privateCa.deleteCertificateAuthority({ CertificateAuthorityArn: arn });
    return make(...args);
  });
  await makeWorker().settle();
  assert.equal(await statusOf(arn), 'DELETED');
  const row = await findCertificateAuthorityById(subject.database.query, arn.slice(-36));
  assert.deepEqual([row?.csr, row?.sealed_key.length], [null, 0]);
});

test('the key of an authority is sealed', async () => {
  const arn = await subject.createRoot();
  const row = await findCertificateAuthorityById(subject.database.query, arn.slice(-36));
  assert.ok(row && row.sealed_key.length > 0);
  assert.ok(!Buffer.from(row.sealed_key).includes(Buffer.from('3013020106072a8648ce3d0201', 'hex')), 'a PKCS#8 header in the clear');
});
