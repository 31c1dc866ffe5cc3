/** certmonger: sends everything by GET, uses the transactionID of a key again, and signs a request for a new key with the certificate it has. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { algorithmName } from '../../src/base/pki/algorithms.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { parseGetMessage, rawParameter } from '../../src/fronts/scep/get-message.ts';
import { type PkiMessage, parsePkiMessage } from '../../src/fronts/scep/pki-message.ts';
import { Certmonger } from '../support/certmonger.ts';
import { requireProgram } from '../support/programs.ts';
import { issuanceIn } from '../support/raw-scep-client.ts';
import { type RecordingProxy, startRecordingProxy } from '../support/recording-proxy.ts';
import { type Ended, runProgram } from '../support/run-program.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const skip =
  requireProgram('dbus-run-session') || requireProgram('certmonger-session') || requireProgram('getcert') || requireProgram('openssl');

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
      await certmonger.getcert('add-scep-ca', '-c', 'lab', '-u', proxy.url);
      // It has then fetched GetCACert and GetCACaps.
      await certmonger.until(async () => /thumbprint/.test((await certmonger.getcert('list-cas', '-c', 'lab')).stdout.toString()));
    });
    after(() => resources.disposeAsync());

    const pathOf = (file: string) => join(certmonger.directory, file);

    async function request(id: string, password: string): Promise<Ended> {
      const files = ['-f', pathOf(`${id}.crt`), '-k', pathOf(`${id}.key`)];
      const names = ['-N', `CN=${id},O=Lab`, '-D', `${id}.example.com`];
      return certmonger.getcert('request', '-c', 'lab', '-I', id, '-g', '2048', ...files, ...names, '-L', password, '-w', '-v');
    }

    async function statusOf(id: string): Promise<string> {
      return (await certmonger.getcert('list', '-i', id)).stdout.toString();
    }

    /** The certificate in its file, which the openssl program verifies against the CA. */
    async function verified(id: string): Promise<X509Certificate> {
      await writeFile(pathOf('ca.pem'), encodePem('CERTIFICATE', server.caCertificate));
      const args = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 'ca.pem', `${id}.crt`];
      const verdict = await runProgram('openssl', args, { cwd: certmonger.directory });
      assert.deepEqual([verdict.status, verdict.stdout.toString()], [0, `${id}.crt: OK\n`], verdict.stderr);
      return new X509Certificate(await readFile(pathOf(`${id}.crt`)));
    }

    function lastMessage(): PkiMessage {
      const exchange = proxy.exchanges.findLast(({ target }) => target.includes('operation=PKIOperation'));
      assert.equal(exchange?.method, 'GET');
      const [, rawQuery = ''] = exchange.target.split('?');
      return parsePkiMessage(parseGetMessage(rawParameter(rawQuery, 'message') ?? ''));
    }

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
      await certmonger.until(async () => {
        const { status, stderr } = await certmonger.getcert('resubmit', '-i', 'renewed', '-w', '-v');
        assert.equal(status, 0, stderr);
        assert.equal(lastMessage().transactionID, transactionID);
        second = await verified('renewed');
        return second.serialNumber !== first.serialNumber;
      });
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
      assert.equal(server.logLines.at(-1)?.['reason'], 'The challenge password is invalid.');
      assert.deepEqual(await issuanceIn(server.database), issued);
    });
  });
}
