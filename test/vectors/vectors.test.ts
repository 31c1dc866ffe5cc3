/** Sends every vector to a world of its group and holds the answer, and what it left in the store, against what the vector expects. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { checkCertRep, sendVector, textOf, type VectorAnswer } from '../support/vector-exchange.ts';
import { readVectors, type Vector } from '../support/vector-file.ts';
import { openVectorWorld, type VectorWorld } from '../support/vector-world.ts';

const vectorsMin = 150;

const vectors = readVectors();

describe('the vectors', () => {
  it(`are ${vectorsMin} or more`, () => assert.ok(vectors.length >= vectorsMin, `${vectors.length}`));

  it('that need another come after one that is there', () => {
    const names = new Set(vectors.map(({ name }) => name));
    const missing = vectors.filter(vector => vector.after !== undefined && !names.has(vector.after)).map(({ name }) => name);
    assert.deepEqual(missing, []);
  });
});

for (const [group, members] of Map.groupBy(vectors, ({ name }) => name.slice(0, name.indexOf('/')))) {
  describe(group, () => {
    let world: VectorWorld;
    /** By the vector's name. */
    const certificates = new Map<string, Uint8Array>();
    before(async () => {
      world = await openVectorWorld();
    });
    after(() => world[Symbol.asyncDispose]());
    for (const vector of inOrder(members)) it(`${vector.name}: ${vector.source}`, () => check(world, vector, certificates));
  });
}

/** Each after the one that it needs. */
function inOrder(members: readonly Vector[]): Vector[] {
  const ordered = new Set<Vector>();
  const add = (vector: Vector) => {
    const needed = members.find(({ name }) => name === vector.after);
    if (needed !== undefined && !ordered.has(needed)) add(needed);
    ordered.add(vector);
  };
  for (const vector of members) add(vector);
  return [...ordered];
}

async function check(world: VectorWorld, vector: Vector, certificates: Map<string, Uint8Array>): Promise<void> {
  const before = await world.issuance();
  const answers = await Promise.all(Array.from({ length: vector.parallel }, () => sendVector(world, vector)));
  assert.deepEqual(world.takeFailures(), [], 'the server has failed');
  const changed = await world.issuance();
  const { expect } = vector;
  switch (expect.pkiStatus) {
    case 'SUCCESS': {
      const [first, ...others] = answers.map(answer => checkCertRep(answer, vector, expect));
      assert.ok(first);
      for (const other of others) assert.deepEqual(other, first, 'one request has got two certificates');
      certificates.set(vector.name, first);
      assert.deepEqual(
        changed.certificates.filter(row => row.endsWith(' ISSUING')),
        [],
        'a certificate was begun and not finished',
      );
      if (repeats(vector)) assert.deepEqual(first, certificates.get(vector.after ?? ''), 'the request again has got another certificate');
      const grown = repeats(vector) ? 0 : 1;
      assert.equal(changed.certificates.length, before.certificates.length + grown);
      assert.equal(changed.transactions.length, before.transactions.length + grown);
      return;
    }
    case 'PENDING':
      for (const answer of answers) checkCertRep(answer, vector, expect);
      assert.deepEqual(changed.certificates, before.certificates, 'a certificate was issued');
      return;
    case 'FAILURE':
      for (const answer of answers) checkCertRep(answer, vector, expect);
      break;
    case undefined:
      for (const answer of answers) checkHttp(answer, vector, expect.statusCode);
      break;
    default:
      expect satisfies never;
  }
  assert.deepEqual(changed, before, 'a refusal has changed something');
}

/** The same message as the one before it. */
function repeats({ after: name, target, body }: Vector): boolean {
  const earlier = vectors.find(vector => vector.name === name);
  return earlier?.target === target && Buffer.compare(earlier.body, body) === 0;
}

function checkHttp(answer: VectorAnswer, { reason }: Vector, statusCode: number): void {
  assert.equal(answer.statusCode, statusCode, textOf(answer));
  if (statusCode >= 400) assert.equal(answer.contentType, 'text/plain');
  if (reason !== undefined) assert.equal(textOf(answer), `${reason}\\n`);
}
