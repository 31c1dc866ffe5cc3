/** The extensions by which an authority says under what policy it issues and where its status is found (RFC 5280 sections 4.2.1.4, 4.2.1.13, 4.2.2.1). */
import { contextConstructed, ia5String, objectIdentifier, sequence } from './der.ts';
import { type Extension, generalName } from './extensions.ts';
import { Oid } from './oids.ts';

export interface CertificatePolicy {
  oid: string;
  /** Where the certification practice statement is published: printable ASCII. */
  cpsUris: readonly string[];
}

export function certificatePoliciesExtension(policies: readonly CertificatePolicy[]): Extension {
  return { oid: Oid.certificatePolicies, critical: false, value: sequence(...policies.map(policyInformation)) };
}

/** Without qualifiers the second SEQUENCE is left out: it is SIZE (1..MAX). */
function policyInformation({ oid, cpsUris }: CertificatePolicy): Uint8Array {
  const qualifiers = cpsUris.map(uri => sequence(objectIdentifier(Oid.cpsQualifier), ia5String(uri)));
  return qualifiers.length === 0 ? sequence(objectIdentifier(oid)) : sequence(objectIdentifier(oid), sequence(...qualifiers));
}

/** One distribution point with one name: the whole CRL at this URL. */
export function crlDistributionPointsExtension(url: string): Extension {
  const fullName = contextConstructed(0, generalName.uri(url).der);
  return { oid: Oid.crlDistributionPoints, critical: false, value: sequence(sequence(contextConstructed(0, fullName))) };
}

/** Nothing when the authority has neither. */
export function authorityInfoAccessExtensions(urls: { ocspUrl?: string | undefined; caIssuersUrl?: string | undefined }): Extension[] {
  const descriptions = [...accessDescription(Oid.ocspAccess, urls.ocspUrl), ...accessDescription(Oid.caIssuersAccess, urls.caIssuersUrl)];
  return descriptions.length === 0 ? [] : [{ oid: Oid.authorityInfoAccess, critical: false, value: sequence(...descriptions) }];
}

function accessDescription(method: string, url: string | undefined): Uint8Array[] {
  return url === undefined ? [] : [sequence(objectIdentifier(method), generalName.uri(url).der)];
}
