/** The shapes of enrolment policies, dynamic challenges and waiting requests, closed where a member that is passed over would leave open what was meant to be shut. */
import { dynamicChallengeLimits } from '../../service/dynamic-challenges.ts';
import { enrolmentPolicyLimits } from '../../service/enrolment-policies.ts';
import { nameRuleLimits } from '../../service/name-rules.ts';
import { pendingRequestLimits } from '../../service/pending-requests.ts';
import type { Shape } from './validation.ts';

const limits = enrolmentPolicyLimits;

const text = { type: 'string' } as const;
const boolean = { type: 'boolean' } as const;
const timestamp = { type: 'timestamp' } as const;
const typeName = { type: 'string', minLength: 1, maxLength: limits.typeCharactersMax } as const;
const typeNames = { type: 'list', member: typeName, maxLength: nameRuleLimits.patternsMax } as const;
const pattern = { type: 'string', minLength: 1, maxLength: nameRuleLimits.patternCharactersMax } as const;
const patterns = { type: 'list', member: pattern, maxLength: nameRuleLimits.patternsMax } as const;
/** None at all would refuse every request: a certificate has one purpose at least. */
const purposes = { ...typeNames, minLength: 1 } as const;
const mode = <const Values extends readonly string[]>(...values: Values) => ({ type: 'string', values }) as const;

const validity = {
  type: 'structure',
  closed: true,
  members: {
    Value: { shape: { type: 'integer', ...limits.validityValue }, required: true },
    Type: { shape: mode('DAYS', 'MONTHS', 'YEARS'), required: true },
  },
} as const;

export const enrolmentPolicyShape = {
  type: 'structure',
  closed: true,
  members: {
    Subject: { shape: { type: 'structure', closed: true, members: { Allowed: { shape: patterns }, Required: { shape: typeNames } } } },
    SubjectAlternativeNames: {
      shape: {
        type: 'structure',
        closed: true,
        members: {
          Allowed: { shape: patterns },
          Required: { shape: typeNames },
          Max: { shape: { type: 'integer', ...limits.subjectAlternativeNames } },
        },
      },
    },
    KeyUsages: {
      shape: {
        type: 'list',
        member: mode(
          'digitalSignature',
          'nonRepudiation',
          'keyEncipherment',
          'dataEncipherment',
          'keyAgreement',
          'encipherOnly',
          'decipherOnly',
        ),
        maxLength: 7,
      },
    },
    ExtendedKeyUsages: { shape: purposes },
    Keys: {
      shape: {
        type: 'structure',
        closed: true,
        members: {
          RsaBitsMin: { shape: { type: 'integer', ...limits.rsaBits } },
          RsaBitsMax: { shape: { type: 'integer', ...limits.rsaBits } },
          Curves: { shape: { type: 'list', member: mode('P-256', 'P-384', 'P-521'), maxLength: 3 } },
        },
      },
    },
    Validity: {
      shape: {
        type: 'structure',
        closed: true,
        members: {
          Default: { shape: validity },
          Maximum: { shape: validity },
          BackdateMinutes: { shape: { type: 'integer', ...limits.backdateMinutes } },
        },
      },
    },
    SecurityIdentifier: { shape: mode('STRIP', 'KEEP') },
    Renewal: {
      shape: {
        type: 'structure',
        closed: true,
        members: {
          Mode: { shape: mode('OFF', 'CERTIFICATE') },
          WindowPercent: { shape: { type: 'integer', ...limits.renewalWindowPercent } },
        },
      },
    },
    Approval: {
      shape: {
        type: 'structure',
        closed: true,
        members: { Mode: { shape: mode('OFF', 'MANUAL') }, ExpiresInDays: { shape: { type: 'integer', ...limits.approvalDays } } },
      },
    },
    LegacyAlgorithms: {
      shape: {
        type: 'structure',
        closed: true,
        members: { Sha1: { shape: boolean }, TripleDes: { shape: boolean }, SingleDes: { shape: boolean } },
      },
    },
    RaCertificates: { shape: mode('ONE', 'TWO') },
    CaCertificateInCertRep: { shape: boolean },
    GetCaCert: { shape: mode('CHAIN', 'RA_CERTIFICATE') },
    SigningTimeToleranceMinutes: { shape: { type: 'integer', ...limits.signingTimeToleranceMinutes } },
    NextCaCertificate: { shape: { type: 'string', minLength: 1, maxLength: limits.nextCaCertificateCharactersMax } },
  },
} as const satisfies Shape;

export const boundsShape = {
  type: 'structure',
  closed: true,
  members: {
    Subject: { shape: { type: 'string', minLength: 1, maxLength: nameRuleLimits.subjectPatternCharactersMax } },
    SubjectAlternativeNames: { shape: patterns },
    ExtendedKeyUsages: { shape: purposes },
  },
} as const satisfies Shape;

const { expiresInSeconds, uses } = dynamicChallengeLimits;
export const expiresInSecondsShape = { type: 'integer', min: expiresInSeconds.min, max: expiresInSeconds.max } as const;
export const usesShape = { type: 'integer', min: uses.min, max: uses.max } as const;

export const dynamicChallengeShape: Shape = {
  type: 'structure',
  members: {
    Password: { shape: { type: 'string', sensitive: true } },
    ExpiresAt: { shape: timestamp },
    Uses: { shape: { type: 'integer' } },
  },
};

export const requestStatusShape = mode('PENDING', 'APPROVED', 'REJECTED');

/** The device is told it, in one line. */
export const reasonShape = {
  type: 'string',
  minLength: 1,
  maxLength: pendingRequestLimits.reasonCharactersMax,
  pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$',
} as const;

export const pendingRequestShape: Shape = {
  type: 'structure',
  members: {
    RequestArn: { shape: text },
    ConnectorArn: { shape: text },
    Status: { shape: text },
    TransactionId: { shape: text },
    Subject: { shape: text },
    SubjectAlternativeNames: { shape: { type: 'list', member: text } },
    PublicKeyAlgorithm: { shape: text },
    Fingerprint: { shape: text },
    Source: { shape: text },
    RequestedAt: { shape: timestamp },
    ExpiresAt: { shape: timestamp },
    DecidedBy: { shape: text },
    Reason: { shape: text },
  },
};

export const connectionStepShape = {
  type: 'structure',
  members: { Name: { shape: text }, Outcome: { shape: text }, Advice: { shape: text } },
} as const satisfies Shape;
