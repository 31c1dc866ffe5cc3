/** The 28 errors of AWS's connector as its guide lists them, row by row (AWS Private CA User Guide, "Troubleshoot Connector for SCEP HTTP errors"). */
import type { ConnectorErrorCode, FailInfoName } from '../../src/base/scep.ts';

export interface AwsError {
  statusCode: number;
  errorType: string;
  /** `…` stands for what is of the request. */
  message: string;
  /** Whether the guide says "SCEP response: Yes". */
  hasCertRep: boolean;
  /** Of the CertRep, which the guide does not say: ours. Absent where there is never one, under `clients` neither. */
  failInfo?: FailInfoName;
}

const validation = (message: string, failInfo?: FailInfoName): AwsError => ({
  statusCode: 400,
  errorType: 'ValidationException',
  message,
  hasCertRep: false,
  ...(failInfo && { failInfo }),
});
const badRequest = (message: string, failInfo: FailInfoName = 'badRequest'): AwsError => ({
  statusCode: 400,
  errorType: 'BadRequestException',
  message,
  hasCertRep: true,
  failInfo,
});
const other = (statusCode: number, errorType: string, message: string): AwsError => ({ statusCode, errorType, message, hasCertRep: false });

export const awsErrors: Readonly<Record<ConnectorErrorCode, AwsError>> = {
  issuanceLimitExceeded: other(400, 'LimitExceededException', 'Certificate authority issuance limit exceeded.'),
  notBase64: validation('The request must contain base64.'),
  authorityNotActive: validation('The certificate authority is not active.'),
  authorityValidityTooShort: validation('The certificate authority certificate validity must be at least one year from today.'),
  signerExpired: validation('The certificate included in the request is expired.', 'badMessageCheck'),
  invalidCms: validation('The request contains invalid Cryptographic Message Syntax.', 'badMessageCheck'),
  connectorNotActive: validation('The connector is not active.'),
  noValidCertificate: validation('There must be a valid certificate included in the request.', 'badMessageCheck'),
  invalidUri: validation('The request URI is invalid.'),
  hostHeader: validation('Exactly one host header is required in the request.'),
  notDecoded: validation('The request could not be decoded. Please send a valid SCEP request.', 'badRequest'),
  responseNotEncoded: validation(
    'The response could not be encoded with values derived from the request. Please send a valid SCEP request.',
    'badAlg',
  ),
  // The guide has no full stop; the service was seen to write one.
  unsupportedAlgorithm: validation('Unsupported algorithm: ….', 'badAlg'),
  unsupportedMessageType: validation('Unsupported PkiOperation messageType.', 'badRequest'),
  challengeInvalid: badRequest('The challenge password is invalid.'),
  challengeCount: badRequest('Exactly one challenge password is required in the certificate signing request.'),
  noAzureAccess: badRequest('The connector does not have access to Azure.'),
  azureActionDenied: badRequest('The Azure application does not have access to perform ….'),
  azureApplicationNotFound: badRequest('The Azure application was not found.'),
  intuneValidationFailed: badRequest('Intune certificate signing request validation failed. Reason: …'),
  unsupportedMessageTypeNumber: badRequest('Unsupported PkiOperation messageType: ….'),
  keyNotSupported: badRequest('Key algorithm or length is not supported.', 'badAlg'),
  authorityAccessDenied: other(401, 'AccessDeniedException', 'The connector does not have access to the certificate authority.'),
  accountDoesNotExist: other(401, 'AccountDoesNotExistException', 'The AWS account does not exist.'),
  authorityDoesNotExist: other(404, 'ResourceNotFoundException', 'The certificate authority does not exist.'),
  connectorDoesNotExist: other(404, 'ResourceNotFoundException', "A connector with endpoint … doesn't exist."),
  connectorChanged: other(409, 'ConflictException', 'The connector has changed since the request was initiated.'),
  throttled: other(429, 'ThrottlingException', 'The request was denied due to request throttling.'),
};

export const awsErrorCodes = Object.keys(awsErrors) as ConnectorErrorCode[];
