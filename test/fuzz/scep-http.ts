/** A pkiMessage as an HTTP request of SCEP's, sound or broken: method, path, query, base64 and headers. */
import type { Random } from './random.ts';

export interface HttpForm {
  method: string;
  path: string;
  /** Each `name=value` as it goes out. */
  query: string[];
  body: Buffer;
  host: string | undefined;
  userAgent: string | undefined;
}

/** With every octet escaped it fills the longest head that the listener takes (src/fronts/http/listener.ts). */
const messageBytesInUrlMax = 32 * 1024;

/** Clients append one of these or nothing. */
const suffixes = ['/pkiclient.exe', '/pkiclient.exe', '', '/', '/cgi-bin/pkiclient.exe'];

/** As devices send it: by POST, some by GET. */
export function soundForm(path: string, message: Buffer, random: Random): HttpForm {
  const base = { path: path + random.pick(suffixes), host: 'scep.example.com', userAgent: 'fuzz' };
  if (random.chance(0.85) || message.length > messageBytesInUrlMax)
    return { ...base, method: 'POST', query: ['operation=PKIOperation'], body: message };
  return { ...base, method: 'GET', query: ['operation=PKIOperation', `message=${inQuery(message, random)}`], body: Buffer.alloc(0) };
}

/** Every way in which a client was seen to write it. */
function inQuery(message: Buffer, random: Random): string {
  const text = message.toString('base64');
  return random.pick([
    encodeURIComponent(text),
    text,
    message.toString('base64url'),
    text.replaceAll('=', ''),
    encodeURIComponent(text.replace(/.{64}/g, '$&\n')),
    text.replaceAll('+', '%20'),
    text.replaceAll(/[A-Z]/g, letter => `%${letter.charCodeAt(0).toString(16)}`),
  ]);
}

type HttpEdit = (form: HttpForm, random: Random, path: string) => HttpForm;

const operations = [
  'GetCACaps',
  'GetCACert',
  'PKIOperation',
  'GetNextCACert',
  'pkioperation',
  'PKIOperation ',
  '',
  'a',
  '%50KIOperation',
  'PKI+Operation',
  '__proto__',
  'a'.repeat(70_000),
];
const methods = ['GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', 'get', '', 'G\0T'];
const junk = [
  '%',
  '%0',
  '%zz',
  '%00',
  '%ff',
  '%c0%af',
  '&',
  '?',
  '#',
  '=',
  '+',
  ' ',
  '\n',
  '%0a',
  '%25',
  '-',
  '_',
  '/',
  '!',
  'é',
  '%2B',
  '%2b',
  ';',
  '==',
  'A',
];
const paths: readonly ((path: string, random: Random) => string)[] = [
  path => `/${path}`,
  path => path.toUpperCase(),
  path => path.slice(0, -1),
  path => `${path}a`,
  path => `http://scep.example.com${path}`,
  path => `https://evil.example${path}`,
  path => `http:/${path}`,
  path => path.replace('-', '%2D'),
  path => `${path}/../../${'a/'.repeat(2000)}`,
  path => path.replace(/[0-9a-f]{12}$/, '000000000000'),
  path => path.replace(/^\/\d{12}/, '/999999999999'),
  path => path.replace(/^\/\d{12}/, '/'),
  path => `${path}%00`,
  path => `${path}\0/pkiclient.exe`,
  path => path.replaceAll('/', '\\'),
  () => '',
  () => '/',
  () => '*',
  () => '/crl',
  (_, random) => `/${random.bytes(20).toString('latin1')}`,
];

const edits: Readonly<Record<string, HttpEdit>> = {
  method: (form, random) => ({ ...form, method: random.pick(methods) }),
  path: (form, random, path) => ({ ...form, path: random.pick(paths)(path, random) }),
  operation: (form, random) => ({
    ...form,
    query: form.query.map(pair => (pair.startsWith('operation=') ? `operation=${random.pick(operations)}` : pair)),
  }),
  operationMissing: form => ({ ...form, query: form.query.filter(pair => !pair.startsWith('operation=')) }),
  operationTwice: (form, random) => ({
    ...form,
    query: [...form.query, `operation=${random.pick(operations)}`].sort(() => (random.chance(0.5) ? 1 : -1)),
  }),
  get: (form, random) => ({
    ...form,
    method: 'GET',
    query: [
      `operation=${random.pick(['GetCACaps', 'GetCACert', 'PKIOperation'])}`,
      `message=${random.pick(['', 'ca', '0', 'a'.repeat(200)])}`,
    ],
  }),
  messageDamaged: (form, random) => {
    const query = form.query.map(pair =>
      pair.startsWith('message=') ? `message=${damaged(pair.slice('message='.length), random)}` : pair,
    );
    return { ...form, query };
  },
  messageTwice: (form, random) => ({
    ...form,
    query: [...form.query, `message=${form.body.subarray(0, random.below(200)).toString('base64')}`],
  }),
  bothBodies: form => ({ ...form, query: [...form.query, `message=${encodeURIComponent(form.body.toString('base64'))}`] }),
  bodyAsBase64: form => ({ ...form, body: Buffer.from(form.body.toString('base64')) }),
  bodyAsPem: form => ({ ...form, body: Buffer.from(`-----BEGIN PKCS7-----\n${form.body.toString('base64')}\n-----END PKCS7-----\n`) }),
  bodyAsText: form => ({ ...form, body: Buffer.from(form.body.toString('latin1'), 'utf8') }),
  bodyMissing: form => ({ ...form, body: Buffer.alloc(0) }),
  bodyLarge: (form, random) => ({
    ...form,
    body: Buffer.alloc(
      random.pick([1000, 65_536, 262_144]),
      random.pick([Buffer.of(0x30, 0x80), Buffer.of(0), Buffer.concat([form.body, Buffer.of(0)])]),
    ),
  }),
  queryMany: (form, random) => ({
    ...form,
    query: [...Array.from({ length: random.pick([2, 100, 10_000]) }, (_, index) => `a${index % 7}=b`), ...form.query],
  }),
  queryTwoMarks: form => ({ ...form, query: [`a?${form.query.join('?')}`] }),
  host: (form, random) => ({
    ...form,
    host: random.pick([undefined, '', 'a', '127.0.0.1:8080', 'vpce-1.example.com', 'a'.repeat(5000), '[::1]', '\u0001', 'a b']),
  }),
  userAgent: (form, random) => ({
    ...form,
    userAgent: random.pick([undefined, '', '\u0000', '\u001b[2J', 'a'.repeat(100_000), '${jndi:ldap://a}', '"}\n{"a":1}', 'é']),
  }),
};
const names = Object.keys(edits);

export function editForm(form: HttpForm, random: Random, path: string): HttpForm {
  let edited = form;
  for (let left = random.few(); left > 0; left--) edited = edits[random.pick(names)]?.(edited, random, path) ?? edited;
  return edited;
}

function damaged(text: string, random: Random): string {
  let edited = text;
  for (let left = random.few(); left > 0; left--) {
    const at = random.below(edited.length + 1);
    const dropped = random.pick([0, 0, 1, 2, 3, 100]);
    edited = edited.slice(0, at) + (random.chance(0.8) ? random.pick(junk) : '') + edited.slice(at + dropped);
  }
  return edited;
}

export function targetOf({ path, query }: HttpForm): string {
  return query.length === 0 ? path : `${path}?${query.join('&')}`;
}

/** Every reading of what a request may hold as its message, the most tolerant among them. */
export function messagesIn({ query, body }: Pick<HttpForm, 'query' | 'body'>): Buffer[] {
  const texts = query
    .flatMap(pair => pair.split(/[&?]/))
    .filter(pair => pair.startsWith('message='))
    .map(pair => pair.slice('message='.length));
  return [
    body,
    ...texts.map(text =>
      Buffer.from(
        decodeTolerantly(text)
          .replace(/[ -]/g, '+')
          .replaceAll(/[\r\n\t=]/g, ''),
        'base64',
      ),
    ),
  ];
}

function decodeTolerantly(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
