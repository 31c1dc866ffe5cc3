/** The AWS API as one pipeline: match, authenticate, parse, authorize, validate, call, serialize. */
import { ServiceException } from '../../base/errors.ts';
import type { Principal } from '../../base/resources.ts';
import type { System } from '../../base/system.ts';
import { outageMessage } from '../../service/outage.ts';
import { type Mac, openNextToken, pageSizeDefault, sealNextToken } from './pagination.ts';
import { type ApiRequest, type ApiResponse, parseQuery, rawPath } from './request.ts';
import { encodeException, encodeOutput, matchOperation, parseInput, type RestMembers, type RestOperation } from './rest-json.ts';
import { type ScepServices, scepOperations } from './scep-operations.ts';
import { type SecretLookup, verifySigV4 } from './sigv4.ts';
import { type StructureOf, validate } from './validation.ts';

const service = 'pca-connector-scep';

export interface ApiDependencies {
  services: ScepServices;
  secretLookup: SecretLookup;
  mac: Mac;
  system: System;
  region: string;
  /** Told once of every failure that is ours: a bug, or a store that cannot do its work. */
  report(error: unknown, requestId: string): void;
}

/** The API as a function of a request; it never throws. */
export function createApiHandler(dependencies: ApiDependencies): (request: ApiRequest) => Promise<ApiResponse> {
  return async request => {
    const requestId = dependencies.system.randomUUID();
    try {
      return await answer(dependencies, request, requestId);
    } catch (error) {
      if (error instanceof ServiceException) return encodeException(error, requestId);
      dependencies.report(error, requestId);
      return encodeException(failure(error), requestId);
    }
  };
}

async function answer(dependencies: ApiDependencies, request: ApiRequest, requestId: string): Promise<ApiResponse> {
  const match = matchOperation(scepOperations, request.method, rawPath(request));
  if (!match) throw new ServiceException('UnknownOperationException', 'There is no operation at this path with this method.');
  const { operation, labels } = match;

  const { secretLookup, system, region } = dependencies;
  const principal = await verifySigV4(request, { secretLookup, now: system.now(), region, service });

  const parsed = parseInput(operation.input, { labels, query: parseQuery(request), body: request.body });
  authorize(operation, principal, parsed);
  const input = validate(operation.input, parsed);

  return encodeOutput(operation, await call(dependencies, operation, principal, input), requestId);
}

/**
 * An account acts on its own resources only. As with IAM the ARN decides before anything is looked up, so the answer for another
 * account's resource says nothing about whether it exists.
 */
function authorize(operation: RestOperation<ScepServices>, principal: Principal, parsed: Readonly<Record<string, unknown>>): void {
  const arn = operation.resource === undefined ? undefined : parsed[operation.resource];
  const owner = typeof arn === 'string' ? arn.split(':', 5)[4] : undefined;
  if (owner === undefined || !/^\d{12}$/.test(owner) || owner === principal.accountId) return;
  throw new ServiceException(
    'AccessDeniedException',
    `User: ${principal.arn} is not authorized to perform: ${operation.action} on a resource of account ${owner}`,
  );
}

/** A list operation's NextToken is opened before its call and sealed after it; the service sees plain cursors. */
async function call(
  { services, mac }: ApiDependencies,
  operation: RestOperation<ScepServices>,
  principal: Principal,
  input: StructureOf<RestMembers>,
): Promise<object> {
  const limit = typeof input['MaxResults'] === 'number' ? input['MaxResults'] : pageSizeDefault;
  if (!operation.pagedBy) return operation.call(services, principal, input, { limit });

  const filter = Object.fromEntries(operation.pagedBy.map(name => [name, input[name]]));
  const scope = { operation: operation.name, accountId: principal.accountId, filter };
  const { NextToken } = input;
  const after = typeof NextToken === 'string' ? await openNextToken(mac, scope, NextToken) : undefined;
  const { next, ...output }: { next?: string } = await operation.call(services, principal, input, { limit, after });
  return next === undefined ? output : { ...output, NextToken: await sealNextToken(mac, scope, next) };
}

function failure(cause: unknown): ServiceException {
  const outage = outageMessage(cause);
  return outage === undefined
    ? new ServiceException('InternalServerException', 'An internal error occurred.', {}, { cause })
    : new ServiceException('ServiceUnavailable', outage, {}, { cause });
}
