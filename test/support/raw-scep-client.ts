/** A SCEP client for tests: sends what it is handed as it is, reads the whole answer, and sees whether a refusal has left the store unchanged. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { SecureVersion } from 'node:tls';
import type { Database } from '../../src/backends/store/database.ts';
import { algorithmName } from '../../src/base/pki/algorithms.ts';
import { Tag } from '../../src/base/pki/asn1.ts';
import { findOpening, type KeyPair, openContent, parseEnvelopedData } from '../../src/base/pki/enveloped-data.ts';
import type { Extension } from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import {
  identifies,
  onlySigner,
  optionalAttribute,
  parseSignedData,
  requiredAttribute,
  verifySignerInfo,
} from '../../src/base/pki/signed-data.ts';
import { readText } from '../../src/base/pki/strings-and-times.ts';
import type { Certificate } from '../../src/base/pki/x509.ts';
import { FailInfo, MessageType, PkiStatus } from '../../src/base/scep.ts';
import { laxPolicy } from './pki-fixtures.ts';
import {
  type AttributeParts,
  type CsrParts,
  challengePassword,
  createDevice,
  type EnvelopeParts,
  encodeCsr,
  encodeEnvelope,
  encodeSignedMessage,
  encodeSignerInfo,
  extensionRequest,
  requestAttributes,
  type SignerParts,
} from './scep-messages.ts';
import type { TemporaryServer } from './temporary-server.ts';

export interface HttpAnswer {
  statusCode: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface SendOptions {
  method?: string;
  headers?: OutgoingHttpHeaders;
  body?: Uint8Array;
  /** PEM, for HTTPS. */
  ca?: string;
  maxVersion?: SecureVersion;
  /** Which address of this machine it comes from. */
  localAddress?: string;
}

/** Sends the URL's path and query as they are written, with nothing escaped and nothing added. */
export async function send(url: string, options: SendOptions = {}): Promise<HttpAnswer> {
  const { method = 'GET', headers: sentHeaders = {}, body, ca, maxVersion, localAddress } = options;
  const { protocol, hostname, port, origin } = new URL(url);
  const request = protocol === 'https:' ? httpsRequest : httpRequest;
  const path = url.slice(origin.length);
  return new Promise((resolve, reject) => {
    const tls = { ...(ca !== undefined && { ca }), ...(maxVersion !== undefined && { maxVersion }) };
    const from = localAddress === undefined ? {} : { localAddress };
    const sent = request({ hostname, port, path, method, headers: sentHeaders, ...tls, ...from }, answer => {
      const { statusCode = 0, headers } = answer;
      buffer(answer).then(octets => resolve({ statusCode, headers, body: octets }), reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Everything that comes back on a connection over which just these octets were sent. */
export async function exchange(url: string, octets: string | Uint8Array): Promise<string> {
  return String(await exchangeOctets(url, octets));
}

export async function exchangeOctets(url: string, octets: string | Uint8Array): Promise<Buffer> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(octets);
  return buffer(socket);
}

/** What a CertRep says; its signature holds. */
export interface CertRep {
  pkiStatus: keyof typeof PkiStatus;
  failInfo: keyof typeof FailInfo | undefined;
  failInfoText: string | undefined;
  transactionID: string;
  senderNonce: Uint8Array;
  recipientNonce: Uint8Array | undefined;
  /** Undefined when it is absent. */
  eContent: Uint8Array | undefined;
  digest: string;
  signatureAlgorithm: string;
  /** Of SUCCESS: names of the content cipher and the key transport, and the certificates in the envelope. */
  cipher?: string;
  keyTransport?: string;
  certificates: readonly Certificate[];
  /** What was in the envelope: a degenerate SignedData. */
  messageData?: Uint8Array;
}

/** Verifies and reads an answer to `device`. */
export function decodeCertRep(message: Uint8Array, ra: Certificate, device: KeyPair): CertRep {
  const signedData = parseSignedData(message);
  const signer = onlySigner(signedData);
  assert.ok(identifies(signer.sid, ra), 'the answer is not signed by the RA');
  verifySignerInfo(signedData, signer, ra, laxPolicy);
  const printable = (type: string) => optionalAttribute(signer, type, Tag.printableString, type)?.octets().toString('latin1');
  assert.equal(printable(Oid.messageType), MessageType.CertRep);
  const failInfoText = optionalAttribute(signer, Oid.failInfoText, Tag.utf8String, 'failInfoText');
  const pkiStatus = keyOf(PkiStatus, printable(Oid.pkiStatus));
  assert.ok(pkiStatus, 'a CertRep without pkiStatus');
  return {
    pkiStatus,
    failInfo: keyOf(FailInfo, printable(Oid.failInfo)),
    failInfoText: failInfoText && readText(failInfoText),
    transactionID: printable(Oid.transactionID) ?? '',
    senderNonce: requiredAttribute(signer, Oid.senderNonce, Tag.octetString, 'senderNonce').octets(),
    recipientNonce: optionalAttribute(signer, Oid.recipientNonce, Tag.octetString, 'recipientNonce')?.octets(),
    eContent: signedData.eContent,
    digest: algorithmName(signer.digestAlgorithm.oid),
    signatureAlgorithm: signer.signatureAlgorithm.oid,
    ...openEnvelope(pkiStatus === 'SUCCESS' ? signedData.eContent : undefined, device),
  };
}

function keyOf<T extends Record<string, string>>(values: T, value: string | undefined): keyof T | undefined {
  return Object.keys(values).find(key => values[key] === value);
}

function openEnvelope(
  eContent: Uint8Array | undefined,
  device: KeyPair,
): Pick<CertRep, 'cipher' | 'keyTransport' | 'certificates' | 'messageData'> {
  if (eContent === undefined) return { certificates: [] };
  const opening = findOpening(parseEnvelopedData(eContent), [device]);
  const { keyTransport } = opening;
  const { content, intact } = openContent(opening);
  assert.ok(intact, 'the answer is not encrypted to the device');
  return {
    cipher: opening.cipher.name,
    keyTransport: keyTransport.scheme === 'OAEP' ? `OAEP ${algorithmName(keyTransport.digest.oid)}` : 'PKCS1',
    certificates: parseSignedData(content).certificates,
    messageData: content,
  };
}

/** Every part of a request that a test may want otherwise. */
export interface RequestParts extends AttributeParts {
  device?: KeyPair;
  /** In place of a CSR for the device's key, with the challenge, these extensions and these further attributes. */
  csr?: Uint8Array;
  challenge?: Uint8Array;
  extensions?: readonly Extension[];
  csrAttributes?: readonly Uint8Array[];
  csrParts?: CsrParts;
  envelope?: Partial<EnvelopeParts>;
  /** In place of the pkcsPKIEnvelope. */
  eContent?: Uint8Array;
  signing?: Partial<SignerParts>;
  /** Beside the usual ones. */
  signedAttributes?: readonly Uint8Array[];
}

/** What a client needs to know of a connector, and to see what became of a request. */
type Endpoint = Pick<TemporaryServer, 'url' | 'challengePassword' | 'database'>;

/** A device's view of a connector. */
export class RawScepClient {
  readonly endpoint: Endpoint;
  readonly device: KeyPair;
  /** GetCACert's answer. */
  readonly ra: Certificate;
  readonly ca: Certificate;

  constructor(endpoint: Endpoint, certificates: readonly Certificate[], device = createDevice()) {
    const [ra, ca] = certificates;
    assert.ok(ra && ca, 'GetCACert gave less than RA and CA');
    this.endpoint = endpoint;
    this.device = device;
    this.ra = ra;
    this.ca = ca;
  }

  static async connect(endpoint: Endpoint, device?: KeyPair): Promise<RawScepClient> {
    const { body } = await send(`${endpoint.url}?operation=GetCACert`);
    return new RawScepClient(endpoint, parseSignedData(body).certificates, device);
  }

  /** A CSR with the right challenge. */
  csr(parts: RequestParts = {}): Uint8Array {
    const {
      device = this.device,
      challenge = challengePassword(this.endpoint.challengePassword),
      extensions = [],
      csrAttributes = [],
    } = parts;
    const requested = extensions.length > 0 ? [extensionRequest(...extensions)] : [];
    return encodeCsr({ key: device.privateKey, attributes: [challenge, ...requested, ...csrAttributes], ...parts.csrParts });
  }

  envelope(content: Uint8Array, change: Partial<EnvelopeParts> = {}): Uint8Array {
    return encodeEnvelope({ content, recipients: [{ certificate: this.ra }], ...change });
  }

  /** A PKCSReq. */
  request(parts: RequestParts = {}): Uint8Array {
    const { device = this.device, envelope, signing, signedAttributes = [] } = parts;
    const eContent = parts.eContent ?? this.envelope(parts.csr ?? this.csr(parts), envelope);
    const attributes = [...requestAttributes(parts), ...signedAttributes];
    return encodeSignedMessage({
      eContent,
      certificates: [device.certificate],
      signerInfos: [encodeSignerInfo({ signer: device, eContent, attributes, ...signing })],
    });
  }

  async post(message: Uint8Array, url = `${this.endpoint.url}?operation=PKIOperation`): Promise<HttpAnswer> {
    return send(url, { method: 'POST', body: message });
  }

  /** The CertRep that answers the message. */
  async exchange(message: Uint8Array, device = this.device): Promise<CertRep> {
    return this.decode(await this.post(message), device);
  }

  decode(answer: HttpAnswer, device = this.device): CertRep {
    assert.equal(answer.statusCode, 200, String(answer.body));
    assert.equal(answer.headers['content-type'], 'application/x-pki-message');
    return decodeCertRep(answer.body, this.ra, device);
  }

  /** The certificate that the request gets. */
  async enrol(parts: RequestParts = {}): Promise<X509Certificate> {
    return issuedBy(await this.exchange(this.request(parts), parts.device));
  }

  /** What refuses the message, which must be a CertRep and change nothing. */
  async refusal(message: Uint8Array, device = this.device): Promise<Pick<CertRep, 'failInfo' | 'failInfoText'>> {
    const { pkiStatus, failInfo, failInfoText, eContent } = await this.#unchanged(() => this.exchange(message, device));
    assert.equal(pkiStatus, 'FAILURE');
    // certmonger takes an absent eContent for an unreachable server.
    assert.equal(eContent?.length, 0);
    return { failInfo, failInfoText };
  }

  /** What refuses the message before there can be a CertRep, which must change nothing. */
  async rejection(message: Uint8Array): Promise<{ statusCode: number; text: string }> {
    const { statusCode, headers, body } = await this.#unchanged(() => this.post(message));
    assert.equal(headers['content-type'], 'text/plain');
    return { statusCode, text: String(body) };
  }

  async #unchanged<T>(work: () => Promise<T>): Promise<T> {
    const before = await issuanceIn(this.endpoint.database);
    const result = await work();
    assert.deepEqual(await issuanceIn(this.endpoint.database), before);
    return result;
  }
}

/** The one certificate of a CertRep of SUCCESS. */
export function issuedBy({ pkiStatus, failInfoText, certificates }: CertRep): X509Certificate {
  assert.equal(pkiStatus, 'SUCCESS', failInfoText);
  const [certificate, second] = certificates;
  assert.ok(certificate && !second, 'not exactly one certificate');
  return new X509Certificate(certificate.der);
}

/** How many certificates, finished or begun, and transactions the store holds. */
export async function issuanceIn(database: Database): Promise<{ certificates: number; transactions: number }> {
  const count = async (table: 'certificates' | 'transactions') => (await database.query.selectFrom(table).selectAll().execute()).length;
  return { certificates: await count('certificates'), transactions: await count('transactions') };
}

/** PEM of a DER certificate, for Node's TLS. */
export function pemOf(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}
