/** GetNextCACert (RFC 8894 section 4.7.1): the next CA's certificates, signed by the present CA, where the policy has them and the CA can sign them. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { basicConstraintsExtension, KeyUsage, keyUsageExtension } from '../../src/base/pki/extensions.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { createActiveAuthority } from '../support/authority-client.ts';
import { acmPcaClient, createConnector, setEnrolmentPolicy } from '../support/operator.ts';
import { createIdentity, rsaKey } from '../support/pki-fixtures.ts';
import { requireProgram } from '../support/programs.ts';
import { pemOf, RawScepClient, send } from '../support/raw-scep-client.ts';
import { runProgram } from '../support/run-program.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const extensions = [basicConstraintsExtension(true), keyUsageExtension([KeyUsage.keyCertSign, KeyUsage.cRLSign])];
const nextRoot = createIdentity({ subject: 'CN=Next Root', key: rsaKey('next root'), extensions });
const nextCa = createIdentity({ subject: 'CN=Next CA', key: rsaKey('next'), issuer: nextRoot, extensions });
const NextCaCertificate = [nextCa, nextRoot].map(({ certificate }) => encodePem('CERTIFICATE', certificate.der)).join('');

async function capabilities(url: string): Promise<string[]> {
  return String((await send(`${url}?operation=GetCACaps`)).body).split('\n');
}

async function assertNotOffered(url: string): Promise<void> {
  assert.ok(!(await capabilities(url)).includes('GetNextCACert'));
  const { statusCode, headers, body } = await send(`${url}?operation=GetNextCACert`);
  const answer = [statusCode, headers['content-type'], String(body)];
  assert.deepEqual(answer, [400, 'text/plain', 'There is no next CA certificate.\n']);
}

for (const keyAlgorithm of ['RSA_2048', 'EC_prime256v1']) {
  describe(`GetNextCACert of an authority whose key is ${keyAlgorithm}`, { skip: requireProgram('openssl') }, () => {
    let server: TemporaryServer;
    let directory: string;
    const resources = new AsyncDisposableStack();
    before(async () => {
      server = resources.use(await startTemporaryServer({ env: { SCEP_CA_KEY_ALGORITHM: keyAlgorithm } }));
      directory = resources.adopt(await mkdtemp(join(tmpdir(), 'scep-next-ca-')), path => rm(path, { recursive: true }));
    });
    after(() => resources.disposeAsync());

    async function openssl(...args: string[]): Promise<string> {
      const { status, stdout, stderr } = await runProgram('openssl', args, { cwd: directory });
      assert.equal(status, 0, stderr);
      return stdout.toString();
    }

    it('is not offered as long as there is no next certificate', () => assertNotOffered(server.url));

    it('is offered with one, in a SignedData that openssl verifies with the present CA, and with nobody else', async () => {
      await setEnrolmentPolicy(server, { NextCaCertificate });
      assert.ok((await capabilities(server.url)).includes('GetNextCACert'));
      const { statusCode, headers, body } = await send(`${server.url}?operation=GetNextCACert`);
      assert.deepEqual([statusCode, headers['content-type']], [200, 'application/x-x509-next-ca-cert']);
      await writeFile(join(directory, 'answer.p7'), body);
      await writeFile(join(directory, 'ca.pem'), pemOf(server.caCertificate));
      await writeFile(join(directory, 'next.pem'), pemOf(nextRoot.certificate.der));
      const verify = ['cms', '-verify', '-binary', '-inform', 'DER', '-in', 'answer.p7', '-purpose', 'any', '-out', 'next.p7'];
      await openssl(...verify, '-CAfile', 'ca.pem');
      const printed = await openssl('pkcs7', '-inform', 'DER', '-in', 'next.p7', '-print_certs');
      assert.deepEqual(printed.match(/^subject=.*$/gm), ['subject=CN = Next CA', 'subject=CN = Next Root']);
      assert.ok((await readFile(join(directory, 'next.p7'))).includes(Buffer.from(nextCa.certificate.der)));
      await assert.rejects(openssl(...verify, '-CAfile', 'next.pem'));
    });

    it('leaves GetCACert and enrolment as they are', async () => {
      const client = await RawScepClient.connect(server);
      assert.deepEqual(client.ca.der, Buffer.from(server.caCertificate));
      await client.enrol();
    });

    it('opens no request that is for the next CA: requests are for the RA, and so the refusal says', async () => {
      const client = await RawScepClient.connect(server);
      const message = client.request({ envelope: { recipients: [{ certificate: nextCa.certificate }] } });
      assert.deepEqual(await client.refusal(message), {
        failInfo: 'badRequest',
        failInfoText: 'The message is not encrypted to this endpoint’s current certificate. Fetch GetCACert again.',
      });
    });
  });
}

describe('SCEP_COMPATIBILITY=aws', () => {
  it('does not offer GetNextCACert, whatever the policy has', async () => {
    await using server = await startTemporaryServer({ env: { SCEP_COMPATIBILITY: 'aws' } });
    await setEnrolmentPolicy(server, { NextCaCertificate });
    await assertNotOffered(server.url);
  });
});

describe('an authority whose key is ML-DSA', () => {
  it('does not offer GetNextCACert, which no client could verify', async () => {
    await using server = await startTemporaryServer();
    const wish = { KeyAlgorithm: 'ML_DSA_44', SigningAlgorithm: 'ML_DSA_44', CommonName: 'ML-DSA Root' };
    const arn = await createActiveAuthority(acmPcaClient(server), wish);
    const { url, connectorId } = await createConnector(server, arn);
    await setEnrolmentPolicy({ ...server, connectorId }, { NextCaCertificate });
    await assertNotOffered(url);
  });
});
