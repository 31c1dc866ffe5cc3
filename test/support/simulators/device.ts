/** What the simulated devices share: how one is asked to enrol, what has passed over the wire, and what no SCEP client leaves unchecked. */
import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import {
  type Extension,
  findExtension,
  KeyUsage,
  keyUsageExtension,
  parseKeyUsage,
  subjectAltNameExtension,
} from '../../../src/base/pki/extensions.ts';
import { parseNameString } from '../../../src/base/pki/name.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { publicKeyOf } from '../../../src/base/pki/public-key.ts';
import { parseSignedData } from '../../../src/base/pki/signed-data.ts';
import { type Certificate, parseCertificate } from '../../../src/base/pki/x509.ts';
import { type CertRep, type HttpAnswer, type SendOptions, send } from '../raw-scep-client.ts';

/** What a management system or an administrator tells a device. */
export interface EnrolmentRequest {
  /** As configured: a device appends to it what its kind appends. */
  url: string;
  /** Of any length: Intune's have about 5 KB. Undefined where a renewal goes without. */
  challenge: string | undefined;
  /** RFC 4514. */
  subject: string;
  /** Of `generalName`. */
  subjectAltNames?: readonly { der: Uint8Array }[];
  /** Beside subjectAltName and what the kind of device asks for by itself. */
  extensions?: readonly Extension[];
  /** In place of a new one. */
  privateKey?: KeyObject;
  /** PEM of what it trusts for HTTPS. */
  tlsCa?: string;
  /** What follows an answer of PENDING; without, the device gives up at the first. */
  retry?: Retry;
}

export interface Retry {
  retries: number;
  delayMs: number;
  wait: (ms: number) => Promise<void>;
}

export interface RawExchange {
  url: string;
  /** The pkiMessage in it. */
  message: Uint8Array | undefined;
  answer: HttpAnswer;
}

export interface Device {
  /** A certificate that the device would install, with its key. Throws EnrolmentRefused, and ClientComplaint where the answer is not to its taste. */
  enrol(request: EnrolmentRequest): Promise<KeyPair>;
  /** In the order in which they happened. */
  readonly exchanges: readonly RawExchange[];
}

/** What the simulated client would show or log: in its own words where these are known. */
export class ClientComplaint extends Error {
  override readonly name = 'ClientComplaint';
}

/** A CertRep of FAILURE, well made and rightly signed. */
export class EnrolmentRefused extends Error {
  override readonly name = 'EnrolmentRefused';
  readonly failInfo: string | undefined;
  readonly failInfoText: string | undefined;

  constructor({ failInfo, failInfoText }: CertRep) {
    super(`refused with ${failInfo}: ${failInfoText}`);
    this.failInfo = failInfo;
    this.failInfoText = failInfoText;
  }
}

/** A device's HTTP, each exchange kept. */
export class Wire {
  readonly exchanges: RawExchange[] = [];
  readonly #options: SendOptions;

  constructor(options: SendOptions) {
    this.#options = options;
  }

  async get(url: string, tlsCa: string | undefined, message?: Uint8Array): Promise<HttpAnswer> {
    return this.keep(url, message, send(url, { ...this.#options, ...(tlsCa !== undefined && { ca: tlsCa }) }));
  }

  async getCaCaps(url: string, tlsCa?: string): Promise<ReadonlySet<string>> {
    return readCaps(await this.get(url, tlsCa));
  }

  async getCaCert(url: string, tlsCa?: string): Promise<CaCertificates> {
    return readCaCertificates(await this.get(url, tlsCa));
  }

  async post(url: string, tlsCa: string | undefined, message: Uint8Array): Promise<HttpAnswer> {
    const headers = { 'content-type': 'application/x-pki-message', 'content-length': message.length, ...this.#options.headers };
    const options = { ...this.#options, method: 'POST', headers, body: message, ...(tlsCa !== undefined && { ca: tlsCa }) };
    return this.keep(url, message, send(url, options));
  }

  async keep(url: string, message: Uint8Array | undefined, sent: Promise<HttpAnswer>): Promise<HttpAnswer> {
    const answer = await sent;
    this.exchanges.push({ url, message, answer });
    return answer;
  }
}

export async function keyOf({ privateKey }: EnrolmentRequest): Promise<KeyObject> {
  return privateKey ?? (await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })).privateKey;
}

/** keyUsage and subjectAltName as management systems have them asked for, and what the request has of its own. */
export function requestedExtensions({ subjectAltNames = [], extensions = [] }: EnrolmentRequest): Extension[] {
  const keyUsage = keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]);
  return [keyUsage, ...alternativeNames(subjectAltNames), ...extensions];
}

export function alternativeNames(subjectAltNames: readonly { der: Uint8Array }[]): Extension[] {
  return subjectAltNames.length === 0 ? [] : [subjectAltNameExtension(subjectAltNames, false)];
}

function readCaps(answer: HttpAnswer): Set<string> {
  requireOk(answer, 'GetCACaps');
  return new Set(String(answer.body).split(/\r?\n/));
}

interface CaCertificates {
  all: readonly Certificate[];
  /** The certificate of an RA that may be encrypted to, by its keyUsage; of a CA without an RA, its own. */
  recipient: Certificate | undefined;
}

/** RFC 8894 section 4.2.1: one certificate as x-x509-ca-cert, or RA and CA as x-x509-ca-ra-cert. */
function readCaCertificates(answer: HttpAnswer): CaCertificates {
  requireOk(answer, 'GetCACert');
  const contentType = answer.headers['content-type'];
  if (contentType === 'application/x-x509-ca-cert') {
    const certificate = parseCertificate(answer.body);
    return { all: [certificate], recipient: certificate };
  }
  if (contentType !== 'application/x-x509-ca-ra-cert') throw new ClientComplaint(`GetCACert was answered with Content-Type ${contentType}`);
  const all = parseSignedData(answer.body).certificates;
  return { all, recipient: all.find(enciphersKeys) };
}

export interface UsableCa extends CaCertificates {
  recipient: Certificate;
}

export function requireRecipient(ca: CaCertificates, complaint = 'GetCACert brought no certificate for key encipherment'): UsableCa {
  const { all, recipient } = ca;
  if (recipient === undefined) throw new ClientComplaint(complaint);
  return { all, recipient };
}

function enciphersKeys({ extensions }: Certificate): boolean {
  const keyUsage = findExtension(extensions, Oid.keyUsage);
  return keyUsage !== undefined && parseKeyUsage(keyUsage).has(KeyUsage.keyEncipherment);
}

export function requireOk({ statusCode, body }: HttpAnswer, what: string): void {
  if (statusCode !== 200) throw new ClientComplaint(`${what} was answered with HTTP ${statusCode}: ${String(body)}`);
}

/** The certificate for this key, which must have the subject that was asked for. */
export function readCertificate({ certificates }: CertRep, privateKey: KeyObject, subject: string): Certificate {
  const publicKey = publicKeyOf(privateKey);
  const certificate = certificates.find(candidate => candidate.publicKey.equals(publicKey));
  if (certificate === undefined) throw new ClientComplaint('the answer holds no certificate for the key of the request');
  if (Buffer.compare(certificate.subject.der, parseNameString(subject).der) !== 0) {
    throw new ClientComplaint('the certificate has another subject than was asked for');
  }
  return certificate;
}
