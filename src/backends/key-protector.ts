/** Seals secrets at rest: the port, and the implementation over a local master key, which nothing else ever holds. */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { link, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemErrorCode } from '../base/start-error.ts';
import type { System } from '../base/system.ts';

export interface KeyProtector {
  /** `context` (for example `challenges/<uuid>`) is bound to the sealed value, so that it cannot be moved to another row. */
  seal(plaintext: Uint8Array, context: string): Promise<Uint8Array>;
  /** Throws KeyProtectorError when the key or the context is not the one it was sealed under. */
  unseal(sealed: Uint8Array, context: string): Promise<Uint8Array>;
  /** 32 bytes under a key of its own for `purpose`: look-up and constant-time comparison of secrets, authenticated cursors. */
  mac(data: Uint8Array, purpose: string): Promise<Uint8Array>;
}

/** The message is one line that says what to do; it never holds a secret. */
export class KeyProtectorError extends Error {
  override readonly name = 'KeyProtectorError';
}

const masterKeyBytes = 32;
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
/** First byte of every sealed value, so that a later form can stand beside this one. */
const sealedVersion = 1;
const headerBytes = 1 + nonceBytes;

const ownerOnlyMode = 0o600;
const otherUsersBits = 0o077;

const checkContext = 'master-key-check';

/** AES-256-GCM and HMAC-SHA-256 under keys that HKDF-SHA-256 (RFC 5869) derives from the master key, one for each use. */
export class LocalKeyProtector implements KeyProtector {
  readonly #masterKey: KeyObject;
  readonly #sealingKey: KeyObject;
  readonly #system: System;

  constructor(masterKey: Uint8Array, system: System) {
    if (masterKey.length !== masterKeyBytes) throw new KeyProtectorError(`The master key must be ${masterKeyBytes} bytes.`);
    this.#masterKey = createSecretKey(masterKey);
    this.#sealingKey = this.#deriveKey('seal');
    this.#system = system;
  }

  /** Version, nonce, ciphertext, tag. Random nonces allow 2^32 values under one key (NIST SP 800-38D section 8.3): more than a store ever holds. */
  async seal(plaintext: Uint8Array, context: string): Promise<Uint8Array> {
    const nonce = this.#system.randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#sealingKey, nonce, { authTagLength: tagBytes }).setAAD(Buffer.from(context));
    const ciphertext = [cipher.update(plaintext), cipher.final()];
    return Buffer.concat([Uint8Array.of(sealedVersion), nonce, ...ciphertext, cipher.getAuthTag()]);
  }

  async unseal(sealed: Uint8Array, context: string): Promise<Uint8Array> {
    if (sealed.length < headerBytes + tagBytes) throw new KeyProtectorError(`The sealed value ${context} is cut short. Restore a backup.`);
    if (sealed[0] !== sealedVersion) {
      throw new KeyProtectorError(`The sealed value ${context} has a form that this version does not know. Use the version that wrote it.`);
    }
    const nonce = sealed.subarray(1, headerBytes);
    const decipher = createDecipheriv('aes-256-gcm', this.#sealingKey, nonce, { authTagLength: tagBytes })
      .setAAD(Buffer.from(context))
      .setAuthTag(sealed.subarray(-tagBytes));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(headerBytes, -tagBytes)), decipher.final()]);
    } catch (cause) {
      throw new KeyProtectorError(`The sealed value ${context} does not open: it is damaged or was sealed under another master key.`, {
        cause,
      });
    }
  }

  async mac(data: Uint8Array, purpose: string): Promise<Uint8Array> {
    return createHmac('sha256', this.#deriveKey(`mac/${purpose}`))
      .update(data)
      .digest();
  }

  #deriveKey(use: string): KeyObject {
    return createSecretKey(new Uint8Array(hkdfSync('sha256', this.#masterKey, new Uint8Array(0), `scep-connector/1/${use}`, keyBytes)));
  }
}

/** What to keep beside the sealed values, to tell a wrong master key at the next start. */
export async function makeMasterKeyCheck(protector: KeyProtector): Promise<Uint8Array> {
  return protector.seal(new Uint8Array(0), checkContext);
}

/** Throws KeyProtectorError when `check` was made under another master key. */
export async function verifyMasterKey(protector: KeyProtector, check: Uint8Array): Promise<void> {
  try {
    await protector.unseal(check, checkContext);
  } catch (cause) {
    if (!(cause instanceof KeyProtectorError)) throw cause;
    throw new KeyProtectorError(
      'The master key is not the one this database was sealed under. Start with that key (SCEP_MASTER_KEY or SCEP_MASTER_KEY_FILE); nothing was changed.',
      { cause },
    );
  }
}

/** The 32 bytes of a master key from their base64 text; white space around it does not matter. */
export function parseMasterKey(text: string): Uint8Array {
  const base64 = text.trim();
  if (!/^[A-Za-z0-9+/]{43}=$/.test(base64)) {
    throw new KeyProtectorError(
      'The master key must be 32 bytes in base64, 44 characters, as `openssl rand -base64 32` prints; this one is not.',
    );
  }
  return Buffer.from(base64, 'base64');
}

/**
 * The master key in `file`. A missing one is made when `create` says so; otherwise it is refused, because a database that was sealed
 * under the lost key could not be read with a new one.
 */
export async function loadMasterKey(file: string, { system, create }: { system: System; create: boolean }): Promise<Uint8Array> {
  const found = await readMasterKey(file);
  if (found) return found;
  if (!create) {
    throw new KeyProtectorError(
      `The master key ${file} is missing, but the database was sealed under it. Restore that file, or give the key in SCEP_MASTER_KEY; nothing was changed.`,
    );
  }
  await makeMasterKey(file, system);
  const made = await readMasterKey(file);
  if (!made) throw new KeyProtectorError(`The master key ${file} was taken away while it was being made. Start again.`);
  return made;
}

async function readMasterKey(file: string): Promise<Uint8Array | undefined> {
  let text: string;
  try {
    // Windows keeps permissions elsewhere than in the mode.
    const { mode } = await stat(file);
    if (process.platform !== 'win32' && (mode & otherUsersBits) !== 0) {
      throw new KeyProtectorError(`The master key ${file} is open to other users of this machine. Run: chmod 600 ${file}`);
    }
    text = await readFile(file, 'latin1');
  } catch (cause) {
    if (cause instanceof KeyProtectorError) throw cause;
    if (systemErrorCode(cause) === 'ENOENT') return undefined;
    throw new KeyProtectorError(`The master key ${file} cannot be read (${systemErrorCode(cause)}). Let this user read it.`, { cause });
  }
  try {
    return parseMasterKey(text);
  } catch (cause) {
    throw new KeyProtectorError(`${file} does not hold a master key: 32 bytes in base64, 44 characters. Restore the right file.`, {
      cause,
    });
  }
}

/** Written beside and then linked: a crash leaves no half key, and a key that appeared meanwhile is never overwritten. */
async function makeMasterKey(file: string, system: System): Promise<void> {
  const draft = `${file}.${system.randomUUID()}.new`;
  try {
    const handle = await open(draft, 'wx', ownerOnlyMode);
    try {
      await handle.writeFile(`${Buffer.from(system.randomBytes(masterKeyBytes)).toString('base64')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, file);
    await syncDirectory(dirname(file));
  } catch (cause) {
    if (systemErrorCode(cause) !== 'EEXIST') {
      throw new KeyProtectorError(
        `The master key ${file} cannot be made (${systemErrorCode(cause)}). Check that its directory exists and that this user may write there.`,
        { cause },
      );
    }
  } finally {
    await rm(draft, { force: true });
  }
}

/** A new name is on the disk only once its directory is; Windows cannot and need not do this. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
