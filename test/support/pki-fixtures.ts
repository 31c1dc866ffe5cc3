/** Keys, certificates and SCEP messages for the codec's tests, made in process with the codec's own writers. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  type AlgorithmPolicy,
  type ContentCipher,
  contentCiphers,
  createSigner,
  type Digest,
  digests,
} from '../../src/base/pki/algorithms.ts';
import { octetString, printableString } from '../../src/base/pki/der.ts';
import { encodeEnvelopedData, type KeyPair, type KeyTransport } from '../../src/base/pki/enveloped-data.ts';
import {
  basicConstraintsExtension,
  type Extension,
  extKeyUsageExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from '../../src/base/pki/extensions.ts';
import { parseNameString } from '../../src/base/pki/name.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { createCertificationRequest } from '../../src/base/pki/pkcs10.ts';
import { publicKeyOf } from '../../src/base/pki/public-key.ts';
import { encodeSignedData, type SignedAttribute } from '../../src/base/pki/signed-data.ts';
import { createCertificate, parseCertificate } from '../../src/base/pki/x509.ts';
import { MessageType } from '../../src/base/scep.ts';

/** Both inclusive; the second is the last instant that UTCTime can say. */
export const validity = { notBefore: Date.UTC(2020, 0, 1), notAfter: Date.UTC(2049, 11, 31, 23, 59, 59) } as const;

/** Every run of a property starts here, so that a failure is found again; SCEP_TEST_SEED sets another start. */
export const seed = Number(process.env['SCEP_TEST_SEED'] ?? 20_261_122);

/** What a connector accepts by default, and everything that the codec implements. */
export const defaultPolicy: AlgorithmPolicy = {
  digests: new Set(['SHA-256', 'SHA-384', 'SHA-512']),
  contentCiphers: new Set(['AES-128-CBC', 'AES-192-CBC', 'AES-256-CBC']),
};
export const laxPolicy: AlgorithmPolicy = {
  digests: new Set(['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']),
  contentCiphers: new Set(['AES-128-CBC', 'AES-192-CBC', 'AES-256-CBC', '3DES-CBC', 'DES-CBC']),
};

const keys = new Map<string, KeyObject>();

/** The private key with this name, made at its first use: making RSA keys is what costs a test its time. */
export function rsaKey(name: string, modulusLength = 2048): KeyObject {
  return kept(`${name} ${modulusLength}`, () => generateKeyPairSync('rsa', { modulusLength }).privateKey);
}

export function ecKey(namedCurve: 'prime256v1' | 'secp384r1' | 'secp521r1'): KeyObject {
  return kept(namedCurve, () => generateKeyPairSync('ec', { namedCurve }).privateKey);
}

function kept(name: string, create: () => KeyObject): KeyObject {
  const key = keys.get(name) ?? create();
  keys.set(name, key);
  return key;
}

export interface IdentityOptions {
  subject?: string;
  key?: KeyObject;
  /** Self-signed when absent. */
  issuer?: KeyPair;
  serialNumber?: string;
  extensions?: readonly Extension[];
}

/** A certificate with its private key. */
export function createIdentity(options: IdentityOptions = {}): KeyPair {
  const { key = rsaKey('client'), issuer, extensions = [], serialNumber = randomBytes(16).toString('hex') } = options;
  const subject = parseNameString(options.subject ?? 'CN=printer-7,O=Example').der;
  const template = {
    serialNumber,
    issuer: issuer?.certificate.subject.der ?? subject,
    subject,
    subjectPublicKeyInfo: publicKeyOf(key).spki,
    ...validity,
    extensions,
  };
  return { certificate: parseCertificate(createCertificate(template, createSigner(issuer?.privateKey ?? key))), privateKey: key };
}

/** A root with its connector's RA, as the embedded CA makes them. */
export function createCaAndRa(caKey = rsaKey('ca')): { ca: KeyPair; ra: KeyPair } {
  const ca = createIdentity({
    subject: 'CN=Example Root,O=Example',
    key: caKey,
    extensions: [
      basicConstraintsExtension(true),
      keyUsageExtension([KeyUsage.keyCertSign, KeyUsage.cRLSign]),
      subjectKeyIdentifierExtension(publicKeyOf(caKey).keyIdentifier),
    ],
  });
  const raKey = rsaKey('ra');
  const ra = createIdentity({
    subject: 'CN=Example RA,O=Example',
    key: raKey,
    issuer: ca,
    extensions: [
      keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]),
      subjectKeyIdentifierExtension(publicKeyOf(raKey).keyIdentifier),
    ],
  });
  return { ca, ra };
}

/** A CSR such as a device management system makes it: names, key usage, purposes and the challenge. */
export function createCsr(key: KeyObject, challengePassword?: string): Uint8Array {
  const template = {
    subject: parseNameString('CN=printer-7,OU=Floor 3,O=Example,C=CH').der,
    subjectPublicKeyInfo: publicKeyOf(key).spki,
    challengePassword,
    extensions: [
      subjectAltNameExtension([generalName.dns('printer-7.example.com'), generalName.userPrincipalName('printer-7@example.com')], false),
      keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]),
      extKeyUsageExtension([Oid.clientAuth]),
    ],
  };
  return createCertificationRequest(template, createSigner(key));
}

export interface PkcsReqOptions {
  client: KeyPair;
  ra: KeyPair;
  /** In place of a CSR with the client's key and a challenge. */
  csr?: Uint8Array;
  /** In place of the pkcsPKIEnvelope. */
  eContent?: Uint8Array;
  digest?: Digest;
  cipher?: ContentCipher;
  keyTransport?: KeyTransport;
  attributes?: readonly SignedAttribute[];
}

/** The signed attributes of a PKCSReq. */
export function requestAttributes(transactionID = '7XXEY-ERLPU-2JDR9'): SignedAttribute[] {
  return [
    { type: Oid.transactionID, value: printableString(transactionID) },
    { type: Oid.messageType, value: printableString(MessageType.PKCSReq) },
    { type: Oid.senderNonce, value: octetString(Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')) },
  ];
}

export function createPkcsReq(options: PkcsReqOptions): Uint8Array {
  const { client, ra, digest = digests['SHA-256'], cipher = contentCiphers['AES-128-CBC'], keyTransport = { scheme: 'PKCS1' } } = options;
  const envelope = () =>
    encodeEnvelopedData({
      content: options.csr ?? createCsr(client.privateKey, 'df3b2c5e-5a62-4a3e-8b8f-0c6cbb1b3f0e'),
      recipient: ra.certificate,
      cipher,
      keyTransport,
      randomBytes,
    });
  return encodeSignedData({
    eContent: options.eContent ?? envelope(),
    signedAttributes: options.attributes ?? requestAttributes(),
    digest,
    certificate: client.certificate,
    sign: ({ openssl }, data) => sign(openssl, data, client.privateKey),
  });
}
