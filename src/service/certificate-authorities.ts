/** The embedded certificate authorities of an account: made, found by ARN and opened for issuing. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { CaError, type CertificateAuthority } from '../backends/ca/certificate-authority.ts';
import { createRootCertificate, EmbeddedCertificateAuthority, generatePrivateKey, type KeyAlgorithm } from '../backends/ca/embedded-ca.ts';
import type { KeyProtector } from '../backends/key-protector.ts';
import { findCertificateAuthorityById, insertCertificateAuthority } from '../backends/store/certificate-authorities.ts';
import { insertCertificate } from '../backends/store/certificates.ts';
import type { CertificateAuthorityRow, Database } from '../backends/store/database.ts';
import { parseNameString } from '../base/pki/name.ts';
import { fingerprint, newSerialNumber, parseCertificate } from '../base/pki/x509.ts';
import { certificateAuthorityArn, type Home, parseCertificateAuthorityArn } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import { uuidV7 } from '../base/uuid-v7.ts';
import type { Workers } from '../base/worker-pool.ts';
import { validityUntil, yearMs } from './validity.ts';

const rootValidityMs = 10 * yearMs;
const openAuthoritiesMax = 1000;

export interface OpenAuthority {
  caId: string;
  home: Home;
  authority: CertificateAuthority;
}

interface CertificateAuthoritiesParts {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
  workers: Workers;
}

export class CertificateAuthorities {
  readonly #database: Database;
  readonly #keyProtector: KeyProtector;
  readonly #system: System;
  readonly #workers: Workers;
  /** Opened keys by authority and certificate: opening one costs a millisecond. */
  readonly #open = new LRUCache<string, EmbeddedCertificateAuthority>({ max: openAuthoritiesMax });

  constructor({ database, keyProtector, system, workers }: CertificateAuthoritiesParts) {
    this.#workers = workers;
    this.#database = database;
    this.#keyProtector = keyProtector;
    this.#system = system;
  }

  /** A self-signed root, ACTIVE, valid ten years. Its certificate stands in the inventory with those it will issue. Returns its ARN. */
  async createRootCertificateAuthority(
    home: Home,
    { keyAlgorithm, subject }: { keyAlgorithm: KeyAlgorithm; subject: string },
  ): Promise<string> {
    const caId = this.#system.randomUUID();
    const now = this.#system.now();
    const privateKey = await generatePrivateKey(keyAlgorithm);
    const serialNumber = newSerialNumber(this.#system.randomBytes);
    const validity = validityUntil(now + rootValidityMs, { now, issuerNotAfter: Number.POSITIVE_INFINITY });
    const certificate = createRootCertificate(privateKey, { serialNumber, subject: parseNameString(subject).der, ...validity });
    const sealedKey = await this.#keyProtector.seal(exportKey(privateKey), sealingContext(caId));
    await this.#database.transaction(async query => {
      await insertCertificateAuthority(query, {
        ca_id: caId,
        account_id: home.accountId,
        region: home.region,
        type: 'ROOT',
        status: 'ACTIVE',
        usage_mode: 'GENERAL_PURPOSE',
        key_algorithm: keyAlgorithm,
        signing_algorithm: signingAlgorithm(keyAlgorithm),
        subject,
        certificate,
        chain: null,
        sealed_key: sealedKey,
        not_before: validity.notBefore,
        not_after: validity.notAfter,
        created_at: now,
        updated_at: now,
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

  /** The authority, ready to issue. Throws CaError in the words of StatusReason when it is not there or not able. */
  async openAuthority(arn: string): Promise<OpenAuthority> {
    const parts = parseCertificateAuthorityArn(arn);
    const row = parts && (await findCertificateAuthorityById(this.#database.query, parts.caId));
    if (!parts || !row || row.account_id !== parts.accountId || row.status === 'DELETED') {
      throw new CaError('PRIVATECA_RESOURCE_NOT_FOUND', 'The certificate authority does not exist.');
    }
    if (row.status !== 'ACTIVE' || row.certificate === null)
      throw new CaError('PRIVATECA_INVALID_STATE', 'The certificate authority is not active.');
    const authority = await this.#openEmbedded(row, row.certificate);
    if (authority.certificates[0].notAfter <= this.#system.now()) {
      throw new CaError('PRIVATECA_INVALID_STATE', 'The certificate of the certificate authority is expired.');
    }
    return { caId: row.ca_id, home: { accountId: row.account_id, region: row.region }, authority };
  }

  async #openEmbedded(row: CertificateAuthorityRow, certificate: Uint8Array): Promise<EmbeddedCertificateAuthority> {
    const cacheKey = `${row.ca_id}/${row.updated_at}`;
    const known = this.#open.get(cacheKey);
    if (known !== undefined) return known;
    const pkcs8 = await this.#keyProtector.unseal(row.sealed_key, sealingContext(row.ca_id));
    const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    const opened = new EmbeddedCertificateAuthority([parseCertificate(certificate)], privateKey, this.#workers);
    this.#open.set(cacheKey, opened);
    return opened;
  }
}

export function exportKey(privateKey: KeyObject): Uint8Array {
  return privateKey.export({ format: 'der', type: 'pkcs8' });
}

function sealingContext(caId: string): string {
  return `certificate-authorities/${caId}`;
}

function signingAlgorithm(keyAlgorithm: KeyAlgorithm): string {
  if (keyAlgorithm.startsWith('RSA')) return 'SHA256WITHRSA';
  return keyAlgorithm === 'EC_secp384r1' ? 'SHA384WITHECDSA' : 'SHA256WITHECDSA';
}
