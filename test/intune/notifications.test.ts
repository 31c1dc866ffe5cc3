/** No device has a certificate that Intune does not know of: one that Intune has not taken notice of is held, told again, given when it is taken, and withdrawn when it is not. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';
import { parseCertificate } from '../../src/base/pki/x509.ts';
import { intuneNotificationLimits } from '../../src/service/intune-notifications.ts';
import { issuerAndSerialNumber } from '../support/cms-parts.ts';
import { IntuneSubject } from '../support/intune-subject.ts';
import type { FaultKind } from '../support/microsoft/faults.ts';
import { issuedBy, type RawScepClient } from '../support/raw-scep-client.ts';
import { until } from '../support/waiting.ts';

const { heldMsMax, retryMsMin } = intuneNotificationLimits;

let subject: IntuneSubject;
let client: RawScepClient;
let transactionID: string;
let message: Uint8Array;
let sent = 0;
before(async () => {
  subject = await IntuneSubject.start();
});
beforeEach(async () => {
  client = await subject.connect();
  transactionID = `held-${++sent}`;
  message = client.request({ transactionID });
});
afterEach(() => {
  subject.microsoft.faults.clear();
  assert.deepEqual(subject.microsoft.violations, []);
});
after(() => subject[Symbol.asyncDispose]());

/** Of this test's transaction. */
async function statuses(): Promise<{ transaction: string; certificates: string[]; outbox: string[] }> {
  const { query } = subject.server.database;
  const transactions = await query
    .selectFrom('transactions')
    .leftJoin('certificates', 'certificates.certificate_id', 'transactions.certificate_id')
    .select(['transactions.status', 'certificates.status as certificate'])
    .where('transaction_id', '=', transactionID)
    .execute();
  const outbox = await query.selectFrom('intune_notifications').select('kind').where('transaction_id', '=', transactionID).execute();
  return {
    transaction: transactions.map(({ status }) => status).join(),
    certificates: transactions.flatMap(({ certificate }) => certificate ?? []),
    outbox: outbox.map(({ kind }) => kind),
  };
}

async function eventsNamed(name: string): Promise<object[]> {
  const { query } = subject.server.database;
  const rows = await query.selectFrom('audit_events').select('detail').where('name', '=', name).execute();
  return rows.map(({ detail }) => JSON.parse(detail)).filter(detail => detail.transactionID === transactionID);
}

const notifications = () => subject.microsoft.notifications.filter(({ transactionId }) => transactionId === transactionID);

/** HTTP's answer to a device that is to come back. */
async function assertHeld(): Promise<void> {
  const { statusCode, headers, body } = await client.post(message);
  assert.equal(statusCode, 503, body.toString());
  assert.ok(Number(headers['retry-after']) > 0);
  assert.match(body.toString(), /waits for Microsoft Intune/);
}

const faults: Record<string, FaultKind> = {
  'a status 500': { status: 500 },
  'a status 503': { status: 503 },
  'a word that is not Success': { code: 'Unknown' },
  'a page of HTML': 'htmlBody',
  'no code': 'missingCode',
  'half of JSON': 'malformedJson',
  nothing: 'emptyBody',
  'a redirect': 'redirect',
  'a reset connection': 'reset',
  'a reset in the middle': 'resetMiddle',
};

describe('a success notification', () => {
  for (const [name, kind] of Object.entries(faults)) {
    for (const phase of ['before', 'after'] as const) {
      it(`that meets ${name}, ${phase} Intune has taken it, holds the certificate until it is taken, and then it is the same`, async () => {
        const { microsoft } = subject;
        microsoft.faults.add({ route: 'successNotification', kind, times: 2, phase });
        await assertHeld();
        assert.deepEqual(await statuses(), { transaction: 'NOTIFYING', certificates: ['ISSUED'], outbox: ['SUCCESS'] });
        assert.equal((await eventsNamed('CertificateHeld')).length, 1);
        microsoft.faults.clear();
        const first = issuedBy(await client.exchange(message));
        const again = issuedBy(await client.exchange(message));
        assert.equal(again.fingerprint256, first.fingerprint256);
        assert.deepEqual(await statuses(), { transaction: 'SUCCESS', certificates: ['ISSUED'], outbox: [] });
        assert.ok(notifications().every(({ members }) => members['certificateThumbprint'] === first.fingerprint.replaceAll(':', '')));
      });
    }
  }

  it('is tried again by itself, and the device that comes back only fetches', async () => {
    const { microsoft, server } = subject;
    microsoft.faults.add({ route: 'successNotification', kind: { status: 500 }, times: 2 });
    await assertHeld();
    server.advance(retryMsMin);
    await until(async () => notifications().length === 1, 'Intune is told');
    await until(async () => (await statuses()).transaction === 'SUCCESS', 'the transaction is over');
    const told = microsoft.count('successNotification');
    issuedBy(await client.exchange(message));
    assert.equal(microsoft.count('successNotification'), told);
  });

  it('is told after a restart', async () => {
    subject.microsoft.faults.add({ route: 'successNotification', kind: 'reset', times: 2 });
    await assertHeld();
    await subject.server.restart();
    subject.server.advance(retryMsMin);
    await until(async () => (await statuses()).transaction === 'SUCCESS', 'Intune is told');
  });

  it('that is not taken within an hour withdraws the certificate, and Intune is told of the failure', async () => {
    const { microsoft, server } = subject;
    microsoft.faults.add({ route: 'successNotification', kind: { status: 500 }, times: 1000 });
    await assertHeld();
    server.advance(heldMsMax);
    await until(async () => (await statuses()).transaction === 'FAILURE', 'the certificate is withdrawn');
    await until(async () => notifications().length === 1, 'Intune is told');
    assert.equal(notifications()[0]?.kind, 'failure');
    await until(async () => (await statuses()).outbox.length === 0, 'nothing is left to tell');
    assert.deepEqual((await statuses()).certificates, ['REVOKED']);
    assert.equal((await eventsNamed('CertificateWithdrawn')).length, 1);
    microsoft.faults.clear();
    const { pkiStatus, failInfoText } = await client.exchange(message);
    assert.equal(pkiStatus, 'FAILURE');
    assert.match(failInfoText ?? '', /not taken notice of the certificate in time/);
  });

  it('of a certificate that an administrator revokes meanwhile is a failure', async () => {
    const { microsoft, server } = subject;
    microsoft.faults.add({ route: 'successNotification', kind: { status: 500 }, times: 2 });
    await assertHeld();
    const revoked = { status: 'REVOKED', revoked_at: server.now(), revocation_reason: 'UNSPECIFIED' } as const;
    const { query } = server.database;
    const own = query.selectFrom('transactions').select('certificate_id').where('transaction_id', '=', transactionID);
    await query.updateTable('certificates').set(revoked).where('certificate_id', 'in', own).execute();
    assert.equal((await client.exchange(message)).pkiStatus, 'FAILURE');
    await until(async () => notifications().length === 1, 'Intune is told');
    assert.equal(notifications()[0]?.kind, 'failure');
  });

  it('goes out once for copies of one request', async () => {
    const copies = await Promise.all(Array.from({ length: 8 }, () => client.exchange(message)));
    assert.equal(new Set(copies.map(copy => issuedBy(copy).fingerprint256)).size, 1);
    assert.equal(notifications().length, 1);
  });

  it('has its CSR, with the challenge in it, sealed while it waits', async () => {
    subject.microsoft.faults.add({ route: 'successNotification', kind: 'reset', times: 2 });
    await assertHeld();
    await using database = await openSqliteDatabase({ file: `${subject.server.dataDir}/scep.db` });
    const [row] = await database.query.selectFrom('intune_notifications').selectAll().where('transaction_id', '=', transactionID).execute();
    assert.equal(Buffer.from(row?.sealed_csr ?? []).includes(client.endpoint.challengePassword.slice(0, 40)), false);
  });
});

describe('a certificate that is held', () => {
  it('is not given out by GetCert', async () => {
    const { microsoft, server } = subject;
    microsoft.faults.add({ route: 'successNotification', kind: { status: 500 }, times: 2 });
    await assertHeld();
    const row = await server.database.query
      .selectFrom('certificates')
      .innerJoin('transactions', 'transactions.certificate_id', 'certificates.certificate_id')
      .select('certificate')
      .where('transaction_id', '=', transactionID)
      .executeTakeFirst();
    const wanted = issuerAndSerialNumber(parseCertificate(row?.certificate ?? Buffer.alloc(0)));
    const getCert = (transactionID: string) => client.request({ messageType: '21', transactionID, eContent: client.envelope(wanted) });
    assert.deepEqual((await client.exchange(getCert('before'))).failInfo, 'badCertId');
    issuedBy(await client.exchange(message));
    assert.equal((await client.exchange(getCert('after'))).pkiStatus, 'SUCCESS');
  });
});

describe('validation', () => {
  it('that nobody answers is an outage: nothing is recorded, and the same request is good once Intune answers', async () => {
    for (const kind of Object.values(faults).filter(fault => typeof fault !== 'object' || !('code' in fault))) {
      subject.microsoft.faults.add({ route: 'validateRequest', kind, times: 2 });
      await assertHeld();
      subject.microsoft.faults.clear();
    }
    assert.deepEqual(await statuses(), { transaction: '', certificates: [], outbox: [] });
    issuedBy(await client.exchange(message));
  });

  it('says when to come back where Microsoft does', async () => {
    const { microsoft, server } = subject;
    microsoft.faults.add({ route: 'validateRequest', kind: { status: 429, headers: { 'retry-after': '77' } } });
    const { statusCode, headers } = await client.post(message);
    assert.deepEqual([statusCode, headers['retry-after']], [503, '77']);
    const asked = microsoft.count('validateRequest');
    assert.equal((await client.post(message)).statusCode, 503);
    assert.equal(microsoft.count('validateRequest'), asked);
    server.advance(77_000);
    issuedBy(await client.exchange(message));
  });

  it('goes on with what was granted, moved or renewed meanwhile', async () => {
    const { application, microsoft, server, tenant } = subject;
    issuedBy(await client.exchange(message));
    const looked = microsoft.count('endpoints');
    const enrol = async (transactionID: string) => (await subject.connect()).enrol({ transactionID });
    for (const status of [404, 410]) {
      microsoft.movedStatus = status;
      tenant.moveScaleUnit();
      await enrol(`moved ${status}`);
    }
    assert.equal(microsoft.count('endpoints'), looked + 2);
    microsoft.expireTokens();
    server.advance(1000);
    await enrol('expired');
    application.revoke('scep_challenge_provider');
    microsoft.expireTokens();
    server.advance(1000);
    const { failInfoText } = await (await subject.connect()).exchange((await subject.connect()).request({ transactionID: 'revoked' }));
    assert.match(failInfoText ?? '', /scep_challenge_provider/);
    application.grant('scep_challenge_provider');
    await enrol('granted');
  });
});

describe('a connector that is deleted', () => {
  it('has what it held revoked', async () => {
    subject.microsoft.faults.add({ route: 'successNotification', kind: { status: 500 }, times: 1000 });
    await assertHeld();
    // Signed by the server's clock, which these tests have moved.
    await subject.call('DELETE', `/connectors/${encodeURIComponent(subject.connector.Arn)}`);
    await until(async () => (await statuses()).certificates[0] === 'REVOKED', 'it is revoked');
    assert.deepEqual((await statuses()).outbox, []);
  });
});
