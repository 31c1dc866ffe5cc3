/** SIGTERM and SIGINT: what is under way is answered, nothing more is taken, and the server ends with status 0 before long. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Certificate } from '../../src/base/pki/x509.ts';
import { makeTemporaryDirectory, readFirstStart, type ServerProcess, startServer } from '../support/command.ts';
import { countIssuance, countStored, Devices } from '../support/devices.ts';
import { until } from '../support/waiting.ts';

const fewSecondsMs = 8000;

async function stopInTime(server: ServerProcess): Promise<void> {
  const late = wait(fewSecondsMs, undefined, { ref: false });
  const ended = await Promise.race([server.stop(), late]);
  assert.ok(ended, `still there ${fewSecondsMs} ms after SIGTERM`);
  assert.deepEqual({ status: ended.status, signal: ended.signal }, { status: 0, signal: null }, ended.stderr);
}

describe('A server that is stopped', () => {
  it('ends with status 0 from the moment that it says it is ready', async () => {
    await using directory = await makeTemporaryDirectory();
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM', 'SIGINT'] as const) {
      await using server = await startServer(directory.path);
      server.signal(signal);
      assert.deepEqual(await server.ended.then(({ status, signal }) => ({ status, signal })), { status: 0, signal: null });
    }
  });

  it('answers what is under way, gives out nothing that is not in the store and stores nothing that was not given out', async t => {
    await using directory = await makeTemporaryDirectory();
    await using server = await startServer(directory.path);
    const { path, challengePassword } = readFirstStart(server.stdout);
    const url = `${server.enrollUrl}${path}`;
    const devices = await Devices.connect(url, { challenge: challengePassword });
    const received: Certificate[] = [];
    let receivedAfterwards = 0;
    let isStopping = false;
    const stream = async () => {
      for (;;) {
        const answer = await devices.send(url, devices.request());
        // Refused from then on, whether by the operating system or with HTTP 503.
        if (answer.kind !== 'certificate') return assert.ok(isStopping && answer.kind !== 'FAILURE', JSON.stringify(answer));
        received.push(answer.certificate);
        if (isStopping) receivedAfterwards++;
      }
    };
    const streams = Array.from({ length: 8 }, stream);
    await until(() => received.length >= 20, '20 certificates are received', { everyMs: 1 });
    isStopping = true;
    await stopInTime(server);
    await Promise.all(streams);

    t.diagnostic(`${received.length} certificates received, ${receivedAfterwards} of them after SIGTERM`);
    assert.ok(receivedAfterwards > 0, 'nothing was under way');
    assert.equal(await countStored(directory.path, received), received.length);
    assert.deepEqual(await countIssuance(directory.path), { ISSUED: received.length });
  });

  it('waits a moment for a request of which it has the beginning', async () => {
    await using directory = await makeTemporaryDirectory();
    await using server = await startServer(directory.path);
    const { path, challengePassword } = readFirstStart(server.stdout);
    const url = `${server.enrollUrl}${path}`;
    const devices = await Devices.connect(url, { challenge: challengePassword, keys: 1 });
    const { message } = devices.request();
    const socket = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('latin1');
    const fields = `Host: localhost\r\nContent-Length: ${message.length}\r\nExpect: 100-continue`;
    socket.write(`POST ${path}?operation=PKIOperation HTTP/1.1\r\n${fields}\r\n\r\n`);
    const [interim] = await once(socket, 'data');
    assert.match(interim, /^HTTP\/1\.1 100 Continue\r\n/);
    const stopped = stopInTime(server);
    await server.until('the signal was not taken', () => server.stderr.includes('"stopping'));
    socket.write(message);
    let answer = '';
    for await (const text of socket) answer += text;
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(answer, /^connection: close\r$/im);
    await stopped;
    assert.deepEqual(await countIssuance(directory.path), { ISSUED: 1 });
  });

  it('is not held up by connections on which nothing comes', async () => {
    await using directory = await makeTemporaryDirectory();
    await using server = await startServer(directory.path);
    const beginnings = ['', 'GET / HTTP/1.1\r\nHost:', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc'];
    const sockets = [server.enrollUrl, server.enrollTlsUrl, server.apiUrl].flatMap(url =>
      beginnings.map(beginning => {
        const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {});
        socket.write(beginning);
        return socket;
      }),
    );
    // Only for them to arrive: nothing tells when they have.
    await wait(200);
    await stopInTime(server);
    for (const socket of sockets) socket.destroy();
  });
});
