/** AWS Signature Version 4, verified over the raw request: header form and presigned query form (IAM User Guide, "Create a signed AWS API request"). */
import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { ServiceException } from '../../base/errors.ts';
import type { Principal } from '../../base/resources.ts';
import {
  type ApiRequest,
  canonicalHeader,
  canonicalPath,
  canonicalQuery,
  type HeadersByName,
  headersByName,
  parseQuery,
  type QueryPair,
  rawPath,
} from './request.ts';

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
  /** The signing name of the service that the request's operation belongs to. */
  service: string;
}

const limits = {
  clockSkewMinutesMax: 15,
  /** Seven days: the longest life AWS gives a presigned request. */
  presignedSecondsMax: 604_800,
  authorizationCharactersMax: 8192,
  signedHeadersMax: 100,
  /** As AWS's token service says of its own: typically under 4096 bytes. */
  sessionTokenCharactersMax: 4096,
  signingKeysMax: 1000,
} as const;

const algorithm = 'AWS4-HMAC-SHA256';
const terminator = 'aws4_request';
/** 128 characters is IAM's bound on an access key id. What has another form never reaches the look-up, whose store may not take it. */
const accessKeyIdForm = /^\w{1,128}$/;
/** A header name (RFC 9110 section 5.1) in lower case. */
const headerNameForm = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const onlyVersion4 = `Signature Version 4A (AWS4-ECDSA-P256-SHA256, X-Amz-Region-Set) is not taken here. Sign for one Region with ${algorithm}.`;
/** Signs on behalf of a key that does not exist, so that the answer takes as long as for one that does. */
const decoy = { accessKeyId: '', secretAccessKey: 'decoy'.padEnd(40, '/') };

interface Scope {
  date: string;
  region: string;
  service: string;
  terminator: string;
}

/** What the request says of its own signature, whichever form carries it. */
interface Claim {
  accessKeyId: string;
  scope: Scope;
  signedHeaders: string[];
  /** Which headers this form wants among them, whatever the request has. */
  mustSign: readonly string[];
  signature: string;
  signedAt: number;
  /** The same instant as the string to sign has it. */
  timestamp: string;
  sessionToken: string | undefined;
  /** Presigned form only. */
  expiresInSeconds: number | undefined;
  /** What it says that the body hashes to. */
  payloadHashes: readonly (string | undefined)[];
  /** The query the signature covers. */
  query: QueryPair[];
}

/**
 * Who signed the request; a request that is not properly signed throws the exception AWS answers it with. As at AWS the form and the time of the
 * claim come first, then its scope, the key, the signature, and last whether the key is still good.
 */
export async function verifySigV4(request: ApiRequest, options: SigV4Options): Promise<Principal> {
  const headers = headersByName(request);
  const claim = readClaim(request, headers);
  checkTime(claim, options.now);
  checkScope(claim, options);
  checkSignedHeaders(claim, headers);
  const payloadHash = sha256Hex(request.body);
  checkPayloadHashes(claim, payloadHash);

  const secret = await options.secretLookup(claim.accessKeyId, claim.sessionToken);
  const { accessKeyId, secretAccessKey } = secret ? { accessKeyId: claim.accessKeyId, secretAccessKey: secret.secretAccessKey } : decoy;
  const signingKey = findSigningKey(accessKeyId, secretAccessKey, claim.scope);
  const signature = hmac(signingKey, stringToSign(claim, canonicalRequest(request, headers, claim, payloadHash))).toString('hex');
  const matches = equalInConstantTime(signature, claim.signature);
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

/** An Authorization header of another scheme names no access key, so to AWS it is as good as none. */
function readClaim(request: ApiRequest, headers: HeadersByName): Claim {
  const query = parseQuery(request);
  const presigned = query.find(([name]) => ['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Signature'].includes(name))?.[0];
  const authorization = onlyValue(headers, 'authorization');
  if (presigned !== undefined && authorization !== undefined) {
    throw refusal(`Found both '${presigned}' as a query-string param and 'Authorization' as HTTP header.`);
  }
  if (presigned === undefined && !authorization?.startsWith('AWS4-')) {
    throw new ServiceException('MissingAuthenticationToken', 'Missing Authentication Token');
  }
  const claim = authorization === undefined ? readPresignedQuery(query, headers) : readAuthorization(authorization, query, headers);
  if (headers.has('x-amz-region-set') || query.some(([name]) => name === 'X-Amz-Region-Set')) throw incomplete(onlyVersion4);
  if ((claim.sessionToken?.length ?? 0) > limits.sessionTokenCharactersMax) {
    throw incomplete(`A session token has at most ${limits.sessionTokenCharactersMax} characters.`);
  }
  return claim;
}

function readAuthorization(authorization: string, query: QueryPair[], headers: HeadersByName): Claim {
  if (authorization.length > limits.authorizationCharactersMax) {
    throw incomplete(`The Authorization header has at most ${limits.authorizationCharactersMax} characters.`);
  }
  const [scheme = ''] = authorization.split(/\s/, 1);
  checkAlgorithm(scheme);
  const parameters = new Map<string, string>();
  for (const pair of authorization.slice(scheme.length).split(',')) {
    if (pair.trim() === '') continue;
    const equals = pair.indexOf('=');
    if (equals < 0) throw incomplete('A parameter of the Authorization header is not a valid key=value pair (missing equal-sign).');
    const name = pair.slice(0, equals).trim();
    if (parameters.has(name)) throw incomplete('A parameter of the Authorization header is given twice.');
    parameters.set(name, pair.slice(equals + 1).trim());
  }
  const names = ['Credential', 'SignedHeaders', 'Signature'] as const;
  const [credential, signedHeaders, signature] = required(parameters, names, name => `Authorization header requires '${name}' parameter.`);
  const amzDate = onlyValue(headers, 'x-amz-date');
  const date = amzDate ?? onlyValue(headers, 'date');
  if (date === undefined) throw incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
  return {
    ...readCredential(credential),
    signedHeaders: readSignedHeaders(signedHeaders),
    mustSign: amzDate === undefined ? ['Host', 'Date'] : ['Host'],
    signature,
    ...((amzDate === undefined && parseHttpDate(date)) || parseBasicFormat(date)),
    sessionToken: onlyValue(headers, 'x-amz-security-token'),
    expiresInSeconds: undefined,
    payloadHashes: [onlyValue(headers, 'x-amz-content-sha256')],
    query,
  };
}

function readPresignedQuery(query: QueryPair[], headers: HeadersByName): Claim {
  const parameters = new Map(query.filter(([name]) => name.startsWith('X-Amz-')));
  if (query.filter(([name]) => parameters.has(name)).length > parameters.size) {
    throw incomplete('An X-Amz- query-string parameter is given twice.');
  }
  const names = ['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Signature', 'X-Amz-SignedHeaders', 'X-Amz-Date', 'X-Amz-Expires'] as const;
  const [claimedAlgorithm, credential, signature, signedHeaders, date, expires] = required(
    parameters,
    names,
    name => `AWS query-string parameters must include '${name}'.`,
  );
  checkAlgorithm(claimedAlgorithm);
  if (!/^\d{1,6}$/.test(expires) || Number(expires) < 1 || Number(expires) > limits.presignedSecondsMax) {
    throw incomplete(`X-Amz-Expires must be between 1 and ${limits.presignedSecondsMax} seconds.`);
  }
  return {
    ...readCredential(credential),
    signedHeaders: readSignedHeaders(signedHeaders),
    mustSign: ['Host'],
    signature,
    ...parseBasicFormat(date),
    sessionToken: parameters.get('X-Amz-Security-Token'),
    expiresInSeconds: Number(expires),
    payloadHashes: [parameters.get('X-Amz-Content-Sha256'), onlyValue(headers, 'x-amz-content-sha256')],
    query: query.filter(([name]) => name !== 'X-Amz-Signature'),
  };
}

/** What decides about the signature comes once: of two values, which is meant? */
function onlyValue(headers: HeadersByName, name: string): string | undefined {
  const [value, second] = headers.get(name) ?? [];
  if (second !== undefined) throw incomplete(`Exactly one ${name} header is allowed.`);
  return value?.trim();
}

function checkAlgorithm(claimed: string): void {
  if (claimed === algorithm) return;
  throw incomplete(claimed.startsWith('AWS4-ECDSA-') ? onlyVersion4 : `Unsupported AWS 'algorithm' (only ${algorithm}).`);
}

/** The values of `names` in their order; every missing one is named, as AWS does. */
function required<const N extends readonly string[]>(
  parameters: ReadonlyMap<string, string>,
  names: N,
  demand: (name: string) => string,
): { [K in keyof N]: string } {
  const missing = names.filter(name => !parameters.get(name));
  if (missing.length > 0) throw incomplete(missing.map(demand).join(' '));
  return names.map(name => parameters.get(name) ?? '') as { [K in keyof N]: string };
}

function readCredential(credential: string): Pick<Claim, 'accessKeyId' | 'scope'> {
  const [accessKeyId, date, region, service, end, more] = credential.split('/', 6);
  if (!accessKeyId || !date || !region || !service || !end || more !== undefined) {
    throw incomplete('Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.');
  }
  if (!accessKeyIdForm.test(accessKeyId))
    throw incomplete('The access key id in Credential must be 1 to 128 letters, digits or underscores.');
  return { accessKeyId, scope: { date, region, service, terminator: end } };
}

/** Refused unless sorted, so that there is one way to write what is signed ("Create a signed AWS API request", canonical request). */
function readSignedHeaders(text: string): string[] {
  const names = text.split(';', limits.signedHeadersMax + 1);
  if (names.length > limits.signedHeadersMax) throw incomplete(`SignedHeaders has at most ${limits.signedHeadersMax} names.`);
  if (!names.every((name, index) => headerNameForm.test(name) && (index === 0 || name > (names[index - 1] ?? '')))) {
    throw incomplete('SignedHeaders must be header names in lower case and alphabetical order, each once, with semicolons between.');
  }
  return names;
}

/**
 * RequestExpired is what the API reference calls it ("Common errors"), and one of the names on which AWS's clients correct their clock (aws-sdk v2,
 * lib/service.js, clockSkewError). A presigned request begins at its date and ends with X-Amz-Expires.
 */
function checkTime({ signedAt, timestamp, expiresInSeconds }: Claim, now: number): void {
  const skewMs = limits.clockSkewMinutesMax * 60_000;
  const [lifeMs, life] =
    expiresInSeconds === undefined ? [skewMs, `${limits.clockSkewMinutesMax} min.`] : [expiresInSeconds * 1000, `${expiresInSeconds} s.`];
  if (signedAt - now > skewMs) {
    const latest = `${basicFormat(now + skewMs)} (${basicFormat(now)} + ${limits.clockSkewMinutesMax} min.)`;
    throw new ServiceException('RequestExpired', `Signature not yet current: ${timestamp} is still later than ${latest}`);
  }
  if (now - signedAt > lifeMs) {
    const earliest = `${basicFormat(now - lifeMs)} (${basicFormat(now)} - ${life})`;
    throw new ServiceException('RequestExpired', `Signature expired: ${timestamp} is now earlier than ${earliest}`);
  }
}

/** Every fault is named, as AWS does. */
function checkScope({ scope, timestamp }: Claim, { region, service }: SigV4Options): void {
  const faults: [isFault: boolean, message: string][] = [
    [scope.region !== region, `Credential should be scoped to a valid Region: '${region}'.`],
    [scope.service !== service, `Credential should be scoped to correct service: '${service}'.`],
    [scope.terminator !== terminator, `Credential should be scoped with a valid terminator: '${terminator}'.`],
    [scope.date !== timestamp.slice(0, 8), 'Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.'],
  ];
  const messages = faults.filter(([isFault]) => isFault).map(([, message]) => message);
  if (messages.length > 0) throw refusal(messages.join(' '));
}

/**
 * Host and every x-amz- header must be covered; the session token need not be: some clients add it after signing (post-sts-header-after in AWS's
 * test suite), and its own value proves it.
 */
function checkSignedHeaders({ signedHeaders, mustSign }: Claim, headers: HeadersByName): void {
  // A server must answer 400 to it (RFC 9112 section 3.2).
  if ((headers.get('host')?.length ?? 0) > 1)
    throw new ServiceException('MalformedHttpRequestException', 'Exactly one Host header is allowed.');
  const signed = new Set(signedHeaders);
  for (const name of mustSign) {
    if (!signed.has(name.toLowerCase())) throw refusal(`'${name}' must be a 'SignedHeader' in the AWS Authorization.`);
  }
  for (const name of headers.keys()) {
    if (name.startsWith('x-amz-') && name !== 'x-amz-security-token' && !signed.has(name)) {
      throw refusal(`There were headers present in the request which were not signed: ${name}.`);
    }
  }
  const absent = signedHeaders.find(name => !headers.has(name));
  if (absent !== undefined) throw refusal(`SignedHeaders names a header that is not in the request: ${absent}.`);
}

/** The body is always hashed here, so the markers that stand for a hash at Amazon S3 have no meaning. */
function checkPayloadHashes({ payloadHashes }: Claim, payloadHash: string): void {
  for (const claimed of payloadHashes) {
    if (claimed === undefined || claimed === payloadHash) continue;
    const [marker] = /^(?:UNSIGNED-PAYLOAD|STREAMING-[A-Z0-9-]{1,60})$/.exec(claimed) ?? [];
    throw refusal(
      marker === undefined
        ? 'The value of x-amz-content-sha256 is not the SHA-256 of the body in lower-case hexadecimal.'
        : `${marker} in x-amz-content-sha256 is for Amazon S3. Send the body in one piece and sign its SHA-256, or leave the header out.`,
    );
  }
}

/** The bytes that were signed: everything but the header values is ASCII by now, and those are Latin-1 characters for the bytes received. */
function canonicalRequest(request: ApiRequest, headers: HeadersByName, { query, signedHeaders }: Claim, payloadHash: string): Buffer {
  const lines = [
    request.method,
    canonicalPath(rawPath(request)),
    canonicalQuery(query),
    ...signedHeaders.map(name => `${name}:${canonicalHeader(headers.get(name) ?? [])}`),
    '',
    signedHeaders.join(';'),
    payloadHash,
  ];
  return Buffer.from(lines.join('\n'), 'latin1');
}

function stringToSign({ scope, timestamp }: Claim, canonical: Buffer): string {
  const { date, region, service } = scope;
  return [algorithm, timestamp, [date, region, service, terminator].join('/'), sha256Hex(canonical)].join('\n');
}

/** Derived keys by what they are derived from. The secret is looked up for every request, so a key that was deleted or replaced finds nothing here. */
const signingKeys = new LRUCache<string, { secretAccessKey: string; signingKey: KeyObject }>({ max: limits.signingKeysMax });

function findSigningKey(accessKeyId: string, secretAccessKey: string, { date, region, service }: Scope): KeyObject {
  const name = [accessKeyId, date, region, service].join('/');
  const known = signingKeys.get(name);
  if (known?.secretAccessKey === secretAccessKey) return known.signingKey;
  // A KeyObject at every step: createHmac takes several times as long over a Buffer.
  const signingKey = [date, region, service, terminator].reduce(
    (key, part) => createSecretKey(hmac(key, part)),
    createSecretKey(`AWS4${secretAccessKey}`, 'utf8'),
  );
  signingKeys.set(name, { secretAccessKey, signingKey });
  return signingKey;
}

/** The instant of a date such as 20260102T030405Z. */
function parseBasicFormat(timestamp: string): Pick<Claim, 'signedAt' | 'timestamp'> {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp) ?? [];
  const signedAt = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  // What reads back as another text is a date that the calendar does not have.
  if (Number.isNaN(signedAt) || basicFormat(signedAt) !== timestamp) {
    throw incomplete("Date must be in ISO-8601 'basic format': YYYYMMDDTHHMMSSZ.");
  }
  return { signedAt, timestamp };
}

/** The instant of an IMF-fixdate, the one form of HTTP's dates that is still sent (RFC 9110 section 5.6.7); undefined when it is not one. */
function parseHttpDate(text: string): Pick<Claim, 'signedAt' | 'timestamp'> | undefined {
  const signedAt = Date.parse(text);
  if (Number.isNaN(signedAt) || new Date(signedAt).toUTCString() !== text) return undefined;
  return { signedAt, timestamp: basicFormat(signedAt) };
}

function basicFormat(at: number): string {
  return new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: KeyObject, data: string): Buffer {
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
