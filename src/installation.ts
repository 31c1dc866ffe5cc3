/** The installation on disk: the data directory, the store and the key to its secrets, which the server and the administrator's commands both open. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type KeyProtector,
  LocalKeyProtector,
  loadMasterKey,
  makeMasterKeyCheck,
  parseMasterKey,
  verifyMasterKey,
} from './backends/key-protector.ts';
import type { Database } from './backends/store/database.ts';
import { openSqliteDatabase } from './backends/store/sqlite.ts';
import { findStoreProperty, insertStoreProperty } from './backends/store/store-properties.ts';
import { StartError, systemErrorCode } from './base/start-error.ts';
import { realSystem, type System } from './base/system.ts';
import type { Config, Secrets } from './config.ts';
import { AccessKeys } from './service/access-keys.ts';

export const masterKeyCheckProperty = 'master-key-check';

export interface Installation extends AsyncDisposable {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
  accessKeys: AccessKeys;
}

/** Throws StoreError or KeyProtectorError, whose messages say what to do. A wrong master key changes nothing. */
export async function openInstallation(config: Config, secrets: Secrets, system: System = realSystem): Promise<Installation> {
  await makeDataDirectory(config.dataDir);
  const database = await openSqliteDatabase({ file: config.store.file });
  try {
    const keyProtector = await openKeyProtector(database, secrets, system);
    const accessKeys = new AccessKeys({ database, keyProtector, system });
    return { database, keyProtector, system, accessKeys, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

async function makeDataDirectory(directory: string): Promise<void> {
  try {
    await makeDirectory(directory);
  } catch (cause) {
    const code = systemErrorCode(cause);
    throw new StartError(`SCEP_DATA_DIR: ${directory} cannot be made (${code}). Name a directory that this user may make or write.`, {
      cause,
    });
  }
}

/** With those above it. Not Node's own recursive mkdir, which never ends below /proc. */
async function makeDirectory(directory: string): Promise<void> {
  const make = () => mkdir(directory, { mode: 0o700 });
  try {
    await make();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(directory) === directory) throw error;
    await makeDirectory(dirname(directory));
    await make();
  }
}

async function openKeyProtector(database: Database, { masterKey, masterKeyFile }: Secrets, system: System): Promise<KeyProtector> {
  const check = await findStoreProperty(database.query, masterKeyCheckProperty);
  const key =
    masterKey === undefined ? await loadMasterKey(masterKeyFile, { system, create: check === undefined }) : parseMasterKey(masterKey);
  const keyProtector = new LocalKeyProtector(key, system);
  if (check !== undefined) await verifyMasterKey(keyProtector, check);
  else await insertStoreProperty(database.query, masterKeyCheckProperty, await makeMasterKeyCheck(keyProtector));
  return keyProtector;
}
