/** AWS Private CA's certificate templates, as data, and what each makes of a CSR and an ApiPassthrough: pure. */
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  type Extension,
  extKeyUsageExtension,
  KeyUsage,
  keyUsageExtension,
  normalizeExtension,
  parseBasicConstraints,
  subjectKeyIdentifierExtension,
} from '../base/pki/extensions.ts';
import { Oid } from '../base/pki/oids.ts';
import type { CertificationRequest } from '../base/pki/pkcs10.ts';
import { PkiError } from '../base/pki/pki-error.ts';
import { authorityInfoAccessExtensions, crlDistributionPointsExtension } from '../base/pki/policy-extensions.ts';
import { defaultTemplateArn, templateArn } from '../base/private-ca.ts';
import { type ApiPassthrough, extensionsOf, subjectOf } from './api-passthrough.ts';

export interface CertificateTemplateRequest {
  templateArn?: string | undefined;
  csr: CertificationRequest;
  apiPassthrough?: ApiPassthrough | undefined;
  /** Of the issuing authority; each URL when the extension that says it is to be in certificates. */
  issuer: {
    keyIdentifier: Uint8Array;
    crlDistributionPoint?: string | undefined;
    ocspUrl?: string | undefined;
    caIssuersUrl?: string | undefined;
  };
}

export interface TemplateResult {
  /** The DER of a Name. */
  subject: Uint8Array;
  extensions: readonly Extension[];
  isCa: boolean;
  pathLenConstraint?: number;
}

/** The first two are AWS's InvalidArgsException, the last its MalformedCSRException. */
type TemplateErrorReason = 'invalidTemplate' | 'invalidArgs' | 'malformedCsr';

export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  readonly reason: TemplateErrorReason;

  constructor(reason: TemplateErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Which of the two sources a template lets through; the plain one takes the subject and the alternative names from the CSR, as all do. */
type Variety = '' | 'CSR' | 'API' | 'APICSR';

interface Family {
  name: string;
  varieties: readonly Variety[];
  basicConstraints: Extension;
  /** What its definition fixes beside basicConstraints: neither the API nor the CSR changes it. */
  usage: readonly Extension[];
  /** Self-signed: no authority's key identifier, CRL or responder belongs into it. */
  isRoot: boolean;
  /** Whether the API may give CRL distribution points where the authority gives none: the definitions say so, or say nothing of them. */
  takesApiCrlDistributionPoints: boolean;
}

const every: readonly Variety[] = ['', 'CSR', 'API', 'APICSR'];
const passthroughs: readonly Variety[] = ['CSR', 'API', 'APICSR'];

const endEntity = basicConstraintsExtension(false);
const unlimited = { suffix: '', constraints: basicConstraintsExtension(true) };
const limited = [0, 1, 2, 3].map(length => ({ suffix: `_PathLen${length}`, constraints: basicConstraintsExtension(true, length) }));
const tlsKey = keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyEncipherment]);
const signingKey = keyUsageExtension([KeyUsage.digitalSignature]);
const authorityKey = keyUsageExtension([KeyUsage.digitalSignature, KeyUsage.keyCertSign, KeyUsage.cRLSign]);

/** "Template definitions" of AWS's user guide. All are version 1. */
const families: readonly Family[] = [
  family('EndEntityCertificate', every, endEntity, tlsKey, extKeyUsageExtension([Oid.serverAuth, Oid.clientAuth])),
  family('EndEntityClientAuthCertificate', every, endEntity, tlsKey, extKeyUsageExtension([Oid.clientAuth])),
  family('EndEntityServerAuthCertificate', every, endEntity, tlsKey, extKeyUsageExtension([Oid.serverAuth])),
  family('CodeSigningCertificate', every, endEntity, signingKey, extKeyUsageExtension([Oid.codeSigning], true)),
  family('OCSPSigningCertificate', every, endEntity, signingKey, extKeyUsageExtension([Oid.ocspSigning], true)),
  family('BlankEndEntityCertificate', passthroughs, endEntity),
  {
    ...family('BlankEndEntityCertificate_CriticalBasicConstraints', passthroughs, { ...endEntity, critical: true }),
    takesApiCrlDistributionPoints: true,
  },
  { ...family('RootCACertificate', ['', 'API'], unlimited.constraints, authorityKey), isRoot: true },
  ...[unlimited, ...limited].map(({ suffix, constraints }) => ({
    ...family(`BlankRootCACertificate${suffix}`, ['API'], constraints),
    isRoot: true,
    takesApiCrlDistributionPoints: true,
  })),
  ...limited.map(({ suffix, constraints }) => family(`SubordinateCACertificate${suffix}`, every, constraints, authorityKey)),
  ...limited.map(({ suffix, constraints }) => family(`BlankSubordinateCACertificate${suffix}`, passthroughs, constraints)),
];

function family(name: string, varieties: readonly Variety[], basicConstraints: Extension, ...usage: Extension[]): Family {
  return { name, varieties, basicConstraints, usage, isRoot: false, takesApiCrlDistributionPoints: false };
}

interface Template extends Family {
  takesApi: boolean;
  takesCsr: boolean;
}

const templates = new Map(families.flatMap(family => family.varieties.map(variety => templateEntry(family, variety))));

function templateEntry(family: Family, variety: Variety): [arn: string, Template] {
  const suffix = variety === '' ? '' : `_${variety}Passthrough`;
  return [templateArn(family.name + suffix), { ...family, takesApi: variety.startsWith('API'), takesCsr: variety.endsWith('CSR') }];
}

/**
 * AWS's order of priority: the template, then the API, then the CSR; what comes first for an OID stands. An ApiPassthrough that the template does
 * not take is ignored, as AWS documents it. Whether the CSR is signed by its key, and whether the authority may issue such a certificate at all,
 * is the caller's to check. Throws TemplateError.
 */
export function applyTemplate(request: CertificateTemplateRequest): TemplateResult {
  const template = getTemplate(request.templateArn ?? defaultTemplateArn);
  const api = template.takesApi ? request.apiPassthrough : undefined;
  const apiSubject = api?.Subject;
  const subject = apiSubject === undefined ? request.csr.subject : blaming('invalidArgs', () => subjectOf(apiSubject));
  const fixed = templateExtensions(template, request);
  const asked = blaming('invalidArgs', () => apiExtensions(template, api));
  const fromApi = without(fixed, asked);
  const fromCsr = without([...fixed, ...fromApi], csrExtensions(template, request.csr));
  const extensions = [...fixed, ...fromApi, ...blaming('malformedCsr', () => fromCsr.map(normalizeExtension))];

  const { cA, pathLenConstraint } = parseBasicConstraints(template.basicConstraints);
  const isNameless = subject.rdns.length === 0;
  if (isNameless && cA) throw new TemplateError('malformedCsr', 'The certificate of a certificate authority needs a subject.');
  if (isNameless && !extensions.some(({ oid }) => oid === Oid.subjectAltName)) {
    throw new TemplateError('malformedCsr', 'The CSR has neither a subject nor a subject alternative name.');
  }
  return {
    subject: subject.der,
    extensions: isNameless ? extensions.map(criticalNames) : extensions,
    isCa: cA,
    ...(pathLenConstraint === undefined ? {} : { pathLenConstraint }),
  };
}

function getTemplate(arn: string): Template {
  const template = templates.get(arn);
  if (template !== undefined) return template;
  const near = [...templates.keys()].filter(known => firstWordOf(known) === firstWordOf(arn));
  const advice = near.length > 0 ? `Near it are ${near.join(', ')}.` : `Write ${templateArn('NAME')} with a NAME of AWS's user guide.`;
  throw new TemplateError('invalidTemplate', `The template ${arn} does not exist. ${advice}`);
}

function firstWordOf(arn: string): string | undefined {
  return /template\/([^_/]*)/.exec(arn)?.[1]?.toLowerCase();
}

function templateExtensions({ basicConstraints, usage, isRoot }: Template, { csr, issuer }: CertificateTemplateRequest): Extension[] {
  const own = [basicConstraints, subjectKeyIdentifierExtension(csr.publicKey.keyIdentifier), ...usage];
  if (isRoot) return own;
  const { keyIdentifier, crlDistributionPoint } = issuer;
  if (crlDistributionPoint !== undefined) own.push(crlDistributionPointsExtension(crlDistributionPoint));
  return [...own, authorityKeyIdentifierExtension(keyIdentifier), ...authorityInfoAccessExtensions(issuer)];
}

function apiExtensions({ takesApiCrlDistributionPoints }: Template, api: ApiPassthrough | undefined): Extension[] {
  if (api?.Extensions === undefined) return [];
  const asked = extensionsOf(api.Extensions);
  return takesApiCrlDistributionPoints ? asked : asked.filter(({ oid }) => oid !== Oid.crlDistributionPoints);
}

function csrExtensions({ takesCsr }: Template, { extensions }: CertificationRequest): readonly Extension[] {
  return takesCsr ? extensions : extensions.filter(({ oid }) => oid === Oid.subjectAltName);
}

function without(stronger: readonly Extension[], extensions: readonly Extension[]): Extension[] {
  const taken = new Set(stronger.map(({ oid }) => oid));
  return extensions.filter(({ oid }) => !taken.has(oid));
}

/** subjectAltName is critical where it is all that names the subject (RFC 5280 section 4.2.1.6). */
function criticalNames(extension: Extension): Extension {
  return extension.oid === Oid.subjectAltName ? { ...extension, critical: true } : extension;
}

/** What the codec refuses is the fault of the caller's arguments or of the CSR. */
function blaming<T>(reason: TemplateErrorReason, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof PkiError)) throw cause;
    const source = reason === 'malformedCsr' ? 'The CSR cannot be used' : 'ApiPassthrough cannot be used';
    throw new TemplateError(reason, `${source}: ${cause.message}`, { cause });
  }
}
