/** The query string of a SCEP request, read as real clients write it: a tolerant parser of the raw bytes (RFC 8894 section 4.1). */
import { malformed } from '../../base/pki/pki-error.ts';

/**
 * The value of a parameter as received, percent-encoding and plus signs untouched; undefined when it is not there. Not URLSearchParams: to that a
 * plus sign is a space, and Apple and Android send base64's plus signs raw.
 */
export function rawParameter(rawQuery: string, name: string): string | undefined {
  for (const pair of rawQuery.split('&')) {
    const equals = pair.indexOf('=');
    if ((equals < 0 ? pair : pair.slice(0, equals)) === name) return equals < 0 ? '' : pair.slice(equals + 1);
  }
  return undefined;
}

/**
 * The pkiMessage in GET's message parameter. Takes base64 and base64url, padded or not, with `+` escaped, raw or turned into a space, and with
 * line breaks (Cisco IOS and strongSwan break every 64 characters). Throws PkiError malformed.
 */
export function parseGetMessage(rawMessage: string): Uint8Array {
  const text = percentDecode(rawMessage)
    .replace(/[\r\n\t]/g, '')
    .replace(/[ -]/g, '+')
    .replaceAll('_', '/')
    .replaceAll('=', '');
  if (text === '' || text.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(text)) throw malformed('The request must contain base64.');
  return Buffer.from(text, 'base64');
}

function percentDecode(text: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw malformed('The request must contain base64.');
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
}
