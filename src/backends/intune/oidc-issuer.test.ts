/** Unit tests of the OpenID issuer: its documents and assertions, octet by octet and as node:crypto verifies them. */
import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { describe, it } from 'node:test';
import { describePublicKey, discoveryDocument, signAssertion } from './oidc-issuer.ts';

const issuer = 'https://scep.example.com/000000000000-00000000-0000-4000-8000-000000000001/oidc';
const now = 1_790_000_000_999;
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const order = { privateKey, keyId: 'key', issuer, subject: 'arn:x', audience: 'api://AzureADTokenExchange', now, jwtId: 'id' };

function partsOf(jwt: string): [header: string, claims: string, signature: string] {
  const [header = '', claims = '', signature = '', ...rest] = jwt.split('.');
  assert.equal(rest.length, 0);
  return [header, claims, signature];
}

const decoded = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;

describe('the public key of an issuer', () => {
  it('has exactly the members that Entra ID reads, and none of the private key', async () => {
    const { n, e } = publicKey.export({ format: 'jwk' });
    const kid = createHash('sha256').update(`{"e":"${e}","kty":"RSA","n":"${n}"}`).digest('base64url');
    const expected = { use: 'sig', kty: 'RSA', kid, alg: 'RS256', n, e };
    assert.deepEqual(await describePublicKey(privateKey), expected);
    assert.deepEqual(await describePublicKey(publicKey), expected);
  });

  it('has the thumbprint of the example in RFC 7638 section 3.1', async () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw';
    const example = createPublicKey({ key: { kty: 'RSA', n, e: 'AQAB' }, format: 'jwk' });
    assert.equal((await describePublicKey(example)).kid, 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
  });

  it('is of RSA', async () => {
    await assert.rejects(describePublicKey(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey), /signs with RSA/);
  });
});

describe('the discovery document', () => {
  it('names the issuer as it is, and its keys below it', () => {
    assert.deepEqual(discoveryDocument(issuer), {
      issuer,
      jwks_uri: `${issuer}/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    });
  });
});

describe('an assertion', () => {
  it('has the header and the claims that Entra ID asks for, by the clock that it was given', async () => {
    const { assertion, expiresAt } = await signAssertion(order);
    const [header, claims] = partsOf(assertion);
    assert.deepEqual(decoded(header), { alg: 'RS256', typ: 'JWT', kid: 'key' });
    const second = 1_790_000_000;
    assert.deepEqual(decoded(claims), {
      iss: issuer,
      sub: 'arn:x',
      aud: 'api://AzureADTokenExchange',
      iat: second,
      nbf: second - 60,
      exp: second + 600,
      jti: 'id',
    });
    assert.equal(expiresAt, (second + 600) * 1000);
  });

  it('is signed with RSASSA-PKCS1-v1_5 and SHA-256', async () => {
    const [header, claims, signature] = partsOf((await signAssertion(order)).assertion);
    assert.ok(verify('sha256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url')));
  });
});
