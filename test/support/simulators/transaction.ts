/** One transaction of a simulated device: its messages in the device's own manner, what every answer must match, and what follows while it is PENDING. */
import { randomBytes } from 'node:crypto';
import type { ContentCipher, Digest } from '../../../src/base/pki/algorithms.ts';
import { sequence } from '../../../src/base/pki/der.ts';
import type { KeyPair, KeyTransport } from '../../../src/base/pki/enveloped-data.ts';
import { parseNameString } from '../../../src/base/pki/name.ts';
import { findSignerCertificate, onlySigner, parseSignedData, type SignerInfo } from '../../../src/base/pki/signed-data.ts';
import type { Certificate } from '../../../src/base/pki/x509.ts';
import { MessageType } from '../../../src/base/scep.ts';
import { type CertRep, decodeCertRep, type HttpAnswer } from '../raw-scep-client.ts';
import { encodeEnvelope, encodeSignedMessage, encodeSignerInfo, requestAttributes } from '../scep-messages.ts';
import { ClientComplaint, EnrolmentRefused, type EnrolmentRequest, requireOk, type UsableCa } from './device.ts';

export interface TransactionParts {
  request: EnrolmentRequest;
  ca: UsableCa;
  signer: KeyPair;
  transactionID: string;
  send: (message: Uint8Array) => Promise<HttpAnswer>;
  nonceBytes?: number;
  digest?: Digest;
  cipher?: ContentCipher;
  keyTransport?: KeyTransport;
  /** Beside those of SCEP. */
  signedAttributes?: readonly Uint8Array[];
  /** How the device writes a ContentInfo; DER as it is without. */
  write?: (contentInfo: Uint8Array) => Uint8Array;
  /** What this kind of device looks at before it verifies the signature. */
  inspect?: (signer: SignerInfo) => void;
  /** What it says when the request is still PENDING at the end. */
  complaint?: string;
  /** The first retry comes without a wait. */
  retriesAtOnce?: boolean;
}

export interface SentMessage {
  message: Uint8Array;
  senderNonce: Uint8Array;
}

type RequestType = 'PKCSReq' | 'RenewalReq' | 'CertPoll';

export class Transaction {
  readonly #parts: TransactionParts;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
  }

  /** A message of this transaction with a nonce of its own. */
  encode(messageType: RequestType, content: Uint8Array): SentMessage {
    const { ca, signer, transactionID, nonceBytes = 16, keyTransport, write = der => der, signedAttributes = [] } = this.#parts;
    const { digest, cipher } = this.#parts;
    const senderNonce = randomBytes(nonceBytes);
    const recipients = [{ certificate: ca.recipient, ...(keyTransport && { keyTransport }) }];
    const eContent = write(encodeEnvelope({ content, recipients, ...(cipher && { cipher }) }));
    const attributes = [...requestAttributes({ transactionID, messageType: MessageType[messageType], senderNonce }), ...signedAttributes];
    const signing = { eContent, ...(digest && { digest }) };
    const signerInfos = [encodeSignerInfo({ signer, attributes, ...signing })];
    return { message: write(encodeSignedMessage({ certificates: [signer.certificate], signerInfos, ...signing })), senderNonce };
  }

  /** A CertPoll with the names of the CA and of the subject (RFC 8894 section 3.3.3). */
  poll(): SentMessage {
    const { request, ca } = this.#parts;
    return this.encode('CertPoll', sequence(ca.recipient.issuer.der, parseNameString(request.subject).der));
  }

  /** The CertRep, of SUCCESS or PENDING. */
  async exchange({ message, senderNonce }: SentMessage): Promise<CertRep> {
    const { send, ca, signer, transactionID, inspect } = this.#parts;
    return readCertRep(await send(message), { caCertificates: ca.all, signer, transactionID, senderNonce, ...(inspect && { inspect }) });
  }

  /** The CertRep of SUCCESS: as often as the request says, `next` follows an answer of PENDING. */
  async settle(first: CertRep, next: () => SentMessage): Promise<CertRep> {
    const { request, complaint = 'the request is pending', retriesAtOnce = false } = this.#parts;
    const { retries, delayMs, wait } = request.retry ?? { retries: 0, delayMs: 0, wait: async () => {} };
    let certRep = first;
    for (let retry = 0; certRep.pkiStatus === 'PENDING'; retry++) {
      if (retry === retries) throw new ClientComplaint(complaint);
      await wait(retriesAtOnce && retry === 0 ? 0 : delayMs);
      certRep = await this.exchange(next());
    }
    return certRep;
  }
}

/** A request that has been sent, and what its answer must match. */
interface SentRequest extends Pick<TransactionParts, 'signer' | 'transactionID' | 'inspect'> {
  /** GetCACert's certificates: an RA may have one to sign and another to encrypt to. */
  caCertificates: readonly Certificate[];
  senderNonce: Uint8Array;
}

/**
 * The CertRep, unless it is one of FAILURE: signed by a certificate of GetCACert, an answer to this very request, decrypted with its signer's key. A
 * senderNonce of the server's own, without which jscep and certmonger take no answer, must be in every one.
 */
function readCertRep(answer: HttpAnswer, sent: SentRequest): CertRep {
  requireOk(answer, 'PKIOperation');
  const certRep = decode(answer.body, sent);
  if (certRep.transactionID !== sent.transactionID) throw new ClientComplaint('the answer is for another transactionID');
  if (certRep.recipientNonce === undefined || Buffer.compare(certRep.recipientNonce, sent.senderNonce) !== 0) {
    throw new ClientComplaint('recipientNonce is not the senderNonce of the request');
  }
  if (certRep.pkiStatus === 'FAILURE') throw new EnrolmentRefused(certRep);
  return certRep;
}

function decode(body: Uint8Array, { caCertificates, signer, inspect }: SentRequest): CertRep {
  try {
    const signerInfo = onlySigner(parseSignedData(body));
    inspect?.(signerInfo);
    return decodeCertRep(body, findSignerCertificate(signerInfo, caCertificates), signer);
  } catch (cause) {
    if (cause instanceof ClientComplaint) throw cause;
    throw new ClientComplaint(`the answer does not hold: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
