/** Windows as Intune and NDES have it enrol: OAEP both ways, a pinned CA, Microsoft's attributes, a clock that may be hours slow. */
import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import { digests } from '../../../src/base/pki/algorithms.ts';
import {
  bitString,
  contextConstructed,
  ia5String,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  time,
} from '../../../src/base/pki/der.ts';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import { type Extension, encodeExtensions } from '../../../src/base/pki/extensions.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { attribute } from '../cms-parts.ts';
import type { HttpAnswer } from '../raw-scep-client.ts';
import {
  bmpString,
  challengePassword,
  createDevice,
  encodeCsr,
  extensionRequest,
  nameValuePair,
  nameValuePairs,
} from '../scep-messages.ts';
import {
  ClientComplaint,
  type Device,
  type EnrolmentRequest,
  keyOf,
  type RawExchange,
  readCertificate,
  requestedExtensions,
  type UsableCa,
  Wire,
} from './device.ts';
import { Transaction } from './transaction.ts';

/** szOID_OS_VERSION and szOID_ENROLLMENT_CSP_PROVIDER (MS-WCCE section 2.2.2.7), and what is in the SID extension. */
const microsoftOid = {
  osVersion: '1.3.6.1.4.1.311.13.2.3',
  enrollmentCspProvider: '1.3.6.1.4.1.311.13.2.2',
  objectSid: '1.3.6.1.4.1.311.25.2.1',
} as const;

/** How often it comes back for GetCACaps and GetCACert when it does not like them; real ones go on for ever. */
const rounds = 3;
const dayMs = 86_400_000;

export interface WindowsOptions {
  /** Of the issuing CA, as the profile has it: SHA-1 in hexadecimal. */
  caThumbprint: string;
  /** A security identifier for the SID extension. */
  sid?: string;
  /** Microsoft's attribute of before PKCS#9's extensionRequest. */
  olderExtensionRequest?: boolean;
  clockBehindMs?: number;
  /** Of OAEP; SHA-1, its default, without. */
  oaepDigest?: 'SHA-1' | 'SHA-256';
}

/** The SHA-1 thumbprint as Windows shows it. */
export function thumbprint(der: Uint8Array): string {
  return createHash('sha1').update(der).digest('hex').toUpperCase();
}

/** Windows: its two codes for HTTP that it does not like (NeySlim/ultimate-ca-manager#228, #326). */
class WindowsWire extends Wire {
  override async keep(url: string, message: Uint8Array | undefined, sent: Promise<HttpAnswer>): Promise<HttpAnswer> {
    let answer: HttpAnswer;
    try {
      answer = await super.keep(url, message, sent);
    } catch (cause) {
      throw new ClientComplaint(`0x80072f78: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
    if (answer.statusCode === 404) throw new ClientComplaint('0x80190194: HTTP 404');
    return answer;
  }
}

export class WindowsDevice implements Device {
  readonly #options: WindowsOptions;
  // Windows: its user agent (NeySlim/ultimate-ca-manager#228); TLS 1.2 at most (SCEPman's documentation).
  readonly #wire = new WindowsWire({
    headers: { 'user-agent': 'Mozilla/4.0 (compatible; Win32; NDES client 10.0.26100.1/26100)' },
    maxVersion: 'TLSv1.2',
  });

  constructor(options: WindowsOptions) {
    this.#options = options;
  }

  get exchanges(): readonly RawExchange[] {
    return this.#wire.exchanges;
  }

  async enrol(request: EnrolmentRequest): Promise<KeyPair> {
    const privateKey = await keyOf(request);
    const now = this.#now();
    const signer = createDevice(privateKey, { subject: request.subject, notBefore: now, notAfter: now + 7 * dayMs });
    return this.#transact('PKCSReq', request, privateKey, signer);
  }

  /**
   * Windows: a RenewalReq for a new key, signed with the certificate that it replaces and without a challenge, as NDES renews (OldCertificate and
   * SignerCertificate of Microsoft's IX509SCEPEnrollment).
   */
  async renew(request: EnrolmentRequest, current: KeyPair): Promise<KeyPair> {
    return this.#transact('RenewalReq', { ...request, challenge: undefined }, await keyOf(request), current);
  }

  async #transact(
    messageType: 'PKCSReq' | 'RenewalReq',
    request: EnrolmentRequest,
    privateKey: KeyObject,
    signer: KeyPair,
  ): Promise<KeyPair> {
    const { subject, tlsCa } = request;
    const { oaepDigest = 'SHA-1' } = this.#options;
    // Windows: appends /pkiclient.exe to whatever URL it is given (smallstep/certificates#843).
    const url = `${request.url}/pkiclient.exe`;
    const transaction = new Transaction({
      request,
      ca: await this.#findCa(url, tlsCa),
      signer,
      transactionID: randomBytes(20).toString('hex').toUpperCase(),
      // Windows: RSAES-OAEP (bcgit/bc-java#953, smallstep/certificates#1300).
      keyTransport: { scheme: 'OAEP', digest: digests[oaepDigest] },
      // Windows: its own time, up to 9 h behind while it is being set up (SCEPman's documentation).
      signedAttributes: [attribute(Oid.signingTime, time(this.#now()))],
      send: message => this.#wire.post(`${url}?operation=PKIOperation`, tlsCa, message),
    });
    const csr = encodeCsr({ subject, key: privateKey, attributes: this.#csrAttributes(request) });
    const first = await transaction.exchange(transaction.encode(messageType, csr));
    // Windows: GetCertInitial (IX509SCEPEnrollment's CreateRetrievePendingMessage; RetryCount and RetryDelay of the ClientCertificateInstall CSP).
    const certRep = await transaction.settle(first, () => transaction.poll());
    // Windows: expects OAEP back, with the digest that it used (NeySlim/ultimate-ca-manager#228).
    if (certRep.keyTransport !== `OAEP ${oaepDigest}`)
      throw new ClientComplaint(`the answer is encrypted with ${certRep.keyTransport}, not with OAEP ${oaepDigest}`);
    return { certificate: readCertificate(certRep, privateKey, subject), privateKey };
  }

  #now(): number {
    return Date.now() - (this.#options.clockBehindMs ?? 0);
  }

  /**
   * Windows: with `message=default`, and while the CA of its profile is not among the answers again and again, with no PKIOperation
   * (NeySlim/ultimate-ca-manager#228; CAThumbprint in Microsoft's ClientCertificateInstall CSP).
   */
  async #findCa(url: string, tlsCa: string | undefined): Promise<UsableCa> {
    for (let round = 0; round < rounds; round++) {
      await this.#wire.getCaCaps(`${url}?operation=GetCACaps&message=default`, tlsCa);
      const { all, recipient } = await this.#wire.getCaCert(`${url}?operation=GetCACert&message=default`, tlsCa);
      const isPinned = all.some(({ der }) => thumbprint(der) === this.#options.caThumbprint.toUpperCase());
      if (isPinned && recipient !== undefined) return { all, recipient };
    }
    throw new ClientComplaint('The hash value is not correct.');
  }

  #csrAttributes(request: EnrolmentRequest): Uint8Array[] {
    const { sid, olderExtensionRequest = false } = this.#options;
    const extensions = [...requestedExtensions(request), ...(sid === undefined ? [] : [sidExtension(sid)])];
    // Windows: a BMPString, as Microsoft's tools write it.
    const challenge = request.challenge === undefined ? [] : [challengePassword(bmpString(request.challenge))];
    return [
      ...challenge,
      olderExtensionRequest ? attribute(Oid.microsoftCertExtensions, encodeExtensions(extensions)) : extensionRequest(...extensions),
      // Windows: Microsoft's attributes (MS-WCCE section 2.2.2.7), each pair in an attribute of its own.
      nameValuePairs(nameValuePair('ValidityPeriod', 'Months')),
      nameValuePairs(nameValuePair('ValidityPeriodUnits', '6')),
      attribute(microsoftOid.osVersion, ia5String('10.0.26100.2')),
      attribute(
        microsoftOid.enrollmentCspProvider,
        sequence(integer(1), bmpString('Microsoft Software Key Storage Provider'), bitString(Buffer.alloc(0))),
      ),
    ];
  }
}

/** Windows: the SID that strong certificate mapping reads. A device can ask for any (dirkjanm.io on Intune certificates, 2025). */
function sidExtension(sid: string): Extension {
  const objectSid = contextConstructed(0, objectIdentifier(microsoftOid.objectSid), contextConstructed(0, octetString(Buffer.from(sid))));
  return { oid: Oid.microsoftSecurityIdentifier, critical: false, value: sequence(objectSid) };
}
