/** SCEP URLs as clients send them: what is found in them, and that the secret is not among what is logged. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseScepUrl } from './scep-url.ts';

const accountId = '111122223333';
const connectorId = '11111111-2222-4333-8444-555555555555';
const secret = '12345678-1234-4234-8234-123456789012';

describe('parseScepUrl', () => {
  it('finds connector, secret and query, whatever is appended', () => {
    const connectorPath = { accountId, connectorId, secret };
    const asked = { accountId, connectorId };
    for (const [target, host, rawQuery] of [
      [`/${accountId}-${connectorId}/${secret}`, undefined, ''],
      [`/${accountId}-${connectorId}/${secret}/pkiclient.exe?a?b`, undefined, 'a&b'],
      [`HTTP://h:1/${accountId}-${connectorId}/${secret}/?x`, 'h:1', 'x'],
    ] as const)
      assert.deepEqual(parseScepUrl(target), { host, rawQuery, asked, connectorPath }, target);
  });

  const asked: [path: string, asked: object | undefined][] = [
    [`/${accountId}-${connectorId}`, { accountId, connectorId }],
    [`/scep/${accountId}-${connectorId}/${secret}`, { accountId, connectorId }],
    [`/${accountId}-${connectorId.toUpperCase().replace('1', 'X')}/${secret}`, { accountId, connectorId: connectorId.replace('1', 'X') }],
    [`/${accountId}-${connectorId}${secret}`, { accountId, connectorId }],
    [`/${accountId}-${connectorId}%2f${secret}`, { accountId, connectorId }],
    [`/${accountId}-x%2f${secret}`, { accountId, connectorId: 'x' }],
    [`/${secret}/${accountId}`, undefined],
    [`/${secret}`, undefined],
    [`/nowhere`, undefined],
    ['', undefined],
  ];
  for (const [path, expected] of asked) {
    it(`takes from ${path || 'nothing'} what was asked for and nothing of the secret`, () => {
      const url = parseScepUrl(`${path}?operation=GetCACaps`);
      assert.deepEqual(url.asked, expected);
      assert.equal(url.connectorPath, undefined);
    });
  }
});
