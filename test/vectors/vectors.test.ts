/** Sends every vector to a world of its group and holds the answer, and what it left in the store, against what the vector expects. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { MessageType } from '../../src/base/scep.ts';
import { checkCertRep, isEnrolment, messageTypeOf, sendVector, textOf, type VectorAnswer } from '../support/vector-exchange.ts';
import { encodeVector, parseVector, readVectors, type Vector } from '../support/vector-file.ts';
import { openVectorWorld, type VectorWorld } from '../support/vector-world.ts';

const vectorsMin = 150;

const vectors = readVectors();

/** What one implementation of SCEP or another is known to get wrong, by refusing it or by not refusing it: what the sources of its vectors begin with. */
const tellingTests = [
  'mismatched signer/CSR keys',
  'tampered CSR signature',
  'two SignerInfos',
  'duplicate transactionID',
  'messageDigest twice',
  'signedAttrs absent',
  'eContentType ≠ data',
  'RecipientInfo for unknown key',
  'first RecipientInfo foreign, second ours',
  'SKI recipient',
  'CBC padding flips',
  '10 000 nested indefinite lengths',
  '3 MiB body',
  'missing senderNonce',
  '8-byte nonce',
  'txid with space',
  'txid with `+/=`',
  'txid of 200 chars',
  'txid empty',
  'UTF8String challenge',
  'BMPString challenge',
  'two challenges',
  'challenge empty',
  'messageType 18',
  'messageType 99',
  'messageType "019"',
  'messageType absent',
  'CertPoll unknown txid',
  'same txid different CSR',
  'same CSR twice in parallel',
  'renewal by revoked',
  'renewal by expired',
  'renewal by other connector’s certificate',
  'CA:TRUE CSR',
  'SID extension',
  'GET’s message that clients use',
  'GET’s message that no client uses',
  'HTTP/1.0 without Host',
  '40 KiB URL',
  'LF-terminated caps',
  'expired RA during rotation',
];

describe('the vectors', () => {
  it(`are ${vectorsMin} or more`, () => assert.ok(vectors.length >= vectorsMin, `${vectors.length}`));

  const labels = ['negative test: ', 'tolerance test: ', 'a way of writing '];
  for (const test of tellingTests) {
    it(`have one for: ${test}`, () => assert.ok(vectors.some(({ source }) => labels.some(label => source.startsWith(label + test)))));
  }

  it('that need another come after one that is there', () => {
    const names = new Set(vectors.map(({ name }) => name));
    const missing = vectors.filter(vector => vector.after !== undefined && !names.has(vector.after)).map(({ name }) => name);
    assert.deepEqual(missing, []);
  });
});

describe('the form of a vector', () => {
  const header = ['expect: SUCCESS', 'source: a test', 'connector: default', 'request: POST ?operation=PKIOperation'];
  const text = (lines: string[], body = 'MAA=') => `${lines.join('\n')}\n\n${body}\n`;
  const without = (key: string) => header.filter(line => !line.startsWith(key));

  it('is what is written', () => {
    for (const vector of vectors) assert.deepEqual(parseVector(vector.name, encodeVector(vector)), vector);
  });

  const wrong: [name: string, text: string][] = [
    ...['expect', 'source', 'connector', 'request'].map((key): [string, string] => [`no ${key}`, text(without(key))]),
    ['a key twice', text([...header, 'source: another'])],
    ['an unknown key', text([...header, 'expects: SUCCESS'])],
    ['an expectation that is none', text([...without('expect'), 'expect: FAILURE'])],
    ['an unknown failInfo', text([...without('expect'), 'expect: FAILURE badLuck'])],
    ['an unknown connector', text([...without('connector'), 'connector: unknown'])],
    ['a body that is no base64', text(header, 'MAA')],
    ['a line of more than 76 characters', text(header, 'A'.repeat(80))],
  ];
  for (const [name, wrongText] of wrong) it(`is not ${name}`, () => assert.throws(() => parseVector('a/b', wrongText), /^Error: a\/b: /));
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
    case 'SUCCESS':
    case 'PENDING': {
      const [first, ...others] = answers.map(answer => checkCertRep(answer, vector, expect));
      for (const other of others) assert.deepEqual(other, first, 'one request has got two certificates');
      if (first !== undefined) certificates.set(vector.name, first);
      // To repeat a request, or to ask what became of one, begins nothing.
      const isAgain = repeats(vector) || messageTypeOf(vector) === MessageType.CertPoll;
      if (isAgain) assert.deepEqual(first, certificates.get(vector.after ?? ''), 'the request again has got another certificate');
      const begun = isEnrolment(vector) && !repeats(vector) ? 1 : 0;
      assert.equal(changed.transactions.length, before.transactions.length + begun);
      assert.equal(changed.certificates.length, before.certificates.length + (expect.pkiStatus === 'SUCCESS' ? begun : 0));
      assert.deepEqual(
        changed.certificates.filter(row => row.endsWith(' ISSUING')),
        [],
        'a certificate was begun and not finished',
      );
      return;
    }
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
