/** Client tokens: a create that is repeated with its token within five minutes makes nothing new. */
import { createHash } from 'node:crypto';
import { deleteClientTokensBefore, findClientToken, insertClientToken } from '../backends/store/client-tokens.ts';
import type { Query } from '../backends/store/database.ts';
import type { ServiceException } from '../base/errors.ts';

/** AWS: "client tokens time out after five minutes". */
const clientTokenLifeMs = 5 * 60_000;

export const tokenReusedMessage = 'The client token was used less than five minutes ago with other parameters.';

interface CreateRequest {
  accountId: string;
  /** What the token is used for: a client may use one token for two operations. */
  operation: 'CreateConnector' | 'CreateChallenge' | 'CreateDynamicChallenge' | 'CreateCertificateAuthority' | 'IssueCertificate';
  /** Absent: every request is a new one. */
  ClientToken: string | undefined;
  /** What makes two requests the same. */
  parameters: object;
  now: number;
  /** The refusal of a token that was used with other parameters, for the resource it made. */
  mismatch: (resourceArn: string) => ServiceException;
}

/**
 * The ARN that `create` makes, or that it made when this token was first used. Call it within the transaction that `create` writes in:
 * transactions are serialised, so of many requests with one token only the first creates.
 */
export async function createOnce(query: Query, request: CreateRequest, create: () => Promise<string>): Promise<string> {
  const { accountId, operation, ClientToken, now } = request;
  if (ClientToken === undefined) return create();

  await deleteClientTokensBefore(query, now - clientTokenLifeMs);
  const parametersHash = hashOf(request.parameters);
  const used = await findClientToken(query, { accountId, operation, clientToken: ClientToken });
  if (used && used.parameters_hash !== parametersHash) {
    throw request.mismatch(used.resource_arn);
  }
  if (used) return used.resource_arn;

  const arn = await create();
  await insertClientToken(query, {
    account_id: accountId,
    operation,
    client_token: ClientToken,
    parameters_hash: parametersHash,
    resource_arn: arn,
    created_at: now,
  });
  return arn;
}

function hashOf(parameters: object): string {
  return createHash('sha256').update(JSON.stringify(parameters, inKeyOrder)).digest('hex');
}

/** The order in which a client writes its members means nothing. */
function inKeyOrder(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
