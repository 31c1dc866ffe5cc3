/** What an enrolment leaves behind for its operator: one event in the audit trail, and a line in the log for every request. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { listAuditEvents } from '../../src/backends/store/audit-events.ts';
import type { AuditEventRow } from '../../src/backends/store/database.ts';
import { exchange, issuedBy, RawScepClient, send } from '../support/raw-scep-client.ts';
import { challengePassword } from '../support/scep-messages.ts';
import { accountId, type LogLine, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const warn = 40;
const info = 30;

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

/** The events and the log lines that `work` adds, oldest first. */
async function traces(work: () => Promise<unknown>): Promise<{ events: AuditEventRow[]; lines: LogLine[] }> {
  const list = () => listAuditEvents(server.database.query, { connectorId: server.connectorId, limit: 1000 });
  const [eventsBefore, linesBefore] = [(await list()).length, server.logLines.length];
  await work();
  const events = (await list()).toReversed().slice(eventsBefore);
  return { events, lines: server.logLines.slice(linesBefore) };
}

const home = { account_id: '000000000000', region: 'us-east-1', source: '127.0.0.1', principal: null };

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
    assert.deepEqual(JSON.parse(detail), expected);
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
      () => client.request({ messageType: '17', transactionID: 'T' }),
      'badRequest',
      'Unsupported PkiOperation messageType: 17. Use PKCSReq (19).',
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

describe('the log', () => {
  const hitOf = async (work: () => Promise<unknown>): Promise<LogLine | undefined> => {
    const { lines } = await traces(work);
    const [hit, second] = lines.filter(({ msg }) => msg === 'scep request');
    assert.equal(second, undefined);
    const { time: _time, pid: _pid, hostname: _hostname, level: _level, msg: _msg, ...fields } = hit ?? {};
    return hit && fields;
  };

  it('has a line for every request that is answered', async () => {
    const { connectorId } = server;
    const common = { connectorId, source: '127.0.0.1', statusCode: 200 };
    assert.deepEqual(await hitOf(() => send(`${server.url}?operation=GetCACaps`)), {
      ...common,
      operation: 'GetCACaps',
      outcome: 'success',
      method: 'GET',
    });
    assert.deepEqual(await hitOf(() => client.exchange(client.request({ transactionID: 'T7' }))), {
      ...common,
      operation: 'PKIOperation',
      transactionID: 'T7',
      outcome: 'SUCCESS',
      method: 'POST',
    });
  });

  it('has a line for every request that is refused, and says why', async () => {
    const { connectorId } = server;
    const refusals: [url: string, expected: LogLine][] = [
      [
        `${server.url}?operation=X`,
        { connectorId, statusCode: 400, reason: 'The operation must be GetCACaps, GetCACert or PKIOperation.' },
      ],
      [`${new URL(server.url).origin}/nowhere?operation=X`, { statusCode: 404, reason: 'There is no connector at this URL.' }],
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

  it('keeps a subject with line breaks on its line', async () => {
    const { lines } = await traces(() => client.enrol({ csrParts: { subject: 'CN=a\\0ab\\0d\\1b[31m' } }));
    const line = lines.find(({ event }) => event === 'CertificateIssued');
    assert.equal(line?.['subject'], 'CN=a\\0ab\\0d\\1b[31m');
  });
});
