/** Who may enrol: whoever holds a challenge of the connector, whomever Intune vouches for, or, where the policy says so, who renews a certificate of the connector's. */
import { findCertificate, findCertificateByFingerprint } from '../backends/store/certificates.ts';
import { listChallengeMacs } from '../backends/store/challenges.ts';
import type { CertificateRow, Database, Query } from '../backends/store/database.ts';
import { claimDynamicChallenge, releaseDynamicChallenge } from '../backends/store/dynamic-challenges.ts';
import { countRenewals, takeLapsedClaims } from '../backends/store/transactions.ts';
import { digests, resolveSignatureAlgorithm, unsupportedAlgorithm } from '../base/pki/algorithms.ts';
import { findExtension, parseExtKeyUsage, parseSubjectAltName } from '../base/pki/extensions.ts';
import { namesEqual } from '../base/pki/name.ts';
import { Oid } from '../base/pki/oids.ts';
import { verifyCertificationRequest } from '../base/pki/pkcs10.ts';
import { type Certificate, fingerprint } from '../base/pki/x509.ts';
import { type Failure, failure, failureOf } from '../base/scep.ts';
import type { System } from '../base/system.ts';
import { issuedExtKeyUsage, requestedSubjectAltName } from './certificate-profile.ts';
import type { Challenges } from './challenges.ts';
import { checkBounds, type DynamicChallenges } from './dynamic-challenges.ts';
import type { FailureLimits } from './failure-limits.ts';
import type { IntuneAccess } from './intune-access.ts';
import type { EnrolmentEndpoint, EnrolmentRequest, IntuneConnector } from './scep-requests.ts';
import { dayMs } from './validity.ts';

export const authorisationLimits = {
  /** How far a device's clock may be ahead of ours before the certificate it has just made for itself counts as expired. */
  signerClockSkewMs: 15 * 60_000,
  /** By one certificate, whose device may lose a few answers. */
  renewalsPerCertificateMax: 10,
} as const;

export type Authorisation =
  | { by: 'challenge'; challengeId: string }
  | { by: 'dynamicChallenge'; dynamicChallengeId: string }
  | { by: 'renewal'; certificateId: string; serialNumber: string }
  | { by: 'intune'; activityId: string };

const signerExpired = failure('badMessageCheck', 'The certificate included in the request is expired.', { code: 'signerExpired' });
const renewedTooOften = `The certificate was renewed ${authorisationLimits.renewalsPerCertificateMax} times already`;
const invalidChallenge = refuseChallenge('is invalid');

function refuseChallenge(what: string): Failure {
  return failure('badRequest', `The challenge password ${what}.`, { code: 'challengeInvalid' });
}

interface AuthorisationsParts {
  database: Database;
  system: System;
  challenges: Challenges;
  dynamicChallenges: DynamicChallenges;
  failureLimits: FailureLimits;
  intune: IntuneAccess;
}

export class Authorisations {
  readonly #parts: AuthorisationsParts;

  constructor(parts: AuthorisationsParts) {
    this.#parts = parts;
  }

  /**
   * Proof of possession first: a guess at the password costs the guesser a key and a signature. Then the certificate being renewed, if there is one
   * and the policy renews, and else the challenge; whether a use of it is left, `claim` says. Throws PkiError, ThrottlingException when the source has
   * guessed too often, and MicrosoftError when Intune has not said.
   */
  async authorise(endpoint: EnrolmentEndpoint, request: EnrolmentRequest): Promise<Authorisation | Failure> {
    const issued = await this.#findIssued(endpoint, request.signer);
    const refusal = this.#checkSigner(request, issued) ?? checkProofOfPossession(endpoint, request);
    if (refusal !== undefined) return refusal;
    const renewal = issued && endpoint.renews ? await this.#checkRenewal(endpoint, request, issued) : undefined;
    if (renewal !== undefined && !('pkiStatus' in renewal)) return renewal;
    // Apple devices renew with the challenge of their profile, whatever the signer is.
    if (renewal !== undefined && request.csr.challengePasswords.length === 0) return renewal;
    return this.#checkChallenge(endpoint, request);
  }

  /** Takes what the authorisation is good for, within the transaction that records what it is for. False when it is not good any more. */
  async claim(query: Query, endpoint: EnrolmentEndpoint, authorisation: Authorisation): Promise<boolean> {
    switch (authorisation.by) {
      case 'challenge': {
        const challenges = await listChallengeMacs(query, endpoint.connectorId);
        return challenges.some(({ challenge_id }) => challenge_id === authorisation.challengeId);
      }
      case 'dynamicChallenge': {
        const { dynamicChallengeId } = authorisation;
        const now = this.#parts.system.now();
        const lapsedBefore = now - endpoint.policy.Approval.ExpiresInDays * dayMs;
        const lapsed = await takeLapsedClaims(query, { dynamicChallengeId, lapsedBefore });
        if (lapsed > 0) await releaseDynamicChallenge(query, dynamicChallengeId, lapsed);
        return claimDynamicChallenge(query, dynamicChallengeId, now);
      }
      case 'renewal': {
        const renewed = await findCertificate(query, authorisation.certificateId);
        return renewed?.status === 'ISSUED' && (await isRenewalLeft(query, authorisation.certificateId));
      }
      case 'intune':
        return true;
      default:
        return authorisation satisfies never;
    }
  }

  /** What to say when `claim` came too late. */
  refusalOf({ by }: Authorisation): Failure {
    switch (by) {
      case 'challenge':
        return invalidChallenge;
      case 'dynamicChallenge':
        return refuseChallenge('was used as often as it may be');
      case 'renewal':
        return failure('badRequest', `${renewedTooOften}, or has just been revoked.`);
      case 'intune':
        throw new Error('what Intune has validated was not claimed');
      default:
        return by satisfies never;
    }
  }

  /** The signer's certificate among those that this very connector issued to devices, by its whole hash: a look-alike is another one. */
  async #findIssued({ connectorId }: EnrolmentEndpoint, signer: Certificate): Promise<CertificateRow | undefined> {
    const row = await findCertificateByFingerprint(this.#parts.database.query, fingerprint(signer.der));
    return row?.connector_id === connectorId && row.kind === 'DEVICE' ? row : undefined;
  }

  /**
   * A signer's own certificate proves nothing, so its key must be the CSR's: else the answer goes to whoever signed. Keys are compared, not names,
   * which Cisco, pfSense and sscep let differ. A certificate of this connector may sign for a new key, as certmonger's rekey does.
   */
  #checkSigner({ signer, csr }: EnrolmentRequest, issued: CertificateRow | undefined): Failure | undefined {
    if (signer.notAfter + authorisationLimits.signerClockSkewMs < this.#parts.system.now()) {
      return signerExpired;
    }
    if (issued?.status === 'REVOKED') return failure('badMessageCheck', 'The certificate that signs the request is revoked.');
    if (issued?.status === 'ISSUED' || signer.publicKey.equals(csr.publicKey)) return undefined;
    return failure('badMessageCheck', 'The request is not signed with the key that the certificate signing request is for.');
  }

  /**
   * RFC 8894 sections 2.5 and 7.9: no name and no purpose that the old certificate does not have, by SHA-2 alone. Revocation was checked, and expiry but
   * for the tolerance, which is for clocks of devices: this certificate's end was set by ours.
   */
  async #checkRenewal(
    { policy }: EnrolmentEndpoint,
    { signer, csr, digest }: EnrolmentRequest,
    issued: CertificateRow,
  ): Promise<Authorisation | Failure> {
    const now = this.#parts.system.now();
    if (signer.notAfter < now) return signerExpired;
    const { digest: csrDigest } = resolveSignatureAlgorithm(csr.signatureAlgorithm);
    if (digest === 'SHA-1' || csrDigest === 'SHA-1') return failureOf(unsupportedAlgorithm(digests['SHA-1'].oid, 'SHA-256 to renew'));
    const opensAt = signer.notAfter - ((signer.notAfter - signer.notBefore) * policy.Renewal.WindowPercent) / 100;
    if (now < opensAt) {
      return failure('badRequest', `The certificate can be renewed from ${new Date(opensAt).toISOString().slice(0, 19)}Z on, not before.`);
    }
    if (!namesEqual(csr.subject, signer.subject)) {
      return failure('badRequest', 'The subject of the CSR is not that of the certificate being renewed.');
    }
    const surplus = findSurplusName(csr, signer);
    if (surplus !== undefined) return failure('badRequest', `The certificate being renewed does not have the subjectAltName ${surplus}.`);
    const purposes = extKeyUsageOf(signer);
    const gained = issuedExtKeyUsage(csr).find(purpose => !purposes.includes(purpose));
    if (gained !== undefined) return failure('badRequest', `The certificate being renewed does not have the purpose ${gained}.`);
    if (policy.SecurityIdentifier === 'KEEP' && gainsSecurityIdentifier(csr, signer)) {
      return failure('badRequest', 'The certificate being renewed does not have the security identifier that the CSR asks for.');
    }
    if (!(await isRenewalLeft(this.#parts.database.query, issued.certificate_id))) return failure('badRequest', `${renewedTooOften}.`);
    return { by: 'renewal', certificateId: issued.certificate_id, serialNumber: issued.serial_number };
  }

  async #checkChallenge(endpoint: EnrolmentEndpoint, request: EnrolmentRequest): Promise<Authorisation | Failure> {
    const { challenges, dynamicChallenges, failureLimits } = this.#parts;
    const { connectorId } = endpoint;
    const { csr, source } = request;
    const [password, second] = csr.challengePasswords;
    if (password === undefined || second !== undefined) {
      const reason = 'Exactly one challenge password is required in the certificate signing request.';
      return failure('badRequest', reason, { code: 'challengeCount' });
    }
    if (endpoint.intune) return this.#askIntune(endpoint.intune, request);
    failureLimits.check('challenge', connectorId, source);
    // Both are always looked for, so that the time does not tell which kind a candidate is near to.
    const [challengeId, dynamic] = await Promise.all([
      challenges.verifyChallengePassword(connectorId, password),
      dynamicChallenges.findChallenge(connectorId, password),
    ]);
    const isKnown = challengeId !== undefined || dynamic !== undefined;
    failureLimits.settle('challenge', connectorId, source, { failed: !isKnown });
    if (challengeId !== undefined) return { by: 'challenge', challengeId };
    if (dynamic === undefined) return invalidChallenge;
    // Whoever knows the password may know what became of it.
    if (dynamic.expires_at <= this.#parts.system.now()) return refuseChallenge('has expired');
    return (
      checkBounds(dynamic.bounds, csr, issuedExtKeyUsage(csr)) ?? {
        by: 'dynamicChallenge',
        dynamicChallengeId: dynamic.dynamic_challenge_id,
      }
    );
  }

  /** Its challenges are sealed for Intune alone. */
  async #askIntune(connector: IntuneConnector, request: EnrolmentRequest): Promise<Authorisation | Failure> {
    const verdict = await this.#parts.intune.validate(connector, request);
    return 'pkiStatus' in verdict ? verdict : { by: 'intune', ...verdict };
  }
}

/** The CSR is signed with the key that it is for (RFC 8894 section 7.6), by an algorithm that is not refused. Throws PkiError. */
function checkProofOfPossession({ algorithms }: EnrolmentEndpoint, { csr }: EnrolmentRequest): Failure | undefined {
  const { digest } = resolveSignatureAlgorithm(csr.signatureAlgorithm);
  if (digest !== undefined && !algorithms.digests.has(digest))
    throw unsupportedAlgorithm(digests[digest].oid, 'SHA-256 to sign the certificate signing request');
  return verifyCertificationRequest(csr)
    ? undefined
    : failure('badMessageCheck', 'The signature of the certificate signing request does not hold.');
}

async function isRenewalLeft(query: Query, certificateId: string): Promise<boolean> {
  return (await countRenewals(query, certificateId)) < authorisationLimits.renewalsPerCertificateMax;
}

/** An alternative name of the CSR that the certificate does not have. */
function findSurplusName(csr: EnrolmentRequest['csr'], certificate: Certificate): string | undefined {
  const extension = findExtension(certificate.extensions, Oid.subjectAltName);
  const known = extension === undefined ? [] : parseSubjectAltName(extension);
  const surplus = requestedSubjectAltName(csr).find(name => !known.some(({ der }) => Buffer.compare(der, name.der) === 0));
  return surplus && `${surplus.type}:${surplus.value}`;
}

function extKeyUsageOf({ extensions }: Certificate): string[] {
  const extension = findExtension(extensions, Oid.extKeyUsage);
  return extension === undefined ? [] : parseExtKeyUsage(extension);
}

/** It names an account of Active Directory, and so is a name like the others. */
function gainsSecurityIdentifier(csr: EnrolmentRequest['csr'], { extensions }: Certificate): boolean {
  const wanted = findExtension(csr.extensions, Oid.microsoftSecurityIdentifier);
  const known = findExtension(extensions, Oid.microsoftSecurityIdentifier);
  return wanted !== undefined && (known === undefined || Buffer.compare(wanted.value, known.value) !== 0);
}
