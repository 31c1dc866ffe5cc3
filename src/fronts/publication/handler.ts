/** What anyone may fetch of the embedded authorities over HTTP: revocation lists and CA certificates, each at a URL that certificates name. */
import { createHash } from 'node:crypto';
import type { Log } from '../../base/events.ts';
import type { RevocationLists } from '../../service/revocation-lists.ts';
import { type Publication, type PublicationHandler, pathOf, publish } from './publication.ts';

interface PublicationParts {
  revocationLists: RevocationLists;
  log: Log;
}

/** How long a cache may answer in our place: a revocation has to reach relying parties soon, a CA certificate hardly ever changes. */
const maxAgeSeconds = { crl: 300, certificate: 3600 } as const;

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const publicationPath = new RegExp(`^/(?:crl/(${uuid})\\.crl|ca/(${uuid})\\.cer)$`);
const publicationFolders = /^\/(?:crl|ca)\//;

export function createPublicationHandler(parts: PublicationParts): PublicationHandler {
  return request => {
    if (!publicationFolders.test(pathOf(request))) return undefined;
    return publish(request, parts.log, path => findPublication(parts, path));
  };
}

async function findPublication(parts: PublicationParts, path: string): Promise<Publication | undefined> {
  const [, crlOf, certificateOf] = publicationPath.exec(path) ?? [];
  if (crlOf) return findCrl(parts, crlOf);
  return certificateOf ? findCertificate(parts, certificateOf) : undefined;
}

async function findCrl({ revocationLists }: PublicationParts, caId: string): Promise<Publication | undefined> {
  const list = await revocationLists.findRevocationList(caId);
  if (list === undefined) return undefined;
  // A CRL may have megabytes; its number names it, and its time one that a restored store gives the same number.
  const entityTag = `"${list.cRLNumber}-${list.thisUpdate}"`;
  return {
    contentType: 'application/pkix-crl',
    body: list.der,
    entityTag,
    lastModifiedAt: list.thisUpdate,
    maxAgeSeconds: maxAgeSeconds.crl,
  };
}

async function findCertificate({ revocationLists }: PublicationParts, caId: string): Promise<Publication | undefined> {
  const certificate = await revocationLists.findCaCertificate(caId);
  if (certificate === undefined) return undefined;
  const { der: body, notBefore } = certificate;
  const entityTag = `"${createHash('sha256').update(body).digest('base64url')}"`;
  return { contentType: 'application/pkix-cert', body, entityTag, lastModifiedAt: notBefore, maxAgeSeconds: maxAgeSeconds.certificate };
}
