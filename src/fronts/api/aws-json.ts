/** The awsJson1.1 protocol: the operation is named by a header, input and output are the JSON body, and exceptions say `message`. */
import type { ServiceException } from '../../base/errors.ts';
import { writeMembers } from './json-values.ts';
import type { Match, Operation } from './operation.ts';
import { type ApiRequest, type ApiResponse, headerValues, rawPath } from './request.ts';
import { parseJsonBody } from './rest-json.ts';

const contentType = 'application/x-amz-json-1.1';

/** Requests of every awsJson service come as `POST /`. */
export function isAwsJsonRequest(request: ApiRequest): boolean {
  return rawPath(request) === '/' && (request.method === 'POST' || headerValues(request, 'x-amz-target').length > 0);
}

/** Which operation a request is for; undefined when X-Amz-Target names none of `prefix`, such as `ACMPrivateCA`. */
export function createAwsJson<Services>(
  prefix: string,
  operations: readonly Operation<Services>[],
): (request: ApiRequest) => Match<Services> | undefined {
  const byTarget = new Map(operations.map(operation => [`${prefix}.${operation.name}`, operation]));
  return request => {
    const [target, second] = headerValues(request, 'x-amz-target');
    const operation = target === undefined || second !== undefined ? undefined : byTarget.get(target);
    if (operation === undefined || request.method !== 'POST') return undefined;
    return {
      operation,
      parse: () => parseJsonBody(request.body),
      encode: (output, requestId) => jsonResponse(200, writeMembers(operation.output, output), requestId),
    };
  };
}

/** Every refusal is a 400 in this protocol (the models of its services give their exceptions no other status). */
export function encodeAwsJsonException(exception: ServiceException, requestId: string): ApiResponse {
  const statusCode = exception.statusCode < 500 && exception.statusCode !== 413 ? 400 : exception.statusCode;
  const response = jsonResponse(statusCode, { __type: exception.name, message: exception.message }, requestId);
  response.headers['x-amzn-ErrorType'] = exception.name;
  return response;
}

function jsonResponse(statusCode: number, content: object, requestId: string): ApiResponse {
  return { statusCode, headers: { 'content-type': contentType, 'x-amzn-RequestId': requestId }, body: JSON.stringify(content) };
}
