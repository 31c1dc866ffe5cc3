/** iOS and macOS: streamed BER, base64 as their URLs have it, an RA chosen by its keyUsage, renewal by a new PKCSReq with a challenge. */
import { randomBytes } from 'node:crypto';
import { contentCiphers, type Digest, digests } from '../../../src/base/pki/algorithms.ts';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import type { Certificate } from '../../../src/base/pki/x509.ts';
import { streamed } from '../ber.ts';
import type { HttpAnswer } from '../raw-scep-client.ts';
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
  ClientComplaint,
  type Device,
  type EnrolmentRequest,
  keyOf,
  type RawExchange,
  readCaCertificates,
  readCaps,
  readCertificate,
  readCertRep,
  requestedExtensions,
  Wire,
} from './device.ts';

export type AppleVariant = 'iOS' | 'macOS';

interface Offer {
  digest: Digest;
  cipher: (typeof contentCiphers)['AES-128-CBC'];
  offersPost: boolean;
}

export class AppleDevice implements Device {
  readonly #variant: AppleVariant;
  // Apple: its user agent as servers' logs show it (Microsoft's troubleshooting of SCEP under Intune).
  readonly #wire = new Wire({ headers: { 'user-agent': 'profiled/1.0 CFNetwork/1410.0.3 Darwin/22.6.0' } });

  constructor(variant: AppleVariant) {
    this.#variant = variant;
  }

  get exchanges(): readonly RawExchange[] {
    return this.#wire.exchanges;
  }

  async enrol(request: EnrolmentRequest): Promise<KeyPair> {
    const { subject, tlsCa } = request;
    // Apple: GetCACert comes first; the message is the payload's name, as servers' logs show.
    const caCert = await this.#wire.get(`${request.url}?operation=GetCACert&message=SCEP%20Authority`, tlsCa);
    const { all, recipient } = readCaCertificates(caCert);
    // Apple: takes from x-x509-ca-ra-cert the certificate that enciphers keys, and gives up where none does (NeySlim/ultimate-ca-manager#101).
    if (recipient === undefined) throw new ClientComplaint('failed to find candidate RA certificates (-67731)');
    const offer = chooseAlgorithms(readCaps(await this.#wire.get(`${request.url}?operation=GetCACaps&message=SCEP%20Authority`, tlsCa)));
    const privateKey = await keyOf(request);
    const signer = createDevice(privateKey, { subject });
    // Apple: old iOS sends nonces of 8 octets; a server that refused them stranded fleets (NeySlim/ultimate-ca-manager).
    const senderNonce = randomBytes(this.#variant === 'iOS' ? 8 : 16);
    const attributes = { transactionID: randomBytes(20).toString('hex').toUpperCase(), senderNonce };
    const message = encodeMessage({ request, recipient, signer, offer, attributes });
    const answer = await this.#send(request, message, offer.offersPost);
    const certRep = readCertRep(answer, { caCertificates: all, signer, ...attributes });
    return { certificate: readCertificate(certRep, privateKey, subject), privateKey };
  }

  /**
   * Apple: renews by a PKCSReq for a new key with a challenge, which must still be valid, and nothing of the old certificate
   * (smallstep/certificates#746, #797). GetCACaps without the word Renewal keeps it from nothing: AWS does not list it either.
   */
  async reEnrol(request: EnrolmentRequest & { challenge: string }): Promise<KeyPair> {
    return this.enrol(request);
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
  return { digest: digests[digest], cipher: contentCiphers[cipher], offersPost: caps.has('POSTPKIOperation') };
}

interface MessageParts {
  request: EnrolmentRequest;
  recipient: Certificate;
  signer: KeyPair;
  offer: Offer;
  attributes: { transactionID: string; senderNonce: Uint8Array };
}

function encodeMessage({ request, recipient, signer, offer, attributes }: MessageParts): Uint8Array {
  const { subject, challenge } = request;
  const { digest, cipher } = offer;
  // Apple: the challenge is a UTF8String.
  const challenges = challenge === undefined ? [] : [challengePassword(challenge)];
  const csrAttributes = [...challenges, extensionRequest(...requestedExtensions(request))];
  const content = encodeCsr({ subject, key: signer.privateKey, attributes: csrAttributes });
  // Apple: CMS in BER, of indefinite length and with its content in segments (jscep/jscep#35, Microsoft's sample).
  const eContent = streamed(encodeEnvelope({ content, recipients: [{ certificate: recipient }], cipher }));
  return streamed(
    encodeSignedMessage({
      eContent,
      digest,
      certificates: [signer.certificate],
      signerInfos: [encodeSignerInfo({ signer, eContent, digest, attributes: requestAttributes(attributes) })],
    }),
  );
}
