/** Connectors along their arrows, by AWS's own client against the whole server: CREATING to ACTIVE or FAILED, DELETING to gone. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type PcaConnectorScep from 'aws-sdk/clients/pcaconnectorscep.js';
import { listChallengeMacs } from '../../src/backends/store/challenges.ts';
import { findConnectorById } from '../../src/backends/store/connectors.ts';
import { listRaKeys } from '../../src/backends/store/ra-keys.ts';
import { listTags } from '../../src/backends/store/tags.ts';
import { parseSignedData } from '../../src/base/pki/signed-data.ts';
import { parseConnectorArn } from '../../src/base/resources.ts';
import { createApiClient } from '../support/api-client.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const settleTimeoutMs = 20_000;

describe('a connector', () => {
  let server: TemporaryServer;
  let client: PcaConnectorScep;
  let CertificateAuthorityArn: string;

  before(async () => {
    server = await startTemporaryServer();
    client = createApiClient(server.apiUrl, server.credentialsFile);
    const { Connectors: [first] = [] } = await client.listConnectors().promise();
    CertificateAuthorityArn = first?.CertificateAuthorityArn ?? '';
  });
  after(() => server[Symbol.asyncDispose]());

  async function settled(ConnectorArn: string): Promise<PcaConnectorScep.Connector> {
    const deadline = performance.now() + settleTimeoutMs;
    for (;;) {
      const { Connector = {} } = await client.getConnector({ ConnectorArn }).promise();
      if (Connector.Status !== 'CREATING') return Connector;
      assert.ok(performance.now() < deadline, 'the connector stays CREATING');
      await wait(50);
    }
  }

  async function gone(ConnectorArn: string): Promise<void> {
    const deadline = performance.now() + settleTimeoutMs;
    const found = () =>
      client
        .getConnector({ ConnectorArn })
        .promise()
        .then(
          () => true,
          (error: { code?: string }) => error.code !== 'ResourceNotFoundException',
        );
    while (await found()) {
      assert.ok(performance.now() < deadline, 'the connector stays DELETING');
      await wait(50);
    }
  }

  it('becomes ACTIVE with an endpoint that answers with an RA certificate of its CA', async () => {
    const { ConnectorArn = '' } = await client.createConnector({ CertificateAuthorityArn }).promise();
    const { Status, Endpoint = '' } = await settled(ConnectorArn);
    assert.equal(Status, 'ACTIVE');
    const path = new URL(Endpoint).pathname;
    const answer = await fetch(`${new URL(server.url).origin}${path}?operation=GetCACert`);
    const [ra, ca] = parseSignedData(Buffer.from(await answer.arrayBuffer())).certificates;
    assert.deepEqual(Buffer.from(ra?.issuer.der ?? []), Buffer.from(ca?.subject.der ?? [1]));
  });

  it('is gone with its challenges, tags and RA keys once it is deleted, and its endpoint answers 404', async () => {
    const { ConnectorArn = '' } = await client.createConnector({ CertificateAuthorityArn, Tags: { team: 'network' } }).promise();
    const { Endpoint = '' } = await settled(ConnectorArn);
    const { Challenge = {} } = await client.createChallenge({ ConnectorArn, Tags: { use: 'test' } }).promise();
    await client.deleteConnector({ ConnectorArn }).promise();
    await gone(ConnectorArn);
    const { query } = server.database;
    const connectorId = parseConnectorArn(ConnectorArn)?.connectorId ?? '';
    assert.equal(await findConnectorById(query, connectorId), undefined);
    assert.deepEqual(await listChallengeMacs(query, connectorId), []);
    assert.deepEqual(await listRaKeys(query, connectorId), []);
    assert.deepEqual([await listTags(query, ConnectorArn), await listTags(query, Challenge.Arn ?? '')], [{}, {}]);
    const answer = await fetch(`${new URL(server.url).origin}${new URL(Endpoint).pathname}?operation=GetCACaps`);
    assert.equal(answer.status, 404);
  });

  it('that was CREATING when the server stopped is ACTIVE after a restart', async () => {
    const { ConnectorArn = '' } = await client.createConnector({ CertificateAuthorityArn }).promise();
    await settled(ConnectorArn);
    const connectorId = parseConnectorArn(ConnectorArn)?.connectorId ?? '';
    await server.restart(async () => {
      const { query } = server.database;
      await query.deleteFrom('ra_keys').where('connector_id', '=', connectorId).execute();
      await query.updateTable('connectors').set({ status: 'CREATING' }).where('connector_id', '=', connectorId).execute();
    });
    client = createApiClient(server.apiUrl, server.credentialsFile);
    assert.equal((await settled(ConnectorArn)).Status, 'ACTIVE');
  });

  for (const [what, status, StatusReason] of [
    ['is disabled', 'DISABLED', 'PRIVATECA_INVALID_STATE'],
    ['is deleted', 'DELETED', 'PRIVATECA_RESOURCE_NOT_FOUND'],
  ] as const) {
    it(`is FAILED with ${StatusReason} when its CA ${what} meanwhile, and can be deleted`, async () => {
      const { ConnectorArn = '' } = await client.createConnector({ CertificateAuthorityArn }).promise();
      await settled(ConnectorArn);
      const connectorId = parseConnectorArn(ConnectorArn)?.connectorId ?? '';
      const setAuthority = (to: 'ACTIVE' | typeof status) =>
        server.database.query.updateTable('certificate_authorities').set({ status: to }).execute();
      await server.restart(async () => {
        await setAuthority(status);
        await server.database.query.updateTable('connectors').set({ status: 'CREATING' }).where('connector_id', '=', connectorId).execute();
      });
      client = createApiClient(server.apiUrl, server.credentialsFile);
      const failed = await settled(ConnectorArn);
      assert.deepEqual([failed.Status, failed.StatusReason, failed.Endpoint], ['FAILED', StatusReason, undefined]);
      await setAuthority('ACTIVE');
      await client.deleteConnector({ ConnectorArn }).promise();
      await gone(ConnectorArn);
    });
  }

  it('enrolment answers 503 with Retry-After while the CA cannot issue', async () => {
    const setAuthority = (to: 'ACTIVE' | 'DISABLED') =>
      server.database.query.updateTable('certificate_authorities').set({ status: to }).execute();
    await setAuthority('DISABLED');
    const answer = await fetch(`${server.url}?operation=GetCACert`);
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '30']);
    assert.match(await answer.text(), /PRIVATECA_INVALID_STATE/);
    await setAuthority('ACTIVE');
    assert.equal((await fetch(`${server.url}?operation=GetCACert`)).status, 200);
  });
});
