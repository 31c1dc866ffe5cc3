/** RFC 8894 section 3, the envelope of a request: what is answered when it is not a pkiMessage, not for us, or not signed by its signer. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { objectIdentifier, octetString, sequence, utf8String } from '../../src/base/pki/der.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { encodeContentInfo, encodeDegenerate } from '../../src/base/pki/signed-data.ts';
import { attribute, signerInfo } from '../support/cms-parts.ts';
import { ecKey, rsaKey } from '../support/pki-fixtures.ts';
import { issuedBy, RawScepClient } from '../support/raw-scep-client.ts';
import { createDevice, encodeSignedMessage, encodeSignerInfo, requestAttributes, withFlippedOctet } from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const dayMs = 86_400_000;
const nonce = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

/** Constructed elements of indefinite length, one in the other, and all their end-of-contents octets. */
function nestedIndefinite(levels: number): Buffer {
  return Buffer.concat([Buffer.alloc(2 * levels, Buffer.from('3080', 'hex')), Buffer.alloc(2 * levels)]);
}

describe('a message without a transactionID that can be read', () => {
  const envelope = () => client.envelope(client.csr());
  const signed = (attributes: Uint8Array[]) => {
    const eContent = envelope();
    const signerInfo = encodeSignerInfo({ signer: client.device, eContent, attributes });
    return encodeSignedMessage({ eContent, certificates: [client.device.certificate], signerInfos: [signerInfo] });
  };
  const messages: [name: string, message: () => Uint8Array, text: string][] = [
    ['nothing', () => Buffer.alloc(0), 'The request is refused: the message ends inside an element.'],
    ['no ASN.1', () => Buffer.from('hello, world'), 'The request is refused: an element runs past the end of what holds it.'],
    [
      'a truncated message',
      () => client.request().subarray(0, -1),
      'The request is refused: an element runs past the end of what holds it.',
    ],
    [
      'octets behind the message',
      () => Buffer.concat([client.request(), Buffer.alloc(2)]),
      'The request is refused: 2 bytes follow the end of the message.',
    ],
    [
      'a length beyond every message',
      () => Buffer.from('3084ffffffff00', 'hex'),
      'The request is refused: an element runs past the end of what holds it.',
    ],
    ['10,000 nested indefinite lengths', () => nestedIndefinite(10_000), 'The request is refused: elements are nested more than 32 deep.'],
    ['EnvelopedData', envelope, `The request is refused: a ContentInfo of type ${Oid.envelopedData} where ${Oid.signedData} must be.`],
    [
      'id-data',
      () => encodeContentInfo(Oid.data, octetString(nonce)),
      `The request is refused: a ContentInfo of type ${Oid.data} where ${Oid.signedData} must be.`,
    ],
    ['a CSR', () => client.csr(), 'The request is refused: ContentInfo: contentType has tag 0x10, not 0x6.'],
    [
      'certificates alone',
      () => encodeDegenerate({ certificates: [client.device.certificate.der] }),
      'The request is refused: a message must have exactly one SignerInfo.',
    ],
    ['no attribute', () => signed([]), 'The request is refused: transactionID is missing.'],
    ['no transactionID', () => signed(requestAttributes({}).slice(1)), 'The request is refused: transactionID is missing.'],
    [
      'an empty transactionID',
      () => signed(requestAttributes({ transactionID: '' })),
      'The request is refused: a transactionID of impossible length.',
    ],
    [
      'a transactionID of 257 characters',
      () => signed(requestAttributes({ transactionID: 'T'.repeat(257) })),
      'The request is refused: a transactionID of impossible length.',
    ],
    [
      'a line break in transactionID',
      () => signed(requestAttributes({ transactionID: 'a\nb' })),
      'The request is refused: a transactionID with characters that are not printable.',
    ],
  ];
  for (const [name, message, text] of messages) {
    it(`is answered with 400: ${name}`, async () => {
      assert.deepEqual(await client.rejection(message()), { statusCode: 400, text: `${text}\n` });
    });
  }

  for (const twice of ['transactionID', 'messageType', 'senderNonce', 'contentType', 'messageDigest'] as const) {
    it(`is answered with 400: ${twice} twice`, async () => {
      const message = client.request({ signedAttributes: [attribute(Oid[twice], octetString(nonce))] });
      assert.deepEqual(await client.rejection(message), {
        statusCode: 400,
        text: `The request is refused: signed attribute ${Oid[twice]} stands twice.\n`,
      });
    });
  }

  it('is answered with 400: two SignerInfos', async () => {
    const eContent = envelope();
    const signers = [client.device, createDevice(rsaKey('second'))];
    const signerInfos = signers.map(signer => encodeSignerInfo({ signer, eContent, attributes: requestAttributes({}) }));
    const message = encodeSignedMessage({ eContent, certificates: signers.map(({ certificate }) => certificate), signerInfos });
    assert.deepEqual(await client.rejection(message), {
      statusCode: 400,
      text: 'The request is refused: a message must have exactly one SignerInfo.\n',
    });
  });

  it('is answered with 400: no signedAttrs', async () => {
    const eContent = envelope();
    const signerInfos = [signerInfo({ signer: client.device, attributes: undefined, eContent })];
    const message = encodeSignedMessage({ eContent, certificates: [client.device.certificate], signerInfos });
    assert.deepEqual(await client.rejection(message), {
      statusCode: 400,
      text: 'The request is refused: a SignerInfo without signedAttrs.\n',
    });
  });
});

describe('messageType', () => {
  for (const messageType of ['18', '3', '99', '019']) {
    it(`"${messageType}" is refused with badRequest`, async () => {
      assert.deepEqual(await client.refusal(client.request({ messageType })), {
        failInfo: 'badRequest',
        failInfoText: `Unsupported PkiOperation messageType: ${messageType}. Use PKCSReq (19).`,
      });
    });
  }

  it('17 is refused with badRequest where the policy does not renew', async () => {
    const { failInfo, failInfoText } = await client.refusal(client.request({ messageType: '17' }));
    assert.deepEqual([failInfo, failInfoText?.slice(0, 43)], ['badRequest', 'Unsupported PkiOperation messageType: 17. T']);
  });

  it('that is absent is refused with badRequest', async () => {
    const { failInfo, failInfoText } = await client.refusal(client.request({ messageType: null }));
    const expected = 'Unsupported PkiOperation messageType: not a number. Use PKCSReq (19).';
    assert.deepEqual([failInfo, failInfoText], ['badRequest', expected]);
  });

  it('is not repeated in the answer when it is not a number, or an endless one', async () => {
    for (const messageType of [' 19', '', 'PKCSReq', '1\n9', '1'.repeat(200)]) {
      const { failInfoText } = await client.refusal(client.request({ messageType }));
      assert.equal(failInfoText, 'Unsupported PkiOperation messageType: not a number. Use PKCSReq (19).');
    }
  });
});

describe('what is in the message', () => {
  const refusals: [name: string, message: () => Uint8Array, failInfoText: string][] = [
    [
      'an empty pkcsPKIEnvelope',
      () => client.request({ eContent: Buffer.alloc(0) }),
      'The request is refused: a request without a pkcsPKIEnvelope.',
    ],
    [
      'no EnvelopedData',
      () => client.request({ eContent: client.csr() }),
      'The request is refused: ContentInfo: contentType has tag 0x10, not 0x6.',
    ],
    [
      '10,000 nested indefinite lengths',
      () => client.request({ eContent: nestedIndefinite(10_000) }),
      'The request is refused: elements are nested more than 32 deep.',
    ],
  ];
  for (const [name, message, failInfoText] of refusals) {
    it(`is refused with badRequest: ${name}`, async () => {
      assert.deepEqual(await client.refusal(message()), { failInfo: 'badRequest', failInfoText });
    });
  }

  it('is refused with badRequest: no eContent', async () => {
    const signerInfo = encodeSignerInfo({ signer: client.device, eContent: undefined, attributes: requestAttributes({}) });
    const message = encodeSignedMessage({ eContent: undefined, certificates: [client.device.certificate], signerInfos: [signerInfo] });
    assert.deepEqual(await client.refusal(message), {
      failInfo: 'badRequest',
      failInfoText: 'The request is refused: a request without a pkcsPKIEnvelope.',
    });
  });

  it('is refused with badRequest: an eContentType other than id-data', async () => {
    const eContent = client.envelope(client.csr());
    const signerInfo = encodeSignerInfo({ signer: client.device, eContent, attributes: requestAttributes({}) });
    const parts = { eContent, eContentType: Oid.envelopedData, certificates: [client.device.certificate], signerInfos: [signerInfo] };
    assert.deepEqual(await client.refusal(encodeSignedMessage(parts)), {
      failInfo: 'badRequest',
      failInfoText: 'The request is refused: eContentType is not id-data.',
    });
  });
});

describe('the recipient', () => {
  const notOurs = {
    failInfo: 'badRequest',
    failInfoText: 'The message is not encrypted to this endpoint’s current certificate. Fetch GetCACert again.',
  };

  it('is refused with badRequest when it is another key', async () => {
    const other = createDevice(rsaKey('other RA')).certificate;
    assert.deepEqual(await client.refusal(client.request({ envelope: { recipients: [{ certificate: other }] } })), notOurs);
    assert.deepEqual(await client.refusal(client.request({ envelope: { recipients: [] } })), notOurs);
  });

  it('is refused with badRequest when it is the CA', async () => {
    assert.deepEqual(await client.refusal(client.request({ envelope: { recipients: [{ certificate: client.ca }] } })), notOurs);
  });

  it('may be named by its subjectKeyIdentifier', async () => {
    await client.enrol({ envelope: { recipients: [{ certificate: client.ra, identifiedBy: 'subjectKeyIdentifier' }] } });
  });

  it('may be any of several, as micromdm encrypts to every certificate of GetCACert', async () => {
    const other = createDevice(rsaKey('other RA')).certificate;
    for (const certificates of [
      [other, client.ra],
      [client.ra, client.ca],
      [other, client.ca, client.ra],
    ]) {
      await client.enrol({ envelope: { recipients: certificates.map(certificate => ({ certificate })) } });
    }
  });
});

describe('the signature', () => {
  const unsigned = { failInfo: 'badMessageCheck', failInfoText: 'The request is refused: the signature of the message does not hold.' };

  it('is refused with badMessageCheck when it was changed', async () => {
    assert.deepEqual(await client.refusal(withFlippedOctet(client.request(), -1)), unsigned);
  });

  it('is refused with badMessageCheck when what it signs was changed', async () => {
    const message = Buffer.from(client.request({ transactionID: 'AAAABBBBCCCCDDDD' }));
    const at = message.indexOf('AAAABBBBCCCCDDDD');
    assert.deepEqual(await client.refusal(withFlippedOctet(message, at)), unsigned);
  });

  it('is refused with badMessageCheck when the content was changed', async () => {
    const eContent = Buffer.from(client.envelope(client.csr()));
    const message = Buffer.from(client.request({ eContent }));
    assert.deepEqual(await client.refusal(withFlippedOctet(message, message.indexOf(eContent) + eContent.length - 1)), {
      failInfo: 'badMessageCheck',
      failInfoText: 'The request is refused: messageDigest is not the digest of the content.',
    });
  });

  it('is refused with badMessageCheck when another key made it', async () => {
    const impostor = { certificate: client.device.certificate, privateKey: rsaKey('second') };
    assert.deepEqual(await client.refusal(client.request({ signing: { signer: impostor } })), unsigned);
  });

  it('is refused with badMessageCheck when its certificate is not in the message', async () => {
    const eContent = client.envelope(client.csr());
    const signerInfos = [encodeSignerInfo({ signer: client.device, eContent, attributes: requestAttributes({}) })];
    for (const certificates of [[], [createDevice(rsaKey('second')).certificate]]) {
      assert.deepEqual(await client.refusal(encodeSignedMessage({ eContent, certificates, signerInfos })), {
        failInfo: 'badMessageCheck',
        failInfoText: 'The request is refused: the signer’s certificate is not in the message.',
      });
    }
  });

  it('may come with certificates that it does not need, in any order', async () => {
    const eContent = client.envelope(client.csr());
    const signerInfos = [encodeSignerInfo({ signer: client.device, eContent, attributes: requestAttributes({}) })];
    const certificates = [createDevice(rsaKey('second')).certificate, client.ca, client.device.certificate];
    issuedBy(await client.exchange(encodeSignedMessage({ eContent, certificates, signerInfos })));
  });

  it('is refused with badMessageCheck when its certificate is expired', async () => {
    const device = createDevice(undefined, { notAfter: Date.now() - dayMs });
    assert.deepEqual(await client.refusal(client.request({ device }), device), {
      failInfo: 'badMessageCheck',
      failInfoText: 'The certificate included in the request is expired.',
    });
  });

  it('may be by a certificate that a slow clock has made, or one that is ahead', async () => {
    for (const validity of [{ notAfter: Date.now() - 60_000 }, { notBefore: Date.now() + dayMs }]) {
      await client.enrol({ device: createDevice(undefined, validity) });
    }
  });

  it('is refused with badAlg when its key is one to which the answer cannot be encrypted', async () => {
    const device = createDevice(ecKey('prime256v1'));
    const signatureAlgorithm = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
    assert.deepEqual(await client.refusal(client.request({ device, signing: { signatureAlgorithm } }), device), {
      failInfo: 'badAlg',
      failInfoText: 'The answer can only be encrypted to an RSA key. Sign the request with an RSA key.',
    });
  });
});

describe('the attributes of the answer', () => {
  it('echo transactionIDs of every form that clients use', async () => {
    const transactionIDs = ['SSCEP transactionId', 'k+ieBEewequAqNwRhWLljGTjBQM=', '7'.repeat(77), 'x'.repeat(200), 'y'.repeat(256)];
    for (const transactionID of transactionIDs) {
      const certRep = await client.exchange(client.request({ transactionID }));
      issuedBy(certRep);
      assert.equal(certRep.transactionID, transactionID);
    }
  });

  it('echo a transactionID that is a UTF8String', async () => {
    const eContent = client.envelope(client.csr());
    const attributes = [attribute(Oid.transactionID, utf8String('certmonger-7')), ...requestAttributes({}).slice(1)];
    const certRep = await client.exchange(client.request({ eContent, signing: { attributes } }));
    issuedBy(certRep);
    assert.equal(certRep.transactionID, 'certmonger-7');
  });

  it('echo senderNonces of 16, of 8 and of 64 octets', async () => {
    for (const senderNonce of [nonce, nonce.subarray(0, 8), Buffer.alloc(64, 7)]) {
      const certRep = await client.exchange(client.request({ senderNonce }));
      issuedBy(certRep);
      assert.deepEqual(certRep.recipientNonce, senderNonce);
    }
  });

  it('have no recipientNonce where there was no senderNonce', async () => {
    const certRep = await client.exchange(client.request({ senderNonce: null }));
    issuedBy(certRep);
    assert.equal(certRep.recipientNonce, undefined);
  });

  it('have a senderNonce of their own, which is never the same', async () => {
    const message = client.request();
    const [first, second] = [await client.exchange(message), await client.exchange(message)];
    assert.deepEqual([first.senderNonce.length, second.senderNonce.length], [16, 16]);
    assert.notDeepEqual(first.senderNonce, second.senderNonce);
  });

  it('are there in a refusal as well', async () => {
    const certRep = await client.exchange(client.request({ messageType: '99', transactionID: 'refused', senderNonce: nonce }));
    assert.deepEqual([certRep.transactionID, certRep.recipientNonce, certRep.senderNonce.length], ['refused', nonce, 16]);
  });

  it('are signed as rsaEncryption, the one name that strongSwan 5.9 reads', async () => {
    assert.equal((await client.exchange(client.request())).signatureAlgorithm, Oid.rsaEncryption);
  });
});
