/** Cisco ASA: a signer of another name than the subject's, and no certificate without that of its CA beside it. */
import { randomBytes } from 'node:crypto';
import { digests } from '../../../src/base/pki/algorithms.ts';
import type { KeyPair } from '../../../src/base/pki/enveloped-data.ts';
import { createDevice, encodeCsr } from '../scep-messages.ts';
import { CiscoWire, csrAttributes } from './cisco-wire.ts';
import {
  ClientComplaint,
  type Device,
  type EnrolmentRequest,
  keyOf,
  type RawExchange,
  readCertificate,
  requireRecipient,
} from './device.ts';
import { Transaction } from './transaction.ts';

/** Of its HTTP nothing else is known, so it is that of IOS; of its algorithms neither, so they are those of RFC 8894 section 2.9. */
export class CiscoFirewall implements Device {
  readonly #wire = new CiscoWire();

  get exchanges(): readonly RawExchange[] {
    return this.#wire.exchanges;
  }

  async enrol(request: EnrolmentRequest): Promise<KeyPair> {
    const { subject } = request;
    // Cisco: the path that IOS asks for (smallstep/docs#364).
    const url = `${request.url}/pkiclient.exe`;
    const ca = requireRecipient(await this.#wire.getCaCert(`${url}?operation=GetCACert`));
    const privateKey = await keyOf(request);
    const transaction = new Transaction({
      request,
      ca,
      // ASA: the self-signed certificate has another subject than the CSR (OpenXPKI's documentation of its enrolment workflow).
      signer: createDevice(privateKey, { subject: 'unstructuredName=asa-7.example.com' }),
      transactionID: randomBytes(16).toString('hex').toUpperCase(),
      digest: digests['SHA-256'],
      send: message => this.#wire.pkiOperation(url, message),
    });
    const first = await transaction.exchange(
      transaction.encode('PKCSReq', encodeCsr({ subject, key: privateKey, attributes: csrAttributes(request) })),
    );
    // ASA: GetCertInitial (`enrollment retry count` and `period` of Cisco's ASA command reference).
    const certRep = await transaction.settle(first, () => transaction.poll());
    const certificate = readCertificate(certRep, privateKey, subject);
    // ASA: wants its CA's certificate in the CertRep (EJBCA's documentation, of Cisco's VPN client).
    const brought = certRep.certificates.some(({ subject: { der } }) => Buffer.compare(der, certificate.issuer.der) === 0);
    if (!brought) throw new ClientComplaint('the CertRep brings no certificate of the CA');
    return { certificate, privateKey };
  }
}
