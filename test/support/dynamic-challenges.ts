/** Dynamic challenges made beside a running server, in its own store, as the administrator's commands do their work. */
import { join } from 'node:path';
import { LocalKeyProtector, loadMasterKey } from '../../src/backends/key-protector.ts';
import type { Database } from '../../src/backends/store/database.ts';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';
import { connectorArn } from '../../src/base/resources.ts';
import { realSystem } from '../../src/base/system.ts';
import { type ChallengeBounds, DynamicChallenges } from '../../src/service/dynamic-challenges.ts';
import { accountId } from './temporary-server.ts';

const region = 'us-east-1';
const principal = { accountId, arn: `arn:aws:iam::${accountId}:user/administrator`, userName: 'administrator', accessKeyId: 'AKIATEST' };

export interface ChallengeMaker extends AsyncDisposable {
  database: Database;
  /** The password. */
  create(connectorId: string, request?: { Uses?: number; ExpiresInSeconds?: number; Bounds?: ChallengeBounds }): Promise<string>;
}

export async function openChallengeMaker(dataDir: string): Promise<ChallengeMaker> {
  const database = await openSqliteDatabase({ file: join(dataDir, 'scep.db') });
  const masterKey = await loadMasterKey(join(dataDir, 'master.key'), { system: realSystem, create: false });
  const keyProtector = new LocalKeyProtector(masterKey, realSystem);
  const challenges = new DynamicChallenges({ database, keyProtector, system: realSystem, region });
  return {
    database,
    async create(connectorId, request = {}) {
      const ConnectorArn = connectorArn({ accountId, region }, connectorId);
      const { DynamicChallenge } = await challenges.createDynamicChallenge(principal, { ConnectorArn, ...request });
      return DynamicChallenge.Password;
    },
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}
