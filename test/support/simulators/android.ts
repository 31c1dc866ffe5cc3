/** Android's management agents, which are jscep: BER, a fresh nonce in every answer, renewal signed with the certificate it renews. */
import { type KeyObject, randomBytes } from 'node:crypto';
import { contentCiphers, digests } from '../../../src/base/pki/algorithms.ts';
import { Tag } from '../../../src/base/pki/asn1.ts';
import { printableString } from '../../../src/base/pki/der.ts';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { requiredAttribute, type SignerInfo } from '../../../src/base/pki/signed-data.ts';
import { streamed } from '../ber.ts';
import type { HttpAnswer } from '../raw-scep-client.ts';
import { challengePassword, createDevice, encodeCsr, extensionRequest, nameValuePair, nameValuePairs } from '../scep-messages.ts';
import {
  ClientComplaint,
  type Device,
  type EnrolmentRequest,
  keyOf,
  type RawExchange,
  readCertificate,
  requestedExtensions,
  requireRecipient,
  Wire,
} from './device.ts';
import { Transaction } from './transaction.ts';

export interface AndroidOptions {
  /** GET is Fleet's agent (fleetdm/fleet#45291), POST what jscep does where that is offered. */
  transport: 'GET' | 'POST';
  /** As the profile of a management system has it, for example Months and 6. */
  validity?: { unit: string; count: number };
}

/** jscep: up to 15 calls for one enrolment, as measured. */
const capsCalls = 15;

export class AndroidDevice implements Device {
  readonly #options: AndroidOptions;
  // Android: Dalvik's user agent (fleetdm/fleet#45291).
  readonly #wire = new Wire({ headers: { 'user-agent': 'Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UD1A.230803.041)' } });
  readonly #serverNonces = new Set<string>();

  constructor(options: AndroidOptions) {
    this.#options = options;
  }

  get exchanges(): readonly RawExchange[] {
    return this.#wire.exchanges;
  }

  async enrol(request: EnrolmentRequest): Promise<KeyPair> {
    const privateKey = await keyOf(request);
    // Android: a self-signed certificate of the user's name with the serial number 1, as servers' logs show.
    return this.#transact(request, privateKey, createDevice(privateKey, { subject: 'CN=user', serialNumber: '01' }));
  }

  /** jscep: messageType 19 again, for a new key, signed with the certificate that is to be replaced, as read in its source. */
  async renew(request: EnrolmentRequest, current: KeyPair): Promise<KeyPair> {
    return this.#transact(request, await keyOf(request), current);
  }

  async #transact(request: EnrolmentRequest, privateKey: KeyObject, signer: KeyPair): Promise<KeyPair> {
    const { url, subject, tlsCa } = request;
    let caps: ReadonlySet<string> = new Set();
    for (let call = 0; call < capsCalls; call++) caps = await this.#wire.getCaCaps(`${url}?operation=GetCACaps&message=ca`, tlsCa);
    const ca = requireRecipient(await this.#wire.getCaCert(`${url}?operation=GetCACert&message=ca`, tlsCa));
    const transaction = new Transaction({
      request,
      ca,
      signer,
      transactionID: randomBytes(20).toString('hex'),
      // jscep: the best of what GetCACaps offers.
      digest: digests[caps.has('SHA-512') ? 'SHA-512' : caps.has('SHA-256') ? 'SHA-256' : 'SHA-1'],
      cipher: contentCiphers[caps.has('AES') ? 'AES-128-CBC' : '3DES-CBC'],
      // jscep: Bouncy Castle's BER, of indefinite length and with constructed OCTET STRINGs, as measured.
      write: streamed,
      send: message => this.#send(request, message, caps.has('POSTPKIOperation')),
      inspect: signerInfo => this.#inspect(signerInfo),
    });
    const csrAttributes = [...encodeChallenge(request.challenge), extensionRequest(...requestedExtensions(request)), ...this.#validity()];
    const csr = encodeCsr({ subject, key: privateKey, attributes: csrAttributes });
    const first = await transaction.exchange(transaction.encode('PKCSReq', csr));
    // jscep: GetCertInitial with IssuerAndSubject in the same transaction and with a nonce of its own (EnrollmentTransaction in its source).
    const certRep = await transaction.settle(first, () => transaction.poll());
    return { certificate: readCertificate(certRep, privateKey, subject), privateKey };
  }

  /** Android: Microsoft's pairs with their values swapped (microsoft/Intune-Resource-Access#162). */
  #validity(): Uint8Array[] {
    const { validity } = this.#options;
    if (validity === undefined) return [];
    const { unit, count } = validity;
    return [nameValuePairs(nameValuePair('ValidityPeriod', String(count)), nameValuePair('ValidityPeriodUnits', unit))];
  }

  async #send({ url, tlsCa }: EnrolmentRequest, message: Uint8Array, offersPost: boolean): Promise<HttpAnswer> {
    // Android: a literal + (fleetdm/fleet#45291, #43319); of / and = nothing is known, so they are escaped.
    const base64 = () => encodeURIComponent(Buffer.from(message).toString('base64')).replaceAll('%2B', '+');
    const posts = this.#options.transport === 'POST' && offersPost;
    const answer = posts
      ? await this.#wire.post(`${url}?operation=PKIOperation`, tlsCa, message)
      : await this.#wire.get(`${url}?operation=PKIOperation&message=${base64()}`, tlsCa, message);
    requirePkiMessage(answer);
    return answer;
  }

  #inspect(signerInfo: SignerInfo): void {
    // Bouncy Castle below jscep: verifies no signature without this attribute (seize-the-dave/jscep#152, openxpki/openxpki#789).
    if (!signerInfo.attributes.has(Oid.contentType)) {
      throw new ClientComplaint('The content-type attribute type MUST be present whenever signed attributes are present in signed-data');
    }
    // jscep: a nonce of the server that it has seen before is a replay, as measured.
    const senderNonce = requiredAttribute(signerInfo, Oid.senderNonce, Tag.octetString, 'senderNonce').octets();
    const nonce = Buffer.from(senderNonce).toString('hex');
    if (this.#serverNonces.has(nonce)) throw new ClientComplaint('This nonce has been encountered before. Possible replay attack?');
    this.#serverNonces.add(nonce);
  }
}

/** jscep: a PrintableString, as measured, unless the challenge has characters that are none of its. */
function encodeChallenge(challenge: string | undefined): Uint8Array[] {
  if (challenge === undefined) return [];
  return [challengePassword(/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(challenge) ? printableString(challenge) : challenge)];
}

/** jscep: HTML is an error (jscep/jscep#9), and so is what does not say that it is a pkiMessage. */
function requirePkiMessage({ statusCode, headers }: HttpAnswer): void {
  const contentType = headers['content-type'];
  if (statusCode === 200 && contentType !== 'application/x-pki-message') {
    throw new ClientComplaint(`InvalidContentTypeException: expected application/x-pki-message, got ${contentType}`);
  }
}
