/** ListEvents, which no client of AWS's knows: the audit trail of the caller's account, filtered and page by page. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { insertAuditEvents } from '../../src/backends/store/audit-events.ts';
import { connectorArn } from '../../src/base/resources.ts';
import { realSystem } from '../../src/base/system.ts';
import { uuidV7 } from '../../src/base/uuid-v7.ts';
import { type ApiServer, accountId, otherAccountId, region, startApiServer } from '../support/api-server.ts';
import { allow, callAs } from '../support/signed-calls.ts';

const connectorId = realSystem.randomUUID();
const arn = connectorArn({ accountId, region }, connectorId);
const principalArn = `arn:aws:iam::${accountId}:user/ci`;
/** In a past that no call of this test is recorded in. */
const start = Date.parse('2024-08-16T17:48:00Z');
const past = 'EndTime=2024-12-31T00:00:00Z';
const path = '/scep-connector/v1/events';

interface Record {
  eventName: string;
  eventTime: string;
}

let server: ApiServer;
let call: ReturnType<typeof callAs>;

async function list(query: string, caller = call): Promise<{ names: string[]; NextToken: unknown }> {
  const { status, answer } = await caller('GET', `${path}?${query}`);
  assert.equal(status, 200, JSON.stringify(answer));
  const { Events, NextToken, ...rest } = answer;
  assert.deepEqual(rest, {});
  return { names: (Events as Record[]).map(({ eventName }) => eventName), NextToken };
}

/** What the refusal says of the request. */
async function refusal(query: string): Promise<unknown> {
  const { status, type, answer } = await call('GET', `${path}?${query}`);
  assert.deepEqual([status, type], [400, 'ValidationException'], JSON.stringify(answer));
  return answer['Message'];
}

before(async () => {
  server = await startApiServer();
  call = callAs(server, server.credentials);
  const common = { account_id: accountId, region, source: '10.0.0.0' } as const;
  const scep = { ...common, category: 'Data', connector_id: connectorId, outcome: 'success', detail: '{"readOnly":true}' } as const;
  const rows = [
    { ...scep, name: 'GetCACaps' },
    { ...scep, name: 'PKIOperationPost', outcome: 'failure', reason: 'The challenge password is invalid.' },
    {
      ...common,
      category: 'Service',
      name: 'EnrolmentRefused',
      connector_id: connectorId,
      outcome: 'failure',
      detail: '{"failInfo":"badRequest"}',
    },
    {
      ...common,
      category: 'Management',
      name: 'CreateChallenge',
      principal: principalArn,
      outcome: 'success',
      detail: '{"readOnly":false}',
    },
    { ...common, category: 'Management', name: 'GetConnector', account_id: otherAccountId, outcome: 'success', detail: '{}' },
  ] as const;
  for (const [second, row] of rows.entries()) {
    const at = start + second * 1000;
    const event_id = uuidV7({ ...realSystem, now: () => at });
    await insertAuditEvents(server.database.query, [{ event_id, at, ...row }]);
  }
});
after(() => server[Symbol.asyncDispose]());

const all = ['CreateChallenge', 'EnrolmentRefused', 'PKIOperationPost', 'GetCACaps'];

describe('ListEvents', () => {
  it('lists records in CloudTrail’s form, newest first', async () => {
    assert.deepEqual((await list(past)).names, all);
    const { answer } = await call('GET', `${path}?${past}&EventName=PKIOperationPost`);
    const [{ eventID, ...record } = {}] = answer['Events'] as { eventID?: unknown }[];
    assert.match(String(eventID), /^[0-9a-f]{8}-/);
    assert.deepEqual(record, {
      eventVersion: '1.10',
      userIdentity: { type: 'FederatedUser', principalId: accountId, accountId },
      eventTime: '2024-08-16T17:48:01Z',
      eventSource: 'pca-connector-scep.amazonaws.com',
      eventName: 'PKIOperationPost',
      awsRegion: region,
      sourceIPAddress: '10.0.0.0',
      errorMessage: 'The challenge password is invalid.',
      requestParameters: null,
      responseElements: null,
      readOnly: true,
      resources: [{ accountId, type: 'AWS::PCAConnectorSCEP::Connector', ARN: arn }],
      eventType: 'AwsApiCall',
      managementEvent: false,
      recipientAccountId: accountId,
      eventCategory: 'Data',
    });
  });

  it('takes filters, alone and together', async () => {
    const encoded = encodeURIComponent(arn);
    for (const [query, expected] of [
      ['EventName=GetCACaps', ['GetCACaps']],
      ['EventName=Absent', []],
      ['Category=Management', ['CreateChallenge']],
      ['Category=Data', ['PKIOperationPost', 'GetCACaps']],
      ['Category=Service', ['EnrolmentRefused']],
      ['Outcome=failure', ['EnrolmentRefused', 'PKIOperationPost']],
      ['Outcome=success', ['CreateChallenge', 'GetCACaps']],
      [`ConnectorArn=${encoded}`, ['EnrolmentRefused', 'PKIOperationPost', 'GetCACaps']],
      [`PrincipalArn=${encodeURIComponent(principalArn)}`, ['CreateChallenge']],
      [`ConnectorArn=${encoded}&Category=Data&Outcome=success`, ['GetCACaps']],
    ] as const) {
      assert.deepEqual((await list(`${past}&${query}`)).names, expected, query);
    }
  });

  it('takes instants as epoch seconds and as ISO 8601, both of them included', async () => {
    const seconds = start / 1000;
    for (const query of [
      `StartTime=${seconds + 1}&EndTime=${seconds + 2}`,
      `StartTime=${seconds + 0.001}&EndTime=${seconds + 2.999}`,
      'StartTime=2024-08-16T17:48:01Z&EndTime=2024-08-16T17:48:02Z',
      'StartTime=2024-08-16T17:48:00.001Z&EndTime=2024-08-16T19:48:02.000%2B02:00',
    ]) {
      assert.deepEqual((await list(query)).names, ['EnrolmentRefused', 'PKIOperationPost'], query);
    }
    assert.deepEqual((await list('EndTime=1969-12-31T23:59:59Z')).names, []);
  });

  it('gives pages that together hold every event once', async () => {
    const names: string[] = [];
    let query = `${past}&MaxResults=3`;
    for (const size of [3, 1]) {
      const page = await list(query);
      assert.equal(page.names.length, size);
      names.push(...page.names);
      query = `${past}&MaxResults=3&NextToken=${encodeURIComponent(String(page.NextToken))}`;
      if (size === 1) assert.equal(page.NextToken, undefined);
    }
    assert.deepEqual(names, all);
  });

  it('refuses a NextToken with other filters', async () => {
    const { NextToken } = await list(`${past}&MaxResults=3`);
    const message = await refusal(`EndTime=2024-12-30T00:00:00Z&NextToken=${encodeURIComponent(String(NextToken))}`);
    assert.match(String(message), /^NextToken is not one/);
  });

  it('shows nothing of another account', async () => {
    const other = callAs(server, await server.accessKeys.createAccessKey({ accountId: otherAccountId }));
    assert.deepEqual((await list(past, other)).names, ['GetConnector']);
    const { status, type } = await other('GET', `${path}?ConnectorArn=${encodeURIComponent(arn)}`);
    assert.deepEqual([status, type], [403, 'AccessDeniedException']);
    const disguised = encodeURIComponent(arn.replace(accountId, otherAccountId));
    assert.deepEqual((await list(`ConnectorArn=${disguised}`, other)).names, []);
  });

  it('takes the permission scep-connector:ListEvents, on everything or on one connector', async () => {
    const as = async (sessionPolicy: string) =>
      callAs(server, await server.accessKeys.createAccessKey({ accountId, durationSeconds: 3600, sessionPolicy }));
    const status = async (caller: typeof call, query: string) => (await caller('GET', `${path}?${query}`)).status;
    const ofOne = `ConnectorArn=${encodeURIComponent(arn)}`;
    const anywhere = await as(allow('scep-connector:ListEvents'));
    const onOne = await as(allow('scep-connector:ListEvents', arn));
    const nowhere = await as(allow('scep-connector:GetUser'));
    assert.deepEqual([await status(anywhere, past), await status(anywhere, ofOne)], [200, 200]);
    assert.deepEqual([await status(onOne, past), await status(onOne, ofOne)], [403, 200]);
    assert.deepEqual([await status(nowhere, past), await status(nowhere, ofOne)], [403, 403]);
  });

  it('refuses what it cannot read, in AWS’s words', async () => {
    const at = (member: string, constraint: string) =>
      `1 validation error detected: Value at '${member}' failed to satisfy constraint: ${constraint}`;
    for (const [query, expected] of [
      ['MaxResults=0', at('maxResults', 'Member must have value greater than or equal to 1')],
      ['MaxResults=101', at('maxResults', 'Member must have value less than or equal to 100')],
      ['Category=data', at('category', 'Member must satisfy enum value set: [Management, Data, Service]')],
      ['Outcome=SUCCESS', at('outcome', 'Member must satisfy enum value set: [success, failure]')],
      [`EventName=${'a'.repeat(65)}`, at('eventName', 'Member must have length less than or equal to 64')],
      ['StartTime=2024-13-01T00:00:00Z', at('startTime', 'Member must be a timestamp')],
      ['StartTime=2&EndTime=1', at('startTime', 'Member must not be after endTime')],
    ] as const) {
      assert.equal(await refusal(query), expected, query);
    }
    for (const query of [
      'StartTime=yesterday',
      'StartTime=',
      'EndTime=1e9',
      'EndTime=-1',
      'EventName=a-b',
      'ConnectorArn=x',
      'PrincipalArn=x',
    ]) {
      assert.match(String(await refusal(query)), /^(?:1 validation error|[23] validation errors) detected: Value at '/, query);
    }
    for (const query of ['MaxResults=1', 'MaxResults=100', `EventName=${'a'.repeat(64)}`, 'StartTime=99999999999', 'EndTime=0']) {
      await list(query);
    }
  });
});
