/** Sends every vector to a world of its group and holds the answer, and what it left in the store, against what the vector expects. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { checkCertRep, sendVector, textOf, type VectorAnswer } from '../support/vector-exchange.ts';
import { readVectors, type Vector } from '../support/vector-file.ts';
import { openVectorWorld, type VectorWorld } from '../support/vector-world.ts';

const vectorsMin = 40;

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
    before(async () => {
      world = await openVectorWorld();
    });
    after(() => world[Symbol.asyncDispose]());
    for (const vector of inOrder(members)) it(`${vector.name}: ${vector.source}`, () => check(world, vector));
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

async function check(world: VectorWorld, vector: Vector): Promise<void> {
  const before = await world.issuance();
  const answers = await Promise.all(Array.from({ length: vector.parallel }, () => sendVector(world, vector)));
  assert.deepEqual(world.takeFailures(), [], 'the server has failed');
  const changed = await world.issuance();
  const { expect } = vector;
  if (expect.pkiStatus === undefined) {
    for (const answer of answers) checkHttp(answer, vector, expect.statusCode);
  } else {
    const certificates = answers.map(answer => checkCertRep(answer, vector, expect));
    for (const certificate of certificates) assert.deepEqual(certificate, certificates[0], 'the same request has got two certificates');
  }
  if (expect.pkiStatus === 'SUCCESS') {
    assert.ok(changed.certificates.length - before.certificates.length <= 1, 'more than one certificate was issued');
    assert.deepEqual(
      changed.certificates.filter(row => !/ (?:ISSUED|REVOKED)$/.test(row)),
      [],
    );
  } else {
    assert.deepEqual(changed.certificates, before.certificates, 'a certificate was issued');
  }
  if (expect.pkiStatus === undefined || expect.pkiStatus === 'FAILURE')
    assert.deepEqual(changed, before, 'a refusal has changed something');
}

function checkHttp(answer: VectorAnswer, { reason }: Vector, statusCode: number): void {
  assert.equal(answer.statusCode, statusCode, textOf(answer));
  if (statusCode >= 400) assert.equal(answer.contentType, 'text/plain');
  if (reason !== undefined) assert.equal(textOf(answer), `${reason}\\n`);
}
