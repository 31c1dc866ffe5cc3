/** TestConnection and `doctor --connector`: each thing that can be wrong between a connector and Intune is named by the step that it breaks, with what to change. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { encodePem } from '../../src/base/pki/pem.ts';
import type { ConnectionStep } from '../../src/service/connection-test.ts';
import { oidcKeyLimits } from '../../src/service/oidc-keys.ts';
import { findFreePort, runCommand, settingsFor } from '../support/command.ts';
import { createIntuneConnector, IntuneSubject } from '../support/intune-subject.ts';
import type { FederatedCredential } from '../support/microsoft/directory.ts';
import type { HttpAnswer } from '../support/raw-scep-client.ts';
import { until } from '../support/waiting.ts';

const names = ['Issuer', 'GraphToken', 'IntuneServices', 'IntuneToken', 'IntuneValidation'] as const;
type Name = (typeof names)[number];

let subject: IntuneSubject;
let credential: FederatedCredential;
before(async () => {
  subject = await IntuneSubject.start();
  credential = { issuer: '', subject: '', audience: '', ...subject.application.credentials[0] };
});
after(() => subject[Symbol.asyncDispose]());
afterEach(() => {
  mend();
  assert.deepEqual(subject.microsoft.violations, []);
});

/** Everything is as it should be again. */
function mend(): void {
  const { application, microsoft, tenant } = subject;
  application.credentials = [credential];
  application.grant('scep_challenge_provider', 'Application.Read.All');
  tenant.applications.set(application.clientId, application);
  tenant.isIntuneProvisioned = true;
  microsoft.faults.clear();
}

const pathOf = (arn: string) => `/scep-connector/v1/connectors/${encodeURIComponent(arn)}/connection-test`;

async function walk(arn = subject.connector.Arn): Promise<ConnectionStep[]> {
  const { status, answer } = await subject.call('POST', pathOf(arn));
  assert.equal(status, 200, JSON.stringify(answer));
  const steps = answer['Steps'] as ConnectionStep[];
  assert.deepEqual(
    steps.map(({ Name }) => Name),
    names,
  );
  return steps;
}

/** The step fails with that advice, those before it do not, and those after it are not taken. */
async function assertFails(name: Name, advice: RegExp, arn?: string): Promise<void> {
  const steps = await walk(arn);
  const at = names.indexOf(name);
  assert.match(steps[at]?.Advice ?? '', advice);
  assert.deepEqual(
    steps.slice(1).map(({ Outcome }) => Outcome),
    names.slice(1).map((_, index) => (index + 1 < at ? 'SUCCEEDED' : index + 1 === at ? 'FAILED' : 'SKIPPED')),
  );
}

describe('TestConnection', () => {
  it('walks to where Intune validates, without a device', async () => {
    const steps = await walk();
    // The server's certificate is its own CA's, and its public name leads nowhere from here.
    assert.deepEqual(
      steps.map(({ Outcome }) => Outcome),
      ['WARNING', 'SUCCEEDED', 'SUCCEEDED', 'SUCCEEDED', 'SUCCEEDED'],
    );
    assert.match(steps[0]?.Advice ?? '', /Microsoft has to reach it from the Internet/);
    assert.match(steps[4]?.Advice ?? '', /ChallengePasswordMissing/);
    assert.deepEqual(subject.microsoft.notifications, []);
  });

  const wrong: Record<string, [change: () => unknown, step: Name, advice: RegExp]> = {
    'no federated credential': [() => subject.application.credentials.splice(0), 'GraphToken', /AADSTS7000226/],
    'another issuer in the federated credential': [
      () => (subject.application.credentials = [{ ...credential, issuer: `${credential.issuer}/` }]),
      'GraphToken',
      /AADSTS700211.*OpenIdConfiguration\.Issuer/,
    ],
    'another subject in the federated credential': [
      () => (subject.application.credentials = [{ ...credential, subject: credential.subject.toUpperCase() }]),
      'GraphToken',
      /AADSTS700213.*OpenIdConfiguration\.Subject/,
    ],
    'another audience in the federated credential': [
      () => (subject.application.credentials = [{ ...credential, audience: 'api://azureadtokenexchange' }]),
      'GraphToken',
      /AADSTS700212.*OpenIdConfiguration\.Audience/,
    ],
    'an application that is gone': [
      () => subject.tenant.applications.delete(subject.application.clientId),
      'GraphToken',
      /AADSTS700016.*AzureApplicationId/,
    ],
    'an application without the permission to read where Intune is': [
      () => subject.application.revoke('Application.Read.All'),
      'IntuneServices',
      /Application\.Read\.All/,
    ],
    'a tenant without Intune': [() => (subject.tenant.isIntuneProvisioned = false), 'IntuneServices', /Intune licences/],
    'an application without the permission to validate': [
      () => subject.application.revoke('scep_challenge_provider'),
      'IntuneValidation',
      /scep_challenge_provider/,
    ],
    'an Entra ID that does not answer': [
      () => subject.microsoft.faults.add({ route: 'token', kind: { status: 503 }, times: 9 }),
      'GraphToken',
      /Entra ID answers with HTTP status 503/,
    ],
    'a Graph that resets connections': [
      () => subject.microsoft.faults.add({ route: 'endpoints', kind: 'reset', times: 9 }),
      'IntuneServices',
      /Microsoft Graph.*cannot be reached/,
    ],
  };
  for (const [name, [change, step, advice]] of Object.entries(wrong)) {
    it(`names ${name}, and finds nothing once it is mended`, async () => {
      change();
      await assertFails(step, advice);
      mend();
      assert.ok((await walk()).every(({ Outcome }) => Outcome !== 'FAILED'));
    });
  }

  it('names another tenant than the application’s', async () => {
    const other = subject.microsoft.addTenant('other.example');
    const { clientId } = subject.application;
    const mismatched = await createIntuneConnector(subject.api, { clientId, domain: other.domain });
    await assertFails('GraphToken', /AADSTS700016.*Domain its own tenant/, mismatched.Arn);
    const nowhere = await createIntuneConnector(subject.api, { clientId, domain: 'nowhere.example' });
    await assertFails('GraphToken', /AADSTS90002.*no such tenant/, nowhere.Arn);
  });

  it('names an issuer that Entra ID cannot reach', async () => {
    await using closed = await IntuneSubject.start();
    closed.microsoft.entra.keysKeptMs = 0;
    // What the connector says of itself leads to no server.
    closed.getPublic = async () => {
      throw new Error('connect ETIMEDOUT');
    };
    const { answer } = await closed.call('POST', pathOf(closed.connector.Arn));
    const [, token] = answer['Steps'] as ConnectionStep[];
    assert.equal(token?.Outcome, 'FAILED');
    assert.match(token.Advice, /AADSTS50166.*Issuer URL must answer anyone/);
  });

  it('is for connectors of Intune, and for whoever may', async () => {
    const { server } = subject;
    const general = subject.connector.Arn.replace(/connector\/.*/, `connector/${server.connectorId}`);
    const { status, type, answer } = await subject.call('POST', pathOf(general));
    assert.deepEqual([status, type, answer['Reason']], [400, 'ValidationException', 'INVALID_CONNECTOR_TYPE']);
    const missing = general.replace(server.connectorId, '00000000-0000-4000-8000-000000000000');
    assert.equal((await subject.call('POST', pathOf(missing))).type, 'ResourceNotFoundException');
  });

  it('holds after the keys have changed', async () => {
    await using rotating = await IntuneSubject.start();
    const days = async (count: number) => {
      rotating.server.advance(count * 86_400_000);
      await rotating.server.restart();
      const { answer } = await rotating.call('POST', pathOf(rotating.connector.Arn));
      const steps = answer['Steps'] as ConnectionStep[];
      assert.ok(
        steps.every(({ Outcome }) => Outcome !== 'FAILED'),
        JSON.stringify(steps),
      );
    };
    for (const count of [0, 91, 1, 2, 2, 90]) await days(count);
    assert.deepEqual(rotating.microsoft.violations, []);
  });
});

describe('a cache in front of the issuer', () => {
  it('that keeps old keys for too long is named, and what it keeps for as long as it may does no harm', async () => {
    await using cached = await IntuneSubject.start();
    const { server, microsoft } = cached;
    microsoft.entra.keysKeptMs = 0;
    const { getPublic } = cached;
    let kept: { at: number; answer: HttpAnswer } | undefined;
    let keptMs = 86_400_000;
    cached.getPublic = async url => {
      if (!url.endsWith('/jwks')) return getPublic.call(cached, url);
      if (kept === undefined || server.now() > kept.at + keptMs) kept = { at: server.now(), answer: await getPublic.call(cached, url) };
      return kept.answer;
    };
    const tokenStep = async () => {
      const { answer } = await cached.call('POST', pathOf(cached.connector.Arn));
      return (answer['Steps'] as ConnectionStep[])[1];
    };
    const newest = () =>
      server.database.query.selectFrom('oidc_keys').select('created_at').orderBy('created_at', 'desc').executeTakeFirst();
    const days = async (count: number) => {
      server.advance(count * 86_400_000);
      await server.restart();
      const dueBefore = server.now() - oidcKeyLimits.keyLifeMs;
      await until(async () => ((await newest())?.created_at ?? 0) > dueBefore, 'the next key is made when it is due');
    };
    // The first key, its successor published, then signing, then alone.
    for (const count of [0, 90, 1, 1, 1, 1, 1]) {
      await days(count);
      assert.equal((await tokenStep())?.Outcome, 'SUCCEEDED');
    }
    keptMs = Number.POSITIVE_INFINITY;
    for (const count of [86, 3]) await days(count);
    const step = await tokenStep();
    assert.equal(step?.Outcome, 'FAILED');
    assert.match(step.Advice, /AADSTS7000272.*no cache keeps old keys/);
  });
});

describe('doctor --connector', () => {
  it('says the same on the server, and that the issuer is in order where its certificate is trusted', async () => {
    const port = await findFreePort();
    const origin = `https://127.0.0.1:${port}`;
    await using local = await IntuneSubject.start({ SCEP_PUBLIC_URL: origin, SCEP_ENROLL_TLS_LISTEN: `127.0.0.1:${port}` });
    const { dataDir, caCertificate } = local.server;
    const trusted = join(dataDir, 'trusted.pem');
    await writeFile(trusted, encodePem('CERTIFICATE', caCertificate));
    const settings = settingsFor(dataDir, { ...local.settings, SCEP_LOG_LEVEL: 'silent', NODE_EXTRA_CA_CERTS: trusted });
    const doctor = () => runCommand(['doctor', '--connector', local.connector.Arn], { settings });
    const healthy = await doctor();
    assert.deepEqual([healthy.status, healthy.stderr], [0, '']);
    const lines = healthy.stdout.trimEnd().split('\n');
    assert.deepEqual(
      lines.map(line => line.slice(0, line.indexOf(':'))),
      names.map(name => `ok       ${name}`),
    );
    local.application.revoke('scep_challenge_provider');
    const ill = await doctor();
    assert.equal(ill.status, 1);
    assert.match(ill.stdout, /^FAILS {4}IntuneValidation: .*scep_challenge_provider/m);
    assert.match(ill.stderr, /^scep-connector: devices of this connector could not enrol/);
  });

  it('is wrong usage beside --url, and without either', async () => {
    for (const args of [['--url', 'http://127.0.0.1/', '--connector', 'arn'], []]) {
      const { status, stderr } = await runCommand(['doctor', ...args]);
      assert.equal(status, 2);
      assert.equal(stderr.trimEnd().split('\n').length, 1);
    }
  });
});
