/** Renewing RA keys when things happen: the CA gets another certificate, cannot issue, the store fails half-way, the connector goes meanwhile. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import { findConnectorById, updateEnrolmentPolicy } from '../../src/backends/store/connectors.ts';
import { type ConnectorRow, StoreError } from '../../src/backends/store/database.ts';
import { listRaKeys } from '../../src/backends/store/ra-keys.ts';
import { defaultEnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import type { KeyPair } from '../../src/base/pki/enveloped-data.ts';
import { parsePem } from '../../src/base/pki/pem.ts';
import { type Certificate, parseCertificate, verifyCertificateSignature } from '../../src/base/pki/x509.ts';
import { parseConnectorArn } from '../../src/base/resources.ts';
import { lifecycleLimits } from '../../src/service/lifecycle.ts';
import type { RaKeyRing } from '../../src/service/ra-keys.ts';
import { type ApiServer, region, startApiServer } from '../support/api-server.ts';
import { certifyAuthority, createActiveAuthority, smallRoot } from '../support/authority-client.ts';
import { dueAt, keyUsageOf, renewalEvents } from '../support/ra-renewal.ts';

const dayMs = 86_400_000;
const { raRetryMs, leaseMs } = lifecycleLimits;

let server: ApiServer;
let authorities: ACMPCA;
let CertificateAuthorityArn: string;
let ConnectorArn: string;
let connectorId: string;
let first: RaKeyRing;

beforeEach(async () => {
  server = await startApiServer();
  authorities = new ACMPCA({ endpoint: server.url, region, maxRetries: 0, credentials: server.credentials });
  CertificateAuthorityArn = await createActiveAuthority(authorities, smallRoot);
  ({ ConnectorArn = '' } = await server.client().createConnector({ CertificateAuthorityArn }).promise());
  connectorId = parseConnectorArn(ConnectorArn)?.connectorId ?? '';
  await settle();
  first = await raKeys();
  server.wakeUps = 0;
});
afterEach(() => server[Symbol.asyncDispose]());

const settle = () => server.services.lifecycle.settle();
const raKeys = () => server.services.raKeys.getRaKeys(connectorId);
const events = () => renewalEvents(server.database, connectorId);
const eventNames = async () => (await events()).map(({ name }) => name);
const serialNumbers = (certificates: readonly Certificate[]) => certificates.map(({ serialNumber }) => serialNumber);

async function connector(): Promise<ConnectorRow> {
  const row = await findConnectorById(server.database.query, connectorId);
  assert.ok(row);
  return row;
}

function makeDue(): void {
  assert.ok(first.certificates[0]);
  server.advance(dueAt(first.certificates[0]) - Date.now() + 1000);
}

async function setPolicy(RaCertificates: 'ONE' | 'TWO'): Promise<void> {
  const enrolmentPolicy = JSON.stringify({ ...defaultEnrolmentPolicy, RaCertificates });
  await updateEnrolmentPolicy(server.database.query, connectorId, { enrolmentPolicy, isRaDue: true, updatedAt: Date.now() });
}

async function setAuthority(Status: 'ACTIVE' | 'DISABLED'): Promise<void> {
  await server.services.privateCa.updateCertificateAuthority({ CertificateAuthorityArn, Status });
}

/** Another certificate for the same key, of this life. */
async function importAnother(days: number): Promise<Certificate> {
  const Validity = { Type: 'DAYS', Value: days };
  const text = await certifyAuthority(authorities, CertificateAuthorityArn, { SigningAlgorithm: smallRoot.SigningAlgorithm, Validity });
  const [der] = parsePem('CERTIFICATE', text);
  assert.ok(der);
  return parseCertificate(der);
}

/** Has `work` done before the n-th RA certificate is issued. */
function beforeIssue(n: number, work: () => Promise<unknown>): void {
  const { certificates } = server.services;
  const issue = certificates.issue.bind(certificates);
  let calls = 0;
  certificates.issue = async (...args) => {
    calls += 1;
    if (calls === n) await work();
    return issue(...args);
  };
}

describe('the import of another certificate of the CA', () => {
  it('gives its connectors an RA certificate of the new one at once, and the old RA key still decrypts', async () => {
    const authority = await importAnother(100);
    assert.equal(server.wakeUps, 1);
    await settle();
    const { certificates, decrypting, signingFor } = await raKeys();
    assert.equal(certificates.length, 1);
    assert.ok(certificates[0]);
    verifyCertificateSignature(certificates[0], authority);
    assert.equal(certificates[0].notAfter, authority.notAfter);
    assert.deepEqual(
      serialNumbers(decrypting.map(({ certificate }) => certificate)),
      serialNumbers([certificates[0], ...first.certificates]),
    );
    assert.deepEqual([signingFor(undefined), signingFor(1)].map(serialOf), serialNumbers([certificates[0], ...first.certificates]));
    assert.deepEqual(await eventNames(), ['RaKeyRenewed']);
  });

  it('is not followed by another renewal before the CA ends, since that could last no longer', async () => {
    const authority = await importAnother(100);
    await settle();
    const { certificates } = await raKeys();
    assert.equal((await connector()).ra_renewal_at, authority.notAfter);
    server.advance(99 * dayMs);
    await settle();
    assert.deepEqual(serialNumbers((await raKeys()).certificates), serialNumbers(certificates));
    server.advance(2 * dayMs);
    await settle();
    assert.equal((await events()).at(-1)?.reason, 'The certificate of the certificate authority is expired.');
  });

  it('of the same certificate renews nothing', async () => {
    const authority = await authorities.getCertificateAuthorityCertificate({ CertificateAuthorityArn }).promise();
    await authorities
      .importCertificateAuthorityCertificate({ CertificateAuthorityArn, Certificate: authority.Certificate ?? '' })
      .promise();
    await settle();
    assert.deepEqual(serialNumbers((await raKeys()).certificates), serialNumbers(first.certificates));
  });

  it('renews no connector on another CA', async () => {
    await createActiveAuthority(authorities, smallRoot);
    await settle();
    assert.deepEqual(await eventNames(), []);
  });

  it('in the midst of a renewal is followed by another one', async () => {
    await setPolicy('ONE');
    let authority: Certificate | undefined;
    beforeIssue(1, async () => {
      authority = await importAnother(100);
    });
    await settle();
    assert.deepEqual([(await connector()).ra_renewal_at, (await connector()).lease_until_at], [0, 0]);
    await settle();
    assert.equal((await raKeys()).certificates[0]?.notAfter, authority?.notAfter);
    assert.deepEqual(await eventNames(), ['RaKeyRenewed', 'RaKeyRenewed']);
  });

  it('in the midst of the creation of a connector is followed by a renewal', async () => {
    const created = await server.client().createConnector({ CertificateAuthorityArn }).promise();
    ({ connectorId = '' } = parseConnectorArn(created.ConnectorArn ?? '') ?? {});
    let authority: Certificate | undefined;
    beforeIssue(1, async () => {
      authority = await importAnother(100);
    });
    await settle();
    assert.deepEqual([(await connector()).status, (await connector()).ra_renewal_at], ['ACTIVE', 0]);
    await settle();
    assert.equal((await raKeys()).certificates[0]?.notAfter, authority?.notAfter);
  });
});

function serialOf({ certificate }: KeyPair): string {
  return certificate.serialNumber;
}

describe('a renewal that fails because the CA cannot issue', () => {
  beforeEach(async () => {
    makeDue();
    await setAuthority('DISABLED');
    await settle();
  });

  it('leaves the connector ACTIVE with the keys it has, and an event that says why and when it is tried again', async () => {
    const { status, ra_renewal_at: retryAt, lease_until_at: leaseUntilAt } = await connector();
    assert.deepEqual([status, leaseUntilAt], ['ACTIVE', 0]);
    assert.deepEqual(serialNumbers((await raKeys()).certificates), serialNumbers(first.certificates));
    const detail = { statusReason: 'PRIVATECA_INVALID_STATE', retryAt };
    assert.deepEqual(await events(), [{ name: 'RaKeyRenewalFailed', reason: 'The certificate authority is not active.', detail }]);
    assert.equal(server.reports.length, 1);
  });

  it('is tried again after a while, not sooner, and leaves an event each time', async () => {
    await settle();
    server.advance(raRetryMs - 1000);
    await settle();
    assert.equal((await events()).length, 1);
    server.advance(2000);
    await settle();
    await settle();
    assert.deepEqual(await eventNames(), ['RaKeyRenewalFailed', 'RaKeyRenewalFailed']);
  });

  it('is made up for when the CA can issue again', async () => {
    await setAuthority('ACTIVE');
    server.advance(raRetryMs + 1000);
    await settle();
    assert.deepEqual(await eventNames(), ['RaKeyRenewalFailed', 'RaKeyRenewed']);
    assert.equal((await raKeys()).decrypting.length, 2);
  });

  it('is made up for even when all the keys have expired by then', async () => {
    server.advance(365 * dayMs);
    await assert.rejects(raKeys(), /no valid RA certificate/);
    await setAuthority('ACTIVE');
    await settle();
    assert.equal((await raKeys()).decrypting.length, 1);
    assert.equal((await connector()).status, 'ACTIVE');
  });
});

describe('a renewal with two RA certificates', () => {
  beforeEach(() => setPolicy('TWO'));

  it('that the store cuts short before the second leaves the old key in use, and is done once the lease is over', async () => {
    const failure = new StoreError('full', 'The disk is full.');
    beforeIssue(2, async () => {
      throw failure;
    });
    await assert.rejects(server.services.lifecycle.step(), failure);
    assert.deepEqual(serialNumbers((await raKeys()).certificates), serialNumbers(first.certificates));
    assert.deepEqual(
      (await listRaKeys(server.database.query, connectorId)).map(({ purpose }) => purpose),
      ['BOTH'],
    );
    assert.deepEqual(await eventNames(), []);
    await settle();
    assert.equal((await raKeys()).certificates.length, 1);
    server.advance(leaseMs);
    await settle();
    assert.deepEqual((await raKeys()).certificates.map(keyUsageOf), [['digitalSignature'], ['keyEncipherment']]);
    assert.deepEqual(await eventNames(), ['RaKeyRenewed']);
  });

  it('follows the policy that has changed in the midst of it', async () => {
    beforeIssue(2, () => setPolicy('ONE'));
    await settle();
    await settle();
    assert.deepEqual((await raKeys()).certificates.map(keyUsageOf), [['digitalSignature', 'keyEncipherment']]);
    assert.equal((await raKeys()).decrypting.length, 3);
  });

  it('is done once by two workers whose leases overlap', async () => {
    beforeIssue(1, async () => {
      server.advance(leaseMs + 1000);
      assert.equal(await server.services.lifecycle.step(), 1);
    });
    await settle();
    assert.equal((await listRaKeys(server.database.query, connectorId)).length, 3);
    assert.deepEqual(await eventNames(), ['RaKeyRenewed']);
  });
});

describe('a connector that is deleted in the midst of its renewal', () => {
  it('gets no key while it is DELETING', async () => {
    makeDue();
    beforeIssue(1, () => server.setStatus(ConnectorArn, 'DELETING'));
    await settle();
    assert.equal((await connector()).status, 'DELETING');
    assert.equal((await listRaKeys(server.database.query, connectorId)).length, 1);
    assert.deepEqual(await eventNames(), []);
  });

  it('gets no key when it is gone; what was signed for it is in the inventory', async () => {
    makeDue();
    beforeIssue(1, async () => {
      await server.setStatus(ConnectorArn, 'DELETING');
      await server.database.query.deleteFrom('ra_keys').where('connector_id', '=', connectorId).execute();
      await server.finishDeletion(ConnectorArn);
    });
    await settle();
    assert.equal(await findConnectorById(server.database.query, connectorId), undefined);
    assert.deepEqual(await server.database.query.selectFrom('ra_keys').selectAll().execute(), []);
    const certificates = server.database.query.selectFrom('certificates').select('status').where('connector_id', '=', connectorId);
    assert.deepEqual(await certificates.execute(), [{ status: 'ISSUED' }, { status: 'ISSUED' }]);
    assert.deepEqual([await eventNames(), server.reports], [[], []]);
  });
});
