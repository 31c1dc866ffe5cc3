/** The shapes of acm-pca that more than one operation has, in the terms of AWS's model (API version 2017-08-22). */
import { keyAlgorithms, signingAlgorithms } from '../../base/private-ca.ts';
import type { Shape } from './validation.ts';

/** AWS's ARN pattern says little; which certificate authority it names is the service's to say. */
export const arn = {
  type: 'string',
  minLength: 5,
  maxLength: 200,
  pattern: '^arn:[\\w+=/,.@-]+:acm-pca:[\\w+=/,.@-]*:[0-9]*:[\\w+=,.@-]+(/[\\w+=,.@-]+)*$',
} as const;
export const text = { type: 'string' } as const;
export const timestamp = { type: 'timestamp' } as const;
const flag = { type: 'boolean' } as const;
export const accountId = { type: 'string', minLength: 12, maxLength: 12, pattern: '^[0-9]+$' } as const;
export const idempotencyToken = {
  type: 'string',
  minLength: 1,
  maxLength: 36,
  pattern: '^[\\u0009\\u000A\\u000D\\u0020-\\u00FF]*$',
} as const;
export const policy = { type: 'string', minLength: 1, maxLength: 81_920, pattern: '^[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+$' } as const;

export const paging = {
  MaxResults: { shape: { type: 'integer', min: 1, max: 1000 } },
  NextToken: { shape: { type: 'string', minLength: 1, maxLength: 43_739 } },
} as const;

/** SM2 is AWS's in China; it is refused by the service, in a sentence. */
const keyAlgorithm = { type: 'string', values: [...keyAlgorithms, 'SM2'] } as const;
export const signingAlgorithm = { type: 'string', values: [...signingAlgorithms, 'SM3WITHSM2'] } as const;

function textUpTo<const N extends number>(maxLength: N) {
  return { type: 'string', minLength: 0, maxLength } as const;
}

export const text128 = textUpTo(128);
const text256 = textUpTo(256);
const text64 = textUpTo(64);
const text253 = textUpTo(253);
const printableText64 = { type: 'string', minLength: 0, maxLength: 64, pattern: "^[a-zA-Z0-9'()+-.?:/= ]*$" } as const;
const objectIdentifier = {
  type: 'string',
  minLength: 0,
  maxLength: 64,
  pattern: '^([0-2])\\.([0-9]|([0-3][0-9]))((\\.([0-9]+)){0,126})$',
} as const;

const customAttribute = {
  type: 'structure',
  members: {
    ObjectIdentifier: { shape: objectIdentifier, required: true },
    Value: { shape: { type: 'string', minLength: 1, maxLength: 256 }, required: true },
  },
} as const;

const asn1Subject = {
  type: 'structure',
  members: {
    Country: { shape: { type: 'string', minLength: 2, maxLength: 2, pattern: '^[A-Za-z]{2}$' } },
    Organization: { shape: text64 },
    OrganizationalUnit: { shape: text64 },
    DistinguishedNameQualifier: { shape: printableText64 },
    State: { shape: text128 },
    CommonName: { shape: text64 },
    SerialNumber: { shape: printableText64 },
    Locality: { shape: text128 },
    Title: { shape: text64 },
    Surname: { shape: textUpTo(40) },
    GivenName: { shape: textUpTo(16) },
    Initials: { shape: textUpTo(5) },
    Pseudonym: { shape: text128 },
    GenerationQualifier: { shape: textUpTo(3) },
    CustomAttributes: { shape: { type: 'list', member: customAttribute, minLength: 1, maxLength: 150 } },
  },
} as const;

/** Exactly one member: said by the service, as AWS answers with InvalidArgsException. */
const generalName = {
  type: 'structure',
  members: {
    OtherName: {
      shape: {
        type: 'structure',
        members: { TypeId: { shape: objectIdentifier, required: true }, Value: { shape: text256, required: true } },
      },
    },
    Rfc822Name: { shape: text256 },
    DnsName: { shape: text253 },
    DirectoryName: { shape: asn1Subject },
    EdiPartyName: {
      shape: { type: 'structure', members: { PartyName: { shape: text256, required: true }, NameAssigner: { shape: text256 } } },
    },
    UniformResourceIdentifier: { shape: text253 },
    IpAddress: { shape: textUpTo(39) },
    RegisteredId: { shape: objectIdentifier },
  },
} as const;

const keyUsage = {
  type: 'structure',
  members: {
    DigitalSignature: { shape: flag },
    NonRepudiation: { shape: flag },
    KeyEncipherment: { shape: flag },
    DataEncipherment: { shape: flag },
    KeyAgreement: { shape: flag },
    KeyCertSign: { shape: flag },
    CRLSign: { shape: flag },
    EncipherOnly: { shape: flag },
    DecipherOnly: { shape: flag },
  },
} as const;

const accessDescription = {
  type: 'structure',
  members: {
    AccessMethod: {
      shape: {
        type: 'structure',
        members: {
          CustomObjectIdentifier: { shape: objectIdentifier },
          AccessMethodType: { shape: { type: 'string', values: ['CA_REPOSITORY', 'RESOURCE_PKI_MANIFEST', 'RESOURCE_PKI_NOTIFY'] } },
        },
      },
      required: true,
    },
    AccessLocation: { shape: generalName, required: true },
  },
} as const;

export const certificateAuthorityConfiguration = {
  type: 'structure',
  members: {
    KeyAlgorithm: { shape: keyAlgorithm, required: true },
    SigningAlgorithm: { shape: signingAlgorithm, required: true },
    Subject: { shape: asn1Subject, required: true },
    CsrExtensions: {
      shape: {
        type: 'structure',
        members: { KeyUsage: { shape: keyUsage }, SubjectInformationAccess: { shape: { type: 'list', member: accessDescription } } },
      },
    },
  },
} as const;

const cname = { type: 'string', minLength: 0, maxLength: 253, pattern: "^[-a-zA-Z0-9;/?:@&=+$,%_.!~*()']*$" } as const;
const crlPath = {
  type: 'string',
  minLength: 0,
  maxLength: 253,
  pattern: "^[-a-zA-Z0-9;?:@&=+$,%_.!~*()']+(/[-a-zA-Z0-9;?:@&=+$,%_.!~*()']+)*$",
} as const;

export const revocationConfiguration = {
  type: 'structure',
  members: {
    CrlConfiguration: {
      shape: {
        type: 'structure',
        members: {
          Enabled: { shape: flag, required: true },
          ExpirationInDays: { shape: { type: 'integer', min: 1, max: 5000 } },
          CustomCname: { shape: cname },
          S3BucketName: { shape: { type: 'string', minLength: 3, maxLength: 255, pattern: '^[-a-zA-Z0-9._/]+$' } },
          S3ObjectAcl: { shape: { type: 'string', values: ['PUBLIC_READ', 'BUCKET_OWNER_FULL_CONTROL'] } },
          CrlDistributionPointExtensionConfiguration: {
            shape: { type: 'structure', members: { OmitExtension: { shape: flag, required: true } } },
          },
          CrlType: { shape: { type: 'string', values: ['COMPLETE', 'PARTITIONED'] } },
          CustomPath: { shape: crlPath },
        },
      },
    },
    OcspConfiguration: {
      shape: { type: 'structure', members: { Enabled: { shape: flag, required: true }, OcspCustomCname: { shape: cname } } },
    },
  },
} as const;

const tagText = '^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$';
export const tags = {
  type: 'list',
  member: {
    type: 'structure',
    members: {
      Key: { shape: { type: 'string', minLength: 1, maxLength: 128, pattern: tagText }, required: true },
      Value: { shape: { type: 'string', minLength: 0, maxLength: 256, pattern: tagText } },
    },
  },
  minLength: 1,
  maxLength: 50,
} as const;

export const certificateAuthority = {
  type: 'structure',
  members: {
    Arn: { shape: text },
    OwnerAccount: { shape: text },
    CreatedAt: { shape: timestamp },
    LastStateChangeAt: { shape: timestamp },
    Type: { shape: text },
    Serial: { shape: text },
    Status: { shape: text },
    NotBefore: { shape: timestamp },
    NotAfter: { shape: timestamp },
    FailureReason: { shape: text },
    CertificateAuthorityConfiguration: { shape: certificateAuthorityConfiguration },
    RevocationConfiguration: { shape: revocationConfiguration },
    RestorableUntil: { shape: timestamp },
    KeyStorageSecurityStandard: { shape: text },
    UsageMode: { shape: text },
  },
} as const satisfies Shape;

const certificatePolicy = {
  type: 'structure',
  members: {
    CertPolicyId: { shape: objectIdentifier, required: true },
    PolicyQualifiers: {
      shape: {
        type: 'list',
        member: {
          type: 'structure',
          members: {
            PolicyQualifierId: { shape: { type: 'string', values: ['CPS'] }, required: true },
            Qualifier: { shape: { type: 'structure', members: { CpsUri: { shape: text256, required: true } } }, required: true },
          },
        },
        minLength: 1,
        maxLength: 20,
      },
    },
  },
} as const;

const extendedKeyUsage = {
  type: 'structure',
  members: {
    ExtendedKeyUsageType: {
      shape: {
        type: 'string',
        values: [
          'SERVER_AUTH',
          'CLIENT_AUTH',
          'CODE_SIGNING',
          'EMAIL_PROTECTION',
          'TIME_STAMPING',
          'OCSP_SIGNING',
          'SMART_CARD_LOGIN',
          'DOCUMENT_SIGNING',
          'CERTIFICATE_TRANSPARENCY',
        ],
      },
    },
    ExtendedKeyUsageObjectIdentifier: { shape: objectIdentifier },
  },
} as const;

const base64Text = {
  type: 'string',
  minLength: 1,
  maxLength: 4096,
  pattern: '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
} as const;
const customExtension = {
  type: 'structure',
  members: {
    ObjectIdentifier: { shape: objectIdentifier, required: true },
    Value: { shape: base64Text, required: true },
    Critical: { shape: flag },
  },
} as const;

export const apiPassthrough = {
  type: 'structure',
  members: {
    Extensions: {
      shape: {
        type: 'structure',
        members: {
          CertificatePolicies: { shape: { type: 'list', member: certificatePolicy, minLength: 1, maxLength: 20 } },
          ExtendedKeyUsage: { shape: { type: 'list', member: extendedKeyUsage, minLength: 1, maxLength: 20 } },
          KeyUsage: { shape: keyUsage },
          SubjectAlternativeNames: { shape: { type: 'list', member: generalName, minLength: 1, maxLength: 150 } },
          CustomExtensions: { shape: { type: 'list', member: customExtension, minLength: 1, maxLength: 150 } },
        },
      },
    },
    Subject: { shape: asn1Subject },
  },
} as const;

export const validity = {
  type: 'structure',
  members: {
    Value: { shape: { type: 'integer', min: 1 }, required: true },
    Type: { shape: { type: 'string', values: ['END_DATE', 'ABSOLUTE', 'DAYS', 'MONTHS', 'YEARS'] }, required: true },
  },
} as const;
