/** Cisco IOS: HTTP/1.0 without a Host, broken base64 in the URL, a signer of another name, every request twice, names kept as they were. */
import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { contentCiphers, createSigner, digests, encodeAlgorithmIdentifier, type Signer } from '../../../src/base/pki/algorithms.ts';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import { findExtension } from '../../../src/base/pki/extensions.ts';
import { parseNameString } from '../../../src/base/pki/name.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { publicKeyOf } from '../../../src/base/pki/public-key.ts';
import type { Certificate } from '../../../src/base/pki/x509.ts';
import { type CertRep, exchangeOctets, type HttpAnswer } from '../raw-scep-client.ts';
import {
  challengePassword,
  createDevice,
  encodeCsr,
  encodeEnvelope,
  encodeSignedMessage,
  encodeSignerInfo,
  extensionRequest,
  requestAttributes,
} from '../scep-messages.ts';
import {
  alternativeNames,
  ClientComplaint,
  type Device,
  type EnrolmentRequest,
  keyOf,
  type RawExchange,
  readCaCertificates,
  readCaps,
  readCertRep,
  type SentRequest,
  Wire,
} from './device.ts';

/**
 * `legacy` knows single DES and the digests of its time, of which SHA-1 is the one that we have, and never asks for GetCACaps
 * (smallstep/certificates#2100); `modern` has AES and SHA-256, and still no POST (smallstep/certificates#916, #917). `legacy` enrols where a
 * connector allows what it knows.
 */
export type CiscoVariant = 'modern' | 'legacy';

const algorithms = {
  modern: { digest: digests['SHA-256'], cipher: contentCiphers['AES-128-CBC'] },
  legacy: { digest: digests['SHA-1'], cipher: contentCiphers['DES-CBC'] },
} as const;
const sha1WithRsa = '1.2.840.113549.1.1.5';
const lineCharacters = 64;

export class CiscoRouter implements Device {
  readonly #variant: CiscoVariant;
  readonly #wire = new Wire({});

  constructor(variant: CiscoVariant) {
    this.#variant = variant;
  }

  get exchanges(): readonly RawExchange[] {
    return this.#wire.exchanges;
  }

  async enrol(request: EnrolmentRequest): Promise<KeyPair> {
    const { subject, subjectAltNames = [], extensions = [], challenge } = request;
    // Cisco: the path that IOS asks for (smallstep/docs#364).
    const url = `${request.url}/pkiclient.exe`;
    const { all, recipient } = readCaCertificates(await this.#get(`${url}?operation=GetCACert`));
    if (recipient === undefined) throw new ClientComplaint('GetCACert brought no certificate for key encipherment');
    if (this.#variant === 'modern') readCaps(await this.#get(`${url}?operation=GetCACaps`));
    const privateKey = await keyOf(request);
    const { digest, cipher } = algorithms[this.#variant];
    const selfSigner = this.#signer(privateKey);
    // Cisco: the signer bears the router's name and serial number, not the subject that is asked for (openxpki/openxpki#360).
    const signer = createDevice(privateKey, {
      subject: 'serialNumber=FTX1234567A+unstructuredName=router-7.example.com',
      signer: selfSigner,
    });
    const attributes = { transactionID: randomBytes(16).toString('hex').toUpperCase(), senderNonce: randomBytes(16) };
    const requested = [...alternativeNames(subjectAltNames), ...extensions];
    const csrAttributes = [
      ...(challenge === undefined ? [] : [challengePassword(challenge)]),
      ...(requested.length === 0 ? [] : [extensionRequest(...requested)]),
    ];
    const content = encodeCsr({ subject, key: privateKey, signer: selfSigner, attributes: csrAttributes });
    const eContent = encodeEnvelope({ content, recipients: [{ certificate: recipient }], cipher });
    const message = encodeSignedMessage({
      eContent,
      digest,
      certificates: [signer.certificate],
      signerInfos: [encodeSignerInfo({ signer, eContent, digest, attributes: requestAttributes(attributes) })],
    });
    const sent = { caCertificates: all, signer, ...attributes };
    // Cisco: two requests per enrolment (micromdm/scep#211), which must come to one certificate.
    const first = this.#readRouterCertificate(await this.#pkiOperation(url, message), sent, request);
    const second = this.#readRouterCertificate(await this.#pkiOperation(url, message), sent, request);
    if (Buffer.compare(first.der, second.der) !== 0) throw new ClientComplaint('the same request was answered with two certificates');
    return { certificate: first, privateKey };
  }

  #signer(privateKey: KeyObject): Signer {
    if (this.#variant === 'modern') return createSigner(privateKey);
    return { algorithm: encodeAlgorithmIdentifier(sha1WithRsa), sign: data => sign('sha1', data, privateKey) };
  }

  #readRouterCertificate(answer: HttpAnswer, sent: SentRequest, request: EnrolmentRequest): Certificate {
    const certRep = readCertRep(answer, sent);
    // Cisco: an RA that answers with a cipher it lacks (jscep/jscep#97).
    if (certRep.cipher !== algorithms[this.#variant].cipher.name) throw new ClientComplaint('E_ENCRYPT_ALG_NOT_SUPPORTED');
    const certificate = findRouterCertificate(certRep, sent.signer.privateKey, request);
    if (certificate === undefined) throw new ClientComplaint('can not find router cert in certrep');
    return certificate;
  }

  async #pkiOperation(url: string, message: Uint8Array): Promise<HttpAnswer> {
    const lines =
      Buffer.from(message)
        .toString('base64')
        .match(new RegExp(`.{1,${lineCharacters}}`, 'g')) ?? [];
    // Cisco: GET even where POST is offered (smallstep/certificates#846), a line break after every 64 characters (smallstep/certificates#2100).
    const base64 = encodeURIComponent(lines.map(line => `${line}\n`).join(''));
    return this.#get(`${url}?operation=PKIOperation&message=${base64}`, message);
  }

  /** Cisco: HTTP/1.0 without a Host header, and its user agent (smallstep/certificates#2100). */
  async #get(url: string, message?: Uint8Array): Promise<HttpAnswer> {
    const target = url.slice(new URL(url).origin.length);
    const head = `GET ${target} HTTP/1.0\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 5.0; Cisco PKI)\r\n\r\n`;
    return this.#wire.keep(url, message, exchangeOctets(url, head).then(parseHttpAnswer));
  }
}

/** Cisco: takes the certificate for its own only where subject and alternative names are those of the request (openxpki/openxpki#360, Keyfactor/ejbca-ce#40). */
function findRouterCertificate({ certificates }: CertRep, privateKey: KeyObject, request: EnrolmentRequest): Certificate | undefined {
  const publicKey = publicKeyOf(privateKey);
  const subject = parseNameString(request.subject).der;
  const [names] = alternativeNames(request.subjectAltNames ?? []);
  return certificates.find(
    certificate =>
      certificate.publicKey.equals(publicKey) &&
      Buffer.compare(certificate.subject.der, subject) === 0 &&
      Buffer.compare(
        findExtension(certificate.extensions, Oid.subjectAltName)?.value ?? Buffer.alloc(0),
        names?.value ?? Buffer.alloc(0),
      ) === 0,
  );
}

/** Cisco: a body of known length, as chunks came only with HTTP/1.1. */
function parseHttpAnswer(octets: Buffer): HttpAnswer {
  const headEnd = octets.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = octets.subarray(0, Math.max(headEnd, 0)).toString('latin1').split('\r\n');
  const [, statusCode] = /^HTTP\/1\.[01] (\d{3}) /.exec(statusLine) ?? [];
  if (statusCode === undefined) throw new ClientComplaint('the answer is no HTTP');
  const headers = Object.fromEntries(
    lines.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const body = octets.subarray(headEnd + 4);
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length']) !== body.length) {
    throw new ClientComplaint('the answer is not of the length that Content-Length says');
  }
  return { statusCode: Number(statusCode), headers, body };
}
