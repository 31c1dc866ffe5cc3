/** Shows that we read the certification requests that node-forge and pkijs make in all their variety, and that they read ours. */
import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as fc from 'fast-check';
import forge from 'node-forge';
import * as pkijs from 'pkijs';
import { indefinite, segmented } from '../../../test/support/ber.ts';
import {
  asn1Of,
  forgeAsn1,
  forgeDer,
  forgePrivateKey,
  forgePublicKey,
  pkijsName,
  type WebSignature,
  webKeyPair,
} from '../../../test/support/foreign-pki.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCsr, ecKey, rsaKey, seed } from '../../../test/support/pki-fixtures.ts';
import { createSigner } from './algorithms.ts';
import { parseBer, Tag } from './asn1.ts';
import { bitString, contextConstructed, derNull, integer, objectIdentifier, octetString, sequence, setOf, tlv, utf8String } from './der.ts';
import { encodeExtensions, extKeyUsageExtension, keyUsageExtension, parseExtKeyUsage, parseSubjectAltName } from './extensions.ts';
import { formatName, parseNameString } from './name.ts';
import { Oid } from './oids.ts';
import {
  certificationRequestLimits,
  createCertificationRequest,
  parseCertificationRequest,
  verifyCertificationRequest,
  withoutChallengePasswords,
} from './pkcs10.ts';
import { publicKeyOf } from './public-key.ts';

const rsa: WebSignature = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
const subject = parseNameString('CN=printer-7').der;

async function pkijsCsr(key: KeyObject, signature: WebSignature, attributes: pkijs.Attribute[]): Promise<Buffer> {
  const { privateKey, publicKey } = await webKeyPair(key, signature);
  const csr = new pkijs.CertificationRequest({
    subject: pkijsName([[Oid.commonName, new asn1js.Utf8String({ value: 'printer-7' })]]),
    attributes,
  });
  await csr.subjectPublicKeyInfo.importKey(publicKey);
  await csr.sign(privateKey, signature.hash);
  return Buffer.from(csr.toSchema(true).toBER());
}

/** A CSR with these attributes, each already encoded, or none at all. */
function csrWith(attributes: readonly Uint8Array[] | undefined): Uint8Array {
  const signer = createSigner(ecKey('prime256v1'));
  const set = attributes === undefined ? [] : [contextConstructed(0, ...attributes)];
  const info = sequence(integer(0), subject, publicKeyOf(ecKey('prime256v1')).spki, ...set);
  return sequence(info, signer.algorithm, bitString(signer.sign(info)));
}

const attribute = (type: string, ...values: Uint8Array[]) => sequence(objectIdentifier(type), setOf(...values));

describe('parseCertificationRequest', () => {
  it('reads what node-forge makes', () => {
    const [privateKey, publicKey] = [forgePrivateKey(rsaKey('client')), forgePublicKey(rsaKey('client'))];
    const text = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(text, text, text, (commonName, challengePassword, host) => {
        const made = forge.pki.createCertificationRequest();
        made.publicKey = publicKey;
        made.setSubject([{ shortName: 'CN', value: commonName }]);
        made.setAttributes([
          { name: 'challengePassword', value: challengePassword },
          {
            name: 'extensionRequest',
            extensions: [
              { name: 'subjectAltName', altNames: [{ type: 2, value: host }] },
              { name: 'extKeyUsage', clientAuth: true },
            ],
          },
        ]);
        made.sign(privateKey, forge.md.sha256.create());
        const read = parseCertificationRequest(forgeDer(forge.pki.certificationRequestToAsn1(made)));
        assert.equal(read.subject.rdns[0]?.[0]?.value, commonName);
        assert.deepEqual(read.challengePasswords, [challengePassword]);
        const [altName, purposes] = read.extensions;
        assert.ok(altName && purposes);
        assert.deepEqual(
          parseSubjectAltName(altName).map(({ value }) => value),
          [host],
        );
        assert.deepEqual(parseExtKeyUsage(purposes), [Oid.clientAuth]);
        assert.ok(verifyCertificationRequest(read));
      }),
      { seed, numRuns: 25 },
    );
  });

  const stringTypes = {
    PrintableString: asn1js.PrintableString,
    UTF8String: asn1js.Utf8String,
    TeletexString: asn1js.TeletexString,
    BMPString: asn1js.BmpString,
    IA5String: asn1js.IA5String,
  };
  for (const [name, StringType] of Object.entries(stringTypes)) {
    it(`reads a challengePassword that pkijs writes as ${name}`, async () => {
      const value = name === 'UTF8String' || name === 'BMPString' ? 'gehéim-Ж' : 'secret 7';
      const csr = await pkijsCsr(rsaKey('client'), rsa, [
        new pkijs.Attribute({ type: Oid.challengePassword, values: [new StringType({ value })] }),
      ]);
      const read = parseCertificationRequest(csr);
      assert.deepEqual(read.challengePasswords, [value]);
      assert.ok(verifyCertificationRequest(read));
    });
  }

  for (const [name, type] of [
    ['PKCS#9’s', Oid.extensionRequest],
    ['Microsoft’s', '1.3.6.1.4.1.311.2.1.14'],
  ] as const) {
    it(`reads the extensions in ${name} attribute`, async () => {
      const extensions = [keyUsageExtension([0, 2]), extKeyUsageExtension([Oid.clientAuth])];
      const csr = await pkijsCsr(rsaKey('client'), rsa, [new pkijs.Attribute({ type, values: [asn1Of(encodeExtensions(extensions))] })]);
      const read = parseCertificationRequest(csr);
      assert.deepEqual(
        read.extensions.map(({ oid, critical, value }) => [oid, critical, [...value]]),
        extensions.map(({ oid, critical, value }) => [oid, critical, [...value]]),
      );
    });
  }

  it('reads and verifies what pkijs signs with other keys and algorithms', async () => {
    const others: [KeyObject, WebSignature][] = [
      [rsaKey('client'), { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-1' }],
      [rsaKey('client'), { name: 'RSA-PSS', hash: 'SHA-256' }],
      [ecKey('prime256v1'), { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' }],
      [ecKey('secp384r1'), { name: 'ECDSA', hash: 'SHA-384', namedCurve: 'P-384' }],
      [ecKey('secp521r1'), { name: 'ECDSA', hash: 'SHA-512', namedCurve: 'P-521' }],
    ];
    for (const [key, signature] of others) {
      const read = parseCertificationRequest(await pkijsCsr(key, signature, []));
      assert.ok(verifyCertificationRequest(read), signature.name);
      assert.ok(read.publicKey.equals(publicKeyOf(key)));
    }
  });

  it('reads a CSR without attributes, with an empty set of them and with unknown ones', () => {
    for (const attributes of [undefined, [], [attribute('1.2.3', derNull, derNull)], [attribute(Oid.challengePassword)]]) {
      const read = parseCertificationRequest(csrWith(attributes));
      assert.deepEqual([read.challengePasswords, read.extensions, read.nameValuePairs], [[], [], []]);
      assert.ok(verifyCertificationRequest(read));
    }
  });

  it('gives every challengePassword there is, since policy decides about more than one', () => {
    const two = [attribute(Oid.challengePassword, utf8String('a'), utf8String('b')), attribute(Oid.challengePassword, utf8String('c'))];
    assert.deepEqual(parseCertificationRequest(csrWith(two)).challengePasswords, ['a', 'b', 'c']);
    assert.deepEqual(parseCertificationRequest(csrWith([attribute(Oid.challengePassword, utf8String(''))])).challengePasswords, ['']);
  });

  it('reads Microsoft’s name-value pairs, one or a list of them', () => {
    const pair = (name: string, value: string) =>
      sequence(...[name, value].map(text => tlv(Tag.bmpString, Buffer.from(text, 'utf16le').swap16())));
    const expected = [
      { name: 'ValidityPeriod', value: 'Weeks' },
      { name: 'ValidityPeriodUnits', value: '3' },
    ];
    const [period, units] = [pair('ValidityPeriod', 'Weeks'), pair('ValidityPeriodUnits', '3')];
    const separate = [attribute(Oid.enrollmentNameValuePair, period), attribute(Oid.enrollmentNameValuePair, units)];
    assert.deepEqual(parseCertificationRequest(csrWith(separate)).nameValuePairs, expected);
    assert.deepEqual(
      parseCertificationRequest(csrWith([attribute(Oid.enrollmentNameValuePair, sequence(period, units))])).nameValuePairs,
      expected,
    );
    refused(
      () => parseCertificationRequest(csrWith([attribute(Oid.enrollmentNameValuePair, sequence(utf8String('a')))])),
      'malformed',
      /without name and value/,
    );
    refused(() => parseCertificationRequest(csrWith([attribute(Oid.enrollmentNameValuePair, derNull)])), 'malformed');
  });

  it('reads BER: indefinite lengths outside and a challengePassword in segments', () => {
    const inSegments = segmented(Buffer.from('secret'), 0x2c, 4);
    const csr = parseBer(csrWith([attribute(Oid.challengePassword, inSegments)]));
    const loose = indefinite(0x30, ...csr.elements('CSR').map(part => part.bytes));
    const read = parseCertificationRequest(loose);
    assert.deepEqual(read.challengePasswords, ['secret']);
    assert.ok(verifyCertificationRequest(read));
  });

  it('gives subject and key in DER, as they go into a certificate, from a CSR that is BER', () => {
    const signer = createSigner(ecKey('prime256v1'));
    const { spki } = publicKeyOf(ecKey('prime256v1'));
    const commonNameInSegments = indefinite(0x30, objectIdentifier(Oid.commonName), segmented(Buffer.from('printer-7'), 0x2c, 4));
    const looseSubject = indefinite(0x30, indefinite(0x31, commonNameInSegments));
    const looseKey = indefinite(
      0x30,
      ...parseBer(spki)
        .elements('spki')
        .map(part => part.bytes),
    );
    const info = sequence(integer(0), looseSubject, looseKey, contextConstructed(0));
    const read = parseCertificationRequest(sequence(info, signer.algorithm, bitString(signer.sign(info))));
    assert.ok(verifyCertificationRequest(read));
    assert.deepEqual(Buffer.from(read.subject.der), Buffer.from(subject));
    assert.deepEqual(Buffer.from(read.publicKey.spki), Buffer.from(spki));
  });

  it('refuses what is no SEQUENCE', () => {
    const csr = Buffer.from(createCsr(ecKey('prime256v1')));
    csr[0] = 0x31;
    refused(() => parseCertificationRequest(csr), 'malformed', /no SEQUENCE/);
  });

  it('refuses what breaks the syntax or its limits', () => {
    const request = attribute(Oid.extensionRequest, encodeExtensions([keyUsageExtension([0])]));
    const wrong: [RegExp, Uint8Array[]][] = [
      [/not a character string/, [attribute(Oid.challengePassword, octetString(Buffer.from('a')))]],
      [/UTF-8/, [attribute(Oid.challengePassword, tlv(Tag.utf8String, Buffer.of(0xff)))]],
      [/more than one extensionRequest/, [request, request]],
      [/more than one extensionRequest/, [request, attribute(Oid.microsoftCertExtensions, encodeExtensions([keyUsageExtension([0])]))]],
      [/stands twice/, [attribute(Oid.extensionRequest, encodeExtensions([keyUsageExtension([0]), keyUsageExtension([5])]))]],
      [/not constructed/, [attribute(Oid.extensionRequest, derNull)]],
      [/attribute/, [sequence(objectIdentifier('1.2.3'))]],
      [/attribute/, [sequence(objectIdentifier('1.2.3'), setOf(), derNull)]],
      [/attribute/, [derNull]],
    ];
    for (const [message, attributes] of wrong) refused(() => parseCertificationRequest(csrWith(attributes)), 'malformed', message);
    const many = (count: number) => csrWith(Array.from({ length: count }, () => attribute('1.2.3', derNull)));
    assert.ok(parseCertificationRequest(many(certificationRequestLimits.attributesMax)));
    refused(() => parseCertificationRequest(many(certificationRequestLimits.attributesMax + 1)), 'malformed', /too many attributes/);
    const [info, algorithm, signature] = parseBer(csrWith([]))
      .elements('CSR')
      .map(part => part.bytes);
    assert.ok(info && algorithm && signature);
    const broken = [
      sequence(info, algorithm),
      sequence(info, signature),
      sequence(info, algorithm, signature, derNull),
      sequence(),
      derNull,
      Buffer.alloc(0),
    ];
    for (const csr of broken) refused(() => parseCertificationRequest(csr), 'malformed');
  });

  it('refuses to verify a signature with an algorithm that we do not implement', () => {
    const [info, , signature] = parseBer(csrWith([]))
      .elements('CSR')
      .map(part => part.bytes);
    assert.ok(info && signature);
    const md5 = parseCertificationRequest(sequence(info, sequence(objectIdentifier('1.2.840.113549.1.1.4'), derNull), signature));
    refused(() => verifyCertificationRequest(md5), 'unsupportedAlgorithm', /MD5 with RSA/);
  });
});

describe('createCertificationRequest', () => {
  it('makes what node-forge reads and verifies', () => {
    const read = forge.pki.certificationRequestFromAsn1(forgeAsn1(createCsr(rsaKey('client'), 'secret')));
    assert.ok(read.verify());
    assert.equal(read.subject.getField('CN').value, 'printer-7');
    assert.equal(read.getAttribute({ name: 'challengePassword' })?.value, 'secret');
    const names = read.getAttribute({ name: 'extensionRequest' })?.extensions?.map(({ name }) => name as string);
    assert.deepEqual(names, ['subjectAltName', 'keyUsage', 'extKeyUsage']);
  });

  it('makes what pkijs reads and verifies, with each kind of key', async () => {
    for (const key of [rsaKey('client'), ecKey('prime256v1'), ecKey('secp384r1'), ecKey('secp521r1')]) {
      const read = new pkijs.CertificationRequest({ schema: asn1Of(createCsr(key, 'secret')) });
      assert.ok(await read.verify());
      assert.deepEqual(read.attributes?.map(({ type }) => type).sort(), [Oid.extensionRequest, Oid.challengePassword].sort());
    }
  });

  it('gives back what it was built from', () => {
    const key = ecKey('prime256v1');
    const password = fc.option(fc.string({ unit: 'binary', maxLength: 60 }), { nil: undefined });
    fc.assert(
      fc.property(
        password,
        fc.uniqueArray(fc.nat(99), { maxLength: 4 }),
        fc.uint8Array({ maxLength: 50 }),
        (challengePassword, arcs, value) => {
          const extensions = arcs.map(arc => ({ oid: `1.2.${arc}`, critical: arc % 2 === 0, value: Buffer.from(value) }));
          const csr = createCertificationRequest(
            { subject, subjectPublicKeyInfo: publicKeyOf(key).spki, challengePassword, extensions },
            createSigner(key),
          );
          const read = parseCertificationRequest(csr);
          assert.equal(formatName(read.subject), 'CN=printer-7');
          assert.deepEqual(read.challengePasswords, challengePassword === undefined ? [] : [challengePassword]);
          assert.deepEqual(read.extensions, extensions);
          assert.ok(verifyCertificationRequest(read));
        },
      ),
      { seed, numRuns: 150 },
    );
  });
});

describe('withoutChallengePasswords', () => {
  const challenge = attribute(Oid.challengePassword, utf8String('a secret that is good again'));
  const other = attribute(Oid.extensionRequest, encodeExtensions([extKeyUsageExtension([Oid.clientAuth])]));

  it('leaves everything but the passwords as it was, in BER too', () => {
    for (const attributes of [
      [challenge, other],
      [other, challenge, challenge],
      [indefinite(0x30, challenge.subarray(2)), other],
    ]) {
      const csr = parseCertificationRequest(csrWith(attributes));
      const kept = parseCertificationRequest(withoutChallengePasswords(csr));
      assert.deepEqual(kept.challengePasswords, []);
      assert.ok(!Buffer.from(kept.der).includes('a secret'));
      for (const member of ['subject', 'extensions', 'nameValuePairs', 'signature'] as const) assert.deepEqual(kept[member], csr[member]);
      assert.ok(kept.publicKey.equals(csr.publicKey));
    }
  });

  it('leaves a request without attributes as it is', () => {
    for (const attributes of [undefined, []]) {
      assert.deepEqual(
        parseCertificationRequest(withoutChallengePasswords(parseCertificationRequest(csrWith(attributes)))).challengePasswords,
        [],
      );
    }
  });
});
