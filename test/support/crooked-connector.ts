/** A connector that answers as it should but for what a test has it get wrong: it shows which answers a simulated device does not take. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type ContentCipher, createSigner, type Digest } from '../../src/base/pki/algorithms.ts';
import { octetString, printableString } from '../../src/base/pki/der.ts';
import {
  encodeEnvelopedData,
  findOpening,
  type KeyPair,
  type KeyTransport,
  openContent,
  parseEnvelopedData,
} from '../../src/base/pki/enveloped-data.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { type CertificationRequest, parseCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { encodeDegenerate } from '../../src/base/pki/signed-data.ts';
import { type Certificate, type CertificateTemplate, createCertificate } from '../../src/base/pki/x509.ts';
import { MessageType, PkiStatus } from '../../src/base/scep.ts';
import { parseGetMessage, rawParameter } from '../../src/fronts/scep/get-message.ts';
import { openPkiMessage, type PkiMessage, parsePkiMessage } from '../../src/fronts/scep/pki-message.ts';
import { attribute, cmsAttributes, signerInfo } from './cms-parts.ts';
import { createCaAndRa, laxPolicy } from './pki-fixtures.ts';
import { encodeSignedMessage } from './scep-messages.ts';

/** The parts of a CertRep of SUCCESS. */
export interface AnswerParts {
  pkiStatus: keyof typeof PkiStatus;
  transactionID: string;
  /** Undefined leaves it out, here and below. */
  recipientNonce: Uint8Array | undefined;
  senderNonce: Uint8Array | undefined;
  signer: KeyPair;
  recipient: Certificate;
  digest: Digest;
  cipher: ContentCipher;
  keyTransport: KeyTransport;
  certificate: CertificateTemplate;
}

export interface Crookedness {
  caps?: string;
  /** Of GetCACert, in place of RA and CA. */
  certificates?: readonly Certificate[];
  parts?: (usual: AnswerParts) => AnswerParts;
  /** The signed attributes of the CertRep, contentType and messageDigest first; the signature is over what comes of them. */
  attributes?: (usual: readonly Uint8Array[]) => readonly Uint8Array[];
  /** The finished CertRep. */
  message?: (usual: Uint8Array) => Uint8Array;
  contentType?: string;
}

export interface CrookedConnector extends AsyncDisposable {
  readonly url: string;
  readonly ca: KeyPair;
  /** The operations asked for, the challenges of the CSRs and what was in the envelopes of the CertPolls. */
  readonly operations: string[];
  readonly challenges: string[];
  readonly polls: Uint8Array[];
  /** Nothing is wrong with an empty one, which it has at first. */
  crookedness: Crookedness;
}

const dayMs = 86_400_000;
const headerBytesMax = 128 * 1024;

export async function startCrookedConnector(): Promise<CrookedConnector> {
  const { ca, ra } = createCaAndRa();
  const operations: string[] = [];
  const challenges: string[] = [];
  const polls: Uint8Array[] = [];
  const csrs = new Map<string, CertificationRequest>();
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const query = (incoming.url ?? '').replace(/^[^?]*\?/, '');
    const operation = rawParameter(query, 'operation') ?? '';
    operations.push(operation);
    const body = await buffer(incoming);
    const message = incoming.method === 'POST' ? body : parseGetMessage(rawParameter(query, 'message') || 'MA');
    const { contentType, octets } = answerTo(operation, message, { ca, ra, challenges, polls, csrs, crookedness: connector.crookedness });
    outgoing.writeHead(200, { 'content-type': contentType, 'content-length': octets.length }).end(octets);
  };
  const server = createServer(
    { maxHeaderSize: headerBytesMax },
    (incoming, outgoing) => void answer(incoming, outgoing).catch(() => outgoing.destroy()),
  );
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve));
  const connector: CrookedConnector = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/scep`,
    ca,
    operations,
    challenges,
    polls,
    crookedness: {},
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise(resolve => void server.close(resolve));
    },
  };
  return connector;
}

interface Keys {
  ca: KeyPair;
  ra: KeyPair;
  challenges: string[];
  polls: Uint8Array[];
  /** By transactionID. */
  csrs: Map<string, CertificationRequest>;
  crookedness: Crookedness;
}

function answerTo(operation: string, message: Uint8Array, keys: Keys): { contentType: string; octets: Uint8Array } {
  const { ca, ra, crookedness } = keys;
  switch (operation) {
    case 'GetCACaps':
      return {
        contentType: 'text/plain',
        octets: Buffer.from(crookedness.caps ?? 'AES\nPOSTPKIOperation\nSCEPStandard\nSHA-256\nSHA-512\n'),
      };
    case 'GetCACert': {
      const certificates = crookedness.certificates ?? [ra.certificate, ca.certificate];
      return {
        contentType: 'application/x-x509-ca-ra-cert',
        octets: encodeDegenerate({ certificates: certificates.map(({ der }) => der) }),
      };
    }
    default: {
      const usual = encodeAnswer((crookedness.parts ?? (parts => parts))(usualParts(message, keys)), keys);
      return { contentType: crookedness.contentType ?? 'application/x-pki-message', octets: crookedness.message?.(usual) ?? usual };
    }
  }
}

/** Whoever asks gets a certificate, with whatever algorithms: it is the answer that matters here. */
function usualParts(source: Uint8Array, keys: Keys): AnswerParts {
  const { ca, ra } = keys;
  const message = parsePkiMessage(source);
  const requestType = message.messageType === MessageType.CertPoll ? 'CertPoll' : 'PKCSReq';
  const { signer, messageData, reply } = openPkiMessage(message, { requestType, keyPairs: [ra], policy: laxPolicy });
  const csr = requestType === 'CertPoll' ? polledCsr(message, keys) : keptCsr(message, messageData, keys);
  const { digest, cipher, keyTransport } = reply;
  return {
    pkiStatus: 'SUCCESS',
    transactionID: message.transactionID,
    recipientNonce: message.senderNonce,
    senderNonce: randomBytes(16),
    signer: ra,
    recipient: signer,
    digest,
    cipher,
    keyTransport,
    certificate: {
      // The same request gets the same certificate.
      serialNumber: Buffer.from(message.transactionID).toString('hex').slice(0, 32),
      issuer: ca.certificate.subject.der,
      subject: csr.subject.der,
      subjectPublicKeyInfo: csr.publicKey.spki,
      notBefore: ca.certificate.notBefore,
      notAfter: ca.certificate.notBefore + 10_000 * dayMs,
      extensions: csr.extensions.filter(({ oid }) => oid === Oid.subjectAltName),
    },
  };
}

function keptCsr({ transactionID }: PkiMessage, messageData: Uint8Array, { challenges, csrs }: Keys): CertificationRequest {
  const csr = parseCertificationRequest(messageData);
  challenges.push(...csr.challengePasswords);
  csrs.set(transactionID, csr);
  return csr;
}

function polledCsr({ transactionID, signedData }: PkiMessage, { ra, polls, csrs }: Keys): CertificationRequest {
  polls.push(openContent(findOpening(parseEnvelopedData(signedData.eContent ?? Buffer.alloc(0)), [ra])).content);
  const csr = csrs.get(transactionID);
  if (csr === undefined) throw new Error('a CertPoll of a transaction that nobody began');
  return csr;
}

function encodeAnswer(parts: AnswerParts, { ca, crookedness }: Keys): Uint8Array {
  const { pkiStatus, recipientNonce, senderNonce, signer, recipient, digest, cipher, keyTransport } = parts;
  const nonce = (type: string, octets: Uint8Array | undefined) => (octets === undefined ? [] : [attribute(type, octetString(octets))]);
  const content = () => encodeDegenerate({ certificates: [createCertificate(parts.certificate, createSigner(ca.privateKey))] });
  const eContent =
    pkiStatus === 'SUCCESS' ? encodeEnvelopedData({ content: content(), recipient, cipher, keyTransport, randomBytes }) : Buffer.alloc(0);
  const usual = [
    ...cmsAttributes(eContent, digest),
    attribute(Oid.transactionID, printableString(parts.transactionID)),
    attribute(Oid.messageType, printableString(MessageType.CertRep)),
    attribute(Oid.pkiStatus, printableString(PkiStatus[pkiStatus])),
    ...nonce(Oid.recipientNonce, recipientNonce),
    ...nonce(Oid.senderNonce, senderNonce),
  ];
  const attributes = (crookedness.attributes?.(usual) ?? usual).toSorted(Buffer.compare);
  return encodeSignedMessage({
    eContent,
    digest,
    certificates: [signer.certificate],
    signerInfos: [signerInfo({ signer, digest, attributes })],
  });
}
