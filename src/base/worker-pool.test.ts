/** The worker pool: results, errors and bounds, on real threads. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { addTask, endThreadTask, failTask, modulusLengthTask, refuseTask } from '../../test/support/worker-tasks.ts';
import { PkiError } from './pki/pki-error.ts';
import { OverloadError, WorkerPool, workerPoolLimits } from './worker-pool.ts';

describe('the worker pool', () => {
  const pool = new WorkerPool(2);
  after(() => pool[Symbol.asyncDispose]());

  it('answers each job with its own result', async () => {
    const sums = await Promise.all(Array.from({ length: 100 }, (_, a) => pool.run(addTask, { a, b: 1 })));
    assert.deepEqual(
      sums,
      Array.from({ length: 100 }, (_, a) => a + 1),
    );
  });

  it('hands keys over', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    assert.equal(await pool.run(modulusLengthTask, privateKey), 2048);
  });

  it('rejects with the PkiError of the job', async () => {
    const error = await pool.run(refuseTask, 'not DER').catch((reason: unknown) => reason);
    assert.ok(error instanceof PkiError);
    assert.deepEqual([error.reason, error.message], ['malformed', 'not DER']);
  });

  it('rejects with an Error for any other', async () => {
    await assert.rejects(pool.run(failTask, 'a bug'), /TypeError: a bug/);
  });

  it('replaces a thread that ended and rejects the job it had', async () => {
    const lone = new WorkerPool(1);
    await assert.rejects(lone.run(endThreadTask, undefined), /a worker thread ended/);
    assert.equal(await lone.run(addTask, { a: 1, b: 2 }), 3);
    await lone[Symbol.asyncDispose]();
  });

  it('refuses what would wait behind a full queue, and does the rest', async () => {
    const lone = new WorkerPool(1);
    const jobs = workerPoolLimits.queuedJobsMax + workerPoolLimits.jobsPerWorkerMax;
    const settled = await Promise.allSettled(Array.from({ length: jobs + 5 }, () => lone.run(addTask, { a: 1, b: 1 })));
    const refused = settled.filter(result => result.status === 'rejected');
    assert.equal(refused.length, 5);
    assert.ok(refused.every(({ reason }) => reason instanceof OverloadError));
    await lone[Symbol.asyncDispose]();
  });

  it('rejects what is under way when it is closed', async () => {
    const lone = new WorkerPool(1);
    const job = assert.rejects(lone.run(addTask, { a: 1, b: 1 }), /closed/);
    await lone[Symbol.asyncDispose]();
    await job;
  });
});
