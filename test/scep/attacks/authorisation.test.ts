/** Attacks on who may enrol and for what (F.3 to F.7, F.17): what a password authorises, what a CSR may ask for, and what is known of passwords. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { deleteChallengesOf } from '../../../src/backends/store/challenges.ts';
import { defaultEnrolmentPolicy } from '../../../src/base/enrolment-policy.ts';
import { derNull, octetString, sequence } from '../../../src/base/pki/der.ts';
import {
  basicConstraintsExtension,
  type Extension,
  extKeyUsageExtension,
  findExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  parseBasicConstraints,
  subjectAltNameExtension,
} from '../../../src/base/pki/extensions.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { failureLimits } from '../../../src/service/failure-limits.ts';
import { type ChallengeMaker, openChallengeMaker } from '../../support/dynamic-challenges.ts';
import { approveWaiting, setEnrolmentPolicy } from '../../support/operator.ts';
import { issuedBy, RawScepClient, type RequestParts } from '../../support/raw-scep-client.ts';
import { challengePassword } from '../../support/scep-messages.ts';
import { startTemporaryServer, type TemporaryServer } from '../../support/temporary-server.ts';

const spent = 'The challenge password was used as often as it may be.';
const invalid = 'The challenge password is invalid.';

let server: TemporaryServer;
let client: RawScepClient;
let challenges: ChallengeMaker;
before(async () => {
  server = await startTemporaryServer();
  client = await RawScepClient.connect(server);
  challenges = await openChallengeMaker(server.dataDir);
});
afterEach(() => setEnrolmentPolicy(server, defaultEnrolmentPolicy));
after(async () => {
  await challenges[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const reasonOf = async (parts: RequestParts) => (await client.refusal(client.request(parts))).failInfoText;

async function extensionsOf(parts: RequestParts): Promise<readonly Extension[]> {
  const { certificates, failInfoText } = await client.exchange(client.request(parts));
  assert.ok(certificates[0], failInfoText);
  return certificates[0].extensions;
}

describe('F.3: another’s subject by a password that all devices share', () => {
  const another = { csrParts: { subject: 'CN=domain-controller' } };

  it('is what the password of a connector authorises, as at AWS, and the documents say so', async () => {
    const attributes = [challengePassword(server.challengePassword)];
    assert.equal((await client.enrol({ csrParts: { ...another.csrParts, attributes } })).subject, 'CN=domain-controller');
    for (const document of ['README.md', 'SECURITY.md']) {
      const text = await readFile(join(import.meta.dirname, '../../..', document), 'utf8');
      assert.ok(text.includes('any subject') && text.includes('VU#971035'), document);
    }
  });

  it('is refused by the policy of the connector', async () => {
    await setEnrolmentPolicy(server, { Subject: { Allowed: ['CN=printer-*', 'O=Example'], Required: [] } });
    await client.enrol();
    const attributes = [challengePassword(server.challengePassword)];
    assert.equal(
      await reasonOf({ csrParts: { ...another.csrParts, attributes } }),
      "The subject of the CSR has what the connector's policy does not allow: CN=domain-controller.",
    );
  });

  it('is refused by the bounds of a dynamic challenge, which stays good for the device that it is for', async () => {
    const Bounds = { Subject: 'CN=printer-7,O=Example', SubjectAlternativeNames: [], ExtendedKeyUsages: ['clientAuth'] };
    const challenge = challengePassword(await challenges.create(server.connectorId, { Bounds }));
    const beyond: RequestParts[] = [
      { csrParts: { ...another.csrParts, attributes: [challenge] } },
      { challenge, extensions: [subjectAltNameExtension([generalName.dns('domain-controller.example.com')], false)] },
      { challenge, extensions: [extKeyUsageExtension([Oid.clientAuth, Oid.serverAuth])] },
    ];
    for (const parts of beyond) assert.match((await reasonOf(parts)) ?? '', /challenge/i);
    await client.enrol({ challenge });
  });
});

describe('F.4: an account of Active Directory, named by the CSR', () => {
  const sid = 'S-1-5-21-1004336348-1177238915-682003330-512';
  const extension: Extension = {
    oid: Oid.microsoftSecurityIdentifier,
    critical: false,
    value: sequence(octetString(Buffer.from(sid))),
  };

  it('by its SID in an extension is left out, unless the policy keeps it', async () => {
    assert.equal(findExtension(await extensionsOf({ extensions: [extension] }), extension.oid), undefined);
    await setEnrolmentPolicy(server, { SecurityIdentifier: 'KEEP' });
    assert.ok(findExtension(await extensionsOf({ extensions: [extension] }), extension.oid));
  });

  it('by its SID in an alternative name is refused', async () => {
    const uri = generalName.uri(`tag:microsoft.com,2022-09-14:sid:${sid}`);
    assert.equal(
      await reasonOf({ extensions: [subjectAltNameExtension([uri], false)] }),
      'The CSR asks for a security identifier in its subjectAltName, by which it would name an account.',
    );
  });

  it('by its user principal name is refused where the policy has no UPN, or another', async () => {
    const extensions = [subjectAltNameExtension([generalName.userPrincipalName('administrator@example.com')], false)];
    for (const Allowed of [['DNS:*'], ['UPN:device-*@example.com']]) {
      await setEnrolmentPolicy(server, { SubjectAlternativeNames: { Allowed, Required: [], Max: 5 } });
      assert.match((await reasonOf({ extensions })) ?? '', /subjectAltName/);
    }
  });
});

describe('F.5: more rights by extensions of the CSR', () => {
  const tooMuch: [name: string, extension: Extension][] = [
    ['a CA', basicConstraintsExtension(true)],
    ['keyCertSign', keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyCertSign])],
    ['cRLSign', keyUsageExtension([KeyUsage.cRLSign])],
    ['anyExtendedKeyUsage', extKeyUsageExtension([Oid.anyExtendedKeyUsage])],
    ['OCSPSigning', extKeyUsageExtension([Oid.ocspSigning])],
    ['timeStamping', extKeyUsageExtension([Oid.timeStamping])],
    ['codeSigning', extKeyUsageExtension([Oid.codeSigning])],
  ];
  for (const [name, extension] of tooMuch) {
    it(`is refused: ${name}`, async () => {
      assert.match((await reasonOf({ extensions: [extension] })) ?? '', /^The CSR asks for /);
    });
  }

  it('is not had by extensions that the authority writes itself, nor by any that it does not know', async () => {
    const extensions = [
      basicConstraintsExtension(false),
      ...[Oid.authorityInfoAccess, Oid.crlDistributionPoints, Oid.certificatePolicies, '2.5.29.30', '1.3.6.1.4.1.99999.1'].map(oid => ({
        oid,
        critical: true,
        value: derNull,
      })),
    ];
    const issued = await extensionsOf({ extensions });
    for (const { oid } of extensions.slice(1)) assert.equal(findExtension(issued, oid), undefined, oid);
    const basicConstraints = findExtension(issued, Oid.basicConstraints);
    assert.ok(basicConstraints && !parseBasicConstraints(basicConstraints).cA);
  });
});

describe('F.6: one password of one use, spent twice', () => {
  it('is one certificate, whether the two come at once or one after the other', async () => {
    const challenge = challengePassword(await challenges.create(server.connectorId));
    const answers = await Promise.all(Array.from({ length: 8 }, () => client.exchange(client.request({ challenge }))));
    const refused = answers.filter(({ pkiStatus }) => pkiStatus === 'FAILURE');
    assert.equal(refused.length, 7);
    for (const { failInfoText } of refused) assert.equal(failInfoText, spent);
    assert.equal(await reasonOf({ challenge }), spent);
  });

  it('is not spent by a request that is refused, nor good after its end', async () => {
    const challenge = challengePassword(await challenges.create(server.connectorId, { ExpiresInSeconds: 3600 }));
    await reasonOf({ challenge, extensions: [basicConstraintsExtension(true)] });
    await client.enrol({ challenge });
    const late = challengePassword(await challenges.create(server.connectorId, { ExpiresInSeconds: 60 }));
    server.advance(60_000);
    assert.equal(await reasonOf({ challenge: late }), 'The challenge password has expired.');
  });
});

describe('F.7: a password guessed, or read where it should not be', () => {
  it('has 122 random bits, and after a few guesses their source waits', async () => {
    assert.match(server.challengePassword, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    await using own = await startTemporaryServer();
    const guesser = await RawScepClient.connect(own);
    const guess = () => guesser.post(guesser.request({ challenge: challengePassword(randomUUID()) }));
    for (let count = 0; count < failureLimits.challenge.source.failuresMax; count++) {
      assert.equal(guesser.decode(await guess()).failInfoText, invalid);
    }
    assert.deepEqual([(await guess()).statusCode, (await guesser.post(guesser.request())).statusCode], [429, 429]);
  });

  it('stands in no log line, no record, no answer and no file of the server, right, wrong, spent or waiting for approval', async () => {
    const wrong = randomUUID();
    const once = await challenges.create(server.connectorId);
    const answers = [
      await client.post(client.request({ challenge: challengePassword(wrong) })),
      await client.post(client.request({ challenge: challengePassword(once) })),
      await client.post(client.request({ challenge: challengePassword(once) })),
    ];
    await setEnrolmentPolicy(server, { Approval: { Mode: 'MANUAL', ExpiresInDays: 1 } });
    const waiting = client.request();
    answers.push(await client.post(waiting));
    assert.equal(client.decode(answers[3] ?? assert.fail()).pkiStatus, 'PENDING');
    assert.equal(await approveWaiting(server), 1);
    issuedBy(await client.exchange(waiting));

    const names = (await readdir(server.dataDir)).filter(name => name.startsWith('scep.db'));
    const files = await Promise.all(names.map(name => readFile(join(server.dataDir, name))));
    const shown = answers.map(({ headers, body }) => Buffer.concat([Buffer.from(JSON.stringify(headers)), body]));
    const written = Buffer.concat([Buffer.from(JSON.stringify(server.logLines)), ...shown, ...files]);
    // What is there is found: the reason of the refusal, and the subject of the request that waited.
    for (const text of [invalid, 'printer-7']) assert.ok(written.includes(text), text);
    for (const password of [server.challengePassword, wrong, once]) assert.ok(!written.includes(password));
  });
});

describe('F.17: a connector without a challenge', () => {
  it('issues nothing: neither without a password, nor with an empty one, nor with that of before', async () => {
    const { query } = server.database;
    const rows = await query.selectFrom('challenges').selectAll().execute();
    await deleteChallengesOf(query, server.connectorId);
    try {
      assert.match((await reasonOf({ csrParts: { attributes: [] } })) ?? '', /^Exactly one challenge password is required/);
      assert.equal(await reasonOf({ challenge: challengePassword('') }), invalid);
      assert.equal(await reasonOf({}), invalid);
    } finally {
      await query.insertInto('challenges').values(rows).execute();
    }
    await client.enrol();
  });
});
