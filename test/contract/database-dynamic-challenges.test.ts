/** The contract of the port Database on dynamic challenges: found by their MAC, claimed as often as they may be, and gone when they end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insertConnector } from '../../src/backends/store/connectors.ts';
import type { DynamicChallengeRow } from '../../src/backends/store/database.ts';
import {
  claimDynamicChallenge,
  countDynamicChallenges,
  deleteDynamicChallengesBefore,
  deleteDynamicChallengesOf,
  findDynamicChallenge,
  findDynamicChallengeByMac,
  insertDynamicChallenge,
  releaseDynamicChallenge,
} from '../../src/backends/store/dynamic-challenges.ts';
import { connector, describeEveryDatabase, everyByte, homeColumns, now, uuid } from '../support/databases.ts';

describeEveryDatabase(subject => {
  const query = () => subject.database.query;

  function row(n: number, change: Partial<DynamicChallengeRow> = {}): DynamicChallengeRow {
    return {
      dynamic_challenge_id: uuid(n),
      connector_id: uuid(1),
      ...homeColumns,
      sealed_password: everyByte,
      password_mac: Uint8Array.of(n),
      bounds: null,
      uses: 2,
      uses_claimed: 0,
      expires_at: now + 1000,
      created_at: now,
      ...change,
    };
  }

  test('one comes back as it was written, by its id and by its connector and MAC', async () => {
    await insertConnector(query(), connector(1));
    await insertDynamicChallenge(query(), row(1));
    assert.deepEqual(await findDynamicChallenge(query(), uuid(1)), row(1));
    assert.deepEqual(await findDynamicChallengeByMac(query(), { connectorId: uuid(1), passwordMac: Buffer.of(1) }), row(1));
    assert.equal(await findDynamicChallengeByMac(query(), { connectorId: uuid(1), passwordMac: Buffer.of(2) }), undefined);
    assert.equal(await findDynamicChallengeByMac(query(), { connectorId: uuid(2), passwordMac: Buffer.of(1) }), undefined);
    await assert.rejects(insertDynamicChallenge(query(), row(2, { password_mac: Buffer.of(1) })));
  });

  test('one is claimed as often as it has uses, and not after its end; a use that is released can be claimed again', async () => {
    await insertConnector(query(), connector(1));
    await insertDynamicChallenge(query(), row(1));
    const claims = await Promise.all([1, 2, 3, 4].map(() => claimDynamicChallenge(query(), uuid(1), now)));
    assert.equal(claims.filter(Boolean).length, 2);
    await releaseDynamicChallenge(query(), uuid(1));
    assert.equal(await claimDynamicChallenge(query(), uuid(1), now + 1000), false);
    assert.equal(await claimDynamicChallenge(query(), uuid(1), now + 999), true);
    for (let n = 0; n < 5; n++) await releaseDynamicChallenge(query(), uuid(1));
    assert.equal((await findDynamicChallenge(query(), uuid(1)))?.uses_claimed, 0);
  });

  test('those that have not ended are counted; those that ended are deleted, and all go with their connector', async () => {
    await insertConnector(query(), connector(1));
    await insertDynamicChallenge(query(), row(1));
    await insertDynamicChallenge(query(), row(2, { expires_at: now }));
    assert.equal(await countDynamicChallenges(query(), { connectorId: uuid(1), now }), 1);
    await deleteDynamicChallengesBefore(query(), { connectorId: uuid(1), endedBefore: now + 1 });
    assert.equal(await findDynamicChallenge(query(), uuid(2)), undefined);
    await deleteDynamicChallengesOf(query(), uuid(1));
    assert.equal(await findDynamicChallenge(query(), uuid(1)), undefined);
  });
});
