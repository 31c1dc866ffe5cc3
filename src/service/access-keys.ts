/** Access keys: the API credentials of users, permanent or temporary; secrets are sealed and session tokens kept as MACs only. */
import { timingSafeEqual } from 'node:crypto';
import type { KeyProtector } from '../backends/key-protector.ts';
import {
  countAccessKeys,
  deleteAccessKey,
  deleteTemporaryAccessKeys,
  findAccessKey,
  insertAccessKey,
  listAccessKeys,
  updateAccessKeyStatus,
} from '../backends/store/access-keys.ts';
import type { AccessKeyRow, Database } from '../backends/store/database.ts';
import { resourceNotFound, validationException } from '../base/errors.ts';
import type { Principal } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import type { PageRequest } from './connectors.ts';
import { RevisionCache } from './revision-cache.ts';
import { checkLimit, checkPolicyDocument, sessionPolicyForm, sessionSeconds } from './user-limits.ts';
import { type Account, administratorName, checkUserExists, makeSureOfAdministrator, userArn } from './users.ts';

/** For so long an ended session is told that it has ended, and not that nobody knows it. */
const endedSessionKeptMs = 24 * 60 * 60_000;
const openedKeysMax = 1000;
const secretBytes = 30;
const sessionTokenBytes = 96;
const macBytes = 32;
const idCharacters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const idRandomLength = 16;
const idPrefix = { permanent: 'AKIA', temporary: 'ASIA' } as const;
/** Stands in for the key that does not exist. */
const decoyId = 'decoy';

interface AccessKeysDependencies {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
}

interface CreateAccessKeyRequest {
  accountId: string;
  /** Without one the key is the administrator's, who is made if need be. */
  userName?: string;
  /** Given: a temporary key with a session token. */
  durationSeconds?: number;
  /** Of a temporary key: narrows what its user may do. */
  sessionPolicy?: string;
}

/** Shown once, when it is made. */
export interface NewAccessKey {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  createdAt: number;
  expiresAt?: number;
}

export interface AccessKeyMetadata {
  UserName: string;
  AccessKeyId: string;
  Status: AccessKeyRow['status'];
  CreatedAt: number;
  /** Of a temporary one. */
  ExpiresAt?: number;
}

/** A key of an account and, where it is given, of that user of it. */
interface AccessKeyAddress {
  UserName?: string;
  AccessKeyId: string;
}

interface Credentials {
  AccessKeyId: string;
  SecretAccessKey: string;
  SessionToken: string;
  Expiration: number;
}

/** What a signature is verified with, and whom it then stands for. */
export interface AccessKeySecret {
  secretAccessKey: string;
  principal: Principal;
  expiresAt?: number;
}

/** A key with its secret, or the decoy in the place of one that is unknown. */
interface OpenedKey {
  row: AccessKeyRow | undefined;
  secretAccessKey: string;
}

export class AccessKeys {
  readonly #dependencies: AccessKeysDependencies;
  readonly #opened: RevisionCache<OpenedKey>;
  #decoy: Uint8Array | undefined;

  constructor(dependencies: AccessKeysDependencies) {
    this.#dependencies = dependencies;
    this.#opened = new RevisionCache(dependencies.database, openedKeysMax);
  }

  async createAccessKey(request: CreateAccessKeyRequest): Promise<NewAccessKey> {
    const { accountId, userName = administratorName, durationSeconds, sessionPolicy } = request;
    checkSession(durationSeconds, sessionPolicy);
    const { database, keyProtector, system } = this.#dependencies;
    const now = system.now();
    const kind = durationSeconds === undefined ? 'permanent' : 'temporary';
    const session = durationSeconds !== undefined && {
      sessionToken: randomText(system, sessionTokenBytes),
      expiresAt: now + durationSeconds * 1000,
    };
    const accessKeyId = newAccessKeyId(system, idPrefix[kind]);
    const secretAccessKey = randomText(system, secretBytes);
    // Sealed beforehand, as a key protector may be slow and a transaction keeps every other one waiting.
    const row: AccessKeyRow = {
      access_key_id: accessKeyId,
      account_id: accountId,
      user_name: userName,
      sealed_secret: await keyProtector.seal(Buffer.from(secretAccessKey), sealContext(accessKeyId)),
      session_token_mac: session ? await keyProtector.mac(Buffer.from(session.sessionToken), macPurpose(accessKeyId)) : null,
      session_policy: sessionPolicy ?? null,
      status: 'ACTIVE',
      expires_at: session ? session.expiresAt : null,
      created_at: now,
    };
    await database.transaction(async query => {
      const user = { accountId, userName };
      if (request.userName === undefined) await makeSureOfAdministrator(query, accountId, now);
      else await checkUserExists(query, user);
      if (session) await deleteTemporaryAccessKeys(query, user, now - endedSessionKeptMs);
      checkLimit(session ? 'SessionsPerUser' : 'AccessKeysPerUser', await countAccessKeys(query, user, kind));
      await insertAccessKey(query, row);
    });
    return { accessKeyId, secretAccessKey, createdAt: now, ...session };
  }

  /** Of one user, or of the whole account; temporary ones too, so that they can be deleted before their end. */
  async listAccessKeys(
    { accountId }: Account,
    { UserName: userName }: { UserName?: string },
    { limit, after }: PageRequest,
  ): Promise<{ AccessKeys: AccessKeyMetadata[]; next?: string }> {
    const { query } = this.#dependencies.database;
    if (userName !== undefined) await checkUserExists(query, { accountId, userName });
    const rows = await listAccessKeys(query, { accountId, userName, afterId: after, limit: limit + 1 });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return { AccessKeys: page.map(describe), ...(rows.length > limit && last && { next: last.access_key_id }) };
  }

  /** From the next request on. */
  async updateAccessKey(
    { accountId }: Account,
    { UserName: userName, AccessKeyId, Status }: AccessKeyAddress & { Status: AccessKeyRow['status'] },
  ): Promise<Record<string, never>> {
    const { query } = this.#dependencies.database;
    const isThere = await updateAccessKeyStatus(query, { accountId, userName, accessKeyId: AccessKeyId }, Status);
    if (!isThere) throw resourceNotFound('AccessKey', AccessKeyId);
    return {};
  }

  /** From the next request on. */
  async deleteAccessKey({ accountId }: Account, { UserName: userName, AccessKeyId }: AccessKeyAddress): Promise<Record<string, never>> {
    const isThere = await deleteAccessKey(this.#dependencies.database.query, { accountId, userName, accessKeyId: AccessKeyId });
    if (!isThere) throw resourceNotFound('AccessKey', AccessKeyId);
    return {};
  }

  /** For the caller itself. */
  async getSessionToken(
    { accountId, userName }: Principal,
    { DurationSeconds: durationSeconds = sessionSeconds.default, Policy }: { DurationSeconds?: number; Policy?: string },
  ): Promise<{ Credentials: Credentials }> {
    const sessionPolicy = Policy !== undefined && { sessionPolicy: Policy };
    const key = await this.createAccessKey({ accountId, userName, durationSeconds, ...sessionPolicy });
    const { accessKeyId, secretAccessKey, sessionToken = '', expiresAt = 0 } = key;
    const credentials = { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken, Expiration: expiresAt };
    return { Credentials: credentials };
  }

  /**
   * Undefined when the key is unknown or inactive, or when `sessionToken` is not its own; a permanent key has none. Each of these takes the work that
   * a good key does, so that the time taken does not tell them apart.
   */
  async findSecret(accessKeyId: string, sessionToken: string | undefined): Promise<AccessKeySecret | undefined> {
    const { row, secretAccessKey } = await this.#opened.get(accessKeyId, () => this.#open(accessKeyId));
    const isItsToken = await this.#isSessionToken(accessKeyId, row?.session_token_mac ?? null, sessionToken);
    if (row?.status !== 'ACTIVE' || !isItsToken) return undefined;
    const user = { accountId: row.account_id, userName: row.user_name };
    return {
      secretAccessKey,
      principal: { ...user, arn: userArn(user), accessKeyId, ...(row.session_policy !== null && { sessionPolicy: row.session_policy }) },
      ...(row.expires_at !== null && { expiresAt: row.expires_at }),
    };
  }

  async #open(accessKeyId: string): Promise<OpenedKey> {
    const { database, keyProtector } = this.#dependencies;
    const row = await findAccessKey(database.query, accessKeyId);
    const secret = row
      ? await keyProtector.unseal(row.sealed_secret, sealContext(accessKeyId))
      : await keyProtector.unseal(await this.#sealedDecoy(), sealContext(decoyId));
    return { row, secretAccessKey: Buffer.from(secret).toString() };
  }

  async #isSessionToken(accessKeyId: string, expected: Uint8Array | null, sessionToken: string | undefined): Promise<boolean> {
    if (sessionToken === undefined) return expected === null;
    const mac = await this.#dependencies.keyProtector.mac(Buffer.from(sessionToken), macPurpose(accessKeyId));
    return timingSafeEqual(mac, expected ?? new Uint8Array(macBytes));
  }

  async #sealedDecoy(): Promise<Uint8Array> {
    const { keyProtector, system } = this.#dependencies;
    this.#decoy ??= await keyProtector.seal(Buffer.from(randomText(system, secretBytes)), sealContext(decoyId));
    return this.#decoy;
  }
}

/** A temporary credential ends, and may be narrowed: what it may not make is something that does not end or is not narrowed. */
export function isTemporary({ accessKeyId }: Principal): boolean {
  return accessKeyId.startsWith(idPrefix.temporary);
}

/** As AWS's shared credentials file, which its SDKs and its CLI read. */
export function formatCredentials({ accessKeyId, secretAccessKey, sessionToken }: NewAccessKey): string {
  const token = sessionToken === undefined ? '' : `aws_session_token = ${sessionToken}\n`;
  return `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n${token}`;
}

/** The command line may make shorter sessions than the API. */
function checkSession(durationSeconds: number | undefined, sessionPolicy: string | undefined): void {
  if (sessionPolicy !== undefined) checkPolicyDocument(sessionPolicy, sessionPolicyForm);
  if (durationSeconds === undefined && sessionPolicy !== undefined) throw validationException('Only a temporary key has a session policy.');
  const isDuration =
    durationSeconds === undefined ||
    (Number.isSafeInteger(durationSeconds) && durationSeconds >= 1 && durationSeconds <= sessionSeconds.max);
  if (!isDuration) throw validationException(`A duration is 1 to ${sessionSeconds.max} whole seconds.`);
}

function describe(row: AccessKeyRow): AccessKeyMetadata {
  return {
    UserName: row.user_name,
    AccessKeyId: row.access_key_id,
    Status: row.status,
    CreatedAt: row.created_at,
    ...(row.expires_at !== null && { ExpiresAt: row.expires_at }),
  };
}

function newAccessKeyId(system: System, prefix: string): string {
  const random = system.randomBytes(idRandomLength);
  return prefix + Array.from(random, byte => idCharacters.charAt(byte % idCharacters.length)).join('');
}

function randomText(system: System, size: number): string {
  return Buffer.from(system.randomBytes(size)).toString('base64');
}

function sealContext(accessKeyId: string): string {
  return `access-keys/${accessKeyId}`;
}

function macPurpose(accessKeyId: string): string {
  return `session-token/${accessKeyId}`;
}
