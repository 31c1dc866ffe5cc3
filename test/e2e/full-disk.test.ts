/** A full disk, played by a limit on the size of the files that the server writes: an outage in each protocol's words, and nothing is lost by it. */
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Certificate } from '../../src/base/pki/x509.ts';
import { createApiClient } from '../support/api-client.ts';
import { wireAnswer } from '../support/api-server.ts';
import { findFreePort, makeTemporaryDirectory, readFirstStart, runCommand, settingsFor, startServer } from '../support/command.ts';
import { countIssuance, countStored, type DeviceRequest, Devices } from '../support/devices.ts';

/** What POSIX counts `ulimit -f` in. */
const blockBytes = 512;
const streams = 4;
const refusalsPerStream = 10;

/** Writing beyond so many blocks fails as on a full disk, without the signal that would end the process. */
function withFilesUpTo(blocks: number): readonly string[] {
  return ['/bin/sh', '-c', `trap '' XFSZ && ulimit -f ${blocks} && exec "$@"`, 'sh'];
}

/** Compiled code must not be written under a limit that cuts it short. */
const noCompileCache = { NODE_DISABLE_COMPILE_CACHE: '1' };

async function prepareStore(dataDir: string): Promise<{ path: string; devices: Devices }> {
  await using server = await startServer(dataDir);
  const { path, challengePassword } = readFirstStart(server.stdout);
  const devices = await Devices.connect(`${server.enrollUrl}${path}`, { challenge: challengePassword, keys: streams });
  assert.equal((await server.stop()).status, 0);
  return { path, devices };
}

/** What came of enrolling until the disk was full and a while beyond. */
interface Outcome {
  received: Certificate[];
  refused: DeviceRequest[];
}

async function enrolUntilFull(url: string, devices: Devices): Promise<Outcome> {
  const received: Certificate[] = [];
  const refused: DeviceRequest[] = [];
  const stream = async () => {
    for (let refusals = 0; refusals < refusalsPerStream; ) {
      const request = devices.request();
      const answer = await devices.send(url, request);
      if (answer.kind === 'certificate') {
        received.push(answer.certificate);
        continue;
      }
      assert.equal(answer.kind, 'http', JSON.stringify(answer));
      assert.equal(answer.statusCode, 503, answer.text);
      assert.match(answer.headers.get('retry-after') ?? '', /^\d+$/);
      assert.equal(answer.headers.get('content-type'), 'text/plain');
      assert.match(answer.text, /^[^/]+\n$/, 'not a line without file names');
      refused.push(request);
      refusals++;
    }
  };
  await Promise.all(Array.from({ length: streams }, stream));
  return { received, refused };
}

describe('A disk that fills up', () => {
  // At one size it is the intent that does not fit any more, at another the certificate.
  for (const blocks of [400, 600]) {
    it(`at ${(blocks * blockBytes) / 1024} KiB makes every request an outage, and none is lost`, async t => {
      await using directory = await makeTemporaryDirectory();
      const dataDir = directory.path;
      const { path, devices } = await prepareStore(dataDir);
      const credentials = join(dataDir, 'credentials');

      const { received, refused } = await (async () => {
        await using server = await startServer(dataDir, { through: withFilesUpTo(blocks), settings: noCompileCache });
        const url = `${server.enrollUrl}${path}`;
        const outcome = await enrolUntilFull(url, devices);
        assert.equal((await fetch(`${url}?operation=GetCACert`)).status, 200);
        await assertApiIsOut(server.apiUrl, credentials);
        assert.equal((await server.stop()).status, 0);
        return outcome;
      })();
      assert.equal(await countStored(dataDir, received), received.length);
      const { ISSUED = 0, ISSUING = 0 } = await countIssuance(dataDir);
      assert.equal(ISSUED, received.length, 'a certificate was recorded that its client was refused');

      await using server = await startServer(dataDir);
      for (const request of refused) received.push(await devices.enrol(`${server.enrollUrl}${path}`, request));
      assert.equal(await countStored(dataDir, received), received.length);
      assert.deepEqual(await countIssuance(dataDir), { ISSUED: received.length });
      assert.equal(new Set(received.map(({ serialNumber }) => serialNumber)).size, received.length);
      const { Connectors: [connector] = [] } = await createApiClient(server.apiUrl, credentials).listConnectors().promise();
      await createApiClient(server.apiUrl, credentials)
        .createChallenge({ ConnectorArn: connector?.Arn ?? '' })
        .promise();
      t.diagnostic(`${ISSUED} certificates received before, ${refused.length} after, of which ${ISSUING} had been begun before`);
    });
  }
});

/** Whatever reads is answered. What writes may still find room for itself, and is an outage when it does not. */
async function assertApiIsOut(apiUrl: string, credentials: string): Promise<void> {
  const client = createApiClient(apiUrl, credentials);
  const { Connectors: [connector] = [] } = await client.listConnectors().promise();
  const { Arn: ResourceArn = '', CertificateAuthorityArn = '' } = connector ?? {};
  const writes = [
    () => client.createChallenge({ ConnectorArn: ResourceArn }),
    () => client.tagResource({ ResourceArn, Tags: { note: 'x'.repeat(200) } }),
    () => client.createConnector({ CertificateAuthorityArn }),
  ];
  let outages = 0;
  for (let round = 0; round < 10; round++) {
    for (const write of writes) {
      const { statusCode, headers, text } = await wireAnswer(write());
      if (statusCode < 300) continue;
      assert.deepEqual([statusCode, headers['x-amzn-errortype']], [503, 'ServiceUnavailable']);
      assert.match(text, /^\{"Message":"[^/"]+"\}$/, 'the message names files');
      outages++;
    }
  }
  assert.ok(outages > 0, 'the API found room for everything');
}

describe('A full disk', () => {
  it('stops a first start with a line that says so, and the next one is the first', async () => {
    const attempt = async (blocks: number) => {
      await using directory = await makeTemporaryDirectory();
      const settings = settingsFor(directory.path, noCompileCache);
      const { status, stdout, stderr } = await runCommand(['serve'], { through: withFilesUpTo(blocks), settings });
      assert.equal(status, 1, stdout + stderr);
      assert.match(stderr, /^(?:\{.*\}\n)*scep-connector: [^\n]*scep\.db [^\n]*disk[^\n]*\.\n$/);

      await using server = await startServer(directory.path);
      const { path, challengePassword } = readFirstStart(server.stdout);
      const url = `${server.enrollUrl}${path}`;
      const devices = await Devices.connect(url, { challenge: challengePassword, keys: 1 });
      await devices.enrol(url, devices.request());
    };
    await Promise.all([0, 64, 200].map(attempt));
  });

  it('that takes no more of the log costs no enrolment and no orderly end', async () => {
    await using directory = await makeTemporaryDirectory();
    const { path, devices } = await prepareStore(join(directory.path, 'data'));
    const logFile = join(directory.path, 'log');
    const blocks = 4096;
    await using log = await open(logFile, 'w');
    await log.truncate(blocks * blockBytes - 100);

    const port = await findFreePort();
    const settings = { ...noCompileCache, SCEP_ENROLL_LISTEN: `127.0.0.1:${port}` };
    await using server = await startServer(join(directory.path, 'data'), { through: withFilesUpTo(blocks), settings, logFile });
    for (let count = 0; count < 5; count++) await devices.enrol(`http://127.0.0.1:${port}${path}`, devices.request());
    assert.equal((await log.stat()).size, blocks * blockBytes);
    assert.equal((await server.stop()).status, 0);
  });
});
