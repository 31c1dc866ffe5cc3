/** Shows that the codec reads what the `openssl` program makes and that `openssl` reads and verifies what the codec makes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { contentCiphers, digests } from '../../src/base/pki/algorithms.ts';
import {
  encodeEnvelopedData,
  findOpening,
  type KeyPair,
  type KeyTransport,
  openContent,
  parseEnvelopedData,
} from '../../src/base/pki/enveloped-data.ts';
import {
  authorityKeyIdentifierExtension,
  generalName,
  KeyUsage,
  parseKeyUsage,
  parseSubjectAltName,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from '../../src/base/pki/extensions.ts';
import { formatName } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { parseCertificationRequest, verifyCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import {
  encodeDegenerate,
  encodeSignedData,
  findSignerCertificate,
  onlySigner,
  parseSignedData,
  verifySignerInfo,
} from '../../src/base/pki/signed-data.ts';
import { type Certificate, parseCertificate, verifyCertificateSignature } from '../../src/base/pki/x509.ts';
import { encodeCertRep, parsePkiMessage } from '../../src/fronts/scep/pki-message.ts';
import { createCaAndRa, createCsr, createIdentity, createPkcsReq, ecKey, laxPolicy, rsaKey } from '../support/pki-fixtures.ts';
import { requireProgram } from '../support/programs.ts';

const { ca, ra } = createCaAndRa();
const client = createIdentity({ issuer: ca, extensions: [subjectAltNameExtension([generalName.dns('printer-7.example.com')], false)] });
/** Longer than the segments in which `openssl cms -stream` writes. */
const content = randomBytes(10_000);

describe('openssl', { skip: requireProgram('openssl') }, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'scep-openssl-'));
    write('content', content);
    for (const [name, identity] of Object.entries({ ca, ra, client })) writeIdentity(name, identity);
  });
  after(() => rmSync(folder, { recursive: true }));

  function openssl(...args: string[]): Buffer {
    return execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  function write(name: string, text: string | Uint8Array): string {
    writeFileSync(join(folder, name), text);
    return name;
  }

  function writeKey(name: string, key: KeyObject): string {
    return write(name, key.export({ format: 'pem', type: 'pkcs8' }));
  }

  function writeIdentity(name: string, { certificate, privateKey }: KeyPair): void {
    write(`${name}.crt`, encodePem('CERTIFICATE', certificate.der));
    writeKey(`${name}.key`, privateKey);
  }

  describe('makes certificates that we read and verify', () => {
    const kinds: [string, KeyObject, string[]][] = [
      ['RSA with SHA-256', rsaKey('client'), ['-sha256']],
      ['RSA with SHA-1', rsaKey('client'), ['-sha1']],
      ['RSA with SHA-512', rsaKey('client'), ['-sha512']],
      ['RSASSA-PSS', rsaKey('client'), ['-sha256', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32']],
      ['ECDSA on P-256', ecKey('prime256v1'), ['-sha256']],
      ['ECDSA on P-384', ecKey('secp384r1'), ['-sha384']],
      ['ECDSA on P-521', ecKey('secp521r1'), ['-sha512']],
    ];
    for (const [name, key, options] of kinds) {
      it(name, () => {
        const subject = '/C=CH/O=Ex\\/ample/CN=gerät 7';
        const extensions = [
          '-addext',
          'keyUsage=critical,digitalSignature,keyEncipherment',
          '-addext',
          'subjectAltName=DNS:a.example.com,IP:192.0.2.7,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@example.com',
        ];
        const der = openssl(
          'req',
          '-x509',
          '-new',
          '-key',
          writeKey('x.key', key),
          '-utf8',
          '-subj',
          subject,
          '-set_serial',
          '0x0badcafe',
          '-days',
          '30',
          ...options,
          ...extensions,
          '-outform',
          'DER',
        );
        const read = parseCertificate(der);
        verifyCertificateSignature(read, read);
        assert.equal(formatName(read.subject), 'CN=gerät 7,O=Ex/ample,C=CH');
        assert.equal(read.serialNumber, '0badcafe'.padStart(32, '0'));
        assert.equal(read.notAfter - read.notBefore, 30 * 24 * 3_600_000);
        const [keyUsage, altName] = [Oid.keyUsage, Oid.subjectAltName].map(oid => read.extensions.find(extension => extension.oid === oid));
        assert.ok(keyUsage && altName);
        assert.deepEqual([...parseKeyUsage(keyUsage)], [KeyUsage.digitalSignature, KeyUsage.keyEncipherment]);
        assert.deepEqual(
          parseSubjectAltName(altName).map(({ value }) => value),
          ['a.example.com', '192.0.2.7', 'a@example.com'],
        );
      });
    }

    it('with attributes whose OBJECT IDENTIFIERs have arcs of 128 bits', () => {
      const oid = '2.25.329800735698586629295641978511506172918';
      // OpenSSL drops what stands before the first dot, so that a field can be given twice.
      const config = write('oid.cnf', `[req]\nprompt=no\ndistinguished_name=dn\n[dn]\n0.${oid}=x\n`);
      const csr = parseCertificationRequest(
        openssl('req', '-new', '-key', writeKey('x.key', rsaKey('client')), '-config', config, '-outform', 'DER'),
      );
      assert.equal(formatName(csr.subject), `${oid}=x`);
    });
  });

  describe('makes CSRs that we read and verify', () => {
    /** The bits of OpenSSL's string_mask. */
    const stringTypes = {
      PrintableString: 'MASK:2',
      TeletexString: 'MASK:4',
      IA5String: 'MASK:16',
      BMPString: 'MASK:2048',
      UTF8String: 'utf8only',
    };
    for (const [name, mask] of Object.entries(stringTypes)) {
      it(`with a challengePassword in a ${name}`, () => {
        const password = name === 'BMPString' || name === 'UTF8String' ? 'gehéim Ж' : 'secret 7';
        const config = write(
          'csr.cnf',
          `[req]\nprompt=no\nutf8=yes\nstring_mask=${mask}\ndistinguished_name=dn\nattributes=attributes\nreq_extensions=extensions\n[dn]\nCN=printer-7\n` +
            `[attributes]\nchallengePassword=${password}\n[extensions]\nsubjectAltName=DNS:a.example.com\nextendedKeyUsage=clientAuth\n`,
        );
        const read = parseCertificationRequest(
          openssl('req', '-new', '-key', writeKey('x.key', rsaKey('client')), '-config', config, '-outform', 'DER'),
        );
        assert.deepEqual(read.challengePasswords, [password]);
        assert.deepEqual(
          read.extensions.map(({ oid }) => oid),
          [Oid.subjectAltName, Oid.extKeyUsage],
        );
        assert.ok(verifyCertificationRequest(read));
      });
    }

    it('on each curve', () => {
      for (const curve of ['prime256v1', 'secp384r1', 'secp521r1'] as const) {
        const csr = openssl('req', '-new', '-key', writeKey('x.key', ecKey(curve)), '-subj', '/CN=a', '-outform', 'DER');
        assert.ok(verifyCertificationRequest(parseCertificationRequest(csr)), curve);
      }
    });
  });

  describe('makes SignedData that we read and verify', () => {
    const kinds: [string, string[]][] = [
      ['as it does by itself', []],
      ['with SHA-1', ['-md', 'sha1']],
      ['with SHA-512', ['-md', 'sha512']],
      ['with RSASSA-PSS', ['-keyopt', 'rsa_padding_mode:pss']],
      ['with a signer named by subjectKeyIdentifier', ['-keyid']],
      ['with more certificates', ['-certfile', 'ca.crt']],
      ['of indefinite length with its content in segments', ['-stream', '-indef']],
    ];
    for (const [name, options] of kinds) {
      it(name, () => {
        const identity = name.includes('subjectKeyIdentifier') ? 'ra' : 'client';
        const signed = openssl(
          'cms',
          '-sign',
          '-binary',
          '-nodetach',
          '-in',
          'content',
          '-signer',
          `${identity}.crt`,
          '-inkey',
          `${identity}.key`,
          ...options,
          '-outform',
          'DER',
        );
        assert.equal(signed[1] === 0x80, options.includes('-stream'));
        const read = parseSignedData(signed);
        const signer = onlySigner(read);
        verifySignerInfo(read, signer, findSignerCertificate(signer, read.certificates), laxPolicy);
        assert.deepEqual(Buffer.from(read.eContent ?? []), content);
      });
    }

    it('without a signer: certificates alone', () => {
      write('both.crt', readFileSync(join(folder, 'ra.crt'), 'utf8') + readFileSync(join(folder, 'ca.crt'), 'utf8'));
      const read = parseSignedData(openssl('crl2pkcs7', '-nocrl', '-certfile', 'both.crt', '-outform', 'DER'));
      assert.deepEqual(
        read.certificates.map(({ serialNumber }) => serialNumber),
        [ra, ca].map(({ certificate }) => certificate.serialNumber),
      );
    });
  });

  describe('makes EnvelopedData that we open', () => {
    const kinds: [string, string[], KeyTransport][] = [
      ['AES-128-CBC', ['-aes128'], { scheme: 'PKCS1' }],
      ['AES-192-CBC', ['-aes192'], { scheme: 'PKCS1' }],
      ['AES-256-CBC', ['-aes256'], { scheme: 'PKCS1' }],
      ['3DES-CBC', ['-des3'], { scheme: 'PKCS1' }],
      ['AES-128-CBC, indefinite length with its content in segments', ['-aes128', '-stream', '-indef'], { scheme: 'PKCS1' }],
      [
        'AES-128-CBC, OAEP',
        ['-aes128', '-recip', 'ra.crt', '-keyopt', 'rsa_padding_mode:oaep'],
        { scheme: 'OAEP', digest: digests['SHA-1'] },
      ],
      [
        'AES-256-CBC, OAEP with SHA-256',
        ['-aes256', '-recip', 'ra.crt', '-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256'],
        { scheme: 'OAEP', digest: digests['SHA-256'] },
      ],
      ['AES-128-CBC, recipient by subjectKeyIdentifier', ['-aes128', '-keyid', '-recip', 'ra.crt'], { scheme: 'PKCS1' }],
      ['AES-128-CBC, several recipients', ['-aes128', '-recip', 'client.crt', '-recip', 'ca.crt', '-recip', 'ra.crt'], { scheme: 'PKCS1' }],
    ];
    for (const [name, options, keyTransport] of kinds) {
      it(name, () => {
        const recipient = options.includes('-recip') ? [] : ['ra.crt'];
        const made = openssl('cms', '-encrypt', '-binary', '-in', 'content', '-outform', 'DER', ...options, ...recipient);
        const opening = findOpening(parseEnvelopedData(made), [ra]);
        assert.deepEqual([opening.cipher.name, opening.keyTransport], [name.split(',')[0], keyTransport]);
        const opened = openContent(opening);
        assert.deepEqual([Buffer.from(opened.content), opened.intact], [content, true]);
      });
    }
  });

  describe('reads and verifies what we make', () => {
    it('a chain of certificates, with each kind of key', () => {
      for (const key of [rsaKey('ca'), ecKey('prime256v1'), ecKey('secp384r1'), ecKey('secp521r1')]) {
        const root = createCaAndRa(key).ca;
        write('root.crt', encodePem('CERTIFICATE', root.certificate.der));
        const extensions = [
          authorityKeyIdentifierExtension(root.certificate.publicKey.keyIdentifier),
          subjectKeyIdentifierExtension(client.certificate.publicKey.keyIdentifier),
        ];
        write('leaf.crt', encodePem('CERTIFICATE', createIdentity({ issuer: root, subject: 'CN=leaf', extensions }).certificate.der));
        assert.match(openssl('verify', '-x509_strict', '-CAfile', 'root.crt', 'leaf.crt').toString(), /leaf\.crt: OK/);
      }
    });

    it('a CSR with its challenge and its extensions', () => {
      const text = openssl(
        'req',
        '-verify',
        '-noout',
        '-text',
        '-inform',
        'DER',
        '-in',
        write('our.csr', createCsr(rsaKey('client'), 'secret 7')),
      ).toString();
      for (const part of ['CN = printer-7', 'challengePassword', ':secret 7', 'DNS:printer-7.example.com', 'TLS Web Client Authentication'])
        assert.ok(text.includes(part), `${part} in ${text}`);
    });

    it('SignedData with each digest', () => {
      for (const digest of Object.values(digests)) {
        const signed = encodeSignedData({
          eContent: content,
          signedAttributes: [],
          digest,
          certificate: client.certificate,
          sign: (_, data) => sign(digest.openssl, data, client.privateKey),
        });
        write('signed.p7', signed);
        assert.deepEqual(
          openssl('cms', '-verify', '-binary', '-inform', 'DER', '-in', 'signed.p7', '-CAfile', 'ca.crt', '-purpose', 'any'),
          content,
          digest.name,
        );
      }
    });

    it('EnvelopedData with each cipher and key transport', () => {
      // Single DES is in OpenSSL's legacy provider alone.
      for (const cipher of Object.values(contentCiphers).filter(({ name }) => name !== 'DES-CBC')) {
        for (const keyTransport of [
          { scheme: 'PKCS1' },
          { scheme: 'OAEP', digest: digests['SHA-1'] },
          { scheme: 'OAEP', digest: digests['SHA-256'] },
        ] as const) {
          write('sealed.p7', encodeEnvelopedData({ content, recipient: client.certificate, cipher, keyTransport, randomBytes }));
          assert.deepEqual(decrypt('sealed.p7', 'client'), content, `${cipher.name} ${keyTransport.scheme}`);
        }
      }
    });

    it('a degenerate SignedData', () => {
      write('certs.p7', encodeDegenerate({ certificates: [ra.certificate.der, ca.certificate.der] }));
      const printed = openssl('pkcs7', '-inform', 'DER', '-in', 'certs.p7', '-print_certs').toString();
      assert.deepEqual(printed.match(/^subject=.*$/gm), ['subject=O = Example, CN = Example RA', 'subject=O = Example, CN = Example Root']);
    });

    it('a CertRep: its signature, its envelope and the certificate in it', () => {
      assert.match(readCertRep(client.certificate, 'client'), /^subject=O = Example, CN = printer-7$/m);
    });

    it('a CertRep for a client whose certificate has a negative serial number', () => {
      const der = openssl('req', '-x509', '-new', '-key', 'client.key', '-subj', '/CN=odd', '-set_serial', '-255', '-outform', 'DER');
      write('odd.crt', encodePem('CERTIFICATE', der));
      writeKey('odd.key', client.privateKey);
      assert.match(readCertRep(parseCertificate(der), 'odd'), /CN = printer-7/);
    });
  });

  function decrypt(name: string, identity: string): Buffer {
    return openssl('cms', '-decrypt', '-binary', '-inform', 'DER', '-in', name, '-recip', `${identity}.crt`, '-inkey', `${identity}.key`);
  }

  /** The certificates of a CertRep to `recipient`, as text. */
  function readCertRep(recipient: Certificate, identity: string): string {
    const request = parsePkiMessage(createPkcsReq({ client, ra }));
    const reply = {
      keyPair: ra,
      digest: digests['SHA-256'],
      cipher: contentCiphers['AES-128-CBC'],
      keyTransport: { scheme: 'PKCS1' },
    } as const;
    const result = { pkiStatus: 'SUCCESS', certificates: [client.certificate.der], recipient: recipient.der } as const;
    write('certrep.p7', encodeCertRep(request, result, reply, randomBytes));
    write(
      'envelope.p7',
      openssl('cms', '-verify', '-binary', '-inform', 'DER', '-in', 'certrep.p7', '-CAfile', 'ca.crt', '-purpose', 'any'),
    );
    write('certs.p7', decrypt('envelope.p7', identity));
    return openssl('pkcs7', '-inform', 'DER', '-in', 'certs.p7', '-print_certs').toString();
  }
});
