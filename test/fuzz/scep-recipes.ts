/** Sound requests of every kind, for the connectors of the vectors' world: what is broken afterwards. */
import type { KeyObject } from 'node:crypto';
import { contentCiphers, digests } from '../../src/base/pki/algorithms.ts';
import { sequence, tlv } from '../../src/base/pki/der.ts';
import {
  basicConstraintsExtension,
  type Extension,
  extKeyUsageExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  subjectAltNameExtension,
} from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { issuerAndSerialNumber } from '../support/cms-parts.ts';
import { ecKey } from '../support/pki-fixtures.ts';
import {
  bmpString,
  challengePassword,
  encodeCsr,
  extensionRequest,
  nameValuePair,
  nameValuePairs,
  stringOf,
} from '../support/scep-messages.ts';
import { type IdentityName, identity, identityNames, identitySpecs } from '../support/vector-identities.ts';
import { type ConnectorName, connectorSpecs } from '../support/vector-store.ts';
import type { Random } from './random.ts';
import type { Recipe } from './scep-layers.ts';

/** Those that requests are for; most for the first. */
const connectors = [
  'default',
  'two-ra',
  'renewal',
  'renewal',
  'approval',
  'legacy',
  'other',
  'signing-time',
  'rules',
  'without-challenge',
] as const;
const devices = [
  'device',
  'device',
  'device-2',
  'device-2',
  'device-3072',
  'device-1024',
  'device-ec',
  'device-expired',
  'device-other-name',
] as const;
const issued = identityNames.filter(name => name.startsWith('issued-'));
const messageTypes = { '19': 60, '17': 16, '18': 3, '20': 8, '21': 5, '22': 5, '99': 2, '3': 1 } as const;

export interface Made {
  recipe: Recipe;
  connector: ConnectorName;
}

export function makeRecipe(random: Random): Made {
  const connector = random.chance(0.5) ? 'default' : random.pick(connectors);
  const messageType = random.weighted(messageTypes);
  const renews = messageType === '17' || random.chance(0.1);
  const signerName = renews ? (random.chance(0.4) ? 'issued-valid' : random.pick(issued)) : random.pick(devices);
  const signer = identity(signerName);
  const { raKeys } = connectorSpecs[connector];
  const key = random.chance(0.85) ? signer.privateKey : otherKey(random);
  const csr = renews && random.chance(0.6) ? renewalOf(signerName, key) : csrOf(random, connector, key);
  const isEnrolment = ['17', '18', '19', '99', '3'].includes(messageType);
  const recipe: Recipe = {
    messageType,
    messageData: isEnrolment ? csr.bytes : queryOf(random, messageType),
    ...(isEnrolment && { csrKey: csr.key }),
    signer,
    recipient: identity(random.chance(0.97) ? random.pick<IdentityName>(raKeys) : 'ca').certificate,
    digest: random.chance(0.9) ? digests['SHA-256'] : random.pick(Object.values(digests)),
    cipher: random.chance(0.7) ? contentCiphers['AES-128-CBC'] : random.pick(Object.values(contentCiphers)),
    keyTransport: random.chance(0.85) ? { scheme: 'PKCS1' } : { scheme: 'OAEP', digest: random.pick(Object.values(digests)) },
    transactionID: transactionOf(random, connector),
    senderNonce: random.bytes(16),
  };
  return { recipe, connector };
}

/** A new one each time, but for some of those that wait for an operator: they are polled for. */
function transactionOf(random: Random, connector: ConnectorName): string {
  if (connector === 'approval' && random.chance(0.5)) return `waiting-${random.below(20)}`;
  return random.bytes(random.pick([8, 16, 20])).toString('hex');
}

interface Csr {
  bytes: Buffer;
  key: KeyObject;
}

/** A signature costs more than all the rest of a message, so a CSR serves many. */
const kept = new Map<string, Csr>();
const variants = 12;

function csrOf(random: Random, connector: ConnectorName, key: KeyObject): Csr {
  const variant = random.below(variants);
  return keptCsr(`${connector} ${variant} ${keyNumber(key)}`, key, contentOf(variant, connector));
}

function keptCsr(name: string, key: KeyObject, content: { subject?: string; attributes: Uint8Array[] }): Csr {
  // Not a slice of Node's pool, all of which it would keep.
  const csr = kept.get(name) ?? { bytes: Buffer.from(Uint8Array.from(encodeCsr({ key, ...content })).buffer), key };
  kept.set(name, csr);
  return csr;
}

/** The same name again, and nothing that the certificate does not have. */
function renewalOf(name: IdentityName, key: KeyObject): Csr {
  return keptCsr(`renewal ${name} ${keyNumber(key)}`, key, { subject: identitySpecs[name].subject, attributes: [] });
}

const keys: KeyObject[] = [];

function keyNumber(key: KeyObject): number {
  const known = keys.indexOf(key);
  return known < 0 ? keys.push(key) - 1 : known;
}

/** The CSR is for another key than the one that signs the message. */
function otherKey(random: Random): KeyObject {
  return random.chance(0.5)
    ? ecKey(random.pick(['prime256v1', 'secp384r1', 'secp521r1']))
    : identity(random.pick([...devices, ...issued])).privateKey;
}

const usual: readonly Extension[] = [
  subjectAltNameExtension([generalName.dns('printer-7.example.com'), generalName.userPrincipalName('printer-7@example.com')], false),
  keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]),
  extKeyUsageExtension([Oid.clientAuth, Oid.serverAuth]),
];

function contentOf(variant: number, connector: ConnectorName): { subject?: string; attributes: Uint8Array[] } {
  const right = connectorSpecs[connector].challenge ?? connectorSpecs.default.challenge;
  const wrong = connectorSpecs[connector === 'other' ? 'default' : 'other'].challenge;
  const latin1 = Buffer.from(right, 'latin1');
  switch (variant) {
    case 0:
      return { attributes: [] };
    case 1:
      return { attributes: [challengePassword(wrong)] };
    case 2:
      return { attributes: [challengePassword(right, right)] };
    case 3:
      return { attributes: [challengePassword(right), extensionRequest(basicConstraintsExtension(true), ...usual)] };
    case 4:
      return {
        attributes: [
          challengePassword(bmpString(right)),
          nameValuePairs(nameValuePair('ValidityPeriod', 'Days'), nameValuePair('ValidityPeriodUnits', '30')),
        ],
      };
    case 5:
      return { attributes: [challengePassword(stringOf(0x13, latin1))], subject: 'CN=printer-7,O=Example,C=CH' };
    case 6:
      return { attributes: [challengePassword(stringOf(0x16, latin1)), extensionRequest(extKeyUsageExtension([Oid.codeSigning]))] };
    case 7:
      return {
        attributes: [challengePassword(right), extensionRequest(subjectAltNameExtension([generalName.dns('a.example')], true))],
        subject: '',
      };
    default:
      return { attributes: [challengePassword(right), extensionRequest(...usual)] };
  }
}

/** IssuerAndSubject for CertPoll, IssuerAndSerialNumber for GetCert and GetCRL. */
function queryOf(random: Random, messageType: string): Buffer {
  const { certificate } = identity(random.pick(issued));
  if (messageType === '20') return Buffer.from(sequence(certificate.issuer.der, certificate.subject.der));
  if (random.chance(0.3)) return Buffer.from(sequence(certificate.issuer.der, tlv(0x02, random.bytes(16))));
  return Buffer.from(issuerAndSerialNumber(certificate));
}
