/** Each StatusReason as an administrator meets it: a connector is created by AWS's client, something is wrong with its CA or its endpoint, and GetConnector says what. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import type PcaConnectorScep from 'aws-sdk/clients/pcaconnectorscep.js';
import { parseCertificateAuthorityArn } from '../../src/base/resources.ts';
import { type ApiServer, region, startApiServer, unthrottled } from '../support/api-server.ts';
import { createActiveAuthority, smallRoot } from '../support/authority-client.ts';
import { fetchSigned } from '../support/signed-request.ts';

const knownEndpoint = 'vpce-0123456789abcdef0';
const bareEndpoint = 'vpce-01234567';
const env = { ...unthrottled, SCEP_VPC_ENDPOINTS: `${knownEndpoint}=https://scep.plant.example,${bareEndpoint}` };

let server: ApiServer;
let authorities: ACMPCA;
afterEach(() => server[Symbol.asyncDispose]());

async function start(change: Record<string, string> = {}): Promise<void> {
  server = await startApiServer({ env: { ...env, ...change } });
  authorities = new ACMPCA({ endpoint: server.url, region, maxRetries: 0, credentials: server.credentials });
}

/** The copy of AWS's client that the registry has is older than VpcEndpointId. */
async function create(CertificateAuthorityArn: string, VpcEndpointId: string | undefined): Promise<string> {
  const body = JSON.stringify({ CertificateAuthorityArn, VpcEndpointId });
  const request = { method: 'POST', url: `${server.url}/connectors`, body };
  const response = await fetchSigned(request, { credentials: server.credentials, region });
  const { ConnectorArn } = (await response.json()) as { ConnectorArn: string };
  return ConnectorArn;
}

/** The connector after the lifecycle has looked at it; `meanwhile` happens before. */
async function settled(
  { VpcEndpointId }: { VpcEndpointId?: string } = {},
  meanwhile: (CertificateAuthorityArn: string) => Promise<unknown> = async () => {},
): Promise<PcaConnectorScep.Connector> {
  const CertificateAuthorityArn = await createActiveAuthority(authorities, smallRoot);
  const client = server.client();
  const ConnectorArn = await create(CertificateAuthorityArn, VpcEndpointId);
  assert.equal((await client.getConnector({ ConnectorArn }).promise()).Connector?.Status, 'CREATING');
  await meanwhile(CertificateAuthorityArn);
  await server.services.lifecycle.settle();
  const { Connector = {} } = await client.getConnector({ ConnectorArn }).promise();
  const { Connectors = [] } = await client.listConnectors().promise();
  assert.deepEqual(Connectors, [Connector]);
  return Connector;
}

function outcome({ Status, StatusReason, Endpoint }: PcaConnectorScep.Connector): unknown[] {
  return [Status, StatusReason, Endpoint];
}

const policy = (Effect: string, Principal: object) =>
  JSON.stringify({ Statement: [{ Effect, Principal, Action: 'acm-pca:IssueCertificate', Resource: '*' }] });
const connectorService = { Service: 'pca-connector-scep.amazonaws.com' };

describe('a connector', () => {
  beforeEach(() => start());

  it('is ACTIVE without a reason when nothing is wrong', async () => {
    const { Status, StatusReason, Endpoint } = await settled();
    assert.deepEqual([Status, StatusReason], ['ACTIVE', undefined]);
    assert.match(String(Endpoint), /^https:\/\/scep\.example\.com\//);
  });

  it('ends as PRIVATECA_RESOURCE_NOT_FOUND when its CA was deleted', async () => {
    const connector = await settled({}, async CertificateAuthorityArn => {
      await authorities.updateCertificateAuthority({ CertificateAuthorityArn, Status: 'DISABLED' }).promise();
      await authorities.deleteCertificateAuthority({ CertificateAuthorityArn }).promise();
    });
    assert.deepEqual(outcome(connector), ['FAILED', 'PRIVATECA_RESOURCE_NOT_FOUND', undefined]);
  });

  it('ends as PRIVATECA_INVALID_STATE when its CA was disabled', async () => {
    const connector = await settled({}, CertificateAuthorityArn =>
      authorities.updateCertificateAuthority({ CertificateAuthorityArn, Status: 'DISABLED' }).promise(),
    );
    assert.deepEqual(outcome(connector), ['FAILED', 'PRIVATECA_INVALID_STATE', undefined]);
  });

  it("ends as PRIVATECA_ACCESS_DENIED when its CA's policy denies the connector service, and not when it denies another", async () => {
    const putPolicy = (text: string) => (ResourceArn: string) => authorities.putPolicy({ ResourceArn, Policy: text }).promise();
    assert.deepEqual(outcome(await settled({}, putPolicy(policy('Deny', connectorService)))), [
      'FAILED',
      'PRIVATECA_ACCESS_DENIED',
      undefined,
    ]);
    await server[Symbol.asyncDispose]();
    await start();
    assert.equal((await settled({}, putPolicy(policy('Deny', { Service: 'pca-connector-ad.amazonaws.com' })))).Status, 'ACTIVE');
  });

  it('ends as INTERNAL_FAILURE when the key of its CA cannot be opened', async () => {
    const connector = await settled({}, async CertificateAuthorityArn => {
      const { caId = '' } = parseCertificateAuthorityArn(CertificateAuthorityArn) ?? {};
      const changed = { sealed_key: new Uint8Array(64), updated_at: 0 };
      await server.database.query.updateTable('certificate_authorities').set(changed).where('ca_id', '=', caId).execute();
    });
    assert.deepEqual(outcome(connector), ['FAILED', 'INTERNAL_FAILURE', undefined]);
  });

  it('ends as VPC_ENDPOINT_RESOURCE_NOT_FOUND when nobody knows its endpoint', async () => {
    const connector = await settled({ VpcEndpointId: 'vpce-ffffffff' });
    assert.deepEqual(outcome(connector), ['FAILED', 'VPC_ENDPOINT_RESOURCE_NOT_FOUND', undefined]);
  });

  it('ends as VPC_ENDPOINT_DNS_ENTRIES_NOT_FOUND when its endpoint has no URL', async () => {
    const connector = await settled({ VpcEndpointId: bareEndpoint });
    assert.deepEqual(outcome(connector), ['FAILED', 'VPC_ENDPOINT_DNS_ENTRIES_NOT_FOUND', undefined]);
  });

  it('has the URL of its private endpoint, and never says its id', async () => {
    const connector = await settled({ VpcEndpointId: knownEndpoint });
    assert.equal(connector.Status, 'ACTIVE');
    assert.match(String(connector.Endpoint), /^https:\/\/scep\.plant\.example\/111122223333-/);
    assert.ok(!JSON.stringify(connector).includes('vpce-'));
  });
});

describe('under SCEP_COMPATIBILITY=aws a connector', () => {
  beforeEach(() => start({ SCEP_COMPATIBILITY: 'aws' }));

  it('ends as PRIVATECA_ACCESS_DENIED unless the policy of its CA admits the connector service', async () => {
    assert.deepEqual(outcome(await settled()), ['FAILED', 'PRIVATECA_ACCESS_DENIED', undefined]);
  });

  it('becomes ACTIVE once PutPolicy has admitted it', async () => {
    const Policy = policy('Allow', connectorService);
    const { Status } = await settled({}, ResourceArn => authorities.putPolicy({ ResourceArn, Policy }).promise());
    assert.equal(Status, 'ACTIVE');
  });
});
