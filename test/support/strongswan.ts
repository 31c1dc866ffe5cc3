/** strongSwan's `pki` in a directory of its own: its keys, its requests to a connector, and the certificates that it is given. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePem } from '../../src/base/pki/pem.ts';
import { findProgram, requireProgram } from './programs.ts';
import { type Ended, runProgram } from './run-program.ts';

/** False, or the reason to skip: Debian keeps strongSwan's HTTP and its elliptic curves in packages apart from its program. */
function requirePlugin(packageName: string, args: string[], complaint: RegExp): string | false {
  const { stderr } = spawnSync(findProgram('pki') ?? '', args, { encoding: 'utf8' });
  if (!complaint.test(stderr)) return false;
  const reason = `a plugin of pki is missing (Debian package ${packageName})`;
  if (process.env['SCEP_TEST_REQUIRE_ALL'] === '1') throw new Error(reason);
  return reason;
}

/** For the `skip` option of a test, as `requireProgram`'s answer is. */
export function requireStrongSwan({ withEc = false }: { withEc?: boolean } = {}): string | false {
  const fetchNothing = ['--scepca', '--url', 'http://127.0.0.1:1', '--caout', '/dev/null'];
  const missing =
    requireProgram('pki') || requireProgram('openssl') || requirePlugin('libstrongswan-extra-plugins', fetchNothing, /no capable fetcher/);
  if (missing || !withEc) return missing;
  return requirePlugin('libstrongswan-standard-plugins', ['--gen', '--type', 'ecdsa', '--size', '256'], /ECDSA failed/);
}

export class StrongSwan implements AsyncDisposable {
  readonly directory: string;
  readonly #url: string;

  /** With the RA and the CA of GetCACert in ra.der and ca.der, and a key in key.der. */
  static async connect(url: string): Promise<StrongSwan> {
    const strongSwan = new StrongSwan(url, await mkdtemp(join(tmpdir(), 'scep-strongswan-')));
    await strongSwan.makeKey('key.der');
    await strongSwan.fetchCa();
    return strongSwan;
  }

  private constructor(url: string, directory: string) {
    this.#url = url;
    this.directory = directory;
  }

  pathOf(file: string): string {
    return join(this.directory, file);
  }

  async pki(...args: string[]): Promise<Ended> {
    return runProgram('pki', args, { cwd: this.directory });
  }

  async fetchCa(): Promise<Ended> {
    return this.pki('--scepca', '--url', this.#url, '--caout', 'ca.der', '--raout', 'ra.der', '--force');
  }

  async makeKey(file: string, bits = 2048): Promise<void> {
    const { status, stdout, stderr } = await this.pki('--gen', '--type', 'rsa', '--size', String(bits));
    assert.equal(status, 0, stderr);
    await writeFile(this.pathOf(file), stdout);
  }

  /** With AES and SHA-256, for key.der, unless `args` say otherwise: of an option given twice the last counts. */
  async enrol(...args: string[]): Promise<Ended> {
    const peer = ['--url', this.#url, '--cacert-enc', 'ra.der', '--cacert-sig', 'ra.der', '--cacert', 'ca.der'];
    const usual = ['--in', 'key.der', '--dn', 'C=CH, O=Lab, CN=ss1', '--cipher', 'aes', '--digest', 'sha256'];
    return this.pki('--scep', ...peer, ...usual, ...args);
  }

  /** The certificate that it was given, which the openssl program verifies against the CA of GetCACert. */
  async verified({ status, stdout, stderr }: Ended): Promise<X509Certificate> {
    assert.equal(status, 0, stderr);
    await writeFile(this.pathOf('ca.pem'), encodePem('CERTIFICATE', await readFile(this.pathOf('ca.der'))));
    await writeFile(this.pathOf('cert.pem'), encodePem('CERTIFICATE', stdout));
    const args = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 'ca.pem', 'cert.pem'];
    const verdict = await runProgram('openssl', args, { cwd: this.directory });
    assert.deepEqual([verdict.status, verdict.stdout.toString()], [0, 'cert.pem: OK\n'], verdict.stderr);
    return new X509Certificate(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}
