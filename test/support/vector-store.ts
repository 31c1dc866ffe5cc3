/** What stands in the store of the vectors' world: its authority, its connectors with their RA keys and challenges, and certificates that they have issued. */
import type { KeyProtector } from '../../src/backends/key-protector.ts';
import { insertAccount } from '../../src/backends/store/accounts.ts';
import { insertCertificateAuthority } from '../../src/backends/store/certificate-authorities.ts';
import { insertCertificate } from '../../src/backends/store/certificates.ts';
import { insertChallenge } from '../../src/backends/store/challenges.ts';
import { insertConnector } from '../../src/backends/store/connectors.ts';
import type { CertificateRow, Query, RaKeyRow } from '../../src/backends/store/database.ts';
import { insertRaKey } from '../../src/backends/store/ra-keys.ts';
import { createSigner } from '../../src/base/pki/algorithms.ts';
import { formatName } from '../../src/base/pki/name.ts';
import { createCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { fingerprint } from '../../src/base/pki/x509.ts';
import { type ConnectorStatus, certificateAuthorityArn, type Home } from '../../src/base/resources.ts';
import type { Installation } from '../../src/installation.ts';
import { exportKey } from '../../src/service/certificate-authorities.ts';
import { type EnrolmentPolicyDocument, enrolmentPolicyOf } from '../../src/service/enrolment-policies.ts';
import { checkEnrolmentPolicy } from '../../src/service/enrolment-policy-check.ts';
import { type IdentityName, identity, identitySpecs, worldNow } from './vector-identities.ts';

export const worldHome: Home = { accountId: '111122223333', region: 'eu-central-1' };

interface ConnectorSpec {
  /** Newest first: the first decrypts what clients send that have just asked. */
  raKeys: readonly [IdentityName, ...IdentityName[]];
  /** Null: it has none. */
  challenge: string | null;
  status?: ConnectorStatus;
  policy?: EnrolmentPolicyDocument;
}

/** Every connector that a vector may name. */
export const connectorSpecs = {
  default: { raKeys: ['ra-default'], challenge: '0a6f5c1e-3b57-4d0e-9a7c-5f1d2e3b4a61' },
  other: { raKeys: ['ra-other'], challenge: '1b7a6d2f-4c68-4e1f-8b8d-6a2e3f4c5b72' },
  // Its RA key was replaced twice, and the first of its certificates is expired.
  'two-ra': { raKeys: ['ra-two-new', 'ra-two-old', 'ra-two-expired'], challenge: '2c8b7e3a-5d79-4f2a-9c9e-7b3f4a5d6c83' },
  legacy: {
    raKeys: ['ra-legacy'],
    challenge: '3d9c8f4b-6e8a-4a3b-8daf-8c4a5b6e7d94',
    policy: { LegacyAlgorithms: { Sha1: true, TripleDes: true, SingleDes: true } },
  },
  renewal: {
    raKeys: ['ra-renewal'],
    challenge: '4eada05c-7f9b-4b4c-9eba-9d5b6c7f8ea5',
    policy: { Renewal: { Mode: 'CERTIFICATE', WindowPercent: 50 } },
  },
  approval: {
    raKeys: ['ra-approval'],
    challenge: '5fbeb16d-8aac-4c5d-8fcb-ae6c7d8a9fb6',
    policy: { Approval: { Mode: 'MANUAL', ExpiresInDays: 30 } },
  },
  'signing-time': {
    raKeys: ['ra-default'],
    challenge: '6acfc27e-9bbd-4d6e-80dc-bf7d8e9bac07',
    policy: { SigningTimeToleranceMinutes: 30 },
  },
  rules: {
    raKeys: ['ra-default'],
    challenge: '7bd0d38f-accd-4e7f-91ed-c08e9fac1d18',
    policy: {
      Subject: { Allowed: ['CN=*', 'O=Example'], Required: ['O'] },
      SubjectAlternativeNames: { Allowed: ['DNS:*.example.com'], Required: [], Max: 2 },
      KeyUsages: ['digitalSignature'],
      ExtendedKeyUsages: ['clientAuth'],
      Keys: { RsaBitsMin: 3072, RsaBitsMax: 4096, Curves: ['P-256'] },
    },
  },
  // It has one key to sign with and one to decrypt with, for clients that refuse a key with both uses.
  'two-purposes': {
    raKeys: ['ra-decrypting', 'ra-signing'],
    challenge: '8ce1e490-bddc-4f80-a2fe-d19fa0bd2e29',
    policy: { RaCertificates: 'TWO' },
  },
  'without-challenge': { raKeys: ['ra-default'], challenge: null },
  creating: { raKeys: ['ra-default'], challenge: null, status: 'CREATING' },
  failed: { raKeys: ['ra-default'], challenge: null, status: 'FAILED' },
  deleting: { raKeys: ['ra-default'], challenge: null, status: 'DELETING' },
} as const satisfies Record<string, ConnectorSpec>;

export type ConnectorName = keyof typeof connectorSpecs;
export const connectorNames = Object.keys(connectorSpecs) as ConnectorName[];

/** Which connector has issued which certificate. */
const issuedBy: readonly (readonly [IdentityName, ConnectorName, CertificateRow['status']])[] = [
  ['issued-default', 'default', 'ISSUED'],
  ['issued-valid', 'renewal', 'ISSUED'],
  ['issued-early', 'renewal', 'ISSUED'],
  ['issued-revoked', 'renewal', 'REVOKED'],
  ['issued-expired', 'renewal', 'ISSUED'],
  ['issued-other', 'other', 'ISSUED'],
];

const caId = idOf(0xca, 0);
const createdAt = Date.UTC(2026, 0, 1);

export function connectorIdOf(name: ConnectorName): string {
  return idOf(0xc0, connectorNames.indexOf(name));
}

/** The path of the connector's URL. */
export function connectorPath(name: ConnectorName): string {
  return `/${worldHome.accountId}-${connectorIdOf(name)}/${secretOf(name)}`;
}

function secretOf(name: ConnectorName): string {
  return idOf(0x5e, connectorNames.indexOf(name));
}

/** A UUID that tells what it is of. */
function idOf(kind: number, number: number): string {
  return `000000${kind.toString(16)}-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
}

/** Fills an empty store. */
export async function fillStore({ database, keyProtector }: Pick<Installation, 'database' | 'keyProtector'>): Promise<void> {
  await database.transaction(async query => {
    await insertAccount(query, { account_id: worldHome.accountId, created_at: createdAt });
    await insertAuthority(query, keyProtector);
    for (const name of connectorNames) await insertConnectorWithKeys(query, keyProtector, name);
    for (const [name, connector, status] of issuedBy) await insertCertificate(query, certificateRow(name, { connector, status }));
  });
}

async function insertAuthority(query: Query, keyProtector: KeyProtector): Promise<void> {
  const { certificate, privateKey } = identity('ca');
  const signer = createSigner(privateKey);
  const csr = { subject: certificate.subject.der, subjectPublicKeyInfo: certificate.publicKey.spki, extensions: [] };
  await insertCertificateAuthority(query, {
    ca_id: caId,
    account_id: worldHome.accountId,
    region: worldHome.region,
    type: 'ROOT',
    status: 'ACTIVE',
    usage_mode: 'GENERAL_PURPOSE',
    key_algorithm: 'RSA_2048',
    signing_algorithm: 'SHA256WITHRSA',
    subject: formatName(certificate.subject),
    csr: createCertificationRequest(csr, signer),
    certificate: certificate.der,
    chain: null,
    serial_number: certificate.serialNumber,
    sealed_key: await keyProtector.seal(exportKey(privateKey), `certificate-authorities/${caId}`),
    not_before: certificate.notBefore,
    not_after: certificate.notAfter,
    created_at: createdAt,
    updated_at: createdAt,
    state_changed_at: createdAt,
  });
  await insertCertificate(query, certificateRow('ca', { kind: 'CA' }));
}

async function insertConnectorWithKeys(query: Query, keyProtector: KeyProtector, name: ConnectorName): Promise<void> {
  const { raKeys, challenge, status = 'ACTIVE', policy }: ConnectorSpec = connectorSpecs[name];
  const connectorId = connectorIdOf(name);
  await insertConnector(query, {
    connector_id: connectorId,
    account_id: worldHome.accountId,
    region: worldHome.region,
    certificate_authority_arn: certificateAuthorityArn(worldHome, caId),
    type: 'GENERAL_PURPOSE',
    azure_application_id: null,
    azure_domain: null,
    vpc_endpoint_id: null,
    endpoint_secret: secretOf(name),
    status,
    status_reason: null,
    enrolment_policy: policy === undefined ? null : policyDocument(policy),
    // Another server's worker has hold of it, so a server over this store leaves it as it is.
    lease_until_at: Number.MAX_SAFE_INTEGER,
    created_at: createdAt,
    updated_at: createdAt,
  });
  for (const [age, raKey] of raKeys.entries()) await insertRaKey(query, await raKeyRow(keyProtector, name, raKey, age));
  if (challenge === null) return;
  const challengeId = idOf(0xab, connectorNames.indexOf(name));
  await insertChallenge(query, {
    challenge_id: challengeId,
    connector_id: connectorId,
    account_id: worldHome.accountId,
    region: worldHome.region,
    sealed_password: await keyProtector.seal(Buffer.from(challenge), `challenges/${challengeId}`),
    password_mac: await keyProtector.mac(Buffer.from(challenge), `challenge-password/${connectorId}`),
    created_at: createdAt,
    updated_at: createdAt,
  });
}

/** As the API would have taken it. */
function policyDocument(policy: EnrolmentPolicyDocument): string {
  const document = JSON.stringify(policy);
  checkEnrolmentPolicy(enrolmentPolicyOf({ enrolment_policy: document }));
  return document;
}

async function raKeyRow(keyProtector: KeyProtector, connector: ConnectorName, name: IdentityName, age: number): Promise<RaKeyRow> {
  const { role } = identitySpecs[name];
  const isOneOfTwo = role !== 'RA';
  const raKeyId = idOf(0xa0 + age, connectorNames.indexOf(connector));
  const { certificate, privateKey } = identity(name);
  return {
    ra_key_id: raKeyId,
    connector_id: connectorIdOf(connector),
    certificate_id: idOf(0xce, connectorNames.indexOf(connector)),
    certificate: certificate.der,
    sealed_key: await keyProtector.seal(exportKey(privateKey), `ra-keys/${raKeyId}`),
    purpose: isOneOfTwo ? (role === 'RA that signs' ? 'SIGN' : 'DECRYPT') : 'BOTH',
    status: age === 0 || isOneOfTwo ? 'ACTIVE' : 'RETIRED',
    not_before: certificate.notBefore,
    not_after: certificate.notAfter,
    // Keys that were made together are of one age.
    created_at: isOneOfTwo ? createdAt : createdAt - age,
  };
}

interface Provenance {
  connector?: ConnectorName;
  status?: CertificateRow['status'];
  kind?: CertificateRow['kind'];
}

function certificateRow(name: IdentityName, { connector, status = 'ISSUED', kind = 'DEVICE' }: Provenance): CertificateRow {
  const { certificate } = identity(name);
  return {
    certificate_id: idOf(0xd0, Number.parseInt(certificate.serialNumber.slice(0, 8), 16)),
    account_id: worldHome.accountId,
    region: worldHome.region,
    ca_id: caId,
    serial_number: certificate.serialNumber,
    connector_id: connector === undefined ? null : connectorIdOf(connector),
    kind,
    transaction_row_id: null,
    subject: formatName(certificate.subject),
    subject_alternative_names: '[]',
    not_before: certificate.notBefore,
    not_after: certificate.notAfter,
    status,
    certificate: certificate.der,
    fingerprint: fingerprint(certificate.der),
    created_at: certificate.notBefore,
    issued_at: certificate.notBefore,
    revoked_at: status === 'REVOKED' ? worldNow - 86_400_000 : null,
    revocation_reason: status === 'REVOKED' ? 'KEY_COMPROMISE' : null,
  };
}
