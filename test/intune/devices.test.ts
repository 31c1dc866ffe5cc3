/** Devices that Intune manages enrol through an INTUNE connector: their challenge is bound to the CSR, and Intune knows the certificate before they have it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { extKeyUsageExtension, findExtension, generalName, parseSubjectAltName } from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { Devices } from '../support/devices.ts';
import { IntuneSubject } from '../support/intune-subject.ts';
import type { Expectations } from '../support/microsoft/challenge.ts';
import { rsaKey } from '../support/pki-fixtures.ts';
import { AndroidDevice } from '../support/simulators/android.ts';
import { AppleDevice } from '../support/simulators/apple.ts';
import { type Device, EnrolmentRefused, type EnrolmentRequest } from '../support/simulators/device.ts';
import { thumbprint, WindowsDevice } from '../support/simulators/windows.ts';

const sidUri = 'tag:microsoft.com,2022-09-14:sid:S-1-5-21-1111111111-2222222222-3333333333-1105';
const expectations: Expectations = {
  subject: 'CN=6d8c0f5e-1a2b-4c3d-9e8f-001122334455,O=Contoso',
  subjectAltNames: [
    'uniformResourceIdentifier:IntuneDeviceId://6d8c0f5e-1a2b-4c3d-9e8f-001122334455',
    `uniformResourceIdentifier:${sidUri}`,
  ],
  extKeyUsage: [Oid.clientAuth],
  keyBits: 2048,
};

let subject: IntuneSubject;
before(async () => {
  subject = await IntuneSubject.start();
});
afterEach(() => {
  assert.deepEqual(subject.microsoft.violations, []);
});
after(() => subject[Symbol.asyncDispose]());

/** What Intune sends a device, and what the device makes of it. */
function request(parts: Partial<EnrolmentRequest> = {}): EnrolmentRequest {
  const { tenant } = subject;
  const device = tenant.addDevice();
  const challenge = tenant.createChallenge({ device, profile: tenant.addProfile(expectations, [device]) });
  return {
    url: subject.url,
    challenge,
    subject: expectations.subject,
    subjectAltNames: [generalName.uri('IntuneDeviceId://6d8c0f5e-1a2b-4c3d-9e8f-001122334455'), generalName.uri(sidUri)],
    extensions: [extKeyUsageExtension([Oid.clientAuth])],
    privateKey: rsaKey('managed'),
    ...parts,
  };
}

const windows = (sid?: string) =>
  new WindowsDevice({ caThumbprint: thumbprint(subject.server.caCertificate), ...(sid !== undefined && { sid }) });

const kinds: Record<string, () => Device> = {
  Windows: () => windows(),
  iOS: () => new AppleDevice('iOS'),
  macOS: () => new AppleDevice('macOS'),
  Android: () => new AndroidDevice({ transport: 'POST' }),
};

for (const [name, create] of Object.entries(kinds)) {
  describe(name, () => {
    it('enrols with a challenge of five kilobytes, and Intune is told of the very certificate that it gets', async () => {
      const asked = request();
      assert.ok((asked.challenge?.length ?? 0) > 4500);
      const { certificate } = await create().enrol(asked);
      const notified = subject.microsoft.notifications.at(-1);
      assert.equal(notified?.kind, 'success');
      const { members } = notified;
      assert.equal(members['certificateThumbprint'], createHash('sha1').update(certificate.der).digest('hex').toUpperCase());
      assert.equal(members['certificateSerialNumber'], certificate.serialNumber.toUpperCase());
      assert.equal(members['certificateExpirationDateUtc'], new Date(certificate.notAfter).toISOString());
      assert.equal(members['caConfiguration'], subject.connector.Arn);
      const extension = findExtension(certificate.extensions, Oid.subjectAltName);
      const names = extension ? parseSubjectAltName(extension).map(({ value }) => value) : [];
      assert.ok(names.includes(sidUri), 'the SID is in the name that Intune has compared');
      assert.equal(findExtension(certificate.extensions, Oid.microsoftSecurityIdentifier), undefined);
    });

    it('is refused with the challenge of another CSR', async () => {
      const count = subject.microsoft.notifications.length;
      const refused = create().enrol(request({ subject: 'CN=domain-admin,O=Contoso' }));
      await assert.rejects(
        refused,
        (error: unknown) => error instanceof EnrolmentRefused && /SubjectNameMismatch/.test(error.failInfoText ?? ''),
      );
      assert.equal(subject.microsoft.notifications.length, count);
    });
  });
}

describe('the security identifier extension', () => {
  it('is dropped, since Intune does not compare it', async () => {
    const { certificate } = await windows('S-1-5-21-1-2-3-500').enrol(request());
    assert.equal(findExtension(certificate.extensions, Oid.microsoftSecurityIdentifier), undefined);
  });
});

describe('five hundred devices at once', () => {
  it('cost one token for each service and one discovery', async () => {
    await using fresh = await IntuneSubject.start();
    const { microsoft } = fresh;
    const devices = await Devices.connect(fresh.url, { challenge: '' });
    const count = 500;
    const requests = Array.from({ length: count }, (_, number) =>
      devices.request(fresh.challenge({ expectations: { subject: `CN=device-${number}` } })),
    );
    const certificates = await Promise.all(requests.map(request => devices.enrol(fresh.url, request)));
    assert.equal(new Set(certificates.map(({ serialNumber }) => serialNumber)).size, count);
    assert.deepEqual(
      (['token', 'endpoints', 'validateRequest', 'successNotification'] as const).map(route => microsoft.count(route)),
      [2, 1, count, count],
    );
    assert.deepEqual(microsoft.violations, []);
  });
});
