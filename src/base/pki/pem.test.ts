/** Shows that PEM is written as OpenSSL reads it and read as OpenSSL writes it. */
import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { refused } from '../../../test/support/pki-error-check.ts';
import { createIdentity, ecKey } from '../../../test/support/pki-fixtures.ts';
import { encodePem, parsePem } from './pem.ts';

const { certificate } = createIdentity({ key: ecKey('prime256v1') });

describe('encodePem', () => {
  it('writes what OpenSSL reads', () => {
    assert.deepEqual(new Uint8Array(new X509Certificate(encodePem('CERTIFICATE', certificate.der)).raw), new Uint8Array(certificate.der));
  });

  it('writes lines of 64 characters', () => {
    const lines = encodePem('X', Buffer.alloc(100)).trimEnd().split('\n');
    assert.deepEqual(
      lines.map(line => line.length),
      ['-----BEGIN X-----'.length, 64, 64, 8, '-----END X-----'.length],
    );
  });
});

describe('parsePem', () => {
  it('reads what OpenSSL writes', () => {
    const key = createPublicKey(ecKey('prime256v1'));
    const [der] = parsePem('PUBLIC KEY', key.export({ format: 'pem', type: 'spki' }).toString());
    assert.deepEqual(der, key.export({ format: 'der', type: 'spki' }));
  });

  it('gives every object with the label, in order, and passes over others and over text around them', () => {
    const text = `subject=CN = a\r\n${encodePem('A', Buffer.of(1))}${encodePem('B', Buffer.of(2))}junk\n${encodePem('A', Buffer.of(3))}`;
    assert.deepEqual(parsePem('A', text.replaceAll('\n', '\r\n')), [Buffer.of(1), Buffer.of(3)]);
  });

  it('refuses a text without the label', () => {
    for (const text of ['', encodePem('B', Buffer.of(1)), '-----BEGIN A-----\nAQ==\n'])
      refused(() => parsePem('A', text), 'malformed', /no "BEGIN A"/);
  });
});
