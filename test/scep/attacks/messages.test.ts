/** Attacks on signatures and algorithms (F.8, F.12, F.15, F.22): what is signed, by whom, for which key, and how weakly. */
import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { defaultEnrolmentPolicy } from '../../../src/base/enrolment-policy.ts';
import { contentCiphers, type Digest, digests, encodeAlgorithmIdentifier } from '../../../src/base/pki/algorithms.ts';
import { contextConstructed, objectIdentifier, octetString, printableString, setOf } from '../../../src/base/pki/der.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { parseCertificate } from '../../../src/base/pki/x509.ts';
import { MessageType } from '../../../src/base/scep.ts';
import { attribute, cmsAttributes, signedData, signerInfo } from '../../support/cms-parts.ts';
import { setEnrolmentPolicy } from '../../support/operator.ts';
import { rsaKey } from '../../support/pki-fixtures.ts';
import { RawScepClient, type RequestParts, send } from '../../support/raw-scep-client.ts';
import { createDevice, encodeSignedMessage, requestAttributes, withFlippedOctet } from '../../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../../support/temporary-server.ts';

const otherKey = 'The request is not signed with the key that the certificate signing request is for.';

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
afterEach(() => setEnrolmentPolicy(server, defaultEnrolmentPolicy));
after(() => server[Symbol.asyncDispose]());

const refusalOf = (parts: RequestParts) => client.refusal(client.request(parts));

/** A message whose signed attributes, with CMS's own first, are made from the right ones, and are signed as they stand. */
function signedOver(
  change: (cms: ReturnType<typeof cmsAttributes>, scep: Uint8Array[]) => Uint8Array[],
  unsignedAttrs?: Uint8Array,
): Uint8Array {
  const eContent = client.envelope(client.csr());
  const attributes = change(cmsAttributes(eContent), requestAttributes({}));
  const info = signerInfo({ signer: client.device, attributes, ...(unsignedAttrs && { unsignedAttrs }) });
  return encodeSignedMessage({ eContent, certificates: [client.device.certificate], signerInfos: [info] });
}

describe('F.8: a signature that is taken for one of something else', () => {
  const scep = () => requestAttributes({});
  const unreadable: [name: string, message: () => Uint8Array, reason: string][] = [
    [
      'signed attributes passed off as a content',
      () => {
        const eContent = setOf(...cmsAttributes(Buffer.alloc(0)), ...scep());
        const info = signerInfo({ signer: client.device, attributes: undefined, eContent });
        return signedData({ eContent: octetString(eContent), certificates: [client.device.certificate.der], signerInfos: [info] });
      },
      'a SignerInfo without signedAttrs',
    ],
    ['messageDigest twice', () => signedOver(([type, digest], rest) => [type, digest, digest, ...rest]), 'stands twice'],
    [
      'transactionID twice, of which checks may see one and answers the other',
      () => signedOver((cms, rest) => [...cms, ...rest, attribute(Oid.transactionID, printableString('another'))]),
      'stands twice',
    ],
    [
      'a transactionID of two values',
      () => signedOver((cms, [, ...rest]) => [...cms, ...rest, attribute(Oid.transactionID, printableString('a'), printableString('b'))]),
      'transactionID is not one value',
    ],
    [
      'SCEP’s attributes where nothing signs them',
      () => signedOver(cms => cms, contextConstructed(1, ...scep())),
      'transactionID is missing',
    ],
    [
      'two signers',
      () => {
        const eContent = client.envelope(client.csr());
        const signerInfos = ['one', 'two'].map(() =>
          signerInfo({ signer: client.device, attributes: [...cmsAttributes(eContent), ...scep()] }),
        );
        return encodeSignedMessage({ eContent, certificates: [client.device.certificate], signerInfos });
      },
      'exactly one SignerInfo',
    ],
  ];
  for (const [name, message, reason] of unreadable) {
    it(`is refused: ${name}`, async () => {
      const { statusCode, text } = await client.rejection(message());
      assert.equal(statusCode, 400);
      assert.ok(text.includes(reason), text);
    });
  }

  const refused: [name: string, message: () => Uint8Array, reason: string][] = [
    [
      'a contentType other than the content’s',
      () => signedOver(([, digest], rest) => [attribute(Oid.contentType, objectIdentifier(Oid.envelopedData)), digest, ...rest]),
      'contentType is not eContentType',
    ],
    ['no messageDigest', () => signedOver(([type], rest) => [type, ...rest]), 'messageDigest is missing'],
    [
      'a digestAlgorithm that is not the signature’s',
      () => client.request({ signing: { signatureAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.13') } }),
      'digestAlgorithm and signatureAlgorithm do not agree',
    ],
    [
      'a sid that names no certificate of the message',
      () => {
        const eContent = client.envelope(client.csr());
        const info = signerInfo({ signer: client.device, attributes: [...cmsAttributes(eContent), ...scep()] });
        return encodeSignedMessage({ eContent, certificates: [createDevice(rsaKey('second')).certificate], signerInfos: [info] });
      },
      'the signer’s certificate is not in the message',
    ],
    [
      'a content that is signed attributes itself',
      () => client.request({ eContent: setOf(...cmsAttributes(Buffer.alloc(0)), ...scep()) }),
      'The request is refused: ',
    ],
  ];
  for (const [name, message, reason] of refused) {
    it(`is refused with a CertRep: ${name}`, async () => {
      const { failInfoText = '' } = await client.refusal(message());
      assert.ok(failInfoText.includes(reason), failInfoText);
    });
  }

  it('is no danger in unsigned attributes beside the signed ones, which are not read', async () => {
    const unsigned = contextConstructed(1, attribute(Oid.transactionID, printableString('another')));
    const { pkiStatus, transactionID } = await client.exchange(signedOver((cms, rest) => [...cms, ...rest], unsigned));
    assert.equal(pkiStatus, 'SUCCESS');
    assert.notEqual(transactionID, 'another');
  });
});

describe('F.12: a certificate for the key of someone else', () => {
  it('is refused: the CSR must be for the key that signs the message', async () => {
    assert.deepEqual(await refusalOf({ csrParts: { key: rsaKey('second') } }), { failInfo: 'badMessageCheck', failInfoText: otherKey });
  });

  it('is refused by a signer that has the name, the issuer and the serial number of the right one', async () => {
    const { subject, serialNumber } = await client.enrol();
    const device = createDevice(rsaKey('second'), { subject: subject.replace('\n', ','), serialNumber });
    const message = client.request({ device, csr: client.csr() });
    assert.equal((await client.refusal(message, device)).failInfoText, otherKey);
  });

  it('is refused when the CSR is not signed with the key that it is for', async () => {
    const spki = createDevice(rsaKey('second')).certificate.publicKey.spki;
    const device = createDevice(rsaKey('second'));
    const message = client.request({ device, csr: client.csr({ csrParts: { subjectPublicKeyInfo: spki } }) });
    assert.deepEqual(await client.refusal(message, device), {
      failInfo: 'badMessageCheck',
      failInfoText: 'The signature of the certificate signing request does not hold.',
    });
  });
});

describe('F.15: a downgrade by editing GetCACaps on the way', () => {
  const weak: [name: string, parts: RequestParts][] = [
    ['single DES', { envelope: { cipher: contentCiphers['DES-CBC'] } }],
    ['triple DES', { envelope: { cipher: contentCiphers['3DES-CBC'] } }],
    ['SHA-1', { signing: { digest: digests['SHA-1'] } }],
  ];
  for (const [name, parts] of weak) {
    it(`is refused whatever the client believes: ${name}`, async () => {
      const { failInfo, failInfoText } = await refusalOf(parts);
      assert.equal(failInfo, 'badAlg');
      assert.match(failInfoText ?? '', /^Unsupported algorithm: .*\. Use /);
    });
  }

  it('has nothing to announce: no word for what is refused stands in GetCACaps', async () => {
    const words = String((await send(`${server.url}?operation=GetCACaps`)).body).split('\n');
    for (const word of ['SHA-1', 'DES3', 'MD5', 'DES']) assert.ok(!words.includes(word), word);
  });

  it('is not answered weakly: a refusal of SHA-1 is signed with SHA-256', async () => {
    assert.equal((await client.exchange(client.request({ signing: { digest: digests['SHA-1'] } }))).digest, 'SHA-256');
  });
});

describe('F.22: collisions of SHA-1 and MD5', () => {
  const md5: Digest = { name: 'MD5', oid: '1.2.840.113549.2.5', openssl: 'md5', octets: 16 } as unknown as Digest;
  const withMd5 = (): Uint8Array => {
    const eContent = client.envelope(client.csr());
    const attributes = [...cmsAttributes(eContent, md5), ...requestAttributes({})];
    const info = signerInfo({ signer: client.device, attributes, digest: md5, sign: (data, key) => sign('md5', data, key) });
    return encodeSignedMessage({ eContent, certificates: [client.device.certificate], signerInfos: [info], digest: md5 });
  };
  const legacy = { LegacyAlgorithms: { Sha1: true, TripleDes: true, SingleDes: true } };

  it('of MD5 are refused, whatever the policy switches on', async () => {
    for (const policy of [defaultEnrolmentPolicy, legacy]) {
      await setEnrolmentPolicy(server, policy);
      assert.equal((await client.refusal(withMd5())).failInfo, 'badAlg');
    }
  });

  it('of SHA-1 are of no use where the policy takes it: the password authorises then, and no certificate renews itself by it', async () => {
    await setEnrolmentPolicy(server, { ...legacy, Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
    const { raw } = await client.enrol({ signing: { digest: digests['SHA-1'] } });
    const device = { certificate: parseCertificate(raw), privateKey: client.device.privateKey };
    const renewal = (digest: Digest) =>
      client.request({ device, messageType: MessageType.RenewalReq, csrParts: { attributes: [] }, signing: { digest } });
    assert.equal((await client.refusal(renewal(digests['SHA-1']), device)).failInfo, 'badAlg');
    assert.equal((await client.exchange(renewal(digests['SHA-256']), device)).pkiStatus, 'SUCCESS');
  });

  it('have no part in what is issued: certificates are signed with SHA-2', async () => {
    await setEnrolmentPolicy(server, legacy);
    const { raw } = await client.enrol({ signing: { digest: digests['SHA-1'] } });
    assert.equal(parseCertificate(raw).signatureAlgorithm.oid, '1.2.840.113549.1.1.11');
  });

  it('are not needed to alter a message: one flipped octet of the signature is enough to be refused', async () => {
    assert.equal((await client.refusal(withFlippedOctet(client.request(), -1))).failInfo, 'badMessageCheck');
  });
});
