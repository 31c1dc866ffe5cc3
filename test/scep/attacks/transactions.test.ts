/** Attacks on transactions and renewals (F.9 to F.11, F.23): requests sent again, taken over or signed with another's certificate, and lost answers. */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Query, StoreError } from '../../../src/backends/store/database.ts';
import { defaultEnrolmentPolicy } from '../../../src/base/enrolment-policy.ts';
import { sequence } from '../../../src/base/pki/der.ts';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import { extKeyUsageExtension, generalName, subjectAltNameExtension } from '../../../src/base/pki/extensions.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { fingerprint, parseCertificate } from '../../../src/base/pki/x509.ts';
import { MessageType } from '../../../src/base/scep.ts';
import { approveWaiting, createConnector, revoke, setEnrolmentPolicy } from '../../support/operator.ts';
import { createIdentity, rsaKey } from '../../support/pki-fixtures.ts';
import { issuanceIn, issuedBy, RawScepClient, type RequestParts } from '../../support/raw-scep-client.ts';
import { createDevice, extensionRequest } from '../../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../../support/temporary-server.ts';
import { checkCertRep, sendVector } from '../../support/vector-exchange.ts';
import { readVectors } from '../../support/vector-file.ts';
import { connectorIdOf } from '../../support/vector-store.ts';
import { openVectorWorld } from '../../support/vector-world.ts';

const otherKey = 'The request is not signed with the key that the certificate signing request is for.';
const waitsNoMore = 'There is no request of this transaction that waits, or it was not decided in time.';
const noChallenge = 'Exactly one challenge password is required in the certificate signing request.';

let server: TemporaryServer;
let client: RawScepClient;
let other: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
  other = await RawScepClient.connect(await createConnector(server));
});
afterEach(() => setEnrolmentPolicy(server, defaultEnrolmentPolicy));
after(() => server[Symbol.asyncDispose]());

/** With another key than the devices' that it plays tricks on. */
const attacker = createDevice(rsaKey('attacker'));

const identityOf = ({ raw }: X509Certificate | { raw: Uint8Array }, privateKey = client.device.privateKey): KeyPair => ({
  certificate: parseCertificate(raw),
  privateKey,
});

describe('F.9: a captured request sent again', () => {
  it('brings the same certificate once more, for the key that signed it, and issues none', async () => {
    const message = client.request();
    const { raw } = issuedBy(await client.exchange(message));
    const issued = await issuanceIn(server.database);
    for (let time = 0; time < 3; time++) assert.deepEqual(issuedBy(await client.exchange(message)).raw, raw);
    assert.deepEqual(await issuanceIn(server.database), issued);
    // Without the device's key it opens for nobody.
    const answer = await client.post(message);
    assert.throws(() => client.decode(answer, attacker));
  });

  it('that is all at once is one certificate too', async () => {
    const message = client.request();
    const answers = await Promise.all(Array.from({ length: 6 }, () => client.exchange(message)));
    const serials = new Set(answers.map(answer => issuedBy(answer).serialNumber));
    assert.equal(serials.size, 1);
  });

  it('is refused when its signingTime is too long ago, where the policy looks at it', async () => {
    await setEnrolmentPolicy(server, { SigningTimeToleranceMinutes: 30 });
    const signingTime = Buffer.from('170d3230303130313030303030305a', 'hex');
    const attribute = sequence(
      Buffer.from('06092a864886f70d010905', 'hex'),
      Buffer.concat([Buffer.of(0x31, signingTime.length), signingTime]),
    );
    const { failInfo } = await client.refusal(client.request({ signedAttributes: [attribute] }));
    assert.equal(failInfo, 'badTime');
  });
});

describe('F.10: a transaction taken over by whoever knows its identifier', () => {
  const poll = (transactionID: string, device: KeyPair) =>
    client.request({
      device,
      transactionID,
      messageType: MessageType.CertPoll,
      csr: sequence(client.ca.subject.der, device.certificate.subject.der),
    });

  it('by CertPoll is answered only to the key that signed the request', async () => {
    const transactionID = 'guessable';
    await setEnrolmentPolicy(server, { Approval: { Mode: 'MANUAL', ExpiresInDays: 1 } });
    assert.equal((await client.exchange(client.request({ transactionID }))).pkiStatus, 'PENDING');
    assert.equal(await approveWaiting(server), 1);
    const refusal = { failInfo: 'badCertId', failInfoText: waitsNoMore };
    assert.deepEqual(await client.refusal(poll(transactionID, attacker), attacker), refusal);
    issuedBy(await client.exchange(poll(transactionID, client.device)));
  });

  it('by its own CSR under another’s signature is refused', async () => {
    const [transactionID, csr] = ['taken over', client.csr()];
    await client.enrol({ transactionID, csr });
    const message = client.request({ transactionID, csr, device: attacker });
    assert.deepEqual(await client.refusal(message, attacker), { failInfo: 'badMessageCheck', failInfoText: otherKey });
  });

  it('by a CSR of the attacker’s is a transaction of their own, which needs the password and leaves the first one alone', async () => {
    const transactionID = 'used by two';
    const message = client.request({ transactionID });
    const { raw } = issuedBy(await client.exchange(message));
    const foreign = { transactionID, device: attacker, csrParts: { key: attacker.privateKey, attributes: [] } };
    assert.equal((await client.refusal(client.request(foreign), attacker)).failInfoText, noChallenge);
    assert.deepEqual(issuedBy(await client.exchange(message)).raw, raw);
  });
});

describe('F.11: a renewal by a certificate that must not renew', () => {
  const renewing = { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } } as const;
  const newKey = rsaKey('renewed');
  const renewal = (device: KeyPair, parts: Partial<RequestParts['csrParts'] & object> = {}) =>
    client.request({ device, messageType: MessageType.RenewalReq, csrParts: { key: newKey, attributes: [], ...parts } });
  const reasonOf = async (device: KeyPair, parts = {}) => (await client.refusal(renewal(device, parts), device)).failInfoText;

  it('is refused: one of another connector of the same CA', async () => {
    await setEnrolmentPolicy(server, renewing);
    assert.equal(await reasonOf(identityOf(await other.enrol(), other.device.privateKey)), otherKey);
  });

  it('is refused: one that is revoked', async () => {
    await setEnrolmentPolicy(server, renewing);
    const issued = await client.enrol();
    await revoke(server, issued.serialNumber);
    assert.equal(await reasonOf(identityOf(issued)), 'The certificate that signs the request is revoked.');
  });

  it('is refused: a look-alike with the names and the serial number of the right one', async () => {
    await setEnrolmentPolicy(server, renewing);
    const right = parseCertificate((await client.enrol()).raw);
    const ca = createIdentity({ subject: 'CN=look-alike', key: rsaKey('false CA') });
    const issuer: KeyPair = { ...ca, certificate: { ...ca.certificate, subject: right.issuer } };
    const lookAlike = createIdentity({ key: rsaKey('attacker'), issuer, serialNumber: right.serialNumber });
    assert.deepEqual(lookAlike.certificate.issuer.der, right.issuer.der);
    assert.equal(await reasonOf(lookAlike), otherKey);
  });

  it('is refused: for more names or purposes, or for a key that nobody has shown to hold', async () => {
    await setEnrolmentPolicy(server, renewing);
    const device = identityOf(await client.enrol());
    const san = subjectAltNameExtension([generalName.dns('domain-controller.example.com')], false);
    const more = [
      { subject: 'CN=domain-controller' },
      { attributes: [extensionRequest(san)] },
      { attributes: [extensionRequest(extKeyUsageExtension([Oid.clientAuth, Oid.serverAuth]))] },
    ];
    for (const parts of more) assert.match((await reasonOf(device, parts)) ?? '', /being renewed/);
    const { spki } = attacker.certificate.publicKey;
    // In whichever words: whoever alters another's CSR need not be told that it was read.
    assert.match(
      (await reasonOf(device, { subjectPublicKeyInfo: spki })) ?? '',
      /signature of the certificate signing request|could not be decoded/,
    );
    assert.equal((await client.exchange(renewal(device), device)).pkiStatus, 'SUCCESS');
  });

  it('is refused: too early, or where the policy renews nothing', async () => {
    const device = identityOf(await client.enrol());
    assert.match((await reasonOf(device)) ?? '', /^Unsupported PkiOperation messageType: 17\./);
    await setEnrolmentPolicy(server, { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 10 } });
    assert.match((await reasonOf(device)) ?? '', /^The certificate can be renewed from /);
  });
});

describe('F.23: a certificate that was given out and is in no record', () => {
  it('cannot be: it is in the store, with its event, before it is answered', async () => {
    const issued = await client.enrol();
    const row = await server.database.query
      .selectFrom('certificates')
      .selectAll()
      .where('fingerprint', '=', fingerprint(issued.raw))
      .executeTakeFirstOrThrow();
    assert.equal(row.status, 'ISSUED');
    const events = await server.database.query
      .selectFrom('audit_events')
      .select('detail')
      .where('name', '=', 'CertificateIssued')
      .where('detail', 'like', `%${row.serial_number}%`)
      .execute();
    assert.equal(events.length, 1);
  });

  it('is not given out where it cannot be recorded: 503, after which the same request gets the one that was begun', async () => {
    await using world = await openVectorWorld();
    const vector = readVectors().find(({ name }) => name === 'cms/whole');
    assert.ok(vector);
    const { database } = world;
    const transaction = database.transaction.bind(database);
    const devices = async (query: Query) =>
      query.selectFrom('certificates').selectAll().where('connector_id', '=', connectorIdOf('default')).orderBy('created_at').execute();
    const known = (await devices(database.query)).length;
    // A disk that is full when the certificate is recorded, and not before.
    database.transaction = work =>
      transaction(async query => {
        const result = await work(query);
        const fresh = (await devices(query)).slice(known);
        if (fresh.some(({ status }) => status === 'ISSUED')) throw new StoreError('full', 'planted');
        return result;
      });
    const { statusCode, contentType } = await sendVector(world, vector);
    assert.deepEqual([statusCode, contentType], [503, 'text/plain']);
    const [begun] = (await devices(database.query)).slice(known);
    assert.deepEqual([begun?.status, begun?.certificate], ['ISSUING', null]);

    database.transaction = transaction;
    const der = checkCertRep(await sendVector(world, vector), vector, { pkiStatus: 'SUCCESS' });
    assert.ok(der);
    assert.equal(parseCertificate(der).serialNumber, begun?.serial_number);
    assert.equal((await devices(database.query)).length, known + 1);
  });
});
