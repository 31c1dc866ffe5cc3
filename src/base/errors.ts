/** The exceptions the AWS API answers with: each name with its HTTP status (the model of pca-connector-scep). */

/** The modelled exceptions of pca-connector-scep. ServiceQuotaExceeded is 402 and Throttling 429 in AWS's model. */
const serviceExceptionStatus = {
  AccessDeniedException: 403,
  BadRequestException: 400,
  ConflictException: 409,
  InternalServerException: 500,
  ResourceNotFoundException: 404,
  ServiceQuotaExceededException: 402,
  ThrottlingException: 429,
  ValidationException: 400,
} as const;

/** The modelled exceptions of acm-pca, which has ResourceNotFoundException too: every one of them a 400 in its protocol. */
const privateCaExceptionStatus = {
  CertificateMismatchException: 400,
  ConcurrentModificationException: 400,
  InvalidArgsException: 400,
  InvalidArnException: 400,
  InvalidNextTokenException: 400,
  InvalidPolicyException: 400,
  InvalidRequestException: 400,
  InvalidStateException: 400,
  InvalidTagException: 400,
  LimitExceededException: 400,
  LockoutPreventedException: 400,
  MalformedCSRException: 400,
  MalformedCertificateException: 400,
  PermissionAlreadyExistsException: 400,
  RequestAlreadyProcessedException: 400,
  RequestFailedException: 400,
  RequestInProgressException: 400,
  TooManyTagsException: 400,
} as const;

/** AWS's common errors: what the front door answers before an operation is known. */
const commonErrorStatus = {
  ExpiredTokenException: 403,
  IncompleteSignature: 403,
  InvalidSignatureException: 403,
  MalformedHttpRequestException: 400,
  MissingAuthenticationToken: 403,
  RequestEntityTooLargeException: 413,
  RequestExpired: 400,
  RequestTimeoutException: 408,
  ServiceUnavailable: 503,
  UnknownOperationException: 404,
  UnrecognizedClientException: 403,
} as const;

const statusByName = { ...serviceExceptionStatus, ...privateCaExceptionStatus, ...commonErrorStatus };
export type ServiceExceptionName = keyof typeof statusByName;

/** An answer in AWS's words. `members` are the modelled members beside Message, such as ResourceId or Reason. */
export class ServiceException extends Error {
  override readonly name: ServiceExceptionName;
  readonly statusCode: number;
  readonly members: Readonly<Record<string, string>>;

  constructor(name: ServiceExceptionName, message: string, members: Record<string, string> = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = name;
    this.statusCode = statusByName[name];
    this.members = members;
  }
}

export type ValidationReason =
  | 'CA_CERT_VALIDITY_TOO_SHORT'
  | 'INVALID_CA_USAGE_MODE'
  | 'INVALID_CONNECTOR_TYPE'
  | 'INVALID_STATE'
  | 'NO_CLIENT_TOKEN'
  | 'UNKNOWN_OPERATION'
  | 'OTHER';

export function validationException(message: string, Reason: ValidationReason = 'OTHER'): ServiceException {
  return new ServiceException('ValidationException', message, { Reason });
}

/** What is wrong with a member, as AWS writes it. */
export function violation(path: string, constraint: string): string {
  return `Value at '${path}' failed to satisfy constraint: ${constraint}`;
}

/** The ValidationException that names every violation, at least one. */
export function violationsException(violations: readonly string[]): ServiceException {
  const count = violations.length === 1 ? '1 validation error' : `${violations.length} validation errors`;
  return validationException(`${count} detected: ${violations.join('; ')}`);
}

type ResourceType = 'Connector' | 'Challenge' | 'Request' | 'CertificateAuthority' | 'User' | 'Policy' | 'AccessKey';

export function resourceNotFound(ResourceType: ResourceType, ResourceId: string): ServiceException {
  return new ServiceException('ResourceNotFoundException', `${ResourceType} ${ResourceId} does not exist.`, { ResourceId, ResourceType });
}

export function conflict(ResourceType: ResourceType, ResourceId: string, message: string): ServiceException {
  return new ServiceException('ConflictException', message, { ResourceId, ResourceType });
}

/** What acm-pca says of arguments that each are well-formed. */
export function invalidArgs(message: string, options?: ErrorOptions): ServiceException {
  return new ServiceException('InvalidArgsException', message, {}, options);
}
