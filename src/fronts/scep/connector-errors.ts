/** The errors of AWS's connector in HTTP: status, x-amzn-ErrorType, x-amzn-ErrorMessage, and whether a CertRep is the body (AWS Private CA User Guide, "Troubleshoot Connector for SCEP HTTP errors"). */
import type { ConnectorError, ConnectorErrorCode } from '../../base/scep.ts';

interface ConnectorErrorRow {
  statusCode: number;
  errorType: string;
  /** `{}` is where the detail goes. */
  message: string;
  hasCertRep: boolean;
}

function row(statusCode: number, errorType: string, message: string): ConnectorErrorRow {
  return { statusCode, errorType, message, hasCertRep: false };
}

function withCertRep(message: string): ConnectorErrorRow {
  return { statusCode: 400, errorType: 'BadRequestException', message, hasCertRep: true };
}

/** In the order of the guide. "Unsupported algorithm" ends with a full stop where the service itself was seen to answer. */
export const connectorErrors: Readonly<Record<ConnectorErrorCode, ConnectorErrorRow>> = {
  issuanceLimitExceeded: row(400, 'LimitExceededException', 'Certificate authority issuance limit exceeded.'),
  notBase64: row(400, 'ValidationException', 'The request must contain base64.'),
  authorityNotActive: row(400, 'ValidationException', 'The certificate authority is not active.'),
  authorityValidityTooShort: row(
    400,
    'ValidationException',
    'The certificate authority certificate validity must be at least one year from today.',
  ),
  signerExpired: row(400, 'ValidationException', 'The certificate included in the request is expired.'),
  invalidCms: row(400, 'ValidationException', 'The request contains invalid Cryptographic Message Syntax.'),
  connectorNotActive: row(400, 'ValidationException', 'The connector is not active.'),
  noValidCertificate: row(400, 'ValidationException', 'There must be a valid certificate included in the request.'),
  invalidUri: row(400, 'ValidationException', 'The request URI is invalid.'),
  hostHeader: row(400, 'ValidationException', 'Exactly one host header is required in the request.'),
  notDecoded: row(400, 'ValidationException', 'The request could not be decoded. Please send a valid SCEP request.'),
  responseNotEncoded: row(
    400,
    'ValidationException',
    'The response could not be encoded with values derived from the request. Please send a valid SCEP request.',
  ),
  unsupportedAlgorithm: row(400, 'ValidationException', 'Unsupported algorithm: {}.'),
  unsupportedMessageType: row(400, 'ValidationException', 'Unsupported PkiOperation messageType.'),
  challengeInvalid: withCertRep('The challenge password is invalid.'),
  challengeCount: withCertRep('Exactly one challenge password is required in the certificate signing request.'),
  noAzureAccess: withCertRep('The connector does not have access to Azure.'),
  azureActionDenied: withCertRep('The Azure application does not have access to perform {}.'),
  azureApplicationNotFound: withCertRep('The Azure application was not found.'),
  intuneValidationFailed: withCertRep('Intune certificate signing request validation failed. Reason: {}'),
  unsupportedMessageTypeNumber: withCertRep('Unsupported PkiOperation messageType: {}.'),
  keyNotSupported: withCertRep('Key algorithm or length is not supported.'),
  authorityAccessDenied: row(401, 'AccessDeniedException', 'The connector does not have access to the certificate authority.'),
  accountDoesNotExist: row(401, 'AccountDoesNotExistException', 'The AWS account does not exist.'),
  authorityDoesNotExist: row(404, 'ResourceNotFoundException', 'The certificate authority does not exist.'),
  connectorDoesNotExist: row(404, 'ResourceNotFoundException', "A connector with endpoint {} doesn't exist."),
  connectorChanged: row(409, 'ConflictException', 'The connector has changed since the request was initiated.'),
  throttled: row(429, 'ThrottlingException', 'The request was denied due to request throttling.'),
};

/** The row of an error with its detail in place. */
export function describeConnectorError({ code, detail = '' }: ConnectorError): ConnectorErrorRow {
  const described = connectorErrors[code];
  // A function, so that a `$` in the detail is one.
  return { ...described, message: described.message.replace('{}', () => detail) };
}
