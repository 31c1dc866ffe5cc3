/** HTTP: paths, operations, connectors that do not answer, and what comes over a connection in a form of its own. */
import { http as answered, type Draft, type Drafts, success } from '../maker.ts';

const capabilities = (stands: string, target: string): Draft => ({ stands, ...answered(200), method: 'GET', target });
const posted = (stands: string, target: string): Draft => ({ stands, ...success, make: maker => maker.request(), target });
/** The text names the operations that there are, which grow. */
const unknownOperation = answered(400);
const host = ['Host', 'scep.example.com'] as const;
const close = ['Connection', 'close'] as const;

/** POST over a connection of its own. */
function overConnection(stands: string, transport: 'HTTP/1.0' | 'HTTP/1.1', headers: Draft['headers'] = []): Draft {
  return {
    ...posted(stands, '?operation=PKIOperation'),
    transport,
    headers: [...headers, ...(transport === 'HTTP/1.1' ? [host, close] : [])],
  };
}

export const http: Drafts = {
  'post-without-operation': posted('B64: POST without an operation', ''),
  'post-pkiclient-exe': posted('POST below /pkiclient.exe', '/pkiclient.exe?operation=PKIOperation'),
  'post-cgi-bin': posted('POST below /cgi-bin/pkiclient.exe', '/cgi-bin/pkiclient.exe?operation=PKIOperation'),
  'post-trailing-slash': posted('POST below a trailing slash, as FortiGate’s', '/?operation=PKIOperation'),
  'post-query-in-query': posted('a query appended to a URL that has one', '?x=y&operation=PKIOperation'),
  'post-message-beside': posted('POST with a message parameter, which is not read', '?operation=PKIOperation&message=ignored'),

  'caps-lf-terminated': {
    stands: 'tolerance test: LF-terminated caps: every word ends its line, and LF alone',
    ...answered(200, 'AES\\nPOSTPKIOperation\\nSCEPStandard\\nSHA-256\\nSHA-384\\nSHA-512'),
    method: 'GET',
    target: '?operation=GetCACaps',
  },
  'caps-message-empty': capabilities('GetCACaps with an empty message, as jscep’s', '?operation=GetCACaps&message='),
  'caps-message-default': capabilities('GetCACaps with message=default, as Windows’', '?operation=GetCACaps&message=default'),
  'caps-message-broken': capabilities('GetCACaps with a message of no encoding', '?operation=GetCACaps&message=%zz'),
  'cacert-message-number': capabilities('GetCACert with message=2, as certmonger’s', '?operation=GetCACert&message=2'),
  'cacert-message-name': capabilities(
    'GetCACert with message=SCEP%20Authority, as Apple’s',
    '?operation=GetCACert&message=SCEP%20Authority',
  ),
  'cacert-message-mikrotik': capabilities(
    'GetCACert with message=DummyCAIdentity, as MikroTik’s',
    '?operation=GetCACert&message=DummyCAIdentity',
  ),
  'operation-missing': { stands: 'GET without an operation', ...unknownOperation, method: 'GET', target: '' },
  'operation-chain': {
    stands: 'GetCACertChain, as certmonger tries it',
    ...unknownOperation,
    method: 'GET',
    target: '?operation=GetCACertChain',
  },
  'operation-lower-case': {
    stands: 'an operation in lower case',
    ...unknownOperation,
    method: 'GET',
    target: '?operation=pkioperation',
  },
  'operation-escaped': {
    stands: 'an operation that is escaped',
    ...unknownOperation,
    method: 'GET',
    target: '?operation=PKI%4Fperation',
  },
  'method-put': { stands: 'RFC 8894 section 4.1: PUT', ...answered(405, 'SCEP uses GET and POST.'), method: 'PUT' },

  'connector-creating': {
    stands: 'a connector that is being created',
    connector: 'creating',
    ...answered(503, 'The connector is being created. Try again in a moment.'),
    make: maker => maker.request(),
  },
  'connector-failed': {
    stands: 'a connector that could not be created',
    connector: 'failed',
    ...answered(400, 'The connector is not active.'),
    make: maker => maker.request(),
  },
  'connector-deleting': {
    stands: 'a connector that is being deleted',
    connector: 'deleting',
    ...answered(400, 'The connector is not active.'),
    make: maker => maker.request(),
  },

  'http-1.0-caps': { ...capabilities('tolerance test: HTTP/1.0 without Host: GetCACaps', '?operation=GetCACaps'), transport: 'HTTP/1.0' },
  'http-1.0-get': {
    stands: 'tolerance test: HTTP/1.0 without Host: PKIOperation by GET with %0A every 64 characters, as Cisco IOS sends it',
    ...success,
    method: 'GET',
    transport: 'HTTP/1.0',
    make: maker => maker.request(),
    target: base64 => `/pkiclient.exe?operation=PKIOperation&message=${encodeURIComponent(base64.replaceAll(/.{64}/g, '$&\n'))}`,
  },
  'http-1.0-post': overConnection('tolerance test: HTTP/1.0 without Host: PKIOperation by POST', 'HTTP/1.0', [
    ['Content-Length', 'LENGTH'],
  ]),
  'http-1.1-without-host': {
    ...capabilities('HTTP/1.1 without Host, as newer strongSwan’s GET', '?operation=GetCACaps'),
    transport: 'HTTP/1.1',
    headers: [close],
  },
  'content-type-none': overConnection('POST without Content-Type, as sscep’s and strongSwan’s', 'HTTP/1.1', [['Content-Length', 'LENGTH']]),
  'content-type-form': overConnection('POST as application/x-www-form-urlencoded', 'HTTP/1.1', [
    ['Content-Type', 'application/x-www-form-urlencoded'],
    ['Content-Length', 'LENGTH'],
  ]),
  'content-type-json': overConnection('POST as application/json', 'HTTP/1.1', [
    ['Content-Type', 'application/json; charset=utf-8'],
    ['Content-Length', 'LENGTH'],
  ]),
  'content-type-octets': overConnection('POST as application/octet-stream, as micromdm’s and jscep’s', 'HTTP/1.1', [
    ['Content-Type', 'application/octet-stream'],
    ['Content-Length', 'LENGTH'],
  ]),
  'content-encoding-gzip': {
    stands: 'F.14: a body that says it is compressed, and is none',
    ...answered(400),
    transport: 'HTTP/1.1',
    headers: [['Content-Encoding', 'gzip'], ['Content-Length', '20'], host, close],
    make: () => Buffer.from('1f8b0800000000000003030000000000000000ff', 'hex'),
  },
  'body-3-megabytes': {
    stands: 'negative test: 3 MiB body',
    ...answered(413, 'The request is larger than 262144 bytes.'),
    transport: 'HTTP/1.1',
    headers: [['Content-Length', 'LENGTH'], host, close],
    make: maker => Buffer.concat([maker.request(), Buffer.alloc(3 * 1024 * 1024)]),
  },
  'url-40-kilobytes': {
    stands: 'tolerance test: 40 KiB URL, of which most is a parameter that nobody reads',
    ...success,
    method: 'GET',
    transport: 'HTTP/1.1',
    headers: [host, close],
    make: maker => maker.request(),
    target: base64 => `?operation=PKIOperation&x=${'x'.repeat(36 * 1024)}&message=${encodeURIComponent(base64)}`,
  },
  'url-140-kilobytes': {
    stands: 'F.13: a URL beyond every limit',
    ...answered(431, 'The request line and headers are too long.'),
    method: 'GET',
    transport: 'HTTP/1.1',
    headers: [host, close],
    target: `?operation=PKIOperation&message=${'A'.repeat(140 * 1024)}`,
  },
};
