/** Captures vectors: lets real clients enrol at the world's server through a proxy and keeps what they sent. `node test/vectors/capture.ts`, under a clock of late 2026. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { contentCiphers, digests } from '../../src/base/pki/algorithms.ts';
import { generalName, subjectAltNameExtension } from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { realSystem } from '../../src/base/system.ts';
import { createRequest } from '../../src/client/enroll.ts';
import { encodeRequest, type RequestTemplate } from '../../src/client/pki-message.ts';
import { ScepClient } from '../../src/client/scep-client.ts';
import { Certmonger } from '../support/certmonger.ts';
import { type Exchange, startRecordingProxy } from '../support/recording-proxy.ts';
import { runProgram } from '../support/run-program.ts';
import { encodeSignedMessage, encodeSignerInfo, requestAttributes } from '../support/scep-messages.ts';
import { type Vector, writeVector } from '../support/vector-file.ts';
import { type IdentityName, identity } from '../support/vector-identities.ts';
import { type ConnectorName, connectorPath, connectorSpecs } from '../support/vector-store.ts';
import { openVectorWorld, type VectorWorld } from '../support/vector-world.ts';

type Expected = Pick<Vector, 'expect'> & Partial<Pick<Vector, 'reason' | 'after'>>;

const success: Expected = { expect: { pkiStatus: 'SUCCESS' } };
const refused = (failInfo: 'badAlg' | 'badRequest', reason: string): Expected => ({ expect: { pkiStatus: 'FAILURE', failInfo }, reason });
const wrongPassword = refused('badRequest', 'The challenge password is invalid.');
const tripleDes = refused('badAlg', 'Unsupported algorithm: 1.2.840.113549.3.7 (3DES-CBC). Use AES-128-CBC or AES-256-CBC.');
const sha1 = refused('badAlg', 'Unsupported algorithm: 1.3.14.3.2.26 (SHA-1). Use SHA-256.');
const both = (cipher: string) => refused('badAlg', `Unsupported algorithm: ${cipher}. Use AES-128-CBC or AES-256-CBC. ${sha1.reason}`);

/** One connector behind a proxy. */
class Capture implements AsyncDisposable {
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

  /** Keeps the PKIOperation that was sent last. */
  keep(name: string, source: string, expected: Expected): void {
    const isOperation = ({ method, target }: Exchange) => method === 'POST' || target.includes('operation=PKIOperation');
    const exchange = this.#exchanges.findLast(isOperation);
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

async function inDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'scep-capture-'));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

const pkcs1 = (name: IdentityName) => identity(name).privateKey.export({ format: 'der', type: 'pkcs1' });

interface StrongSwanRun {
  name: string;
  args: string[];
  expected: Expected;
  note?: string;
  capabilities?: string;
  password?: string;
}

const strongSwanRuns: StrongSwanRun[] = [
  { name: 'aes-sha256', args: ['--cipher', 'aes', '--digest', 'sha256'], expected: success },
  { name: 'aes-sha384', args: ['--cipher', 'aes', '--digest', 'sha384'], expected: success },
  { name: 'aes-sha512', args: ['--cipher', 'aes', '--digest', 'sha512'], expected: success },
  { name: 'pss', args: ['--cipher', 'aes', '--digest', 'sha256', '--rsa-padding', 'pss'], expected: success },
  {
    name: 'san',
    args: ['--cipher', 'aes', '--digest', 'sha256', '--san', 'a.example.com', '--san', 'b@example.com', '--san', '192.0.2.7'],
    expected: success,
  },
  { name: 'rsa-3072', args: ['--cipher', 'aes', '--digest', 'sha256', '--in', 'device-3072.der'], expected: success },
  {
    name: 'get',
    args: ['--cipher', 'aes', '--digest', 'sha256'],
    expected: success,
    note: ' where GetCACaps has no POSTPKIOperation',
    capabilities: 'AES\nSHA-256\nSHA-384\n',
  },
  {
    name: 'wrong-password',
    args: ['--cipher', 'aes', '--digest', 'sha256'],
    expected: wrongPassword,
    note: ' with a wrong password',
    password: 'wrong',
  },
  { name: '3des', args: ['--cipher', 'des3', '--digest', 'sha256'], expected: tripleDes },
  { name: 'sha1', args: ['--cipher', 'aes', '--digest', 'sha1'], expected: sha1 },
];

async function captureStrongSwan(world: VectorWorld): Promise<void> {
  await inDirectory(async directory => {
    for (const name of ['device', 'device-3072'] as const) await writeFile(join(directory, `${name}.der`), pkcs1(name));
    await writeFile(join(directory, 'ca.der'), identity('ca').certificate.der);
    await writeFile(join(directory, 'ra.der'), identity('ra-default').certificate.der);
    for (const { name, args, expected, note = '', capabilities, password } of strongSwanRuns) {
      await using capture = await Capture.open(world, 'default', capabilities);
      const peer = ['--url', capture.url, '--cacert-enc', 'ra.der', '--cacert-sig', 'ra.der', '--cacert', 'ca.der'];
      const own = ['--in', 'device.der', '--dn', `C=CH, O=Lab, CN=${name}`, '--password', password ?? capture.challenge];
      await runProgram('pki', ['--scep', ...peer, ...own, ...args], { cwd: directory });
      capture.keep(`strongswan-${name}`, `strongSwan 5.9.8, pki --scep ${args.join(' ')}${note}`, expected);
    }
  });
}

async function captureCertmonger(world: VectorWorld): Promise<void> {
  await using capture = await Capture.open(world, 'default');
  await using certmonger = await Certmonger.start();
  const pathOf = (file: string) => join(certmonger.directory, file);
  await certmonger.getcert('add-scep-ca', '-c', 'lab', '-u', capture.url);
  await certmonger.until(async () => /thumbprint/.test((await certmonger.getcert('list-cas', '-c', 'lab')).stdout.toString()));
  const pkcs8 = (name: IdentityName) => identity(name).privateKey.export({ format: 'pem', type: 'pkcs8' });
  const request = async (id: string, password: string) => {
    await writeFile(pathOf(`${id}.key`), pkcs8('device'), { mode: 0o600 });
    const files = ['-f', pathOf(`${id}.crt`), '-k', pathOf(`${id}.key`)];
    const names = ['-N', `CN=${id},O=Lab`, '-D', `${id}.example.com`];
    await certmonger.getcert('request', '-c', 'lab', '-I', id, ...files, ...names, '-L', password, '-w', '-v');
  };
  const version = 'certmonger 0.79.17';
  await request('first', capture.challenge);
  capture.keep('certmonger-request', `${version}, getcert request, by GET`, success);
  // Within the same second certmonger writes the same CSR again.
  await new Promise(resolve => void setTimeout(resolve, 1500));
  await certmonger.getcert('resubmit', '-i', 'first', '-w', '-v');
  const after = 'captured/certmonger-request';
  capture.keep('certmonger-resubmit', `${version}, getcert resubmit: the same transactionID, another CSR`, { ...success, after });
  await request('wrong', 'wrong');
  capture.keep('certmonger-wrong-password', `${version}, getcert request with a wrong challenge`, wrongPassword);
  // A certificate that the world has issued, so that what it signs can be sent again.
  await writeFile(pathOf('tracked.key'), pkcs8('issued-default'), { mode: 0o600 });
  await writeFile(pathOf('tracked.crt'), encodePem('CERTIFICATE', identity('issued-default').certificate.der));
  const tracked = ['-c', 'lab', '-I', 'tracked', '-f', pathOf('tracked.crt'), '-k', pathOf('tracked.key'), '-L', capture.challenge];
  await certmonger.getcert('start-tracking', ...tracked);
  await certmonger.getcert('rekey', '-i', 'tracked', '-w', '-v');
  capture.keep('certmonger-rekey', `${version}, getcert rekey: signed with a certificate of the connector, for a new key`, success);
}

/** What certmonger uses is what GetCACaps says: each of these is the first thing that it hears of a CA. */
async function captureOldCertmonger(world: VectorWorld): Promise<void> {
  const runs: [name: string, capabilities: string, Expected][] = [
    ['certmonger-3des', 'DES3\n', tripleDes],
    ['certmonger-aes-sha512', 'AES\nSHA-512\n', success],
  ];
  for (const [name, capabilities, expected] of runs) {
    await using capture = await Capture.open(world, 'default', capabilities);
    await using certmonger = await Certmonger.start();
    const pathOf = (file: string) => join(certmonger.directory, file);
    await certmonger.getcert('add-scep-ca', '-c', 'lab', '-u', capture.url);
    await certmonger.until(async () => /thumbprint/.test((await certmonger.getcert('list-cas', '-c', 'lab')).stdout.toString()));
    await writeFile(pathOf('x.key'), identity('device').privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    const files = ['-f', pathOf('x.crt'), '-k', pathOf('x.key'), '-N', `CN=${name}`];
    await certmonger.getcert('request', '-c', 'lab', '-I', 'x', ...files, '-L', capture.challenge, '-w', '-v');
    capture.keep(name, `certmonger 0.79.17 where GetCACaps says ${capabilities.trim().replaceAll('\n', ', ')}`, expected);
  }
}

async function captureScepclient(world: VectorWorld): Promise<void> {
  await using capture = await Capture.open(world, 'default');
  await inDirectory(async directory => {
    const key = identity('device').privateKey.export({ format: 'pem', type: 'pkcs1' });
    await writeFile(join(directory, 'client.key'), key, { mode: 0o600 });
    const files = ['-private-key', 'client.key', '-certificate', 'client.crt'];
    const args = ['-server-url', capture.url, '-challenge', capture.challenge, '-cn', 'device-1', ...files];
    await runProgram('scepclient', args, { cwd: directory });
    capture.keep('scepclient', 'scepclient 2.1.0: single DES and SHA-1, to every certificate of GetCACert', both('1.3.14.3.2.7 (DES-CBC)'));
  });
}

async function captureOurClient(world: VectorWorld): Promise<void> {
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

/** What openssl makes of a request: all but SCEP's attributes, which it cannot write, so that the outermost layer is ours where it is to be answered. */
async function captureOpenssl(): Promise<void> {
  await inDirectory(async directory => {
    const openssl = async (...args: string[]) => {
      const { status, stdout, stderr } = await runProgram('openssl', args, { cwd: directory });
      if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
      return stdout;
    };
    const write = (file: string, text: string | Uint8Array) => writeFile(join(directory, file), text);
    const { certificate, privateKey } = identity('device');
    for (const [file, name] of [
      ['ra.crt', 'ra-default'],
      ['ca.crt', 'ca'],
      ['device.crt', 'device'],
    ] as const) {
      await write(file, encodePem('CERTIFICATE', identity(name).certificate.der));
    }
    await write('device.key', privateKey.export({ format: 'pem', type: 'pkcs8' }));
    const request = async (mask: string) => {
      const attributes = `challengePassword=${connectorSpecs.default.challenge}`;
      await write(
        'req.cnf',
        `[req]\nprompt=no\nstring_mask=${mask}\ndistinguished_name=dn\nattributes=at\n[dn]\nCN=openssl\n[at]\n${attributes}\n`,
      );
      return openssl('req', '-new', '-key', 'device.key', '-config', 'req.cnf', '-outform', 'DER');
    };
    const keep = (name: string, source: string, body: Uint8Array, expected: Expected) => {
      const message = { connector: 'default', method: 'POST', target: '?operation=PKIOperation', headers: [], parallel: 1, body } as const;
      writeVector({ name: `captured/openssl-${name}`, source: `OpenSSL 3.0, ${source}`, ...message, ...expected });
      console.log(`captured openssl-${name}`);
    };
    const signed = (eContent: Uint8Array) => {
      const signer = encodeSignerInfo({ signer: { certificate, privateKey }, eContent, attributes: requestAttributes({}) });
      return encodeSignedMessage({ eContent, certificates: [certificate], signerInfos: [signer] });
    };
    const encrypt = ['-in', 'csr', '-binary', '-outform', 'DER'];
    for (const [program, name, args, expected] of opensslEnvelopes) {
      await write('csr', await request('utf8only'));
      const envelope = await openssl(program, '-encrypt', ...encrypt, ...args);
      keep(name, `openssl ${program} -encrypt ${args.join(' ')}, signed by capture.ts`, signed(envelope), expected);
    }
    for (const [name, mask] of opensslStringMasks) {
      await write('csr', await request(mask));
      const envelope = await openssl('cms', '-encrypt', ...encrypt, '-aes128', 'ra.crt');
      keep(`challenge-${name}`, `openssl req, F.x: ${name} challenge; signed by capture.ts`, signed(envelope), success);
    }
    await write('csr', await request('default'));
    const envelope = await openssl('cms', '-encrypt', ...encrypt, '-aes128', 'ra.crt');
    await write('envelope', envelope);
    keep(
      'cms-encrypt',
      'openssl cms -encrypt, sent without a SignedData',
      envelope,
      unreadable('a ContentInfo of type 1.2.840.113549.1.7.3 where 1.2.840.113549.1.7.2 must be'),
    );
    for (const args of [['cms'], ['cms', '-stream'], ['smime'], ['cms', '-keyid'], ['cms', '-noattr']]) {
      const options = ['-in', 'envelope', '-binary', '-nodetach', '-outform', 'DER', '-signer', 'device.crt', '-inkey', 'device.key'];
      const [program = '', ...rest] = args;
      const body = await openssl(program, '-sign', ...rest, ...options);
      const reason = rest.includes('-noattr') ? 'a SignerInfo without signedAttrs' : 'messageType is missing';
      keep(`${args.join('')}-sign`, `openssl ${args.join(' ')} -sign, which writes none of SCEP’s attributes`, body, unreadable(reason));
    }
  });
}

const unreadable = (reason: string): Expected => ({ expect: { statusCode: 400 }, reason: `The request is refused: ${reason}.` });

const opensslEnvelopes: [program: 'cms' | 'smime', name: string, args: string[], Expected][] = [
  ['cms', 'cms-aes128', ['-aes128', 'ra.crt'], success],
  ['cms', 'cms-aes128-stream', ['-stream', '-aes128', 'ra.crt'], success],
  ['cms', 'cms-aes192-stream', ['-stream', '-aes192', 'ra.crt'], success],
  ['cms', 'cms-aes256-stream', ['-stream', '-aes256', 'ra.crt'], success],
  ['smime', 'smime-aes128-stream', ['-stream', '-aes128', 'ra.crt'], success],
  ['cms', 'cms-keyid', ['-keyid', '-aes128', 'ra.crt'], success],
  ['cms', 'cms-two-recipients', ['-aes128', 'ca.crt', 'ra.crt'], success],
  ['cms', 'cms-oaep-sha1', ['-aes128', '-recip', 'ra.crt', '-keyopt', 'rsa_padding_mode:oaep'], success],
  ['cms', 'cms-oaep-sha256', ['-aes128', '-recip', 'ra.crt', '-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256'], success],
  ['cms', 'cms-3des', ['-des3', 'ra.crt'], tripleDes],
];

/** Bits of OpenSSL's string types, as string_mask takes them. */
const opensslStringMasks: [name: string, mask: string][] = [
  ['PrintableString', 'MASK:0x2'],
  ['UTF8String', 'utf8only'],
  ['T61String', 'MASK:0x4'],
  ['IA5String', 'MASK:0x10'],
  ['BMPString', 'MASK:0x800'],
];

await using world = await openVectorWorld({ now: realSystem.now });
const captures = { captureStrongSwan, captureCertmonger, captureOldCertmonger, captureScepclient, captureOurClient, captureOpenssl };
const wanted = process.argv.slice(2);
for (const [name, capture] of Object.entries(captures)) if (wanted.length === 0 || wanted.includes(name)) await capture(world);
