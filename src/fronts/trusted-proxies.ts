/** Where a request really comes from: the peer's address, or what a proxy that the operator trusts says in X-Forwarded-For. */
import { isInNetwork, type Network, parseAddress } from '../base/ip-networks.ts';

/** A chain of proxies is short; what is before these is not looked at. */
const addressesMax = 32;

/**
 * The last address in the chain that is no trusted proxy. Every proxy appends whom it got the request from, so what stands to the right of that address
 * was written by proxies of the operator, and what stands to its left by whoever sent the request.
 */
export function sourceOf(trustedProxies: readonly Network[], peer: string, forwardedFor: readonly string[]): string {
  const isTrusted = (text: string): boolean => {
    const address = parseAddress(text);
    return address !== undefined && trustedProxies.some(network => isInNetwork(address, network));
  };
  if (!isTrusted(peer)) return peer;
  let source = peer;
  for (const entry of forwardedFor.join(',').split(',').slice(-addressesMax).toReversed()) {
    const address = withoutPort(entry.trim());
    // "unknown", or nothing: the proxy that wrote it is the last that is known.
    if (parseAddress(address) === undefined) return source;
    source = address;
    if (!isTrusted(address)) return source;
  }
  return source;
}

/** Azure's gateway writes `192.0.2.1:50123`, and an IPv6 address has brackets then. */
function withoutPort(entry: string): string {
  const [, bracketed, dotted] = /^(?:\[([^\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/.exec(entry) ?? [];
  return bracketed ?? dotted ?? entry;
}
