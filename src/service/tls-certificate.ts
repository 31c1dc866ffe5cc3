/** The certificate of the HTTPS listener, issued by an embedded CA of our own account when the operator brings none. */
import { isIP } from 'node:net';
import { generatePrivateKey } from '../backends/ca/embedded-ca.ts';
import { listCertificateAuthorities } from '../backends/store/certificate-authorities.ts';
import type { Database } from '../backends/store/database.ts';
import {
  extKeyUsageExtension,
  generalName,
  KeyUsage,
  keyUsageExtension,
  parseIpAddress,
  subjectAltNameExtension,
} from '../base/pki/extensions.ts';
import { parseNameString } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { encodePem } from '../base/pki/pem.ts';
import { publicKeyOf } from '../base/pki/public-key.ts';
import { certificateAuthorityArn, type Home } from '../base/resources.ts';
import type { System } from '../base/system.ts';
import type { CertificateAuthorities } from './certificate-authorities.ts';
import type { Certificates } from './certificates.ts';
import { dayMs, validityUntil } from './validity.ts';

/** What Apple's devices still accept of a server certificate. */
const validityMs = 397 * dayMs;
const authoritiesLookedAtMax = 100;

interface TlsCertificateParts {
  database: Database;
  system: System;
  certificateAuthorities: CertificateAuthorities;
  certificates: Certificates;
}

/** The chain and the key in PEM, for these host names and addresses; undefined when the account has no CA that could issue it. */
export async function issueTlsCertificate(
  { database, system, certificateAuthorities, certificates }: TlsCertificateParts,
  home: Home,
  hosts: readonly string[],
): Promise<{ certificate: string; key: string } | undefined> {
  const authorities = await listCertificateAuthorities(database.query, { ...home, limit: authoritiesLookedAtMax });
  const active = authorities.find(({ status }) => status === 'ACTIVE');
  if (active === undefined) return undefined;
  const issuer = await certificateAuthorities.openAuthority(certificateAuthorityArn(home, active.ca_id));
  const key = await generatePrivateKey('EC_prime256v1');
  const now = system.now();
  const names = hosts.map(host => (isIP(host) ? generalName.ip(parseIpAddress(host)) : generalName.dns(host)));
  const subjectText = 'CN=Open Connector for SCEP';
  const issued = await certificates.issue({
    kind: 'TLS',
    issuer,
    subject: parseNameString(subjectText).der,
    subjectPublicKeyInfo: publicKeyOf(key).spki,
    extensions: [
      keyUsageExtension([KeyUsage.digitalSignature]),
      extKeyUsageExtension([Oid.serverAuth]),
      subjectAltNameExtension(names, false),
    ],
    ...validityUntil(now + validityMs, { now, issuerNotAfter: issuer.authority.certificates[0].notAfter }),
    subjectText,
    subjectAlternativeNames: hosts,
  });
  if (issued === undefined) throw new Error('the TLS certificate was not issued');
  const chain = [issued.certificate, ...issuer.authority.certificates.map(({ der }) => der)];
  return {
    certificate: chain.map(der => encodePem('CERTIFICATE', der)).join(''),
    key: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
}
