/** Both sides of every bound of every operation's input, taken from the operation tables and sent over HTTP. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { acmPcaOperations } from '../../src/fronts/api/acm-pca-operations.ts';
import { connectorOperations } from '../../src/fronts/api/connector-operations.ts';
import { enrolmentOperations } from '../../src/fronts/api/enrolment-operations.ts';
import { eventOperations } from '../../src/fronts/api/event-operations.ts';
import type { RestMembers } from '../../src/fronts/api/rest-json.ts';
import { scepOperations } from '../../src/fronts/api/scep-operations.ts';
import type { Members } from '../../src/fronts/api/validation.ts';
import { type ApiServer, region, startApiServer } from '../support/api-server.ts';
import { type ConstraintCase, constraintCases, sampleMembers, violationPath, withValue } from '../support/constraint-cases.ts';
import { fetchSigned, type RequestToSign } from '../support/signed-request.ts';

let server: ApiServer;
before(async () => {
  server = await startApiServer();
});
after(() => server[Symbol.asyncDispose]());

/** How an input travels. */
type Encode = (input: Record<string, unknown>) => Omit<RequestToSign, 'url'> & { path: string; service: string };

function restRequest({ method, uri, input: members }: { method: string; uri: string; input: RestMembers }): Encode {
  return input => {
    const query: string[] = [];
    const body: Record<string, unknown> = {};
    let path = uri;
    for (const [name, value] of Object.entries(input)) {
      const member = members[name];
      if (member?.place === 'label') path = path.replace(`{${name}}`, encodeURIComponent(String(value)));
      else if (member?.place === 'body') body[name] = value;
      else for (const one of [value].flat()) query.push(`${member?.queryName ?? name}=${encodeURIComponent(String(one))}`);
    }
    const hasBody = Object.values(members).some(({ place }) => place === 'body');
    const target = query.length > 0 ? `${path}?${query.join('&')}` : path;
    return { method, path: target, service: 'pca-connector-scep', ...(hasBody && { body: JSON.stringify(body) }) };
  };
}

function jsonRequest(name: string): Encode {
  return input => ({
    method: 'POST',
    path: '/',
    service: 'acm-pca',
    headers: { 'x-amz-target': `ACMPrivateCA.${name}`, 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify(input),
  });
}

async function violationsOf(encode: Encode, input: Record<string, unknown>): Promise<string> {
  const { path, service, ...request } = encode(input);
  const response = await fetchSigned({ ...request, url: server.url + path }, { credentials: server.credentials, region, service });
  assert.notEqual(response.status, 500);
  const text = await response.text();
  const { Message, message = Message } = (text === '' ? {} : JSON.parse(text)) as { Message?: string; message?: string };
  return response.headers.get('x-amzn-ErrorType') === 'ValidationException' ? (message ?? '') : '';
}

/** What HTTP cannot carry: a label that is missing or empty is another path, and a query has neither types nor null. */
function canTravel(members: RestMembers, { path: [name = ''], constraint, inside }: ConstraintCase): boolean {
  const place = members[name]?.place;
  if (place === 'label')
    return constraint !== 'Member must not be null' && constraint !== 'Member must have length greater than or equal to 1';
  return place === 'body' || !Array.isArray(inside) || inside.length > 0;
}

function describeConstraints(name: string, members: Members, cases: readonly ConstraintCase[], encode: Encode): void {
  it(`${name}: ${cases.length} bounds from both sides`, async () => {
    for (const { path, constraint, inside, outside } of cases) {
      const violation = `Value at '${violationPath(path)}' failed to satisfy constraint: ${constraint}`;
      const base = sampleMembers(members);
      assert.ok(!(await violationsOf(encode, withValue(base, members, path, inside))).includes(violation), `inside: ${violation}`);
      const said = await violationsOf(encode, withValue(base, members, path, outside));
      assert.match(said, /^(1 validation error|\d+ validation errors) detected: Value at '/, `outside: ${violation}`);
      assert.ok(said.includes(violation), `outside: ${violation}\n${said}`);
    }
  });
}

describe('the constraints of', () => {
  for (const operation of [...scepOperations, ...connectorOperations, ...enrolmentOperations, ...eventOperations]) {
    const cases = constraintCases(operation.input).filter(each => canTravel(operation.input, each));
    describeConstraints(operation.name, operation.input, cases, restRequest(operation));
  }
  for (const { name, input } of acmPcaOperations) describeConstraints(name, input, constraintCases(input), jsonRequest(name));
});
