/** What Entra ID fetches of an INTUNE connector's OpenID issuer: the discovery document and the key set. */
import { createHash } from 'node:crypto';
import type { Log } from '../../base/events.ts';
import type { OidcKeys } from '../../service/oidc-keys.ts';
import { notFound, type Publication, type PublicationHandler, pathOf, publish } from './publication.ts';

interface OpenIdParts {
  oidcKeys: OidcKeys;
  log: Log;
  /** False of a listener that the world reaches without TLS: an issuer is an https URL (OpenID Connect Discovery 1.0 section 3). */
  isServed: boolean;
}

/** A small part of the time for which a new key is published before it signs. */
const maxAgeSeconds = 3600;

/** All that is below an issuer: the secret in a SCEP URL is a UUID, and none of it is taken away. */
const issuerPath = /^\/(\d{12})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/oidc(\/.*)?$/s;

export function createOpenIdHandler({ oidcKeys, log, isServed }: OpenIdParts): PublicationHandler {
  return request => {
    const [path, accountId = '', connectorId = '', document] = issuerPath.exec(pathOf(request)) ?? [];
    if (path === undefined) return undefined;
    if (!isServed) return Promise.resolve(notFound());
    return publish(request, log, async () => {
      if (document === '/.well-known/openid-configuration') return inJson(await oidcKeys.findDiscoveryDocument(accountId, connectorId));
      return document === '/jwks' ? inJson(await oidcKeys.findKeySet(accountId, connectorId)) : undefined;
    });
  };
}

/** Without a time: a key that is taken out of the set is nothing newer. */
function inJson(document: object | undefined): Publication | undefined {
  if (document === undefined) return undefined;
  const body = Buffer.from(JSON.stringify(document));
  const entityTag = `"${createHash('sha256').update(body).digest('base64url')}"`;
  return { contentType: 'application/json', body, entityTag, maxAgeSeconds };
}
