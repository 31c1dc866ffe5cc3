/** What restJson1 reads from a request and writes into a response. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ServiceException } from '../../base/errors.ts';
import type { ApiRequest, QueryPair } from './request.ts';
import { createRestJson, encodeException, type RestMembers, type RestOperation } from './rest-json.ts';
import { scepOperations } from './scep-operations.ts';
import type { Members } from './validation.ts';

const text = { type: 'string' } as const;
const matchScep = createRestJson(scepOperations);

function request(method: string, rawUrl: string, body: string | Uint8Array = ''): ApiRequest {
  return { method, rawUrl, headers: [], body: Buffer.from(body), source: '127.0.0.1' };
}

function matched(method: string, path: string): string | undefined {
  return matchScep(request(method, path))?.operation.name;
}

/** A row of its own, at `/things/{Arn}` when `input` has that label. */
function row(input: RestMembers, output: Members = {}, statusCode = 200): RestOperation<unknown> {
  const uri = input['Arn'] ? '/things/{Arn}' : '/things';
  return { name: 'GetThing', method: 'POST', uri, statusCode, action: 'x:GetThing', input, output, call: async () => ({}) };
}

function parse(
  members: RestMembers,
  { label = '', query = [], body = '' }: { label?: string; query?: QueryPair[]; body?: string | Uint8Array },
) {
  const path = members['Arn'] ? `/things/${label}` : '/things';
  const queryText = query.map(pair => pair.map(encodeURIComponent).join('=')).join('&');
  const match = createRestJson([row(members)])(request('POST', `${path}?${queryText}`, body));
  return match?.parse();
}

function encode(output: Members, statusCode: number, value: object) {
  return createRestJson([row({}, output, statusCode)])(request('POST', '/things'))?.encode(value, 'id');
}

describe('createRestJson', () => {
  it('finds an operation by method and raw path', () => {
    assert.equal(matched('GET', '/connectors'), 'ListConnectors');
    assert.equal(matched('POST', '/connectors'), 'CreateConnector');
    assert.equal(matched('GET', '/connectors/arn%3Aaws%2Fx'), 'GetConnector');
    assert.equal(matched('GET', '/connectors/arn%3Aaws%2Fx?a=/b'), 'GetConnector');
    assert.equal(matched('DELETE', '/tags/a'), 'UntagResource');
  });

  it('finds none for another path or method', () => {
    const none = [
      'GET /',
      'GET ',
      'GET /nothing',
      'PUT /connectors',
      'GET /connectors/',
      'GET /connectors/a/b',
      'GET //connectors',
      'get /connectors',
      'GET /challenges/a',
    ];
    for (const line of none) assert.equal(matched(line.split(' ')[0] ?? '', line.split(' ')[1] ?? ''), undefined, line);
  });
});

describe('parse', () => {
  it('takes each member from its place', () => {
    const members: RestMembers = {
      Arn: { place: 'label', shape: text },
      Keys: { place: 'query', queryName: 'keys', shape: { type: 'list', member: text } },
      Max: { place: 'query', shape: { type: 'integer' } },
      Name: { place: 'body', shape: text },
    };
    const query: QueryPair[] = [
      ['keys', 'a'],
      ['Max', '10'],
      ['keys', 'b c'],
      ['Max', '20'],
      ['Name', 'not here'],
    ];
    const input = parse(members, { label: 'a%2Fb', query, body: '{"Name":"n","Arn":"not here"}' });
    assert.deepEqual(input, { Arn: 'a/b', Keys: ['a', 'b c'], Max: 10, Name: 'n' });
  });

  it('leaves a query value that is no integer for validation to refuse', () => {
    const members: RestMembers = { Max: { place: 'query', shape: { type: 'integer' } } };
    for (const value of ['', 'ten', '1e3', '0x10', '1.0']) assert.deepEqual(parse(members, { query: [['Max', value]] }), { Max: value });
  });

  const members: RestMembers = { Name: { place: 'body', shape: text } };

  it('takes an empty body for an empty object', () => {
    assert.deepEqual(parse(members, {}), { Name: undefined });
  });

  it('does not look at the body of an operation that has none', () => {
    assert.deepEqual(parse({ Arn: { place: 'label', shape: text } }, { label: 'a', body: 'not json' }), { Arn: 'a' });
  });

  it('refuses a body that is not a JSON object in UTF-8', () => {
    for (const body of ['{', '{"Name":}', 'text', Uint8Array.of(0x7b, 0xff, 0x7d)]) {
      assert.throws(() => parse(members, { body }), {
        name: 'ValidationException',
        message: 'The request body is not valid JSON in UTF-8.',
      });
    }
    for (const body of ['[]', 'null', '"text"', '1']) {
      assert.throws(() => parse(members, { body }), { name: 'ValidationException', message: 'The request body must be a JSON object.' });
    }
  });

  it('refuses a label that is not percent-encoded UTF-8', () => {
    assert.throws(() => parse({ Arn: { place: 'label', shape: text } }, { label: '%ff' }), {
      name: 'MalformedHttpRequestException',
    });
  });
});

describe('encode', () => {
  const output = {
    Connector: {
      shape: {
        type: 'structure',
        members: {
          Arn: { shape: text },
          CreatedAt: { shape: { type: 'timestamp' } },
          Management: { shape: { type: 'union', members: { Intune: { shape: text } } } },
        },
      },
    },
    NextToken: { shape: text },
  } as const;

  it('writes modelled members only, instants as epoch seconds with milliseconds', () => {
    const connector = { Arn: 'a', CreatedAt: 1_723_830_472_942, secret: 'never' };
    const response = encode(output, 200, { Connector: connector, other: 1, NextToken: undefined });
    assert.deepEqual(response, {
      statusCode: 200,
      headers: { 'content-type': 'application/json', 'x-amzn-RequestId': 'id' },
      body: '{"Connector":{"Arn":"a","CreatedAt":1723830472.942}}',
    });
  });

  it('has no body where the operation has no output', () => {
    assert.deepEqual(encode({}, 204, {}), {
      statusCode: 204,
      headers: { 'x-amzn-RequestId': 'id' },
      body: '',
    });
  });
});

describe('encodeException', () => {
  it('names the exception in a header and has Message and its members in the body', () => {
    const exception = new ServiceException('ResourceNotFoundException', 'Gone.', { ResourceId: 'a', ResourceType: 'Connector' });
    assert.deepEqual(encodeException(exception, 'id'), {
      statusCode: 404,
      headers: { 'content-type': 'application/json', 'x-amzn-RequestId': 'id', 'x-amzn-ErrorType': 'ResourceNotFoundException' },
      body: '{"Message":"Gone.","ResourceId":"a","ResourceType":"Connector"}',
    });
  });
});
