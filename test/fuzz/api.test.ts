/** A short run of the fuzzer from a seed, and proof that what it looks for would be found. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ApiResponse } from '../../src/fronts/api/request.ts';
import { describeEveryDatabase, homeColumns, now, uuid } from '../support/databases.ts';
import { seed } from '../support/pki-fixtures.ts';
import { fuzzApi } from './api-fuzz.ts';
import { problemsOf, problemsOfWire } from './api-oracle.ts';
import { type Plan, rowOf } from './api-plans.ts';
import { ApiRound } from './api-round.ts';
import type { Rejections } from './round.ts';
import { watchStore } from './store-changes.ts';

const requests = 2000;

describe('the API', () => {
  it(`answers ${requests} generated requests as AWS would, and a refusal changes nothing, from seed ${seed}`, async () => {
    const { findings, outcomes, ...report } = await fuzzApi({ seed, requests });
    assert.deepEqual(findings, []);
    assert.ok(report.requests >= requests);
    const endings = new Set([...outcomes.values()].flatMap(counts => [...counts.keys()]));
    for (const ending of [
      'ok',
      'ValidationException',
      'AccessDeniedException',
      'InvalidSignatureException',
      'MissingAuthenticationToken',
    ]) {
      assert.ok(endings.has(ending), ending);
    }
  });
});

describe('a round', () => {
  const plan: Plan = {
    operation: 'GetConnector',
    input: { ConnectorArn: 'arn' },
    caller: 'administrator',
    form: 'header',
    before: [],
    after: [],
  };
  const rejections: Rejections = { take: () => [], [Symbol.dispose]: () => {} };

  it('finds nothing wrong with a refusal that changes nothing', async () => {
    await using round = await ApiRound.open({ rejections });
    const { ending, problems } = await round.send(plan);
    assert.deepEqual({ ending, problems }, { ending: 'ValidationException', problems: [] });
  });

  it('finds a refusal that writes a row', async () => {
    await using round = await ApiRound.open({
      rejections,
      async intercept(answer, { database }) {
        await database.query.insertInto('tags').values({ resource_arn: 'arn', tag_key: 'a', tag_value: 'b' }).execute();
        return answer;
      },
    });
    const { problems } = await round.send(plan);
    assert.deepEqual(problems, ['GetConnector: refused with ValidationException, and yet: tags insert']);
  });

  it('finds a request that is never answered', async () => {
    await using round = await ApiRound.open({ rejections, timeoutMs: 10, intercept: () => new Promise(() => {}) });
    const { problems, isFatal } = await round.send(plan);
    assert.deepEqual({ problems, isFatal }, { problems: ['GetConnector: no answer'], isFatal: true });
  });

  it('finds a rejection that nobody handles', async () => {
    await using round = await ApiRound.open({ rejections: { ...rejections, take: () => ['Error: lost'] } });
    assert.deepEqual((await round.send(plan)).problems, ['GetConnector: unhandled rejection Error: lost']);
  });
});

describe('the oracle', () => {
  const { operation } = rowOf('GetConnector');
  const request = { method: 'GET', rawUrl: '/connectors/a', headers: [], body: new Uint8Array(), source: '127.0.0.1' };
  const headers = { 'x-amzn-RequestId': uuid(1), 'x-amzn-ErrorType': 'ResourceNotFoundException', 'access-control-allow-origin': '*' };
  const refusal: ApiResponse = { statusCode: 404, headers, body: '{"Message":"a"}' };
  const judged = (answer: Partial<ApiResponse>, changes: string[] = []) =>
    problemsOf({ request, operation, answer: { ...refusal, ...answer }, changes, secrets: ['secret'] });

  it('accepts a refusal as it should be', () => {
    assert.deepEqual(judged({}), []);
    assert.deepEqual(problemsOfWire(refusal, { isHead: false, secrets: [] }), []);
  });

  const wrongs: [about: string, answer: Partial<ApiResponse>, problem: RegExp][] = [
    ['a status of 500', { statusCode: 500 }, /status 500/],
    ['an exception that does not exist', { headers: { ...headers, 'x-amzn-ErrorType': 'Oops' } }, /unknown exception Oops/],
    ['no exception', { headers: { ...headers, 'x-amzn-ErrorType': '' } }, /unknown exception/],
    ['another status than the exception has', { statusCode: 400 }, /ResourceNotFoundException with status 400/],
    [
      'an exception that the operation has not',
      { statusCode: 409, headers: { ...headers, 'x-amzn-ErrorType': 'ConflictException' } },
      /no Conflict/,
    ],
    ['no request id', { headers: { ...headers, 'x-amzn-RequestId': '1' } }, /request id/],
    ['no CORS header', { headers: { ...headers, 'access-control-allow-origin': 'a' } }, /CORS/],
    ['a body that is no JSON', { body: 'Not Found' }, /JSON object/],
    ['no message', { body: '{"message":"a"}' }, /message/],
    ['a secret', { body: '{"Message":"it is secret"}' }, /secret in/],
    ['a success with another status', { statusCode: 202, body: '{}' }, /answered with 202/],
    ['a success with a member that is not modelled', { statusCode: 200, body: '{"Other":1}' }, /answered with Other/],
    ['a redirection', { statusCode: 302 }, /answered with 302/],
  ];
  for (const [about, answer, problem] of wrongs) it(`finds ${about}`, () => assert.match(judged(answer).join(), problem));

  it('finds a refusal after which the store has changed', () => {
    assert.match(judged({}, ['tags insert']).join(), /and yet: tags insert/);
  });

  it('finds an answer on a connection that is not in AWS’s shape', () => {
    const answer = { statusCode: 417, headers: {}, body: '' };
    assert.equal(problemsOfWire(answer, { isHead: false, secrets: [] }).length, 3);
  });
});

describe('the watch over the store', () => {
  describeEveryDatabase(subject => {
    it('sees a row that is inserted, updated or deleted, by whichever connection', async () => {
      const changes = await watchStore(subject.database);
      await subject.database.query.insertInto('accounts').values({ account_id: homeColumns.account_id, created_at: now }).execute();
      assert.deepEqual(await changes.take(), ['accounts insert']);
      await subject.database.query.updateTable('accounts').set({ created_at: now }).execute();
      await subject.database.query.deleteFrom('accounts').execute();
      assert.deepEqual(await changes.take(), ['accounts update', 'accounts delete']);
      assert.deepEqual(await changes.take(), []);
    });

    it('sees every table but the audit trail, and nothing that was rolled back', async () => {
      const { query } = subject.database;
      const changes = await watchStore(subject.database);
      const tag = { resource_arn: 'arn', tag_key: 'a', tag_value: 'b' };
      const undone = subject.database.transaction(async inside => {
        await inside.insertInto('tags').values(tag).execute();
        throw new Error('undone');
      });
      await assert.rejects(undone, /undone/);
      const event = { event_id: uuid(1), at: now, name: 'a', outcome: 'success', detail: '{}' } as const;
      await query.insertInto('audit_events').values(event).execute();
      assert.deepEqual(await changes.take(), []);
      await query.insertInto('tags').values(tag).execute();
      assert.deepEqual(await changes.take(), ['tags insert']);
    });
  });
});
