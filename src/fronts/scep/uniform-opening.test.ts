/** Shows that whatever is wrong behind the RA key, from the padding of the content key to the CSR's last byte, fails in the same words; bench/timing.ts shows the time. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { hex } from '../../../test/support/ber.ts';
import { createBrokenEnvelopes } from '../../../test/support/broken-envelopes.ts';
import { encryptBlock, encryption, encryptKey, envelope, recipientInfo } from '../../../test/support/cms-parts.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createCaAndRa, createCsr, createIdentity, createPkcsReq, defaultPolicy, rsaKey } from '../../../test/support/pki-fixtures.ts';
import { createTimedCsrs, createTimedMessage, type TimedKind, timedKinds } from '../../../test/support/timed-envelopes.ts';
import { contentCiphers } from '../../base/pki/algorithms.ts';
import { takeContentKey } from '../../base/pki/content-key.ts';
import { sequence, tlv } from '../../base/pki/der.ts';
import { findOpening, type KeyPair, parseEnvelopedData } from '../../base/pki/enveloped-data.ts';
import { parseCertificationRequest, verifyCertificationRequest } from '../../base/pki/pkcs10.ts';
import { openPkiMessage, parsePkiMessage } from './pki-message.ts';
import { decoy, hasOutline, openUniformly, uniformReadingMs } from './uniform-opening.ts';

const { ra } = createCaAndRa();
const client = createIdentity({ serialNumber: '01'.repeat(16) });
const stranger = createIdentity({ serialNumber: '02'.repeat(16), key: rsaKey('stranger') });

const open = (message: Uint8Array) =>
  openPkiMessage(parsePkiMessage(message), { requestType: 'PKCSReq', keyPairs: [ra], policy: defaultPolicy });

const uniform = 'The request could not be decoded. Please send a valid SCEP request.';
function refusedUniformly(message: Uint8Array): void {
  const error = refused(() => open(message), 'undecodable');
  assert.deepEqual([error.message, error.cause, Object.keys(error)], [uniform, undefined, ['name', 'reason', 'algorithm']]);
}

describe('what fails behind the RA key', () => {
  const { failures, successes } = createBrokenEnvelopes({ ra, client });

  it('does not fail when nothing is wrong', () => {
    for (const message of successes) assert.ok(open(message));
  });

  for (const [name, message] of failures) {
    it(`is one and the same PkiError: ${name}`, () => refusedUniformly(message));
  }

  it('fails after a content key that is none, even if its substitute happens to open the CSR', () => {
    const block = randomBytes(256).fill(0, 0, 1);
    const { algorithm, encrypt } = encryption(contentCiphers['AES-128-CBC'], takeContentKey(block, 'PKCS1', 16).key);
    const info = recipientInfo({ recipient: ra.certificate, encryptedKey: encryptBlock(ra.certificate, block) });
    const encryptedContent = encrypt(createCsr(client.privateKey, 'secret'));
    refusedUniformly(createPkcsReq({ client, ra, eContent: envelope({ recipientInfos: [info], algorithm, encryptedContent }) }));
  });
});

describe('a request that another has encrypted', () => {
  const cipher = contentCiphers['AES-128-CBC'];
  /** So long that its padding is one octet, which is the easiest to guess. */
  const csr = Array.from({ length: 16 }, (_, length) => createCsr(client.privateKey, 'x'.repeat(20 + length))).find(
    ({ length }) => length % 16 === 15,
  );
  assert.ok(csr);
  const { key, algorithm, encrypt } = encryption(cipher);
  const ciphertext = Buffer.from(encrypt(csr));
  const info = recipientInfo({ recipient: ra.certificate, encryptedKey: encryptKey(ra.certificate, key) });
  const sendAs = (sender: KeyPair, encryptedContent: Uint8Array) =>
    createPkcsReq({ client: sender, ra, eContent: envelope({ recipientInfos: [info], algorithm, encryptedContent }) });

  it('is opened as it is: whose key the CSR is for is judged later', () => {
    assert.deepEqual(open(sendAs(stranger, ciphertext)).messageData, csr);
  });

  it('fails in the one way with whatever block of it put last, so that no octet of it can be found by its padding', () => {
    const end = ciphertext.length;
    for (let guess = 0; guess < 256; guess++) {
      const altered = Buffer.from(ciphertext);
      altered[end - 17] = guess;
      ciphertext.copy(altered, end - 16, 320, 336);
      refusedUniformly(sendAs(stranger, altered));
    }
  });

  it('is opened altered for its signer alone, who is told that its signature is wrong', () => {
    const altered = Buffer.from(ciphertext);
    altered.writeUInt8(altered.readUInt8(altered.length - 50) ^ 1, altered.length - 50);
    assert.equal(verifyCertificationRequest(parseCertificationRequest(open(sendAs(client, altered)).messageData)), false);
  });
});

describe('what is timed', () => {
  const csrsOf = createTimedCsrs({ client: client.privateKey, another: stranger.privateKey }, 1);
  const csrOf = (kind: TimedKind) => csrsOf(kind)[0] ?? Buffer.alloc(0);
  for (const scheme of ['PKCS1', 'OAEP'] as const) {
    for (const cipher of [contentCiphers['AES-128-CBC'], contentCiphers['AES-256-CBC']]) {
      it(`is valid or fails uniformly, and is of one size, in ${scheme} and ${cipher.name}`, () => {
        const messages = timedKinds.map(kind => [kind, createTimedMessage({ client, ra, scheme, cipher }, kind, csrOf(kind))] as const);
        for (const [kind, message] of messages) {
          if (kind === 'valid') assert.deepEqual(open(message).messageData, csrOf(kind));
          else refusedUniformly(message);
        }
        assert.equal(new Set(messages.map(([, { length }]) => length)).size, 1);
      });
    }
  }
});

describe('the reading', () => {
  it('takes its time, whatever comes of it and however soon', () => {
    const { key, algorithm, encrypt } = encryption(contentCiphers['AES-128-CBC']);
    const info = recipientInfo({ recipient: ra.certificate, encryptedKey: encryptKey(ra.certificate, key) });
    const opening = findOpening(
      parseEnvelopedData(envelope({ recipientInfos: [info], algorithm, encryptedContent: encrypt(Buffer.alloc(600)) })),
      [ra],
    );
    const fail = () => {
      throw new Error('no CSR');
    };
    for (const read of [() => true, () => false, fail]) {
      let startedAt = 0;
      try {
        openUniformly(opening, () => {
          startedAt = performance.now();
          return read();
        });
      } catch {}
      // Most of it: it began a little earlier than could be told here.
      assert.ok(performance.now() - startedAt > uniformReadingMs / 2);
    }
  });
});

describe('the decoy', () => {
  it('is parsed to its end, as a CSR is', () => {
    const { publicKey, challengePasswords, extensions } = parseCertificationRequest(decoy);
    assert.deepEqual([publicKey.kind, publicKey.bits, challengePasswords.length, extensions.length], ['RSA', 2048, 1, 3]);
  });

  it('could never be enrolled itself', () => {
    assert.equal(verifyCertificationRequest(parseCertificationRequest(decoy)), false);
  });
});

describe('the outline of a CSR', () => {
  const csr = Buffer.from(createCsr(client.privateKey, 'secret'));
  const message = (octets: Uint8Array) => createPkcsReq({ client, ra, csr: octets });
  const content = csr.subarray(4);
  const info = content.subarray(0, 4 + content.readUInt16BE(2));
  const algorithm = content.subarray(info.length, info.length + 15);
  const signature = content.subarray(info.length + algorithm.length);
  const end = hex('00 00');

  it('is that of a CSR in every form that BER allows', () => {
    const forms = [
      csr,
      Buffer.concat([hex('30 80'), content, end]),
      Buffer.concat([hex('30 83 00'), csr.subarray(2, 4), content]),
      Buffer.concat([hex('30 80 30 80'), info.subarray(4), end, algorithm, signature, end]),
      sequence(info, Buffer.concat([hex('30 80'), algorithm.subarray(2), end]), signature),
      sequence(info, algorithm, tlv(0x23, signature)),
    ];
    for (const form of forms) {
      assert.ok(hasOutline(form));
      assert.ok(open(message(form)));
    }
  });

  it('is not that of anything else, which fails in the one way', () => {
    const others = [
      Buffer.alloc(0),
      hex('30'),
      hex('30 00'),
      hex('30 02 30 00'),
      hex('30 04 30 00 30 00'),
      hex('30 06 30 00 30 00 04 00'),
      hex('30 06 30 00 31 00 03 00'),
      hex('30 06 30 00 30 00 03 01'),
      hex('30 07 30 00 30 00 03 00 00'),
      hex('30 ff'),
      Buffer.concat([hex('30 84 ff ff ff ff'), content]),
      Buffer.concat([hex('31'), csr.subarray(1)]),
      csr.subarray(0, -1),
      Buffer.concat([csr, Buffer.of(0)]),
      sequence(algorithm, signature),
      Buffer.concat([csr.subarray(0, csr.length >> 1), Buffer.alloc(csr.length - (csr.length >> 1), 0x55)]),
    ];
    for (const other of others) {
      assert.equal(hasOutline(other), false, other.toString('hex').slice(0, 40));
      refusedUniformly(message(other));
    }
  });

  it('alone is no CSR', () => {
    for (const octets of [hex('30 80'), hex('30 80 00 00'), hex('30 06 30 00 30 00 03 00'), client.certificate.der]) {
      assert.ok(hasOutline(octets));
      refusedUniformly(message(octets));
    }
  });
});
