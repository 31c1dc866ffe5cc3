/** Shows that others read and verify our CertReps, and that they say what RFC 8894 section 3.3.2 wants. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import forge from 'node-forge';
import { hex } from '../../../test/support/ber.ts';
import { issuerAndSerialNumber } from '../../../test/support/cms-parts.ts';
import { forgeAsn1, forgePrivateKey, pkijsDecrypts, pkijsVerifies } from '../../../test/support/foreign-pki.ts';
import { createCaAndRa, createIdentity, createPkcsReq, defaultPolicy, laxPolicy } from '../../../test/support/pki-fixtures.ts';
import { contentCiphers, digests } from '../../base/pki/algorithms.ts';
import { parseBer, Tag } from '../../base/pki/asn1.ts';
import { sequence } from '../../base/pki/der.ts';
import type { KeyTransport } from '../../base/pki/enveloped-data.ts';
import { findOpening, openContent, parseEnvelopedData } from '../../base/pki/enveloped-data.ts';
import { Oid } from '../../base/pki/oids.ts';
import { findSignerCertificate, onlySigner, parseSignedData, verifySignerInfo } from '../../base/pki/signed-data.ts';
import { readText } from '../../base/pki/strings-and-times.ts';
import { parseCertificate } from '../../base/pki/x509.ts';
import { defaultReply, encodeCertRep, parsePkiMessage } from './pki-message.ts';

const { ca, ra } = createCaAndRa();
const client = createIdentity();

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
    const name = keyTransport.scheme === 'OAEP' ? `OAEP with ${keyTransport.digest.name}` : 'PKCS#1 v1.5';
    it(`answers SUCCESS with the certificate for the signer’s key: ${name}`, async () => {
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
      const opened = openContent(findOpening(parseEnvelopedData(signedData.eContent ?? Buffer.alloc(0)), [client]));
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
      assert.equal(signerInfo.digestAlgorithm.oid, digest.oid);
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
