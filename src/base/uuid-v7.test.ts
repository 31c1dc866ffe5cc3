/** UUID version 7: its form, its time and its order. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { System } from './system.ts';
import { uuidV7 } from './uuid-v7.ts';

function systemAt(at: number, octet: number): System {
  return { now: () => at, randomBytes: size => new Uint8Array(size).fill(octet), randomUUID: () => '' };
}

it('begins with the milliseconds and carries version and variant (RFC 9562 section 5.7)', () => {
  assert.equal(uuidV7(systemAt(0x0123456789ab, 0xff)), '01234567-89ab-7fff-bfff-ffffffffffff');
  assert.equal(uuidV7(systemAt(0x0123456789ab, 0x00)), '01234567-89ab-7000-8000-000000000000');
});

it('sorts as text by time', () => {
  assert.ok(uuidV7(systemAt(1_790_000_000_000, 0xff)) < uuidV7(systemAt(1_790_000_000_001, 0x00)));
});
