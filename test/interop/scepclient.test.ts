/** micromdm's `scepclient`: it encrypts with single DES, signs with SHA-1 and can do nothing else, so it is refused and told why, unless the policy takes both. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { deleteChallengesOf } from '../../src/backends/store/challenges.ts';
import { algorithmName } from '../../src/base/pki/algorithms.ts';
import { parseEnvelopedData } from '../../src/base/pki/enveloped-data.ts';
import { onlySigner, parseSignedData } from '../../src/base/pki/signed-data.ts';
import { type PkiMessage, parsePkiMessage } from '../../src/fronts/scep/pki-message.ts';
import { setEnrolmentPolicy } from '../support/operator.ts';
import { requireProgram } from '../support/programs.ts';
import { decodeCertRep, issuanceIn, pemOf, RawScepClient } from '../support/raw-scep-client.ts';
import { type Exchange, type RecordingProxy, startRecordingProxy } from '../support/recording-proxy.ts';
import { type Ended, runProgram } from '../support/run-program.ts';
import { lastScepRequest, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

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
    assert.equal(lastScepRequest(server)?.['reason'], advice);
    const events = server.database.query.selectFrom('audit_events').selectAll().orderBy('event_id', 'desc');
    assert.equal((await events.executeTakeFirst())?.reason, advice);
  });
});

describe('scepclient, where the policy takes single DES and SHA-1', {
  skip: requireProgram('scepclient') || requireProgram('openssl'),
}, () => {
  let server: TemporaryServer;
  let proxy: RecordingProxy;
  let directory: string;
  const resources = new AsyncDisposableStack();
  before(async () => {
    server = resources.use(await startTemporaryServer());
    proxy = resources.use(await startRecordingProxy(server.url));
    directory = resources.adopt(await mkdtemp(join(tmpdir(), 'scep-scepclient-')), path => rm(path, { recursive: true }));
    await writeFile(join(directory, 'ca.pem'), pemOf(server.caCertificate));
    const LegacyAlgorithms = { Sha1: true, TripleDes: false, SingleDes: true };
    await setEnrolmentPolicy(server, { LegacyAlgorithms, Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
  });
  after(() => resources.disposeAsync());

  const run = (challenge: string) =>
    runProgram(
      'scepclient',
      ['-server-url', proxy.url, '-challenge', challenge, '-cn', 'device-1', '-private-key', 'client.key', '-certificate', 'client.crt'],
      { cwd: directory },
    );

  /** The certificate that it has written by now, which the openssl program verifies. */
  async function verified({ status, stdout, stderr }: Ended): Promise<X509Certificate> {
    assert.equal(status, 0, stdout.toString() + stderr);
    const args = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 'ca.pem', 'client.crt'];
    const verdict = await runProgram('openssl', args, { cwd: directory });
    assert.deepEqual([verdict.status, verdict.stdout.toString()], [0, 'client.crt: OK\n'], verdict.stderr);
    return new X509Certificate(await readFile(join(directory, 'client.crt')));
  }

  function lastMessage(): PkiMessage {
    const exchange = proxy.exchanges.findLast(({ target }) => target.includes('operation=PKIOperation'));
    assert.ok(exchange);
    return parsePkiMessage(exchange.body);
  }

  async function lastAuthorisation(): Promise<unknown> {
    const issued = server.database.query.selectFrom('audit_events').select('detail').where('name', '=', 'CertificateIssued');
    const { detail } = await issued.orderBy('event_id', 'desc').executeTakeFirstOrThrow();
    return JSON.parse(detail).authorisation.by;
  }

  let first: X509Certificate;
  it('enrols', async () => {
    first = await verified(await run(server.challengePassword));
    assert.equal(first.subject, 'C=US\nO=scep-client\nOU=MDM\nCN=device-1');
    assert.equal(lastMessage().messageType, '19');
  });

  it('renews by RenewalReq, which its certificate signs with SHA-1: by its challenge, as SHA-1 alone authorises nothing', async () => {
    const second = await verified(await run(server.challengePassword));
    assert.notEqual(second.serialNumber, first.serialNumber);
    const { messageType, transactionID, signedData, signerInfo } = lastMessage();
    assert.deepEqual([messageType, algorithmName(signerInfo.digestAlgorithm.oid)], ['17', 'SHA-1']);
    assert.ok(signedData.certificates.some(({ der }) => first.raw.equals(der)));
    // It keeps its key and its CSR, so that key and transactionID are the first ones.
    assert.ok(second.publicKey.equals(first.publicKey));
    const exchanges = proxy.exchanges.filter(({ target }) => target.includes('operation=PKIOperation'));
    assert.deepEqual(
      exchanges.map(({ body }) => parsePkiMessage(body).transactionID),
      [transactionID, transactionID],
    );
    assert.equal(await lastAuthorisation(), 'challenge');
  });

  it('does not renew once the challenge in the CSR that it keeps is deleted', async () => {
    await deleteChallengesOf(server.database.query, server.connectorId);
    const issued = await issuanceIn(server.database);
    const { status, stdout, stderr } = await run('another');
    assert.equal(status, 1);
    assert.match(stdout.toString() + stderr, /RenewalReq \(17\) request failed, failInfo: badRequest \(2\)/);
    assert.deepEqual(await issuanceIn(server.database), issued);
  });
});
