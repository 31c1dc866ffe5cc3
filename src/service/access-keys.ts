/** Access keys: the API credentials of an account, permanent or temporary; secrets are sealed and session tokens kept as MACs only. */
import { timingSafeEqual } from 'node:crypto';
import type { KeyProtector } from '../backends/key-protector.ts';
import { deleteAccessKey, findAccessKey, insertAccessKey, listAccessKeys } from '../backends/store/access-keys.ts';
import { insertAccount } from '../backends/store/accounts.ts';
import type { AccessKeyRow, Database } from '../backends/store/database.ts';
import { validationException } from '../base/errors.ts';
import type { Principal } from '../base/resources.ts';
import type { System } from '../base/system.ts';

/** The longest life AWS STS gives a session (GetSessionToken): 36 hours. */
const durationSecondsMax = 129_600;
const accessKeysPerAccountMax = 1000;
const secretBytes = 30;
const sessionTokenBytes = 96;
const idCharacters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const idRandomLength = 16;
/** Twelve digits, as AWS's account ids, and the characters of an IAM user name. */
const accountIdForm = /^\d{12}$/;
const nameForm = /^[\w+=,.@-]{1,64}$/;

interface AccessKeysDependencies {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
}

interface CreateAccessKeyRequest {
  accountId: string;
  name?: string;
  /** Given: a temporary key with a session token. */
  durationSeconds?: number;
}

/** Shown once, when it is made. */
export interface NewAccessKey {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiresAt?: number;
}

export interface AccessKeyDescription {
  accessKeyId: string;
  accountId: string;
  name: string;
  createdAt: number;
  expiresAt?: number;
}

/** What a signature is verified with, and whom it then stands for. */
export interface AccessKeySecret {
  secretAccessKey: string;
  principal: Principal;
  expiresAt?: number;
}

export class AccessKeys {
  readonly #dependencies: AccessKeysDependencies;

  constructor(dependencies: AccessKeysDependencies) {
    this.#dependencies = dependencies;
  }

  /** An account comes into being with its first access key. */
  async createAccessKey({ accountId, name = 'administrator', durationSeconds }: CreateAccessKeyRequest): Promise<NewAccessKey> {
    checkRequest(accountId, name, durationSeconds);
    const { database, keyProtector, system } = this.#dependencies;
    const now = system.now();
    const temporary = durationSeconds !== undefined && {
      sessionToken: randomText(system, sessionTokenBytes),
      expiresAt: now + durationSeconds * 1000,
    };
    const accessKeyId = newAccessKeyId(system, temporary ? 'ASIA' : 'AKIA');
    const secretAccessKey = randomText(system, secretBytes);
    const row: AccessKeyRow = {
      access_key_id: accessKeyId,
      account_id: accountId,
      name,
      sealed_secret: await keyProtector.seal(Buffer.from(secretAccessKey), sealContext(accessKeyId)),
      session_token_mac: temporary ? await keyProtector.mac(Buffer.from(temporary.sessionToken), macPurpose(accessKeyId)) : null,
      status: 'ACTIVE',
      expires_at: temporary ? temporary.expiresAt : null,
      created_at: now,
    };
    await database.transaction(async query => {
      const keys = await listAccessKeys(query, { accountId, limit: accessKeysPerAccountMax });
      if (keys.length >= accessKeysPerAccountMax) {
        throw validationException(`Account ${accountId} has ${accessKeysPerAccountMax} access keys. Delete some first.`);
      }
      await insertAccount(query, { account_id: accountId, created_at: now });
      await insertAccessKey(query, row);
    });
    return { accessKeyId, secretAccessKey, ...temporary };
  }

  async listAccessKeys(accountId: string): Promise<AccessKeyDescription[]> {
    const rows = await listAccessKeys(this.#dependencies.database.query, { accountId, limit: accessKeysPerAccountMax });
    return rows.map(row => ({
      accessKeyId: row.access_key_id,
      accountId: row.account_id,
      name: row.name,
      createdAt: row.created_at,
      ...(row.expires_at !== null && { expiresAt: row.expires_at }),
    }));
  }

  /** Whether there was such a key. */
  async deleteAccessKey(key: { accountId: string; accessKeyId: string }): Promise<boolean> {
    return deleteAccessKey(this.#dependencies.database.query, key);
  }

  /** Undefined when the key is unknown or inactive, or when `sessionToken` is not its own; a permanent key has none. */
  async findSecret(accessKeyId: string, sessionToken: string | undefined): Promise<AccessKeySecret | undefined> {
    const { database, keyProtector } = this.#dependencies;
    const row = await findAccessKey(database.query, accessKeyId);
    if (row?.status !== 'ACTIVE' || !(await this.#isSessionTokenOf(row, sessionToken))) return undefined;
    const secret = await keyProtector.unseal(row.sealed_secret, sealContext(accessKeyId));
    return {
      secretAccessKey: Buffer.from(secret).toString(),
      principal: { accountId: row.account_id, arn: `arn:aws:iam::${row.account_id}:user/${row.name}`, accessKeyId },
      ...(row.expires_at !== null && { expiresAt: row.expires_at }),
    };
  }

  async #isSessionTokenOf(row: AccessKeyRow, sessionToken: string | undefined): Promise<boolean> {
    if (row.session_token_mac === null || sessionToken === undefined) return row.session_token_mac === null && sessionToken === undefined;
    const mac = await this.#dependencies.keyProtector.mac(Buffer.from(sessionToken), macPurpose(row.access_key_id));
    return timingSafeEqual(mac, row.session_token_mac);
  }
}

/** As AWS's shared credentials file, which its SDKs and its CLI read. */
export function formatCredentials({ accessKeyId, secretAccessKey, sessionToken }: NewAccessKey): string {
  const token = sessionToken === undefined ? '' : `aws_session_token = ${sessionToken}\n`;
  return `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n${token}`;
}

function checkRequest(accountId: string, name: string, durationSeconds: number | undefined): void {
  if (!accountIdForm.test(accountId)) throw validationException('An account id is 12 digits.');
  if (!nameForm.test(name)) throw validationException('An access key name is 1 to 64 letters, digits or _ + = , . @ -');
  const isDuration =
    durationSeconds === undefined ||
    (Number.isSafeInteger(durationSeconds) && durationSeconds >= 1 && durationSeconds <= durationSecondsMax);
  if (!isDuration) throw validationException(`A duration is 1 to ${durationSecondsMax} whole seconds.`);
}

function newAccessKeyId(system: System, prefix: 'AKIA' | 'ASIA'): string {
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
