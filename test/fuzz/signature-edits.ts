/** Ways in which the signature of a request is broken: its claim, its instant, its scope, or what it covers. */
import { type Draft, withHeader } from './draft.ts';
import { choose, headerText, type Knobs } from './request-edits.ts';

type Edit = (draft: Draft, knobs: Knobs) => Draft;

/** After signing, in whichever form the signature travels. */
export const signatureEdits: Readonly<Record<string, Edit>> = {
  signatureDigit: (draft, { at }) => inClaim(draft, /(Signature=)([0-9a-f]{64})/, (_, name, hex) => `${name}${flipped(hex, at)}`),
  signatureOdd: (draft, { at }) =>
    inClaim(draft, /(Signature=)[0-9a-f]{64}/, (_, name) => name + choose(['', '0', 'g'.repeat(64), 'A'.repeat(64), '0'.repeat(5000)], at)),
  accessKeyId: (draft, { at, text }) =>
    inClaim(
      draft,
      /(Credential=)\w+/,
      (_, name) => name + choose(['AKIAAAAAAAAAAAAAAAAA', '', '__proto__', 'a'.repeat(200), asciiOf(text)], at),
    ),
  scopePart: (draft, { at, text }) =>
    inClaim(draft, /(Credential=\w+(?:\/|%2F))([^,&\s]+)/, (_, name, scope) => {
      const parts = scope.split(/\/|%2F/);
      parts[Math.floor(at * parts.length)] = choose(
        ['', 'us-west-9', 'acm-pca', 'pca-connector-scep', '20200101', asciiOf(text)],
        at * 7 - Math.floor(at * 7),
      );
      return name + parts.join(scope.includes('%2F') ? '%2F' : '/');
    }),
  signedHeaders: (draft, { at, text }) =>
    inClaim(
      draft,
      /(SignedHeaders=)[^,&\s]*/,
      (_, name) =>
        name + choose(['', 'host', 'x-amz-date;host', 'Host', 'host;host', ';', 'host;missing', 'a;'.repeat(300), asciiOf(text)], at),
    ),
  algorithm: (draft, { at }) =>
    inClaim(draft, /AWS4-HMAC-SHA256/, () => choose(['AWS4-ECDSA-P256-SHA256', 'AWS4-HMAC-SHA1', 'Basic', 'Bearer', 'AWS', 'AWS4-'], at)),
  claimText: (draft, { at, text }) =>
    inClaim(draft, /, ?|&/, () => choose([',,', ' ', '', ', a=b, ', ', Signature=a, ', headerText(text)], at)),
  authorizationMissing: draft => ({ ...draft, headers: draft.headers.filter(([name]) => name !== 'authorization') }),
  authorizationOdd: (draft, { text }) => withHeader(draft, 'authorization', headerText(text)),
  authorizationTwice: draft => ({ ...draft, headers: [...draft.headers, ...draft.headers.filter(([name]) => name === 'authorization')] }),
  bothForms: draft => ({
    ...withHeader(draft, 'authorization', 'AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0'),
    query: [...draft.query, 'X-Amz-Algorithm=AWS4-HMAC-SHA256'],
  }),
  date: (draft, { at, text }) => {
    const date = choose(
      ['', '20200101T000000Z', '99991231T235959Z', '20261301T000000Z', 'Mon, 23 Nov 2026 00:00:00 GMT', headerText(text)],
      at,
    );
    const query = draft.query.map(pair => (pair.startsWith('X-Amz-Date=') ? `X-Amz-Date=${encodeURIComponent(date)}` : pair));
    return query.join('&') === draft.query.join('&') ? withHeader(draft, 'x-amz-date', date) : { ...draft, query };
  },
  expires: (draft, { at }) => ({
    ...draft,
    query: draft.query.map(pair =>
      pair.startsWith('X-Amz-Expires=') ? `X-Amz-Expires=${choose(['0', '-1', '604801', '1e3', '', '9'.repeat(99)], at)}` : pair,
    ),
  }),
  sessionToken: (draft, { at, text }) =>
    withHeader(draft, 'x-amz-security-token', choose(['', 'token', 'a'.repeat(5000), headerText(text)], at)),
  sessionTokenMissing: draft => ({ ...draft, headers: draft.headers.filter(([name]) => name !== 'x-amz-security-token') }),
  payloadHash: (draft, { at }) =>
    withHeader(
      draft,
      'x-amz-content-sha256',
      choose(['UNSIGNED-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', '', 'a', '0'.repeat(64)], at),
    ),
  bodyChanged: (draft, { bytes }) => ({ ...draft, body: Buffer.concat([draft.body, Buffer.from(' '), bytes]) }),
};

function inClaim(draft: Draft, pattern: RegExp, replace: (match: string, ...groups: string[]) => string): Draft {
  return {
    ...draft,
    headers: draft.headers.map(([name, value]) => [name, name === 'authorization' ? value.replace(pattern, replace) : value]),
    query: draft.query.map(pair => (pair.startsWith('X-Amz-') ? pair.replace(pattern, replace) : pair)),
  };
}

function flipped(hex: string, at: number): string {
  const index = Math.floor(at * hex.length);
  return hex.slice(0, index) + (hex[index] === '0' ? '1' : '0') + hex.slice(index + 1);
}

function asciiOf(text: string): string {
  return headerText(text).replace(/[^!-+\-.0-~]/g, '');
}
