/** Calls of the operations that no AWS client knows, signed with somebody's credentials, and policies to give them. */
import type { ApiServer } from './api-server.ts';
import { region } from './api-server.ts';
import { fetchSigned, type SigningCredentials } from './signed-request.ts';

export interface Answered {
  status: number;
  /** The exception's name. */
  type: string | null;
  answer: Record<string, unknown>;
}

/** Calls as whoever has these credentials. */
export function callAs(server: ApiServer, credentials: SigningCredentials) {
  return async (method: string, path: string, body?: object): Promise<Answered> => {
    const request = { method, url: server.url + path, ...(body && { body: JSON.stringify(body) }) };
    const response = await fetchSigned(request, { credentials, region });
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
