/** The embedded certificate authority: signs with a key it is handed, knows no store, and makes the key pairs and root certificates it is asked for. */
import { createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { createSigner, digests, findSigningAlgorithm, signatureAlgorithmIdentifiers } from '../../base/pki/algorithms.ts';
import { parseBer } from '../../base/pki/asn1.ts';
import { type CertificateListTemplate, createCertificateList } from '../../base/pki/crl.ts';
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  type Extension,
  KeyUsage,
  keyUsageExtension,
  subjectKeyIdentifierExtension,
} from '../../base/pki/extensions.ts';
import { crlDistributionPointsExtension } from '../../base/pki/policy-extensions.ts';
import { parsePublicKey, publicKeyOf } from '../../base/pki/public-key.ts';
import { encodeDegenerate, encodeSignedData } from '../../base/pki/signed-data.ts';
import {
  type Certificate,
  createCertificate,
  encodeTbsCertificate,
  parseCertificate,
  signatureAlgorithmOf,
  signTbsCertificate,
  subjectKeyIdentifier,
} from '../../base/pki/x509.ts';
import type { KeyAlgorithm, SigningAlgorithm } from '../../base/private-ca.ts';
import type { Task, Workers } from '../../base/worker-pool.ts';
import type { CertificateAuthority, IssueRequest } from './certificate-authority.ts';

interface EmbeddedAuthorityParts {
  /** Its own, then its issuers up to the root. */
  certificates: readonly [Certificate, ...Certificate[]];
  privateKey: KeyObject;
  signingAlgorithm: SigningAlgorithm;
  /** Where what it issues says that its CRL is; undefined when it has none. */
  crlUrl: string | undefined;
  workers: Workers;
}

export class EmbeddedCertificateAuthority implements CertificateAuthority {
  readonly certificates: readonly [Certificate, ...Certificate[]];
  readonly #privateKey: KeyObject;
  readonly #signingAlgorithm: SigningAlgorithm;
  readonly #keyIdentifier: Uint8Array;
  readonly #crlExtensions: readonly Extension[];
  readonly #workers: Workers;

  constructor({ certificates, privateKey, signingAlgorithm, crlUrl, workers }: EmbeddedAuthorityParts) {
    const [own] = certificates;
    this.#crlExtensions = crlUrl === undefined ? [] : [crlDistributionPointsExtension(crlUrl)];
    this.certificates = certificates;
    this.#privateKey = privateKey;
    this.#signingAlgorithm = signingAlgorithm;
    this.#keyIdentifier = subjectKeyIdentifier(own) ?? own.publicKey.keyIdentifier;
    this.#workers = workers;
  }

  async issue(request: IssueRequest): Promise<Uint8Array> {
    const [own] = this.certificates;
    const { keyIdentifier } = parsePublicKey(parseBer(request.subjectPublicKeyInfo));
    const template = {
      serialNumber: request.issuanceId,
      issuer: own.subject.der,
      subject: request.subject,
      subjectPublicKeyInfo: request.subjectPublicKeyInfo,
      notBefore: request.notBefore,
      notAfter: request.notAfter,
      extensions: [
        basicConstraintsExtension(false),
        authorityKeyIdentifierExtension(this.#keyIdentifier),
        subjectKeyIdentifierExtension(keyIdentifier),
        ...this.#crlExtensions,
        ...request.extensions,
      ],
    };
    return this.signTbs(encodeTbsCertificate(template, signatureAlgorithmIdentifiers[this.#signingAlgorithm]));
  }

  /** The certificate, DER, signed with the algorithm that the tbsCertificate names: AWS lets each IssueCertificate choose one. */
  signTbs(tbsCertificate: Uint8Array): Promise<Uint8Array> {
    return this.#workers.run(signTbsTask, { tbsCertificate, privateKey: this.#privateKey });
  }

  /** Certificates in a SignedData of this authority's, DER: what it says of its successor. Its key must be RSA or ECDSA. */
  signCertificates(certificates: readonly Uint8Array[]): Promise<Uint8Array> {
    const [{ der: certificate }] = this.certificates;
    return this.#workers.run(signCertificatesTask, { certificates, certificate, privateKey: this.#privateKey });
  }

  /** A CRL of this authority, DER. */
  signCertificateList(list: Omit<CertificateListTemplate, 'issuer' | 'authorityKeyIdentifier'>): Promise<Uint8Array> {
    const [own] = this.certificates;
    const template = { ...list, issuer: own.subject.der, authorityKeyIdentifier: this.#keyIdentifier };
    return this.#workers.run(signListTask, { template, privateKey: this.#privateKey, signingAlgorithm: this.#signingAlgorithm });
  }
}

interface SignCertificatesInput {
  certificates: readonly Uint8Array[];
  /** DER of the signer's own. */
  certificate: Uint8Array;
  privateKey: KeyObject;
}

/** With SHA-256, which every client of RFC 8894 knows, by the authority's own key. */
export function signCertificates({ certificates, certificate, privateKey }: SignCertificatesInput): Uint8Array {
  const isRsa = privateKey.asymmetricKeyType === 'rsa';
  return encodeSignedData({
    eContent: encodeDegenerate({ certificates }),
    signedAttributes: [],
    digest: digests['SHA-256'],
    certificate: parseCertificate(certificate),
    sign: (digest, data) => sign(digest.openssl, data, privateKey),
    ...(!isRsa && { signatureAlgorithm: signatureAlgorithmIdentifiers.SHA256WITHECDSA }),
  });
}

interface SignTbsInput {
  tbsCertificate: Uint8Array;
  privateKey: KeyObject;
}

export function signTbs({ tbsCertificate, privateKey }: SignTbsInput): Uint8Array {
  const signingAlgorithm = findSigningAlgorithm(signatureAlgorithmOf(tbsCertificate));
  if (signingAlgorithm === undefined) throw new TypeError('the tbsCertificate is for a signature algorithm that no authority has');
  return signTbsCertificate(tbsCertificate, createSigner(privateKey, signingAlgorithm));
}

interface SignListInput {
  template: CertificateListTemplate;
  privateKey: KeyObject;
  signingAlgorithm: SigningAlgorithm;
}

export function signList({ template, privateKey, signingAlgorithm }: SignListInput): Uint8Array {
  return createCertificateList(template, createSigner(privateKey, signingAlgorithm));
}

/** Also for an authority that has no certificate yet, whose first one this makes. */
export const signTbsTask: Task<SignTbsInput, Uint8Array> = { module: import.meta.url, name: 'signTbs', run: signTbs };
const signCertificatesTask: Task<SignCertificatesInput, Uint8Array> = {
  module: import.meta.url,
  name: 'signCertificates',
  run: signCertificates,
};
const signListTask: Task<SignListInput, Uint8Array> = { module: import.meta.url, name: 'signList', run: signList };

/** Off the event loop: an RSA key takes OpenSSL a good part of a second. */
export async function generatePrivateKey(algorithm: KeyAlgorithm): Promise<KeyObject> {
  const generate = promisify(generateKeyPair);
  switch (algorithm) {
    case 'RSA_2048':
    case 'RSA_3072':
    case 'RSA_4096':
      return (await generate('rsa', { modulusLength: Number(algorithm.slice(4)) })).privateKey;
    case 'EC_prime256v1':
    case 'EC_secp384r1':
    case 'EC_secp521r1':
      return (await generate('ec', { namedCurve: algorithm.slice(3) })).privateKey;
    case 'ML_DSA_44':
      return (await generate('ml-dsa-44')).privateKey;
    case 'ML_DSA_65':
      return (await generate('ml-dsa-65')).privateKey;
    case 'ML_DSA_87':
      return (await generate('ml-dsa-87')).privateKey;
    default:
      return algorithm satisfies never;
  }
}

/** A self-signed root certificate, DER, with the extensions of AWS's template RootCACertificate/V1. */
export function createRootCertificate(
  privateKey: KeyObject,
  root: { serialNumber: string; subject: Uint8Array; notBefore: number; notAfter: number },
): Uint8Array {
  const publicKey = publicKeyOf(createPublicKey(privateKey));
  return createCertificate(
    {
      ...root,
      issuer: root.subject,
      subjectPublicKeyInfo: publicKey.spki,
      extensions: [
        basicConstraintsExtension(true),
        subjectKeyIdentifierExtension(publicKey.keyIdentifier),
        keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyCertSign, KeyUsage.cRLSign]),
      ],
    },
    createSigner(privateKey),
  );
}
