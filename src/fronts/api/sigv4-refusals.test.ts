/** Every way to be refused by Signature Version 4: a request that is properly signed, one change to it, and AWS's exception for what is then wrong. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { presignQuery, type RequestToSign, type SigningCredentials, signHeaders } from '../../../test/support/signed-request.ts';
import { ServiceException, type ServiceExceptionName } from '../../base/errors.ts';
import type { ApiRequest } from './request.ts';
import { type SigV4Options, verifySigV4 } from './sigv4.ts';

const credentials: SigningCredentials = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret/of+the/key', sessionToken: 'token' };
const principal = { accountId: '111122223333', arn: 'arn:aws:iam::111122223333:user/test', userName: 'test', accessKeyId: 'AKIAEXAMPLE' };
const region = 'us-east-1';
const service = 'pca-connector-scep';
const now = Date.UTC(2026, 0, 2, 3, 4, 5);
const signingDate = new Date(now);
const host = 'localhost:8080';
const body = '{"ConnectorArn":"x"}';

const secretLookup: SigV4Options['secretLookup'] = async (accessKeyId, sessionToken) =>
  accessKeyId === credentials.accessKeyId && sessionToken === credentials.sessionToken
    ? { secretAccessKey: credentials.secretAccessKey, principal, expiresAt: now + 3_600_000 }
    : undefined;

const path = `http://${host}/challenges`;
interface SigningChange {
  url?: string;
  headers?: Record<string, string>;
  region?: string;
  service?: string;
  credentials?: SigningCredentials;
  expiresIn?: number;
}

/** POST with a body, a query and a header of its own. */
async function signed({ headers, ...change }: SigningChange = {}): Promise<ApiRequest> {
  const request = { method: 'POST', url: `${path}?a=b`, headers: { 'my-header': 'value', ...headers }, body };
  return received(request, await signHeaders(request, { credentials, region, service, signingDate, ...change }));
}

async function presigned({ url = `${path}?a=b`, ...change }: SigningChange = {}): Promise<ApiRequest> {
  const request = { method: 'POST', url, body };
  const query = await presignQuery(request, { credentials, region, service, signingDate, expiresIn: 3600, ...change });
  return received({ ...request, url: `${path}?${new URLSearchParams(query).toString().replaceAll('+', '%20')}` }, { host });
}

function received({ method, url, body = '' }: RequestToSign, headers: Record<string, string>): ApiRequest {
  const rawUrl = url.slice(url.indexOf('/', 'http://'.length));
  return { method, rawUrl, headers: Object.entries(headers), body: Buffer.from(body), source: '127.0.0.1' };
}

type Change = (request: ApiRequest) => ApiRequest;

/** With one header's value changed; undefined takes the header away. */
function header(name: string, change: (value: string) => string | undefined): Change {
  return request => ({
    ...request,
    headers: request.headers.flatMap(([key, value]): [string, string][] => {
      const changed = key.toLowerCase() === name ? change(value) : value;
      return changed === undefined ? [] : [[key, changed]];
    }),
  });
}

const authorization = (from: string | RegExp, to: string) => header('authorization', value => value.replace(from, to));
const credential = (text: string) => authorization(/Credential=[^,]+/, `Credential=${text}`);
const target =
  (from: string | RegExp, to: string): Change =>
  request => ({ ...request, rawUrl: request.rawUrl.replace(from, to) });
const more =
  (...headers: [string, string][]): Change =>
  request => ({ ...request, headers: [...request.headers, ...headers] });
const again =
  (name: string): Change =>
  request =>
    more(...request.headers.filter(([key]) => key === name).map(([key, value]): [string, string] => [key, value]))(request);
const without = (name: string) => header(name, () => undefined);

/** A signed request, or a presigned one, with changes. */
const signedBut =
  (...changes: Change[]) =>
  async () =>
    changes.reduce((request, change) => change(request), await signed());
const presignedBut =
  (...changes: Change[]) =>
  async () =>
    changes.reduce((request, change) => change(request), await presigned());

type Row = [name: string, request: () => Promise<ApiRequest>, message: RegExp, options?: Partial<SigV4Options>];

const notMatching = /^The request signature we calculated does not match the signature you provided\./;
const onlyVersion4 = /^Signature Version 4A .* is not taken here\. Sign for one Region with AWS4-HMAC-SHA256\.$/;
const fiveParts = /^Credential must have exactly 5 slash-delimited elements/;
const signedHeadersForm = /^SignedHeaders must be header names in lower case and alphabetical order, each once/;
const dateForm = /^Date must be in ISO-8601 'basic format'/;
const wrongHash = /^The value of x-amz-content-sha256 is not the SHA-256 of the body/;

const wrongSecret = { ...credentials, secretAccessKey: 'another' };
const unknownKey = { ...credentials, accessKeyId: 'AKIAUNKNOWN' };
const longToken = { ...credentials, sessionToken: 'a'.repeat(4097) };
const manyHeaders = Object.fromEntries(Array.from({ length: 97 }, (_, index) => [`my-header-${index}`, '']));
const httpDate = 'Fri, 02 Jan 2026 03:04:05 GMT';
const parameters = ['Algorithm', 'Credential', 'Signature', 'SignedHeaders', 'Date', 'Expires'];
const markers = [
  'UNSIGNED-PAYLOAD',
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
  'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD',
  'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER',
];

const missingAuthenticationToken: Row[] = [
  ['no Authorization', signedBut(without('authorization')), /^Missing Authentication Token$/],
  ['an empty Authorization', signedBut(header('authorization', () => '')), /^Missing/],
  ['a bearer token', signedBut(header('authorization', () => 'Bearer abc')), /^Missing/],
  ['a signature of version 2', signedBut(header('authorization', () => 'AWS AKIAEXAMPLE:c2lnbmF0dXJl')), /^Missing/],
  ['the scheme in lower case', signedBut(authorization('AWS4', 'aws4')), /^Missing/],
  ['a presigned query in lower case', presignedBut(target(/X-Amz-[A-Z]/g, 'x-amz-z')), /^Missing/],
];

const incompleteSignature: Row[] = [
  ['Authorization twice', signedBut(again('authorization')), /^Exactly one authorization header/],
  ['another algorithm', signedBut(authorization('SHA256', 'SHA1')), /^Unsupported AWS 'algorithm' \(only AWS4-HMAC-SHA256\)/],
  ['version 4A', signedBut(authorization('HMAC', 'ECDSA-P256')), onlyVersion4],
  ['a set of Regions', () => signed({ headers: { 'x-amz-region-set': '*' } }), onlyVersion4],
  ['the algorithm alone', signedBut(header('authorization', () => 'AWS4-HMAC-SHA256')), /'Credential' parameter\. .*'Signature'/],
  ['a parameter without value', signedBut(authorization('Signature=', 'Signature')), /missing equal-sign/],
  ['a parameter twice', signedBut(authorization('SignedHeaders', 'Credential=a, SignedHeaders')), /given twice/],
  ...['Credential', 'SignedHeaders', 'Signature'].map((name): Row => {
    const message = new RegExp(`^Authorization header requires '${name}' parameter\\.$`);
    return [`no ${name}`, signedBut(authorization(`${name}=`, 'Other=')), message];
  }),
  [
    'an Authorization of 8193 characters',
    signedBut(header('authorization', value => value.replace(' ', ' '.repeat(8193 - value.length + 1)))),
    /^The Authorization header has at most 8192 characters/,
  ],
  ['four parts in Credential', signedBut(credential('AKIAEXAMPLE/20260102/us-east-1/aws4_request')), fiveParts],
  ['six parts in Credential', signedBut(authorization('aws4_request', 'aws4_request/a')), fiveParts],
  ['an empty part in Credential', signedBut(authorization('AKIAEXAMPLE', '')), fiveParts],
  ['an access key id of 129 characters', signedBut(authorization('AKIAEXAMPLE', 'A'.repeat(129))), /^The access key id/],
  ['an access key id with a NUL', presignedBut(target('AKIAEXAMPLE', 'A%00')), /^The access key id/],
  ['no date', signedBut(without('x-amz-date')), /^Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header/],
  ['X-Amz-Date twice', signedBut(again('x-amz-date')), /^Exactly one x-amz-date/],
  ['Date twice, without X-Amz-Date', signedBut(without('x-amz-date'), more(['Date', httpDate], ['date', httpDate])), /^Exactly one date/],
  ...['', '20260102', '2026-01-02T03:04:05Z', '20260102T030405', '20260102T246000Z', '20260230T030405Z', httpDate].map(
    (date): Row => [`the date '${date}'`, signedBut(header('x-amz-date', () => date)), dateForm],
  ),
  ...['Friday, 02-Jan-26 03:04:05 GMT', 'Thu, 02 Jan 2026 03:04:05 GMT', '2 Jan 2026', 'now'].map(
    (date): Row => [`Date: ${date}`, signedBut(without('x-amz-date'), more(['Date', date])), dateForm],
  ),
  ['SignedHeaders in capitals', signedBut(authorization('host;', 'Host;')), signedHeadersForm],
  ['SignedHeaders out of order', signedBut(authorization('host;my-header;', 'my-header;host;')), signedHeadersForm],
  ['a signed header twice', signedBut(authorization('host;', 'host;host;')), signedHeadersForm],
  ['an empty name in SignedHeaders', signedBut(authorization('host;', 'host;;')), signedHeadersForm],
  ['white space in SignedHeaders', signedBut(authorization('host;', 'host; ')), signedHeadersForm],
  ['101 signed headers', () => signed({ headers: manyHeaders }), /^SignedHeaders has at most 100 names/],
  ['101 signed headers, presigned', presignedBut(target('Headers=host', `Headers=host${'%3Ba'.repeat(100)}`)), /at most 100 names/],
  ['X-Amz-Security-Token twice', signedBut(again('x-amz-security-token')), /^Exactly one x-amz-security-token/],
  ['a session token of 4097 characters', () => signed({ credentials: longToken }), /^A session token has at most 4096 characters/],
  ['a session token of 4097 characters, presigned', () => presigned({ credentials: longToken }), /at most 4096 characters/],
  ['X-Amz-Content-Sha256 twice', signedBut(more(['X-Amz-Content-Sha256', 'a'], ['x-amz-content-sha256', 'a'])), /^Exactly one/],
  ...parameters.map((name): Row => {
    const message = new RegExp(`^AWS query-string parameters must include 'X-Amz-${name}'\\.$`);
    return [`presigned without X-Amz-${name}`, presignedBut(target(`X-Amz-${name}=`, 'Other=')), message];
  }),
  ...[...parameters, 'Security-Token'].map((name): Row => {
    const twice = presignedBut(target(new RegExp(`X-Amz-${name}=[^&]+`), '$&&$&'));
    return [`presigned with X-Amz-${name} twice`, twice, /^An X-Amz- query-string parameter is given twice/];
  }),
  ['presigned with another algorithm', presignedBut(target('SHA256', 'SHA1')), /^Unsupported AWS 'algorithm'/],
  ['presigned with version 4A', presignedBut(target('HMAC', 'ECDSA-P256')), onlyVersion4],
  ['presigned for a set of Regions', presignedBut(target('?', '?X-Amz-Region-Set=us-east-1&')), onlyVersion4],
  ...['604801', '0', '-1', '1.5', '1e3', '0x10', ' 60'].map((expires): Row => {
    const request = presignedBut(target('X-Amz-Expires=3600', `X-Amz-Expires=${expires}`));
    return [`presigned for '${expires}' seconds`, request, /^X-Amz-Expires must be between 1 and 604800 seconds/];
  }),
];

const requestExpired: Row[] = [
  [
    'a date more than 15 minutes ago',
    () => signed(),
    /^Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z \(20260102T031906Z - 15 min\.\)$/,
    { now: now + 901_000 },
  ],
  [
    'a date more than 15 minutes ahead',
    () => signed(),
    /^Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z \(20260102T024904Z \+ 15 min\.\)$/,
    { now: now - 901_000 },
  ],
  [
    'Date more than 15 minutes ago',
    signedBut(without('x-amz-date'), more(['Date', httpDate])),
    /^Signature expired: 20260102T030405Z/,
    { now: now + 901_000 },
  ],
  [
    'presigned, past X-Amz-Expires',
    () => presigned(),
    /^Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z \(20260102T040406Z - 3600 s\.\)$/,
    { now: now + 3_601_000 },
  ],
  ['presigned for a second, after two', () => presigned({ expiresIn: 1 }), /- 1 s\.\)$/, { now: now + 2000 }],
  ['presigned, more than 15 minutes ahead', () => presigned(), /^Signature not yet current/, { now: now - 901_000 }],
  ['a date long ago, whatever else is wrong', signedBut(credential('A/a/b/c/d')), /^Signature expired/, { now: now + 901_000 }],
];

const invalidSignature: Row[] = [
  ['Authorization beside a presigned query', presignedBut(more(['Authorization', 'AWS4-HMAC-SHA256 a'])), /^Found both 'X-Amz-/],
  ['X-Amz-Signature beside Authorization', signedBut(target('?', '?X-Amz-Signature=0&')), /^Found both 'X-Amz-Signature'/],
  ['another Region', () => signed({ region: 'us-west-2' }), /^Credential should be scoped to a valid Region: 'us-east-1'\.$/],
  ['another service', () => signed({ service: 'acm-pca' }), /^Credential should be scoped to correct service: 'pca-connector-scep'\.$/],
  ['another terminator', signedBut(authorization('aws4_request', 'aws5_request')), /^Credential .* valid terminator: 'aws4_request'\.$/],
  ['another day', signedBut(authorization('/20260102/', '/20260103/')), /^Date in Credential scope does not match/],
  ['a scope that is wrong throughout', signedBut(credential('AKIAEXAMPLE/a/b/c/d')), /Region.*service.*terminator.*Date/],
  ['Host not signed', signedBut(authorization('host;', '')), /^'Host' must be a 'SignedHeader'/],
  ['Host not signed, presigned', presignedBut(target('Headers=host', 'Headers=a'), more(['A', ''])), /^'Host' must be a 'SignedHeader'/],
  ['Date not signed, without X-Amz-Date', signedBut(without('x-amz-date'), more(['Date', httpDate])), /^'Date' must be a 'SignedHeader'/],
  ['X-Amz-Date not signed', signedBut(authorization(';x-amz-date', '')), /which were not signed: x-amz-date\.$/],
  ['X-Amz-Target not signed', signedBut(more(['X-Amz-Target', 'ACMPrivateCA.GetPolicy'])), /not signed: x-amz-target\.$/],
  ['X-Amz-Target not signed, presigned', presignedBut(more(['X-Amz-Target', 'a'])), /not signed: x-amz-target\.$/],
  [
    'a signed header that is missing',
    signedBut(without('my-header')),
    /^SignedHeaders names a header that is not in the request: my-header/,
  ],
  ['no Host', signedBut(without('host')), /not in the request: host\.$/],
  ...markers.map((marker): Row => {
    const message = new RegExp(`^${marker} in x-amz-content-sha256 is for Amazon S3\\. .* sign its SHA-256`);
    return [marker, () => signed({ headers: { 'x-amz-content-sha256': marker } }), message];
  }),
  ['UNSIGNED-PAYLOAD, presigned', () => presigned({ url: `${path}?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD` }), /^UNSIGNED-PAYLOAD in/],
  ['the SHA-256 of another body', () => signed({ headers: { 'x-amz-content-sha256': 'e3b0'.padEnd(64, '0') } }), wrongHash],
  ['an empty x-amz-content-sha256', () => signed({ headers: { 'x-amz-content-sha256': '' } }), wrongHash],
  ['another method', signedBut(request => ({ ...request, method: 'PUT' })), notMatching],
  ['another path', signedBut(target('challenges', 'connectors')), notMatching],
  ['a slash more at the end of the path', signedBut(target('challenges', 'challenges/')), notMatching],
  ['another query', signedBut(target('a=b', 'a=c')), notMatching],
  ['a parameter more in the query', signedBut(target('a=b', 'a=b&a=b')), notMatching],
  ['another body', signedBut(request => ({ ...request, body: Buffer.from('{"ConnectorArn":"y"}') })), notMatching],
  ['another Host', signedBut(header('host', () => 'elsewhere')), notMatching],
  ['another value of a signed header', signedBut(header('my-header', () => 'other')), notMatching],
  ['one more value of a signed header', signedBut(more(['My-Header', ''])), notMatching],
  ['another date, within 15 minutes', signedBut(header('x-amz-date', () => '20260102T030406Z')), notMatching],
  ['a signature cut short', signedBut(header('authorization', value => value.slice(0, -1))), notMatching],
  ['a signature in capitals', signedBut(header('authorization', v => v.replace(/\w+$/, hex => hex.toUpperCase()))), notMatching],
  ['another secret', () => signed({ credentials: wrongSecret }), notMatching],
  ['another secret of a key that has expired', () => signed({ credentials: wrongSecret }), notMatching, { secretLookup: expired }],
  ['another query, presigned', presignedBut(target('a=b', 'a=c')), notMatching],
  ['a longer life, presigned', presignedBut(target('Expires=3600', 'Expires=3601')), notMatching],
];

const unrecognizedClient: Row[] = [
  ['an unknown key', () => signed({ credentials: unknownKey }), /^The security token included in the request is invalid\.$/],
  ['another session token', signedBut(header('x-amz-security-token', () => 'other')), /is invalid\.$/],
  ['no session token', signedBut(without('x-amz-security-token'), authorization(';x-amz-security-token', '')), /is invalid\.$/],
  ['another session token, presigned', presignedBut(target('Token=token', 'Token=other')), /is invalid\.$/],
];

const expiredToken: Row[] = [
  ['a session that has ended', () => signed(), /^The security token included in the request is expired$/, { secretLookup: expired }],
  ['a session that has ended, presigned', () => presigned(), /is expired$/, { secretLookup: expired }],
  ['a session that ends before X-Amz-Expires', () => presigned({ expiresIn: 7200 }), /is expired$/, { now: now + 3_600_000 }],
];

const malformedHttpRequest: Row[] = [
  ['Host twice', signedBut(again('host')), /^Exactly one Host header/],
  ['a percent sign without digits in the query', signedBut(target('a=b', 'a=%zz')), /percent-encoded UTF-8/],
  ['a parameter name that is not UTF-8', signedBut(target('a=b', '%ff=b')), /percent-encoded UTF-8/],
];

const refusals: [exception: ServiceExceptionName, statusCode: number, rows: Row[]][] = [
  ['MissingAuthenticationToken', 403, missingAuthenticationToken],
  ['IncompleteSignature', 403, incompleteSignature],
  ['RequestExpired', 400, requestExpired],
  ['InvalidSignatureException', 403, invalidSignature],
  ['UnrecognizedClientException', 403, unrecognizedClient],
  ['ExpiredTokenException', 403, expiredToken],
  ['MalformedHttpRequestException', 400, malformedHttpRequest],
];

async function expired() {
  return { secretAccessKey: credentials.secretAccessKey, principal, expiresAt: now };
}

const verify = (request: ApiRequest, options: Partial<SigV4Options> = {}) =>
  verifySigV4(request, { secretLookup, now, region, service, ...options });

describe('without a change', () => {
  it('both forms are accepted', async () => {
    assert.equal(await verify(await signed()), principal);
    assert.equal(await verify(await presigned()), principal);
  });
});

for (const [exception, statusCode, rows] of refusals) {
  describe(`${exception}, ${statusCode}, is the answer to`, () => {
    for (const [name, request, message, options] of rows) {
      it(name, async () => {
        const error = await verify(await request(), options).catch((reason: unknown) => reason);
        assert.ok(error instanceof ServiceException, String(error));
        assert.deepEqual([error.name, error.statusCode], [exception, statusCode], error.message);
        assert.match(error.message, message);
      });
    }
  });
}
