/** What every operation has in common: matching, signatures, request ids, bad input and failures of our own. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import model from 'aws-sdk/apis/pca-connector-scep-2018-05-10.min.json' with { type: 'json' };
import { sql } from 'kysely';
import { scepOperations } from '../../src/fronts/api/scep-operations.ts';
import { type ApiServer, accountId, refusal, region, startApiServer, wireAnswer } from '../support/api-server.ts';
import { fetchSigned, type RequestToSign, type SigningCredentials } from '../support/signed-request.ts';

interface ModelledOperation {
  http: { method?: string; requestUri: string; responseCode: number };
  input: { required?: string[]; members: Record<string, { location?: keyof typeof placeByLocation; locationName?: string }> };
  output?: { members: object };
}
const placeByLocation = { uri: 'label', querystring: 'query', body: 'body' } as const;

/** The client's types leave this method out. */
interface Presignable {
  presign(expiresInSeconds: number, callback: (error: Error | null, url: string) => void): void;
}

let server: ApiServer;
beforeEach(async () => {
  server = await startApiServer();
});
afterEach(() => server[Symbol.asyncDispose]());

async function send(request: Omit<RequestToSign, 'url'> & { path: string }, credentials: SigningCredentials = server.credentials) {
  const { path, ...rest } = request;
  const response = await fetchSigned({ ...rest, url: server.url + path }, { credentials, region });
  const text = await response.text();
  const answer = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
  return {
    status: response.status,
    type: response.headers.get('x-amzn-ErrorType'),
    requestId: response.headers.get('x-amzn-RequestId'),
    answer,
  };
}

describe('the API', () => {
  it("has the 12 operations of AWS's model: method, path, status, input members and their places", () => {
    const operations = Object.fromEntries(
      scepOperations.map(({ name, method, uri, statusCode, action, input, output }) => {
        assert.equal(action, `pca-connector-scep:${name}`);
        // Newer than this copy of the model.
        const { VpcEndpointId: _newer, ...members } = input;
        return [name, { method, uri, statusCode, input: members, output: Object.keys(output) }];
      }),
    );
    const modelled = Object.entries(model.operations as Record<string, ModelledOperation>).map(([name, { http, input, output }]) => {
      const members = Object.entries(input.members).map(([member, { location = 'body', locationName = member }]) => {
        const ours = operations[name]?.input[member];
        assert.ok(ours, `${name} ${member}`);
        assert.equal(ours.place, placeByLocation[location]);
        assert.equal(ours.queryName ?? member, locationName);
        assert.equal(ours.required ?? false, input.required?.includes(member) ?? false);
        return [member, ours];
      });
      const { method = 'POST', requestUri: uri, responseCode: statusCode } = http;
      return [name, { method, uri, statusCode, input: Object.fromEntries(members), output: Object.keys(output?.members ?? {}) }];
    });
    assert.equal(modelled.length, 12);
    assert.deepEqual(operations, Object.fromEntries(modelled));
  });

  it('answers 404 where there is no operation, signed or not', async () => {
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/nothing'],
      ['PUT', '/connectors'],
      ['GET', '/challenges'],
      ['POST', '/connectors/x'],
      ['GET', '/connectors/'],
    ] as const) {
      const { status, type } = await send({ method, path });
      assert.deepEqual({ status, type }, { status: 404, type: 'UnknownOperationException' });
      const unsigned = await fetch(server.url + path, { method });
      assert.equal(unsigned.status, 404);
    }
  });

  it('has a request id of its own in every answer, and the name of the exception in a header', async () => {
    const answers = [
      await send({ method: 'GET', path: '/connectors' }),
      await send({ method: 'GET', path: '/connectors/x' }),
      await send({ method: 'GET', path: '/nothing' }),
    ];
    assert.deepEqual(
      answers.map(({ type }) => type),
      [null, 'ValidationException', 'UnknownOperationException'],
    );
    for (const { requestId } of answers) assert.match(String(requestId), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.equal(new Set(answers.map(({ requestId }) => requestId)).size, 3);
  });

  it('refuses a body that is not a JSON object', async () => {
    for (const body of ['{', '[]', 'null', '"text"', '{"ConnectorArn":}']) {
      const { status, type, answer } = await send({ method: 'POST', path: '/connectors', body });
      assert.deepEqual({ status, type, Reason: answer['Reason'] }, { status: 400, type: 'ValidationException', Reason: 'OTHER' });
      // The one operation to which AWS's model gives BadRequestException.
      assert.equal((await send({ method: 'POST', path: '/challenges', body })).type, 'BadRequestException');
    }
  });

  it('names the members that an empty body leaves out', async () => {
    const { status, answer } = await send({ method: 'POST', path: '/connectors' });
    assert.equal(status, 400);
    assert.match(String(answer['Message']), /Value at 'certificateAuthorityArn' failed to satisfy constraint: Member must not be null/);
  });

  it('refuses a path that is not percent-encoded UTF-8', async () => {
    const { status, type } = await send({ method: 'GET', path: '/connectors/%ff' });
    assert.deepEqual({ status, type }, { status: 400, type: 'MalformedHttpRequestException' });
  });

  it('keeps tags whose keys are names of Object', async () => {
    const path = `/tags/${encodeURIComponent(await server.createActiveConnector())}`;
    const body = '{"Tags":{"__proto__":"a","toString":"b"}}';
    assert.equal((await send({ method: 'POST', path, body })).status, 204);
    const { answer } = await send({ method: 'GET', path });
    assert.equal(JSON.stringify(answer), '{"Tags":{"__proto__":"a","toString":"b"}}');
  });
});

describe('credentials', () => {
  it('are required', async () => {
    const response = await fetch(`${server.url}/connectors`);
    assert.equal(response.status, 403);
    assert.equal(response.headers.get('x-amzn-ErrorType'), 'MissingAuthenticationToken');
    assert.deepEqual(await response.json(), { Message: 'Missing Authentication Token' });
  });

  it('must be right, known, and used for this Region', async () => {
    const { accessKeyId, secretAccessKey } = server.credentials;
    const cases = [
      { options: { credentials: { accessKeyId, secretAccessKey: 'wrong' } }, code: 'InvalidSignatureException' },
      { options: { credentials: { accessKeyId: 'AKIAUNKNOWN', secretAccessKey } }, code: 'UnrecognizedClientException' },
      { options: { credentials: { accessKeyId, secretAccessKey, sessionToken: 'none' } }, code: 'UnrecognizedClientException' },
      { options: { region: 'us-west-2' }, code: 'InvalidSignatureException' },
    ];
    for (const { options, code } of cases) {
      const { code: actual, statusCode } = await refusal(server.client(options).listConnectors({}));
      assert.deepEqual({ actual, statusCode }, { actual: code, statusCode: 403 });
    }
  });

  it('are refused when the clocks are more than 15 minutes apart', async () => {
    server.advance(20 * 60_000);
    const { code, Message } = await refusal(server.client().listConnectors({}));
    assert.equal(code, 'RequestExpired');
    assert.match(Message, /^Signature expired: /);
  });

  it('may be temporary, until they expire', async () => {
    const temporary = await server.accessKeys.createAccessKey({ accountId, durationSeconds: 600 });
    assert.match(temporary.accessKeyId, /^ASIA[A-Z2-7]{16}$/);
    const client = server.client({ credentials: temporary });
    await client.listConnectors({}).promise();
    server.advance(600_000);
    const { code, statusCode } = await refusal(client.listConnectors({}));
    assert.deepEqual({ code, statusCode }, { code: 'ExpiredTokenException', statusCode: 403 });
  });

  it('that are temporary are nothing without their own session token', async () => {
    const { sessionToken = '', ...temporary } = await server.accessKeys.createAccessKey({ accountId, durationSeconds: 600 });
    const other = await server.accessKeys.createAccessKey({ accountId, durationSeconds: 600 });
    for (const token of [undefined, other.sessionToken, `${sessionToken}x`, '']) {
      const credentials = { ...temporary, ...(token !== undefined && { sessionToken: token }) };
      assert.equal((await refusal(server.client({ credentials }).listConnectors({}))).code, 'UnrecognizedClientException');
    }
  });

  it('may presign a request', async () => {
    const url = await new Promise<string>((resolve, reject) => {
      const request: object = server.client().listConnectors({});
      (request as Presignable).presign(60, (error, presigned) => (error ? reject(error) : resolve(presigned)));
    });
    const response = await fetch(url);
    assert.deepEqual({ status: response.status, body: await response.json() }, { status: 200, body: { Connectors: [] } });
    server.advance(61_000);
    assert.equal((await fetch(url)).status, 400);
  });
});

describe('a failure of our own', () => {
  it('is answered without detail and reported once', async () => {
    await sql`drop table tags`.execute(server.database.query);
    const ResourceArn = await server.createActiveConnector();
    const { statusCode, headers, text } = await wireAnswer(server.client().listTagsForResource({ ResourceArn }));
    assert.deepEqual({ statusCode, type: headers['x-amzn-errortype'] }, { statusCode: 500, type: 'InternalServerException' });
    assert.deepEqual(JSON.parse(text), { Message: 'An internal error occurred.' });
    assert.equal(server.reports.length, 1);
    assert.match(String(server.reports[0]), /no such table: tags/);
  });

  it('is 503 while the store cannot be written; reading goes on, and nothing is left behind', async () => {
    const ConnectorArn = await server.createActiveConnector();
    await sql`pragma query_only = on`.execute(server.database.query);
    const { code, statusCode, Message } = await refusal(server.client().createChallenge({ ConnectorArn }));
    assert.deepEqual({ code, statusCode }, { code: 'ServiceUnavailable', statusCode: 503 });
    assert.match(Message, /cannot write to its store/);
    assert.doesNotMatch(Message, /\//);
    assert.equal(server.reports.length, 1);
    await sql`pragma query_only = off`.execute(server.database.query);
    assert.deepEqual((await server.client().listChallengeMetadata({ ConnectorArn }).promise()).Challenges, []);
  });

  it('is 503 while the disk is full', async () => {
    const ResourceArn = await server.createActiveConnector();
    await sql`pragma max_page_count = 1`.execute(server.database.query);
    const Tags = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`key${index}`, 'v'.repeat(256)]));
    const { code, statusCode, Message } = await refusal(server.client().tagResource({ ResourceArn, Tags }));
    assert.deepEqual({ code, statusCode }, { code: 'ServiceUnavailable', statusCode: 503 });
    assert.match(Message, /disk of this service is full/);
    assert.deepEqual((await server.client().listTagsForResource({ ResourceArn }).promise()).Tags, {});
  });
});
