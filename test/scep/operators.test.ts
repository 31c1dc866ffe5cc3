/** What an operator does by the API and a device sees of it: dynamic challenges with bounds, requests that wait, approved and rejected. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { connectorArn } from '../../src/base/resources.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { issuedBy, RawScepClient } from '../support/raw-scep-client.ts';
import { challengePassword, createDevice } from '../support/scep-messages.ts';
import { callAs } from '../support/signed-calls.ts';
import { accountId, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const region = 'us-east-1';
const requestsPath = '/scep-connector/v1/requests';

let server: TemporaryServer;
let client: RawScepClient;
let call: ReturnType<typeof callAs>;
let path: string;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
  const file = await readFile(server.credentialsFile, 'utf8');
  const [, accessKeyId = ''] = /^aws_access_key_id *= *(\S+)/m.exec(file) ?? [];
  const [, secretAccessKey = ''] = /^aws_secret_access_key *= *(\S+)/m.exec(file) ?? [];
  call = callAs({ url: server.apiUrl, region, now: () => Date.now() }, { accessKeyId, secretAccessKey });
  path = `/scep-connector/v1/connectors/${encodeURIComponent(connectorArn({ accountId, region }, server.connectorId))}`;
});
after(() => server[Symbol.asyncDispose]());

async function putPolicy(EnrolmentPolicy: object): Promise<void> {
  assert.equal((await call('PUT', `${path}/enrolment-policy`, { EnrolmentPolicy })).status, 200);
}

async function createDynamicChallenge(input: object = {}): Promise<Uint8Array> {
  const { status, answer } = await call('POST', `${path}/dynamic-challenges`, input);
  assert.equal(status, 202);
  return challengePassword((answer['DynamicChallenge'] as { Password: string }).Password);
}

async function listed(Status: string): Promise<{ RequestArn: string; Subject: string; TransactionId: string }[]> {
  const { answer } = await call('GET', `${requestsPath}?Status=${Status}`);
  return answer['Requests'] as { RequestArn: string; Subject: string; TransactionId: string }[];
}

async function decide(verdict: 'approval' | 'rejection', transactionID: string, body?: object): Promise<void> {
  const request = (await listed('PENDING')).find(({ TransactionId }) => TransactionId === transactionID);
  assert.ok(request, 'it is not listed');
  assert.equal((await call('POST', `${requestsPath}/${encodeURIComponent(request.RequestArn)}/${verdict}`, body)).status, 204);
}

describe('a dynamic challenge', () => {
  it('authorises what is within its bounds, once', async () => {
    await putPolicy({});
    const challenge = await createDynamicChallenge({ Bounds: { Subject: 'O=Example,CN=printer-8', ExtendedKeyUsages: ['clientAuth'] } });
    const { failInfo, failInfoText } = await client.refusal(client.request({ challenge }));
    assert.deepEqual([failInfo, failInfoText], ['badRequest', 'The challenge password is for another subject: O=Example,CN=printer-8.']);
    const within = { challenge, csrParts: { subject: 'CN=printer-8,O=Example' } };
    assert.match((await client.enrol({ ...within, transactionID: 'within' })).subject, /CN=printer-8/);
    const another = createDevice(rsaKey('another'));
    const { failInfoText: used } = await client.refusal(client.request({ ...within, transactionID: 'again', device: another }), another);
    assert.equal(used, 'The challenge password was used as often as it may be.');
  });
});

describe('a request that waits', () => {
  it('is listed, and gets its certificate once it is approved', async () => {
    await putPolicy({ Approval: { Mode: 'MANUAL' } });
    const message = client.request({ transactionID: 'approved', csrParts: { subject: 'CN=waits' } });
    for (let times = 0; times < 2; times++) assert.equal((await client.exchange(message)).pkiStatus, 'PENDING');
    const waiting = (await listed('PENDING')).filter(({ TransactionId }) => TransactionId === 'approved');
    assert.deepEqual(
      waiting.map(({ Subject }) => Subject),
      ['CN=waits'],
    );
    await decide('approval', 'approved');
    assert.equal(issuedBy(await client.exchange(message)).subject, 'CN=waits');
    assert.ok((await listed('APPROVED')).some(({ TransactionId }) => TransactionId === 'approved'));
  });

  it('is told why it was rejected, and gives its use of a dynamic challenge back', async () => {
    await putPolicy({ Approval: { Mode: 'MANUAL' } });
    const challenge = await createDynamicChallenge();
    const first = client.request({ transactionID: 'rejected', challenge });
    const second = client.request({ transactionID: 'second', challenge });
    assert.equal((await client.exchange(first)).pkiStatus, 'PENDING');
    await client.refusal(second);
    await decide('rejection', 'rejected', { Reason: 'It is not one of ours.' });
    assert.equal((await client.refusal(first)).failInfoText, 'It is not one of ours.');
    assert.equal((await client.exchange(second)).pkiStatus, 'PENDING');
    await decide('approval', 'second');
    issuedBy(await client.exchange(second));
  });
});
