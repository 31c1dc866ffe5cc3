/** Shows what each member of ApiPassthrough becomes in a certificate, as others read it, and what is refused. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { refused } from '../../test/support/pki-error-check.ts';
import { createIdentity, ecKey } from '../../test/support/pki-fixtures.ts';
import {
  type Extension,
  extKeyUsageExtension,
  KeyUsage,
  keyUsageExtension,
  parseExtKeyUsage,
  parseKeyUsage,
  parseSubjectAltName,
} from '../base/pki/extensions.ts';
import { formatName } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { certificatePoliciesExtension } from '../base/pki/policy-extensions.ts';
import { type ASN1Subject, type Extensions, extensionsOf, passthroughLimits, subjectOf } from './api-passthrough.ts';

function only(extensions: Extensions): Extension {
  const all = extensionsOf(extensions);
  assert.equal(all.length, 1);
  const [extension] = all;
  assert.ok(extension);
  return extension;
}

const nameOf = (name: NonNullable<Extensions['SubjectAlternativeNames']>[number]) => only({ SubjectAlternativeNames: [name] });
const base64 = (extension: Extension) => Buffer.from(extension.value).toString('base64');

describe('subjectOf', () => {
  it('has every member of AWS, in AWS’s order', () => {
    const subject = subjectOf({
      GenerationQualifier: 'Jr.',
      Pseudonym: 'ps',
      Initials: 'in',
      GivenName: 'gn',
      Surname: 'sn',
      Title: 'ti',
      Locality: 'lo',
      SerialNumber: 'se',
      CommonName: 'cn',
      State: 'st',
      DistinguishedNameQualifier: 'dn',
      OrganizationalUnit: 'ou',
      Organization: 'or',
      Country: 'CH',
    });
    assert.equal(
      formatName(subject),
      'generationQualifier=Jr.,pseudonym=ps,initials=in,GN=gn,SN=sn,title=ti,L=lo,serialNumber=se,CN=cn,ST=st,dnQualifier=dn,OU=ou,O=or,C=CH',
    );
  });

  it('has custom attributes in the order in which they are given', () => {
    const CustomAttributes = [
      { ObjectIdentifier: '1.3.6.1.4.1.37244.2.1', Value: 'FFF1' },
      { ObjectIdentifier: '2.5.4.3', Value: 'Zürich' },
    ];
    assert.equal(formatName(subjectOf({ CustomAttributes })), 'CN=Zürich,1.3.6.1.4.1.37244.2.1=FFF1');
  });

  it('takes an empty member for one that was left out', () => {
    assert.equal(formatName(subjectOf({ CommonName: 'a', Organization: '', CustomAttributes: [] })), 'CN=a');
  });

  it('refuses custom attributes beside standard ones, as AWS does', () => {
    const CustomAttributes = [{ ObjectIdentifier: '2.5.4.3', Value: 'a' }];
    refused(() => subjectOf({ CommonName: 'a', CustomAttributes }), 'malformed', /cannot be used in combination/);
  });

  it('refuses what is no subject', () => {
    const longest = 'a'.repeat(passthroughLimits.textCharactersMax);
    assert.equal(formatName(subjectOf({ CommonName: longest })), `CN=${longest}`);
    const subjects: ASN1Subject[] = [
      {},
      { CommonName: '' },
      { CommonName: 'bank.example\0.evil.example' },
      { CommonName: `${longest}a` },
      { Country: 'Ü' },
      { SerialNumber: 'a_b' },
      { CustomAttributes: [{ ObjectIdentifier: '1.99.1', Value: 'a' }] },
      { CustomAttributes: [{ ObjectIdentifier: '1.2.03', Value: 'a' }] },
      { CustomAttributes: [{ ObjectIdentifier: '1.2.3', Value: '' }] },
    ];
    for (const subject of subjects) refused(() => subjectOf(subject), 'malformed');
  });
});

describe('KeyUsage', () => {
  it('has a bit for each flag', () => {
    const bits = (flags: NonNullable<Extensions['KeyUsage']>) => [...parseKeyUsage(only({ KeyUsage: flags }))];
    assert.deepEqual(bits({ DigitalSignature: true, CRLSign: false }), [KeyUsage.digitalSignature]);
    assert.deepEqual(bits({ NonRepudiation: true, KeyEncipherment: true }), [KeyUsage.nonRepudiation, KeyUsage.keyEncipherment]);
    assert.deepEqual(bits({ DataEncipherment: true, KeyAgreement: true }), [KeyUsage.dataEncipherment, KeyUsage.keyAgreement]);
    assert.deepEqual(bits({ KeyCertSign: true, CRLSign: true }), [KeyUsage.keyCertSign, KeyUsage.cRLSign]);
    assert.deepEqual(bits({ EncipherOnly: true, DecipherOnly: true }), [KeyUsage.encipherOnly, KeyUsage.decipherOnly]);
    assert.ok(only({ KeyUsage: { DigitalSignature: true } }).critical);
  });

  it('is refused without a flag that is set', () => {
    refused(() => extensionsOf({ KeyUsage: {} }), 'malformed', /keyUsage/);
    refused(() => extensionsOf({ KeyUsage: { CRLSign: false } }), 'malformed', /keyUsage/);
  });
});

describe('ExtendedKeyUsage', () => {
  it('has the purposes that AWS has names for, and any other', () => {
    const ExtendedKeyUsage: Extensions['ExtendedKeyUsage'] = [
      { ExtendedKeyUsageType: 'SERVER_AUTH' },
      { ExtendedKeyUsageType: 'CLIENT_AUTH' },
      { ExtendedKeyUsageType: 'CODE_SIGNING' },
      { ExtendedKeyUsageType: 'EMAIL_PROTECTION' },
      { ExtendedKeyUsageType: 'TIME_STAMPING' },
      { ExtendedKeyUsageType: 'OCSP_SIGNING' },
      { ExtendedKeyUsageType: 'SMART_CARD_LOGIN' },
      { ExtendedKeyUsageType: 'DOCUMENT_SIGNING' },
      { ExtendedKeyUsageType: 'CERTIFICATE_TRANSPARENCY' },
      { ExtendedKeyUsageObjectIdentifier: '1.2.3.4' },
    ];
    const extension = only({ ExtendedKeyUsage });
    const expected = [1, 2, 3, 4, 8, 9].map(number => `1.3.6.1.5.5.7.3.${number}`);
    assert.deepEqual(parseExtKeyUsage(extension), [
      ...expected,
      '1.3.6.1.4.1.311.20.2.2',
      '1.3.6.1.4.1.311.10.3.12',
      '1.3.6.1.4.1.11129.2.4.4',
      '1.2.3.4',
    ]);
    assert.equal(extension.critical, false);
  });

  it('is refused with neither or both members, and with what is no OID', () => {
    refused(() => extensionsOf({ ExtendedKeyUsage: [{}] }), 'malformed', /exactly one/);
    const both = { ExtendedKeyUsageType: 'CLIENT_AUTH', ExtendedKeyUsageObjectIdentifier: '1.2.3' } as const;
    refused(() => extensionsOf({ ExtendedKeyUsage: [both] }), 'malformed', /exactly one/);
    refused(() => extensionsOf({ ExtendedKeyUsage: [{ ExtendedKeyUsageObjectIdentifier: 'x' }] }), 'malformed', /no object identifier/);
  });
});

describe('SubjectAlternativeNames', () => {
  it('are read by OpenSSL as they were meant', () => {
    const extension = only({
      SubjectAlternativeNames: [
        { DnsName: '*.example.com' },
        { Rfc822Name: 'a@example.com' },
        { UniformResourceIdentifier: 'https://example.com/a' },
        { IpAddress: '192.0.2.7' },
        { IpAddress: '2001:db8::7' },
        { DirectoryName: { CommonName: 'a', Organization: 'b' } },
        { RegisteredId: '1.2.3.4' },
      ],
    });
    const { certificate } = createIdentity({ key: ecKey('prime256v1'), extensions: [extension] });
    assert.equal(
      new X509Certificate(certificate.der).subjectAltName,
      'DNS:*.example.com, email:a@example.com, URI:https://example.com/a, IP Address:192.0.2.7, ' +
        'IP Address:2001:DB8:0:0:0:0:0:7, DirName:"CN=a\\u002cO=b", Registered ID:1.2.3.4',
    );
  });

  it('may be an otherName or an ediPartyName', () => {
    const upn = parseSubjectAltName(nameOf({ OtherName: { TypeId: Oid.userPrincipalName, Value: 'ü@example.com' } }));
    assert.deepEqual([upn[0]?.type, upn[0]?.value], ['otherName', 'ü@example.com']);
    const [edi] = parseSubjectAltName(nameOf({ EdiPartyName: { PartyName: 'p', NameAssigner: 'n' } }));
    assert.deepEqual([edi?.type, edi?.value], ['ediPartyName', 'a50aa0030c016ea1030c0170']);
    const [party] = parseSubjectAltName(nameOf({ EdiPartyName: { PartyName: 'p' } }));
    assert.equal(party?.value, 'a505a1030c0170');
  });

  it('have exactly one member each', () => {
    refused(() => nameOf({}), 'malformed', /exactly one member, not 0/);
    refused(() => nameOf({ DnsName: 'a', IpAddress: '192.0.2.7' }), 'malformed', /exactly one member, not 2/);
  });

  it('are refused with characters that their strings cannot hold, and when they are not what they are called', () => {
    for (const text of [
      '',
      'münchen.example',
      'bank.example\0.evil.example',
      'a\nb',
      'a'.repeat(passthroughLimits.textCharactersMax + 1),
    ]) {
      refused(() => nameOf({ DnsName: text }), 'malformed', /DnsName/);
      refused(() => nameOf({ Rfc822Name: text }), 'malformed', /Rfc822Name/);
      refused(() => nameOf({ UniformResourceIdentifier: text }), 'malformed', /UniformResourceIdentifier/);
    }
    refused(() => nameOf({ IpAddress: '192.0.2.256' }), 'malformed');
    refused(() => nameOf({ RegisteredId: '3.1' }), 'malformed');
    refused(() => nameOf({ DirectoryName: {} }), 'malformed');
    refused(() => nameOf({ OtherName: { TypeId: '1.2.3', Value: 'a\0b' } }), 'malformed');
    refused(() => nameOf({ EdiPartyName: { PartyName: '' } }), 'malformed');
  });
});

describe('CertificatePolicies', () => {
  it('has policies and their practice statements', () => {
    const extension = only({
      CertificatePolicies: [
        { CertPolicyId: '1.2.3.4', PolicyQualifiers: [{ PolicyQualifierId: 'CPS', Qualifier: { CpsUri: 'http://example.com/cps' } }] },
        { CertPolicyId: '2.5.29.32.0' },
      ],
    });
    const expected = [
      { oid: '1.2.3.4', cpsUris: ['http://example.com/cps'] },
      { oid: '2.5.29.32.0', cpsUris: [] },
    ];
    assert.deepEqual(extension, certificatePoliciesExtension(expected));
  });

  it('is refused with what is no OID or no URI', () => {
    refused(() => extensionsOf({ CertificatePolicies: [{ CertPolicyId: '1' }] }), 'malformed', /CertPolicyId/);
    const PolicyQualifiers = [{ PolicyQualifierId: 'CPS' as const, Qualifier: { CpsUri: 'ü' } }];
    refused(() => extensionsOf({ CertificatePolicies: [{ CertPolicyId: '1.2', PolicyQualifiers }] }), 'malformed', /CpsUri/);
  });
});

describe('CustomExtensions', () => {
  it('may be of any type, also of one that has a member, since that member has no critical flag', () => {
    const bits = keyUsageExtension([KeyUsage.digitalSignature]);
    const purposes = extKeyUsageExtension([Oid.clientAuth], true);
    const all = extensionsOf({
      CustomExtensions: [
        { ObjectIdentifier: Oid.keyUsage, Value: base64(bits), Critical: true },
        { ObjectIdentifier: Oid.extKeyUsage, Value: base64(purposes), Critical: true },
        { ObjectIdentifier: '1.2.3.4', Value: 'BQA=' },
      ],
    });
    assert.deepEqual(all.slice(0, 2), [bits, purposes]);
    assert.deepEqual([all[2]?.oid, all[2]?.critical, Buffer.from(all[2]?.value ?? []).toString('hex')], ['1.2.3.4', false, '0500']);
  });

  it('are refused where the value is not Base64 or not well-formed', () => {
    const custom = (Value: string, ObjectIdentifier = '1.2.3.4') => extensionsOf({ CustomExtensions: [{ ObjectIdentifier, Value }] });
    for (const value of ['BQA', 'BQB=', 'BQA=\n', '*']) refused(() => custom(value), 'malformed', /not Base64/);
    for (const value of ['', 'BQ==', 'BQAA', 'MAUC']) refused(() => custom(value), 'malformed');
    refused(() => custom('BQA=', Oid.keyUsage), 'malformed', /keyUsage/);
    refused(() => custom('BQA=', '1.2.'), 'malformed', /no object identifier/);
  });

  it('are refused where the same extension is given twice', () => {
    const custom = { ObjectIdentifier: '1.2.3.4', Value: 'BQA=' };
    refused(() => extensionsOf({ CustomExtensions: [custom, custom] }), 'malformed', /1\.2\.3\.4 is given twice/);
    const usage = { ObjectIdentifier: Oid.keyUsage, Value: 'AwIHgA==' };
    refused(() => extensionsOf({ KeyUsage: { DigitalSignature: true }, CustomExtensions: [usage] }), 'malformed', /given twice/);
  });
});
