/** What Intune says to a CSR: its challenge opened, and the CSR held against what Intune has put into it. The order is ours, as Intune's is not documented. */
import { findExtension, parseExtKeyUsage, parseKeyUsage, parseSubjectAltName } from '../../../src/base/pki/extensions.ts';
import { formatName } from '../../../src/base/pki/name.ts';
import { Oid } from '../../../src/base/pki/oids.ts';
import { type CertificationRequest, parseCertificationRequest, verifyCertificationRequest } from '../../../src/base/pki/pkcs10.ts';
import { type ChallengePayload, type Expectations, openChallenge } from './challenge.ts';
import type { Challenge, Tenant } from './directory.ts';

export const challengeLifeMs = 60 * 60_000;

export interface Verdict {
  code: string;
  description: string;
  challenge?: Challenge;
}

export function judgeCsr(tenant: Tenant, certificateRequest: string, now: number): Verdict {
  const no = (code: string, description = ''): Verdict => ({ code, description });
  let csr: CertificationRequest;
  try {
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(certificateRequest)) return no('CertificateRequestDecodingFailed');
    csr = parseCertificationRequest(Buffer.from(certificateRequest, 'base64'));
  } catch {
    return no('CertificateRequestDecodingFailed');
  }
  if (!verifyCertificationRequest(csr)) return no('SignatureValidationFailed', 'The CSR is not signed with its key.');
  const [password] = csr.challengePasswords;
  if (password === undefined || password === '') return no('ChallengePasswordMissing');
  const payload = openChallenge(tenant.challengeKey, password);
  if (typeof payload === 'string') return no(payload);
  return judgePayload(tenant, csr, payload, now);
}

function judgePayload(tenant: Tenant, csr: CertificationRequest, payload: ChallengePayload, now: number): Verdict {
  const no = (code: string, description = ''): Verdict => ({ code, description });
  if (payload.tid !== tenant.id) {
    return no('BadTenantIdInChallenge', 'The tenantId in challenge does not match tenantId from security token.');
  }
  const challenge = tenant.challenges.get(payload.certRequestId);
  if (challenge === undefined) return no('BadCertificateRequestIdInChallenge');
  if (payload.deviceId !== challenge.device.id) return no('BadDeviceIdInChallenge');
  if (payload.userId !== challenge.device.userId) return no('BadUserIdInChallenge');
  const createdAt = Date.parse(payload.createdAt);
  if (Number.isNaN(createdAt) || createdAt > now) return no('ChallengeInvalidTimestamp');
  if (now > createdAt + challengeLifeMs) {
    const times = `challengeExpiration=${shownTime(createdAt + challengeLifeMs)}, challengeCreation=${shownTime(createdAt)}`;
    return no('ChallengeExpired', `SCEP challenge has expired.SCEP Challenge has expired. challengeExpInterval=60, ${times}`);
  }
  if (!challenge.profile.targets.has(challenge.device)) return no('ScepProfileNoLongerTargetedToTheClient');
  const problem = compare(csr, payload.expectations) ?? compareKey(csr, challenge);
  return problem === undefined ? { code: 'Success', description: '', challenge } : { ...no(problem), challenge };
}

/** 10/21/2024 09:55:33 */
function shownTime(at: number): string {
  const [date = '', time = ''] = new Date(at).toISOString().split('T');
  const [year, month, day] = date.split('-');
  return `${month}/${day}/${year} ${time.slice(0, 8)}`;
}

/** To the letter; extensions that Intune knows nothing of, among them the SID, it does not look at. */
function compare(csr: CertificationRequest, expected: Expectations): string | undefined {
  const subject = formatName(csr.subject);
  if (expected.subject !== '' && subject === '') return 'SubjectNameMissing';
  if (subject !== expected.subject) return 'SubjectNameMismatch';
  const wanted = expected.subjectAltNames ?? [];
  const extension = findExtension(csr.extensions, Oid.subjectAltName);
  const names = extension === undefined ? [] : parseSubjectAltName(extension).map(({ type, value }) => `${type}:${value}`);
  if (wanted.length > 0 && names.length === 0) return 'SubjectAltNameMissing';
  if (!sameMembers(names, wanted)) return 'SubjectAltNameMismatch';
  const keyUsage = findExtension(csr.extensions, Oid.keyUsage);
  if (expected.keyUsage && !sameMembers([...(keyUsage ? parseKeyUsage(keyUsage) : [])], expected.keyUsage)) return 'KeyUsageMismatch';
  if (expected.keyBits !== undefined && csr.publicKey.bits !== expected.keyBits) return 'KeyLengthMismatch';
  const extKeyUsage = findExtension(csr.extensions, Oid.extKeyUsage);
  const purposes = extKeyUsage ? parseExtKeyUsage(extKeyUsage) : [];
  if (expected.extKeyUsage && purposes.length === 0) return 'EnhancedKeyUsageMissing';
  if (expected.extKeyUsage && !sameMembers(purposes, expected.extKeyUsage)) return 'EnhancedKeyUsageMismatch';
  return undefined;
}

function sameMembers<Item>(found: readonly Item[], expected: readonly Item[]): boolean {
  return found.length === expected.length && expected.every(item => found.includes(item));
}

/** A device whose key Intune knows has registered it with Entra ID. */
function compareKey(csr: CertificationRequest, { device }: Challenge): string | undefined {
  if (device.keyIdentifiers === undefined) return undefined;
  if (device.keyIdentifiers.length === 0) return 'AadKeyIdentifierListMissing';
  return device.keyIdentifiers.includes(Buffer.from(csr.publicKey.spki).toString('base64')) ? undefined : 'RegisteredKeyMismatch';
}
