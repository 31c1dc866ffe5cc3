/** Certificate revocation lists (RFC 5280 section 5): complete lists of version 2, built from a template and signed. */
import { type RevocationReason, revocationReasons } from '../private-ca.ts';
import type { Signer } from './algorithms.ts';
import { bitString, contextConstructed, integer, sequence, time, tlv } from './der.ts';
import { authorityKeyIdentifierExtension, encodeExtensions } from './extensions.ts';
import { Oid } from './oids.ts';

/** AWS Private CA's quota of revoked certificates in a complete CRL; such a list has about 45 MB. */
export const certificateListLimits = { entriesMax: 1_000_000 } as const;

export interface RevokedCertificate {
  /** Hexadecimal, positive. */
  serialNumber: string;
  revokedAt: number;
  reason?: RevocationReason;
}

export interface CertificateListTemplate {
  /** DER of the Name. */
  issuer: Uint8Array;
  /** The issuer's subjectKeyIdentifier. */
  authorityKeyIdentifier: Uint8Array;
  /** Grows with every list of the same issuer. */
  cRLNumber: number;
  thisUpdate: number;
  nextUpdate: number;
  revokedCertificates: readonly RevokedCertificate[];
}

/** A signed CertificateList, DER. Throws RangeError when there are more entries than the limit. */
export function createCertificateList(template: CertificateListTemplate, signer: Signer): Uint8Array {
  const tbsCertList = sequence(
    integer(1),
    signer.algorithm,
    template.issuer,
    time(template.thisUpdate),
    time(template.nextUpdate),
    encodeRevokedCertificates(template.revokedCertificates),
    contextConstructed(
      0,
      encodeExtensions([
        authorityKeyIdentifierExtension(template.authorityKeyIdentifier),
        { oid: Oid.cRLNumber, critical: false, value: integer(template.cRLNumber) },
      ]),
    ),
  );
  return sequence(tbsCertList, signer.algorithm, bitString(signer.sign(tbsCertList)));
}

/** Absent when nothing is revoked (RFC 5280 section 5.1.2.6). */
function encodeRevokedCertificates(revoked: readonly RevokedCertificate[]): Uint8Array {
  if (revoked.length > certificateListLimits.entriesMax) throw new RangeError(`a CRL of ${revoked.length} entries`);
  if (revoked.length === 0) return Buffer.alloc(0);
  // One argument: a call takes no hundred thousand of them.
  return sequence(Buffer.concat(revoked.map(encodeRevokedCertificate)));
}

function encodeRevokedCertificate({ serialNumber, revokedAt, reason = 'UNSPECIFIED' }: RevokedCertificate): Uint8Array {
  return sequence(integer(Buffer.from(serialNumber, 'hex')), time(revokedAt), entryExtensions[reason]);
}

const enumeratedTag = 0x0a;

/** crlEntryExtensions by reason. RFC 5280 section 5.3.1: "unspecified" is said by saying nothing. */
const entryExtensions = Object.fromEntries(
  Object.entries(revocationReasons).map(([reason, number]) => {
    const extension = { oid: Oid.reasonCode, critical: false, value: tlv(enumeratedTag, Buffer.of(number)) };
    return [reason, number === 0 ? Buffer.alloc(0) : encodeExtensions([extension])];
  }),
) as Record<RevocationReason, Uint8Array>;
