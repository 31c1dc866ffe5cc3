/** Each constraint with AWS's message, and what passes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Members, type Shape, validate } from './validation.ts';

function violations(members: Members, input: Record<string, unknown>): { count: string | undefined; each: string[] } {
  try {
    validate(members, input);
  } catch (error) {
    assert.ok(error instanceof Error && error.name === 'ValidationException');
    const [, count, text] = /^(\d+ validation errors?) detected: (.*)$/s.exec(error.message) ?? [];
    return { count, each: (text ?? '').split('; ') };
  }
  return { count: undefined, each: [] };
}

function violationsOf(shape: Shape, value: unknown): string[] {
  return violations({ Member: { shape } }, { Member: value }).each.map(text =>
    text.replace("Value at 'member' failed to satisfy constraint: ", ''),
  );
}

describe('validation', () => {
  const arn: Shape = { type: 'string', minLength: 5, maxLength: 8, pattern: '^[a-z]+$' };

  it('names the member in lower camel case, as AWS does', () => {
    const members = { CertificateAuthorityArn: { shape: arn, required: true } } as const;
    assert.throws(() => validate(members, { CertificateAuthorityArn: 'UPPER' }), {
      name: 'ValidationException',
      message:
        "1 validation error detected: Value at 'certificateAuthorityArn' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z]+$",
      members: { Reason: 'OTHER' },
    });
  });

  it('reports every violation at once', () => {
    const members = {
      First: { shape: arn, required: true },
      Second: { shape: arn },
      Third: { shape: { type: 'integer', max: 1 } },
    } as const;
    const { count, each } = violations(members, { Second: 'A', Third: 2 });
    assert.equal(count, '4 validation errors');
    assert.deepEqual(each, [
      "Value at 'first' failed to satisfy constraint: Member must not be null",
      "Value at 'second' failed to satisfy constraint: Member must have length greater than or equal to 5",
      "Value at 'second' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z]+$",
      "Value at 'third' failed to satisfy constraint: Member must have value less than or equal to 1",
    ]);
  });

  it('refuses the members that a closed structure does not have, null ones too, and shows ten of them', () => {
    const inner: Shape = { type: 'structure', closed: true, members: { A: { shape: { type: 'integer' } } } };
    const members = { Closed: { shape: { ...inner, members: { ...inner.members, Inner: { shape: inner } } } } } as const;
    const { each } = violations(members, JSON.parse('{"Closed": {"A": 1, "Foo": 1, "__proto__": null, "Inner": {"a": 1}}}') as {});
    assert.deepEqual(each, [
      "Value at 'closed.foo' failed to satisfy constraint: Member must not be present",
      "Value at 'closed.__proto__' failed to satisfy constraint: Member must not be present",
      "Value at 'closed.inner.a' failed to satisfy constraint: Member must not be present",
    ]);
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`${'X'.repeat(1000)}${index}`, 1]));
    const shown = violations({ Closed: { shape: inner } }, { Closed: many });
    assert.equal(shown.count, '10 validation errors');
    assert.equal(shown.each[0], `Value at 'closed.x${'X'.repeat(63)}' failed to satisfy constraint: Member must not be present`);
    assert.deepEqual(violations({ Open: { shape: { type: 'structure', members: {} } } }, { Open: { Foo: 1 } }).each, []);
  });

  it('holds strings to their length in code points', () => {
    assert.deepEqual(violationsOf({ type: 'string', maxLength: 2 }, '😀😀'), []);
    assert.deepEqual(violationsOf({ type: 'string', maxLength: 2 }, '😀😀😀'), ['Member must have length less than or equal to 2']);
    assert.deepEqual(violationsOf({ type: 'string', minLength: 1 }, ''), ['Member must have length greater than or equal to 1']);
  });

  it('matches a pattern against the whole value, a trailing line break included', () => {
    assert.deepEqual(violationsOf(arn, 'abcde'), []);
    assert.deepEqual(violationsOf(arn, 'abcde\n'), ['Member must satisfy regular expression pattern: ^[a-z]+$']);
  });

  it('holds strings to an enum', () => {
    const shape: Shape = { type: 'string', values: ['A', 'B'] };
    assert.deepEqual(violationsOf(shape, 'A'), []);
    assert.deepEqual(violationsOf(shape, 'a'), ['Member must satisfy enum value set: [A, B]']);
  });

  it('holds integers to their range', () => {
    const shape: Shape = { type: 'integer', min: 1, max: 1000 };
    assert.deepEqual(
      [1, 1000].flatMap(value => violationsOf(shape, value)),
      [],
    );
    assert.deepEqual(violationsOf(shape, 0), ['Member must have value greater than or equal to 1']);
    assert.deepEqual(violationsOf(shape, 1001), ['Member must have value less than or equal to 1000']);
    for (const value of [1.5, '1', Number.NaN, 2 ** 53, 'ten']) assert.deepEqual(violationsOf(shape, value), ['Member must be an integer']);
  });

  it('refuses a value of the wrong type', () => {
    const wrong: [Shape, unknown, string][] = [
      [{ type: 'string' }, 1, 'Member must be a string'],
      [{ type: 'string' }, ['a'], 'Member must be a string'],
      [{ type: 'list', member: { type: 'string' } }, 'a', 'Member must be a list'],
      [{ type: 'map' }, ['a'], 'Member must be a map'],
      [{ type: 'map' }, 'a', 'Member must be a map'],
      [{ type: 'map' }, { a: 1 }, 'Map value must satisfy constraint: [Member must be a string]'],
      [{ type: 'map' }, { a: null }, 'Map value must satisfy constraint: [Member must be a string]'],
      [{ type: 'structure', members: {} }, [], 'Member must be a structure'],
    ];
    for (const [shape, value, constraint] of wrong) assert.deepEqual(violationsOf(shape, value), [constraint]);
  });

  it('says where in a list a member breaks its constraint', () => {
    const { each } = violations({ TagKeys: { shape: { type: 'list', member: arn } } }, { TagKeys: ['abcde', 'abc'] });
    assert.deepEqual(each, [
      "Value at 'tagKeys.2.member' failed to satisfy constraint: Member must have length greater than or equal to 5",
    ]);
  });

  describe('of a union', () => {
    const intune: Members = { Domain: { shape: { type: 'string', maxLength: 3 }, required: true } };
    const members: Members = {
      Management: { shape: { type: 'union', members: { Intune: { shape: { type: 'structure', members: intune } } } } },
    };
    const message = "Value at 'management' failed to satisfy constraint: Member must have exactly one of the members: [Intune]";

    it('takes exactly one of its members', () => {
      assert.deepEqual(violations(members, { Management: { Intune: { Domain: 'a.b' } } }).each, []);
      assert.deepEqual(violations(members, { Management: { Intune: { Domain: 'a.b' }, Other: null } }).each, []);
      const wrong: unknown[] = [
        {},
        { Intune: null },
        { Other: {} },
        { Intune: { Domain: 'a.b' }, Other: {} },
        [],
        'Intune',
        { toString: {} },
      ];
      for (const Management of wrong) assert.deepEqual(violations(members, { Management }).each, [message]);
    });

    it('names what is wrong inside', () => {
      const at = "Value at 'management.intune.domain' failed to satisfy constraint: ";
      assert.deepEqual(violations(members, { Management: { Intune: {} } }).each, [`${at}Member must not be null`]);
      assert.deepEqual(violations(members, { Management: { Intune: { Domain: 'long' } } }).each, [
        `${at}Member must have length less than or equal to 3`,
      ]);
    });
  });

  it('takes null for absent and leaves unmodelled members out', () => {
    const members = { Name: { shape: { type: 'string' } }, Other: { shape: { type: 'string' } } } as const;
    assert.deepEqual(validate(members, { Name: 'a', Other: null, Unknown: 1 }), { Name: 'a' });
  });

  it('keeps a tag key that is also a name of Object', () => {
    const Tags: unknown = JSON.parse('{"__proto__":"a","constructor":"b"}');
    const value = validate({ Tags: { shape: { type: 'map' } } } as const, { Tags });
    assert.deepEqual(Object.entries(value.Tags ?? {}), [
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });

  it('copes with a value of any length', () => {
    const pattern = '^arn:aws(-[a-z]+)*:pca-connector-scep:[a-z]+(-[a-z]+)+-[1-9]\\d*:\\d{12}:x$';
    const value = `arn:aws${'-a'.repeat(200_000)}`;
    assert.equal(violationsOf({ type: 'string', maxLength: 200, pattern }, value).length, 2);
  });
});
