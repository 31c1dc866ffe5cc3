/** What RFC 8894 says of every answer, shown on answers of each kind. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { defaultEnrolmentPolicy, type EnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { digests } from '../../src/base/pki/algorithms.ts';
import { parseBer, Tag } from '../../src/base/pki/asn1.ts';
import { integer, objectIdentifier, sequence, time } from '../../src/base/pki/der.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { onlySigner, optionalAttribute, parseContentInfo, parseSignedData } from '../../src/base/pki/signed-data.ts';
import { FailInfo, MessageType } from '../../src/base/scep.ts';
import { attribute } from '../support/cms-parts.ts';
import { setEnrolmentPolicy } from '../support/operator.ts';
import { RawScepClient, send } from '../support/raw-scep-client.ts';
import { withFlippedOctet } from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const words = ['AES', 'DES3', 'GetNextCACert', 'POSTPKIOperation', 'Renewal', 'SHA-1', 'SHA-256', 'SHA-512', 'SCEPStandard'];

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
// What has no default, as the tolerance of the clock, stays; no other request says its signingTime.
afterEach(() => setEnrolmentPolicy(server, defaultEnrolmentPolicy));
after(() => server[Symbol.asyncDispose]());

/** A request that ends with each of the five, and the policy that it takes. */
const refusals: Record<keyof typeof FailInfo, { message: () => Uint8Array; policy?: Partial<EnrolmentPolicy> }> = {
  badAlg: { message: () => client.request({ signing: { digest: digests['SHA-1'] } }) },
  badMessageCheck: { message: () => withFlippedOctet(client.request(), -1) },
  badRequest: { message: () => client.request({ csrParts: { attributes: [] } }) },
  badTime: {
    message: () => client.request({ signedAttributes: [attribute(Oid.signingTime, time(Date.UTC(2001, 0, 1)))] }),
    policy: { SigningTimeToleranceMinutes: 60 },
  },
  badCertId: { message: () => client.request({ messageType: MessageType.GetCert, csr: sequence(client.ca.subject.der, integer(4711)) }) },
};

async function attributesOf(message: Uint8Array): Promise<{ pkiStatus: string | undefined; failInfo: string | undefined }> {
  const signer = onlySigner(parseSignedData((await client.post(message)).body));
  const printable = (type: string) => optionalAttribute(signer, type, Tag.printableString, type)?.octets().toString('latin1');
  return { pkiStatus: printable(Oid.pkiStatus), failInfo: printable(Oid.failInfo) };
}

describe('an answer', () => {
  it('is encrypted as id-data, around certs-only SignedData without a content', async () => {
    const answer = await client.post(client.request());
    const { messageData = Buffer.alloc(0), certificates } = client.decode(answer);
    const envelope = parseContentInfo(parseSignedData(answer.body).eContent ?? Buffer.alloc(0), Oid.envelopedData);
    const encryptedContentInfo = envelope.elements('EnvelopedData').at(-1)?.elements('encryptedContentInfo') ?? [];
    assert.equal(encryptedContentInfo[0]?.oid(), Oid.data);
    const { signerInfos, eContent, eContentType } = parseSignedData(messageData);
    assert.deepEqual({ signerInfos, eContent, eContentType }, { signerInfos: [], eContent: undefined, eContentType: Oid.data });
    assert.equal(certificates.length, 1);
    assert.ok(certificates[0]?.publicKey.equals(client.device.certificate.publicKey));
    // encapContentInfo without eContent is an OBJECT IDENTIFIER alone.
    const encapContentInfo = parseContentInfo(messageData, Oid.signedData).elements('SignedData')[2];
    assert.deepEqual(encapContentInfo?.bytes, parseBer(sequence(objectIdentifier(Oid.data))).bytes);
  });

  it('has a pkiStatus of 0, 2 or 3, and a failInfo beside 2 alone', async () => {
    assert.deepEqual(await attributesOf(client.request()), { pkiStatus: '0', failInfo: undefined });
    assert.deepEqual(await attributesOf(refusals.badRequest.message()), { pkiStatus: '2', failInfo: '2' });
    await setEnrolmentPolicy(server, { Approval: { Mode: 'MANUAL', ExpiresInDays: 1 } });
    assert.deepEqual(await attributesOf(client.request()), { pkiStatus: '3', failInfo: undefined });
  });
});

describe('a refusal', () => {
  it('has badAlg, badMessageCheck, badRequest, badTime or badCertId for what is wrong', async () => {
    for (const [name, { message, policy }] of Object.entries(refusals)) {
      if (policy) await setEnrolmentPolicy(server, policy);
      assert.deepEqual(await attributesOf(message()), { pkiStatus: '2', failInfo: FailInfo[name as keyof typeof FailInfo] }, name);
    }
  });
});

describe('GetCACaps', () => {
  const capabilities = async () => String((await send(`${server.url}?operation=GetCACaps`)).body);

  it('says what the policy switches on, in the words of the RFC, and nothing else', async () => {
    const standard = 'AES\nPOSTPKIOperation\nSCEPStandard\nSHA-256\nSHA-384\nSHA-512\n';
    assert.equal(await capabilities(), standard);
    await setEnrolmentPolicy(server, {
      LegacyAlgorithms: { Sha1: true, TripleDes: true, SingleDes: true },
      Renewal: { Mode: 'CERTIFICATE', WindowPercent: 50 },
    });
    const all = await capabilities();
    assert.equal(all, 'AES\nDES3\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-1\nSHA-256\nSHA-384\nSHA-512\n');
    const unregistered = all
      .trimEnd()
      .split('\n')
      .filter(word => !words.includes(word));
    assert.deepEqual(unregistered, ['SHA-384']);
  });
});
