/** Input constraints in the terms of AWS's model (required, length, pattern, range, enum, union), and AWS's messages for a value that breaks them. */
import { violation, violationsException } from '../../base/errors.ts';

export type Shape =
  /** A sensitive one is masked in the audit trail. */
  | { type: 'string'; minLength?: number; maxLength?: number; pattern?: string; values?: readonly string[]; sensitive?: true }
  | { type: 'integer'; min?: number; max?: number }
  | { type: 'boolean' }
  | { type: 'timestamp' }
  /** Base64 in JSON, counted in octets. */
  | { type: 'blob'; minLength?: number; maxLength?: number }
  | { type: 'list'; member: Shape; minLength?: number; maxLength?: number }
  /** String to string: the only maps of this API are tags. */
  | { type: 'map' }
  /** A closed one has no other members: where one that is misspelt would go unnoticed and something else would hold than was meant. */
  | { type: 'structure'; members: Members; closed?: true }
  /** Exactly one member is present. */
  | { type: 'union'; members: Members };

export interface Member {
  shape: Shape;
  required?: true;
}

export type Members = Readonly<Record<string, Member>>;

/** The TypeScript type of the values a shape admits. */
export type ValueOf<S> = S extends { type: 'string'; values: readonly (infer V)[] }
  ? V
  : S extends { type: 'string' }
    ? string
    : S extends { type: 'integer' | 'timestamp' }
      ? number
      : S extends { type: 'boolean' }
        ? boolean
        : S extends { type: 'blob' }
          ? Uint8Array
          : S extends { type: 'list'; member: infer M }
            ? ValueOf<M>[]
            : S extends { type: 'map' }
              ? Record<string, string>
              : S extends { type: 'structure'; members: infer M extends Members }
                ? StructureOf<M>
                : S extends { type: 'union'; members: infer M extends Members }
                  ? { [K in keyof M]: { [Only in K]: ValueOf<M[K]['shape']> } }[keyof M]
                  : never;

export type StructureOf<M extends Members> = {
  [K in keyof M as M[K] extends { required: true } ? K : never]: ValueOf<M[K]['shape']>;
} & {
  [K in keyof M as M[K] extends { required: true } ? never : K]?: ValueOf<M[K]['shape']>;
};

/** The input as the shapes promise it: modelled members only, none of them null. Otherwise throws one ValidationException naming every violation. */
export function validate<const M extends Members>(members: M, input: Readonly<Record<string, unknown>>): StructureOf<M> {
  const violations: string[] = [];
  const value = readMembers(members, input, '', violations);
  if (violations.length > 0) throw violationsException(violations);
  return value as StructureOf<M>;
}

const unknownMembersShownMax = 10;
const unknownNameCharactersMax = 64;

/** A violation for each of the first few members that are not modelled, null ones too. */
export function unknownMembers(members: Members, input: Readonly<Record<string, unknown>>, path = ''): string[] {
  return Object.keys(input)
    .filter(name => !Object.hasOwn(members, name))
    .slice(0, unknownMembersShownMax)
    .map(name => violation(memberPath(path, name.slice(0, unknownNameCharactersMax)), 'Member must not be present'));
}

/** AWS writes members in lower camel case. */
function memberPath(path: string, name: string): string {
  return `${path}${name.charAt(0).toLowerCase()}${name.slice(1)}`;
}

function readMembers(
  members: Members,
  input: Readonly<Record<string, unknown>>,
  path: string,
  violations: string[],
): Record<string, unknown> {
  const present: [string, unknown][] = [];
  for (const [name, { shape, required }] of Object.entries(members)) {
    const at = memberPath(path, name);
    const value = Object.hasOwn(input, name) ? input[name] : undefined;
    // JSON null is an absent member to AWS's protocols.
    if (value !== undefined && value !== null) present.push([name, readValue(shape, value, at, violations)]);
    else if (required) violations.push(violation(at, 'Member must not be null'));
  }
  return Object.fromEntries(present);
}

function readValue(shape: Shape, value: unknown, path: string, violations: string[]): unknown {
  const fail = (constraint: string) => void violations.push(violation(path, constraint));
  switch (shape.type) {
    case 'string':
      if (typeof value !== 'string') fail('Member must be a string');
      else checkString(shape, value, fail);
      return value;
    case 'integer':
    case 'timestamp':
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) fail('Member must be an integer');
      else if (shape.type === 'integer') checkRange(shape, value, fail);
      return value;
    case 'boolean':
      if (typeof value !== 'boolean') fail('Member must be a boolean');
      return value;
    case 'blob':
      return readBlob(shape, value, fail);
    case 'list':
      if (!Array.isArray(value)) {
        fail('Member must be a list');
        return value;
      }
      checkLength(shape, value.length, fail);
      return value.map((member, index) => readValue(shape.member, member, `${path}.${index + 1}.member`, violations));
    case 'map':
      if (!isRecord(value)) fail('Member must be a map');
      else if (Object.values(value).some(text => typeof text !== 'string'))
        fail('Map value must satisfy constraint: [Member must be a string]');
      return value;
    case 'structure':
      if (!isRecord(value)) {
        fail('Member must be a structure');
        return value;
      }
      if (shape.closed) violations.push(...unknownMembers(shape.members, value, `${path}.`));
      return readMembers(shape.members, value, `${path}.`, violations);
    case 'union':
      return readUnion(shape.members, value, path, violations);
    default:
      return shape satisfies never;
  }
}

function readUnion(members: Members, value: unknown, path: string, violations: string[]): unknown {
  const choices = isRecord(value) ? Object.entries(value).filter(([, choice]) => choice !== null) : [];
  const [name] = choices[0] ?? [];
  if (!isRecord(value) || choices.length !== 1 || name === undefined || !Object.hasOwn(members, name)) {
    violations.push(violation(path, `Member must have exactly one of the members: [${Object.keys(members).join(', ')}]`));
    return value;
  }
  return readMembers(members, value, `${path}.`, violations);
}

function checkString(shape: Shape & { type: 'string' }, value: string, fail: (constraint: string) => void): void {
  // AWS counts Unicode code points (Smithy, "length trait").
  checkLength(shape, Array.from(value).length, fail);
  if (shape.pattern !== undefined && !new RegExp(shape.pattern, 'u').test(value)) {
    fail(`Member must satisfy regular expression pattern: ${shape.pattern}`);
  }
  if (shape.values && !shape.values.includes(value)) fail(`Member must satisfy enum value set: [${shape.values.join(', ')}]`);
}

function readBlob(shape: Shape & { type: 'blob' }, value: unknown, fail: (constraint: string) => void): unknown {
  if (typeof value !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(value) || value.length % 4 !== 0) {
    fail('Member must be base64');
    return value;
  }
  const octets = Buffer.from(value, 'base64');
  checkLength(shape, octets.length, fail);
  return octets;
}

function checkLength(
  { minLength, maxLength }: { minLength?: number; maxLength?: number },
  length: number,
  fail: (constraint: string) => void,
): void {
  if (minLength !== undefined && length < minLength) fail(`Member must have length greater than or equal to ${minLength}`);
  if (maxLength !== undefined && length > maxLength) fail(`Member must have length less than or equal to ${maxLength}`);
}

function checkRange({ min, max }: Shape & { type: 'integer' }, value: number, fail: (constraint: string) => void): void {
  if (min !== undefined && value < min) fail(`Member must have value greater than or equal to ${min}`);
  if (max !== undefined && value > max) fail(`Member must have value less than or equal to ${max}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
