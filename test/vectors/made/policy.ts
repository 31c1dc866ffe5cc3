/** What a connector's policy narrows: names, keys, usages and clocks. */
import { tlv } from '../../../src/base/pki/der.ts';
import {
  type Extension,
  extKeyUsageExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  subjectAltNameExtension,
} from '../../../src/base/pki/extensions.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { attribute } from '../../support/cms-parts.ts';
import { type IdentityName, worldNow } from '../../support/vector-identities.ts';
import { type Draft, type Drafts, refused, success } from '../maker.ts';

const minuteMs = 60_000;

interface AskedFor {
  subject?: string;
  extensions?: readonly Extension[];
  signer?: IdentityName;
}

/** Asks the connector `rules`, which gives RSA from 3072 bits to the organisation Example. */
function asking(stands: string, outcome: typeof success | ReturnType<typeof refused>, asked: AskedFor): Draft {
  const { subject = 'CN=printer-7,O=Example', extensions = [], signer = 'device-3072' } = asked;
  return { stands, connector: 'rules', ...outcome, make: maker => maker.request({ signer, extensions, csrParts: { subject } }) };
}

/** A signingTime in UTCTime, at the connector that looks at it. */
function signedAt(stands: string, outcome: typeof success | ReturnType<typeof refused>, at: number): Draft {
  const utcTime = `${new Date(at).toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`;
  const signingTime = attribute(Oid.signingTime, tlv(0x17, Buffer.from(utcTime)));
  return { stands, connector: 'signing-time', ...outcome, make: maker => maker.request({ signedAttributes: [signingTime] }) };
}

const dns = (...names: string[]) => [
  subjectAltNameExtension(
    names.map(name => generalName.dns(name)),
    false,
  ),
];
const badRequest = refused('badRequest');

export const policy: Drafts = {
  'within-every-rule': asking('F.3: what the policy allows', success, {
    extensions: [...dns('a.example.com'), keyUsageExtension([KeyUsage.digitalSignature]), extKeyUsageExtension([Oid.clientAuth])],
  }),
  'subject-of-another-organisation': asking('F.3: another organisation', badRequest, { subject: 'CN=printer-7,O=Elsewhere' }),
  'subject-without-organisation': asking('F.3: no organisation', badRequest, { subject: 'CN=printer-7' }),
  'subject-with-both': asking('F.3: another organisation beside the right one', badRequest, {
    subject: 'CN=printer-7,O=Elsewhere,O=Example',
  }),
  'subject-with-unit': asking('F.3: an attribute that the policy does not have', badRequest, {
    subject: 'CN=printer-7,OU=Sales,O=Example',
  }),
  'san-elsewhere': asking('F.3: an alternative name elsewhere', badRequest, { extensions: dns('a.example.org') }),
  'san-ends-alike': asking('F.3: an alternative name that ends alike', badRequest, { extensions: dns('a.example.com.evil.example') }),
  'san-suffix-alone': asking('F.3: an alternative name that only looks like the suffix', badRequest, {
    extensions: dns('evilexample.com'),
  }),
  'san-one-of-two': asking('F.3: one of two alternative names elsewhere', badRequest, {
    extensions: dns('a.example.com', 'a.example.org'),
  }),
  'san-three': asking('F.3: more alternative names than the policy allows', badRequest, {
    extensions: dns('a.example.com', 'b.example.com', 'c.example.com'),
  }),
  'san-of-another-type': asking('F.3: an alternative name of another type', badRequest, {
    extensions: [subjectAltNameExtension([generalName.email('a@example.com')], false)],
  }),
  'san-with-null': asking('F.3: a null in an alternative name', badRequest, { extensions: dns('evil.example\0.example.com') }),
  'key-short': asking('a key shorter than the policy wants', refused('badAlg'), { signer: 'device' }),
  'usage-more': asking('F.5: a keyUsage that the policy does not give', badRequest, {
    extensions: [keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyAgreement])],
  }),
  'purpose-more': asking('F.5: a purpose that the policy does not give', badRequest, {
    extensions: [extKeyUsageExtension([Oid.clientAuth, Oid.serverAuth])],
  }),

  'signing-time-right': signedAt('a signingTime of now', success, worldNow),
  'signing-time-10-minutes-late': signedAt('a signingTime ten minutes off', success, worldNow - 10 * minuteMs),
  'signing-time-absent': {
    stands: 'no signingTime, where it is looked at',
    connector: 'signing-time',
    ...success,
    make: maker => maker.request(),
  },
  'signing-time-9-hours-behind': signedAt(
    'a signingTime nine hours behind, as of Windows at its first start',
    refused('badTime'),
    worldNow - 9 * 60 * minuteMs,
  ),
  'signing-time-an-hour-ahead': signedAt('F.9: a signingTime an hour ahead', refused('badTime'), worldNow + 60 * minuteMs),
  'signing-time-of-2001': signedAt('F.9: a signingTime of 2001', refused('badTime'), Date.UTC(2001, 0, 1)),
};
