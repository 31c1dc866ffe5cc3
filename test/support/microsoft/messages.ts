/** What goes in and out of the double of Microsoft's services, whether over a socket or in process. */

export interface MicrosoftRequest {
  method: string;
  /** Path and query. */
  url: string;
  /** Names in lower case. */
  headers: Readonly<Record<string, string | undefined>>;
  body: Buffer;
}

export interface MicrosoftAnswer {
  kind: 'answer';
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** `hang`: no answer ever comes. `reset`: the connection ends, before an answer or in the middle of its body. */
export type MicrosoftOutcome = MicrosoftAnswer | { kind: 'hang' } | { kind: 'reset'; middleOf?: MicrosoftAnswer };

export type Route =
  | 'token'
  | 'endpoints'
  | 'validateRequest'
  | 'successNotification'
  | 'failureNotification'
  | 'downloadRevocationRequests'
  | 'uploadRevocationResults';

export function json(status: number, value: unknown, headers: Record<string, string> = {}): MicrosoftAnswer {
  const content = { 'content-type': 'application/json; charset=utf-8', ...headers };
  return { kind: 'answer', status, headers: content, body: Buffer.from(JSON.stringify(value)) };
}

/** In the form of Microsoft Graph and of Intune. */
export function jsonError(status: number, code: string, message: string): MicrosoftAnswer {
  return json(status, { error: { code, message, innerError: {} } });
}
