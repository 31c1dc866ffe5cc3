/** Enrolment policies: read and replaced by the API, and what the rest of the service goes by. */
import { LRUCache } from 'lru-cache';
import { updateEnrolmentPolicy } from '../backends/store/connectors.ts';
import type { ConnectorRow, Database } from '../backends/store/database.ts';
import { defaultEnrolmentPolicy, type EnrolmentPolicy } from '../base/enrolment-policy.ts';
import { conflict, validationException } from '../base/errors.ts';
import { oidTextCharactersMax } from '../base/pki/checked-text.ts';
import { publicKeyLimits } from '../base/pki/public-key.ts';
import type { Principal } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { getConnectorRow } from './connectors.ts';
import { checkEnrolmentPolicy, checkIntunePolicy } from './enrolment-policy-check.ts';

export const enrolmentPolicyLimits = {
  documentCharactersMax: 64 * 1024,
  /** Of an attribute type, a kind of name or a purpose. */
  typeCharactersMax: oidTextCharactersMax,
  subjectAlternativeNames: { min: 0, max: 150 },
  rsaBits: { min: 2048, max: publicKeyLimits.rsaModulusBitsMax },
  /** In whichever unit: a certificate ends with its issuer at the latest. */
  validityValue: { min: 1, max: 36_500 },
  backdateMinutes: { min: 0, max: 24 * 60 },
  renewalWindowPercent: { min: 1, max: 100 },
  approvalDays: { min: 1, max: 365 },
  signingTimeToleranceMinutes: { min: 1, max: 24 * 60 },
  nextCaCertificateCharactersMax: 32 * 1024,
} as const;

/** Each section as a whole or not at all; what is left out is the default's. */
export type EnrolmentPolicyDocument = { [Section in keyof EnrolmentPolicy]?: Partial<EnrolmentPolicy[Section]> };

interface EnrolmentPoliciesParts {
  database: Database;
  system: System;
  region: string;
  /** Told that a connector may be due for other RA keys. */
  wakeLifecycle: () => void;
}

export class EnrolmentPolicies {
  readonly #parts: EnrolmentPoliciesParts;

  constructor(parts: EnrolmentPoliciesParts) {
    this.#parts = parts;
  }

  /** Whole, with every default in it. */
  async getEnrolmentPolicy(principal: Principal, ConnectorArn: string): Promise<{ EnrolmentPolicy: EnrolmentPolicy }> {
    const row = await getConnectorRow(this.#parts.database.query, this.#homeOf(principal), ConnectorArn);
    return { EnrolmentPolicy: enrolmentPolicyOf(row) };
  }

  /** In place of the one before, from the next request on. Throws ValidationException. */
  async putEnrolmentPolicy(
    principal: Principal,
    ConnectorArn: string,
    document: EnrolmentPolicyDocument,
  ): Promise<{ EnrolmentPolicy: EnrolmentPolicy }> {
    const { database, system, wakeLifecycle } = this.#parts;
    const policy = completePolicy(document);
    checkEnrolmentPolicy(policy);
    const enrolmentPolicy = JSON.stringify(policy);
    if (enrolmentPolicy.length > enrolmentPolicyLimits.documentCharactersMax) {
      throw validationException(`The policy is longer than ${enrolmentPolicyLimits.documentCharactersMax} characters.`);
    }
    const isRaDue = await database.transaction(async query => {
      const row = await getConnectorRow(query, this.#homeOf(principal), ConnectorArn);
      if (row.status === 'DELETING') throw conflict('Connector', ConnectorArn, 'The connector is being deleted.');
      if (row.type === 'INTUNE') checkIntunePolicy(policy);
      const due = enrolmentPolicyOf(row).RaCertificates !== policy.RaCertificates;
      await updateEnrolmentPolicy(query, row.connector_id, { enrolmentPolicy, isRaDue: due, updatedAt: system.now() });
      return due;
    });
    if (isRaDue) wakeLifecycle();
    return { EnrolmentPolicy: policy };
  }

  #homeOf({ accountId }: Principal): { accountId: string; region: string } {
    return { accountId, region: this.#parts.region };
  }
}

/** Parsed documents by their text: every request asks for its connector's. Bounded by their characters, as one may be short or 64 KiB. */
const parsed = new LRUCache<string, EnrolmentPolicy>({ maxSize: 8 * 1024 * 1024, sizeCalculation: (_policy, text) => text.length });

/** The policy in force. One value for one text, so that what is compiled from it can be kept by it. */
export function enrolmentPolicyOf({ enrolment_policy: text }: Pick<ConnectorRow, 'enrolment_policy'>): EnrolmentPolicy {
  if (text === null) return defaultEnrolmentPolicy;
  const known = parsed.get(text);
  if (known !== undefined) return known;
  // One stored by an older version lacks what came later.
  const policy = completePolicy(JSON.parse(text) as EnrolmentPolicyDocument);
  parsed.set(text, policy);
  return policy;
}

function completePolicy(document: EnrolmentPolicyDocument): EnrolmentPolicy {
  const { Subject, SubjectAlternativeNames, Keys, Validity, Renewal, Approval, LegacyAlgorithms, ...whole } = document;
  const base = defaultEnrolmentPolicy;
  return {
    ...base,
    ...(whole as Partial<EnrolmentPolicy>),
    Subject: { ...base.Subject, ...Subject },
    SubjectAlternativeNames: { ...base.SubjectAlternativeNames, ...SubjectAlternativeNames },
    Keys: { ...base.Keys, ...Keys },
    Validity: { ...base.Validity, ...Validity },
    Renewal: { ...base.Renewal, ...Renewal },
    Approval: { ...base.Approval, ...Approval },
    LegacyAlgorithms: { ...base.LegacyAlgorithms, ...LegacyAlgorithms },
  };
}
