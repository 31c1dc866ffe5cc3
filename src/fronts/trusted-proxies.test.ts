/** X-Forwarded-For counts as far as trusted proxies wrote it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Network, parseNetwork } from '../base/ip-networks.ts';
import { sourceOf } from './trusted-proxies.ts';

const proxies = ['10.0.0.5', '192.168.7.0/24', '2001:db8:7::/48'].map(parseNetwork).filter((each): each is Network => each !== undefined);
const device = '203.0.113.9';

describe('sourceOf', () => {
  const cases: [name: string, peer: string, forwardedFor: string[], source: string][] = [
    ['takes what a trusted proxy says', '10.0.0.5', [device], device],
    ['goes through a chain of trusted proxies', '10.0.0.5', [`${device}, 192.168.7.20, 192.168.7.21`], device],
    ['takes the last address that no trusted proxy has, not what it said before', '10.0.0.5', [`1.1.1.1, 10.0.0.5, ${device}`], device],
    ['reads several headers as one list, in their order', '10.0.0.5', ['1.1.1.1', `${device}, 192.168.7.20`], device],
    ['ignores the header of everybody else', '10.0.0.6', ['1.1.1.1'], '10.0.0.6'],
    ['ignores it from a device that claims to come through a proxy', device, ['1.1.1.1, 10.0.0.5'], device],
    ['takes the proxy itself when it says nothing', '10.0.0.5', [], '10.0.0.5'],
    ['takes the proxy itself when it says nothing of use', '10.0.0.5', ['1.1.1.1, unknown'], '10.0.0.5'],
    ['takes the proxy itself when what it says is empty', '10.0.0.5', ['1.1.1.1,'], '10.0.0.5'],
    ['stops at a proxy whose word is no address', '10.0.0.5', ['1.1.1.1, _hidden, 192.168.7.20'], '192.168.7.20'],
    ['takes the farthest when all are trusted', '10.0.0.5', ['192.168.7.20, 192.168.7.21'], '192.168.7.20'],
    ['knows a proxy as a listener for both families shows it', '::ffff:10.0.0.5', [device], device],
    ['knows a proxy by its IPv6 network', '2001:db8:7:ffff::1', ['2001:db8:8::1'], '2001:db8:8::1'],
    ['leaves ports away', '10.0.0.5', [`1.1.1.1, ${device}:50123`], device],
    ['leaves the port of an IPv6 address away', '10.0.0.5', ['[2001:db8:8::1]:50123'], '2001:db8:8::1'],
    ['leaves the brackets of an IPv6 address away', '10.0.0.5', ['[2001:db8:8::1]'], '2001:db8:8::1'],
    ['does not take numbers for an address', '10.0.0.5', ['300.1.1.1:80'], '10.0.0.5'],
  ];
  for (const [name, peer, forwardedFor, source] of cases) {
    it(name, () => assert.equal(sourceOf(proxies, peer, forwardedFor), source));
  }

  it('looks at no more than the last 32 addresses', () => {
    const chain = Array.from({ length: 32 }, (_, index) => `192.168.7.${index}`);
    assert.equal(sourceOf(proxies, '10.0.0.5', [[device, ...chain].join(', ')]), '192.168.7.0');
    assert.equal(sourceOf(proxies, '10.0.0.5', [[device, ...chain.slice(1)].join(', ')]), device);
  });

  it('believes nobody when no proxy is trusted', () => {
    assert.equal(sourceOf([], '10.0.0.5', [device]), '10.0.0.5');
  });
});
