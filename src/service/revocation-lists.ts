/** What the embedded authorities publish: CRLs, made when they are asked for and kept until something changes or half their life is over, and CA certificates. */
import { LRUCache } from 'lru-cache';
import { findCertificateAuthorityById } from '../backends/store/certificate-authorities.ts';
import type { CertificateAuthorityRow, Database } from '../backends/store/database.ts';
import { findLatestRevocation, listRevokedCertificates, takeCrlNumber } from '../backends/store/revocation-lists.ts';
import { certificateListLimits } from '../base/pki/crl.ts';
import type { System } from '../base/system.ts';
import type { CertificateAuthorities } from './certificate-authorities.ts';
import { describeRevocationConfiguration } from './revocation-configuration.ts';
import { dayMs } from './validity.ts';

/** Of one with very many entries a few megabytes are kept; whatever is not is made again when it is asked for. */
export const revocationListLimits = { cachedBytesMax: 256 * 1024 * 1024 } as const;
const lifeDaysDefault = 7;

export interface RevocationList {
  der: Uint8Array;
  cRLNumber: number;
  thisUpdate: number;
  nextUpdate: number;
}

/** With what it was made of. */
interface CachedList extends RevocationList {
  revision: string;
}

interface RevocationListsParts {
  database: Database;
  system: System;
  certificateAuthorities: CertificateAuthorities;
}

export class RevocationLists {
  readonly #parts: RevocationListsParts;
  readonly #lists = new LRUCache<string, CachedList>({
    maxSize: revocationListLimits.cachedBytesMax,
    sizeCalculation: ({ der }) => der.length,
  });
  /** The lists being made: however many ask, each is signed and numbered once. */
  readonly #making = new Map<string, Promise<RevocationList>>();

  constructor(parts: RevocationListsParts) {
    this.#parts = parts;
  }

  /** The authority's current CRL; undefined when it publishes none. */
  async findRevocationList(caId: string): Promise<RevocationList | undefined> {
    const { database } = this.#parts;
    const row = await findCertificateAuthorityById(database.query, caId);
    return row && publishesList(row) ? this.#current(row) : undefined;
  }

  /** The current CRL of an authority in service, published or not: SCEP's GetCRL hands it to devices. */
  async getRevocationList(caId: string): Promise<RevocationList> {
    const row = await findCertificateAuthorityById(this.#parts.database.query, caId);
    if (row === undefined) throw new Error(`the certificate authority ${caId} does not exist`);
    return this.#current(row);
  }

  async #current(row: CertificateAuthorityRow): Promise<RevocationList> {
    const { database, system } = this.#parts;
    const { ca_id: caId } = row;
    const revision = revisionOf(row, await findLatestRevocation(database.query, caId));
    const known = this.#lists.get(caId);
    if (known?.revision === revision && system.now() < (known.thisUpdate + known.nextUpdate) / 2) return known;
    const key = `${caId}/${revision}`;
    const making = this.#making.get(key) ?? this.#make(row).finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    return making;
  }

  /**
   * The number and the entries in one transaction: of two lists made at once, by two nodes, the one with the higher number never knows less (RFC
   * 5280 section 5.2.3). A certificate that has expired since the list before stays for one more (section 3.3).
   */
  async #make(row: CertificateAuthorityRow): Promise<RevocationList> {
    const { database, system, certificateAuthorities } = this.#parts;
    const { ca_id: caId } = row;
    const { authority } = await certificateAuthorities.openForSigning(caId);
    if (authority === undefined) throw new Error(`the certificate authority ${caId} has no certificate`);
    const thisUpdate = system.now();
    const lifeMs = (crlConfigurationOf(row).ExpirationInDays ?? lifeDaysDefault) * dayMs;
    // Nobody goes by a list that is older than its life.
    const notAfterMin = this.#lists.get(caId)?.thisUpdate ?? thisUpdate - lifeMs;
    const { cRLNumber, revoked, latestRevocation } = await database.transaction(async query => ({
      cRLNumber: await takeCrlNumber(query, caId),
      revoked: await listRevokedCertificates(query, { caId, notAfterMin, limit: certificateListLimits.entriesMax }),
      latestRevocation: await findLatestRevocation(query, caId),
    }));
    const revokedCertificates = revoked.map(({ serial_number: serialNumber, revoked_at: revokedAt, revocation_reason: reason }) => ({
      serialNumber,
      revokedAt: revokedAt ?? thisUpdate,
      reason: reason ?? ('UNSPECIFIED' as const),
    }));
    const times = { thisUpdate, nextUpdate: thisUpdate + lifeMs };
    const der = await authority.signCertificateList({ cRLNumber, ...times, revokedCertificates });
    const list = { der, cRLNumber, ...times, revision: revisionOf(row, latestRevocation) };
    if ((this.#lists.get(caId)?.cRLNumber ?? 0) < cRLNumber) this.#lists.set(caId, list);
    return list;
  }

  /** The authority's own certificate, which those it issues are verified with; undefined when it has none. */
  async findCaCertificate(caId: string): Promise<{ der: Uint8Array; notBefore: number } | undefined> {
    const row = await findCertificateAuthorityById(this.#parts.database.query, caId);
    if (!row?.certificate || row.status === 'DELETED') return undefined;
    return { der: row.certificate, notBefore: row.not_before ?? 0 };
  }
}

/** What a list depends on. */
function revisionOf({ serial_number, revocation_configuration }: CertificateAuthorityRow, latestRevocation: number): string {
  return `${serial_number}/${revocation_configuration}/${latestRevocation}`;
}

/** AWS: a DISABLED authority still has CRLs. */
function publishesList(row: CertificateAuthorityRow): boolean {
  const isInService = row.status === 'ACTIVE' || row.status === 'DISABLED';
  return isInService && row.certificate !== null && crlConfigurationOf(row).Enabled;
}

function crlConfigurationOf({ revocation_configuration }: CertificateAuthorityRow) {
  return describeRevocationConfiguration(revocation_configuration).CrlConfiguration;
}
