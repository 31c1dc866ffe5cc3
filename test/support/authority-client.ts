/** A certificate authority made as an administrator makes one: with AWS's own ACMPCA client, from CreateCertificateAuthority to ACTIVE. */
import type ACMPCA from 'aws-sdk/clients/acmpca.js';

export interface AuthorityWish {
  KeyAlgorithm: string;
  SigningAlgorithm: string;
  CommonName: string;
  /** Absent: a root. */
  issuerArn?: string;
  years?: number;
  RevocationConfiguration?: ACMPCA.RevocationConfiguration;
}

export const smallRoot: AuthorityWish = { KeyAlgorithm: 'EC_prime256v1', SigningAlgorithm: 'SHA256WITHECDSA', CommonName: 'Small Root' };

/** AWS's waiters pause for seconds between their looks. */
const $waiter = { delay: 0.02, maxAttempts: 1000 };

export async function createActiveAuthority(client: ACMPCA, wish: AuthorityWish): Promise<string> {
  const { KeyAlgorithm, SigningAlgorithm, CommonName, issuerArn, years = 5, RevocationConfiguration } = wish;
  const { CertificateAuthorityArn = '' } = await client
    .createCertificateAuthority({
      CertificateAuthorityConfiguration: { KeyAlgorithm, SigningAlgorithm, Subject: { CommonName } },
      CertificateAuthorityType: issuerArn === undefined ? 'ROOT' : 'SUBORDINATE',
      ...(RevocationConfiguration && { RevocationConfiguration }),
    })
    .promise();
  await client.waitFor('certificateAuthorityCSRCreated', { CertificateAuthorityArn, $waiter }).promise();
  await certifyAuthority(client, CertificateAuthorityArn, { SigningAlgorithm, issuerArn, Validity: { Type: 'YEARS', Value: years } });
  return CertificateAuthorityArn;
}

/** Gives the authority its first certificate, or another one, and returns it as PEM. */
export async function certifyAuthority(
  client: ACMPCA,
  CertificateAuthorityArn: string,
  { SigningAlgorithm, issuerArn, Validity }: { SigningAlgorithm: string; issuerArn?: string | undefined; Validity: ACMPCA.Validity },
): Promise<string> {
  const { Csr = '' } = await client.getCertificateAuthorityCsr({ CertificateAuthorityArn }).promise();
  const template = issuerArn === undefined ? 'RootCACertificate' : 'SubordinateCACertificate_PathLen0';
  const issuer = { CertificateAuthorityArn: issuerArn ?? CertificateAuthorityArn };
  const TemplateArn = `arn:aws:acm-pca:::template/${template}/V1`;
  const { CertificateArn = '' } = await client.issueCertificate({ ...issuer, Csr, SigningAlgorithm, TemplateArn, Validity }).promise();
  const issued = await client.waitFor('certificateIssued', { ...issuer, CertificateArn, $waiter }).promise();
  const { Certificate = '', CertificateChain } = issued;
  await client
    .importCertificateAuthorityCertificate({ CertificateAuthorityArn, Certificate, ...(CertificateChain && { CertificateChain }) })
    .promise();
  return Certificate;
}
