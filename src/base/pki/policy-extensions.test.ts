/** Shows that pkijs and OpenSSL read what an authority says of its policies, its CRL and its responder. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { createIdentity, ecKey } from '../../../test/support/pki-fixtures.ts';
import type { Extension } from './extensions.ts';
import { Oid } from './oids.ts';
import { authorityInfoAccessExtensions, certificatePoliciesExtension, crlDistributionPointsExtension } from './policy-extensions.ts';

const pkijsRead = ({ value }: Extension) => asn1js.fromBER(value).result;

describe('certificatePolicies', () => {
  it('has the policies with their practice statements', () => {
    const extension = certificatePoliciesExtension([
      { oid: '1.2.3.4', cpsUris: ['http://example.com/cps', 'http://example.org/cps'] },
      { oid: '2.5.29.32.0', cpsUris: [] },
    ]);
    const { certificatePolicies } = new pkijs.CertificatePolicies({ schema: pkijsRead(extension) });
    assert.deepEqual(
      certificatePolicies.map(({ policyIdentifier, policyQualifiers }) => [
        policyIdentifier,
        policyQualifiers?.map(({ policyQualifierId, qualifier }) => {
          assert.ok(qualifier instanceof asn1js.IA5String);
          return [policyQualifierId, qualifier.getValue()];
        }),
      ]),
      [
        [
          '1.2.3.4',
          [
            ['1.3.6.1.5.5.7.2.1', 'http://example.com/cps'],
            ['1.3.6.1.5.5.7.2.1', 'http://example.org/cps'],
          ],
        ],
        ['2.5.29.32.0', undefined],
      ],
    );
    assert.deepEqual([extension.oid, extension.critical], ['2.5.29.32', false]);
  });
});

describe('cRLDistributionPoints', () => {
  it('has one point with one URL', () => {
    const extension = crlDistributionPointsExtension('http://example.com/a.crl');
    const { distributionPoints } = new pkijs.CRLDistributionPoints({ schema: pkijsRead(extension) });
    assert.equal(distributionPoints.length, 1);
    const names = distributionPoints[0]?.distributionPoint;
    assert.ok(Array.isArray(names));
    assert.deepEqual(
      names.map(({ type, value }) => [type, value]),
      [[6, 'http://example.com/a.crl']],
    );
    assert.deepEqual([extension.oid, extension.critical], ['2.5.29.31', false]);
  });
});

describe('authorityInfoAccess', () => {
  it('has the responder and the issuer’s certificate', () => {
    const extensions = authorityInfoAccessExtensions({ ocspUrl: 'http://example.com/ocsp', caIssuersUrl: 'http://example.com/ca.cer' });
    const { certificate } = createIdentity({ key: ecKey('prime256v1'), extensions });
    assert.equal(
      new X509Certificate(certificate.der).infoAccess,
      'OCSP - URI:http://example.com/ocsp\nCA Issuers - URI:http://example.com/ca.cer',
    );
    assert.equal(extensions[0]?.oid, Oid.authorityInfoAccess);
  });

  it('is left out when there is neither', () => {
    assert.deepEqual(authorityInfoAccessExtensions({}), []);
  });
});
