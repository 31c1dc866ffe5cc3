/** Hits that lead to no connector, or never become a request: each leaves its line in the log, and a record while there are not too many. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type CloudTrailRecord, toCloudTrail } from '../../src/base/cloud-trail.ts';
import { connectorArn } from '../../src/base/resources.ts';
import { strangersPerMinuteMax } from '../../src/fronts/scep/stranger-limit.ts';
import { createApiClient } from '../support/api-client.ts';
import { exchange, exchangeOctets, send } from '../support/raw-scep-client.ts';
import { accountId, type LogLine, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';
import { until } from '../support/waiting.ts';

const missing = 'There is no connector at this URL.';
const notHttp = 'The request is not valid HTTP.';

let server: TemporaryServer;

/** Of SCEP hits, oldest first. A call that is awaited takes those before it along. */
async function records(): Promise<CloudTrailRecord[]> {
  const ResourceArn = connectorArn({ accountId, region: 'us-east-1' }, server.connectorId);
  await createApiClient(server.apiUrl, server.credentialsFile).tagResource({ ResourceArn, Tags: {} }).promise();
  const { query } = server.database;
  return (await query.selectFrom('audit_events').selectAll().where('category', '=', 'Data').orderBy('event_id').execute()).map(
    toCloudTrail,
  );
}

function hits(): LogLine[] {
  return server.logLines.filter(({ msg }) => msg === 'scep request');
}

/** The log line and the record of the one hit that `work` is; the line may come only after the answer. */
async function traceOf(work: () => Promise<unknown>): Promise<{ line: LogLine; record: CloudTrailRecord }> {
  const [hitsBefore, recordsBefore] = [hits().length, (await records()).length];
  await work();
  await until(() => hits().length > hitsBefore, 'the hit has its line');
  const [[line, secondLine], [record, secondRecord]] = [hits().slice(hitsBefore), (await records()).slice(recordsBefore)];
  assert.ok(line && !secondLine, 'not exactly one line');
  assert.ok(record && !secondRecord, 'not exactly one record');
  return { line, record };
}

/** What a line and a record say of whose hit it was, and what it was. */
function gist({ line, record }: Awaited<ReturnType<typeof traceOf>>) {
  const { operation, method, userAgent, outcome, reason, statusCode, accountId: askedAccountId, connectorId } = line;
  const { method: recordedMethod, outcome: recordedOutcome } = record['additionalEventData'] as Record<string, unknown>;
  assert.deepEqual([recordedMethod, recordedOutcome, record['errorMessage']], [method, outcome, reason]);
  assert.deepEqual([record['sourceIPAddress'], line['source'], record['userAgent']], ['127.0.0.1', '127.0.0.1', userAgent]);
  const isOwned = record['recipientAccountId'] === accountId && JSON.stringify(record['resources'])?.includes(server.connectorId);
  assert.equal(record['recipientAccountId'] === undefined, !isOwned);
  return { operation, method, userAgent, outcome, reason, statusCode, askedAccountId, connectorId, name: record['eventName'], isOwned };
}

const path = () => new URL(server.url).pathname;
const asked = () => ({ askedAccountId: accountId, connectorId: server.connectorId });
const nobody = { askedAccountId: undefined, connectorId: undefined, isOwned: false };
const caps = { operation: 'GetCACaps', name: 'GetCACaps', method: 'GET', userAgent: undefined, outcome: 'refused' };
const post = { operation: 'PKIOperation', name: 'PKIOperationPost', method: 'POST', userAgent: undefined, outcome: 'refused' };
const unread = { operation: undefined, name: 'UnsupportedOperation', method: undefined, userAgent: undefined, outcome: 'refused' };

describe('a hit at a wrong URL', () => {
  before(async () => {
    server = await startTemporaryServer();
  });
  after(() => server[Symbol.asyncDispose]());

  it('that names no connector is recorded as nobody’s', async () => {
    const trace = await traceOf(() => send(`${new URL(server.url).origin}/nowhere?operation=GetCACaps`));
    assert.deepEqual(gist(trace), { ...caps, ...nobody, statusCode: 404, reason: missing });
    assert.deepEqual([trace.record['userIdentity'], trace.record['awsRegion']], [{ type: 'FederatedUser' }, undefined]);
  });

  it('that names a connector which there is not is recorded as nobody’s, and logged with what was asked for', async () => {
    const other = randomUUID();
    for (const account of [accountId, '111122223333']) {
      const connectorId = account === accountId ? other : server.connectorId;
      const url = `${new URL(server.url).origin}/${account}-${connectorId}/${server.endpointSecret}?operation=GetCACaps`;
      const expected = { ...caps, ...nobody, askedAccountId: account, connectorId, statusCode: 404, reason: missing };
      assert.deepEqual(gist(await traceOf(() => send(url))), expected);
    }
  });

  it('with a wrong secret is recorded for the connector’s account, and neither it nor the right one is kept', async () => {
    const secret = randomUUID();
    const url = `${new URL(server.url).origin}/${accountId}-${server.connectorId}/${secret}?operation=GetCACaps`;
    const trace = await traceOf(() => send(url));
    assert.deepEqual(gist(trace), { ...caps, ...asked(), isOwned: true, statusCode: 404, reason: missing });
    const { origin } = new URL(server.url);
    for (const lost of [
      `/${server.endpointSecret}`,
      `/x/${server.endpointSecret}/${accountId}`,
      `/${accountId}-x%2f${server.endpointSecret}`,
    ])
      await send(`${origin}${lost}?operation=GetCACaps`);
    const written = JSON.stringify([server.logLines, await records()]);
    for (const kept of [secret, server.endpointSecret]) assert.ok(!written.includes(kept));
  });
});

describe('a hit that never becomes a request', () => {
  before(async () => {
    server = await startTemporaryServer();
  });
  after(() => server[Symbol.asyncDispose]());

  const tooLarge = 'The request is larger than 262144 bytes.';
  const large = (header: string) => `POST ${path()} HTTP/1.1\r\nUser-Agent: x\r\nConnection: close\r\n${header}\r\n\r\n`;

  it('since its body is too large is recorded for its connector', async () => {
    for (const header of ['Content-Length: 3000000', 'Transfer-Encoding: chunked']) {
      const body = header.startsWith('T') ? `100000\r\n${'x'.repeat(0x100000)}\r\n0\r\n\r\n` : '';
      const trace = await traceOf(() => exchange(server.url, `${large(header)}${body}`));
      assert.deepEqual(gist(trace), { ...post, ...asked(), userAgent: 'x', isOwned: true, statusCode: 413, reason: tooLarge }, header);
    }
  });

  it('since its body is too large is recorded as a stranger’s where the secret is wrong', async () => {
    const message = large('Content-Length: 3000000').replace(server.endpointSecret, randomUUID());
    const { line, record } = await traceOf(() => exchange(server.url, message));
    assert.deepEqual([line['statusCode'], line['connectorId']], [413, server.connectorId]);
    assert.equal(record['recipientAccountId'], accountId);
  });

  it('since its headers are too long is recorded as nobody’s: its beginning is gone by then', async () => {
    const trace = await traceOf(() =>
      exchange(server.url, `GET ${path()} HTTP/1.1\r\nX: ${'x'.repeat(1_000_000)}\r\n\r\n`).catch(() => {}),
    );
    const reason = 'The request line and headers are too long.';
    assert.deepEqual(gist(trace), { ...unread, ...nobody, statusCode: 431, reason });
  });

  it('since it is no HTTP is recorded for the connector in its URL', async () => {
    const query = '?operation=PKIOperation&message=MII AB';
    const trace = await traceOf(() => exchange(server.url, `GET ${path()}${query} HTTP/1.1\r\nUser-Agent: y\r\n\r\n`));
    const get = { operation: 'PKIOperation', name: 'PKIOperationGet', method: 'GET', userAgent: 'y', outcome: 'refused' };
    assert.deepEqual(gist(trace), { ...get, ...asked(), isOwned: true, statusCode: 400, reason: notHttp });
  });

  it('since its body is no HTTP is recorded once', async () => {
    const message = `POST ${path()} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n`;
    const trace = await traceOf(() => exchange(server.url, message));
    assert.deepEqual(gist(trace), { ...post, ...asked(), isOwned: true, statusCode: 400, reason: notHttp });
    await exchange(server.url, `GET ${path()}?operation=GetCACaps HTTP/1.0\r\n\r\n`);
    assert.equal(
      hits().findLast(({ operation }) => operation === 'PKIOperation'),
      trace.line,
    );
  });

  it('since it is nothing like HTTP is recorded as nobody’s', async () => {
    for (const octets of [Buffer.from('SSH-2.0-OpenSSH_9.2\r\n\r\n'), Buffer.from('1603010200010001fc0303', 'hex')]) {
      const trace = await traceOf(() => exchangeOctets(server.url, octets));
      assert.deepEqual(gist(trace), { ...unread, ...nobody, statusCode: 400, reason: notHttp });
    }
  });

  it('since its User-Agent has control characters is recorded with them, escaped', async () => {
    const userAgent = 'scep\u001b[31m\u0000/1';
    const message = `GET ${path()}?operation=GetCACaps HTTP/1.1\r\nUser-Agent: ${userAgent}\r\n\r\n`;
    const trace = await traceOf(() => exchange(server.url, message));
    assert.deepEqual(gist(trace), { ...caps, ...asked(), userAgent, isOwned: true, statusCode: 400, reason: notHttp });
    const rows = await server.database.query.selectFrom('audit_events').select('detail').execute();
    assert.ok(rows.some(({ detail }) => detail.includes('scep\\u001b[31m\\u0000/1')));
  });

  it('since it expects what we do not do is recorded', async () => {
    const message = `GET ${path()}?operation=GetCACaps HTTP/1.1\r\nExpect: 200-ok\r\n\r\n`;
    const trace = await traceOf(() => exchange(server.url, message));
    const reason = 'The request could not be answered.';
    assert.deepEqual(gist(trace), { ...caps, ...asked(), isOwned: true, statusCode: 417, reason });
  });

  it('since it takes the server for a proxy is answered and recorded', async () => {
    let answer = '';
    const trace = await traceOf(async () => {
      answer = await exchange(server.url, 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n');
    });
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n[^]*\r\n\r\nThe request is not valid HTTP\.\n$/);
    const connectTo = { ...unread, operation: '', method: 'CONNECT' };
    assert.deepEqual(gist(trace), { ...connectTo, ...nobody, statusCode: 400, reason: notHttp });
  });

  it('since the client breaks off in its body is recorded without a status', async () => {
    const { hostname, port } = new URL(server.url);
    const trace = await traceOf(async () => {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => {});
      socket.write(`POST ${path()} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n`);
      // 100: the request has begun.
      await once(socket, 'data');
      socket.resetAndDestroy();
    });
    const reason = 'The connection ended before the request did.';
    assert.deepEqual(gist(trace), { ...post, ...asked(), isOwned: true, statusCode: undefined, reason });
  });

  it('is none where a connection ends without one', async () => {
    const before = hits().length;
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.resetAndDestroy();
    await send(`${server.url}?operation=GetCACaps`);
    assert.equal(hits().length, before + 1);
  });

  it('is none where what follows a request is no HTTP: that request is answered', async () => {
    const before = hits().length;
    const message = `GET ${path()}?operation=GetCACaps HTTP/1.1\r\n\r\n`;
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {});
    socket.write(`${message}nonsense`);
    await once(socket, 'data');
    // A further packet on a connection that has been given up.
    socket.write('nonsense');
    socket.resume();
    await once(socket, 'close');
    await send(`${server.url}?operation=GetCACaps`);
    const added = hits().slice(before);
    assert.deepEqual(
      added.map(({ statusCode }) => statusCode),
      [200, 200],
    );
  });

  it('on the listener of the API leaves a line, without the query, which may have a signature', async () => {
    await exchange(server.apiUrl, `GET /connectors?X-Amz-Signature=secret HTTP/1.1\r\nUser-Agent: z\r\nnonsense\r\n\r\n`);
    const { source, method, path: at, userAgent, statusCode } = server.logLines.find(({ msg }) => msg === 'api request refused') ?? {};
    assert.deepEqual([source, method, at, userAgent, statusCode], ['127.0.0.1', 'GET', '/connectors', 'z', 400]);
    assert.ok(!JSON.stringify(server.logLines).includes('X-Amz-Signature'));
  });
});

describe('many strangers', () => {
  before(async () => {
    server = await startTemporaryServer();
  });
  after(() => server[Symbol.asyncDispose]());

  const strange = async (path: string, count: number) => {
    const { origin } = new URL(server.url);
    for (let index = 0; index < count; index++) await send(`${origin}${path}?operation=GetCACaps`);
  };
  const wrongSecret = () => `/${accountId}-${server.connectorId}/${randomUUID()}`;

  it('are all logged and no more of them recorded in a minute than the limit, on the connector and on none', async () => {
    await strange('/nowhere', strangersPerMinuteMax + 3);
    await strange(wrongSecret(), strangersPerMinuteMax + 2);
    assert.equal(hits().length, 2 * strangersPerMinuteMax + 5);
    assert.equal(hits().filter(({ isRecorded }) => isRecorded === false).length, 5);
    assert.equal((await records()).length, 2 * strangersPerMinuteMax);
  });

  it('do not keep a device’s requests out of the records', async () => {
    const before = (await records()).length;
    await send(`${server.url}?operation=GetCACaps`);
    await send(`${server.url}?operation=GetCACaps`, { method: 'PUT' });
    assert.equal((await records()).length, before + 2);
  });

  it('are recorded again a minute later, and the log says how many were not', async () => {
    server.advance(60_000);
    const before = (await records()).length;
    await strange('/nowhere', 1);
    await strange(wrongSecret(), 1);
    assert.equal((await records()).length, before + 2);
    const lines = server.logLines.filter(({ msg }) => String(msg).endsWith('more were not recorded'));
    assert.deepEqual(
      lines.map(({ msg, requests, connectorId }) => [msg, requests, connectorId]),
      [
        ['3 more were not recorded', 3, undefined],
        ['2 more were not recorded', 2, server.connectorId],
      ],
    );
  });
});

describe('SCEP_COMPATIBILITY=aws', () => {
  before(async () => {
    server = await startTemporaryServer({ env: { SCEP_COMPATIBILITY: 'aws' } });
  });
  after(() => server[Symbol.asyncDispose]());

  it('has a request without exactly one Host recorded for its connector', async () => {
    const hosts = 'Exactly one host header is required in the request.';
    const trace = await traceOf(() => exchange(server.url, `GET ${path()}?operation=GetCACaps HTTP/1.0\r\n\r\n`));
    assert.deepEqual(gist(trace), { ...caps, ...asked(), isOwned: true, statusCode: 400, reason: hosts });
  });
});
