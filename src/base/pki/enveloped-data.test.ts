/** Shows that we open the envelopes that node-forge and pkijs make, and they ours, and which envelopes are refused. */
import assert from 'node:assert/strict';
import { constants, publicEncrypt, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import forge from 'node-forge';
import { streamed } from '../../../test/support/ber.ts';
import { encryption, encryptKey, envelope, recipientInfo } from '../../../test/support/cms-parts.ts';
import { forgeAsn1, forgeDer, forgePrivateKey, pkijsDecrypts, pkijsEnvelopedData } from '../../../test/support/foreign-pki.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa, createIdentity, ecKey, rsaKey, seed } from '../../../test/support/pki-fixtures.ts';
import { contentCiphers, digests, encodeAlgorithmIdentifier } from './algorithms.ts';
import { contextConstructed, contextPrimitive, derNull, integer, objectIdentifier, octetString, sequence, setOf } from './der.ts';
import {
  encodeEnvelopedData,
  envelopedDataLimits,
  findOpening,
  type KeyPair,
  type KeyTransport,
  openContent,
  parseEnvelopedData,
} from './enveloped-data.ts';
import { Oid } from './oids.ts';
import { encodeContentInfo } from './signed-data.ts';

const { ra } = createCaAndRa();
const oldRa = createIdentity({ subject: 'CN=Old RA', key: rsaKey('old ra') });
const stranger = createIdentity({ subject: 'CN=Stranger', key: rsaKey('other') });
const content = Buffer.from('a content of more than one block');

function open(message: Uint8Array, keyPairs: readonly KeyPair[] = [ra]) {
  const opening = findOpening(parseEnvelopedData(message), keyPairs);
  const opened = openContent(opening);
  return { ...opening, ...opened, content: Buffer.from(opened.content) };
}

function sealed(
  cipher: keyof typeof contentCiphers,
  keyTransport: KeyTransport = { scheme: 'PKCS1' },
  octets: Uint8Array = content,
): Uint8Array {
  return encodeEnvelopedData({ content: octets, recipient: ra.certificate, cipher: contentCiphers[cipher], keyTransport, randomBytes });
}

describe('EnvelopedData by node-forge', () => {
  const privateKey = forgePrivateKey(rsaKey('ra'));
  const ciphers = {
    'AES-128-CBC': 'aes128-CBC',
    'AES-192-CBC': 'aes192-CBC',
    'AES-256-CBC': 'aes256-CBC',
    '3DES-CBC': 'des-EDE3-CBC',
  } as const;
  for (const [name, forgeName] of Object.entries(ciphers)) {
    it(`is opened, and ours by it: PKCS#1 v1.5 and ${name}`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 100 }), octets => {
          const made = forge.pkcs7.createEnvelopedData();
          made.addRecipient(forge.pki.certificateFromAsn1(forgeAsn1(ra.certificate.der)));
          made.content = forge.util.createBuffer(Buffer.from(octets).toString('latin1'));
          made.encrypt(undefined, forge.pki.oids[forgeName]);
          const opened = open(forgeDer(made.toAsn1()));
          assert.deepEqual([opened.content, opened.intact, opened.cipher.name], [Buffer.from(octets), true, name]);

          const read = forge.pkcs7.messageFromAsn1(forgeAsn1(sealed(name as keyof typeof ciphers, undefined, octets)));
          assert.ok('recipients' in read && read.recipients[0]);
          read.decrypt(read.recipients[0], privateKey);
          assert.ok(read.content instanceof forge.util.ByteStringBuffer);
          assert.equal(read.content.toHex(), Buffer.from(octets).toString('hex'));
        }),
        { seed, numRuns: 8 },
      );
    });
  }
});

describe('EnvelopedData by pkijs', () => {
  for (const hash of ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'] as const) {
    it(`is opened, and ours by it: OAEP with ${hash}`, async () => {
      const opened = open(await pkijsEnvelopedData(content, [ra.certificate.der], hash, hash === 'SHA-1' ? 128 : 256));
      assert.deepEqual([opened.content, opened.intact], [content, true]);
      assert.deepEqual(opened.keyTransport, { scheme: 'OAEP', digest: digests[hash] });
      const ours = sealed('AES-256-CBC', { scheme: 'OAEP', digest: digests[hash] });
      assert.deepEqual(await pkijsDecrypts(ours, ra.certificate.der, rsaKey('ra')), content);
    });
  }

  it('is opened when ours is one of several recipients, in whatever place', async () => {
    for (const recipients of [
      [stranger, ra],
      [ra, stranger],
      [stranger, oldRa, ra],
    ]) {
      const made = await pkijsEnvelopedData(
        content,
        recipients.map(({ certificate }) => certificate.der),
        'SHA-256',
        128,
      );
      const opened = open(made);
      assert.deepEqual([opened.content, opened.keyPair], [content, ra]);
    }
  });
});

describe('encodeEnvelopedData', () => {
  const transports: KeyTransport[] = [{ scheme: 'PKCS1' }, ...Object.values(digests).map(digest => ({ scheme: 'OAEP', digest }) as const)];
  for (const cipher of Object.values(contentCiphers)) {
    it(`makes what we open again, with every key transport: ${cipher.name}`, () => {
      for (const keyTransport of transports) {
        const opened = open(sealed(cipher.name, keyTransport));
        assert.deepEqual([opened.content, opened.intact, opened.cipher, opened.keyTransport], [content, true, cipher, keyTransport]);
      }
    });
  }

  it('takes contents of every length around a block', () => {
    for (let length = 0; length <= 33; length++) {
      const octets = randomBytes(length);
      for (const cipher of ['AES-128-CBC', '3DES-CBC'] as const) assert.deepEqual(open(sealed(cipher, undefined, octets)).content, octets);
    }
  });

  it('has a fresh key and initialization vector each time', () => {
    const [first, second] = [open(sealed('AES-128-CBC')), open(sealed('AES-128-CBC'))];
    assert.notDeepEqual(first.iv, second.iv);
    assert.notDeepEqual(first.encryptedContent, second.encryptedContent);
  });

  it('refuses a recipient whose key cannot encrypt', () => {
    const { certificate } = createIdentity({ key: ecKey('prime256v1') });
    const template = {
      content,
      recipient: certificate,
      cipher: contentCiphers['AES-128-CBC'],
      keyTransport: { scheme: 'PKCS1' },
      randomBytes,
    } as const;
    refused(() => encodeEnvelopedData(template), 'unsuitableRecipient', /not RSA/);
  });
});

describe('an envelope', () => {
  const { key, algorithm, encrypt } = encryption();
  const forRa = recipientInfo({ recipient: ra.certificate, encryptedKey: encryptKey(ra.certificate, key) });
  const sealedFor = (...recipientInfos: Uint8Array[]) => envelope({ recipientInfos, algorithm, encryptedContent: encrypt(content) });
  /** The unwrapped parts of an EnvelopedData that is right. */
  const parts = () => [integer(0), setOf(forRa), sequence(objectIdentifier(Oid.data), algorithm, contextPrimitive(0, encrypt(content)))];
  const enveloped = (...fields: Uint8Array[]) => encodeContentInfo(Oid.envelopedData, sequence(...fields));

  it('may have indefinite lengths and its content in segments', () => {
    assert.deepEqual(open(streamed(sealedFor(forRa))).content, content);
  });

  it('names its recipient by subjectKeyIdentifier', () => {
    const rid = contextPrimitive(0, ra.certificate.publicKey.keyIdentifier);
    const bySki = recipientInfo({ recipient: ra.certificate, rid, encryptedKey: encryptKey(ra.certificate, key) });
    assert.deepEqual(open(sealedFor(bySki)).content, content);
    const constructed = recipientInfo({
      recipient: ra.certificate,
      rid: contextConstructed(0, octetString(ra.certificate.publicKey.keyIdentifier)),
      encryptedKey: encryptKey(ra.certificate, key),
    });
    assert.deepEqual(open(sealedFor(constructed)).content, content);
  });

  it('is opened with whichever RA key still lives', () => {
    const forOld = recipientInfo({ recipient: oldRa.certificate, encryptedKey: encryptKey(oldRa.certificate, key) });
    const opened = open(sealedFor(forOld), [ra, oldRa]);
    assert.deepEqual([opened.content, opened.keyPair], [content, oldRa]);
  });

  it('may have recipients of other kinds beside ours', () => {
    const keyAgreement = contextConstructed(1, integer(3));
    const password = contextConstructed(3, integer(0));
    assert.deepEqual(open(sealedFor(keyAgreement, password, forRa)).content, content);
    refused(() => open(sealedFor(keyAgreement, password)), 'otherRecipient', /not encrypted to this endpoint/);
  });

  it('may have originatorInfo and unprotectedAttrs, which nobody reads', () => {
    const [version, recipients, info] = parts();
    assert.ok(version && recipients && info);
    assert.deepEqual(open(enveloped(version, contextConstructed(0), recipients, info, contextConstructed(1, derNull))).content, content);
  });

  it('is refused when none of our keys is a recipient', () => {
    const forStranger = recipientInfo({ recipient: stranger.certificate, encryptedKey: encryptKey(stranger.certificate, key) });
    for (const recipients of [[forStranger], []])
      refused(() => open(sealedFor(...recipients)), 'otherRecipient', /not encrypted to this endpoint’s current certificate/);
    refused(() => open(sealedFor(forRa), []), 'otherRecipient', /not encrypted to this endpoint/);
  });

  it('is refused with more recipients than any message has', () => {
    const many = (count: number) => sealedFor(...Array.from({ length: count - 1 }, () => contextConstructed(1, integer(3))), forRa);
    assert.deepEqual(open(many(envelopedDataLimits.recipientsMax)).content, content);
    refused(() => open(many(envelopedDataLimits.recipientsMax + 1)), 'malformed', /more than 10 recipients/);
  });

  it('is refused when it lacks a part or has one too many', () => {
    const whole = parts();
    for (let index = 0; index < whole.length; index++) refused(() => open(enveloped(...whole.toSpliced(index, 1))), 'malformed');
    refused(() => open(enveloped(...whole, derNull)), 'malformed', /a part too many/);
    refused(() => open(enveloped(...whole.with(2, sequence(objectIdentifier(Oid.data), algorithm)))), 'malformed');
    refused(() => open(sealedFor(sequence(integer(0)))), 'malformed');
    refused(
      () => parseEnvelopedData(encodeContentInfo(Oid.signedData, sequence())),
      'malformed',
      /where 1\.2\.840\.113549\.1\.7\.3 must be/,
    );
  });

  it('is refused with an initialization vector of another length or none', () => {
    const aes = (...parameters: Uint8Array[]) => sequence(objectIdentifier(contentCiphers['AES-128-CBC'].oid), ...parameters);
    for (const wrong of [aes(), aes(derNull), aes(octetString(Buffer.alloc(8))), aes(octetString(Buffer.alloc(17)))]) {
      refused(
        () => open(envelope({ recipientInfos: [forRa], algorithm: wrong, encryptedContent: Buffer.alloc(16) })),
        'malformed',
        /initialization vector/,
      );
    }
  });
});

describe('the algorithms of an envelope', () => {
  const withCipher = (oid: string) =>
    envelope({
      recipientInfos: [],
      algorithm: sequence(objectIdentifier(oid), octetString(Buffer.alloc(16))),
      encryptedContent: Buffer.alloc(16),
    });
  const withTransport = (algorithm: Uint8Array) => {
    const { algorithm: cipher, encrypt } = encryption();
    const info = recipientInfo({ recipient: ra.certificate, algorithm, encryptedKey: Buffer.alloc(256) });
    return envelope({ recipientInfos: [info], algorithm: cipher, encryptedContent: encrypt(content) });
  };
  const sha256 = encodeAlgorithmIdentifier(digests['SHA-256'].oid);
  const mgf1 = (digest: Uint8Array) => contextConstructed(1, encodeAlgorithmIdentifier(Oid.mgf1, digest));
  const oaep = (...parameters: Uint8Array[]) => withTransport(encodeAlgorithmIdentifier(Oid.rsaesOaep, sequence(...parameters)));

  it('are named when we do not implement them', () => {
    for (const [oid, name] of [
      ['1.2.840.113549.3.2', 'RC2-CBC'],
      ['1.2.840.113549.3.4', 'RC4'],
      ['2.16.840.1.101.3.4.1.6', 'AES-128-GCM'],
      ['1.2.3', '1.2.3'],
    ] as const) {
      refused(() => open(withCipher(oid)), 'unsupportedAlgorithm', new RegExp(name));
    }
    refused(
      () => open(withTransport(encodeAlgorithmIdentifier('1.2.3.4'))),
      'unsupportedAlgorithm',
      /1\.2\.3\.4\. Use rsaEncryption or RSAES-OAEP/,
    );
  });

  it('are refused: OAEP with two digests, MD5, another mask, a label or parameters that are none', () => {
    refused(() => open(oaep(contextConstructed(0, sha256))), 'unsupportedAlgorithm', /two different digests/);
    refused(() => open(oaep(mgf1(sha256))), 'unsupportedAlgorithm', /two different digests/);
    const md5 = encodeAlgorithmIdentifier('1.2.840.113549.2.5');
    refused(() => open(oaep(contextConstructed(0, md5), mgf1(md5))), 'unsupportedAlgorithm', /MD5/);
    refused(() => open(oaep(contextConstructed(1, encodeAlgorithmIdentifier('1.2.3', sha256)))), 'unsupportedAlgorithm', /MGF1/);
    const label = (octets: string) => contextConstructed(2, encodeAlgorithmIdentifier(Oid.pSpecified, octetString(Buffer.from(octets))));
    refused(() => open(oaep(label('a'))), 'unsupportedAlgorithm', /label/);
    assert.equal(open(oaep(label(''))).intact, false);
    refused(() => open(oaep(contextConstructed(0))), 'malformed', /empty/);
    refused(() => open(withTransport(encodeAlgorithmIdentifier(Oid.rsaesOaep))), 'malformed');
  });

  it('may leave out the parameters of OAEP, which then mean SHA-1', () => {
    const { key, algorithm, encrypt } = encryption();
    const encryptedKey = publicEncrypt({ key: ra.certificate.publicKey.keyObject, padding: constants.RSA_PKCS1_OAEP_PADDING }, key);
    for (const transport of [sequence(objectIdentifier(Oid.rsaesOaep)), encodeAlgorithmIdentifier(Oid.rsaesOaep, sequence())]) {
      const info = recipientInfo({ recipient: ra.certificate, algorithm: transport, encryptedKey });
      assert.deepEqual(open(envelope({ recipientInfos: [info], algorithm, encryptedContent: encrypt(content) })).content, content);
    }
  });
});
