/** Shows that a CSR for an ML-DSA key is read and its proof of possession verified, and that no other key passes for it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createSigner } from './algorithms.ts';
import { parseNameString } from './name.ts';
import { createCertificationRequest, parseCertificationRequest, verifyCertificationRequest } from './pkcs10.ts';
import { publicKeyOf } from './public-key.ts';

const subject = parseNameString('CN=printer-7').der;

describe('a CSR for an ML-DSA key', () => {
  for (const type of ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const) {
    const [key, other] = [generateKeyPairSync(type).privateKey, generateKeyPairSync(type).privateKey];
    const { spki: subjectPublicKeyInfo } = publicKeyOf(key);
    const template = { subject, subjectPublicKeyInfo, challengePassword: 'secret', extensions: [] };

    it(`is verified: ${type}`, () => {
      const csr = parseCertificationRequest(createCertificationRequest(template, createSigner(key)));
      assert.equal(csr.publicKey.kind, 'ML-DSA');
      assert.ok(csr.publicKey.keyObject.equals(publicKeyOf(key).keyObject));
      assert.ok(verifyCertificationRequest(csr));
    });

    it(`is not verified when another key signed it, or a part of it was changed: ${type}`, () => {
      assert.ok(!verifyCertificationRequest(parseCertificationRequest(createCertificationRequest(template, createSigner(other)))));
      const altered = Buffer.from(createCertificationRequest(template, createSigner(key)));
      const at = altered.indexOf('printer-7');
      altered[at] = (altered[at] ?? 0) ^ 1;
      assert.ok(!verifyCertificationRequest(parseCertificationRequest(altered)));
    });
  }

  it('is malformed when the key is cut short', () => {
    const { spki } = publicKeyOf(generateKeyPairSync('ml-dsa-44').publicKey);
    // The lengths of the SEQUENCE, at 2, and of the BIT STRING, at 19, are one less, as is the key.
    const short = Buffer.from(spki.subarray(0, -1));
    for (const at of [2, 19]) short.writeUInt16BE(short.readUInt16BE(at) - 1, at);
    const template = { subject, subjectPublicKeyInfo: short, extensions: [] };
    const csr = createCertificationRequest(template, createSigner(generateKeyPairSync('ml-dsa-44').privateKey));
    refused(() => parseCertificationRequest(csr), 'malformed', /an ML-DSA key of 1311 octets/);
  });
});
