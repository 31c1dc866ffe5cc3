/** Shows which PKCSReqs are read and opened, and which algorithms are refused in what words. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { hex, streamed } from '../../../test/support/ber.ts';
import { attribute, cmsAttributes, envelope, signedData, signedMessage, signerInfo } from '../../../test/support/cms-parts.ts';
import { pkijsEnvelopedData, pkijsSignedData, webKeyPair } from '../../../test/support/foreign-pki.ts';
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
import { derNull, ia5String, integer, objectIdentifier, octetString, printableString, sequence, utf8String } from '../../base/pki/der.ts';
import type { KeyTransport } from '../../base/pki/enveloped-data.ts';
import { encodeEnvelopedData } from '../../base/pki/enveloped-data.ts';
import { Oid } from '../../base/pki/oids.ts';
import { type CertificationRequest, parseCertificationRequest, verifyCertificationRequest } from '../../base/pki/pkcs10.ts';
import { encodeContentInfo, parseSignedData } from '../../base/pki/signed-data.ts';
import { pkiMessageLimits } from '../../base/scep.ts';
import { type OpenedPkiMessage, openPkiMessage, parsePkiMessage } from './pki-message.ts';

const { ca, ra } = createCaAndRa();
const client = createIdentity();
const csr = createCsr(client.privateKey, 'secret');

const open = (message: Uint8Array, { policy = defaultPolicy, keyPairs = [ra] } = {}) =>
  openPkiMessage(parsePkiMessage(message), { requestType: 'PKCSReq', keyPairs, policy });

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
      refused(() => parsePkiMessage(withAttribute(Oid.transactionID, utf8String(transactionID))), 'undecodable', /transactionID/);
    refused(() => parsePkiMessage(withAttribute(Oid.transactionID)), 'undecodable', /transactionID is missing/);
    refused(
      () => parsePkiMessage(withAttribute(Oid.transactionID, printableString('a'), printableString('b'))),
      'undecodable',
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
    refused(() => parsePkiMessage(withAttribute(Oid.senderNonce, long)), 'undecodable', /senderNonce of impossible length/);
    refused(() => parsePkiMessage(withAttribute(Oid.senderNonce, printableString('a'))), 'malformed', /senderNonce/);
    refused(
      () => parsePkiMessage(withAttribute(Oid.senderNonce, octetString(hex('01')), octetString(hex('02')))),
      'malformed',
      /senderNonce/,
    );
  });

  it('gives the messageType as it is, known or not, or none', () => {
    for (const messageType of ['17', '18', '99', '019', '']) {
      assert.equal(parsePkiMessage(withAttribute(Oid.messageType, printableString(messageType))).messageType, messageType);
    }
    assert.equal(parsePkiMessage(withAttribute(Oid.messageType)).messageType, undefined);
    refused(() => parsePkiMessage(withAttribute(Oid.messageType, integer(19))), 'malformed', /not a character string/);
    assert.equal(parsePkiMessage(withAttribute(Oid.messageType, utf8String('19'))).messageType, '19');
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

function csrOf({ messageData }: OpenedPkiMessage): CertificationRequest {
  return parseCertificationRequest(messageData);
}

describe('openPkiMessage', () => {
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
          assert.deepEqual(csrOf(opened).challengePasswords, ['secret']);
          assert.ok(opened.signer.publicKey.equals(csrOf(opened).publicKey));
          assert.ok(verifyCertificationRequest(csrOf(opened)));
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
    assert.deepEqual(csrOf(open(made)).challengePasswords, ['secret']);
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
    assert.deepEqual(csrOf(opened).challengePasswords, ['secret']);
  });

  it('opens a CSR whose key is RSA-512, which policy refuses later, and one on a curve', () => {
    const small = generateKeyPairSync('rsa', { modulusLength: 512 }).privateKey;
    assert.equal(csrOf(open(createPkcsReq({ client, ra, csr: createCsr(small, 'secret') }))).publicKey.bits, 512);
    assert.equal(csrOf(open(createPkcsReq({ client, ra, csr: createCsr(ecKey('prime256v1'), 'secret') }))).publicKey.kind, 'EC');
  });

  it('refuses a message without an envelope or with another content', () => {
    refused(() => open(createPkcsReq({ client, ra, eContent: Buffer.alloc(0) })), 'malformed', /without a pkcsPKIEnvelope/);
    refused(() => open(createPkcsReq({ client, ra, eContent: csr })), 'malformed');
    const { eContent } = parseSignedData(createPkcsReq({ client, ra }));
    assert.ok(eContent);
    const attributes = [attribute(Oid.contentType, objectIdentifier(Oid.envelopedData)), ...cmsAttributes(eContent).slice(1)];
    const others = requestAttributes().map(({ type, value }) => attribute(type, value));
    const signerInfos = [signerInfo({ signer: client, attributes: [...attributes, ...others] })];
    const parts = { eContent: octetString(eContent), certificates: [client.certificate.der], signerInfos };
    refused(() => open(signedData({ ...parts, eContentType: Oid.envelopedData })), 'malformed', /eContentType is not id-data/);
  });

  it('refuses an envelope for another RA’s key', () => {
    const other = createIdentity({ subject: 'CN=Other RA', key: rsaKey('other') });
    refused(() => open(createPkcsReq({ client, ra: other })), 'otherRecipient', /Fetch GetCACert again/);
    assert.equal(open(createPkcsReq({ client, ra: other }), { keyPairs: [ra, other] }).reply.keyPair, other);
  });

  it('verifies the signature before it uses the RA key', () => {
    const message = createPkcsReq({ client, ra });
    const at = message.length - 1;
    message[at] = (message[at] ?? 0) ^ 1;
    let uses = 0;
    const counted = {
      ...ra,
      get privateKey() {
        uses += 1;
        return ra.privateKey;
      },
    };
    refused(() => open(message, { keyPairs: [counted] }), 'badSignature');
    assert.equal(uses, 0);
  });
});

describe('refused algorithms', () => {
  it('are named together, with what to use: single DES and SHA-1, as micromdm’s scepclient sends them', () => {
    const message = createPkcsReq({ client, ra, digest: digests['SHA-1'], cipher: contentCiphers['DES-CBC'] });
    const { message: text } = refused(() => open(message), 'unsupportedAlgorithm', /1\.3\.14\.3\.2\.7 \(DES-CBC\).*Use AES-128-CBC/);
    assert.match(text, /1\.3\.14\.3\.2\.26 \(SHA-1\)\. Use SHA-256/);
    assert.deepEqual(csrOf(open(message, { policy: laxPolicy })).challengePasswords, ['df3b2c5e-5a62-4a3e-8b8f-0c6cbb1b3f0e']);
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

  it('still leave a transactionID to answer to: single DES and MD5, as old Cisco devices send them, and an unknown digest', () => {
    const eContent = parseSignedData(createPkcsReq({ client, ra, cipher: contentCiphers['DES-CBC'] })).eContent ?? Buffer.alloc(0);
    const attributes = [...cmsAttributes(eContent), ...requestAttributes().map(({ type, value }) => attribute(type, value))];
    const withDigest = (oid: string) =>
      signedMessage(eContent, { signer: client, attributes, digestAlgorithm: encodeAlgorithmIdentifier(oid) });
    const md5 = withDigest('1.2.840.113549.2.5');
    assert.equal(parsePkiMessage(md5).transactionID, '7XXEY-ERLPU-2JDR9');
    refused(() => open(md5), 'unsupportedAlgorithm', /\(DES-CBC\)\. Use AES-128-CBC .* 1\.2\.840\.113549\.2\.5 \(MD5\)\. Use SHA-256\.$/);
    refused(() => open(md5, { policy: laxPolicy }), 'unsupportedAlgorithm', /^Unsupported algorithm: 1\.2\.840\.113549\.2\.5 \(MD5\)/);
    refused(() => open(withDigest('1.2.3'), { policy: laxPolicy }), 'unsupportedAlgorithm', /: 1\.2\.3\. Use SHA-256/);
  });
});
