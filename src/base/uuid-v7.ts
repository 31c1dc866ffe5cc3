/** UUID version 7 (RFC 9562 section 5.7): row ids that begin with time, so that new rows of a hot table lie together in its index. */
import type { System } from './system.ts';

export function uuidV7(system: System): string {
  const octets = Buffer.from(system.randomBytes(16));
  octets.writeUIntBE(system.now(), 0, 6);
  octets[6] = 0x70 | ((octets[6] ?? 0) & 0x0f);
  octets[8] = 0x80 | ((octets[8] ?? 0) & 0x3f);
  const digits = octets.toString('hex');
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join('-');
}
