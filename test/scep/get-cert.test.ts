/** GetCert and GetCRL (RFC 8894 sections 3.3.4 and 3.3.5): a device's own certificate again, and the revocation list of its authority. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { contextPrimitive, integer, sequence } from '../../src/base/pki/der.ts';
import type { KeyPair } from '../../src/base/pki/enveloped-data.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { type Certificate, parseCertificate } from '../../src/base/pki/x509.ts';
import { MessageType } from '../../src/base/scep.ts';
import { createConnector, revoke } from '../support/operator.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { requireProgram } from '../support/programs.ts';
import { issuedBy, pemOf, RawScepClient } from '../support/raw-scep-client.ts';
import { runProgram } from '../support/run-program.ts';
import { createDevice } from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const notThere = {
  failInfo: 'badCertId',
  failInfoText: 'The request could not be decoded, or there is no such certificate of the key that signed it.',
};
const noList = {
  failInfo: 'badCertId',
  failInfoText: 'The request could not be decoded, or its issuer is not the certificate authority of this connector.',
};

for (const keyAlgorithm of ['RSA_2048', 'EC_prime256v1']) {
  describe(`at an authority whose key is ${keyAlgorithm}`, () => {
    let server: TemporaryServer;
    let client: RawScepClient;
    let directory: string;
    const resources = new AsyncDisposableStack();
    before(async () => {
      server = resources.use(await startTemporaryServer({ env: { SCEP_CA_KEY_ALGORITHM: keyAlgorithm } }));
      client = await RawScepClient.connect(server);
      directory = resources.adopt(await mkdtemp(join(tmpdir(), 'scep-get-cert-')), path => rm(path, { recursive: true }));
    });
    after(() => resources.disposeAsync());

    interface Wanted {
      messageType: string;
      issuer?: Uint8Array;
      serialNumberDer: Uint8Array;
      device?: KeyPair;
    }

    function message({ messageType, issuer = client.ca.subject.der, serialNumberDer, device }: Wanted, at = client): Uint8Array {
      return at.request({ messageType, csr: sequence(issuer, serialNumberDer), ...(device && { device }) });
    }

    const getCert = ({ serialNumberDer }: Certificate, rest: Partial<Wanted> = {}) =>
      message({ messageType: MessageType.GetCert, serialNumberDer, ...rest });
    const getCrl = (rest: Partial<Wanted> = {}) => message({ messageType: MessageType.GetCRL, serialNumberDer: integer(1), ...rest });

    async function enrolled(): Promise<Certificate> {
      return parseCertificate((await client.enrol()).raw);
    }

    describe('GetCert', () => {
      it('brings a device its own certificate, asked for with that or with one that it makes for the same key', async () => {
        const certificate = await enrolled();
        for (const device of [client.device, createDevice(), { certificate, privateKey: client.device.privateKey }]) {
          assert.deepEqual(issuedBy(await client.exchange(getCert(certificate, { device }), device)).raw, Buffer.from(certificate.der));
        }
      });

      it('brings nobody the certificate of another key, and says no more than of one that is not there', async () => {
        const certificate = await enrolled();
        const device = createDevice(rsaKey('second'));
        assert.deepEqual(await client.refusal(getCert(certificate, { device }), device), notThere);
        const serialNumberDer = integer(Buffer.concat([Buffer.of(0x11), randomBytes(15)]));
        assert.deepEqual(await client.refusal(message({ messageType: MessageType.GetCert, serialNumberDer })), notThere);
      });

      it('brings none of another issuer, of the RA, of the CA or of another connector', async () => {
        const certificate = await enrolled();
        assert.deepEqual(await client.refusal(getCert(certificate, { issuer: parseNameString('CN=Other').der })), notThere);
        assert.deepEqual(await client.refusal(getCert(client.ra)), notThere);
        assert.deepEqual(await client.refusal(getCert(client.ca)), notThere);
        const other = await RawScepClient.connect(await createConnector(server));
        const serialNumberDer = certificate.serialNumberDer;
        assert.deepEqual(await other.refusal(message({ messageType: MessageType.GetCert, serialNumberDer }, other)), notThere);
      });

      it('still brings one that is revoked', async () => {
        const certificate = await enrolled();
        await revoke(server, certificate.serialNumber);
        assert.deepEqual(issuedBy(await client.exchange(getCert(certificate))).raw, Buffer.from(certificate.der));
      });

      it('says no more of anything else in the envelope', async () => {
        const messageType = MessageType.GetCert;
        for (const csr of [client.csr(), sequence(client.ca.subject.der), contextPrimitive(0, randomBytes(20)), Buffer.of(5, 0)]) {
          assert.deepEqual(await client.refusal(client.request({ messageType, csr })), notThere);
        }
      });
    });

    describe('GetCRL', { skip: requireProgram('openssl') }, () => {
      /** The CRL of an answer, which the openssl program verifies, as text. */
      async function verifiedList(answer: Uint8Array | undefined): Promise<string> {
        assert.ok(answer);
        await writeFile(join(directory, 'answer.p7'), answer);
        await writeFile(join(directory, 'ca.pem'), pemOf(client.ca.der));
        const openssl = async (...args: string[]) => {
          const { status, stdout, stderr } = await runProgram('openssl', args, { cwd: directory });
          assert.equal(status, 0, stderr);
          return stdout.toString() + stderr;
        };
        const pem = await openssl('pkcs7', '-inform', 'DER', '-in', 'answer.p7', '-print_certs');
        assert.doesNotMatch(pem, /BEGIN CERTIFICATE/);
        await writeFile(join(directory, 'list.pem'), pem);
        const text = await openssl('crl', '-in', 'list.pem', '-CAfile', 'ca.pem', '-verify', '-noout', '-text');
        assert.match(text, /verify OK/);
        return text;
      }

      it('brings anyone who signs the list of the authority, with every certificate that is revoked', async () => {
        const [revoked, good] = [await enrolled(), await enrolled()];
        const printed = ({ serialNumber }: Certificate) => serialNumber.toUpperCase().replace(/^(00)+/, '');
        const before = await verifiedList((await client.exchange(getCrl())).messageData);
        assert.ok(!before.includes(printed(revoked)));
        await revoke(server, revoked.serialNumber);
        const stranger = createDevice(rsaKey('second'));
        const text = await verifiedList((await client.exchange(getCrl({ device: stranger }), stranger)).messageData);
        assert.ok(text.includes(printed(revoked)), text);
        assert.ok(!text.includes(printed(good)));
      });

      it('brings no list of another issuer, and none to who asks for something else', async () => {
        assert.deepEqual(await client.refusal(getCrl({ issuer: parseNameString('CN=Other').der })), noList);
        assert.deepEqual(await client.refusal(client.request({ messageType: MessageType.GetCRL, csr: client.csr() })), noList);
      });
    });
  });
}
