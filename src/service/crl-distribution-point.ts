/** Where the CRL of an authority is found, as its certificates say it. */

interface StoredConfiguration {
  CrlConfiguration?: { Enabled: boolean; CustomCname?: string; CrlDistributionPointExtensionConfiguration?: { OmitExtension: boolean } };
}

/**
 * The URL for cRLDistributionPoints; undefined when the authority has no CRL or does not want certificates to say so. A CustomCname stands for a
 * host that leads here. Plain HTTP, since a client would need the CRL of the HTTPS server's certificate first (RFC 5280 section 8).
 */
export function crlDistributionPoint(
  { ca_id: caId, revocation_configuration: configuration }: { ca_id: string; revocation_configuration: string | null },
  publicationUrl: string,
): string | undefined {
  const { CrlConfiguration: crl } = JSON.parse(configuration ?? '{}') as StoredConfiguration;
  if (!crl?.Enabled || crl.CrlDistributionPointExtensionConfiguration?.OmitExtension) return undefined;
  return `${crl.CustomCname === undefined ? publicationUrl : `http://${crl.CustomCname}`}/crl/${caId}.crl`;
}
