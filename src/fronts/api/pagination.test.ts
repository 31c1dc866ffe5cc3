/** A NextToken is valid only where it was given. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { type Mac, openNextToken, sealNextToken, type TokenScope } from './pagination.ts';

const mac: Mac = async (data, purpose) => createHmac('sha256', `key/${purpose}`).update(data).digest();
const scope: TokenScope = { operation: 'ListChallengeMetadata', accountId: '111122223333', filter: { ConnectorArn: 'arn:a' } };
const modelPattern = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$/;
const refusal = { name: 'ValidationException', message: /^NextToken is not one that this operation returned/ };

describe('NextToken', () => {
  it("gives its cursor back, in the form of AWS's model", async () => {
    for (const cursor of ['', 'a', 'ab', 'abc', '0a1b2c3d-0000-4000-8000-0123456789ab']) {
      const token = await sealNextToken(mac, scope, cursor);
      assert.match(token, modelPattern);
      assert.equal(await openNextToken(mac, scope, token), cursor);
    }
  });

  it('is refused for another operation, account or filter', async () => {
    const token = await sealNextToken(mac, scope, 'cursor');
    const elsewhere: TokenScope[] = [
      { ...scope, operation: 'ListConnectors' },
      { ...scope, accountId: '444455556666' },
      { ...scope, filter: { ConnectorArn: 'arn:b' } },
      { ...scope, filter: {} },
    ];
    for (const other of elsewhere) await assert.rejects(openNextToken(mac, other, token), refusal);
  });

  it('is refused when any character of it is changed', async () => {
    const token = await sealNextToken(mac, scope, 'abc-cursor-0');
    assert.equal(token.length % 4, 0);
    for (const index of Array.from(token.replace(/=+$/, '')).keys()) {
      const other = token[index] === 'A' ? 'B' : 'A';
      const changed = token.slice(0, index) + other + token.slice(index + 1);
      // The last character may carry bits that base64 does not use.
      if (Buffer.from(changed, 'base64url').equals(Buffer.from(token, 'base64url'))) continue;
      await assert.rejects(openNextToken(mac, scope, changed), refusal);
    }
  });

  it('is refused when it is cut short or made up', async () => {
    for (const token of ['', 'AAAA', 'not base64!', 'A'.repeat(1000)]) await assert.rejects(openNextToken(mac, scope, token), refusal);
  });

  it('is refused when it was made under another key', async () => {
    const token = await sealNextToken(async data => createHmac('sha256', 'other').update(data).digest(), scope, 'cursor');
    await assert.rejects(openNextToken(mac, scope, token), refusal);
  });
});
