/** Why a command cannot do its work with what it was given: the message is one line for the operator and says what to change. */

export class StartError extends Error {
  override readonly name = 'StartError';
}

/** The system's short name for a failure, such as EACCES. */
export function systemErrorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
