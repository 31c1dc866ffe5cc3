/** What anyone may fetch of the embedded authorities over HTTP: revocation lists and CA certificates, each at a URL that certificates name. */
import { createHash } from 'node:crypto';
import type { Log } from '../../base/events.ts';
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
  log: Log;
}

/** How long a cache may answer in our place: a revocation has to reach relying parties soon, a CA certificate hardly ever changes. */
const maxAgeSeconds = { crl: 300, certificate: 3600 } as const;
const retryAfterSeconds = '30';

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const publicationPath = new RegExp(`^/(?:crl/(${uuid})\\.crl|ca/(${uuid})\\.cer)$`);
const publicationFolders = /^\/(?:crl|ca)\//;

interface Publication {
  contentType: string;
  der: Uint8Array;
  entityTag: string;
  lastModifiedAt: number;
  maxAgeSeconds: number;
}

/** Undefined: the path is none of a publication. */
export type PublicationHandler = (request: PublicationRequest) => Promise<PublicationResponse> | undefined;

export function createPublicationHandler(parts: PublicationParts): PublicationHandler {
  return request => {
    // A target in absolute form, as sent to proxies, names the same resource (RFC 9112 section 3.2.2).
    const path = request.rawUrl.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1)[0] ?? '';
    return publicationFolders.test(path) ? answerOrExcuse(parts, request, path) : undefined;
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
  const [, crlOf, certificateOf] = publicationPath.exec(path) ?? [];
  const publication = crlOf ? await findCrl(parts, crlOf) : certificateOf ? await findCertificate(parts, certificateOf) : undefined;
  if (publication === undefined) return refuse(404, 'There is nothing at this URL.');
  const { contentType, der, entityTag } = publication;
  const validators = {
    etag: entityTag,
    'last-modified': new Date(publication.lastModifiedAt).toUTCString(),
    'cache-control': `public, max-age=${publication.maxAgeSeconds}`,
  };
  if (isKnown(request, entityTag, publication.lastModifiedAt)) return { statusCode: 304, headers: validators, body: Buffer.alloc(0) };
  return {
    statusCode: 200,
    headers: { 'content-type': contentType, ...validators, 'content-length': String(der.length) },
    body: request.method === 'HEAD' ? Buffer.alloc(0) : der,
  };
}

async function findCrl({ revocationLists }: PublicationParts, caId: string): Promise<Publication | undefined> {
  const list = await revocationLists.findRevocationList(caId);
  if (list === undefined) return undefined;
  // A CRL may have megabytes; its number names it, and its time one that a restored store gives the same number.
  const entityTag = `"${list.cRLNumber}-${list.thisUpdate}"`;
  return {
    contentType: 'application/pkix-crl',
    der: list.der,
    entityTag,
    lastModifiedAt: list.thisUpdate,
    maxAgeSeconds: maxAgeSeconds.crl,
  };
}

async function findCertificate({ revocationLists }: PublicationParts, caId: string): Promise<Publication | undefined> {
  const certificate = await revocationLists.findCaCertificate(caId);
  if (certificate === undefined) return undefined;
  const { der, notBefore } = certificate;
  const entityTag = `"${createHash('sha256').update(der).digest('base64url')}"`;
  return { contentType: 'application/pkix-cert', der, entityTag, lastModifiedAt: notBefore, maxAgeSeconds: maxAgeSeconds.certificate };
}

/** RFC 9110 section 13.1: If-None-Match is what counts where it is sent, If-Modified-Since else. */
function isKnown({ headers }: PublicationRequest, entityTag: string, lastModifiedAt: number): boolean {
  const valueOf = (name: string) => headers.find(([key]) => key.toLowerCase() === name)?.[1];
  const noneMatch = valueOf('if-none-match');
  if (noneMatch !== undefined) {
    const tags = noneMatch.split(',').map(tag => tag.trim().replace(/^W\//, ''));
    return tags.includes(entityTag) || tags.includes('*');
  }
  return Math.floor(lastModifiedAt / 1000) * 1000 <= Date.parse(valueOf('if-modified-since') ?? '');
}

const plainText = { 'content-type': 'text/plain' };

function refuse(statusCode: number, reason: string): PublicationResponse {
  return { statusCode, headers: plainText, body: Buffer.from(`${reason}\n`) };
}
