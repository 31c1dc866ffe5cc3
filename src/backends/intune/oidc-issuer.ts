/** What an OpenID issuer publishes and signs, as Entra ID reads it for workload identity federation; pure. */
import type { KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, SignJWT } from 'jose';

/** The only algorithm that Entra ID takes of an issuer from outside: "Only issuers that provide tokens signed using RS256 are supported". */
const algorithm = 'RS256';

/** Entra ID recommends a life of 5 to 10 minutes. `clockSkewMs`: how far our clock may be ahead of Entra ID's. */
const assertionLimits = { lifeMs: 10 * 60_000, clockSkewMs: 60_000 } as const;

/** A public key as the issuer publishes it. Entra ID needs no more members. */
export interface PublishedKey {
  use: 'sig';
  kty: 'RSA';
  /** RFC 7638, SHA-256. */
  kid: string;
  alg: typeof algorithm;
  n: string;
  e: string;
}

/** OpenID Connect Discovery 1.0 section 3, as far as Entra ID reads it. */
export interface DiscoveryDocument {
  issuer: string;
  jwks_uri: string;
  response_types_supported: ['id_token'];
  subject_types_supported: ['public'];
  id_token_signing_alg_values_supported: [typeof algorithm];
}

/** Of an RSA key, private or public. */
export async function describePublicKey(key: KeyObject): Promise<PublishedKey> {
  const { kty, n, e } = await exportJWK(key);
  if (kty !== 'RSA' || n === undefined || e === undefined) throw new Error('an OpenID issuer signs with RSA');
  return { use: 'sig', kty: 'RSA', kid: await calculateJwkThumbprint({ kty, n, e }), alg: algorithm, n, e };
}

/** The document that a verifier finds at `{issuer}/.well-known/openid-configuration`; it compares `issuer` octet by octet. */
export function discoveryDocument(issuer: string): DiscoveryDocument {
  return {
    issuer,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [algorithm],
  };
}

interface AssertionOrder {
  privateKey: KeyObject;
  keyId: string;
  issuer: string;
  subject: string;
  audience: string;
  now: number;
  jwtId: string;
}

/** A client assertion (RFC 7523) as a compact JWT, and when it ends. */
export async function signAssertion(order: AssertionOrder): Promise<{ assertion: string; expiresAt: number }> {
  const { privateKey, keyId, issuer, subject, audience, now, jwtId } = order;
  const issuedAt = Math.floor(now / 1000);
  const expiresAt = issuedAt + assertionLimits.lifeMs / 1000;
  const claims = {
    iss: issuer,
    sub: subject,
    aud: audience,
    iat: issuedAt,
    nbf: issuedAt - assertionLimits.clockSkewMs / 1000,
    exp: expiresAt,
    jti: jwtId,
  };
  const assertion = await new SignJWT(claims).setProtectedHeader({ alg: algorithm, typ: 'JWT', kid: keyId }).sign(privateKey);
  return { assertion, expiresAt: expiresAt * 1000 };
}
