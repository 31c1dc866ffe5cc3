/** Makes the message of a vector, whole or with one part wrong, from a random source that the vector's name seeds: made again it is the same. */
import { createHash, type KeyObject } from 'node:crypto';
import { contentCiphers } from '../../src/base/pki/algorithms.ts';
import type { KeyPair } from '../../src/base/pki/enveloped-data.ts';
import type { Certificate } from '../../src/base/pki/x509.ts';
import { encryptBlock } from '../support/cms-parts.ts';
import type { RequestParts } from '../support/raw-scep-client.ts';
import {
  challengePassword,
  type EnvelopeParts,
  encodeCsr,
  encodeEnvelope,
  encodeSignedMessage,
  encodeSignerInfo,
  extensionRequest,
  type RecipientParts,
  requestAttributes,
} from '../support/scep-messages.ts';
import type { Expectation, Vector } from '../support/vector-file.ts';
import { type IdentityName, identity } from '../support/vector-identities.ts';
import { type ConnectorName, connectorSpecs } from '../support/vector-store.ts';

/** A vector as it is written down; what is left out is a PKCSReq by POST to the connector `default`. */
export interface Draft {
  /** What it stands for; numbers are those of docs/scep-conformance.md (B) and docs/scep-attacks.md (F). */
  stands: string;
  expect: Expectation;
  reason?: string | undefined;
  connector?: ConnectorName;
  make?: (maker: Maker) => Uint8Array;
  method?: string;
  /** What follows the path of the connector's URL; a function is given the message's base64. */
  target?: string | ((base64: string) => string);
  /** LENGTH stands for the body's. */
  headers?: Vector['headers'];
  after?: string;
  transport?: Vector['transport'];
  parallel?: number;
  /** The vector whose random source it uses, where the two messages are to have something in common. */
  seed?: string;
  /** Made with randomness that is OpenSSL's own (OAEP, PSS, ECDSA): a file that is there stays as it is. */
  once?: boolean;
}

export type Drafts = Readonly<Record<string, Draft>>;

export const success = { expect: { pkiStatus: 'SUCCESS' } } as const;
export const pending = { expect: { pkiStatus: 'PENDING' } } as const;

/** `reason`: undefined where any will do. */
export function refused(failInfo: 'badAlg' | 'badMessageCheck' | 'badRequest' | 'badTime' | 'badCertId', reason?: string) {
  return { expect: { pkiStatus: 'FAILURE', failInfo }, reason } as const;
}

export function http(statusCode: number, reason?: string) {
  return { expect: { statusCode }, reason } as const;
}

/** Bytes that are no message at all. */
export function unreadable(reason: string) {
  return http(400, `The request is refused: ${reason}.`);
}

/** From the unwrapping of the key to the last octet of the CSR there is one answer. */
export const undecodable = refused('badRequest', 'The request could not be decoded. Please send a valid SCEP request.');

interface MessageParts extends Omit<RequestParts, 'challenge'> {
  /** Null: none. */
  challenge?: Uint8Array | null;
  /** Who signs; its key is also that of the CSR unless `csrKey` names another. */
  signer?: IdentityName;
  csrKey?: IdentityName;
  /** Whom the envelope is for. */
  ra?: IdentityName;
}

export class Maker {
  readonly #seed: string;
  readonly #connector: ConnectorName;
  #drawn = 0;

  constructor(seed: string, connector: ConnectorName) {
    this.#seed = seed;
    this.#connector = connector;
  }

  get ra(): Certificate {
    return identity(connectorSpecs[this.#connector].raKeys[0]).certificate;
  }

  get challenge(): string {
    return connectorSpecs[this.#connector].challenge ?? 'no challenge';
  }

  /** SHA-256 in counter mode over the seed. */
  random(size: number): Buffer {
    const blocks = Array.from({ length: Math.ceil(size / 32) }, () =>
      createHash('sha256')
        .update(`${this.#seed} ${this.#drawn++}`)
        .digest(),
    );
    return Buffer.concat(blocks).subarray(0, size);
  }

  key(name: IdentityName): KeyObject {
    return identity(name).privateKey;
  }

  /** A CSR with the right challenge and a subject of its own, so that every vector is a transaction of its own. */
  csr(parts: MessageParts = {}): Uint8Array {
    const {
      signer = 'device',
      csrKey = signer,
      challenge = challengePassword(this.challenge),
      extensions = [],
      csrAttributes = [],
    } = parts;
    const requested = extensions.length > 0 ? [extensionRequest(...extensions)] : [];
    const attributes = [...(challenge === null ? [] : [challenge]), ...requested, ...csrAttributes];
    const subject = `CN=${this.#seed.replace(/^.*\//, '').slice(0, 60)},O=Example`;
    return encodeCsr({ key: this.key(csrKey), subject, attributes, ...parts.csrParts });
  }

  /** A pkcsPKIEnvelope for the connector's RA. */
  envelope(content: Uint8Array, change: Partial<EnvelopeParts> = {}): Uint8Array {
    const {
      cipher = contentCiphers['AES-128-CBC'],
      contentKey = this.random(cipher.keyBytes),
      recipients = [{ certificate: this.ra }],
    } = change;
    const wrapped = recipients.map(recipient => ({ ...recipient, ...this.#wrapped(recipient, contentKey) }));
    return encodeEnvelope({ content, iv: this.random(cipher.blockBytes), ...change, contentKey, recipients: wrapped });
  }

  /** RSAES-PKCS1-v1_5 with the padding of this random source. */
  wrap(recipient: Certificate, contentKey: Uint8Array): Uint8Array {
    const size = recipient.publicKey.bits / 8;
    const padding = this.random(size - 3 - contentKey.length).map(octet => octet || 1);
    return encryptBlock(recipient, Buffer.concat([Buffer.of(0, 2), padding, Buffer.of(0), contentKey]));
  }

  #wrapped({ certificate, keyTransport, encryptedKey }: RecipientParts, contentKey: Uint8Array): Pick<RecipientParts, 'encryptedKey'> {
    if (encryptedKey !== undefined || keyTransport?.scheme === 'OAEP') return {};
    return { encryptedKey: this.wrap(certificate, contentKey) };
  }

  /** A request; what `parts` says is otherwise than a client would have it. */
  request(parts: MessageParts = {}): Uint8Array {
    const { envelope, signing, signedAttributes = [] } = parts;
    const device = this.device(parts);
    const recipients = parts.ra === undefined ? {} : { recipients: [{ certificate: identity(parts.ra).certificate }] };
    const eContent = parts.eContent ?? this.envelope(parts.csr ?? this.csr(parts), { ...recipients, ...envelope });
    const attributes = [...this.attributes(parts), ...signedAttributes];
    return encodeSignedMessage({
      eContent,
      certificates: [device.certificate],
      signerInfos: [encodeSignerInfo({ signer: device, eContent, attributes, ...signing })],
    });
  }

  device({ signer = 'device', device = identity(signer) }: MessageParts = {}): KeyPair {
    return device;
  }

  /** SCEP's own signed attributes. */
  attributes(parts: MessageParts = {}): Uint8Array[] {
    return requestAttributes({ transactionID: this.random(16).toString('hex'), senderNonce: this.random(16), ...parts });
  }
}
