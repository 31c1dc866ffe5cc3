/** The embedded certificate authority: signs with a key it is handed, knows no store, and makes the key pairs and root certificates it is asked for. */
import { createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { createSigner } from '../../base/pki/algorithms.ts';
import { parseBer } from '../../base/pki/asn1.ts';
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  KeyUsage,
  keyUsageExtension,
  subjectKeyIdentifierExtension,
} from '../../base/pki/extensions.ts';
import { parsePublicKey, publicKeyOf } from '../../base/pki/public-key.ts';
import { type Certificate, type CertificateTemplate, createCertificate, subjectKeyIdentifier } from '../../base/pki/x509.ts';
import type { Task, Workers } from '../../base/worker-pool.ts';
import type { CertificateAuthority, IssueRequest } from './certificate-authority.ts';

/** AWS Private CA's names (CreateCertificateAuthority, KeyAlgorithm). */
export type KeyAlgorithm = 'RSA_2048' | 'RSA_3072' | 'RSA_4096' | 'EC_prime256v1' | 'EC_secp384r1';

export class EmbeddedCertificateAuthority implements CertificateAuthority {
  readonly certificates: readonly [Certificate, ...Certificate[]];
  readonly #privateKey: KeyObject;
  readonly #keyIdentifier: Uint8Array;
  readonly #workers: Workers;

  constructor(certificates: readonly [Certificate, ...Certificate[]], privateKey: KeyObject, workers: Workers) {
    const [own] = certificates;
    this.certificates = certificates;
    this.#privateKey = privateKey;
    this.#keyIdentifier = subjectKeyIdentifier(own) ?? own.publicKey.keyIdentifier;
    this.#workers = workers;
  }

  async issue(request: IssueRequest): Promise<Uint8Array> {
    const [own] = this.certificates;
    const { keyIdentifier } = parsePublicKey(parseBer(request.subjectPublicKeyInfo));
    const template: CertificateTemplate = {
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
        ...request.extensions,
      ],
    };
    return this.#workers.run(signTask, { template, privateKey: this.#privateKey });
  }
}

interface SignInput {
  template: CertificateTemplate;
  privateKey: KeyObject;
}

export function signCertificate({ template, privateKey }: SignInput): Uint8Array {
  return createCertificate(template, createSigner(privateKey));
}

const signTask: Task<SignInput, Uint8Array> = { module: import.meta.url, name: 'signCertificate', run: signCertificate };

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
      return (await generate('ec', { namedCurve: algorithm.slice(3) })).privateKey;
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
