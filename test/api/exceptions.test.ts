/** Every exception of the model from both sides of where it begins: the request that just gets through, and the next one with status, name and members. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { sql } from 'kysely';
import { scepOperations } from '../../src/fronts/api/scep-operations.ts';
import { type ApiServer, accountId, otherAccountId, region, startApiServer, unthrottled } from '../support/api-server.ts';
import { policyOf, statement } from '../support/signed-calls.ts';
import { fetchSigned, type SigningCredentials } from '../support/signed-request.ts';

let server: ApiServer;
let connectorArn: string;
afterEach(() => server[Symbol.asyncDispose]());

interface Answer {
  status: number;
  type: string | null;
  requestId: string | null;
  members: Record<string, unknown>;
}

async function send(
  method: string,
  path: string,
  body?: string | object,
  credentials: SigningCredentials = server.credentials,
): Promise<Answer> {
  const text = typeof body === 'object' ? JSON.stringify(body) : body;
  const request = { method, url: server.url + path, ...(text !== undefined && { body: text }) };
  const response = await fetchSigned(request, { credentials, region });
  const answer = await response.text();
  return {
    status: response.status,
    type: response.headers.get('x-amzn-ErrorType'),
    requestId: response.headers.get('x-amzn-RequestId'),
    members: answer === '' ? {} : (JSON.parse(answer) as Record<string, unknown>),
  };
}

const createChallenge = (rest: object = {}) => send('POST', '/challenges', { ConnectorArn: connectorArn, ...rest });
const getConnector = (arn = connectorArn) => send('GET', `/connectors/${encodeURIComponent(arn)}`);

interface Row {
  name: string;
  status: number;
  /** The members beside Message, with what they say. */
  members?: () => Record<string, string>;
  settings?: Record<string, string>;
  /** The last request that is not refused so. */
  inside: () => Promise<Answer>;
  outside: () => Promise<Answer>;
}

const unknownConnector = () => connectorArn.replace(/.{12}$/, '000000000000');

const rows: Row[] = [
  {
    name: 'AccessDeniedException',
    status: 403,
    inside: async () => {
      const policy = { PolicyName: 'p', PolicyDocument: policyOf(statement('pca-connector-scep:ListConnectors')) };
      await server.services.users.createUser({ accountId }, { UserName: 'reader' }, policy);
      return send('GET', '/connectors', undefined, await server.accessKeys.createAccessKey({ accountId, userName: 'reader' }));
    },
    outside: async () => {
      const key = await server.accessKeys.createAccessKey({ accountId, userName: 'reader' });
      return send('GET', `/connectors/${encodeURIComponent(connectorArn)}`, undefined, key);
    },
  },
  {
    name: 'AccessDeniedException',
    status: 403,
    inside: () => getConnector(),
    outside: () => getConnector(connectorArn.replace(accountId, otherAccountId)),
  },
  {
    name: 'BadRequestException',
    status: 400,
    inside: () => send('POST', '/challenges', JSON.stringify({ ConnectorArn: connectorArn })),
    outside: () => send('POST', '/challenges', JSON.stringify({ ConnectorArn: connectorArn }).slice(0, -1)),
  },
  {
    name: 'ConflictException',
    status: 409,
    members: () => ({ ResourceId: connectorArn, ResourceType: 'Connector' }),
    inside: async () => {
      const answer = await send('DELETE', `/connectors/${encodeURIComponent(connectorArn)}`);
      await server.setStatus(connectorArn, 'CREATING');
      return answer;
    },
    outside: () => send('DELETE', `/connectors/${encodeURIComponent(connectorArn)}`),
  },
  {
    name: 'InternalServerException',
    status: 500,
    inside: () => send('GET', `/tags/${encodeURIComponent(connectorArn)}`),
    outside: async () => {
      await sql`drop table tags`.execute(server.database.query);
      return send('GET', `/tags/${encodeURIComponent(connectorArn)}`);
    },
  },
  {
    name: 'ResourceNotFoundException',
    status: 404,
    members: () => ({ ResourceId: unknownConnector(), ResourceType: 'Connector' }),
    inside: () => getConnector(),
    outside: () => getConnector(unknownConnector()),
  },
  {
    name: 'ServiceQuotaExceededException',
    status: 402,
    members: () => ({ ResourceType: 'Challenge', ServiceCode: 'pca-connector-scep', QuotaCode: 'L-D42FC980' }),
    settings: { SCEP_QUOTA_CHALLENGES: '2' },
    inside: async () => {
      await createChallenge();
      return createChallenge();
    },
    outside: () => createChallenge(),
  },
  {
    name: 'ServiceQuotaExceededException',
    status: 402,
    members: () => ({ ResourceType: 'Connector', ServiceCode: 'pca-connector-scep', QuotaCode: 'L-CB21FAEA' }),
    settings: { SCEP_QUOTA_CONNECTORS: '2' },
    inside: () => send('POST', '/connectors', { CertificateAuthorityArn: server.certificateAuthorityArn }),
    outside: () => send('POST', '/connectors', { CertificateAuthorityArn: server.certificateAuthorityArn }),
  },
  {
    name: 'ThrottlingException',
    status: 429,
    // A bucket holds a minute's worth.
    settings: { SCEP_RATE_GET_CONNECTOR: '1' },
    inside: async () => {
      for (let count = 1; count < 60; count++) assert.equal((await getConnector()).status, 200);
      return getConnector();
    },
    // On a slow machine a second, and with it another token, may have gone by.
    outside: async () => {
      for (let count = 0; ; count++) {
        const answer = await getConnector();
        if (answer.status !== 200 || count === 60) return answer;
      }
    },
  },
  {
    name: 'ValidationException',
    status: 400,
    members: () => ({ Reason: 'OTHER' }),
    inside: () => createChallenge({ ClientToken: 'a'.repeat(64) }),
    outside: () => createChallenge({ ClientToken: 'a'.repeat(65) }),
  },
  {
    name: 'ValidationException',
    status: 400,
    members: () => ({ Reason: 'INVALID_STATE' }),
    inside: async () => {
      const answer = await createChallenge();
      await server.setStatus(connectorArn, 'DELETING');
      return answer;
    },
    outside: () => createChallenge(),
  },
];

describe('the exception', () => {
  for (const { name, status, members = () => ({}), settings = {}, inside, outside } of rows) {
    it(`${name} ${Object.values(settings).length > 0 ? `under ${Object.keys(settings).join()} ` : ''}begins where it should`, async () => {
      server = await startApiServer({ env: { ...unthrottled, ...settings } });
      connectorArn = await server.createActiveConnector();
      const expected = members();
      const good = await inside();
      assert.ok(good.status < 300, JSON.stringify(good.members));
      const {
        requestId,
        members: { Message, ...rest },
        ...answer
      } = await outside();
      assert.deepEqual({ ...answer, members: rest }, { status, type: name, members: expected });
      assert.match(String(requestId), /^[0-9a-f-]{36}$/);
      assert.match(String(Message), /\S/);
    });
  }

  it('of a row is one that a table of its operation names, or every operation has', async () => {
    server = await startApiServer();
    const common = ['AccessDeniedException', 'InternalServerException', 'ThrottlingException', 'ValidationException'];
    const modelled = new Set([...common, ...scepOperations.flatMap(({ errors = [] }) => errors)]);
    assert.deepEqual([...new Set(rows.map(({ name }) => name))].toSorted(), [...modelled].toSorted());
  });
});

describe('every answer', () => {
  beforeEach(async () => {
    server = await startApiServer();
  });

  it('has a request id of its own and may be read from any origin, whatever was asked', async () => {
    const asked: [path: string, init: RequestInit][] = [
      ['/connectors', {}],
      ['/connectors', { method: 'OPTIONS' }],
      ['/', { method: 'POST', headers: { 'x-amz-target': 'ACMPrivateCA.Nothing' } }],
      ['/nowhere', { method: 'PATCH' }],
    ];
    const ids = new Set<string | null>();
    for (const [path, init] of asked) {
      const { headers } = await fetch(server.url + path, init);
      assert.equal(headers.get('access-control-allow-origin'), '*');
      assert.equal(headers.get('access-control-expose-headers'), 'x-amzn-errortype,x-amzn-requestid,x-amzn-trace-id');
      ids.add(headers.get('x-amzn-requestid'));
    }
    assert.equal(ids.size, asked.length);
    assert.ok(!ids.has(null));
  });

  it("lets a browser send a signed request: the preflight names the signature's headers and AWS's", async () => {
    const { status, headers } = await fetch(`${server.url}/connectors`, {
      method: 'OPTIONS',
      headers: { origin: 'https://console.example' },
    });
    assert.equal(status, 200);
    assert.equal(headers.get('access-control-max-age'), '86400');
    const allowed = headers.get('access-control-allow-headers')?.split(',') ?? [];
    for (const name of [
      'authorization',
      'x-amz-date',
      'content-type',
      'x-amz-content-sha256',
      'x-amz-user-agent',
      'x-amzn-platform-id',
      'x-amzn-trace-id',
    ]) {
      assert.ok(allowed.includes(name), name);
    }
    assert.equal(headers.get('access-control-allow-methods'), 'GET,POST,PUT,DELETE');
  });

  it("of acm-pca is in that protocol's words: status 400, __type and message", async () => {
    const call = async (target: string, body: string, credentials: SigningCredentials = server.credentials) => {
      const headers = { 'x-amz-target': target, 'content-type': 'application/x-amz-json-1.1' };
      const request = { method: 'POST', url: `${server.url}/`, headers, body };
      const response = await fetchSigned(request, { credentials, region, service: 'acm-pca' });
      const { __type, ...rest } = (await response.json()) as Record<string, unknown>;
      assert.equal(response.headers.get('content-type'), 'application/x-amz-json-1.1');
      assert.equal(response.headers.get('x-amzn-ErrorType'), __type ?? null);
      return { status: response.status, __type, members: Object.keys(rest) };
    };
    const refused = (__type: string) => ({ status: 400, __type, members: ['message'] });
    assert.deepEqual(await call('ACMPrivateCA.Nothing', '{}'), refused('UnknownOperationException'));
    assert.deepEqual(await call('Other.ListTags', '{}'), refused('UnknownOperationException'));
    assert.deepEqual(await call('ACMPrivateCA.ListTags', '{'), refused('ValidationException'));
    assert.deepEqual(await call('ACMPrivateCA.ListTags', '{}'), refused('ValidationException'));
    const stranger = { accessKeyId: 'AKIAUNKNOWNUNKNOWN77', secretAccessKey: 'x' };
    assert.deepEqual(await call('ACMPrivateCA.ListTags', '{}', stranger), refused('UnrecognizedClientException'));
    const foreign = server.certificateAuthorityArn.replace(accountId, otherAccountId);
    assert.deepEqual(
      await call('ACMPrivateCA.ListTags', JSON.stringify({ CertificateAuthorityArn: foreign })),
      refused('AccessDeniedException'),
    );
  });
});
