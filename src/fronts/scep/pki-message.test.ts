/** Shows which PKCSReqs are read and opened, that all that fails behind the RA key fails alike, and that others read our CertReps. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import forge from 'node-forge';
import * as pkijs from 'pkijs';
import { hex, streamed } from '../../../test/support/ber.ts';
import {
  attribute,
  cmsAttributes,
  encryptBlock,
  encryption,
  encryptKey,
  envelope,
  issuerAndSerialNumber,
  recipientInfo,
  signedMessage,
} from '../../../test/support/cms-parts.ts';
import {
  forgeAsn1,
  forgePrivateKey,
  pkijsDecrypts,
  pkijsEnvelopedData,
  pkijsSignedData,
  pkijsVerifies,
  webKeyPair,
} from '../../../test/support/foreign-pki.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import {
  createCaAndRa,
  createCsr,
  createIdentity,
  createPkcsReq,
  defaultPolicy,
  ecKey,
  laxPolicy,
  requestAttributes,
  rsaKey,
} from '../../../test/support/pki-fixtures.ts';
import { contentCiphers, digests, encodeAlgorithmIdentifier } from '../../base/pki/algorithms.ts';
import { parseBer, Tag } from '../../base/pki/asn1.ts';
import { bitString, derNull, ia5String, integer, octetString, printableString, sequence, tlv, utf8String } from '../../base/pki/der.ts';
import type { KeyTransport } from '../../base/pki/enveloped-data.ts';
import { encodeEnvelopedData, findOpening, openContent, parseEnvelopedData } from '../../base/pki/enveloped-data.ts';
import { Oid } from '../../base/pki/oids.ts';
import { verifyCertificationRequest } from '../../base/pki/pkcs10.ts';
import { encodeContentInfo, findSignerCertificate, onlySigner, parseSignedData, verifySignerInfo } from '../../base/pki/signed-data.ts';
import { readText } from '../../base/pki/strings-and-times.ts';
import { parseCertificate } from '../../base/pki/x509.ts';
import { pkiMessageLimits } from '../../base/scep.ts';
import { defaultReply, encodeCertRep, openCertificationRequest, parsePkiMessage } from './pki-message.ts';

const { ca, ra } = createCaAndRa();
const client = createIdentity();
const csr = createCsr(client.privateKey, 'secret');

const open = (message: Uint8Array, { policy = defaultPolicy, keyPairs = [ra] } = {}) =>
  openCertificationRequest(parsePkiMessage(message), { keyPairs, policy, randomBytes });

/** A PKCSReq with one attribute put in the place of the one with its type, or added. */
function withAttribute(type: string, ...values: Uint8Array[]): Uint8Array {
  const others = requestAttributes()
    .filter(other => other.type !== type)
    .map(other => attribute(other.type, other.value));
  const eContent = encodeContentInfo(Oid.envelopedData, sequence());
  const added = values.length === 0 ? [] : [attribute(type, ...values)];
  return signedMessage(eContent, { signer: client, attributes: [...cmsAttributes(eContent), ...others, ...added] });
}

describe('parsePkiMessage', () => {
  it('reads the attributes of a request', () => {
    const message = parsePkiMessage(createPkcsReq({ client, ra }));
    assert.deepEqual([message.messageType, message.transactionID], ['19', '7XXEY-ERLPU-2JDR9']);
    assert.equal(Buffer.from(message.senderNonce ?? []).toString('hex'), '000102030405060708090a0b0c0d0e0f');
  });

  it('reads every transactionID that clients are known to send', () => {
    const seen = [
      '7XXEY-ERLPU-2JDR9',
      'SSCEP transactionId',
      'q0FhQmhB+/Zz3Q==',
      '1'.repeat(77),
      'A'.repeat(200),
      '6b29fc40-ca47-1067-b31d-00dd010662da',
      '~_*@',
    ];
    for (const transactionID of seen) {
      for (const encode of [printableString, utf8String, ia5String]) {
        assert.equal(parsePkiMessage(withAttribute(Oid.transactionID, encode(transactionID))).transactionID, transactionID);
      }
    }
  });

  it('refuses a transactionID that cannot stand in an answer, a log line and the store', () => {
    const wrong = ['', 'A'.repeat(pkiMessageLimits.transactionIDCharactersMax + 1), 'a\nb', 'a\u0000', 'é', '\u007f', 'a\u2028'];
    for (const transactionID of wrong)
      refused(() => parsePkiMessage(withAttribute(Oid.transactionID, utf8String(transactionID))), 'malformed', /transactionID/);
    refused(() => parsePkiMessage(withAttribute(Oid.transactionID)), 'malformed', /transactionID is not one value/);
    refused(
      () => parsePkiMessage(withAttribute(Oid.transactionID, printableString('a'), printableString('b'))),
      'malformed',
      /not one value/,
    );
    refused(() => parsePkiMessage(withAttribute(Oid.transactionID, octetString(Buffer.from('a')))), 'malformed', /not a character string/);
    const longest = 'A'.repeat(pkiMessageLimits.transactionIDCharactersMax);
    assert.equal(parsePkiMessage(withAttribute(Oid.transactionID, printableString(longest))).transactionID, longest);
  });

  it('takes a senderNonce of any sane length or none', () => {
    for (const octets of [0, 8, 16, pkiMessageLimits.nonceOctetsMax]) {
      assert.equal(parsePkiMessage(withAttribute(Oid.senderNonce, octetString(Buffer.alloc(octets)))).senderNonce?.length, octets);
    }
    assert.equal(parsePkiMessage(withAttribute(Oid.senderNonce)).senderNonce, undefined);
    const long = octetString(Buffer.alloc(pkiMessageLimits.nonceOctetsMax + 1));
    refused(() => parsePkiMessage(withAttribute(Oid.senderNonce, long)), 'malformed', /senderNonce of impossible length/);
    refused(() => parsePkiMessage(withAttribute(Oid.senderNonce, printableString('a'))), 'malformed', /senderNonce/);
    refused(
      () => parsePkiMessage(withAttribute(Oid.senderNonce, octetString(hex('01')), octetString(hex('02')))),
      'malformed',
      /senderNonce/,
    );
  });

  it('gives the messageType as it is, known or not, and refuses a message without one', () => {
    for (const messageType of ['17', '18', '99', '019', '']) {
      assert.equal(parsePkiMessage(withAttribute(Oid.messageType, printableString(messageType))).messageType, messageType);
    }
    refused(() => parsePkiMessage(withAttribute(Oid.messageType)), 'malformed', /messageType is missing/);
    refused(() => parsePkiMessage(withAttribute(Oid.messageType, integer(19))), 'malformed', /messageType/);
  });

  it('refuses what is no SignedData', () => {
    for (const wrong of [
      Buffer.alloc(0),
      Buffer.from('GET / HTTP/1.0'),
      derNull,
      sequence(),
      encodeContentInfo(Oid.envelopedData, sequence()),
    ]) {
      refused(() => parsePkiMessage(wrong), 'malformed');
    }
  });
});

describe('openCertificationRequest', () => {
  const transports: KeyTransport[] = [
    { scheme: 'PKCS1' },
    { scheme: 'OAEP', digest: digests['SHA-1'] },
    { scheme: 'OAEP', digest: digests['SHA-256'] },
  ];
  for (const cipher of Object.values(contentCiphers)) {
    it(`opens a PKCSReq with ${cipher.name} and tells what its answer is to use`, () => {
      for (const digest of Object.values(digests)) {
        for (const keyTransport of transports) {
          const opened = open(createPkcsReq({ client, ra, csr, digest, cipher, keyTransport }), { policy: laxPolicy });
          assert.deepEqual(opened.reply, { keyPair: ra, digest, cipher, keyTransport });
          assert.deepEqual(opened.csr.challengePasswords, ['secret']);
          assert.ok(opened.signer.publicKey.equals(opened.csr.publicKey));
          assert.ok(verifyCertificationRequest(opened.csr));
        }
      }
    });
  }

  it('opens a PKCSReq made by pkijs, encrypted to all certificates of GetCACert', async () => {
    const eContent = await pkijsEnvelopedData(csr, [ca.certificate.der, ra.certificate.der], 'SHA-256', 256);
    const { privateKey } = await webKeyPair(client.privateKey, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' });
    const attributes = requestAttributes('by pkijs').map(
      ({ type, value }) => new pkijs.Attribute({ type, values: [asn1js.fromBER(value).result] }),
    );
    const made = await pkijsSignedData({ content: eContent, certificate: client.certificate.der, privateKey, hash: 'SHA-256', attributes });
    assert.equal(parsePkiMessage(made).transactionID, 'by pkijs');
    assert.deepEqual(open(made).csr.challengePasswords, ['secret']);
    assert.deepEqual(open(made).reply.keyTransport, { scheme: 'OAEP', digest: digests['SHA-256'] });
  });

  it('opens a PKCSReq in BER: indefinite lengths and segments, outside and in the envelope', () => {
    const inner = streamed(
      encodeEnvelopedData({
        content: csr,
        recipient: ra.certificate,
        cipher: contentCiphers['AES-128-CBC'],
        keyTransport: { scheme: 'PKCS1' },
        randomBytes,
      }),
    );
    const opened = open(streamed(createPkcsReq({ client, ra, eContent: inner })));
    assert.deepEqual(opened.csr.challengePasswords, ['secret']);
  });

  it('opens a CSR whose key is RSA-512, which policy refuses later, and one on a curve', () => {
    const small = generateKeyPairSync('rsa', { modulusLength: 512 }).privateKey;
    assert.equal(open(createPkcsReq({ client, ra, csr: createCsr(small, 'secret') })).csr.publicKey.bits, 512);
    assert.equal(open(createPkcsReq({ client, ra, csr: createCsr(ecKey('prime256v1'), 'secret') })).csr.publicKey.kind, 'EC');
  });

  it('refuses a message without an envelope or with another content', () => {
    refused(() => open(createPkcsReq({ client, ra, eContent: Buffer.alloc(0) })), 'malformed', /without a pkcsPKIEnvelope/);
    refused(() => open(createPkcsReq({ client, ra, eContent: csr })), 'malformed');
  });

  it('refuses an envelope for another RA’s key', () => {
    const other = createIdentity({ subject: 'CN=Other RA', key: rsaKey('other') });
    refused(() => open(createPkcsReq({ client, ra: other })), 'malformed', /Fetch GetCACert again/);
    assert.equal(open(createPkcsReq({ client, ra: other }), { keyPairs: [ra, other] }).reply.keyPair, other);
  });

  it('verifies the signature before it uses the RA key', () => {
    const message = createPkcsReq({ client, ra });
    const at = message.length - 1;
    message[at] = (message[at] ?? 0) ^ 1;
    const mustNotOpen = () => assert.fail('the envelope was opened');
    refused(
      () => openCertificationRequest(parsePkiMessage(message), { keyPairs: [ra], policy: defaultPolicy, randomBytes: mustNotOpen }),
      'badSignature',
    );
  });
});

describe('refused algorithms', () => {
  it('are named together, with what to use: single DES and SHA-1, as micromdm’s scepclient sends them', () => {
    const message = createPkcsReq({ client, ra, digest: digests['SHA-1'], cipher: contentCiphers['DES-CBC'] });
    const { message: text } = refused(() => open(message), 'unsupportedAlgorithm', /1\.3\.14\.3\.2\.7 \(DES-CBC\).*Use AES-128-CBC/);
    assert.match(text, /1\.3\.14\.3\.2\.26 \(SHA-1\)\. Use SHA-256/);
    assert.deepEqual(open(message, { policy: laxPolicy }).csr.challengePasswords, ['df3b2c5e-5a62-4a3e-8b8f-0c6cbb1b3f0e']);
  });

  it('are named alone: triple DES, and a cipher that we do not implement', () => {
    refused(
      () => open(createPkcsReq({ client, ra, cipher: contentCiphers['3DES-CBC'] })),
      'unsupportedAlgorithm',
      /^Unsupported algorithm: 1\.2\.840\.113549\.3\.7 \(3DES-CBC\)\. Use AES-128-CBC or AES-256-CBC\.$/,
    );
    const eContent = envelope({ recipientInfos: [], algorithm: encodeAlgorithmIdentifier('1.2.3.4'), encryptedContent: Buffer.alloc(16) });
    refused(() => open(createPkcsReq({ client, ra, eContent })), 'unsupportedAlgorithm', /: 1\.2\.3\.4\. Use AES/);
  });

  it('are refused at the first look when they are a digest that we do not implement', () => {
    const eContent = Buffer.from('a');
    const md5 = signedMessage(eContent, {
      signer: client,
      attributes: cmsAttributes(eContent),
      digestAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.2.5'),
    });
    refused(() => parsePkiMessage(md5), 'unsupportedAlgorithm', /MD5/);
  });
});

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

  it('takes the time of a success, the RSA operation included', () => {
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
      assert.ok(median < 2 * success && (isPublic || median > success / 2), `${name}: ${median} ms, a success ${success} ms`);
    }
  });
});

describe('encodeCertRep', () => {
  const request = parsePkiMessage(createPkcsReq({ client, ra }));
  const issued = createIdentity({ issuer: ca, subject: 'CN=issued' }).certificate;
  const reply = {
    keyPair: ra,
    digest: digests['SHA-256'],
    cipher: contentCiphers['AES-128-CBC'],
    keyTransport: { scheme: 'PKCS1' } as KeyTransport,
  };

  function read(certRep: Uint8Array) {
    const signedData = parseSignedData(certRep);
    const signerInfo = onlySigner(signedData);
    verifySignerInfo(signedData, signerInfo, findSignerCertificate(signerInfo, signedData.certificates), laxPolicy);
    const value = (type: string) => {
      const [element] = signerInfo.attributes.get(type) ?? [];
      return element && (element.tag === Tag.octetString ? element.octets().toString('hex') : readText(element));
    };
    return { signedData, signerInfo, value };
  }

  const transports: KeyTransport[] = [{ scheme: 'PKCS1' }, ...Object.values(digests).map(digest => ({ scheme: 'OAEP', digest }) as const)];
  for (const keyTransport of transports) {
    it(`answers SUCCESS with the certificate for the signer’s key: ${JSON.stringify(keyTransport)}`, async () => {
      const certRep = encodeCertRep(
        request,
        { pkiStatus: 'SUCCESS', certificates: [issued.der], recipient: client.certificate.der },
        { ...reply, keyTransport },
        randomBytes,
      );
      assert.ok(await pkijsVerifies(certRep));
      const { signedData, value } = read(certRep);
      assert.deepEqual([value(Oid.messageType), value(Oid.pkiStatus), value(Oid.transactionID)], ['3', '0', request.transactionID]);
      assert.equal(value(Oid.recipientNonce), Buffer.from(request.senderNonce ?? []).toString('hex'));
      assert.equal(value(Oid.senderNonce)?.length, 32);
      assert.notEqual(value(Oid.senderNonce), value(Oid.recipientNonce));
      const opened = openContent(findOpening(parseEnvelopedData(signedData.eContent ?? Buffer.alloc(0)), [client]), randomBytes);
      assert.deepEqual(
        parseSignedData(opened.content).certificates.map(({ serialNumber }) => serialNumber),
        [issued.serialNumber],
      );
      if (keyTransport.scheme === 'OAEP') {
        const content = await pkijsDecrypts(signedData.eContent ?? Buffer.alloc(0), client.certificate.der, client.privateKey);
        assert.deepEqual(content, Buffer.from(opened.content));
      } else {
        const envelopedData = forge.pkcs7.messageFromAsn1(forgeAsn1(signedData.eContent ?? Buffer.alloc(0)));
        assert.ok('recipients' in envelopedData && envelopedData.recipients[0]);
        envelopedData.decrypt(envelopedData.recipients[0], forgePrivateKey(client.privateKey));
        assert.ok(envelopedData.content instanceof forge.util.ByteStringBuffer);
        assert.equal(envelopedData.content.toHex(), Buffer.from(opened.content).toString('hex'));
      }
    });
  }

  it('answers FAILURE with failInfo and its text, around an empty content that is present', async () => {
    const certRep = encodeCertRep(
      request,
      { pkiStatus: 'FAILURE', failInfo: 'badAlg', failInfoText: 'Use SHA-256, é' },
      reply,
      randomBytes,
    );
    assert.ok(await pkijsVerifies(certRep));
    const { signedData, signerInfo, value } = read(certRep);
    assert.equal(signedData.eContent?.length, 0);
    assert.deepEqual([value(Oid.pkiStatus), value(Oid.failInfo), value(Oid.failInfoText)], ['2', '0', 'Use SHA-256, é']);
    assert.equal(signerInfo.signatureAlgorithm.oid, Oid.rsaEncryption);
    assert.deepEqual(
      signedData.certificates.map(({ serialNumber }) => serialNumber),
      [ra.certificate.serialNumber],
    );
  });

  it('answers PENDING with neither failInfo nor content', () => {
    const { signedData, value } = read(encodeCertRep(request, { pkiStatus: 'PENDING' }, reply, randomBytes));
    assert.deepEqual([value(Oid.pkiStatus), value(Oid.failInfo), signedData.eContent?.length], ['3', undefined, 0]);
  });

  it('uses the digest of the request, and has no recipientNonce when the request had no senderNonce', () => {
    for (const digest of Object.values(digests)) {
      const { signerInfo, value } = read(
        encodeCertRep(
          { transactionID: 'SSCEP transactionId', senderNonce: undefined },
          { pkiStatus: 'PENDING' },
          { ...reply, digest },
          randomBytes,
        ),
      );
      assert.equal(signerInfo.digest, digest);
      assert.deepEqual([value(Oid.recipientNonce), value(Oid.transactionID)], [undefined, 'SSCEP transactionId']);
    }
  });

  it('falls back on what RFC 8894 requires of everyone where the request’s algorithms are refused', () => {
    const old = parsePkiMessage(createPkcsReq({ client, ra, digest: digests['SHA-1'] }));
    const mandatory = { digest: digests['SHA-256'], cipher: contentCiphers['AES-128-CBC'], keyTransport: { scheme: 'PKCS1' } };
    assert.deepEqual(defaultReply(old.signerInfo, defaultPolicy), mandatory);
    assert.deepEqual(defaultReply(old.signerInfo, laxPolicy), { ...mandatory, digest: digests['SHA-1'] });
  });

  it('names a recipient with a negative serial number as its certificate does', () => {
    // Some devices take any random octets for a serial number.
    const [tbs, algorithm, signature] = parseBer(client.certificate.der).elements('Certificate');
    assert.ok(tbs && algorithm && signature);
    const fields = tbs.elements('tbsCertificate').map(field => field.bytes);
    const recipient = sequence(sequence(...fields.with(1, hex('02 02 ff 01'))), algorithm.bytes, signature.bytes);
    const certRep = encodeCertRep(request, { pkiStatus: 'SUCCESS', certificates: [issued.der], recipient }, reply, randomBytes);
    const named = issuerAndSerialNumber(parseCertificate(recipient));
    assert.ok(Buffer.from(read(certRep).signedData.eContent ?? []).includes(Buffer.from(named)));
    assert.ok(Buffer.from(named).includes(hex('02 02 ff 01')));
  });
});
