/** Cross-origin access as AWS's model grants it (smithy.api#cors): any origin, since every request proves itself by its signature. */
import type { ApiResponse } from './request.ts';

const maxAgeSeconds = 86_400;
/** A browser does not take `*` for Authorization (Fetch, "CORS protocol"), so the signature's headers are named. */
const allowedHeaders = [
  'authorization',
  'content-type',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-target',
  'x-amz-user-agent',
  'x-amzn-platform-id',
  'x-amzn-trace-id',
];
const exposedHeaders = ['x-amzn-errortype', 'x-amzn-requestid', 'x-amzn-trace-id'];

export function encodePreflight(requestId: string): ApiResponse {
  return {
    statusCode: 200,
    headers: {
      'x-amzn-RequestId': requestId,
      'access-control-allow-methods': 'GET,POST,PUT,DELETE',
      'access-control-allow-headers': allowedHeaders.join(','),
      'access-control-max-age': String(maxAgeSeconds),
    },
    body: '',
  };
}

export function withCors(response: ApiResponse): ApiResponse {
  const headers = { 'access-control-allow-origin': '*', 'access-control-expose-headers': exposedHeaders.join(',') };
  return { ...response, headers: { ...response.headers, ...headers } };
}
