/** What Intune wants revoked is revoked, once and by its own connector, and Intune is told; what is another's is left alone. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { intuneRevocationLimits } from '../../src/service/intune-revocations.ts';
import { createIntuneConnector, IntuneSubject } from '../support/intune-subject.ts';
import { RawScepClient } from '../support/raw-scep-client.ts';
import { until } from '../support/waiting.ts';

let subject: IntuneSubject;
let devices = 0;
before(async () => {
  subject = await IntuneSubject.start();
});
afterEach(() => {
  subject.tenant.revocations.splice(0);
  subject.tenant.revocationAnswers.splice(0);
  assert.deepEqual(subject.microsoft.violations, []);
});
after(() => subject[Symbol.asyncDispose]());

/** The serial number of a new certificate, as Intune was told it. */
async function enrol(url = subject.url): Promise<string> {
  const { database } = subject.server;
  const client = await RawScepClient.connect({ url, challengePassword: subject.challenge(), database });
  return (await client.enrol({ transactionID: `device-${++devices}` })).serialNumber;
}

async function statusOf(serialNumber: string): Promise<string | undefined> {
  const { query } = subject.server.database;
  const row = await query
    .selectFrom('certificates')
    .select('status')
    .where('serial_number', '=', serialNumber.toLowerCase())
    .executeTakeFirst();
  return row?.status;
}

/** Polls now, and waits until it has. */
async function poll(): Promise<void> {
  const { microsoft, server } = subject;
  const before = microsoft.count('downloadRevocationRequests');
  server.advance(intuneRevocationLimits.pollMs);
  await server.restart();
  await until(async () => microsoft.count('downloadRevocationRequests') > before, 'the queue is fetched');
}

const answered = async (count: number) => {
  const { revocationAnswers } = subject.tenant;
  await until(async () => revocationAnswers.length === count, `Intune has ${count} answers`);
  return new Map(revocationAnswers.map(answer => [answer.requestContext, answer]));
};

describe('the revocation queue of Intune', () => {
  it('is answered for certificates of the connector’s own, whichever way their number is written', async () => {
    const [first, second, third] = [await enrol(), await enrol(), await enrol()];
    const contexts = [
      subject.tenant.queueRevocation({ serialNumber: first, caConfiguration: subject.connector.Arn }),
      subject.tenant.queueRevocation({ serialNumber: second.toLowerCase().replace(/^0+/, '') }),
    ];
    await poll();
    const answers = await answered(2);
    for (const requestContext of contexts) {
      assert.deepEqual(answers.get(requestContext), { requestContext, succeeded: true, errorCode: '0', errorMessage: null });
    }
    assert.deepEqual([await statusOf(first), await statusOf(second), await statusOf(third)], ['REVOKED', 'REVOKED', 'ISSUED']);
    assert.deepEqual(subject.tenant.revocations, []);
    const { query } = subject.server.database;
    const events = await query.selectFrom('audit_events').select('detail').where('name', '=', 'CertificateRevoked').execute();
    const revoked = new Set(events.map(({ detail }) => JSON.parse(detail).serialNumber as string));
    assert.deepEqual(revoked, new Set([first.toLowerCase(), second.toLowerCase()]));
  });

  it('leaves what is not the connector’s, and says so of what claims to be', async () => {
    const other = await createIntuneConnector(subject.api, { clientId: subject.application.clientId, domain: subject.tenant.domain });
    const { Issuer: issuer, Subject, Audience: audience } = other.OpenIdConfiguration;
    subject.application.addFederatedCredential({ issuer, subject: Subject, audience });
    const othersSerial = await enrol(new URL(new URL(other.Endpoint).pathname, subject.server.url).href);
    const unknown = subject.tenant.queueRevocation({ serialNumber: '7F', caConfiguration: subject.connector.Arn });
    subject.tenant.queueRevocation({ serialNumber: '7E', caConfiguration: 'another CA' });
    subject.tenant.queueRevocation({ serialNumber: 'no number' });
    const others = subject.tenant.queueRevocation({ serialNumber: othersSerial, caConfiguration: other.Arn });
    await poll();
    const answers = await answered(2);
    assert.deepEqual([answers.get(unknown)?.succeeded, answers.get(unknown)?.errorCode], [false, '4004']);
    assert.equal(answers.get(others)?.succeeded, true);
    assert.equal(subject.tenant.revocations.length, 2);
    assert.equal(await statusOf(othersSerial), 'REVOKED');
  });

  it('is answered the next time when Intune does not take the answers', async () => {
    const serialNumber = await enrol();
    subject.tenant.queueRevocation({ serialNumber });
    subject.microsoft.faults.add({ route: 'uploadRevocationResults', kind: 'reset', times: 4 });
    await poll();
    await until(async () => (await statusOf(serialNumber)) === 'REVOKED', 'it is revoked');
    assert.equal(subject.tenant.revocations.length, 1);
    subject.microsoft.faults.clear();
    await poll();
    await answered(1);
    assert.deepEqual(subject.tenant.revocations, []);
  });
});
