/** Holds a count against its quota, and answers in AWS's words when one more would exceed it. */
import { ServiceException } from '../base/errors.ts';
import { resourceQuotas } from '../base/quotas.ts';

const resourceTypes = { CONNECTORS: 'Connector', CHALLENGES: 'Challenge' } as const;

/** Throws ServiceQuotaExceededException when there are `value` already. */
export function checkQuota(name: keyof typeof resourceTypes, value: number, count: number): void {
  if (count < value) return;
  const { QuotaCode, description } = resourceQuotas[name];
  throw new ServiceException('ServiceQuotaExceededException', `The quota of ${value} ${description} is reached.`, {
    ResourceType: resourceTypes[name],
    ServiceCode: 'pca-connector-scep',
    QuotaCode,
  });
}
