/** certmonger: sends everything by GET, uses the transactionID of a key again, and signs a request for a new key with the certificate it has. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { deleteChallengesOf } from '../../src/backends/store/challenges.ts';
import { algorithmName } from '../../src/base/pki/algorithms.ts';
import { parseGetMessage, rawParameter } from '../../src/fronts/scep/get-message.ts';
import { type PkiMessage, parsePkiMessage } from '../../src/fronts/scep/pki-message.ts';
import { Certmonger } from '../support/certmonger.ts';
import { approveWaiting, rejectWaiting, setEnrolmentPolicy } from '../support/operator.ts';
import { requireProgram } from '../support/programs.ts';
import { issuanceIn } from '../support/raw-scep-client.ts';
import { type RecordingProxy, startRecordingProxy } from '../support/recording-proxy.ts';
import { lastScepRequest, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';
import { until } from '../support/waiting.ts';

const skip =
  requireProgram('dbus-run-session') || requireProgram('certmonger-session') || requireProgram('getcert') || requireProgram('openssl');

function lastMessageThrough(proxy: RecordingProxy): PkiMessage {
  const exchange = proxy.exchanges.findLast(({ target }) => target.includes('operation=PKIOperation'));
  assert.equal(exchange?.method, 'GET');
  const [, rawQuery = ''] = exchange.target.split('?');
  return parsePkiMessage(parseGetMessage(rawParameter(rawQuery, 'message') ?? ''));
}

for (const keyAlgorithm of ['RSA_2048', 'EC_prime256v1']) {
  describe(`certmonger, at a connector whose CA has the key ${keyAlgorithm}`, { skip }, () => {
    let server: TemporaryServer;
    let proxy: RecordingProxy;
    let certmonger: Certmonger;
    const resources = new AsyncDisposableStack();
    before(async () => {
      server = resources.use(await startTemporaryServer({ env: { SCEP_CA_KEY_ALGORITHM: keyAlgorithm } }));
      proxy = resources.use(await startRecordingProxy(server.url));
      certmonger = resources.use(await Certmonger.start());
      await certmonger.addCa(proxy.url);
    });
    after(() => resources.disposeAsync());

    const request = (id: string, password: string) => certmonger.request(id, password);
    const statusOf = (id: string) => certmonger.statusOf(id);
    const verified = (id: string) => certmonger.verified(id, server.caCertificate);

    const lastMessage = () => lastMessageThrough(proxy);

    it('enrols by GET with AES and SHA-256', async () => {
      const { status, stderr } = await request('first', server.challengePassword);
      assert.equal(status, 0, stderr);
      assert.match(await statusOf('first'), /status: MONITORING\n\s+stuck: no/);
      const { subject, subjectAltName } = await verified('first');
      assert.deepEqual([subject, subjectAltName], ['CN=first\nO=Lab', 'DNS:first.example.com']);
      assert.deepEqual([lastMessage().messageType, algorithmName(lastMessage().signerInfo.digestAlgorithm.oid)], ['19', 'SHA-256']);
    });

    it('gets another certificate for the same key with the same transactionID when it renews', async () => {
      await request('renewed', server.challengePassword);
      const [first, { transactionID }] = [await verified('renewed'), lastMessage()];
      let second = first;
      // Within the same second certmonger writes the same CSR again, and is rightly given the same certificate.
      await until(async () => {
        const { status, stderr } = await certmonger.getcert('resubmit', '-i', 'renewed', '-w', '-v');
        assert.equal(status, 0, stderr);
        assert.equal(lastMessage().transactionID, transactionID);
        second = await verified('renewed');
        return second.serialNumber !== first.serialNumber;
      }, 'another certificate');
      assert.deepEqual(second.publicKey.export({ format: 'jwk' }), first.publicKey.export({ format: 'jwk' }));
    });

    it('gets a certificate for a new key by a PKCSReq that its certificate signs', async () => {
      await request('rekeyed', server.challengePassword);
      const first = await verified('rekeyed');
      const { status, stderr } = await certmonger.getcert('rekey', '-i', 'rekeyed', '-w', '-v');
      assert.equal(status, 0, stderr);
      assert.match(await statusOf('rekeyed'), /status: MONITORING\n\s+stuck: no/);
      const second = await verified('rekeyed');
      assert.notDeepEqual(second.publicKey.export({ format: 'jwk' }), first.publicKey.export({ format: 'jwk' }));
      const { messageType, signedData } = lastMessage();
      assert.equal(messageType, '19');
      assert.ok(signedData.certificates.some(({ der }) => first.raw.equals(der)));
    });

    it('is rejected for a wrong challenge, and nothing is issued', async () => {
      const issued = await issuanceIn(server.database);
      await request('wrong', 'wrong');
      const status = await statusOf('wrong');
      assert.match(status, /status: CA_REJECTED\n/);
      // Its own words for badRequest: it does not show failInfoText.
      assert.match(status, /ca-error: Transaction either is not permitted or is not supported by server\.\n/);
      assert.equal(lastScepRequest(server)?.['reason'], 'The challenge password is invalid.');
      assert.deepEqual(await issuanceIn(server.database), issued);
    });
  });
}

describe('certmonger, where a certificate renews itself', { skip }, () => {
  let server: TemporaryServer;
  let proxy: RecordingProxy;
  let certmonger: Certmonger;
  const resources = new AsyncDisposableStack();
  before(async () => {
    server = resources.use(await startTemporaryServer());
    proxy = resources.use(await startRecordingProxy(server.url));
    await setEnrolmentPolicy(server, { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
    certmonger = resources.use(await Certmonger.start());
    await certmonger.addCa(proxy.url);
  });
  after(() => resources.disposeAsync());

  async function lastAuthorisation(): Promise<unknown> {
    const issued = server.database.query.selectFrom('audit_events').select('detail').where('name', '=', 'CertificateIssued');
    const { detail } = await issued.orderBy('event_id', 'desc').executeTakeFirstOrThrow();
    return JSON.parse(detail).authorisation.by;
  }

  it('rekeys by a PKCSReq that its certificate signs, though the challenge is deleted', async () => {
    await certmonger.request('rekeyed', server.challengePassword);
    const first = await certmonger.verified('rekeyed', server.caCertificate);
    await deleteChallengesOf(server.database.query, server.connectorId);
    const { status, stderr } = await certmonger.getcert('rekey', '-i', 'rekeyed', '-w', '-v');
    assert.equal(status, 0, stderr);
    const second = await certmonger.verified('rekeyed', server.caCertificate);
    assert.ok(!second.publicKey.equals(first.publicKey));
    const { messageType, signedData } = lastMessageThrough(proxy);
    assert.equal(messageType, '19');
    assert.ok(signedData.certificates.some(({ der }) => first.raw.equals(der)));
    assert.equal(await lastAuthorisation(), 'renewal');
  });

  it('renews by one for the key that it has', async () => {
    const first = await certmonger.verified('rekeyed', server.caCertificate);
    const { status, stderr } = await certmonger.getcert('resubmit', '-i', 'rekeyed', '-w', '-v');
    assert.equal(status, 0, stderr);
    const second = await certmonger.verified('rekeyed', server.caCertificate);
    assert.notEqual(second.serialNumber, first.serialNumber);
    assert.equal(await lastAuthorisation(), 'renewal');
  });
});

describe('certmonger, where an operator approves requests', { skip }, () => {
  let server: TemporaryServer;
  let certmonger: Certmonger;
  const resources = new AsyncDisposableStack();
  before(async () => {
    server = resources.use(await startTemporaryServer());
    await setEnrolmentPolicy(server, { Approval: { Mode: 'MANUAL', ExpiresInDays: 1 } });
    certmonger = resources.use(await Certmonger.start());
    await certmonger.addCa(server.url);
  });
  after(() => resources.disposeAsync());

  async function untilStatus(id: string, pattern: RegExp): Promise<string> {
    let status = '';
    await until(async () => {
      status = await certmonger.statusOf(id);
      return pattern.test(status);
    }, `certmonger shows ${pattern} of ${id}`);
    return status;
  }

  function lastHit() {
    const { messageType, outcome, reason } = lastScepRequest(server) ?? {};
    return { messageType, outcome, reason };
  }

  /** By its PKCSReq again. It does so by itself, but days later. */
  async function poll(id: string): Promise<void> {
    const { status, stdout } = await certmonger.getcert('refresh', '-i', id);
    assert.equal(status, 0, stdout.toString());
  }

  it('waits while its request does, and gets its certificate once that is approved', async () => {
    await certmonger.request('approved', server.challengePassword, { waits: false });
    await untilStatus('approved', /status: CA_WORKING/);
    assert.equal(await approveWaiting(server), 1);
    await poll('approved');
    await untilStatus('approved', /status: MONITORING/);
    assert.equal((await certmonger.verified('approved', server.caCertificate)).subject, 'CN=approved\nO=Lab');
    assert.deepEqual(lastHit(), { messageType: '19', outcome: 'SUCCESS', reason: undefined });
  });

  it('is rejected once its request is', async () => {
    await certmonger.request('rejected', server.challengePassword, { waits: false });
    await untilStatus('rejected', /status: CA_WORKING/);
    await rejectWaiting(server, 'Not ours.');
    await poll('rejected');
    // Its own words for badRequest, as with a wrong challenge.
    const status = await untilStatus('rejected', /status: CA_REJECTED/);
    assert.match(status, /ca-error: Transaction either is not permitted or is not supported by server\.\n/);
    assert.deepEqual(lastHit(), { messageType: '19', outcome: 'FAILURE', reason: 'Not ours.' });
  });
});
