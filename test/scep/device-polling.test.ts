/** Devices whose request waits for an operator: each comes back in its kind's way, gets its certificate or the refusal, or gives up in time. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Tag } from '../../src/base/pki/asn1.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { onlySigner, parseSignedData, requiredAttribute } from '../../src/base/pki/signed-data.ts';
import { MessageType } from '../../src/base/scep.ts';
import { approveWaiting, rejectWaiting, setEnrolmentPolicy } from '../support/operator.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { issuanceIn } from '../support/raw-scep-client.ts';
import { AndroidDevice } from '../support/simulators/android.ts';
import { AppleDevice } from '../support/simulators/apple.ts';
import { CiscoFirewall } from '../support/simulators/cisco-asa.ts';
import { CiscoRouter } from '../support/simulators/cisco-ios.ts';
import { ClientComplaint, type Device, EnrolmentRefused, type EnrolmentRequest } from '../support/simulators/device.ts';
import { thumbprint, WindowsDevice } from '../support/simulators/windows.ts';
import { startTemporaryServer, type TemporaryServer } from '../support/temporary-server.ts';

const delayMs = 600_000;
const { PKCSReq, CertPoll } = MessageType;

let server: TemporaryServer;
before(async () => {
  server = await startTemporaryServer();
  await setEnrolmentPolicy(server, { Approval: { Mode: 'MANUAL', ExpiresInDays: 2 }, CaCertificateInCertRep: true });
});
beforeEach(async () => {
  await server.database.query.deleteFrom('transactions').execute();
});
after(() => server[Symbol.asyncDispose]());

interface Kind {
  create: () => Device;
  /** What it sends before it first waits, and what follows each wait. */
  first: readonly string[];
  next: string;
  /** Before its first retry. */
  firstDelayMs: number;
  complaint: string;
}

const pending = 'the request is pending';
const usual = { first: [PKCSReq], next: CertPoll, firstDelayMs: delayMs, complaint: pending };
const ios = { ...usual, firstDelayMs: 0, complaint: 'The SCEP server returned an invalid response.' };
const macOs = { ...ios, complaint: 'MDM-SCEP (15002): Unable to obtain certificate from SCEP server' };

const kinds: Record<string, Kind> = {
  Windows: { ...usual, create: () => new WindowsDevice({ caThumbprint: thumbprint(server.caCertificate) }) },
  iOS: { ...ios, create: () => new AppleDevice('iOS') },
  macOS: { ...macOs, create: () => new AppleDevice('macOS') },
  'iOS that sends its PKCSReq again': { ...ios, next: PKCSReq, create: () => new AppleDevice('iOS', { retriesWith: 'PKCSReq' }) },
  'macOS that sends its PKCSReq again': { ...macOs, next: PKCSReq, create: () => new AppleDevice('macOS', { retriesWith: 'PKCSReq' }) },
  'Android by GET': { ...usual, create: () => new AndroidDevice({ transport: 'GET' }) },
  'Android by POST': { ...usual, create: () => new AndroidDevice({ transport: 'POST' }) },
  'Cisco IOS': { ...usual, first: [PKCSReq, PKCSReq], create: () => new CiscoRouter('modern') },
  'Cisco ASA': { ...usual, create: () => new CiscoFirewall() },
};

/** An enrolment during whose n-th wait the n-th of these happens. */
async function enrol(device: Device, during: readonly (() => Promise<unknown>)[]) {
  const delays: number[] = [];
  const wait = async (ms: number) => {
    await during[delays.length]?.();
    delays.push(ms);
  };
  const request: EnrolmentRequest = {
    url: server.url,
    challenge: server.challengePassword,
    subject: 'CN=device-7,O=Example',
    privateKey: rsaKey('simulated'),
    retry: { retries: during.length, delayMs, wait },
  };
  return { enrolment: device.enrol(request), delays };
}

/** What the device has sent, in its order. */
function messagesOf({ exchanges }: Device): { messageType: string; transactionID: string; senderNonce: string }[] {
  const messages = exchanges.flatMap(({ message }) => (message === undefined ? [] : [message]));
  return messages.map(message => {
    const signer = onlySigner(parseSignedData(message));
    const octets = (type: string, tag: number) => Buffer.from(requiredAttribute(signer, type, tag, type).octets());
    return {
      messageType: String(octets(Oid.messageType, Tag.printableString)),
      transactionID: String(octets(Oid.transactionID, Tag.printableString)),
      senderNonce: octets(Oid.senderNonce, Tag.octetString).toString('hex'),
    };
  });
}

const nothing = async () => {};

for (const [name, { create, first, next, firstDelayMs, complaint }] of Object.entries(kinds)) {
  describe(name, () => {
    it('comes back until it is approved, in one transaction and with a nonce of its own each time', async () => {
      const { certificates } = await issuanceIn(server.database);
      const device = create();
      const { enrolment, delays } = await enrol(device, [nothing, nothing, async () => assert.equal(await approveWaiting(server), 1)]);
      const { certificate } = await enrolment;
      assert.ok(certificate.publicKey.equals(publicKeyOf(rsaKey('simulated'))));
      assert.deepEqual(await issuanceIn(server.database), { certificates: certificates + 1, transactions: 1 });
      assert.deepEqual(delays.slice(0, 3), [firstDelayMs, delayMs, delayMs]);
      const messages = messagesOf(device);
      const retries = delays.map(() => next);
      assert.deepEqual(
        messages.map(({ messageType }) => messageType),
        [...first, ...retries],
      );
      assert.equal(new Set(messages.map(({ transactionID }) => transactionID)).size, 1);
      // Whoever sends the same request twice sends the same octets.
      assert.equal(new Set(messages.map(({ senderNonce }) => senderNonce)).size, 1 + retries.length);
    });

    it('is refused with the operator’s reason when it is rejected', async () => {
      const { certificates } = await issuanceIn(server.database);
      const { enrolment, delays } = await enrol(create(), [nothing, () => rejectWaiting(server, 'Not our device.'), nothing]);
      await assert.rejects(enrolment, error => {
        assert.ok(error instanceof EnrolmentRefused, String(error));
        assert.deepEqual([error.failInfo, error.failInfoText], ['badRequest', 'Not our device.']);
        return true;
      });
      assert.equal(delays.length, 2);
      assert.equal((await issuanceIn(server.database)).certificates, certificates);
    });

    it('gives up after its retries', async () => {
      const device = create();
      const { enrolment } = await enrol(device, [nothing, nothing]);
      await assert.rejects(enrolment, new ClientComplaint(complaint));
      assert.equal(messagesOf(device).length, first.length + 2);
      assert.equal(await approveWaiting(server), 1);
    });
  });
}
