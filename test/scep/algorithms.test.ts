/** The algorithms of a request: which are refused with badAlg and in what words, and how the answer uses those that are accepted. */
import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { contentCiphers, type DigestName, digests, encodeAlgorithmIdentifier } from '../../src/base/pki/algorithms.ts';
import type { KeyTransport } from '../../src/base/pki/enveloped-data.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { issuedBy, RawScepClient } from '../support/raw-scep-client.ts';
import { createDevice } from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

describe('an algorithm that is refused', () => {
  const cipherText = (name: 'DES-CBC' | '3DES-CBC') =>
    `Unsupported algorithm: ${contentCiphers[name].oid} (${name}). Use AES-128-CBC or AES-256-CBC.`;
  const sha1Text = 'Unsupported algorithm: 1.3.14.3.2.26 (SHA-1). Use SHA-256.';
  const requests: [name: string, message: () => Uint8Array, failInfoText: string][] = [
    ['single DES', () => client.request({ envelope: { cipher: contentCiphers['DES-CBC'] } }), cipherText('DES-CBC')],
    ['triple DES', () => client.request({ envelope: { cipher: contentCiphers['3DES-CBC'] } }), cipherText('3DES-CBC')],
    ['SHA-1', () => client.request({ signing: { digest: digests['SHA-1'] } }), sha1Text],
    [
      'single DES and SHA-1, both at once',
      () => client.request({ envelope: { cipher: contentCiphers['DES-CBC'] }, signing: { digest: digests['SHA-1'] } }),
      `${cipherText('DES-CBC')} ${sha1Text}`,
    ],
    [
      'a cipher that nobody knows',
      () => client.request({ envelope: { cipher: { ...contentCiphers['AES-128-CBC'], oid: '1.2.3.4' } } }),
      'Unsupported algorithm: 1.2.3.4. Use AES-128-CBC or AES-256-CBC.',
    ],
    [
      'AES-128-GCM',
      () => client.request({ envelope: { cipher: { ...contentCiphers['AES-128-CBC'], oid: '2.16.840.1.101.3.4.1.6' } } }),
      'Unsupported algorithm: 2.16.840.1.101.3.4.1.6 (AES-128-GCM). Use AES-128-CBC or AES-256-CBC.',
    ],
    [
      'a signature algorithm that nobody knows',
      () => client.request({ signing: { signatureAlgorithm: encodeAlgorithmIdentifier('1.2.3.4') } }),
      'Unsupported algorithm: 1.2.3.4. Use RSA or ECDSA with SHA-256.',
    ],
  ];
  for (const [name, message, failInfoText] of requests) {
    it(`is answered with badAlg, its name and what to use: ${name}`, async () => {
      assert.deepEqual(await client.refusal(message()), { failInfo: 'badAlg', failInfoText });
    });
  }

  it('is answered with badAlg: MD5', async () => {
    const md5 = { ...digests['SHA-256'], oid: '1.2.840.113549.2.5' };
    assert.deepEqual(await client.refusal(client.request({ signing: { digest: md5 } })), {
      failInfo: 'badAlg',
      failInfoText: 'Unsupported algorithm: 1.2.840.113549.2.5 (MD5). Use SHA-256.',
    });
  });

  it('is answered in SHA-256, which the client has not asked for', async () => {
    const { digest } = await client.exchange(client.request({ signing: { digest: digests['SHA-1'] } }));
    assert.equal(digest, 'SHA-256');
  });

  it('is answered with badAlg where a CSR is signed with it', async () => {
    const signer = {
      algorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.5'),
      sign: (data: Uint8Array) => sign('sha1', data, client.device.privateKey),
    };
    assert.deepEqual(await client.refusal(client.request({ csrParts: { signer } })), {
      failInfo: 'badAlg',
      failInfoText: 'Unsupported algorithm: 1.3.14.3.2.26 (SHA-1). Use SHA-256 to sign the certificate signing request.',
    });
  });
});

describe('the algorithms of the answer', () => {
  it('are the request’s digest and content cipher', async () => {
    const pairs: [DigestName, keyof typeof contentCiphers][] = [
      ['SHA-256', 'AES-128-CBC'],
      ['SHA-384', 'AES-192-CBC'],
      ['SHA-512', 'AES-256-CBC'],
    ];
    for (const [digest, cipher] of pairs) {
      const certRep = await client.exchange(
        client.request({ envelope: { cipher: contentCiphers[cipher] }, signing: { digest: digests[digest] } }),
      );
      issuedBy(certRep);
      assert.deepEqual([certRep.digest, certRep.cipher, certRep.keyTransport], [digest, cipher, 'PKCS1']);
    }
  });

  for (const name of ['SHA-1', 'SHA-256', 'SHA-512'] as const) {
    it(`are OAEP with ${name} where the request came so, as from Windows`, async () => {
      const keyTransport: KeyTransport = { scheme: 'OAEP', digest: digests[name] };
      const certRep = await client.exchange(client.request({ envelope: { recipients: [{ certificate: client.ra, keyTransport }] } }));
      issuedBy(certRep);
      assert.equal(certRep.keyTransport, `OAEP ${name}`);
    });
  }

  it('are the digest of the request in a refusal as well', async () => {
    assert.equal((await client.exchange(client.request({ messageType: '99', signing: { digest: digests['SHA-512'] } }))).digest, 'SHA-512');
  });
});

describe('the signature of a request', () => {
  it('may name its digest', async () => {
    await client.enrol({ signing: { signatureAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.11') } });
  });

  it('is refused with badRequest when it names another digest than digestAlgorithm', async () => {
    const signing = { signatureAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.13') };
    assert.deepEqual(await client.refusal(client.request({ signing })), {
      failInfo: 'badRequest',
      failInfoText: 'The request is refused: digestAlgorithm and signatureAlgorithm do not agree.',
    });
  });
});

describe('the key of a CSR', () => {
  const tooShort = (bits: number) => ({
    failInfo: 'badAlg',
    failInfoText: `Key algorithm or length is not supported. The key is RSA with ${bits} bits; use RSA with 2048 bits or more.`,
  });

  for (const bits of [512, 1024, 2040]) {
    it(`is refused with badAlg when it is RSA with ${bits} bits`, async () => {
      const device = createDevice(rsaKey('short', bits));
      assert.deepEqual(await client.refusal(client.request({ device }), device), tooShort(bits));
    });
  }

  it('may be RSA with 3072 bits', async () => {
    const device = createDevice(rsaKey('long', 3072));
    assert.equal((await client.enrol({ device })).publicKey.asymmetricKeyDetails?.modulusLength, 3072);
  });
});
