/** What the client of Intune makes of every answer, with services that answer what they are told to. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { EntraClient } from './entra.ts';
import { IntuneClient } from './intune-client.ts';
import { MicrosoftError } from './microsoft-error.ts';
import type { MicrosoftAnswer, MicrosoftRequest } from './microsoft-http.ts';

type Answer = Partial<MicrosoftAnswer> & { status: number };
type Step = Answer | 'unreachable' | Promise<Answer>;

const service = (name: string, host = 'fef.manage.microsoft.com') => ({ providerName: name, uri: `https://${host}/RACerts/${name}/1/` });
const list = (...value: object[]): Answer => ({ status: 200, body: JSON.stringify({ value }) });
const bothServices = list(service('ScepRequestValidationFEService'), service('PkiConnectorFEService'));
const token = (value: string, expiresIn: unknown = 3599): Answer => ({
  status: 200,
  body: JSON.stringify({ access_token: value, expires_in: expiresIn }),
});
const verdict = (code: string, errorDescription = ''): Answer => ({ status: 200, body: JSON.stringify({ code, errorDescription }) });
const request = { transactionID: 't', csr: Buffer.from('csr') };

let now: number;
let ids: number;
let sent: MicrosoftRequest[];
/** What each service answers, one after the other; the last for ever. */
let answers: { entra: Step[]; graph: Step[]; intune: Step[] };
let client: IntuneClient;
let assertions: number;

const connector: EntraClient = {
  connectorId: 'c',
  domain: 'contoso.example',
  applicationId: 'app',
  createAssertion: async () => `assertion ${++assertions}`,
};

beforeEach(() => {
  now = 1_000_000;
  ids = 0;
  assertions = 0;
  sent = [];
  answers = { entra: [token('a'), token('b'), token('c'), token('d')], graph: [bothServices], intune: [verdict('Success')] };
  client = new IntuneClient({
    entraUrl: 'https://login.example',
    graphUrl: 'https://graph.example',
    intuneResource: 'https://api.manage.example',
    intuneHosts: ['manage.microsoft.com'],
    system: { now: () => now, randomUUID: () => `id-${++ids}` },
    transport: async request => {
      sent.push(request);
      const of = { 'Entra ID': answers.entra, 'Microsoft Graph': answers.graph, Intune: answers.intune, 'The issuer': [] }[request.service];
      const [next] = of;
      if (of.length > 1) of.shift();
      if (next === undefined) throw new Error('nothing left to answer');
      if (next === 'unreachable') throw new MicrosoftError({ reason: 'unreachable', service: request.service }, 'gone');
      return { retryAfter: undefined, body: '', ...(await next) };
    },
  });
});

const calls = (of: MicrosoftRequest['service']) => sent.filter(request => request.service === of);
const validate = () => client.validateRequest(connector, request);

async function errorOf(promise: Promise<unknown>): Promise<MicrosoftError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof MicrosoftError, String(error));
  return error;
}

describe('validateRequest', () => {
  it('asks for tokens by federation, for the service list, and then Intune', async () => {
    assert.deepEqual(await validate(), { isSuccess: true, code: 'Success', description: '', activityId: 'id-4' });
    const [graphToken, discovery, intuneToken, validation] = sent;
    assert.equal(graphToken?.url, 'https://login.example/contoso.example/oauth2/v2.0/token');
    assert.deepEqual(Object.fromEntries(new URLSearchParams(graphToken.body)), {
      client_id: 'app',
      scope: 'https://graph.example/.default',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: 'assertion 1',
      grant_type: 'client_credentials',
    });
    assert.equal(discovery?.url, 'https://graph.example/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints');
    assert.equal(discovery.headers['authorization'], 'Bearer a');
    assert.equal(new URLSearchParams(intuneToken?.body).get('scope'), 'https://api.manage.example//.default');
    assert.equal(validation?.url, 'https://fef.manage.microsoft.com/RACerts/ScepRequestValidationFEService/1/ScepActions/validateRequest');
    assert.equal(validation.headers['authorization'], 'Bearer b');
    assert.equal(validation.headers['api-version'], '2018-02-20');
    assert.deepEqual(JSON.parse(validation.body ?? ''), {
      request: { transactionId: 't', certificateRequest: 'Y3Ny', callerInfo: 'Open Connector for SCEP' },
    });
  });

  it('takes nothing but Success, exactly so, for a yes', async () => {
    for (const code of ['success', 'SUCCESS', ' Success', 'ChallengeExpired', 'NeverHeardOf', '']) {
      answers.intune = [verdict(code, 'why\r\nnot')];
      const { isSuccess, description } = await validate();
      assert.deepEqual([isSuccess, description], [false, 'why not']);
    }
  });

  it('takes no answer that it does not understand for one', async () => {
    for (const body of ['', '{', '[]', '{"code":1}', '{"errorDescription":"a"}', '<html>', 'null']) {
      answers.intune = [{ status: 200, body }];
      assert.equal((await errorOf(validate())).reason, 'unreachable');
    }
  });

  it('keeps tokens and the service list, and fetches each once however many wait', async () => {
    const wait = Promise.withResolvers<Answer>();
    answers.entra = [wait.promise, token('b')];
    const many = Promise.all(Array.from({ length: 50 }, validate));
    wait.resolve(token('a'));
    await many;
    await validate();
    assert.deepEqual([calls('Entra ID').length, calls('Microsoft Graph').length, calls('Intune').length], [2, 1, 51]);
  });

  it('renews a token behind those who still use it, and uses none in its last seconds', async () => {
    await validate();
    now += 3599_000 - 5 * 60_000;
    answers.graph = ['unreachable'];
    // The list is older than half an hour by now.
    await errorOf(validate());
    answers.graph = [bothServices];
    answers.entra = ['unreachable'];
    assert.equal((await validate()).isSuccess, true);
    now += 5 * 60_000 - 29_000;
    assert.match((await errorOf(validate())).message, /gone/);
  });

  it('drops the token and the list that a service refuses, once', async () => {
    for (const status of [401, 403]) {
      await validate();
      sent.length = 0;
      answers.intune = [{ status }, verdict('Success')];
      assert.equal((await validate()).isSuccess, true);
      assert.deepEqual(
        sent.map(request => request.service),
        ['Intune', 'Microsoft Graph', 'Entra ID', 'Intune'],
      );
    }
    answers.intune = [{ status: 403 }];
    sent.length = 0;
    const { reason, permission } = await errorOf(validate());
    assert.deepEqual([reason, permission, calls('Intune').length], ['actionDenied', 'scep_challenge_provider', 2]);
  });

  it('asks where Intune is when it is not where it was, once', async () => {
    for (const gone of [{ status: 404 }, { status: 410 }, { status: 500 }, { status: 307 }, 'unreachable'] as const) {
      await validate();
      sent.length = 0;
      answers.intune = [gone, verdict('Success')];
      assert.equal((await validate()).isSuccess, true);
      assert.deepEqual(
        sent.map(request => request.service),
        ['Intune', 'Microsoft Graph', 'Intune'],
      );
      answers.intune = [gone];
      sent.length = 0;
      assert.equal((await errorOf(validate())).reason, 'unreachable');
      assert.equal(calls('Intune').length, 2);
      answers.intune = [verdict('Success')];
    }
  });

  it('leaves alone for as long as it wants to be whoever is busy', async () => {
    const busy: [() => Answer, number][] = [
      [() => ({ status: 429, retryAfter: '7' }), 7000],
      [() => ({ status: 503, retryAfter: new Date(now + 5000).toUTCString() }), 5000],
      [() => ({ status: 429 }), 10_000],
      [() => ({ status: 429, retryAfter: '86400' }), 300_000],
    ];
    for (const [answerNow, waitMs] of busy) {
      const answer = answerNow();
      answers.intune = [answer, verdict('Success')];
      assert.equal((await errorOf(validate())).retryAfterMs, waitMs);
      sent.length = 0;
      now += waitMs - 1;
      assert.equal((await errorOf(validate())).retryAfterMs, 1);
      assert.equal(calls('Intune').length, 0);
      now += 1;
      assert.equal((await validate()).isSuccess, true);
    }
  });

  it('ends when its time is over, however long each call takes', async () => {
    const waits = async (answer: Answer): Promise<Answer> => {
      now += 9000;
      return answer;
    };
    answers.entra = [waits(token('a'))];
    answers.graph = [waits(bothServices)];
    answers.intune = [waits({ status: 500 })];
    assert.equal((await errorOf(validate())).reason, 'unreachable');
  });
});

describe('the list of services', () => {
  it('is read by either name in any case, page by page, and the last of a name counts', async () => {
    const next = 'https://graph.example/v1.0/page2';
    const first = { value: [service('ScepRequestValidationFEService', 'old.manage.microsoft.com')], '@odata.nextLink': next };
    const { uri } = service('ScepRequestValidationFEService', 'new.manage.microsoft.com');
    answers.graph = [
      { status: 200, body: JSON.stringify(first) },
      list({ serviceName: 'SCEPREQUESTVALIDATIONFESERVICE', uri }, { providerName: null, uri: 'https://a' }, { providerName: 'b' }),
    ];
    await validate();
    assert.equal(calls('Microsoft Graph')[1]?.url, next);
    assert.match(calls('Intune')[0]?.url ?? '', /^https:\/\/new\.manage\.microsoft\.com\//);
  });

  it('goes to no other server for its next page', async () => {
    const first = { value: bothServices, '@odata.nextLink': 'https://evil.example/page2' };
    answers.graph = [{ status: 200, body: JSON.stringify({ ...first, value: [service('ScepRequestValidationFEService')] }) }];
    await validate();
    assert.equal(calls('Microsoft Graph').length, 1);
  });

  it('is no reason to send a token elsewhere than to Intune', async () => {
    for (const uri of [
      'https://evil.example/a',
      'https://manage.microsoft.com.evil.example/a',
      'https://xmanage.microsoft.com/a',
      'http://fef.manage.microsoft.com/a',
      'https://user@evil.example/manage.microsoft.com',
      'manage.microsoft.com',
      'file:///manage.microsoft.com',
    ]) {
      answers.graph = [list({ providerName: 'ScepRequestValidationFEService', uri })];
      assert.match((await errorOf(validate())).message, /SCEP_INTUNE_HOSTS/, uri);
    }
    assert.equal(calls('Intune').length, 0);
  });

  it('lacks Intune where the application has no permission, and is asked for again', async () => {
    answers.graph = [list(service('Other')), bothServices];
    const { reason, permission } = await errorOf(validate());
    assert.deepEqual([reason, permission], ['actionDenied', 'scep_challenge_provider']);
    assert.equal((await validate()).isSuccess, true);
  });

  it('is denied without Application.Read.All, until a new token has it', async () => {
    answers.graph = [{ status: 403 }];
    const { reason, permission } = await errorOf(validate());
    assert.deepEqual([reason, permission, calls('Microsoft Graph').length], ['actionDenied', 'Application.Read.All', 2]);
    answers.graph = [{ status: 403 }, bothServices];
    assert.equal((await validate()).isSuccess, true);
  });

  it('is kept for half an hour', async () => {
    await validate();
    now += 30 * 60_000 - 1;
    await validate();
    assert.equal(calls('Microsoft Graph').length, 1);
    now += 1;
    await validate();
    assert.equal(calls('Microsoft Graph').length, 2);
  });
});

describe('a refusal of Entra ID', () => {
  const refused = (code: number): Answer => ({
    status: 401,
    body: JSON.stringify({ error: 'invalid_client', error_description: `AADSTS${code}: Secret? Trace ID: 1`, error_codes: [code] }),
  });

  it('is told with its code and what to change', async () => {
    for (const [code, reason, advice] of [
      [700213, 'noAccess', /subject.*OpenIdConfiguration\.Subject/],
      [700211, 'noAccess', /OpenIdConfiguration\.Issuer/],
      [700212, 'noAccess', /OpenIdConfiguration\.Audience/],
      [7000226, 'noAccess', /no federated credential/],
      [700016, 'applicationNotFound', /Application \(client\) ID/],
      [90002, 'applicationNotFound', /no such tenant/],
      [50166, 'unreachable', /Issuer URL must answer anyone/],
      [12345, 'noAccess', /It says: AADSTS12345: Secret\?$/],
    ] as const) {
      answers.entra = [refused(code)];
      const error = await errorOf(validate());
      assert.equal(error.reason, reason);
      assert.match(error.message, advice);
      assert.match(error.message, new RegExp(`AADSTS${code}`));
    }
  });

  it('is not kept: what was mended works at once', async () => {
    answers.entra = [refused(700213), token('a')];
    await errorOf(validate());
    assert.equal((await validate()).isSuccess, true);
  });

  it('is none without its form', async () => {
    for (const answer of [{ status: 400, body: '<html>' }, { status: 500 }, { status: 302 }, { status: 200, body: '{}' }]) {
      answers.entra = [answer];
      assert.equal((await errorOf(validate())).reason, 'unreachable');
    }
  });
});

describe('notifications', () => {
  it('say what Intune asks for', async () => {
    const notice = { thumbprint: 'AB', serialNumber: '0F', notAfter: 0, issuer: 'CN=CA', connectorArn: 'arn' };
    await client.notifySuccess(connector, request, notice);
    const common = { transactionId: 't', certificateRequest: 'Y3Ny', callerInfo: 'Open Connector for SCEP' };
    assert.deepEqual(JSON.parse(calls('Intune')[0]?.body ?? ''), {
      notification: {
        ...common,
        certificateThumbprint: 'AB',
        certificateSerialNumber: '0F',
        certificateExpirationDateUtc: '1970-01-01T00:00:00.000Z',
        issuingCertificateAuthority: 'CN=CA',
        caConfiguration: 'arn',
        certificateAuthority: 'CN=CA',
      },
    });
    await client.notifyFailure(connector, request, { hResult: 5, description: `a\n${'b'.repeat(300)}` });
    const { notification } = JSON.parse(calls('Intune')[1]?.body ?? '');
    assert.deepEqual(notification, { ...common, hResult: 5, errorDescription: `a ${'b'.repeat(253)}` });
  });
});

describe('revocation', () => {
  it('fetches the requests of the tenant and answers them', async () => {
    const requested = { requestContext: 'x', serialNumber: '0F', issuerName: null, caConfiguration: 'arn' };
    answers.intune = [
      { status: 200, body: JSON.stringify({ value: [requested] }) },
      { status: 200, body: '{"value":true}' },
    ];
    assert.deepEqual(await client.downloadRevocationRequests(connector), [requested]);
    await client.uploadRevocationResults(connector, [{ requestContext: 'x', succeeded: true, errorCode: '0', errorMessage: null }]);
    const [download, upload] = calls('Intune');
    assert.match(download?.url ?? '', /PkiConnectorFEService\/1\/CertificateAuthorityRequests\/downloadRevocationRequests$/);
    assert.equal(download?.headers['api-version'], '5019-05-05');
    assert.deepEqual(JSON.parse(download?.body ?? ''), { downloadParameters: { maxRequests: 500, issuerName: null } });
    assert.match(upload?.url ?? '', /uploadRevocationResults$/);
  });

  it('takes nothing but true for an answered upload', async () => {
    for (const body of ['{"value":false}', '{}', '{"value":1}']) {
      answers.intune = [{ status: 200, body }];
      assert.equal((await errorOf(client.uploadRevocationResults(connector, []))).reason, 'unreachable');
    }
  });
});
