/** SHA-1, triple DES and single DES: each behind its own switch of the policy, announced by GetCACaps, and used in the answer to who uses it. */
import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { EnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import {
  type ContentCipherName,
  contentCiphers,
  type DigestName,
  digests,
  encodeAlgorithmIdentifier,
} from '../../src/base/pki/algorithms.ts';
import { setEnrolmentPolicy } from '../support/operator.ts';
import { issuedBy, RawScepClient, send } from '../support/raw-scep-client.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const off: EnrolmentPolicy['LegacyAlgorithms'] = { Sha1: false, TripleDes: false, SingleDes: false };
const standard = ['AES', 'POSTPKIOperation', 'SCEPStandard', 'SHA-256', 'SHA-384', 'SHA-512'];

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

const set = (change: Partial<EnrolmentPolicy['LegacyAlgorithms']>) =>
  setEnrolmentPolicy(server, { LegacyAlgorithms: { ...off, ...change } });

async function capabilities(): Promise<string[]> {
  return String((await send(`${server.url}?operation=GetCACaps`)).body)
    .split('\n')
    .filter(word => word !== '');
}

const request = (digest: DigestName, cipher: ContentCipherName) =>
  client.request({ signing: { digest: digests[digest] }, envelope: { cipher: contentCiphers[cipher] } });

const switches: [name: keyof typeof off, word: string[], message: () => Uint8Array, answer: [digest: string, cipher: string]][] = [
  ['Sha1', ['SHA-1'], () => request('SHA-1', 'AES-128-CBC'), ['SHA-1', 'AES-128-CBC']],
  ['TripleDes', ['DES3'], () => request('SHA-256', '3DES-CBC'), ['SHA-256', '3DES-CBC']],
  // No word of GetCACaps stands for it: clients that know no other cipher do not ask.
  ['SingleDes', [], () => request('SHA-256', 'DES-CBC'), ['SHA-256', 'DES-CBC']],
];

for (const [name, words, message, answer] of switches) {
  describe(`the switch ${name}`, () => {
    it('is off by default, and alone makes its algorithm accepted', async () => {
      await set({});
      assert.equal((await client.refusal(message())).failInfo, 'badAlg');
      const others = Object.fromEntries(switches.filter(([other]) => other !== name).map(([other]) => [other, true]));
      await set(others);
      assert.equal((await client.refusal(message())).failInfo, 'badAlg');
      await set({ [name]: true });
      issuedBy(await client.exchange(message()));
    });

    it('has the answer use the algorithm where the request does, and nowhere else', async () => {
      await set({ [name]: true });
      const own = await client.exchange(message());
      assert.deepEqual([own.digest, own.cipher], answer);
      const other = await client.exchange(client.request());
      assert.deepEqual([other.digest, other.cipher], ['SHA-256', 'AES-128-CBC']);
    });

    it('changes GetCACaps by what it accepts', async () => {
      await set({ [name]: true });
      assert.deepEqual(await capabilities(), [...standard, ...words].toSorted());
      await set({});
      assert.deepEqual(await capabilities(), standard);
    });
  });
}

describe('with every switch on', () => {
  it('MD5 stays refused: no switch brings it back', async () => {
    await set({ Sha1: true, TripleDes: true, SingleDes: true });
    const md5 = { ...digests['SHA-256'], oid: '1.2.840.113549.2.5' };
    assert.deepEqual(await client.refusal(client.request({ signing: { digest: md5 } })), {
      failInfo: 'badAlg',
      failInfoText: 'Unsupported algorithm: 1.2.840.113549.2.5 (MD5). Use SHA-256.',
    });
  });

  it('a CSR may be signed with SHA-1', async () => {
    await set({ Sha1: true });
    const signer = {
      algorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.5'),
      sign: (data: Uint8Array) => sign('sha1', data, client.device.privateKey),
    };
    const message = client.request({ csrParts: { signer } });
    await set({});
    assert.equal((await client.refusal(message)).failInfo, 'badAlg');
    await set({ Sha1: true });
    const certificate = issuedBy(await client.exchange(message));
    // The CA signs as it always does.
    assert.ok(certificate.raw.includes(Buffer.from(encodeAlgorithmIdentifier('1.2.840.113549.1.1.11'))));
  });

  it('a refused request is answered in SHA-256 unless SHA-1 is accepted', async () => {
    for (const [Sha1, digest] of [
      [false, 'SHA-256'],
      [true, 'SHA-1'],
    ] as const) {
      await set({ Sha1 });
      const answer = await client.exchange(request('SHA-1', 'DES-CBC'));
      assert.deepEqual([answer.failInfo, answer.digest], ['badAlg', digest]);
    }
  });
});
