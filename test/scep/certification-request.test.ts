/** What a CSR may ask for: the refusals of the profile, of a broken CSR and of a key that does not belong to its signer. */
import assert from 'node:assert/strict';
import { constants, sign } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { describePurpose } from '../../src/base/enrolment-policy.ts';
import { createSigner, digests, encodeAlgorithmIdentifier } from '../../src/base/pki/algorithms.ts';
import { bitString, contextConstructed, derTrue, integer, objectIdentifier, sequence, utf8String } from '../../src/base/pki/der.ts';
import {
  basicConstraintsExtension,
  type Extension,
  encodeExtensions,
  extKeyUsageExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  subjectAltNameExtension,
} from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { createCertificate, parseCertificate } from '../../src/base/pki/x509.ts';
import { attribute } from '../support/cms-parts.ts';
import { ecKey, rsaKey } from '../support/pki-fixtures.ts';
import { RawScepClient } from '../support/raw-scep-client.ts';
import {
  challengePassword,
  createDevice,
  extensionRequest,
  nameValuePair,
  nameValuePairs,
  withFlippedOctet,
} from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const undecodable = { failInfo: 'badRequest', failInfoText: 'The request could not be decoded. Please send a valid SCEP request.' };
const badRequest = (failInfoText: string) => ({ failInfo: 'badRequest', failInfoText });
const badMessageCheck = (failInfoText: string) => ({ failInfo: 'badMessageCheck', failInfoText });

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

/** A SubjectPublicKeyInfo of RSA with these numbers, which OpenSSL would not make. */
function rsaPublicKeyInfo(modulus: Uint8Array, exponent: number | Uint8Array): Uint8Array {
  return sequence(encodeAlgorithmIdentifier(Oid.rsaEncryption), bitString(sequence(integer(modulus), integer(exponent))));
}

/** As RFC 4514 has it of what it cannot show. */
function escaped(text: string): string {
  return Buffer.from(text).toString('hex').replace(/../g, '\\$&');
}

const oddModulus = Buffer.alloc(256, 0xc3);

describe('a CSR that is broken', () => {
  const keys: [name: string, subjectPublicKeyInfo: () => Uint8Array][] = [
    ['an even exponent', () => rsaPublicKeyInfo(oddModulus, 65_536)],
    ['an exponent of 1', () => rsaPublicKeyInfo(oddModulus, 1)],
    ['an exponent of 0', () => rsaPublicKeyInfo(oddModulus, 0)],
    ['an exponent of 40 bits', () => rsaPublicKeyInfo(oddModulus, Buffer.from('8000000001', 'hex'))],
    ['an even modulus', () => rsaPublicKeyInfo(Buffer.alloc(256, 0xc2), 65_537)],
    ['a modulus of 16,392 bits', () => rsaPublicKeyInfo(Buffer.alloc(2049, 0xc3), 65_537)],
    ['no modulus', () => rsaPublicKeyInfo(Buffer.of(0), 65_537)],
  ];
  for (const [name, subjectPublicKeyInfo] of keys) {
    it(`is refused as undecodable: ${name}`, async () => {
      const csrParts = { subjectPublicKeyInfo: subjectPublicKeyInfo() };
      assert.deepEqual(await client.refusal(client.request({ csrParts })), undecodable);
    });
  }

  it('is refused as undecodable: two extensionRequests', async () => {
    const csrAttributes = [extensionRequest(keyUsageExtension([KeyUsage.digitalSignature]))];
    assert.deepEqual(
      await client.refusal(client.request({ extensions: [extKeyUsageExtension([Oid.clientAuth])], csrAttributes })),
      undecodable,
    );
  });

  it('is refused as undecodable: an extension twice', async () => {
    const extensions = [basicConstraintsExtension(false), basicConstraintsExtension(true)];
    assert.deepEqual(await client.refusal(client.request({ extensions })), undecodable);
  });

  it('is answered with 400 where the signer’s own certificate has a key with an even exponent', async () => {
    const device = createDevice();
    const der = Buffer.from(device.certificate.der);
    const at = der.indexOf(Buffer.from('0203010001', 'hex'));
    der[at + 4] = 0;
    const message = client.request({ device: { ...device, certificate: { ...device.certificate, der } } });
    assert.deepEqual(await client.rejection(message), {
      statusCode: 400,
      text: 'The request is refused: an RSA exponent that is even or 1.\n',
    });
  });
});

describe('the proof of possession', () => {
  it('is refused with badMessageCheck when the signature of the CSR was changed', async () => {
    assert.deepEqual(
      await client.refusal(client.request({ csr: withFlippedOctet(client.csr(), -1) })),
      badMessageCheck('The signature of the certificate signing request does not hold.'),
    );
  });

  it('is refused with badMessageCheck when the CSR was changed after it was signed', async () => {
    const csr = Buffer.from(client.csr());
    assert.deepEqual(
      await client.refusal(client.request({ csr: withFlippedOctet(csr, csr.indexOf('printer-7')) })),
      badMessageCheck('The signature of the certificate signing request does not hold.'),
    );
  });

  it('is refused with badMessageCheck when another key signed the CSR', async () => {
    assert.deepEqual(
      await client.refusal(client.request({ csrParts: { signer: createSigner(rsaKey('second')) } })),
      badMessageCheck('The signature of the certificate signing request does not hold.'),
    );
  });

  it('may be made with SHA-384, SHA-512 or RSASSA-PSS', async () => {
    const sha256 = encodeAlgorithmIdentifier(digests['SHA-256'].oid);
    const pssParameters = sequence(
      contextConstructed(0, sha256),
      contextConstructed(1, encodeAlgorithmIdentifier(Oid.mgf1, sha256)),
      contextConstructed(2, integer(32)),
    );
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    const algorithms: [digest: string, algorithm: Uint8Array, padding: object][] = [
      ['sha384', encodeAlgorithmIdentifier('1.2.840.113549.1.1.12'), {}],
      ['sha512', encodeAlgorithmIdentifier('1.2.840.113549.1.1.13'), {}],
      ['sha256', encodeAlgorithmIdentifier(Oid.rsassaPss, pssParameters), pss],
    ];
    for (const [digest, algorithm, padding] of algorithms) {
      const signer = { algorithm, sign: (data: Uint8Array) => sign(digest, data, { key: client.device.privateKey, ...padding }) };
      await client.enrol({ csrParts: { signer } });
    }
  });
});

describe('the signer of the message', () => {
  const notItsKey = badMessageCheck('The request is not signed with the key that the certificate signing request is for.');

  it('is refused with badMessageCheck when the CSR is for another RSA key', async () => {
    assert.deepEqual(await client.refusal(client.request({ csrParts: { key: rsaKey('second') } })), notItsKey);
  });

  it('is refused with badMessageCheck when the CSR is for an EC key', async () => {
    assert.deepEqual(await client.refusal(client.request({ csrParts: { key: ecKey('prime256v1') } })), notItsKey);
  });

  it('is refused with badMessageCheck when it has the names and the serial number of a certificate of this connector, but another key', async () => {
    const { certificates } = await client.exchange(client.request());
    const [issued] = certificates;
    assert.ok(issued);
    const key = rsaKey('second');
    const lookalike = {
      serialNumber: issued.serialNumber,
      issuer: issued.issuer.der,
      subject: issued.subject.der,
      subjectPublicKeyInfo: publicKeyOf(key).spki,
      notBefore: issued.notBefore,
      notAfter: issued.notAfter,
      extensions: issued.extensions,
    };
    const device = { certificate: parseCertificate(createCertificate(lookalike, createSigner(key))), privateKey: key };
    assert.deepEqual(await client.refusal(client.request({ device, csrParts: { key: rsaKey('device') } }), device), notItsKey);
  });

  it('may have a subject other than the CSR’s, as Cisco’s, pfSense’s and sscep’s have', async () => {
    assert.equal((await client.enrol({ csrParts: { subject: 'CN=something else' } })).subject, 'CN=something else');
  });

  it('may be a certificate of this connector, for a new key, as certmonger’s rekey has it', async () => {
    const { certificates } = await client.exchange(client.request());
    const [certificate] = certificates;
    assert.ok(certificate);
    const device = { certificate, privateKey: client.device.privateKey };
    for (const key of [rsaKey('second'), ecKey('prime256v1'), ecKey('secp521r1')]) {
      const renewed = await client.enrol({ device, csrParts: { key } });
      assert.deepEqual(renewed.publicKey.export({ format: 'der', type: 'spki' }), Buffer.from(publicKeyOf(key).spki));
    }
  });

  it('is no challenge: a certificate of this connector needs one as well', async () => {
    const { certificates } = await client.exchange(client.request());
    const [certificate] = certificates;
    assert.ok(certificate);
    const device = { certificate, privateKey: client.device.privateKey };
    assert.deepEqual(
      await client.refusal(client.request({ device, csrParts: { key: rsaKey('second'), attributes: [] } }), device),
      badRequest('Exactly one challenge password is required in the certificate signing request.'),
    );
  });
});

describe('what a CSR asks for', () => {
  const constraints = (...parts: Uint8Array[]): Extension => ({ oid: Oid.basicConstraints, critical: true, value: sequence(...parts) });
  const purpose = (oid: string) => [extKeyUsageExtension([Oid.clientAuth, oid])];
  const caRefused = 'The CSR asks for a CA certificate (basicConstraints CA:TRUE), which is never issued by SCEP.';
  const notGiven = (what: string) => `The CSR asks for ${what}.`;
  const refused: [name: string, extensions: () => Extension[], text: string][] = [
    ['CA:TRUE', () => [basicConstraintsExtension(true)], caRefused],
    ['CA:TRUE and a path length', () => [basicConstraintsExtension(true, 0)], caRefused],
    ['CA:TRUE that is not critical', () => [{ ...constraints(derTrue), critical: false }], caRefused],
    ['CA:TRUE in BER’s other words', () => [constraints(Buffer.from('010101', 'hex'))], caRefused],
    ['keyCertSign', () => [keyUsageExtension([KeyUsage.keyCertSign])], notGiven('a keyUsage that devices are not given: keyCertSign')],
    [
      'keyCertSign and cRLSign beside digitalSignature',
      () => [keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyCertSign, KeyUsage.cRLSign])],
      notGiven('a keyUsage that devices are not given: keyCertSign, cRLSign'),
    ],
    ['a tenth bit of keyUsage', () => [keyUsageExtension([9])], notGiven('a keyUsage that devices are not given: an unknown bit')],
    ...[Oid.anyExtendedKeyUsage, Oid.ocspSigning, Oid.codeSigning, Oid.timeStamping, '1.2.3.4'].map(
      (oid): [string, () => Extension[], string] => [
        `the purpose ${oid}`,
        () => purpose(oid),
        notGiven(`an extended key usage that devices are not given: ${describePurpose(oid)}`),
      ],
    ),
    [
      '151 alternative names',
      () => [
        subjectAltNameExtension(
          Array.from({ length: 151 }, (_, index) => generalName.dns(`host-${index}.example.com`)),
          false,
        ),
      ],
      'The CSR has more than 150 subjectAltNames.',
    ],
    [
      'an otherName other than a user principal name',
      () => [
        subjectAltNameExtension(
          [{ der: contextConstructed(0, objectIdentifier('1.2.3.4'), contextConstructed(0, utf8String('x'))) }],
          false,
        ),
      ],
      'The CSR asks for a subjectAltName of a type that devices are not given: 1.2.3.4.',
    ],
    [
      'a user principal name with a NUL',
      () => [subjectAltNameExtension([generalName.userPrincipalName('admin@example.com\0.test')], false)],
      'The request is refused: a user principal name with control characters.',
    ],
    [
      'a directoryName with a line break',
      () => [subjectAltNameExtension([generalName.directory(parseNameString(`CN=${escaped('printer\n7')}`))], false)],
      'The request is refused: a directoryName with control characters.',
    ],
    [
      'an ediPartyName',
      () => [subjectAltNameExtension([{ der: contextConstructed(5, utf8String('x')) }], false)],
      'The CSR asks for a subjectAltName of a type that devices are not given: ediPartyName.',
    ],
  ];
  for (const [name, extensions, text] of refused) {
    it(`is refused with badRequest: ${name}`, async () => {
      assert.deepEqual(await client.refusal(client.request({ extensions: extensions() })), badRequest(text));
    });
  }

  it('is refused with badRequest in Microsoft’s attribute for extensions too', async () => {
    const csrAttributes = [attribute(Oid.microsoftCertExtensions, encodeExtensions([basicConstraintsExtension(true)]))];
    assert.deepEqual(await client.refusal(client.request({ csrAttributes })), badRequest(caRefused));
  });

  it('is refused with badRequest when an extension is no DER', async () => {
    const broken: Extension = { oid: Oid.keyUsage, critical: true, value: Buffer.from('hello') };
    const { failInfo } = await client.refusal(client.request({ extensions: [broken] }));
    assert.equal(failInfo, 'badRequest');
  });

  it('is refused with badRequest without any name', async () => {
    assert.deepEqual(
      await client.refusal(client.request({ csrParts: { subject: '' } })),
      badRequest('The CSR has neither a subject nor a subjectAltName.'),
    );
  });

  it('is refused with badRequest with a control character in its subject', async () => {
    for (const text of ['admin\0.example.com', 'two\nlines', 'del\u007f']) {
      assert.deepEqual(
        await client.refusal(client.request({ csrParts: { subject: `CN=${escaped(text)}` } })),
        badRequest('The subject of the CSR has control characters.'),
      );
    }
  });

  it('is refused with badRequest with a subject of more than 4 KB', async () => {
    assert.deepEqual(
      await client.refusal(client.request({ csrParts: { subject: `CN=${'x'.repeat(4096)}` } })),
      badRequest('The subject of the CSR is longer than 4096 bytes.'),
    );
  });
});

describe('ValidityPeriod and ValidityPeriodUnits', () => {
  const text = 'ValidityPeriod must be Seconds, Minutes, Hours, Days, Weeks, Months or Years, and ValidityPeriodUnits a number from 1.';
  const pairs: [name: string, pairs: [name: string, value: string][]][] = [
    [
      'an unknown unit',
      [
        ['ValidityPeriod', 'Fortnights'],
        ['ValidityPeriodUnits', '1'],
      ],
    ],
    [
      'zero units',
      [
        ['ValidityPeriod', 'Days'],
        ['ValidityPeriodUnits', '0'],
      ],
    ],
    [
      'negative units',
      [
        ['ValidityPeriod', 'Days'],
        ['ValidityPeriodUnits', '-1'],
      ],
    ],
    [
      'half a unit',
      [
        ['ValidityPeriod', 'Days'],
        ['ValidityPeriodUnits', '0.5'],
      ],
    ],
    [
      'units of no number',
      [
        ['ValidityPeriod', 'Days'],
        ['ValidityPeriodUnits', 'many'],
      ],
    ],
    ['no units', [['ValidityPeriod', 'Days']]],
    ['no period', [['ValidityPeriodUnits', '7']]],
    [
      'a period twice',
      [
        ['ValidityPeriod', 'Days'],
        ['ValidityPeriod', 'Years'],
        ['ValidityPeriodUnits', '7'],
      ],
    ],
    [
      'two periods',
      [
        ['ValidityPeriod', 'Days'],
        ['ValidityPeriod', 'Years'],
      ],
    ],
  ];
  for (const [name, given] of pairs) {
    it(`are refused with badRequest: ${name}`, async () => {
      const csrAttributes = given.map(([pairName, value]) => nameValuePairs(nameValuePair(pairName, value)));
      assert.deepEqual(await client.refusal(client.request({ csrAttributes })), badRequest(text));
    });
  }

  it('are not looked at before the challenge password', async () => {
    const attributes = [challengePassword('wrong'), nameValuePairs(nameValuePair('ValidityPeriod', 'Fortnights'))];
    assert.deepEqual(await client.refusal(client.request({ csrParts: { attributes } })), badRequest('The challenge password is invalid.'));
  });
});
