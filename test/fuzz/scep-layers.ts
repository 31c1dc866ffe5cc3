/** A pkiMessage in layers, each of which can be broken before the next is put around it: what is signed is signed and what is encrypted is encrypted all the same. */
import { createHash, type KeyObject, sign } from 'node:crypto';
import { type ContentCipher, createSigner, type Digest, encodeAlgorithmIdentifier } from '../../src/base/pki/algorithms.ts';
import {
  bitString,
  contextConstructed,
  integer,
  objectIdentifier,
  octetString,
  printableString,
  sequence,
  setOf,
} from '../../src/base/pki/der.ts';
import type { KeyPair, KeyTransport } from '../../src/base/pki/enveloped-data.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { encodeContentInfo } from '../../src/base/pki/signed-data.ts';
import { type Certificate, parseCertificate } from '../../src/base/pki/x509.ts';
import { attribute, issuerAndSerialNumber } from '../support/cms-parts.ts';
import { encodeEnvelope } from '../support/scep-messages.ts';
import { encodeTree, parseTree } from './ber-tree.ts';

export interface Recipe {
  messageType: string;
  /** What goes into the envelope: a CSR, or what the messageType calls for. */
  messageData: Buffer;
  /** Signs the CSR anew when what it says was edited; absent where messageData is none. */
  csrKey?: KeyObject;
  signer: KeyPair;
  recipient: Certificate;
  digest: Digest;
  cipher: ContentCipher;
  keyTransport: KeyTransport;
  transactionID: string;
  senderNonce: Buffer;
}

/** From the inside out. */
export const layers = ['csrInfo', 'messageData', 'envelope', 'signedAttrs', 'certificate', 'signerInfo', 'message'] as const;
export type Layer = (typeof layers)[number];
export type LayerEdits = Partial<Record<Layer, (bytes: Buffer) => Buffer>>;

export interface Assembled {
  message: Buffer;
  /** What was encrypted. */
  plaintext: Buffer;
}

const unedited = (bytes: Buffer) => bytes;

export function assemble(recipe: Recipe, edits: LayerEdits = {}): Assembled {
  const { signer, digest, cipher, keyTransport } = recipe;
  const edit = (layer: Layer, bytes: Uint8Array) => (edits[layer] ?? unedited)(Buffer.from(bytes));
  const plaintext = edit('messageData', edits.csrInfo ? withNewInfo(recipe, edits.csrInfo) : recipe.messageData);
  const recipients = [{ certificate: recipe.recipient, keyTransport }];
  const eContent = edit('envelope', encodeEnvelope({ content: plaintext, recipients, cipher }));
  const certificate = edits.certificate ? withNewTbs(signer, edits.certificate) : Buffer.from(signer.certificate.der);
  // The signature is over a SET, whatever tag and length were made of it; in the SignerInfo it is [0].
  const signedAttrs = edit('signedAttrs', setOf(...attributesOf(recipe, eContent)));
  const signed = Buffer.from(signedAttrs);
  signed[0] = 0x31;
  signedAttrs[0] = 0xa0;
  const signerInfo = sequence(
    integer(1),
    sidOf(certificate, signer.certificate),
    encodeAlgorithmIdentifier(digest.oid),
    signedAttrs,
    signer.privateKey.asymmetricKeyType === 'rsa'
      ? encodeAlgorithmIdentifier(Oid.rsaEncryption)
      : createSigner(signer.privateKey).algorithm,
    octetString(sign(digest.openssl, signed, signer.privateKey)),
  );
  const signedData = sequence(
    integer(1),
    setOf(encodeAlgorithmIdentifier(digest.oid)),
    sequence(objectIdentifier(Oid.data), contextConstructed(0, octetString(eContent))),
    contextConstructed(0, certificate),
    setOf(edit('signerInfo', signerInfo)),
  );
  return { message: edit('message', encodeContentInfo(Oid.signedData, signedData)), plaintext };
}

function attributesOf({ digest, transactionID, messageType, senderNonce }: Recipe, eContent: Buffer): Uint8Array[] {
  return [
    attribute(Oid.contentType, objectIdentifier(Oid.data)),
    attribute(Oid.messageDigest, octetString(createHash(digest.openssl).update(eContent).digest())),
    attribute(Oid.transactionID, printableString(transactionID)),
    attribute(Oid.messageType, printableString(messageType)),
    attribute(Oid.senderNonce, octetString(senderNonce)),
  ];
}

function withNewInfo({ messageData, csrKey }: Recipe, edit: (info: Buffer) => Buffer): Buffer {
  const [info] = parseTree(messageData)?.children ?? [];
  if (info === undefined || csrKey === undefined) return edit(messageData);
  return resigned(edit(encodeTree(info)), csrKey);
}

/** RFC 8894 section 2.3: a device signs its certificate itself. */
function withNewTbs({ certificate, privateKey }: KeyPair, edit: (tbs: Buffer) => Buffer): Buffer {
  return resigned(edit(Buffer.from(certificate.tbsCertificate)), privateKey);
}

function resigned(toBeSigned: Buffer, key: KeyObject): Buffer {
  const signer = createSigner(key);
  return Buffer.from(sequence(toBeSigned, signer.algorithm, bitString(signer.sign(toBeSigned))));
}

/** As the certificate says, if it still says anything. */
function sidOf(edited: Buffer, original: Certificate): Uint8Array {
  try {
    return issuerAndSerialNumber(parseCertificate(edited));
  } catch {
    return issuerAndSerialNumber(original);
  }
}
