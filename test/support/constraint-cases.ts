/** Every constraint of an operation's input as a pair of cases: a value at its bound and one beyond it, with what AWS says of the latter. */
import { sample, stringMatching } from 'fast-check';
import type { Member, Members, Shape } from '../../src/fronts/api/validation.ts';

export interface ConstraintCase {
  /** Where the member is: the names from the input down. A list is entered by its first member. */
  path: readonly string[];
  constraint: string;
  /** At the bound: not refused for this constraint, whatever else may be wrong with it. */
  inside: unknown;
  /** Beyond it: refused, with this among the violations. */
  outside: unknown;
}

/** What stands for a member that is not there. */
export const absent = Symbol('absent');

/** Another account's resources are refused before anything else is looked at. */
const accountId = '111122223333';
const seed = 7;
/** Of these each pattern refuses one at the end of what it takes. */
const breakers = [' ', '\u0000', '*', '\u20ac'];

export function constraintCases(members: Members, path: readonly string[] = []): ConstraintCase[] {
  return Object.entries(members).flatMap(([name, member]) => memberCases(member, [...path, name]));
}

function memberCases({ shape, required }: Member, path: readonly string[]): ConstraintCase[] {
  const ofRequired = required
    ? [{ path, constraint: 'Member must not be null', inside: sampleOf(shape), outside: absent } satisfies ConstraintCase]
    : [];
  return [...ofRequired, ...shapeCases(shape, path)];
}

function shapeCases(shape: Shape, path: readonly string[]): ConstraintCase[] {
  switch (shape.type) {
    case 'string':
      return [...lengthCases(shape, path, length => 'a'.repeat(length)), ...stringCases(shape, path)];
    case 'blob':
      return [
        ...lengthCases(shape, path, length => Buffer.alloc(length).toString('base64')),
        { path, constraint: 'Member must be base64', inside: 'AAAA', outside: 'A-A=' },
      ];
    case 'integer':
      return integerCases(shape, path);
    case 'boolean':
      return [{ path, constraint: 'Member must be a boolean', inside: true, outside: 'yes' }];
    case 'timestamp':
      return [];
    case 'list':
      return [
        ...lengthCases(shape, path, length => Array.from({ length }, () => sampleOf(shape.member))),
        ...shapeCases(shape.member, [...path, '0']),
      ];
    case 'map':
      return [
        { path, constraint: 'Member must be a map', inside: {}, outside: 'text' },
        { path, constraint: 'Map value must satisfy constraint: [Member must be a string]', inside: { a: 'b' }, outside: { a: 1 } },
      ];
    case 'structure':
      return [
        { path, constraint: 'Member must be a structure', inside: sampleOf(shape), outside: 'text' },
        ...(shape.closed ? [{ path: [...path, 'Other'], constraint: 'Member must not be present', inside: absent, outside: null }] : []),
        ...constraintCases(shape.members, path),
      ];
    case 'union':
      return [...unionCases(shape.members, path), ...constraintCases(shape.members, path)];
    default:
      return shape satisfies never;
  }
}

function lengthCases(
  { minLength, maxLength }: { minLength?: number; maxLength?: number },
  path: readonly string[],
  make: (length: number) => unknown,
): ConstraintCase[] {
  const cases: ConstraintCase[] = [];
  if (minLength !== undefined && minLength > 0) {
    const constraint = `Member must have length greater than or equal to ${minLength}`;
    cases.push({ path, constraint, inside: make(minLength), outside: make(minLength - 1) });
  }
  if (maxLength !== undefined) {
    const constraint = `Member must have length less than or equal to ${maxLength}`;
    cases.push({ path, constraint, inside: make(maxLength), outside: make(maxLength + 1) });
  }
  return cases;
}

function stringCases(shape: Shape & { type: 'string' }, path: readonly string[]): ConstraintCase[] {
  const cases: ConstraintCase[] = [];
  if (shape.pattern !== undefined) {
    const constraint = `Member must satisfy regular expression pattern: ${shape.pattern}`;
    const pattern = new RegExp(shape.pattern, 'u');
    for (const inside of samplesOf(shape.pattern, 1)) {
      const outside = breakers.map(character => inside + character).find(text => !pattern.test(text));
      if (outside === undefined) throw new Error(`nothing breaks ${shape.pattern}`);
      cases.push({ path, constraint, inside, outside });
    }
  }
  if (shape.values) {
    const constraint = `Member must satisfy enum value set: [${shape.values.join(', ')}]`;
    for (const inside of shape.values) cases.push({ path, constraint, inside, outside: `${inside}_` });
  }
  return cases;
}

function integerCases({ min, max }: Shape & { type: 'integer' }, path: readonly string[]): ConstraintCase[] {
  const cases: ConstraintCase[] = [{ path, constraint: 'Member must be an integer', inside: min ?? 1, outside: 'one' }];
  if (min !== undefined)
    cases.push({ path, constraint: `Member must have value greater than or equal to ${min}`, inside: min, outside: min - 1 });
  if (max !== undefined)
    cases.push({ path, constraint: `Member must have value less than or equal to ${max}`, inside: max, outside: max + 1 });
  return cases;
}

function unionCases(members: Members, path: readonly string[]): ConstraintCase[] {
  const constraint = `Member must have exactly one of the members: [${Object.keys(members).join(', ')}]`;
  const inside = sampleOf({ type: 'union', members });
  const [name = ''] = Object.keys(members);
  return [{}, { [name]: null }, { Other: {} }, { ...(inside as object), Other: {} }].map(outside => ({
    path,
    constraint,
    inside,
    outside,
  }));
}

/** A value that the shape admits; members that are not required are left out. */
export function sampleOf(shape: Shape): unknown {
  switch (shape.type) {
    case 'string':
      return sampleString(shape);
    case 'blob':
      return Buffer.alloc(Math.max(1, shape.minLength ?? 0)).toString('base64');
    case 'integer':
      return shape.min ?? 1;
    case 'boolean':
      return true;
    case 'timestamp':
      return 0;
    case 'list':
      return Array.from({ length: shape.minLength ?? 0 }, () => sampleOf(shape.member));
    case 'map':
      return {};
    case 'structure':
      return sampleMembers(shape.members);
    case 'union':
      return Object.fromEntries(
        Object.entries(shape.members)
          .slice(0, 1)
          .map(([name, member]) => [name, sampleOf(member.shape)]),
      );
    default:
      return shape satisfies never;
  }
}

export function sampleMembers(members: Members): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(members)
      .filter(([, { required }]) => required)
      .map(([name, { shape }]) => [name, sampleOf(shape)]),
  );
}

const samplesByShape = new Map<string, string>();

/** Kept: a list may need hundreds of them. */
function sampleString(shape: Shape & { type: 'string' }): string {
  const key = JSON.stringify(shape);
  const sample = samplesByShape.get(key) ?? makeSampleString(shape);
  samplesByShape.set(key, sample);
  return sample;
}

function makeSampleString({ values, pattern, minLength = 1, maxLength = 1000 }: Shape & { type: 'string' }): string {
  if (values) return values[0] ?? '';
  const plain = 'a'.repeat(Math.max(1, minLength));
  if (pattern === undefined || new RegExp(pattern, 'u').test(plain)) return plain;
  const fitting = samplesOf(pattern, 200).find(text => text.length >= minLength && text.length <= maxLength);
  if (fitting === undefined) throw new Error(`no sample of ${pattern} with ${minLength} to ${maxLength} characters`);
  return fitting;
}

/** fast-check does not know lookaheads: what they rule out is sorted out afterwards. */
function samplesOf(pattern: string, numRuns: number): string[] {
  const arbitrary = stringMatching(new RegExp(pattern.replace(/\(\?![^)]*\)/, ''), 'u'));
  const samples = sample(arbitrary, { numRuns, seed }).filter(text => new RegExp(pattern, 'u').test(text));
  return samples.map(text => text.replace(/:\d{12}:/, `:${accountId}:`));
}

/** `base` with the value at the path; what the path leads through is made where it is missing. */
export function withValue(
  base: Record<string, unknown>,
  members: Members,
  path: readonly string[],
  value: unknown,
): Record<string, unknown> {
  const [name = '', ...rest] = path;
  const { [name]: current, ...others } = base;
  if (rest.length === 0) return value === absent ? others : { ...others, [name]: value };
  const shape = members[name]?.shape;
  if (!shape) throw new Error(`no member ${name}`);
  return { ...others, [name]: withInner(shape, current, rest, value) };
}

function withInner(shape: Shape, current: unknown, path: readonly string[], value: unknown): unknown {
  if (shape.type === 'list') {
    const [, ...rest] = path;
    return [rest.length === 0 ? value : withInner(shape.member, undefined, rest, value)];
  }
  if (shape.type !== 'structure' && shape.type !== 'union') throw new Error('a path through a scalar');
  const base = shape.type === 'union' ? {} : ((current as Record<string, unknown>) ?? sampleOf(shape));
  return withValue(base, shape.members, path, value);
}

/** The path as AWS writes it in a violation. */
export function violationPath(path: readonly string[]): string {
  return path.map(name => (name === '0' ? '1.member' : name.charAt(0).toLowerCase() + name.slice(1))).join('.');
}
