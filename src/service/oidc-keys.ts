/** The OpenID issuers of INTUNE connectors: their keys made, rotated and published, and the assertions signed with them. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { generatePrivateKey } from '../backends/ca/embedded-ca.ts';
import { MicrosoftError } from '../backends/intune/microsoft-error.ts';
import {
  type DiscoveryDocument,
  describePublicKey,
  discoveryDocument,
  type PublishedKey,
  signAssertion,
} from '../backends/intune/oidc-issuer.ts';
import type { KeyProtector } from '../backends/key-protector.ts';
import { findConnector, findConnectorById } from '../backends/store/connectors.ts';
import { attempt, type ConnectorRow, type Database, type OidcKeyRow, type Query, StoreError } from '../backends/store/database.ts';
import { deleteSupersededOidcKeys, insertOidcKey, listConnectorsDueForOidcKey, listOidcKeys } from '../backends/store/oidc-keys.ts';
import { type AuditEvent, type Log, oidcKeyRotated, oidcKeyRotationFailed } from '../base/events.ts';
import type { ConnectorStatus, Home } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import type { Audit } from './audit.ts';
import { exportKey } from './certificate-authorities.ts';
import type { Endpoints } from './endpoints.ts';
import { openIdConfigurationOf } from './openid-configuration.ts';
import { dayMs } from './validity.ts';

/**
 * A key signs from `publishedBeforeMs` after it was made until its successor does, and is published from the beginning until `publishedAfterMs` after
 * that: longer than any assertion lives and than a verifier keeps the key set, a time that Entra ID does not document and that is taken to be less
 * than a day. Azure's own clusters have a new key every three months, too.
 */
export const oidcKeyLimits = {
  keyLifeMs: 90 * dayMs,
  publishedBeforeMs: 2 * dayMs,
  publishedAfterMs: 2 * dayMs,
  rotatedPerStepMax: 5,
  deletedPerStepMax: 100,
  /** Between attempts to rotate a connector's key. */
  retryMs: 10 * 60_000,
  openKeysMax: 10_000,
} as const;

interface OidcKeysParts {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
  audit: Audit;
  log: Log;
  endpoints: Endpoints;
  /** Whom the assertions are for. */
  audience: string;
}

type ConnectorId = Home & { connectorId: string };

export class OidcKeys {
  readonly #parts: OidcKeysParts;
  /** Opened private keys by key_id. Which of them a connector has is asked of the store each time, so a deleted one is never used. */
  readonly #open = new LRUCache<string, KeyObject>({ max: oidcKeyLimits.openKeysMax });
  /** The connectors whose rotation has failed, and until when they are left alone. */
  readonly #postponed = new Map<string, number>();

  constructor(parts: OidcKeysParts) {
    this.#parts = parts;
  }

  /** The first key of a connector that is CREATING. A creation that is begun again finds it and keeps it. */
  async createKey(connector: ConnectorRow): Promise<void> {
    const { database } = this.#parts;
    const connectorId = connector.connector_id;
    const hasKey = async (query: Query) => (await listOidcKeys(query, connectorId)).length > 0;
    if (await hasKey(database.query)) return;
    const row = await this.#makeKey(connectorId);
    await attempt(database, async query => {
      if ((await findConnectorById(query, connectorId))?.status !== 'CREATING' || (await hasKey(query))) return false;
      await insertOidcKey(query, row);
      return true;
    });
  }

  /** Gives a few of the connectors that are due their next key, those of an older version's store their first, and deletes keys that nobody needs any more. */
  async rotate(): Promise<void> {
    const { database, system } = this.#parts;
    const { publishedBeforeMs, publishedAfterMs, keyLifeMs } = oidcKeyLimits;
    const now = system.now();
    const supersededAt = now - publishedBeforeMs - publishedAfterMs;
    const deleted = await deleteSupersededOidcKeys(database.query, supersededAt, oidcKeyLimits.deletedPerStepMax);
    for (const keyId of deleted) this.#open.delete(keyId);
    for (const [connectorId, until] of this.#postponed) if (until <= now) this.#postponed.delete(connectorId);
    const due = { madeBefore: now - keyLifeMs, except: [...this.#postponed.keys()], limit: oidcKeyLimits.rotatedPerStepMax };
    for (const connector of await listConnectorsDueForOidcKey(database.query, due)) await this.#rotateOrPostpone(connector);
  }

  async #rotateOrPostpone(connector: ConnectorRow): Promise<void> {
    const { audit, log, system } = this.#parts;
    const connectorId = connector.connector_id;
    try {
      await this.#rotateKey(connector);
    } catch (error) {
      if (error instanceof StoreError) throw error;
      log.error({ err: error, connectorId }, 'the OIDC key of a connector could not be rotated');
      const retryAt = system.now() + oidcKeyLimits.retryMs;
      this.#postponed.set(connectorId, retryAt);
      await audit.record(oidcKeyRotationFailed(subjectOf(connector), 'An internal error occurred.', { retryAt }));
    }
  }

  /** Nothing comes of it when another node was faster, or the connector is no longer ACTIVE. */
  async #rotateKey(connector: ConnectorRow): Promise<void> {
    const { audit, database } = this.#parts;
    const connectorId = connector.connector_id;
    const row = await this.#makeKey(connectorId);
    const madeBefore = row.created_at - oidcKeyLimits.keyLifeMs;
    let event: AuditEvent | undefined;
    const isRotated = await attempt(database, async query => {
      const [newest] = await listOidcKeys(query, connectorId);
      if (newest !== undefined && newest.created_at > madeBefore) return false;
      if ((await findConnectorById(query, connectorId))?.status !== 'ACTIVE') return false;
      const signsFromAt = row.created_at + (newest === undefined ? 0 : oidcKeyLimits.publishedBeforeMs);
      event = oidcKeyRotated(subjectOf(connector), { keyId: row.key_id, signsFromAt });
      await insertOidcKey(query, row);
      await audit.insert(query, event);
      return true;
    });
    if (isRotated && event !== undefined) audit.log(event);
  }

  async #makeKey(connectorId: string): Promise<OidcKeyRow> {
    const { keyProtector, system } = this.#parts;
    const privateKey = await generatePrivateKey('RSA_2048');
    const publicKey = await describePublicKey(privateKey);
    return {
      key_id: publicKey.kid,
      connector_id: connectorId,
      public_jwk: JSON.stringify(publicKey),
      sealed_key: await keyProtector.seal(exportKey(privateKey), sealingContext(publicKey.kid)),
      created_at: system.now(),
    };
  }

  /** What the connector shows Entra ID to be given a token, and until when that is good. Throws MicrosoftError when there is no such connector that is ACTIVE. */
  async signAssertion({ accountId, region, connectorId }: ConnectorId): Promise<{ assertion: string; expiresAt: number }> {
    const { database, system } = this.#parts;
    const connector = await findConnector(database.query, { accountId, region, connectorId });
    if (!isIssuer(connector, ['ACTIVE'])) throw notSigning('There is no such connector that signs assertions.');
    const now = system.now();
    const key = signingKeyOf(await listOidcKeys(database.query, connectorId), now);
    if (key === undefined) throw notSigning('The connector has no OIDC key yet.');
    const { Issuer, Subject, Audience } = openIdConfigurationOf(connector, this.#parts);
    return signAssertion({
      privateKey: await this.#openKey(key),
      keyId: key.key_id,
      issuer: Issuer,
      subject: Subject,
      audience: Audience,
      now,
      jwtId: system.randomUUID(),
    });
  }

  async #openKey({ key_id: keyId, sealed_key: sealedKey }: OidcKeyRow): Promise<KeyObject> {
    const known = this.#open.get(keyId);
    if (known !== undefined) return known;
    const pkcs8 = await this.#parts.keyProtector.unseal(sealedKey, sealingContext(keyId));
    const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    this.#open.set(keyId, privateKey);
    return privateKey;
  }

  /** Of the issuer at `{accountId}-{connectorId}`, if there is one. */
  async findDiscoveryDocument(accountId: string, connectorId: string): Promise<DiscoveryDocument | undefined> {
    const connector = await this.#findPublished(accountId, connectorId);
    return connector && discoveryDocument(openIdConfigurationOf(connector, this.#parts).Issuer);
  }

  /** The keys of that issuer (RFC 7517 section 5). Undefined rather than empty, which a verifier might keep in mind. */
  async findKeySet(accountId: string, connectorId: string): Promise<{ keys: PublishedKey[] } | undefined> {
    if ((await this.#findPublished(accountId, connectorId)) === undefined) return undefined;
    const rows = await listOidcKeys(this.#parts.database.query, connectorId);
    return rows.length === 0 ? undefined : { keys: rows.map(row => JSON.parse(row.public_jwk) as PublishedKey) };
  }

  /** One that is DELETING signs no more, but what it has signed can still be verified. */
  async #findPublished(accountId: string, connectorId: string): Promise<ConnectorRow | undefined> {
    const connector = await findConnectorById(this.#parts.database.query, connectorId);
    return isIssuer(connector, ['ACTIVE', 'DELETING']) && connector.account_id === accountId ? connector : undefined;
  }
}

/** It passes, as an outage of Microsoft's does. */
function notSigning(message: string): MicrosoftError {
  return new MicrosoftError({ reason: 'unreachable', service: 'The issuer' }, message);
}

/** Of all its keys, newest first, the newest that has been published for long enough; before there is one, the first, which verifiers cannot have missed. */
function signingKeyOf(rows: readonly OidcKeyRow[], now: number): OidcKeyRow | undefined {
  return rows.find(row => row.created_at + oidcKeyLimits.publishedBeforeMs <= now) ?? rows.at(-1);
}

function isIssuer(connector: ConnectorRow | undefined, statuses: readonly ConnectorStatus[]): connector is ConnectorRow {
  return connector?.type === 'INTUNE' && statuses.includes(connector.status);
}

function subjectOf(connector: ConnectorRow): ConnectorId {
  return { accountId: connector.account_id, region: connector.region, connectorId: connector.connector_id };
}

function sealingContext(keyId: string): string {
  return `oidc-keys/${keyId}`;
}
