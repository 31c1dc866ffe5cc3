/** The embedded certificate authorities: found by ARN, their keys made and sealed, opened for issuing and for signing revocation lists. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { CaError } from '../backends/ca/certificate-authority.ts';
import { createRootCertificate, EmbeddedCertificateAuthority, generatePrivateKey, signTbsTask } from '../backends/ca/embedded-ca.ts';
import type { KeyProtector } from '../backends/key-protector.ts';
import {
  findCertificateAuthority,
  findCertificateAuthorityById,
  insertCertificateAuthority,
} from '../backends/store/certificate-authorities.ts';
import { insertCertificate } from '../backends/store/certificates.ts';
import type { CertificateAuthorityRow, Database, Query } from '../backends/store/database.ts';
import { ServiceException } from '../base/errors.ts';
import { createSigner } from '../base/pki/algorithms.ts';
import { parseBer } from '../base/pki/asn1.ts';
import { sequence } from '../base/pki/der.ts';
import type { Extension } from '../base/pki/extensions.ts';
import { parseNameString } from '../base/pki/name.ts';
import { createCertificationRequest } from '../base/pki/pkcs10.ts';
import { publicKeyOf } from '../base/pki/public-key.ts';
import { type Certificate, fingerprint, newSerialNumber, parseCertificate } from '../base/pki/x509.ts';
import type { CertificateAuthorityStatus, KeyAlgorithm, SigningAlgorithm } from '../base/private-ca.ts';
import { certificateAuthorityArn, type Home, parseCertificateAuthorityArn } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import type { Workers } from '../base/worker-pool.ts';
import { admitsConnectorService } from './authority-admission.ts';
import { crlDistributionPoint } from './crl-distribution-point.ts';
import { validityUntil, yearMs } from './validity.ts';

const rootValidityMs = 10 * yearMs;
const openAuthoritiesMax = 1000;
/** With the digest that matches the key's strength. */
const defaultSigningAlgorithms: Readonly<Record<KeyAlgorithm, SigningAlgorithm>> = {
  RSA_2048: 'SHA256WITHRSA',
  RSA_3072: 'SHA256WITHRSA',
  RSA_4096: 'SHA256WITHRSA',
  EC_prime256v1: 'SHA256WITHECDSA',
  EC_secp384r1: 'SHA384WITHECDSA',
  EC_secp521r1: 'SHA512WITHECDSA',
  ML_DSA_44: 'ML_DSA_44',
  ML_DSA_65: 'ML_DSA_65',
  ML_DSA_87: 'ML_DSA_87',
};

/** An authority that may issue. */
export interface OpenAuthority {
  caId: string;
  home: Home;
  authority: EmbeddedCertificateAuthority;
}

/** An authority with its key, whatever its status: what it may sign is for the caller to decide. */
export interface SigningAuthority {
  row: CertificateAuthorityRow;
  /** Undefined while it has no certificate. */
  authority: EmbeddedCertificateAuthority | undefined;
  /** The certificate, DER, with the algorithm that the tbsCertificate names: a root's own first one too. */
  signTbs(tbsCertificate: Uint8Array): Promise<Uint8Array>;
}

/** What a key pair is made for, and what its certification request says. */
export interface KeyOrder {
  keyAlgorithm: KeyAlgorithm;
  signingAlgorithm: SigningAlgorithm;
  /** DER of the Name. */
  subject: Uint8Array;
  extensions: readonly Extension[];
}

interface CertificateAuthoritiesParts {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
  workers: Workers;
  /** Whether connectors are admitted by an authority whose policy does not say. */
  compatibility: 'clients' | 'aws';
  /** What the URLs of CRLs begin with, without a trailing slash. */
  publicationUrl: string;
}

export class CertificateAuthorities {
  readonly #database: Database;
  readonly #keyProtector: KeyProtector;
  readonly #system: System;
  readonly #workers: Workers;
  readonly #compatibility: 'clients' | 'aws';
  readonly #publicationUrl: string;
  /** Opened authorities by id and last change: opening one costs a millisecond. */
  readonly #open = new LRUCache<string, SigningAuthority>({ max: openAuthoritiesMax });

  constructor({ database, keyProtector, system, workers, compatibility, publicationUrl }: CertificateAuthoritiesParts) {
    this.#workers = workers;
    this.#compatibility = compatibility;
    this.#publicationUrl = publicationUrl;
    this.#database = database;
    this.#keyProtector = keyProtector;
    this.#system = system;
  }

  /** A self-signed root, ACTIVE, valid ten years. Its certificate stands in the inventory with those it will issue. Returns its ARN. */
  async createRootCertificateAuthority(
    home: Home,
    { keyAlgorithm, subject, policy }: { keyAlgorithm: KeyAlgorithm; subject: string; policy?: string | undefined },
  ): Promise<string> {
    const caId = this.#system.randomUUID();
    const now = this.#system.now();
    const order = { keyAlgorithm, signingAlgorithm: defaultSigningAlgorithms[keyAlgorithm], subject: parseNameString(subject).der };
    const { privateKey, sealedKey, csr } = await this.createKey(caId, { ...order, extensions: [] });
    const serialNumber = newSerialNumber(this.#system.randomBytes);
    const validity = validityUntil(now + rootValidityMs, { now, issuerNotAfter: Number.POSITIVE_INFINITY });
    const certificate = createRootCertificate(privateKey, { serialNumber, subject: order.subject, ...validity });
    await this.#database.transaction(async query => {
      await insertCertificateAuthority(query, {
        ca_id: caId,
        account_id: home.accountId,
        region: home.region,
        type: 'ROOT',
        status: 'ACTIVE',
        usage_mode: 'GENERAL_PURPOSE',
        key_algorithm: keyAlgorithm,
        signing_algorithm: order.signingAlgorithm,
        subject,
        csr,
        certificate,
        chain: null,
        serial_number: serialNumber,
        sealed_key: sealedKey,
        not_before: validity.notBefore,
        not_after: validity.notAfter,
        policy: policy ?? null,
        created_at: now,
        updated_at: now,
        state_changed_at: now,
      });
      await insertCertificate(query, {
        certificate_id: uuidV7(this.#system),
        account_id: home.accountId,
        region: home.region,
        ca_id: caId,
        serial_number: serialNumber,
        connector_id: null,
        kind: 'CA',
        transaction_row_id: null,
        subject,
        subject_alternative_names: '[]',
        not_before: validity.notBefore,
        not_after: validity.notAfter,
        status: 'ISSUED',
        certificate,
        fingerprint: fingerprint(certificate),
        created_at: now,
        issued_at: now,
      });
    });
    return certificateAuthorityArn(home, caId);
  }

  /** A new key pair, sealed for the authority that it is of, and the certification request for it. */
  async createKey(caId: string, order: KeyOrder): Promise<{ privateKey: KeyObject; sealedKey: Uint8Array; csr: Uint8Array }> {
    const privateKey = await generatePrivateKey(order.keyAlgorithm);
    const { spki: subjectPublicKeyInfo } = publicKeyOf(privateKey);
    const { subject, extensions } = order;
    const csr = createCertificationRequest({ subject, subjectPublicKeyInfo, extensions }, createSigner(privateKey, order.signingAlgorithm));
    return { privateKey, sealedKey: await this.#keyProtector.seal(exportKey(privateKey), sealingContext(caId)), csr };
  }

  /** The authority, ready to issue. Throws CaError in the words of StatusReason when it is not there or not able. */
  async openAuthority(arn: string): Promise<OpenAuthority> {
    return this.#openIssuing(await this.#findRow(arn));
  }

  /** The same for a connector, which the authority's policy has to admit. */
  async openForConnector(arn: string): Promise<OpenAuthority> {
    const row = await this.#findRow(arn);
    if (!admitsConnectorService(row, this.#compatibility)) {
      throw new CaError('PRIVATECA_ACCESS_DENIED', 'The policy of the certificate authority does not admit the connector service.');
    }
    return this.#openIssuing(row);
  }

  /** Whether the authority is still ACTIVE, with the certificate with which it was opened. */
  async isUnchanged(query: Query, { caId, authority }: OpenAuthority): Promise<boolean> {
    const row = await findCertificateAuthorityById(query, caId);
    return row?.status === 'ACTIVE' && row.certificate !== null && Buffer.compare(row.certificate, authority.certificates[0].der) === 0;
  }

  async #findRow(arn: string): Promise<CertificateAuthorityRow> {
    const parts = parseCertificateAuthorityArn(arn);
    const row = parts && (await findCertificateAuthority(this.#database.query, parts));
    if (!row || row.status === 'DELETED') throw doesNotExist();
    return row;
  }

  async #openIssuing(row: CertificateAuthorityRow): Promise<OpenAuthority> {
    const status = statusOf(row, this.#system.now());
    if (status === 'EXPIRED') {
      throw new CaError('PRIVATECA_INVALID_STATE', 'The certificate of the certificate authority is expired.');
    }
    const { authority } = status === 'ACTIVE' ? await this.#openRow(row) : { authority: undefined };
    if (authority === undefined) throw new CaError('PRIVATECA_INVALID_STATE', 'The certificate authority is not active.');
    return { caId: row.ca_id, home: { accountId: row.account_id, region: row.region }, authority };
  }

  /** Throws CaError when the authority does not exist or has no key. */
  async openForSigning(caId: string): Promise<SigningAuthority> {
    const row = await findCertificateAuthorityById(this.#database.query, caId);
    if (!row) throw doesNotExist();
    if (row.sealed_key.length === 0) throw new CaError('PRIVATECA_INVALID_STATE', 'The certificate authority has no key.');
    return { ...(await this.#openRow(row)), row };
  }

  async #openRow(row: CertificateAuthorityRow): Promise<SigningAuthority> {
    const cacheKey = `${row.ca_id}/${row.updated_at}/${row.serial_number}`;
    const known = this.#open.get(cacheKey);
    if (known !== undefined) return known;
    const pkcs8 = await this.#keyProtector.unseal(row.sealed_key, sealingContext(row.ca_id));
    const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    const certificates = certificatesOf(row);
    const signingAlgorithm = row.signing_algorithm as SigningAlgorithm;
    const crlUrl = crlDistributionPoint(row, this.#publicationUrl);
    const opened: SigningAuthority = {
      row,
      authority:
        certificates && new EmbeddedCertificateAuthority({ certificates, privateKey, signingAlgorithm, crlUrl, workers: this.#workers }),
      signTbs: tbsCertificate => this.#workers.run(signTbsTask, { tbsCertificate, privateKey }),
    };
    this.#open.set(cacheKey, opened);
    return opened;
  }
}

/** What AWS shows: no row is written when a certificate runs out. */
export function statusOf({ status, not_after: notAfter }: CertificateAuthorityRow, now: number): CertificateAuthorityStatus {
  const isCertified = status === 'ACTIVE' || status === 'DISABLED';
  return isCertified && notAfter !== null && notAfter <= now ? 'EXPIRED' : status;
}

/**
 * The authority of the ARN, whichever account it is of: whether the caller may know it was decided before. Throws acm-pca's exceptions. One that can
 * no longer be restored is gone, whether or not the worker came by.
 */
export async function getAuthorityRow(query: Query, region: string, now: number, arn: string): Promise<CertificateAuthorityRow> {
  const parts = parseCertificateAuthorityArn(arn);
  if (!parts) throw new ServiceException('InvalidArnException', `${arn} is not the ARN of a certificate authority.`);
  const isOurs = certificateAuthorityArn({ accountId: parts.accountId, region }, parts.caId) === arn;
  const row = isOurs ? await findCertificateAuthority(query, parts) : undefined;
  if (!row || isGone(row, now)) throw new ServiceException('ResourceNotFoundException', `Could not find certificate authority ${arn}.`);
  return row;
}

export function isGone({ status, restorable_until_at: restorableUntilAt }: CertificateAuthorityRow, now: number): boolean {
  return status === 'DELETED' && (restorableUntilAt ?? 0) <= now;
}

/** Throws InvalidStateException unless the authority is in one of the states; `action` completes AWS's sentence. */
export function checkStatus(
  row: CertificateAuthorityRow,
  now: number,
  allowed: readonly CertificateAuthorityStatus[],
  action: string,
): void {
  const status = statusOf(row, now);
  if (allowed.includes(status)) return;
  const message = `The certificate authority is not in a valid state for ${action}: it is ${status}, not ${allowed.join(' or ')}.`;
  throw new ServiceException('InvalidStateException', message);
}

/** Everything but DELETED: what may be said about an authority, and by whom it may be used. */
export function checkNotDeleted(row: CertificateAuthorityRow, action: string): void {
  if (row.status !== 'DELETED') return;
  throw new ServiceException('InvalidStateException', `The certificate authority is not in a valid state for ${action}: it is DELETED.`);
}

/** The authority's own certificate, then its issuers up to the root; undefined while it has none. */
export function certificatesOf({
  certificate,
  chain,
}: Pick<CertificateAuthorityRow, 'certificate' | 'chain'>): [Certificate, ...Certificate[]] | undefined {
  if (certificate === null) return undefined;
  const issuers = chain === null ? [] : parseBer(sequence(chain)).elements('chain');
  return [parseCertificate(certificate), ...issuers.map(parseCertificate)];
}

export function exportKey(privateKey: KeyObject): Uint8Array {
  return privateKey.export({ format: 'der', type: 'pkcs8' });
}

function sealingContext(caId: string): string {
  return `certificate-authorities/${caId}`;
}

function doesNotExist(): CaError {
  return new CaError('PRIVATECA_RESOURCE_NOT_FOUND', 'The certificate authority does not exist.');
}
