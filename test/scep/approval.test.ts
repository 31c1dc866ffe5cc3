/** Approval: a request that waits for an operator, what the device is told meanwhile and afterwards, and what becomes of its challenge. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { deleteChallengesOf } from '../../src/backends/store/challenges.ts';
import { defaultEnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { sequence } from '../../src/base/pki/der.ts';
import type { KeyPair } from '../../src/base/pki/enveloped-data.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { parseCertificate } from '../../src/base/pki/x509.ts';
import { MessageType } from '../../src/base/scep.ts';
import { enrolmentLimits } from '../../src/service/enrolment.ts';
import { approveWaiting, createDynamicChallenge, rejectWaiting, setEnrolmentPolicy } from '../support/operator.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { type CertRep, issuanceIn, issuedBy, RawScepClient, type RequestParts } from '../support/raw-scep-client.ts';
import { challengePassword, createDevice } from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const dayMs = 86_400_000;
const waitsNoMore = 'There is no request of this transaction that waits, or it was not decided in time.';

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server, createDevice(rsaKey('device'), { notAfter: Date.now() + 60 * dayMs }));
});
beforeEach(async () => {
  await server.database.query.deleteFrom('transactions').execute();
  await setEnrolmentPolicy(server, { ...defaultEnrolmentPolicy, Approval: { Mode: 'MANUAL', ExpiresInDays: 2 } });
});
after(() => server[Symbol.asyncDispose]());

/** A CertPoll of the transaction. */
function poll(transactionID: string, device: KeyPair = client.device): Uint8Array {
  const csr = sequence(client.ca.subject.der, parseNameString('CN=printer-7,O=Example').der);
  return client.request({ device, transactionID, messageType: MessageType.CertPoll, csr });
}

async function ask(transactionID: string): Promise<CertRep> {
  return client.exchange(poll(transactionID));
}

async function held(parts: RequestParts = {}): Promise<Uint8Array> {
  const message = client.request(parts);
  assert.equal((await client.exchange(message, parts.device)).pkiStatus, 'PENDING');
  return message;
}

describe('a request at a connector that has approvals', () => {
  it('is PENDING, with nothing in the envelope, and stays so however often it is asked for', async () => {
    const message = client.request({ transactionID: 'waits' });
    for (const each of [message, poll('waits'), message, poll('waits')]) {
      const { pkiStatus, failInfo, eContent, certificates } = await client.exchange(each);
      assert.deepEqual([pkiStatus, failInfo, eContent?.length, certificates.length], ['PENDING', undefined, 0, 0]);
    }
    const { transactions } = await issuanceIn(server.database);
    assert.equal(transactions, 1);
    const row = await server.database.query.selectFrom('transactions').selectAll().executeTakeFirstOrThrow();
    assert.deepEqual([row.status, row.certificate_id, row.source], ['PENDING', null, '127.0.0.1']);
    const events = await server.database.query
      .selectFrom('audit_events')
      .selectAll()
      .where('detail', 'like', '%"waits"%')
      .where('category', '=', 'Service')
      .execute();
    assert.deepEqual(
      events.map(({ detail }) => JSON.parse(detail)),
      [{ transactionID: 'waits', subject: 'CN=printer-7,O=Example' }],
    );
  });

  it('is refused at once for what no operator could approve: a wrong challenge, a CA certificate, a weak key', async () => {
    await client.refusal(client.request({ challenge: challengePassword('wrong') }));
    await client.refusal(client.request({ csrParts: { key: rsaKey('weak', 1024) } }));
    await client.refusal(client.request({ csrParts: { subject: '' } }));
    assert.equal((await issuanceIn(server.database)).transactions, 0);
  });

  it('is one request when many of the same come at once', async () => {
    const message = client.request();
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.exchange(message)));
    assert.ok(answers.every(({ pkiStatus }) => pkiStatus === 'PENDING'));
    assert.equal(await approveWaiting(server), 1);
  });

  for (const [name, fetch] of [
    ['CertPoll', () => poll('approved')],
    ['its PKCSReq again', (message: Uint8Array) => message],
  ] as const) {
    it(`gets its certificate by ${name} once it is approved, and the same one by whatever it sends then`, async () => {
      const message = await held({ transactionID: 'approved' });
      const issued = await issuanceIn(server.database);
      assert.equal(await approveWaiting(server), 1);
      assert.deepEqual(await issuanceIn(server.database), issued);
      const certificate = issuedBy(await client.exchange(fetch(message)));
      assert.equal(certificate.subject, 'O=Example\nCN=printer-7');
      for (const again of [message, poll('approved')]) assert.deepEqual(issuedBy(await client.exchange(again)).raw, certificate.raw);
      const { detail } = await server.database.query
        .selectFrom('audit_events')
        .select('detail')
        .where('name', '=', 'CertificateIssued')
        .orderBy('event_id', 'desc')
        .executeTakeFirstOrThrow();
      assert.deepEqual(JSON.parse(detail).authorisation, { by: 'approval', decidedBy: 'arn:aws:iam::000000000000:user/administrator' });
    });
  }

  it('gets one certificate when many polls come at once after the approval', async () => {
    await held({ transactionID: 'many polls' });
    await approveWaiting(server);
    const { certificates } = await issuanceIn(server.database);
    const raws = await Promise.all(Array.from({ length: 10 }, async () => issuedBy(await ask('many polls')).raw));
    for (const raw of raws) assert.deepEqual(raw, raws[0]);
    assert.equal((await issuanceIn(server.database)).certificates, certificates + 1);
  });

  it('is told the operator’s reason when it is rejected, by CertPoll and by its PKCSReq again', async () => {
    const message = await held({ transactionID: 'rejected' });
    await rejectWaiting(server, 'Not our printer.');
    for (const again of [poll('rejected'), message]) {
      assert.deepEqual(await client.refusal(again), { failInfo: 'badRequest', failInfoText: 'Not our printer.' });
    }
    // Another CSR is another request.
    await held({ transactionID: 'rejected', csrParts: { subject: 'CN=ours' } });
  });

  it('is issued by the policy at the time of the issue, which may not give it any more what it asks for', async () => {
    await held({ transactionID: 'changed' });
    await approveWaiting(server);
    await setEnrolmentPolicy(server, { Keys: { RsaBitsMin: 4096, RsaBitsMax: 8192, Curves: [] } });
    assert.equal((await client.refusal(poll('changed'))).failInfo, 'badAlg');
    await setEnrolmentPolicy(server, { Keys: { RsaBitsMin: 2048, RsaBitsMax: 8192, Curves: [] } });
    issuedBy(await ask('changed'));
  });

  it('still waits when approvals are switched off, and new ones do not', async () => {
    await held({ transactionID: 'before' });
    await setEnrolmentPolicy(server, { Approval: { Mode: 'OFF', ExpiresInDays: 2 } });
    assert.equal((await ask('before')).pkiStatus, 'PENDING');
    await client.enrol();
  });

  it('needs no approval when a certificate that was approved renews itself', async () => {
    await setEnrolmentPolicy(server, { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
    const message = await held();
    await approveWaiting(server);
    const device = { certificate: parseCertificate(issuedBy(await client.exchange(message)).raw), privateKey: client.device.privateKey };
    const renewal = client.request({
      device,
      messageType: MessageType.RenewalReq,
      csrParts: { key: rsaKey('second'), attributes: [] },
    });
    issuedBy(await client.exchange(renewal, device));
  });
});

describe('CertPoll', () => {
  it('of a transaction that nobody began is refused with badCertId', async () => {
    assert.deepEqual(await client.refusal(poll('unknown')), { failInfo: 'badCertId', failInfoText: waitsNoMore });
  });

  it('by another key, which knows the transactionID, is refused with badCertId', async () => {
    await held({ transactionID: 'predictable' });
    const thief = createDevice(rsaKey('second'));
    for (const decided of [false, true]) {
      if (decided) await approveWaiting(server);
      assert.deepEqual(await client.refusal(poll('predictable', thief), thief), { failInfo: 'badCertId', failInfoText: waitsNoMore });
    }
    issuedBy(await ask('predictable'));
    assert.equal((await client.refusal(poll('predictable', thief), thief)).failInfo, 'badCertId');
  });

  it('may come from a new certificate for the same key', async () => {
    await held({ transactionID: 'made anew' });
    await approveWaiting(server);
    const device = createDevice();
    issuedBy(await client.exchange(poll('made anew', device), device));
  });

  it('is understood whatever is in the envelope, such as issuer and subject swapped, as sscep once had them', async () => {
    await held({ transactionID: 'swapped' });
    const swapped = sequence(parseNameString('CN=printer-7,O=Example').der, client.ca.subject.der);
    const message = (csr: Uint8Array) => client.request({ transactionID: 'swapped', messageType: MessageType.CertPoll, csr });
    for (const content of [swapped, client.csr()]) assert.equal((await client.exchange(message(content))).pkiStatus, 'PENDING');
  });

  it('is about the request that came last, where a transactionID is used again, whatever an operator decides of the one before', async () => {
    await held({ transactionID: 'used again', csrParts: { subject: 'CN=first' } });
    server.advance(1000);
    await held({ transactionID: 'used again', csrParts: { subject: 'CN=second' } });
    server.advance(1000);
    await rejectWaiting(server, 'Not this one.', ({ Subject }) => Subject === 'CN=first');
    assert.equal((await ask('used again')).pkiStatus, 'PENDING');
    await approveWaiting(server);
    assert.equal(issuedBy(await ask('used again')).subject, 'CN=second');
  });

  it('brings the certificate of a transaction that needed no approval to the key that began it', async () => {
    await setEnrolmentPolicy(server, { Approval: { Mode: 'OFF', ExpiresInDays: 2 } });
    const { raw } = await client.enrol({ transactionID: 'at once' });
    assert.deepEqual(issuedBy(await ask('at once')).raw, raw);
  });
});

describe('the days that the policy gives', () => {
  it('end a request that nobody decided: polled it is unknown, sent again it waits again', async () => {
    const message = await held({ transactionID: 'undecided' });
    server.advance(2 * dayMs - 60_000);
    assert.equal((await ask('undecided')).pkiStatus, 'PENDING');
    server.advance(60_000);
    assert.deepEqual(await client.refusal(poll('undecided')), { failInfo: 'badCertId', failInfoText: waitsNoMore });
    assert.equal((await client.exchange(message)).pkiStatus, 'PENDING');
    assert.equal((await ask('undecided')).pkiStatus, 'PENDING');
    assert.equal(await approveWaiting(server), 1);
    issuedBy(await ask('undecided'));
  });

  it('begin anew with the approval, and then end it', async () => {
    const message = await held({ transactionID: 'not fetched' });
    server.advance(dayMs);
    await approveWaiting(server);
    server.advance(2 * dayMs);
    assert.deepEqual(await client.refusal(poll('not fetched')), { failInfo: 'badCertId', failInfoText: waitsNoMore });
    assert.equal((await client.exchange(message)).pkiStatus, 'PENDING');
  });

  it('end a rejection too, after which the same request may wait again', async () => {
    const message = await held({ transactionID: 'rejected once' });
    await rejectWaiting(server, 'Not yet.');
    server.advance(2 * dayMs);
    assert.equal((await client.exchange(message)).pkiStatus, 'PENDING');
  });
});

describe('the challenge of a request that waits', () => {
  it('may be deleted: the operator’s word is what counts then', async () => {
    await held({ transactionID: 'without its challenge' });
    const { query } = server.database;
    const challenges = await query.selectFrom('challenges').selectAll().execute();
    await deleteChallengesOf(query, server.connectorId);
    await approveWaiting(server);
    issuedBy(await ask('without its challenge'));
    await query.insertInto('challenges').values(challenges).execute();
  });

  it('is used, when it is a dynamic one', async () => {
    const challenge = challengePassword(await createDynamicChallenge(server));
    const message = await held({ challenge, transactionID: 'first' });
    const used = 'The challenge password was used as often as it may be.';
    assert.equal((await client.refusal(client.request({ challenge }))).failInfoText, used);
    await approveWaiting(server);
    issuedBy(await client.exchange(message));
    assert.equal((await client.refusal(client.request({ challenge }))).failInfoText, used);
  });

  it('can be used again once the request is rejected', async () => {
    const challenge = challengePassword(await createDynamicChallenge(server));
    await held({ challenge });
    await rejectWaiting(server);
    await held({ challenge });
    assert.equal(await usesClaimed(), 1);
  });

  it('is still that request’s own when nobody decided it in time and it is sent again', async () => {
    const challenge = challengePassword(await createDynamicChallenge(server, { ExpiresInSeconds: 10 * 86_400 }));
    const message = await held({ challenge, transactionID: 'in vain' });
    server.advance(2 * dayMs);
    assert.equal((await client.exchange(message)).pkiStatus, 'PENDING');
    assert.equal(await usesClaimed(), 1);
    await approveWaiting(server);
    issuedBy(await client.exchange(message));
    assert.equal(await usesClaimed(), 1);
  });

  it('can be used by another request once nobody decided that one in time', async () => {
    const challenge = challengePassword(await createDynamicChallenge(server, { ExpiresInSeconds: 10 * 86_400 }));
    const message = await held({ challenge, transactionID: 'lapses' });
    server.advance(2 * dayMs - 60_000);
    const used = 'The challenge password was used as often as it may be.';
    assert.equal((await client.refusal(client.request({ challenge }))).failInfoText, used);
    server.advance(60_000);
    await held({ challenge, transactionID: 'takes it over' });
    assert.equal(await usesClaimed(), 1);
    // The first one has lost it.
    assert.equal((await client.refusal(message)).failInfoText, used);
  });

  async function usesClaimed(): Promise<number> {
    const newest = server.database.query.selectFrom('dynamic_challenges').select('uses_claimed').orderBy('created_at', 'desc');
    const row = await newest.executeTakeFirstOrThrow();
    return row.uses_claimed;
  }
});

describe('the number of requests that wait', () => {
  it('is limited: a further one is told to come back until an operator has decided one', async () => {
    await held();
    const { query } = server.database;
    const row = await query.selectFrom('transactions').selectAll().executeTakeFirstOrThrow();
    const others = Array.from({ length: enrolmentLimits.pendingRequestsMax - 1 }, (_, index) => ({
      ...row,
      transaction_row_id: index.toString(16).padStart(8, '0') + randomUUID().slice(8),
      transaction_id: `other ${index}`,
    }));
    for (let from = 0; from < others.length; from += 100) {
      await query
        .insertInto('transactions')
        .values(others.slice(from, from + 100))
        .execute();
    }
    const message = client.request();
    const { statusCode, headers, body } = await client.post(message);
    assert.deepEqual([statusCode, headers['retry-after']], [503, '30']);
    assert.equal(String(body), 'Too many requests wait for approval. Try again once an operator has decided some of them.\n');
    await rejectWaiting(server, undefined, ({ TransactionId }) => TransactionId === 'other 7');
    assert.equal((await client.exchange(message)).pkiStatus, 'PENDING');
  });
});
