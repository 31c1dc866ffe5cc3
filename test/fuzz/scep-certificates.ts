/** What must hold of every SUCCESS: somebody was entitled to it, and the certificate is one that a device may have. OpenSSL reads the certificate, not our codec. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { findCertificateByFingerprint } from '../../src/backends/store/certificates.ts';
import type { Database } from '../../src/backends/store/database.ts';
import { findOpening, type KeyPair, openContent, parseEnvelopedData } from '../../src/base/pki/enveloped-data.ts';
import { findExtension, KeyUsage, parseKeyUsage } from '../../src/base/pki/extensions.ts';
import { Oid } from '../../src/base/pki/oids.ts';
import { parseSignedData } from '../../src/base/pki/signed-data.ts';
import { fingerprint, parseCertificate } from '../../src/base/pki/x509.ts';
import { identity, identityNames, identitySpecs, worldNow } from '../support/vector-identities.ts';
import { connectorIdOf, connectorSpecs } from '../support/vector-store.ts';
import { decrypted } from './scep-corpus.ts';
import { messagesIn } from './scep-http.ts';
import type { ScepInput } from './scep-inputs.ts';
import { type CertRepRead, holdsChallenge } from './scep-oracle.ts';

/** Of certificate-profile.ts, written down once more: a purpose that comes to it there must come to it here. */
const purposes = new Set(
  `1.3.6.1.5.5.7.3.1 1.3.6.1.5.5.7.3.2 1.3.6.1.5.5.7.3.4 1.3.6.1.5.5.7.3.5 1.3.6.1.5.5.7.3.6 1.3.6.1.5.5.7.3.7 1.3.6.1.5.5.7.3.13
  1.3.6.1.5.5.7.3.14 1.3.6.1.5.5.7.3.17 1.3.6.1.5.5.8.2.2 1.3.6.1.4.1.311.20.2.2 1.3.6.1.4.1.311.10.3.4`.split(/\s+/),
);

interface Circumstances {
  signers: readonly KeyPair[];
  changes: readonly string[];
}

export class CertificateOracle {
  readonly #database: Database;
  readonly #caKey: KeyObject = new X509Certificate(identity('ca').certificate.der).publicKey;
  readonly #keys: readonly KeyObject[];
  /** By serial number. */
  readonly #issued = new Map<string, Buffer>();
  /** Transactions that were once begun by right. */
  readonly #granted = new Set<string>();

  constructor(database: Database) {
    this.#database = database;
    this.#keys = identityNames.filter(name => identitySpecs[name].role === 'device').map(name => identity(name).privateKey);
  }

  /** Of SUCCESS and PENDING. With the certificate, where there is one, so that nobody takes what it says for a secret. */
  async judge(given: ScepInput, certRep: CertRepRead, changes: readonly string[]): Promise<{ problems: string[]; certificate?: Buffer }> {
    const input = given.isOpaque ? { ...given, plaintexts: [...given.plaintexts, ...plaintextsOf(given)] } : given;
    const signers = this.#signersOf(input);
    if (certRep.ending === 'PENDING') return { problems: await this.#problemsOfEntitlement(input, certRep, { signers, changes }) };
    if (certRep.ending !== 'SUCCESS') return { problems: [] };
    const content = openedBy(signers, certRep);
    if (content === undefined) return { problems: ['SUCCESS that the signer cannot open'] };
    const certificates = parseSignedData(content).certificates;
    const [certificate, second] = certificates;
    const isQuery = certRep.messageTypes.every(type => type === '21' || type === '22');
    // The list is made when it is first asked for.
    if (certificate === undefined && certRep.messageTypes.includes('22')) return { problems: [] };
    const problems = isQuery ? changes.map(change => `SUCCESS of a query, and yet: ${change}`) : [];
    if (certificate === undefined || second !== undefined)
      return { problems: [...problems, `SUCCESS with ${certificates.length} certificates`] };
    const der = Buffer.from(certificate.der);
    if (isQuery) {
      const isOwn = signers.some(signer => signer.certificate.publicKey.equals(certificate.publicKey));
      return { problems: isOwn ? problems : [...problems, 'the certificate of another key'], certificate: der };
    }
    problems.push(
      ...this.#problemsOfCertificate(input, certRep, der),
      ...(await this.#problemsOfEntitlement(input, certRep, { signers, changes })),
    );
    return { problems, certificate: der };
  }

  async #problemsOfEntitlement(input: ScepInput, certRep: CertRepRead, { signers, changes }: Circumstances): Promise<string[]> {
    const { connector, plaintexts } = input;
    const { challenge }: { challenge: string | null } = connectorSpecs[connector];
    const transaction = `${connector} ${certRep.transactionID}`;
    const holdsPassword = challenge !== null && plaintexts.some(plaintext => holdsChallenge(plaintext, challenge));
    if (holdsPassword || (await this.#renews(input, signers))) {
      this.#granted.add(transaction);
      return [];
    }
    // The same again, or a poll for it: what it says was judged when it first came.
    const isAgain = changes.length === 0 || certRep.messageTypes.includes('20');
    return isAgain && this.#granted.has(transaction) ? [] : [`${certRep.ending} without a right challenge`];
  }

  /** Whether the signer's certificate is one that this connector renews. */
  async #renews({ connector }: ScepInput, signers: readonly KeyPair[]): Promise<boolean> {
    const spec = connectorSpecs[connector];
    if (!('policy' in spec && 'Renewal' in spec.policy)) return false;
    for (const { certificate } of signers) {
      const row = await findCertificateByFingerprint(this.#database.query, fingerprint(certificate.der));
      const isOfConnector = row?.connector_id === connectorIdOf(connector) && row.kind === 'DEVICE' && row.status === 'ISSUED';
      if (isOfConnector && certificate.notAfter > worldNow) return true;
    }
    return false;
  }

  /** The certificates of the request whose private keys we have. */
  #signersOf({ form }: ScepInput): KeyPair[] {
    return messagesIn(form).flatMap(message => {
      try {
        const certificates = parseSignedData(message).certificates;
        return certificates.flatMap(certificate => {
          const key = this.#keys.find(privateKey => isKeyOf(privateKey, certificate.publicKey.spki));
          return key === undefined ? [] : [{ certificate, privateKey: key }];
        });
      } catch {
        return [];
      }
    });
  }

  #problemsOfCertificate({ plaintexts }: ScepInput, { messageTypes }: CertRepRead, der: Buffer): string[] {
    let certificate: X509Certificate;
    try {
      certificate = new X509Certificate(der);
    } catch {
      return ['a certificate that OpenSSL cannot read'];
    }
    const problems: string[] = [];
    if (certificate.ca) problems.push('a CA certificate');
    if (!certificate.verify(this.#caKey)) problems.push('a certificate that the CA did not sign');
    // Node calls the extended key usage so.
    const others = ((certificate.keyUsage as string[] | undefined) ?? []).filter(purpose => !purposes.has(purpose));
    if (others.length > 0 || certificate.keyUsage === undefined) problems.push(`a certificate for ${others.join(' ') || 'any purpose'}`);
    const keyUsage = findExtension(parseCertificate(der).extensions, Oid.keyUsage);
    const usages = keyUsage === undefined ? new Set<number>() : parseKeyUsage(keyUsage);
    if (usages.has(KeyUsage.keyCertSign) || usages.has(KeyUsage.cRLSign)) problems.push('a certificate that may sign certificates or CRLs');
    const point = keyOctets(certificate.publicKey);
    const isPoll = messageTypes.includes('20');
    if (!isPoll && !plaintexts.some(plaintext => plaintext.includes(point)))
      problems.push('a certificate for a key that was not asked for');
    const before = this.#issued.get(certificate.serialNumber);
    if (before !== undefined && !before.equals(der)) problems.push('two certificates with one serial number');
    this.#issued.set(certificate.serialNumber, der);
    return problems;
  }
}

function plaintextsOf({ form, connector }: ScepInput): Buffer[] {
  return messagesIn(form).flatMap(message => decrypted(message, connector) ?? []);
}

function openedBy(signers: readonly KeyPair[], { signedData }: CertRepRead): Uint8Array | undefined {
  try {
    const opening = findOpening(parseEnvelopedData(signedData.eContent ?? Buffer.alloc(0)), signers);
    const { content, intact } = openContent(opening);
    return intact ? content : undefined;
  } catch {
    return undefined;
  }
}

const spkis = new Map<KeyObject, Buffer>();

function isKeyOf(privateKey: KeyObject, spki: Uint8Array): boolean {
  const known = spkis.get(privateKey) ?? keyOctets(privateKey);
  spkis.set(privateKey, known);
  return Buffer.from(spki).includes(known);
}

/** What of a key stands in one piece however it was written: the modulus, or the point. */
function keyOctets(key: KeyObject): Buffer {
  const { n, x } = key.export({ format: 'jwk' });
  return Buffer.from(n ?? x ?? '', 'base64url');
}
