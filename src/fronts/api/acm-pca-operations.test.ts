/** Holds the table of acm-pca's operations against the service description in AWS's own client. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { rateQuotas } from '../../base/quotas.ts';
import { acmPcaOperations } from './acm-pca-operations.ts';
import type { Members, Shape } from './validation.ts';

interface ModelShape {
  shape?: string;
  type?: string;
  members?: Record<string, ModelShape>;
  member?: ModelShape;
  required?: string[];
}

interface Model {
  operations: Record<string, { input: ModelShape; output?: ModelShape }>;
  shapes: Record<string, ModelShape>;
}

const model = createRequire(import.meta.url)('aws-sdk/apis/acm-pca-2017-08-22.min.json') as Model;

/** What AWS has added since its client was made. */
const newer = new Set(['CrlType', 'CustomPath']);
/** A member without a type is a string there; `long` is an integer in JSON. */
const types: Record<string, string> = { string: 'string', integer: 'integer', long: 'integer', float: 'timestamp' };

/** Names, types and which are required, all the way down. */
function outlineOf(members: Members): object {
  return Object.fromEntries(
    Object.entries(members)
      .filter(([name]) => !newer.has(name))
      .map(([name, { shape, required }]) => [required ? `${name}!` : name, outlineOfShape(shape)]),
  );
}

function outlineOfShape(shape: Shape): unknown {
  if (shape.type === 'list') return [outlineOfShape(shape.member)];
  return shape.type === 'structure' || shape.type === 'union' ? outlineOf(shape.members) : shape.type;
}

function outlineOfModel({ members = {}, required = [] }: ModelShape): object {
  return Object.fromEntries(Object.entries(members).map(([name, shape]) => [required.includes(name) ? `${name}!` : name, modelled(shape)]));
}

function modelled(shape: ModelShape): unknown {
  const resolved = shape.shape === undefined ? shape : (model.shapes[shape.shape] ?? shape);
  const { type = 'string', member } = resolved;
  if (type === 'list' && member) return [modelled(member)];
  return type === 'structure' ? outlineOfModel(resolved) : (types[type] ?? type);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  );
}

test('the table has AWS’s 23 operations and each has its quota', () => {
  const names = acmPcaOperations.map(({ name }) => name);
  assert.deepEqual(names.toSorted(), Object.keys(model.operations).toSorted());
  assert.equal(names.length, 23);
  assert.deepEqual(
    names.filter(name => !Object.hasOwn(rateQuotas, name)),
    [],
  );
});

for (const { name, action, input, output, readOnly } of acmPcaOperations) {
  const { input: modelInput, output: modelOutput = {} } = model.operations[name] ?? { input: {} };

  test(`${name} has AWS’s members`, () => {
    assert.deepEqual(sorted(outlineOf(input)), sorted(outlineOfModel(modelInput)));
    assert.deepEqual(sorted(outlineOf(output)), sorted(outlineOfModel(modelOutput)));
  });

  test(`${name} is an action of its own, and only what reads is read-only`, () => {
    assert.equal(action, `acm-pca:${name}`);
    assert.equal(readOnly ?? false, /^(?:Describe|Get|List)/.test(name));
  });
}
