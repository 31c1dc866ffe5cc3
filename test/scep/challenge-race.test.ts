/** A challenge that is deleted while a request is under way: whatever the moment, once it is gone it authorises nothing. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { LocalKeyProtector, loadMasterKey } from '../../src/backends/key-protector.ts';
import { deleteChallengesOf } from '../../src/backends/store/challenges.ts';
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
import { FailureLimits } from '../../src/service/failure-limits.ts';
import { RaKeys } from '../../src/service/ra-keys.ts';
import { ScepTransactions } from '../../src/service/scep-transactions.ts';
import { issuanceIn, RawScepClient } from '../support/raw-scep-client.ts';
import { createDevice } from '../support/scep-messages.ts';
import { accountId, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const silent: Log = { info() {}, warn() {}, error() {} };

describe('a challenge that is deleted right after it was found to be the right one', () => {
  let server: TemporaryServer;
  let client: RawScepClient;
  before(async () => {
    server = await startTemporaryServer();
    client = await RawScepClient.connect(server);
  });
  after(() => server[Symbol.asyncDispose]());

  it('authorises no certificate, and the refusal says that it is invalid', async () => {
    await using workers = new WorkerPool(1);
    const { database, connectorId, endpointSecret, dataDir } = server;
    const keyProtector = new LocalKeyProtector(await loadMasterKey(`${dataDir}/master.key`, { system, create: false }), system);
    const certificates = new Certificates({ database, system });
    const { config } = parseConfig({});
    class DeletingChallenges extends Challenges {
      override async verifyChallengePassword(id: string, candidate: string): Promise<string | undefined> {
        const challengeId = await super.verifyChallengePassword(id, candidate);
        await deleteChallengesOf(database.query, id);
        return challengeId;
      }
    }
    const common = { database, keyProtector, system, ...config };
    const authorisations = new Authorisations({
      ...common,
      challenges: new DeletingChallenges(common),
      dynamicChallenges: new DynamicChallenges(common),
      failureLimits: new FailureLimits(common),
    });
    const certificateAuthorities = new CertificateAuthorities({ ...common, workers });
    const enrolment = new Enrolment({
      ...common,
      audit: new Audit({ database, system, log: silent }),
      certificateAuthorities,
      certificates,
      authorisations,
      transactions: new ScepTransactions({ ...common, authorisations }),
      takeIssuance: () => true,
    });
    const raKeys = new RaKeys({ ...common, certificates });
    const enrolmentEndpoints = new EnrolmentEndpoints({ ...common, certificateAuthorities, raKeys, endpoints: new Endpoints(config) });
    const { endpoint } = await enrolmentEndpoints.findEndpoint({ accountId, connectorId, secret: endpointSecret, host: undefined });
    assert.ok(endpoint);
    const before = await issuanceIn(database);
    const request = {
      transactionID: 'race',
      signer: createDevice().certificate,
      csr: parseCertificationRequest(client.csr()),
      source: 'here',
      digest: 'SHA-256' as const,
    };

    const outcome = await enrolment.enrol(endpoint, request);

    assert.deepEqual(outcome, {
      pkiStatus: 'FAILURE',
      failInfo: 'badRequest',
      reason: 'The challenge password is invalid.',
      error: { code: 'challengeInvalid' },
    });
    assert.deepEqual(await issuanceIn(database), before);
    const events = await database.query
      .selectFrom('audit_events')
      .select(['name', 'reason'])
      .orderBy('event_id', 'desc')
      .limit(1)
      .execute();
    assert.deepEqual(events, [{ name: 'EnrolmentRefused' satisfies AuditEvent['name'], reason: 'The challenge password is invalid.' }]);
  });
});
