/** The publication front: what it answers to whom, with which headers, and how little a caller can make it do. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { StoreError } from '../../src/backends/store/database.ts';
import { parseCertificate } from '../../src/base/pki/x509.ts';
import { createPublicationHandler } from '../../src/fronts/publication/handler.ts';
import type { PublicationHandler, PublicationResponse } from '../../src/fronts/publication/publication.ts';
import { openPrivateCa, type PrivateCaSubject } from '../support/private-ca.ts';

let subject: PrivateCaSubject;
let caId: string;
let handle: PublicationHandler;
beforeEach(async () => {
  subject = await openPrivateCa();
  const root = await subject.createRoot({ revocation: { CrlConfiguration: { Enabled: true, ExpirationInDays: 7 } } });
  caId = root.split('/').at(-1) ?? '';
  const log = { info: () => {}, warn: () => {}, error: (fields: object) => void subject.reports.push(fields) };
  handle = createPublicationHandler({ revocationLists: subject.revocationLists, log });
});
afterEach(async () => {
  await subject[Symbol.asyncDispose]();
});

async function answerTo(rawUrl: string, method = 'GET', headers: [string, string][] = []): Promise<PublicationResponse> {
  const answer = handle({ method, rawUrl, headers });
  assert.ok(answer, `${rawUrl} is a publication's path`);
  return answer;
}

describe('the publication front', () => {
  it('gives the CRL with what caches need', async () => {
    const { statusCode, headers, body } = await answerTo(`/crl/${caId}.crl`);
    const list = await subject.revocationLists.findRevocationList(caId);
    assert.equal(statusCode, 200);
    assert.deepEqual(body, list?.der);
    assert.equal(headers['content-type'], 'application/pkix-crl');
    assert.equal(headers['content-length'], String(body.length));
    assert.equal(headers['cache-control'], 'public, max-age=300');
    assert.equal(headers['last-modified'], new Date(list?.thisUpdate ?? 0).toUTCString());
    assert.match(headers['etag'] ?? '', /^"\d+-\d+"$/);
  });

  it('gives the certificate of the authority', async () => {
    const { statusCode, headers, body } = await answerTo(`/ca/${caId}.cer`);
    assert.deepEqual([statusCode, headers['content-type']], [200, 'application/pkix-cert']);
    assert.equal(parseCertificate(body).serialNumber.length, 32);
  });

  it('answers HEAD with the same headers and no body', async () => {
    for (const path of [`/crl/${caId}.crl`, `/ca/${caId}.cer`]) {
      const [get, head] = [await answerTo(path), await answerTo(path, 'HEAD')];
      assert.deepEqual([head.statusCode, head.headers, head.body.length], [200, get.headers, 0]);
    }
  });

  it('answers a client that has it already with 304', async () => {
    const path = `/crl/${caId}.crl`;
    const { headers } = await answerTo(path);
    const { etag = '', 'last-modified': lastModified = '' } = headers;
    const statusOf = async (...pairs: [string, string][]) => (await answerTo(path, 'GET', pairs)).statusCode;
    assert.equal(await statusOf(['If-None-Match', etag]), 304);
    assert.equal(await statusOf(['if-none-match', `"other", W/${etag}`]), 304);
    assert.equal(await statusOf(['If-None-Match', '*']), 304);
    assert.equal(await statusOf(['If-None-Match', '"other"']), 200);
    assert.equal(await statusOf(['If-Modified-Since', lastModified]), 304);
    assert.equal(await statusOf(['If-Modified-Since', new Date(Date.parse(lastModified) - 1000).toUTCString()]), 200);
    assert.equal(await statusOf(['If-Modified-Since', 'yesterday']), 200);
    assert.equal(await statusOf(['If-None-Match', '"other"'], ['If-Modified-Since', lastModified]), 200);
    const { body, headers: fresh } = await answerTo(path, 'GET', [['If-None-Match', etag]]);
    assert.deepEqual([body.length, fresh['etag']], [0, etag]);
  });

  it('changes the entity tag when the CRL changes', async () => {
    const before = await answerTo(`/crl/${caId}.crl`);
    const root = `arn:aws:acm-pca:eu-central-1:111122223333:certificate-authority/${caId}`;
    const { certificate } = await subject.issue(root);
    await subject.revoke(root, certificate.serialNumber);
    const after = await answerTo(`/crl/${caId}.crl`, 'GET', [['If-None-Match', before.headers['etag'] ?? '']]);
    assert.equal(after.statusCode, 200);
    assert.ok(Buffer.from(after.body).includes(Buffer.from(certificate.serialNumber, 'hex')));
  });

  it('takes a query and the absolute form of a target', async () => {
    assert.equal((await answerTo(`/crl/${caId}.crl?x=1`)).statusCode, 200);
    assert.equal((await answerTo(`http://pki.example.com:8081/crl/${caId}.crl`)).statusCode, 200);
  });

  it('has nothing else in its folders, and leaves other paths to others', async () => {
    const unknown = '11111111-2222-4333-8444-555555555555';
    for (const path of [
      `/crl/${unknown}.crl`,
      `/ca/${unknown}.cer`,
      `/crl/${caId}.cer`,
      `/ca/${caId}.crl`,
      `/crl/${caId}`,
      `/crl/${caId}.crl/`,
      `/crl/${caId.toUpperCase()}.crl`,
      `/crl/../crl/${caId}.crl`,
      `/crl/%2e%2e`,
      '/crl/',
      '/ca/',
      `/crl/${caId}.crl%00`,
    ]) {
      const { statusCode, headers } = await answerTo(path);
      assert.deepEqual([statusCode, headers['content-type']], [404, 'text/plain'], path);
    }
    for (const rawUrl of ['/', '/crl', '/crlx/y', `/CRL/${caId}.crl`, `/x/crl/${caId}.crl`, '//crl/', '*', '']) {
      assert.equal(handle({ method: 'GET', rawUrl, headers: [] }), undefined, rawUrl);
    }
  });

  it('is read with GET and HEAD alone', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const { statusCode, headers } = await answerTo(`/crl/${caId}.crl`, method);
      assert.deepEqual([statusCode, headers['allow']], [405, 'GET, HEAD']);
    }
  });

  it('writes to the store once for each list, however often it is fetched', async () => {
    const numberInStore = async () => {
      const query = subject.database.query.selectFrom('certificate_authorities').select('crl_number').where('ca_id', '=', caId);
      return (await query.executeTakeFirstOrThrow()).crl_number;
    };
    for (let count = 0; count < 20; count++) await answerTo(`/crl/${caId}.crl`);
    assert.equal(await numberInStore(), 1);
  });

  it('answers an outage with 503, and a failure of its own with 500 and no word about it', async () => {
    subject.signing.fail = new StoreError('unreachable', 'secret path');
    const outage = await answerTo(`/crl/${caId}.crl`);
    assert.deepEqual([outage.statusCode, outage.headers['retry-after']], [503, '30']);
    subject.signing.fail = new Error('secret detail');
    const failure = await answerTo(`/crl/${caId}.crl`);
    assert.equal(failure.statusCode, 500);
    for (const { body } of [outage, failure]) assert.doesNotMatch(Buffer.from(body).toString(), /secret/);
    assert.equal(subject.reports.length, 2);
    subject.signing.fail = undefined;
    assert.equal((await answerTo(`/crl/${caId}.crl`)).statusCode, 200);
  });
});
