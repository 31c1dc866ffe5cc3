/** Devices that enrol over HTTP: requests of many transactions on a few keys, their answers, and whether the store holds what was answered. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { sql } from 'kysely';
import { findCertificateByFingerprint } from '../../src/backends/store/certificates.ts';
import { openSqliteDatabase } from '../../src/backends/store/sqlite.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { type Certificate, fingerprint } from '../../src/base/pki/x509.ts';
import { realSystem } from '../../src/base/system.ts';
import { answerPolicy, createRequest } from '../../src/client/enroll.ts';
import { decodeCertRep, encodeRequest, type RequestTemplate } from '../../src/client/pki-message.ts';
import { type CaCertificates, ScepClient } from '../../src/client/scep-client.ts';

/** One transaction of one device, as it is sent and sent again. */
export interface DeviceRequest {
  template: RequestTemplate;
  message: Uint8Array<ArrayBuffer>;
}

export type DeviceAnswer =
  | { kind: 'certificate'; certificate: Certificate }
  | { kind: 'FAILURE' | 'PENDING'; detail: string }
  | { kind: 'http'; statusCode: number; headers: Headers; text: string }
  | { kind: 'none'; cause: unknown };

/** The devices of one connector. */
export class Devices {
  readonly #keys: readonly KeyObject[];
  readonly #ca: CaCertificates;
  readonly #caps: ReadonlySet<string>;
  readonly #challenge: string;
  #requests = 0;

  /** Making RSA keys is what costs the time, so `keys` are shared by all requests. */
  static async connect(url: string, { challenge, keys = 4 }: { challenge: string; keys?: number }): Promise<Devices> {
    const client = new ScepClient(url);
    return new Devices(await client.getCaCert(), await client.getCaCaps(), challenge, keys);
  }

  private constructor(ca: CaCertificates, caps: ReadonlySet<string>, challenge: string, keys: number) {
    this.#ca = ca;
    this.#caps = caps;
    this.#challenge = challenge;
    this.#keys = Array.from({ length: keys }, () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
  }

  /** A transaction of its own, with a subject of its own. */
  request(challenge = this.#challenge): DeviceRequest {
    const number = this.#requests++;
    const privateKey = this.#keys[number % this.#keys.length];
    assert.ok(privateKey);
    const subject = parseNameString(`CN=device-${number}`).der;
    const content = { privateKey, subject, challenge, extensions: [], caps: this.#caps, recipient: this.#ca.recipient };
    const template = { ...createRequest(content, realSystem), transactionID: `transaction-${number}` };
    return { template, message: Buffer.from(encodeRequest(template)) };
  }

  async send(url: string, request: DeviceRequest): Promise<DeviceAnswer> {
    let response: Response;
    let body: Uint8Array;
    try {
      response = await fetch(`${url}?operation=PKIOperation`, { method: 'POST', body: request.message });
      body = await response.bytes();
    } catch (cause) {
      return { kind: 'none', cause };
    }
    if (response.status !== 200) {
      return { kind: 'http', statusCode: response.status, headers: response.headers, text: Buffer.from(body).toString() };
    }
    return this.#decode(body, request);
  }

  /** The certificate; any other answer fails the test. */
  async enrol(url: string, request: DeviceRequest): Promise<Certificate> {
    const answer = await this.send(url, request);
    assert.equal(answer.kind, 'certificate', JSON.stringify(answer));
    return answer.certificate;
  }

  #decode(body: Uint8Array, { template }: DeviceRequest): DeviceAnswer {
    const answer = decodeCertRep(body, { ...template, caCertificates: this.#ca.all, policy: answerPolicy });
    if (answer.pkiStatus !== 'SUCCESS') return { kind: answer.pkiStatus, detail: JSON.stringify(answer) };
    const [certificate] = answer.certificates;
    assert.ok(certificate && certificate.publicKey.equals(template.signer.certificate.publicKey), 'the certificate is for another key');
    return { kind: 'certificate', certificate };
  }
}

/** How many of the certificates the store in this data directory holds as issued. The store itself must be sound, and no serial number there twice. */
export async function countStored(dataDir: string, certificates: Iterable<Certificate>): Promise<number> {
  await using database = await openSqliteDatabase({ file: join(dataDir, 'scep.db'), readOnly: true });
  const integrity = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(database.query);
  assert.deepEqual(integrity.rows, [{ integrity_check: 'ok' }]);
  const serialNumbers = await database.query.selectFrom('certificates').select('serial_number').execute();
  assert.equal(new Set(serialNumbers.map(row => row.serial_number)).size, serialNumbers.length);
  let stored = 0;
  for (const { der } of certificates) {
    const row = await findCertificateByFingerprint(database.query, fingerprint(der));
    if (row?.status === 'ISSUED' && row.certificate !== null && Buffer.compare(row.certificate, der) === 0) stored++;
  }
  return stored;
}

/** How many certificates were issued, or only begun, for devices. */
export async function countIssuance(dataDir: string): Promise<Record<string, number>> {
  await using database = await openSqliteDatabase({ file: join(dataDir, 'scep.db'), readOnly: true });
  const rows = await database.query
    .selectFrom('certificates')
    .select(({ fn }) => ['status', fn.countAll<number>().as('count')])
    .where('kind', '=', 'DEVICE')
    .groupBy('status')
    .execute();
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}
