/** Values as JSON by their shapes: what both protocols write into a response, and what the audit trail may show of a request and a response. */
import type { Members, Shape } from './validation.ts';

const mask = '***';

/** Modelled members only, absent ones left out: AWS's clients refuse a union that is present and empty. */
export function writeMembers(members: Members, values: object): Record<string, unknown> {
  return mapMembers(members, values, writeValue);
}

/** The same with every sensitive value masked. The values may be a request's as it was sent, so nothing is taken for granted about them. */
export function maskMembers(members: Members, values: object): Record<string, unknown> {
  return mapMembers(members, values, maskValue);
}

function mapMembers(members: Members, values: object, map: (shape: Shape, value: unknown) => unknown): Record<string, unknown> {
  const given = new Map<string, unknown>(Object.entries(values));
  return Object.fromEntries(
    Object.entries(members).flatMap(([name, { shape }]) => {
      const value = given.get(name);
      return value === undefined || value === null ? [] : [[name, map(shape, value)]];
    }),
  );
}

function writeValue(shape: Shape, value: unknown): unknown {
  switch (shape.type) {
    case 'string':
    case 'integer':
    case 'boolean':
    case 'map':
      return value;
    case 'timestamp':
      // Epoch seconds with milliseconds, as AWS writes them.
      return Number(value) / 1000;
    case 'blob':
      return Buffer.from(value as Uint8Array).toString('base64');
    case 'list':
      return (value as unknown[]).map(member => writeValue(shape.member, member));
    case 'structure':
    case 'union':
      return writeMembers(shape.members, value as object);
    default:
      return shape satisfies never;
  }
}

function maskValue(shape: Shape, value: unknown): unknown {
  if (shape.type === 'string' && shape.sensitive) return mask;
  if (shape.type === 'timestamp' && typeof value === 'number') return value / 1000;
  if (shape.type === 'list' && Array.isArray(value)) return value.map(member => maskValue(shape.member, member));
  if ((shape.type === 'structure' || shape.type === 'union') && typeof value === 'object' && value !== null) {
    return maskMembers(shape.members, value);
  }
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}
