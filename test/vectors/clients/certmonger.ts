/** Captures certmonger: enrolment, and what it sends to renew, to rekey and where GetCACaps says little. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePem } from '../../../src/base/pki/pem.ts';
import { Certmonger } from '../../support/certmonger.ts';
import { type IdentityName, identity } from '../../support/vector-identities.ts';
import type { ConnectorName } from '../../support/vector-store.ts';
import type { VectorWorld } from '../../support/vector-world.ts';
import { until } from '../../support/waiting.ts';
import { Capture, type Expected, success, tripleDes, wrongPassword } from './capture.ts';

/** certmonger that knows the connector's CA. */
async function openCertmonger(capture: Capture): Promise<Certmonger> {
  const certmonger = await Certmonger.start();
  await certmonger.getcert('add-scep-ca', '-c', 'lab', '-u', capture.url);
  const hasFetched = async () => /thumbprint/.test((await certmonger.getcert('list-cas', '-c', 'lab')).stdout.toString());
  await until(hasFetched, 'certmonger knows the CA');
  return certmonger;
}

const version = 'certmonger 0.79.17';
const pkcs8 = (name: IdentityName) => identity(name).privateKey.export({ format: 'pem', type: 'pkcs8' });

export async function captureCertmonger(world: VectorWorld): Promise<void> {
  await captureRequests(world);
  await captureRenewals(world);
  await captureCapabilities(world);
}

async function captureRequests(world: VectorWorld): Promise<void> {
  await using capture = await Capture.open(world, 'default');
  await using certmonger = await openCertmonger(capture);
  const pathOf = (file: string) => join(certmonger.directory, file);
  const request = async (id: string, password: string) => {
    await writeFile(pathOf(`${id}.key`), pkcs8('device'), { mode: 0o600 });
    const files = ['-f', pathOf(`${id}.crt`), '-k', pathOf(`${id}.key`)];
    const names = ['-N', `CN=${id},O=Lab`, '-D', `${id}.example.com`];
    await certmonger.getcert('request', '-c', 'lab', '-I', id, ...files, ...names, '-L', password, '-w', '-v');
  };
  await request('first', capture.challenge);
  capture.keep('certmonger-request', `${version}, getcert request, by GET`, success);
  // Within the same second certmonger writes the same CSR again.
  await new Promise(resolve => void setTimeout(resolve, 1500));
  await certmonger.getcert('resubmit', '-i', 'first', '-w', '-v');
  const after = 'captured/certmonger-request';
  capture.keep('certmonger-resubmit', `${version}, getcert resubmit: the same transactionID, another CSR`, { ...success, after });
  await request('wrong', 'wrong');
  capture.keep('certmonger-wrong-password', `${version}, getcert request with a wrong challenge`, wrongPassword);
}

/** By certificates that the world has issued, so that what they sign can be sent again. */
async function captureRenewals(world: VectorWorld): Promise<void> {
  const runs: [connector: ConnectorName, name: IdentityName, command: 'rekey' | 'resubmit', stands: string][] = [
    ['default', 'issued-default', 'rekey', 'signed with a certificate of the connector, for a new key, with the challenge'],
    ['renewal', 'issued-valid', 'rekey', 'signed with the certificate that is renewed, for a new key'],
    ['renewal', 'issued-valid', 'resubmit', 'signed with the certificate that is renewed, for the same key'],
  ];
  for (const [connector, name, command, stands] of runs) {
    await using capture = await Capture.open(world, connector);
    await using certmonger = await openCertmonger(capture);
    const pathOf = (file: string) => join(certmonger.directory, file);
    await writeFile(pathOf('x.key'), pkcs8(name), { mode: 0o600 });
    await writeFile(pathOf('x.crt'), encodePem('CERTIFICATE', identity(name).certificate.der));
    const challenge = connector === 'default' ? ['-L', capture.challenge] : [];
    await certmonger.getcert('start-tracking', '-c', 'lab', '-I', 'x', '-f', pathOf('x.crt'), '-k', pathOf('x.key'), ...challenge);
    await certmonger.getcert(command, '-i', 'x', '-w', '-v');
    capture.keep(`certmonger-${command}-${connector}`, `${version}, getcert ${command}: ${stands}`, success);
  }
}

/** What certmonger uses is what GetCACaps says: each of these is the first thing that it hears of a CA. */
async function captureCapabilities(world: VectorWorld): Promise<void> {
  const runs: [name: string, connector: ConnectorName, capabilities: string, Expected][] = [
    ['certmonger-3des', 'default', 'DES3\n', tripleDes],
    ['certmonger-3des-legacy', 'legacy', 'DES3\n', success],
    ['certmonger-aes-sha512', 'default', 'AES\nSHA-512\n', success],
  ];
  for (const [name, connector, capabilities, expected] of runs) {
    await using capture = await Capture.open(world, connector, capabilities);
    await using certmonger = await openCertmonger(capture);
    const pathOf = (file: string) => join(certmonger.directory, file);
    await writeFile(pathOf('x.key'), pkcs8('device'), { mode: 0o600 });
    const files = ['-f', pathOf('x.crt'), '-k', pathOf('x.key'), '-N', `CN=${name}`];
    await certmonger.getcert('request', '-c', 'lab', '-I', 'x', ...files, '-L', capture.challenge, '-w', '-v');
    capture.keep(name, `${version} where GetCACaps says ${capabilities.trim().replaceAll('\n', ', ')}`, expected);
  }
}
