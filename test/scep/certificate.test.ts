/** What is issued: the CSR's names and purposes, and what the authority adds, in a certificate that OpenSSL's code reads the same way. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { CertificateRow } from '../../src/backends/store/database.ts';
import { sequence } from '../../src/base/pki/der.ts';
import {
  basicConstraintsExtension,
  type Extension,
  encodeExtensions,
  extKeyUsageExtension,
  findExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  parseBasicConstraints,
  parseIpAddress,
  parseKeyUsage,
  subjectAltNameExtension,
} from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { type Certificate, parseCertificate, subjectKeyIdentifier } from '../../src/base/pki/x509.ts';
import { attribute } from '../support/cms-parts.ts';
import { RawScepClient, type RequestParts } from '../support/raw-scep-client.ts';
import { nameValuePair, nameValuePairs } from '../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** X.509 counts in seconds, and a test may take some. */
const toleranceMs = 10_000;

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

/** As Node's OpenSSL and as our own codec read it. */
async function issue(parts: RequestParts = {}): Promise<{ x509: X509Certificate; certificate: Certificate }> {
  const x509 = await client.enrol(parts);
  return { x509, certificate: parseCertificate(x509.raw) };
}

async function rowOf({ serialNumber }: Certificate): Promise<CertificateRow> {
  const query = server.database.query.selectFrom('certificates').selectAll();
  return query.where('serial_number', '=', serialNumber).executeTakeFirstOrThrow();
}

function extensionOids({ extensions }: Certificate): string[] {
  return extensions.map(({ oid }) => oid);
}

function assertNear(actual: number, expected: number): void {
  assert.ok(
    Math.abs(actual - expected) <= toleranceMs,
    `${new Date(actual).toISOString()} is not near ${new Date(expected).toISOString()}`,
  );
}

describe('a certificate', () => {
  it('is signed by the CA of GetCACert for the key of the CSR', async () => {
    const { x509 } = await issue();
    const ca = new X509Certificate(client.ca.der);
    assert.ok(x509.checkIssued(ca) && x509.verify(ca.publicKey) && x509.checkPrivateKey(client.device.privateKey));
    assert.equal(x509.issuer, ca.subject);
  });

  it('has the subject of the CSR, octet for octet', async () => {
    const subject = 'CN=Zürich \\"7\\"\\, left,OU=Floor 3,O=Example,DC=example,DC=com,C=CH';
    const { certificate } = await issue({ csrParts: { subject } });
    assert.deepEqual(Buffer.from(certificate.subject.der), Buffer.from(parseNameString(subject).der));
    assert.equal((await rowOf(certificate)).subject, subject);
  });

  it('has a serial number of 128 random bits', async () => {
    const serialNumbers = await Promise.all(Array.from({ length: 8 }, async () => (await issue()).certificate.serialNumber));
    assert.equal(new Set(serialNumbers).size, 8);
    for (const serialNumber of serialNumbers) assert.match(serialNumber, /^[0-9a-f]{32}$/);
  });

  it('is in the store as it was answered', async () => {
    const { x509, certificate } = await issue();
    const row = await rowOf(certificate);
    assert.deepEqual([row.status, row.kind, row.connector_id], ['ISSUED', 'DEVICE', server.connectorId]);
    assert.deepEqual(Buffer.from(row.certificate ?? []), x509.raw);
    assert.equal(row.fingerprint, x509.fingerprint256.replaceAll(':', '').toLowerCase());
  });
});

describe('what the authority adds', () => {
  it('is CA:FALSE, both key identifiers and clientAuth, where the CSR asks for nothing', async () => {
    const { x509, certificate } = await issue();
    const added = [Oid.basicConstraints, Oid.authorityKeyIdentifier, Oid.subjectKeyIdentifier, Oid.extKeyUsage];
    assert.deepEqual(extensionOids(certificate).toSorted(), added.toSorted());
    assert.equal(x509.ca, false);
    assert.deepEqual(x509.keyUsage, [Oid.clientAuth]);
    const identifier = subjectKeyIdentifier(certificate);
    assert.deepEqual(Buffer.from(identifier ?? []), Buffer.from(certificate.publicKey.keyIdentifier));
    const authority = findExtension(certificate.extensions, Oid.authorityKeyIdentifier);
    assert.deepEqual(Buffer.from(authority?.value ?? []).subarray(4), Buffer.from(subjectKeyIdentifier(client.ca) ?? []));
  });

  it('is in place of what the CSR says of the same, and of everything else that it says', async () => {
    const foreign: Extension[] = [
      { oid: Oid.subjectKeyIdentifier, critical: false, value: Buffer.from('0402abcd', 'hex') },
      { oid: Oid.authorityKeyIdentifier, critical: false, value: Buffer.from('30048002abcd', 'hex') },
      { oid: '1.3.6.1.4.1.311.25.2', critical: false, value: Buffer.from('30020500', 'hex') },
      { oid: '2.5.29.31', critical: false, value: Buffer.from('3000', 'hex') },
      { oid: '2.5.29.32', critical: true, value: Buffer.from('3000', 'hex') },
      { oid: '1.3.6.1.4.1.99999.1', critical: true, value: Buffer.from('0500', 'hex') },
      basicConstraintsExtension(false),
    ];
    const { certificate } = await issue({ extensions: foreign });
    const plain = (await issue()).certificate;
    assert.deepEqual(extensionOids(certificate), extensionOids(plain));
    assert.deepEqual(Buffer.from(subjectKeyIdentifier(certificate) ?? []), Buffer.from(certificate.publicKey.keyIdentifier));
    const constraints = findExtension(certificate.extensions, Oid.basicConstraints);
    assert.ok(constraints);
    assert.deepEqual(parseBasicConstraints(constraints), { cA: false, pathLenConstraint: undefined });
  });
});

describe('what is taken from the CSR', () => {
  it('are the alternative names of every accepted kind', async () => {
    const names = [
      generalName.dns('printer-7.example.com'),
      generalName.dns('*.example.com'),
      generalName.email('printer-7@example.com'),
      generalName.uri('urn:uuid:00000000-0000-4000-8000-000000000000'),
      generalName.ip(parseIpAddress('192.0.2.7')),
      generalName.ip(parseIpAddress('2001:db8::7')),
      generalName.userPrincipalName('printer-7@corp.example.com'),
    ];
    const extension = subjectAltNameExtension(names, true);
    const { x509, certificate } = await issue({ extensions: [extension] });
    const issued = findExtension(certificate.extensions, Oid.subjectAltName);
    assert.deepEqual(Buffer.from(issued?.value ?? []), Buffer.from(extension.value));
    // Critical only where there is no subject (RFC 5280 section 4.2.1.6).
    assert.equal(issued?.critical, false);
    assert.match(
      x509.subjectAltName ?? '',
      /^DNS:printer-7\.example\.com, DNS:\*\.example\.com, email:printer-7@example\.com, URI:urn:uuid:/,
    );
    const row = await rowOf(certificate);
    assert.deepEqual(JSON.parse(row.subject_alternative_names), [
      'dNSName:printer-7.example.com',
      'dNSName:*.example.com',
      'rfc822Name:printer-7@example.com',
      'uniformResourceIdentifier:urn:uuid:00000000-0000-4000-8000-000000000000',
      'iPAddress:192.0.2.7',
      'iPAddress:2001:db8:0:0:0:0:0:7',
      'otherName:printer-7@corp.example.com',
    ]);
  });

  it('are alternative names alone, then critical', async () => {
    const { x509, certificate } = await issue({
      csrParts: { subject: '' },
      extensions: [subjectAltNameExtension([generalName.dns('a.example.com')], false)],
    });
    assert.equal(x509.subjectAltName, 'DNS:a.example.com');
    assert.deepEqual(certificate.subject.rdns, []);
    assert.equal(findExtension(certificate.extensions, Oid.subjectAltName)?.critical, true);
  });

  it('is keyUsage', async () => {
    const bits = [KeyUsage.digitalSignature, KeyUsage.nonRepudiation, KeyUsage.keyEncipherment];
    const { certificate } = await issue({ extensions: [keyUsageExtension(bits)] });
    const keyUsage = findExtension(certificate.extensions, Oid.keyUsage);
    assert.ok(keyUsage?.critical);
    assert.deepEqual(parseKeyUsage(keyUsage), new Set(bits));
  });

  it('are the purposes, without clientAuth when that is not among them', async () => {
    const purposes = [Oid.serverAuth, Oid.emailProtection, Oid.eapOverLan, Oid.ipsecIke];
    assert.deepEqual((await issue({ extensions: [extKeyUsageExtension(purposes)] })).x509.keyUsage, purposes);
  });

  it('are extensions in Microsoft’s attribute too', async () => {
    const extensions = encodeExtensions([subjectAltNameExtension([generalName.dns('old.example.com')], false)]);
    const csrAttributes = [attribute(Oid.microsoftCertExtensions, extensions)];
    assert.equal((await issue({ csrAttributes })).x509.subjectAltName, 'DNS:old.example.com');
  });
});

describe('the validity', () => {
  const validityAsked = (...csrAttributes: Uint8Array[]) => issue({ csrAttributes });

  it('begins 60 minutes back, for devices whose clock is slow, and lasts a year', async () => {
    const now = Date.now();
    const { certificate } = await issue();
    assertNear(certificate.notBefore, now - hourMs);
    assertNear(certificate.notAfter, new Date(now).setUTCFullYear(new Date(now).getUTCFullYear() + 1));
  });

  const units: [unit: string, count: string, expected: (now: number) => number][] = [
    ['Minutes', '90', now => now + 90 * 60_000],
    ['Hours', '36', now => now + 36 * hourMs],
    ['Days', '10', now => now + 10 * dayMs],
    ['Weeks', '2', now => now + 14 * dayMs],
    ['Months', '3', now => new Date(now).setUTCMonth(new Date(now).getUTCMonth() + 3)],
    ['years', '2', now => new Date(now).setUTCFullYear(new Date(now).getUTCFullYear() + 2)],
  ];
  for (const [unit, count, expected] of units) {
    it(`is ${count} ${unit} where the CSR says so in two attributes`, async () => {
      const pairs = [nameValuePairs(nameValuePair('ValidityPeriod', unit)), nameValuePairs(nameValuePair('ValidityPeriodUnits', count))];
      const now = Date.now();
      assertNear((await validityAsked(...pairs)).certificate.notAfter, expected(now));
    });
  }

  it('is what the CSR says in one attribute of two values, or of a SEQUENCE OF pairs', async () => {
    const pairs = [nameValuePair('ValidityPeriod', 'Days'), nameValuePair('ValidityPeriodUnits', '5')];
    const now = Date.now();
    for (const attribute of [nameValuePairs(...pairs), nameValuePairs(sequence(...pairs))]) {
      assertNear((await validityAsked(attribute)).certificate.notAfter, now + 5 * dayMs);
    }
  });

  it('is a year where the CSR has other pairs', async () => {
    const now = Date.now();
    const { certificate } = await validityAsked(nameValuePairs(nameValuePair('CertificateTemplate', 'User')));
    assertNear(certificate.notAfter, new Date(now).setUTCFullYear(new Date(now).getUTCFullYear() + 1));
  });

  it('never ends after the CA’s', async () => {
    for (const count of ['30', '9999999999']) {
      const pairs = [nameValuePair('ValidityPeriod', 'Years'), nameValuePair('ValidityPeriodUnits', count)];
      assert.equal((await validityAsked(nameValuePairs(sequence(...pairs)))).certificate.notAfter, client.ca.notAfter);
    }
  });
});
