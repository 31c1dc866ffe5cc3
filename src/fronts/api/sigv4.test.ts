/** Signature Version 4 against the published vectors, and every way to be refused. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { TestCase } from 'sigv4-suite/dist-types/suite.fixture.js';
import { presignQuery, type RequestToSign, type SigningCredentials, signHeaders } from '../../../test/support/signed-request.ts';
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
const principal = { accountId: '111122223333', arn: 'arn:aws:iam::111122223333:user/test', accessKeyId: credentials.accessKeyId };
const region = 'us-east-1';
const service = 'pca-connector-scep';
const now = Date.UTC(2026, 0, 2, 3, 4, 5);
const signingDate = new Date(now);
const host = 'localhost:8080';
const secret: SigningSecret = { secretAccessKey: credentials.secretAccessKey, principal };

function options(change: Partial<SigV4Options> = {}): SigV4Options {
  return { secretLookup: async id => (id === credentials.accessKeyId ? secret : undefined), now, region, service, ...change };
}

function apiRequest({ method, url, body = '' }: RequestToSign, headers: Record<string, string>): ApiRequest {
  const rawUrl = url.slice(url.indexOf('/', 'http://'.length));
  return { method, rawUrl, headers: Object.entries(headers), body: Buffer.from(body), source: '127.0.0.1' };
}

const listing: RequestToSign = { method: 'GET', url: `http://${host}/connectors?MaxResults=2` };
const creation: RequestToSign = { method: 'POST', url: `http://${host}/challenges`, body: '{"ConnectorArn":"x"}' };

async function signed(
  request: RequestToSign,
  change: { credentials?: SigningCredentials; signingDate?: Date; region?: string; service?: string } = {},
) {
  return apiRequest(request, await signHeaders(request, { credentials, region, service, signingDate, ...change }));
}

async function presigned(
  request: RequestToSign,
  change: { signingDate?: Date; credentials?: SigningCredentials } = {},
): Promise<ApiRequest> {
  const query = await presignQuery(request, { credentials, region, service, signingDate, expiresIn: 3600, ...change });
  const url = `${request.url.split('?', 1)[0]}?${new URLSearchParams(query).toString().replaceAll('+', '%20')}`;
  return apiRequest({ ...request, url }, { host });
}

async function refused(request: ApiRequest, name: string, message: RegExp, change: Partial<SigV4Options> = {}): Promise<void> {
  await assert.rejects(verifySigV4(request, options(change)), { name, message });
}

/** With one header's value changed; undefined takes the header away. */
function withHeader(request: ApiRequest, name: string, change: (value: string) => string | undefined): ApiRequest {
  const headers = request.headers.flatMap(([key, value]): [string, string][] => {
    const changed = key.toLowerCase() === name ? change(value) : value;
    return changed === undefined ? [] : [[key, changed]];
  });
  return { ...request, headers };
}

/** RFC 3986 encoding, as a client writes its query. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16)}`);
}

async function expiredSecret(): Promise<SigningSecret> {
  return { ...secret, expiresAt: now };
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
    const vectorOptions = options({
      secretLookup: async () => ({ ...secret, secretAccessKey: suite.credentials.secretAccessKey }),
      now: suite.signingDate.getTime(),
      region: suite.region,
      service: suite.service,
    });
    it(`verifies ${name}`, async () => {
      assert.equal(await verifySigV4(received, vectorOptions), principal);
    });
    it(`refuses ${name} with one digit of the signature changed`, async () => {
      const tampered = withHeader(received, 'authorization', value => value.slice(0, -1) + (value.endsWith('0') ? '1' : '0'));
      await assert.rejects(verifySigV4(tampered, vectorOptions), { name: 'InvalidSignatureException' });
    });
  }
});

describe('a properly signed request', () => {
  it('is accepted with an ARN in its path, which is encoded a second time', async () => {
    const arn = encodeURIComponent('arn:aws:pca-connector-scep:us-east-1:111122223333:connector/a-b');
    assert.equal(await verifySigV4(await signed({ method: 'GET', url: `http://${host}/connectors/${arn}` }), options()), principal);
  });

  it('is accepted with a body', async () => {
    assert.equal(await verifySigV4(await signed(creation), options()), principal);
  });

  it('is accepted with a repeated query parameter, in whatever order', async () => {
    const request = await signed({ method: 'DELETE', url: `http://${host}/tags/x?tagKeys=b&tagKeys=a%20b&tagKeys=%C3%A9` });
    assert.equal(await verifySigV4(request, options()), principal);
  });

  it('is accepted with its signed header folded over lines or repeated', async () => {
    const request = await signed({ ...listing, headers: { 'my-header': 'one,two words' } });
    const headers = request.headers.filter(([name]) => name !== 'my-header');
    const repeated: [string, string][] = [
      ['My-Header', ' one '],
      ['MY-HEADER', 'two\r\n   words'],
    ];
    assert.equal(await verifySigV4({ ...request, headers: [...headers, ...repeated] }, options()), principal);
  });

  it('is accepted with the SHA-256 of its body in x-amz-content-sha256', async () => {
    const hash = createHash('sha256').update('{"ConnectorArn":"x"}').digest('hex');
    assert.equal(await verifySigV4(await signed({ ...creation, headers: { 'x-amz-content-sha256': hash } }), options()), principal);
  });

  it('is accepted within 15 minutes of clock skew either way', async () => {
    for (const minutes of [-15, 15]) {
      assert.equal(await verifySigV4(await signed(listing), options({ now: now + minutes * 60_000 })), principal);
    }
  });

  it('hands its session token to the look-up', async () => {
    const seen: (string | undefined)[] = [];
    const secretLookup: SigV4Options['secretLookup'] = async (_id, token) => {
      seen.push(token);
      return { ...secret, expiresAt: now + 1 };
    };
    const temporary = { ...credentials, sessionToken: 'token/with+signs==' };
    await verifySigV4(await signed(listing, { credentials: temporary }), options({ secretLookup }));
    await verifySigV4(await presigned(listing, { credentials: temporary }), options({ secretLookup }));
    await verifySigV4(await signed(listing), options({ secretLookup }));
    assert.deepEqual(seen, [temporary.sessionToken, temporary.sessionToken, undefined]);
  });
});

describe('a presigned request', () => {
  it('is accepted until it expires', async () => {
    const request = await presigned(listing);
    assert.equal(await verifySigV4(request, options()), principal);
    assert.equal(await verifySigV4(request, options({ now: now + 3_600_000 })), principal);
    await refused(request, 'InvalidSignatureException', /^Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z/, {
      now: now + 3_601_000,
    });
  });

  it('is refused before its time', async () => {
    await refused(await presigned(listing), 'InvalidSignatureException', /^Signature not yet current/, { now: now - 901_000 });
  });

  it('is refused when its query was changed', async () => {
    const request = await presigned(listing);
    await refused(
      { ...request, rawUrl: request.rawUrl.replace('MaxResults=2', 'MaxResults=3') },
      'InvalidSignatureException',
      /does not match/,
    );
    await refused(
      { ...request, rawUrl: request.rawUrl.replace('X-Amz-Expires=3600', 'X-Amz-Expires=3601') },
      'InvalidSignatureException',
      /does not match/,
    );
  });

  it('is refused for longer than seven days, or for no time', async () => {
    const { rawUrl, ...request } = await presigned(listing);
    for (const expires of ['604801', '0', '-1', '1.5', '']) {
      const changed = rawUrl.replace('X-Amz-Expires=3600', `X-Amz-Expires=${expires}`);
      await refused({ ...request, rawUrl: changed }, 'IncompleteSignature', /X-Amz-Expires/);
    }
  });

  it('is refused without a parameter, which the answer names', async () => {
    const { rawUrl, ...request } = await presigned(listing);
    for (const name of ['X-Amz-Credential', 'X-Amz-SignedHeaders', 'X-Amz-Signature', 'X-Amz-Date']) {
      await refused(
        { ...request, rawUrl: rawUrl.replace(name, 'X-Other') },
        'IncompleteSignature',
        new RegExp(`requires '${name}' parameter`),
      );
    }
    await refused({ ...request, rawUrl: rawUrl.replace('AWS4-HMAC-SHA256', 'AWS4-HMAC-SHA1') }, 'IncompleteSignature', /X-Amz-Algorithm/);
  });
});

describe('a request is refused', () => {
  it('without any signature', async () => {
    await refused(apiRequest(listing, { host }), 'MissingAuthenticationToken', /^Missing Authentication Token$/);
  });

  it('with an Authorization header that is not a signature', async () => {
    const cases: [string, RegExp][] = [
      ['Bearer abc', /must begin with AWS4-HMAC-SHA256/],
      ['', /must begin with AWS4-HMAC-SHA256/],
      ['AWS4-HMAC-SHA256 abc', /missing equal-sign/],
      ['AWS4-HMAC-SHA256 Credential=a', /requires 'SignedHeaders' parameter\. Authorization header requires 'Signature' parameter/],
      ['AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0', /'X-Amz-Date' header/],
    ];
    for (const [Authorization, message] of cases)
      await refused(apiRequest(listing, { host, Authorization }), 'IncompleteSignature', message);
  });

  it('with two Authorization headers', async () => {
    const request = await signed(listing);
    const again = request.headers.filter(([name]) => name === 'authorization');
    await refused({ ...request, headers: [...request.headers, ...again] }, 'IncompleteSignature', /Exactly one/);
  });

  it('with a credential that has not five parts', async () => {
    for (const credential of [
      'AKIAEXAMPLE',
      'AKIAEXAMPLE/20260102/us-east-1/pca-connector-scep/aws4_request/more',
      '/20260102/us-east-1/x/aws4_request',
    ]) {
      const request = withHeader(await signed(listing), 'authorization', value =>
        value.replace(/Credential=[^,]+/, `Credential=${credential}`),
      );
      await refused(request, 'IncompleteSignature', /5 slash-delimited elements/);
    }
  });

  it('when its credential is scoped elsewhere', async () => {
    await refused(await signed(listing, { region: 'us-west-2' }), 'InvalidSignatureException', /scoped to a valid Region: 'us-east-1'/);
    await refused(await signed(listing, { service: 'acm-pca' }), 'InvalidSignatureException', /correct service: 'pca-connector-scep'/);
    const change = (from: string, to: string) => async () =>
      withHeader(await signed(listing), 'authorization', value => value.replace(from, to));
    await refused(await change('aws4_request', 'aws5_request')(), 'InvalidSignatureException', /valid terminator/);
    await refused(await change('/20260102/', '/20260103/')(), 'InvalidSignatureException', /Date in Credential scope does not match/);
  });

  it("more than 15 minutes away from the server's clock", async () => {
    const request = await signed(listing);
    const late = /^Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z \(20260102T031906Z - 15 min\.\)$/;
    await refused(request, 'InvalidSignatureException', late, { now: now + 901_000 });
    const early = /^Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z \(20260102T024904Z \+ 15 min\.\)$/;
    await refused(request, 'InvalidSignatureException', early, { now: now - 901_000 });
  });

  it('with a date that is none', async () => {
    for (const date of ['20260102', '2026-01-02T03:04:05Z', '20260102T256000Z']) {
      await refused(
        withHeader(await signed(listing), 'x-amz-date', () => date),
        'IncompleteSignature',
        /ISO-8601 'basic format'/,
      );
    }
  });

  it('when host is not signed', async () => {
    const request = withHeader(await signed(listing), 'authorization', value => value.replace('SignedHeaders=host;', 'SignedHeaders='));
    await refused(request, 'InvalidSignatureException', /'Host' must be a 'SignedHeader'/);
  });

  it('when an x-amz- header is not signed', async () => {
    const request = await signed(listing);
    const headers: ApiRequest['headers'] = [...request.headers, ['X-Amz-Target', 'ACMPrivateCA.DeleteCertificateAuthority']];
    await refused({ ...request, headers }, 'InvalidSignatureException', /which were not signed/);
  });

  it('when anything that is signed was changed', async () => {
    const request = await signed({ ...creation, headers: { 'my-header': 'value' } });
    const changed: [string, ApiRequest][] = [
      ['method', { ...request, method: 'PUT' }],
      ['path', { ...request, rawUrl: '/connectors' }],
      ['query', { ...request, rawUrl: `${request.rawUrl}?a=b` }],
      ['body', { ...request, body: Buffer.from('{"ConnectorArn":"y"}') }],
      ['host', withHeader(request, 'host', () => 'elsewhere')],
      ['header', withHeader(request, 'my-header', () => 'other')],
      ['missing header', withHeader(request, 'my-header', () => undefined)],
      ['signature', withHeader(request, 'authorization', value => value.slice(0, -1))],
    ];
    for (const [what, tampered] of changed) {
      await assert.rejects(
        verifySigV4(tampered, options()),
        { name: 'InvalidSignatureException', message: /does not match the signature you provided/ },
        what,
      );
    }
  });

  it('when x-amz-content-sha256 is not the hash of the body', async () => {
    for (const value of ['UNSIGNED-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'e3b0']) {
      await refused(
        await signed({ ...creation, headers: { 'x-amz-content-sha256': value } }),
        'InvalidSignatureException',
        /not the SHA-256 of the body/,
      );
    }
  });

  it('with a wrong secret', async () => {
    const wrong = { ...credentials, secretAccessKey: 'another' };
    await refused(await signed(listing, { credentials: wrong }), 'InvalidSignatureException', /does not match/);
  });

  it('with a key that nobody knows', async () => {
    const unknown = { ...credentials, accessKeyId: 'AKIAUNKNOWN' };
    await refused(
      await signed(listing, { credentials: unknown }),
      'UnrecognizedClientException',
      /security token included in the request is invalid/,
    );
  });

  it('when its temporary credentials have expired, which only their owner is told', async () => {
    await refused(await signed(listing), 'ExpiredTokenException', /is expired/, { secretLookup: expiredSecret });
    const forged = await signed(listing, { credentials: { ...credentials, secretAccessKey: 'another' } });
    await refused(forged, 'InvalidSignatureException', /does not match/, { secretLookup: expiredSecret });
  });

  it('with a target that is not percent-encoded UTF-8', async () => {
    for (const query of ['?a=%zz', '?%ff=1']) {
      await refused(
        { ...(await signed(listing)), rawUrl: `/connectors${query}` },
        'MalformedHttpRequestException',
        /percent-encoded UTF-8/,
      );
    }
  });
});
