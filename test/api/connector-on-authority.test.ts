/** From an empty account to a device and back with AWS's own clients alone: root and subordinate CA, connector, challenge, enrolment, revocation, deletion. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import type PcaConnectorScep from 'aws-sdk/clients/pcaconnectorscep.js';
import { encodePem } from '../../src/base/pki/pem.ts';
import { realSystem } from '../../src/base/system.ts';
import { type Enrolled, enroll } from '../../src/client/enroll.ts';
import { createApiClient, sharedCredentials } from '../support/api-client.ts';
import { createActiveAuthority } from '../support/authority-client.ts';
import { requireProgram } from '../support/programs.ts';
import { runProgram } from '../support/run-program.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const keys: [KeyAlgorithm: string, SigningAlgorithm: string, isKnownToOpenssl: boolean][] = [
  ['RSA_2048', 'SHA256WITHRSA', true],
  ['RSA_4096', 'SHA512WITHRSA', true],
  ['EC_prime256v1', 'SHA256WITHECDSA', true],
  ['EC_secp384r1', 'SHA384WITHECDSA', true],
  ['ML_DSA_65', 'ML_DSA_65', false],
];

let server: TemporaryServer;
let authorities: ACMPCA;
let connectors: PcaConnectorScep;
before(async () => {
  server = await startTemporaryServer();
  connectors = createApiClient(server.apiUrl, server.credentialsFile);
  const credentials = sharedCredentials(server.credentialsFile);
  authorities = new ACMPCA({ endpoint: server.apiUrl, region: 'us-east-1', maxRetries: 0, credentials });
});
after(() => server[Symbol.asyncDispose]());

/** AWS has no waiter for connectors. */
async function settled(ConnectorArn: string): Promise<PcaConnectorScep.Connector> {
  for (;;) {
    const { Connector = {} } = await connectors.getConnector({ ConnectorArn }).promise();
    if (Connector.Status !== 'CREATING') return Connector;
  }
}

async function enrolAt(connector: PcaConnectorScep.Connector, ConnectorArn: string): Promise<Enrolled> {
  const { Challenge: { Password = '' } = {} } = await connectors.createChallenge({ ConnectorArn }).promise();
  const path = new URL(connector.Endpoint ?? '').pathname;
  const device = {
    url: new URL(path, server.url).href,
    challenge: Password,
    subject: 'CN=printer-7',
    subjectAltNames: [],
    key: 'rsa:2048',
  };
  return enroll(device, { system: realSystem, report: () => {}, wait: async () => {} });
}

function pem(certificate: { der: Uint8Array } | undefined): string {
  return encodePem('CERTIFICATE', certificate?.der ?? new Uint8Array(0));
}

/** The status with which openssl ends, and what it says. */
async function opensslVerify({ certificate, issuers }: Enrolled, crl: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'scep-verify-'));
  try {
    const [subordinate, root] = issuers;
    const files = { leaf: pem(certificate), subordinate: pem(subordinate), root: pem(root), crl };
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, `${name}.pem`), text);
    const given = ['-crl_check', '-CRLfile', 'crl.pem', '-CAfile', 'root.pem', '-untrusted', 'subordinate.pem'];
    const { status, stdout, stderr } = await runProgram('openssl', ['verify', ...given, 'leaf.pem'], { cwd: directory });
    return `${status} ${stdout.toString()}${stderr}`;
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function fetchCrl(certificateAuthorityArn: string): Promise<Buffer> {
  const caId = certificateAuthorityArn.split('/').at(-1);
  const response = await fetch(new URL(`/crl/${caId}.crl`, server.url));
  assert.equal(response.status, 200);
  return Buffer.from(await response.arrayBuffer());
}

describe("a connector on a subordinate CA, by AWS's own clients", () => {
  for (const [KeyAlgorithm, SigningAlgorithm, isKnownToOpenssl] of keys) {
    it(`with keys of ${KeyAlgorithm} enrols a device whose chain and revocation hold`, async () => {
      const rootArn = await createActiveAuthority(authorities, { KeyAlgorithm, SigningAlgorithm, CommonName: 'Root', years: 10 });
      const RevocationConfiguration = { CrlConfiguration: { Enabled: true, ExpirationInDays: 7 } };
      const wish = { KeyAlgorithm, SigningAlgorithm, CommonName: 'Issuing', issuerArn: rootArn, RevocationConfiguration };
      const CertificateAuthorityArn = await createActiveAuthority(authorities, wish);
      const { ConnectorArn = '' } = await connectors.createConnector({ CertificateAuthorityArn }).promise();
      const connector = await settled(ConnectorArn);
      assert.equal(connector.Status, 'ACTIVE');

      const enrolled = await enrolAt(connector, ConnectorArn);
      const certificates = [enrolled.certificate, ...enrolled.issuers].map(({ der }) => new X509Certificate(der));
      assert.equal(certificates.length, 3);
      for (const [index, certificate] of certificates.entries()) {
        const issuer = certificates[index + 1] ?? certificate;
        assert.ok(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey));
      }
      const crlPem = async () => encodePem('X509 CRL', await fetchCrl(CertificateAuthorityArn));
      const canVerify = isKnownToOpenssl && requireProgram('openssl') === false;
      if (canVerify) assert.match(await opensslVerify(enrolled, await crlPem()), /^0 leaf.pem: OK\n/);

      const CertificateSerial = enrolled.certificate.serialNumber;
      await authorities.revokeCertificate({ CertificateAuthorityArn, CertificateSerial, RevocationReason: 'KEY_COMPROMISE' }).promise();
      if (canVerify) assert.match(await opensslVerify(enrolled, await crlPem()), /certificate revoked/);
      assert.ok((await fetchCrl(CertificateAuthorityArn)).includes(Buffer.from(CertificateSerial, 'hex')));

      await connectors.deleteConnector({ ConnectorArn }).promise();
      for (const arn of [CertificateAuthorityArn, rootArn]) {
        await authorities.updateCertificateAuthority({ CertificateAuthorityArn: arn, Status: 'DISABLED' }).promise();
        await authorities.deleteCertificateAuthority({ CertificateAuthorityArn: arn }).promise();
        const { CertificateAuthority } = await authorities.describeCertificateAuthority({ CertificateAuthorityArn: arn }).promise();
        assert.equal(CertificateAuthority?.Status, 'DELETED');
      }
    });
  }
});
