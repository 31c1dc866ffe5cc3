/** Captures our own client's requests: enrolment, renewal and the poll of a request that waits. */
import { contentCiphers, digests } from '../../../src/base/pki/algorithms.ts';
import { sequence } from '../../../src/base/pki/der.ts';
import { generalName, subjectAltNameExtension } from '../../../src/base/pki/extensions.ts';
import { parseNameString } from '../../../src/base/pki/name.ts';
import { realSystem } from '../../../src/base/system.ts';
import { createRequest } from '../../../src/client/enroll.ts';
import { encodeRequest, type RequestTemplate } from '../../../src/client/pki-message.ts';
import { ScepClient } from '../../../src/client/scep-client.ts';
import { identity } from '../../support/vector-identities.ts';
import type { VectorWorld } from '../../support/vector-world.ts';
import { both, Capture, type Expected, success } from './capture.ts';

export async function captureOurClient(world: VectorWorld): Promise<void> {
  await captureEnrolments(world);
  await captureRenewal(world);
  await capturePoll(world);
}

async function captureEnrolments(world: VectorWorld): Promise<void> {
  await using capture = await Capture.open(world, 'default');
  const client = new ScepClient(capture.url);
  const caps = await client.getCaCaps();
  const { recipient } = await client.getCaCert();
  const runs: [name: string, change: Partial<RequestTemplate>, expected: Expected, transport?: Set<string>][] = [
    ['enroll', {}, success],
    ['enroll-get', {}, success, new Set()],
    ['aes-256-sha512', { cipher: contentCiphers['AES-256-CBC'], digest: digests['SHA-512'] }, success],
    ['aes-192-sha384', { cipher: contentCiphers['AES-192-CBC'], digest: digests['SHA-384'] }, success],
    ['3des-sha1', { cipher: contentCiphers['3DES-CBC'], digest: digests['SHA-1'] }, both('1.2.840.113549.3.7 (3DES-CBC)')],
  ];
  for (const [name, change, expected, transport = caps] of runs) {
    const { privateKey } = identity('device');
    const extensions = [subjectAltNameExtension([generalName.dns(`${name}.example.com`)], false)];
    const subject = parseNameString(`CN=${name},O=Lab`).der;
    const content = { privateKey, subject, challenge: capture.challenge, extensions, caps, recipient };
    await client.pkiOperation(encodeRequest({ ...createRequest(content, realSystem), ...change }), transport);
    capture.keep(`our-client-${name}`, `our own client (src/client), ${name}`, expected);
  }
}

async function captureRenewal(world: VectorWorld): Promise<void> {
  await using capture = await Capture.open(world, 'renewal');
  const client = new ScepClient(capture.url);
  const caps = await client.getCaCaps();
  const { recipient } = await client.getCaCert();
  const renewing = identity('issued-valid');
  const { privateKey } = identity('device-2');
  const subject = renewing.certificate.subject.der;
  const request = createRequest({ privateKey, subject, extensions: [], renewing, caps, recipient }, realSystem);
  await client.pkiOperation(encodeRequest(request), caps);
  capture.keep('our-client-renewal', 'our own client (src/client), --renew', success);
}

async function capturePoll(world: VectorWorld): Promise<void> {
  await using capture = await Capture.open(world, 'approval');
  const client = new ScepClient(capture.url);
  const caps = await client.getCaCaps();
  const { recipient, authorities } = await client.getCaCert();
  const { privateKey } = identity('device');
  const subject = parseNameString('CN=waits,O=Lab').der;
  const { challenge } = capture;
  const request = createRequest({ privateKey, subject, challenge, extensions: [], caps, recipient }, realSystem);
  await client.pkiOperation(encodeRequest(request), caps);
  const waits: Expected = { expect: { pkiStatus: 'PENDING' } };
  capture.keep('our-client-waits', 'our own client (src/client), a request that waits', waits);
  const messageData = sequence(authorities[0]?.subject.der ?? recipient.issuer.der, subject);
  const poll = { messageType: 'CertPoll', messageData, senderNonce: realSystem.randomBytes(16) } as const;
  await client.pkiOperation(encodeRequest({ ...request, ...poll }), caps);
  capture.keep('our-client-poll', 'our own client (src/client), its CertPoll', { ...waits, after: 'captured/our-client-waits' });
}
