/** The first start on an empty store: an administrator's access key, a root CA, one active connector and one challenge. */

import type { KeyAlgorithm } from '../backends/ca/embedded-ca.ts';
import { deleteAccessKey, listAccessKeys } from '../backends/store/access-keys.ts';
import { listCertificateAuthorities } from '../backends/store/certificate-authorities.ts';
import { listConnectors } from '../backends/store/connectors.ts';
import type { ConnectorRow, Database } from '../backends/store/database.ts';
import { findStoreProperty, insertStoreProperty } from '../backends/store/store-properties.ts';
import { fingerprint } from '../base/pki/x509.ts';
import { certificateAuthorityArn, connectorArn, type Home, type Principal } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import type { AccessKeys, NewAccessKey } from './access-keys.ts';
import type { CertificateAuthorities } from './certificate-authorities.ts';
import type { Challenges } from './challenges.ts';
import type { Connectors } from './connectors.ts';
import type { Lifecycle } from './lifecycle.ts';

const doneProperty = 'bootstrap';
const administrator = 'administrator';
const staleKeysMax = 100;

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
  /** Whether more than the access key is made. */
  withConnector: boolean;
  /** Puts the new access key where the administrator finds it. */
  saveAccessKey: (key: NewAccessKey) => Promise<void>;
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
 * Undefined when the store was bootstrapped before. A start that was cut short is taken up again: what it made is found and kept, but for the access
 * key, whose secret may have been lost with it.
 */
export async function bootstrap(parts: BootstrapParts, options: BootstrapOptions): Promise<FirstStart | undefined> {
  const { database } = parts;
  if ((await findStoreProperty(database.query, doneProperty)) !== undefined) return undefined;
  const home: Home = { accountId: options.accountId, region: options.region };
  const connector = options.withConnector ? await createFirstConnector(parts, home, options.keyAlgorithm) : undefined;
  for (const key of await listAccessKeys(database.query, { accountId: home.accountId, limit: staleKeysMax })) {
    if (key.name === administrator) await deleteAccessKey(database.query, { accountId: home.accountId, accessKeyId: key.access_key_id });
  }
  await options.saveAccessKey(await parts.accessKeys.createAccessKey({ accountId: home.accountId, name: administrator }));
  await insertStoreProperty(database.query, doneProperty, Buffer.from('done'));
  return connector === undefined ? {} : { connector };
}

async function createFirstConnector(parts: BootstrapParts, home: Home, keyAlgorithm: KeyAlgorithm): Promise<FirstConnector> {
  const { certificateAuthorities, challenges } = parts;
  const principal: Principal = { accountId: home.accountId, arn: `arn:aws:iam::${home.accountId}:root`, accessKeyId: '' };
  const caArn = await findOrCreateAuthority(parts, home, keyAlgorithm);
  const { connector_id: connectorId, endpoint_secret: endpointSecret } = await findOrCreateConnector(parts, home, principal, caArn);
  const challengePassword = await findOrCreateChallenge(challenges, principal, connectorArn(home, connectorId));
  const { authority } = await certificateAuthorities.openAuthority(caArn);
  const { der: caCertificate } = authority.certificates[0];
  return { connectorId, endpointSecret, challengePassword, caFingerprint: fingerprint(caCertificate), caCertificate };
}

async function findOrCreateAuthority(
  { certificateAuthorities, database, system }: BootstrapParts,
  home: Home,
  keyAlgorithm: KeyAlgorithm,
): Promise<string> {
  const [known] = await listCertificateAuthorities(database.query, { ...home, limit: 1 });
  if (known !== undefined) return certificateAuthorityArn(home, known.ca_id);
  // Two installations must not have roots of the same name: devices that know both could not tell them apart.
  const name = Buffer.from(system.randomBytes(4)).toString('hex');
  return certificateAuthorities.createRootCertificateAuthority(home, {
    keyAlgorithm,
    subject: `CN=SCEP Root CA ${name},O=Open Connector for SCEP`,
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
