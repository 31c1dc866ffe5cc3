/** What is read of requests that are no HTTP. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readHead } from './refused-requests.ts';

const read = (text: string) => readHead(Buffer.from(text, 'latin1'));

describe('readHead', () => {
  it('reads method, URL and headers up to the empty line', () => {
    const head = read('GET /a?operation=X HTTP/1.1\r\nHost: h\r\nUser-Agent:  a: b \r\n\r\nX: body\r\n');
    assert.deepEqual(head, {
      method: 'GET',
      rawUrl: '/a?operation=X',
      headers: [
        ['Host', 'h'],
        ['User-Agent', 'a: b'],
      ],
    });
  });

  it('reads as much as there is', () => {
    assert.deepEqual(read('\r\nPOST http://h/a'), { method: 'POST', rawUrl: 'http://h/a', headers: [] });
    assert.deepEqual(read('GET /a b HTTP/1.1\nnonsense\n: x\nA:'), { method: 'GET', rawUrl: '/a', headers: [['A', '']] });
  });

  it('keeps control characters as they are', () => {
    const { headers } = read('GET / HTTP/1.1\r\nUser-Agent: a\u001b[31m\0b\u00ff\r\n');
    assert.deepEqual(headers, [['User-Agent', 'a\u001b[31m\0b\u00ff']]);
  });

  it('takes no more than a hundred headers', () => {
    assert.equal(read(`GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(1000)}`).headers.length, 100);
  });

  it('finds nothing in what is not a request at all', () => {
    for (const text of [
      '',
      'SSH-2.0-OpenSSH_9.2\r\n\r\n',
      '\u0016\u0003\u0001\u0002',
      'GET\r\n\r\n',
      'GET nowhere HTTP/1.1',
      `${'A'.repeat(33)} / `,
    ])
      assert.deepEqual(read(text), { headers: [] }, text);
  });
});
