/** A certmonger of a test's own, with everything that it keeps in a directory that goes with it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { encodePem } from '../../src/base/pki/pem.ts';
import { findProgram } from './programs.ts';
import { type Ended, runProgram } from './run-program.ts';
import { until } from './waiting.ts';

/** certmonger on a message bus of its own, with nothing of this user's or this machine's. */
export class Certmonger implements AsyncDisposable {
  readonly directory: string;
  readonly #env: Record<string, string>;
  readonly #stop: () => Promise<void>;

  static async start(): Promise<Certmonger> {
    const directory = await mkdtemp(join(tmpdir(), 'scep-certmonger-'));
    const env = { HOME: join(directory, 'home'), XDG_RUNTIME_DIR: join(directory, 'run') };
    for (const path of Object.values(env)) await mkdir(path, { mode: 0o700 });
    // The bus ends by itself when certmonger, whose process id this is, has ended.
    const script = 'echo "$$ $DBUS_SESSION_BUS_ADDRESS"; exec "$0" -n';
    const daemon = findProgram('certmonger-session') ?? '';
    const session = spawn(findProgram('dbus-run-session') ?? '', ['--', 'sh', '-c', script, daemon], {
      cwd: directory,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = once(session, 'close');
    const [line] = (await once(createInterface(session.stdout), 'line')) as [string];
    const space = line.indexOf(' ');
    const stop = async () => {
      process.kill(Number(line.slice(0, space)));
      await ended;
      await rm(directory, { recursive: true });
    };
    await using starting = new AsyncDisposableStack();
    const certmonger = starting.use(new Certmonger(directory, { ...env, DBUS_SESSION_BUS_ADDRESS: line.slice(space + 1) }, stop));
    await until(async () => (await certmonger.getcert('list-cas')).status === 0, 'certmonger answers');
    starting.move();
    return certmonger;
  }

  private constructor(directory: string, env: Record<string, string>, stop: () => Promise<void>) {
    this.directory = directory;
    this.#env = env;
    this.#stop = stop;
  }

  async getcert(command: string, ...args: string[]): Promise<Ended> {
    return runProgram('getcert', [command, '-s', ...args], { cwd: this.directory, env: this.#env });
  }

  /** Makes the server at this URL known as `lab`. */
  async addCa(url: string): Promise<void> {
    await this.getcert('add-scep-ca', '-c', 'lab', '-u', url);
    // It has then fetched GetCACert and GetCACaps.
    const hasFetched = async () => /thumbprint/.test((await this.getcert('list-cas', '-c', 'lab')).stdout.toString());
    await until(hasFetched, 'certmonger knows the CA');
  }

  pathOf(file: string): string {
    return join(this.directory, file);
  }

  /** Asks for a certificate for a new key and, unless it is not to, waits until that is decided. */
  async request(id: string, password: string, { waits = true } = {}): Promise<Ended> {
    const files = ['-f', this.pathOf(`${id}.crt`), '-k', this.pathOf(`${id}.key`)];
    const names = ['-N', `CN=${id},O=Lab`, '-D', `${id}.example.com`];
    return this.getcert('request', '-c', 'lab', '-I', id, '-g', '2048', ...files, ...names, '-L', password, ...(waits ? ['-w', '-v'] : []));
  }

  async statusOf(id: string): Promise<string> {
    return (await this.getcert('list', '-i', id)).stdout.toString();
  }

  /** The certificate in its file, which the openssl program verifies against the CA. */
  async verified(id: string, caCertificate: Uint8Array): Promise<X509Certificate> {
    await writeFile(this.pathOf('ca.pem'), encodePem('CERTIFICATE', caCertificate));
    const args = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 'ca.pem', `${id}.crt`];
    const verdict = await runProgram('openssl', args, { cwd: this.directory });
    assert.deepEqual([verdict.status, verdict.stdout.toString()], [0, `${id}.crt: OK\n`], verdict.stderr);
    return new X509Certificate(await readFile(this.pathOf(`${id}.crt`)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }
}
