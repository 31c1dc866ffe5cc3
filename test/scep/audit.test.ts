/** What an enrolment leaves behind for its operator: events in the audit trail, and a line in the log for every request. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { listAuditEvents } from '../../src/backends/store/audit-events.ts';
import type { AuditEventRow } from '../../src/backends/store/database.ts';
import { toCloudTrail } from '../../src/base/cloud-trail.ts';
import { connectorArn } from '../../src/base/resources.ts';
import { createApiClient } from '../support/api-client.ts';
import { exchange, issuedBy, RawScepClient, send } from '../support/raw-scep-client.ts';
import { challengePassword } from '../support/scep-messages.ts';
import { accountId, type LogLine, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const warn = 40;
const info = 30;

let server: TemporaryServer;
let client: RawScepClient;
let directory: string;
let auditFile: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'scep-audit-'));
  auditFile = join(directory, 'audit.jsonl');
  server = await startTemporaryServer({ env: { SCEP_AUDIT_FILE: auditFile } });
  client = await RawScepClient.connect(server);
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

interface Traces {
  /** What the service did, oldest first. */
  events: AuditEventRow[];
  /** What it was asked. */
  calls: AuditEventRow[];
  lines: LogLine[];
}

/** The audit events and the log lines that `work` adds. */
async function traces(work: () => Promise<unknown>): Promise<Traces> {
  const list = () => listAuditEvents(server.database.query, { connectorId: server.connectorId, limit: 1000 });
  const known = new Set((await list()).map(({ event_id }) => event_id));
  const linesBefore = server.logLines.length;
  await work();
  const lines = server.logLines.slice(linesBefore);
  // A call that is awaited takes those before it along.
  const ResourceArn = connectorArn({ accountId, region: 'us-east-1' }, server.connectorId);
  await createApiClient(server.apiUrl, server.credentialsFile).tagResource({ ResourceArn, Tags: {} }).promise();
  const added = (await list()).filter(({ event_id }) => !known.has(event_id)).toReversed();
  return {
    events: added.filter(({ category }) => category === 'Service'),
    calls: added.filter(({ category }) => category === 'Data'),
    lines,
  };
}

const home = { category: 'Service', account_id: '000000000000', region: 'us-east-1', source: '127.0.0.1', principal: null };

describe('an enrolment', () => {
  it('leaves one event, with the certificate’s serial number, subject and end', async () => {
    const { events, lines } = await traces(async () => {
      const issued = issuedBy(await client.exchange(client.request({ transactionID: 'an enrolment' })));
      assert.ok(issued.subject);
    });
    const [event, second] = events;
    assert.ok(event && !second);
    const { event_id, at, detail, ...rest } = event;
    assert.match(event_id, /^[0-9a-f-]{36}$/);
    assert.ok(Math.abs(at - Date.now()) < 10_000);
    assert.deepEqual(rest, { ...home, name: 'CertificateIssued', connector_id: server.connectorId, outcome: 'success', reason: null });
    const row = await server.database.query
      .selectFrom('certificates')
      .selectAll()
      .orderBy('certificate_id', 'desc')
      .executeTakeFirstOrThrow();
    const expected = {
      transactionID: 'an enrolment',
      serialNumber: row.serial_number,
      subject: 'CN=printer-7,O=Example',
      notAfter: row.not_after,
    };
    const { authorisation, ...certificate } = JSON.parse(detail);
    assert.deepEqual(certificate, expected);
    assert.equal(authorisation.by, 'challenge');
    const line = lines.find(({ event: name }) => name === 'CertificateIssued');
    assert.deepEqual([line?.['level'], line?.['serialNumber'], line?.['accountId']], [info, row.serial_number, accountId]);
  });

  it('leaves no second event when it is sent again', async () => {
    const message = client.request();
    issuedBy(await client.exchange(message));
    const { events } = await traces(async () => issuedBy(await client.exchange(message)));
    assert.deepEqual(events, []);
  });
});

describe('a refusal', () => {
  const refusals: [name: string, message: () => Uint8Array, failInfo: string, reason: string][] = [
    [
      'of the challenge',
      () => client.request({ challenge: challengePassword('wrong'), transactionID: 'T' }),
      'badRequest',
      'The challenge password is invalid.',
    ],
    [
      'of the message',
      () => client.request({ eContent: Buffer.alloc(0), transactionID: 'T' }),
      'badRequest',
      'The request is refused: a request without a pkcsPKIEnvelope.',
    ],
    [
      'of the messageType',
      () => client.request({ messageType: '18', transactionID: 'T' }),
      'badRequest',
      'Unsupported PkiOperation messageType: 18. Use PKCSReq (19).',
    ],
  ];
  for (const [name, message, failInfo, reason] of refusals) {
    it(`${name} leaves one event, with failInfo and the reason`, async () => {
      const { events, lines } = await traces(() => client.refusal(message()));
      const [event, second] = events;
      assert.ok(event && !second);
      const { event_id: _id, at: _at, detail, ...rest } = event;
      assert.deepEqual(rest, { ...home, name: 'EnrolmentRefused', connector_id: server.connectorId, outcome: 'failure', reason });
      assert.deepEqual(JSON.parse(detail), { transactionID: 'T', failInfo });
      const line = lines.find(({ event: eventName }) => eventName === 'EnrolmentRefused');
      assert.deepEqual([line?.['level'], line?.['reason']], [warn, reason]);
    });
  }
});

describe('a request', () => {
  const record = async (work: () => Promise<unknown>) => {
    const { calls } = await traces(work);
    const [call, second] = calls;
    assert.ok(call && !second);
    const { eventID, eventTime, requestID, userAgent: _userAgent, ...rest } = toCloudTrail(call);
    assert.equal(eventID, call.event_id);
    assert.match(String(eventTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.match(String(requestID), /^[0-9a-f-]{36}$/);
    return rest;
  };
  const common = () => ({
    eventVersion: '1.10',
    userIdentity: { type: 'FederatedUser', principalId: accountId, accountId },
    eventSource: 'pca-connector-scep.amazonaws.com',
    awsRegion: 'us-east-1',
    sourceIPAddress: '127.0.0.1',
    requestParameters: null,
    responseElements: null,
    resources: [
      {
        accountId,
        type: 'AWS::PCAConnectorSCEP::Connector',
        ARN: connectorArn({ accountId, region: 'us-east-1' }, server.connectorId),
      },
    ],
    eventType: 'AwsApiCall',
    managementEvent: false,
    recipientAccountId: accountId,
    eventCategory: 'Data',
    tlsDetails: { clientProvidedHostHeader: new URL(server.url).host },
  });

  it('for what a connector can and what its certificates are leaves a record in CloudTrail’s form', async () => {
    for (const eventName of ['GetCACaps', 'GetCACert']) {
      assert.deepEqual(await record(() => send(`${server.url}?operation=${eventName}`)), {
        ...common(),
        eventName,
        readOnly: true,
        additionalEventData: { method: 'GET', outcome: 'success' },
      });
    }
  });

  it('to enrol leaves one, and as many more as it is sent', async () => {
    const message = client.request({ transactionID: 'to enrol' });
    const expected = {
      ...common(),
      eventName: 'PKIOperationPost',
      readOnly: false,
      additionalEventData: { method: 'POST', messageType: '19', transactionID: 'to enrol', outcome: 'SUCCESS' },
    };
    assert.deepEqual(await record(() => client.exchange(message)), expected);
    assert.deepEqual(await record(() => client.exchange(message)), expected);
  });

  it('by GET that is refused leaves one that says why', async () => {
    const message = client.request({ challenge: challengePassword('wrong'), transactionID: 'by GET' });
    const url = `${server.url}?operation=PKIOperation&message=${encodeURIComponent(Buffer.from(message).toString('base64'))}`;
    assert.deepEqual(await record(() => send(url)), {
      ...common(),
      eventName: 'PKIOperationGet',
      errorCode: 'BadRequestException',
      errorMessage: 'The challenge password is invalid.',
      readOnly: false,
      additionalEventData: { method: 'GET', messageType: '19', transactionID: 'by GET', outcome: 'FAILURE' },
    });
  });

  it('that cannot be read leaves one', async () => {
    const { errorCode, errorMessage } = await record(() => client.rejection(Buffer.from('3000', 'hex')));
    assert.deepEqual([errorCode, errorMessage], ['ValidationException', 'The request is refused: ContentInfo ends before contentType.']);
  });

  it('for an operation that there is not leaves one, with the operation as it was sent, cut', async () => {
    for (const [operation, kept] of [
      ['GetCACapz', 'GetCACapz'],
      [`%1b${'o'.repeat(1000)}`, `%1b${'o'.repeat(61)}`],
      ['', undefined],
    ]) {
      assert.deepEqual(await record(() => send(`${server.url}?operation=${operation}`)), {
        ...common(),
        eventName: 'UnsupportedOperation',
        errorCode: 'ValidationException',
        errorMessage: 'The operation must be GetCACaps, GetCACert, GetNextCACert or PKIOperation.',
        readOnly: true,
        additionalEventData: { ...(kept !== undefined && { operation: kept }), method: 'GET', outcome: 'refused' },
      });
    }
  });

  it('with a method that SCEP does not use leaves one', async () => {
    const { eventName, errorMessage, additionalEventData } = await record(() =>
      send(`${server.url}?operation=GetCACaps`, { method: 'DELETE' }),
    );
    assert.deepEqual([eventName, errorMessage], ['GetCACaps', 'SCEP uses GET and POST.']);
    assert.deepEqual(additionalEventData, { method: 'DELETE', outcome: 'refused' });
  });
});

describe('the log', () => {
  const hitOf = async (work: () => Promise<unknown>): Promise<LogLine | undefined> => {
    const { lines } = await traces(work);
    const [hit, second] = lines.filter(({ msg }) => msg === 'scep request');
    assert.equal(second, undefined);
    const { time: _time, pid: _pid, hostname: _hostname, level: _level, msg: _msg, requestId: _requestId, ...fields } = hit ?? {};
    return hit && fields;
  };

  it('has a line for every request that is answered', async () => {
    const { connectorId } = server;
    const common = { accountId, connectorId, source: '127.0.0.1', statusCode: 200 };
    assert.deepEqual(await hitOf(() => send(`${server.url}?operation=GetCACaps`)), {
      ...common,
      operation: 'GetCACaps',
      outcome: 'success',
      method: 'GET',
    });
    assert.deepEqual(await hitOf(() => client.exchange(client.request({ transactionID: 'T7' }))), {
      ...common,
      operation: 'PKIOperation',
      messageType: '19',
      transactionID: 'T7',
      outcome: 'SUCCESS',
      method: 'POST',
    });
  });

  it('has a line for every request that is refused, and says why', async () => {
    const { connectorId } = server;
    const { origin } = new URL(server.url);
    const missing = { statusCode: 404, reason: 'There is no connector at this URL.' };
    const refusals: [url: string, expected: LogLine][] = [
      [
        `${server.url}?operation=X`,
        { accountId, connectorId, statusCode: 400, reason: 'The operation must be GetCACaps, GetCACert, GetNextCACert or PKIOperation.' },
      ],
      [`${origin}/nowhere?operation=X`, missing],
      // Which connector was asked for, the wrong secret left out.
      [`${origin}/${accountId}-${connectorId}/${randomUUID()}?operation=X`, { accountId, connectorId, ...missing }],
      [`${origin}/111122223333-nobody/${randomUUID()}?operation=X`, { accountId: '111122223333', connectorId: 'nobody', ...missing }],
    ];
    for (const [url, expected] of refusals) {
      assert.deepEqual(await hitOf(() => send(url)), {
        operation: 'X',
        outcome: 'refused',
        method: 'GET',
        source: '127.0.0.1',
        ...expected,
      });
    }
  });

  it('has a line for a message that cannot be read', async () => {
    const hit = await hitOf(() => client.rejection(Buffer.from('3000', 'hex')));
    assert.deepEqual([hit?.['statusCode'], hit?.['reason']], [400, 'The request is refused: ContentInfo ends before contentType.']);
  });

  it('takes no more of User-Agent and operation than a line can bear', async () => {
    const target = `${new URL(server.url).pathname}?operation=${'o'.repeat(1000)}`;
    const hit = await hitOf(() =>
      exchange(server.url, `GET ${target} HTTP/1.1\r\nUser-Agent: ${'u'.repeat(1000)}\r\nConnection: close\r\n\r\n`),
    );
    assert.deepEqual([hit?.['operation'], hit?.['userAgent']], ['o'.repeat(64), 'u'.repeat(256)]);
  });

  it('has nothing of a subject with line breaks, which is refused', async () => {
    const { lines } = await traces(() => client.refusal(client.request({ csrParts: { subject: 'CN=a\\0ab\\0d\\1b[31m' } })));
    const line = lines.find(({ event }) => event === 'EnrolmentRefused');
    assert.equal(line?.['reason'], 'The subject of the CSR has control characters.');
  });
});

describe('the audit file', () => {
  it('has the record of every row, under the same id', async () => {
    await traces(() => client.enrol());
    const lines = (await readFile(auditFile, 'utf8')).split('\n').slice(0, -1);
    const records = new Map(lines.map(line => JSON.parse(line) as { eventID: string }).map(record => [record.eventID, record]));
    const rows = await server.database.query.selectFrom('audit_events').selectAll().execute();
    assert.equal(lines.length, rows.length);
    for (const row of rows) assert.deepEqual(records.get(row.event_id), toCloudTrail(row), row.name);
  });
});
