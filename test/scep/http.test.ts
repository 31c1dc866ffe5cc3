/** RFC 8894 section 4, the transport: what is answered to good HTTP, odd HTTP and no HTTP at all. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { findExtension, KeyUsage, parseKeyUsage } from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { parseSignedData } from '../../src/base/pki/signed-data.ts';
import { fingerprint } from '../../src/base/pki/x509.ts';
import type { ConnectorStatus } from '../../src/base/resources.ts';
import {
  type CertRep,
  decodeCertRep,
  exchange,
  exchangeOctets,
  issuanceIn,
  issuedBy,
  pemOf,
  RawScepClient,
  send,
} from '../support/raw-scep-client.ts';
import { accountId, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const otherUuid = '00000000-0000-4000-8000-000000000000';
const capabilities = 'AES\nPOSTPKIOperation\nSCEPStandard\nSHA-256\nSHA-384\nSHA-512\n';

/** What clients send with GetCACaps and GetCACert: nothing, a number, the name of a CA as they were configured, and what is no escape. */
const messageValues = ['', '0', '1', '-1', 'ca', 'default', 'CAIdentifier', 'SCEP%20Authority', 'SCEP+Authority', 'DummyCAIdentity', '%zz'];
const paths = [
  '',
  '/',
  '/pkiclient.exe',
  '/cgi-bin/pkiclient.exe',
  '/certsrv/mscep/mscep.dll',
  '/certsrv/mscep/mscep.dll/pkiclient.exe',
  '/scep/',
];
const appendages = paths.flatMap(path => ['?', '?profile=1&', '?profile=1?', '?&'].map(query => [path, query] as const));

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

describe('GetCACaps', () => {
  it('answers what is accepted, one word a line, as text/plain without parameters', async () => {
    const { statusCode, headers, body } = await send(`${server.url}?operation=GetCACaps`);
    assert.equal(statusCode, 200);
    assert.equal(headers['content-type'], 'text/plain');
    assert.equal(headers['content-length'], String(capabilities.length));
    assert.equal(String(body), capabilities);
  });

  it('takes no notice of message', async () => {
    for (const message of messageValues) {
      assert.equal(String((await send(`${server.url}?operation=GetCACaps&message=${message}`)).body), capabilities);
    }
  });

  it('is answered below every path that clients append, and behind a query that is there already', async () => {
    for (const [appended, query] of appendages) {
      const { statusCode, body } = await send(`${server.url}${appended}${query}operation=GetCACaps`);
      assert.deepEqual([statusCode, String(body)], [200, capabilities], `${appended}${query}`);
    }
  });

  it('is answered over HTTPS with a certificate of the CA', async () => {
    const { body } = await send(`${server.tlsUrl}?operation=GetCACaps`, { ca: pemOf(server.caCertificate) });
    assert.equal(String(body), capabilities);
  });
});

describe('GetCACert', () => {
  it('answers the RA and then the CA, certs-only, as application/x-x509-ca-ra-cert without parameters', async () => {
    const { statusCode, headers, body } = await send(`${server.url}?operation=GetCACert&message=ca`);
    assert.equal(statusCode, 200);
    assert.equal(headers['content-type'], 'application/x-x509-ca-ra-cert');
    assert.equal(headers['content-length'], String(body.length));
    const { certificates, signerInfos, eContent } = parseSignedData(body);
    assert.deepEqual({ signerInfos, eContent }, { signerInfos: [], eContent: undefined });
    assert.equal(certificates.length, 2);
    assert.deepEqual(Buffer.from(certificates[1]?.der ?? []), Buffer.from(server.caCertificate));
    assert.equal(fingerprint(server.caCertificate), server.caFingerprint);
  });

  it('takes no notice of message, nor of what follows the endpoint', async () => {
    const { body: expected } = await send(`${server.url}?operation=GetCACert`);
    for (const message of messageValues) {
      assert.deepEqual((await send(`${server.url}?operation=GetCACert&message=${message}`)).body, expected, message);
    }
    for (const [appended, query] of appendages) {
      assert.deepEqual((await send(`${server.url}${appended}${query}operation=GetCACert`)).body, expected, `${appended}${query}`);
    }
  });

  it('gives an RA certificate for signing and decrypting that the CA has issued', () => {
    const [ra, ca] = [client.ra, client.ca].map(({ der }) => new X509Certificate(der));
    assert.ok(ra && ca && ra.checkIssued(ca) && ra.verify(ca.publicKey));
    assert.equal(ra.ca, false);
    assert.deepEqual(ra.publicKey.asymmetricKeyDetails?.modulusLength, 2048);
    // Apple chooses the certificate to encrypt to by these.
    const keyUsage = findExtension(client.ra.extensions, Oid.keyUsage);
    assert.ok(keyUsage);
    assert.deepEqual(parseKeyUsage(keyUsage), new Set([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]));
  });
});

/** In what came back over a connection. */
function certRepIn(answer: Buffer): CertRep {
  const end = answer.indexOf('\r\n\r\n');
  const head = answer.subarray(0, end).toString('latin1');
  assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(head, /^content-type: application\/x-pki-message$/im);
  return decodeCertRep(answer.subarray(end + 4), client.ra, client.device);
}

describe('PKIOperation by POST', () => {
  const head = (headers: string) => Buffer.from(`POST ${new URL(server.url).pathname} HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`);
  const enrolments: [name: string, url: () => string][] = [
    ['with the operation', () => `${server.url}?operation=PKIOperation`],
    ['without an operation', () => server.url],
    ['below /pkiclient.exe', () => `${server.url}/pkiclient.exe?operation=PKIOperation`],
    ['below /cgi-bin/pkiclient.exe', () => `${server.url}/cgi-bin/pkiclient.exe?operation=PKIOperation`],
    ['below /certsrv/mscep/mscep.dll/pkiclient.exe', () => `${server.url}/certsrv/mscep/mscep.dll/pkiclient.exe?operation=PKIOperation`],
    ['with a message parameter beside the body', () => `${server.url}?operation=PKIOperation&message=MAA%3D`],
    ['below a trailing slash', () => `${server.url}/?operation=PKIOperation`],
    ['with a query appended to a query', () => `${server.url}?profile=1&operation=PKIOperation`],
    ['with a second question mark', () => `${server.url}?profile=1?operation=PKIOperation`],
  ];
  for (const [name, url] of enrolments) {
    it(`is answered ${name}`, async () => {
      issuedBy(client.decode(await client.post(client.request(), url())));
    });
  }

  it('is answered over HTTPS', async () => {
    const ca = pemOf(server.caCertificate);
    issuedBy(client.decode(await send(server.tlsUrl, { method: 'POST', body: client.request(), ca })));
  });

  const contentTypes = [
    undefined,
    'application/x-pki-message',
    'application/x-www-form-urlencoded',
    'application/json',
    'text/plain; charset',
    '',
    'scep',
  ];
  for (const contentType of contentTypes) {
    it(`is answered ${contentType === undefined ? 'without a Content-Type' : `with Content-Type "${contentType}"`}`, async () => {
      const body = client.request();
      const header = contentType === undefined ? '' : `Content-Type: ${contentType}\r\n`;
      const request = Buffer.concat([head(`${header}Content-Length: ${body.length}`), body]);
      issuedBy(certRepIn(await exchangeOctets(server.url, request)));
    });
  }

  it('is answered in chunks', async () => {
    const body = client.request();
    const chunks = Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]);
    issuedBy(certRepIn(await exchangeOctets(server.url, Buffer.concat([head('Transfer-Encoding: chunked'), chunks]))));
  });

  const threeMegabytes = Buffer.alloc(3 * 1024 * 1024, 0x30);
  const chunk = Buffer.concat([Buffer.from('300000\r\n'), threeMegabytes, Buffer.from('\r\n0\r\n\r\n')]);
  const tooLarge: [name: string, header: string, body: Uint8Array][] = [
    ['with a Content-Length', `Content-Length: ${threeMegabytes.length}`, threeMegabytes],
    ['in chunks', 'Transfer-Encoding: chunked', chunk],
  ];
  for (const [name, header, body] of tooLarge) {
    it(`refuses 3 MB ${name} with 413`, async () => {
      const issued = await issuanceIn(server.database);
      const answer = await exchange(server.url, Buffer.concat([head(header), body]));
      assert.match(answer, /^HTTP\/1\.1 413 [^]*content-type: text\/plain\r\n[^]*\r\n\r\nThe request is larger than 262144 bytes\.\n$/);
      assert.deepEqual(await issuanceIn(server.database), issued);
    });
  }
});

describe('HTTP/1.0 without Host', () => {
  it('is answered', async () => {
    const answer = await exchange(server.url, `GET ${new URL(server.url).pathname}?operation=GetCACaps HTTP/1.0\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    assert.ok(answer.endsWith(`\r\n\r\n${capabilities}`));
  });

  it('enrols', async () => {
    const body = Buffer.from(client.request());
    const head = Buffer.from(`POST ${new URL(server.url).pathname} HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n`);
    issuedBy(certRepIn(await exchangeOctets(server.url, Buffer.concat([head, body]))));
  });
});

describe('HTTP/1.1 without Host', () => {
  it('is answered, as strongSwan sends it, and enrols by GET', async () => {
    const message = encodeURIComponent(Buffer.from(client.request()).toString('base64'));
    const target = `${new URL(server.url).pathname}?operation=PKIOperation&message=${message}`;
    for (const version of ['1.0', '1.1']) {
      issuedBy(certRepIn(await exchangeOctets(server.url, `GET ${target} HTTP/${version}\r\nConnection: close\r\n\r\n`)));
    }
  });
});

describe('what is not HTTP', () => {
  const path = '/?operation=GetCACaps';
  const malformed: [name: string, octets: string | Uint8Array][] = [
    ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ['octets', Buffer.from('30820a0130820a0102', 'hex')],
    ['the beginning of TLS', Buffer.from('1603010200010001fc0303', 'hex')],
    ['a request line without a target', 'GET\r\n\r\n'],
    ['a request line with a space in its target', 'GET /?operation=PKIOperation&message=MII AB HTTP/1.1\r\n\r\n'],
    ['an unknown method', `ENROLL ${path} HTTP/1.1\r\n\r\n`],
    ['an unknown version', `GET ${path} HTTP/3.9\r\n\r\n`],
    ['a header without a colon', `GET ${path} HTTP/1.1\r\nnonsense\r\n\r\n`],
    ['a Content-Length that is no number', `POST ${path} HTTP/1.1\r\nContent-Length: many\r\n\r\n`],
    ['two Content-Lengths', `POST ${path} HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
    ['Content-Length beside chunks', `POST ${path} HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a chunk of no length', `POST ${path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`],
  ];
  for (const [name, octets] of malformed) {
    it(`is answered with 400: ${name}`, async () => {
      const answer = await exchange(server.url, octets);
      assert.match(
        answer,
        /^HTTP\/1\.1 400 Bad Request\r\ncontent-type: text\/plain\r\nconnection: close\r\n[^]*\r\n\r\nThe request is not valid HTTP\.\n$/,
      );
    });
  }

  it('is answered with 431 where a header is longer than 128 KiB', async () => {
    const answer = await exchange(server.url, `GET ${path} HTTP/1.1\r\nX: ${'x'.repeat(128 * 1024)}\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 431 [^]*\r\n\r\nThe request line and headers are too long\.\n$/);
  });
});

describe('a URL that leads nowhere', () => {
  const paths: [name: string, path: () => string][] = [
    ['the root', () => '/'],
    ['an unknown connector', () => `/${accountId}-${otherUuid}/${server.endpointSecret}`],
    ['a wrong secret', () => `/${accountId}-${server.connectorId}/${otherUuid}`],
    ['a wrong account', () => `/111122223333-${server.connectorId}/${server.endpointSecret}`],
    ['no secret', () => `/${accountId}-${server.connectorId}`],
    ['a path before the endpoint', () => `/scep${new URL(server.url).pathname}`],
    ['more in the segment of the secret', () => `${new URL(server.url).pathname}.exe`],
    ['a path of the API', () => '/readyz'],
  ];
  for (const [name, path] of paths) {
    it(`is answered with 404, and no more: ${name}`, async () => {
      for (const operation of ['GetCACaps', 'PKIOperation']) {
        const { statusCode, headers, body } = await send(`${new URL(server.url).origin}${path()}?operation=${operation}`);
        assert.deepEqual([statusCode, headers['content-type'], String(body)], [404, 'text/plain', 'There is no connector at this URL.\n']);
      }
    });
  }

  it('is every SCEP URL on the listener of the API', async () => {
    const { statusCode } = await send(`${server.apiUrl}${new URL(server.url).pathname}?operation=GetCACaps`);
    assert.equal(statusCode, 404);
  });
});

describe('an operation that is not there', () => {
  for (const query of [
    '?operation=getcacaps',
    '?operation=GetCACertChain',
    '?operation=GetCAChain',
    '?operation=GetCACaps%20',
    '?operation=',
    '?Operation=GetCACaps',
    '',
  ]) {
    it(`is answered with 400: ${query || 'no query'}`, async () => {
      const { statusCode, headers, body } = await send(`${server.url}${query}`);
      assert.deepEqual([statusCode, headers['content-type']], [400, 'text/plain']);
      assert.equal(String(body), 'The operation must be GetCACaps, GetCACert, GetNextCACert or PKIOperation.\n');
    });
  }

  for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PROPFIND']) {
    it(`is answered with 405: ${method}`, async () => {
      const { statusCode, body } = await send(`${server.url}?operation=GetCACaps`, { method });
      assert.deepEqual([statusCode, String(body)], [405, 'SCEP uses GET and POST.\n']);
    });
  }
});

describe('a connector that is not active', () => {
  const answers: [status: ConnectorStatus, statusCode: number, retryAfter: string | undefined, text: string][] = [
    ['CREATING', 503, '30', 'The connector is being created. Try again in a moment.\n'],
    ['FAILED', 400, undefined, 'The connector is not active.\n'],
    ['DELETING', 400, undefined, 'The connector is not active.\n'],
  ];
  for (const [status, statusCode, retryAfter, text] of answers) {
    it(`answers every operation with ${statusCode} while it is ${status}`, async () => {
      // Leased for ever, so that the lifecycle leaves it alone.
      const set = (to: ConnectorStatus) =>
        server.database.query.updateTable('connectors').set({ status: to, lease_until_at: Number.MAX_SAFE_INTEGER }).execute();
      await set(status);
      try {
        for (const operation of ['GetCACaps', 'GetCACert', 'PKIOperation']) {
          const body = operation === 'PKIOperation' ? client.request() : new Uint8Array();
          const answer = await send(`${server.url}?operation=${operation}`, { method: 'POST', body });
          assert.deepEqual([answer.statusCode, answer.headers['retry-after'], String(answer.body)], [statusCode, retryAfter, text]);
        }
      } finally {
        await set('ACTIVE');
      }
      await client.enrol();
    });
  }
});

describe('what follows a request', () => {
  const get = (version: string) => `GET ${new URL(server.url).pathname}?operation=GetCACaps HTTP/${version}\r\nHost: localhost\r\n`;

  it('and is no HTTP does not take the place of its answer', async () => {
    const answer = await exchange(server.url, `${get('1.0')}\r\n${get('1.0')}\r\n`);
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    assert.ok(answer.endsWith(`\r\n\r\n${capabilities}`));
  });

  it('but belongs to it, and is wrong, is refused', async () => {
    const path = new URL(server.url).pathname;
    const answer = await exchange(server.url, `POST ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n`);
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
  });

  it('and is the broken body of a GET, which is not read, comes too late to refuse what is answered already', async () => {
    const text = client.request({ transactionID: 'body of a GET' });
    const query = `operation=PKIOperation&message=${encodeURIComponent(Buffer.from(text).toString('base64'))}`;
    const head = `GET ${new URL(server.url).pathname}?${query} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const answer = await exchangeOctets(server.url, `${head}-1\r\n\r\n0\r\n\r\n`);
    const bodyAt = answer.indexOf('\r\n\r\n') + 4;
    assert.match(answer.subarray(0, bodyAt).toString('latin1'), /^HTTP\/1\.1 200 OK\r\n/);
    issuedBy(decodeCertRep(answer.subarray(bodyAt), client.ra, client.device));
  });

  it('and breaks off halfway does not keep the connection open once the first is answered', async () => {
    const path = new URL(server.url).pathname;
    const head = (framing: string) => `POST ${path}?operation=PKIOperation HTTP/1.1\r\nHost: localhost\r\n${framing}\r\n\r\n`;
    const body = client.request();
    const broken = Buffer.from(`${head('Transfer-Encoding: chunked')}nothing\r\n`);
    const answer = await exchange(server.url, Buffer.concat([Buffer.from(head(`Content-Length: ${body.length}`)), body, broken]));
    // An open one is answered with 408 after the time for a request.
    assert.deepEqual(answer.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200']);
  });

  it('is not waited for when an expectation cannot be met', async () => {
    const answer = await exchange(server.url, `${get('1.1')}Expect: 200-ok\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 417 Expectation Failed\r\n/);
  });
});
