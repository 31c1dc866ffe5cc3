/** What goes wrong between a connector and Microsoft, and whether time or an administrator mends it. */

/** `The issuer` is the connector's own, asked for its keys as Entra ID does. */
export type MicrosoftService = 'Entra ID' | 'Microsoft Graph' | 'Intune' | 'The issuer';

/**
 * `unreachable` passes: no answer, or one that is none. The others stay until an administrator changes something in Entra ID: it gives no token, it does
 * not know the application, or the application lacks a permission.
 */
export type MicrosoftErrorReason = 'unreachable' | 'noAccess' | 'applicationNotFound' | 'actionDenied';

interface MicrosoftErrorParts {
  reason: MicrosoftErrorReason;
  service: MicrosoftService;
  /** The permission that is missing. */
  permission?: string;
  /** When the service itself said to come back. */
  retryAfterMs?: number;
}

/** The message is a sentence or two for an administrator: what is wrong, and what to change. It holds no token and no challenge. */
export class MicrosoftError extends Error {
  override readonly name = 'MicrosoftError';
  readonly reason: MicrosoftErrorReason;
  readonly service: MicrosoftService;
  readonly permission: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor({ reason, service, permission, retryAfterMs }: MicrosoftErrorParts, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.service = service;
    this.permission = permission;
    this.retryAfterMs = retryAfterMs;
  }
}

const shownCharactersMax = 400;

/** Text of Microsoft's for a log, a header or an answer: printable ASCII, and not too much of it. */
export function shownText(text: string): string {
  const plain = text.replaceAll(/[^\u0020-\u007e]+/g, ' ').trim();
  return plain.length > shownCharactersMax ? `${plain.slice(0, shownCharactersMax)}…` : plain;
}
