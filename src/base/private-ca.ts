/** The vocabulary of AWS Private CA (acm-pca, 2017-08-22): key and signing algorithms, statuses and revocation reasons in its own spelling. */

export const keyAlgorithms = [
  'RSA_2048',
  'RSA_3072',
  'RSA_4096',
  'EC_prime256v1',
  'EC_secp384r1',
  'EC_secp521r1',
  'ML_DSA_44',
  'ML_DSA_65',
  'ML_DSA_87',
] as const;
export type KeyAlgorithm = (typeof keyAlgorithms)[number];

export const signingAlgorithms = [
  'SHA256WITHRSA',
  'SHA384WITHRSA',
  'SHA512WITHRSA',
  'SHA256WITHRSA_PSS',
  'SHA384WITHRSA_PSS',
  'SHA512WITHRSA_PSS',
  'SHA256WITHECDSA',
  'SHA384WITHECDSA',
  'SHA512WITHECDSA',
  'ML_DSA_44',
  'ML_DSA_65',
  'ML_DSA_87',
] as const;
export type SigningAlgorithm = (typeof signingAlgorithms)[number];

export type CertificateAuthorityType = 'ROOT' | 'SUBORDINATE';
export type UsageMode = 'GENERAL_PURPOSE' | 'SHORT_LIVED_CERTIFICATE';
export type CertificateAuthorityStatus = 'CREATING' | 'PENDING_CERTIFICATE' | 'ACTIVE' | 'DISABLED' | 'EXPIRED' | 'FAILED' | 'DELETED';

/** With the number that RFC 5280 section 5.3.1 gives each in a CRL; certificateHold and removeFromCRL are not AWS's. */
export const revocationReasons = {
  UNSPECIFIED: 0,
  KEY_COMPROMISE: 1,
  CERTIFICATE_AUTHORITY_COMPROMISE: 2,
  AFFILIATION_CHANGED: 3,
  SUPERSEDED: 4,
  CESSATION_OF_OPERATION: 5,
  PRIVILEGE_WITHDRAWN: 9,
  A_A_COMPROMISE: 10,
} as const;
export type RevocationReason = keyof typeof revocationReasons;

const templatePrefix = 'arn:aws:acm-pca:::template/';

/** All templates are version 1. */
export function templateArn(name: string): string {
  return `${templatePrefix}${name}/V1`;
}

/** What IssueCertificate goes by without a TemplateArn, and so what IAM's acm-pca:TemplateArn is then. */
export const defaultTemplateArn = templateArn('EndEntityCertificate');

/** The service principal behind connectors, and the template that it issues by: what its RAM permission allows. */
export const connectorService = 'pca-connector-scep.amazonaws.com';
export const connectorTemplateArn = templateArn('BlankEndEntityCertificate_APICSRPassthrough');

/** Whether an authority with such a key can sign with such an algorithm: AWS wants the families to match. */
export function isSigningAlgorithmOf(signing: SigningAlgorithm, key: KeyAlgorithm): boolean {
  if (key.startsWith('RSA')) return signing.includes('WITHRSA');
  return key.startsWith('EC') ? signing.endsWith('WITHECDSA') : signing === key;
}
