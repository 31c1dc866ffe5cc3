/** The messages of the vectors, captured from real clients among them, as members of the fuzzer's corpus. */
import { findOpening, type KeyPair, openContent, parseEnvelopedData } from '../../src/base/pki/enveloped-data.ts';
import { parseSignedData } from '../../src/base/pki/signed-data.ts';
import { readVectors } from '../support/vector-file.ts';
import { type IdentityName, identity } from '../support/vector-identities.ts';
import { type ConnectorName, connectorSpecs } from '../support/vector-store.ts';
import { messagesIn } from './scep-http.ts';
import type { Member } from './scep-inputs.ts';

/** Longer ones would cost the run more than they bring. */
const messageBytesMax = 20_000;

export function readCorpus(): Member[] {
  return readVectors().flatMap(({ connector, target, body }) => {
    const query = target.slice(target.indexOf('?') + 1).split('&');
    const message = messagesIn({ query, body: Buffer.from(body) }).find(({ length }) => length > 0 && length < messageBytesMax);
    if (message === undefined) return [];
    const plaintext = decrypted(message, connector);
    return [{ connector, message, ...(plaintext && { plaintext }) }];
  });
}

/** What is encrypted to an RA key of the connector, if that can be read. */
export function decrypted(message: Buffer, connector: ConnectorName): Buffer | undefined {
  const names: readonly IdentityName[] = connectorSpecs[connector].raKeys;
  const keyPairs: KeyPair[] = names.map(identity);
  try {
    const { eContent = Buffer.alloc(0) } = parseSignedData(message);
    return Buffer.from(openContent(findOpening(parseEnvelopedData(eContent), keyPairs)).content);
  } catch {
    return undefined;
  }
}
