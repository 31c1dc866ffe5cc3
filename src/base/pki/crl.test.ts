/** Shows that pkijs and our own verifier read the CRLs that we sign, and what stands in them. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import * as pkijs from 'pkijs';
import { asn1Of, pkijsCertificate } from '../../../test/support/foreign-pki.ts';
import { createIdentity, ecKey, rsaKey } from '../../../test/support/pki-fixtures.ts';
import { type RevocationReason, revocationReasons, type SigningAlgorithm } from '../private-ca.ts';
import { createSigner, parseAlgorithmIdentifier, resolveSignatureAlgorithm, verifySignature } from './algorithms.ts';
import { parseBer } from './asn1.ts';
import { certificateListLimits, createCertificateList, type RevokedCertificate } from './crl.ts';
import { Oid } from './oids.ts';
import { publicKeyOf } from './public-key.ts';

const thisUpdate = Date.UTC(2026, 0, 1);
const nextUpdate = Date.UTC(2050, 0, 1);
const revokedAt = Date.UTC(2025, 11, 24, 17, 30);
const authorityKeyIdentifier = Buffer.from('0102030405060708090a0b0c0d0e0f1011121314', 'hex');

function createList(revokedCertificates: readonly RevokedCertificate[], key: KeyObject, signing?: SigningAlgorithm): Uint8Array {
  const issuer = createIdentity({ key: rsaKey('ca') }).certificate.subject.der;
  const template = { issuer, authorityKeyIdentifier, cRLNumber: 2 ** 32, thisUpdate, nextUpdate, revokedCertificates };
  return createCertificateList(template, createSigner(key, signing));
}

const pkijsList = (der: Uint8Array) => new pkijs.CertificateRevocationList({ schema: asn1Of(der) });

/** Whether the signature is the key's over tbsCertList, by the algorithm that stands inside and beside it. */
function isSignedBy(der: Uint8Array, key: KeyObject): boolean {
  const [tbsCertList, algorithm, signature] = parseBer(der).elements('CertificateList');
  assert.ok(tbsCertList && algorithm && signature);
  assert.deepEqual(tbsCertList.elements('tbsCertList')[1]?.bytes, algorithm.bytes);
  const resolved = resolveSignatureAlgorithm(parseAlgorithmIdentifier(algorithm));
  return verifySignature(resolved, publicKeyOf(key), tbsCertList.bytes, signature.bitStringOctets());
}

describe('createCertificateList', () => {
  const reasons = Object.keys(revocationReasons) as RevocationReason[];
  const everyReason = reasons.map((reason, index) => ({ serialNumber: `80${index}0`, revokedAt: revokedAt + index * 1000, reason }));

  it('says who is revoked, when and why, with the reason left out where there is none', () => {
    const list = pkijsList(createList([...everyReason, { serialNumber: '7f', revokedAt }], rsaKey('ca')));
    const entries = (list.revokedCertificates ?? []).map(entry => ({
      serialNumber: Buffer.from(entry.userCertificate.valueBlock.valueHexView).toString('hex'),
      revokedAt: entry.revocationDate.value.getTime(),
      extensions: entry.crlEntryExtensions?.extensions.map(({ extnID, critical, extnValue }) => [
        extnID,
        critical,
        Buffer.from(extnValue.valueBlock.valueHexView).toString('hex'),
      ]),
    }));
    const expected = everyReason.map(({ serialNumber, revokedAt: at, reason }) => ({
      serialNumber: `00${serialNumber}`,
      revokedAt: at,
      extensions: reason === 'UNSPECIFIED' ? undefined : [[Oid.reasonCode, false, `0a01${numberOf(reason)}`]],
    }));
    assert.deepEqual(entries, [...expected, { serialNumber: '7f', revokedAt, extensions: undefined }]);
  });

  function numberOf(reason: RevocationReason): string {
    return revocationReasons[reason].toString(16).padStart(2, '0');
  }

  it('is of version 2, with its issuer, times, number and the issuer’s key identifier', () => {
    const list = pkijsList(createList([], rsaKey('ca')));
    assert.equal(list.version, 1);
    assert.deepEqual([list.thisUpdate.value.getTime(), list.nextUpdate?.value.getTime()], [thisUpdate, nextUpdate]);
    assert.deepEqual(
      list.crlExtensions?.extensions.map(({ extnID, critical, extnValue }) => [
        extnID,
        critical,
        Buffer.from(extnValue.valueBlock.valueHexView).toString('hex'),
      ]),
      [
        [Oid.authorityKeyIdentifier, false, `30168014${authorityKeyIdentifier.toString('hex')}`],
        [Oid.cRLNumber, false, '02050100000000'],
      ],
    );
    assert.ok(list.issuer.isEqual(pkijsCertificate(createIdentity({ key: rsaKey('ca') }).certificate.der).subject));
  });

  it('has no revokedCertificates at all when nothing is revoked', () => {
    assert.equal(pkijsList(createList([], rsaKey('ca'))).revokedCertificates, undefined);
    const [tbsCertList] = parseBer(createList([], rsaKey('ca'))).elements('CertificateList');
    assert.equal(tbsCertList?.elements('tbsCertList').length, 6);
  });

  it('is signed with every kind of key and verified by pkijs where it knows the algorithm', async () => {
    const signers: [key: KeyObject, signing?: SigningAlgorithm][] = [
      [rsaKey('ca')],
      [rsaKey('ca'), 'SHA512WITHRSA_PSS'],
      [ecKey('prime256v1')],
      [ecKey('secp384r1'), 'SHA384WITHECDSA'],
      [ecKey('secp521r1')],
    ];
    for (const [key, signing] of signers) {
      const der = createList(everyReason, key, signing);
      assert.ok(await pkijsList(der).verify({ issuerCertificate: issuerOf(key) }), `${key.asymmetricKeyType} ${signing}`);
      assert.ok(isSignedBy(der, key));
      assert.ok(!isSignedBy(der, key === rsaKey('ca') ? rsaKey('other') : rsaKey('ca')));
    }
  });

  function issuerOf(key: KeyObject): pkijs.Certificate {
    return pkijsCertificate(createIdentity({ key }).certificate.der);
  }

  it('is signed with ML-DSA', () => {
    for (const type of ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const) {
      const { privateKey } = generateKeyPairSync(type);
      assert.ok(isSignedBy(createList(everyReason, privateKey), privateKey), type);
    }
  });

  it('holds more entries than a call takes arguments', () => {
    const serialNumbers = Array.from({ length: 150_000 }, (_, index) => `40${index.toString(16).padStart(30, '0')}`);
    const revocationDate = `170d${Buffer.from('251224173000Z').toString('hex')}`;
    const entries = serialNumbers.map(serialNumber => `30210210${serialNumber}${revocationDate}`).join('');
    const revoked = serialNumbers.map(serialNumber => ({ serialNumber, revokedAt }));
    assert.ok(Buffer.from(createList(revoked, ecKey('prime256v1'))).includes(Buffer.from(entries, 'hex')));
  });

  it('refuses more entries than the limit', () => {
    const revoked = Array.from({ length: certificateListLimits.entriesMax + 1 }, () => ({ serialNumber: '01', revokedAt }));
    assert.throws(() => createList(revoked, ecKey('prime256v1')), { name: 'RangeError', message: /1000001 entries/ });
  });
});
