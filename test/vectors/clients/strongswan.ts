/** Captures strongSwan's `pki --scep`: enrolment in every algorithm that it has, renewal, and the poll of a request that waits. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../support/run-program.ts';
import { type IdentityName, identity } from '../../support/vector-identities.ts';
import { type ConnectorName, connectorSpecs } from '../../support/vector-store.ts';
import type { VectorWorld } from '../../support/vector-world.ts';
import { Capture, type Expected, inDirectory, sha1, success, tripleDes, wrongPassword } from './capture.ts';

interface StrongSwanRun {
  name: string;
  args: string;
  expected: Expected;
  note?: string;
  connector?: ConnectorName;
  capabilities?: string;
  /** Undefined is the right one, null none. */
  password?: string | null;
}

const renewing = (name: IdentityName) => `--cipher aes --digest sha256 --cert ${name}.crt --key ${name}.der --in device-2.der`;

const strongSwanRuns: StrongSwanRun[] = [
  { name: 'aes-sha256', args: '--cipher aes --digest sha256', expected: success },
  { name: 'aes-sha384', args: '--cipher aes --digest sha384', expected: success },
  { name: 'aes-sha512', args: '--cipher aes --digest sha512', expected: success },
  { name: 'pss', args: '--cipher aes --digest sha256 --rsa-padding pss', expected: success },
  { name: 'san', args: '--cipher aes --digest sha256 --san a.example.com --san b@example.com --san 192.0.2.7', expected: success },
  { name: 'rsa-3072', args: '--cipher aes --digest sha256 --in device-3072.der', expected: success },
  {
    name: 'get',
    args: '--cipher aes --digest sha256',
    expected: success,
    note: ' where GetCACaps has no POSTPKIOperation',
    capabilities: 'AES\nSHA-256\nSHA-384\n',
  },
  {
    name: 'wrong-password',
    args: '--cipher aes --digest sha256',
    expected: wrongPassword,
    note: ' with a wrong password',
    password: 'wrong',
  },
  { name: '3des', args: '--cipher des3 --digest sha256', expected: tripleDes },
  { name: 'sha1', args: '--cipher aes --digest sha1', expected: sha1 },
  { name: 'legacy-3des', args: '--cipher des3 --digest sha256', expected: success, connector: 'legacy' },
  { name: 'legacy-sha1', args: '--cipher aes --digest sha1', expected: success, connector: 'legacy' },
  {
    name: 'renewal',
    args: `${renewing('issued-valid')} --dn O=Example,CN=issued-valid`,
    expected: success,
    connector: 'renewal',
    password: null,
  },
  {
    name: 'renewal-of-another-subject',
    args: `${renewing('issued-valid')} --dn O=Example,CN=administrator`,
    expected: { expect: { pkiStatus: 'FAILURE', failInfo: 'badRequest' } },
    connector: 'renewal',
    password: null,
  },
  {
    name: 'renewal-where-there-is-none',
    args: `${renewing('issued-default')} --dn O=Example,CN=issued-default`,
    expected: { expect: { pkiStatus: 'FAILURE', failInfo: 'badRequest' } },
    password: null,
  },
];

async function inStrongSwanDirectory(work: (pki: (capture: Capture, args: string[]) => Promise<unknown>) => Promise<void>): Promise<void> {
  await inDirectory(async directory => {
    for (const name of ['device', 'device-2', 'device-3072', 'issued-valid', 'issued-default'] as const) {
      await writeFile(join(directory, `${name}.der`), identity(name).privateKey.export({ format: 'der', type: 'pkcs1' }));
      await writeFile(join(directory, `${name}.crt`), identity(name).certificate.der);
    }
    await writeFile(join(directory, 'ca.der'), identity('ca').certificate.der);
    await work(async (capture, args) => {
      await writeFile(join(directory, 'ra.der'), identity(connectorSpecs[capture.connector].raKeys[0]).certificate.der);
      const peer = ['--url', capture.url, '--cacert-enc', 'ra.der', '--cacert-sig', 'ra.der', '--cacert', 'ca.der'];
      return runProgram('pki', ['--scep', ...peer, ...args], { cwd: directory });
    });
  });
}

export async function captureStrongSwan(world: VectorWorld): Promise<void> {
  await inStrongSwanDirectory(async pki => {
    for (const { name, args, expected, note = '', connector = 'default', capabilities, password } of strongSwanRuns) {
      await using capture = await Capture.open(world, connector, capabilities);
      const own = args.includes('--in') ? [] : ['--in', 'device.der'];
      if (!args.includes('--dn')) own.push('--dn', `C=CH, O=Lab, CN=${name}`);
      if (password !== null) own.push('--password', password ?? capture.challenge);
      await pki(capture, [...own, ...args.split(' ')]);
      capture.keep(`strongswan-${name}`, `strongSwan 5.9.8, pki --scep ${args}${note}`, expected);
    }
    await using capture = await Capture.open(world, 'approval');
    const polling = ['--cipher', 'aes', '--digest', 'sha256', '--interval', '1', '--maxpolltime', '2'];
    await pki(capture, ['--in', 'device.der', '--dn', 'CN=waits', '--password', capture.challenge, ...polling]);
    const waits: Expected = { expect: { pkiStatus: 'PENDING' } };
    capture.keep('strongswan-waits', 'strongSwan 5.9.8, pki --scep: a request that waits', waits, 'first');
    const after = 'captured/strongswan-waits';
    capture.keep('strongswan-poll', 'strongSwan 5.9.8, pki --scep --interval 1: its CertPoll', { ...waits, after });
  });
}
