/** Shows that the BER reader reads every form that X.690 allows, keeps every offset, and refuses the rest within its limits. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as asn1js from 'asn1js';
import * as fc from 'fast-check';
import { hex, indefinite, segmented } from '../../../test/support/ber.ts';
import { refused } from '../../../test/support/pki-error-check.ts';
import { seed } from '../../../test/support/pki-fixtures.ts';
import { berLimits, type Element, parseBer, Tag } from './asn1.ts';
import { derNull, octetString, sequence, tlv } from './der.ts';

const read = (digits: string) => parseBer(hex(digits));
const nested = (levels: number) => Buffer.concat([Buffer.alloc(2 * levels, hex('30 80')), Buffer.alloc(2 * levels)]);

describe('parseBer', () => {
  it('reads lengths of every form, the shortest and longer ones', () => {
    for (const length of ['03', '81 03', '82 00 03', '83 00 00 03', '84 00 00 00 03']) {
      const element = read(`04 ${length} 61 62 63`);
      assert.equal(element.content.toString(), 'abc', length);
    }
    assert.equal(parseBer(tlv(0x04, Buffer.alloc(300))).content.length, 300);
  });

  it('keeps the offsets of definite and of indefinite elements', () => {
    const outer = read('30 80  30 03 02 01 05  a0 80 04 01 61 00 00  00 00');
    const offsets = ({ start, contentStart, contentEnd, end }: Element) => [start, contentStart, contentEnd, end];
    assert.deepEqual(offsets(outer), [0, 2, 14, 16]);
    const [first, second] = outer.elements('outer');
    assert.ok(first && second);
    assert.deepEqual(offsets(first), [2, 4, 7, 7]);
    assert.deepEqual(offsets(second), [7, 9, 12, 14]);
    assert.deepEqual([...second.bytes], [...hex('a0 80 04 01 61 00 00')]);
    assert.deepEqual([...second.content], [...hex('04 01 61')]);
  });

  it('copies nothing: what it gives are views of the input', () => {
    const input = Buffer.concat([Buffer.from('junk'), sequence(octetString(Buffer.from('abc')))]).subarray(4);
    const element = parseBer(input);
    const content = element.elements('outer')[0]?.octets();
    assert.ok(content);
    input[input.length - 1] = 0x7a;
    assert.equal(content.toString(), 'abz');
    assert.equal(element.bytes.buffer, input.buffer);
  });

  it('takes a plain Uint8Array', () => {
    assert.equal(
      parseBer(new Uint8Array([4, 1, 0x61]))
        .octets()
        .toString(),
      'a',
    );
  });

  it('keeps the class and the number of a tag and leaves out the constructed bit', () => {
    for (const [digits, tag] of [
      ['30 00', 0x10],
      ['31 00', 0x11],
      ['a3 00', Tag.context(3)],
      ['83 00', Tag.context(3)],
      ['61 00', 0x41],
    ] as const) {
      assert.equal(read(digits).tag, tag, digits);
    }
  });

  it('refuses input that ends inside an element, at whatever byte', () => {
    const whole = Buffer.from(
      indefinite(0x30, sequence(octetString(Buffer.alloc(200))), segmented(Buffer.alloc(250), 0x24), tlv(0xa0, derNull)),
    );
    assert.equal(parseBer(whole).elements('whole').length, 3);
    for (let length = 0; length < whole.length; length++) refused(() => parseBer(whole.subarray(0, length)), 'malformed');
  });

  it('refuses bytes after the end', () => {
    refused(() => read('30 00 00'), 'malformed', /1 bytes follow/);
    refused(() => read('30 80 00 00 00 00'), 'malformed', /2 bytes follow/);
  });

  it('refuses an element that is longer than what holds it', () => {
    refused(() => read('30 03 04 02 61'), 'malformed', /runs past/);
    refused(() => read('30 04 04 02 61'), 'malformed', /runs past/);
    // Here what follows is within the input, but not within the inner element.
    refused(() => read('30 07 30 03 04 02 61 05 00'), 'malformed', /runs past/);
    refused(() => read('30 06 30 02 30 80 00 00'), 'malformed', /ends inside/);
    refused(() => read('04 84 ff ff ff ff'), 'malformed', /runs past/);
  });

  it('refuses lengths of more than four octets and the reserved one', () => {
    refused(() => read('04 85 00 00 00 00 01 61'), 'malformed', /a length of 5 octets/);
    refused(() => read('04 ff 61'), 'malformed', /a length of 127 octets/);
  });

  it('refuses tag numbers above 30', () => {
    for (const digits of ['1f 21 00', '3f 21 00', '9f 1f 00', 'bf 81 01 00', 'ff 1f 00'])
      refused(() => read(digits), 'malformed', /tag number/);
  });

  it('refuses end-of-contents octets that end nothing, and the lack of those that must', () => {
    refused(() => read('00 00'), 'malformed', /end-of-contents/);
    refused(() => read('30 02 00 00'), 'malformed', /end-of-contents/);
    refused(() => read('30 80 00 01 00'), 'malformed', /end-of-contents octets with a length/);
    refused(() => read('30 80 20 00 00 00'), 'malformed', /wrong form/);
    refused(() => read('30 80 02 01 05'), 'malformed', /ends inside/);
    refused(() => read('30 04 30 80 00 00 00 00'), 'malformed');
    refused(() => read('30 03 30 80 00 00 00'), 'malformed', /ends inside/);
  });

  it('refuses a primitive element of indefinite length', () => {
    refused(() => read('04 80 00 00'), 'malformed', /indefinite/);
    refused(() => read('80 80 00 00'), 'malformed', /indefinite/);
  });

  it('refuses the universal types in a form that they cannot have', () => {
    for (const tag of [Tag.boolean, Tag.integer, Tag.null, Tag.objectIdentifier])
      refused(() => parseBer(tlv(tag | 0x20)), 'malformed', /wrong form/);
    for (const tag of [Tag.sequence, Tag.set]) refused(() => parseBer(tlv(tag)), 'malformed', /wrong form/);
  });

  it('reads what any tree says, whatever form each of its elements has', () => {
    fc.assert(
      fc.property(arbitraryNode, node => assert.deepEqual(valueOf(parseBer(encode(node))), plain(node))),
      { seed, numRuns: 500 },
    );
  });
});

describe('the limits of the reader', () => {
  it('hold the size of the input', () => {
    const filled = (bytes: number) => tlv(0x04, Buffer.alloc(bytes - 5));
    assert.equal(parseBer(filled(berLimits.inputBytesMax)).end, berLimits.inputBytesMax);
    refused(() => parseBer(filled(berLimits.inputBytesMax + 1)), 'malformed', /longer than 1048576 bytes/);
  });

  it('hold the depth', () => {
    assert.equal(parseBer(nested(berLimits.depthMax + 1)).parts?.length, 1);
    refused(() => parseBer(nested(berLimits.depthMax + 2)), 'malformed', /nested more than 32 deep/);
  });

  it('hold the number of elements', () => {
    const wide = (elements: number) => tlv(0x30, Buffer.alloc(2 * (elements - 1), derNull));
    assert.equal(parseBer(wide(berLimits.elementsMax)).parts?.length, berLimits.elementsMax - 1);
    refused(() => parseBer(wide(berLimits.elementsMax + 1)), 'malformed', /more than 20000 elements/);
  });

  it('make the worst inputs cheap: 10,000 and 500,000 nested indefinite lengths, a mebibyte of empty elements, segments in segments', () => {
    const inInSegments = () => {
      let octets = tlv(0x04, Buffer.alloc(900_000));
      for (let level = 0; level < berLimits.depthMax - 1; level++) octets = tlv(0x24, octets);
      return octets;
    };
    const worst: [string, Uint8Array, (input: Uint8Array) => unknown][] = [
      ['nested 10,000', nested(10_000), input => refused(() => parseBer(input), 'malformed')],
      ['nested 262,144', nested(262_144), input => refused(() => parseBer(input), 'malformed')],
      ['unended', Buffer.alloc(1 << 20, hex('30 80')), input => refused(() => parseBer(input), 'malformed')],
      ['wide', tlv(0x30, Buffer.alloc((1 << 20) - 16, derNull)), input => refused(() => parseBer(input), 'malformed')],
      ['segments in segments', inInSegments(), input => assert.equal(parseBer(input).octets().length, 900_000)],
    ];
    for (const [name, input, work] of worst) {
      const start = performance.now();
      work(input);
      const tookMs = performance.now() - start;
      // A reader that is not linear takes minutes.
      assert.ok(tookMs < 5000, `${name} took ${tookMs} ms`);
    }
  });
});

describe('octets', () => {
  it('joins the segments of a constructed string, nested and empty ones too', () => {
    assert.equal(read('24 0b 04 02 61 62 24 03 04 01 63 04 00').octets().toString(), 'abc');
    assert.equal(read('24 80 24 80 04 01 61 04 01 62 00 00 04 01 63 00 00').octets().toString(), 'abc');
    assert.equal(read('24 03 04 01 61').octets().toString(), 'a');
    assert.equal(read('24 00').octets().length, 0);
    assert.equal(read('a0 06 04 01 61 04 01 62').octets().toString(), 'ab');
  });

  it('refuses segments that are no strings', () => {
    refused(() => read('24 03 02 01 05').octets(), 'malformed', /not a string/);
    refused(() => read('24 05 30 03 04 01 61').octets(), 'malformed', /not a string/);
  });
});

describe('an OBJECT IDENTIFIER', () => {
  const known: [string, string][] = [
    ['0.0', '06 01 00'],
    ['1.39', '06 01 4f'],
    ['2.0', '06 01 50'],
    ['2.47', '06 01 7f'],
    ['2.48', '06 02 81 00'],
    ['2.999.3', '06 03 88 37 03'],
    ['2.5.4.3', '06 03 55 04 03'],
    ['1.2.840.113549.1.1.11', '06 09 2a 86 48 86 f7 0d 01 01 0b'],
    // The example of X.667: f81d4fae-7dec-11d0-a765-00a0c91e6bf6.
    ['2.25.329800735698586629295641978511506172918', '06 14 69 83 f0 9d a7 eb cf de e0 c7 a1 a7 b2 c0 94 8c c8 f9 d7 76'],
  ];

  it('reads as dotted numbers, with arcs of 128 bits as well', () => {
    for (const [dotted, digits] of known) assert.equal(read(digits).oid(), dotted);
  });

  it('reads as asn1js wrote it', () => {
    // asn1js itself loses arcs of some powers of two from 2^49 on.
    const arc = fc.oneof(fc.nat(127), fc.nat(), fc.nat(2 ** 48));
    const oid = fc
      .tuple(fc.nat(2), fc.nat(39), fc.array(arc, { maxLength: 7 }))
      .map(([root, second, arcs]) => [root, second, ...arcs].join('.'));
    fc.assert(
      fc.property(oid, dotted => {
        const encoded = new Uint8Array(new asn1js.ObjectIdentifier({ value: dotted }).toBER());
        assert.equal(parseBer(encoded).oid(), dotted);
        assert.equal(parseBer(encoded).oid(), dotted);
      }),
      { seed, numRuns: 3000 },
    );
  });

  it('is refused when it is empty, too long or ends inside an arc', () => {
    refused(() => read('06 00').oid(), 'malformed', /impossible length/);
    refused(() => read('06 02 2a 86').oid(), 'malformed', /inside an arc/);
    const long = (bytes: number) => tlv(0x06, Buffer.alloc(bytes, 1));
    assert.equal(parseBer(long(berLimits.oidBytesMax)).oid().split('.').length, berLimits.oidBytesMax + 1);
    refused(() => parseBer(long(berLimits.oidBytesMax + 1)).oid(), 'malformed', /impossible length/);
  });
});

describe('an INTEGER', () => {
  it('has one form whatever its encoding', () => {
    for (const [digits, octets] of [
      ['02 01 05', '05'],
      ['02 03 00 00 05', '05'],
      ['02 02 00 80', '0080'],
      ['02 03 ff ff 80', '80'],
      ['02 02 ff 7f', 'ff7f'],
      ['02 01 00', '00'],
    ] as const) {
      assert.equal(read(digits).integerOctets().toString('hex'), octets, digits);
    }
    refused(() => read('02 00').integerOctets(), 'malformed', /empty/);
  });

  it('is read as a number of up to 32 bits with its sign', () => {
    fc.assert(
      fc.property(fc.integer(), value => {
        assert.equal(parseBer(new Uint8Array(new asn1js.Integer({ value }).toBER())).smallInteger(), value);
      }),
      { seed, numRuns: 1000 },
    );
    refused(() => read('02 05 00 ff ff ff ff').smallInteger(), 'malformed', /larger/);
  });
});

describe('a BOOLEAN', () => {
  it('is true for every octet but 0', () => {
    assert.deepEqual(
      ['01 01 00', '01 01 ff', '01 01 01'].map(digits => read(digits).boolean()),
      [false, true, true],
    );
    refused(() => read('01 00').boolean(), 'malformed');
    refused(() => read('01 02 00 ff').boolean(), 'malformed');
  });
});

describe('a BIT STRING', () => {
  it('gives whole octets, from one segment too', () => {
    assert.equal(read('03 03 00 61 62').bitStringOctets().toString(), 'ab');
    assert.equal(read('23 80 03 03 00 61 62 00 00').bitStringOctets().toString(), 'ab');
    for (const digits of ['03 00', '03 02 01 60', '23 08 03 02 00 61 03 02 00 62', '23 00', '23 03 02 01 00']) {
      refused(() => read(digits).bitStringOctets(), 'malformed');
    }
  });

  it('gives its named bits by number', () => {
    const bits = (digits: string) => [...read(digits).namedBits()];
    assert.deepEqual(bits('03 02 05 a0'), [0, 2]);
    assert.deepEqual(bits('03 03 07 00 80'), [8]);
    assert.deepEqual(bits('03 02 00 01'), [7]);
    assert.deepEqual(bits('03 02 04 af'), [0, 2]);
    assert.deepEqual(bits('03 01 00'), []);
    refused(() => bits('03 02 08 a0'), 'malformed', /unused/);
    refused(() => bits('03 00'), 'malformed', /unused/);
  });

  it('has no more named bits than any type has', () => {
    const wide = (bits: number) => parseBer(tlv(0x03, Buffer.of(0), Buffer.alloc(bits / 8, 0xff)));
    assert.equal(wide(berLimits.namedBitsMax).namedBits().size, berLimits.namedBitsMax);
    refused(() => wide(berLimits.namedBitsMax + 8).namedBits(), 'malformed', /72 named bits/);
  });
});

describe('fields', () => {
  const element = read('30 09 02 01 05 06 01 2a 80 01 61');

  it('are taken in order', () => {
    const fields = element.fields('Sample');
    assert.equal(fields.optional(Tag.objectIdentifier), undefined);
    assert.equal(fields.next(Tag.integer, 'version').smallInteger(), 5);
    assert.equal(fields.any('choice').oid(), '1.2');
    assert.equal(fields.atEnd, false);
    assert.equal(fields.optional(Tag.context(0))?.octets().toString(), 'a');
    assert.equal(fields.optional(Tag.context(0)), undefined);
    assert.equal(fields.atEnd, true);
    fields.end();
    refused(() => fields.next(Tag.integer, 'more'), 'malformed', /Sample ends before more/);
    refused(() => fields.any('more'), 'malformed', /Sample ends before more/);
  });

  it('are refused when they are not what the syntax says', () => {
    refused(() => element.fields('Sample').next(Tag.octetString, 'name'), 'malformed', /Sample: name has tag 0x2, not 0x4/);
    refused(() => element.fields('Sample').end(), 'malformed', /Sample has a part too many/);
    refused(() => read('04 01 61').fields('Sample'), 'malformed', /Sample is not constructed/);
  });
});

/** A tree and the form that each of its elements is to be written in. */
type Node = { identifier: number; lengthOctets: number; content: Uint8Array } | { identifier: number; lengthOctets: number; parts: Node[] };

const { node: arbitraryNode } = fc.letrec<{ node: Node }>(tie => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      identifier: fc.constantFrom(0x02, 0x04, 0x05, 0x06, 0x0c, 0x17, 0x80, 0x9e, 0x41, 0xde),
      lengthOctets: fc.integer({ min: 1, max: 4 }),
      content: fc.uint8Array({ maxLength: 200 }),
    }),
    fc.record({
      identifier: fc.constantFrom(0x30, 0x31, 0xa0, 0xbe, 0x24, 0x61),
      lengthOctets: fc.integer({ min: 0, max: 4 }),
      parts: fc.array(tie('node'), { maxLength: 5 }),
    }),
  ),
}));

/** `lengthOctets` 0 is the indefinite form; where the length needs more octets than asked for, it gets them. */
function encode(node: Node): Uint8Array {
  const content = 'parts' in node ? Buffer.concat(node.parts.map(encode)) : node.content;
  if (node.lengthOctets === 0) return indefinite(node.identifier, content);
  const digits = content.length.toString(16).padStart(2 * node.lengthOctets, '0');
  const length = hex(digits.length % 2 === 0 ? digits : `0${digits}`);
  return Buffer.concat([Buffer.of(node.identifier, 0x80 | length.length), length, content]);
}

type Plain = { tag: number; content: string } | { tag: number; parts: Plain[] };

function plain(node: Node): Plain {
  const tag = node.identifier & ~0x20;
  return 'parts' in node ? { tag, parts: node.parts.map(plain) } : { tag, content: Buffer.from(node.content).toString('hex') };
}

function valueOf(element: Element): Plain {
  const { tag, parts } = element;
  return parts === undefined ? { tag, content: element.content.toString('hex') } : { tag, parts: parts.map(valueOf) };
}
