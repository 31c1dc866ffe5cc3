/** Encodings by hand: BER in every form that the reader must take, DER written anew from what it read, and hexadecimal. */
import { type Element, parseBer } from '../../src/base/pki/asn1.ts';
import { octetString, tlv } from '../../src/base/pki/der.ts';

/** Octets from hexadecimal digits with any spaces between them. */
export function hex(digits: string): Buffer {
  return Buffer.from(digits.replace(/\s/g, ''), 'hex');
}

/** A constructed element of indefinite length. */
export function indefinite(identifier: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([Buffer.of(identifier, 0x80), ...parts, Buffer.of(0, 0)]);
}

/** An OCTET STRING in segments and of indefinite length, as Apple's, Bouncy Castle's and OpenSSL's streams have it. */
export function segmented(octets: Uint8Array, identifier = 0x24, segmentBytes = 100): Uint8Array {
  const count = Math.ceil(octets.length / segmentBytes);
  const segments = Array.from({ length: count }, (_, index) => octets.subarray(index * segmentBytes, (index + 1) * segmentBytes));
  return indefinite(identifier, ...segments.map(octetString));
}

/** The element's DER, written from its tags and its contents alone. */
export function rewritten(element: Element): Uint8Array {
  const identifier = element.source[element.start] ?? 0;
  return tlv(identifier, ...(element.parts === undefined ? [element.content] : element.parts.map(rewritten)));
}

/**
 * The CMS message with its outer layers of indefinite length and its content in segments. What a signature is over stays as it is: certificates
 * and SignerInfos in SignedData, recipients in EnvelopedData.
 */
export function streamed(contentInfo: Uint8Array): Uint8Array {
  const [type, wrapped] = parseBer(contentInfo).elements('ContentInfo');
  const [content] = wrapped?.elements('content') ?? [];
  if (type === undefined || content === undefined) throw new TypeError('no ContentInfo');
  const fields = content.elements('content').map(field => (isContent(field) ? streamedContent(field) : field.bytes));
  return indefinite(0x30, type.bytes, indefinite(0xa0, indefinite(0x30, ...fields)));
}

/** encapContentInfo and encryptedContentInfo are the sequences that begin with a content type. */
function isContent(field: Element): boolean {
  return field.tag === 0x10 && field.parts?.[0]?.tag === 0x06;
}

function streamedContent(content: Element): Uint8Array {
  const fields = content.elements('content').map(field => {
    if (field.tag !== 0x80) return field.bytes;
    const [eContent] = field.parts ?? [];
    return eContent === undefined ? segmented(field.content, 0xa0) : indefinite(0xa0, segmented(eContent.octets()));
  });
  return indefinite(0x30, ...fields);
}
