/** The bounds of a dynamic challenge, held against a CSR and the purposes that its certificate would have. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseBer } from '../base/pki/asn1.ts';
import { sequence } from '../base/pki/der.ts';
import { type Extension, generalName, parseIpAddress, subjectAltNameExtension } from '../base/pki/extensions.ts';
import { Name, parseNameString } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { type ChallengeBounds, checkBounds } from './dynamic-challenges.ts';

const printer = { subject: 'CN=printer-7,O=Example', names: [generalName.dns('printer-7.example.com')] };

function check(bounds: ChallengeBounds | null, { subject, names = [], purposes = [Oid.clientAuth] }: Asked): string | undefined {
  const csr = {
    subject: subject === '' ? new Name(parseBer(sequence())) : parseNameString(subject),
    extensions: names.length === 0 ? [] : [subjectAltNameExtension(names, false)],
  };
  const refusal = checkBounds(bounds && JSON.stringify(bounds), csr, purposes);
  if (refusal === undefined) return undefined;
  assert.deepEqual([refusal.pkiStatus, refusal.failInfo, refusal.error], ['FAILURE', 'badRequest', { code: 'challengeInvalid' }]);
  return refusal.reason;
}

interface Asked {
  subject: string;
  names?: { der: Uint8Array }[];
  purposes?: string[];
}

describe('checkBounds', () => {
  it('lets everything through where there are none', () => {
    for (const bounds of [null, {}]) assert.equal(check(bounds, { ...printer, purposes: [Oid.codeSigning] }), undefined);
  });

  it('takes the subject attribute by attribute, in any order and whatever the case', () => {
    for (const Subject of ['CN=printer-*,O=Example', 'O=example, CN=PRINTER-?', 'o=*,cn=*', '2.5.4.10=Example,CN=printer-7']) {
      assert.equal(check({ Subject }, printer), undefined, Subject);
    }
    for (const Subject of [
      'CN=printer-7',
      'CN=printer-*,O=Example,C=DE',
      'CN=printer-8,O=Example',
      'OU=Example,CN=printer-7',
      'CN=*,CN=*',
    ]) {
      assert.equal(check({ Subject }, printer), `The challenge password is for another subject: ${Subject}.`);
    }
    assert.ok(check({ Subject: 'CN=*' }, { subject: '' }));
  });

  it('takes each name by one of the patterns, and no names at all', () => {
    const SubjectAlternativeNames = ['dns:*.example.com', 'IP:10.1.*'];
    assert.equal(check({ SubjectAlternativeNames }, printer), undefined);
    assert.equal(check({ SubjectAlternativeNames }, { subject: 'CN=a' }), undefined);
    assert.equal(
      check({ SubjectAlternativeNames }, { ...printer, names: [...printer.names, generalName.ip(parseIpAddress('10.1.2.3'))] }),
      undefined,
    );
    for (const [name, text] of [
      [generalName.dns('example.com'), 'DNS:example.com'],
      [generalName.email('a.example.com'), 'email:a.example.com'],
      [generalName.ip(parseIpAddress('10.2.1.1')), 'IP:10.2.1.1'],
      [generalName.otherName('1.2.3', 'a.example.com'), '1.2.3:0c0d612e6578616d706c652e636f6d'],
    ] as const) {
      const reason = check({ SubjectAlternativeNames }, { ...printer, names: [...printer.names, name] });
      assert.equal(reason, `The challenge password is not for the subjectAltName ${text}.`);
    }
  });

  it('lets no name through an empty list of them', () => {
    assert.equal(check({ SubjectAlternativeNames: [] }, { subject: 'CN=a' }), undefined);
    assert.ok(check({ SubjectAlternativeNames: [] }, printer));
  });

  it('takes each purpose by its name or its OID', () => {
    const ExtendedKeyUsages = ['CLIENTAUTH', Oid.emailProtection];
    assert.equal(check({ ExtendedKeyUsages }, { ...printer, purposes: [Oid.clientAuth, Oid.emailProtection] }), undefined);
    assert.equal(
      check({ ExtendedKeyUsages }, { ...printer, purposes: [Oid.clientAuth, Oid.serverAuth] }),
      `The challenge password is not for the extended key usage ${Oid.serverAuth} (serverAuth).`,
    );
  });

  it('holds all of the bounds', () => {
    const bounds = { Subject: 'CN=printer-7,O=Example', SubjectAlternativeNames: ['DNS:printer-7.*'], ExtendedKeyUsages: ['clientAuth'] };
    assert.equal(check(bounds, printer), undefined);
    assert.ok(check(bounds, { ...printer, subject: 'CN=printer-8,O=Example' }));
    assert.ok(check(bounds, { ...printer, names: [generalName.dns('printer-8.example.com')] }));
    assert.ok(check(bounds, { ...printer, purposes: [Oid.serverAuth] }));
  });

  it('throws PkiError on a subjectAltName that cannot be read', () => {
    const extensions: Extension[] = [{ oid: Oid.subjectAltName, critical: false, value: Buffer.from('30', 'hex') }];
    const bounds = JSON.stringify({ SubjectAlternativeNames: ['DNS:*'] });
    assert.throws(() => checkBounds(bounds, { subject: parseNameString('CN=a'), extensions }, []), PkiError);
  });
});
