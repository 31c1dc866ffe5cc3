/** GetCACaps (RFC 8894 section 3.5.2): what the connector keeps to, derived from its policy, one word a line. */
import type { EnrolmentEndpoint } from '../../service/scep-requests.ts';

/**
 * SHA-384 is no registered word, but strongSwan 5.9.8 takes bits for indices and sees AES and SCEPStandard only with it in the list; clients ignore
 * words they do not know.
 */
export function listCapabilities({ algorithms, renews }: EnrolmentEndpoint, hasNextCa: boolean): string {
  const words: string[] = ['AES', 'POSTPKIOperation', 'SCEPStandard', ...algorithms.digests];
  if (algorithms.contentCiphers.has('3DES-CBC')) words.push('DES3');
  if (renews) words.push('Renewal');
  if (hasNextCa) words.push('GetNextCACert');
  return `${words.toSorted().join('\n')}\n`;
}
