/** The object identifiers of PKIX, CMS, PKCS#10, SCEP and Microsoft's enrolment attributes that this project speaks. */

export const Oid = {
  // PKCS#9 attributes (RFC 2985) and CMS content types (RFC 5652)
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingTime: '1.2.840.113549.1.9.5',
  challengePassword: '1.2.840.113549.1.9.7',
  extensionRequest: '1.2.840.113549.1.9.14',

  // SCEP (RFC 8894 section 3.2.1)
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionID: '2.16.840.1.113733.1.9.7',
  failInfoText: '1.3.6.1.5.5.7.24.1',

  // Microsoft (MS-WCCE sections 2.2.2.7.10 and 2.2.2.7.7)
  enrollmentNameValuePair: '1.3.6.1.4.1.311.13.2.1',
  microsoftCertExtensions: '1.3.6.1.4.1.311.2.1.14',
  userPrincipalName: '1.3.6.1.4.1.311.20.2.3',
  // MS-WCCE section 2.2.2.7.7.4: szOID_NTDS_CA_SECURITY_EXT
  microsoftSecurityIdentifier: '1.3.6.1.4.1.311.25.2',

  // Extensions of certificates, CRLs and a CRL's entries (RFC 5280)
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  cRLNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',

  // Extended key purposes
  anyExtendedKeyUsage: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  emailProtection: '1.3.6.1.5.5.7.3.4',
  ipsecEndSystem: '1.3.6.1.5.5.7.3.5',
  ipsecTunnel: '1.3.6.1.5.5.7.3.6',
  ipsecUser: '1.3.6.1.5.5.7.3.7',
  timeStamping: '1.3.6.1.5.5.7.3.8',
  ocspSigning: '1.3.6.1.5.5.7.3.9',
  eapOverPpp: '1.3.6.1.5.5.7.3.13',
  eapOverLan: '1.3.6.1.5.5.7.3.14',
  ipsecIke: '1.3.6.1.5.5.7.3.17',
  ikeIntermediate: '1.3.6.1.5.5.8.2.2',
  smartCardLogon: '1.3.6.1.4.1.311.20.2.2',
  microsoftEncryptingFileSystem: '1.3.6.1.4.1.311.10.3.4',

  // Public keys, signatures and key transport
  rsaEncryption: '1.2.840.113549.1.1.1',
  rsaesOaep: '1.2.840.113549.1.1.7',
  mgf1: '1.2.840.113549.1.1.8',
  pSpecified: '1.2.840.113549.1.1.9',
  rsassaPss: '1.2.840.113549.1.1.10',
  ecPublicKey: '1.2.840.10045.2.1',
  prime256v1: '1.2.840.10045.3.1.7',
  secp384r1: '1.3.132.0.34',
  secp521r1: '1.3.132.0.35',
  mlDsa44: '2.16.840.1.101.3.4.3.17',
  mlDsa65: '2.16.840.1.101.3.4.3.18',
  mlDsa87: '2.16.840.1.101.3.4.3.19',

  // Attribute types of names (RFC 4519, RFC 2985)
  commonName: '2.5.4.3',

  // What an authority says of itself in a certificate (RFC 5280 sections 4.2.1.4, 4.2.1.13 and 4.2.2.1)
  crlDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  cpsQualifier: '1.3.6.1.5.5.7.2.1',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  ocspAccess: '1.3.6.1.5.5.7.48.1',
  caIssuersAccess: '1.3.6.1.5.5.7.48.2',

  // Extended key purposes that AWS Private CA has names for: Microsoft's document signing, RFC 6962's signing of precertificates
  documentSigning: '1.3.6.1.4.1.311.10.3.12',
  precertificateSigning: '1.3.6.1.4.1.11129.2.4.4',
} as const;
