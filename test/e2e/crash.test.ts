/** kill -9: what a client was given stays given, an answer that was lost is had by asking again, and no start is ever half done. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Certificate } from '../../src/base/pki/x509.ts';
import { killServer, makeTemporaryDirectory, readFirstStart, startServer } from '../support/command.ts';
import { countIssuance, countStored, type DeviceRequest, Devices } from '../support/devices.ts';
import { until } from '../support/waiting.ts';

const killsMax = 20;
const streams = 4;

/** What the devices hold: each transaction with its certificate, and those still without an answer. */
class Holdings {
  readonly certificates = new Map<DeviceRequest, Certificate>();
  readonly unanswered: DeviceRequest[] = [];
  /** Requests that were under way when the server died. */
  cutOff = 0;
  readonly #devices: Devices;

  constructor(devices: Devices) {
    this.#devices = devices;
  }

  /** Enrols without pause until the server is gone: first whatever is unanswered, then new transactions. */
  async stream(url: string): Promise<void> {
    for (;;) {
      const request = this.unanswered.shift() ?? this.#devices.request();
      const answer = await this.#devices.send(url, request);
      if (answer.kind === 'none') {
        this.unanswered.push(request);
        if (!isConnectionRefused(answer.cause)) this.cutOff++;
        return;
      }
      assert.equal(answer.kind, 'certificate', JSON.stringify(answer));
      this.certificates.set(request, answer.certificate);
    }
  }

  /** Sends again, and gets again, what was answered last. */
  async repeatLast(url: string, count: number): Promise<void> {
    for (const [request, certificate] of [...this.certificates].slice(-count)) {
      assert.deepEqual((await this.#devices.enrol(url, request)).der, certificate.der, 'a resent transaction got another certificate');
    }
  }

  /** Asks again for every certificate that is still owed. */
  async settle(url: string): Promise<number> {
    const owed = this.unanswered.splice(0);
    for (const request of owed) this.certificates.set(request, await this.#devices.enrol(url, request));
    return owed.length;
  }

  async until(certificatesMin: number): Promise<void> {
    await until(() => this.certificates.size >= certificatesMin, 'the enrolments get on', { everyMs: 1 });
  }
}

describe('kill -9', () => {
  it(`${killsMax} times during a stream of enrolments loses no certificate that a client received`, async t => {
    await using directory = await makeTemporaryDirectory();
    const dataDir = directory.path;
    const { path, holdings } = await firstStart(dataDir);

    for (let kills = 0; kills < killsMax; kills++) {
      await using server = await startServer(dataDir);
      const url = `${server.enrollUrl}${path}`;
      assert.equal(await countStored(dataDir, holdings.certificates.values()), holdings.certificates.size);
      await holdings.repeatLast(url, streams);
      const streaming = Promise.all(Array.from({ length: streams }, () => holdings.stream(url)));
      // Not always at the same point of an enrolment, and never before there were some.
      await Promise.race([streaming, holdings.until(holdings.certificates.size + 3 + ((kills * 5) % 11))]);
      await wait(kills % 8);
      assert.equal((await server.kill()).signal, 'SIGKILL');
      await streaming;
    }

    await using server = await startServer(dataDir);
    const url = `${server.enrollUrl}${path}`;
    await holdings.repeatLast(url, holdings.certificates.size);
    const owed = await holdings.settle(url);
    assert.equal((await server.stop()).status, 0);

    const received = [...holdings.certificates.values()];
    const found = await countStored(dataDir, received);
    t.diagnostic(`${killsMax} kills, ${received.length} certificates received, ${found} found in the store`);
    t.diagnostic(`${holdings.cutOff} requests cut off by a kill; the ${owed} still owed at the end were had by asking again`);
    assert.ok(holdings.cutOff >= killsMax, 'too little was under way when the server was killed');
    assert.equal(found, received.length);
    assert.equal(new Set(received.map(({ serialNumber }) => serialNumber)).size, received.length);
    // One transaction, one certificate, however often it was sent and whenever the server died.
    assert.deepEqual(await countIssuance(dataDir), { ISSUED: received.length });
  });

  it('during a first start leaves nothing that the next cannot take up and show', async () => {
    // In the order in which they come to be.
    await Promise.all(
      ['scep.db', 'master.key', 'credentials', 'tls.crt'].map(async name => {
        await using directory = await makeTemporaryDirectory();
        const dataDir = join(directory.path, 'data');
        const killed = await killServer(dataDir, () => existsSync(join(dataDir, name)));
        assert.equal(killed.signal, 'SIGKILL', killed.stderr);
        await using server = await startServer(dataDir);
        const shown = readFirstStart(killed.stdout.includes('Challenge password') ? killed.stdout : server.stdout);
        assert.notEqual(shown.challengePassword, '', `killed at ${name}: the challenge password was never shown`);
        const url = `${server.enrollUrl}${shown.path}`;
        const devices = await Devices.connect(url, { challenge: shown.challengePassword, keys: 1 });
        await devices.enrol(url, devices.request());
      }),
    );
  });
});

/** The cause of fetch's own error. */
function isConnectionRefused(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED';
}

async function firstStart(dataDir: string): Promise<{ path: string; holdings: Holdings }> {
  await using server = await startServer(dataDir);
  const { path, challengePassword } = readFirstStart(server.stdout);
  const devices = await Devices.connect(`${server.enrollUrl}${path}`, { challenge: challengePassword, keys: streams });
  await server.stop();
  return { path, holdings: new Holdings(devices) };
}
