/** The connectors' own key pairs: what devices encrypt their requests to and what signs the answers. */
import { createPrivateKey } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { CaError } from '../backends/ca/certificate-authority.ts';
import { generatePrivateKey } from '../backends/ca/embedded-ca.ts';
import type { KeyProtector } from '../backends/key-protector.ts';
import type { Database, Query, RaKeyPurpose, RaKeyRow } from '../backends/store/database.ts';
import { deleteRaKeysEndedBefore, insertRaKey, listRaKeys, retireRaKeys } from '../backends/store/ra-keys.ts';
import type { EnrolmentPolicy } from '../base/enrolment-policy.ts';
import type { KeyPair } from '../base/pki/enveloped-data.ts';
import { KeyUsage, keyUsageExtension } from '../base/pki/extensions.ts';
import { parseNameString } from '../base/pki/name.ts';
import { publicKeyOf } from '../base/pki/public-key.ts';
import { type Certificate, parseCertificate } from '../base/pki/x509.ts';
import type { System } from '../base/system.ts';
import { exportKey, type OpenAuthority } from './certificate-authorities.ts';
import type { Certificates } from './certificates.ts';
import { dayMs, validityUntil, yearMs } from './validity.ts';

/** A dead key answers nobody, but would open what was recorded while it lived: a day after its end it is deleted. */
export const raKeyLimits = { openKeysMax: 10_000, deletedAfterMs: dayMs, deletedPerStepMax: 100 } as const;

const keyUsages: Readonly<Record<RaKeyPurpose, readonly number[]>> = {
  BOTH: [KeyUsage.digitalSignature, KeyUsage.keyEncipherment],
  SIGN: [KeyUsage.digitalSignature],
  DECRYPT: [KeyUsage.keyEncipherment],
};

/** In the order of GetCACert, which is that of Microsoft's NDES. */
const purposesOf: Readonly<Record<EnrolmentPolicy['RaCertificates'], readonly RaKeyPurpose[]>> = {
  ONE: ['BOTH'],
  TWO: ['SIGN', 'DECRYPT'],
};

/** What a connector decrypts requests and signs answers with. */
export interface RaKeyRing {
  /** What GetCACert offers: the newest, the one that signs before the one that decrypts. */
  certificates: readonly Certificate[];
  /** The one of them that requests are encrypted to. */
  recipient: Certificate;
  /** Every live key that decrypts, newest first. */
  decrypting: readonly KeyPair[];
  /**
   * Signs the answer to a request that was encrypted to `decrypting[index]`: its client may know only the certificates of that time and look for the
   * signer among them, as our own does; strongSwan 5.9.8 takes any that its CA has issued. Without an index, the newest.
   */
  signingFor(index: number | undefined): KeyPair;
}

/** New key pairs, about to be a connector's. */
export interface NewRaKeys {
  serialNumbers: readonly string[];
  notAfter: number;
  /** When they are due to be replaced. */
  renewalAt: number;
}

/** The keys that were made together. */
interface Generation {
  signing: KeyPair;
  decrypting: KeyPair;
}

export class RaKeys {
  readonly #database: Database;
  readonly #keyProtector: KeyProtector;
  readonly #system: System;
  readonly #certificates: Certificates;
  /** Opened key pairs by ra_key_id. Which of them a connector has is asked of the store each time, so a deleted one is never used. */
  readonly #open = new LRUCache<string, KeyPair>({ max: raKeyLimits.openKeysMax });

  constructor(parts: { database: Database; keyProtector: KeyProtector; system: System; certificates: Certificates }) {
    this.#database = parts.database;
    this.#keyProtector = parts.keyProtector;
    this.#system = parts.system;
    this.#certificates = parts.certificates;
  }

  /** The connector's live keys. Throws CaError when it has none. */
  async getRaKeys(connectorId: string): Promise<RaKeyRing> {
    const rows = await listRaKeys(this.#database.query, connectorId);
    const now = this.#system.now();
    const live = Map.groupBy(
      rows.filter(row => row.not_after > now),
      row => row.created_at,
    );
    const generations = (await Promise.all([...live.values()].map(generation => this.#openGeneration(generation)))).flat();
    const [newest] = generations;
    if (newest === undefined) throw new CaError('INTERNAL_FAILURE', 'The connector has no valid RA certificate.');
    return {
      certificates: [...new Set([newest.signing.certificate, newest.decrypting.certificate])],
      recipient: newest.decrypting.certificate,
      decrypting: generations.map(({ decrypting }) => decrypting),
      signingFor: index => (index === undefined ? newest : (generations[index] ?? newest)).signing,
    };
  }

  /** Empty when a half is missing: without it no answer could be given. */
  async #openGeneration(rows: readonly RaKeyRow[]): Promise<[] | [Generation]> {
    const signs = rows.find(({ purpose }) => purpose !== 'DECRYPT');
    const decrypts = rows.find(({ purpose }) => purpose !== 'SIGN');
    if (signs === undefined || decrypts === undefined) return [];
    return [{ signing: await this.#openKeyPair(signs), decrypting: await this.#openKeyPair(decrypts) }];
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
   * New key pairs with certificates of the connector's own authority: one for both signing and decrypting, as AWS has it, or two. All of them become
   * the connector's in one transaction with the last certificate, if `install` agrees in it, and those before are retired; a crash before that
   * leaves but certificates whose keys nobody has. Undefined when `install` did not agree.
   */
  async createKeyPairs(
    connectorId: string,
    issuer: OpenAuthority,
    raCertificates: EnrolmentPolicy['RaCertificates'],
    install: (query: Query, made: NewRaKeys) => Promise<boolean>,
  ): Promise<NewRaKeys | undefined> {
    const createdAt = this.#system.now();
    const purposes = purposesOf[raCertificates];
    let made: MadeKey[] = [];
    let installed: NewRaKeys | undefined;
    for (const purpose of purposes) {
      const earlier = made;
      await this.#issue({ connectorId, issuer, purpose, createdAt }, async (query, key) => {
        made = [...earlier, key];
        if (made.length < purposes.length) return;
        const keys = describeKeys(made, issuer);
        installed = (await install(query, keys)) ? keys : undefined;
        if (installed === undefined) return;
        await retireRaKeys(query, connectorId);
        for (const { row } of made) await insertRaKey(query, row);
      });
    }
    return installed;
  }

  /** RSA-2048 whatever the authority's key: SCEP's envelope needs RSA, and devices do not know more. Valid a year, at most as long as the authority. */
  async #issue(
    { connectorId, issuer, purpose, createdAt }: { connectorId: string; issuer: OpenAuthority; purpose: RaKeyPurpose; createdAt: number },
    atRecord: (query: Query, key: MadeKey) => Promise<void>,
  ): Promise<void> {
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
      extensions: [keyUsageExtension(keyUsages[purpose])],
      ...validityUntil(createdAt + yearMs, { now: createdAt, issuerNotAfter: issuer.authority.certificates[0].notAfter }),
      subjectText,
      subjectAlternativeNames: [],
    };
    await this.#certificates.issue(order, {
      atRecord: (query, { certificateId, certificate, serialNumber, notBefore, notAfter }) => {
        const row: RaKeyRow = {
          ra_key_id: raKeyId,
          connector_id: connectorId,
          certificate_id: certificateId,
          certificate,
          sealed_key: sealedKey,
          purpose,
          status: 'ACTIVE',
          not_before: notBefore,
          not_after: notAfter,
          created_at: createdAt,
        };
        return atRecord(query, { row, serialNumber });
      },
    });
  }

  /** Deletes a few of the keys that have been dead for long enough. Their certificates stay in the inventory. */
  async deleteDeadKeys(): Promise<void> {
    const endedBefore = this.#system.now() - raKeyLimits.deletedAfterMs;
    const deleted = await deleteRaKeysEndedBefore(this.#database.query, endedBefore, raKeyLimits.deletedPerStepMax);
    for (const raKeyId of deleted) this.#open.delete(raKeyId);
  }
}

interface MadeKey {
  row: RaKeyRow;
  serialNumber: string;
}

/** Due at two thirds of the life. Keys that end with their issuer are due then: before it has another certificate, new ones could last no longer. */
function describeKeys(made: readonly MadeKey[], issuer: OpenAuthority): NewRaKeys {
  const notBefore = Math.max(...made.map(({ row }) => row.not_before));
  const notAfter = Math.min(...made.map(({ row }) => row.not_after));
  const endsWithIssuer = notAfter >= issuer.authority.certificates[0].notAfter;
  return {
    serialNumbers: made.map(({ serialNumber }) => serialNumber),
    notAfter,
    renewalAt: endsWithIssuer ? notAfter : Math.floor(notBefore + ((notAfter - notBefore) / 3) * 2),
  };
}

function sealingContext(raKeyId: string): string {
  return `ra-keys/${raKeyId}`;
}
