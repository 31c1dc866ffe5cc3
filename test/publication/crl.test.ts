/** CRLs: made when they are asked for, as openssl reads them, signed once for each change and renewed at half of their life. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { encodePem } from '../../src/base/pki/pem.ts';
import type { RevocationConfiguration } from '../../src/service/revocation-configuration.ts';
import type { RevocationList } from '../../src/service/revocation-lists.ts';
import { openPrivateCa, type PrivateCaSubject } from '../support/private-ca.ts';
import { requireProgram } from '../support/programs.ts';
import { runProgram } from '../support/run-program.ts';

const dayMs = 24 * 60 * 60_000;
const revocation: RevocationConfiguration = { CrlConfiguration: { Enabled: true, ExpirationInDays: 7 } };

let subject: PrivateCaSubject;
let root: string;
beforeEach(async () => {
  subject = await openPrivateCa();
  root = await subject.createRoot({ revocation });
});
afterEach(async () => {
  await subject[Symbol.asyncDispose]();
});

const caIdOf = (arn: string) => arn.split('/').at(-1) ?? '';

async function fetchList(arn = root): Promise<RevocationList> {
  const list = await subject.revocationLists.findRevocationList(caIdOf(arn));
  assert.ok(list);
  return list;
}

async function revokeNew(count = 1): Promise<string[]> {
  const serialNumbers: string[] = [];
  while (serialNumbers.length < count) {
    const { certificate } = await subject.issue(root);
    await subject.revoke(root, certificate.serialNumber);
    serialNumbers.push(certificate.serialNumber);
  }
  return serialNumbers;
}

describe('a CRL as openssl reads it', { skip: requireProgram('openssl') }, () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'scep-openssl-'));
  });
  after(async () => {
    await rm(directory, { recursive: true });
  });

  async function openssl(...args: string[]): Promise<{ status: number | null; text: string }> {
    const { status, stdout, stderr } = await runProgram('openssl', args, { cwd: directory });
    return { status, text: stdout.toString() + stderr };
  }

  async function writeFiles(): Promise<string> {
    const { Certificate } = await subject.privateCa.getCertificateAuthorityCertificate({ CertificateAuthorityArn: root });
    const { der } = await fetchList();
    await writeFile(join(directory, 'root.pem'), Certificate);
    await writeFile(join(directory, 'list.pem'), encodePem('X509 CRL', der));
    const { text } = await openssl('crl', '-in', 'list.pem', '-CAfile', 'root.pem', '-noout', '-text');
    assert.match(text, /verify OK/);
    return text;
  }

  it('without an entry', async () => {
    const text = await writeFiles();
    assert.match(text, /Version 2/);
    assert.match(text, /No Revoked Certificates/);
    assert.match(text, /X509v3 CRL Number: \n\s+1\n/);
    assert.match(text, /X509v3 Authority Key Identifier/);
  });

  it('with one entry, its reason and its date', async () => {
    const [serialNumber = ''] = await revokeNew();
    const text = await writeFiles();
    assert.equal(text.match(/Serial Number:/g)?.length, 1);
    assert.match(text, new RegExp(`Serial Number: ${serialNumber.toUpperCase().replace(/^00/, '')}`));
    assert.match(text, /CRL Reason Code: \n\s+Key Compromise/);
  });

  it('with many entries', async () => {
    const serialNumbers = await revokeNew(50);
    const text = await writeFiles();
    for (const serialNumber of serialNumbers) assert.ok(text.includes(serialNumber.toUpperCase().replace(/^00/, '')), serialNumber);
  });

  it('tells a revoked certificate from one that is not', async () => {
    const good = await subject.issue(root);
    const bad = await subject.issue(root);
    await subject.revoke(root, bad.certificate.serialNumber);
    await writeFiles();
    await writeFile(join(directory, 'good.pem'), good.pem);
    await writeFile(join(directory, 'bad.pem'), bad.pem);
    const verify = (file: string) => openssl('verify', '-crl_check', '-CAfile', 'root.pem', '-CRLfile', 'list.pem', file);
    assert.deepEqual(await verify('good.pem'), { status: 0, text: 'good.pem: OK\n' });
    const refused = await verify('bad.pem');
    assert.notEqual(refused.status, 0);
    assert.match(refused.text, /certificate revoked/);
  });
});

describe('the current CRL', () => {
  it('is signed once however many ask at once', async () => {
    subject.signing.count = 0;
    const lists = await Promise.all(Array.from({ length: 50 }, () => fetchList()));
    assert.equal(subject.signing.count, 1);
    assert.equal(new Set(lists.map(({ der }) => Buffer.from(der).toString('base64'))).size, 1);
  });

  it('stays the same, with its number, until something is revoked', async () => {
    const first = await fetchList();
    assert.equal(await fetchList(), first);
    await revokeNew();
    const second = await fetchList();
    assert.equal(second.cRLNumber, first.cRLNumber + 1);
    assert.equal(await fetchList(), second);
  });

  it('lives as long as the authority says and is renewed at half of it', async () => {
    const first = await fetchList();
    assert.equal(first.nextUpdate - first.thisUpdate, 7 * dayMs);
    subject.advance(3.5 * dayMs - 60_000);
    assert.equal(await fetchList(), first);
    subject.advance(60_000);
    const second = await fetchList();
    assert.deepEqual([second.cRLNumber, second.thisUpdate > first.thisUpdate], [first.cRLNumber + 1, true]);
  });

  it('is made anew when the authority is configured otherwise', async () => {
    const first = await fetchList();
    const CrlConfiguration = { Enabled: true, ExpirationInDays: 1 };
    await subject.privateCa.updateCertificateAuthority({ CertificateAuthorityArn: root, RevocationConfiguration: { CrlConfiguration } });
    const second = await fetchList();
    assert.equal(second.nextUpdate - second.thisUpdate, dayMs);
    assert.notEqual(second.cRLNumber, first.cRLNumber);
  });

  it('has a number of its own on each node and after each start, and never two lists in turn', async () => {
    const nodes = [subject.makeRevocationLists(), subject.makeRevocationLists(), subject.makeRevocationLists()];
    const numbers = async () => Promise.all(nodes.map(async node => (await node.findRevocationList(caIdOf(root)))?.cRLNumber ?? 0));
    const sorted = (of: number[]) => of.toSorted((a, b) => a - b);
    const first = await numbers();
    assert.deepEqual(sorted(first), [1, 2, 3]);
    assert.deepEqual(await numbers(), first);
    await revokeNew();
    assert.deepEqual(sorted(await numbers()), [4, 5, 6]);
  });

  it('keeps an expired certificate for one more list and then drops it', async () => {
    const { certificate } = await subject.issue(root, { Validity: { Type: 'DAYS', Value: 1 } });
    await subject.revoke(root, certificate.serialNumber);
    const holds = async () => Buffer.from((await fetchList()).der).includes(Buffer.from(certificate.serialNumber, 'hex'));
    assert.ok(await holds());
    subject.advance(4 * dayMs);
    assert.ok(await holds());
    subject.advance(4 * dayMs);
    assert.ok(!(await holds()));
  });

  it('knows a revocation of the very millisecond in which the list before was made', async () => {
    const { certificate } = await subject.issue(root);
    const { certificate: second } = await subject.issue(root);
    const frozen = subject.system.now();
    subject.system.now = () => frozen;
    await subject.revoke(root, certificate.serialNumber);
    const first = await fetchList();
    await subject.revoke(root, second.serialNumber);
    assert.notEqual(await fetchList(), first);
  });

  it('is there for an authority that is ACTIVE or DISABLED and has CRLs', async () => {
    const find = (arn: string) => subject.revocationLists.findRevocationList(caIdOf(arn));
    const without = await subject.createRoot({ commonName: 'Without' });
    const pending = await subject.createAuthority('ROOT', { revocation });
    assert.deepEqual([await find(without), await find(pending), await find('unknown')], [undefined, undefined, undefined]);
    await subject.privateCa.updateCertificateAuthority({ CertificateAuthorityArn: root, Status: 'DISABLED' });
    assert.ok(await find(root));
    await subject.privateCa.deleteCertificateAuthority({ CertificateAuthorityArn: root });
    assert.equal(await find(root), undefined);
  });

  it('is signed by a subordinate for itself', async () => {
    const subordinate = await subject.createSubordinate(root, { revocation });
    const { certificate } = await subject.issue(subordinate);
    await subject.revoke(subordinate, certificate.serialNumber);
    const serialNumber = Buffer.from(certificate.serialNumber, 'hex');
    assert.ok(Buffer.from((await fetchList(subordinate)).der).includes(serialNumber));
    assert.ok(!Buffer.from((await fetchList()).der).includes(serialNumber));
  });
});

describe("an authority's published certificate", () => {
  it('is its own, while it has one and is not deleted', async () => {
    const find = (arn: string) => subject.revocationLists.findCaCertificate(caIdOf(arn));
    const { Certificate } = await subject.privateCa.getCertificateAuthorityCertificate({ CertificateAuthorityArn: root });
    assert.equal(encodePem('CERTIFICATE', (await find(root))?.der ?? Buffer.alloc(0)), Certificate);
    assert.equal(await find(await subject.createAuthority('ROOT')), undefined);
    await subject.privateCa.updateCertificateAuthority({ CertificateAuthorityArn: root, Status: 'DISABLED' });
    await subject.privateCa.deleteCertificateAuthority({ CertificateAuthorityArn: root });
    assert.equal(await find(root), undefined);
  });
});
