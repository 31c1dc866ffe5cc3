/** micromdm's `scepclient`: it encrypts with single DES, signs with SHA-1 and can do nothing else, so it is refused and told why. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { algorithmName } from '../../src/base/pki/algorithms.ts';
import { parseEnvelopedData } from '../../src/base/pki/enveloped-data.ts';
import { onlySigner, parseSignedData } from '../../src/base/pki/signed-data.ts';
import { requireProgram } from '../support/programs.ts';
import { decodeCertRep, issuanceIn, RawScepClient } from '../support/raw-scep-client.ts';
import { type Exchange, type RecordingProxy, startRecordingProxy } from '../support/recording-proxy.ts';
import { type Ended, runProgram } from '../support/run-program.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const advice =
  'Unsupported algorithm: 1.3.14.3.2.7 (DES-CBC). Use AES-128-CBC or AES-256-CBC. ' +
  'Unsupported algorithm: 1.3.14.3.2.26 (SHA-1). Use SHA-256.';

describe('scepclient', { skip: requireProgram('scepclient') }, () => {
  let server: TemporaryServer;
  let proxy: RecordingProxy;
  let client: RawScepClient;
  let directory: string;
  const resources = new AsyncDisposableStack();
  before(async () => {
    server = resources.use(await startTemporaryServer());
    proxy = resources.use(await startRecordingProxy(server.url));
    client = await RawScepClient.connect(server);
    // A new directory: it keeps its CSR and its certificate in the working directory and would send them again.
    directory = resources.adopt(await mkdtemp(join(tmpdir(), 'scep-scepclient-')), path => rm(path, { recursive: true }));
  });
  after(() => resources.disposeAsync());

  async function enrol(): Promise<Ended> {
    const files = ['-private-key', 'client.key', '-certificate', 'client.crt'];
    const args = ['-server-url', proxy.url, '-challenge', server.challengePassword, '-cn', 'device-1', ...files];
    return runProgram('scepclient', args, { cwd: directory });
  }

  function lastOperation(): Exchange {
    const exchange = proxy.exchanges.findLast(({ target }) => target.includes('operation=PKIOperation'));
    assert.ok(exchange, 'it has sent no PKIOperation');
    return exchange;
  }

  it('is refused with badAlg, and nothing is issued', async () => {
    const issued = await issuanceIn(server.database);
    const { status, stdout, stderr } = await enrol();
    assert.equal(status, 1);
    assert.match(stdout.toString() + stderr, /PKCSReq \(19\) request failed, failInfo: badAlg \(0\)/);
    assert.deepEqual(await issuanceIn(server.database), issued);
  });

  it('has sent single DES and SHA-1', async () => {
    await enrol();
    const signedData = parseSignedData(lastOperation().body);
    const { contentEncryptionAlgorithm } = parseEnvelopedData(signedData.eContent ?? Buffer.alloc(0));
    assert.deepEqual(
      [algorithmName(contentEncryptionAlgorithm.oid), algorithmName(onlySigner(signedData).digestAlgorithm.oid)],
      ['DES-CBC', 'SHA-1'],
    );
  });

  it('has got a failInfoText that names the algorithms and says what to use', async () => {
    await enrol();
    const { pkiStatus, failInfo, failInfoText } = decodeCertRep(lastOperation().answer, client.ra, client.device);
    assert.deepEqual({ pkiStatus, failInfo, failInfoText }, { pkiStatus: 'FAILURE', failInfo: 'badAlg', failInfoText: advice });
  });

  it('leaves the same advice in the log and in the audit trail', async () => {
    await enrol();
    assert.equal(server.logLines.at(-1)?.['reason'], advice);
    const events = server.database.query.selectFrom('audit_events').selectAll().orderBy('event_id', 'desc');
    assert.equal((await events.executeTakeFirst())?.reason, advice);
  });
});
