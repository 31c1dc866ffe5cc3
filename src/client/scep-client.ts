/** A SCEP client's transport and its view of an endpoint: capabilities, the CA's certificates and whether they hold together. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { findExtension, KeyUsage, parseBasicConstraints, parseKeyUsage } from '../base/pki/extensions.ts';
import { namesEqual } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { encodePem } from '../base/pki/pem.ts';
import { parseSignedData } from '../base/pki/signed-data.ts';
import { type Certificate, fingerprint, isSelfIssued, parseCertificate, verifyCertificateSignature } from '../base/pki/x509.ts';

export const clientLimits = { responseBytesMax: 1 << 20, timeoutMs: 15_000, getUrlBytesMax: 60_000 } as const;

/** Why an enrolment or a check cannot go on, in a sentence that says what to do. */
export class ScepClientError extends Error {
  override readonly name = 'ScepClientError';
}

/** What was asked for cannot be meant: the command line was used wrongly. */
export class OptionError extends ScepClientError {}

export interface HttpAnswer {
  statusCode: number;
  contentType: string;
  body: Uint8Array;
}

export interface CaCertificates {
  /** What requests are encrypted to. */
  recipient: Certificate;
  /** What issues the device's certificate, and its issuers. */
  authorities: readonly Certificate[];
  /** All of the answer. */
  all: readonly Certificate[];
  contentType: string;
}

export class ScepClient {
  readonly #url: URL;
  readonly #caFingerprint: string | undefined;
  /** Trusted for TLS once a fingerprint has confirmed them; until then, and without one, the system's roots are. */
  #trusted: readonly Certificate[] = [];

  constructor(url: string, caFingerprint?: string) {
    this.#url = parseUrl(url);
    this.#caFingerprint = caFingerprint === undefined ? undefined : parseFingerprint(caFingerprint);
  }

  async getCaCaps(): Promise<Set<string>> {
    const { statusCode, body } = await this.send('GET', 'GetCACaps');
    if (statusCode !== 200) throw new ScepClientError(`GetCACaps was answered with HTTP ${statusCode}: ${firstLine(body)}`);
    return new Set(
      Buffer.from(body)
        .toString('latin1')
        .split(/\r?\n/)
        .map(word => word.trim())
        .filter(word => word !== ''),
    );
  }

  /**
   * The CA's certificates, checked: one of them has the pinned fingerprint, if one is pinned, and every other leads up to it. To be asked first: TLS
   * needs no other trust for it, since what it brings is checked against the fingerprint, and is then verified with what it brought.
   */
  async getCaCert(): Promise<CaCertificates> {
    const { statusCode, contentType, body } = await this.send('GET', 'GetCACert', { unverifiedTls: this.#caFingerprint !== undefined });
    if (statusCode !== 200) throw new ScepClientError(`GetCACert was answered with HTTP ${statusCode}: ${firstLine(body)}`);
    const received = contentType.startsWith('application/x-x509-ca-cert') ? [parseCertificate(body)] : parseSignedData(body).certificates;
    const all = this.#caFingerprint === undefined ? received : this.#keepPinned(received, this.#caFingerprint);
    const recipient = findRecipient(all);
    const authorities = all.filter(isAuthority);
    if (!isAuthority(recipient) && issuersOf(recipient, authorities).length === 0) {
      throw new ScepClientError('The RA certificate is not issued by a CA that GetCACert brought.');
    }
    return { recipient, authorities, all, contentType };
  }

  /** Only what leads to the pinned certificate counts: an attacker may put it beside certificates of his own. */
  #keepPinned(received: readonly Certificate[], pin: string): Certificate[] {
    const pinned = received.find(({ der }) => fingerprint(der) === pin);
    if (pinned === undefined) {
      throw new ScepClientError(
        'No certificate of GetCACert has the given --ca-fingerprint: this is another CA, or someone is in between. Do not enrol.',
      );
    }
    this.#trusted = [pinned];
    return received.filter(certificate => certificate === pinned || issuersOf(certificate, received).includes(pinned));
  }

  /** By POST when the server offers it, else in GET's URL (RFC 8894 section 4.1). */
  async pkiOperation(message: Uint8Array, caps: ReadonlySet<string>): Promise<HttpAnswer> {
    if (caps.has('POSTPKIOperation') || caps.has('SCEPStandard')) return this.send('POST', 'PKIOperation', { body: message });
    return this.pkiOperationByGet(message);
  }

  async pkiOperationByGet(message: Uint8Array): Promise<HttpAnswer> {
    return this.send('GET', 'PKIOperation', { message: Buffer.from(message).toString('base64') });
  }

  async send(
    method: 'GET' | 'POST',
    operation: string,
    options: { message?: string; body?: Uint8Array; unverifiedTls?: boolean } = {},
  ): Promise<HttpAnswer> {
    const url = new URL(this.#url);
    url.search = `operation=${operation}${options.message === undefined ? '' : `&message=${encodeURIComponent(options.message)}`}`;
    if (url.href.length > clientLimits.getUrlBytesMax)
      throw new ScepClientError('The request is too long for GET, and the server does not offer POST.');
    const tls = options.unverifiedTls ? { rejectUnauthorized: false } : this.#trusted.length > 0 ? { ca: this.#trusted.map(toPem) } : {};
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) => reject(new ScepClientError(`${this.#url.origin} cannot be reached: ${explain(cause)}`, { cause }));
      const headers =
        options.body === undefined ? {} : { 'content-type': 'application/x-pki-message', 'content-length': options.body.length };
      const outgoing = send(url, { method, headers, timeout: clientLimits.timeoutMs, agent: false, ...tls }, incoming => {
        const chunks: Uint8Array[] = [];
        let length = 0;
        incoming.on('data', (chunk: Uint8Array) => {
          length += chunk.length;
          chunks.push(chunk);
          if (length > clientLimits.responseBytesMax) outgoing.destroy(new Error('the answer is too long'));
        });
        incoming.on('error', fail);
        incoming.on('end', () => {
          const { statusCode = 0, headers: received } = incoming;
          resolve({ statusCode, contentType: received['content-type'] ?? '', body: Buffer.concat(chunks) });
        });
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${clientLimits.timeoutMs / 1000} s`)));
      outgoing.on('error', fail);
      outgoing.end(options.body);
    });
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw new OptionError('--url must begin with http:// or https://.');
  return url;
}

/** SHA-256 as `openssl x509 -fingerprint -sha256` prints it, with or without colons. */
function parseFingerprint(text: string): string {
  const digits = text
    .replace(/^sha256[=:]/i, '')
    .replaceAll(':', '')
    .toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(digits))
    throw new OptionError('--ca-fingerprint must be the SHA-256 fingerprint: 64 hexadecimal digits, colons allowed.');
  return digits;
}

/** The RA's certificate, picked as Apple's clients do: keyEncipherment and no CA; else the CA's own. */
function findRecipient(all: readonly Certificate[]): Certificate {
  const recipient =
    all.find(certificate => !isAuthority(certificate) && mayEncipherKeys(certificate)) ?? all.find(mayEncipherKeys) ?? all[0];
  if (recipient === undefined) throw new ScepClientError('GetCACert brought no certificate.');
  return recipient;
}

function isAuthority(certificate: Certificate): boolean {
  const extension = findExtension(certificate.extensions, Oid.basicConstraints);
  return extension !== undefined && parseBasicConstraints(extension).cA;
}

function mayEncipherKeys(certificate: Certificate): boolean {
  const extension = findExtension(certificate.extensions, Oid.keyUsage);
  return extension === undefined || parseKeyUsage(extension).has(KeyUsage.keyEncipherment);
}

/** The certificates above this one, as far as names and signatures lead among `candidates`. */
export function issuersOf(certificate: Certificate, candidates: readonly Certificate[]): Certificate[] {
  const issuers: Certificate[] = [];
  for (let current = certificate; !isSelfIssued(current) && issuers.length < candidates.length; ) {
    const issuer = candidates.find(candidate => isIssuedBy(current, candidate));
    if (issuer === undefined) break;
    issuers.push(issuer);
    current = issuer;
  }
  return issuers;
}

function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  if (!isAuthority(issuer) || !namesEqual(issuer.subject, certificate.issuer)) return false;
  try {
    verifyCertificateSignature(certificate, issuer);
    return true;
  } catch {
    return false;
  }
}

function toPem({ der }: Certificate): string {
  return encodePem('CERTIFICATE', der);
}

function explain(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = 'code' in cause ? String(cause.code) : '';
  if (/SELF_SIGNED|UNABLE_TO|CERT_/.test(code))
    return `its TLS certificate is not trusted (${code}). Give --ca-fingerprint, or use the plain HTTP URL.`;
  return cause.message === '' ? code : cause.message;
}

export function firstLine(body: Uint8Array): string {
  const [line = ''] = Buffer.from(body.subarray(0, 500))
    .toString('latin1')
    .split(/[\r\n]/);
  return line.replace(/[^\u0020-\u007e]/g, '?').slice(0, 200);
}
