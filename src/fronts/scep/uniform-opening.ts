/** From the unwrapping of the content key to the last octet of the CSR: one answer to every failure, after the same work. */
import { digestOf, digests, encodeAlgorithmIdentifier } from '../../base/pki/algorithms.ts';
import { parseBer } from '../../base/pki/asn1.ts';
import { bitString, integer, sequence } from '../../base/pki/der.ts';
import { type Opening, openContent } from '../../base/pki/enveloped-data.ts';
import { extKeyUsageExtension, generalName, KeyUsage, keyUsageExtension, subjectAltNameExtension } from '../../base/pki/extensions.ts';
import { parseNameString } from '../../base/pki/name.ts';
import { Oid } from '../../base/pki/oids.ts';
import {
  type CertificationRequest,
  createCertificationRequest,
  parseCertificationRequest,
  verifyCertificationRequest,
} from '../../base/pki/pkcs10.ts';
import { malformed, undecodable } from '../../base/pki/pki-error.ts';
import { type CertificateIdentifier, parseCertificateIdentifier } from '../../base/pki/signed-data.ts';
import type { Certificate } from '../../base/pki/x509.ts';
import { takeAtLeast } from '../../base/system.ts';

/**
 * What reading takes at least. A signature is verified a little faster under one modulus than under another, and what is no CSR is read to where that
 * shows: a clock hides both. Long enough for RSA-2048 and RSA-4096 keys and those on P-256.
 */
export const uniformReadingMs = 0.2;

/**
 * Opens the envelope and has what is in it read; `read` says whether it is what it must be, or throws. The refusal is made before it is known
 * whether there is one.
 */
export function openUniformly(opening: Opening, read: (content: Uint8Array, intact: boolean) => boolean): Uint8Array {
  // Without a cause: what went wrong is what nobody may learn.
  const refusal = undecodable('The request could not be decoded. Please send a valid SCEP request.');
  let messageData: Uint8Array | undefined;
  try {
    const { content, intact } = openContent(opening);
    messageData = takeAtLeast(uniformReadingMs, () => read(content, intact)) ? content : undefined;
  } catch {
    messageData = undefined;
  }
  if (messageData === undefined) throw refusal;
  return messageData;
}

/**
 * Whether the content is a CSR that may be judged. Where it is not intact, or has not even the outline of a CSR, a decoy is parsed and verified
 * in its place: so noise, as every wrong key and every wrong padding gives, costs what a CSR costs, however long that takes.
 *
 * A CSR for another key than the signer's must prove that it was not altered, by its own signature. Else whoever has a device's request could
 * put blocks of its ciphertext last, sign the result with a key of their own, and know a right CBC padding by the refusal that comes after it
 * (Vaudenay). Of the signer's own key, a wrong signature gets its own answer later.
 *
 * The decoy's key is RSA-2048, as most are. What is left is that an altered CSR for a key that is slower than `uniformReadingMs`, such as one on
 * P-384, costs what verifying with that costs.
 */
export function readCertificationRequest(content: Uint8Array, intact: boolean, signer: Certificate): boolean {
  const isOutlined = hasOutline(content);
  const isCandidate = intact && isOutlined;
  const csr = parseCertificationRequest(isCandidate ? content : decoy);
  const isUnaltered = isProven(csr);
  const isSigners = signer.publicKey.equals(csr.publicKey);
  return isCandidate && (isUnaltered || isSigners);
}

/**
 * GetCert's and GetCRL's messageData (RFC 8894 sections 3.3.4 and 3.3.5), or one that names a certificate which nobody has: the look-up then goes its
 * way and finds nothing. A refusal of what does not decrypt would tell what does. An attacker can put blocks of a device's captured request into a
 * message of this type, and has its beginning in hand by the initialization vector, so that its last octets alone decide (Vaudenay).
 */
export function openIssuerAndSerialNumber(opening: Opening): Uint8Array {
  const { content, intact } = openContent(opening);
  const whole = headerAt(content, 0);
  const isCandidate = intact && whole.octet === sequenceOctet && (whole.isIndefinite || whole.end === content.length);
  const read = isCandidate ? content : noCertificate;
  try {
    parseIssuerAndSerialNumber(read);
    return read;
  } catch {
    return noCertificate;
  }
}

/** No serial number of ours is 0, and no authority has no name. */
const noCertificate = sequence(sequence(), integer(0));

/** Throws PkiError. */
export function parseIssuerAndSerialNumber(source: Uint8Array): CertificateIdentifier & { type: 'issuerAndSerialNumber' } {
  const identifier = parseCertificateIdentifier(parseBer(source));
  if (identifier.type !== 'issuerAndSerialNumber') throw malformed('no IssuerAndSerialNumber');
  void identifier.issuer.rdns;
  return identifier;
}

function isProven(csr: CertificationRequest): boolean {
  try {
    return verifyCertificationRequest(csr);
  } catch {
    return false;
  }
}

/** 256 octets without a pattern, as a modulus and a signature are: for some others OpenSSL has shorter ways. No secret, and odd. */
function noise(first: number): Uint8Array {
  const octets = Buffer.concat([0, 1, 2, 3].map(index => digestOf(digests['SHA-512'], Buffer.of(first, index))));
  octets.set([first]);
  octets.set([0x7b], octets.length - 1);
  return octets;
}

/** Shaped as a device management system's CSRs are, RSA-2048 included. Its key is nobody's and its signature is none. */
export const decoy = createCertificationRequest(
  {
    subject: parseNameString('CN=decoy-7,OU=Floor 3,O=Example,C=CH').der,
    subjectPublicKeyInfo: sequence(
      encodeAlgorithmIdentifier(Oid.rsaEncryption),
      bitString(sequence(integer(noise(0xc5)), integer(65_537))),
    ),
    challengePassword: '0'.repeat(24),
    extensions: [
      subjectAltNameExtension([generalName.dns('decoy-7.example.com'), generalName.userPrincipalName('decoy-7@example.com')], false),
      keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]),
      extKeyUsageExtension([Oid.clientAuth]),
    ],
  },
  { algorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.11'), sign: () => noise(0x35) },
);

const sequenceOctet = 0x30;
const lengthOctetsMax = 4;

/**
 * Whether the octets are one SEQUENCE, of a SEQUENCE, a SEQUENCE and a BIT STRING, by their tags and lengths alone: all four headers are looked
 * at whatever the first says, and nothing is thrown. An indefinite length, which BER allows and no known client sends, can only be told by
 * reading: it is taken for one that fits.
 */
export function hasOutline(octets: Uint8Array): boolean {
  const whole = headerAt(octets, 0);
  const info = headerAt(octets, whole.contentStart);
  const algorithm = headerAt(octets, info.end);
  const signature = headerAt(octets, algorithm.end);
  const signatureFits =
    (signature.octet === 0x03 || signature.octet === 0x23) && (signature.isIndefinite || signature.end === octets.length);
  const algorithmFits = algorithm.octet === sequenceOctet && (algorithm.isIndefinite || signatureFits);
  const infoFits = info.octet === sequenceOctet && (info.isIndefinite || algorithmFits);
  return whole.octet === sequenceOctet && (whole.isIndefinite || (whole.end === octets.length && infoFits));
}

interface Header {
  /** The identifier octet. */
  octet: number;
  isIndefinite: boolean;
  contentStart: number;
  /** Where the content ends if its length is said in front; beyond the octets for a length that no reader takes. */
  end: number;
}

/** The header at an offset, which may lie behind the octets: what is read then is of no matter, as `end` does too. */
function headerAt(octets: Uint8Array, offset: number): Header {
  const at = Math.max(0, Math.min(offset, octets.length - 2));
  const first = octets[at + 1] ?? 0;
  const lengthOctets = first < 0x80 ? 0 : first & 0x7f;
  let long = 0;
  for (let index = 0; index < lengthOctetsMax; index++) long = index < lengthOctets ? long * 256 + (octets[at + 2 + index] ?? 0) : long;
  const length = lengthOctets > lengthOctetsMax ? octets.length : lengthOctets > 0 ? long : first & 0x7f;
  const contentStart = offset + 2 + lengthOctets;
  return { octet: octets[at] ?? 0, isIndefinite: first === 0x80, contentStart, end: contentStart + length };
}
