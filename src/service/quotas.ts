/** The quotas of the control plane, with AWS's defaults and codes (AWS General Reference, "AWS Private CA endpoints and quotas"). */
import { ServiceException } from '../base/errors.ts';

interface Quota {
  value: number;
  ResourceType: 'Connector' | 'Challenge';
  QuotaCode: string;
  description: string;
}

export const quotas = {
  connectors: { value: 20, ResourceType: 'Connector', QuotaCode: 'L-CB21FAEA', description: 'connectors per account and Region' },
  challenges: { value: 5, ResourceType: 'Challenge', QuotaCode: 'L-D42FC980', description: 'challenges per connector' },
} as const satisfies Record<string, Quota>;

/** Throws when one more than `count` would exceed the quota. */
export function checkQuota({ value, ResourceType, QuotaCode, description }: Quota, count: number): void {
  if (count < value) return;
  throw new ServiceException('ServiceQuotaExceededException', `The quota of ${value} ${description} is reached.`, {
    ResourceType,
    ServiceCode: 'pca-connector-scep',
    QuotaCode,
  });
}
