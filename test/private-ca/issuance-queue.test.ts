/** The queue behind IssueCertificate: asynchronous as AWS's is, and one certificate for each request whatever happens to its workers. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { CaError } from '../../src/backends/ca/certificate-authority.ts';
import { StoreError } from '../../src/backends/store/database.ts';
import { ServiceException } from '../../src/base/errors.ts';
import { OverloadError } from '../../src/base/worker-pool.ts';
import type { IssueCertificateRequest } from '../../src/service/issuance-plan.ts';
import { issuanceLimits } from '../../src/service/issuance-queue.ts';
import { csrPem, openPrivateCa, type PrivateCaSubject, parsePemCertificates, principal } from '../support/private-ca.ts';

let subject: PrivateCaSubject;
let root: string;
beforeEach(async () => {
  subject = await openPrivateCa();
  root = await subject.createRoot();
});
afterEach(async () => {
  await subject[Symbol.asyncDispose]();
});

/** Recorded and not signed: what a process leaves that is killed at once. */
async function requestUnsigned(change: Partial<IssueCertificateRequest> = {}): Promise<string> {
  subject.signing.fail = new StoreError('unreachable', 'away');
  const { CertificateArn } = await subject.issuance.issueCertificate(principal, {
    CertificateAuthorityArn: root,
    Csr: csrPem(),
    SigningAlgorithm: 'SHA256WITHECDSA',
    Validity: { Type: 'DAYS', Value: 30 },
    ...change,
  });
  await subject.queue.settle();
  subject.signing.fail = undefined;
  subject.reports.length = 0;
  return CertificateArn;
}

const get = (CertificateArn: string) => subject.issuance.getCertificate({ CertificateAuthorityArn: root, CertificateArn });

async function assertRefused(work: Promise<unknown>, name: string): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof ServiceException, String(error));
    assert.equal(error.name, name);
    return true;
  });
}

async function queued(): Promise<number> {
  return (await subject.database.query.selectFrom('issuances').selectAll().execute()).length;
}

describe('the issuance queue', () => {
  it('lets GetCertificate say that a certificate is in progress until it is signed', async () => {
    const arn = await requestUnsigned();
    await assertRefused(get(arn), 'RequestInProgressException');
    subject.advance(issuanceLimits.leaseMs);
    await subject.queue.settle();
    assert.equal(parsePemCertificates((await get(arn)).Certificate).length, 1);
    assert.equal(await queued(), 0);
  });

  it('is finished by a worker that starts later over the same store, once the lease of the killed one is over', async () => {
    const arns = [await requestUnsigned(), await requestUnsigned()];
    await using restarted = subject.makeQueue();
    assert.equal(await restarted.step(), 0);
    subject.advance(issuanceLimits.leaseMs);
    assert.equal(await restarted.step(), 2);
    for (const arn of arns) assert.ok((await get(arn)).Certificate);
  });

  it('signs each request once with several workers at it', async () => {
    const arns: string[] = [];
    while (arns.length < 40) arns.push(await requestUnsigned());
    subject.advance(issuanceLimits.leaseMs);
    subject.signing.count = 0;
    const workers = [subject.makeQueue(), subject.makeQueue(), subject.makeQueue()];
    await Promise.all(workers.map(worker => worker.settle()));
    assert.equal(subject.signing.count, 40);
    assert.equal(await queued(), 0);
    const serials = await Promise.all(arns.map(async arn => parsePemCertificates((await get(arn)).Certificate)[0]?.serialNumber));
    assert.deepEqual(
      serials,
      arns.map(arn => arn.slice(-32)),
    );
  });

  it('claims no more at a time than it signs at once', async () => {
    for (let count = 0; count <= issuanceLimits.signaturesAtOnceMax; count++) await requestUnsigned();
    subject.advance(issuanceLimits.leaseMs);
    await using worker = subject.makeQueue();
    assert.equal(await worker.step(), issuanceLimits.signaturesAtOnceMax);
    assert.equal(await worker.step(), 1);
  });

  it('records one certificate when the lease ran out under a slow worker, and another signed the same', async () => {
    const arn = await requestUnsigned();
    subject.advance(issuanceLimits.leaseMs);
    const { query } = subject.database;
    const issuance = await query.selectFrom('issuances').selectAll().executeTakeFirstOrThrow();
    await using fast = subject.makeQueue();
    await fast.step();
    const recorded = (await get(arn)).Certificate;
    // The slow one wakes up with what it had claimed: ECDSA gives it another signature.
    await query
      .insertInto('issuances')
      .values({ ...issuance, lease_until_at: 0 })
      .execute();
    await using slow = subject.makeQueue();
    assert.equal(await slow.step(), 1);
    assert.equal((await get(arn)).Certificate, recorded);
    assert.equal(await queued(), 0);
  });

  it('keeps what an outage kept it from, reports it, and tries again when the lease is over', async () => {
    for (const failure of [new OverloadError('busy'), new Error('a worker thread ended')]) {
      const arn = await requestUnsigned();
      subject.advance(issuanceLimits.leaseMs);
      subject.signing.fail = failure;
      await subject.queue.settle();
      assert.equal(subject.reports.length, 1);
      subject.signing.fail = undefined;
      await assertRefused(get(arn), 'RequestInProgressException');
      subject.advance(issuanceLimits.leaseMs);
      await subject.queue.settle();
      assert.ok((await get(arn)).Certificate);
    }
  });

  it('gives up what fails for an hour, and GetCertificate says so', async () => {
    const arn = await requestUnsigned();
    subject.signing.fail = new Error('a bug');
    subject.advance(issuanceLimits.triedForMsMax + 1);
    await subject.queue.settle();
    await assertRefused(get(arn), 'RequestFailedException');
    assert.equal(await queued(), 0);
  });

  it('never gives up for an outage of the store', async () => {
    const arn = await requestUnsigned();
    subject.signing.fail = new StoreError('full', 'full');
    subject.advance(issuanceLimits.triedForMsMax + 1);
    await subject.queue.settle();
    await assertRefused(get(arn), 'RequestInProgressException');
  });

  it('gives up at once when the authority is gone', async () => {
    const arn = await requestUnsigned();
    subject.signing.fail = new CaError('PRIVATECA_RESOURCE_NOT_FOUND', 'gone');
    subject.advance(issuanceLimits.leaseMs);
    await subject.queue.settle();
    await assertRefused(get(arn), 'RequestFailedException');
  });

  it('is woken by a request and works without being asked', async () => {
    subject.queue.start();
    const { CertificateArn } = await subject.issuance.issueCertificate(principal, {
      CertificateAuthorityArn: root,
      Csr: csrPem(),
      SigningAlgorithm: 'SHA256WITHECDSA',
      Validity: { Type: 'DAYS', Value: 30 },
    });
    for (let turns = 0; turns < 1000 && (await queued()) > 0; turns++) await new Promise(resolve => void setImmediate(resolve));
    assert.ok((await get(CertificateArn)).Certificate);
  });
});

describe('GetCertificate', () => {
  it('gives a chain up to the root, and none of a certificate that is one by itself', async () => {
    const subordinate = await subject.createSubordinate(root);
    const { chain = '' } = await subject.issue(subordinate);
    assert.equal(parsePemCertificates(chain).length, 2);
    const { query } = subject.database;
    const own = await query
      .selectFrom('certificates')
      .selectAll()
      .where('subject', '=', 'CN=Example ROOT,O=Example')
      .executeTakeFirstOrThrow();
    const answer = await get(`${root}/certificate/${own.serial_number}`);
    assert.deepEqual(Object.keys(answer), ['Certificate']);
  });

  it('knows the certificates of its authority alone', async () => {
    const { arn } = await subject.issue(root);
    const other = await subject.createRoot({ commonName: 'Other' });
    const ofOther = `${other}/certificate/${arn.slice(-32)}`;
    const ask = (CertificateAuthorityArn: string, CertificateArn: string) =>
      subject.issuance.getCertificate({ CertificateAuthorityArn, CertificateArn });
    await assertRefused(ask(other, arn), 'ResourceNotFoundException');
    await assertRefused(ask(other, ofOther), 'ResourceNotFoundException');
    await assertRefused(get(`${root}/certificate/${'0'.repeat(32)}`), 'ResourceNotFoundException');
    await assertRefused(get(`${root}/certificate/1`), 'InvalidArnException');
    await assertRefused(get(root), 'InvalidArnException');
  });

  it('is refused while the authority is deleted', async () => {
    const { arn } = await subject.issue(root);
    await subject.privateCa.updateCertificateAuthority({ CertificateAuthorityArn: root, Status: 'DISABLED' });
    assert.ok((await get(arn)).Certificate);
    await subject.privateCa.deleteCertificateAuthority({ CertificateAuthorityArn: root });
    await assertRefused(get(arn), 'InvalidStateException');
  });

  it('still gives a certificate that is revoked', async () => {
    const { arn, certificate, pem } = await subject.issue(root);
    await subject.revoke(root, certificate.serialNumber);
    assert.equal((await get(arn)).Certificate, pem);
  });
});
