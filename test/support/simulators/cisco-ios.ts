/** Cisco IOS: a signer of another name than the subject's, every request twice, and no certificate whose names are not those that it asked for. */
import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { contentCiphers, createSigner, digests, encodeAlgorithmIdentifier, type Signer } from '../../../src/base/pki/algorithms.ts';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import { findExtension } from '../../../src/base/pki/extensions.ts';
import { parseNameString } from '../../../src/base/pki/name.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { publicKeyOf } from '../../../src/base/pki/public-key.ts';
import type { Certificate } from '../../../src/base/pki/x509.ts';
import type { CertRep } from '../raw-scep-client.ts';
import { createDevice, encodeCsr } from '../scep-messages.ts';
import { CiscoWire, csrAttributes } from './cisco-wire.ts';
import {
  alternativeNames,
  ClientComplaint,
  type Device,
  type EnrolmentRequest,
  keyOf,
  type RawExchange,
  requireRecipient,
} from './device.ts';
import { Transaction } from './transaction.ts';

/**
 * `legacy` knows single DES and the digests of its time, of which SHA-1 is the one that we have, and never asks for GetCACaps
 * (smallstep/certificates#2100); `modern` has AES and SHA-256, and still no POST (smallstep/certificates#916, #917). `legacy` enrols where a
 * connector allows what it knows.
 */
export type CiscoVariant = 'modern' | 'legacy';

const algorithms = {
  modern: { digest: digests['SHA-256'], cipher: contentCiphers['AES-128-CBC'] },
  legacy: { digest: digests['SHA-1'], cipher: contentCiphers['DES-CBC'] },
} as const;
const sha1WithRsa = '1.2.840.113549.1.1.5';

export class CiscoRouter implements Device {
  readonly #variant: CiscoVariant;
  readonly #wire = new CiscoWire();

  constructor(variant: CiscoVariant) {
    this.#variant = variant;
  }

  get exchanges(): readonly RawExchange[] {
    return this.#wire.exchanges;
  }

  async enrol(request: EnrolmentRequest): Promise<KeyPair> {
    const { subject } = request;
    // Cisco: the path that IOS asks for (smallstep/docs#364).
    const url = `${request.url}/pkiclient.exe`;
    const ca = requireRecipient(await this.#wire.getCaCert(`${url}?operation=GetCACert`));
    if (this.#variant === 'modern') await this.#wire.getCaCaps(`${url}?operation=GetCACaps`);
    const privateKey = await keyOf(request);
    const selfSigner = this.#signer(privateKey);
    const transaction = new Transaction({
      request,
      ca,
      // Cisco: the signer bears the router's name and serial number, not the subject that is asked for (openxpki/openxpki#360).
      signer: createDevice(privateKey, {
        subject: 'serialNumber=FTX1234567A+unstructuredName=router-7.example.com',
        signer: selfSigner,
      }),
      transactionID: randomBytes(16).toString('hex').toUpperCase(),
      ...algorithms[this.#variant],
      send: message => this.#wire.pkiOperation(url, message),
    });
    const sent = transaction.encode(
      'PKCSReq',
      encodeCsr({ subject, key: privateKey, signer: selfSigner, attributes: csrAttributes(request) }),
    );
    // Cisco: two requests per enrolment (micromdm/scep#211), which must come to one certificate.
    const answers = [await transaction.exchange(sent), await transaction.exchange(sent)];
    const certificates: Certificate[] = [];
    for (const answer of answers) {
      // Cisco: GetCertInitial (`enrollment retry count` and `period` of Cisco's PKI Configuration Guide).
      const certRep = await transaction.settle(answer, () => transaction.poll());
      certificates.push(this.#readRouterCertificate(certRep, privateKey, request));
    }
    const [certificate, second] = certificates;
    if (certificate === undefined || second === undefined || Buffer.compare(certificate.der, second.der) !== 0) {
      throw new ClientComplaint('the same request was answered with two certificates');
    }
    return { certificate, privateKey };
  }

  #signer(privateKey: KeyObject): Signer {
    if (this.#variant === 'modern') return createSigner(privateKey);
    return { algorithm: encodeAlgorithmIdentifier(sha1WithRsa), sign: data => sign('sha1', data, privateKey) };
  }

  #readRouterCertificate(certRep: CertRep, privateKey: KeyObject, request: EnrolmentRequest): Certificate {
    // Cisco: an RA that answers with a cipher it lacks (jscep/jscep#97).
    if (certRep.cipher !== algorithms[this.#variant].cipher.name) throw new ClientComplaint('E_ENCRYPT_ALG_NOT_SUPPORTED');
    const certificate = findRouterCertificate(certRep, privateKey, request);
    if (certificate === undefined) throw new ClientComplaint('can not find router cert in certrep');
    return certificate;
  }
}

/** Cisco: takes the certificate for its own only where subject and alternative names are those of the request (openxpki/openxpki#360, Keyfactor/ejbca-ce#40). */
function findRouterCertificate({ certificates }: CertRep, privateKey: KeyObject, request: EnrolmentRequest): Certificate | undefined {
  const publicKey = publicKeyOf(privateKey);
  const subject = parseNameString(request.subject).der;
  const [names] = alternativeNames(request.subjectAltNames ?? []);
  return certificates.find(
    certificate =>
      certificate.publicKey.equals(publicKey) &&
      Buffer.compare(certificate.subject.der, subject) === 0 &&
      Buffer.compare(
        findExtension(certificate.extensions, Oid.subjectAltName)?.value ?? Buffer.alloc(0),
        names?.value ?? Buffer.alloc(0),
      ) === 0,
  );
}
