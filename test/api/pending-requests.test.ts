/** ListPendingRequests, ApproveRequest and RejectRequest: what waits for an operator, decided once. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Insertable } from 'kysely';
import type { Tables } from '../../src/backends/store/database.ts';
import { claimDynamicChallenge } from '../../src/backends/store/dynamic-challenges.ts';
import { type ApiServer, accountId, otherAccountId, startApiServer } from '../support/api-server.ts';
import { createCsr, ecKey, rsaKey } from '../support/pki-fixtures.ts';
import { allow, callAs, newCaller, policyOf, statement } from '../support/signed-calls.ts';
import { insertWaitingRequest } from '../support/waiting-requests.ts';

const dayMs = 24 * 60 * 60_000;
const requestsPath = '/scep-connector/v1/requests';
const administrator = `arn:aws:iam::${accountId}:user/administrator`;

let server: ApiServer;
let call: ReturnType<typeof callAs>;
let ConnectorArn: string;
beforeEach(async () => {
  server = await startApiServer();
  call = callAs(server, server.credentials);
  ConnectorArn = await server.createActiveConnector();
});
afterEach(() => server[Symbol.asyncDispose]());

/** Stands in for a device whose request waits. */
function wait(change: Partial<Insertable<Tables['transactions']>> = {}, arn = ConnectorArn): Promise<string> {
  return insertWaitingRequest(server.database.query, { ConnectorArn: arn, now: server.now() }, change);
}

async function rowOf(requestArn: string) {
  const id = requestArn.slice(requestArn.lastIndexOf('/') + 1);
  return server.database.query.selectFrom('transactions').selectAll().where('transaction_row_id', '=', id).executeTakeFirstOrThrow();
}

async function list(query = ''): Promise<Record<string, unknown>[]> {
  const { status, answer } = await call('GET', requestsPath + query);
  assert.equal(status, 200, JSON.stringify(answer));
  return answer['Requests'] as Record<string, unknown>[];
}

async function arnsOf(query: string): Promise<unknown[]> {
  return (await list(query)).map(({ RequestArn }) => RequestArn);
}

function decide(requestArn: string, verdict: 'approval' | 'rejection', body?: object) {
  return call('POST', `${requestsPath}/${encodeURIComponent(requestArn)}/${verdict}`, body);
}

describe('ListPendingRequests', () => {
  it('shows what a request is for, where it comes from and until when it waits', async () => {
    const RequestArn = await wait({ csr: createCsr(rsaKey('client'), 'secret'), transaction_id: 'T1' });
    const { requested_at } = await rowOf(RequestArn);
    const [request, ...others] = await list();
    assert.deepEqual(others, []);
    assert.deepEqual(request, {
      RequestArn,
      ConnectorArn,
      Status: 'PENDING',
      TransactionId: 'T1',
      Subject: 'CN=printer-7,OU=Floor 3,O=Example,C=CH',
      SubjectAlternativeNames: ['DNS:printer-7.example.com', 'UPN:printer-7@example.com'],
      PublicKeyAlgorithm: 'RSA_2048',
      Fingerprint: 'ab'.repeat(32),
      Source: '192.0.2.7',
      RequestedAt: (requested_at ?? 0) / 1000,
      ExpiresAt: ((requested_at ?? 0) + 30 * dayMs) / 1000,
    });
    assert.ok(!JSON.stringify(request).includes('secret'));
  });

  it('names the key as acm-pca does', async () => {
    for (const curve of ['prime256v1', 'secp384r1', 'secp521r1'] as const) await wait({ csr: createCsr(ecKey(curve)) });
    const algorithms = (await list()).map(({ PublicKeyAlgorithm }) => PublicKeyAlgorithm);
    assert.deepEqual(new Set(algorithms), new Set(['EC_prime256v1', 'EC_secp384r1', 'EC_secp521r1']));
  });

  it('selects by status, approved ones whether they were fetched or not, and by connector', async () => {
    const other = await server.createActiveConnector();
    const pending = await wait();
    const approved = [await wait({ status: 'APPROVED' }), await wait({ status: 'ISSUING' }), await wait({ status: 'SUCCESS' })];
    const rejected = await wait({ status: 'FAILURE', reason: 'unknown device' });
    const others = await wait({}, other);
    // None of these has ever waited.
    await wait({ status: 'SUCCESS', requested_at: null, csr: null });
    assert.deepEqual(await arnsOf(`?Status=PENDING&ConnectorArn=${ConnectorArn}`), [pending]);
    assert.deepEqual(new Set(await arnsOf('?Status=PENDING')), new Set([pending, others]));
    assert.deepEqual(new Set(await arnsOf('?Status=APPROVED')), new Set(approved));
    assert.deepEqual(await arnsOf('?Status=REJECTED'), [rejected]);
    assert.equal((await list('?Status=REJECTED'))[0]?.['Reason'], 'unknown device');
    assert.equal((await list()).length, 6);
    assert.deepEqual(await arnsOf(`?ConnectorArn=${other}`), [others]);
  });

  it('pages through all of them, connector by connector', async () => {
    const arns = [ConnectorArn, await server.createActiveConnector()];
    const made: string[] = [];
    for (const arn of [...arns, ...arns, ...arns]) made.push(await wait({}, arn));
    const seen: unknown[] = [];
    let next = '';
    do {
      const { answer } = await call('GET', `${requestsPath}?MaxResults=2${next}`);
      const { Requests, NextToken } = answer as { Requests: Record<string, unknown>[]; NextToken?: string };
      assert.ok(Requests.length <= 2);
      seen.push(...Requests.map(({ RequestArn }) => RequestArn));
      next = NextToken === undefined ? '' : `&NextToken=${NextToken}`;
    } while (next !== '');
    assert.equal(seen.length, made.length);
    assert.deepEqual(new Set(seen), new Set(made));
    const { answer } = await call('GET', `${requestsPath}?MaxResults=2`);
    const elsewhere = await call('GET', `${requestsPath}?Status=PENDING&NextToken=${String(answer['NextToken'])}`);
    assert.equal(elsewhere.type, 'ValidationException');
  });

  it('counts one that nobody decided in time as rejected, by the policy of its connector', async () => {
    const path = `/scep-connector/v1/connectors/${encodeURIComponent(ConnectorArn)}/enrolment-policy`;
    await call('PUT', path, { EnrolmentPolicy: { Approval: { Mode: 'MANUAL', ExpiresInDays: 2 } } });
    const arn = await wait();
    server.advance(2 * dayMs - 1000);
    assert.deepEqual(await arnsOf('?Status=PENDING'), [arn]);
    assert.deepEqual(await arnsOf('?Status=REJECTED'), []);
    server.advance(1000);
    assert.deepEqual(await arnsOf('?Status=PENDING'), []);
    const [request] = await list('?Status=REJECTED');
    assert.deepEqual([request?.['RequestArn'], request?.['Reason']], [arn, 'Nobody decided the request before it expired.']);
  });

  it('shows nothing of another account, nor of a connector that is gone', async () => {
    await wait();
    const other = callAs(server, await server.accessKeys.createAccessKey({ accountId: otherAccountId }));
    assert.deepEqual((await other('GET', requestsPath)).answer, { Requests: [] });
    assert.equal((await other('GET', `${requestsPath}?ConnectorArn=${ConnectorArn}`)).type, 'AccessDeniedException');
    await server.setStatus(ConnectorArn, 'DELETING');
    assert.equal((await list()).length, 1);
    await server.finishDeletion(ConnectorArn);
    assert.deepEqual(await list(), []);
    assert.equal((await call('GET', `${requestsPath}?ConnectorArn=${ConnectorArn}`)).type, 'ResourceNotFoundException');
  });

  it('is for whoever may list those of this connector, or all', async () => {
    await wait();
    const one = await newCaller(server, 'one', allow('scep-connector:ListPendingRequests', ConnectorArn));
    assert.equal((await one('GET', `${requestsPath}?ConnectorArn=${ConnectorArn}`)).status, 200);
    assert.equal((await one('GET', requestsPath)).type, 'AccessDeniedException');
    const none = await newCaller(server, 'none', allow('scep-connector:ApproveRequest'));
    assert.equal((await none('GET', requestsPath)).type, 'AccessDeniedException');
  });
});

describe('ApproveRequest and RejectRequest', () => {
  it('decide a request, and say who did and why', async () => {
    const [approved, rejected] = [await wait(), await wait()];
    assert.deepEqual(await decide(approved, 'approval'), { status: 204, type: null, answer: {} });
    assert.deepEqual(await decide(rejected, 'rejection', { Reason: 'not one of ours' }), { status: 204, type: null, answer: {} });
    const shown = new Map((await list()).map(({ RequestArn, Status, DecidedBy, Reason }) => [RequestArn, [Status, DecidedBy, Reason]]));
    assert.deepEqual(shown.get(approved), ['APPROVED', administrator, undefined]);
    assert.deepEqual(shown.get(rejected), ['REJECTED', administrator, 'not one of ours']);
    assert.equal((await rowOf(rejected)).status, 'FAILURE');
  });

  it('take the same verdict again and change nothing by it', async () => {
    for (const verdict of ['approval', 'rejection'] as const) {
      const arn = await wait();
      await decide(arn, verdict);
      const before = await rowOf(arn);
      server.advance(1000);
      assert.equal((await decide(arn, verdict)).status, 204);
      assert.deepEqual(await rowOf(arn), before);
    }
    for (const status of ['ISSUING', 'SUCCESS'] as const) assert.equal((await decide(await wait({ status }), 'approval')).status, 204);
  });

  it('refuse the other verdict', async () => {
    const refusals = [
      ['APPROVED', 'rejection'],
      ['ISSUING', 'rejection'],
      ['SUCCESS', 'rejection'],
      ['FAILURE', 'approval'],
    ] as const;
    for (const [status, verdict] of refusals) {
      const arn = await wait({ status });
      const { Message, ...members } = (await decide(arn, verdict)).answer;
      assert.deepEqual(members, { ResourceId: arn, ResourceType: 'Request' });
      assert.match(String(Message), /^The request is (APPROVED|REJECTED) already\.$/);
      assert.equal((await decide(arn, verdict)).type, 'ConflictException');
      assert.equal((await rowOf(arn)).status, status);
    }
  });

  it('decide once, whoever comes at the same time', async () => {
    const arn = await wait();
    const verdicts = ['approval', 'rejection', 'approval', 'rejection'] as const;
    const types = await Promise.all(verdicts.map(async verdict => (await decide(arn, verdict)).type));
    const isApproved = (await rowOf(arn)).status === 'APPROVED';
    const refused = isApproved ? 'rejection' : 'approval';
    assert.deepEqual(
      types,
      verdicts.map(verdict => (verdict === refused ? 'ConflictException' : null)),
    );
  });

  it('cannot approve what has expired, but can reject it', async () => {
    const arn = await wait();
    server.advance(30 * dayMs);
    const { status, type, answer } = await decide(arn, 'approval');
    assert.deepEqual([status, type, answer['Message']], [409, 'ConflictException', 'Nobody decided the request before it expired.']);
    assert.equal((await rowOf(arn)).status, 'PENDING');
    assert.equal((await decide(arn, 'rejection')).status, 204);
    assert.equal((await rowOf(arn)).status, 'FAILURE');
  });

  it('give the use of a dynamic challenge back by a rejection only, and only once', async () => {
    const path = `/scep-connector/v1/connectors/${encodeURIComponent(ConnectorArn)}/dynamic-challenges`;
    await call('POST', path, { Uses: 3, ExpiresInSeconds: 60 });
    const { query } = server.database;
    const find = () => query.selectFrom('dynamic_challenges').selectAll().executeTakeFirstOrThrow();
    const { dynamic_challenge_id } = await find();
    const claims = [1, 2, 3].map(() => claimDynamicChallenge(query, dynamic_challenge_id, server.now()));
    assert.deepEqual(await Promise.all(claims), [true, true, true]);
    await decide(await wait({ dynamic_challenge_id }), 'approval');
    assert.equal((await find()).uses_claimed, 3);
    const rejected = await wait({ dynamic_challenge_id });
    for (let times = 0; times < 2; times++) assert.equal((await decide(rejected, 'rejection')).status, 204);
    assert.equal((await find()).uses_claimed, 2);
    assert.equal((await rowOf(rejected)).dynamic_challenge_id, null);
  });

  it('refuse a request that does not exist or never waited, and one of a connector that is being deleted', async () => {
    const waiting = await wait();
    const absent = [
      waiting.replace(/.{12}$/, '000000000000'),
      await wait({ requested_at: null, status: 'ISSUING' }),
      waiting.replace(/connector\/.{8}/, 'connector/00000000'),
      waiting.replace('arn:aws:', 'arn:aws-cn:'),
    ];
    for (const arn of absent) {
      const { status, type, answer } = await decide(arn, 'approval');
      assert.deepEqual([status, type, answer['ResourceType']], [404, 'ResourceNotFoundException', 'Request'], arn);
    }
    await server.setStatus(ConnectorArn, 'DELETING');
    for (const verdict of ['approval', 'rejection'] as const) assert.equal((await decide(waiting, verdict)).type, 'ConflictException');
    await server.finishDeletion(ConnectorArn);
    assert.equal((await decide(waiting, 'approval')).type, 'ResourceNotFoundException');
    assert.equal((await rowOf(waiting)).status, 'PENDING');
  });

  it('refuse a reason that is not one line, and members that they do not know', async () => {
    const arn = await wait();
    for (const body of [{ Reason: '' }, { Reason: 'a\nb' }, { Reason: 'a'.repeat(257) }, { reason: 'a' }]) {
      assert.equal((await decide(arn, 'rejection', body)).type, 'ValidationException', JSON.stringify(body));
    }
    assert.equal((await rowOf(arn)).status, 'PENDING');
    assert.equal((await decide(arn, 'rejection', { Reason: 'é'.repeat(256) })).status, 204);
  });

  it('are for whoever has the permission on this request', async () => {
    const [arn, other] = [await wait(), await wait()];
    const path = (of: string, verdict: string) => `${requestsPath}/${encodeURIComponent(of)}/${verdict}`;
    const approver = await newCaller(server, 'approver', allow('scep-connector:ApproveRequest', arn));
    const denied = await approver('POST', path(other, 'approval'));
    assert.deepEqual([denied.status, denied.type], [403, 'AccessDeniedException']);
    assert.equal((await approver('POST', path(arn, 'rejection'))).type, 'AccessDeniedException');
    assert.equal((await approver('POST', path(arn, 'approval'))).status, 204);
    const deny = { ...statement('scep-connector:RejectRequest', `${ConnectorArn}/request/*`), Effect: 'Deny' };
    const all = await newCaller(server, 'all', policyOf(statement('*'), deny));
    assert.equal((await all('POST', path(other, 'rejection'))).type, 'AccessDeniedException');
    const stranger = callAs(server, await server.accessKeys.createAccessKey({ accountId: otherAccountId }));
    assert.equal((await stranger('POST', path(other, 'approval'))).type, 'AccessDeniedException');
    assert.equal((await rowOf(other)).status, 'PENDING');
  });

  it('leave a record that names the request, among the events of its connector', async () => {
    const arn = await wait();
    await decide(arn, 'rejection', { Reason: 'lost' });
    const { answer } = await call('GET', `/scep-connector/v1/events?EventName=RejectRequest&ConnectorArn=${ConnectorArn}`);
    const [event] = answer['Events'] as Record<string, unknown>[];
    assert.deepEqual(event?.['requestParameters'], { RequestArn: arn, Reason: 'lost' });
    assert.deepEqual(event?.['resources'], [{ accountId, type: 'ScepConnector::Request', ARN: arn }]);
  });
});
