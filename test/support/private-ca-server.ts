/** acm-pca alone over HTTP on a port of 127.0.0.1, for AWS's own client: two accounts whose users may do everything that is theirs. */
import { createHmac } from 'node:crypto';
import ACMPCA from 'aws-sdk/clients/acmpca.js';
import type { AWSError } from 'aws-sdk/lib/error.js';
import type { Request } from 'aws-sdk/lib/request.js';
import { listTags } from '../../src/backends/store/tags.ts';
import { parsePolicy } from '../../src/base/iam/policy.ts';
import { rateQuotas } from '../../src/base/quotas.ts';
import { realSystem } from '../../src/base/system.ts';
import { type ApiServices, createApiHandler } from '../../src/fronts/api/handler.ts';
import { AuthorityLifecycle } from '../../src/service/authority-lifecycle.ts';
import { Throttling } from '../../src/service/throttling.ts';
import { listenApi } from './api-listener.ts';
import { openPrivateCa, type PrivateCaSubject, principal, region } from './private-ca.ts';

process.env['AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE'] = '1';

export const otherAccountId = '444455556666';
const secretAccessKey = 'a-secret-for-both-accounts';
const administrator = parsePolicy('{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}', 'identity');
const others = {
  ...principal,
  accountId: otherAccountId,
  arn: `arn:aws:iam::${otherAccountId}:user/administrator`,
  accessKeyId: 'AKIAOTHER',
};
const principals = new Map([principal, others].map(each => [each.accessKeyId, each]));

export interface PrivateCaServer extends AsyncDisposable {
  subject: PrivateCaSubject;
  client: ACMPCA;
  otherAccountsClient: ACMPCA;
  /** Lets the workers do what waits for them: keys, and signatures. */
  settle(): Promise<void>;
  /** PENDING_CERTIFICATE. */
  create(change?: Partial<ACMPCA.CreateCertificateAuthorityRequest>): Promise<string>;
  describe(arn: string): Promise<ACMPCA.CertificateAuthority>;
}

export const configuration: ACMPCA.CertificateAuthorityConfiguration = {
  KeyAlgorithm: 'EC_prime256v1',
  SigningAlgorithm: 'SHA256WITHECDSA',
  Subject: { Country: 'DE', Organization: 'Example', CommonName: 'Example Root' },
};

export async function startPrivateCaServer(): Promise<PrivateCaServer> {
  const subject = await openPrivateCa();
  const { database, privateCa, issuance, system } = subject;
  const log = { info: () => {}, warn: () => {}, error: (fields: object) => void subject.reports.push(fields) };
  const authorityLifecycle = new AuthorityLifecycle({ database, system, log, certificateAuthorities: subject.certificateAuthorities });
  const unlimited = Object.fromEntries(Object.keys(rateQuotas).map(name => [name, Number.POSITIVE_INFINITY]));
  const quotas = { resources: {}, rates: unlimited } as ConstructorParameters<typeof Throttling>[0]['quotas'];
  const handler = createApiHandler({
    // Requests of the other services are not sent here.
    services: { privateCa, issuance } as unknown as ApiServices,
    secretLookup: async accessKeyId => {
      const known = principals.get(accessKeyId);
      return known && { principal: known, secretAccessKey };
    },
    access: {
      policiesOf: async () => ({ identity: [administrator] }),
      resourcePolicyOf: arn => privateCa.policies.resourcePolicyOf(arn),
      tagsOf: arn => listTags(database.query, arn),
    },
    throttling: new Throttling({ quotas, system }),
    record: async () => {},
    mac: async (data, purpose) => createHmac('sha256', purpose).update(data).digest(),
    // Not the clock that tests move: the client signs by the real one.
    system: realSystem,
    region,
    log,
  });
  const listener = await listenApi(handler);
  const { url: endpoint } = listener;
  const clientOf = (accessKeyId: string) => new ACMPCA({ endpoint, region, maxRetries: 0, credentials: { accessKeyId, secretAccessKey } });
  const client = clientOf(principal.accessKeyId);
  const settle = async () => {
    await authorityLifecycle.settle();
    await subject.queue.settle();
  };
  return {
    subject,
    client,
    otherAccountsClient: clientOf(others.accessKeyId),
    settle,
    async create(change) {
      const request = { CertificateAuthorityType: 'ROOT', CertificateAuthorityConfiguration: configuration, ...change };
      const { CertificateAuthorityArn = '' } = await client.createCertificateAuthority(request).promise();
      await settle();
      return CertificateAuthorityArn;
    },
    async describe(arn) {
      const { CertificateAuthority = {} } = await client.describeCertificateAuthority({ CertificateAuthorityArn: arn }).promise();
      return CertificateAuthority;
    },
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      await authorityLifecycle[Symbol.asyncDispose]();
      await subject[Symbol.asyncDispose]();
    },
  };
}

export function accountIdOf(arn: string): string | undefined {
  return arn.split(':')[4];
}

/** The refusal that AWS's client sees, as `Name: message`. */
export async function refusalOf<D>(request: Request<D, AWSError>): Promise<string> {
  try {
    await request.promise();
  } catch (error) {
    const { code, message, statusCode } = error as AWSError;
    if (statusCode !== 400) throw error;
    return `${code}: ${message}`;
  }
  throw new Error('The request succeeded.');
}
