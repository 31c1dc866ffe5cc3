/** IP addresses and networks: read from text, and whether one is in the other. */
import { isIP } from 'node:net';

export interface Network {
  address: readonly number[];
  prefixBits: number;
}

/** CIDR, or one address alone. AWS documents /32 for that in a condition; for an IPv6 address it would be four billion networks, so it is /128 here. */
export function parseNetwork(text: string): Network | undefined {
  const [, host, digits] = /^([\da-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const octets = host === undefined ? undefined : parseOctets(host);
  if (octets === undefined) return undefined;
  const prefixBits = digits === undefined ? octets.length * 8 : Number(digits);
  if (prefixBits > octets.length * 8) return undefined;
  return isMappedIPv4(octets) && prefixBits >= 96
    ? { address: octets.slice(12), prefixBits: prefixBits - 96 }
    : { address: octets, prefixBits };
}

/** The peer's address: an IPv4 peer of a listener for both families shows as ::ffff:192.0.2.1, and a link-local one with its zone. */
export function parseAddress(text: string): readonly number[] | undefined {
  const octets = parseOctets(text.replace(/%.*$/s, ''));
  return octets !== undefined && isMappedIPv4(octets) ? octets.slice(12) : octets;
}

export function isInNetwork(address: readonly number[], { address: network, prefixBits }: Network): boolean {
  if (address.length !== network.length) return false;
  return address.every((octet, index) => {
    const ignoredBits = Math.min(8, Math.max(0, (index + 1) * 8 - prefixBits));
    return octet >> ignoredBits === (network[index] ?? 0) >> ignoredBits;
  });
}

/** 4 or 16 octets. */
function parseOctets(text: string): number[] | undefined {
  switch (isIP(text)) {
    case 4:
      return text.split('.').map(Number);
    case 6: {
      const [head = '', tail] = text.split('::');
      const first = groupsToOctets(head);
      if (tail === undefined) return first;
      const last = groupsToOctets(tail);
      return [...first, ...Array.from({ length: 16 - first.length - last.length }, () => 0), ...last];
    }
    default:
      return undefined;
  }
}

/** The groups on one side of `::`, of which the last may be an IPv4 address (RFC 4291 section 2.2). */
function groupsToOctets(groups: string): number[] {
  if (groups === '') return [];
  return groups.split(':').flatMap(group => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
function isMappedIPv4(octets: readonly number[]): boolean {
  return octets.length === 16 && octets.slice(0, 12).every((octet, index) => octet === (index < 10 ? 0 : 0xff));
}
