/** GetEnrolmentPolicy and PutEnrolmentPolicy: replaced whole, refused whole, and only by whoever may. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { defaultEnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { enrolmentOperations } from '../../src/fronts/api/enrolment-operations.ts';
import { type ApiServer, otherAccountId, startApiServer } from '../support/api-server.ts';
import { allow, callAs, everything, newCaller, policyOf, statement } from '../support/signed-calls.ts';

let server: ApiServer;
let call: ReturnType<typeof callAs>;
let ConnectorArn: string;
let path: string;
beforeEach(async () => {
  server = await startApiServer();
  call = callAs(server, server.credentials);
  ConnectorArn = await server.createActiveConnector();
  path = policyPath(ConnectorArn);
});
afterEach(() => server[Symbol.asyncDispose]());

function policyPath(arn: string): string {
  return `/scep-connector/v1/connectors/${encodeURIComponent(arn)}/enrolment-policy`;
}

async function put(EnrolmentPolicy: object) {
  return call('PUT', path, { EnrolmentPolicy });
}

async function refused(EnrolmentPolicy: object): Promise<string> {
  const before = await call('GET', path);
  const { status, type, answer } = await put(EnrolmentPolicy);
  assert.deepEqual([status, type, answer['Reason']], [400, 'ValidationException', 'OTHER'], JSON.stringify(EnrolmentPolicy));
  assert.deepEqual(await call('GET', path), before);
  return String(answer['Message']);
}

describe('the operations on enrolments', () => {
  it('take their labels from the path and act under a prefix of their own', () => {
    for (const { name, uri, action, input, output, statusCode, resource } of enrolmentOperations) {
      assert.match(uri, /^\/scep-connector\/v1\/(connectors|requests)/);
      assert.equal(action, `scep-connector:${name}`);
      const labels = [...uri.matchAll(/\{(\w+)\}/g)].map(([, label]) => label);
      const placed = Object.entries(input).filter(([, member]) => 'place' in member && member.place === 'label');
      assert.deepEqual(
        placed.map(([member]) => member),
        labels,
      );
      assert.equal(resource, uri.includes('{RequestArn}') ? 'RequestArn' : 'ConnectorArn');
      assert.equal(statusCode === 204, Object.keys(output).length === 0);
    }
  });
});

describe('GetEnrolmentPolicy', () => {
  it('answers with the default policy, whole, of a connector that has no other', async () => {
    assert.deepEqual(await call('GET', path), { status: 200, type: null, answer: { EnrolmentPolicy: defaultEnrolmentPolicy } });
  });

  it('answers of a connector in whichever status', async () => {
    for (const status of ['CREATING', 'FAILED', 'DELETING'] as const) {
      await server.setStatus(ConnectorArn, status);
      assert.equal((await call('GET', path)).status, 200);
    }
  });
});

describe('PutEnrolmentPolicy', () => {
  it('answers with the whole policy, as GetEnrolmentPolicy does from then on', async () => {
    const policy = {
      Subject: { Allowed: ['CN=*', 'O=Example'], Required: ['O'] },
      Approval: { Mode: 'MANUAL' },
      LegacyAlgorithms: { Sha1: true },
      CaCertificateInCertRep: true,
      SigningTimeToleranceMinutes: 60,
    };
    const whole = {
      ...defaultEnrolmentPolicy,
      ...policy,
      Approval: { Mode: 'MANUAL', ExpiresInDays: 30 },
      LegacyAlgorithms: { Sha1: true, TripleDes: false, SingleDes: false },
    };
    assert.deepEqual(await put(policy), { status: 200, type: null, answer: { EnrolmentPolicy: whole } });
    assert.deepEqual((await call('GET', path)).answer, { EnrolmentPolicy: whole });
  });

  it('takes what was answered, and back to the default by an empty one', async () => {
    await put({ SecurityIdentifier: 'KEEP', GetCaCert: 'RA_CERTIFICATE' });
    const { EnrolmentPolicy } = (await call('GET', path)).answer as { EnrolmentPolicy: object };
    assert.deepEqual((await put(EnrolmentPolicy)).answer, { EnrolmentPolicy });
    assert.deepEqual((await put({})).answer, { EnrolmentPolicy: defaultEnrolmentPolicy });
  });

  it('takes the policy that docs/operations.md shows', async () => {
    const text = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8');
    const [, example = ''] = /```json\n(\{\n {2}"EnrolmentPolicy".*?)```/s.exec(text) ?? [];
    const { status, answer } = await call('PUT', path, JSON.parse(example) as object);
    assert.equal(status, 200, JSON.stringify(answer));
  });

  it('changes that connector alone', async () => {
    const other = await server.createActiveConnector();
    await put({ RaCertificates: 'TWO' });
    assert.deepEqual((await call('GET', policyPath(other))).answer, { EnrolmentPolicy: defaultEnrolmentPolicy });
  });

  it('wakes the lifecycle for other RA certificates, and for nothing else', async () => {
    const before = server.wakeUps;
    await put({ CaCertificateInCertRep: true });
    assert.equal(server.wakeUps, before);
    await put({ RaCertificates: 'TWO' });
    await put({ RaCertificates: 'TWO' });
    assert.equal(server.wakeUps, before + 1);
  });

  it('refuses every member that it does not know, wherever it is, null ones too', async () => {
    const unknown: [object, string][] = [
      [{ Foo: 1 }, 'foo'],
      [{ subject: {} }, 'subject'],
      [{ Foo: null }, 'foo'],
      [{ Subject: { Denied: [] } }, 'subject.denied'],
      [{ Validity: { Default: { Value: 1, Type: 'DAYS', Unit: 1 } } }, 'validity.default.unit'],
      [{ LegacyAlgorithms: { Md5: true } }, 'legacyAlgorithms.md5'],
    ];
    for (const [policy, at] of unknown) {
      assert.equal(
        await refused(policy),
        `1 validation error detected: Value at 'enrolmentPolicy.${at}' failed to satisfy constraint: Member must not be present`,
      );
    }
  });

  it('refuses a member beside the policy, and a body without one', async () => {
    const { type, answer } = await call('PUT', path, { EnrolmentPolicy: {}, Renewal: { Mode: 'OFF' } });
    assert.deepEqual(
      [type, answer['Message']],
      ['ValidationException', "1 validation error detected: Value at 'renewal' failed to satisfy constraint: Member must not be present"],
    );
    assert.match(String((await call('PUT', path, {})).answer['Message']), /'enrolmentPolicy'.*Member must not be null/);
  });

  it('refuses what cannot hold together, every violation at once', async () => {
    const message = await refused({
      Subject: { Allowed: ['CN=*', 'X'] },
      ExtendedKeyUsages: ['clientAuth', 'OCSPSigning'],
      Keys: { RsaBitsMin: 4096, RsaBitsMax: 2048 },
    });
    assert.match(message, /^3 validation errors detected: /);
    for (const at of ['subject.allowed.2.member', 'extendedKeyUsages.2.member', 'keys.rsaBitsMin']) {
      assert.ok(message.includes(`'enrolmentPolicy.${at}'`), message);
    }
  });

  it('refuses a document that is too long, though each of its members is not', async () => {
    // Two UTF-16 units each, as JavaScript counts, and one character, as AWS does.
    const Allowed = Array.from({ length: 100 }, () => `CN=${'\u{1f5a8}'.repeat(250)}`);
    assert.equal((await put({ Subject: { Allowed } })).status, 200);
    const long = { Subject: { Allowed }, SubjectAlternativeNames: { Allowed: Allowed.map(text => text.replace('CN=', 'DNS:')) } };
    assert.match(await refused(long), /The policy is longer than 65536 characters/);
  });

  it('refuses a connector that is being deleted, that does not exist, and one of another account', async () => {
    const unknown = ConnectorArn.replace(/.{12}$/, '000000000000');
    for (const [method, body] of [['GET'], ['PUT', { EnrolmentPolicy: {} }]] as const) {
      const { status, type, answer } = await call(method, policyPath(unknown), body);
      assert.deepEqual([status, type, answer['ResourceType']], [404, 'ResourceNotFoundException', 'Connector']);
      const foreign = ConnectorArn.replace(/\d{12}/, otherAccountId);
      assert.equal((await call(method, policyPath(foreign), body)).type, 'AccessDeniedException');
    }
    await server.setStatus(ConnectorArn, 'DELETING');
    const { status, type } = await put({});
    assert.deepEqual([status, type], [409, 'ConflictException']);
  });

  it('is for whoever has the permission on this connector', async () => {
    const reader = await newCaller(server, 'reader', allow('scep-connector:GetEnrolmentPolicy', ConnectorArn));
    assert.equal((await reader('GET', path)).status, 200);
    const denied = await reader('PUT', path, { EnrolmentPolicy: {} });
    assert.deepEqual([denied.status, denied.type], [403, 'AccessDeniedException']);
    assert.match(String(denied.answer['Message']), /is not authorized to perform: scep-connector:PutEnrolmentPolicy on resource: arn:/);
    const other = await server.createActiveConnector();
    assert.equal((await reader('GET', policyPath(other))).type, 'AccessDeniedException');
    const deny = { ...statement('scep-connector:Put*', ConnectorArn), Effect: 'Deny' };
    const writer = await newCaller(server, 'writer', policyOf(statement('*'), deny));
    assert.equal((await writer('PUT', path, { EnrolmentPolicy: {} })).type, 'AccessDeniedException');
    assert.equal((await writer('PUT', policyPath(other), { EnrolmentPolicy: {} })).status, 200);
    const all = await newCaller(server, 'all', everything);
    assert.equal((await all('PUT', path, { EnrolmentPolicy: {} })).status, 200);
  });
});
