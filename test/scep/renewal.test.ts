/** Renewal by a certificate that the connector issued: what it must be like, what it authorises and for how long, whatever the messageType. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign, type X509Certificate } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { findCertificateByFingerprint } from '../../src/backends/store/certificates.ts';
import type { CertificateRow } from '../../src/backends/store/database.ts';
import { digests, encodeAlgorithmIdentifier } from '../../src/base/pki/algorithms.ts';
import { octetString, sequence } from '../../src/base/pki/der.ts';
import type { KeyPair } from '../../src/base/pki/enveloped-data.ts';
import { type Extension, extKeyUsageExtension, generalName, subjectAltNameExtension } from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { fingerprint, parseCertificate } from '../../src/base/pki/x509.ts';
import { MessageType } from '../../src/base/scep.ts';
import { Authorisations } from '../../src/service/authorisations.ts';
import type { EnrolmentEndpoint } from '../../src/service/scep-requests.ts';
import { createConnector, revoke, setEnrolmentPolicy } from '../support/operator.ts';
import { createIdentity, rsaKey } from '../support/pki-fixtures.ts';
import { issuedBy, RawScepClient, type RequestParts } from '../support/raw-scep-client.ts';
import { challengePassword, extensionRequest, nameValuePair, nameValuePairs } from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const minuteMs = 60_000;
const renewing = { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } } as const;
const noChallenge = 'Exactly one challenge password is required in the certificate signing request.';
const otherKey = 'The request is not signed with the key that the certificate signing request is for.';
const sha1Refused = 'Unsupported algorithm: 1.3.14.3.2.26 (SHA-1). Use SHA-256 to renew.';
const newKey = rsaKey('second');

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
beforeEach(() => setEnrolmentPolicy(server, { ...renewing, LegacyAlgorithms: { Sha1: false, TripleDes: false, SingleDes: false } }));
after(() => server[Symbol.asyncDispose]());

function identity({ raw }: X509Certificate, privateKey: KeyObject = client.device.privateKey): KeyPair {
  return { certificate: parseCertificate(raw), privateKey };
}

/** A certificate that was enrolled with the challenge, and its key. */
async function enrolled(extensions: readonly Extension[] = [], lifeMinutes?: number): Promise<KeyPair> {
  const validity =
    lifeMinutes === undefined
      ? []
      : [nameValuePairs(nameValuePair('ValidityPeriod', 'Minutes'), nameValuePair('ValidityPeriodUnits', String(lifeMinutes)))];
  return identity(await client.enrol({ extensions, csrAttributes: validity }));
}

interface RenewalParts extends Pick<RequestParts, 'transactionID' | 'signing' | 'csrParts'> {
  messageType?: string;
  extensions?: readonly Extension[];
  /** Beside the extensions. */
  attributes?: readonly Uint8Array[];
}

/** A RenewalReq for a new key with the same subject and without a challenge, signed by the certificate. */
function renewal(device: KeyPair, { messageType = MessageType.RenewalReq, extensions = [], attributes = [], ...parts }: RenewalParts = {}) {
  const requested = extensions.length > 0 ? [extensionRequest(...extensions)] : [];
  const csrParts = { key: newKey, attributes: [...requested, ...attributes], ...parts.csrParts };
  return client.request({ ...parts, device, messageType, csrParts });
}

const withChallenge = () => [challengePassword(server.challengePassword)];

async function renewed(device: KeyPair, parts: RenewalParts = {}): Promise<X509Certificate> {
  return issuedBy(await client.exchange(renewal(device, parts), device));
}

async function assertRefused(device: KeyPair, parts: RenewalParts, failInfo: string, failInfoText: string | RegExp): Promise<void> {
  const refusal = await client.refusal(renewal(device, parts), device);
  assert.equal(refusal.failInfo, failInfo, refusal.failInfoText);
  if (typeof failInfoText === 'string') assert.equal(refusal.failInfoText, failInfoText);
  else assert.match(refusal.failInfoText ?? '', failInfoText);
}

async function rowOf({ certificate }: KeyPair): Promise<CertificateRow> {
  const row = await findCertificateByFingerprint(server.database.query, fingerprint(certificate.der));
  assert.ok(row);
  return row;
}

async function lastAuthorisation(): Promise<Record<string, string>> {
  const events = server.database.query.selectFrom('audit_events').selectAll().where('name', '=', 'CertificateIssued');
  const event = await events.orderBy('event_id', 'desc').executeTakeFirstOrThrow();
  return JSON.parse(event.detail).authorisation;
}

describe('a certificate of the connector authorises its own renewal', () => {
  for (const messageType of ['RenewalReq', 'PKCSReq'] as const) {
    it(`by ${messageType}, for a new key and without a challenge, and the audit trail says so`, async () => {
      const old = await enrolled();
      const certificate = await renewed(old, { messageType: MessageType[messageType] });
      assert.equal(certificate.subject, 'O=Example\nCN=printer-7');
      assert.ok(certificate.checkPrivateKey(newKey));
      const { certificate_id, serial_number } = await rowOf(old);
      assert.deepEqual(await lastAuthorisation(), { by: 'renewal', certificateId: certificate_id, serialNumber: serial_number });
    });
  }

  it('for the same key, and the renewed one renews itself', async () => {
    const old = await enrolled();
    const second = identity(await renewed(old, { csrParts: { key: old.privateKey } }));
    assert.notEqual(second.certificate.serialNumber, old.certificate.serialNumber);
    await renewed(second);
  });

  it('with fewer names, but not with others', async () => {
    const names = (...dns: string[]) => [subjectAltNameExtension(dns.map(generalName.dns), false)];
    const old = await enrolled(names('a.example.com', 'b.example.com'));
    assert.equal((await renewed(old, { extensions: names('b.example.com') })).subjectAltName, 'DNS:b.example.com');
    assert.equal((await renewed(old)).subjectAltName, undefined);
    const surplus = /^The certificate being renewed does not have the subjectAltName dNSName:c\.example\.com\.$/;
    await assertRefused(old, { extensions: names('a.example.com', 'c.example.com') }, 'badRequest', surplus);
    await assertRefused(await enrolled(), { extensions: names('c.example.com') }, 'badRequest', surplus);
    const foreign = 'The subject of the CSR is not that of the certificate being renewed.';
    for (const subject of ['CN=printer-8,O=Example', 'CN=printer-7', 'O=Example,CN=printer-7']) {
      await assertRefused(old, { csrParts: { key: newKey, subject } }, 'badRequest', foreign);
    }
  });

  it('with no purpose that it does not have', async () => {
    const purposes = (...oids: string[]) => [extKeyUsageExtension(oids)];
    const old = await enrolled(purposes(Oid.serverAuth, Oid.emailProtection));
    await renewed(old, { extensions: purposes(Oid.serverAuth) });
    const gained = /^The certificate being renewed does not have the purpose 1\.3\.6\.1\.5\.5\.7\.3\.2/;
    await assertRefused(old, { extensions: purposes(Oid.serverAuth, Oid.clientAuth) }, 'badRequest', gained);
    // One that names none would be for clients.
    await assertRefused(old, {}, 'badRequest', gained);
  });

  it('with no security identifier that it does not have, where the policy keeps them', async () => {
    const sid = (text: string): Extension => ({
      oid: Oid.microsoftSecurityIdentifier,
      critical: false,
      value: sequence(octetString(Buffer.from(text))),
    });
    await setEnrolmentPolicy(server, { SecurityIdentifier: 'KEEP' });
    try {
      const [with1, without] = [await enrolled([sid('S-1-5-21-1')]), await enrolled()];
      assert.ok((await renewed(with1, { extensions: [sid('S-1-5-21-1')] })).raw.includes('S-1-5-21-1'));
      await renewed(with1);
      const gained = 'The certificate being renewed does not have the security identifier that the CSR asks for.';
      await assertRefused(with1, { extensions: [sid('S-1-5-21-2')] }, 'badRequest', gained);
      await assertRefused(without, { extensions: [sid('S-1-5-21-1')] }, 'badRequest', gained);
    } finally {
      await setEnrolmentPolicy(server, { SecurityIdentifier: 'STRIP' });
    }
    const without = await enrolled();
    assert.ok(!(await renewed(without, { extensions: [sid('S-1-5-21-1')] })).raw.includes('S-1-5-21-1'));
  });

  it('only with proof of possession of the key that it is for, be it a new one or the one that it has', async () => {
    const signedBy = (key: KeyObject) => ({
      algorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.11'),
      sign: (data: Uint8Array) => sign('sha256', data, key),
    });
    const old = await enrolled();
    // Of a key that is not the signer's no more is said than of what cannot be decoded: the signer may not have written the CSR.
    const undecodable = 'The request could not be decoded. Please send a valid SCEP request.';
    await assertRefused(old, { csrParts: { key: newKey, signer: signedBy(old.privateKey) } }, 'badRequest', undecodable);
    const broken = 'The signature of the certificate signing request does not hold.';
    await assertRefused(old, { csrParts: { key: old.privateKey, signer: signedBy(newKey) } }, 'badMessageCheck', broken);
  });

  it('with the very CSR and transactionID that brought it, since whoever signs with it has got it', async () => {
    const [transactionID, csr] = ['all the same', client.csr({ csrParts: { attributes: [] } })];
    const withCsr = (device: KeyPair) => client.request({ transactionID, csr, device, messageType: MessageType.RenewalReq });
    const first = await enrolled();
    const second = issuedBy(await client.exchange(withCsr(first), first));
    // Asked for again by the one before it, it is the answer that was lost.
    assert.deepEqual(issuedBy(await client.exchange(withCsr(first), first)).raw, second.raw);
    const holder = identity(second);
    const messages = Array.from({ length: 5 }, () => withCsr(holder));
    const raws = await Promise.all(messages.map(async message => issuedBy(await client.exchange(message, holder)).raw));
    for (const raw of raws) assert.deepEqual(raw, raws[0]);
    assert.notDeepEqual(raws[0], second.raw);
    // Nor does a poll ask for another.
    const csrOfPoll = sequence(client.ca.subject.der, holder.certificate.subject.der);
    const poll = client.request({ transactionID, csr: csrOfPoll, device: holder, messageType: MessageType.CertPoll });
    assert.deepEqual(issuedBy(await client.exchange(poll, holder)).raw, raws[0]);
  });

  it('and gives the same certificate to the same request', async () => {
    const old = await enrolled();
    const message = renewal(old);
    const first = issuedBy(await client.exchange(message, old));
    assert.deepEqual(issuedBy(await client.exchange(message, old)).raw, first.raw);
    assert.notDeepEqual((await renewed(old)).raw, first.raw);
  });
});

describe('SHA-1 authorises no renewal, though the policy accepts it', () => {
  const sha1Csr = {
    key: newKey,
    signer: { algorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.5'), sign: (data: Uint8Array) => sign('sha1', data, newKey) },
  };
  const cases: [name: string, parts: RenewalParts][] = [
    ['of the message', { signing: { digest: digests['SHA-1'] } }],
    ['of the CSR', { csrParts: sha1Csr }],
  ];
  for (const [name, parts] of cases) {
    it(`as the signature ${name}: refused without a challenge, authorised by one`, async () => {
      await setEnrolmentPolicy(server, { LegacyAlgorithms: { Sha1: true, TripleDes: false, SingleDes: false } });
      const old = await enrolled();
      await assertRefused(old, parts, 'badAlg', sha1Refused);
      const attributes = withChallenge();
      await renewed(old, { ...parts, attributes, ...(parts.csrParts && { csrParts: { ...parts.csrParts, attributes } }) });
      assert.equal((await lastAuthorisation())['by'], 'challenge');
    });
  }
});

describe('the time of a renewal', () => {
  it('begins in the last part of the certificate’s life that the policy names', async () => {
    await using own = await startTemporaryServer();
    const main = [server, client] as const;
    [server, client] = [own, await RawScepClient.connect(own)];
    try {
      await setEnrolmentPolicy(own, { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 25 } });
      const old = await enrolled([], 100);
      const { notBefore, notAfter } = old.certificate;
      const opensAt = notAfter - (notAfter - notBefore) / 4;
      const text = `The certificate can be renewed from ${new Date(opensAt).toISOString().slice(0, 19)}Z on, not before.`;
      await assertRefused(old, {}, 'badRequest', text);
      own.advance(opensAt - own.now() - minuteMs);
      await assertRefused(old, {}, 'badRequest', text);
      await renewed(old, { attributes: withChallenge() });
      assert.equal((await lastAuthorisation())['by'], 'challenge');
      own.advance(2 * minuteMs);
      await renewed(old);
      assert.equal((await lastAuthorisation())['by'], 'renewal');
    } finally {
      [server, client] = main;
    }
  });

  it('ends with its life, to which the tolerance for devices’ clocks adds nothing', async () => {
    await using own = await startTemporaryServer();
    const main = [server, client] as const;
    [server, client] = [own, await RawScepClient.connect(own)];
    try {
      await setEnrolmentPolicy(own, renewing);
      const old = await enrolled([], 60);
      own.advance(61 * minuteMs);
      const expired = 'The certificate included in the request is expired.';
      await assertRefused(old, {}, 'badMessageCheck', expired);
      await renewed(old, { attributes: withChallenge() });
      own.advance(15 * minuteMs);
      await assertRefused(old, { attributes: withChallenge() }, 'badMessageCheck', expired);
    } finally {
      [server, client] = main;
    }
  });
});

describe('no renewal is authorised', () => {
  it('by a revoked certificate, with a challenge or without', async () => {
    const old = await enrolled();
    await revoke(server, old.certificate.serialNumber);
    const text = 'The certificate that signs the request is revoked.';
    for (const attributes of [[], withChallenge()]) await assertRefused(old, { attributes }, 'badMessageCheck', text);
    await assertRefused(old, { csrParts: { key: old.privateKey } }, 'badMessageCheck', text);
  });

  it('by a certificate that another connector of the same authority issued', async () => {
    const other = await RawScepClient.connect(await createConnector(server));
    const foreign = identity(await other.enrol(), other.device.privateKey);
    await assertRefused(foreign, {}, 'badMessageCheck', otherKey);
    await assertRefused(foreign, { csrParts: { key: foreign.privateKey } }, 'badRequest', noChallenge);
  });

  it('by a look-alike with the issuer’s name, the serial number and the subject of a certificate that was issued', async () => {
    const { certificate } = await enrolled();
    const key = rsaKey('look-alike');
    const issuer = createIdentity({ subject: 'CN=Impostor', key });
    const named = { certificate: { ...issuer.certificate, subject: client.ca.subject }, privateKey: key };
    const lookAlike = createIdentity({ issuer: named, key, serialNumber: certificate.serialNumber });
    assert.deepEqual(lookAlike.certificate.issuer.der, certificate.issuer.der);
    await assertRefused(lookAlike, {}, 'badMessageCheck', otherKey);
    await assertRefused(lookAlike, { csrParts: { key } }, 'badRequest', noChallenge);
  });

  it('by a certificate that the device made for itself, which needs the challenge whatever the messageType', async () => {
    const { device } = client;
    await assertRefused(device, { csrParts: { key: device.privateKey } }, 'badRequest', noChallenge);
    await renewed(device, { csrParts: { key: device.privateKey, attributes: withChallenge() } });
    assert.equal((await lastAuthorisation())['by'], 'challenge');
  });

  it('where the policy does not renew: RenewalReq is no messageType then, and PKCSReq needs the challenge', async () => {
    const old = await enrolled();
    await setEnrolmentPolicy(server, { Renewal: { Mode: 'OFF', WindowPercent: 100 } });
    const unsupported =
      'Unsupported PkiOperation messageType: 17. This connector does not renew by certificate: use PKCSReq (19) with a challenge password.';
    for (const attributes of [[], withChallenge()]) await assertRefused(old, { attributes }, 'badRequest', unsupported);
    const messageType = MessageType.PKCSReq;
    await assertRefused(old, { messageType }, 'badRequest', noChallenge);
    await renewed(old, { messageType, attributes: withChallenge() });
  });
});

describe('one certificate authorises ten renewals', () => {
  const spent = 'The certificate was renewed 10 times already.';

  it('one behind the other, and then needs the challenge', async () => {
    const old = await enrolled();
    for (let time = 0; time < 10; time++) await renewed(old);
    await assertRefused(old, {}, 'badRequest', spent);
    await renewed(old, { attributes: withChallenge() });
  });

  it('of fifteen at once', async () => {
    const old = await enrolled();
    const messages = Array.from({ length: 15 }, () => renewal(old));
    const answers = await Promise.all(messages.map(message => client.exchange(message, old)));
    assert.equal(answers.filter(({ pkiStatus }) => pkiStatus === 'SUCCESS').length, 10);
    for (const { pkiStatus, failInfoText } of answers)
      if (pkiStatus === 'FAILURE') assert.match(failInfoText ?? '', /^The certificate was renewed 10 times already/);
  });
});

describe('a certificate that is revoked between the look at it and the intent', () => {
  it('authorises nothing', async () => {
    const old = await enrolled();
    const { query } = server.database;
    const { certificate_id: certificateId } = await rowOf(old);
    const authorisations = new Authorisations({ database: server.database } as ConstructorParameters<typeof Authorisations>[0]);
    const claim = () => authorisations.claim(query, {} as EnrolmentEndpoint, { by: 'renewal', certificateId, serialNumber: '00' });
    assert.equal(await claim(), true);
    await revoke(server, old.certificate.serialNumber);
    assert.equal(await claim(), false);
  });
});

describe('an elliptic-curve key', () => {
  it('may be what a renewal is for, when the certificate that signs has an RSA key', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const certificate = await renewed(await enrolled(), { csrParts: { key: privateKey } });
    assert.ok(certificate.checkPrivateKey(privateKey));
  });
});
