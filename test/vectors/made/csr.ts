/** The CSR: whose key it is for, the challenge in every form, and what it asks for. */
import { createSigner, encodeAlgorithmIdentifier } from '../../../src/base/pki/algorithms.ts';
import {
  bitString,
  contextConstructed,
  integer,
  objectIdentifier,
  octetString,
  printableString,
  sequence,
  tlv,
  utf8String,
} from '../../../src/base/pki/der.ts';
import {
  basicConstraintsExtension,
  type Extension,
  encodeExtensions,
  extKeyUsageExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  subjectAltNameExtension,
} from '../../../src/base/pki/extensions.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { attribute } from '../../support/cms-parts.ts';
import {
  bmpString,
  type CsrParts,
  challengePassword,
  extensionRequest,
  nameValuePair,
  nameValuePairs,
  stringOf,
  withFlippedOctet,
} from '../../support/scep-messages.ts';
import { connectorSpecs } from '../../support/vector-store.ts';
import { type Draft, type Drafts, type Maker, refused, success, undecodable } from '../maker.ts';

const notItsKey = refused('badMessageCheck', 'The request is not signed with the key that the certificate signing request is for.');
const notHeld = refused('badMessageCheck', 'The signature of the certificate signing request does not hold.');
const wrong = refused('badRequest', 'The challenge password is invalid.');
const notOne = refused('badRequest', 'Exactly one challenge password is required in the certificate signing request.');
const caRefused = refused('badRequest', 'The CSR asks for a CA certificate (basicConstraints CA:TRUE), which is never issued by SCEP.');

type Outcome = typeof success | ReturnType<typeof refused>;

function challenged(stands: string, outcome: Outcome, challenge: (right: string) => Uint8Array[]): Draft {
  return { stands, ...outcome, make: maker => maker.request({ csr: maker.csr({ csrParts: { attributes: challenge(maker.challenge) } }) }) };
}

const rightAs = (type: string, encode: (text: string) => Uint8Array) =>
  challenged(`tolerance test: ${type} challenge`, success, right => [challengePassword(encode(right))]);

function asking(stands: string, outcome: Outcome, ...extensions: Extension[]): Draft {
  return { stands, ...outcome, make: maker => maker.request({ extensions }) };
}

const askingForUsage = (stands: string, bit: number, name: string) =>
  asking(stands, refused('badRequest', `The CSR asks for a keyUsage that devices are not given: ${name}.`), keyUsageExtension([bit]));

/** The text names the purpose, and how is not for a vector to say. */
const askingForPurpose = (stands: string, oid: string) =>
  asking(stands, refused('badRequest'), extKeyUsageExtension([Oid.clientAuth, oid]));

function withCsr(stands: string, outcome: Outcome, parts: (maker: Maker) => CsrParts): Draft {
  return { stands, ...outcome, make: maker => maker.request({ csrParts: parts(maker) }) };
}

/** A SubjectPublicKeyInfo of RSA with these numbers, which OpenSSL would not make. */
function rsaKeyInfo(modulus: Uint8Array, exponent: number): Uint8Array {
  return sequence(encodeAlgorithmIdentifier(Oid.rsaEncryption), bitString(sequence(integer(modulus), integer(exponent))));
}

const oddModulus = Buffer.alloc(256, 0xc3);
const dns = (count: number) =>
  subjectAltNameExtension(
    Array.from({ length: count }, (_, index) => generalName.dns(`host-${index}.example.com`)),
    false,
  );
const extension = (oid: string, value: Uint8Array): Extension => ({ oid, critical: false, value });
const otherName = (oid: string) => ({ der: contextConstructed(0, objectIdentifier(oid), contextConstructed(0, utf8String('x'))) });

export const csr: Drafts = {
  'signer-mismatched': {
    stands: 'negative test: mismatched signer/CSR keys',
    ...notItsKey,
    make: maker => maker.request({ csrKey: 'device-2' }),
  },
  'signer-of-other-name': {
    stands: 'a signer whose subject is not the CSR’s, as Cisco’s and pfSense’s',
    ...success,
    make: maker => maker.request({ signer: 'device-other-name' }),
  },
  'signer-issued-for-another-key': {
    stands: 'B12: signed with a certificate of the connector, for a new key, with a challenge',
    ...success,
    make: maker => maker.request({ signer: 'issued-default', csrKey: 'device-2' }),
  },
  'signer-issued-without-challenge': {
    stands: 'B10: signed with a certificate of the connector, which renews nothing, without a challenge',
    ...notOne,
    make: maker => maker.request({ signer: 'issued-default', csrParts: { attributes: [] } }),
  },
  'signature-tampered': {
    stands: 'negative test: tampered CSR signature',
    ...notHeld,
    make: maker => maker.request({ csr: withFlippedOctet(maker.csr(), -1) }),
  },
  'subject-tampered': {
    stands: 'negative test: tampered CSR signature: a subject that was changed after it was signed',
    ...notHeld,
    make(maker) {
      const whole = Buffer.from(maker.csr());
      return maker.request({ csr: withFlippedOctet(whole, whole.indexOf('subject-tampered')) });
    },
  },
  'signed-by-another-key': withCsr('B75: a CSR signed by another key than it is for', notHeld, maker => ({
    signer: createSigner(maker.key('device-2')),
  })),
  'signed-with-sha1': {
    stands: 'F.22: a CSR signed with SHA-1',
    ...refused('badAlg', 'Unsupported algorithm: 1.3.14.3.2.26 (SHA-1). Use SHA-256 to sign the certificate signing request.'),
    make: maker =>
      maker.request({
        csrParts: { signer: { ...createSigner(maker.key('device')), algorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.5') } },
      }),
  },
  'signed-with-md5': {
    stands: 'F.22: a CSR signed with MD5',
    ...refused('badAlg'),
    make: maker =>
      maker.request({
        csrParts: { signer: { ...createSigner(maker.key('device')), algorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.4') } },
      }),
  },

  'challenge-utf8': rightAs('UTF8String', utf8String),
  'challenge-bmp': rightAs('BMPString', bmpString),
  'challenge-printable': rightAs('PrintableString', printableString),
  'challenge-t61': rightAs('T61String', text => stringOf(0x14, Buffer.from(text, 'latin1'))),
  'challenge-ia5': rightAs('IA5String', text => stringOf(0x16, Buffer.from(text, 'latin1'))),
  'challenge-segmented': rightAs('UTF8String in segments as', text => tlv(0x2c, utf8String(text.slice(0, 10)), utf8String(text.slice(10)))),
  'challenge-two-attributes': challenged('negative test: two challenges, the same twice', notOne, right => [
    challengePassword(right),
    challengePassword(right),
  ]),
  'challenge-two-values': challenged('negative test: two challenges, right and wrong in one attribute', notOne, right => [
    challengePassword(right, 'wrong'),
  ]),
  'challenge-two-types': challenged('negative test: two challenges, the same in two string types', notOne, right => [
    challengePassword(right, printableString(right)),
  ]),
  'challenge-empty': challenged('negative test: challenge empty', wrong, () => [challengePassword('')]),
  'challenge-without-value': challenged('negative test: challenge empty: an attribute of no value', notOne, () => [challengePassword()]),
  'challenge-missing': challenged('F.17: no challenge', notOne, () => []),
  'challenge-wrong': challenged('F.7: a wrong challenge', wrong, () => [challengePassword('00000000-0000-4000-8000-000000000000')]),
  'challenge-capitals': challenged('F.7: the challenge in capitals', wrong, right => [challengePassword(right.toUpperCase())]),
  'challenge-space-behind': challenged('F.7: the challenge and a space', wrong, right => [challengePassword(`${right} `)]),
  'challenge-null-behind': challenged('F.7: the challenge and a null', wrong, right => [challengePassword(`${right}\0`)]),
  'challenge-of-6-kilobytes': challenged('F.13: a challenge of 6 KB', wrong, right => [challengePassword(right.repeat(171))]),
  'challenge-integer': challenged('negative test: a challenge that is no string', undecodable, () => [challengePassword(integer(7))]),
  'challenge-not-utf8': challenged('negative test: UTF8String challenge that is no UTF-8', undecodable, () => [
    challengePassword(stringOf(0x0c, Buffer.from('fffe', 'hex'))),
  ]),
  'challenge-half-bmp': challenged('negative test: BMPString challenge of an odd number of octets', undecodable, () => [
    challengePassword(stringOf(0x1e, Buffer.from('00610', 'latin1'))),
  ]),
  'challenge-of-another-connector': challenged('F.19: the challenge of another connector', wrong, () => [
    challengePassword(connectorSpecs.other.challenge),
  ]),
  'challenge-where-there-is-none': {
    stands: 'F.17: a connector without challenge issues nothing',
    connector: 'without-challenge',
    ...wrong,
    make: maker => maker.request(),
  },
  'challenge-empty-where-there-is-none': {
    stands: 'F.17: a connector without challenge issues nothing, for an empty one either',
    connector: 'without-challenge',
    ...wrong,
    make: maker => maker.request({ challenge: challengePassword('') }),
  },

  'ca-true': asking('negative test: CA:TRUE CSR', caRefused, basicConstraintsExtension(true)),
  'ca-true-path-length': asking('negative test: CA:TRUE CSR with a path length', caRefused, basicConstraintsExtension(true, 0)),
  'ca-true-ber': asking(
    'negative test: CA:TRUE CSR, TRUE in BER’s other words',
    caRefused,
    extension(Oid.basicConstraints, sequence(Buffer.from('010101', 'hex'))),
  ),
  'ca-true-microsoft': {
    stands: 'negative test: CA:TRUE CSR in Microsoft’s older attribute',
    ...caRefused,
    make: maker =>
      maker.request({ csrAttributes: [attribute(Oid.microsoftCertExtensions, encodeExtensions([basicConstraintsExtension(true)]))] }),
  },
  'ca-false': asking('F.5: CA:FALSE', success, basicConstraintsExtension(false)),
  keyCertSign: askingForUsage('F.5: keyCertSign', KeyUsage.keyCertSign, 'keyCertSign'),
  cRLSign: askingForUsage('F.5: cRLSign', KeyUsage.cRLSign, 'cRLSign'),
  ocspSigning: askingForPurpose('F.5: the purpose OCSPSigning', Oid.ocspSigning),
  anyExtendedKeyUsage: askingForPurpose('F.5: anyExtendedKeyUsage', Oid.anyExtendedKeyUsage),
  codeSigning: askingForPurpose('F.5: the purpose codeSigning', Oid.codeSigning),
  timeStamping: askingForPurpose('F.5: the purpose timeStamping', Oid.timeStamping),
  'purpose-unknown': askingForPurpose('F.5: a purpose that nobody knows', '1.2.3.4'),
  'purposes-of-devices': asking(
    'F.5: clientAuth, serverAuth and ipsecIke',
    success,
    extKeyUsageExtension([Oid.clientAuth, Oid.serverAuth, Oid.ipsecIke]),
  ),
  'sid-extension': asking(
    'tolerance test: SID extension, which is left out of the certificate',
    success,
    extension('1.3.6.1.4.1.311.25.2', securityIdentifier()),
  ),
  'extensions-of-an-issuer': asking(
    'F.5: AIA, CRL distribution points and policies, which are left out of the certificate',
    success,
    extension(
      Oid.authorityInfoAccess,
      sequence(sequence(objectIdentifier(Oid.caIssuersAccess), tlv(0x86, Buffer.from('http://evil.example')))),
    ),
    extension(
      Oid.crlDistributionPoints,
      sequence(sequence(contextConstructed(0, contextConstructed(0, tlv(0x86, Buffer.from('http://evil.example')))))),
    ),
    extension(Oid.certificatePolicies, sequence(sequence(objectIdentifier('2.5.29.32.0')))),
  ),
  'extension-unknown-critical': asking('F.5: an unknown critical extension, which is left out', success, {
    ...extension('1.2.3.4', integer(1)),
    critical: true,
  }),
  'extension-twice': asking(
    'F.5: basicConstraints twice, FALSE and TRUE',
    undecodable,
    basicConstraintsExtension(false),
    basicConstraintsExtension(true),
  ),
  'extension-requests-two': {
    stands: 'F.5: two extensionRequests',
    ...undecodable,
    make: maker =>
      maker.request({
        extensions: [keyUsageExtension([KeyUsage.digitalSignature])],
        csrAttributes: [extensionRequest(basicConstraintsExtension(true))],
      }),
  },
  'extension-no-der': asking('F.5: a keyUsage that is no DER', refused('badRequest'), extension(Oid.keyUsage, Buffer.from('hello'))),

  'san-upn': asking(
    'F.4: a user principal name',
    success,
    subjectAltNameExtension([generalName.userPrincipalName('printer-7@example.com')], false),
  ),
  'san-other-name': asking(
    'F.4: an otherName that is no user principal name',
    refused('badRequest'),
    subjectAltNameExtension([otherName('1.2.3.4')], false),
  ),
  'san-150': asking('150 alternative names', success, dns(150)),
  'san-151': asking('151 alternative names', refused('badRequest'), dns(151)),
  'subject-empty': withCsr(
    'B40: neither a subject nor alternative names',
    refused('badRequest', 'The CSR has neither a subject nor a subjectAltName.'),
    () => ({
      subject: '',
    }),
  ),
  'subject-empty-with-san': {
    stands: 'B40: no subject, but an alternative name',
    ...success,
    make: maker => maker.request({ extensions: [dns(1)], csrParts: { subject: '' } }),
  },
  'subject-of-5-kilobytes': withCsr('F.13: a subject of 5 KB', refused('badRequest'), () => ({ subject: `CN=${'x'.repeat(5000)}` })),
  'attributes-left-out': withCsr('no attributes, and so no challenge', notOne, () => ({ attributes: [] })),
  'validity-30-days': {
    stands: 'MS-WCCE: ValidityPeriod of thirty days',
    ...success,
    make: maker => maker.request({ csrAttributes: [pairs('Days', '30')] }),
  },
  'validity-no-number': {
    stands: 'MS-WCCE: ValidityPeriodUnits that are no number',
    ...refused('badRequest'),
    make: maker => maker.request({ csrAttributes: [pairs('Days', 'many')] }),
  },

  'key-rsa-1024': {
    stands: 'RSA of 1024 bits',
    ...refused('badAlg', 'Key algorithm or length is not supported. The key is RSA with 1024 bits; use RSA with 2048 bits or more.'),
    make: maker => maker.request({ signer: 'device-1024' }),
  },
  'key-rsa-3072': { stands: 'RSA of 3072 bits', ...success, make: maker => maker.request({ signer: 'device-3072' }) },
  'key-ec': {
    stands: 'a CSR on P-256, signed with a certificate of the connector that has an RSA key',
    once: true,
    ...success,
    make: maker => maker.request({ signer: 'issued-default', csrKey: 'device-ec' }),
  },
  'key-ec-of-signer': {
    stands: 'B25: a signer on P-256, to whom nothing can be encrypted',
    once: true,
    ...refused('badAlg', 'The answer can only be encrypted to an RSA key. Sign the request with an RSA key.'),
    make: maker =>
      maker.request({ signer: 'device-ec', signing: { signatureAlgorithm: sequence(objectIdentifier('1.2.840.10045.4.3.2')) } }),
  },
  'key-exponent-even': withKey('F.13: an even exponent', undecodable, rsaKeyInfo(oddModulus, 65_536)),
  'key-exponent-1': withKey('F.13: an exponent of 1', undecodable, rsaKeyInfo(oddModulus, 1)),
  'key-modulus-even': withKey('F.13: an even modulus', undecodable, rsaKeyInfo(Buffer.alloc(256, 0xc2), 65_537)),
  'key-modulus-16400': withKey('F.13: a modulus of 16,400 bits', undecodable, rsaKeyInfo(Buffer.alloc(2050, 0xc3), 65_537)),
};

function withKey(stands: string, outcome: Outcome, subjectPublicKeyInfo: Uint8Array): Draft {
  return withCsr(stands, outcome, () => ({ subjectPublicKeyInfo }));
}

function pairs(unit: string, count: string): Uint8Array {
  return nameValuePairs(nameValuePair('ValidityPeriod', unit), nameValuePair('ValidityPeriodUnits', count));
}

/** NTDS_CA_SECURITY_EXT around an administrator's SID (MS-WCCE section 2.2.2.7.7.4). */
function securityIdentifier(): Uint8Array {
  const sid = octetString(Buffer.from('S-1-5-21-1004336348-1177238915-682003330-500'));
  return sequence(contextConstructed(0, objectIdentifier('1.3.6.1.4.1.311.25.2.1'), contextConstructed(0, sid)));
}
