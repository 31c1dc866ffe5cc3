/** Challenges as Intune makes them: what the CSR must hold, encrypted for Intune alone and signed by it, some kilobytes of base64. */
import { createCipheriv, createDecipheriv, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';

/** What the CSR must hold: names as OpenSSL's and ours write them. */
export interface Expectations {
  /** RFC 4514. */
  subject: string;
  /** `TYPE:value` each, such as `uniformResourceIdentifier:…`; in any order. */
  subjectAltNames?: readonly string[];
  /** Bits of RFC 5280; undefined: not looked at. */
  keyUsage?: readonly number[];
  /** OIDs. */
  extKeyUsage?: readonly string[];
  keyBits?: number;
}

export interface ChallengePayload {
  tid: string;
  deviceId: string;
  userId: string;
  certRequestId: string;
  createdAt: string;
  expectations: Expectations;
  padding: string;
}

const { privateKey: intuneKey, publicKey: intunePublicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { privateKey: foreignKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const intuneThumbprint = 'A'.repeat(40);
const separator = '.';
/** Real ones have some five kilobytes. */
const paddingBytes = 2600;

export type Tampering = 'signature' | 'ciphertext' | 'signer' | 'json';

/** Encrypted under the tenant's key, then signed. */
export function sealChallenge(key: Buffer, payload: Omit<ChallengePayload, 'padding'>, tampering?: Tampering): string {
  const text =
    tampering === 'json'
      ? 'no JSON'
      : JSON.stringify({ ...payload, padding: randomBytes(paddingBytes).toString('hex').slice(0, paddingBytes) });
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const sealed = Buffer.concat([nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]);
  if (tampering === 'ciphertext') sealed[20] = (sealed[20] ?? 0) ^ 1;
  const signature = sign('sha256', sealed, tampering === 'signer' ? foreignKey : intuneKey);
  if (tampering === 'signature') signature[12] = (signature[12] ?? 0) ^ 1;
  const signer = tampering === 'signer' ? 'B'.repeat(40) : intuneThumbprint;
  return Buffer.from([signer, signature.toString('base64'), sealed.toString('base64')].join(separator)).toString('base64');
}

export type ChallengeProblem =
  | 'ChallengeDecodingError'
  | 'SigningCertThumbprintMismatch'
  | 'SignatureValidationFailed'
  | 'ChallengeDecryptionError'
  | 'ChallengeDeserializationError';

export function openChallenge(key: Buffer, challenge: string): ChallengePayload | ChallengeProblem {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(challenge)) return 'ChallengeDecodingError';
  const [signer, signature, sealed] = Buffer.from(challenge, 'base64').toString('latin1').split(separator);
  if (signer === undefined || signature === undefined || sealed === undefined) return 'ChallengeDecodingError';
  if (signer !== intuneThumbprint) return 'SigningCertThumbprintMismatch';
  const octets = Buffer.from(sealed, 'base64');
  if (!verify('sha256', octets, intunePublicKey, Buffer.from(signature, 'base64'))) return 'SignatureValidationFailed';
  let text: string;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, octets.subarray(0, 12)).setAuthTag(octets.subarray(-16));
    text = Buffer.concat([decipher.update(octets.subarray(12, -16)), decipher.final()]).toString();
  } catch {
    return 'ChallengeDecryptionError';
  }
  try {
    return JSON.parse(text) as ChallengePayload;
  } catch {
    return 'ChallengeDeserializationError';
  }
}
