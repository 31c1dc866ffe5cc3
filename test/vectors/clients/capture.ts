/** Keeps what a client sends to a connector of the world: a proxy before it, and the outcomes that vectors of clients share. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Exchange, startRecordingProxy } from '../../support/recording-proxy.ts';
import { type Vector, writeVector } from '../../support/vector-file.ts';
import { type ConnectorName, connectorPath, connectorSpecs } from '../../support/vector-store.ts';
import type { VectorWorld } from '../../support/vector-world.ts';

export type Expected = Pick<Vector, 'expect'> & Partial<Pick<Vector, 'reason' | 'after'>>;

export const success: Expected = { expect: { pkiStatus: 'SUCCESS' } };
export const refused = (failInfo: 'badAlg' | 'badRequest', reason: string): Expected => ({
  expect: { pkiStatus: 'FAILURE', failInfo },
  reason,
});
export const wrongPassword = refused('badRequest', 'The challenge password is invalid.');
export const tripleDes = refused('badAlg', 'Unsupported algorithm: 1.2.840.113549.3.7 (3DES-CBC). Use AES-128-CBC or AES-256-CBC.');
export const sha1 = refused('badAlg', 'Unsupported algorithm: 1.3.14.3.2.26 (SHA-1). Use SHA-256.');
export const both = (cipher: string) =>
  refused('badAlg', `Unsupported algorithm: ${cipher}. Use AES-128-CBC or AES-256-CBC. ${sha1.reason}`);

/** One connector behind a proxy. */
export class Capture implements AsyncDisposable {
  readonly connector: ConnectorName;
  readonly url: string;
  readonly challenge: string;
  readonly #exchanges: readonly Exchange[];
  readonly #stop: () => Promise<void>;

  static async open(world: VectorWorld, connector: ConnectorName, capabilities?: string): Promise<Capture> {
    const proxy = await startRecordingProxy(`${await world.listen()}${connectorPath(connector)}`, capabilities);
    return new Capture(connector, proxy.url, proxy.exchanges, async () => proxy[Symbol.asyncDispose]());
  }

  private constructor(connector: ConnectorName, url: string, exchanges: readonly Exchange[], stop: () => Promise<void>) {
    this.connector = connector;
    this.url = url;
    this.challenge = connectorSpecs[connector].challenge ?? '';
    this.#exchanges = exchanges;
    this.#stop = stop;
  }

  /** Keeps the PKIOperation that was sent first or last. */
  keep(name: string, source: string, expected: Expected, which: 'first' | 'last' = 'last'): void {
    const isOperation = ({ method, target }: Exchange) => method === 'POST' || target.includes('operation=PKIOperation');
    const exchange = which === 'first' ? this.#exchanges.find(isOperation) : this.#exchanges.findLast(isOperation);
    if (exchange === undefined) throw new Error(`${name}: nothing was sent`);
    const { method, target, body } = exchange;
    const path = connectorPath(this.connector);
    if (!target.startsWith(path)) throw new Error(`${name}: ${target} is not below the connector's path`);
    const request = { method, target: target.slice(path.length), headers: [], parallel: 1, body };
    writeVector({ name: `captured/${name}`, source: `${source}, captured`, connector: this.connector, ...request, ...expected });
    console.log(`captured ${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }
}

export async function inDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'scep-capture-'));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}
