/** Calls of the operations that no AWS client knows, signed with somebody's credentials, and policies to give them. */
import type { ApiServer } from './api-server.ts';
import { accountId, region } from './api-server.ts';
import { fetchSigned, type SigningCredentials } from './signed-request.ts';

export interface Answered {
  status: number;
  /** The exception's name. */
  type: string | null;
  answer: Record<string, unknown>;
}

/** Calls as whoever has these credentials, by the server's clock. */
export function callAs(server: Pick<ApiServer, 'url' | 'now'> & { region?: string }, credentials: SigningCredentials) {
  return async (method: string, path: string, body?: object): Promise<Answered> => {
    const request = { method, url: server.url + path, ...(body && { body: JSON.stringify(body) }) };
    const response = await fetchSigned(request, { credentials, region: server.region ?? region, signingDate: new Date(server.now()) });
    const text = await response.text();
    const answer = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    return { status: response.status, type: response.headers.get('x-amzn-ErrorType'), answer };
  };
}

export function statement(Action: string, Resource = '*') {
  return { Effect: 'Allow', Action, Resource };
}

export function policyOf(...Statement: object[]): string {
  return JSON.stringify({ Version: '2012-10-17', Statement });
}

export function allow(action: string, resource?: string): string {
  return policyOf(statement(action, resource));
}

export const everything = allow('*');

/** Calls as a new user with this policy. */
export async function newCaller(server: ApiServer, UserName: string, PolicyDocument: string): Promise<ReturnType<typeof callAs>> {
  const administrator = callAs(server, server.credentials);
  const users = '/scep-connector/v1/users';
  await administrator('POST', users, { UserName });
  const { status } = await administrator('PUT', `${users}/${UserName}/policies/main`, { PolicyDocument });
  if (status !== 204) throw new Error(`the policy of ${UserName} was answered with ${status}`);
  return callAs(server, await server.accessKeys.createAccessKey({ accountId, userName: UserName }));
}
