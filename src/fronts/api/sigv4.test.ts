/** Signature Version 4 against the published vectors, every form of request that is accepted, and arbitrary bytes. */
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { TestCase } from 'sigv4-suite/dist-types/suite.fixture.js';
import { seed } from '../../../test/support/pki-fixtures.ts';
import { presignQuery, type RequestToSign, type SigningCredentials, signHeaders } from '../../../test/support/signed-request.ts';
import { ServiceException } from '../../base/errors.ts';
import type { Principal } from '../../base/resources.ts';
import type { ApiRequest } from './request.ts';
import { type SigningSecret, type SigV4Options, verifySigV4 } from './sigv4.ts';

interface Suite {
  requests: TestCase[];
  region: string;
  service: string;
  credentials: SigningCredentials;
  signingDate: Date;
}
const suiteFile: string = 'sigv4-suite/dist-es/suite.fixture.js';
const suite = (await import(suiteFile)) as Suite;

const credentials: SigningCredentials = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret/of+the/key' };
const principal: Principal = {
  accountId: '111122223333',
  arn: 'arn:aws:iam::111122223333:user/test',
  userName: 'test',
  accessKeyId: credentials.accessKeyId,
};
const region = 'us-east-1';
const service = 'pca-connector-scep';
const now = Date.UTC(2026, 0, 2, 3, 4, 5);
const signingDate = new Date(now);
const minuteMs = 60_000;
const host = 'localhost:8080';
const secret: SigningSecret = { secretAccessKey: credentials.secretAccessKey, principal };

function options(change: Partial<SigV4Options> = {}): SigV4Options {
  return { secretLookup: async id => (id === credentials.accessKeyId ? secret : undefined), now, region, service, ...change };
}

const suiteOptions = options({
  secretLookup: async () => ({ ...secret, secretAccessKey: suite.credentials.secretAccessKey }),
  now: suite.signingDate.getTime(),
  region: suite.region,
  service: suite.service,
});

function apiRequest({ method, url, body = '' }: RequestToSign, headers: Record<string, string>): ApiRequest {
  const rawUrl = url.slice(url.indexOf('/', 'http://'.length));
  return { method, rawUrl, headers: Object.entries(headers), body: Buffer.from(body), source: '127.0.0.1' };
}

const listing: RequestToSign = { method: 'GET', url: `http://${host}/connectors?MaxResults=2` };
const creation: RequestToSign = { method: 'POST', url: `http://${host}/challenges`, body: '{"ConnectorArn":"x"}' };
const creationHash = sha256(creation.body ?? '');

async function signed(request: RequestToSign, change: { credentials?: SigningCredentials; service?: string } = {}): Promise<ApiRequest> {
  return apiRequest(request, await signHeaders(request, { credentials, region, service, signingDate, ...change }));
}

async function presigned(
  request: RequestToSign,
  change: { expiresIn?: number; credentials?: SigningCredentials } = {},
): Promise<ApiRequest> {
  const query = await presignQuery(request, { credentials, region, service, signingDate, expiresIn: 3600, ...change });
  const url = `${request.url.split('?', 1)[0]}?${new URLSearchParams(query).toString().replaceAll('+', '%20')}`;
  return apiRequest({ ...request, url }, { host });
}

/** Signed by hand, for what a signer would write differently: the canonical request comes with the test. */
function signedByHand(
  request: Pick<ApiRequest, 'rawUrl' | 'headers'>,
  canonical: readonly string[],
  change: (a: string) => string = a => a,
) {
  const scope = ['20260102', region, service, 'aws4_request'];
  const stringToSign = ['AWS4-HMAC-SHA256', '20260102T030405Z', scope.join('/'), sha256(Buffer.from(canonical.join('\n'), 'latin1'))];
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  const parameters = [
    `Credential=${credentials.accessKeyId}/${scope.join('/')}`,
    `SignedHeaders=${canonical.at(-2)}`,
    `Signature=${hmac(key, stringToSign.join('\n')).toString('hex')}`,
  ];
  const authorization: [string, string] = ['Authorization', change(`AWS4-HMAC-SHA256 ${parameters.join(', ')}`)];
  return { method: 'GET', ...request, headers: [...request.headers, authorization], body: new Uint8Array(0), source: '127.0.0.1' };
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

const hostAndDate: [string, string][] = [
  ['Host', host],
  ['X-Amz-Date', '20260102T030405Z'],
];
const signedHostAndDate = [`host:${host}`, 'x-amz-date:20260102T030405Z', '', 'host;x-amz-date', sha256('')];

/** With one header's value changed. */
function withHeader(request: ApiRequest, name: string, change: (value: string) => string): ApiRequest {
  return { ...request, headers: request.headers.map(([key, value]) => [key, key.toLowerCase() === name ? change(value) : value]) };
}

/** RFC 3986 encoding, as a client writes its query. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16)}`);
}

describe('the published vectors', () => {
  it('are the 24 of the suite', () => assert.equal(suite.requests.length, 24));

  for (const { name, request, authorization } of suite.requests) {
    const query = Object.entries(request.query ?? {}).map(([key, value]) => `${encode(key)}=${encode(String(value))}`);
    const received: ApiRequest = {
      method: request.method,
      rawUrl: request.path + (query.length > 0 ? `?${query.join('&')}` : ''),
      headers: [...Object.entries(request.headers), ['Authorization', authorization]],
      body: Buffer.from(String(request.body ?? '')),
      source: '127.0.0.1',
    };
    it(`verifies ${name}`, async () => {
      assert.equal(await verifySigV4(received, suiteOptions), principal);
    });
    it(`refuses ${name} with one digit of the signature changed`, async () => {
      const tampered = withHeader(received, 'authorization', value => value.slice(0, -1) + (value.endsWith('0') ? '1' : '0'));
      await assert.rejects(verifySigV4(tampered, suiteOptions), { name: 'InvalidSignatureException' });
    });
  }

  // normalize-path of AWS's own suite: its canonical requests, and so its signature, are those of get-vanilla.
  for (const path of ['//', '/./', '/example/..', '/example1/example2/../..']) {
    it(`verify for the path ${path} as for /`, async () => {
      const { request, authorization = '' } = suite.requests.find(({ name }) => name === 'get-vanilla') ?? {};
      const headers: ApiRequest['headers'] = [...Object.entries(request?.headers ?? {}), ['Authorization', authorization]];
      const received = { method: 'GET', rawUrl: path, headers, body: new Uint8Array(0), source: '127.0.0.1' };
      assert.equal(await verifySigV4(received, suiteOptions), principal);
    });
  }
});

const arn = 'arn:aws:pca-connector-scep:us-east-1:111122223333:connector/a-b';
const manyHeaders = Object.fromEntries(Array.from({ length: 98 }, (_, index) => [`my-header-${index}`, String(index)]));

const accepted: [name: string, request: () => Promise<ApiRequest> | ApiRequest][] = [
  [
    'with an ARN in its path, which is encoded a second time',
    () => signed({ method: 'GET', url: `http://${host}/x/${encodeURIComponent(arn)}` }),
  ],
  [
    'with percent-encoding in lower case in its path, which is signed as it is sent',
    () => signed({ method: 'GET', url: `http://${host}/x/%3a%2f%7e` }),
  ],
  ['with a body and without x-amz-content-sha256', () => signed(creation)],
  [
    'with the SHA-256 of its body in x-amz-content-sha256',
    () => signed({ ...creation, headers: { 'x-amz-content-sha256': creationHash } }),
  ],
  ['with its content type not signed', async () => withMore(await signed(creation), ['Content-Type', 'application/json'])],
  [
    'with a repeated query parameter, in whatever order',
    () => signed({ method: 'DELETE', url: `http://${host}/tags/x?tagKeys=b&tagKeys=a%20b&tagKeys=%C3%A9` }),
  ],
  [
    'with a query that is encoded more than it need be, or in lower case',
    () => signedByHand({ rawUrl: '/x?%7e=%41%c3%a9&a', headers: hostAndDate }, ['GET', '/x', 'a=&~=A%C3%A9', ...signedHostAndDate]),
  ],
  [
    'with a path and a query that are encoded less than they might be',
    () =>
      signedByHand({ rawUrl: "/x*?a=!'()*/:", headers: hostAndDate }, ['GET', '/x%2A', 'a=%21%27%28%29%2A%2F%3A', ...signedHostAndDate]),
  ],
  [
    'with a plus sign in its query, which is a plus sign',
    () => signedByHand({ rawUrl: '/x?a=1+1', headers: hostAndDate }, ['GET', '/x', 'a=1%2B1', ...signedHostAndDate]),
  ],
  [
    'with a signed header folded over lines and repeated',
    async () => {
      const request = await signed({ ...listing, headers: { 'my-header': 'one,two words,' } });
      const headers = request.headers.filter(([name]) => name !== 'my-header');
      return withMore({ ...request, headers }, ['My-Header', ' one '], ['MY-HEADER', 'two\r\n \t words'], ['my-header', '']);
    },
  ],
  [
    'with a signed header in UTF-8, of which no byte is taken for a space',
    () => {
      const value = Buffer.from('à la carte à').toString('latin1');
      const headers = ['accept', 'host', 'x-amz-date'];
      return signedByHand({ rawUrl: '/x', headers: [...hostAndDate, ['Accept', `${value}  `]] }, [
        'GET',
        '/x',
        '',
        `accept:${value}`,
        `host:${host}`,
        'x-amz-date:20260102T030405Z',
        '',
        headers.join(';'),
        sha256(''),
      ]);
    },
  ],
  ...['Fri, 02 Jan 2026 03:04:05 GMT', '20260102T030405Z'].map((date): [string, () => ApiRequest] => [
    `with Date: ${date} instead of X-Amz-Date`,
    () =>
      signedByHand(
        {
          rawUrl: '/x',
          headers: [
            ['Host', host],
            ['Date', date],
          ],
        },
        ['GET', '/x', '', `date:${date}`, `host:${host}`, '', 'date;host', sha256('')],
      ),
  ]),
  [
    'with a Date beside X-Amz-Date, which alone counts',
    async () => withMore(await signed(listing), ['Date', 'Thu, 01 Jan 1998 00:00:00 GMT']),
  ],
  [
    'with parameters of Authorization set apart by other white space, and a comma too many',
    () =>
      signedByHand(
        { rawUrl: '/x', headers: hostAndDate },
        ['GET', '/x', '', ...signedHostAndDate],
        authorization => ` ${authorization.replace(', ', ',').replace(', ', ' ,\t').replace(' ', '  ')},`,
      ),
  ],
  [
    'with an Authorization header of 8192 characters',
    async () =>
      withHeader(await signed(listing), 'authorization', value =>
        value.replace('SignedHeaders', 'SignedHeaders'.padStart(8192 - value.length + 13)),
      ),
  ],
  ['with 100 signed headers', () => signed({ ...listing, headers: manyHeaders })],
  ['presigned', () => presigned(listing)],
  ['presigned for seven days', () => presigned(listing, { expiresIn: 604_800 })],
  ['presigned for a second', () => presigned(listing, { expiresIn: 1 })],
  ['presigned with a body', () => presigned(creation)],
  ['presigned with the SHA-256 of its body', () => presigned({ ...creation, url: `${creation.url}?X-Amz-Content-Sha256=${creationHash}` })],
];

function withMore(request: ApiRequest, ...headers: [string, string][]): ApiRequest {
  return { ...request, headers: [...request.headers, ...headers] };
}

describe('a request is accepted', () => {
  for (const [name, request] of accepted) {
    it(name, async () => {
      assert.equal(await verifySigV4(await request(), options()), principal);
    });
  }

  it('within 15 minutes of clock skew either way', async () => {
    const request = await signed(listing);
    for (const skewMs of [-15 * minuteMs, -15 * minuteMs + 1000, 15 * minuteMs - 1000, 15 * minuteMs]) {
      assert.equal(await verifySigV4(request, options({ now: now + skewMs })), principal);
    }
  });

  it('when presigned from 15 minutes before its date until its X-Amz-Expires', async () => {
    const request = await presigned(listing);
    for (const skewMs of [-15 * minuteMs, 3_600_000]) assert.equal(await verifySigV4(request, options({ now: now + skewMs })), principal);
  });

  it('for each service under its own signing name', async () => {
    const headers = { 'x-amz-target': 'ACMPrivateCA.ListCertificateAuthorities', 'content-type': 'application/x-amz-json-1.1' };
    const request = await signed({ method: 'POST', url: `http://${host}/`, headers, body: '{}' }, { service: 'acm-pca' });
    assert.equal(await verifySigV4(request, options({ service: 'acm-pca' })), principal);
  });

  it('with a key of 128 characters and a session token of 4096', async () => {
    const longest = { accessKeyId: 'A'.repeat(128), secretAccessKey: credentials.secretAccessKey, sessionToken: '/'.repeat(4096) };
    const secretLookup = async () => secret;
    for (const request of [await signed(listing, { credentials: longest }), await presigned(listing, { credentials: longest })]) {
      assert.equal(await verifySigV4(request, options({ secretLookup })), principal);
    }
  });
});

describe('the look-up', () => {
  it('is given the session token in every form, also one that was added after signing', async () => {
    const seen: (string | undefined)[] = [];
    const secretLookup: SigV4Options['secretLookup'] = async (_id, token) => {
      seen.push(token);
      return { ...secret, expiresAt: now + 1 };
    };
    const temporary = { ...credentials, sessionToken: 'token/with+signs==' };
    await verifySigV4(await signed(listing, { credentials: temporary }), options({ secretLookup }));
    await verifySigV4(await presigned(listing, { credentials: temporary }), options({ secretLookup }));
    await verifySigV4(withMore(await signed(listing), ['X-Amz-Security-Token', temporary.sessionToken]), options({ secretLookup }));
    await verifySigV4(await signed(listing), options({ secretLookup }));
    assert.deepEqual(seen, [temporary.sessionToken, temporary.sessionToken, temporary.sessionToken, undefined]);
  });

  it('decides each time: a key that was replaced or deleted is worth nothing at once', async () => {
    const replaced = { ...credentials, secretAccessKey: 'another' };
    const [before, after] = [await signed(listing), await signed(listing, { credentials: replaced })];
    const replacement = options({ secretLookup: async () => ({ ...secret, secretAccessKey: replaced.secretAccessKey }) });
    assert.equal(await verifySigV4(before, options()), principal);
    await assert.rejects(verifySigV4(before, replacement), { name: 'InvalidSignatureException' });
    assert.equal(await verifySigV4(after, replacement), principal);
    await assert.rejects(verifySigV4(after, options()), { name: 'InvalidSignatureException' });
    await assert.rejects(verifySigV4(before, options({ secretLookup: async () => undefined })), { name: 'UnrecognizedClientException' });
  });
});

describe('whatever the bytes', () => {
  const text = fc.string({ unit: 'binary', maxLength: 60 });
  const header = fc.constantFrom(
    'Authorization',
    'X-Amz-Date',
    'Date',
    'Host',
    'X-Amz-Security-Token',
    'X-Amz-Content-Sha256',
    'X-Amz-Region-Set',
  );
  const parameter = fc.constantFrom('Algorithm', 'Credential', 'Date', 'Expires', 'SignedHeaders', 'Signature', 'Security-Token');

  async function refuses(request: ApiRequest): Promise<void> {
    const error = await verifySigV4(request, options({ secretLookup: async () => undefined })).catch((reason: unknown) => reason);
    assert.ok(error instanceof ServiceException, String(error));
    assert.ok(error.statusCode === 400 || error.statusCode === 403);
  }

  it("a request is refused in AWS's words", async () => {
    const headers = fc.array(fc.tuple(fc.oneof(header, text), text), { maxLength: 8 });
    const query = fc.array(
      fc.tuple(
        fc.oneof(
          parameter.map(name => `X-Amz-${name}`),
          text,
        ),
        text,
      ),
      { maxLength: 8 },
    );
    const arbitrary = fc.tuple(text, text, query, headers, fc.uint8Array({ maxLength: 20 }));
    await fc.assert(
      fc.asyncProperty(arbitrary, async ([method, path, pairs, given, body]) => {
        const rawUrl = `${path}?${pairs.map(pair => pair.join('=')).join('&')}`;
        await refuses({ method, rawUrl, headers: given, body, source: '' });
      }),
      { seed, numRuns: 1000 },
    );
  });

  it("a signed request with text put in place of some of it is refused in AWS's words", async () => {
    const requests = [await signed(creation), await presigned(listing, { credentials: { ...credentials, sessionToken: 'token' } })];
    const part = fc.oneof(text, fc.constantFrom('', ',', '=', ';', '/', '%', '%00', '%ff', '&', ' ', '\t', 'Z', '0'));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...requests),
        fc.nat(9),
        fc.nat(),
        fc.nat(20),
        part,
        async (request, index, at, length, inserted) => {
          const change = (value: string) => {
            const start = at % (value.length + 1);
            return value.slice(0, start) + inserted + value.slice(start + length);
          };
          const headers = request.headers.map(([name, value], n): [string, string] =>
            n === index ? [name, change(value)] : [name, value],
          );
          await refuses(index < headers.length ? { ...request, headers } : { ...request, rawUrl: change(request.rawUrl) });
        },
      ),
      { seed, numRuns: 2000 },
    );
  });
});
