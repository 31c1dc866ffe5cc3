/** PEM (RFC 7468): the textual form of certificates and keys in files. */
import { malformed } from './pki-error.ts';

export function encodePem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** Every object with this label, in the order of the file. Throws PkiError when there is none. */
export function parsePem(label: string, text: string): Uint8Array[] {
  const form = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*?)-----END ${label}-----`, 'g');
  const objects = [...text.matchAll(form)].map(match => Buffer.from(match[1] ?? '', 'base64'));
  if (objects.length === 0) throw malformed(`there is no "BEGIN ${label}" in the PEM text`);
  return objects;
}
