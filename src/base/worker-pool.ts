/** Runs pure functions on worker threads, so that a private-key operation never holds up the thread that serves HTTP. */
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { PkiError, type PkiErrorReason } from './pki/pki-error.ts';

/**
 * A function that a worker may run: exported under `name` from `module`, so that the worker can import it. Input and output are structured-cloned:
 * plain values, bytes and KeyObjects. A PkiError crosses as one; any other error as an Error of the same message.
 */
export interface Task<Input, Output> {
  /** The `import.meta.url` of the module. */
  module: string;
  name: string;
  run: (input: Input) => Output;
}

export interface Workers {
  run<Input, Output>(task: Task<Input, Output>, input: Input): Promise<Output>;
}

/** Enough under way to keep a worker busy while its answers travel, and a queue that is refused before it is hopeless. */
export const workerPoolLimits = { jobsPerWorkerMax: 6, queuedJobsMax: 2000 } as const;

/** More work waits than will be done in good time. */
export class OverloadError extends Error {
  override readonly name = 'OverloadError';
}

interface Job {
  module: string;
  name: string;
  input: unknown;
  resolve: (output: never) => void;
  reject: (error: Error) => void;
}

interface JobMessage {
  id: number;
  module: string;
  name: string;
  input: unknown;
}

type ResultMessage = { id: number } & (
  | { output: unknown }
  | { pkiError: { reason: PkiErrorReason; message: string; algorithm: string | undefined } }
  | { error: string }
);

interface PoolWorker {
  thread: Worker;
  jobs: Map<number, Job>;
}

export class WorkerPool implements Workers, AsyncDisposable {
  readonly #workers: PoolWorker[];
  readonly #queue: Job[] = [];
  #lastId = 0;
  #closing = false;

  constructor(size: number) {
    this.#workers = Array.from({ length: size }, () => this.#start());
  }

  /** Rejects with OverloadError when the queue is full. */
  run<Input, Output>({ module, name }: Task<Input, Output>, input: Input): Promise<Output> {
    return new Promise<Output>((resolve, reject) => {
      if (this.#closing) return reject(new Error('the worker pool is closed'));
      if (this.#queue.length >= workerPoolLimits.queuedJobsMax) return reject(new OverloadError('Too many requests are waiting.'));
      this.#queue.push({ module, name, input, resolve, reject });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    for (;;) {
      const idlest = this.#workers.reduce((a, b) => (b.jobs.size < a.jobs.size ? b : a));
      if (idlest.jobs.size >= workerPoolLimits.jobsPerWorkerMax) return;
      const job = this.#queue.shift();
      if (job === undefined) return;
      const id = ++this.#lastId;
      idlest.jobs.set(id, job);
      idlest.thread.ref();
      const { module, name, input } = job;
      idlest.thread.postMessage({ id, module, name, input } satisfies JobMessage);
    }
  }

  #start(): PoolWorker {
    const worker: PoolWorker = { thread: new Worker(new URL(import.meta.url)), jobs: new Map() };
    worker.thread.on('message', (result: ResultMessage) => {
      const job = worker.jobs.get(result.id);
      worker.jobs.delete(result.id);
      if (worker.jobs.size === 0) worker.thread.unref();
      if (job !== undefined) settle(job, result);
      this.#dispatch();
    });
    // A worker only ends on a bug or when memory ran out: its jobs are lost, the pool is not.
    let cause: unknown;
    worker.thread.on('error', error => {
      cause = error;
    });
    worker.thread.on('exit', () => this.#replace(worker, new Error('a worker thread ended', { cause })));
    // Only work under way keeps the process alive.
    worker.thread.unref();
    return worker;
  }

  #replace(worker: PoolWorker, error: Error): void {
    if (this.#closing) return;
    this.#workers[this.#workers.indexOf(worker)] = this.#start();
    for (const job of worker.jobs.values()) job.reject(error);
    this.#dispatch();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    const closed = new Error('the worker pool is closed');
    for (const job of [...this.#queue.splice(0), ...this.#workers.flatMap(({ jobs }) => [...jobs.values()])]) job.reject(closed);
    await Promise.all(this.#workers.map(({ thread }) => thread.terminate()));
  }
}

function settle(job: Job, result: ResultMessage): void {
  if ('output' in result) job.resolve(result.output as never);
  else if ('pkiError' in result) job.reject(new PkiError(result.pkiError.reason, result.pkiError.message, result.pkiError));
  else job.reject(new Error(result.error));
}

async function serveJob({ id, module, name, input }: JobMessage): Promise<ResultMessage> {
  try {
    const exported: Record<string, unknown> = await import(module);
    const run = exported[name];
    if (typeof run !== 'function') throw new TypeError(`${module} exports no function ${name}`);
    return { id, output: run(input) };
  } catch (error) {
    if (error instanceof PkiError) {
      const { reason, message, algorithm } = error;
      return { id, pkiError: { reason, message, algorithm } };
    }
    return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

if (!isMainThread) {
  const port = parentPort;
  port?.on('message', (job: JobMessage) => void serveJob(job).then(result => port.postMessage(result)));
}
