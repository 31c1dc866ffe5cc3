/** Shows, for every template of AWS's user guide, what a certificate made from it says, where each part came from, and what is refused. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as fc from 'fast-check';
import * as pkijs from 'pkijs';
import { createCaAndRa, ecKey, seed, validity } from '../../test/support/pki-fixtures.ts';
import { createSigner } from '../base/pki/algorithms.ts';
import { derNull, derTrue, sequence } from '../base/pki/der.ts';
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  type Extension,
  extKeyUsageExtension,
  findExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  parseBasicConstraints,
  parseKeyUsage,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from '../base/pki/extensions.ts';
import { parseNameString } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { type CertificationRequest, createCertificationRequest, parseCertificationRequest } from '../base/pki/pkcs10.ts';
import { authorityInfoAccessExtensions, crlDistributionPointsExtension } from '../base/pki/policy-extensions.ts';
import { publicKeyOf } from '../base/pki/public-key.ts';
import { createCertificate, parseCertificate } from '../base/pki/x509.ts';
import type { ApiPassthrough } from './api-passthrough.ts';
import { applyTemplate, TemplateError } from './certificate-templates.ts';

const { ca } = createCaAndRa(ecKey('secp384r1'));
const key = ecKey('prime256v1');
const { keyIdentifier } = publicKeyOf(key);
const issuer = { keyIdentifier: ca.certificate.publicKey.keyIdentifier };
const publishing = { ...issuer, crlDistributionPoint: 'http://authority/crl', ocspUrl: 'http://authority/ocsp' };
const foreignKey = Buffer.alloc(20, 7);

function csrWith(extensions: readonly Extension[] = [], subject = 'CN=csr'): CertificationRequest {
  const name = subject === '' ? sequence() : parseNameString(subject).der;
  const template = { subject: name, subjectPublicKeyInfo: publicKeyOf(key).spki, extensions };
  return parseCertificationRequest(createCertificationRequest(template, createSigner(key)));
}

const custom = (extension: Extension) => ({
  ObjectIdentifier: extension.oid,
  Value: Buffer.from(extension.value).toString('base64'),
  Critical: extension.critical,
});
const marked = (value: Uint8Array): Extension => ({ oid: '1.2.3.4', critical: false, value });
/** What every template keeps for itself, asked for all the same. */
const forged = [basicConstraintsExtension(true, 9), subjectKeyIdentifierExtension(foreignKey), authorityKeyIdentifierExtension(foreignKey)];

const fullCsr = csrWith([
  ...forged,
  subjectAltNameExtension([generalName.dns('csr')], false),
  keyUsageExtension([KeyUsage.keyAgreement]),
  extKeyUsageExtension([Oid.emailProtection]),
  crlDistributionPointsExtension('http://csr/crl'),
  ...authorityInfoAccessExtensions({ ocspUrl: 'http://csr/ocsp' }),
  marked(derNull),
]);
const fullApi: ApiPassthrough = {
  Subject: { CommonName: 'api' },
  Extensions: {
    SubjectAlternativeNames: [{ DnsName: 'api' }],
    KeyUsage: { NonRepudiation: true },
    ExtendedKeyUsage: [{ ExtendedKeyUsageType: 'TIME_STAMPING' }],
    CustomExtensions: [
      ...forged,
      crlDistributionPointsExtension('http://api/crl'),
      ...authorityInfoAccessExtensions({ ocspUrl: 'http://api/ocsp' }),
      marked(derTrue),
    ].map(custom),
  },
};

/** The certificate that the template makes, signed, and read by OpenSSL, by pkijs and by us. */
function issue(request: Parameters<typeof applyTemplate>[0]) {
  const { subject, extensions, isCa, pathLenConstraint } = applyTemplate(request);
  const { spki } = request.csr.publicKey;
  const names = { issuer: ca.certificate.subject.der, subject, subjectPublicKeyInfo: spki };
  const der = createCertificate({ serialNumber: '01', ...names, ...validity, extensions }, createSigner(ca.privateKey));
  return { opened: new X509Certificate(der), extensions: parseCertificate(der).extensions, isCa, pathLenConstraint };
}

/** What the certificate says, one line for each thing. */
function summary(request: Parameters<typeof applyTemplate>[0]) {
  const { opened, extensions, isCa, pathLenConstraint } = issue(request);
  const found = (oid: string) => findExtension(extensions, oid);
  const flag = (oid: string) => (found(oid)?.critical ? 'critical ' : '');
  const basicConstraints = found(Oid.basicConstraints);
  assert.ok(basicConstraints);
  const read = parseBasicConstraints(basicConstraints);
  const keyUsage = found(Oid.keyUsage);
  const bits = keyUsage === undefined ? undefined : [...parseKeyUsage(keyUsage)];
  // OpenSSL does not take for a CA what may sign no certificates.
  const mayCertify = bits?.includes(KeyUsage.keyCertSign) ?? true;
  assert.deepEqual([read.cA, read.pathLenConstraint, opened.ca], [isCa, pathLenConstraint, isCa && mayCertify]);
  const authority = found(Oid.authorityKeyIdentifier);
  return {
    subject: opened.subject,
    names: opened.subjectAltName,
    basicConstraints: `${flag(Oid.basicConstraints)}${read.cA ? `CA ${read.pathLenConstraint ?? 'any'}` : 'no CA'}`,
    keyUsage: `${flag(Oid.keyUsage)}${bits?.join(' ') ?? ''}`,
    extKeyUsage: `${flag(Oid.extKeyUsage)}${(opened.keyUsage ?? []).join(' ')}`,
    subjectKey: Buffer.from(found(Oid.subjectKeyIdentifier)?.value.subarray(2) ?? []).toString('hex'),
    authorityKey: authority === undefined ? undefined : Buffer.from(authority.value.subarray(4)).toString('hex'),
    crl: crlUrl(found(Oid.crlDistributionPoints)),
    infoAccess: opened.infoAccess,
    marked: Buffer.from(found('1.2.3.4')?.value ?? []).toString('hex'),
  };
}

function crlUrl(extension: Extension | undefined): unknown {
  if (extension === undefined) return undefined;
  const { distributionPoints } = new pkijs.CRLDistributionPoints({ schema: asn1js.fromBER(extension.value).result });
  const names = distributionPoints[0]?.distributionPoint;
  return Array.isArray(names) ? names[0]?.value : undefined;
}

const [tls, signing, certification] = ['critical 0 2', 'critical 0', 'critical 0 5 6'];
const purposes = {
  server: Oid.serverAuth,
  client: Oid.clientAuth,
  code: `critical ${Oid.codeSigning}`,
  ocsp: `critical ${Oid.ocspSigning}`,
};
const all = ['', '_CSRPassthrough', '_APIPassthrough', '_APICSRPassthrough'];
const [apiOnly, baseAndApi, blank] = [['_APIPassthrough'], ['', '_APIPassthrough'], all.slice(1)];

/** AWS's table: name, varieties, basicConstraints, then keyUsage and extKeyUsage where the template fixes them. */
const table: [name: string, varieties: string[], basicConstraints: string, keyUsage?: string, extKeyUsage?: string][] = [
  ['EndEntityCertificate', all, 'no CA', tls, `${purposes.server} ${purposes.client}`],
  ['EndEntityClientAuthCertificate', all, 'no CA', tls, purposes.client],
  ['EndEntityServerAuthCertificate', all, 'no CA', tls, purposes.server],
  ['CodeSigningCertificate', all, 'no CA', signing, purposes.code],
  ['OCSPSigningCertificate', all, 'no CA', signing, purposes.ocsp],
  ['BlankEndEntityCertificate', blank, 'no CA'],
  ['BlankEndEntityCertificate_CriticalBasicConstraints', blank, 'critical no CA'],
  ['RootCACertificate', baseAndApi, 'critical CA any', certification],
  ['BlankRootCACertificate', apiOnly, 'critical CA any'],
  ['BlankRootCACertificate_PathLen0', apiOnly, 'critical CA 0'],
  ['BlankRootCACertificate_PathLen1', apiOnly, 'critical CA 1'],
  ['BlankRootCACertificate_PathLen2', apiOnly, 'critical CA 2'],
  ['BlankRootCACertificate_PathLen3', apiOnly, 'critical CA 3'],
  ['SubordinateCACertificate_PathLen0', all, 'critical CA 0', certification],
  ['SubordinateCACertificate_PathLen1', all, 'critical CA 1', certification],
  ['SubordinateCACertificate_PathLen2', all, 'critical CA 2', certification],
  ['SubordinateCACertificate_PathLen3', all, 'critical CA 3', certification],
  ['BlankSubordinateCACertificate_PathLen0', blank, 'critical CA 0'],
  ['BlankSubordinateCACertificate_PathLen1', blank, 'critical CA 1'],
  ['BlankSubordinateCACertificate_PathLen2', blank, 'critical CA 2'],
  ['BlankSubordinateCACertificate_PathLen3', blank, 'critical CA 3'],
];
const rows = table.flatMap(([name, varieties, basicConstraints, keyUsage, extKeyUsage]) =>
  varieties.map(variety => ({
    arn: `arn:aws:acm-pca:::template/${name}${variety}/V1`,
    isRoot: name.includes('Root'),
    /** Where the definition lets the API's cRLDistributionPoints in. */
    apiCrl: name.startsWith('BlankRoot') || name.includes('Critical'),
    takesApi: variety.startsWith('_API'),
    takesCsr: variety.endsWith('CSRPassthrough'),
    basicConstraints,
    keyUsage,
    extKeyUsage,
  })),
);

describe('every template', () => {
  for (const row of rows) {
    const { arn, isRoot, apiCrl, takesApi, takesCsr, basicConstraints } = row;
    const passed = <T>(api: T, csr: T): T | undefined => (takesApi ? api : takesCsr ? csr : undefined);
    const authorityKey = Buffer.from(issuer.keyIdentifier).toString('hex');
    /** What does not depend on what the authority publishes. */
    const expected = {
      subject: takesApi ? 'CN=api' : 'CN=csr',
      names: takesApi ? 'DNS:api' : 'DNS:csr',
      basicConstraints,
      keyUsage: row.keyUsage ?? passed('critical 1', 'critical 4') ?? '',
      // The root that fixes its keyUsage says nothing of purposes, so they pass through like any extension.
      extKeyUsage: row.extKeyUsage ?? passed(Oid.timeStamping, Oid.emailProtection) ?? '',
      subjectKey: Buffer.from(keyIdentifier).toString('hex'),
      authorityKey: isRoot ? passed(foreignKey.toString('hex'), undefined) : authorityKey,
      marked: passed('0101ff', '0500') ?? '',
    };

    it(`${arn.slice(27)} says what its definition says, whatever else is asked for`, () => {
      const request = { templateArn: arn, csr: fullCsr, apiPassthrough: fullApi };
      assert.deepEqual(summary({ ...request, issuer }), {
        ...expected,
        crl: takesApi && apiCrl ? 'http://api/crl' : takesCsr ? 'http://csr/crl' : undefined,
        infoAccess: passed('OCSP - URI:http://api/ocsp', 'OCSP - URI:http://csr/ocsp'),
      });
      assert.deepEqual(summary({ ...request, issuer: publishing }), {
        ...expected,
        crl: isRoot ? passed(apiCrl ? 'http://api/crl' : undefined, undefined) : 'http://authority/crl',
        infoAccess: isRoot ? passed('OCSP - URI:http://api/ocsp', undefined) : 'OCSP - URI:http://authority/ocsp',
      });
    });
  }

  it('is one of the 61 that AWS lists', () => {
    assert.equal(new Set(rows.map(({ arn }) => arn)).size, 61);
  });
});

const text = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom('a', '', 'a.example'));
const oid = fc.oneof(text, fc.constantFrom('1.2.3', '2.5.29.15', '2.5.29.17', '2.5.29.19', '2.5.29.31', '2.5.4.3', '2.999'));
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { minLength: 1, maxLength: 3 });
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { requiredKeys: [] });
const attributes = some(fc.record({ ObjectIdentifier: oid, Value: text }));
const arbitrarySubject = record({ CommonName: text, Country: text, SerialNumber: text, Surname: text, CustomAttributes: attributes });
const base64 = fc.oneof(
  text,
  fc.uint8Array({ maxLength: 12 }).map(octets => Buffer.from(octets).toString('base64')),
  fc.constantFrom('BQA=', 'AwIHgA=='),
);
const generalNames = fc.oneof(
  record({ DnsName: text, IpAddress: text, RegisteredId: oid, DirectoryName: arbitrarySubject }),
  fc.record({ OtherName: fc.record({ TypeId: oid, Value: text }) }),
  fc.record({ EdiPartyName: fc.record({ PartyName: text }) }),
  fc.oneof(fc.ipV4(), fc.ipV6()).map(IpAddress => ({ IpAddress })),
  fc.domain().map(DnsName => ({ DnsName })),
);
const arbitraryExtensions = record({
  KeyUsage: record({ DigitalSignature: fc.boolean(), KeyCertSign: fc.boolean(), DecipherOnly: fc.boolean() }),
  ExtendedKeyUsage: some(
    fc.oneof(fc.record({ ExtendedKeyUsageObjectIdentifier: oid }), fc.constant({ ExtendedKeyUsageType: 'CLIENT_AUTH' as const })),
  ),
  CertificatePolicies: some(fc.record({ CertPolicyId: oid })),
  SubjectAlternativeNames: some(generalNames),
  CustomExtensions: some(fc.record({ ObjectIdentifier: oid, Value: base64, Critical: fc.boolean() })),
});

describe('applyTemplate', () => {
  const blankApiCsr = 'arn:aws:acm-pca:::template/BlankEndEntityCertificate_APICSRPassthrough/V1';
  const refused = (request: Partial<Parameters<typeof applyTemplate>[0]>, reason: TemplateError['reason'], message: RegExp) => {
    assert.throws(
      () => applyTemplate({ templateArn: blankApiCsr, csr: csrWith(), issuer, ...request }),
      (error: unknown) => {
        assert.ok(error instanceof TemplateError, String(error));
        assert.equal(error.reason, reason);
        assert.match(error.message, message);
        return true;
      },
    );
  };

  it('takes EndEntityCertificate when no template is named', () => {
    const templateArn = 'arn:aws:acm-pca:::template/EndEntityCertificate/V1';
    assert.deepEqual(applyTemplate({ csr: fullCsr, issuer }), applyTemplate({ templateArn, csr: fullCsr, issuer }));
  });

  it('makes a bare certificate of a bare CSR', () => {
    const { extensions } = issue({ templateArn: blankApiCsr, csr: csrWith(), issuer });
    assert.deepEqual(
      extensions.map(({ oid }) => oid),
      [Oid.basicConstraints, Oid.subjectKeyIdentifier, Oid.authorityKeyIdentifier],
    );
  });

  it('prefers the API to the CSR, extension by extension', () => {
    const apiPassthrough = { Extensions: { KeyUsage: { NonRepudiation: true } } };
    const read = summary({ templateArn: blankApiCsr, csr: fullCsr, apiPassthrough, issuer });
    assert.deepEqual([read.subject, read.keyUsage, read.extKeyUsage], ['CN=csr', 'critical 1', Oid.emailProtection]);
  });

  it('says where the issuer’s certificate is', () => {
    const csr = csrWith();
    const { opened } = issue({ csr, issuer: { ...issuer, caIssuersUrl: 'http://authority/ca.cer' } });
    assert.equal(opened.infoAccess, 'CA Issuers - URI:http://authority/ca.cer');
  });

  it('ignores an ApiPassthrough that the template does not take, as AWS documents it', () => {
    const apiPassthrough = { Subject: {}, Extensions: { KeyUsage: {} } };
    assert.deepEqual(applyTemplate({ csr: fullCsr, issuer, apiPassthrough }), applyTemplate({ csr: fullCsr, issuer }));
  });

  it('makes subjectAltName critical when there is no subject, and only then', () => {
    const names = [subjectAltNameExtension([generalName.dns('a')], false)];
    const isCritical = (csr: CertificationRequest) =>
      findExtension(applyTemplate({ csr, issuer }).extensions, Oid.subjectAltName)?.critical;
    assert.equal(isCritical(csrWith(names, '')), true);
    assert.equal(isCritical(csrWith(names)), false);
  });

  it('needs a subject or a subject alternative name, from the CSR or the API', () => {
    const csr = csrWith([], '');
    refused({ csr }, 'malformedCsr', /neither a subject nor a subject alternative name/);
    refused({ csr: csrWith([subjectAltNameExtension([], false)], '') }, 'malformedCsr', /holds nothing/);
    assert.equal(summary({ templateArn: blankApiCsr, csr, issuer, apiPassthrough: { Subject: { CommonName: 'a' } } }).subject, 'CN=a');
    const apiPassthrough = { Extensions: { SubjectAlternativeNames: [{ DnsName: 'a' }] } };
    assert.equal(summary({ templateArn: blankApiCsr, csr, issuer, apiPassthrough }).names, 'DNS:a');
  });

  it('needs a subject for an authority', () => {
    const csr = csrWith([subjectAltNameExtension([generalName.dns('a')], false)], '');
    refused({ csr, templateArn: 'arn:aws:acm-pca:::template/SubordinateCACertificate_PathLen0/V1' }, 'malformedCsr', /needs a subject/);
  });

  it('refuses what cannot be read, and says whose it is', () => {
    const broken = { oid: '1.2.3.4', critical: false, value: Buffer.from('0502', 'hex') };
    refused({ csr: csrWith([broken]) }, 'malformedCsr', /^The CSR cannot be used: /);
    refused({ apiPassthrough: { Extensions: { CustomExtensions: [custom(broken)] } } }, 'invalidArgs', /^ApiPassthrough cannot be used: /);
    refused({ apiPassthrough: { Subject: {} } }, 'invalidArgs', /at least one attribute/);
  });

  it('does not read what a template drops', () => {
    const broken = [Oid.basicConstraints, Oid.keyUsage, '1.2.3.4'].map(oid => ({ oid, critical: true, value: Buffer.of(5) }));
    assert.equal(summary({ csr: csrWith(broken), issuer }).subject, 'CN=csr');
  });

  it('refuses a template that does not exist and names those near it', () => {
    const server = 'arn:aws:acm-pca:::template/EndEntityServerAuthCertificate';
    refused({ templateArn: `${server}/V2` }, 'invalidTemplate', /Near it are .*EndEntityServerAuthCertificate_CSRPassthrough\/V1/);
    refused({ templateArn: `${server}_ApiPassthrough/V1` }, 'invalidTemplate', /EndEntityServerAuthCertificate_APIPassthrough\/V1/);
    const templateArn = 'arn:aws:acm-pca:::template/SubordinateCACertificate_PathLen4/V1';
    refused({ templateArn }, 'invalidTemplate', /SubordinateCACertificate_PathLen3\/V1/);
    // Another partition's ARN would pass by a policy's condition on acm-pca:TemplateArn.
    refused({ templateArn: 'arn:aws-cn:acm-pca:::template/EndEntityCertificate/V1' }, 'invalidTemplate', /Near it/);
    for (const arn of ['', 'x', 'arn:aws:acm-pca:::template/', 'arn:aws:acm-pca:::template/Unheard/V1']) {
      refused({ templateArn: arn }, 'invalidTemplate', /Write arn:aws:acm-pca:::template\/NAME\/V1/);
    }
  });

  it('answers any ApiPassthrough with a certificate that can be read or with a TemplateError', () => {
    const outcomes = { issued: 0, refused: 0 };
    fc.assert(
      fc.property(
        fc.constantFrom(...rows),
        optional(arbitrarySubject),
        optional(arbitraryExtensions),
        fc.constantFrom(fullCsr, csrWith(), csrWith([], '')),
        ({ arn, basicConstraints }, asked, askedExtensions, csr) => {
          const apiPassthrough = {
            ...(asked === undefined ? {} : { Subject: asked }),
            ...(askedExtensions === undefined ? {} : { Extensions: askedExtensions }),
          };
          try {
            const { extensions: read, isCa } = issue({ templateArn: arn, csr, apiPassthrough, issuer: publishing });
            assert.equal(new Set(read.map(extension => extension.oid)).size, read.length);
            assert.equal(isCa, basicConstraints.includes(' CA '));
            outcomes.issued += 1;
          } catch (error) {
            if (!(error instanceof TemplateError)) throw error;
            outcomes.refused += 1;
          }
        },
      ),
      { seed, numRuns: 1000 },
    );
    assert.ok(outcomes.issued > 100 && outcomes.refused > 100, JSON.stringify(outcomes));
  });
});
