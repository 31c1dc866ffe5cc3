/** The keys and certificates of the vectors' world, read from test/vectors/world: the same in every process and on every day. */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KeyPair } from '../../src/base/pki/enveloped-data.ts';
import { parsePem } from '../../src/base/pki/pem.ts';
import { parseCertificate } from '../../src/base/pki/x509.ts';

export const worldDirectory = join(import.meta.dirname, '../vectors/world');

/** The world's clock stands still at this instant: within the hour for which scepclient's captured certificate is good. */
export const worldNow = Date.UTC(2026, 10, 26, 2);

export interface IdentitySpec {
  subject: string;
  /** Self-signed when absent. */
  issuer?: IdentityName;
  /** Whose key it has; its own when absent. */
  key?: IdentityName;
  notBefore?: number;
  notAfter?: number;
  /** Of RSA; P-256 stands for a key on that curve. */
  bits?: number | 'P-256';
  role: 'CA' | 'RA' | 'RA that signs' | 'RA that decrypts' | 'device';
}

const root = 'CN=Vector Root,O=Open Connector';
const expired = { notBefore: Date.UTC(2026, 0, 1), notAfter: Date.UTC(2026, 5, 1) } as const;
/** Late enough in its life for any connector that renews at all. */
const soonExpired = { notBefore: Date.UTC(2026, 0, 1), notAfter: Date.UTC(2026, 11, 6) } as const;

const names = {
  ca: { subject: root, role: 'CA' },
  // The same name, another key: its certificates look as if they were ours.
  'look-alike-ca': { subject: root, role: 'CA' },
  'ra-default': { subject: 'CN=RA of default', issuer: 'ca', role: 'RA' },
  'ra-other': { subject: 'CN=RA of other', issuer: 'ca', role: 'RA' },
  'ra-two-new': { subject: 'CN=Second RA of two-ra', issuer: 'ca', role: 'RA' },
  'ra-two-old': { subject: 'CN=First RA of two-ra', issuer: 'ca', role: 'RA' },
  // It ran out the day before, and devices that have cached it do not know yet.
  'ra-two-expired': { subject: 'CN=Former RA of two-ra', issuer: 'ca', role: 'RA', notAfter: Date.UTC(2026, 10, 25) },
  'ra-legacy': { subject: 'CN=RA of legacy', issuer: 'ca', role: 'RA' },
  'ra-renewal': { subject: 'CN=RA of renewal', issuer: 'ca', role: 'RA' },
  'ra-approval': { subject: 'CN=RA of approval', issuer: 'ca', role: 'RA' },
  'ra-signing': { subject: 'CN=RA that signs', issuer: 'ca', role: 'RA that signs' },
  'ra-decrypting': { subject: 'CN=RA that decrypts', issuer: 'ca', role: 'RA that decrypts' },
  // Self-signed, as RFC 8894 section 2.3 has a device make them.
  device: { subject: 'CN=printer-7', role: 'device' },
  'device-2': { subject: 'CN=printer-8', role: 'device' },
  'device-3072': { subject: 'CN=printer-9', role: 'device', bits: 3072 },
  'device-1024': { subject: 'CN=printer-10', role: 'device', bits: 1024 },
  'device-ec': { subject: 'CN=printer-11', role: 'device', bits: 'P-256' },
  'device-expired': { subject: 'CN=printer-7', key: 'device', role: 'device', ...expired },
  'device-other-name': { subject: 'CN=router.example.com', key: 'device', role: 'device' },
  // Issued, and in the store.
  'issued-default': { subject: 'CN=issued-default,O=Example', issuer: 'ca', role: 'device', ...soonExpired },
  'issued-valid': { subject: 'CN=issued-valid,O=Example', issuer: 'ca', role: 'device', ...soonExpired },
  'issued-early': { subject: 'CN=issued-early,O=Example', issuer: 'ca', role: 'device' },
  'issued-revoked': { subject: 'CN=issued-revoked,O=Example', issuer: 'ca', role: 'device', ...soonExpired },
  'issued-expired': { subject: 'CN=issued-expired,O=Example', issuer: 'ca', role: 'device', ...expired },
  'issued-other': { subject: 'CN=issued-other,O=Example', issuer: 'ca', role: 'device', ...soonExpired },
  // Not in the store.
  'issued-elsewhere': { subject: 'CN=issued-valid,O=Example', issuer: 'look-alike-ca', role: 'device', ...soonExpired },
  'issued-unknown': { subject: 'CN=issued-unknown,O=Example', issuer: 'ca', role: 'device', ...soonExpired },
} as const satisfies Record<string, Omit<IdentitySpec, 'issuer' | 'key'> & { issuer?: string; key?: string }>;

export type IdentityName = keyof typeof names;
export const identitySpecs: Readonly<Record<IdentityName, IdentitySpec>> = names;
export const identityNames = Object.keys(names) as IdentityName[];

const identities = new Map<IdentityName, KeyPair>();

export function identityFile(name: IdentityName): string {
  return join(worldDirectory, `${name}.pem`);
}

/** Read once: to parse a key costs far more than to look it up. */
export function identity(name: IdentityName): KeyPair {
  const known = identities.get(name);
  if (known !== undefined) return known;
  const text = readFileSync(identityFile(name), 'utf8');
  const [certificate] = parsePem('CERTIFICATE', text);
  if (certificate === undefined) throw new Error(`no certificate in ${name}.pem`);
  const read = { certificate: parseCertificate(certificate), privateKey: createPrivateKey(text) };
  identities.set(name, read);
  return read;
}
