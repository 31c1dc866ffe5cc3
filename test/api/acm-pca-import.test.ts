/** ImportCertificateAuthorityCertificate: which certificates and chains it takes, driven by AWS's own client. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createSigner } from '../../src/base/pki/algorithms.ts';
import {
  basicConstraintsExtension,
  type Extension,
  extKeyUsageExtension,
  KeyUsage,
  keyUsageExtension,
  subjectKeyIdentifierExtension,
} from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { encodePem, parsePem } from '../../src/base/pki/pem.ts';
import { parseCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { createCertificate, encodeTbsCertificate } from '../../src/base/pki/x509.ts';
import { type PrivateCaServer, refusalOf, startPrivateCaServer } from '../support/private-ca-server.ts';

const dayMs = 24 * 60 * 60_000;
const keyOf = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;

/** A CA that is not ours. */
interface Foreign {
  name: string;
  key: KeyObject;
  pem: string;
}

interface Content {
  subject?: Uint8Array;
  spki?: Uint8Array;
  issuer?: { name: string; key: KeyObject };
  extensions?: readonly Extension[];
  notAfter?: number;
}

const authorityExtensions = (pathLen?: number) => [
  basicConstraintsExtension(true, pathLen),
  keyUsageExtension([KeyUsage.keyCertSign, KeyUsage.cRLSign]),
];

let serialNumber = 1;
function certificate({
  subject,
  spki,
  issuer,
  extensions = authorityExtensions(),
  notAfter,
}: Required<Pick<Content, 'subject' | 'spki' | 'issuer'>> & Content): string {
  const now = server.subject.system.now();
  serialNumber += 1;
  const template = {
    serialNumber: serialNumber.toString(16).padStart(4, '0'),
    issuer: parseNameString(issuer.name).der,
    subject,
    subjectPublicKeyInfo: spki,
    notBefore: now - dayMs,
    notAfter: notAfter ?? now + 1000 * dayMs,
    extensions,
  };
  return encodePem('CERTIFICATE', createCertificate(template, createSigner(issuer.key)));
}

function foreign(name: string, issuer?: Foreign, content: Content = {}): Foreign {
  const key = keyOf();
  const subject = parseNameString(name).der;
  return { name, key, pem: certificate({ subject, spki: publicKeyOf(key).spki, issuer: issuer ?? { name, key }, ...content }) };
}

let server: PrivateCaServer;
before(async () => {
  server = await startPrivateCaServer();
});
after(() => server[Symbol.asyncDispose]());

const load = (CertificateAuthorityArn: string, Certificate: string, CertificateChain?: string) =>
  server.client.importCertificateAuthorityCertificate({
    CertificateAuthorityArn,
    Certificate,
    ...(CertificateChain !== undefined && { CertificateChain }),
  });

async function requestOf(arn: string): Promise<{ subject: Uint8Array; spki: Uint8Array }> {
  const { Csr = '' } = await server.client.getCertificateAuthorityCsr({ CertificateAuthorityArn: arn }).promise();
  const [der = new Uint8Array(0)] = parsePem('CERTIFICATE REQUEST', Csr);
  const { subject, publicKey } = parseCertificationRequest(der);
  return { subject: subject.der, spki: publicKey.spki };
}

describe('a subordinate', () => {
  let arn: string;
  let request: { subject: Uint8Array; spki: Uint8Array };
  let root: Foreign;
  beforeEach(async () => {
    arn = await server.create({ CertificateAuthorityType: 'SUBORDINATE' });
    request = await requestOf(arn);
    root = foreign('CN=Foreign Root');
  });
  const signed = (issuer: Foreign, content: Content = {}) => certificate({ ...request, issuer, ...content });

  test('is activated by a certificate of a foreign root, and shows it with its chain', async () => {
    const middle = foreign('CN=Foreign Intermediate', root, { extensions: authorityExtensions(1) });
    const own = signed(middle, { extensions: authorityExtensions(0) });
    await load(arn, own, middle.pem + root.pem).promise();
    const described = await server.describe(arn);
    assert.equal(described.Status, 'ACTIVE');
    assert.match(described.Serial ?? '', /^0{28}[0-9a-f]{4}$/);
    assert.ok(Number(described.NotBefore) < Number(described.NotAfter));
    const shown = await server.client.getCertificateAuthorityCertificate({ CertificateAuthorityArn: arn }).promise();
    assert.deepEqual(shown, { Certificate: own, CertificateChain: middle.pem + root.pem });
    const { chain } = await server.subject.issue(arn);
    assert.equal(chain, own + middle.pem + root.pem);
  });

  test('takes the comments that tools write around PEM', async () => {
    await load(arn, `subject=CN=Example\n\n${signed(root)}`, `root:\r\n${root.pem.replaceAll('\n', '\r\n')}`).promise();
    assert.equal((await server.describe(arn)).Status, 'ACTIVE');
  });

  const refusals: [what: string, make: () => [certificate: string, chain?: string], expected: RegExp][] = [
    ['what is no PEM', () => ['nothing'], /^MalformedCertificateException: Certificate cannot be read: /],
    [
      'PEM of what is no certificate',
      () => [encodePem('CERTIFICATE', Buffer.from('nothing')), root.pem],
      /^MalformedCertificateException: Certificate cannot/,
    ],
    ['a chain that cannot be read', () => [signed(root), 'nothing'], /^MalformedCertificateException: CertificateChain cannot be read/],
    ['two certificates', () => [signed(root) + root.pem, root.pem], /^MalformedCertificateException: Certificate must hold exactly one/],
    ['a certificate without its chain', () => [signed(root)], /^InvalidRequestException: .*needs a certificate chain/],
    ['an empty chain', () => [signed(root), ''], /^InvalidRequestException: .*needs a certificate chain/],
    [
      'a certificate for another key',
      () => [signed(root, { spki: publicKeyOf(keyOf()).spki }), root.pem],
      /^CertificateMismatchException: The certificate is not for the key/,
    ],
    [
      'a certificate for another subject',
      () => [signed(root, { subject: parseNameString('CN=Another').der }), root.pem],
      /^CertificateMismatchException: The certificate is not for the subject/,
    ],
    [
      'a chain that ends before its root',
      () => [signed(foreign('CN=B', root)), foreign('CN=B', root).pem],
      /^MalformedCertificateException: The chain is broken/,
    ],
    [
      'a chain in the wrong order',
      () => {
        const middle = foreign('CN=Middle', root);
        return [signed(middle), root.pem + middle.pem];
      },
      /^MalformedCertificateException: The chain is broken: each certificate must be issued by the one after it/,
    ],
    [
      'an issuer of the right name with another key',
      () => [signed(root), foreign('CN=Foreign Root').pem],
      /^MalformedCertificateException: The chain is broken: the certificate is not signed by its issuer/,
    ],
    [
      'a chain of eleven',
      () => [signed(root), Array.from({ length: 11 }, () => root.pem).join('')],
      /^MalformedCertificateException: CertificateChain holds 11 certificates, more than 10/,
    ],
    [
      'an end entity',
      () => [signed(root, { extensions: [basicConstraintsExtension(false)] }), root.pem],
      /^MalformedCertificateException: The certificate is not one of a CA/,
    ],
    [
      'a certificate without basicConstraints',
      () => [signed(root, { extensions: [subjectKeyIdentifierExtension(Buffer.of(1))] }), root.pem],
      /^MalformedCertificateException: .*basicConstraints/,
    ],
    [
      'basicConstraints that is not critical',
      () => [signed(root, { extensions: [{ ...basicConstraintsExtension(true), critical: false }] }), root.pem],
      /^MalformedCertificateException: .*basicConstraints must be critical/,
    ],
    [
      'a keyUsage that cannot sign certificates',
      () => [signed(root, { extensions: [basicConstraintsExtension(true), keyUsageExtension([KeyUsage.digitalSignature])] }), root.pem],
      /^MalformedCertificateException: .*has no keyCertSign/,
    ],
    [
      'critical name constraints',
      () => [
        signed(root, { extensions: [...authorityExtensions(), { oid: '2.5.29.30', critical: true, value: Buffer.from('3000', 'hex') }] }),
        root.pem,
      ],
      /^MalformedCertificateException: .*critical extension that is not supported: 2\.5\.29\.30/,
    ],
    [
      'an expired certificate',
      () => [signed(root, { notAfter: server.subject.system.now() - 1000 }), root.pem],
      /^MalformedCertificateException: The certificate is expired/,
    ],
    [
      'an expired root',
      () => {
        const old = foreign('CN=Old', undefined, { notAfter: server.subject.system.now() - 1000 });
        return [signed(old), old.pem];
      },
      /^MalformedCertificateException: Certificate 1 of the chain is expired/,
    ],
    [
      'a parent that may have no CA below it',
      () => {
        const strict = foreign('CN=Strict', undefined, { extensions: authorityExtensions(0) });
        return [signed(strict), strict.pem];
      },
      /^CertificateMismatchException: Certificate 1 of the chain allows 0 CA certificates below it/,
    ],
  ];

  for (const [what, make, expected] of refusals) {
    test(`does not take ${what}`, async () => {
      const [own, chain] = make();
      assert.match(await refusalOf(load(arn, own, chain)), expected);
      assert.equal((await server.describe(arn)).Status, 'PENDING_CERTIFICATE');
    });
  }

  test('does not take a certificate that its own key has signed', async () => {
    const { subject } = server;
    const [row] = await subject.database.query
      .selectFrom('certificate_authorities')
      .selectAll()
      .where('ca_id', '=', arn.slice(-36))
      .execute();
    const name = row?.subject ?? '';
    const { signTbs } = await subject.certificateAuthorities.openForSigning(arn.slice(-36));
    const tbs = encodeTbsCertificate(
      {
        serialNumber: '01',
        issuer: parseNameString(name).der,
        subject: request.subject,
        subjectPublicKeyInfo: request.spki,
        notBefore: subject.system.now() - dayMs,
        notAfter: subject.system.now() + dayMs,
        extensions: authorityExtensions(),
      },
      createSigner(keyOf()).algorithm,
    );
    const own = encodePem('CERTIFICATE', await signTbs(tbs));
    assert.match(
      await refusalOf(load(arn, own, root.pem)),
      /^InvalidRequestException: A self-signed certificate cannot be imported for a subordinate/,
    );
  });

  test('takes critical extensions that AWS takes', async () => {
    const extensions = [...authorityExtensions(), extKeyUsageExtension([Oid.anyExtendedKeyUsage], true)];
    await load(arn, signed(root, { extensions }), root.pem).promise();
  });

  test('is renewed with its key, and from then on issues under the new certificate', async () => {
    await load(arn, signed(root), root.pem).promise();
    await server.subject.issue(arn);
    const renewed = signed(root, { notAfter: server.subject.system.now() + 2000 * dayMs });
    await load(arn, renewed, root.pem).promise();
    const { chain } = await server.subject.issue(arn);
    assert.equal(chain, renewed + root.pem);
  });

  test('that is disabled is not renewed', async () => {
    await load(arn, signed(root), root.pem).promise();
    await server.client.updateCertificateAuthority({ CertificateAuthorityArn: arn, Status: 'DISABLED' }).promise();
    assert.match(await refusalOf(load(arn, signed(root), root.pem)), /^InvalidStateException: .*it is DISABLED/);
  });

  test('that is expired is ACTIVE again with a new certificate, or DISABLED if it was that before', async () => {
    for (const Status of ['ACTIVE', 'DISABLED']) {
      const soon = server.subject.system.now() + dayMs;
      await load(arn, signed(root, { notAfter: soon }), root.pem).promise();
      await server.client.updateCertificateAuthority({ CertificateAuthorityArn: arn, Status }).promise();
      server.subject.advance(2 * dayMs);
      assert.equal((await server.describe(arn)).Status, 'EXPIRED');
      await load(arn, signed(root), root.pem).promise();
      assert.equal((await server.describe(arn)).Status, Status);
      if (Status === 'ACTIVE') await server.subject.issue(arn);
    }
  });
});

describe('a root', () => {
  test('takes no chain, and no certificate of another', async () => {
    const arn = await server.create();
    const request = await requestOf(arn);
    const root = foreign('CN=Foreign Root');
    const own = certificate({ ...request, issuer: root });
    assert.match(await refusalOf(load(arn, own, root.pem)), /^InvalidRequestException: Only a self-signed certificate/);
    const active = await server.subject.createRoot();
    const { Certificate = '' } = await server.client.getCertificateAuthorityCertificate({ CertificateAuthorityArn: active }).promise();
    assert.match(await refusalOf(load(active, Certificate, Certificate)), /^InvalidRequestException: A root CA has no certificate chain/);
    assert.equal(
      (await server.client.getCertificateAuthorityCertificate({ CertificateAuthorityArn: active }).promise()).CertificateChain,
      undefined,
    );
  });

  test('takes no certificate that names itself its issuer and is signed by another key', async () => {
    const arn = await server.create();
    const [row] = await server.subject.database.query
      .selectFrom('certificate_authorities')
      .selectAll()
      .where('ca_id', '=', arn.slice(-36))
      .execute();
    const own = certificate({ ...(await requestOf(arn)), issuer: { name: row?.subject ?? '', key: keyOf() } });
    assert.match(await refusalOf(load(arn, own)), /^MalformedCertificateException: The chain is broken: the certificate is not signed/);
  });

  test('has no certificate to show while it waits for one', async () => {
    const arn = await server.create();
    const shown = server.client.getCertificateAuthorityCertificate({ CertificateAuthorityArn: arn });
    assert.match(
      await refusalOf(shown),
      /^InvalidStateException: The certificate authority arn:.* is not in the correct state to have a certificate/,
    );
  });

  test('that is being made takes none', async () => {
    const { CertificateAuthorityArn = '' } = await server.client
      .createCertificateAuthority({
        CertificateAuthorityType: 'ROOT',
        CertificateAuthorityConfiguration: { KeyAlgorithm: 'RSA_2048', SigningAlgorithm: 'SHA256WITHRSA', Subject: { CommonName: 'a' } },
      })
      .promise();
    const { pem } = foreign('CN=a');
    assert.match(await refusalOf(load(CertificateAuthorityArn, pem)), /^RequestInProgressException: /);
  });
});

test('of two imports at once one wins, and the authority is as the winner left it', async () => {
  const arn = await server.create({ CertificateAuthorityType: 'SUBORDINATE' });
  const request = await requestOf(arn);
  const root = foreign('CN=Foreign Root');
  const [first, second] = [certificate({ ...request, issuer: root }), certificate({ ...request, issuer: root })];
  const outcomes = await Promise.allSettled([load(arn, first, root.pem).promise(), load(arn, second, root.pem).promise()]);
  assert.ok(outcomes.some(({ status }) => status === 'fulfilled'));
  const { Certificate } = await server.client.getCertificateAuthorityCertificate({ CertificateAuthorityArn: arn }).promise();
  assert.ok(Certificate === first || Certificate === second);
});
