/** What an enrolment policy must hold beyond the form of its members. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createIdentity, rsaKey } from '../../test/support/pki-fixtures.ts';
import { defaultEnrolmentPolicy, type EnrolmentPolicy } from '../base/enrolment-policy.ts';
import { basicConstraintsExtension } from '../base/pki/extensions.ts';
import { encodePem } from '../base/pki/pem.ts';
import { checkEnrolmentPolicy } from './enrolment-policy-check.ts';
import { addValidity } from './validity.ts';

/** The paths of the violations of the default policy with these members. */
function violations(change: Partial<EnrolmentPolicy>): string[] {
  try {
    checkEnrolmentPolicy({ ...defaultEnrolmentPolicy, ...change });
    return [];
  } catch (error) {
    assert.ok(error instanceof Error && error.name === 'ValidationException');
    const paths = [...error.message.matchAll(/Value at 'enrolmentPolicy\.([^']+)' failed to satisfy constraint: Member must /g)];
    assert.match(error.message, paths.length === 1 ? /^1 validation error detected: / : /^\d+ validation errors detected: /);
    return paths.map(([, path]) => path ?? '');
  }
}

const names = defaultEnrolmentPolicy.SubjectAlternativeNames;

describe('checkEnrolmentPolicy', () => {
  it('takes the default policy', () => {
    assert.deepEqual(violations({}), []);
  });

  it('names each pattern, type and purpose that cannot be read', () => {
    assert.deepEqual(violations({ Subject: { Allowed: ['*', 'CN', 'X=*'], Required: ['CN', 'nope'] } }), [
      'subject.allowed.2.member',
      'subject.allowed.3.member',
      'subject.required.2.member',
    ]);
    assert.deepEqual(violations({ SubjectAlternativeNames: { ...names, Allowed: ['*', 'DNS:*'], Required: ['dns', 'otherName'] } }), [
      'subjectAlternativeNames.allowed.1.member',
      'subjectAlternativeNames.required.2.member',
    ]);
    const never = ['anyExtendedKeyUsage', '2.5.29.37.0', '1.3.6.1.5.5.7.3.9', '1.2.', ''];
    const paths = never.map((_, index) => `extendedKeyUsages.${index + 2}.member`);
    assert.deepEqual(violations({ ExtendedKeyUsages: ['CodeSigning', ...never, '1.3.6.1.4.1.311.20.2.2'] }), paths);
  });

  it('refuses to require what it does not allow, which would refuse every request', () => {
    assert.deepEqual(violations({ Subject: { Allowed: ['CN=*', 'O=Example'], Required: ['O', 'cn', '2.5.4.10'] } }), []);
    assert.deepEqual(violations({ Subject: { Allowed: ['CN=*'], Required: ['CN', 'O'] } }), ['subject.required.2.member']);
    assert.deepEqual(violations({ SubjectAlternativeNames: { Allowed: ['IP:*'], Required: ['DNS'], Max: 9 } }), [
      'subjectAlternativeNames.required.1.member',
    ]);
    assert.deepEqual(violations({ SubjectAlternativeNames: { ...names, Required: ['DNS', 'dns', 'IP'], Max: 2 } }), []);
    assert.deepEqual(violations({ SubjectAlternativeNames: { ...names, Required: ['DNS', 'IP'], Max: 1 } }), [
      'subjectAlternativeNames.max',
    ]);
  });

  it('refuses ranges that hold nothing', () => {
    const { Curves } = defaultEnrolmentPolicy.Keys;
    assert.deepEqual(violations({ Keys: { RsaBitsMin: 3072, RsaBitsMax: 3072, Curves } }), []);
    assert.deepEqual(violations({ Keys: { RsaBitsMin: 3073, RsaBitsMax: 3072, Curves } }), ['keys.rsaBitsMin']);
    const maximum = (Value: number, Type: 'DAYS' | 'MONTHS') =>
      ({ Validity: { Default: { Value: 1, Type: 'YEARS' }, Maximum: { Value, Type }, BackdateMinutes: 60 } }) as const;
    assert.deepEqual(violations(maximum(365, 'DAYS')), []);
    assert.deepEqual(violations(maximum(12, 'MONTHS')), []);
    assert.deepEqual(violations(maximum(364, 'DAYS')), ['validity.default']);
  });

  it('refuses one certificate in the place of two', () => {
    assert.deepEqual(violations({ GetCaCert: 'RA_CERTIFICATE' }), []);
    assert.deepEqual(violations({ RaCertificates: 'TWO' }), []);
    assert.deepEqual(violations({ GetCaCert: 'RA_CERTIFICATE', RaCertificates: 'TWO' }), ['getCaCert']);
  });
});

describe('NextCaCertificate', () => {
  const extensions = [basicConstraintsExtension(true)];
  const root = createIdentity({ subject: 'CN=Next root', key: rsaKey('root'), extensions });
  const sub = createIdentity({ subject: 'CN=Next CA', key: rsaKey('sub'), issuer: root, extensions });
  const device = createIdentity({ subject: 'CN=device', key: rsaKey('device'), issuer: root });
  const pem = (...identities: (typeof root)[]) => identities.map(({ certificate }) => encodePem('CERTIFICATE', certificate.der)).join('');

  it('is CA certificates, each before its issuer’s', () => {
    for (const NextCaCertificate of [pem(root), pem(sub), pem(sub, root), `the next one:\n${pem(sub)}\n\n${pem(root)}`]) {
      assert.deepEqual(violations({ NextCaCertificate }), []);
    }
    for (const NextCaCertificate of ['', 'text', pem(device), pem(device, root), pem(root, sub), pem(sub, root).replace('MII', 'MIJ')]) {
      assert.deepEqual(violations({ NextCaCertificate }), ['nextCaCertificate'], NextCaCertificate.slice(0, 80));
    }
  });

  it('is nothing else, a private key above all', () => {
    const key = rsaKey('sub').export({ type: 'pkcs8', format: 'pem' }).toString();
    for (const NextCaCertificate of [`${pem(sub)}${key}`, `${key}${pem(sub)}`]) {
      assert.deepEqual(violations({ NextCaCertificate }), ['nextCaCertificate']);
    }
  });
});

describe('addValidity', () => {
  it('goes by the calendar of UTC', () => {
    const from = Date.UTC(2028, 0, 31, 12);
    assert.equal(addValidity(from, { Value: 30, Type: 'DAYS' }), Date.UTC(2028, 2, 1, 12));
    assert.equal(addValidity(from, { Value: 2, Type: 'MONTHS' }), Date.UTC(2028, 2, 31, 12));
    assert.equal(addValidity(from, { Value: 1, Type: 'YEARS' }), Date.UTC(2029, 0, 31, 12));
    assert.ok(Number.isFinite(addValidity(from, { Value: 36_500, Type: 'YEARS' })));
  });
});
