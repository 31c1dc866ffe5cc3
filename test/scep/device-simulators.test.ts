/** Devices as they are in the field, each with its kind's way of writing requests, enrol at the whole server or are refused and told why. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { updateEnrolmentPolicy } from '../../src/backends/store/connectors.ts';
import { Tag } from '../../src/base/pki/asn1.ts';
import { parseEnvelopedData } from '../../src/base/pki/enveloped-data.ts';
import { extKeyUsageExtension, findExtension, generalName, parseExtKeyUsage, parseSubjectAltName } from '../../src/base/pki/extensions.ts';
import { formatName } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { onlySigner, parseSignedData, requiredAttribute } from '../../src/base/pki/signed-data.ts';
import { readTime } from '../../src/base/pki/strings-and-times.ts';
import type { Certificate } from '../../src/base/pki/x509.ts';
import { MessageType } from '../../src/base/scep.ts';
import type { EnrolmentPolicyDocument } from '../../src/service/enrolment-policies.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { issuanceIn, pemOf } from '../support/raw-scep-client.ts';
import { AndroidDevice } from '../support/simulators/android.ts';
import { AppleDevice } from '../support/simulators/apple.ts';
import { CiscoFirewall } from '../support/simulators/cisco-asa.ts';
import { CiscoRouter } from '../support/simulators/cisco-ios.ts';
import { ClientComplaint, type Device, EnrolmentRefused, type EnrolmentRequest, type RawExchange } from '../support/simulators/device.ts';
import { thumbprint, WindowsDevice, type WindowsOptions } from '../support/simulators/windows.ts';
import { type LogLine, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const subject = 'CN=device-7,OU=Floor 3,O=Example';

let server: TemporaryServer;
before(async () => {
  server = await startTemporaryServer();
});
after(() => server[Symbol.asyncDispose]());

function request(parts: Partial<EnrolmentRequest> = {}): EnrolmentRequest {
  return {
    url: server.url,
    challenge: server.challengePassword,
    subject,
    subjectAltNames: [generalName.dns('device-7.example.com'), generalName.userPrincipalName('user@example.com')],
    extensions: [extKeyUsageExtension([Oid.clientAuth])],
    privateKey: rsaKey('simulated'),
    ...parts,
  };
}

const windows = (options: Partial<WindowsOptions> = {}) =>
  new WindowsDevice({ caThumbprint: thumbprint(server.caCertificate), ...options });

/** Has the connector go by this policy until it is disposed of. */
async function policy(document: EnrolmentPolicyDocument): Promise<AsyncDisposable> {
  const put = async (value: EnrolmentPolicyDocument) =>
    updateEnrolmentPolicy(server.database.query, server.connectorId, {
      enrolmentPolicy: JSON.stringify(value),
      isRaDue: false,
      updatedAt: Date.now(),
    });
  await put(document);
  return { [Symbol.asyncDispose]: () => put({}) };
}

interface Kind {
  create: () => Device;
  method: 'GET' | 'POST';
  userAgent: RegExp;
  hasTls?: boolean;
}

const kinds: Record<string, Kind> = {
  Windows: { create: windows, method: 'POST', userAgent: /^Mozilla\/4\.0 \(compatible; Win32; NDES client 10\.0/ },
  iOS: { create: () => new AppleDevice('iOS'), method: 'GET', userAgent: /^profiled\/1\.0 / },
  macOS: { create: () => new AppleDevice('macOS'), method: 'POST', userAgent: /^profiled\/1\.0 / },
  'Android by GET': { create: () => new AndroidDevice({ transport: 'GET' }), method: 'GET', userAgent: /^Dalvik\/2\.1\.0 / },
  'Android by POST': { create: () => new AndroidDevice({ transport: 'POST' }), method: 'POST', userAgent: /^Dalvik\/2\.1\.0 / },
  'Cisco IOS': { create: () => new CiscoRouter('modern'), method: 'GET', userAgent: /; Cisco PKI\)$/, hasTls: false },
};

function lastHit(): LogLine | undefined {
  return server.logLines.findLast(({ msg }) => msg === 'scep request');
}

function lastExchange({ exchanges }: Device): RawExchange & { message: Uint8Array } {
  const exchange = exchanges.at(-1);
  assert.ok(exchange?.message, 'the last thing it sent is no PKIOperation');
  return { ...exchange, message: exchange.message };
}

const signerOf = (message: Uint8Array) => onlySigner(parseSignedData(message));

function alternativeNames({ extensions }: Certificate): string[] {
  const extension = findExtension(extensions, Oid.subjectAltName);
  return extension === undefined ? [] : parseSubjectAltName(extension).map(({ value }) => value);
}

async function refusalOf(enrolment: Promise<unknown>): Promise<Pick<EnrolmentRefused, 'failInfo' | 'failInfoText'>> {
  const issued = await issuanceIn(server.database);
  try {
    await enrolment;
  } catch (error) {
    assert.ok(error instanceof EnrolmentRefused, String(error));
    assert.deepEqual(await issuanceIn(server.database), issued);
    return { failInfo: error.failInfo, failInfoText: error.failInfoText };
  }
  return assert.fail('it was not refused');
}

for (const [name, { create, method, userAgent, hasTls = true }] of Object.entries(kinds)) {
  describe(name, () => {
    it('enrols over HTTP with the names that it asked for', async () => {
      const issued = await issuanceIn(server.database);
      const { certificate } = await create().enrol(request());
      assert.ok(new X509Certificate(certificate.der).verify(new X509Certificate(server.caCertificate).publicKey));
      assert.equal(formatName(certificate.subject), subject);
      assert.deepEqual(alternativeNames(certificate), ['device-7.example.com', 'user@example.com']);
      assert.deepEqual(await issuanceIn(server.database), { certificates: issued.certificates + 1, transactions: issued.transactions + 1 });
      const hit = lastHit();
      assert.deepEqual([hit?.['method'], hit?.['operation'], hit?.['outcome']], [method, 'PKIOperation', 'SUCCESS']);
      assert.match(String(hit?.['userAgent']), userAgent);
    });

    if (hasTls) {
      it('enrols over HTTPS', async () => {
        await create().enrol(request({ url: server.tlsUrl, tlsCa: pemOf(server.caCertificate) }));
      });
    }

    for (const [length, challenge] of Object.entries({ short: 'wrong', '6 KB long': 'Wrong+/='.repeat(768) })) {
      it(`is refused with a wrong challenge that is ${length}`, async () => {
        assert.deepEqual(await refusalOf(create().enrol(request({ challenge }))), {
          failInfo: 'badRequest',
          failInfoText: 'The challenge password is invalid.',
        });
      });
    }
  });
}

describe('Windows', () => {
  it('makes a key for itself, asks with message=default below /pkiclient.exe and encrypts with OAEP', async () => {
    const device = windows();
    await device.enrol({ url: server.url, challenge: server.challengePassword, subject });
    const operations = device.exchanges.map(({ url }) => url.slice(server.url.length));
    assert.deepEqual(operations, [
      '/pkiclient.exe?operation=GetCACaps&message=default',
      '/pkiclient.exe?operation=GetCACert&message=default',
      '/pkiclient.exe?operation=PKIOperation',
    ]);
    const { eContent } = parseSignedData(lastExchange(device).message);
    const [recipient] = parseEnvelopedData(eContent ?? Buffer.alloc(0)).recipients;
    assert.equal(recipient?.keyEncryptionAlgorithm.oid, Oid.rsaesOaep);
  });

  it('gets the validity of its name-value pairs, also with the SID extension, which is left out of the certificate', async () => {
    const { certificate } = await windows({ sid: 'S-1-5-21-1004336348-1177238915-682003330-512' }).enrol(request());
    const days = (certificate.notAfter - Date.now()) / dayMs;
    assert.ok(days > 179 && days < 185, `${days}`);
    assert.equal(findExtension(certificate.extensions, Oid.microsoftSecurityIdentifier), undefined);
  });

  it('gets its SID extension where the policy of the connector keeps it', async () => {
    await using _ = await policy({ SecurityIdentifier: 'KEEP' });
    const { certificate } = await windows({ sid: 'S-1-5-21-1004336348-1177238915-682003330-512' }).enrol(request());
    const sid = findExtension(certificate.extensions, Oid.microsoftSecurityIdentifier);
    assert.match(String(Buffer.from(sid?.value ?? [])), /S-1-5-21-1004336348-1177238915-682003330-512$/);
  });

  it('gets its extensions from Microsoft’s older attribute as well', async () => {
    const extensions = [extKeyUsageExtension([Oid.clientAuth, Oid.serverAuth])];
    const { certificate } = await windows({ olderExtensionRequest: true }).enrol(request({ extensions }));
    const extKeyUsage = findExtension(certificate.extensions, Oid.extKeyUsage);
    assert.deepEqual(extKeyUsage && parseExtKeyUsage(extKeyUsage), [Oid.clientAuth, Oid.serverAuth]);
    assert.deepEqual(alternativeNames(certificate), ['device-7.example.com', 'user@example.com']);
  });

  it('enrols with a clock that is 9 hours slow', async () => {
    const device = windows({ clockBehindMs: 9 * hourMs });
    await device.enrol(request());
    const signingTime = requiredAttribute(signerOf(lastExchange(device).message), Oid.signingTime, Tag.utcTime, 'signingTime');
    assert.equal(Math.round((Date.now() - readTime(signingTime)) / hourMs), 9);
  });

  it('has a code for a URL that leads nowhere, and one for TLS that it does not trust', async () => {
    const nowhere = `${new URL(server.url).origin}/certsrv/mscep/mscep.dll`;
    await assert.rejects(windows().enrol(request({ url: nowhere })), new ClientComplaint('0x80190194: HTTP 404'));
    await assert.rejects(windows().enrol(request({ url: server.tlsUrl })), { name: 'ClientComplaint', message: /^0x80072f78: / });
  });
});

describe('Apple’s devices', () => {
  it('write BER of indefinite length; iOS has nonces of 8 octets and raw + and / in the URL', async () => {
    const device = new AppleDevice('iOS');
    await device.enrol(request());
    const { url, message } = lastExchange(device);
    const [, base64] = /\?operation=PKIOperation&message=(.*)$/.exec(url) ?? [];
    assert.match(base64 ?? '', /^[A-Za-z0-9]*[+/][A-Za-z0-9+/]*(?:%3D){0,2}$/);
    assert.deepEqual([...message.subarray(0, 2)], [0x30, 0x80]);
    assert.equal(requiredAttribute(signerOf(message), Oid.senderNonce, Tag.octetString, 'senderNonce').octets().length, 8);
  });

  it('go by the CAFingerprint of their profile', async () => {
    const caFingerprint = Buffer.from(thumbprint(server.caCertificate), 'hex');
    await new AppleDevice('iOS', { caFingerprint }).enrol(request());
    const other = new AppleDevice('iOS', { caFingerprint: Buffer.alloc(20) }).enrol(request());
    await assert.rejects(other, new ClientComplaint('CAFingerprint is not that of the CA’s certificate'));
  });

  for (const variant of ['iOS', 'macOS'] as const) {
    it(`renew with a new key and the challenge: ${variant}`, async () => {
      const device = new AppleDevice(variant);
      const first = await device.enrol(request());
      const second = await device.reEnrol({ ...request(), challenge: server.challengePassword, privateKey: rsaKey('renewed') });
      assert.ok(!second.certificate.publicKey.equals(first.certificate.publicKey));
      assert.equal((await refusalOf(device.reEnrol({ ...request(), challenge: 'expired' }))).failInfo, 'badRequest');
    });
  }
});

describe('Android’s devices', () => {
  it('write a literal + and BER of indefinite length', async () => {
    const device = new AndroidDevice({ transport: 'GET' });
    await device.enrol(request());
    const { url, message } = lastExchange(device);
    assert.match(url, /&message=[A-Za-z0-9%]*\+[A-Za-z0-9%+]*$/);
    assert.doesNotMatch(url, /%2B/i);
    assert.deepEqual([...message.subarray(0, 2)], [0x30, 0x80]);
  });

  it('get the validity of name-value pairs whose values are swapped', async () => {
    const { certificate } = await new AndroidDevice({ transport: 'POST', validity: { unit: 'Days', count: 90 } }).enrol(request());
    assert.equal(Math.round((certificate.notAfter - Date.now()) / dayMs), 90);
  });

  it('renew with messageType 19 signed with the certificate that they have, and still with the challenge', async () => {
    const device = new AndroidDevice({ transport: 'POST' });
    const current = await device.enrol(request());
    const renewed = await device.renew(request({ privateKey: rsaKey('renewed') }), current);
    const { signerInfos, certificates } = parseSignedData(lastExchange(device).message);
    assert.deepEqual(
      certificates.map(({ serialNumber }) => serialNumber),
      [current.certificate.serialNumber],
    );
    assert.equal(signerInfos.length, 1);
    // The renewed certificate renews in its turn.
    await device.renew(request(), renewed);
    assert.deepEqual(await refusalOf(device.renew(request({ challenge: undefined }), current)), {
      failInfo: 'badRequest',
      failInfoText: 'Exactly one challenge password is required in the certificate signing request.',
    });
  });
});

describe('a connector whose policy', () => {
  for (const oaepDigest of ['SHA-1', 'SHA-256'] as const) {
    it(`renews by certificate renews Windows by its RenewalReq, without the challenge, with OAEP and ${oaepDigest}`, async () => {
      await using _ = await policy({ Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
      const device = windows({ oaepDigest });
      const current = await device.enrol(request());
      const renewed = await device.renew(request({ challenge: 'of no account', privateKey: rsaKey('renewed') }), current);
      assert.ok(!renewed.certificate.publicKey.equals(current.certificate.publicKey));
      const { message } = lastExchange(device);
      const messageType = requiredAttribute(signerOf(message), Oid.messageType, Tag.printableString, 'messageType').octets();
      assert.equal(String(messageType), MessageType.RenewalReq);
      assert.deepEqual(parseSignedData(message).certificates[0]?.der, current.certificate.der);
      await device.renew(request(), renewed);
    });
  }

  it('offers Renewal leaves Apple’s devices nothing to miss', async () => {
    const device = new AppleDevice('macOS');
    const renewal = { ...request(), challenge: server.challengePassword };
    await device.reEnrol(renewal);
    assert.deepEqual(device.warnings, ['GetCACaps does not offer Renewal']);
    await using _ = await policy({ Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
    await device.reEnrol(renewal);
    assert.equal(device.warnings.length, 1);
  });

  it('puts the CA’s certificate into the CertRep serves Cisco’s ASA, and no other does', async () => {
    const firewall = new CiscoFirewall();
    await assert.rejects(firewall.enrol(request()), new ClientComplaint('the CertRep brings no certificate of the CA'));
    await using _ = await policy({ CaCertificateInCertRep: true });
    const { certificate } = await firewall.enrol(request());
    assert.deepEqual(alternativeNames(certificate), ['device-7.example.com', 'user@example.com']);
    const [signer] = parseSignedData(lastExchange(firewall).message).certificates;
    assert.equal(signer && formatName(signer.subject), 'unstructuredName=asa-7.example.com');
  });

  it('renews by certificate renews Android’s devices without a challenge', async () => {
    await using _ = await policy({ Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
    const device = new AndroidDevice({ transport: 'POST' });
    const current = await device.enrol(request());
    const { certificate } = await device.renew(request({ challenge: undefined, privateKey: rsaKey('renewed') }), current);
    assert.ok(!certificate.publicKey.equals(current.certificate.publicKey));
  });

  it('has GetCACert answer the RA’s certificate alone serves Apple’s devices, and not Windows, which looks for the CA', async () => {
    await using _ = await policy({ GetCaCert: 'RA_CERTIFICATE' });
    for (const variant of ['iOS', 'macOS'] as const) await new AppleDevice(variant).enrol(request());
    await assert.rejects(windows().enrol(request()), new ClientComplaint('The hash value is not correct.'));
  });
});

describe('Cisco IOS', () => {
  it('speaks HTTP/1.0, breaks its base64 after 64 characters and sends each request twice', async () => {
    const router = new CiscoRouter('modern');
    await router.enrol(request());
    const [first, second] = router.exchanges.slice(-2);
    assert.equal(first?.url, second?.url);
    const [, message = ''] = /\/pkiclient\.exe\?operation=PKIOperation&message=(.*)$/.exec(first?.url ?? '') ?? [];
    const lines = decodeURIComponent(message).split('\n');
    assert.ok(lines.slice(0, -2).every(line => line.length === 64));
    assert.equal(lines.at(-1), '');
  });

  it('signs with a certificate of another name than it asks for', async () => {
    const router = new CiscoRouter('modern');
    const { certificate } = await router.enrol(request({ subjectAltNames: [], extensions: [] }));
    const [signer] = parseSignedData(lastExchange(router).message).certificates;
    assert.match(signer ? formatName(signer.subject) : '', /unstructuredName=router-7\.example\.com/);
    assert.equal(formatName(certificate.subject), subject);
    assert.deepEqual(alternativeNames(certificate), []);
  });

  it('is refused with badAlg where it knows single DES and SHA-1 alone, and told both', async () => {
    assert.deepEqual(await refusalOf(new CiscoRouter('legacy').enrol(request())), {
      failInfo: 'badAlg',
      failInfoText:
        'Unsupported algorithm: 1.3.14.3.2.7 (DES-CBC). Use AES-128-CBC or AES-256-CBC. ' +
        'Unsupported algorithm: 1.3.14.3.2.26 (SHA-1). Use SHA-256.',
    });
  });

  it('enrols with single DES and SHA-1 where the policy of the connector allows both', async () => {
    await using _ = await policy({ LegacyAlgorithms: { Sha1: true, SingleDes: true } });
    const { certificate } = await new CiscoRouter('legacy').enrol(request());
    assert.deepEqual(alternativeNames(certificate), ['device-7.example.com', 'user@example.com']);
  });
});
