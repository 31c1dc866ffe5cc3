/** RA keys over years: renewed at two thirds of their life, the old ones accepted until they expire, one or two of them by the policy. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { findConnectorById, updateEnrolmentPolicy } from '../../src/backends/store/connectors.ts';
import { insertRaKey, listRaKeys } from '../../src/backends/store/ra-keys.ts';
import { defaultEnrolmentPolicy, type EnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { formatName } from '../../src/base/pki/name.ts';
import { identifies, onlySigner, parseSignedData } from '../../src/base/pki/signed-data.ts';
import { type Certificate, parseCertificate, verifyCertificateSignature } from '../../src/base/pki/x509.ts';
import { realSystem } from '../../src/base/system.ts';
import { examine } from '../../src/client/doctor.ts';
import { enroll } from '../../src/client/enroll.ts';
import { dueAt, keyUsageOf, lastingDevice, offered, renewalEvents } from '../support/ra-renewal.ts';
import { decodeCertRep, issuedBy, RawScepClient, send } from '../support/raw-scep-client.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';
import { until } from '../support/waiting.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
const yearMs = 365 * dayMs;
/** The worker looks every five seconds. */
const settleTimeoutMs = 30_000;

let server: TemporaryServer;
let clock = 0;
const device = lastingDevice();

async function start(): Promise<void> {
  clock = 0;
  server = await startTemporaryServer();
}

/** Sets the server's clock. */
function setClock(at: number): void {
  server.advance(at - Date.now() - clock);
  clock = at - Date.now();
}

async function ra(): Promise<Certificate> {
  const { ras } = await offered(server.url);
  assert.equal(ras.length, 1);
  assert.ok(ras[0]);
  return ras[0];
}

/** The first RA certificate that is offered in place of this one. */
async function renewed(old: Certificate): Promise<Certificate> {
  for (const deadline = performance.now() + settleTimeoutMs; performance.now() < deadline; await wait(50)) {
    const [first] = (await offered(server.url)).ras;
    if (first && first.serialNumber !== old.serialNumber) return first;
  }
  throw new Error('the RA is not renewed');
}

async function connector() {
  const row = await findConnectorById(server.database.query, server.connectorId);
  assert.ok(row);
  return row;
}

const raKeys = async () => (await listRaKeys(server.database.query, server.connectorId)).map(row => `${row.purpose} ${row.status}`);
const serialNumberOf = ({ serialNumber }: Certificate) => serialNumber;

/** A start has the worker look, and a stop waits for it. */
async function settled(): Promise<void> {
  for (let time = 0; time < 2; time++) await server.restart();
}

describe('an RA key', () => {
  let first: Certificate;
  let second: Certificate;
  let old: RawScepClient;
  before(async () => {
    await start();
    old = await RawScepClient.connect(server);
    first = old.ra;
  });
  after(() => server[Symbol.asyncDispose]());

  it('stays until two thirds of its life are over', async () => {
    setClock(dueAt(first) - minuteMs);
    await settled();
    assert.equal((await ra()).serialNumber, first.serialNumber);
    assert.deepEqual(await raKeys(), ['BOTH ACTIVE']);
  });

  it('is then replaced in GetCACert by one of the same CA that is valid a year, which is no update of the connector', async () => {
    const { updated_at: updatedAt, status } = await connector();
    setClock(dueAt(first) + minuteMs);
    second = await renewed(first);
    const { cas } = await offered(server.url);
    assert.ok(cas[0]);
    verifyCertificateSignature(second, cas[0]);
    assert.deepEqual(keyUsageOf(second), ['digitalSignature', 'keyEncipherment']);
    assert.ok(!second.publicKey.equals(first.publicKey));
    const made = second.notBefore + 60 * minuteMs;
    assert.ok(Math.abs(made - dueAt(first)) < 10 * minuteMs);
    assert.equal(second.notAfter, made + yearMs);
    const row = await connector();
    assert.deepEqual([row.status, row.updated_at, row.lease_until_at], [status, updatedAt, 0]);
    assert.ok(Math.abs(row.ra_renewal_at - dueAt(second)) < 2000);
    assert.deepEqual(await raKeys(), ['BOTH ACTIVE', 'BOTH RETIRED']);
  });

  it('leaves an event with the serial number and the end of the new certificate', async () => {
    const events = await renewalEvents(server.database, server.connectorId);
    assert.equal(events.length, 1);
    assert.equal(events[0]?.name, 'RaKeyRenewed');
    assert.deepEqual(events[0]?.detail.serialNumbers, [second.serialNumber]);
    assert.ok(Math.abs((events[0]?.detail.notAfter ?? 0) - second.notAfter) < 1000);
  });

  it('is not renewed again by a restart', async () => {
    await settled();
    assert.equal((await ra()).serialNumber, second.serialNumber);
    assert.equal((await renewalEvents(server.database, server.connectorId)).length, 1);
  });

  it('still decrypts and signs for the clients that know only it', async () => {
    // Decoding looks for the signer among what the client knows.
    await old.enrol({ device });
    const refused = await old.exchange(old.request({ device, csrParts: { attributes: [] } }), device);
    assert.equal(refused.failInfoText, 'Exactly one challenge password is required in the certificate signing request.');
  });

  it('that is new answers the clients that have fetched it', async () => {
    const client = await RawScepClient.connect(server);
    assert.equal(client.ra.serialNumber, second.serialNumber);
    await client.enrol({ device });
  });

  it('answers a client that encrypts to the old and the new one', async () => {
    const client = await RawScepClient.connect(server);
    const recipients = [{ certificate: second }, { certificate: first }];
    const { body } = await client.post(client.request({ device, envelope: { recipients } }));
    // DER sorts the recipients, and the first one that is ours decides who signs; this client knows both.
    const { sid } = onlySigner(parseSignedData(body));
    const signer = [first, second].find(certificate => identifies(sid, certificate));
    assert.ok(signer);
    issuedBy(decodeCertRep(body, signer, device));
  });

  it('that has expired is refused with the advice to fetch GetCACert again, signed by the new one', async () => {
    setClock(first.notAfter - minuteMs);
    await old.enrol({ device });
    setClock(first.notAfter + 1000);
    const client = await RawScepClient.connect(server);
    const { failInfo, failInfoText } = await client.refusal(old.request({ device }), device);
    assert.equal(failInfo, 'badRequest');
    assert.match(failInfoText ?? '', /Fetch GetCACert again/);
    await client.enrol({ device });
  });

  it('is deleted a day after it has expired; its certificate stays in the inventory', async () => {
    setClock(first.notAfter + dayMs - minuteMs);
    await settled();
    assert.deepEqual(await raKeys(), ['BOTH ACTIVE', 'BOTH RETIRED']);
    setClock(first.notAfter + dayMs + minuteMs);
    await settled();
    assert.deepEqual(await raKeys(), ['BOTH ACTIVE']);
    const certificates = server.database.query.selectFrom('certificates').select('serial_number').where('kind', '=', 'RA');
    const serialNumbers = (await certificates.execute()).map(row => row.serial_number);
    assert.deepEqual(serialNumbers.toSorted(), [first.serialNumber, second.serialNumber].toSorted());
  });
});

describe('a connector whose RA keys have all expired', () => {
  before(start);
  after(() => server[Symbol.asyncDispose]());

  it('answers 503 while its CA cannot issue, and recovers by itself', async () => {
    const first = await ra();
    const setAuthority = (status: 'ACTIVE' | 'DISABLED') =>
      server.database.query.updateTable('certificate_authorities').set({ status }).execute();
    await server.restart(async () => {
      await setAuthority('DISABLED');
      setClock(first.notAfter + dayMs);
    });
    const hasTried = async () => (await renewalEvents(server.database, server.connectorId)).length > 0;
    await until(hasTried, 'the renewal of the RA keys is tried');
    await setAuthority('ACTIVE');
    const { statusCode, headers, body } = await send(`${server.url}?operation=GetCACert`);
    assert.deepEqual([statusCode, headers['retry-after']], [503, '30']);
    assert.match(String(body), /INTERNAL_FAILURE/);
    assert.equal((await connector()).status, 'ACTIVE');
    const [failed] = await renewalEvents(server.database, server.connectorId);
    assert.deepEqual([failed?.name, failed?.reason], ['RaKeyRenewalFailed', 'The certificate authority is not active.']);
    setClock((failed?.detail.retryAt ?? 0) + 1000);
    await settled();
    const client = await RawScepClient.connect(server);
    await client.enrol({ device });
    assert.deepEqual(
      (await renewalEvents(server.database, server.connectorId)).map(({ name }) => name),
      ['RaKeyRenewalFailed', 'RaKeyRenewed'],
    );
  });
});

describe('a renewal in the midst of which the process died', () => {
  before(start);
  after(() => server[Symbol.asyncDispose]());

  it('is done by the next start once the lease of the dead one is over; until then the connector answers as before', async () => {
    const first = await ra();
    const { query } = server.database;
    const leaseUntilAt = dueAt(first) + minuteMs;
    await server.restart(async () => {
      const intent = await query.selectFrom('certificates').selectAll().where('kind', '=', 'RA').executeTakeFirstOrThrow();
      const open = { status: 'ISSUING' as const, certificate: null, fingerprint: null, issued_at: null };
      await query
        .insertInto('certificates')
        .values({ ...intent, ...open, certificate_id: 'cut short', serial_number: 'cut short' })
        .execute();
      await query.updateTable('connectors').set({ lease_until_at: leaseUntilAt }).execute();
      setClock(leaseUntilAt - 30_000);
    });
    await settled();
    const client = await RawScepClient.connect(server);
    assert.equal(client.ra.serialNumber, first.serialNumber);
    await client.enrol({ device });
    setClock(leaseUntilAt + 1000);
    await settled();
    assert.notEqual((await ra()).serialNumber, first.serialNumber);
    assert.deepEqual(await raKeys(), ['BOTH ACTIVE', 'BOTH RETIRED']);
    await client.enrol({ device });
  });
});

describe('a connector by whose policy there are two RA certificates', () => {
  let one: RawScepClient;
  let two: Certificate[];
  before(async () => {
    await start();
    one = await RawScepClient.connect(server);
    await setPolicy('TWO');
    await renewed(one.ra);
    two = (await offered(server.url)).ras;
  });
  after(() => server[Symbol.asyncDispose]());

  /** As PutEnrolmentPolicy does. */
  async function setPolicy(RaCertificates: 'ONE' | 'TWO'): Promise<void> {
    await server.restart(() => storePolicy({ RaCertificates }, true));
  }

  async function storePolicy(change: Partial<EnrolmentPolicy>, isRaDue: boolean): Promise<void> {
    const enrolmentPolicy = JSON.stringify({ ...defaultEnrolmentPolicy, ...change });
    await updateEnrolmentPolicy(server.database.query, server.connectorId, { enrolmentPolicy, isRaDue, updatedAt: Date.now() });
  }

  it('offers the one that signs, then the one that decrypts, then the CA', async () => {
    assert.deepEqual(two.map(keyUsageOf), [['digitalSignature'], ['keyEncipherment']]);
    const { all, cas } = await offered(server.url);
    assert.deepEqual(all.map(serialNumberOf), [...two, ...cas].map(serialNumberOf));
    assert.deepEqual((await raKeys()).toSorted(), ['BOTH RETIRED', 'DECRYPT ACTIVE', 'SIGN ACTIVE']);
    const [signing, decrypting] = two;
    assert.ok(signing && decrypting && cas[0]);
    assert.deepEqual([signing.notBefore, signing.notAfter], [decrypting.notBefore, decrypting.notAfter]);
    for (const certificate of two) verifyCertificateSignature(certificate, cas[0]);
    const [event] = await renewalEvents(server.database, server.connectorId);
    assert.deepEqual(event?.detail.serialNumbers, two.map(serialNumberOf));
  });

  it('enrols a client that picks them by their keyUsage', async () => {
    const wish = { url: server.url, challenge: server.challengePassword, subject: 'CN=picks', subjectAltNames: [], key: 'rsa:2048' };
    const { certificate } = await enroll(wish, { system: realSystem, report: () => {}, wait: async () => {} });
    assert.equal(formatName(certificate.subject), 'CN=picks');
  });

  it('seems well to the doctor', async () => {
    for await (const { outcome, text } of examine(server.url, server.caFingerprint, realSystem)) assert.equal(outcome, 'works', text);
  });

  it('reads what is encrypted to the one and answers with the other', async () => {
    const [signing, decrypting] = two;
    assert.ok(signing && decrypting);
    const client = new RawScepClient(server, [signing, one.ca]);
    await client.enrol({ envelope: { recipients: [{ certificate: decrypting }] } });
    const { failInfoText } = await client.refusal(client.request({ envelope: { recipients: [{ certificate: signing }] } }));
    assert.match(failInfoText ?? '', /Fetch GetCACert again/);
  });

  it('still answers the client that knows the one from before, with the one from before', async () => {
    await one.enrol();
  });

  it('shows the one that decrypts where the policy has come to show one alone, until there is one for both', async () => {
    await storePolicy({ GetCaCert: 'RA_CERTIFICATE' }, false);
    const { body } = await send(`${server.url}?operation=GetCACert`);
    assert.deepEqual(parseCertificate(body).der, two[1]?.der);
    await storePolicy({ RaCertificates: 'TWO' }, false);
  });

  it('has one again when the policy says so, and both generations of before still answer', async () => {
    const [signing, decrypting] = two;
    assert.ok(signing && decrypting);
    await setPolicy('ONE');
    const third = await renewed(signing);
    assert.deepEqual(keyUsageOf(third), ['digitalSignature', 'keyEncipherment']);
    assert.equal((await offered(server.url)).ras.length, 1);
    assert.deepEqual((await raKeys()).toSorted(), ['BOTH ACTIVE', 'BOTH RETIRED', 'DECRYPT RETIRED', 'SIGN RETIRED']);
    await (await RawScepClient.connect(server)).enrol();
    await one.enrol();
    await new RawScepClient(server, [signing, one.ca]).enrol({ envelope: { recipients: [{ certificate: decrypting }] } });
  });

  it('does not offer half of a generation, which a store put together by hand may hold', async () => {
    const before = (await offered(server.url)).ras;
    const { query } = server.database;
    const [row] = await listRaKeys(query, server.connectorId);
    assert.ok(row);
    await insertRaKey(query, { ...row, ra_key_id: 'half', purpose: 'SIGN', created_at: row.created_at + 1 });
    assert.deepEqual((await offered(server.url)).ras, before);
    await (await RawScepClient.connect(server)).enrol();
  });
});
