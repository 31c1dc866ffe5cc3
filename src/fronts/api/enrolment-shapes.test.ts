/** docs/enrolment-policy.md lists every member of a policy, with its default and its bounds. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { defaultEnrolmentPolicy } from '../../base/enrolment-policy.ts';
import { enrolmentPolicyLimits } from '../../service/enrolment-policies.ts';
import { enrolmentPolicyShape } from './enrolment-shapes.ts';
import { type Members, type Shape, validate } from './validation.ts';

interface Row {
  member: string;
  default: string;
  form: string;
}

/** Sections are taken apart; what has required members stays in one piece. */
function rowsOf(members: Members, values: Record<string, unknown>, path = ''): Row[] {
  return Object.entries(members).flatMap(([name, { shape }]): Row[] => {
    const value = values[name];
    const isSection = shape.type === 'structure' && Object.values(shape.members).every(({ required }) => !required);
    if (isSection) return rowsOf(shape.members, value as Record<string, unknown>, `${path}${name}.`);
    return [{ member: `\`${path}${name}\``, default: describeDefault(value), form: describeForm(shape) }];
  });
}

function describeDefault(value: unknown): string {
  if (value === undefined) return 'none';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function describeForm(shape: Shape): string {
  if (shape.type === 'boolean') return '`true` or `false`';
  if (shape.type === 'integer') return `${shape.min} to ${shape.max}`;
  if (shape.type === 'string') {
    return shape.values ? shape.values.map(value => `\`${value}\``).join(' or ') : `${shape.minLength} to ${shape.maxLength} characters`;
  }
  if (shape.type === 'list') {
    const { minLength, maxLength, member } = shape;
    const count = minLength === undefined ? `up to ${maxLength}` : `${minLength} to ${maxLength}`;
    if (member.type !== 'string' || !member.values) return `${count} texts of ${describeForm(member)}`;
    return `${count} of ${member.values.map(value => `\`${value}\``).join(', ')}`;
  }
  // A validity, the only structure that is no section.
  assert.ok(shape.type === 'structure');
  const { Value, Type } = shape.members;
  assert.ok(Value?.shape.type === 'integer' && Type?.shape.type === 'string');
  const [last = '', ...others] = (Type.shape.values ?? []).toReversed();
  return `\`{"Value": ${describeForm(Value.shape)}, "Type": ${others.toReversed().join(', ')} or ${last}}\``;
}

describe('docs/enrolment-policy.md', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/enrolment-policy.md'), 'utf8');

  it('lists the members with their defaults and forms, in the order of the shape, each with a meaning', () => {
    const rows = text.split('\n').filter(line => line.startsWith('| `'));
    const cells = rows.map(line => line.slice(2, -2).split(' | '));
    assert.deepEqual(
      cells.map(([member, value, form]) => ({ member, default: value, form })),
      rowsOf(enrolmentPolicyShape.members, { ...defaultEnrolmentPolicy }),
    );
    for (const [member, , , meaning = ''] of cells) assert.match(meaning, /\.$/, member);
  });

  it('says how long a policy may be', () => {
    assert.ok(text.includes(`at most ${enrolmentPolicyLimits.documentCharactersMax.toLocaleString('en')} characters`));
  });
});

describe('the shape of an enrolment policy', () => {
  it('takes the default policy and loses nothing of it', () => {
    const members = { EnrolmentPolicy: { shape: enrolmentPolicyShape, required: true } } as const;
    assert.deepEqual(validate(members, { EnrolmentPolicy: defaultEnrolmentPolicy }), { EnrolmentPolicy: defaultEnrolmentPolicy });
  });
});
