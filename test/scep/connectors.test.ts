/** Connectors beside one another, of which none answers for another, and authorities that are out of service. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createConnector } from '../support/operator.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { issuanceIn, issuedBy, RawScepClient, send } from '../support/raw-scep-client.ts';
import { challengePassword } from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

/** The first connector, and another at the same authority. */
let server: TemporaryServer;
let client: RawScepClient;
let other: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
  other = await RawScepClient.connect(await createConnector(server));
});
after(() => server[Symbol.asyncDispose]());

describe('two connectors of one authority', () => {
  it('have keys and challenges of their own, and enrol', async () => {
    assert.notEqual(client.ra.serialNumber, other.ra.serialNumber);
    assert.equal(client.ca.serialNumber, other.ca.serialNumber);
    await client.enrol();
    await other.enrol();
  });

  it('do not take one another’s challenges', async () => {
    const challenge = challengePassword(server.challengePassword);
    assert.deepEqual(await other.refusal(other.request({ challenge })), {
      failInfo: 'badRequest',
      failInfoText: 'The challenge password is invalid.',
    });
  });

  it('do not open one another’s envelopes', async () => {
    const { failInfo } = await other.refusal(other.request({ envelope: { recipients: [{ certificate: client.ra }] } }));
    assert.equal(failInfo, 'badRequest');
  });

  it('do not take one another’s certificates for a signer that may ask for a new key', async () => {
    const { certificates } = await client.exchange(client.request());
    const [certificate] = certificates;
    assert.ok(certificate);
    const device = { certificate, privateKey: client.device.privateKey };
    assert.deepEqual(await other.refusal(other.request({ device, csrParts: { key: rsaKey('second') } }), device), {
      failInfo: 'badMessageCheck',
      failInfoText: 'The request is not signed with the key that the certificate signing request is for.',
    });
  });

  it('do not know one another’s transactions', async () => {
    const transactionID = 'at both';
    const [first, second] = [await client.enrol({ transactionID }), await other.enrol({ transactionID })];
    assert.notEqual(first.serialNumber, second.serialNumber);
  });
});

describe('an authority that is out of service', () => {
  const setStatus = (status: 'ACTIVE' | 'DISABLED') =>
    server.database.query.updateTable('certificate_authorities').set({ status }).execute();
  const text = 'This connector cannot issue at present (PRIVATECA_INVALID_STATE). Try again later.\n';

  it('is an outage, which clients wait out, and no verdict', async () => {
    const message = client.request();
    const issued = await issuanceIn(server.database);
    await setStatus('DISABLED');
    try {
      for (const answer of [await send(`${server.url}?operation=GetCACert`), await client.post(message)]) {
        assert.deepEqual([answer.statusCode, answer.headers['retry-after'], String(answer.body)], [503, '30', text]);
      }
      assert.deepEqual(await issuanceIn(server.database), issued);
    } finally {
      await setStatus('ACTIVE');
    }
    issuedBy(await client.exchange(message));
  });

  it('does not keep a finished transaction from its certificate', async () => {
    const message = client.request();
    const { raw } = issuedBy(await client.exchange(message));
    await setStatus('DISABLED');
    try {
      assert.deepEqual(issuedBy(await client.exchange(message)).raw, raw);
    } finally {
      await setStatus('ACTIVE');
    }
  });
});
