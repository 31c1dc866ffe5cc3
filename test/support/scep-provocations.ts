/** What makes a connector answer with each of the 28 errors that AWS's connector documents: requests to a real server, and what an administrator has done to it. */
import { randomBytes, randomUUID } from 'node:crypto';
import { mock } from 'node:test';
import { contentCiphers, digests } from '../../src/base/pki/algorithms.ts';
import { objectIdentifier, sequence } from '../../src/base/pki/der.ts';
import type { ConnectorStatus } from '../../src/base/resources.ts';
import type { ConnectorErrorCode } from '../../src/base/scep.ts';
import { type Task, WorkerPool } from '../../src/base/worker-pool.ts';
import { type ChallengeChange, IntuneSubject } from './intune-subject.ts';
import { ecKey, rsaKey } from './pki-fixtures.ts';
import { exchange, type HttpAnswer, RawScepClient, type RequestParts, send } from './raw-scep-client.ts';
import {
  challengePassword,
  createDevice,
  encodeSignedMessage,
  encodeSignerInfo,
  requestAttributes,
  withFlippedOctet,
} from './scep-messages.ts';
import { Subject } from './scep-subject.ts';
import { accountId } from './temporary-server.ts';
import { until } from './waiting.ts';

const dayMs = 24 * 60 * 60_000;

/** The answer to a provocation, and of a pkiMessage whose it was. */
export interface Provoked {
  answer: HttpAnswer;
  client?: RawScepClient;
  transactionID?: string;
}

type Provoke = (subject: Subject) => Promise<Provoked>;

/** On a server of its own: what would disturb the other tests. */
const apart =
  (env: Record<string, string>, provoke: Provoke): Provoke =>
  async subject => {
    await using another = await Subject.start({ ...subject.env, ...env });
    return await provoke(another);
  };

async function post(client: RawScepClient, parts: RequestParts = {}): Promise<Provoked> {
  const transactionID = randomBytes(16).toString('hex');
  return { answer: await client.post(client.request({ ...parts, transactionID })), client, transactionID };
}

const request =
  (parts: (client: RawScepClient) => RequestParts): Provoke =>
  ({ client }) =>
    post(client, parts(client));

/** Does what an administrator does, provokes, and undoes it, also when that fails. */
const during =
  (change: (subject: Subject) => Promise<unknown>, undo: (subject: Subject) => Promise<unknown>, provoke: Provoke): Provoke =>
  async subject => {
    await change(subject);
    try {
      return await provoke(subject);
    } finally {
      await undo(subject);
    }
  };

const enrolling: Provoke = ({ client }) => post(client);
const getCaCert: Provoke = async ({ server }) => ({ answer: await send(`${server.url}?operation=GetCACert`) });

/** The first answer that is not 200: a bucket holds a minute's worth. */
const untilRefused =
  (provoke: Provoke, atMost: number): Provoke =>
  async subject => {
    for (let count = 1; ; count++) {
      const provoked = await provoke(subject);
      if (provoked.answer.statusCode !== 200 || count === atMost) return provoked;
    }
  };

async function raw(url: string, octets: string): Promise<HttpAnswer> {
  const text = await exchange(url, octets);
  const [head = '', body = ''] = text.split('\r\n\r\n', 2);
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(lines.map(line => line.split(': ', 2)).map(([name = '', value = '']) => [name.toLowerCase(), value]));
  return { statusCode: Number(statusLine.split(' ')[1]), headers, body: Buffer.from(body, 'latin1') };
}

/** A request line without Host, or with the Host headers that are given. */
const asking =
  (version: string, ...hosts: string[]): Provoke =>
  async ({ server, path }) => {
    const head = [`GET ${path}?operation=GetCACaps HTTP/${version}`, ...hosts.map(host => `Host: ${host}`), 'Connection: close'];
    return { answer: await raw(server.url, `${head.join('\r\n')}\r\n\r\n`) };
  };

/** The administrator changes the connector once a request is under way: between finding its connector and issuing, the request is on a worker. */
const changedMeanwhile: Provoke = async subject => {
  const run = WorkerPool.prototype.run;
  async function changeAndRun<I, O>(this: WorkerPool, task: Task<I, O>, input: I): Promise<O> {
    if (task.name === 'openRequest') await subject.setEnrolmentPolicy({ CaCertificateInCertRep: true });
    return Reflect.apply(run, this, [task, input]);
  }
  const hook = mock.method(WorkerPool.prototype, 'run', changeAndRun);
  try {
    return await post(subject.client);
  } finally {
    hook.mock.restore();
    await subject.setEnrolmentPolicy({});
  }
};

/** Signed by a certificate that is not there. */
const withoutCertificate: Provoke = async ({ client }) => {
  const transactionID = randomUUID();
  const eContent = client.envelope(client.csr());
  const signerInfos = [encodeSignerInfo({ signer: client.device, eContent, attributes: requestAttributes({ transactionID }) })];
  return { answer: await client.post(encodeSignedMessage({ eContent, certificates: [], signerInfos })), client, transactionID };
};

/** CMS, but without the attribute by which an answer would be known. */
const withoutTransactionID: Provoke = async ({ client }) => {
  const eContent = client.envelope(client.csr());
  const [, ...attributes] = requestAttributes({});
  const signerInfos = [encodeSignerInfo({ signer: client.device, eContent, attributes })];
  return { answer: await client.post(encodeSignedMessage({ eContent, certificates: [client.device.certificate], signerInfos })) };
};

const forged: Provoke = async ({ client }) => {
  const transactionID = randomUUID();
  return { answer: await client.post(withFlippedOctet(client.request({ transactionID }), -1)), client, transactionID };
};

const md5 = { ...digests['SHA-256'], oid: '1.2.840.113549.2.5' };
const ecdsaWithSha256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
const expiredDevice = () => createDevice(undefined, { notBefore: Date.now() - 9 * dayMs, notAfter: Date.now() - dayMs });
const denial = JSON.stringify({
  Version: '2012-10-17',
  Statement: {
    Effect: 'Deny',
    Principal: { Service: 'pca-connector-scep.amazonaws.com' },
    Action: 'acm-pca:IssueCertificate',
    Resource: '*',
  },
});

async function policyOf(subject: Subject): Promise<string | undefined> {
  const ResourceArn = await subject.authorityArn();
  const found = await subject.privateCa
    .getPolicy({ ResourceArn })
    .promise()
    .catch(() => undefined);
  return found?.Policy;
}

/** The authority's policy denies what the connector service needs. */
const denied = (provoke: Provoke): Provoke => {
  let before: string | undefined;
  return during(
    async subject => {
      before = await policyOf(subject);
      await subject.privateCa.putPolicy({ ResourceArn: await subject.authorityArn(), Policy: denial }).promise();
    },
    async subject => {
      const ResourceArn = await subject.authorityArn();
      if (before === undefined) await subject.privateCa.deletePolicy({ ResourceArn }).promise();
      else await subject.privateCa.putPolicy({ ResourceArn, Policy: before }).promise();
    },
    provoke,
  );
};

const disabled = (provoke: Provoke): Provoke =>
  during(
    subject => subject.setAuthorityStatus('DISABLED'),
    subject => subject.setAuthorityStatus('ACTIVE'),
    provoke,
  );

const deleted = (provoke: Provoke): Provoke =>
  disabled(
    during(
      async subject => {
        const CertificateAuthorityArn = await subject.authorityArn();
        await subject.privateCa.deleteCertificateAuthority({ CertificateAuthorityArn, PermanentDeletionTimeInDays: 7 }).promise();
      },
      async subject => {
        await subject.privateCa.restoreCertificateAuthority({ CertificateAuthorityArn: await subject.authorityArn() }).promise();
      },
      provoke,
    ),
  );

const withConnector = (status: ConnectorStatus, provoke: Provoke): Provoke =>
  during(
    subject => subject.setConnectorStatus(status),
    subject => subject.setConnectorStatus('ACTIVE'),
    provoke,
  );

/** The CA of a first start lasts ten years. */
const nineYearsLater = (provoke: Provoke): Provoke => {
  const later: Provoke = async ({ server, client, env }) => {
    server.advance(9.5 * 365 * dayMs);
    // The start renews what ran out meanwhile, such as the RA key.
    await server.restart();
    await until(async () => (await send(`${server.url}?operation=GetCACert`)).statusCode !== 503, 'the connector has an RA key again');
    const now = env['SCEP_COMPATIBILITY'] === 'aws' ? client : await RawScepClient.connect(server);
    return provoke(new Subject(server, now, env));
  };
  return apart({}, later);
};

const getting =
  (path: (subject: Subject) => string): Provoke =>
  async subject => ({ answer: await subject.get(path(subject)) });

const otherUuid = '00000000-0000-4000-8000-000000000000';
const twice = (client: RawScepClient) => [1, 2].map(() => challengePassword(client.endpoint.challengePassword));

/** At a connector of Intune's, in whose tenant something is not as it should be. */
const inTenant =
  (change: (intune: IntuneSubject) => unknown, challenge: ChallengeChange = {}): Provoke =>
  async ({ env }) => {
    await using intune = await IntuneSubject.start(env);
    change(intune);
    return await post(await intune.connect(intune.challenge(challenge)));
  };

/** Under each error what provokes it, by a name. */
export const provocations: Readonly<Record<ConnectorErrorCode, Readonly<Record<string, Provoke>>>> = {
  issuanceLimitExceeded: {
    "more certificates than an account's rate": apart({ SCEP_RATE_ISSUE_CERTIFICATE: '1' }, untilRefused(enrolling, 150)),
  },
  notBase64: {
    'a GET without a message': getting(({ path }) => `${path}?operation=PKIOperation`),
    'a GET with another alphabet': getting(({ path }) => `${path}?operation=PKIOperation&message=%7Bno%7D`),
  },
  authorityNotActive: { 'GetCACert of a disabled CA': disabled(getCaCert), 'PKCSReq to a disabled CA': disabled(enrolling) },
  authorityValidityTooShort: {
    'GetCACert half a year before the CA expires': nineYearsLater(getCaCert),
    'PKCSReq half a year before the CA expires': nineYearsLater(
      request(() => ({ device: createDevice(undefined, { notAfter: Date.now() + 10 * 365 * dayMs }) })),
    ),
  },
  signerExpired: { 'a certificate of last week': request(() => ({ device: expiredDevice() })) },
  invalidCms: {
    garbage: async ({ client }) => ({ answer: await client.post(Buffer.from('garbage')) }),
    nothing: async ({ client }) => ({ answer: await client.post(new Uint8Array()) }),
    'a GET of garbage': getting(({ path }) => `${path}?operation=PKIOperation&message=Z2FyYmFnZQ==`),
    'a signature that does not hold': forged,
  },
  connectorNotActive: {
    'GetCACaps while DELETING': withConnector(
      'DELETING',
      getting(({ path }) => `${path}?operation=GetCACaps`),
    ),
    'PKCSReq while FAILED': withConnector('FAILED', enrolling),
  },
  noValidCertificate: { 'no certificate': withoutCertificate },
  invalidUri: {
    'no connector in the path': getting(() => '/?operation=GetCACaps'),
    'no UUID behind the connector': getting(({ path }) => `${path}x?operation=GetCACaps`),
  },
  hostHeader: {
    'HTTP/1.0 without Host': asking('1.0'),
    'HTTP/1.1 without Host': asking('1.1'),
    'two Host headers': asking('1.1', 'scep.example.com', 'scep.example.com'),
  },
  notDecoded: {
    'an envelope for another key': request(client => ({ envelope: { recipients: [{ certificate: client.ca }] } })),
    'an envelope of noise': request(() => ({ envelope: { encryptedContent: randomBytes(640) } })),
    'no CSR in the envelope': request(() => ({ csr: Buffer.from('no CSR') })),
    'no transactionID': withoutTransactionID,
  },
  responseNotEncoded: {
    'an EC requestor certificate': request(() => ({
      device: createDevice(ecKey('prime256v1')),
      signing: { signatureAlgorithm: ecdsaWithSha256 },
    })),
  },
  unsupportedAlgorithm: {
    'single DES': request(() => ({ envelope: { cipher: contentCiphers['DES-CBC'] } })),
    MD5: request(() => ({ signing: { digest: md5 } })),
  },
  unsupportedMessageType: {
    'a word': request(() => ({ messageType: 'PKCSReq' })),
    'a negative number': request(() => ({ messageType: '-19' })),
    'no messageType': request(() => ({ messageType: null })),
  },
  challengeInvalid: { 'a wrong password': request(() => ({ challenge: challengePassword(randomUUID()) })) },
  challengeCount: {
    'no password': request(() => ({ csrParts: { attributes: [] } })),
    'two passwords': request(client => ({ csrParts: { attributes: twice(client) } })),
  },
  noAzureAccess: {
    'an application without a federated credential': inTenant(({ application }) => application.credentials.splice(0)),
    'a credential with another subject': inTenant(({ application: { credentials } }) => {
      credentials.push({ issuer: '', audience: '', ...credentials.pop(), subject: 'another' });
    }),
  },
  azureActionDenied: {
    'an action that Intune denies': inTenant(({ application }) => application.revoke('scep_challenge_provider')),
    'an action that Graph denies': inTenant(({ application }) => application.revoke('Application.Read.All')),
  },
  azureApplicationNotFound: {
    'an application that the tenant does not have': inTenant(({ application, tenant }) => tenant.applications.delete(application.clientId)),
  },
  intuneValidationFailed: { 'a CSR that Intune refuses': inTenant(() => {}, { expectations: { subject: 'CN=another' } }) },
  unsupportedMessageTypeNumber: {
    'RenewalReq (17)': request(() => ({ messageType: '17' })),
    'UpdateReq (18)': request(() => ({ messageType: '18' })),
    'CertRep (3)': request(() => ({ messageType: '3' })),
    'an unknown one (99)': request(() => ({ messageType: '99' })),
  },
  keyNotSupported: { 'RSA with 1024 bits': request(() => ({ device: createDevice(rsaKey('short', 1024)) })) },
  authorityAccessDenied: {
    'GetCACert of a CA that does not admit connectors': denied(getCaCert),
    'PKCSReq to a CA that does not admit connectors': denied(enrolling),
  },
  accountDoesNotExist: {
    'an account that nobody has': getting(({ server }) => `/111122223333-${server.connectorId}/${otherUuid}?operation=GetCACaps`),
  },
  authorityDoesNotExist: { 'GetCACert of a deleted CA': deleted(getCaCert), 'PKCSReq to a deleted CA': deleted(enrolling) },
  connectorDoesNotExist: {
    'a UUID that is not its own': getting(({ server }) => `/${accountId}-${server.connectorId}/${otherUuid}?operation=GetCACaps`),
  },
  connectorChanged: { 'a policy replaced under way': changedMeanwhile },
  throttled: {
    'more GetCACaps than a rate': apart(
      { SCEP_RATE_GET_CA_CAPS: '1' },
      untilRefused(
        getting(({ path }) => `${path}?operation=GetCACaps`),
        200,
      ),
    ),
    'more PKCSReqs than a rate': apart({ SCEP_RATE_PKCS_REQ: '1' }, untilRefused(enrolling, 200)),
  },
};
