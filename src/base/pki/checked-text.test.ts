/** Shows that no text is taken that would say something else once it is encoded, or that two readers would show differently. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { seed } from '../../../test/support/pki-fixtures.ts';
import { parseBer } from './asn1.ts';
import { isOidText, isPlainText, isPrintableAscii, oidTextCharactersMax } from './checked-text.ts';
import { objectIdentifier } from './der.ts';

describe('isOidText', () => {
  it('takes the arcs that X.660 has', () => {
    for (const text of ['0.0', '1.39', '2.40', '2.999', '1.2.840.113549.1.1.1', '2.25.340282366920938463463374607431768211455']) {
      assert.ok(isOidText(text), text);
    }
  });

  it('refuses any other text', () => {
    for (const text of ['', '1', '3.1', '1.40', '0.99', '1.02.3', '1.2.', '.1.2', '1..2', '1.2.03', '1.2.-1', '1.2.3 ', '1.2.x', '１.2'])
      assert.ok(!isOidText(text), text);
  });

  it('has a longest text', () => {
    const longest = `2.25.${'1'.repeat(oidTextCharactersMax - 5)}`;
    assert.ok(isOidText(longest));
    assert.ok(!isOidText(`${longest}1`));
  });

  it('takes only what comes back from its encoding', () => {
    const arc = fc.oneof(fc.nat(50).map(String), fc.nat().map(String), fc.constantFrom('00', '01', '', '-1', '1e3'));
    fc.assert(
      fc.property(fc.array(arc, { maxLength: 6 }), arcs => {
        const text = arcs.join('.');
        if (isOidText(text)) assert.equal(parseBer(objectIdentifier(text)).oid(), text);
      }),
      { seed, numRuns: 1000 },
    );
  });
});

describe('isPrintableAscii and isPlainText', () => {
  it('let through what every reader shows alike', () => {
    assert.ok(isPrintableAscii('a.example.com ~'));
    assert.ok(isPlainText('Zürich 日本 😀'));
  });

  it('refuse a NUL, line breaks and other control characters', () => {
    for (const text of ['bank.example\0.evil.example', 'a\nb', 'a\u007f', 'a\u0085', 'a\u2028b']) {
      assert.ok(!isPrintableAscii(text), JSON.stringify(text));
      assert.ok(!isPlainText(text), JSON.stringify(text));
    }
  });

  it('refuse what an IA5String or UTF-8 cannot hold', () => {
    assert.ok(!isPrintableAscii('münchen.example'));
    assert.ok(!isPlainText('half a pair: \ud83d'));
  });
});
