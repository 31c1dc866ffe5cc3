/** The enrolment policy of a connector: what it may be asked for, by whom, in which algorithms, and how it answers. As the API shows it and the store keeps it. */
import type { AlgorithmPolicy, ContentCipherName, DigestName } from './pki/algorithms.ts';
import type { KeyUsage } from './pki/extensions.ts';
import { Oid } from './pki/oids.ts';

/** AWS Private CA's Validity, in calendar units. */
export interface PolicyValidity {
  Value: number;
  Type: 'DAYS' | 'MONTHS' | 'YEARS';
}

export type KeyUsageName = Exclude<keyof typeof KeyUsage, 'keyCertSign' | 'cRLSign'>;
export type CurveName = 'P-256' | 'P-384' | 'P-521';

export interface EnrolmentPolicy {
  /** `TYPE=pattern` each, such as `O=Example` or `CN=printer-*`; `*` alone is anything. An attribute must be like one of them. */
  Subject: { Allowed: readonly string[]; Required: readonly string[] };
  /** `TYPE:pattern` each, such as `DNS:*.example.com`. A name must be like one of them. */
  SubjectAlternativeNames: { Allowed: readonly string[]; Required: readonly string[]; Max: number };
  KeyUsages: readonly KeyUsageName[];
  /** Names of RFC 5280 and its kin, or OIDs. */
  ExtendedKeyUsages: readonly string[];
  Keys: { RsaBitsMin: number; RsaBitsMax: number; Curves: readonly CurveName[] };
  /**
   * Maximum cuts what a CSR asks for; a certificate never outlives its issuer either way. It begins that long before it is issued, since devices' clocks
   * are slow: those of Windows at its first start by up to nine hours.
   */
  Validity: { Default: PolicyValidity; Maximum?: PolicyValidity; BackdateMinutes: number };
  /** Microsoft's security identifier, by which Active Directory maps a certificate to an account. */
  SecurityIdentifier: 'STRIP' | 'KEEP';
  /** CERTIFICATE: one that this connector issued authorises its own renewal, in the last WindowPercent of its life. */
  Renewal: { Mode: 'OFF' | 'CERTIFICATE'; WindowPercent: number };
  /** MANUAL: a request with a right challenge waits for an operator, that many days at most. */
  Approval: { Mode: 'OFF' | 'MANUAL'; ExpiresInDays: number };
  LegacyAlgorithms: { Sha1: boolean; TripleDes: boolean; SingleDes: boolean };
  /** TWO: one to sign answers, one to decrypt requests, for clients that refuse a key with both uses. */
  RaCertificates: 'ONE' | 'TWO';
  /** Whether the CA's certificate comes beside the issued one. */
  CaCertificateInCertRep: boolean;
  /** CHAIN: RA, CA and its issuers. RA_CERTIFICATE: the one certificate, for clients that read no PKCS#7. */
  GetCaCert: 'CHAIN' | 'RA_CERTIFICATE';
  /** How far a request's signingTime may be off; absent: it is not looked at, since devices' clocks are wrong at first. */
  SigningTimeToleranceMinutes?: number;
  /** PEM, the CA's next certificate and its issuers: what GetNextCACert answers. */
  NextCaCertificate?: string;
}

/**
 * The purposes of devices and their users. Left out: codeSigning and timeStamping, which speak for more than a device, and smartCardLogon, with which
 * whoever knows a challenge would sign in to Windows as anybody.
 */
const devicePurposes = [
  'clientAuth',
  'serverAuth',
  'emailProtection',
  'ipsecEndSystem',
  'ipsecTunnel',
  'ipsecUser',
  'ipsecIke',
  'ikeIntermediate',
  'eapOverPpp',
  'eapOverLan',
  'microsoftEncryptingFileSystem',
] as const satisfies readonly (keyof typeof Oid)[];

/** AWS's behaviour without its dangers. */
export const defaultEnrolmentPolicy: EnrolmentPolicy = {
  Subject: { Allowed: ['*'], Required: [] },
  SubjectAlternativeNames: { Allowed: ['DNS:*', 'email:*', 'URI:*', 'IP:*', 'DN:*', 'RID:*', 'UPN:*'], Required: [], Max: 150 },
  KeyUsages: ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'dataEncipherment', 'keyAgreement', 'encipherOnly', 'decipherOnly'],
  ExtendedKeyUsages: devicePurposes,
  Keys: { RsaBitsMin: 2048, RsaBitsMax: 16_384, Curves: ['P-256', 'P-384', 'P-521'] },
  Validity: { Default: { Value: 1, Type: 'YEARS' }, BackdateMinutes: 60 },
  SecurityIdentifier: 'STRIP',
  Renewal: { Mode: 'OFF', WindowPercent: 50 },
  Approval: { Mode: 'OFF', ExpiresInDays: 30 },
  LegacyAlgorithms: { Sha1: false, TripleDes: false, SingleDes: false },
  RaCertificates: 'ONE',
  CaCertificateInCertRep: false,
  GetCaCert: 'CHAIN',
};

/** The purposes that a policy may name; anyExtendedKeyUsage and OCSPSigning are no device's, whoever asks. */
const purposeNames: readonly (keyof typeof Oid)[] = [...devicePurposes, 'smartCardLogon', 'codeSigning', 'timeStamping', 'documentSigning'];
const purposesByName = new Map<string, string>(purposeNames.map(name => [name.toLowerCase(), Oid[name]]));
const purposesNeverGiven = new Set<string>([Oid.anyExtendedKeyUsage, Oid.ocspSigning, Oid.precertificateSigning]);

/** The OID of a purpose named by its name or its OID; undefined when it is neither, or one that no policy can give. */
export function findPurpose(name: string): string | undefined {
  const oid = purposesByName.get(name.toLowerCase()) ?? name;
  return /^[0-2](\.(0|[1-9]\d{0,38}))+$/.test(oid) && !purposesNeverGiven.has(oid) ? oid : undefined;
}

/** The OID of a purpose, with its name where it has one. */
export function describePurpose(oid: string): string {
  const name = purposeNames.find(known => Oid[known] === oid);
  return name === undefined ? oid : `${oid} (${name})`;
}

/**
 * RFC 8894 section 2.9's mandatory algorithms and their SHA-2 kin, and the legacy ones that the policy switches on. MD5 never: no switch brings it
 * back (section 7.9).
 */
export function algorithmPolicyOf({ LegacyAlgorithms }: EnrolmentPolicy): AlgorithmPolicy {
  const digests = new Set<DigestName>(['SHA-256', 'SHA-384', 'SHA-512']);
  const contentCiphers = new Set<ContentCipherName>(['AES-128-CBC', 'AES-192-CBC', 'AES-256-CBC']);
  if (LegacyAlgorithms.Sha1) digests.add('SHA-1');
  if (LegacyAlgorithms.TripleDes) contentCiphers.add('3DES-CBC');
  if (LegacyAlgorithms.SingleDes) contentCiphers.add('DES-CBC');
  return { digests, contentCiphers };
}
