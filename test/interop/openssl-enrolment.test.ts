/** Enrolment with messages that the `openssl` program makes in BER, as it streams, and answers that it verifies, decrypts and reads. */
import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { digests } from '../../src/base/pki/algorithms.ts';
import { type Element, parseBer } from '../../src/base/pki/asn1.ts';
import { octetString, printableString, sequence, setOf, tlv } from '../../src/base/pki/der.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { MessageType, PkiStatus } from '../../src/base/scep.ts';
import { attribute } from '../support/cms-parts.ts';
import { setEnrolmentPolicy } from '../support/operator.ts';
import { requireProgram } from '../support/programs.ts';
import { pemOf, RawScepClient, send } from '../support/raw-scep-client.ts';
import { runProgram } from '../support/run-program.ts';
import { lastScepRequest, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

/** More than fits into one segment of what openssl streams. */
const names = Array.from({ length: 100 }, (_, index) => `DNS:device-${index}.printers.example.com`);

let server: TemporaryServer;
let directory: string;
const resources = new AsyncDisposableStack();

async function openssl(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram('openssl', args, { cwd: directory });
  assert.equal(status, 0, `openssl ${args.join(' ')}: ${stderr}`);
  return stdout.toString();
}

const read = (file: string) => readFile(join(directory, file));
const write = (file: string, text: string | Uint8Array) => writeFile(join(directory, file), text);

/** A new key and a CSR for it with the challenge, if one is given, in `NAME.key` and `NAME.csr`. */
async function makeCsr(name: string, challenge?: string): Promise<void> {
  const attributes = challenge === undefined ? '' : `attributes=attributes\n[attributes]\nchallengePassword=${challenge}\n`;
  const extensions = `[extensions]\nsubjectAltName=${names.join(',')}\nextendedKeyUsage=clientAuth\n[dn]\nO=Lab\nCN=openssl\n`;
  await write('csr.cnf', `[req]\nprompt=no\ndistinguished_name=dn\nreq_extensions=extensions\n${attributes}${extensions}`);
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`];
  await openssl('req', '-new', '-sha256', '-config', 'csr.cnf', ...key, '-outform', 'DER', '-out', `${name}.csr`);
}

async function makeSelfSigned(name: string): Promise<void> {
  await openssl('req', '-x509', '-new', '-key', `${name}.key`, '-subj', '/CN=openssl', '-days', '2', '-out', `${name}.crt`);
}

const isBer = (encoded: Uint8Array) => encoded[1] === 0x80;

interface MessageParts {
  /** How openssl encrypts and signs. */
  encrypt: string[];
  sign: string[];
  messageType?: string;
  transactionID?: string;
}

/** A pkiMessage around NAME.csr, signed by SIGNER's certificate and key. */
async function makeMessage(name: string, signer: string, { encrypt, sign, messageType, transactionID }: MessageParts): Promise<Buffer> {
  const [command = '', ...options] = encrypt;
  // smime takes its recipients as the last arguments alone.
  await openssl(command, '-stream', '-binary', '-in', `${name}.csr`, '-outform', 'DER', '-out', 'envelope.p7', ...options);
  const streaming = ['-stream', '-binary', '-nodetach', '-in', 'envelope.p7', '-outform', 'DER', '-out', 'signed.p7'];
  await openssl(...sign, ...streaming, '-signer', `${signer}.crt`, '-inkey', `${signer}.key`);
  const [envelope, signed] = [await read('envelope.p7'), await read('signed.p7')];
  assert.ok(isBer(envelope) && isBer(signed), 'openssl has not streamed');
  return withAttributes(signed, `${signer}.key`, [
    attribute(Oid.transactionID, printableString(transactionID ?? randomBytes(16).toString('hex'))),
    attribute(Oid.messageType, printableString(messageType ?? MessageType.PKCSReq)),
    attribute(Oid.senderNonce, octetString(randomBytes(16))),
  ]);
}

/** The message as openssl streamed it, but with SCEP's attributes beside its own, which its command line cannot say, and with a signature of openssl's over all. */
async function withAttributes(message: Buffer, keyFile: string, added: readonly Uint8Array[]): Promise<Buffer> {
  const [, wrapped] = parseBer(message).elements('ContentInfo');
  const signerInfos = wrapped?.elements('content')[0]?.elements('SignedData').at(-1);
  const [version, sid, digestAlgorithm, attributes, signatureAlgorithm] =
    signerInfos?.elements('signerInfos')[0]?.elements('SignerInfo') ?? [];
  assert.ok(signerInfos && version && sid && digestAlgorithm && attributes && signatureAlgorithm);
  const all = [...attributes.elements('signedAttrs').map(({ bytes }) => bytes), ...added].toSorted(Buffer.compare);
  await write('attributes.der', tlv(0x31, ...all));
  await openssl('dgst', digestOption(digestAlgorithm), '-sign', keyFile, '-out', 'signature', 'attributes.der');
  const signature = octetString(await read('signature'));
  const signerInfo = sequence(version.bytes, sid.bytes, digestAlgorithm.bytes, tlv(0xa0, ...all), signatureAlgorithm.bytes, signature);
  // Every layer around the SET has an indefinite length, so nothing else changes.
  const [start, end] = [signerInfos.start, signerInfos.start + signerInfos.bytes.length];
  return Buffer.concat([message.subarray(0, start), setOf(signerInfo), message.subarray(end)]);
}

function digestOption(digestAlgorithm: Element): string {
  const [algorithm] = digestAlgorithm.elements('digestAlgorithm');
  return algorithm?.oid() === digests['SHA-512'].oid ? '-sha512' : '-sha256';
}

/** The certificate of an answer to SIGNER, which is in ISSUED.crt then. */
async function readAnswer(answer: Uint8Array, signer: string, issued: string): Promise<X509Certificate> {
  await write('answer.p7', answer);
  const verify = ['cms', '-verify', '-binary', '-inform', 'DER', '-in', 'answer.p7', '-CAfile', 'ca.crt', '-purpose', 'any'];
  await openssl(...verify, '-out', 'sealed.p7');
  const printed = await openssl('cms', '-cmsout', '-print', '-noout', '-inform', 'DER', '-in', 'answer.p7');
  const [, pkiStatus] = /\(2\.16\.840\.1\.113733\.1\.9\.3\)\s+set:\s+PRINTABLESTRING:(\d)/.exec(printed) ?? [];
  assert.equal(pkiStatus, PkiStatus.SUCCESS, String(lastScepRequest(server)?.['reason']));
  const decrypt = [
    'cms',
    '-decrypt',
    '-binary',
    '-inform',
    'DER',
    '-in',
    'sealed.p7',
    '-recip',
    `${signer}.crt`,
    '-inkey',
    `${signer}.key`,
  ];
  await openssl(...decrypt, '-out', 'certificates.p7');
  await openssl('pkcs7', '-inform', 'DER', '-in', 'certificates.p7', '-print_certs', '-out', `${issued}.crt`);
  const verdict = await openssl('verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 'ca.crt', `${issued}.crt`);
  assert.equal(verdict, `${issued}.crt: OK\n`);
  return new X509Certificate(await read(`${issued}.crt`));
}

const post = async (message: Uint8Array) => (await send(`${server.url}?operation=PKIOperation`, { method: 'POST', body: message })).body;
const get = async (message: Buffer) => {
  const encoded = encodeURIComponent(message.toString('base64'));
  return (await send(`${server.url}?operation=PKIOperation&message=${encoded}`)).body;
};

describe('what openssl streams', { skip: requireProgram('openssl') }, () => {
  before(async () => {
    server = resources.use(await startTemporaryServer());
    directory = resources.adopt(await mkdtemp(join(tmpdir(), 'scep-openssl-')), path => rm(path, { recursive: true }));
    const { ra, ca } = await RawScepClient.connect(server);
    await write('ra.crt', pemOf(ra.der));
    await write('ca.crt', pemOf(ca.der));
  });
  after(() => resources.disposeAsync());

  const oaep = ['-recip', 'ra.crt', '-keyopt', 'rsa_padding_mode:oaep'];
  const kinds: [name: string, encrypt: string[], sign: string[]][] = [
    ['cms, AES-128 and SHA-256', ['cms', '-encrypt', '-aes128', '-recip', 'ra.crt'], ['cms', '-sign', '-md', 'sha256']],
    ['cms, AES-256 and SHA-512', ['cms', '-encrypt', '-aes256', '-recip', 'ra.crt'], ['cms', '-sign', '-md', 'sha512']],
    ['cms, OAEP', ['cms', '-encrypt', '-aes128', ...oaep], ['cms', '-sign', '-md', 'sha256']],
    [
      'cms, RA and signer by subjectKeyIdentifier',
      ['cms', '-encrypt', '-aes128', '-keyid', '-recip', 'ra.crt'],
      ['cms', '-sign', '-keyid', '-md', 'sha256'],
    ],
    [
      'cms, with the CA’s certificate beside the signer’s',
      ['cms', '-encrypt', '-aes128', '-recip', 'ra.crt'],
      ['cms', '-sign', '-certfile', 'ca.crt'],
    ],
    ['smime, which is PKCS#7', ['smime', '-encrypt', '-aes128', 'ra.crt'], ['smime', '-sign', '-md', 'sha256']],
  ];
  for (const [name, encrypt, sign] of kinds) {
    it(`enrols: ${name}`, async () => {
      await makeCsr('device', server.challengePassword);
      await makeSelfSigned('device');
      const message = await makeMessage('device', 'device', { encrypt, sign });
      const certificate = await readAnswer(await post(message), 'device', 'issued');
      assert.equal(certificate.subject, 'O=Lab\nCN=openssl');
      assert.equal(certificate.subjectAltName?.split(', ').length, names.length);
      assert.equal(await openssl('x509', '-in', 'issued.crt', '-noout', '-pubkey'), await openssl('pkey', '-in', 'device.key', '-pubout'));
    });
  }

  const [, encrypt = [], sign = []] = kinds[0] ?? [];

  it('enrols in the URL of a GET', async () => {
    await makeCsr('device', server.challengePassword);
    await makeSelfSigned('device');
    await readAnswer(await get(await makeMessage('device', 'device', { encrypt, sign })), 'device', 'issued');
  });

  it('renews by a RenewalReq that the certificate signs, without a challenge', async () => {
    await setEnrolmentPolicy(server, { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
    await makeCsr('old', server.challengePassword);
    await makeSelfSigned('old');
    const old = await readAnswer(await post(await makeMessage('old', 'old', { encrypt, sign })), 'old', 'old');
    await makeCsr('new');
    const message = await makeMessage('new', 'old', { encrypt, sign, messageType: MessageType.RenewalReq });
    const certificate = await readAnswer(await post(message), 'old', 'new');
    assert.equal(certificate.subjectAltName, old.subjectAltName);
    assert.ok(!certificate.publicKey.equals(old.publicKey));
  });
});
