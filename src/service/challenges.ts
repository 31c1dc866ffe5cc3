/** Challenges: the passwords of a general-purpose connector, sealed at rest and compared by their MACs. */
import { timingSafeEqual } from 'node:crypto';
import type { KeyProtector } from '../backends/key-protector.ts';
import {
  countChallenges,
  deleteChallenge,
  findChallenge,
  insertChallenge,
  listChallengeMacs,
  listChallenges,
} from '../backends/store/challenges.ts';
import type { ChallengeRow, ConnectorRow, Database, Query } from '../backends/store/database.ts';
import { deleteAllTags, putTags } from '../backends/store/tags.ts';
import { conflict, resourceNotFound, validationException } from '../base/errors.ts';
import type { Quotas } from '../base/quotas.ts';
import {
  type Challenge,
  type ChallengeMetadata,
  challengeArn,
  connectorArn,
  type Home,
  type Principal,
  parseChallengeArn,
} from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { createOnce, tokenReusedMessage } from './client-tokens.ts';
import { connectorIdOf, getConnectorRow, type PageRequest } from './connectors.ts';
import { checkQuota } from './quotas.ts';
import { checkTags } from './tag-limits.ts';

interface ChallengesDependencies {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
  region: string;
  quotas: Quotas;
}

interface CreateChallengeRequest {
  ConnectorArn: string;
  ClientToken?: string;
  Tags?: Record<string, string>;
}

export class Challenges {
  readonly #dependencies: ChallengesDependencies;

  constructor(dependencies: ChallengesDependencies) {
    this.#dependencies = dependencies;
  }

  async createChallenge(principal: Principal, request: CreateChallengeRequest): Promise<{ Challenge: Challenge }> {
    const { database, system, quotas } = this.#dependencies;
    const { ClientToken, ...parameters } = request;
    const { ConnectorArn, Tags = {} } = parameters;
    checkTags(Tags);
    const home = this.#homeOf(principal);
    const now = system.now();
    // Sealed beforehand, as a key protector may be slow and a transaction keeps every other one waiting.
    const fresh = await this.#newChallengeRow(home, connectorIdOf(home, ConnectorArn), now);
    const row = await database.transaction(async query => {
      const mismatch = (resourceArn: string) => conflict('Challenge', resourceArn, tokenReusedMessage);
      const once = { accountId: home.accountId, operation: 'CreateChallenge', ClientToken, parameters, now, mismatch } as const;
      const arn = await createOnce(query, once, async () => {
        checkTakesChallenges(await getConnectorRow(query, home, ConnectorArn));
        checkQuota('CHALLENGES', quotas.resources.CHALLENGES, await countChallenges(query, fresh.connector_id));
        await insertChallenge(query, fresh);
        await putTags(query, arnOf(fresh), Tags);
        return arnOf(fresh);
      });
      return getChallengeRow(query, home, arn);
    });
    return { Challenge: { ...describe(row), Password: await this.#unseal(row) } };
  }

  async getChallengeMetadata(principal: Principal, ChallengeArn: string): Promise<{ ChallengeMetadata: ChallengeMetadata }> {
    const row = await getChallengeRow(this.#dependencies.database.query, this.#homeOf(principal), ChallengeArn);
    return { ChallengeMetadata: describe(row) };
  }

  async listChallengeMetadata(
    principal: Principal,
    ConnectorArn: string,
    { limit, after }: PageRequest,
  ): Promise<{ Challenges: ChallengeMetadata[]; next?: string }> {
    const { query } = this.#dependencies.database;
    const { connector_id: connectorId } = await getConnectorRow(query, this.#homeOf(principal), ConnectorArn);
    // One more than asked for tells whether there is a next page.
    const rows = await listChallenges(query, { connectorId, afterId: after, limit: limit + 1 });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return { Challenges: page.map(describe), ...(rows.length > limit && last && { next: last.challenge_id }) };
  }

  async getChallengePassword(principal: Principal, ChallengeArn: string): Promise<{ Password: string }> {
    const row = await getChallengeRow(this.#dependencies.database.query, this.#homeOf(principal), ChallengeArn);
    return { Password: await this.#unseal(row) };
  }

  /** At once: the next enrolment with its password is refused. */
  async deleteChallenge(principal: Principal, ChallengeArn: string): Promise<Record<string, never>> {
    await this.#dependencies.database.transaction(async query => {
      const row = await getChallengeRow(query, this.#homeOf(principal), ChallengeArn);
      await deleteChallenge(query, row.challenge_id);
      await deleteAllTags(query, ChallengeArn);
    });
    return {};
  }

  /** The id of the connector's challenge whose password this is. The time taken does not tell how near a candidate came, nor which one it was. */
  async verifyChallengePassword(connectorId: string, candidate: string): Promise<string | undefined> {
    const { database, keyProtector } = this.#dependencies;
    const mac = await keyProtector.mac(Buffer.from(candidate), macPurpose(connectorId));
    let match: string | undefined;
    for (const { challenge_id, password_mac } of await listChallengeMacs(database.query, connectorId)) {
      if (timingSafeEqual(password_mac, mac)) match = challenge_id;
    }
    return match;
  }

  /** The password is a random UUID, 122 bits: AWS gives it that form. */
  async #newChallengeRow({ accountId, region }: Home, connectorId: string, now: number): Promise<ChallengeRow> {
    const { keyProtector, system } = this.#dependencies;
    const challenge_id = system.randomUUID();
    const password = Buffer.from(system.randomUUID());
    return {
      challenge_id,
      connector_id: connectorId,
      account_id: accountId,
      region,
      sealed_password: await keyProtector.seal(password, sealContext(challenge_id)),
      password_mac: await keyProtector.mac(password, macPurpose(connectorId)),
      created_at: now,
      updated_at: now,
    };
  }

  async #unseal(row: ChallengeRow): Promise<string> {
    const password = await this.#dependencies.keyProtector.unseal(row.sealed_password, sealContext(row.challenge_id));
    return Buffer.from(password).toString();
  }

  #homeOf({ accountId }: Principal): Home {
    return { accountId, region: this.#dependencies.region };
  }
}

/** The challenge in the caller's account and Region that the ARN names exactly, partition included. */
export async function getChallengeRow(query: Query, home: Home, arn: string): Promise<ChallengeRow> {
  const parts = parseChallengeArn(arn);
  if (!parts || challengeArn(home, parts.connectorId, parts.challengeId) !== arn) throw resourceNotFound('Challenge', arn);
  const row = await findChallenge(query, parts);
  if (!row) throw resourceNotFound('Challenge', arn);
  return row;
}

/** Throws ValidationException. */
export function checkTakesChallenges({ type, status }: ConnectorRow): void {
  if (type !== 'GENERAL_PURPOSE') {
    throw validationException('Only general-purpose connectors have challenges; Intune makes its own.', 'INVALID_CONNECTOR_TYPE');
  }
  if (status !== 'ACTIVE') throw validationException(`The connector is not active, but ${status}.`, 'INVALID_STATE');
}

function arnOf({ account_id: accountId, region, connector_id, challenge_id }: ChallengeRow): string {
  return challengeArn({ accountId, region }, connector_id, challenge_id);
}

function describe(row: ChallengeRow): ChallengeMetadata {
  const home = { accountId: row.account_id, region: row.region };
  return {
    Arn: arnOf(row),
    ConnectorArn: connectorArn(home, row.connector_id),
    CreatedAt: row.created_at,
    UpdatedAt: row.updated_at,
  };
}

function sealContext(challengeId: string): string {
  return `challenges/${challengeId}`;
}

function macPurpose(connectorId: string): string {
  return `challenge-password/${connectorId}`;
}
