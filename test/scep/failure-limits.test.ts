/** Guesses over HTTP: limited per source and connector, so that guessing is hopeless and one bad client does not lock out the rest. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { updateEnrolmentPolicy } from '../../src/backends/store/connectors.ts';
import { defaultEnrolmentPolicy } from '../../src/base/enrolment-policy.ts';
import { MessageType } from '../../src/base/scep.ts';
import { failureLimits } from '../../src/service/failure-limits.ts';
import { type HttpAnswer, issuanceIn, issuedBy, RawScepClient, type RequestParts, send } from '../support/raw-scep-client.ts';
import { challengePassword, withFlippedOctet } from '../support/scep-messages.ts';
import { requireSourceAddress } from '../support/source-address.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

/** The whole of 127.0.0.0/8 is this machine: a source for each test. */
const sources = Array.from({ length: 20 }, (_, index) => `127.0.1.${index + 1}`)[Symbol.iterator]();
const nextSource = () => sources.next().value ?? '';
const innocent = '127.0.0.2';

const skip = await requireSourceAddress(innocent);

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
  const enrolmentPolicy = JSON.stringify({ ...defaultEnrolmentPolicy, Renewal: { Mode: 'CERTIFICATE', WindowPercent: 100 } });
  await updateEnrolmentPolicy(server.database.query, server.connectorId, { enrolmentPolicy, isRaDue: false, updatedAt: Date.now() });
});
after(() => server[Symbol.asyncDispose]());

const post = (body: Uint8Array, localAddress: string) => send(server.url, { method: 'POST', body, localAddress });
const wrong = (): RequestParts => ({ challenge: challengePassword(randomUUID()) });
const damaged = () => client.request({ envelope: { encryptedContent: Buffer.alloc(64) } });

/** While the clock is back nothing is forgotten, however slow the machine is. */
const backMs = 10 * 60_000;

/** Sends failing requests, one after the other, until one is not answered with what was wrong with it; then sets the clock back. */
async function drain(message: () => Uint8Array, source: string, atMost: number): Promise<number> {
  for (let count = 0; count < atMost; count++) {
    const answer = await post(message(), source);
    if (answer.statusCode === 429) {
      server.advance(-backMs);
      return count;
    }
    assert.equal(client.decode(answer).pkiStatus, 'FAILURE');
  }
  return atMost;
}

function assertRefused({ statusCode, headers, body }: HttpAnswer, retryWithinSeconds: number): void {
  const { 'x-amzn-errortype': errorType, 'x-amzn-errormessage': message, 'retry-after': retryAfter } = headers;
  assert.deepEqual(
    [statusCode, errorType, message, headers['content-type']],
    [429, 'ThrottlingException', 'The request was denied due to request throttling.', 'text/plain'],
  );
  assert.ok(Number(retryAfter) >= 1 && Number(retryAfter) <= retryWithinSeconds, `Retry-After: ${retryAfter}`);
  assert.equal(String(body), 'Too many requests from this address have failed. Try again in a minute.\n');
}

describe('wrong challenges from one source', { skip }, () => {
  const { failuresMax, forgetMs } = failureLimits.challenge.source;
  let guesser: string;
  let renewing: RequestParts;
  let finished: Uint8Array;
  let raw: Buffer;
  before(async () => {
    guesser = nextSource();
    finished = client.request();
    const answer = client.decode(await post(finished, guesser));
    raw = issuedBy(answer).raw;
    const [certificate] = answer.certificates;
    assert.ok(certificate);
    const device = { certificate, privateKey: client.device.privateKey };
    renewing = { device, messageType: MessageType.RenewalReq, csrParts: { key: device.privateKey, attributes: [] } };
  });

  it('end with 429 at the 21st, and nothing is issued', async () => {
    const issued = await issuanceIn(server.database);
    assert.equal(await drain(() => client.request(wrong()), guesser, 40), failuresMax);
    assertRefused(await post(client.request(wrong()), guesser), forgetMs / 1000);
    assert.deepEqual(await issuanceIn(server.database), issued);
  });

  it('do not keep another source from enrolling at once', async () => {
    issuedBy(client.decode(await post(client.request(), innocent)));
  });

  it('keep this one from enrolling with the right password too, which is not looked at', async () => {
    assertRefused(await post(client.request(), guesser), forgetMs / 1000);
  });

  it('do not keep it from renewing by certificate, nor from asking again for a certificate that it was given', async () => {
    issuedBy(client.decode(await post(client.request(renewing), guesser), renewing.device));
    assert.deepEqual(issuedBy(client.decode(await post(finished, guesser))).raw, raw);
  });

  it('leave a trace with the source, the outcome and the reason, and no password', async () => {
    const guess = randomUUID();
    const before = server.logLines.length;
    assertRefused(await post(client.request({ challenge: challengePassword(guess) }), guesser), forgetMs / 1000);
    const lines = server.logLines.slice(before);
    const reason = 'Too many requests from this address have failed. Try again in a minute.';
    assert.ok(lines.some(line => line['source'] === guesser && line['outcome'] === 'refused' && line['reason'] === reason));
    assert.ok(!JSON.stringify(lines).includes(guess));
  });

  it('are forgotten one by one: then the right password enrols', async () => {
    server.advance(backMs + forgetMs);
    issuedBy(client.decode(await post(client.request(), guesser)));
  });

  it('tell no more when they are sent all at once, not even which is right', async () => {
    const source = nextSource();
    const guesses = Array.from({ length: 60 }, () => client.request(wrong()));
    const answers = await Promise.all(guesses.map(guess => post(guess, source)));
    assert.equal(answers.filter(({ statusCode }) => statusCode === 200).length, failuresMax);
    assert.equal(answers.filter(({ statusCode }) => statusCode === 429).length, 60 - failuresMax);
  });

  it('are not what requests without a challenge, or with two, are', async () => {
    const source = nextSource();
    const none = () => client.request({ csrParts: { attributes: [] } });
    assert.equal(await drain(none, source, failuresMax + 5), failuresMax + 5);
    issuedBy(client.decode(await post(client.request(), source)));
  });

  it('are not what messages to another key are, as a whole fleet may send that remembers an old RA certificate', async () => {
    const source = nextSource();
    const stale = client.request({ envelope: { recipients: [{ certificate: client.ca }] } });
    assert.equal(await drain(() => stale, source, failuresMax + 5), failuresMax + 5);
    issuedBy(client.decode(await post(client.request(), source)));
  });
});

describe('messages from one source that do not decrypt', { skip }, () => {
  const { failuresMax, forgetMs } = failureLimits.decryption.source;

  it('end with 429 at the 101st, after which good ones are not decrypted either until one is forgotten', async () => {
    const source = nextSource();
    const message = damaged();
    // More only where the machine is so slow that some are forgotten meanwhile.
    const told = await drain(() => message, source, failuresMax + 50);
    assert.ok(told >= failuresMax && told < failuresMax + 50, `${told} were told`);
    assertRefused(await post(message, source), forgetMs / 1000);
    assertRefused(await post(client.request(), source), forgetMs / 1000);
    issuedBy(client.decode(await post(client.request(), innocent)));
    server.advance(backMs + forgetMs);
    issuedBy(client.decode(await post(client.request(), source)));
  });

  it('are not what messages are whose signature does not hold: of these nothing is decrypted', async () => {
    const source = nextSource();
    const forged = withFlippedOctet(client.request(), -1);
    assert.equal(await drain(() => forged, source, failuresMax + 5), failuresMax + 5);
    issuedBy(client.decode(await post(client.request(), source)));
  });
});
