/** Shows that whatever is wrong behind the RA key, from the padding of the content key to the CSR's last byte, fails alike in words and in time. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { hex } from '../../../test/support/ber.ts';
import { encryptBlock, encryption, encryptKey, envelope, recipientInfo } from '../../../test/support/cms-parts.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa, createCsr, createIdentity, createPkcsReq, defaultPolicy } from '../../../test/support/pki-fixtures.ts';
import { encodeAlgorithmIdentifier } from '../../base/pki/algorithms.ts';
import { Tag } from '../../base/pki/asn1.ts';
import { bitString, integer, sequence, tlv } from '../../base/pki/der.ts';
import { Oid } from '../../base/pki/oids.ts';
import { openCertificationRequest, parsePkiMessage } from './pki-message.ts';

const { ra } = createCaAndRa();
const client = createIdentity();
const csr = createCsr(client.privateKey, 'secret');

const open = (message: Uint8Array) =>
  openCertificationRequest(parsePkiMessage(message), { keyPairs: [ra], policy: defaultPolicy, randomBytes });

describe('what fails behind the RA key', () => {
  const uniform = 'The request could not be decoded. Please send a valid SCEP request.';
  const { key, algorithm, encrypt } = encryption();
  const sealed = (
    content: Uint8Array,
    { encryptedKey = encryptKey(ra.certificate, key), transport = encodeAlgorithmIdentifier(Oid.rsaEncryption), padded = false } = {},
  ) =>
    createPkcsReq({
      client,
      ra,
      eContent: envelope({
        recipientInfos: [recipientInfo({ recipient: ra.certificate, encryptedKey, algorithm: transport })],
        algorithm,
        encryptedContent: encrypt(content, { padded }),
      }),
    });
  const block = (...head: number[]) => {
    const octets = Buffer.alloc(256, 0x11);
    octets.set(head);
    octets.set([0, ...key], 239);
    return encryptBlock(ra.certificate, octets);
  };
  /** A CSR with this SubjectPublicKeyInfo, around a signature that is none. */
  const csrFor = (modulus: Uint8Array, exponent: Uint8Array) => {
    const publicKey = bitString(sequence(tlv(Tag.integer, modulus), tlv(Tag.integer, exponent)));
    const info = sequence(integer(0), sequence(), sequence(encodeAlgorithmIdentifier(Oid.rsaEncryption), publicKey));
    return sequence(info, encodeAlgorithmIdentifier('1.2.840.113549.1.1.11'), bitString(Buffer.alloc(256)));
  };
  const modulus = Buffer.concat([Buffer.of(0), Buffer.alloc(256, 0xff)]);
  const wholeBlocks = csr.subarray(0, csr.length - (csr.length % 16));
  const failures: [string, Uint8Array][] = [
    ['the RSA padding is of another type', sealed(csr, { encryptedKey: block(0, 1) })],
    ['the RSA padding does not begin with 0', sealed(csr, { encryptedKey: block(7, 2) })],
    ['the RSA padding is too short', sealed(csr, { encryptedKey: block(0, 2, 1, 0) })],
    ['the content key is too short', sealed(csr, { encryptedKey: encryptKey(ra.certificate, key.subarray(1)) })],
    ['the content key is too long', sealed(csr, { encryptedKey: encryptKey(ra.certificate, Buffer.concat([key, key])) })],
    ['the content key is another', sealed(csr, { encryptedKey: encryptKey(ra.certificate, randomBytes(16)) })],
    ['the encryptedKey is shorter than the modulus', sealed(csr, { encryptedKey: Buffer.alloc(255, 1) })],
    ['the encryptedKey is larger than the modulus', sealed(csr, { encryptedKey: Buffer.alloc(256, 0xff) })],
    ['the encryptedKey is empty', sealed(csr, { encryptedKey: Buffer.alloc(0) })],
    ['the OAEP padding is none', sealed(csr, { transport: encodeAlgorithmIdentifier(Oid.rsaesOaep, sequence()) })],
    ['the CBC padding is 0', sealed(Buffer.concat([wholeBlocks, Buffer.alloc(16, 0)]), { padded: true })],
    ['the CBC padding is longer than a block', sealed(Buffer.concat([wholeBlocks, Buffer.alloc(16, 17)]), { padded: true })],
    ['the CBC padding is uneven', sealed(Buffer.concat([wholeBlocks, hex('00000000000000000000000000030203')]), { padded: true })],
    [
      'the encryptedContent is no whole number of blocks',
      createPkcsReq({
        client,
        ra,
        eContent: envelope({
          recipientInfos: [recipientInfo({ recipient: ra.certificate, encryptedKey: encryptKey(ra.certificate, key) })],
          algorithm,
          encryptedContent: Buffer.alloc(17),
        }),
      }),
    ],
    ['the content is noise', sealed(randomBytes(1000))],
    ['the content is empty', sealed(Buffer.alloc(0))],
    ['the content is another message', sealed(createPkcsReq({ client, ra }))],
    ['the CSR is truncated', sealed(csr.subarray(0, -1))],
    ['bytes follow the CSR', sealed(Buffer.concat([csr, Buffer.of(0)]))],
    ['the CSR nests 10,000 deep', sealed(Buffer.alloc(20_000, hex('30 80')))],
    ['the CSR’s exponent is even', sealed(csrFor(modulus, hex('01 00 00')))],
    ['the CSR’s exponent is 1', sealed(csrFor(modulus, hex('01')))],
    ['the CSR’s modulus is negative', sealed(csrFor(modulus.subarray(1), hex('01 00 01')))],
    ['the CSR’s modulus has 16,400 bits', sealed(csrFor(Buffer.concat([Buffer.of(0), Buffer.alloc(2050, 0xff)]), hex('01 00 01')))],
  ];

  it('does not fail when nothing is wrong', () => {
    assert.ok(open(sealed(csr)));
    assert.ok(open(sealed(csr, { encryptedKey: block(0, 2) })));
    assert.ok(open(sealed(csrFor(modulus, hex('01 00 01')))));
  });

  for (const [name, message] of failures) {
    it(`is one and the same PkiError: ${name}`, () => {
      const error = refused(() => open(message), 'malformed');
      assert.deepEqual([error.message, error.cause, Object.keys(error)], [uniform, undefined, ['name', 'reason']]);
    });
  }

  it('fails after a content key that is none, even if its substitute happens to open the CSR', () => {
    const message = parsePkiMessage(sealed(csr, { encryptedKey: Buffer.alloc(256, 0xff) }));
    const options = { keyPairs: [ra], policy: defaultPolicy, randomBytes: () => key };
    assert.equal(refused(() => openCertificationRequest(message, options), 'malformed').message, uniform);
  });

  // Coarse on purpose: an answer without the RSA operation would take a twentieth of the time, and machines are noisy.
  it('takes time of the class of a success, the RSA operation included', () => {
    const measured = [sealed(csr), ...failures.map(([, message]) => message)].map(message => ({
      message: parsePkiMessage(message),
      times: [] as number[],
    }));
    for (let round = 0; round < 15; round++) {
      for (const { message, times } of measured) {
        const start = performance.now();
        try {
          openCertificationRequest(message, { keyPairs: [ra], policy: defaultPolicy, randomBytes });
        } catch {
          // Only its time is of interest.
        }
        times.push(performance.now() - start);
      }
    }
    const [success = 0, ...others] = measured.map(({ times }) => times.toSorted((a, b) => a - b)[7] ?? 0);
    for (const [index, median] of others.entries()) {
      const [name = ''] = failures[index] ?? [];
      // No private key is used before these are refused, and anyone can see why.
      const isPublic = /encryptedKey is|whole number/.test(name);
      assert.ok(median < 4 * success && (isPublic || median > success / 4), `${name}: ${median} ms, a success ${success} ms`);
    }
  });
});
