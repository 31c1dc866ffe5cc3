/** The keys of the connectors that are OpenID issuers: made, published before they sign and after, renewed. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { generatePrivateKey } from '../backends/ca/embedded-ca.ts';
import { discoveryDocument, publicJwkOf, signAssertion } from '../backends/intune/oidc-issuer.ts';
import type { KeyProtector } from '../backends/key-protector.ts';
import { findConnectorById } from '../backends/store/connectors.ts';
import { attempt, type ConnectorRow, type Database, type OidcKeyRow, type Query } from '../backends/store/database.ts';
import { deleteOidcKeysReplacedBefore, insertOidcKey, listConnectorsDueForOidcKey, listOidcKeys } from '../backends/store/oidc-keys.ts';
import { type Log, oidcKeyMade } from '../base/events.ts';
import type { System } from '../base/system.ts';
import type { Audit } from './audit.ts';
import { exportKey } from './certificate-authorities.ts';
import { type IssuerParts, openIdConfigurationOf } from './openid-configuration.ts';
import type { NamedConnector } from './scep-requests.ts';
import { dayMs } from './validity.ts';

export const oidcKeyLimits = {
  lifeMs: 90 * dayMs,
  /** A new key signs only when every cache of the key set has it; an old one stays until all that it has signed has ended, and longer. */
  publishedBeforeMs: 2 * dayMs,
  publishedAfterMs: 2 * dayMs,
  keysPerStepMax: 10,
  openKeysMax: 10_000,
} as const;

interface OidcKeysParts {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
  audit: Audit;
  log: Log;
  issuer: IssuerParts;
}

export class OidcKeys {
  readonly #parts: OidcKeysParts;
  /** Opened keys by key_id. Which of them a connector has is asked of the store each time, so a deleted one never signs. */
  readonly #open = new LRUCache<string, KeyObject>({ max: oidcKeyLimits.openKeysMax });

  constructor(parts: OidcKeysParts) {
    this.#parts = parts;
  }

  /** What the connector tells Entra ID of itself, signed with the key that signs now. */
  async signAssertion(connector: NamedConnector): Promise<string> {
    const { database, issuer: issuerParts, system } = this.#parts;
    const now = system.now();
    const keys = await listOidcKeys(database.query, connector.connectorId);
    // The newest that everyone knows; the first of all has nobody who would know another.
    const key = keys.find(({ created_at: createdAt }) => createdAt <= now - oidcKeyLimits.publishedBeforeMs) ?? keys.at(-1);
    if (key === undefined) throw new Error(`connector ${connector.connectorId} has no key to sign assertions with`);
    const { Issuer: issuer, Subject: subject, Audience: audience } = openIdConfigurationOf(connector, issuerParts);
    const signing = { privateKey: await this.#openKey(key), keyId: key.key_id, now, jwtId: system.randomUUID() };
    return signAssertion({ ...signing, issuer, subject, audience });
  }

  /** Undefined when the URL leads to no issuer. */
  async findDiscoveryDocument(accountId: string, connectorId: string): Promise<object | undefined> {
    const row = await this.#findIssuer(accountId, connectorId);
    return row && discoveryDocument(openIdConfigurationOf({ accountId, region: row.region, connectorId }, this.#parts.issuer).Issuer);
  }

  /** The JWK set: every key that signs, or signed, or will. Undefined when the URL leads to no issuer. */
  async findKeySet(accountId: string, connectorId: string): Promise<{ keys: object[] } | undefined> {
    if ((await this.#findIssuer(accountId, connectorId)) === undefined) return undefined;
    const keys = await listOidcKeys(this.#parts.database.query, connectorId);
    return { keys: keys.map(({ public_jwk: publicJwk }) => JSON.parse(publicJwk) as object) };
  }

  async #findIssuer(accountId: string, connectorId: string): Promise<ConnectorRow | undefined> {
    const row = await findConnectorById(this.#parts.database.query, connectorId);
    return row?.account_id === accountId && row.type === 'INTUNE' && row.status === 'ACTIVE' ? row : undefined;
  }

  /** Gives a connector that is being made its first key, unless an attempt before has. */
  async createFirstKey(connector: ConnectorRow): Promise<void> {
    await this.#createKey(connector, async query => (await listOidcKeys(query, connector.connector_id)).length === 0);
  }

  /** Gives a few connectors that are due their next key, and deletes a few that are no longer of use. */
  async rotate(): Promise<void> {
    const { database, log, system } = this.#parts;
    const { lifeMs, publishedBeforeMs, publishedAfterMs, keysPerStepMax: limit } = oidcKeyLimits;
    const now = system.now();
    const madeBefore = now - lifeMs;
    for (const connector of await listConnectorsDueForOidcKey(database.query, { madeBefore, limit })) {
      const { connector_id: connectorId } = connector;
      const isDue = async (query: Query) => ((await listOidcKeys(query, connectorId))[0]?.created_at ?? 0) <= madeBefore;
      if (await this.#createKey(connector, isDue)) log.info({ connectorId }, 'a new key of the OpenID issuer is published, and will sign');
    }
    const replacedBefore = now - publishedBeforeMs - publishedAfterMs;
    for (const keyId of await deleteOidcKeysReplacedBefore(database.query, replacedBefore, limit)) this.#open.delete(keyId);
  }

  /** Whether it was made: many nodes may be at it. */
  async #createKey(connector: ConnectorRow, isDue: (query: Query) => Promise<boolean>): Promise<boolean> {
    const { audit, database, keyProtector, system } = this.#parts;
    const { account_id: accountId, region, connector_id: connectorId } = connector;
    const privateKey = await generatePrivateKey('RSA_2048');
    const publicJwk = await publicJwkOf(privateKey);
    const row: OidcKeyRow = {
      key_id: publicJwk.kid,
      connector_id: connectorId,
      public_jwk: JSON.stringify(publicJwk),
      sealed_key: await keyProtector.seal(exportKey(privateKey), sealingContext(publicJwk.kid)),
      created_at: system.now(),
    };
    const event = oidcKeyMade({ accountId, region, connectorId }, { keyId: publicJwk.kid });
    const isMade = await attempt(database, async query => {
      const status = (await findConnectorById(query, connectorId))?.status;
      if ((status !== 'CREATING' && status !== 'ACTIVE') || !(await isDue(query))) return false;
      await insertOidcKey(query, row);
      await audit.insert(query, event);
      return true;
    });
    if (isMade) audit.log(event);
    return isMade;
  }

  async #openKey(row: OidcKeyRow): Promise<KeyObject> {
    const known = this.#open.get(row.key_id);
    if (known !== undefined) return known;
    const pkcs8 = await this.#parts.keyProtector.unseal(row.sealed_key, sealingContext(row.key_id));
    const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    this.#open.set(row.key_id, privateKey);
    return privateKey;
  }
}

function sealingContext(keyId: string): string {
  return `oidc-keys/${keyId}`;
}
