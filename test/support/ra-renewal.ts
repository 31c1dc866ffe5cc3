/** What the tests of RA keys look at: what GetCACert offers, a device whose clock goes with the server's, and the events of renewals. */
import type { Database } from '../../src/backends/store/database.ts';
import type { KeyPair } from '../../src/base/pki/enveloped-data.ts';
import { findExtension, KeyUsage, parseBasicConstraints, parseKeyUsage } from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { parseSignedData } from '../../src/base/pki/signed-data.ts';
import type { Certificate } from '../../src/base/pki/x509.ts';
import { rsaKey } from './pki-fixtures.ts';
import { send } from './raw-scep-client.ts';
import { createDevice } from './scep-messages.ts';

const dayMs = 86_400_000;

/** GetCACert's certificates: all as they came, those of the RA, those of CAs. */
export async function offered(url: string): Promise<{ all: readonly Certificate[]; ras: Certificate[]; cas: Certificate[] }> {
  const { statusCode, body } = await send(`${url}?operation=GetCACert`);
  if (statusCode !== 200) throw new Error(`HTTP ${statusCode}: ${String(body)}`);
  const { certificates } = parseSignedData(body);
  return { all: certificates, ras: certificates.filter(certificate => !isCa(certificate)), cas: certificates.filter(isCa) };
}

function isCa({ extensions }: Certificate): boolean {
  const extension = findExtension(extensions, Oid.basicConstraints);
  return extension !== undefined && parseBasicConstraints(extension).cA;
}

export function keyUsageOf({ extensions }: Certificate): string[] {
  const extension = findExtension(extensions, Oid.keyUsage);
  const bits = extension ? parseKeyUsage(extension) : new Set<number>();
  return Object.entries(KeyUsage).flatMap(([name, bit]) => (bits.has(bit) ? [name] : []));
}

export function dueAt({ notBefore, notAfter }: Certificate): number {
  return notBefore + ((notAfter - notBefore) * 2) / 3;
}

/** Its own certificate is good for ten years. */
export function lastingDevice(): KeyPair {
  return createDevice(rsaKey('device'), { notAfter: Date.now() + 3650 * dayMs });
}

export interface RenewalEvent {
  name: string;
  reason: string | null;
  detail: { serialNumbers?: string[]; notAfter?: number; statusReason?: string; retryAt?: number };
}

/** In the order in which they happened. */
export async function renewalEvents(database: Database, connectorId: string): Promise<RenewalEvent[]> {
  const rows = await database.query
    .selectFrom('audit_events')
    .select(['name', 'reason', 'detail'])
    .where('connector_id', '=', connectorId)
    .where('name', 'like', 'RaKey%')
    .orderBy('event_id')
    .execute();
  return rows.map(({ name, reason, detail }) => ({ name, reason, detail: JSON.parse(detail) as RenewalEvent['detail'] }));
}
