/** Shows that a request is refused exactly when no answer could be encrypted to its signer: before anything is issued, and not after. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { valueOrRefusal } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa, createCsr, createIdentity, createPkcsReq, laxPolicy, rsaKey } from '../../../test/support/pki-fixtures.ts';
import { contentCiphers, digests } from '../../base/pki/algorithms.ts';
import { encodeEnvelopedData, type KeyTransport } from '../../base/pki/enveloped-data.ts';
import { openRequest } from './pki-work.ts';

const { ra } = createCaAndRa();
const keyPairs = [{ certificate: ra.certificate.der, privateKey: ra.privateKey }];
const ciphers = [contentCiphers['AES-128-CBC'], contentCiphers['AES-256-CBC']];
const transports: KeyTransport[] = [{ scheme: 'PKCS1' }, ...Object.values(digests).map(digest => ({ scheme: 'OAEP', digest }) as const)];

describe('openRequest', () => {
  for (const keyTransport of transports) {
    const name = keyTransport.scheme === 'OAEP' ? `OAEP with ${keyTransport.digest.name}` : 'PKCS#1 v1.5';
    it(`refuses a signer to whose RSA key the answer cannot be encrypted, and no other: ${name}`, () => {
      const opened: boolean[] = [];
      for (const bits of [512, 1024, 2048]) {
        const client = createIdentity({ key: rsaKey('client', bits) });
        for (const cipher of ciphers) {
          const message = createPkcsReq({ client, ra, csr: createCsr(client.privateKey), keyTransport, cipher });
          const open = () => openRequest({ message, requestType: 'PKCSReq', keyPairs, policy: laxPolicy });
          const answer = () =>
            encodeEnvelopedData({ content: Buffer.alloc(1), recipient: client.certificate, cipher, keyTransport, randomBytes });
          const isOpened = valueOrRefusal(open, () => `${bits} bits`) !== undefined;
          opened.push(isOpened);
          if (isOpened) assert.doesNotThrow(answer);
          else assert.throws(answer, { code: 'ERR_OSSL_RSA_DATA_TOO_LARGE_FOR_KEY_SIZE' });
        }
      }
      assert.equal(opened.at(-1), true);
    });
  }
});
