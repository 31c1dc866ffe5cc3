/** Whatever Intune says that is not Success: no certificate, a FAILURE that names it, an event with the code and the activity's id. Of each code that a request can bring about, Intune itself is brought to say it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { extKeyUsageExtension, generalName, KeyUsage, keyUsageExtension, subjectAltNameExtension } from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { IntuneSubject } from '../support/intune-subject.ts';
import { decodeCertRep, issuanceIn, type RawScepClient, type RequestParts } from '../support/raw-scep-client.ts';
import { challengePassword } from '../support/scep-messages.ts';
import { until } from '../support/waiting.ts';

const hourMs = 3_600_000;
const expectations = { subject: 'CN=printer-7,O=Example' };
const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The challenge that makes Intune say so, and what of the request is otherwise. */
type Way = (subject: IntuneSubject) => { challenge: string; parts?: RequestParts };

const ofProfile =
  (change: object, parts: RequestParts = {}): Way =>
  (subject: IntuneSubject) => ({
    challenge: subject.challenge({ expectations: { ...expectations, ...change } }),
    parts,
  });
const dns = (name: string) => subjectAltNameExtension([generalName.dns(name)], false);
const otherKey = 'RGV2aWNl';

const ways: Readonly<Record<string, Way>> = {
  ChallengeDecodingError: () => ({ challenge: 'no challenge of Intune' }),
  ChallengeDecryptionError: subject => ({ challenge: subject.challenge({ tampering: 'ciphertext' }) }),
  ChallengeDeserializationError: subject => ({ challenge: subject.challenge({ tampering: 'json' }) }),
  SignatureValidationFailed: subject => ({ challenge: subject.challenge({ tampering: 'signature' }) }),
  SigningCertThumbprintMismatch: subject => ({ challenge: subject.challenge({ tampering: 'signer' }) }),
  ChallengeInvalidTimestamp: subject => ({ challenge: subject.challenge({ createdAt: subject.server.now() + hourMs }) }),
  ChallengeExpired: subject => ({ challenge: subject.challenge({ createdAt: subject.server.now() - hourMs - 1 }) }),
  BadTenantIdInChallenge: subject => ({ challenge: subject.challenge({ claims: { tid: '00000000-0000-4000-8000-000000000000' } }) }),
  BadCertificateRequestIdInChallenge: subject => ({ challenge: subject.challenge({ claims: { certRequestId: 'another' } }) }),
  BadDeviceIdInChallenge: subject => ({ challenge: subject.challenge({ claims: { deviceId: 'another' } }) }),
  BadUserIdInChallenge: subject => ({ challenge: subject.challenge({ claims: { userId: 'another' } }) }),
  ScepProfileNoLongerTargetedToTheClient: subject => ({
    challenge: subject.challenge({ profile: subject.tenant.addProfile(expectations, []) }),
  }),
  SubjectNameMismatch: ofProfile({ subject: 'CN=Printer-7,O=Example' }),
  SubjectNameMissing: ofProfile({}, { csrParts: { subject: '' }, extensions: [dns('a.example.com')] }),
  SubjectAltNameMissing: ofProfile({ subjectAltNames: ['dNSName:a.example.com'] }),
  SubjectAltNameMismatch: ofProfile({ subjectAltNames: ['dNSName:a.example.com'] }, { extensions: [dns('b.example.com')] }),
  KeyUsageMismatch: ofProfile(
    { keyUsage: [KeyUsage.digitalSignature] },
    { extensions: [keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment])] },
  ),
  KeyLengthMismatch: ofProfile({ keyBits: 4096 }),
  EnhancedKeyUsageMissing: ofProfile({ extKeyUsage: [Oid.clientAuth] }),
  EnhancedKeyUsageMismatch: ofProfile({ extKeyUsage: [Oid.clientAuth] }, { extensions: [extKeyUsageExtension([Oid.serverAuth])] }),
  AadKeyIdentifierListMissing: subject => ({ challenge: subject.challenge({ device: subject.tenant.addDevice({ keyIdentifiers: [] }) }) }),
  RegisteredKeyMismatch: subject => ({
    challenge: subject.challenge({ device: subject.tenant.addDevice({ keyIdentifiers: [otherKey] }) }),
  }),
};

/** Those that this server refuses before Intune could, and those that Microsoft's library knows of without saying when. */
const spoken = ['CertificateRequestDecodingFailed', 'ChallengePasswordMissing', 'Unknown'];
/** Of none that is known. */
const unheardOf = ['NeverHeardOf', 'success', 'Success ', ''];

for (const compatibility of ['clients', 'aws'] as const) {
  describe(`with SCEP_COMPATIBILITY=${compatibility}`, () => {
    let subject: IntuneSubject;
    let sent = 0;
    before(async () => {
      subject = await IntuneSubject.start({ SCEP_COMPATIBILITY: compatibility });
    });
    after(() => subject[Symbol.asyncDispose]());

    async function assertRefused(client: RawScepClient, parts: RequestParts, code: string): Promise<void> {
      const { database, logLines } = subject.server;
      const before = await issuanceIn(database);
      const transactionID = `verdict-${++sent}`;
      const answer = await client.post(client.request({ ...parts, transactionID }));
      assert.equal(answer.statusCode, compatibility === 'aws' ? 400 : 200);
      const text = `Intune certificate signing request validation failed. Reason: ${code}`;
      assert.equal(answer.headers['x-amzn-errormessage'], text.trimEnd());
      assert.equal(answer.headers['x-amzn-errortype'], 'BadRequestException');
      const { pkiStatus, failInfo, failInfoText, certificates } = decodeCertRep(answer.body, client.ra, parts.device ?? client.device);
      assert.deepEqual([pkiStatus, failInfo, certificates?.length ?? 0], ['FAILURE', 'badRequest', 0]);
      assert.ok(failInfoText?.includes(code.trim()));
      assert.deepEqual(await issuanceIn(database), before);
      const event = await database.query
        .selectFrom('audit_events')
        .selectAll()
        .where('name', '=', 'EnrolmentRefused')
        .orderBy('event_id', 'desc')
        .executeTakeFirstOrThrow();
      const { intune, transactionID: recorded } = JSON.parse(event.detail);
      assert.deepEqual([recorded, intune.code, event.connector_id], [transactionID, code.trim(), subject.connectorId]);
      assert.match(intune.activityId, guid);
      assert.equal(subject.microsoft.requests.at(-1)?.activityId, intune.activityId);
      assert.equal(JSON.stringify(logLines).includes(client.endpoint.challengePassword), false);
    }

    for (const [code, way] of Object.entries(ways)) {
      it(`${code} refuses`, async () => {
        const { challenge, parts = {} } = way(subject);
        await assertRefused(await subject.connect(challenge), parts, code);
      });
    }

    for (const code of [...spoken, ...unheardOf]) {
      it(`${JSON.stringify(code)} refuses, said for whichever reason`, async () => {
        const client = await subject.connect();
        subject.microsoft.faults.add({ route: 'validateRequest', kind: { code } });
        await assertRefused(client, {}, code);
        // It was no more than a word: the same challenge is good.
        await client.enrol({ transactionID: 'another' });
      });
    }

    it('has said each of the 25 codes that are known to refuse', () => {
      assert.equal(new Set([...Object.keys(ways), ...spoken]).size, 25);
    });

    it('tells Intune nothing of what Intune itself has refused', () => {
      assert.ok(subject.microsoft.notifications.every(({ kind }) => kind === 'success'));
      assert.deepEqual(subject.microsoft.violations, []);
    });

    it('asks nobody about a request without a challenge, or with two', async () => {
      const client = await subject.connect();
      const asked = subject.microsoft.count('validateRequest');
      for (const attributes of [[], [challengePassword('a'), challengePassword('b')]]) {
        const answer = await client.post(client.request({ csrParts: { attributes } }));
        assert.match(String(answer.headers['x-amzn-errormessage']), /^Exactly one challenge password is required/);
      }
      assert.equal(subject.microsoft.count('validateRequest'), asked);
    });
  });
}

describe('a refusal after Intune has validated', () => {
  it('is told to Intune once, and stays', async () => {
    await using subject = await IntuneSubject.start();
    const client = await subject.connect();
    const asks = { extensions: [extKeyUsageExtension([Oid.codeSigning])], transactionID: 'codeSigning', device: client.device };
    const message = client.request(asks);
    for (const times of [1, 2]) {
      const { pkiStatus, failInfoText } = await client.exchange(message);
      assert.equal(pkiStatus, 'FAILURE');
      assert.match(failInfoText ?? '', /extended key usage that devices are not given/, String(times));
    }
    const { notifications, violations } = subject.microsoft;
    await until(async () => notifications.length > 0, 'Intune is told');
    const [told, again] = notifications;
    assert.deepEqual([told?.kind, told?.transactionId, again], ['failure', 'codeSigning', undefined]);
    assert.match(String(told?.members['errorDescription']), /extended key usage/);
    assert.deepEqual([violations, subject.microsoft.count('validateRequest')], [[], 1]);
  });
});

describe('a key', () => {
  it('of a device that Intune knows by it enrols', async () => {
    await using subject = await IntuneSubject.start();
    const { device: keyPair } = await subject.connect();
    const known = Buffer.from(keyPair.certificate.publicKey.spki).toString('base64');
    const device = subject.tenant.addDevice({ keyIdentifiers: [otherKey, known] });
    await (await subject.connect(subject.challenge({ device }))).enrol();
  });
});
