/** The double's Graph and Intune: who may ask, what they hold against each other, and what they say of a client that does what it should not. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { beforeEach, describe, it } from 'node:test';
import { describePublicKey, discoveryDocument, signAssertion } from '../../src/backends/intune/oidc-issuer.ts';
import type { Application, Tenant } from '../support/microsoft/directory.ts';
import { startMicrosoft } from '../support/microsoft/listener.ts';
import type { MicrosoftAnswer, MicrosoftOutcome } from '../support/microsoft/messages.ts';
import { Microsoft } from '../support/microsoft/microsoft.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { challengePassword, encodeCsr } from '../support/scep-messages.ts';

const issuer = 'https://scep.example.com/oidc';
const credential = { issuer, subject: 'arn', audience: 'api://AzureADTokenExchange' };
const key = rsaKey('issuer');
const list = '/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints';

let microsoft: Microsoft;
let tenant: Tenant;
let application: Application;
let url: string;
let bearer: string;

async function fetchIssuer(at: string): Promise<{ status: number; body: Buffer }> {
  const document = at.endsWith('/jwks') ? { keys: [await describePublicKey(key)] } : discoveryDocument(issuer);
  return { status: 200, body: Buffer.from(JSON.stringify(document)) };
}

beforeEach(async () => {
  microsoft = new Microsoft({ now: () => Date.now(), fetchIssuer, baseUrl: () => 'https://fef.manage.microsoft.com' });
  tenant = microsoft.addTenant();
  application = tenant.addApplication().grant('scep_challenge_provider', 'Application.Read.All');
  application.addFederatedCredential(credential);
  bearer = await token('https://api.manage.microsoft.com//.default');
  url = `/${tenant.scaleUnit}/RACerts/StatelessScepRequestValidationService/${tenant.id}/ScepActions`;
});

async function token(scope: string): Promise<string> {
  const { kid: keyId } = await describePublicKey(key);
  const claims = { privateKey: key, keyId, issuer, subject: 'arn', audience: credential.audience, now: Date.now(), jwtId: randomUUID() };
  const form = new URLSearchParams({
    client_id: application.clientId,
    scope,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: (await signAssertion(claims)).assertion,
    grant_type: 'client_credentials',
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const request = { method: 'POST', url: `/${tenant.id}/oauth2/v2.0/token`, headers, body: Buffer.from(form.toString()) };
  return JSON.parse(((await microsoft.handle(request)) as MicrosoftAnswer).body.toString()).access_token;
}

interface Called {
  status: number;
  code: unknown;
  body: Record<string, unknown>;
}

async function call(action: string, body: object, headers: Record<string, string> = {}, at = url): Promise<Called> {
  const sent = {
    authorization: `Bearer ${bearer}`,
    'content-type': 'application/json',
    'api-version': at.includes('PkiConnector') ? '5019-05-05' : '2018-02-20',
    'client-request-id': randomUUID(),
    ...headers,
  };
  const outcome = await microsoft.handle({
    method: 'POST',
    url: `${at}/${action}`,
    headers: sent,
    body: Buffer.from(JSON.stringify(body)),
  });
  assert.equal(outcome.kind, 'answer');
  const parsed = JSON.parse(outcome.body.toString()) as Record<string, unknown>;
  return { status: outcome.status, code: parsed['code'], body: parsed };
}

const device = () => tenant.addDevice();
const csrOf = (challenge: string) =>
  Buffer.from(encodeCsr({ subject: 'CN=a', key: rsaKey('device'), attributes: [challengePassword(challenge)] })).toString('base64');
const validation = (certificateRequest: string, transactionId = 't') => ({
  request: { transactionId, certificateRequest, callerInfo: 'test' },
});
const success = (certificateRequest: string, change: object = {}) => ({
  notification: {
    transactionId: 't',
    certificateRequest,
    callerInfo: 'test',
    certificateThumbprint: 'A'.repeat(40),
    certificateSerialNumber: '0F',
    certificateExpirationDateUtc: '2027-01-01T00:00:00.000Z',
    issuingCertificateAuthority: 'CN=CA',
    caConfiguration: 'arn',
    certificateAuthority: 'CN=CA',
    ...change,
  },
});
const failed = (certificateRequest: string, change: object = {}) => ({
  notification: { transactionId: 't', certificateRequest, callerInfo: 'test', hResult: 0xa0000001, errorDescription: 'why', ...change },
});

function validCsr(): string {
  const managed = device();
  return csrOf(tenant.createChallenge({ device: managed, profile: tenant.addProfile({ subject: 'CN=a' }, [managed]) }));
}

describe('validateRequest', () => {
  it('says Success to a CSR that its challenge is for, and again', async () => {
    const csr = validCsr();
    for (let times = 0; times < 2; times++) assert.deepEqual((await call('validateRequest', validation(csr))).code, 'Success');
    assert.deepEqual(microsoft.violations, []);
    assert.equal([...tenant.challenges.values()][0]?.state, 'challengeValidationSucceeded');
  });

  it('says what no front of ours lets through', async () => {
    const unsigned = Buffer.from(validCsr(), 'base64');
    unsigned[unsigned.length - 1] = (unsigned.at(-1) ?? 0) ^ 1;
    const withoutChallenge = Buffer.from(encodeCsr({ subject: 'CN=a', key: rsaKey('device') })).toString('base64');
    for (const [csr, code] of [
      ['AAAA', 'CertificateRequestDecodingFailed'],
      ['-----BEGIN', 'CertificateRequestDecodingFailed'],
      [unsigned.toString('base64'), 'SignatureValidationFailed'],
      [withoutChallenge, 'ChallengePasswordMissing'],
    ] as const) {
      assert.equal((await call('validateRequest', validation(csr))).code, code);
    }
  });

  it('is for a token of the tenant that has the role', async () => {
    const csr = validCsr();
    assert.equal((await call('validateRequest', validation(csr), { authorization: 'Bearer x' })).status, 401);
    const forGraph = await token('https://graph.microsoft.com/.default');
    assert.equal((await call('validateRequest', validation(csr), { authorization: `Bearer ${forGraph}` })).status, 401);
    application.revoke('scep_challenge_provider');
    assert.equal((await call('validateRequest', validation(csr))).code, 'Success', 'the token was given before');
    bearer = await token('https://api.manage.microsoft.com//.default');
    assert.equal((await call('validateRequest', validation(csr))).status, 403);
    microsoft.expireTokens();
    assert.equal((await call('validateRequest', validation(csr))).status, 401);
    assert.deepEqual(microsoft.violations, []);
  });

  it('is nowhere at a scale unit that the tenant has left', async () => {
    tenant.moveScaleUnit();
    assert.equal((await call('validateRequest', validation(validCsr()))).status, 404);
    microsoft.movedStatus = 410;
    assert.equal((await call('validateRequest', validation(validCsr()))).status, 410);
  });
});

describe('what a client should not do', () => {
  const wrong: Record<string, [act: () => Promise<unknown>, violation: RegExp]> = {
    'a success without a validation': [() => call('successNotification', success(validCsr())), /was not validated/],
    'a failure without a validation': [() => call('failureNotification', failed(validCsr())), /was not validated/],
    'a failure after a success': [
      async () => {
        const csr = validCsr();
        await call('validateRequest', validation(csr));
        await call('successNotification', success(csr));
        await call('failureNotification', failed(csr));
      },
      /after the success/,
    ],
    'two certificates for one request': [
      async () => {
        const csr = validCsr();
        await call('validateRequest', validation(csr));
        await call('successNotification', success(csr));
        await call('successNotification', success(csr, { certificateThumbprint: 'B'.repeat(40) }));
      },
      /a second certificate/,
    ],
    'a thumbprint in lower case': [() => notifyValidated({ certificateThumbprint: 'a'.repeat(40) }), /thumbprint/],
    'a decimal serial number with a sign': [() => notifyValidated({ certificateSerialNumber: '-1' }), /serial number/],
    'an expiration that is a number': [() => notifyValidated({ certificateExpirationDateUtc: 1 }), /certificateExpirationDateUtc/],
    'a member too many': [() => notifyValidated({ other: 'a' }), /other/],
    'a member too few': [() => call('validateRequest', { request: { transactionId: 't', certificateRequest: 'a' } }), /callerInfo/],
    'an activity without a GUID': [() => call('validateRequest', validation(validCsr()), { 'client-request-id': '1' }), /no GUID/],
    'another version of the API': [() => call('validateRequest', validation(validCsr()), { 'api-version': '1.0' }), /api-version/],
    'a form in place of JSON': [() => call('validateRequest', validation('a'), { 'content-type': 'text/plain' }), /content-type/],
  };
  for (const [name, [act, violation]] of Object.entries(wrong)) {
    it(`is found: ${name}`, async () => {
      await act();
      assert.equal(microsoft.violations.length, 1, microsoft.violations.join('\n'));
      assert.match(microsoft.violations[0] ?? '', violation);
    });
  }

  it('is not to tell the same twice', async () => {
    const csr = validCsr();
    await call('validateRequest', validation(csr));
    for (let times = 0; times < 2; times++) assert.equal((await call('successNotification', success(csr))).code, 'Success');
    assert.deepEqual([microsoft.violations, microsoft.notifications.length], [[], 2]);
  });

  async function notifyValidated(change: object): Promise<void> {
    const csr = validCsr();
    await call('validateRequest', validation(csr));
    await call('successNotification', success(csr, change));
  }
});

describe('a fault', () => {
  it('comes at the N-th call, as often as it is said, before the work or after it', async () => {
    const csr = validCsr();
    microsoft.faults.add({ route: 'validateRequest', kind: { status: 500 }, nth: 2, times: 2 });
    const statuses: number[] = [];
    for (let calls = 0; calls < 4; calls++) statuses.push((await call('validateRequest', validation(csr))).status);
    assert.deepEqual(statuses, [200, 500, 500, 200]);
    microsoft.faults.add({ route: 'successNotification', kind: { status: 502 }, phase: 'before' });
    await call('successNotification', success(csr));
    assert.equal(microsoft.notifications.length, 0);
    microsoft.faults.add({ route: 'successNotification', kind: { status: 502 }, phase: 'after' });
    await call('successNotification', success(csr));
    assert.equal(microsoft.notifications.length, 1);
    // Its client was never told that it was taken, so it may still say that it failed.
    await call('failureNotification', failed(csr));
    assert.deepEqual(microsoft.violations, []);
  });

  it('on the wire is no answer, a connection that ends, or one that ends in the middle', async () => {
    await using running = await startMicrosoft({ now: () => Date.now(), fetchIssuer });
    const ask = async (signal?: AbortSignal) => (await fetch(`${running.url}${list}`, signal ? { signal } : {})).text();
    assert.match(await ask(), /InvalidAuthenticationToken/);
    for (const kind of ['reset', 'resetMiddle'] as const) {
      running.microsoft.faults.add({ route: 'endpoints', kind });
      await assert.rejects(ask());
    }
    running.microsoft.faults.add({ route: 'endpoints', kind: 'hang' });
    await assert.rejects(ask(AbortSignal.timeout(50)), { name: 'TimeoutError' });
    running.microsoft.faults.add({ route: 'endpoints', kind: 'htmlBody' });
    assert.match(await ask(), /^<html>/);
  });
});

describe('the list of services', () => {
  const get = async (query = ''): Promise<MicrosoftOutcome> =>
    microsoft.handle({
      method: 'GET',
      url: list + query,
      headers: { authorization: `Bearer ${await token('https://graph.microsoft.com/.default')}`, 'client-request-id': randomUUID() },
      body: Buffer.alloc(0),
    });

  it('is for whoever may read applications, with decoys, in pages', async () => {
    microsoft.pageSize = 3;
    const first = JSON.parse(((await get()) as MicrosoftAnswer).body.toString());
    assert.equal(first.value.length, 3);
    const next = new URL(first['@odata.nextLink']);
    const second = JSON.parse(((await get(next.search)) as MicrosoftAnswer).body.toString());
    assert.deepEqual([second.value.length, second['@odata.nextLink']], [1, undefined]);
    application.revoke('Application.Read.All');
    assert.equal(((await get()) as MicrosoftAnswer).status, 403);
  });
});

describe('the revocation queue', () => {
  const at = () =>
    url
      .replace('StatelessScepRequestValidationService', 'StatelessPkiConnectorService')
      .replace('ScepActions', 'CertificateAuthorityRequests');

  it('gives what waits, cut before it is filtered, and takes sound answers to it alone', async () => {
    const context = tenant.queueRevocation({ serialNumber: '01', caConfiguration: 'a' });
    tenant.queueRevocation({ serialNumber: '02', caConfiguration: 'b' });
    const download = (parameters: object) => call('downloadRevocationRequests', { downloadParameters: parameters }, {}, at());
    const values = async (parameters: object) => ((await download(parameters)).body['value'] as object[]).length;
    assert.deepEqual(
      [
        await values({ maxRequests: 500, issuerName: null }),
        await values({ maxRequests: 1, issuerName: null }),
        await values({ maxRequests: 1, issuerName: 'b' }),
      ],
      [2, 1, 0],
    );
    assert.equal((await download({ maxRequests: 501, issuerName: null })).status, 400);
    const upload = (result: object) => call('uploadRevocationResults', { results: [result] }, {}, at());
    const answer = { requestContext: context, succeeded: true, errorCode: '0', errorMessage: null };
    assert.equal((await upload({ ...answer, errorCode: '4004' })).status, 400);
    assert.deepEqual((await upload(answer)).body, { value: true });
    assert.equal(tenant.revocations.length, 1);
    await upload(answer);
    assert.equal(microsoft.violations.length, 3);
  });
});
