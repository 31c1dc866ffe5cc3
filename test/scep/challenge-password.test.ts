/** Who may enrol: exactly one challenge password, in any of the character strings that clients write it in. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { ia5String, integer, octetString, printableString, tlv, utf8String } from '../../src/base/pki/der.ts';
import { connectorArn } from '../../src/base/resources.ts';
import { createApiClient } from '../support/api-client.ts';
import { RawScepClient } from '../support/raw-scep-client.ts';
import { bmpString, challengePassword, stringOf } from '../support/scep-messages.ts';
import { accountId, startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const teletexString = (text: string) => stringOf(0x14, Buffer.from(text, 'latin1'));
/** Four octets a character, of which ASCII uses the last. */
const universalString = (text: string) => stringOf(0x1c, Buffer.concat(Array.from(text, character => Buffer.from(`\0\0\0${character}`))));

let server: TemporaryServer;
let client: RawScepClient;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
});
after(() => server[Symbol.asyncDispose]());

describe('the right challenge password', () => {
  const forms: [name: string, encode: (text: string) => Uint8Array][] = [
    ['UTF8String', utf8String],
    ['PrintableString', printableString],
    ['TeletexString', teletexString],
    ['BMPString', bmpString],
    ['IA5String', ia5String],
    ['UniversalString', universalString],
    ['UTF8String of two segments', text => tlv(0x2c, utf8String(text.slice(0, 10)), utf8String(text.slice(10)))],
  ];
  for (const [name, encode] of forms) {
    it(`is accepted as ${name}`, async () => {
      await client.enrol({ challenge: challengePassword(encode(server.challengePassword)) });
    });
  }

  it('authorises any number of devices', async () => {
    const serialNumbers = await Promise.all(Array.from({ length: 5 }, async () => (await client.enrol()).serialNumber));
    assert.equal(new Set(serialNumbers).size, 5);
  });
});

describe('a challenge password that is not the right one', () => {
  const wrong = { failInfo: 'badRequest', failInfoText: 'The challenge password is invalid.' };
  const notOne = { failInfo: 'badRequest', failInfoText: 'Exactly one challenge password is required in the certificate signing request.' };
  const undecodable = { failInfo: 'badRequest', failInfoText: 'The request could not be decoded. Please send a valid SCEP request.' };
  const right = () => server.challengePassword;
  const challenges: [name: string, challenge: () => Uint8Array[], refusal: typeof wrong][] = [
    ['another', () => [challengePassword(randomUUID())], wrong],
    ['empty', () => [challengePassword('')], wrong],
    ['in capitals', () => [challengePassword(right().toUpperCase())], wrong],
    ['with a space behind it', () => [challengePassword(`${right()} `)], wrong],
    ['with a null behind it', () => [challengePassword(`${right()}\0`)], wrong],
    ['without its last character', () => [challengePassword(right().slice(0, -1))], wrong],
    ['of 6 KB', () => [challengePassword(right().repeat(171))], wrong],
    ['in Chinese and Greek', () => [challengePassword('密码-κωδικός-🔑')], wrong],
    ['in Latin-1', () => [challengePassword(teletexString('Zürich-Größe'))], wrong],
    ['half a surrogate pair', () => [challengePassword(stringOf(0x1e, Buffer.from('d800dc00d800', 'hex')))], undecodable],
    ['there twice, and right', () => [challengePassword(right()), challengePassword(right())], notOne],
    ['beside a wrong one', () => [challengePassword(right(), randomUUID())], notOne],
    ['beside the same, as two values', () => [challengePassword(right(), printableString(right()))], notOne],
    ['missing', () => [], notOne],
    ['an attribute without a value', () => [challengePassword()], notOne],
    ['no string', () => [challengePassword(integer(7))], undecodable],
    ['an OCTET STRING', () => [challengePassword(octetString(Buffer.from(right())))], undecodable],
    ['no UTF-8', () => [challengePassword(stringOf(0x0c, Buffer.from('fffe', 'hex')))], undecodable],
    ['half a BMPString character', () => [challengePassword(stringOf(0x1e, Buffer.from('00610', 'latin1')))], undecodable],
  ];
  for (const [name, challenge, refusal] of challenges) {
    it(`is refused with badRequest: ${name}`, async () => {
      const message = client.request({ csrParts: { attributes: challenge() } });
      assert.deepEqual(await client.refusal(message), refusal);
    });
  }
});

describe('a challenge that was deleted', () => {
  it('authorises nobody, but a transaction that it authorised is still answered with its certificate', async () => {
    const ConnectorArn = connectorArn({ accountId, region: 'us-east-1' }, server.connectorId);
    const api = createApiClient(server.apiUrl, server.credentialsFile);
    const { Challenge } = await api.createChallenge({ ConnectorArn }).promise();
    assert.ok(Challenge?.Arn && Challenge.Password);
    const challenge = challengePassword(Challenge.Password);
    const message = client.request({ challenge });
    const { certificates } = await client.exchange(message);
    assert.equal(certificates.length, 1);

    await api.deleteChallenge({ ChallengeArn: Challenge.Arn }).promise();

    assert.deepEqual(await client.refusal(client.request({ challenge })), {
      failInfo: 'badRequest',
      failInfoText: 'The challenge password is invalid.',
    });
    assert.deepEqual((await client.exchange(message)).certificates, certificates);
    await client.enrol();
  });
});

describe('the log and the audit trail', () => {
  it('hold no challenge password, right or wrong, and no part of the secret URL', async () => {
    const wrongPassword = randomUUID();
    await client.refusal(client.request({ challenge: challengePassword(wrongPassword) }));
    await client.enrol();
    const events = await server.database.query.selectFrom('audit_events').selectAll().execute();
    const written = JSON.stringify([server.logLines, events]);
    assert.match(written, /The challenge password is invalid\./);
    const [, secretAccessKey = ''] = /aws_secret_access_key = (.+)/.exec(await readFile(server.credentialsFile, 'utf8')) ?? [];
    assert.notEqual(secretAccessKey, '');
    for (const secret of [server.challengePassword, wrongPassword, server.endpointSecret, secretAccessKey])
      assert.ok(!written.includes(secret));
  });
});
