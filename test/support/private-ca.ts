/** The private CA in this process, over a store of its own and a clock that tests move: authorities made as a client makes them. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalKeyProtector } from '../../src/backends/key-protector.ts';
import type { Database } from '../../src/backends/store/database.ts';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';
import { createSigner } from '../../src/base/pki/algorithms.ts';
import { sequence } from '../../src/base/pki/der.ts';
import { type Extension, generalName, subjectAltNameExtension } from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { encodePem, parsePem } from '../../src/base/pki/pem.ts';
import { createCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { type Certificate, parseCertificate } from '../../src/base/pki/x509.ts';
import type { KeyAlgorithm, SigningAlgorithm } from '../../src/base/private-ca.ts';
import type { Principal } from '../../src/base/resources.ts';
import { realSystem, type System } from '../../src/base/system.ts';
import type { Workers } from '../../src/base/worker-pool.ts';
import { AuthorityLifecycle } from '../../src/service/authority-lifecycle.ts';
import { CertificateAuthorities } from '../../src/service/certificate-authorities.ts';
import { CertificateIssuance } from '../../src/service/certificate-issuance.ts';
import type { IssueCertificateRequest } from '../../src/service/issuance-plan.ts';
import { IssuanceQueue } from '../../src/service/issuance-queue.ts';
import { PrivateCa } from '../../src/service/private-ca.ts';
import type { RevocationConfiguration } from '../../src/service/revocation-configuration.ts';
import { RevocationLists } from '../../src/service/revocation-lists.ts';

export const region = 'eu-central-1';
export const publicationUrl = 'http://pki.example.com';
export const principal: Principal = {
  accountId: '111122223333',
  arn: 'arn:aws:iam::111122223333:user/administrator',
  userName: 'administrator',
  accessKeyId: 'AKIAEXAMPLE',
};
export const template = (name: string) => `arn:aws:acm-pca:::template/${name}/V1`;

export interface AuthorityOptions {
  keyAlgorithm?: KeyAlgorithm;
  signingAlgorithm?: SigningAlgorithm;
  commonName?: string;
  usageMode?: string;
  revocation?: RevocationConfiguration;
  /** Of the authority's own certificate. */
  validity?: IssueCertificateRequest['Validity'];
  templateArn?: string;
}

type IssueOptions = Partial<IssueCertificateRequest>;

export interface PrivateCaSubject extends AsyncDisposable {
  database: Database;
  system: System;
  certificateAuthorities: CertificateAuthorities;
  privateCa: PrivateCa;
  issuance: CertificateIssuance;
  queue: IssuanceQueue;
  revocationLists: RevocationLists;
  /** What was signed, in the order of its signing; `fail` is thrown in its place when it is set. */
  signing: { count: number; fail?: Error | undefined };
  reports: object[];
  advance(ms: number): void;
  /** A worker as another process would start it, over the same store. */
  makeQueue(): IssuanceQueue;
  makeRevocationLists(): RevocationLists;
  /** PENDING_CERTIFICATE, with a key. */
  createAuthority(type: 'ROOT' | 'SUBORDINATE', options?: AuthorityOptions): Promise<string>;
  /** ACTIVE: activated as AWS's documentation has it. */
  createRoot(options?: AuthorityOptions): Promise<string>;
  createSubordinate(parentArn: string, options?: AuthorityOptions): Promise<string>;
  /** A certificate of IssueCertificate, once it is signed. */
  issue(arn: string, options?: IssueOptions): Promise<{ arn: string; certificate: Certificate; pem: string; chain: string | undefined }>;
  revoke(arn: string, serialNumber: string): Promise<void>;
}

let csrKey: KeyObject | undefined;

/** PEM, for a key that the tests share unless they give another. */
export function csrPem({ subject = 'CN=device-7', key = sharedKey(), extensions = defaultExtensions }: CsrOptions = {}): Uint8Array {
  const content = {
    subject: subject === '' ? sequence() : parseNameString(subject).der,
    subjectPublicKeyInfo: publicKeyOf(key).spki,
    extensions,
  };
  return Buffer.from(encodePem('CERTIFICATE REQUEST', createCertificationRequest(content, createSigner(key))));
}

interface CsrOptions {
  subject?: string;
  key?: KeyObject;
  extensions?: readonly Extension[];
}

const defaultExtensions = [subjectAltNameExtension([generalName.dns('device-7.example.com')], false)];

export function sharedKey(): KeyObject {
  csrKey ??= generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  return csrKey;
}

export function parsePemCertificates(pem: string): Certificate[] {
  return parsePem('CERTIFICATE', pem).map(der => parseCertificate(der));
}

export async function openPrivateCa(): Promise<PrivateCaSubject> {
  const directory = await mkdtemp(join(tmpdir(), 'scep-pca-'));
  const database = await openSqliteDatabase({ file: join(directory, 'scep.db') });
  let clockOffsetMs = 0;
  const system: System = { ...realSystem, now: () => realSystem.now() + clockOffsetMs };
  const keyProtector = new LocalKeyProtector(system.randomBytes(32), system);
  const signing: PrivateCaSubject['signing'] = { count: 0 };
  const workers: Workers = {
    async run({ run }, input) {
      if (signing.fail !== undefined) throw signing.fail;
      signing.count += 1;
      return run(input);
    },
  };
  const reports: object[] = [];
  const log = { info: () => {}, warn: () => {}, error: (fields: object) => void reports.push(fields) };
  const certificateAuthorities = new CertificateAuthorities({
    database,
    keyProtector,
    system,
    workers,
    compatibility: 'clients',
    publicationUrl,
  });
  const authorityLifecycle = new AuthorityLifecycle({ database, system, log, certificateAuthorities });
  const privateCa = new PrivateCa({ database, system, region, quota: 200, wakeLifecycle: () => {}, wakeConnectors: () => {} });
  const makeQueue = () => new IssuanceQueue({ database, system, log, certificateAuthorities });
  const queue = makeQueue();
  const makeRevocationLists = () => new RevocationLists({ database, system, certificateAuthorities });
  const issuance = new CertificateIssuance({ database, system, region, publicationUrl, issuanceQueue: queue });

  const subject: PrivateCaSubject = {
    database,
    system,
    certificateAuthorities,
    privateCa,
    issuance,
    queue,
    revocationLists: makeRevocationLists(),
    signing,
    reports,
    advance(ms) {
      clockOffsetMs += ms;
    },
    makeQueue,
    makeRevocationLists,
    async createAuthority(type, { keyAlgorithm = 'EC_prime256v1', signingAlgorithm = 'SHA256WITHECDSA', ...options } = {}) {
      const { CertificateAuthorityArn } = await privateCa.createCertificateAuthority(principal, {
        CertificateAuthorityType: type,
        CertificateAuthorityConfiguration: {
          KeyAlgorithm: keyAlgorithm,
          SigningAlgorithm: signingAlgorithm,
          Subject: { CommonName: options.commonName ?? `Example ${type}`, Organization: 'Example' },
        },
        ...(options.usageMode && { UsageMode: options.usageMode }),
        ...(options.revocation && { RevocationConfiguration: options.revocation }),
      });
      await authorityLifecycle.settle();
      return CertificateAuthorityArn;
    },
    async createRoot(options = {}) {
      const arn = await subject.createAuthority('ROOT', options);
      await certify(arn, arn, { TemplateArn: template('RootCACertificate'), Validity: { Type: 'YEARS', Value: 10 }, ...own(options) });
      return arn;
    },
    async createSubordinate(parentArn, options = {}) {
      const arn = await subject.createAuthority('SUBORDINATE', options);
      const TemplateArn = options.templateArn ?? template('SubordinateCACertificate_PathLen0');
      await certify(parentArn, arn, { TemplateArn, Validity: { Type: 'YEARS', Value: 3 }, ...own(options) });
      return arn;
    },
    async issue(arn, options = {}) {
      const { CertificateAuthority: authority } = await privateCa.describeCertificateAuthority({ CertificateAuthorityArn: arn });
      const { CertificateArn } = await issuance.issueCertificate(principal, {
        CertificateAuthorityArn: arn,
        Csr: csrPem(),
        SigningAlgorithm: authority.CertificateAuthorityConfiguration.SigningAlgorithm as SigningAlgorithm,
        Validity: { Type: 'DAYS', Value: 30 },
        ...options,
      });
      await queue.settle();
      const answer = await issuance.getCertificate({ CertificateAuthorityArn: arn, CertificateArn });
      const [certificate] = parsePemCertificates(answer.Certificate);
      if (certificate === undefined) throw new Error('no certificate');
      return { arn: CertificateArn, certificate, pem: answer.Certificate, chain: answer.CertificateChain };
    },
    async revoke(arn, serialNumber) {
      await issuance.revokeCertificate({
        CertificateAuthorityArn: arn,
        CertificateSerial: serialNumber,
        RevocationReason: 'KEY_COMPROMISE',
      });
    },
    async [Symbol.asyncDispose]() {
      await queue[Symbol.asyncDispose]();
      await authorityLifecycle[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };

  function own({ validity }: AuthorityOptions): IssueOptions {
    return validity === undefined ? {} : { Validity: validity };
  }

  async function certify(issuerArn: string, arn: string, options: IssueOptions): Promise<void> {
    const { Csr } = await privateCa.getCertificateAuthorityCsr({ CertificateAuthorityArn: arn });
    const { pem, chain } = await subject.issue(issuerArn, { ...options, Csr: Buffer.from(Csr) });
    await privateCa.importCertificateAuthorityCertificate({
      CertificateAuthorityArn: arn,
      Certificate: Buffer.from(pem),
      ...(chain && { CertificateChain: Buffer.from(chain) }),
    });
  }

  return subject;
}
