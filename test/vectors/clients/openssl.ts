/** Captures what the `openssl` program makes of a request. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePem } from '../../../src/base/pki/pem.ts';
import { runProgram } from '../../support/run-program.ts';
import { encodeSignedMessage, encodeSignerInfo, requestAttributes } from '../../support/scep-messages.ts';
import { writeVector } from '../../support/vector-file.ts';
import { identity } from '../../support/vector-identities.ts';
import { connectorSpecs } from '../../support/vector-store.ts';
import { type Expected, inDirectory, success, tripleDes } from './capture.ts';

/** What openssl makes of a request: all but SCEP's attributes, which it cannot write, so that the outermost layer is ours where it is to be answered. */
export async function captureOpenssl(): Promise<void> {
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
      keep(`challenge-${name}`, `openssl req, ${name} challenge; signed by capture.ts`, signed(envelope), success);
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
      keep(`${args.join('')}-sign`, `openssl ${args.join(' ')} -sign, which writes none of SCEP’s attributes`, body, {
        expect: { statusCode: 400 },
      });
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
