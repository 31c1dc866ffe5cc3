/** Shows that whatever is wrong behind the RA key, from the padding of the content key to the CSR's last byte, fails in the same words; bench/codec.ts shows the time. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { createBrokenEnvelopes } from '../../../test/support/broken-envelopes.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa, createIdentity, defaultPolicy } from '../../../test/support/pki-fixtures.ts';
import { openPkiMessage, parsePkiMessage } from './pki-message.ts';

const { ra } = createCaAndRa();
const client = createIdentity();

const open = (message: Uint8Array) =>
  openPkiMessage(parsePkiMessage(message), { requestType: 'PKCSReq', keyPairs: [ra], policy: defaultPolicy, randomBytes });

describe('what fails behind the RA key', () => {
  const uniform = 'The request could not be decoded. Please send a valid SCEP request.';
  const { failures, successes, withEncryptedKey, key } = createBrokenEnvelopes({ ra, client });

  it('does not fail when nothing is wrong', () => {
    for (const message of successes) assert.ok(open(message));
  });

  for (const [name, message] of failures) {
    it(`is one and the same PkiError: ${name}`, () => {
      const error = refused(() => open(message), 'undecodable');
      assert.deepEqual([error.message, error.cause, Object.keys(error)], [uniform, undefined, ['name', 'reason', 'algorithm']]);
    });
  }

  it('fails after a content key that is none, even if its substitute happens to open the CSR', () => {
    const message = parsePkiMessage(withEncryptedKey(Buffer.alloc(256, 0xff)));
    const options = { requestType: 'PKCSReq' as const, keyPairs: [ra], policy: defaultPolicy, randomBytes: () => key };
    assert.equal(refused(() => openPkiMessage(message, options), 'undecodable').message, uniform);
  });
});
