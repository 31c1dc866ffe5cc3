/** Signs and sends a request that AWS's own client would refuse to build, with an independent implementation of Signature Version 4. */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from 'sigv4-suite';

export interface SigningCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

export interface RequestToSign {
  method: string;
  url: string;
  headers?: Record<string, string>;
  body?: string;
}

interface SigningOptions {
  credentials: SigningCredentials;
  region: string;
  service?: string;
  signingDate?: Date;
}

/** The hash the signer wants, over node:crypto. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(key?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(key));
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(bytesOf(data));
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {
    throw new Error('The signer makes a new hash each time.');
  }
}

function bytesOf(data: string | ArrayBuffer | ArrayBufferView): Buffer {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
}

function makeSigner({ credentials, region, service = 'pca-connector-scep' }: SigningOptions): SignatureV4 {
  return new SignatureV4({ credentials, region, service, sha256: Sha256, applyChecksum: false });
}

function makeRequest({ method, url, headers, body }: RequestToSign) {
  const { protocol, hostname, port, host, pathname, searchParams } = new URL(url);
  const query: Record<string, string[]> = {};
  for (const [name, value] of searchParams) (query[name] ??= []).push(value);
  return { method, protocol, hostname, port: Number(port), path: pathname, query, headers: { host, ...headers }, body };
}

/** The headers that sign the request. */
export async function signHeaders(request: RequestToSign, options: SigningOptions): Promise<Record<string, string>> {
  const signingDate = options.signingDate ?? new Date();
  return (await makeSigner(options).sign(makeRequest(request), { signingDate })).headers;
}

/** The query that presigns the request, for `expiresIn` seconds. */
export async function presignQuery(
  request: RequestToSign,
  options: SigningOptions & { expiresIn: number },
): Promise<Record<string, string>> {
  const { expiresIn, signingDate = new Date() } = options;
  const { query = {} } = await makeSigner(options).presign(makeRequest(request), { expiresIn, signingDate });
  return query as Record<string, string>;
}

export async function fetchSigned(request: RequestToSign, options: SigningOptions): Promise<Response> {
  const { host: _host, ...headers } = await signHeaders(request, options);
  return fetch(request.url, { method: request.method, headers, ...(request.body !== undefined && { body: request.body }) });
}
