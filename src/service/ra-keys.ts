/** The connectors' own key pairs: what devices encrypt their requests to and what signs the answers. */
import { createPrivateKey } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { generatePrivateKey } from '../backends/ca/embedded-ca.ts';
import type { KeyProtector } from '../backends/key-protector.ts';
import type { Database, RaKeyRow } from '../backends/store/database.ts';
import { insertRaKey, listRaKeys } from '../backends/store/ra-keys.ts';
import type { KeyPair } from '../base/pki/enveloped-data.ts';
import { KeyUsage, keyUsageExtension } from '../base/pki/extensions.ts';
import { parseNameString } from '../base/pki/name.ts';
import { publicKeyOf } from '../base/pki/public-key.ts';
import { parseCertificate } from '../base/pki/x509.ts';
import type { System } from '../base/system.ts';
import { exportKey, type OpenAuthority } from './certificate-authorities.ts';
import type { Certificates, IssuedCertificate } from './certificates.ts';
import { validityUntil, yearMs } from './validity.ts';

const openKeysMax = 10_000;

export class RaKeys {
  readonly #database: Database;
  readonly #keyProtector: KeyProtector;
  readonly #system: System;
  readonly #certificates: Certificates;
  /** Opened key pairs by ra_key_id. Which of them a connector has is asked of the store each time, so a deleted one is never used. */
  readonly #open = new LRUCache<string, KeyPair>({ max: openKeysMax });

  constructor(parts: { database: Database; keyProtector: KeyProtector; system: System; certificates: Certificates }) {
    this.#database = parts.database;
    this.#keyProtector = parts.keyProtector;
    this.#system = parts.system;
    this.#certificates = parts.certificates;
  }

  /** Every live key pair of the connector, newest first: the first answers, all decrypt. */
  async listKeyPairs(connectorId: string): Promise<KeyPair[]> {
    const rows = await listRaKeys(this.#database.query, connectorId);
    const now = this.#system.now();
    return Promise.all(rows.filter(row => row.not_after > now).map(row => this.#openKeyPair(row)));
  }

  async #openKeyPair(row: RaKeyRow): Promise<KeyPair> {
    const known = this.#open.get(row.ra_key_id);
    if (known !== undefined) return known;
    const pkcs8 = await this.#keyProtector.unseal(row.sealed_key, sealingContext(row.ra_key_id));
    const keyPair = {
      certificate: parseCertificate(row.certificate),
      privateKey: createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' }),
    };
    this.#open.set(row.ra_key_id, keyPair);
    return keyPair;
  }

  /**
   * A new key pair with a certificate of the connector's own authority, for both signing and decrypting as AWS has it. RSA-2048 whatever the
   * authority's key: SCEP's envelope needs RSA, and devices do not know more. Valid a year, at most as long as the authority.
   */
  async createKeyPair(connectorId: string, issuer: OpenAuthority): Promise<IssuedCertificate> {
    const now = this.#system.now();
    const raKeyId = this.#system.randomUUID();
    const privateKey = await generatePrivateKey('RSA_2048');
    const sealedKey = await this.#keyProtector.seal(exportKey(privateKey), sealingContext(raKeyId));
    const subjectText = `CN=SCEP RA ${connectorId}`;
    const order = {
      kind: 'RA' as const,
      connectorId,
      issuer,
      subject: parseNameString(subjectText).der,
      subjectPublicKeyInfo: publicKeyOf(privateKey).spki,
      extensions: [keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment])],
      ...validityUntil(now + yearMs, { now, issuerNotAfter: issuer.authority.certificates[0].notAfter }),
      subjectText,
      subjectAlternativeNames: [],
    };
    const issued = await this.#certificates.issue(order, {
      atRecord: (query, certificate) =>
        insertRaKey(query, {
          ra_key_id: raKeyId,
          connector_id: connectorId,
          certificate_id: certificate.certificateId,
          certificate: certificate.certificate,
          sealed_key: sealedKey,
          purpose: 'BOTH',
          status: 'ACTIVE',
          not_before: certificate.notBefore,
          not_after: certificate.notAfter,
          created_at: now,
        }),
    });
    if (issued === undefined) throw new Error('the RA certificate was not issued');
    return issued;
  }
}

function sealingContext(raKeyId: string): string {
  return `ra-keys/${raKeyId}`;
}
