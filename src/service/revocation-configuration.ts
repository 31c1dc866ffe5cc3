/** AWS's RevocationConfiguration: held against its rules and against what this product does, stored, and shown again. */
import { invalidArgs } from '../base/errors.ts';

interface CrlConfiguration {
  Enabled: boolean;
  ExpirationInDays?: number;
  CustomCname?: string;
  /** Shown again and not used: the server itself publishes the CRLs. */
  S3BucketName?: string;
  S3ObjectAcl?: string;
  CrlDistributionPointExtensionConfiguration?: { OmitExtension: boolean };
  CrlType?: string;
  CustomPath?: string;
}

interface OcspConfiguration {
  Enabled: boolean;
  OcspCustomCname?: string;
}

export interface RevocationConfiguration {
  CrlConfiguration?: CrlConfiguration;
  OcspConfiguration?: OcspConfiguration;
}

/** Throws InvalidArgsException. */
export function checkRevocationConfiguration({ CrlConfiguration, OcspConfiguration }: RevocationConfiguration): void {
  if (CrlConfiguration !== undefined) checkCrlConfiguration(CrlConfiguration);
  if (OcspConfiguration === undefined) return;
  if (OcspConfiguration.Enabled) throw invalidArgs('OCSP is not in this version. Use a CRL: CrlConfiguration with Enabled true.');
  checkOnlyEnabled(OcspConfiguration, 'OcspConfiguration');
}

function checkCrlConfiguration(crl: CrlConfiguration): void {
  if (!crl.Enabled) return checkOnlyEnabled(crl, 'CrlConfiguration');
  if (crl.ExpirationInDays === undefined) throw invalidArgs('An enabled CrlConfiguration needs ExpirationInDays.');
  if (crl.CrlType === 'PARTITIONED') throw invalidArgs('Partitioned CRLs are not supported here. Use CrlType COMPLETE.');
  if (crl.CustomPath !== undefined) throw invalidArgs('CustomPath is not supported here: CRLs are published at /crl/.');
  if (crl.CustomCname !== undefined && /^[a-z][a-z\d+.-]*:\/\//i.test(crl.CustomCname)) {
    throw invalidArgs('CustomCname must not include a protocol prefix such as "http://".');
  }
  if (crl.CrlDistributionPointExtensionConfiguration?.OmitExtension && crl.CustomCname !== undefined) {
    throw invalidArgs('OmitExtension cannot be used with CustomCname: there would be no extension to hold it.');
  }
}

/** AWS: "A configuration disabling CRLs or OCSP must contain only the Enabled=False parameter". */
function checkOnlyEnabled(configuration: object, name: string): void {
  const other = Object.keys(configuration).find(member => member !== 'Enabled');
  if (other !== undefined) throw invalidArgs(`A ${name} that is not enabled must have Enabled alone, not ${other}.`);
}

/** What an authority has now with `change`: a member that is absent stays as it was. Null when nothing was ever given. */
export function mergeRevocationConfiguration(stored: string | null, change: RevocationConfiguration | undefined): string | null {
  if (change === undefined) return stored;
  return JSON.stringify({ ...(JSON.parse(stored ?? '{}') as RevocationConfiguration), ...change });
}

/** Both members, as AWS shows them. */
export function describeRevocationConfiguration(stored: string | null): Required<RevocationConfiguration> {
  const given = JSON.parse(stored ?? '{}') as RevocationConfiguration;
  return { CrlConfiguration: { Enabled: false }, OcspConfiguration: { Enabled: false }, ...given };
}
