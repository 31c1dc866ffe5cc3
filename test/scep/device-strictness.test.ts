/** The simulated devices take no answer that the real ones do not take: each complaint is shown by an answer that is wrong in this one respect. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { contentCiphers, digests } from '../../src/base/pki/algorithms.ts';
import { objectIdentifier, octetString, sequence } from '../../src/base/pki/der.ts';
import { generalName, subjectAltNameExtension } from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { attribute } from '../support/cms-parts.ts';
import { type AnswerParts, type CrookedConnector, startCrookedConnector } from '../support/crooked-connector.ts';
import { createIdentity, rsaKey } from '../support/pki-fixtures.ts';
import { withFlippedOctet } from '../support/scep-messages.ts';
import { AndroidDevice } from '../support/simulators/android.ts';
import { AppleDevice } from '../support/simulators/apple.ts';
import { CiscoFirewall } from '../support/simulators/cisco-asa.ts';
import { CiscoRouter } from '../support/simulators/cisco-ios.ts';
import { ClientComplaint, type Device, type EnrolmentRequest } from '../support/simulators/device.ts';
import { thumbprint, WindowsDevice } from '../support/simulators/windows.ts';

let connector: CrookedConnector;
before(async () => {
  connector = await startCrookedConnector();
});
after(() => connector[Symbol.asyncDispose]());
beforeEach(() => {
  connector.crookedness = {};
  connector.operations.length = 0;
  connector.challenges.length = 0;
  connector.polls.length = 0;
});

const request = (parts: Partial<EnrolmentRequest> = {}): EnrolmentRequest => ({
  url: connector.url,
  challenge: 'secret',
  subject: 'CN=device-7,O=Example',
  subjectAltNames: [generalName.dns('device-7.example.com')],
  privateKey: rsaKey('simulated'),
  ...parts,
});

const windows = (caThumbprint = thumbprint(connector.ca.certificate.der)) => new WindowsDevice({ caThumbprint });

const kinds: Record<string, () => Device> = {
  Windows: windows,
  iOS: () => new AppleDevice('iOS'),
  macOS: () => new AppleDevice('macOS'),
  'Android by GET': () => new AndroidDevice({ transport: 'GET' }),
  'Android by POST': () => new AndroidDevice({ transport: 'POST' }),
  'Cisco IOS': () => new CiscoRouter('modern'),
  'Cisco IOS with single DES and SHA-1': () => new CiscoRouter('legacy'),
};

/** The attributes of CMS itself, as `Crookedness.attributes` has them. */
type WrongAttributes = (usual: readonly Uint8Array[]) => Uint8Array[];
const withoutContentType: WrongAttributes = usual => usual.slice(1);
const wrongAttributes: Record<string, WrongAttributes> = {
  'without contentType': withoutContentType,
  'without messageDigest': usual => usual.toSpliced(1, 1),
  'with two values of contentType': usual =>
    usual.with(0, attribute(Oid.contentType, objectIdentifier(Oid.data), objectIdentifier(Oid.data))),
  'with two values of messageDigest': usual =>
    usual.with(1, attribute(Oid.messageDigest, octetString(Buffer.alloc(32)), octetString(Buffer.alloc(32)))),
};

async function complaintOf(enrolment: Promise<unknown>): Promise<string> {
  try {
    await enrolment;
  } catch (error) {
    assert.ok(error instanceof ClientComplaint, String(error));
    return error.message;
  }
  return assert.fail('it has taken the answer');
}

/** What no client takes, and what it says of it. */
const wrongAnswers: [name: string, parts: (usual: AnswerParts) => AnswerParts, complaint: RegExp][] = [
  [
    'signed with another key than the RA’s',
    usual => ({ ...usual, signer: { ...usual.signer, privateKey: rsaKey('other RA') } }),
    /^the answer does not hold: the signature of the message does not hold$/,
  ],
  [
    'signed with a certificate that GetCACert does not have',
    usual => ({ ...usual, signer: createIdentity({ key: rsaKey('other RA') }) }),
    /^the answer does not hold: the signer’s certificate is not in the message$/,
  ],
  ['for another transaction', usual => ({ ...usual, transactionID: 'F'.repeat(40) }), /^the answer is for another transactionID$/],
  [
    'with another recipientNonce',
    usual => ({ ...usual, recipientNonce: randomBytes(16) }),
    /^recipientNonce is not the senderNonce of the request$/,
  ],
  ['without recipientNonce', usual => ({ ...usual, recipientNonce: undefined }), /^recipientNonce is not the senderNonce of the request$/],
  [
    'of PENDING where it has no retries',
    usual => ({ ...usual, pkiStatus: 'PENDING' }),
    /^the request is pending$|^The SCEP server returned an invalid response\.$|^MDM-SCEP \(15002\): Unable to obtain certificate from SCEP server$/,
  ],
  [
    'encrypted to somebody else',
    usual => ({ ...usual, recipient: createIdentity({ key: rsaKey('other') }).certificate }),
    /^the answer does not hold: The message is not encrypted to/,
  ],
  [
    'encrypted with another key than the signer’s',
    usual => ({ ...usual, recipient: { ...usual.recipient, publicKey: publicKeyOf(rsaKey('other')) } }),
    /^the answer does not hold: the answer is not encrypted to the device$/,
  ],
  [
    'with a certificate for another key',
    usual => ({ ...usual, certificate: { ...usual.certificate, subjectPublicKeyInfo: publicKeyOf(rsaKey('other')).spki } }),
    /^the answer holds no certificate for the key of the request$|^can not find router cert in certrep$/,
  ],
  [
    'with a certificate of another subject',
    usual => ({ ...usual, certificate: { ...usual.certificate, subject: parseNameString('CN=device-8,O=Example').der } }),
    /^the certificate has another subject than was asked for$|^can not find router cert in certrep$/,
  ],
];

for (const [kind, create] of Object.entries(kinds)) {
  describe(kind, () => {
    it('takes an answer that is right', async () => {
      const { certificate } = await create().enrol(request());
      assert.ok(certificate.publicKey.equals(publicKeyOf(rsaKey('simulated'))));
    });

    it('brings a challenge of 6 KB whole', async () => {
      const challenge = 'MIIabc+/='.repeat(700);
      await create().enrol(request({ challenge }));
      assert.deepEqual(new Set(connector.challenges), new Set([challenge]));
    });

    it('asks with the names of the CA and of its own certificate what became of a request that waits', async () => {
      const wait = async () => {
        connector.crookedness = {};
      };
      connector.crookedness = { parts: usual => ({ ...usual, pkiStatus: 'PENDING' }) };
      await create().enrol(request({ retry: { retries: 1, delayMs: 0, wait } }));
      const issuerAndSubject = sequence(connector.ca.certificate.subject.der, parseNameString(request().subject).der);
      assert.ok(connector.polls.length > 0);
      for (const poll of connector.polls) assert.deepEqual(Buffer.from(poll), Buffer.from(issuerAndSubject));
    });

    for (const [name, parts, complaint] of wrongAnswers) {
      it(`takes no answer ${name}`, async () => {
        connector.crookedness = { parts };
        assert.match(await complaintOf(create().enrol(request())), complaint);
      });
    }

    it('takes no answer that was altered on the way', async () => {
      connector.crookedness = { message: usual => withFlippedOctet(usual, -1) };
      assert.match(await complaintOf(create().enrol(request())), /the signature of the message does not hold$/);
    });
  });
}

describe('Windows', () => {
  it('takes no answer without OAEP', async () => {
    connector.crookedness = { parts: usual => ({ ...usual, keyTransport: { scheme: 'PKCS1' } }) };
    assert.equal(await complaintOf(windows().enrol(request())), 'the answer is encrypted with PKCS1, not with OAEP SHA-1');
  });

  it('takes no answer with another digest in OAEP than its own', async () => {
    const caThumbprint = thumbprint(connector.ca.certificate.der);
    const device = () => new WindowsDevice({ caThumbprint, oaepDigest: 'SHA-256' });
    await device().enrol(request());
    connector.crookedness = { parts: usual => ({ ...usual, keyTransport: { scheme: 'OAEP', digest: digests['SHA-1'] } }) };
    assert.equal(await complaintOf(device().enrol(request())), 'the answer is encrypted with OAEP SHA-1, not with OAEP SHA-256');
  });

  it('asks again and again and sends nothing where the CA of its profile is not in GetCACert', async () => {
    const profile = thumbprint(createIdentity({ key: rsaKey('other') }).certificate.der);
    assert.equal(await complaintOf(windows(profile).enrol(request())), 'The hash value is not correct.');
    const round = ['GetCACaps', 'GetCACert'];
    assert.deepEqual(connector.operations, [...round, ...round, ...round]);
  });
});

describe('Apple’s devices', () => {
  for (const variant of ['iOS', 'macOS'] as const) {
    it(`send nothing where no certificate of GetCACert enciphers keys: ${variant}`, async () => {
      connector.crookedness = { certificates: [connector.ca.certificate] };
      const complaint = await complaintOf(new AppleDevice(variant).enrol(request()));
      assert.equal(complaint, 'failed to find candidate RA certificates (-67731)');
      assert.ok(!connector.operations.includes('PKIOperation'));
    });

    for (const caps of ['AES\nPOSTPKIOperation\nSCEPStandard\n', 'SHA-256\nPOSTPKIOperation\nSCEPStandard\n']) {
      it(`send nothing where GetCACaps says no more than ${JSON.stringify(caps)}: ${variant}`, async () => {
        connector.crookedness = { caps };
        const complaint = await complaintOf(new AppleDevice(variant).enrol(request()));
        assert.equal(complaint, 'GetCACaps offers no digest of SHA, or neither AES nor DES3');
        assert.ok(!connector.operations.includes('PKIOperation'));
      });
    }

    for (const [name, attributes] of Object.entries(wrongAttributes)) {
      it(`crash over an answer ${name}: ${variant}`, async () => {
        connector.crookedness = { attributes };
        assert.equal(await complaintOf(new AppleDevice(variant).enrol(request())), 'crash');
      });
    }

    it(`go by the CAFingerprint of their profile, SHA-1 or MD5 of the CA’s certificate: ${variant}`, async () => {
      const fingerprint = (algorithm: string, { der } = connector.ca.certificate) => createHash(algorithm).update(der).digest();
      for (const algorithm of ['sha1', 'md5']) await new AppleDevice(variant, { caFingerprint: fingerprint(algorithm) }).enrol(request());
      const other = createIdentity({ key: rsaKey('other') }).certificate;
      connector.operations.length = 0;
      for (const caFingerprint of [fingerprint('sha1', other), fingerprint('sha256')]) {
        const complaint = await complaintOf(new AppleDevice(variant, { caFingerprint }).enrol(request()));
        assert.equal(complaint, 'CAFingerprint is not that of the CA’s certificate');
      }
      assert.deepEqual(new Set(connector.operations), new Set(['GetCACert']));
    });

    it(`miss the word Renewal only when they renew, and renew without: ${variant}`, async () => {
      const device = new AppleDevice(variant);
      const renewal = { ...request(), challenge: 'secret' };
      await device.enrol(request());
      assert.deepEqual(device.warnings, []);
      await device.reEnrol(renewal);
      assert.deepEqual(device.warnings, ['GetCACaps does not offer Renewal']);
      connector.crookedness = { caps: 'AES\nRenewal\nSHA-256\n' };
      await device.reEnrol(renewal);
      assert.equal(device.warnings.length, 1);
    });

    it(`make do with SHA-1, DES3 and GET: ${variant}`, async () => {
      connector.crookedness = { caps: 'SHA-1\nDES3\n' };
      const device = new AppleDevice(variant);
      await device.enrol(request());
      assert.match(device.exchanges.at(-1)?.url ?? '', /&message=[A-Za-z0-9+/]+(?:%3D){0,2}$/);
    });
  }
});

describe('Android’s devices', () => {
  it('take no nonce of the server’s twice', async () => {
    const senderNonce = randomBytes(16);
    connector.crookedness = { parts: usual => ({ ...usual, senderNonce }) };
    const device = new AndroidDevice({ transport: 'POST' });
    await device.enrol(request());
    assert.match(await complaintOf(device.enrol(request())), /^This nonce has been encountered before/);
  });

  it('take no answer without senderNonce', async () => {
    connector.crookedness = { parts: usual => ({ ...usual, senderNonce: undefined }) };
    assert.equal(
      await complaintOf(new AndroidDevice({ transport: 'POST' }).enrol(request())),
      'the answer does not hold: senderNonce is missing',
    );
  });

  it('take no answer without contentType', async () => {
    connector.crookedness = { attributes: withoutContentType };
    for (const transport of ['GET', 'POST'] as const) {
      assert.match(
        await complaintOf(new AndroidDevice({ transport }).enrol(request())),
        /^The content-type attribute type MUST be present/,
      );
    }
  });

  it('take no answer that says it is HTML', async () => {
    connector.crookedness = { contentType: 'text/html' };
    assert.match(
      await complaintOf(new AndroidDevice({ transport: 'POST' }).enrol(request())),
      /^InvalidContentTypeException: .* got text\/html$/,
    );
  });
});

describe('Cisco IOS', () => {
  const dns = (...names: string[]) => [subjectAltNameExtension(names.map(generalName.dns), false)];
  const changedNames: [name: string, extensions: ReturnType<typeof dns>, subjectAltNames: EnrolmentRequest['subjectAltNames']][] = [
    ['changed', dns('device-8.example.com'), [generalName.dns('device-7.example.com')]],
    ['left out', [], [generalName.dns('device-7.example.com')]],
    ['added to', dns('device-7.example.com', 'device-7'), [generalName.dns('device-7.example.com')]],
    ['made up', dns('device-7.example.com'), []],
  ];
  for (const [name, extensions, subjectAltNames = []] of changedNames) {
    it(`does not find its certificate where the alternative names were ${name}`, async () => {
      connector.crookedness = { parts: usual => ({ ...usual, certificate: { ...usual.certificate, extensions } }) };
      const complaint = await complaintOf(new CiscoRouter('modern').enrol(request({ subjectAltNames })));
      assert.equal(complaint, 'can not find router cert in certrep');
    });
  }

  it('cannot read a cipher that it has not', async () => {
    connector.crookedness = { parts: usual => ({ ...usual, cipher: contentCiphers['AES-128-CBC'] }) };
    assert.equal(await complaintOf(new CiscoRouter('legacy').enrol(request())), 'E_ENCRYPT_ALG_NOT_SUPPORTED');
  });

  it('takes one certificate for its two requests', async () => {
    connector.crookedness = {
      parts: usual => ({ ...usual, certificate: { ...usual.certificate, serialNumber: `01${randomBytes(15).toString('hex')}` } }),
    };
    const complaint = await complaintOf(new CiscoRouter('modern').enrol(request()));
    assert.equal(complaint, 'the same request was answered with two certificates');
  });
});

describe('Cisco ASA', () => {
  it('takes no certificate without that of its CA', async () => {
    assert.equal(await complaintOf(new CiscoFirewall().enrol(request())), 'the CertRep brings no certificate of the CA');
  });
});
