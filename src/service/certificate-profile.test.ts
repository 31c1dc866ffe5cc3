/** The certificate profile: what a CSR becomes and what is refused, without a server. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import { defaultEnrolmentPolicy, describePurpose } from '../base/enrolment-policy.ts';
import { createSigner } from '../base/pki/algorithms.ts';
import { parseBer, Tag } from '../base/pki/asn1.ts';
import { contextConstructed, contextPrimitive, objectIdentifier, octetString, sequence, setOf, tlv, utf8String } from '../base/pki/der.ts';
import {
  basicConstraintsExtension,
  type Extension,
  extKeyUsageExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  parseExtKeyUsage,
  parseIpAddress,
  subjectAltNameExtension,
} from '../base/pki/extensions.ts';
import { Name, parseNameString } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { type CertificationRequest, createCertificationRequest, parseCertificationRequest } from '../base/pki/pkcs10.ts';
import { publicKeyOf } from '../base/pki/public-key.ts';
import { applyProfile, type CertificateContent, profileLimits } from './certificate-profile.ts';

const now = Date.UTC(2026, 0, 31, 12);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const caEnds = now + 3650 * dayMs;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const p256 = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;

interface CsrOptions {
  key?: KeyObject;
  subject?: string;
  extensions?: Extension[];
  pairs?: CertificationRequest['nameValuePairs'];
}

function csr({ key = rsa, subject = 'CN=device', extensions = [], pairs = [] }: CsrOptions = {}): CertificationRequest {
  const name = subject === '' ? sequence() : parseNameString(subject).der;
  const der = createCertificationRequest({ subject: name, subjectPublicKeyInfo: publicKeyOf(key).spki, extensions }, createSigner(key));
  return { ...parseCertificationRequest(der), nameValuePairs: pairs };
}

function accepted(options: CsrOptions, issuerNotAfter = caEnds): CertificateContent {
  const content = applyProfile(csr(options), defaultEnrolmentPolicy, { now, issuerNotAfter });
  assert.ok(!('pkiStatus' in content), 'reason' in content ? content.reason : '');
  return content;
}

function refused(options: CsrOptions): { failInfo: string; reason: string } {
  const content = applyProfile(csr(options), defaultEnrolmentPolicy, { now, issuerNotAfter: caEnds });
  assert.ok('pkiStatus' in content, 'it was accepted');
  return content;
}

function purposes({ extensions }: CertificateContent): string[] {
  const extension = extensions.find(({ oid }) => oid === Oid.extKeyUsage);
  assert.ok(extension);
  return parseExtKeyUsage(extension);
}

describe('validity', () => {
  it('is a year from now and begins an hour back', () => {
    const { notBefore, notAfter } = accepted({});
    assert.deepEqual([notBefore, notAfter], [now - hourMs, Date.UTC(2027, 0, 31, 12)]);
  });

  it('begins as long before as the policy says', () => {
    const policy = { ...defaultEnrolmentPolicy, Validity: { ...defaultEnrolmentPolicy.Validity, BackdateMinutes: 540 } };
    const content = applyProfile(csr(), policy, { now, issuerNotAfter: caEnds });
    assert.ok(!('pkiStatus' in content));
    assert.equal(content.notBefore, now - 9 * hourMs);
  });

  it('never ends after the CA', () => {
    assert.equal(accepted({}, now + dayMs).notAfter, now + dayMs);
  });

  for (const [unit, end] of [
    ['Seconds', now + 2000],
    ['Minutes', now + 120_000],
    ['Hours', now + 2 * hourMs],
    ['days', now + 2 * dayMs],
    ['WEEKS', now + 14 * dayMs],
    ['Months', Date.UTC(2026, 2, 31, 12)],
    ['Years', Date.UTC(2028, 0, 31, 12)],
  ] as const) {
    it(`is what ValidityPeriod ${unit} and ValidityPeriodUnits 2 say`, () => {
      const pairs = [
        { name: 'ValidityPeriod', value: unit },
        { name: 'ValidityPeriodUnits', value: '2' },
      ];
      assert.equal(accepted({ pairs }).notAfter, end);
    });
  }

  it('is the same with the two values swapped, as Intune on Android has them', () => {
    const pairs = [
      { name: 'ValidityPeriod', value: '2' },
      { name: 'ValidityPeriodUnits', value: 'Days' },
    ];
    assert.equal(accepted({ pairs }).notAfter, now + 2 * dayMs);
  });

  it('of more years than a calendar has ends with the CA', () => {
    const pairs = [
      { name: 'ValidityPeriod', value: 'Years' },
      { name: 'ValidityPeriodUnits', value: '9999999999' },
    ];
    assert.equal(accepted({ pairs }).notAfter, caEnds);
  });

  for (const pairs of [
    [{ name: 'ValidityPeriod', value: 'Days' }],
    [{ name: 'ValidityPeriodUnits', value: '3' }],
    [{ name: 'ValidityPeriod', value: '3' }],
    [
      { name: 'ValidityPeriod', value: '3' },
      { name: 'ValidityPeriodUnits', value: '3' },
    ],
    [
      { name: 'ValidityPeriod', value: 'Days' },
      { name: 'ValidityPeriodUnits', value: 'Days' },
    ],
    [
      { name: 'ValidityPeriod', value: 'Fortnights' },
      { name: 'ValidityPeriodUnits', value: '1' },
    ],
    ...['0', '-1', '1.5', '', '99999999999', 'ten'].map(value => [
      { name: 'ValidityPeriod', value: 'Days' },
      { name: 'ValidityPeriodUnits', value },
    ]),
  ]) {
    it(`cannot be ${pairs.map(({ name, value }) => `${name} "${value}"`).join(' with ')}`, () => {
      assert.equal(refused({ pairs }).failInfo, 'badRequest');
    });
  }
});

describe('keys', () => {
  it('may be ECDSA on P-256', () => {
    accepted({ key: p256 });
  });

  it('of RSA need 2048 bits', () => {
    const { failInfo, reason } = refused({ key: generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey });
    assert.equal(failInfo, 'badAlg');
    assert.equal(reason, 'Key algorithm or length is not supported. The key is RSA with 1024 bits; use RSA with 2048 bits or more.');
  });

  it('on other curves are refused', () => {
    const request = csr();
    const key = publicKeyOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey);
    const content = applyProfile({ ...request, publicKey: key }, defaultEnrolmentPolicy, { now, issuerNotAfter: caEnds });
    assert.ok('pkiStatus' in content && content.failInfo === 'badAlg');
  });
});

describe('extensions', () => {
  it('are clientAuth alone when the CSR asks for none', () => {
    const content = accepted({});
    assert.deepEqual(purposes(content), [Oid.clientAuth]);
    assert.deepEqual(
      content.extensions.map(({ oid }) => oid),
      [Oid.extKeyUsage],
    );
  });

  it('keep key usage, purposes and alternative names of the CSR', () => {
    const names = [
      generalName.dns('a.example.com'),
      generalName.ip(parseIpAddress('2001:db8::1')),
      generalName.userPrincipalName('a@example.com'),
    ];
    const asked = [
      keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]),
      extKeyUsageExtension([Oid.serverAuth, Oid.ipsecIke]),
      subjectAltNameExtension(names, false),
    ];
    const content = accepted({ extensions: asked });
    assert.deepEqual(
      content.extensions,
      asked.map(extension => ({ ...extension, value: Buffer.from(extension.value) })),
    );
    assert.deepEqual(content.subjectAlternativeNames, [
      'dNSName:a.example.com',
      'iPAddress:2001:db8:0:0:0:0:0:1',
      'otherName:a@example.com',
    ]);
  });

  it('drop what is not on the list, such as the SID', () => {
    const sid: Extension = { oid: '1.3.6.1.4.1.311.25.2', critical: true, value: octetString(Buffer.from('S-1-5-21')) };
    assert.deepEqual(
      accepted({ extensions: [sid] }).extensions.map(({ oid }) => oid),
      [Oid.extKeyUsage],
    );
  });

  it('mark the alternative names critical when the subject is empty', () => {
    const extensions = [subjectAltNameExtension([generalName.dns('a.example.com')], false)];
    const content = accepted({ subject: '', extensions });
    assert.equal(content.extensions.find(({ oid }) => oid === Oid.subjectAltName)?.critical, true);
  });

  it('never make a CA', () => {
    assert.match(refused({ extensions: [basicConstraintsExtension(true)] }).reason, /CA:TRUE/);
    accepted({ extensions: [basicConstraintsExtension(false)] });
  });

  for (const [name, bit] of Object.entries({ keyCertSign: KeyUsage.keyCertSign, cRLSign: KeyUsage.cRLSign })) {
    it(`never have ${name}`, () => {
      assert.match(refused({ extensions: [keyUsageExtension([KeyUsage.digitalSignature, bit])] }).reason, new RegExp(`: ${name}\\.$`));
    });
  }

  for (const purpose of [Oid.codeSigning, Oid.timeStamping, Oid.ocspSigning, Oid.anyExtendedKeyUsage, '1.2.3.4']) {
    it(`never have the purpose ${purpose}`, () => {
      const { reason } = refused({ extensions: [extKeyUsageExtension([Oid.clientAuth, purpose])] });
      assert.ok(reason.endsWith(`: ${describePurpose(purpose)}.`), reason);
    });
  }
});

function manyNames(count: number): Extension[] {
  return [
    subjectAltNameExtension(
      Array.from({ length: count }, (_, n) => generalName.dns(`h${n}`)),
      false,
    ),
  ];
}

describe('names', () => {
  it('must be there, in the subject or beside it', () => {
    assert.match(refused({ subject: '' }).reason, /neither a subject nor a subjectAltName/);
  });

  it('are counted', () => {
    accepted({ extensions: manyNames(defaultEnrolmentPolicy.SubjectAlternativeNames.Max) });
    assert.match(refused({ extensions: manyNames(defaultEnrolmentPolicy.SubjectAlternativeNames.Max + 1) }).reason, /more than 150/);
  });

  it('are measured', () => {
    const long = `CN=${'x'.repeat(profileLimits.subjectBytesMax)}`;
    assert.match(refused({ subject: long }).reason, /longer than 4096 bytes/);
  });

  it('must be of types that everybody reads in a certificate', () => {
    const subject = new Name(
      parseBer(sequence(setOf(sequence(objectIdentifier(Oid.commonName), tlv(Tag.visibleString, Buffer.from('a')))))),
    );
    const content = applyProfile({ ...csr(), subject }, defaultEnrolmentPolicy, { now, issuerNotAfter: caEnds });
    assert.match('reason' in content ? content.reason : '', /no text of a certificate’s/);
  });

  it('of a kind that is not on the list are refused, with the kind', () => {
    const ediPartyName = { der: contextConstructed(5, contextConstructed(1, utf8String('party'))) };
    assert.match(refused({ extensions: [subjectAltNameExtension([ediPartyName], false)] }).reason, /ediPartyName/);
    const otherName = { der: contextConstructed(0, objectIdentifier('1.3.6.1.5.2.2'), contextConstructed(0, setOf(tlv(0x0c)))) };
    assert.match(
      refused({ extensions: [subjectAltNameExtension([otherName, { der: contextPrimitive(2, Buffer.from('a')) }], false)] }).reason,
      /1\.3\.6\.1\.5\.2\.2/,
    );
  });
});
