/** What anyone may fetch over HTTP: revocation lists and CA certificates, at URLs that certificates name, and what the OpenID issuers of INTUNE connectors publish. */
import { createHash } from 'node:crypto';
import type { Log } from '../../base/events.ts';
import type { OidcKeys } from '../../service/oidc-keys.ts';
import { outageOf } from '../../service/outage.ts';
import type { RevocationLists } from '../../service/revocation-lists.ts';

export interface PublicationRequest {
  method: string;
  /** The request target as received. */
  rawUrl: string;
  /** Names and values in the order received. */
  headers: readonly (readonly [name: string, value: string])[];
}

export interface PublicationResponse {
  statusCode: number;
  headers: Record<string, string>;
  body: Uint8Array;
}

interface PublicationParts {
  revocationLists: RevocationLists;
  oidcKeys: OidcKeys;
  log: Log;
}

/** How long a cache may answer in our place: a revocation has to reach relying parties soon, a CA certificate hardly ever changes, a key is published days before it signs. */
const maxAgeSeconds = { crl: 300, certificate: 3600, issuer: 3600 } as const;
const retryAfterSeconds = '30';

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const publicationPath = new RegExp(`^/(?:crl/(${uuid})\\.crl|ca/(${uuid})\\.cer)$`);
const publicationFolders = /^\/(?:crl|ca)\//;
const issuerPath = new RegExp(`^/(\\d{12})-(${uuid})/oidc/(\\.well-known/openid-configuration|jwks)$`);
const issuerFolder = new RegExp(`^/\\d{12}-${uuid}/oidc(?:/|$)`);

interface Publication {
  contentType: string;
  content: Uint8Array;
  entityTag: string;
  lastModifiedAt?: number;
  maxAgeSeconds: number;
}

/** Undefined: the path is none of a publication. */
export type PublicationHandler = (request: PublicationRequest) => Promise<PublicationResponse> | undefined;

/** `withIssuers`: the keys by which Entra ID knows connectors are given out only where HTTPS says whose they are. */
export function createPublicationHandler(parts: PublicationParts, { withIssuers }: { withIssuers: boolean }): PublicationHandler {
  return request => {
    // A target in absolute form, as sent to proxies, names the same resource (RFC 9112 section 3.2.2).
    const path = request.rawUrl.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1)[0] ?? '';
    const isOfIssuer = issuerFolder.test(path);
    if (isOfIssuer && !withIssuers) return Promise.resolve(nothingHere);
    return isOfIssuer || publicationFolders.test(path) ? answerOrExcuse(parts, request, path) : undefined;
  };
}

async function answerOrExcuse(parts: PublicationParts, request: PublicationRequest, path: string): Promise<PublicationResponse> {
  try {
    return await answer(parts, request, path);
  } catch (error) {
    parts.log.error({ err: error, path }, 'a publication could not be answered');
    const outage = outageOf(error)?.message;
    if (outage === undefined) return refuse(500, 'An internal error occurred.');
    return { ...refuse(503, outage), headers: { ...plainText, 'retry-after': retryAfterSeconds } };
  }
}

async function answer(parts: PublicationParts, request: PublicationRequest, path: string): Promise<PublicationResponse> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...refuse(405, 'This is fetched with GET.'), headers: { ...plainText, allow: 'GET, HEAD' } };
  }
  const publication = await findPublication(parts, path);
  if (publication === undefined) return nothingHere;
  const { contentType, content, entityTag, lastModifiedAt } = publication;
  const validators = {
    etag: entityTag,
    ...(lastModifiedAt !== undefined && { 'last-modified': new Date(lastModifiedAt).toUTCString() }),
    'cache-control': `public, max-age=${publication.maxAgeSeconds}`,
  };
  if (isKnown(request, entityTag, lastModifiedAt)) return { statusCode: 304, headers: validators, body: Buffer.alloc(0) };
  return {
    statusCode: 200,
    headers: { 'content-type': contentType, ...validators, 'content-length': String(content.length) },
    body: request.method === 'HEAD' ? Buffer.alloc(0) : content,
  };
}

async function findPublication(parts: PublicationParts, path: string): Promise<Publication | undefined> {
  const [, crlOf, certificateOf] = publicationPath.exec(path) ?? [];
  if (crlOf !== undefined) return findCrl(parts, crlOf);
  if (certificateOf !== undefined) return findCertificate(parts, certificateOf);
  const [, accountId, connectorId, document] = issuerPath.exec(path) ?? [];
  if (accountId === undefined || connectorId === undefined) return undefined;
  return findIssuerDocument(parts, { accountId, connectorId, isKeySet: document === 'jwks' });
}

async function findCrl({ revocationLists }: PublicationParts, caId: string): Promise<Publication | undefined> {
  const list = await revocationLists.findRevocationList(caId);
  if (list === undefined) return undefined;
  // A CRL may have megabytes; its number names it, and its time one that a restored store gives the same number.
  const entityTag = `"${list.cRLNumber}-${list.thisUpdate}"`;
  return {
    contentType: 'application/pkix-crl',
    content: list.der,
    entityTag,
    lastModifiedAt: list.thisUpdate,
    maxAgeSeconds: maxAgeSeconds.crl,
  };
}

async function findCertificate({ revocationLists }: PublicationParts, caId: string): Promise<Publication | undefined> {
  const certificate = await revocationLists.findCaCertificate(caId);
  if (certificate === undefined) return undefined;
  const { der, notBefore } = certificate;
  const entityTag = entityTagOf(der);
  return {
    contentType: 'application/pkix-cert',
    content: der,
    entityTag,
    lastModifiedAt: notBefore,
    maxAgeSeconds: maxAgeSeconds.certificate,
  };
}

async function findIssuerDocument(
  { oidcKeys }: PublicationParts,
  { accountId, connectorId, isKeySet }: { accountId: string; connectorId: string; isKeySet: boolean },
): Promise<Publication | undefined> {
  const document = isKeySet
    ? await oidcKeys.findKeySet(accountId, connectorId)
    : await oidcKeys.findDiscoveryDocument(accountId, connectorId);
  if (document === undefined) return undefined;
  const content = Buffer.from(JSON.stringify(document));
  return { contentType: 'application/json', content, entityTag: entityTagOf(content), maxAgeSeconds: maxAgeSeconds.issuer };
}

function entityTagOf(content: Uint8Array): string {
  return `"${createHash('sha256').update(content).digest('base64url')}"`;
}

/** RFC 9110 section 13.1: If-None-Match is what counts where it is sent, If-Modified-Since else. */
function isKnown({ headers }: PublicationRequest, entityTag: string, lastModifiedAt: number | undefined): boolean {
  const valueOf = (name: string) => headers.find(([key]) => key.toLowerCase() === name)?.[1];
  const noneMatch = valueOf('if-none-match');
  if (noneMatch !== undefined) {
    const tags = noneMatch.split(',').map(tag => tag.trim().replace(/^W\//, ''));
    return tags.includes(entityTag) || tags.includes('*');
  }
  return lastModifiedAt !== undefined && Math.floor(lastModifiedAt / 1000) * 1000 <= Date.parse(valueOf('if-modified-since') ?? '');
}

const plainText = { 'content-type': 'text/plain' };
const nothingHere = refuse(404, 'There is nothing at this URL.');

function refuse(statusCode: number, reason: string): PublicationResponse {
  return { statusCode, headers: plainText, body: Buffer.from(`${reason}\n`) };
}
