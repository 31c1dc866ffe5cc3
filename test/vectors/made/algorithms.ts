/** Algorithms: what every connector takes, what it answers with badAlg, and the keys that nothing can be encrypted to. */
import { sign } from 'node:crypto';
import {
  type ContentCipherName,
  contentCiphers,
  type DigestName,
  digests,
  encodeAlgorithmIdentifier,
} from '../../../src/base/pki/algorithms.ts';
import { type Draft, type Drafts, refused, success } from '../maker.ts';

const cipherText = (name: string) => `Unsupported algorithm: ${name}. Use AES-128-CBC or AES-256-CBC.`;
const des = cipherText('1.3.14.3.2.7 (DES-CBC)');
const tripleDes = cipherText('1.2.840.113549.3.7 (3DES-CBC)');
const sha1 = 'Unsupported algorithm: 1.3.14.3.2.26 (SHA-1). Use SHA-256.';

function taken(cipher: ContentCipherName, digest: DigestName): Draft {
  return {
    stands: `B1: ${cipher} and ${digest}`,
    ...success,
    make: maker => maker.request({ envelope: { cipher: contentCiphers[cipher] }, signing: { digest: digests[digest] } }),
  };
}

function refusedAlgorithms(stands: string, reason: string, cipher: ContentCipherName, digest: DigestName): Draft {
  return { ...taken(cipher, digest), ...refused('badAlg', reason), stands };
}

/** What the policy of the connector `legacy` allows, and what no policy can. */
function takenByLegacy(cipher: ContentCipherName, digest: DigestName): Draft {
  return { ...taken(cipher, digest), stands: `B2: ${cipher} and ${digest}, where the connector allows it`, connector: 'legacy' };
}

/** AES by another name. */
function cipherCalled(stands: string, oid: string): Draft {
  return {
    stands,
    ...refused('badAlg'),
    make: maker => maker.request({ envelope: { cipher: { ...contentCiphers['AES-128-CBC'], oid } } }),
  };
}

export const algorithms: Drafts = {
  'aes-128-sha256': taken('AES-128-CBC', 'SHA-256'),
  'aes-128-sha512': taken('AES-128-CBC', 'SHA-512'),
  'aes-192-sha384': taken('AES-192-CBC', 'SHA-384'),
  'aes-256-sha256': taken('AES-256-CBC', 'SHA-256'),
  'aes-256-sha512': taken('AES-256-CBC', 'SHA-512'),
  'signature-names-its-digest': {
    stands: 'sha256WithRSAEncryption as signatureAlgorithm',
    ...success,
    make: maker => maker.request({ signing: { signatureAlgorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.11') } }),
  },
  'des-sha256': refusedAlgorithms('B3: single DES', des, 'DES-CBC', 'SHA-256'),
  '3des-sha256': refusedAlgorithms('B2: triple DES, where the connector does not allow it', tripleDes, '3DES-CBC', 'SHA-256'),
  'aes-128-sha1': refusedAlgorithms('B2: SHA-1, where the connector does not allow it', sha1, 'AES-128-CBC', 'SHA-1'),
  'des-sha1': refusedAlgorithms('F.15: single DES and SHA-1, both named at once', `${des} ${sha1}`, 'DES-CBC', 'SHA-1'),
  '3des-sha1': refusedAlgorithms('F.15: triple DES and SHA-1, both named at once', `${tripleDes} ${sha1}`, '3DES-CBC', 'SHA-1'),
  md5: {
    stands: 'B3: MD5',
    ...refused('badAlg', 'Unsupported algorithm: 1.2.840.113549.2.5 (MD5). Use SHA-256.'),
    make: maker => maker.request({ signing: { digest: { ...digests['SHA-256'], oid: '1.2.840.113549.2.5' } } }),
  },
  'cipher-unknown': cipherCalled('B3: a cipher that nobody knows', '1.2.3.4'),
  'cipher-aes-gcm': cipherCalled('B3: AES-128-GCM', '2.16.840.1.101.3.4.1.6'),
  'cipher-rc2': cipherCalled('B3: RC2-CBC, OpenSSL’s old default', '1.2.840.113549.3.2'),
  'signature-unknown': {
    stands: 'B3: a signature algorithm that nobody knows',
    ...refused('badAlg'),
    make: maker => maker.request({ signing: { signatureAlgorithm: encodeAlgorithmIdentifier('1.2.3.4') } }),
  },
  'key-transport-unknown': {
    stands: 'B3: a key transport that nobody knows',
    ...refused('badAlg'),
    make: maker => {
      const whole = Buffer.from(maker.envelope(maker.csr()));
      // Of rsaEncryption's OID, the last arc, in the one RecipientInfo.
      const oid = Buffer.from('2a864886f70d010101', 'hex');
      whole[whole.indexOf(oid) + oid.length - 1] = 99;
      return maker.request({ eContent: whole });
    },
  },
  'legacy-des-sha1': takenByLegacy('DES-CBC', 'SHA-1'),
  'legacy-3des-sha1': takenByLegacy('3DES-CBC', 'SHA-1'),
  'legacy-3des-sha256': takenByLegacy('3DES-CBC', 'SHA-256'),
  'legacy-aes-sha1': takenByLegacy('AES-128-CBC', 'SHA-1'),
  'legacy-aes-sha256': takenByLegacy('AES-128-CBC', 'SHA-256'),
  'legacy-md5': {
    stands: 'F.22: MD5, which no policy allows',
    connector: 'legacy',
    ...refused('badAlg', 'Unsupported algorithm: 1.2.840.113549.2.5 (MD5). Use SHA-256.'),
    make: maker => maker.request({ signing: { digest: { ...digests['SHA-256'], oid: '1.2.840.113549.2.5' } } }),
  },
  'legacy-csr-sha1': {
    stands: 'B2: a CSR signed with SHA-1, where the connector allows it',
    connector: 'legacy',
    ...success,
    make: maker =>
      maker.request({
        csrParts: {
          signer: {
            algorithm: encodeAlgorithmIdentifier('1.2.840.113549.1.1.5'),
            sign: data => sign('sha1', data, maker.key('device')),
          },
        },
      }),
  },
};
