/** AWS Signature Version 4, verified over the raw request: header form and presigned query form (IAM User Guide, "Create a signed AWS API request"). */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { ServiceException } from '../../base/errors.ts';
import type { Principal } from '../../base/resources.ts';
import { type ApiRequest, headerValues, parseQuery, type QueryPair, rawPath } from './request.ts';

export interface SigningSecret {
  secretAccessKey: string;
  principal: Principal;
  /** Of temporary credentials. */
  expiresAt?: number;
}

/** Undefined for an unknown key, and for one whose session token is not the one presented. */
export type SecretLookup = (accessKeyId: string, sessionToken: string | undefined) => Promise<SigningSecret | undefined>;

export interface SigV4Options {
  secretLookup: SecretLookup;
  /** The present instant in milliseconds. */
  now: number;
  region: string;
  service: string;
}

const algorithm = 'AWS4-HMAC-SHA256';
const terminator = 'aws4_request';
const clockSkewMinutesMax = 15;
const clockSkewMsMax = clockSkewMinutesMax * 60_000;
/** Seven days: the longest life AWS gives a presigned request. */
const presignedSecondsMax = 604_800;
/** Signs on behalf of a key that does not exist, so that the answer takes as long as for one that does. */
const decoySecret = 'decoy'.padEnd(40, '/');

/** What the request says of its own signature, whichever form carries it. */
interface Claim {
  accessKeyId: string;
  scope: { date: string; region: string; service: string; terminator: string };
  signedHeaders: string[];
  signature: string;
  timestamp: string;
  sessionToken: string | undefined;
  /** Presigned form only. */
  expiresInSeconds: number | undefined;
  /** The query the signature covers. */
  query: QueryPair[];
}

/** Who signed the request; a request that is not properly signed throws the exception AWS answers it with. */
export async function verifySigV4(request: ApiRequest, options: SigV4Options): Promise<Principal> {
  const claim = readClaim(request);
  checkTime(claim, options.now);
  checkScope(claim, options);
  checkSignedHeaders(claim, request);
  const payloadHash = sha256Hex(request.body);
  checkPayloadHash(request, payloadHash);

  const secret = await options.secretLookup(claim.accessKeyId, claim.sessionToken);
  const matches = equalInConstantTime(sign(request, claim, payloadHash, secret?.secretAccessKey ?? decoySecret), claim.signature);
  if (!secret) throw new ServiceException('UnrecognizedClientException', 'The security token included in the request is invalid.');
  if (!matches) {
    throw refusal(
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    );
  }
  if (secret.expiresAt !== undefined && secret.expiresAt <= options.now) {
    throw new ServiceException('ExpiredTokenException', 'The security token included in the request is expired');
  }
  return secret.principal;
}

function readClaim(request: ApiRequest): Claim {
  const query = parseQuery(request);
  const authorization = headerValues(request, 'authorization');
  if (authorization[0] !== undefined) {
    if (authorization.length > 1) throw incomplete('Exactly one Authorization header is required.');
    return readAuthorizationHeader(request, authorization[0], query);
  }
  if (query.some(([name]) => name === 'X-Amz-Algorithm' || name === 'X-Amz-Signature')) return readPresignedQuery(query);
  throw new ServiceException('MissingAuthenticationToken', 'Missing Authentication Token');
}

function readAuthorizationHeader(request: ApiRequest, header: string, query: QueryPair[]): Claim {
  const text = header.trim();
  if (!text.startsWith(`${algorithm} `)) throw incomplete(`The Authorization header must begin with ${algorithm}.`);
  const parameters = new Map<string, string>();
  for (const pair of text.slice(algorithm.length + 1).split(',')) {
    const equals = pair.indexOf('=');
    if (equals < 0) throw incomplete('A parameter of the Authorization header is not a valid key=value pair (missing equal-sign).');
    parameters.set(pair.slice(0, equals).trim(), pair.slice(equals + 1).trim());
  }
  const [credential, signedHeaders, signature] = required(parameters, ['Credential', 'SignedHeaders', 'Signature'], 'Authorization header');
  const [timestamp] = headerValues(request, 'x-amz-date');
  if (timestamp === undefined) throw incomplete("Authorization header requires existence of an 'X-Amz-Date' header.");
  return {
    ...readCredential(credential),
    signedHeaders: signedHeaders.split(';'),
    signature,
    timestamp,
    sessionToken: headerValues(request, 'x-amz-security-token')[0],
    expiresInSeconds: undefined,
    query,
  };
}

function readPresignedQuery(query: QueryPair[]): Claim {
  const parameters = new Map(query);
  if (parameters.get('X-Amz-Algorithm') !== algorithm) throw incomplete(`X-Amz-Algorithm must be ${algorithm}.`);
  const names = ['X-Amz-Credential', 'X-Amz-SignedHeaders', 'X-Amz-Signature', 'X-Amz-Date', 'X-Amz-Expires'] as const;
  const [credential, signedHeaders, signature, timestamp, expires] = required(parameters, names, 'AWS query-string');
  if (!/^\d{1,6}$/.test(expires) || Number(expires) < 1 || Number(expires) > presignedSecondsMax) {
    throw incomplete(`X-Amz-Expires must be between 1 and ${presignedSecondsMax} seconds.`);
  }
  return {
    ...readCredential(credential),
    signedHeaders: signedHeaders.split(';'),
    signature,
    timestamp,
    sessionToken: parameters.get('X-Amz-Security-Token'),
    expiresInSeconds: Number(expires),
    query: query.filter(([name]) => name !== 'X-Amz-Signature'),
  };
}

/** The values of `names` in their order; every missing one is named, as AWS does. */
function required<const N extends readonly string[]>(
  parameters: ReadonlyMap<string, string>,
  names: N,
  where: string,
): { [K in keyof N]: string } {
  const missing = names.filter(name => !parameters.get(name));
  if (missing.length > 0) throw incomplete(missing.map(name => `${where} requires '${name}' parameter.`).join(' '));
  return names.map(name => parameters.get(name) ?? '') as { [K in keyof N]: string };
}

function readCredential(credential: string): Pick<Claim, 'accessKeyId' | 'scope'> {
  const [accessKeyId, date, region, service, end, ...rest] = credential.split('/');
  if (!accessKeyId || !date || !region || !service || !end || rest.length > 0) {
    throw incomplete('Credential must have exactly 5 slash-delimited elements: access key id, date, region, service, aws4_request.');
  }
  return { accessKeyId, scope: { date, region, service, terminator: end } };
}

function checkScope({ scope, timestamp }: Claim, { region, service }: SigV4Options): void {
  if (scope.terminator !== terminator) throw refusal(`Credential should be scoped with a valid terminator: '${terminator}'.`);
  if (scope.region !== region) throw refusal(`Credential should be scoped to a valid Region: '${region}'.`);
  if (scope.service !== service) throw refusal(`Credential should be scoped to correct service: '${service}'.`);
  if (scope.date !== timestamp.slice(0, 8)) {
    throw refusal('Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.');
  }
}

/** A skewed clock is an InvalidSignatureException on the wire (not RequestExpired), which is also what AWS's clients correct their clock on. */
function checkTime({ timestamp, expiresInSeconds }: Claim, now: number): void {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp) ?? [];
  const signedAt = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(signedAt)) throw incomplete("Date must be in ISO-8601 'basic format': YYYYMMDDTHHMMSSZ.");
  if (signedAt - now > clockSkewMsMax) {
    const latest = `${basicFormat(now + clockSkewMsMax)} (${basicFormat(now)} + ${clockSkewMinutesMax} min.)`;
    throw refusal(`Signature not yet current: ${timestamp} is still later than ${latest}`);
  }
  const lifeMs = expiresInSeconds === undefined ? clockSkewMsMax : expiresInSeconds * 1000;
  if (now - signedAt > lifeMs) {
    throw refusal(
      `Signature expired: ${timestamp} is now earlier than ${basicFormat(now - lifeMs)} (${basicFormat(now)} - ${lifeMs / 60_000} min.)`,
    );
  }
}

/** Host and every x-amz-* header must be covered; the session token need not be, as some clients add it after signing and its own value proves it. */
function checkSignedHeaders({ signedHeaders }: Claim, request: ApiRequest): void {
  if (signedHeaders.some(name => name === '' || name !== name.toLowerCase())) throw incomplete('SignedHeaders must be lower-case names.');
  if (!signedHeaders.includes('host')) throw refusal("'Host' must be a 'SignedHeader' in the AWS Authorization.");
  for (const [name] of request.headers) {
    const key = name.toLowerCase();
    if (key.startsWith('x-amz-') && key !== 'x-amz-security-token' && !signedHeaders.includes(key)) {
      throw refusal('There were x-amz- headers present in the request which were not signed.');
    }
  }
}

/** The body is always hashed here, so UNSIGNED-PAYLOAD and streaming forms, which only S3 takes, are refused. */
function checkPayloadHash(request: ApiRequest, payloadHash: string): void {
  const claimed = headerValues(request, 'x-amz-content-sha256');
  if (claimed.some(value => value.trim() !== payloadHash))
    throw refusal('The value of x-amz-content-sha256 is not the SHA-256 of the body.');
}

function sign(request: ApiRequest, claim: Claim, payloadHash: string, secretAccessKey: string): string {
  const { date, region, service } = claim.scope;
  const canonicalRequest = [
    request.method,
    canonicalPath(rawPath(request)),
    canonicalQuery(claim.query),
    ...claim.signedHeaders.map(name => `${name}:${headerValues(request, name).map(collapseSpaces).join(',')}`),
    '',
    claim.signedHeaders.join(';'),
    payloadHash,
  ].join('\n');
  const stringToSign = [algorithm, claim.timestamp, [date, region, service, terminator].join('/'), sha256Hex(canonicalRequest)].join('\n');
  const signingKey = [date, region, service, terminator].reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
  return hmac(signingKey, stringToSign).toString('hex');
}

/** Outside S3 the path is normalised (RFC 3986 section 5.2.4, empty segments dropped) and encoded a second time. */
function canonicalPath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(encode(segment));
  }
  return `/${segments.join('/')}${segments.length > 0 && path.endsWith('/') ? '/' : ''}`;
}

/** Sorted by encoded name, then by encoded value. */
function canonicalQuery(query: QueryPair[]): string {
  return query
    .map(([name, value]): QueryPair => [encode(name), encode(value)])
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(pair => pair.join('='))
    .join('&');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** RFC 3986: everything but the unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Also unfolds a header that came over several lines. */
function collapseSpaces(value: string): string {
  return value.trim().replace(/\s+/g, ' ');
}

function basicFormat(at: number): string {
  return new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

function equalInConstantTime(expected: string, given: string): boolean {
  const a = Buffer.from(expected);
  const b = Buffer.from(given);
  return a.length === b.length && timingSafeEqual(a, b);
}

function incomplete(message: string): ServiceException {
  return new ServiceException('IncompleteSignature', message);
}

function refusal(message: string): ServiceException {
  return new ServiceException('InvalidSignatureException', message);
}
