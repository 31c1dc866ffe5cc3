/** iOS and macOS: streamed BER, base64 as their URLs have it, an RA chosen by its keyUsage, renewal by a new PKCSReq with a challenge. */
import { createHash, randomBytes } from 'node:crypto';
import { type ContentCipher, contentCiphers, type Digest, digests } from '../../../src/base/pki/algorithms.ts';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import { namesEqual } from '../../../src/base/pki/name.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import type { SignerInfo } from '../../../src/base/pki/signed-data.ts';
import type { Certificate } from '../../../src/base/pki/x509.ts';
import { streamed } from '../ber.ts';
import type { HttpAnswer } from '../raw-scep-client.ts';
import { challengePassword, createDevice, encodeCsr, extensionRequest } from '../scep-messages.ts';
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

export type AppleVariant = 'iOS' | 'macOS';

/** The parts of the SCEP payload that are not of one enrolment; Retries and RetryDelay are the request's. */
export interface AppleProfile {
  /** CAFingerprint: SHA-1 or MD5 of the CA's certificate. */
  caFingerprint?: Uint8Array;
  /** What follows PENDING: see `#transact`. */
  retriesWith?: 'CertPoll' | 'PKCSReq';
}

interface Offer {
  caps: ReadonlySet<string>;
  digest: Digest;
  cipher: ContentCipher;
}

/** Apple: what its two kinds show when there is no certificate, whatever went wrong (AppBlade/TestHub#6, fleetdm/fleet#34780). */
const lastWords: Record<AppleVariant, string> = {
  iOS: 'The SCEP server returned an invalid response.',
  macOS: 'MDM-SCEP (15002): Unable to obtain certificate from SCEP server',
};

export class AppleDevice implements Device {
  readonly #variant: AppleVariant;
  readonly #profile: AppleProfile;
  // Apple: its user agent as servers' logs show it (Microsoft's troubleshooting of SCEP under Intune).
  readonly #wire = new Wire({ headers: { 'user-agent': 'profiled/1.0 CFNetwork/1410.0.3 Darwin/22.6.0' } });
  /** What it did not like and went on with. */
  readonly warnings: string[] = [];

  constructor(variant: AppleVariant, profile: AppleProfile = {}) {
    this.#variant = variant;
    this.#profile = profile;
  }

  get exchanges(): readonly RawExchange[] {
    return this.#wire.exchanges;
  }

  async enrol(request: EnrolmentRequest): Promise<KeyPair> {
    return this.#transact(request, () => {});
  }

  /**
   * Apple: renews by a PKCSReq for a new key with a challenge, which must still be valid, and nothing of the old certificate
   * (smallstep/certificates#746, #797). It complains all the same where GetCACaps leaves out the word Renewal, as AWS's does, and goes on without (a
   * comment in smallstep/certificates' scep/api/api.go).
   */
  async reEnrol(request: EnrolmentRequest & { challenge: string }): Promise<KeyPair> {
    return this.#transact(request, ({ caps }) => {
      if (!caps.has('Renewal')) this.warnings.push('GetCACaps does not offer Renewal');
    });
  }

  async #transact(request: EnrolmentRequest, look: (offer: Offer) => void): Promise<KeyPair> {
    const { subject, tlsCa } = request;
    // Apple: GetCACert comes first; the message is the payload's name, as servers' logs show.
    const certificates = await this.#wire.getCaCert(`${request.url}?operation=GetCACert&message=SCEP%20Authority`, tlsCa);
    // Apple: takes from x-x509-ca-ra-cert the certificate that enciphers keys, and gives up where none does (NeySlim/ultimate-ca-manager#101).
    const ca = requireRecipient(certificates, 'failed to find candidate RA certificates (-67731)');
    this.#checkFingerprint(ca.recipient, ca.all);
    const offer = chooseAlgorithms(await this.#wire.getCaCaps(`${request.url}?operation=GetCACaps&message=SCEP%20Authority`, tlsCa));
    look(offer);
    const privateKey = await keyOf(request);
    const transaction = new Transaction({
      request,
      ca,
      signer: createDevice(privateKey, { subject }),
      transactionID: randomBytes(20).toString('hex').toUpperCase(),
      // Apple: old iOS sends nonces of 8 octets; a server that refused them stranded fleets (NeySlim/ultimate-ca-manager).
      nonceBytes: this.#variant === 'iOS' ? 8 : 16,
      digest: offer.digest,
      cipher: offer.cipher,
      // Apple: CMS in BER, of indefinite length and with its content in segments (jscep/jscep#35, Microsoft's sample).
      write: streamed,
      send: message => this.#send(request, message, offer.caps.has('POSTPKIOperation')),
      inspect: requireAttributes,
      complaint: lastWords[this.#variant],
      // Apple: RetryDelay counts from the second retry on (RetryDelay of the SCEP payload in Apple's Configuration Profile Reference).
      retriesAtOnce: true,
    });
    // Apple: the challenge is a UTF8String.
    const challenges = request.challenge === undefined ? [] : [challengePassword(request.challenge)];
    const csrAttributes = [...challenges, extensionRequest(...requestedExtensions(request))];
    const pkcsReq = () => transaction.encode('PKCSReq', encodeCsr({ subject, key: privateKey, attributes: csrAttributes }));
    const first = await transaction.exchange(pkcsReq());
    // Apple: on PENDING its library makes a GetCertInitial of the same transaction with a new nonce (SecSCEPGetCertInitial in Security's SecSCEP.c);
    // its Profile Manager's manual spoke of the number of times that a certificate is requested, which is the PKCSReq again.
    const retry = this.#profile.retriesWith === 'PKCSReq' ? pkcsReq : () => transaction.poll();
    return { certificate: readCertificate(await transaction.settle(first, retry), privateKey, subject), privateKey };
  }

  /** Apple: MD5 or SHA-1 by its length, of the last certificate of the RA's chain (SecSCEPValidateCACertMessage in Security's SecSCEP.c). */
  #checkFingerprint(ra: Certificate, all: readonly Certificate[]): void {
    const { caFingerprint } = this.#profile;
    if (caFingerprint === undefined) return;
    const digest = { 16: 'md5', 20: 'sha1' }[caFingerprint.length];
    const root = lastOfChain(ra, all);
    if (digest === undefined || Buffer.compare(createHash(digest).update(root.der).digest(), caFingerprint) !== 0) {
      throw new ClientComplaint('CAFingerprint is not that of the CA’s certificate');
    }
  }

  /** Apple: GET in Microsoft's sample of an iPhone before NDES, which offers POST; macOS posts where that is offered (micromdm/micromdm#436). */
  async #send({ url, tlsCa }: EnrolmentRequest, message: Uint8Array, offersPost: boolean): Promise<HttpAnswer> {
    if (this.#variant === 'macOS' && offersPost) return this.#wire.post(`${url}?operation=PKIOperation`, tlsCa, message);
    // Apple: + and / raw, the padding escaped (smallstep/certificates#1570).
    const base64 = Buffer.from(message).toString('base64').replaceAll('=', '%3D');
    return this.#wire.get(`${url}?operation=PKIOperation&message=${base64}`, tlsCa, message);
  }
}

/** Apple: there must be words for a digest and a cipher (micromdm/scep#23, #81). The longest digest is the one of Microsoft's sample. */
function chooseAlgorithms(caps: ReadonlySet<string>): Offer {
  const digest = (['SHA-512', 'SHA-256', 'SHA-1'] as const).find(word => caps.has(word));
  const cipher = caps.has('AES') ? 'AES-128-CBC' : caps.has('DES3') ? '3DES-CBC' : undefined;
  if (digest === undefined || cipher === undefined) {
    throw new ClientComplaint('GetCACaps offers no digest of SHA, or neither AES nor DES3');
  }
  return { caps, digest: digests[digest], cipher: contentCiphers[cipher] };
}

function lastOfChain(certificate: Certificate, all: readonly Certificate[]): Certificate {
  const issuer = all.find(({ subject }) => namesEqual(subject, certificate.issuer));
  return issuer === undefined || issuer === certificate ? certificate : lastOfChain(issuer, all);
}

/** iOS 10: crashed while it verified a SignerInfo without an attribute that it took for granted, one value each (micromdm/scep#76). */
function requireAttributes({ attributes }: SignerInfo): void {
  for (const type of [Oid.contentType, Oid.messageDigest]) {
    if (attributes.get(type)?.length !== 1) throw new ClientComplaint('crash');
  }
}
