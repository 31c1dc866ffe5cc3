/** What a pkiMessage costs in private-key operations, as tasks for worker threads: bytes and keys in, bytes out. */
import type { KeyObject } from 'node:crypto';
import type { AlgorithmPolicy } from '../../base/pki/algorithms.ts';
import type { KeyPair } from '../../base/pki/enveloped-data.ts';
import { parseCertificate } from '../../base/pki/x509.ts';
import type { RequestTypeName } from '../../base/scep.ts';
import { realSystem } from '../../base/system.ts';
import type { Task } from '../../base/worker-pool.ts';
import {
  type CertRepResult,
  encodeCertRep,
  type OpenOptions,
  openPkiMessage,
  parsePkiMessage,
  type ReplyAlgorithms,
} from './pki-message.ts';

/** A key pair as it crosses to a worker. */
export interface KeyPairBytes {
  certificate: Uint8Array;
  privateKey: KeyObject;
}

export interface OpenInput {
  message: Uint8Array;
  requestType: RequestTypeName;
  keyPairs: readonly KeyPairBytes[];
  policy: AlgorithmPolicy;
  signingTime?: OpenOptions['signingTime'];
}

export interface OpenOutput {
  /** DER of the signer's certificate. */
  signer: Uint8Array;
  messageData: Uint8Array;
  /** Which of the key pairs the request is encrypted to. */
  keyPairIndex: number;
  algorithms: Omit<ReplyAlgorithms, 'keyPair'>;
}

/** Throws PkiError, as `openPkiMessage` does. */
export function openRequest({ message, keyPairs, ...options }: OpenInput): OpenOutput {
  const parsed = keyPairs.map(parseKeyPair);
  const { signer, messageData, reply } = openPkiMessage(parsePkiMessage(message), { ...options, keyPairs: parsed });
  const { keyPair, ...algorithms } = reply;
  return { signer: signer.der, messageData, keyPairIndex: parsed.indexOf(keyPair), algorithms };
}

export interface ReplyInput {
  transactionID: string;
  senderNonce: Uint8Array | undefined;
  result: CertRepResult;
  algorithms: Omit<ReplyAlgorithms, 'keyPair'>;
  keyPair: KeyPairBytes;
}

export function encodeReply({ transactionID, senderNonce, result, algorithms, keyPair }: ReplyInput): Uint8Array {
  return encodeCertRep({ transactionID, senderNonce }, result, { ...algorithms, keyPair: parseKeyPair(keyPair) }, realSystem.randomBytes);
}

function parseKeyPair({ certificate, privateKey }: KeyPairBytes): KeyPair {
  return { certificate: parseCertificate(certificate), privateKey };
}

export function toBytes({ certificate, privateKey }: KeyPair): KeyPairBytes {
  return { certificate: certificate.der, privateKey };
}

export const openTask: Task<OpenInput, OpenOutput> = { module: import.meta.url, name: 'openRequest', run: openRequest };
export const replyTask: Task<ReplyInput, Uint8Array> = { module: import.meta.url, name: 'encodeReply', run: encodeReply };
