/** Shows that whatever is done to a valid message, certificate or CSR, the codec gives a PkiError or a value, soon, and that no signed byte can change. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { contentCiphers, digests } from '../../src/base/pki/algorithms.ts';
import { parseBer } from '../../src/base/pki/asn1.ts';
import { tlv } from '../../src/base/pki/der.ts';
import { encodeEnvelopedData, findOpening, openContent, parseEnvelopedData } from '../../src/base/pki/enveloped-data.ts';
import {
  type Extension,
  parseBasicConstraints,
  parseExtKeyUsage,
  parseKeyUsage,
  parseSubjectAltName,
} from '../../src/base/pki/extensions.ts';
import { formatName } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { parseCertificationRequest, verifyCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { parseCertificate, subjectKeyIdentifier, verifyCertificateSignature } from '../../src/base/pki/x509.ts';
import { openPkiMessage, parsePkiMessage } from '../../src/fronts/scep/pki-message.ts';
import { streamed } from '../support/ber.ts';
import { refused, valueOrRefusal } from '../support/pki-error-check.ts';
import { createCaAndRa, createCsr, createIdentity, createPkcsReq, ecKey, laxPolicy, rsaKey, seed } from '../support/pki-fixtures.ts';

/** A pause of the machine fits into it, an input that costs superlinear time does not. */
const slowestMs = 5000;

const { ca, ra } = createCaAndRa();
const client = createIdentity();
const ecdsaCa = createIdentity({ subject: 'CN=ECDSA Root', key: ecKey('secp384r1') });
const csr = createCsr(client.privateKey, 'secret');
const message = createPkcsReq({ client, ra, csr });
const oaepMessage = createPkcsReq({
  client,
  ra,
  csr,
  keyTransport: { scheme: 'OAEP', digest: digests['SHA-256'] },
  cipher: contentCiphers['AES-256-CBC'],
});
const envelope = encodeEnvelopedData({
  content: csr,
  recipient: ra.certificate,
  cipher: contentCiphers['AES-128-CBC'],
  keyTransport: { scheme: 'PKCS1' },
  randomBytes,
});
const leaf = createIdentity({ issuer: ca, extensions: parseCertificationRequest(csr).extensions });
const ecdsaLeaf = createIdentity({ issuer: ecdsaCa, key: ecKey('prime256v1') });
const ecdsaCsr = createCsr(ecKey('prime256v1'), 'secret');

function open(bytes: Uint8Array) {
  return openPkiMessage(parsePkiMessage(bytes), { requestType: 'PKCSReq', keyPairs: [ra], policy: laxPolicy });
}

function openEnvelope(bytes: Uint8Array) {
  return openContent(findOpening(parseEnvelopedData(bytes), [ra]));
}

/** All that the server asks of an extension. */
function readExtension(extension: Extension): void {
  if (extension.oid === Oid.keyUsage) parseKeyUsage(extension);
  if (extension.oid === Oid.extKeyUsage) parseExtKeyUsage(extension);
  if (extension.oid === Oid.basicConstraints) parseBasicConstraints(extension);
  if (extension.oid === Oid.subjectAltName) parseSubjectAltName(extension);
}

function readCsr(bytes: Uint8Array): boolean {
  const read = parseCertificationRequest(bytes);
  formatName(read.subject);
  read.extensions.forEach(readExtension);
  return verifyCertificationRequest(read);
}

function readCertificate(bytes: Uint8Array, issuer = ca): void {
  const read = parseCertificate(bytes);
  formatName(read.subject);
  read.extensions.forEach(readExtension);
  subjectKeyIdentifier(read);
  verifyCertificateSignature(read, issuer.certificate);
}

const readers: [string, Uint8Array, (bytes: Uint8Array) => unknown][] = [
  ['a PKCSReq', message, open],
  ['a PKCSReq of indefinite length in segments', streamed(message), open],
  ['a pkcsPKIEnvelope', envelope, openEnvelope],
  ['a pkcsPKIEnvelope with OAEP', parsePkiMessage(oaepMessage).signedData.eContent ?? Buffer.alloc(0), openEnvelope],
  ['a CSR', csr, readCsr],
  ['a CSR on a curve', ecdsaCsr, readCsr],
  ['a certificate', leaf.certificate.der, readCertificate],
  ['a certificate on a curve', ecdsaLeaf.certificate.der, bytes => readCertificate(bytes, ecdsaCa)],
];

/** Every change of one byte that there is to make at `at`, undone afterwards. */
function forEachChange(bytes: Uint8Array, at: number, work: () => void): void {
  const octet = bytes[at] ?? 0;
  for (const changed of new Set([octet ^ 0x01, octet ^ 0x80, 0x00, 0xff])) {
    if (changed === octet) continue;
    bytes[at] = changed;
    work();
  }
  bytes[at] = octet;
}

/** Reads what must give a value or a PkiError, and soon. */
function read(name: string, bytes: Uint8Array, reader: (bytes: Uint8Array) => unknown): void {
  const start = performance.now();
  valueOrRefusal(
    () => reader(bytes),
    () => `${name} ${Buffer.from(bytes).toString('base64')}`,
  );
  const tookMs = performance.now() - start;
  assert.ok(tookMs < slowestMs, `${tookMs} ms for ${name} ${Buffer.from(bytes).toString('base64')}`);
}

for (const [name, original, reader] of readers) {
  describe(name, () => {
    it('is read as it is', () => {
      assert.doesNotThrow(() => reader(original));
    });

    it('is refused when it is cut short, at whatever byte', () => {
      for (let length = 0; length < original.length; length++) refused(() => reader(original.subarray(0, length)), 'malformed');
    });

    it('is a value or a PkiError after every change of one byte', () => {
      const bytes = Uint8Array.from(original);
      for (let at = 0; at < bytes.length; at++) forEachChange(bytes, at, () => read(name, bytes, reader));
      assert.deepEqual(bytes, Uint8Array.from(original));
    });

    it(`is a value or a PkiError after cuts, copies, swaps and noise, from seed ${seed}`, () => {
      fc.assert(
        fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), edits => {
          read(
            name,
            edits.reduce<Uint8Array>((bytes, apply) => apply(bytes), original),
            reader,
          );
        }),
        { seed, numRuns: 1000 },
      );
    });

    it(`is a value or a PkiError with its elements left out, doubled, exchanged and wrapped, from seed ${seed}`, () => {
      fc.assert(
        fc.property(treeEdit, apply => read(name, apply(original), reader)),
        { seed, numRuns: 1000 },
      );
    });
  });
}

type Edit = (bytes: Uint8Array) => Uint8Array;

/** A place in bytes of whatever length. */
const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const at = (bytes: Uint8Array, where: number) => Math.floor(where * bytes.length);

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(place, fc.nat(40)).map(
    ([where, count]): Edit =>
      bytes =>
        Buffer.concat([bytes.subarray(0, at(bytes, where)), bytes.subarray(at(bytes, where) + count)]),
  ),
  fc.tuple(place, place, fc.nat(40)).map(
    ([from, to, count]): Edit =>
      bytes =>
        Buffer.concat([
          bytes.subarray(0, at(bytes, to)),
          bytes.subarray(at(bytes, from), at(bytes, from) + count),
          bytes.subarray(at(bytes, to)),
        ]),
  ),
  fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 8 })).map(
    ([where, noise]): Edit =>
      bytes => {
        const changed = Uint8Array.from(bytes);
        changed.set(noise.subarray(0, changed.length - at(bytes, where)), at(bytes, where));
        return changed;
      },
  ),
);

/** Edits of the tree: lengths are right again afterwards, so that the reader goes deeper than after an edit of bytes. */
const treeEdit: fc.Arbitrary<Edit> = fc
  .record({
    kind: fc.constantFrom('drop', 'double', 'exchange', 'wrap', 'empty', 'retag'),
    where: place,
    other: place,
    identifier: fc.constantFrom(0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x13, 0x17, 0x18, 0x1e, 0x30, 0x31, 0x80, 0xa0, 0x24, 0x81),
  })
  .map(
    ({ kind, where, other, identifier }): Edit =>
      bytes => {
        const root = parseBer(bytes);
        const elements = [root];
        for (const element of elements) elements.push(...(element.parts ?? []));
        const chosen = elements[Math.floor(where * elements.length)] ?? root;
        const stranger = elements[Math.floor(other * elements.length)] ?? root;
        const rewrite = (element: typeof root): Uint8Array[] => {
          const content = element.parts?.flatMap(rewrite) ?? [element.content];
          const whole = tlv(bytes[element.start] ?? 0, ...content);
          if (element !== chosen) return [whole];
          switch (kind) {
            case 'drop':
              return [];
            case 'double':
              return [whole, whole];
            case 'exchange':
              return [stranger.bytes];
            case 'wrap':
              return [tlv(identifier, whole)];
            case 'empty':
              return [tlv(bytes[element.start] ?? 0)];
            case 'retag':
              return [tlv(identifier, ...content)];
            default:
              return kind satisfies never;
          }
        };
        return Buffer.concat(rewrite(root));
      },
  );

describe('a signature', () => {
  /** Where `part` lies in `whole`. */
  const range = (whole: Uint8Array, part: Uint8Array) => {
    const start = Buffer.from(whole).indexOf(part);
    assert.ok(start > 0 && Buffer.from(whole).indexOf(part, start + 1) === -1);
    return { start, end: start + part.length };
  };

  /** `holds` must be true of the original and after no change of one byte in `part`. */
  function mustCoverAll(original: Uint8Array, part: Uint8Array, holds: (bytes: Uint8Array) => boolean): void {
    const bytes = Uint8Array.from(original);
    assert.ok(holds(bytes));
    const { start, end } = range(bytes, part);
    for (let position = start; position < end; position++) {
      forEachChange(bytes, position, () => {
        const survived = valueOrRefusal(
          () => holds(bytes),
          () => Buffer.from(bytes).toString('base64'),
        );
        assert.notEqual(survived, true, `byte ${position} may be ${bytes[position]}`);
      });
    }
  }

  const messages: [string, Uint8Array][] = [
    ['of a PKCSReq', message],
    ['of a PKCSReq with OAEP', oaepMessage],
    ['of a PKCSReq with SHA-512', createPkcsReq({ client, ra, csr, digest: digests['SHA-512'] })],
  ];
  for (const [name, signed] of messages) {
    it(`${name} covers every byte of the content, of the signedAttrs and of itself`, () => {
      const { signedData, signerInfo } = parsePkiMessage(signed);
      assert.ok(signedData.eContent);
      for (const part of [signedData.eContent, signerInfo.signedAttrs.bytes, signerInfo.signature]) {
        mustCoverAll(signed, part, bytes => open(bytes) !== undefined);
      }
    });
  }

  for (const [name, { certificate }, issuer] of [
    ['RSA', leaf, ca],
    ['ECDSA', ecdsaLeaf, ecdsaCa],
  ] as const) {
    it(`of a certificate covers every byte of it: ${name}`, () => {
      const holds = (bytes: Uint8Array) => {
        verifyCertificateSignature(parseCertificate(bytes), issuer.certificate);
        return true;
      };
      mustCoverAll(certificate.der, certificate.tbsCertificate, holds);
      mustCoverAll(certificate.der, certificate.signature, holds);
    });
  }

  for (const [name, signed] of [
    ['RSA', csr],
    ['ECDSA', ecdsaCsr],
  ] as const) {
    it(`of a CSR covers every byte of it: ${name}`, () => {
      const { certificationRequestInfo, signature } = parseCertificationRequest(signed);
      for (const part of [certificationRequestInfo, signature])
        mustCoverAll(signed, part, bytes => verifyCertificationRequest(parseCertificationRequest(bytes)));
    });
  }

  it('of another key never holds, whatever key the certificate has', () => {
    const forged = createPkcsReq({ client: { ...client, privateKey: rsaKey('other') }, ra, csr });
    refused(() => open(forged), 'badSignature');
  });
});
