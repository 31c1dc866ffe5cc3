/** What the policy says of the answers: which certificates GetCACert and CertRep bring, and how far a request's signingTime may be off. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Tag } from '../../src/base/pki/asn1.ts';
import { integer, sequence, time, tlv } from '../../src/base/pki/der.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { parseCertificate } from '../../src/base/pki/x509.ts';
import { MessageType } from '../../src/base/scep.ts';
import { attribute } from '../support/cms-parts.ts';
import { approveWaiting, setEnrolmentPolicy } from '../support/operator.ts';
import { issuedBy, RawScepClient, send } from '../support/raw-scep-client.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const minuteMs = 60_000;

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

describe('CaCertificateInCertRep', () => {
  it('puts the CA’s certificate behind the issued one, in every answer that brings one', async () => {
    await setEnrolmentPolicy(server, { CaCertificateInCertRep: true, Approval: { Mode: 'MANUAL', ExpiresInDays: 1 } });
    const message = client.request();
    assert.equal((await client.exchange(message)).pkiStatus, 'PENDING');
    await approveWaiting(server);
    for (const time of ['first', 'again']) {
      const { certificates } = await client.exchange(message);
      assert.equal(certificates.length, 2, time);
      assert.ok(certificates[0]?.publicKey.equals(client.device.certificate.publicKey));
      assert.deepEqual(certificates[1]?.der, client.ca.der);
    }
    await setEnrolmentPolicy(server, { CaCertificateInCertRep: false, Approval: { Mode: 'OFF', ExpiresInDays: 1 } });
    issuedBy(await client.exchange(message));
  });
});

describe('GetCaCert', () => {
  it('RA_CERTIFICATE brings the RA’s certificate alone, as what it is, and devices enrol with it', async () => {
    await setEnrolmentPolicy(server, { GetCaCert: 'RA_CERTIFICATE' });
    const { headers, body } = await send(`${server.url}?operation=GetCACert`);
    assert.equal(headers['content-type'], 'application/x-x509-ca-cert');
    const ra = parseCertificate(body);
    assert.deepEqual(ra.der, client.ra.der);
    await new RawScepClient(server, [ra, client.ca]).enrol();
    await setEnrolmentPolicy(server, { GetCaCert: 'CHAIN' });
    assert.equal((await send(`${server.url}?operation=GetCACert`)).headers['content-type'], 'application/x-x509-ca-ra-cert');
  });
});

describe('SigningTimeToleranceMinutes', () => {
  const generalizedTime = (at: number) => {
    const digits = new Date(at).toISOString().replace(/\.\d+|[-:T]/g, '');
    return tlv(Tag.generalizedTime, Buffer.from(digits));
  };
  const signedAt = (ms: number, encode = time, parts: object = {}) =>
    client.request({ signedAttributes: [attribute(Oid.signingTime, encode(server.now() + ms))], ...parts });
  const tooFar = { failInfo: 'badTime', failInfoText: 'The signingTime is more than 5 minutes off. Set the clock of the device.' };

  it('is not there by default: clocks of devices are wrong at first', async () => {
    for (const ms of [-9 * 60 * minuteMs, 9 * 60 * minuteMs]) issuedBy(await client.exchange(signedAt(ms)));
  });

  it('refuses with badTime what is further off, before and after, in either form of time and in every kind of request', async () => {
    await setEnrolmentPolicy(server, { SigningTimeToleranceMinutes: 5 });
    for (const ms of [-6 * minuteMs, 6 * minuteMs]) {
      assert.deepEqual(await client.refusal(signedAt(ms)), tooFar);
      assert.deepEqual(await client.refusal(signedAt(ms, generalizedTime)), tooFar);
      const getCrl = { messageType: MessageType.GetCRL, csr: sequence(client.ca.subject.der, integer(1)) };
      assert.deepEqual(await client.refusal(signedAt(ms, time, getCrl)), tooFar);
    }
    for (const ms of [-4 * minuteMs, 4 * minuteMs]) issuedBy(await client.exchange(signedAt(ms)));
    // Most clients send none.
    await client.enrol();
  });
});
