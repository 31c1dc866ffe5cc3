/** Enrols as a device does: fetches capabilities and CA, sends a CSR, polls while it is PENDING, and accepts only a certificate it has verified. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { type AlgorithmPolicy, contentCiphers, createSigner, type Digest, digestOf, digests } from '../base/pki/algorithms.ts';
import { sequence } from '../base/pki/der.ts';
import type { KeyPair } from '../base/pki/enveloped-data.ts';
import {
  type Extension,
  findExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  parseIpAddress,
  subjectAltNameExtension,
} from '../base/pki/extensions.ts';
import { formatName, parseNameString } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { createCertificationRequest } from '../base/pki/pkcs10.ts';
import { publicKeyOf } from '../base/pki/public-key.ts';
import { type Certificate, createCertificate, fingerprint, newSerialNumber, parseCertificate } from '../base/pki/x509.ts';
import type { System } from '../base/system.ts';
import { type CertRep, decodeCertRep, encodeRequest, type RequestTemplate } from './pki-message.ts';
import { type CaCertificates, firstLine, issuersOf, OptionError, ScepClient, ScepClientError } from './scep-client.ts';

export const enrollLimits = { pollIntervalMs: 5000, pollsMax: 120, rsaBitsMin: 2048, rsaBitsMax: 8192 } as const;
const selfSignedValidityMs = 86_400_000;
const clockSkewMs = 3_600_000;

/** What an answer may use: SHA-1 and triple DES are left to servers that offer nothing better. */
export const answerPolicy: AlgorithmPolicy = {
  digests: new Set(['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']),
  contentCiphers: new Set(['AES-128-CBC', 'AES-192-CBC', 'AES-256-CBC', '3DES-CBC']),
};

export interface EnrollOptions {
  url: string;
  challenge?: string | undefined;
  /** RFC 4514, such as `CN=printer-7,O=Example`. Undefined: that of the certificate being renewed. */
  subject: string | undefined;
  /** `DNS:…`, `IP:…`, `email:…`, `URI:…`, `UPN:…`. None: those of the certificate being renewed, if one is. */
  subjectAltNames: readonly string[];
  /** `rsa:BITS`. */
  key: string;
  /** In place of a new key: that of a request that waits. */
  privateKey?: KeyObject | undefined;
  caFingerprint?: string | undefined;
  /** The certificate being renewed, which then signs the request. */
  renewing?: KeyPair | undefined;
}

interface EnrollParts {
  system: System;
  /** Told what is being done, a sentence at a time. */
  report: (progress: string) => void;
  wait: (ms: number) => Promise<void>;
  /** Told that the request waits, with the key that gets its certificate. */
  keepPending?: (privateKey: KeyObject) => Promise<void>;
}

/** The server's last word on a request: it can only be made anew. */
export class EnrolmentRefusedError extends ScepClientError {}

export interface Enrolled {
  privateKey: KeyObject;
  certificate: Certificate;
  /** The certificate's issuers, up to the root where the server sends it. */
  issuers: readonly Certificate[];
}

/** Throws ScepClientError or PkiError when anything on the way is refused or does not hold. */
export async function enroll(options: EnrollOptions, { system, report, wait, keepPending }: EnrollParts): Promise<Enrolled> {
  const client = new ScepClient(options.url, options.caFingerprint);
  const bits = parseKeyOption(options.key);
  const extensions = requestedExtensions(options);
  const subject = requestedSubject(options);
  const ca = await client.getCaCert();
  reportAuthorities(ca, options.caFingerprint, report);
  const caps = await client.getCaCaps();
  report(`The server offers ${[...caps].join(', ') || 'no capabilities'}.`);
  if (options.privateKey === undefined) report(`Making an RSA key of ${bits} bits.`);
  const { privateKey = generateKeyPairSync('rsa', { modulusLength: bits }).privateKey } = options;
  const request = createRequest({ ...options, privateKey, subject, extensions, caps, recipient: ca.recipient }, system);
  report(`Sending a ${request.messageType}.`);
  let answer = await exchange(client, caps, ca, request);
  if (answer.pkiStatus === 'PENDING') await keepPending?.(privateKey);
  for (let polls = 0; answer.pkiStatus === 'PENDING'; polls++) {
    if (polls === enrollLimits.pollsMax)
      throw new ScepClientError('The request is still pending. Have it approved, then run the same command again.');
    report(`The request is pending; asking again in ${enrollLimits.pollIntervalMs / 1000} s.`);
    await wait(enrollLimits.pollIntervalMs);
    const issuerAndSubject = sequence(ca.authorities[0]?.subject.der ?? ca.recipient.issuer.der, subject);
    const poll = { messageType: 'CertPoll' as const, messageData: issuerAndSubject, senderNonce: system.randomBytes(16) };
    answer = await exchange(client, caps, ca, { ...request, ...poll });
  }
  if (answer.pkiStatus === 'FAILURE')
    throw new EnrolmentRefusedError(`The server refused: ${answer.failInfo}. ${answer.failInfoText ?? ''}`.trim());
  const publicKey = publicKeyOf(privateKey);
  const certificate = answer.certificates.find(({ publicKey: issued }) => issued.equals(publicKey));
  if (certificate === undefined) throw new ScepClientError('The server sent no certificate for the key of the request.');
  return { privateKey, certificate, issuers: verifyIssued(certificate, ca, system.now()) };
}

interface RequestContent {
  privateKey: KeyObject;
  /** DER of the Name. */
  subject: Uint8Array;
  challenge?: string | undefined;
  extensions: readonly Extension[];
  renewing?: KeyPair | undefined;
  caps: ReadonlySet<string>;
  recipient: Certificate;
}

/** A request for a certificate on this key, with the best algorithms that the server offers. */
export function createRequest(content: RequestContent, system: System): RequestTemplate {
  const { privateKey, subject, challenge, extensions, renewing, caps, recipient } = content;
  const subjectPublicKeyInfo = publicKeyOf(privateKey).spki;
  const csr = createCertificationRequest(
    { subject, subjectPublicKeyInfo, challengePassword: challenge, extensions },
    createSigner(privateKey),
  );
  return {
    messageType: renewing && caps.has('Renewal') ? 'RenewalReq' : 'PKCSReq',
    messageData: csr,
    transactionID: Buffer.from(digestOf(digests['SHA-256'], subjectPublicKeyInfo)).toString('hex'),
    senderNonce: system.randomBytes(16),
    signer: renewing ?? { certificate: selfSign(privateKey, subject, system), privateKey },
    recipient,
    digest: chooseDigest(caps),
    cipher: contentCiphers[caps.has('AES') || caps.has('SCEPStandard') ? 'AES-128-CBC' : '3DES-CBC'],
    randomBytes: system.randomBytes,
  };
}

async function exchange(client: ScepClient, caps: ReadonlySet<string>, ca: CaCertificates, request: RequestTemplate): Promise<CertRep> {
  const { statusCode, body } = await client.pkiOperation(encodeRequest(request), caps);
  // AWS sends a CertRep of FAILURE with HTTP 400, so whatever is a CertRep is read as one.
  if (statusCode !== 200 && body[0] !== 0x30) throw new ScepClientError(`The server answered HTTP ${statusCode}: ${firstLine(body)}`);
  return decodeCertRep(body, { ...request, caCertificates: ca.all, policy: answerPolicy });
}

function verifyIssued(certificate: Certificate, ca: CaCertificates, now: number): readonly Certificate[] {
  const issuers = issuersOf(certificate, ca.authorities);
  if (issuers.length === 0) throw new ScepClientError('The certificate is not issued by a CA that GetCACert brought.');
  if (certificate.notBefore > now + clockSkewMs || certificate.notAfter <= now) {
    throw new ScepClientError('The certificate is not valid now. Check the clocks of this machine and of the server.');
  }
  return issuers;
}

function reportAuthorities(ca: CaCertificates, caFingerprint: string | undefined, report: (progress: string) => void): void {
  for (const { subject, der } of ca.authorities) report(`CA ${formatName(subject)}, SHA-256 ${fingerprint(der)}.`);
  if (caFingerprint === undefined) report('The CA is not verified: compare its fingerprint, or give it as --ca-fingerprint.');
}

/** DER of the Name; of the old certificate as it stands there, since a renewal must not rename anything. */
function requestedSubject({ subject, renewing }: EnrollOptions): Uint8Array {
  if (subject === undefined && renewing !== undefined) return renewing.certificate.subject.der;
  if (subject === undefined) throw new OptionError("--subject is missing: give the device's name, such as --subject 'CN=printer-7'.");
  try {
    return parseNameString(subject).der;
  } catch (cause) {
    throw new OptionError(`--subject: ${cause instanceof Error ? cause.message : String(cause)}.`, { cause });
  }
}

function parseKeyOption(key: string): number {
  const [, digits] = /^rsa:(\d{4,5})$/.exec(key) ?? [];
  const bits = Number(digits);
  if (digits !== undefined && bits >= enrollLimits.rsaBitsMin && bits <= enrollLimits.rsaBitsMax) return bits;
  throw new OptionError(
    `--key must be rsa:BITS with ${enrollLimits.rsaBitsMin} to ${enrollLimits.rsaBitsMax} bits: SCEP encrypts its answers to RSA keys only.`,
  );
}

/** A renewal asks for what the old certificate has, but for names that the options say. */
function requestedExtensions({ subjectAltNames, renewing }: EnrollOptions): Extension[] {
  const kept = (oid: string) => renewing && findExtension(renewing.certificate.extensions, oid);
  const extKeyUsage = kept(Oid.extKeyUsage);
  const subjectAltName =
    subjectAltNames.length > 0 ? subjectAltNameExtension(subjectAltNames.map(parseSubjectAltNameOption), false) : kept(Oid.subjectAltName);
  return [
    kept(Oid.keyUsage) ?? keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]),
    ...(extKeyUsage ? [extKeyUsage] : []),
    ...(subjectAltName ? [subjectAltName] : []),
  ];
}

function parseSubjectAltNameOption(text: string): { der: Uint8Array } {
  const [, type = '', value = ''] = /^([A-Za-z]+):(.+)$/.exec(text) ?? [];
  switch (type.toLowerCase()) {
    case 'dns':
      return generalName.dns(value);
    case 'email':
      return generalName.email(value);
    case 'uri':
      return generalName.uri(value);
    case 'upn':
      return generalName.userPrincipalName(value);
    case 'ip':
      if (isIP(value)) return generalName.ip(parseIpAddress(value));
  }
  throw new OptionError(`--san "${text}" must be DNS:name, IP:address, email:address, URI:uri or UPN:name.`);
}

function chooseDigest(caps: ReadonlySet<string>): Digest {
  if (caps.has('SHA-256') || caps.has('SCEPStandard')) return digests['SHA-256'];
  return digests[caps.has('SHA-512') ? 'SHA-512' : 'SHA-1'];
}

/** RFC 8894 section 2.3: a device without a certificate signs with one it makes for itself, with the subject of its CSR. */
function selfSign(privateKey: KeyObject, subject: Uint8Array, system: System): Certificate {
  const now = system.now();
  return parseCertificate(
    createCertificate(
      {
        serialNumber: newSerialNumber(system.randomBytes),
        issuer: subject,
        subject,
        subjectPublicKeyInfo: publicKeyOf(privateKey).spki,
        notBefore: now - clockSkewMs,
        notAfter: now + selfSignedValidityMs,
        extensions: [keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment])],
      },
      createSigner(privateKey),
    ),
  );
}
