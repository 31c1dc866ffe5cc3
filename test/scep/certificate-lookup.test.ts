/** What a connector gives beside new certificates (RFC 8894 sections 3.3.4, 3.3.5 and 4.7): a certificate again, its CA's CRL, its CA's next certificate, its CA beside the answer. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import * as pkijs from 'pkijs';
import { defaultEnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { parseBer, Tag } from '../../src/base/pki/asn1.ts';
import { integer, sequence } from '../../src/base/pki/der.ts';
import { basicConstraintsExtension } from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { encodePem } from '../../src/base/pki/pem.ts';
import { findSignerCertificate, onlySigner, parseContentInfo, parseSignedData, verifySignerInfo } from '../../src/base/pki/signed-data.ts';
import { parseCertificate } from '../../src/base/pki/x509.ts';
import { MessageType } from '../../src/base/scep.ts';
import { asn1Of, pkijsCertificate } from '../support/foreign-pki.ts';
import { revoke, setEnrolmentPolicy } from '../support/operator.ts';
import { createIdentity, defaultPolicy, rsaKey } from '../support/pki-fixtures.ts';
import { type CertRep, RawScepClient, send } from '../support/raw-scep-client.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
afterEach(() => setEnrolmentPolicy(server, defaultEnrolmentPolicy));
after(() => server[Symbol.asyncDispose]());

/** A GetCert or GetCRL with IssuerAndSerialNumber. */
const lookup = (messageType: string, serialNumber: Uint8Array, issuer = client.ca.subject.der) =>
  client.request({ messageType, csr: sequence(issuer, serialNumber) });

/** The members of the SignedData in the envelope: certs-only, or with CRLs. */
function contentOf({ messageData, pkiStatus, failInfoText }: CertRep) {
  assert.equal(pkiStatus, 'SUCCESS', failInfoText);
  assert.ok(messageData);
  const { signerInfos, eContent } = parseSignedData(messageData);
  assert.deepEqual({ signerInfos, eContent }, { signerInfos: [], eContent: undefined });
  const members = parseContentInfo(messageData, Oid.signedData).elements('SignedData');
  return (
    members
      .find(({ tag }) => tag === Tag.context(1))
      ?.elements('crls')
      .map(({ bytes }) => bytes) ?? []
  );
}

describe('GetCert', () => {
  it('brings a certificate to the holder of its key, alone and as the leaf', async () => {
    const issued = parseCertificate((await client.enrol()).raw);
    const answer = await client.exchange(lookup(MessageType.GetCert, issued.serialNumberDer));
    assert.deepEqual(contentOf(answer), []);
    assert.deepEqual(
      answer.certificates.map(({ der }) => der),
      [issued.der],
    );
  });

  it('is refused with badCertId where there is none of that serial number or of that issuer', async () => {
    const issued = parseCertificate((await client.enrol()).raw);
    const wrong = [
      lookup(MessageType.GetCert, integer(4711)),
      lookup(MessageType.GetCert, issued.serialNumberDer, parseNameString('CN=another').der),
    ];
    for (const message of wrong) assert.equal((await client.refusal(message)).failInfo, 'badCertId');
  });

  it('is refused with badRequest with something else than IssuerAndSerialNumber in the envelope', async () => {
    const { failInfo } = await client.refusal(client.request({ messageType: MessageType.GetCert, csr: client.csr() }));
    assert.equal(failInfo, 'badRequest');
  });
});

describe('GetCRL', () => {
  it('brings the CRL of the connector’s CA among the crls, signed by it, with what is revoked in it', async () => {
    const issued = await client.enrol();
    await revoke(server, issued.serialNumber);
    const answer = await client.exchange(lookup(MessageType.GetCRL, parseCertificate(issued.raw).serialNumberDer));
    assert.deepEqual(answer.certificates, []);
    const [crl, second] = contentOf(answer);
    assert.ok(crl && second === undefined);
    const list = new pkijs.CertificateRevocationList({ schema: asn1Of(crl) });
    assert.ok(await list.verify({ issuerCertificate: pkijsCertificate(client.ca.der) }));
    const revoked = (list.revokedCertificates ?? []).map(({ userCertificate }) =>
      Buffer.from(userCertificate.valueBlock.valueHexView).toString('hex'),
    );
    assert.ok(revoked.some(serial => serial.replace(/^0+/, '') === issued.serialNumber.toLowerCase().replace(/^0+/, '')));
  });

  it('is refused with badCertId for another issuer', async () => {
    const message = lookup(MessageType.GetCRL, integer(1), parseNameString('CN=another').der);
    assert.deepEqual(await client.refusal(message), {
      failInfo: 'badCertId',
      failInfoText: 'The issuer is not the certificate authority of this connector.',
    });
  });
});

describe('GetNextCACert', () => {
  const next = createIdentity({ subject: 'CN=Next CA', key: rsaKey('next CA'), extensions: [basicConstraintsExtension(true)] });
  const capabilities = async () => String((await send(`${server.url}?operation=GetCACaps`)).body).split('\n');

  it('is neither announced nor answered while there is no next CA certificate', async () => {
    assert.ok(!(await capabilities()).includes('GetNextCACert'));
    const { statusCode, headers, body } = await send(`${server.url}?operation=GetNextCACert`);
    assert.deepEqual([statusCode, headers['content-type']], [400, 'text/plain']);
    assert.equal(String(body), 'There is no next CA certificate.\n');
  });

  it('is announced and answered with the next certificates, certs-only, in a SignedData that the present CA has signed', async () => {
    await setEnrolmentPolicy(server, { NextCaCertificate: encodePem('CERTIFICATE', next.certificate.der) });
    assert.ok((await capabilities()).includes('GetNextCACert'));
    const { statusCode, headers, body } = await send(`${server.url}?operation=GetNextCACert&message=0`);
    assert.deepEqual([statusCode, headers['content-type']], [200, 'application/x-x509-next-ca-cert']);
    const signedData = parseSignedData(body);
    const signer = onlySigner(signedData);
    verifySignerInfo(signedData, signer, findSignerCertificate(signer, [client.ca]), defaultPolicy);
    const inner = parseSignedData(signedData.eContent ?? Buffer.alloc(0));
    assert.deepEqual(
      inner.certificates.map(({ der }) => Buffer.from(der)),
      [Buffer.from(next.certificate.der)],
    );
    assert.deepEqual({ signerInfos: inner.signerInfos, eContent: inner.eContent }, { signerInfos: [], eContent: undefined });
  });
});

describe('by the policy', () => {
  it('CaCertificateInCertRep the CA’s certificate comes behind the issued one', async () => {
    await setEnrolmentPolicy(server, { CaCertificateInCertRep: true });
    const { certificates } = await client.exchange(client.request());
    assert.equal(certificates.length, 2);
    assert.ok(certificates[0]?.publicKey.equals(client.device.certificate.publicKey));
    assert.deepEqual(certificates[1]?.der, client.ca.der);
  });

  it('GetCaCert RA_CERTIFICATE GetCACert is that one certificate, as application/x-x509-ca-cert', async () => {
    await setEnrolmentPolicy(server, { GetCaCert: 'RA_CERTIFICATE' });
    const { headers, body } = await send(`${server.url}?operation=GetCACert`);
    assert.equal(headers['content-type'], 'application/x-x509-ca-cert');
    assert.deepEqual(Buffer.from(parseCertificate(body).der), Buffer.from(client.ra.der));
    assert.equal(parseBer(body).bytes.length, body.length);
  });
});
