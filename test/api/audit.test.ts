/** What calls of the API leave in the audit trail: the same record in the table, in the file and in ListEvents, and nowhere a secret. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import AWS from 'aws-sdk/global.js';
import type { AuditEventRow } from '../../src/backends/store/database.ts';
import { toCloudTrail } from '../../src/base/cloud-trail.ts';
import { createApiClient } from '../support/api-client.ts';
import { refusal, wireAnswer } from '../support/api-server.ts';
import { fetchSigned } from '../support/signed-request.ts';
import { accountId, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const region = 'us-east-1';

let directory: string;
let auditFile: string;
let server: TemporaryServer;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'scep-audit-'));
  auditFile = join(directory, 'audit.jsonl');
  server = await startTemporaryServer({ env: { SCEP_AUDIT_FILE: auditFile } });
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const client = () => createApiClient(server.apiUrl, server.credentialsFile);
const credentials = () => new AWS.SharedIniFileCredentials({ filename: server.credentialsFile });
const connectorArn = () => `arn:aws:pca-connector-scep:${region}:${accountId}:connector/${server.connectorId}`;

function rows(): Promise<AuditEventRow[]> {
  return server.database.query.selectFrom('audit_events').selectAll().orderBy('event_id').execute();
}

/** The records of the calls in `work`, once all are stored: a call that is awaited takes those before it along. */
async function recordsOf(work: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
  const known = new Set((await rows()).map(({ event_id }) => event_id));
  await work();
  await client()
    .tagResource({ ResourceArn: connectorArn(), Tags: { stored: 'true' } })
    .promise();
  const added = (await rows()).filter(({ event_id, category }) => !known.has(event_id) && category !== 'Service');
  return added.filter(({ name }) => name !== 'TagResource').map(row => ({ ...toCloudTrail(row) }));
}

const fileLines = async () => (await readFile(auditFile, 'utf8')).split('\n').slice(0, -1);

describe('a call of the API', () => {
  it('leaves a record in CloudTrail’s form', async () => {
    let requestID: unknown;
    let challengeArn = '';
    const [record, second] = await recordsOf(async () => {
      const { headers, text } = await wireAnswer(client().createChallenge({ ConnectorArn: connectorArn(), ClientToken: 'one' }));
      requestID = headers['x-amzn-requestid'];
      challengeArn = (JSON.parse(text) as { Challenge: { Arn: string } }).Challenge.Arn;
    });
    assert.equal(second, undefined);
    const { eventID, eventTime, userAgent, responseElements, tlsDetails, ...rest } = record ?? {};
    assert.match(String(eventID), /^[0-9a-f-]{36}$/);
    assert.match(String(eventTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.match(String(userAgent), /aws-sdk/);
    assert.deepEqual(tlsDetails, { clientProvidedHostHeader: new URL(server.apiUrl).host });
    const { Challenge } = responseElements as { Challenge: { CreatedAt: unknown; UpdatedAt: unknown } };
    assert.equal(typeof Challenge.CreatedAt, 'number');
    const { CreatedAt, UpdatedAt, ...challenge } = Challenge;
    assert.equal(CreatedAt, UpdatedAt);
    assert.deepEqual(challenge, { Arn: challengeArn, ConnectorArn: connectorArn(), Password: '***' });
    const { accessKeyId } = credentials();
    const userName = 'administrator';
    assert.deepEqual(rest, {
      eventVersion: '1.09',
      userIdentity: {
        type: 'IAMUser',
        principalId: userName,
        arn: `arn:aws:iam::${accountId}:user/${userName}`,
        accountId,
        accessKeyId,
        userName,
      },
      eventSource: 'pca-connector-scep.amazonaws.com',
      eventName: 'CreateChallenge',
      awsRegion: region,
      sourceIPAddress: '127.0.0.1',
      requestParameters: { ConnectorArn: connectorArn(), ClientToken: 'one' },
      requestID,
      readOnly: false,
      resources: [{ accountId, type: 'AWS::PCAConnectorSCEP::Connector', ARN: connectorArn() }],
      eventType: 'AwsApiCall',
      managementEvent: true,
      recipientAccountId: accountId,
      eventCategory: 'Management',
    });
  });

  it('that changed something is in the table when it is answered, under the connector that it made', async () => {
    const { ConnectorArn = '' } = await client()
      .createConnector({ CertificateAuthorityArn: await authorityArn() })
      .promise();
    const created = (await rows()).filter(({ name }) => name === 'CreateConnector');
    assert.deepEqual(
      created.map(({ connector_id, outcome }) => [connector_id, outcome]),
      [[ConnectorArn.split('/')[1], 'success']],
    );
    // The lifecycle's own event, so that it does not come in the middle of another test.
    while ((await rows()).filter(({ name }) => name === 'ConnectorActivated').length < 2) await nextTurn();
  });

  it('that only read leaves no response in its record', async () => {
    const records = await recordsOf(() => client().getConnector({ ConnectorArn: connectorArn() }).promise());
    assert.deepEqual(
      records.map(({ eventName, readOnly, requestParameters, responseElements }) => ({
        eventName,
        readOnly,
        requestParameters,
        responseElements,
      })),
      [{ eventName: 'GetConnector', readOnly: true, requestParameters: { ConnectorArn: connectorArn() }, responseElements: null }],
    );
  });

  it('that is refused leaves its error', async () => {
    const ChallengeArn = `${connectorArn()}/challenge/00000000-0000-4000-8000-000000000000`;
    const strangersArn = connectorArn().replace(accountId, '444455556666');
    const records = await recordsOf(async () => {
      await refusal(client().getChallengeMetadata({ ChallengeArn }));
      await refusal(client().getConnector({ ConnectorArn: strangersArn }));
      await refusal(client().listConnectors({ MaxResults: 0 }));
    });
    assert.deepEqual(records.map(({ eventName, errorCode }) => `${String(eventName)}: ${String(errorCode)}`).sort(), [
      'GetChallengeMetadata: ResourceNotFoundException',
      'GetConnector: AccessDeniedException',
      'ListConnectors: ValidationException',
    ]);
  });

  it('by someone unknown is a line in the log and no record', async () => {
    const stranger = { accessKeyId: 'AKIAAAAAAAAAAAAAAAAA', secretAccessKey: 'x' };
    const before = server.logLines.length;
    const records = await recordsOf(async () => {
      const url = `${server.apiUrl}/connectors`;
      assert.equal((await fetchSigned({ method: 'GET', url }, { credentials: stranger, region })).status, 403);
      assert.equal((await fetch(url)).status, 403);
    });
    assert.deepEqual(records, []);
    const lines = server.logLines.slice(before).filter(({ msg }) => msg === 'an API request was refused');
    assert.equal(lines.length, 2);
  });
});

describe('the trail', () => {
  it('is the same in the table, in the file and in ListEvents', async () => {
    await recordsOf(() => client().listConnectors({}).promise());
    const options = { credentials: credentials(), region };
    const response = await fetchSigned({ method: 'GET', url: `${server.apiUrl}/scep-connector/v1/events` }, options);
    const { Events } = (await response.json()) as { Events: Record<string, unknown>[] };
    const byId = (records: Record<string, unknown>[]) =>
      records.toSorted((a, b) => String(a['eventID']).localeCompare(String(b['eventID'])));
    const inTable = (await rows()).filter(({ name }) => name !== 'ListEvents').map(row => ({ ...toCloudTrail(row) }));
    const inFile = (await fileLines()).map(line => JSON.parse(line) as Record<string, unknown>);
    assert.ok(inTable.length >= 3);
    assert.deepEqual(byId(Events), byId(inTable));
    assert.deepEqual(byId(inFile.filter(({ eventName }) => eventName !== 'ListEvents')), byId(inTable));
  });

  it('holds no secret, nor does the log', async () => {
    const { Challenge } = await client().createChallenge({ ConnectorArn: connectorArn() }).promise();
    const { Arn: ChallengeArn = '', Password = '' } = Challenge ?? {};
    assert.match(Password, /^[0-9a-f-]{36}$/);
    await recordsOf(async () => {
      assert.equal((await client().getChallengePassword({ ChallengeArn }).promise()).Password, Password);
      await client().deleteChallenge({ ChallengeArn }).promise();
    });
    const { secretAccessKey } = credentials();
    const places = { table: JSON.stringify(await rows()), file: (await fileLines()).join('\n'), log: JSON.stringify(server.logLines) };
    for (const [place, text] of Object.entries(places)) {
      for (const secret of [Password, secretAccessKey, server.challengePassword]) assert.ok(!text.includes(secret), place);
    }
    assert.ok(places.table.includes(ChallengeArn) && places.file.includes(ChallengeArn));
  });

  it('outlives the server, with the calls that nobody waited for', async () => {
    const { length } = (await rows()).filter(({ name }) => name === 'GetConnector');
    await client().getConnector({ ConnectorArn: connectorArn() }).promise();
    await server.restart(async () => {
      assert.equal((await rows()).filter(({ name }) => name === 'GetConnector').length, length + 1);
    });
    const names = (await fileLines()).map(line => (JSON.parse(line) as { eventName: string }).eventName);
    assert.equal(names.filter(name => name === 'GetConnector').length, length + 1);
  });
});

async function authorityArn(): Promise<string> {
  const { Connector } = await client().getConnector({ ConnectorArn: connectorArn() }).promise();
  return Connector?.CertificateAuthorityArn ?? '';
}
