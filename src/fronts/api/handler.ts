/** The AWS APIs as one pipeline: match, authenticate, throttle, parse, authorize, validate, call, serialize, record. */
import { ServiceException, validationException } from '../../base/errors.ts';
import { type ApiCall, type AuditEvent, apiCalled, type Log } from '../../base/events.ts';
import type { Home, Principal } from '../../base/resources.ts';
import type { System } from '../../base/system.ts';
import { outageOf } from '../../service/outage.ts';
import type { Throttling } from '../../service/throttling.ts';
import { type AcmPcaServices, acmPcaOperations } from './acm-pca-operations.ts';
import { type Access, authorize, resourceOf } from './authorization.ts';
import { createAwsJson, encodeAwsJsonException, isAwsJsonRequest } from './aws-json.ts';
import { type ConnectorServices, connectorOperations } from './connector-operations.ts';
import { encodePreflight, withCors } from './cors.ts';
import { type EnrolmentServices, enrolmentOperations } from './enrolment-operations.ts';
import { type EventServices, eventOperations } from './event-operations.ts';
import { maskMembers } from './json-values.ts';
import type { Match, Operation, ParsedInput } from './operation.ts';
import { type Mac, openNextToken, pageSizeDefault, sealNextToken } from './pagination.ts';
import { type ApiRequest, type ApiResponse, headerValues } from './request.ts';
import { createRestJson, encodeException } from './rest-json.ts';
import { type ScepServices, scepOperations } from './scep-operations.ts';
import { type SecretLookup, verifySigV4 } from './sigv4.ts';
import { type Members, type StructureOf, validate } from './validation.ts';

export type ApiServices = ScepServices & AcmPcaServices & ConnectorServices & EnrolmentServices & EventServices;

export interface ApiDependencies {
  services: ApiServices;
  secretLookup: SecretLookup;
  access: Access;
  throttling: Throttling;
  /** Keeps the record of a call; of one that changed something, until it is on the disk. */
  record(event: AuditEvent): Promise<void>;
  mac: Mac;
  system: System;
  region: string;
  log: Log;
}

/** One of the two services: how its requests are read, signed and refused. */
interface Protocol {
  signingName: string;
  match(request: ApiRequest): Match<ApiServices> | undefined;
  encodeException(exception: ServiceException, requestId: string): ApiResponse;
}

const restJson: Protocol = {
  signingName: 'pca-connector-scep',
  match: createRestJson<ApiServices>([...scepOperations, ...connectorOperations, ...enrolmentOperations, ...eventOperations]),
  encodeException,
};
const awsJson: Protocol = {
  signingName: 'acm-pca',
  match: createAwsJson<ApiServices>('ACMPrivateCA', acmPcaOperations),
  encodeException: encodeAwsJsonException,
};

/** What is known of a request so far, for its record. */
interface Progress {
  requestId: string;
  match?: Match<ApiServices>;
  principal?: Principal;
  input?: ParsedInput;
}

/** The API as a function of a request; it never throws. */
export function createApiHandler(dependencies: ApiDependencies): (request: ApiRequest) => Promise<ApiResponse> {
  return async request => {
    const progress: Progress = { requestId: dependencies.system.randomUUID() };
    const { requestId } = progress;
    if (request.method === 'OPTIONS') return withCors(encodePreflight(requestId));
    const protocol = isAwsJsonRequest(request) ? awsJson : restJson;
    try {
      return withCors(await answer(dependencies, protocol, request, progress));
    } catch (error) {
      const exception = error instanceof ServiceException ? error : failure(error);
      if (exception.statusCode >= 500) dependencies.log.error({ err: error, requestId }, 'an API request could not be answered');
      await recordRefusal(dependencies, request, progress, exception);
      return withCors(protocol.encodeException(exception, requestId));
    }
  };
}

async function answer(dependencies: ApiDependencies, protocol: Protocol, request: ApiRequest, progress: Progress): Promise<ApiResponse> {
  const { secretLookup, system, region, throttling, access } = dependencies;
  const match = protocol.match(request);
  if (!match) throw new ServiceException('UnknownOperationException', 'There is no operation at this path with this method.');
  progress.match = match;
  const { operation } = match;

  const now = system.now();
  const principal = await verifySigV4(request, { secretLookup, now, region, service: protocol.signingName });
  progress.principal = principal;
  throttling.take(principal.accountId, operation.name);

  const parsed = match.parse();
  progress.input = parsed;
  const home: Home = { accountId: principal.accountId, region };
  await authorize(access, { operation, principal, input: parsed, request, home, now });
  const input = validate(operation.input, parsed);

  const output = await call(dependencies, operation, principal, input);
  const responseElements = operation.readOnly ? null : orNull(maskMembers(operation.output, output));
  await dependencies.record(apiCalled({ ...callOf(dependencies, request, { ...progress, match, principal }), responseElements }));
  return match.encode(output, progress.requestId);
}

/** A list operation's NextToken is opened before its call and sealed after it; the service sees plain cursors. */
async function call(
  { services, mac, system }: ApiDependencies,
  operation: Operation<ApiServices>,
  principal: Principal,
  input: StructureOf<Members>,
): Promise<object> {
  const limit = typeof input['MaxResults'] === 'number' ? input['MaxResults'] : pageSizeDefault;
  if (!operation.pagedBy) return operation.call(services, principal, input, { limit });

  const filter = Object.fromEntries(operation.pagedBy.map(name => [name, input[name]]));
  const scope = { operation: operation.name, caller: principal.arn, filter };
  const now = system.now();
  const { NextToken } = input;
  const after = typeof NextToken === 'string' ? await openNextToken(mac, scope, NextToken, now) : undefined;
  if (typeof NextToken === 'string' && after === undefined) {
    const message = 'NextToken is not one that this operation has returned to this caller for these parameters in the last day.';
    const isModelled = operation.errors?.includes('InvalidNextTokenException');
    throw isModelled ? new ServiceException('InvalidNextTokenException', message) : validationException(message);
  }
  const { next, ...output }: { next?: string } = await operation.call(services, principal, input, { limit, after });
  return next === undefined ? output : { ...output, NextToken: await sealNextToken(mac, scope, next, now) };
}

/** A caller who is not known has no trail to fill: anybody could fill the disk. */
async function recordRefusal(
  dependencies: ApiDependencies,
  request: ApiRequest,
  progress: Progress,
  { name: code, message }: ServiceException,
): Promise<void> {
  const { match, principal, requestId } = progress;
  if (match && principal) {
    const error = { code, message };
    await dependencies.record(apiCalled({ ...callOf(dependencies, request, { ...progress, match, principal }), error }));
  } else {
    dependencies.log.warn({ requestId, operation: match?.operation.name, source: request.source, code }, 'an API request was refused');
  }
}

function callOf(
  { region }: ApiDependencies,
  request: ApiRequest,
  { match: { operation }, principal, requestId, input }: Progress & Required<Pick<Progress, 'match' | 'principal'>>,
): ApiCall {
  const [userAgent] = headerValues(request, 'user-agent');
  const [host] = headerValues(request, 'host');
  const resource = input && resourceOf(operation, input, { accountId: principal.accountId, region });
  return {
    operation: operation.name,
    eventSource: eventSource(operation.action),
    principal,
    region,
    source: request.source,
    requestId,
    readOnly: operation.readOnly ?? false,
    requestParameters: input ? orNull(maskMembers(operation.input, input)) : null,
    responseElements: null,
    ...(userAgent !== undefined && { userAgent }),
    ...(host !== undefined && { host }),
    ...(resource !== undefined && resource !== '*' && { resource }),
  };
}

/** As CloudTrail names services: the action's prefix under amazonaws.com, except for ours. */
function eventSource(action: string): string {
  const [prefix = ''] = action.split(':', 1);
  return prefix === 'scep-connector' ? prefix : `${prefix}.amazonaws.com`;
}

function orNull(members: object): object | null {
  return Object.keys(members).length === 0 ? null : members;
}

function failure(cause: unknown): ServiceException {
  const outage = outageOf(cause)?.message;
  return outage === undefined
    ? new ServiceException('InternalServerException', 'An internal error occurred.', {}, { cause })
    : new ServiceException('ServiceUnavailable', outage, {}, { cause });
}
