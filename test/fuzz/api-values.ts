/** Inputs of operations as fast-check arbitraries: what the operation takes, and the same with one member broken. */
import * as fc from 'fast-check';
import type { Member, Members, Shape } from '../../src/fronts/api/validation.ts';
import { constraintCases, sampleOf, withValue } from '../support/constraint-cases.ts';
import { certificationRequests, challengeBounds, enrolmentPolicies, policyDocuments, templates } from './known-values.ts';

/** Stands in a plan for something that exists when the request is made; `pick` (0 to 1) says which of them. */
export interface Reference {
  $known: Known;
  pick: number;
}
export type Known =
  | 'connectorArn'
  | 'challengeArn'
  | 'requestArn'
  | 'certificateAuthorityArn'
  | 'certificateArn'
  | 'serialNumber'
  | 'accessKeyId'
  | 'nextToken'
  | 'scepResourceArn';

/** Larger ones only cost time: what the body may have is the listener's concern. */
const caseCharactersMax = 40_000;
const samples = 12;
const seed = 7;

export function known($known: Known): fc.Arbitrary<Reference> {
  return fc.record({ $known: fc.constant($known), pick: fraction });
}

/** Evenly: fast-check's own choice prefers what is small, which here is what is oldest. */
export const fraction = fc.noBias(fc.integer({ min: 0, max: 9999 })).map(number => number / 10_000);

/** What an operation accepts: its input, or one that breaks in one place. `service` tells apart what both call ResourceArn. */
export function inputOf(members: Members, service: string): fc.Arbitrary<Record<string, unknown>> {
  const valid = structureOf(generable(members), service);
  const cases = constraintCases(generable(members)).filter(({ outside }) => sizeOf(outside) <= caseCharactersMax);
  const paths = pathsOf(members);
  const broken: fc.Arbitrary<Record<string, unknown>>[] = [
    fc.tuple(valid, fc.constantFrom(...unmodelledNames), oddValue).map(([input, name, value]) => withOwn(input, name, value)),
  ];
  if (cases.length > 0) {
    const bounds = cases.flatMap(({ path, inside, outside }) => [inside, outside].map(value => ({ path, value })));
    broken.push(fc.tuple(valid, fc.constantFrom(...bounds)).map(([input, { path, value }]) => withValue(input, members, path, value)));
  }
  if (paths.length > 0) {
    broken.push(fc.tuple(valid, fc.constantFrom(...paths), oddValue).map(([input, path, value]) => withValue(input, members, path, value)));
  }
  return fc.oneof({ weight: 3, arbitrary: valid }, { weight: 2, arbitrary: fc.oneof(...broken) });
}

/** With patterns that fast-check can make texts of: it knows no lookahead. */
function generable(members: Members): Members {
  return Object.fromEntries(Object.entries(members).map(([name, member]) => [name, { ...member, shape: generableShape(member.shape) }]));
}

function generableShape(shape: Shape): Shape {
  if (shape.type === 'structure' || shape.type === 'union') return { ...shape, members: generable(shape.members) };
  if (shape.type === 'list') return generableList(shape);
  return shape.type === 'string' && shape.pattern !== undefined ? { ...shape, pattern: shape.pattern.replace(/\(\?!.*?\$\)/, '') } : shape;
}

/** Its greatest length, of which whole samples would have to be made, is left to an odd value: a list of more members than any may have. */
function generableList({ member, minLength }: Shape & { type: 'list' }): Shape {
  return { type: 'list', member: generableShape(member), ...(minLength !== undefined && { minLength }) };
}

function sizeOf(value: unknown): number {
  return typeof value === 'symbol' ? 0 : JSON.stringify(value).length;
}

/** Of every member that a structure or union holds, at whatever depth. */
function pathsOf(members: Members, path: readonly string[] = []): string[][] {
  return Object.entries(members).flatMap(([name, { shape }]) => {
    const own = [...path, name];
    return shape.type === 'structure' || shape.type === 'union' ? [own, ...pathsOf(shape.members, own)] : [own];
  });
}

/** An own property, even of a name that assignment would take for the prototype. */
function withOwn(input: Record<string, unknown>, name: string, value: unknown): Record<string, unknown> {
  return Object.defineProperty({ ...input }, name, { value, enumerable: true, writable: true, configurable: true });
}

function structureOf(members: Members, service: string): fc.Arbitrary<Record<string, unknown>> {
  const model = Object.fromEntries(Object.entries(members).map(([name, member]) => [name, memberOf(name, member, service)]));
  const requiredKeys = Object.keys(members).filter(name => members[name]?.required);
  const least = Object.fromEntries(requiredKeys.map(name => [name, model[name] ?? fc.constant(null)]));
  // Every optional member is one more that may not go with the rest.
  return fc.oneof(fc.record(least), fc.record(model, { requiredKeys }));
}

/** By its name where that says more than its shape. */
function memberOf(name: string, { shape }: Member, service: string): fc.Arbitrary<unknown> {
  const byName = { ...membersByName, ...(service === 'acm-pca' ? { ResourceArn: known('certificateAuthorityArn') } : {}) }[name];
  return byName ? fc.oneof({ weight: 9, arbitrary: byName }, { weight: 1, arbitrary: valueOf(shape, service) }) : valueOf(shape, service);
}

function valueOf(shape: Shape, service: string): fc.Arbitrary<unknown> {
  switch (shape.type) {
    case 'string':
      return stringOf(shape);
    case 'integer':
      return fc.integer({ min: shape.min ?? -10, max: Math.min(shape.max ?? 1000, 2 ** 31 - 1) });
    case 'boolean':
      return fc.boolean();
    case 'timestamp':
      return fc.constantFrom(0, 1, 1_700_000_000, 1_800_000_000, 4_102_444_800, -1, 8.64e15, Number.MAX_SAFE_INTEGER);
    case 'blob':
      return fc.uint8Array({ minLength: shape.minLength ?? 0, maxLength: 60 }).map(bytes => Buffer.from(bytes).toString('base64'));
    case 'list':
      return fc.array(valueOf(shape.member, service), { minLength: shape.minLength ?? 0, maxLength: Math.min(shape.maxLength ?? 3, 3) });
    case 'map':
      return tagMap;
    case 'structure':
      return isTag(shape.members) ? fc.record({ Key: tagKey, Value: tagValue }) : structureOf(shape.members, service);
    case 'union':
      return fc.oneof(
        ...Object.entries(shape.members).map(([name, member]) => memberOf(name, member, service).map(value => ({ [name]: value }))),
      );
    default:
      return shape satisfies never;
  }
}

function isTag(members: Members): boolean {
  return Object.keys(members).join() === 'Key,Value';
}

/** A few samples of a pattern are as good as many, and cost nothing while it runs. */
function stringOf(shape: Shape & { type: 'string' }): fc.Arbitrary<string> {
  const { values, pattern, minLength = 0, maxLength = 20 } = shape;
  if (values) return fc.constantFrom(...values);
  if (pattern === undefined) return fc.string({ unit: 'grapheme', minLength, maxLength: Math.max(minLength, Math.min(maxLength, 20)) });
  const texts = fc.sample(fc.stringMatching(new RegExp(pattern)), { numRuns: samples, seed });
  const fitting = texts.filter(text => text.length >= minLength && text.length <= (shape.maxLength ?? Number.POSITIVE_INFINITY));
  return fc.constantFrom(...(fitting.length > 0 ? fitting : [String(sampleOf(shape))]));
}

const tagKey = fc.constantFrom('team', 'Team', 'stage', 'cost centre', 'äöü', 'a'.repeat(128));
const tagValue = fc.constantFrom('', 'blue', 'green', 'b'.repeat(256));
const tagMap = fc.dictionary(tagKey, tagValue, { maxKeys: 3 });
/** Few, so that requests are about the same things, and none is a caller of the fuzzer's own. */
const userName = fc.constantFrom('device-a', 'device-b', 'device-c', 'device-d');
const token = fc.constantFrom('token-1', 'token-2', 'token-3', 'token-4');
/** Mostly what goes with the fuzzer's authorities, which have keys that are quick to make. */
const usually = (usual: unknown, ...others: readonly unknown[]) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
const days = fc.record({ Value: fc.constantFrom(1, 7, 30), Type: fc.constant('DAYS') });

const membersByName: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  ConnectorArn: known('connectorArn'),
  ChallengeArn: known('challengeArn'),
  RequestArn: known('requestArn'),
  EnrolmentPolicy: usually(enrolmentPolicies[0], ...enrolmentPolicies),
  Bounds: usually(challengeBounds[1], ...challengeBounds),
  CertificateAuthorityArn: known('certificateAuthorityArn'),
  CertificateArn: known('certificateArn'),
  CertificateSerial: known('serialNumber'),
  ResourceArn: known('scepResourceArn'),
  AccessKeyId: known('accessKeyId'),
  NextToken: known('nextToken'),
  MaxResults: fc.constantFrom(1, 2, 3, 1000),
  UserName: userName,
  PolicyName: fc.constantFrom('policy-1', 'policy-2', 'policy-3'),
  PolicyDocument: usually(policyDocuments.identity[0], ...policyDocuments.identity),
  Policy: usually(policyDocuments.resource[0], ...policyDocuments.resource, ...policyDocuments.identity),
  ClientToken: token,
  IdempotencyToken: token,
  Csr: usually(certificationRequests[0], ...certificationRequests),
  TemplateArn: fc.constantFrom(...templates),
  KeyAlgorithm: usually('EC_prime256v1', 'EC_secp384r1', 'RSA_2048', 'ML_DSA_44'),
  SigningAlgorithm: usually('SHA256WITHECDSA', 'SHA384WITHECDSA', 'SHA256WITHRSA', 'ML_DSA_44'),
  Subject: usually({ CommonName: 'Fuzz' }, { Country: 'DE' }, { CommonName: '' }, { CustomAttributes: [] }, { SerialNumber: '\u0000' }),
  Validity: fc.oneof(
    days,
    fc.record({
      Value: fc.constantFrom(1, 365, 20_991_231_235_959, 4_000_000_000, Number.MAX_SAFE_INTEGER),
      Type: fc.constantFrom('DAYS', 'MONTHS', 'YEARS', 'ABSOLUTE', 'END_DATE'),
    }),
  ),
  PermanentDeletionTimeInDays: fc.constantFrom(7, 30),
  Principal: usually('acm.amazonaws.com', 'pca-connector-scep.amazonaws.com', '*'),
  SourceAccount: fc.constantFrom('111122223333', '444455556666'),
  ValidityNotBefore: usually({ Value: 1_750_000_000, Type: 'ABSOLUTE' }, { Value: 1, Type: 'DAYS' }, { Value: -1, Type: 'ABSOLUTE' }),
  TagKeys: fc.array(tagKey, { minLength: 1, maxLength: 3 }),
};

const prototypeNames = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'then', 'toJSON'];
const unmodelledNames = [...prototypeNames, 'Other', '', 'connectorArn', '$known', '\ud800', 'a'.repeat(2000)];

/** What no operation expects. JSON cannot carry undefined or NaN; raw JSON is edited elsewhere. */
export const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, -1, 0.5, 1e308, -1e308, 2 ** 53, -(2 ** 63), 5e-324),
  fc.constantFrom<unknown>('', ' ', '\0', '\ud800', '\udfff', '💥'.repeat(40), 'a'.repeat(5000), '../..', '%2e%2e', '*', 'true', '{}'),
  fc.constantFrom<unknown>(...prototypeNames, 'arn:aws', 'arn:aws:acm-pca:::certificate-authority/', `arn:${':'.repeat(400)}`),
  fc.constantFrom<unknown>([], [[]], [null], {}, { '': null }, [{}, 1, 'a'], { constructor: { prototype: {} } }, { toJSON: 1 }),
  fc.constant(JSON.parse('{"__proto__": {"Arn": "a"}}')),
  fc.constantFrom(10, 200, 2000).map(depth => nested(depth)),
  fc.array(fc.constantFrom<unknown>('a', 1, null), { minLength: 60, maxLength: 300 }),
  fc.dictionary(fc.string({ maxLength: 4 }), fc.constantFrom<unknown>('a', 1, null), { minKeys: 60, maxKeys: 80 }),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.jsonValue({ maxDepth: 3 }),
);

function nested(depth: number): unknown {
  return Array.from({ length: depth }).reduce<unknown>(inner => [inner], 'a');
}
