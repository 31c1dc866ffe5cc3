/** A short run of the SCEP fuzzer from a seed, and proof that what it looks for would be found. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { objectIdentifier } from '../../src/base/pki/der.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import type { ScepResponse } from '../../src/fronts/scep/answers.ts';
import type { ScepHandler, ScepRequest } from '../../src/fronts/scep/handler.ts';
import { seed } from '../support/pki-fixtures.ts';
import { identity } from '../support/vector-identities.ts';
import { connectorPath, connectorSpecs } from '../support/vector-store.ts';
import type { VectorWorld } from '../support/vector-world.ts';
import { attributeValues, copyTree, encodeTree, parseTree, placesIn } from './ber-tree.ts';
import { Random } from './random.ts';
import type { Outcome, Rejections } from './round.ts';
import { type ScepInput, ScepInputs } from './scep-inputs.ts';
import { assemble, type Recipe } from './scep-layers.ts';
import { transactionIDsIn } from './scep-oracle.ts';
import { ScepRawRound } from './scep-raw-round.ts';
import { makeRecipe } from './scep-recipes.ts';
import { ScepRound } from './scep-round.ts';
import { growthOf, ScepRounds } from './scep-rounds.ts';

const messages = 600;
const noRejections: Rejections = { take: () => [], [Symbol.dispose]: () => {} };

describe('the enrolment endpoint', () => {
  it(`answers ${messages} broken messages in RFC 8894's form, and a refusal changes nothing, from seed ${seed}`, async () => {
    using rounds = new ScepRounds();
    const { findings, outcomes, requests } = await rounds.run({ seed, messages, leftMs: Number.POSITIVE_INFINITY });
    assert.deepEqual(findings, []);
    assert.equal(requests, messages);
    const endings = new Set([...outcomes.values()].flatMap(counts => [...counts.keys()]));
    for (const ending of ['SUCCESS', 'FAILURE badRequest', 'FAILURE badAlg', 'FAILURE badMessageCheck', '400', '404', '405']) {
      assert.ok(endings.has(ending), ending);
    }
  });
});

describe('an input', () => {
  it('follows from the seed and its number', () => {
    const [once, again] = [new ScepInputs(), new ScepInputs()];
    const shown = (inputs: ScepInputs, from: number, number: number) => {
      const { kind, connector, source, form } = inputs.input(from, number);
      return { kind, connector, source, method: form.method, path: form.path };
    };
    const numbers = Array.from({ length: 50 }, (_, number) => number);
    const first = numbers.map(number => shown(once, 1, number));
    assert.deepEqual(
      numbers.toReversed().map(number => shown(again, 1, number)),
      first.toReversed(),
    );
    assert.notDeepEqual(
      numbers.map(number => shown(again, 2, number)),
      first,
    );
  });
});

/** A sound PKCSReq for the connector `default`. */
const sound: Recipe = findSound();
const { challenge } = connectorSpecs.default;

function findSound(): Recipe {
  for (let number = 0; ; number++) {
    const { recipe, connector } = makeRecipe(new Random(1, number));
    const holdsChallenge = recipe.messageData.includes(connectorSpecs.default.challenge);
    const isUsual = recipe.messageType === '19' && recipe.signer === identity('device') && recipe.csrKey === recipe.signer.privateKey;
    if (connector === 'default' && isUsual && holdsChallenge && recipe.digest.name === 'SHA-256') return recipe;
  }
}

function inputOf(recipe: Partial<Recipe> = {}, claimed: Partial<ScepInput> = {}): ScepInput {
  const { message, plaintext } = assemble({ ...sound, ...recipe });
  const path = `${connectorPath('default')}/pkiclient.exe`;
  const form = { method: 'POST', path, query: ['operation=PKIOperation'], body: message, host: 'localhost', userAgent: undefined };
  return { kind: 'sound', connector: 'default', form, source: '198.18.0.1', plaintexts: [plaintext], ...claimed };
}

type Fault = (answer: ScepResponse, world: VectorWorld, handle: ScepHandler) => Promise<ScepResponse> | ScepResponse;

async function problemsWith(fault: Fault, input: ScepInput, rest: { rejections?: Rejections } = {}): Promise<Outcome> {
  await using round = await ScepRound.open({
    rejections: noRejections,
    ...rest,
    intercept: (handle, world) => async request => fault(await handle(request), world, handle),
  });
  return await round.send(input);
}

describe('a round', () => {
  const refusedInput = () => inputOf({ messageType: '99' });

  it('finds nothing wrong with an enrolment, nor with the same again, nor with a refusal', async () => {
    await using round = await ScepRound.open({ rejections: noRejections });
    const input = inputOf();
    for (const [sent, ending] of [
      [input, 'SUCCESS'],
      [input, 'SUCCESS'],
      [refusedInput(), 'FAILURE badRequest'],
    ] as const) {
      const outcome = await round.send(sent);
      assert.deepEqual([outcome.ending, outcome.problems], [ending, []]);
    }
  });

  it('finds a refusal that writes a row', async () => {
    const insert: Fault = async (answer, { database }) => {
      await database.query.insertInto('tags').values({ resource_arn: 'arn', tag_key: 'a', tag_value: 'b' }).execute();
      return answer;
    };
    assert.deepEqual((await problemsWith(insert, refusedInput())).problems, ['FAILURE, and yet: tags insert']);
  });

  it('finds an enrolment that takes long to issue, though the same again is answered at once', async () => {
    let now = 0;
    const slowToIssue =
      (handle: ScepHandler, { issuance }: VectorWorld) =>
      async (request: ScepRequest) => {
        const before = (await issuance()).certificates.length;
        const answer = await handle(request);
        if ((await issuance()).certificates.length > before) now += 150;
        return answer;
      };
    await using round = await ScepRound.open({ rejections: noRejections, clock: () => now, intercept: slowToIssue });
    assert.deepEqual((await round.send(inputOf())).problems, ['slower than 100 ms']);
    assert.deepEqual((await round.send(inputOf())).problems, []);
  });

  it('finds an answer that takes long each time, and no pause that comes once', async () => {
    for (const [tookMs, problems] of [
      [[150, 150, 150, 101], ['slower than 100 ms']],
      [[150, 150, 20, 150], []],
      [[99], []],
    ] as const) {
      let now = 0;
      const left: number[] = [...tookMs];
      await using round = await ScepRound.open({
        rejections: noRejections,
        clock: () => now,
        intercept: handle => async request => {
          const answer = await handle(request);
          now += left.shift() ?? 0;
          return answer;
        },
      });
      assert.deepEqual((await round.send(refusedInput())).problems, problems);
      assert.deepEqual(left, []);
    }
  });

  it('finds a request that is never answered, and a handler that rejects', async () => {
    await using round = await ScepRound.open({ rejections: noRejections, timeoutMs: 10, intercept: () => () => new Promise(() => {}) });
    const { problems, isFatal } = await round.send(inputOf());
    assert.deepEqual({ problems, isFatal }, { problems: ['no answer'], isFatal: true });
    const broken: Fault = () => {
      throw new Error('broken');
    };
    assert.deepEqual((await problemsWith(broken, inputOf())).problems, ['the handler rejects: Error: broken']);
  });

  it('finds a rejection that nobody handles', async () => {
    const rejections = { ...noRejections, take: () => ['Error: lost'] };
    assert.deepEqual((await problemsWith(answer => answer, refusedInput(), { rejections })).problems, ['unhandled rejection Error: lost']);
  });

  const wrongs: [about: string, fault: Fault, problem: RegExp][] = [
    ['a status of 500', answer => ({ ...answer, statusCode: 500 }), /status 500/],
    ['a status of 503 that no outage has brought about', answer => ({ ...answer, statusCode: 503 }), /status 503/],
    ['a content type with parameters', answer => ({ ...answer, headers: { 'content-type': 'text/plain;charset=utf-8' } }), /content type/],
    ['an empty answer', answer => ({ ...answer, body: Buffer.alloc(0) }), /an empty answer/],
    ['a challenge password in an answer', answer => ({ ...answer, headers: { ...answer.headers, 'x-detail': challenge } }), /a secret/],
    ['a private key in an answer', answer => ({ ...answer, headers: { ...answer.headers, 'x-detail': raSecret } }), /a secret/],
    ['an answer whose signature does not hold', ({ body, ...answer }) => ({ ...answer, body: flipped(body, -1) }), /no CertRep of the RA/],
    ['an answer that is no CMS', answer => ({ ...answer, body: Buffer.from('0') }), /no CertRep of the RA/],
  ];
  const raSecret = Buffer.from(identity('ra-default').privateKey.export({ format: 'jwk' }).d ?? '', 'base64url').toString('hex');
  for (const [about, fault, problem] of wrongs) {
    it(`finds ${about}`, async () => assert.match((await problemsWith(fault, refusedInput())).problems.join(), problem));
  }

  it('finds the answer to another request', async () => {
    let kept: ScepResponse | undefined;
    await using round = await ScepRound.open({
      rejections: noRejections,
      intercept: handle => async request => (kept ??= await handle(request)),
    });
    await round.send(refusedInput());
    const { problems } = await round.send(inputOf({ messageType: '99', transactionID: 'another', senderNonce: Buffer.alloc(16, 7) }));
    assert.deepEqual(problems, ['transactionID is not echoed', 'recipientNonce is not the senderNonce']);
  });

  it('finds SUCCESS for a request without the challenge of its connector', async () => {
    const input = inputOf(
      {},
      { plaintexts: [Buffer.from(sound.messageData.toString('latin1').replace(challenge, 'x'.repeat(36)), 'latin1')] },
    );
    assert.deepEqual((await problemsWith(answer => answer, input)).problems, ['SUCCESS without a right challenge']);
  });

  it('finds a certificate for another key than the CSR’s', async () => {
    const input = inputOf({}, { plaintexts: [Buffer.from(assemble({ ...sound, messageData: otherCsr() }).plaintext)] });
    assert.deepEqual((await problemsWith(answer => answer, input)).problems, ['a certificate for a key that was not asked for']);
  });
});

/** With the same challenge. */
function otherCsr(): Buffer {
  for (let number = 0; ; number++) {
    const { recipe } = makeRecipe(new Random(2, number));
    if (recipe.messageData.includes(challenge) && recipe.csrKey === identity('device-2').privateKey) return recipe.messageData;
  }
}

function flipped(bytes: Uint8Array, at: number): Buffer {
  const changed = Buffer.from(bytes);
  const index = at < 0 ? changed.length + at : at;
  changed[index] = (changed[index] ?? 0) ^ 1;
  return changed;
}

describe('a round over connections', () => {
  it('judges a message that claims more transactionIDs than a query takes parameters', async () => {
    await using round = await ScepRawRound.open(noRejections);
    const { form, ...input } = inputOf();
    const body = withTransactionIDs(form.body, 10_000);
    // SQLite takes 32,766.
    assert.ok(transactionIDsIn(body).length > 32_766);
    const { problems } = await round.send({ input: { ...input, form: { ...form, body } }, steps: [], chunkBytes: 0 });
    assert.deepEqual(problems, []);
  });
});

function withTransactionIDs(message: Uint8Array, count: number): Buffer {
  const root = parseTree(message);
  assert.ok(root);
  const [transactionID] = attributeValues(root, objectIdentifier(Oid.transactionID).subarray(2));
  const values = transactionID && placesIn([root]).find(({ siblings, index }) => siblings[index] === transactionID)?.siblings;
  assert.ok(values);
  values.push(...Array.from({ length: count - values.length }, () => copyTree(transactionID)));
  return encodeTree(root);
}

describe('the heap', () => {
  it('grows when the last rounds all leave more behind than the first ones', () => {
    assert.equal(growthOf([90, 60, 61, 60, 62, 61, 60]), undefined);
    assert.equal(growthOf([90, 60, 61, 60, 62, 90, 61, 60]), undefined);
    assert.match(growthOf([90, 60, 61, 60, 80, 85, 90]) ?? '', /grows/);
  });
});
