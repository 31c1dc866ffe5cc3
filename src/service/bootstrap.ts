/** The first start on an empty store: an administrator's access key, a root CA, one active connector and one challenge. */

import { findAccessKey } from '../backends/store/access-keys.ts';
import { listCertificateAuthorities } from '../backends/store/certificate-authorities.ts';
import { listConnectors } from '../backends/store/connectors.ts';
import type { ConnectorRow, Database } from '../backends/store/database.ts';
import { findStoreProperty, insertStoreProperty } from '../backends/store/store-properties.ts';
import { fingerprint } from '../base/pki/x509.ts';
import { connectorService, type KeyAlgorithm } from '../base/private-ca.ts';
import { certificateAuthorityArn, connectorArn, type Home, type Principal } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import type { AccessKeys, NewAccessKey } from './access-keys.ts';
import type { CertificateAuthorities } from './certificate-authorities.ts';
import type { Challenges } from './challenges.ts';
import type { Connectors } from './connectors.ts';
import type { Lifecycle } from './lifecycle.ts';

const doneProperty = 'bootstrap';

/** What the RAM share that AWS's guide makes says: the connector service may issue from the CA. */
const connectorServiceGrant = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: connectorService }, Action: 'acm-pca:*', Resource: '*' }],
});

export interface BootstrapParts {
  database: Database;
  system: System;
  accessKeys: AccessKeys;
  certificateAuthorities: CertificateAuthorities;
  challenges: Challenges;
  connectors: Connectors;
  lifecycle: Lifecycle;
}

export interface BootstrapOptions extends Home {
  keyAlgorithm: KeyAlgorithm;
  /** Under 'aws' a CA's policy has to admit connectors. */
  compatibility: 'clients' | 'aws';
  /** Whether more than the access key is made. */
  withConnector: boolean;
  credentials: Credentials;
}

/** Where the administrator finds the first access key. */
export interface Credentials {
  /** The id of the key that is there. */
  findAccessKeyId(): Promise<string | undefined>;
  save(key: NewAccessKey): Promise<void>;
}

/** What a person is shown once. */
export interface FirstConnector {
  connectorId: string;
  endpointSecret: string;
  challengePassword: string;
  caFingerprint: string;
  caCertificate: Uint8Array;
}

export interface FirstStart {
  connector?: FirstConnector;
}

/**
 * Undefined once a first start was confirmed. One that was cut short before a person was shown what it made is taken up again, and what it made is
 * found and kept.
 */
export async function bootstrap(parts: BootstrapParts, options: BootstrapOptions): Promise<FirstStart | undefined> {
  const { database } = parts;
  if ((await findStoreProperty(database.query, doneProperty)) !== undefined) return undefined;
  const home: Home = { accountId: options.accountId, region: options.region };
  const connector = options.withConnector ? await createFirstConnector(parts, home, options) : undefined;
  const savedId = await options.credentials.findAccessKeyId();
  const isSaved = savedId !== undefined && (await findAccessKey(database.query, savedId)) !== undefined;
  if (!isSaved) await options.credentials.save(await parts.accessKeys.createAccessKey({ accountId: home.accountId }));
  return connector === undefined ? {} : { connector };
}

/** What the first start made was shown: it is not shown again. */
export async function confirmFirstStart(database: Database): Promise<void> {
  await insertStoreProperty(database.query, doneProperty, Buffer.from('done'));
}

async function createFirstConnector(parts: BootstrapParts, home: Home, options: BootstrapOptions): Promise<FirstConnector> {
  const { certificateAuthorities, challenges } = parts;
  const principal: Principal = { accountId: home.accountId, arn: `arn:aws:iam::${home.accountId}:root`, userName: 'root', accessKeyId: '' };
  const caArn = await findOrCreateAuthority(parts, home, options);
  const { connector_id: connectorId, endpoint_secret: endpointSecret } = await findOrCreateConnector(parts, home, principal, caArn);
  const challengePassword = await findOrCreateChallenge(challenges, principal, connectorArn(home, connectorId));
  const { authority } = await certificateAuthorities.openAuthority(caArn);
  const { der: caCertificate } = authority.certificates[0];
  return { connectorId, endpointSecret, challengePassword, caFingerprint: fingerprint(caCertificate), caCertificate };
}

async function findOrCreateAuthority(
  { certificateAuthorities, database, system }: BootstrapParts,
  home: Home,
  { keyAlgorithm, compatibility }: BootstrapOptions,
): Promise<string> {
  const [known] = await listCertificateAuthorities(database.query, { ...home, limit: 1 });
  if (known !== undefined) return certificateAuthorityArn(home, known.ca_id);
  // Two installations must not have roots of the same name: devices that know both could not tell them apart.
  const name = Buffer.from(system.randomBytes(4)).toString('hex');
  return certificateAuthorities.createRootCertificateAuthority(home, {
    keyAlgorithm,
    subject: `CN=SCEP Root CA ${name},O=Open Connector for SCEP`,
    policy: compatibility === 'aws' ? connectorServiceGrant : undefined,
  });
}

async function findOrCreateConnector(parts: BootstrapParts, home: Home, principal: Principal, caArn: string): Promise<ConnectorRow> {
  const { connectors, database, lifecycle } = parts;
  const [known] = await listConnectors(database.query, { ...home, limit: 1 });
  if (known === undefined) await connectors.createConnector(principal, { CertificateAuthorityArn: caArn });
  await lifecycle.settle();
  const [row] = await listConnectors(database.query, { ...home, limit: 1 });
  if (row?.status !== 'ACTIVE') throw new Error('the first connector did not become active');
  return row;
}

async function findOrCreateChallenge(challenges: Challenges, principal: Principal, ConnectorArn: string): Promise<string> {
  const {
    Challenges: [known],
  } = await challenges.listChallengeMetadata(principal, ConnectorArn, { limit: 1 });
  if (known !== undefined) return (await challenges.getChallengePassword(principal, known.Arn)).Password;
  return (await challenges.createChallenge(principal, { ConnectorArn })).Challenge.Password;
}
