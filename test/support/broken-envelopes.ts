/** PKCSReqs that are sound outside and broken behind the RA key, each in its own way: what must fail alike. */
import { randomBytes } from 'node:crypto';
import { encodeAlgorithmIdentifier } from '../../src/base/pki/algorithms.ts';
import { Tag } from '../../src/base/pki/asn1.ts';
import { bitString, integer, sequence, tlv } from '../../src/base/pki/der.ts';
import type { KeyPair } from '../../src/base/pki/enveloped-data.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { hex } from './ber.ts';
import { encryptBlock, encryption, encryptKey, envelope, recipientInfo } from './cms-parts.ts';
import { createCsr, createPkcsReq } from './pki-fixtures.ts';

export interface BrokenEnvelopes {
  failures: [name: string, message: Uint8Array][];
  /** Nothing is wrong with these. */
  successes: Uint8Array[];
}

export function createBrokenEnvelopes({ ra, client }: { ra: KeyPair; client: KeyPair }): BrokenEnvelopes {
  const csr = createCsr(client.privateKey, 'secret');
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
  /** A CSR with this SubjectPublicKeyInfo, around a signature that is none: what is judged later, when the key is the signer's own. */
  const csrFor = (modulus: Uint8Array, exponent: Uint8Array) => {
    const publicKey = bitString(sequence(tlv(Tag.integer, modulus), tlv(Tag.integer, exponent)));
    const info = sequence(integer(0), sequence(), sequence(encodeAlgorithmIdentifier(Oid.rsaEncryption), publicKey));
    return sequence(info, encodeAlgorithmIdentifier('1.2.840.113549.1.1.11'), bitString(Buffer.alloc(256)));
  };
  const { n = '' } = client.certificate.publicKey.keyObject.export({ format: 'jwk' });
  const modulus = Buffer.concat([Buffer.of(0), Buffer.from(n, 'base64url')]);
  const wholeBlocks = csr.subarray(0, csr.length - (csr.length % 16));
  const failures: [name: string, message: Uint8Array][] = [
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
  const successes = [sealed(csr), sealed(csr, { encryptedKey: block(0, 2) }), sealed(csrFor(modulus, hex('01 00 01')))];
  return { failures, successes };
}
