/** The 23 operations of acm-pca as data, in the terms of AWS's model (API version 2017-08-22). */
import { defaultTemplateArn, type RevocationReason, revocationReasons } from '../../base/private-ca.ts';
import { certificateAuthorityArn, type Home } from '../../base/resources.ts';
import type { CertificateIssuance } from '../../service/certificate-issuance.ts';
import type { IssueCertificateRequest } from '../../service/issuance-plan.ts';
import type { PrivateCa } from '../../service/private-ca.ts';
import {
  accountId,
  apiPassthrough,
  arn,
  certificateAuthority,
  certificateAuthorityConfiguration,
  idempotencyToken,
  paging,
  policy,
  revocationConfiguration,
  signingAlgorithm,
  tags,
  text,
  text128,
  timestamp,
  validity,
} from './acm-pca-shapes.ts';
import type { Dependency, Operation, ParsedInput } from './operation.ts';
import type { Members } from './validation.ts';

export interface AcmPcaServices {
  privateCa: PrivateCa;
  issuance: CertificateIssuance;
}

const ofAuthority = ['InvalidArnException', 'ResourceNotFoundException'] as const;
const ofAuthorityInState = [...ofAuthority, 'InvalidStateException'] as const;

const authority = { CertificateAuthorityArn: { shape: arn, required: true } } as const;
const resource = { ResourceArn: { shape: arn, required: true } } as const;
const servicePrincipal = {
  Principal: { shape: { type: 'string', minLength: 0, maxLength: 128, pattern: '^[^*]+$' }, required: true },
  SourceAccount: { shape: accountId },
} as const;
const permittedActions = {
  type: 'list',
  member: { type: 'string', values: ['IssueCertificate', 'GetCertificate', 'ListPermissions'] },
  minLength: 1,
  maxLength: 3,
} as const;
const permission = {
  type: 'structure',
  members: {
    CertificateAuthorityArn: { shape: text },
    CreatedAt: { shape: timestamp },
    Principal: { shape: text },
    SourceAccount: { shape: text },
    Actions: { shape: { type: 'list', member: text } },
    Policy: { shape: text },
  },
} as const;

/** Checks a row's `call` against its own input, then forgets the particular input type. */
function operation<const I extends Members>(row: Operation<AcmPcaServices, I>): Operation<AcmPcaServices> {
  return row as unknown as Operation<AcmPcaServices>;
}

/** Tags at creation take the permission to tag what is being created. */
function tagging({ Tags }: ParsedInput, home: Home): Dependency[] {
  const isTagged = Array.isArray(Tags) && Tags.length > 0;
  return isTagged ? [{ action: 'acm-pca:TagCertificateAuthority', resource: certificateAuthorityArn(home, '*') }] : [];
}

function templateContext({ TemplateArn }: ParsedInput): Record<string, readonly string[]> {
  return { 'acm-pca:templatearn': [typeof TemplateArn === 'string' ? TemplateArn : defaultTemplateArn] };
}

/** Where a call narrows a text's type, validation has held it against the values that the shape names. */
export const acmPcaOperations: readonly Operation<AcmPcaServices>[] = [
  operation({
    name: 'CreateCertificateAuthority',
    action: 'acm-pca:CreateCertificateAuthority',
    errors: ['InvalidArgsException', 'InvalidPolicyException', 'InvalidTagException', 'LimitExceededException'],
    dependencies: tagging,
    input: {
      CertificateAuthorityConfiguration: { shape: certificateAuthorityConfiguration, required: true },
      RevocationConfiguration: { shape: revocationConfiguration },
      CertificateAuthorityType: { shape: { type: 'string', values: ['ROOT', 'SUBORDINATE'] }, required: true },
      IdempotencyToken: { shape: idempotencyToken },
      KeyStorageSecurityStandard: {
        shape: { type: 'string', values: ['FIPS_140_2_LEVEL_2_OR_HIGHER', 'FIPS_140_2_LEVEL_3_OR_HIGHER', 'CCPC_LEVEL_1_OR_HIGHER'] },
      },
      Tags: { shape: tags },
      UsageMode: { shape: { type: 'string', values: ['GENERAL_PURPOSE', 'SHORT_LIVED_CERTIFICATE'] } },
    },
    output: { CertificateAuthorityArn: { shape: text } },
    call: ({ privateCa }, principal, input) => privateCa.createCertificateAuthority(principal, input),
  }),
  operation({
    name: 'CreateCertificateAuthorityAuditReport',
    action: 'acm-pca:CreateCertificateAuthorityAuditReport',
    errors: [...ofAuthorityInState, 'InvalidArgsException', 'RequestFailedException', 'RequestInProgressException'],
    resource: 'CertificateAuthorityArn',
    input: {
      ...authority,
      S3BucketName: { shape: { type: 'string', minLength: 3, maxLength: 63 }, required: true },
      AuditReportResponseFormat: { shape: { type: 'string', values: ['JSON', 'CSV'] }, required: true },
    },
    output: { AuditReportId: { shape: text }, S3Key: { shape: text } },
    call: ({ privateCa }, _principal, input) => privateCa.createCertificateAuthorityAuditReport(input),
  }),
  operation({
    name: 'CreatePermission',
    action: 'acm-pca:CreatePermission',
    errors: [...ofAuthorityInState, 'LimitExceededException', 'PermissionAlreadyExistsException', 'RequestFailedException'],
    resource: 'CertificateAuthorityArn',
    input: { ...authority, ...servicePrincipal, Actions: { shape: permittedActions, required: true } },
    output: {},
    call: ({ privateCa }, principal, input) => privateCa.permissions.createPermission(principal, input),
  }),
  operation({
    name: 'DeleteCertificateAuthority',
    action: 'acm-pca:DeleteCertificateAuthority',
    errors: [...ofAuthorityInState, 'ConcurrentModificationException'],
    resource: 'CertificateAuthorityArn',
    input: { ...authority, PermanentDeletionTimeInDays: { shape: { type: 'integer', min: 7, max: 30 } } },
    output: {},
    call: ({ privateCa }, _principal, input) => privateCa.deleteCertificateAuthority(input),
  }),
  operation({
    name: 'DeletePermission',
    action: 'acm-pca:DeletePermission',
    errors: [...ofAuthorityInState, 'RequestFailedException'],
    resource: 'CertificateAuthorityArn',
    input: { ...authority, ...servicePrincipal },
    output: {},
    call: ({ privateCa }, principal, input) => privateCa.permissions.deletePermission(principal, input),
  }),
  operation({
    name: 'DeletePolicy',
    action: 'acm-pca:DeletePolicy',
    errors: [...ofAuthorityInState, 'ConcurrentModificationException', 'LockoutPreventedException', 'RequestFailedException'],
    resource: 'ResourceArn',
    input: resource,
    output: {},
    call: ({ privateCa }, _principal, input) => privateCa.policies.deletePolicy(input),
  }),
  operation({
    name: 'DescribeCertificateAuthority',
    action: 'acm-pca:DescribeCertificateAuthority',
    errors: ofAuthority,
    readOnly: true,
    resource: 'CertificateAuthorityArn',
    input: authority,
    output: { CertificateAuthority: { shape: certificateAuthority } },
    call: ({ privateCa }, _principal, input) => privateCa.describeCertificateAuthority(input),
  }),
  operation({
    name: 'DescribeCertificateAuthorityAuditReport',
    action: 'acm-pca:DescribeCertificateAuthorityAuditReport',
    errors: [...ofAuthority, 'InvalidArgsException'],
    readOnly: true,
    resource: 'CertificateAuthorityArn',
    input: {
      ...authority,
      AuditReportId: {
        shape: {
          type: 'string',
          minLength: 36,
          maxLength: 36,
          pattern: '^[a-z0-9]{8}-[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{12}$',
        },
        required: true,
      },
    },
    output: {
      AuditReportStatus: { shape: text },
      S3BucketName: { shape: text },
      S3Key: { shape: text },
      CreatedAt: { shape: timestamp },
    },
    call: ({ privateCa }, _principal, input) => privateCa.describeCertificateAuthorityAuditReport(input),
  }),
  operation({
    name: 'GetCertificate',
    action: 'acm-pca:GetCertificate',
    errors: [...ofAuthorityInState, 'RequestFailedException', 'RequestInProgressException'],
    readOnly: true,
    resource: 'CertificateAuthorityArn',
    input: { ...authority, CertificateArn: { shape: arn, required: true } },
    output: { Certificate: { shape: text }, CertificateChain: { shape: text } },
    call: ({ issuance }, _principal, input) => issuance.getCertificate(input),
  }),
  operation({
    name: 'GetCertificateAuthorityCertificate',
    action: 'acm-pca:GetCertificateAuthorityCertificate',
    errors: ofAuthorityInState,
    readOnly: true,
    resource: 'CertificateAuthorityArn',
    input: authority,
    output: { Certificate: { shape: text }, CertificateChain: { shape: text } },
    call: ({ privateCa }, _principal, input) => privateCa.getCertificateAuthorityCertificate(input),
  }),
  operation({
    name: 'GetCertificateAuthorityCsr',
    action: 'acm-pca:GetCertificateAuthorityCsr',
    errors: [...ofAuthorityInState, 'RequestFailedException', 'RequestInProgressException'],
    readOnly: true,
    resource: 'CertificateAuthorityArn',
    input: authority,
    output: { Csr: { shape: text } },
    call: ({ privateCa }, _principal, input) => privateCa.getCertificateAuthorityCsr(input),
  }),
  operation({
    name: 'GetPolicy',
    action: 'acm-pca:GetPolicy',
    errors: [...ofAuthorityInState, 'RequestFailedException'],
    readOnly: true,
    resource: 'ResourceArn',
    input: resource,
    output: { Policy: { shape: text } },
    call: ({ privateCa }, _principal, input) => privateCa.policies.getPolicy(input),
  }),
  operation({
    name: 'ImportCertificateAuthorityCertificate',
    action: 'acm-pca:ImportCertificateAuthorityCertificate',
    errors: [
      ...ofAuthorityInState,
      'CertificateMismatchException',
      'ConcurrentModificationException',
      'InvalidRequestException',
      'MalformedCertificateException',
      'RequestFailedException',
      'RequestInProgressException',
    ],
    resource: 'CertificateAuthorityArn',
    input: {
      ...authority,
      Certificate: { shape: { type: 'blob', minLength: 1, maxLength: 32_768 }, required: true },
      CertificateChain: { shape: { type: 'blob', minLength: 0, maxLength: 2_097_152 } },
    },
    output: {},
    call: ({ privateCa }, _principal, input) => privateCa.importCertificateAuthorityCertificate(input),
  }),
  operation({
    name: 'IssueCertificate',
    action: 'acm-pca:IssueCertificate',
    errors: [...ofAuthorityInState, 'InvalidArgsException', 'LimitExceededException', 'MalformedCSRException'],
    resource: 'CertificateAuthorityArn',
    context: templateContext,
    input: {
      ...authority,
      ApiPassthrough: { shape: apiPassthrough },
      Csr: { shape: { type: 'blob', minLength: 1, maxLength: 32_768 }, required: true },
      SigningAlgorithm: { shape: signingAlgorithm, required: true },
      TemplateArn: { shape: arn },
      Validity: { shape: validity, required: true },
      ValidityNotBefore: { shape: validity },
      IdempotencyToken: { shape: idempotencyToken },
    },
    output: { CertificateArn: { shape: text } },
    call: ({ issuance }, principal, input) => issuance.issueCertificate(principal, input as IssueCertificateRequest),
  }),
  operation({
    name: 'ListCertificateAuthorities',
    action: 'acm-pca:ListCertificateAuthorities',
    errors: ['InvalidNextTokenException'],
    readOnly: true,
    input: { ...paging, ResourceOwner: { shape: { type: 'string', values: ['SELF', 'OTHER_ACCOUNTS'] } } },
    output: { CertificateAuthorities: { shape: { type: 'list', member: certificateAuthority } }, NextToken: { shape: text } },
    pagedBy: ['ResourceOwner'],
    call: ({ privateCa }, principal, input, page) => privateCa.listCertificateAuthorities(principal, input, page),
  }),
  operation({
    name: 'ListPermissions',
    action: 'acm-pca:ListPermissions',
    errors: [...ofAuthorityInState, 'InvalidNextTokenException', 'RequestFailedException'],
    readOnly: true,
    resource: 'CertificateAuthorityArn',
    input: { ...authority, ...paging },
    output: { Permissions: { shape: { type: 'list', member: permission } }, NextToken: { shape: text } },
    pagedBy: ['CertificateAuthorityArn'],
    call: ({ privateCa }, _principal, input) => privateCa.permissions.listPermissions(input),
  }),
  operation({
    name: 'ListTags',
    action: 'acm-pca:ListTags',
    errors: ofAuthorityInState,
    readOnly: true,
    resource: 'CertificateAuthorityArn',
    input: { ...authority, ...paging },
    output: { Tags: { shape: tags }, NextToken: { shape: text } },
    pagedBy: ['CertificateAuthorityArn'],
    call: ({ privateCa }, _principal, input, page) => privateCa.tags.listTags(input, page),
  }),
  operation({
    name: 'PutPolicy',
    action: 'acm-pca:PutPolicy',
    errors: [
      ...ofAuthorityInState,
      'ConcurrentModificationException',
      'InvalidPolicyException',
      'LockoutPreventedException',
      'RequestFailedException',
    ],
    resource: 'ResourceArn',
    input: { ...resource, Policy: { shape: policy, required: true } },
    output: {},
    call: ({ privateCa }, principal, input) => privateCa.policies.putPolicy(principal, input),
  }),
  operation({
    name: 'RestoreCertificateAuthority',
    action: 'acm-pca:RestoreCertificateAuthority',
    errors: ofAuthorityInState,
    resource: 'CertificateAuthorityArn',
    input: authority,
    output: {},
    call: ({ privateCa }, _principal, input) => privateCa.restoreCertificateAuthority(input),
  }),
  operation({
    name: 'RevokeCertificate',
    action: 'acm-pca:RevokeCertificate',
    errors: [
      ...ofAuthorityInState,
      'ConcurrentModificationException',
      'InvalidRequestException',
      'LimitExceededException',
      'RequestAlreadyProcessedException',
      'RequestFailedException',
      'RequestInProgressException',
    ],
    resource: 'CertificateAuthorityArn',
    input: {
      ...authority,
      CertificateSerial: { shape: text128, required: true },
      RevocationReason: { shape: { type: 'string', values: Object.keys(revocationReasons) }, required: true },
    },
    output: {},
    call: ({ issuance }, _principal, { RevocationReason: reason, ...input }) =>
      issuance.revokeCertificate({ ...input, RevocationReason: reason as RevocationReason }),
  }),
  operation({
    name: 'TagCertificateAuthority',
    action: 'acm-pca:TagCertificateAuthority',
    errors: [...ofAuthorityInState, 'InvalidTagException', 'TooManyTagsException'],
    resource: 'CertificateAuthorityArn',
    input: { ...authority, Tags: { shape: tags, required: true } },
    output: {},
    call: ({ privateCa }, _principal, input) => privateCa.tags.tagCertificateAuthority(input),
  }),
  operation({
    name: 'UntagCertificateAuthority',
    action: 'acm-pca:UntagCertificateAuthority',
    errors: [...ofAuthorityInState, 'InvalidTagException'],
    resource: 'CertificateAuthorityArn',
    input: { ...authority, Tags: { shape: tags, required: true } },
    output: {},
    call: ({ privateCa }, _principal, input) => privateCa.tags.untagCertificateAuthority(input),
  }),
  operation({
    name: 'UpdateCertificateAuthority',
    action: 'acm-pca:UpdateCertificateAuthority',
    errors: [...ofAuthorityInState, 'ConcurrentModificationException', 'InvalidArgsException', 'InvalidPolicyException'],
    resource: 'CertificateAuthorityArn',
    input: {
      ...authority,
      RevocationConfiguration: { shape: revocationConfiguration },
      Status: {
        shape: {
          type: 'string',
          values: ['CREATING', 'PENDING_CERTIFICATE', 'ACTIVE', 'DELETED', 'DISABLED', 'EXPIRED', 'FAILED'],
        },
      },
    },
    output: {},
    call: ({ privateCa }, _principal, input) => privateCa.updateCertificateAuthority(input),
  }),
];
