/** A NextToken is valid only where it was given, and for a day. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { type Mac, openNextToken, sealNextToken, type TokenScope } from './pagination.ts';

const mac: Mac = async (data, purpose) => createHmac('sha256', `key/${purpose}`).update(data).digest();
const caller = 'arn:aws:iam::111122223333:user/ann';
const scope: TokenScope = { operation: 'ListChallengeMetadata', caller, filter: { ConnectorArn: 'arn:a' } };
const now = Date.UTC(2026, 10, 23);
const dayMs = 24 * 60 * 60_000;
const modelPattern = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$/;

describe('NextToken', () => {
  it("gives its cursor back, in the form of AWS's model", async () => {
    for (const cursor of ['', 'a', 'ab', 'abc', '0a1b2c3d-0000-4000-8000-0123456789ab']) {
      const token = await sealNextToken(mac, scope, cursor, now);
      assert.match(token, modelPattern);
      assert.equal(await openNextToken(mac, scope, token, now), cursor);
    }
  });

  it('is good for a day and not longer', async () => {
    const token = await sealNextToken(mac, scope, 'cursor', now);
    assert.equal(await openNextToken(mac, scope, token, now + dayMs), 'cursor');
    assert.equal(await openNextToken(mac, scope, token, now + dayMs + 1), undefined);
  });

  it('is refused for another operation, caller or filter', async () => {
    const token = await sealNextToken(mac, scope, 'cursor', now);
    const elsewhere: TokenScope[] = [
      { ...scope, operation: 'ListConnectors' },
      { ...scope, caller: 'arn:aws:iam::444455556666:user/ann' },
      { ...scope, caller: 'arn:aws:iam::111122223333:user/bob' },
      { ...scope, filter: { ConnectorArn: 'arn:b' } },
      { ...scope, filter: {} },
    ];
    for (const other of elsewhere) assert.equal(await openNextToken(mac, other, token, now), undefined);
  });

  it('is refused when any character of it is changed', async () => {
    const token = await sealNextToken(mac, scope, 'abc-cursor-0', now);
    for (const index of Array.from(token.replace(/=+$/, '')).keys()) {
      const other = token[index] === 'A' ? 'B' : 'A';
      const changed = token.slice(0, index) + other + token.slice(index + 1);
      // The last character may carry bits that base64 does not use.
      if (Buffer.from(changed, 'base64url').equals(Buffer.from(token, 'base64url'))) continue;
      assert.equal(await openNextToken(mac, scope, changed, now), undefined);
    }
  });

  it('is refused when it is cut short or made up', async () => {
    for (const token of ['', 'AAAA', 'not base64!', 'A'.repeat(1000)]) assert.equal(await openNextToken(mac, scope, token, now), undefined);
  });

  it('is refused when it was made under another key', async () => {
    const token = await sealNextToken(async data => createHmac('sha256', 'other').update(data).digest(), scope, 'cursor', now);
    assert.equal(await openNextToken(mac, scope, token, now), undefined);
  });
});
