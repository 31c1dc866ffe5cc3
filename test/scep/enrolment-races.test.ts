/** What happens to a connector while one of its requests is under way: at whatever moment, no request gets more than it was allowed, and none is lost. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { IntuneClient } from '../../src/backends/intune/intune-client.ts';
import { LocalKeyProtector, loadMasterKey } from '../../src/backends/key-protector.ts';
import { deleteChallengesOf } from '../../src/backends/store/challenges.ts';
import type { Database } from '../../src/backends/store/database.ts';
import { defaultEnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import type { AuditEvent, Log } from '../../src/base/events.ts';
import { parseCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { realSystem as system } from '../../src/base/system.ts';
import { WorkerPool } from '../../src/base/worker-pool.ts';
import { parseConfig } from '../../src/config.ts';
import { Audit } from '../../src/service/audit.ts';
import { Authorisations } from '../../src/service/authorisations.ts';
import { CertificateAuthorities } from '../../src/service/certificate-authorities.ts';
import { Certificates } from '../../src/service/certificates.ts';
import { Challenges } from '../../src/service/challenges.ts';
import { DynamicChallenges } from '../../src/service/dynamic-challenges.ts';
import { Endpoints } from '../../src/service/endpoints.ts';
import { Enrolment } from '../../src/service/enrolment.ts';
import { EnrolmentEndpoints } from '../../src/service/enrolment-endpoints.ts';
import { EnrolmentIssuance } from '../../src/service/enrolment-issuance.ts';
import { FailureLimits } from '../../src/service/failure-limits.ts';
import { IntuneAccess } from '../../src/service/intune-access.ts';
import { IntuneNotifications } from '../../src/service/intune-notifications.ts';
import { IntentAbandonedError } from '../../src/service/outage.ts';
import { RaKeys } from '../../src/service/ra-keys.ts';
import type { EnrolmentEndpoint, EnrolmentRequest } from '../../src/service/scep-requests.ts';
import { ScepTransactions } from '../../src/service/scep-transactions.ts';
import { noMicrosoft } from '../support/no-microsoft.ts';
import { approveWaiting, createDynamicChallenge, setEnrolmentPolicy } from '../support/operator.ts';
import { issuanceIn, issuedBy, RawScepClient } from '../support/raw-scep-client.ts';
import { challengePassword } from '../support/scep-messages.ts';
import { accountId, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const silent: Log = { info() {}, warn() {}, error() {} };

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
beforeEach(() => setEnrolmentPolicy(server, defaultEnrolmentPolicy));
after(() => server[Symbol.asyncDispose]());

/** A second node on the server's store, in which the services of this name are replaced by ones that something happens in. */
interface Replaced {
  challenges: typeof Challenges;
  dynamicChallenges: typeof DynamicChallenges;
  transactions: typeof ScepTransactions;
}

interface Node extends AsyncDisposable {
  enrolment: Enrolment;
  endpoint: EnrolmentEndpoint;
}

async function startNode(replaced: Partial<Replaced>): Promise<Node> {
  const workers = new WorkerPool(1);
  const { database, connectorId, endpointSecret, dataDir } = server;
  const keyProtector = new LocalKeyProtector(await loadMasterKey(`${dataDir}/master.key`, { system, create: false }), system);
  const { config } = parseConfig({});
  const certificates = new Certificates({ database, system });
  const common = { ...config, database, keyProtector, system, certificates, workers };
  const classes: Replaced = { challenges: Challenges, dynamicChallenges: DynamicChallenges, transactions: ScepTransactions, ...replaced };
  const audit = new Audit({ database, system, log: silent });
  const intune = new IntuneAccess({
    client: new IntuneClient({ ...config.microsoft, system, transport: noMicrosoft }),
    signAssertion: async () => '',
  });
  const intuneNotifications = new IntuneNotifications({ ...common, audit, log: silent, intune });
  const authorisations = new Authorisations({
    ...common,
    intune,
    challenges: new classes.challenges(common),
    dynamicChallenges: new classes.dynamicChallenges(common),
    failureLimits: new FailureLimits(common),
  });
  const certificateAuthorities = new CertificateAuthorities(common);
  const transactions = new classes.transactions({ ...common, authorisations });
  const issuing = { ...common, audit, transactions, intuneNotifications };
  const issuance = new EnrolmentIssuance({ ...issuing, certificateAuthorities, takeIssuance: () => true });
  const enrolment = new Enrolment({ ...issuing, authorisations, issuance });
  const raKeys = new RaKeys(common);
  const enrolmentEndpoints = new EnrolmentEndpoints({ ...common, certificateAuthorities, raKeys, endpoints: new Endpoints(config) });
  const { endpoint } = await enrolmentEndpoints.findEndpoint({ accountId, connectorId, secret: endpointSecret, host: undefined });
  assert.ok(endpoint);
  return { enrolment, endpoint, [Symbol.asyncDispose]: () => workers[Symbol.asyncDispose]() };
}

function requestOf(transactionID: string, csr: Uint8Array): EnrolmentRequest {
  const { certificate: signer } = client.device;
  return { transactionID, signer, csr: parseCertificationRequest(csr), source: 'here', digest: 'SHA-256' };
}

async function lastEvent({ query }: Database): Promise<{ name: string; reason: string | null }> {
  return query.selectFrom('audit_events').select(['name', 'reason']).orderBy('event_id', 'desc').executeTakeFirstOrThrow();
}

describe('a challenge that is deleted right after it was found to be the right one', () => {
  it('authorises no certificate, and the refusal says that it is invalid', async () => {
    const { database } = server;
    const challenges = await database.query.selectFrom('challenges').selectAll().execute();
    class DeletingChallenges extends Challenges {
      override async verifyChallengePassword(id: string, candidate: string): Promise<string | undefined> {
        const challengeId = await super.verifyChallengePassword(id, candidate);
        await deleteChallengesOf(database.query, id);
        return challengeId;
      }
    }
    await using node = await startNode({ challenges: DeletingChallenges });
    const before = await issuanceIn(database);

    const outcome = await node.enrolment.enrol(node.endpoint, requestOf('race', client.csr()));

    assert.deepEqual(outcome, {
      pkiStatus: 'FAILURE',
      failInfo: 'badRequest',
      reason: 'The challenge password is invalid.',
      error: { code: 'challengeInvalid' },
    });
    assert.deepEqual(await issuanceIn(database), before);
    assert.deepEqual(await lastEvent(database), {
      name: 'EnrolmentRefused' satisfies AuditEvent['name'],
      reason: 'The challenge password is invalid.',
    });
    await database.query.insertInto('challenges').values(challenges).execute();
  });
});

describe('a dynamic challenge that another request uses up right after it was found to be the right one', () => {
  /** A node at which `meanwhile` happens after the challenge was looked up. */
  async function startOvertaken(meanwhile: () => Promise<unknown>): Promise<Node> {
    class OvertakenChallenges extends DynamicChallenges {
      override async findChallenge(
        ...given: Parameters<DynamicChallenges['findChallenge']>
      ): ReturnType<DynamicChallenges['findChallenge']> {
        const found = await super.findChallenge(...given);
        await meanwhile();
        return found;
      }
    }
    return startNode({ dynamicChallenges: OvertakenChallenges });
  }

  it('gets the certificate of the copy of it that was faster', async () => {
    const csr = client.csr({ challenge: challengePassword(await createDynamicChallenge(server)) });
    let raw: Buffer | undefined;
    await using node = await startOvertaken(async () => {
      raw = issuedBy(await client.exchange(client.request({ transactionID: 'copied', csr }))).raw;
    });
    const outcome = await node.enrolment.enrol(node.endpoint, requestOf('copied', csr));
    assert.ok(outcome.pkiStatus === 'SUCCESS');
    assert.deepEqual(Buffer.from(outcome.certificates[0] ?? []), raw);
  });

  it('is refused when it was another', async () => {
    const challenge = challengePassword(await createDynamicChallenge(server));
    await using node = await startOvertaken(() => client.enrol({ transactionID: 'the faster', challenge }));
    const outcome = await node.enrolment.enrol(node.endpoint, requestOf('the slower', client.csr({ challenge })));
    assert.ok(outcome.pkiStatus === 'FAILURE');
    assert.equal(outcome.reason, 'The challenge password was used as often as it may be.');
  });
});

describe('an approved request that another poll takes to its authority, which fails', () => {
  it('is asked to come again, and is still approved', async () => {
    await setEnrolmentPolicy(server, { Approval: { Mode: 'MANUAL', ExpiresInDays: 1 } });
    const [transactionID, csr] = ['taken', client.csr()];
    const message = client.request({ transactionID, csr });
    assert.equal((await client.exchange(message)).pkiStatus, 'PENDING');
    await approveWaiting(server);
    const setStatus = (status: 'ISSUING' | 'APPROVED') =>
      server.database.query.updateTable('transactions').set({ status }).where('transaction_id', '=', transactionID).execute();
    class TakenTransactions extends ScepTransactions {
      override async find(...given: Parameters<ScepTransactions['find']>): ReturnType<ScepTransactions['find']> {
        const seen = await super.find(...given);
        await setStatus('ISSUING');
        return seen;
      }
      override async get(transactionRowId: string): ReturnType<ScepTransactions['get']> {
        await setStatus('APPROVED');
        return super.get(transactionRowId);
      }
    }
    await using node = await startNode({ transactions: TakenTransactions });
    const before = await issuanceIn(server.database);
    await assert.rejects(node.enrolment.enrol(node.endpoint, requestOf(transactionID, csr)), IntentAbandonedError);
    assert.deepEqual(await issuanceIn(server.database), before);
    issuedBy(await client.exchange(message));
  });
});
