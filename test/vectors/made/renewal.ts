/** Renewal: what a certificate of the connector authorises, and whose certificates authorise nothing. */
import { digests } from '../../../src/base/pki/algorithms.ts';
import { type Extension, extKeyUsageExtension, generalName, subjectAltNameExtension } from '../../../src/base/pki/extensions.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { withFlippedOctet } from '../../support/scep-messages.ts';
import { type IdentityName, identitySpecs } from '../../support/vector-identities.ts';
import { type Draft, type Drafts, type Maker, refused, success } from '../maker.ts';

const notItsKey = refused('badMessageCheck', 'The request is not signed with the key that the certificate signing request is for.');
const revoked = refused('badMessageCheck', 'The certificate that signs the request is revoked.');
const expired = refused('badMessageCheck', 'The certificate included in the request is expired.');
const notOne = refused('badRequest', 'Exactly one challenge password is required in the certificate signing request.');

interface RenewalParts {
  signer: IdentityName;
  csrKey?: IdentityName;
  messageType?: string;
  subject?: string;
  extensions?: readonly Extension[];
  challenge?: boolean;
}

/** A request without a challenge that a certificate signs, for a new key and the same subject. */
function renewalBy(maker: Maker, parts: RenewalParts): Uint8Array {
  const { signer, csrKey = 'device-2', messageType = '17', subject = identitySpecs[signer].subject, extensions = [], challenge } = parts;
  const authorisation = challenge ? {} : { challenge: null };
  return maker.request({ signer, csrKey, messageType, extensions, ...authorisation, csrParts: { subject } });
}

function renewing(stands: string, outcome: typeof success | ReturnType<typeof refused>, parts: RenewalParts): Draft {
  return { stands, connector: 'renewal', ...outcome, make: maker => renewalBy(maker, parts) };
}

const san = (name: string) => subjectAltNameExtension([generalName.dns(name)], false);

export const renewal: Drafts = {
  renewalReq: renewing('RenewalReq (17) signed with a certificate of the connector, for a new key', success, {
    signer: 'issued-valid',
  }),
  pkcsReq: renewing('PKCSReq (19) signed with a certificate of the connector, for a new key, as most clients renew', success, {
    signer: 'issued-valid',
    messageType: '19',
  }),
  'same-key': renewing('B12: for the same key', success, { signer: 'issued-valid', csrKey: 'issued-valid' }),
  'with-challenge': renewing('with a challenge as well, as Apple’s', success, {
    signer: 'issued-valid',
    messageType: '19',
    challenge: true,
  }),
  early: renewing('long before the certificate ends', refused('badRequest'), { signer: 'issued-early' }),
  'early-with-challenge': renewing('long before the certificate ends, with a challenge', success, {
    signer: 'issued-early',
    challenge: true,
  }),
  revoked: renewing('negative test: renewal by revoked certificate', revoked, { signer: 'issued-revoked' }),
  'revoked-with-challenge': renewing('negative test: renewal by revoked certificate, with a challenge', revoked, {
    signer: 'issued-revoked',
    messageType: '19',
    challenge: true,
  }),
  'revoked-same-key': renewing('negative test: renewal by revoked certificate, for the same key', revoked, {
    signer: 'issued-revoked',
    csrKey: 'issued-revoked',
  }),
  expired: renewing('negative test: renewal by expired certificate', expired, { signer: 'issued-expired' }),
  'expired-same-key': renewing('negative test: renewal by expired certificate, for the same key', expired, {
    signer: 'issued-expired',
    csrKey: 'issued-expired',
  }),
  'other-connector': renewing('negative test: renewal by other connector’s certificate', notItsKey, { signer: 'issued-other' }),
  'other-connector-same-key': renewing('negative test: renewal by other connector’s certificate, for the same key', notOne, {
    signer: 'issued-other',
    csrKey: 'issued-other',
  }),
  'look-alike': renewing('F.11: a look-alike, by another key under the name of our CA', notItsKey, { signer: 'issued-elsewhere' }),
  'look-alike-same-key': renewing('F.11: a look-alike, for its own key', notOne, {
    signer: 'issued-elsewhere',
    csrKey: 'issued-elsewhere',
  }),
  'unknown-to-store': renewing('F.11: a certificate of our CA that is not in the inventory', notItsKey, { signer: 'issued-unknown' }),
  'self-signed': renewing('RenewalReq signed with a certificate that the device made for itself', notOne, {
    signer: 'device',
    csrKey: 'device',
  }),
  'ra-certificate': renewing('F.11: the RA’s certificate, which is no device’s', notItsKey, { signer: 'ra-renewal' }),
  'subject-another': renewing('F.11: another subject', refused('badRequest'), {
    signer: 'issued-valid',
    subject: 'CN=administrator,O=Example',
  }),
  'subject-more': renewing('F.11: a subject of more parts', refused('badRequest'), {
    signer: 'issued-valid',
    subject: 'CN=issued-valid,OU=Domain Controllers,O=Example',
  }),
  'san-more': renewing('F.11: an alternative name that the certificate does not have', refused('badRequest'), {
    signer: 'issued-valid',
    extensions: [san('administrator.example.com')],
  }),
  'purpose-more': renewing('F.11: a purpose that the certificate does not have', refused('badRequest'), {
    signer: 'issued-valid',
    extensions: [extKeyUsageExtension([Oid.clientAuth, Oid.serverAuth])],
  }),
  'ca-true': {
    stands: 'negative test: CA:TRUE CSR in a renewal',
    connector: 'renewal',
    ...refused('badRequest'),
    make: maker =>
      renewalBy(maker, {
        signer: 'issued-valid',
        extensions: [{ oid: Oid.basicConstraints, critical: true, value: Buffer.from('30030101ff', 'hex') }],
      }),
  },
  'csr-signature-tampered': {
    stands: 'B75: a renewal whose CSR is not signed with the new key',
    connector: 'renewal',
    // An altered CSR for another key than the signer's tells nothing: see uniform-opening.ts.
    ...refused('badRequest', 'The request could not be decoded. Please send a valid SCEP request.'),
    make: maker => {
      const csr = maker.csr({ csrKey: 'device-2', challenge: null, csrParts: { subject: identitySpecs['issued-valid'].subject } });
      return maker.request({ signer: 'issued-valid', messageType: '17', csr: withFlippedOctet(csr, -1) });
    },
  },
  sha1: {
    stands: 'F.22: a renewal by SHA-1',
    connector: 'renewal',
    ...refused('badAlg'),
    make: maker =>
      maker.request({
        signer: 'issued-valid',
        csrKey: 'device-2',
        messageType: '17',
        challenge: null,
        csrParts: { subject: identitySpecs['issued-valid'].subject },
        signing: { digest: digests['SHA-1'] },
      }),
  },
  'where-there-is-none': {
    stands: 'RenewalReq where the connector does not renew',
    ...refused('badRequest'),
    make: maker => renewalBy(maker, { signer: 'issued-default' }),
  },
};
