/** A connector as an OpenID issuer: its keys in public, what it says of itself, and the assertions by which Entra ID knows it. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, SignJWT } from 'jose';

export const assertionLimits = {
  /** Entra ID advises five to ten minutes. */
  lifeSeconds: 10 * 60,
  /** How far its clock may be behind ours. */
  skewSeconds: 60,
} as const;

/** The only algorithm that Entra ID takes in federated credentials. */
const algorithm = 'RS256';

export interface PublicJwk {
  use: 'sig';
  kty: 'RSA';
  kid: string;
  alg: typeof algorithm;
  n: string;
  e: string;
}

/** The key's id is its thumbprint (RFC 7638). */
export async function publicJwkOf(privateKey: KeyObject): Promise<PublicJwk> {
  const jwk = await exportJWK(createPublicKey(privateKey));
  const { n, e } = jwk;
  if (n === undefined || e === undefined) throw new Error('an issuer signs with RSA keys only');
  return { use: 'sig', kty: 'RSA', kid: await calculateJwkThumbprint(jwk), alg: algorithm, n, e };
}

interface AssertionParts {
  privateKey: KeyObject;
  keyId: string;
  issuer: string;
  subject: string;
  audience: string;
  now: number;
  /** Another each time. */
  jwtId: string;
}

/** A JWT by which the issuer vouches for the subject (RFC 7523 section 3, as workload identity federation has it). */
export async function signAssertion(parts: AssertionParts): Promise<string> {
  const issuedAt = Math.floor(parts.now / 1000);
  return new SignJWT()
    .setProtectedHeader({ alg: algorithm, typ: 'JWT', kid: parts.keyId })
    .setIssuer(parts.issuer)
    .setSubject(parts.subject)
    .setAudience(parts.audience)
    .setJti(parts.jwtId)
    .setIssuedAt(issuedAt)
    .setNotBefore(issuedAt - assertionLimits.skewSeconds)
    .setExpirationTime(issuedAt + assertionLimits.lifeSeconds)
    .sign(parts.privateKey);
}

/** OpenID Connect Discovery 1.0 section 3, as much of it as an issuer has that only signs. */
export function discoveryDocument(issuer: string): object {
  return {
    issuer,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [algorithm],
  };
}
