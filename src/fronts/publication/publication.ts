/** What the publications have in common: how one is answered over HTTP, to GET and HEAD, with what caches need, and how none is. */
import type { Log } from '../../base/events.ts';
import { outageOf } from '../../service/outage.ts';

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

/** Undefined: the path is none of these publications. */
export type PublicationHandler = (request: PublicationRequest) => Promise<PublicationResponse> | undefined;

export interface Publication {
  contentType: string;
  body: Uint8Array;
  entityTag: string;
  /** Undefined where what is published may change without it. */
  lastModifiedAt?: number;
  maxAgeSeconds: number;
}

const retryAfterSeconds = '30';
const plainText = { 'content-type': 'text/plain' };

/** A target in absolute form, as sent to proxies, names the same resource (RFC 9112 section 3.2.2). */
export function pathOf({ rawUrl }: PublicationRequest): string {
  return rawUrl.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1)[0] ?? '';
}

/** Answers with what `find` finds. */
export async function publish(
  request: PublicationRequest,
  log: Log,
  find: (path: string) => Promise<Publication | undefined>,
): Promise<PublicationResponse> {
  const path = pathOf(request);
  try {
    return await answer(request, () => find(path));
  } catch (error) {
    log.error({ err: error, path }, 'a publication could not be answered');
    const outage = outageOf(error)?.message;
    if (outage === undefined) return refuse(500, 'An internal error occurred.');
    return { ...refuse(503, outage), headers: { ...plainText, 'retry-after': retryAfterSeconds } };
  }
}

async function answer(request: PublicationRequest, find: () => Promise<Publication | undefined>): Promise<PublicationResponse> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...refuse(405, 'This is fetched with GET.'), headers: { ...plainText, allow: 'GET, HEAD' } };
  }
  const publication = await find();
  if (publication === undefined) return notFound();
  const { contentType, body, entityTag, lastModifiedAt } = publication;
  const validators = {
    etag: entityTag,
    ...(lastModifiedAt !== undefined && { 'last-modified': new Date(lastModifiedAt).toUTCString() }),
    'cache-control': `public, max-age=${publication.maxAgeSeconds}`,
  };
  if (isKnown(request, publication)) return { statusCode: 304, headers: validators, body: Buffer.alloc(0) };
  return {
    statusCode: 200,
    headers: { 'content-type': contentType, ...validators, 'content-length': String(body.length) },
    body: request.method === 'HEAD' ? Buffer.alloc(0) : body,
  };
}

/** RFC 9110 section 13.1: If-None-Match is what counts where it is sent, If-Modified-Since else. */
function isKnown({ headers }: PublicationRequest, { entityTag, lastModifiedAt }: Publication): boolean {
  const valueOf = (name: string) => headers.find(([key]) => key.toLowerCase() === name)?.[1];
  const noneMatch = valueOf('if-none-match');
  if (noneMatch !== undefined) {
    const tags = noneMatch.split(',').map(tag => tag.trim().replace(/^W\//, ''));
    return tags.includes(entityTag) || tags.includes('*');
  }
  return lastModifiedAt !== undefined && Math.floor(lastModifiedAt / 1000) * 1000 <= Date.parse(valueOf('if-modified-since') ?? '');
}

export function notFound(): PublicationResponse {
  return refuse(404, 'There is nothing at this URL.');
}

function refuse(statusCode: number, reason: string): PublicationResponse {
  return { statusCode, headers: plainText, body: Buffer.from(`${reason}\n`) };
}
