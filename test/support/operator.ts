/** What an operator does to a connector of a temporary server: sets its policy, decides what waits, revokes a certificate, makes another connector. */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { findCertificateByFingerprint, revokeCertificate } from '../../src/backends/store/certificates.ts';
import { findConnectorById, updateEnrolmentPolicy } from '../../src/backends/store/connectors.ts';
import { releaseDynamicChallenge } from '../../src/backends/store/dynamic-challenges.ts';
import type { EnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { fingerprint } from '../../src/base/pki/x509.ts';
import { certificateAuthorityArn, connectorArn, type Principal } from '../../src/base/resources.ts';
import { realSystem } from '../../src/base/system.ts';
import { parseConfig } from '../../src/config.ts';
import { openInstallation } from '../../src/installation.ts';
import { DynamicChallenges } from '../../src/service/dynamic-challenges.ts';
import { enrolmentPolicyOf } from '../../src/service/enrolment-policies.ts';
import { createApiClient } from './api-client.ts';
import { accountId, type TemporaryServer } from './temporary-server.ts';

const region = 'us-east-1';
const activeWithinMs = 10_000;
const decidedBy = `arn:aws:iam::${accountId}:user/operator`;

/** The first connector's policy with these sections in place of those that it has. */
export async function setEnrolmentPolicy(
  { database, connectorId }: Pick<TemporaryServer, 'database' | 'connectorId'>,
  change: Partial<EnrolmentPolicy>,
): Promise<void> {
  const connector = await findConnectorById(database.query, connectorId);
  assert.ok(connector);
  const enrolmentPolicy = JSON.stringify({ ...enrolmentPolicyOf(connector), ...change });
  await updateEnrolmentPolicy(database.query, connectorId, { enrolmentPolicy, isRaDue: false, updatedAt: Date.now() });
}

/** Decides every request that waits, or one, and says how many it were. */
export async function decideRequests(
  { database }: Pick<TemporaryServer, 'database'>,
  verdict: 'APPROVED' | 'FAILURE',
  { reason, at = Date.now(), only }: { reason?: string; at?: number; only?: string | undefined } = {},
): Promise<number> {
  const all = await database.query.selectFrom('transactions').selectAll().where('status', '=', 'PENDING').execute();
  const waiting = all.filter(row => only === undefined || row.transaction_row_id === only);
  for (const { transaction_row_id, dynamic_challenge_id } of waiting) {
    const isRejected = verdict === 'FAILURE';
    await database.query
      .updateTable('transactions')
      .set({
        status: verdict,
        decided_by: decidedBy,
        updated_at: at,
        reason: reason ?? null,
        ...(isRejected && { dynamic_challenge_id: null }),
      })
      .where('transaction_row_id', '=', transaction_row_id)
      .execute();
    if (isRejected && dynamic_challenge_id !== null) await releaseDynamicChallenge(database.query, dynamic_challenge_id);
  }
  return waiting.length;
}

export async function revoke({ database }: Pick<TemporaryServer, 'database'>, { raw }: Pick<X509Certificate, 'raw'>): Promise<void> {
  const row = await findCertificateByFingerprint(database.query, fingerprint(raw));
  assert.ok(row);
  assert.ok(await revokeCertificate(database.query, row.certificate_id, { revokedAt: Date.now(), reason: 'KEY_COMPROMISE' }));
}

/** The password of a new dynamic challenge, good for one use and an hour unless it is asked for otherwise, by a clock that was moved. */
export async function createDynamicChallenge(
  { dataDir, connectorId }: Pick<TemporaryServer, 'dataDir' | 'connectorId'>,
  request: { ExpiresInSeconds?: number; Uses?: number } = {},
  movedMs = 0,
): Promise<string> {
  const { config, secrets } = parseConfig({ SCEP_DATA_DIR: dataDir, SCEP_ACCOUNT: accountId });
  await using installation = await openInstallation(config, secrets);
  const system = { ...realSystem, now: () => realSystem.now() + movedMs };
  const ConnectorArn = connectorArn({ accountId, region }, connectorId);
  const principal = { accountId } as Principal;
  const created = await new DynamicChallenges({ ...installation, system, region }).createDynamicChallenge(principal, {
    ConnectorArn,
    ...request,
  });
  return created.DynamicChallenge.Password;
}

/** Another connector at the first one's authority, with a challenge. */
export async function createConnector(
  server: TemporaryServer,
): Promise<{ url: string; challengePassword: string; connectorId: string; database: TemporaryServer['database'] }> {
  const api = createApiClient(server.apiUrl, server.credentialsFile);
  const { ca_id } = await server.database.query.selectFrom('certificate_authorities').select('ca_id').executeTakeFirstOrThrow();
  const CertificateAuthorityArn = certificateAuthorityArn({ accountId, region }, ca_id);
  const { ConnectorArn = '' } = await api.createConnector({ CertificateAuthorityArn }).promise();
  const giveUpAt = Date.now() + activeWithinMs;
  let connector = (await api.getConnector({ ConnectorArn }).promise()).Connector;
  while (connector?.Status === 'CREATING' && Date.now() < giveUpAt) {
    await new Promise(resolve => void setTimeout(resolve, 20));
    connector = (await api.getConnector({ ConnectorArn }).promise()).Connector;
  }
  assert.equal(connector?.Status, 'ACTIVE');
  const { Challenge } = await api.createChallenge({ ConnectorArn }).promise();
  return {
    url: new URL(new URL(connector.Endpoint ?? '').pathname, server.url).href,
    challengePassword: Challenge?.Password ?? '',
    connectorId: ConnectorArn.split('/').at(-1) ?? '',
    database: server.database,
  };
}
