/** PKIOperation by GET: the message parameter as real clients write it, and as nobody may. */
import { type Draft, type Drafts, http, success } from '../maker.ts';

const notBase64 = http(400, 'The request must contain base64.');

function read(stands: string, query: (base64: string) => string): Draft {
  return {
    stands: `a way of writing GET’s message that clients use: ${stands}`,
    ...success,
    method: 'GET',
    make: maker => maker.request(),
    target: query,
  };
}

const message = (stands: string, encode: (base64: string) => string) =>
  read(stands, base64 => `?operation=PKIOperation&message=${encode(base64)}`);

function refusedAs(outcome: ReturnType<typeof http>, stands: string, encode: (base64: string) => string): Draft {
  const target = (base64: string) => `?operation=PKIOperation&message=${encode(base64)}`;
  return {
    stands: `a way of writing GET’s message that no client uses: ${stands}`,
    ...outcome,
    method: 'GET',
    make: maker => maker.request(),
    target,
  };
}

/** The text says that it is base64 that is wanted, or what is wrong in what it holds. */
const broken = (stands: string, encode: (base64: string) => string) => refusedAs(http(400), stands, encode);

const wrapped = (base64: string, lineBreak: string, width = 64) => (base64.match(new RegExp(`.{1,${width}}`, 'g')) ?? []).join(lineBreak);

export const get: Drafts = {
  'all-escaped': message('everything escaped, as certmonger sends it', encodeURIComponent),
  'nothing-escaped': message('`+`, `/` and `=` raw, as Android sends it', base64 => base64),
  'padding-escaped': message('`+` and `/` raw and `=` as %3D, as Apple sends it', base64 => base64.replaceAll('=', '%3D')),
  'plus-escaped-line-breaks': message('`+` escaped and %0A every 64 characters, as strongSwan and Cisco send it', base64 =>
    wrapped(base64, '%0A').replaceAll('+', '%2B'),
  ),
  'crlf-escaped': message('%0D%0A every 76 characters', base64 => wrapped(base64, '%0D%0A', 76)),
  'crlf-and-tab': message('line breaks and tabs', base64 => wrapped(base64, '%0D%0A%09')),
  'lower-case-escapes': message('escapes in lower case', base64 =>
    encodeURIComponent(base64).replaceAll(/%../g, escape => escape.toLowerCase()),
  ),
  'plus-as-escaped-space': message('`+` turned into %20', base64 => base64.replaceAll('+', '%20')),
  'padding-missing': message('no padding', base64 => base64.replaceAll('=', '')),
  base64url: message('base64url without padding', base64 => Buffer.from(base64, 'base64').toString('base64url')),
  'base64url-padded': message('base64url with padding', base64 => base64.replaceAll('+', '-').replaceAll('/', '_')),
  'letters-escaped': message('letters escaped that need it not', base64 => `%4D%49%49${base64.slice(3)}`),
  'message-first': read('message before operation', base64 => `?message=${encodeURIComponent(base64)}&operation=PKIOperation`),
  'parameters-beside': read(
    'a parameter before, between and behind',
    base64 => `?x=1&operation=PKIOperation&y&message=${encodeURIComponent(base64)}&z=`,
  ),
  'query-in-query': read(
    'a query appended to a URL that has one',
    base64 => `?x=y?operation=PKIOperation&message=${encodeURIComponent(base64)}`,
  ),
  'pkiclient-exe': read('below /pkiclient.exe', base64 => `/pkiclient.exe?operation=PKIOperation&message=${encodeURIComponent(base64)}`),
  'cgi-bin-pkiclient-exe': read(
    'below /cgi-bin/pkiclient.exe, sscep’s default',
    base64 => `/cgi-bin/pkiclient.exe?operation=PKIOperation&message=${encodeURIComponent(base64)}`,
  ),
  'mscep-dll': read(
    'below /certsrv/mscep/mscep.dll',
    base64 => `/certsrv/mscep/mscep.dll?operation=PKIOperation&message=${encodeURIComponent(base64)}`,
  ),

  'escape-no-hexadecimal': broken('%zz', base64 => `%zz${base64}`),
  'escape-half': broken('half an escape at the end', base64 => `${base64}%4`),
  'character-of-no-alphabet': broken('a character of no alphabet', base64 => `${base64.slice(0, 40)}!${base64.slice(41)}`),
  'octet-beyond-ascii': broken('%FF', base64 => `${base64.slice(0, 40)}%FF${base64.slice(41)}`),
  'null-octet': broken('%00', base64 => `${base64}%00`),
  'length-1-mod-4': broken('a length that leaves 1', base64 => base64.slice(0, 401)),
  'padding-alone': broken('padding alone', () => '===='),
  'message-empty': broken('an empty message', () => ''),
  'text-in-base64': broken('base64 of text', () => Buffer.from('hello, world').toString('base64')),
  'twice-encoded': broken('base64 of base64', base64 => Buffer.from(base64).toString('base64')),
  'message-missing': { ...broken('no message', () => ''), target: '?operation=PKIOperation' },
  'wrong-escape-text': {
    ...notBase64,
    stands: 'what the answer to a wrong escape in GET’s message says',
    method: 'GET',
    target: '?operation=PKIOperation&message=%',
  },
};
