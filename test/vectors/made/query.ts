/** CertPoll, GetCert and GetCRL: what a device may ask for, and that it is told nothing of others. */
import { integer, sequence } from '../../../src/base/pki/der.ts';
import { identity } from '../../support/vector-identities.ts';
import { type Drafts, refused, success, undecodable } from '../maker.ts';

const transactionID = 'to-be-asked-for';

/** IssuerAndSubject (RFC 8894 section 3.3.3). */
const issuerAndSubject = () => sequence(identity('ca').certificate.subject.der, identity('device').certificate.subject.der);

/** IssuerAndSerialNumber (RFC 5652 section 10.2.4) of a certificate of our CA. */
function issuerAndSerial(serialNumber: Uint8Array): Uint8Array {
  return sequence(identity('ca').certificate.subject.der, serialNumber);
}

export const query: Drafts = {
  enrolled: { stands: 'a transaction that will be asked for', ...success, make: maker => maker.request({ transactionID }) },
  'poll-enrolled': {
    stands: 'B41: CertPoll of a transaction that has its certificate',
    after: 'query/enrolled',
    ...success,
    make: maker => maker.request({ messageType: '20', transactionID, csr: issuerAndSubject() }),
  },
  'poll-unknown': {
    stands: 'negative test: CertPoll unknown txid',
    ...refused('badCertId'),
    make: maker => maker.request({ messageType: '20', csr: issuerAndSubject() }),
  },
  'poll-by-another': {
    stands: 'F.10: CertPoll for the transaction of another device',
    after: 'query/enrolled',
    ...refused('badCertId'),
    make: maker => maker.request({ messageType: '20', transactionID: transactionID, csr: issuerAndSubject(), signer: 'device-2' }),
  },
  'get-cert-unknown': {
    stands: 'B47: GetCert of a serial number that nobody has',
    ...refused('badCertId'),
    make: maker => maker.request({ messageType: '21', csr: issuerAndSerial(integer(Buffer.from('7fffffffffffffff', 'hex'))) }),
  },
  'get-cert-of-another': {
    stands: 'F.21: GetCert of a certificate that is not the signer’s',
    ...refused('badCertId'),
    make: maker => maker.request({ messageType: '21', csr: issuerAndSerial(identity('issued-other').certificate.serialNumberDer) }),
  },
  'get-crl-of-another-issuer': {
    stands: 'B47: GetCRL of an issuer that is not the connector’s',
    ...refused('badCertId'),
    make: maker => maker.request({ messageType: '22', csr: sequence(identity('device').certificate.subject.der, integer(1)) }),
  },
  'get-cert-own': {
    stands: 'B42: GetCert of the signer’s own certificate',
    ...success,
    make: maker =>
      maker.request({
        messageType: '21',
        signer: 'issued-default',
        csr: issuerAndSerial(identity('issued-default').certificate.serialNumberDer),
      }),
  },
  'get-cert-own-of-another-connector': {
    stands: 'F.21: GetCert of the signer’s own certificate, which another connector has issued',
    ...refused('badCertId'),
    make: maker =>
      maker.request({
        messageType: '21',
        signer: 'issued-other',
        csr: issuerAndSerial(identity('issued-other').certificate.serialNumberDer),
      }),
  },
  'get-cert-of-another-device': {
    stands: 'F.21: GetCert of a certificate of the same connector that another device holds',
    ...refused('badCertId'),
    make: maker => maker.request({ messageType: '21', csr: issuerAndSerial(identity('issued-default').certificate.serialNumberDer) }),
  },
  'get-cert-of-the-ra': {
    stands: 'F.21: GetCert of the RA’s certificate',
    ...refused('badCertId'),
    make: maker => maker.request({ messageType: '21', csr: issuerAndSerial(identity('ra-default').certificate.serialNumberDer) }),
  },
  'get-cert-of-a-csr': {
    stands: 'B21, F.2: GetCert around a CSR, answered as what names no certificate',
    ...refused('badCertId'),
    make: maker => maker.request({ messageType: '21' }),
  },
  'get-crl': {
    stands: 'B42: GetCRL of the connector’s authority',
    ...success,
    make: maker => maker.request({ messageType: '22', csr: issuerAndSerial(identity('issued-default').certificate.serialNumberDer) }),
  },
  'poll-of-a-csr': {
    stands: 'B45, F.2: CertPoll around a CSR, which is not opened',
    ...refused('badCertId'),
    make: maker => maker.request({ messageType: '20' }),
  },
  'pkcsReq-of-a-poll': {
    stands: 'B21: PKCSReq around what a CertPoll holds',
    ...undecodable,
    make: maker => maker.request({ csr: issuerAndSubject() }),
  },
};
