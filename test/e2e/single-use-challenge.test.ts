/** A challenge of one use gives one certificate, however many ask at once and whenever the server dies. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { Certificate } from '../../src/base/pki/x509.ts';
import { makeTemporaryDirectory, readFirstStart, startServer } from '../support/command.ts';
import { type DeviceAnswer, type DeviceRequest, Devices } from '../support/devices.ts';
import { type ChallengeMaker, openChallengeMaker } from '../support/dynamic-challenges.ts';
import { until } from '../support/waiting.ts';

const requestsAtOnce = 200;
const rounds = 50;
const kills = 15;

/** What the store holds of the devices whose requests these are. */
async function issuanceOf({ database }: ChallengeMaker, requests: readonly DeviceRequest[]) {
  const transactionIds = requests.map(({ template }) => template.transactionID);
  const rows = await database.query
    .selectFrom('transactions')
    .innerJoin('certificates', 'certificates.certificate_id', 'transactions.certificate_id')
    .innerJoin('dynamic_challenges', 'dynamic_challenges.dynamic_challenge_id', 'transactions.dynamic_challenge_id')
    .select(['certificates.status', 'dynamic_challenges.uses_claimed'])
    .where('transactions.transaction_id', 'in', transactionIds)
    .execute();
  return rows;
}

function receivedIn(answers: readonly DeviceAnswer[]): Certificate[] {
  return answers.flatMap(answer => (answer.kind === 'certificate' ? [answer.certificate] : []));
}

function assertRefused(answers: readonly DeviceAnswer[]): void {
  for (const answer of answers) {
    assert.ok(answer.kind === 'certificate' || answer.kind === 'FAILURE', inspect(answer));
    if (answer.kind === 'FAILURE') assert.match(answer.detail, /The challenge password was used as often as it may be\./);
  }
}

/** A connection that was kept may end just as it is used again (RFC 9112 section 9.3.1). */
async function sendAgainOnce(devices: Devices, url: string, request: DeviceRequest): Promise<DeviceAnswer> {
  const answer = await devices.send(url, request);
  return answer.kind === 'none' ? devices.send(url, request) : answer;
}

describe('a challenge of one use', () => {
  it(`gives exactly one certificate to ${requestsAtOnce} concurrent requests, ${rounds} times in a row`, async t => {
    await using directory = await makeTemporaryDirectory();
    await using server = await startServer(directory.path);
    const { path, challengePassword } = readFirstStart(server.stdout);
    const url = `${server.enrollUrl}${path}`;
    await using challenges = await openChallengeMaker(directory.path);
    const devices = await Devices.connect(url, { challenge: challengePassword });
    let sent = 0;
    for (let round = 0; round < rounds; round++) {
      const password = await challenges.create(connectorIdIn(path));
      const requests = Array.from({ length: requestsAtOnce }, () => devices.request(password));
      const answers = await Promise.all(requests.map(request => sendAgainOnce(devices, url, request)));
      sent += answers.length;
      assertRefused(answers);
      assert.equal(receivedIn(answers).length, 1, `round ${round}`);
      assert.deepEqual(await issuanceOf(challenges, requests), [{ status: 'ISSUED', uses_claimed: 1 }]);
    }
    t.diagnostic(`${sent} requests with ${rounds} challenges: ${rounds} certificates`);
    assert.equal((await server.stop()).status, 0);
  });

  it(`gives exactly one certificate across ${kills} times kill -9`, async t => {
    await using directory = await makeTemporaryDirectory();
    const dataDir = directory.path;
    const { path, devices } = await firstStart(dataDir);
    let cutOff = 0;
    let answeredBefore = 0;
    for (let kill = 0; kill < kills; kill++) {
      await using challenges = await openChallengeMaker(dataDir);
      const password = await challenges.create(connectorIdIn(path));
      const requests = Array.from({ length: requestsAtOnce }, () => devices.request(password));
      const before = await sendUntilKilled(dataDir, path, { devices, requests, moment: momentOf(kill, challenges) });
      cutOff += before.filter(({ kind }) => kind === 'none').length;
      answeredBefore += receivedIn(before).length;

      await using server = await startServer(dataDir);
      const url = `${server.enrollUrl}${path}`;
      const after = await Promise.all(requests.map(request => devices.send(url, request)));
      assertRefused(after);
      const received = [...receivedIn(before), ...receivedIn(after)];
      const distinct = new Set(received.map(({ serialNumber }) => serialNumber));
      assert.equal(distinct.size, 1, `kill ${kill}: ${distinct.size} certificates`);
      assert.deepEqual(await issuanceOf(challenges, requests), [{ status: 'ISSUED', uses_claimed: 1 }]);
      assert.equal((await server.stop()).status, 0);
    }
    t.diagnostic(`${kills} kills: ${cutOff} requests cut off, ${answeredBefore} certificates received before the kill, ${kills} in all`);
    assert.ok(cutOff >= kills, 'too little was under way when the server was killed');
  });
});

async function firstStart(dataDir: string): Promise<{ path: string; devices: Devices }> {
  await using server = await startServer(dataDir);
  const { path, challengePassword } = readFirstStart(server.stdout);
  const devices = await Devices.connect(`${server.enrollUrl}${path}`, { challenge: challengePassword });
  await server.stop();
  return { path, devices };
}

async function sendUntilKilled(
  dataDir: string,
  path: string,
  { devices, requests, moment }: { devices: Devices; requests: readonly DeviceRequest[]; moment: Moment },
): Promise<DeviceAnswer[]> {
  await using server = await startServer(dataDir);
  const url = `${server.enrollUrl}${path}`;
  const answers = requests.map(request => devices.send(url, request));
  const sending = Promise.all(answers);
  await Promise.race([moment(answers), sending]);
  assert.equal((await server.kill()).signal, 'SIGKILL');
  return sending;
}

/** When the server is to die, once the requests are on their way. */
type Moment = (answers: readonly Promise<DeviceAnswer>[]) => Promise<unknown>;

/** In turn: at the intent, a little after it, at the first answer, and before anything. */
function momentOf(kill: number, { database }: ChallengeMaker): Moment {
  const intent = async () => {
    const count = async () => {
      const { claimed } = await database.query
        .selectFrom('dynamic_challenges')
        .select(({ fn }) => fn.sum<number>('uses_claimed').as('claimed'))
        .executeTakeFirstOrThrow();
      return claimed;
    };
    await until(async () => (await count()) > kill, 'the challenge is claimed', { everyMs: 1 });
  };
  const moments: readonly Moment[] = [
    intent,
    async () => {
      await intent();
      await wait(kill);
    },
    answers => Promise.race(answers),
    () => wait(10 * kill),
  ];
  return moments[kill % moments.length] ?? intent;
}

/** Of `/{accountId}-{connectorId}/{secret}`. */
function connectorIdIn(path: string): string {
  const [, connectorId] = /^\/\d{12}-([0-9a-f-]{36})\//.exec(path) ?? [];
  assert.ok(connectorId, path);
  return connectorId;
}
