/** A SCEP transaction: sent again it gets the same certificate, and whatever happens in between it never gets two. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { insertCertificate } from '../../src/backends/store/certificates.ts';
import { deleteChallengesOf } from '../../src/backends/store/challenges.ts';
import { insertTransaction } from '../../src/backends/store/transactions.ts';
import { defaultEnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { parseSignedData } from '../../src/base/pki/signed-data.ts';
import { revoke, setEnrolmentPolicy } from '../support/operator.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { issuanceIn, issuedBy, RawScepClient, send } from '../support/raw-scep-client.ts';
import { challengePassword, createDevice, nameValuePair, nameValuePairs } from '../support/scep-messages.ts';
import { accountId, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

/** How many certificates and transactions `work` adds to the store. */
async function added(work: () => Promise<unknown>): Promise<{ certificates: number; transactions: number }> {
  const before = await issuanceIn(server.database);
  await work();
  const now = await issuanceIn(server.database);
  return { certificates: now.certificates - before.certificates, transactions: now.transactions - before.transactions };
}

describe('the same transaction', () => {
  it('gets the same certificate when the same message comes again', async () => {
    const message = client.request();
    const issued = issuedBy(await client.exchange(message));
    const counts = await added(async () => {
      for (let time = 0; time < 3; time++) assert.deepEqual(issuedBy(await client.exchange(message)).raw, issued.raw);
    });
    assert.deepEqual(counts, { certificates: 0, transactions: 0 });
  });

  it('gets the same certificate for the same CSR in an envelope, with a nonce and a signer’s certificate of its own', async () => {
    const [transactionID, csr] = ['the same CSR', client.csr()];
    const { raw } = await client.enrol({ transactionID, csr });
    assert.deepEqual((await client.enrol({ transactionID, csr, device: createDevice() })).raw, raw);
  });

  // ECDSA signs the same certificate differently each time, so with it a second signature would show.
  for (const keyAlgorithm of ['RSA_2048', 'EC_prime256v1']) {
    it(`gets one certificate when twenty requests come at once, of a CA with the key ${keyAlgorithm}`, async () => {
      await using own = await startTemporaryServer({ env: { SCEP_CA_KEY_ALGORITHM: keyAlgorithm } });
      const ownClient = await RawScepClient.connect(own);
      const [transactionID, csr] = ['twenty at once', ownClient.csr()];
      const messages = Array.from({ length: 20 }, () => ownClient.request({ transactionID, csr }));
      const issued = await issuanceIn(own.database);
      const raws = await Promise.all(messages.map(async message => issuedBy(await ownClient.exchange(message)).raw));
      for (const raw of raws) assert.deepEqual(raw, raws[0]);
      assert.deepEqual(await issuanceIn(own.database), { certificates: issued.certificates + 1, transactions: 1 });
      const events = await own.database.query.selectFrom('audit_events').selectAll().where('name', '=', 'CertificateIssued').execute();
      assert.equal(events.length, 1);
    });
  }

  it('is another with another CSR, because certmonger and sscep use a transactionID again', async () => {
    const transactionID = 'used again';
    const first = await client.enrol({ transactionID });
    const second = await client.enrol({ transactionID, csrParts: { subject: 'CN=something else' } });
    assert.notEqual(second.serialNumber, first.serialNumber);
    assert.equal(second.subject, 'CN=something else');
  });

  it('is another with another transactionID', async () => {
    const csr = client.csr();
    const [first, second] = [await client.enrol({ csr }), await client.enrol({ csr })];
    assert.notEqual(first.serialNumber, second.serialNumber);
  });

  it('is not for a signer with another key who knows the transactionID and the CSR', async () => {
    const [transactionID, csr] = ['known to others', client.csr()];
    await client.enrol({ transactionID, csr });
    const device = createDevice(rsaKey('second'));
    assert.deepEqual(await client.refusal(client.request({ transactionID, csr, device }), device), {
      failInfo: 'badMessageCheck',
      failInfoText: 'The request is not signed with the key that the certificate signing request is for.',
    });
  });

  it('is a renewal once half of the certificate’s life is over: a new certificate, which needs the challenge again', async () => {
    await using own = await startTemporaryServer();
    const ownClient = await RawScepClient.connect(own);
    const attributes = [
      challengePassword(own.challengePassword),
      nameValuePairs(nameValuePair('ValidityPeriod', 'Hours')),
      nameValuePairs(nameValuePair('ValidityPeriodUnits', '2')),
    ];
    const message = ownClient.request({ csrParts: { attributes } });
    const first = issuedBy(await ownClient.exchange(message));
    own.advance(59 * minuteMs);
    assert.deepEqual(issuedBy(await ownClient.exchange(message)).raw, first.raw);
    own.advance(2 * minuteMs);
    const answers = await Promise.all(Array.from({ length: 5 }, () => ownClient.exchange(message)));
    const [renewed, ...others] = answers.map(answer => issuedBy(answer));
    assert.notEqual(renewed?.serialNumber, first.serialNumber);
    for (const { raw } of others) assert.deepEqual(raw, renewed?.raw);
    assert.deepEqual(issuedBy(await ownClient.exchange(message)).raw, renewed?.raw);
    await deleteChallengesOf(own.database.query, own.connectorId);
    own.advance(61 * minuteMs);
    assert.equal((await ownClient.refusal(message)).failInfoText, 'The challenge password is invalid.');
  });

  it('brings a revoked certificate to nobody, nor another in its place', async () => {
    const message = client.request({ transactionID: 'revoked since' });
    const { serialNumber } = issuedBy(await client.exchange(message));
    await revoke(server, serialNumber);
    assert.deepEqual(await client.refusal(message), {
      failInfo: 'badRequest',
      failInfoText: 'The certificate of this request is revoked. Make a new key to enrol again.',
    });
    await client.enrol();
  });

  it('may succeed after a refusal', async () => {
    const transactionID = 'refused at first';
    await client.refusal(client.request({ transactionID, csrParts: { attributes: [] } }));
    await client.enrol({ transactionID });
  });
});

describe('a restart', () => {
  it('keeps the URL, the RA key, the CA and every finished transaction', async () => {
    const message = client.request();
    const { raw } = issuedBy(await client.exchange(message));
    const path = new URL(server.url).pathname;
    const before = await issuanceIn(server.database);

    await server.restart();

    const { body } = await send(`http://${new URL(server.url).host}${path}?operation=GetCACert`);
    const [ra, ca] = parseSignedData(body).certificates;
    assert.deepEqual([ra?.serialNumber, ca?.serialNumber], [client.ra.serialNumber, client.ca.serialNumber]);
    assert.deepEqual(issuedBy(await client.exchange(message)).raw, raw);
    assert.deepEqual(await issuanceIn(server.database), before);
    await client.enrol();
  });
});

describe('a transaction that a crash left between the intent and the certificate', () => {
  const transactionID = 'cut short';
  const serialNumber = '00112233445566778899aabbccddeeff';
  const [notBefore, notAfter] = [Math.floor(Date.now() / 1000) * 1000 - dayMs, Math.floor(Date.now() / 1000) * 1000 + 30 * dayMs];

  const sha256 = (octets: Uint8Array) => createHash('sha256').update(octets).digest('hex');

  /** The rows that `Certificates.issue` commits before it signs. */
  async function leaveIntent(csr: Uint8Array, serial = serialNumber): Promise<void> {
    const { query } = server.database;
    const { ca_id } = await query.selectFrom('certificate_authorities').select('ca_id').executeTakeFirstOrThrow();
    const ids = { certificate_id: randomUUID(), transaction_row_id: randomUUID() };
    await insertTransaction(query, {
      ...ids,
      connector_id: server.connectorId,
      transaction_id: transactionID,
      csr_hash: sha256(csr),
      signer_key_hash: sha256(client.device.certificate.publicKey.spki),
      status: 'ISSUING',
      reason: null,
      created_at: notBefore,
      updated_at: notBefore,
    });
    await insertCertificate(query, {
      ...ids,
      account_id: accountId,
      region: 'us-east-1',
      ca_id,
      serial_number: serial,
      connector_id: server.connectorId,
      kind: 'DEVICE',
      subject: 'CN=printer-7,O=Example',
      subject_alternative_names: '[]',
      not_before: notBefore,
      not_after: notAfter,
      status: 'ISSUING',
      certificate: null,
      fingerprint: null,
      created_at: Date.now() - 60_000,
      issued_at: null,
    });
  }

  it('is carried to its end when the request comes again: with its serial number and validity, once, and though the challenge is gone', async () => {
    const csr = client.csr();
    const message = client.request({ transactionID, csr });
    const challenges = await server.database.query.selectFrom('challenges').selectAll().execute();
    await server.restart(async () => {
      await leaveIntent(csr);
      await deleteChallengesOf(server.database.query, server.connectorId);
    });
    await client.refusal(client.request());

    let raws: Buffer[] = [];
    const counts = await added(async () => {
      raws = await Promise.all(Array.from({ length: 5 }, async () => issuedBy(await client.exchange(message)).raw));
    });

    assert.deepEqual(counts, { certificates: 0, transactions: 0 });
    for (const raw of raws) assert.deepEqual(raw, raws[0]);
    const issued = issuedBy(await client.exchange(message));
    assert.equal(issued.serialNumber.toLowerCase().padStart(32, '0'), serialNumber);
    assert.deepEqual([issued.validFromDate.getTime(), issued.validToDate.getTime()], [notBefore, notAfter]);
    const { query } = server.database;
    const row = await query.selectFrom('transactions').selectAll().where('transaction_id', '=', transactionID).executeTakeFirstOrThrow();
    assert.equal(row.status, 'SUCCESS');
    const certificate = await query
      .selectFrom('certificates')
      .selectAll()
      .where('serial_number', '=', serialNumber)
      .executeTakeFirstOrThrow();
    assert.deepEqual([certificate.status, Buffer.from(certificate.certificate ?? [])], ['ISSUED', issued.raw]);
    await query.insertInto('challenges').values(challenges).execute();
  });

  it('is reported once, as the certificate that it became', async () => {
    const query = server.database.query.selectFrom('audit_events').selectAll();
    const events = await query.where('category', '=', 'Service').where('detail', 'like', `%${transactionID}%`).execute();
    assert.deepEqual(
      events.map(({ name, detail }) => ({ name, ...JSON.parse(detail) })),
      [
        {
          name: 'CertificateIssued',
          transactionID,
          serialNumber,
          subject: 'CN=printer-7,O=Example',
          notAfter,
          authorisation: { by: 'resumption' },
        },
      ],
    );
  });

  it('is given up when the policy does not allow any more what was begun', async () => {
    const policyAllows = (RsaBitsMin: number) => setEnrolmentPolicy(server, { Keys: { ...defaultEnrolmentPolicy.Keys, RsaBitsMin } });
    const csr = client.csr({ csrParts: { subject: 'CN=not any more' } });
    const message = client.request({ transactionID, csr });
    const leftSerialNumber = 'ff'.repeat(16);
    await leaveIntent(csr, leftSerialNumber);
    await policyAllows(3072);
    const { pkiStatus, failInfo } = await client.exchange(message);
    assert.deepEqual([pkiStatus, failInfo], ['FAILURE', 'badAlg']);
    const { query } = server.database;
    assert.deepEqual(await query.selectFrom('certificates').select('kind').where('serial_number', '=', leftSerialNumber).execute(), []);
    await policyAllows(2048);
    assert.notEqual(issuedBy(await client.exchange(message)).serialNumber.toLowerCase(), leftSerialNumber);
  });
});
