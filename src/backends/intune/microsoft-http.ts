/** Requests to Microsoft's services over HTTPS: bounded in time and size, and never sent on to where an answer points. */
import type { z } from 'zod';
import { MicrosoftError, type MicrosoftService } from './microsoft-error.ts';

export const microsoftHttpLimits = {
  /** Of one call. */
  callTimeoutMs: 10_000,
  answerBytesMax: 1024 * 1024,
} as const;

export interface MicrosoftRequest {
  service: MicrosoftService;
  method: 'GET' | 'POST';
  url: string;
  headers: Readonly<Record<string, string>>;
  body?: string;
}

export interface MicrosoftAnswer {
  status: number;
  /** Of Retry-After, as it was sent. */
  retryAfter: string | undefined;
  body: string;
}

/** The network, handed in. Throws MicrosoftError when there is no whole answer in time. */
export type Transport = (request: MicrosoftRequest, timeoutMs: number) => Promise<MicrosoftAnswer>;

export const fetchTransport: Transport = async (request, timeoutMs) => {
  const { service, method, url, headers, body } = request;
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(url, { method, headers, redirect: 'manual', signal, ...(body !== undefined && { body }) });
    return {
      status: response.status,
      retryAfter: response.headers.get('retry-after') ?? undefined,
      body: await readBody(response, service),
    };
  } catch (cause) {
    if (cause instanceof MicrosoftError) throw cause;
    throw unreachable(service, url, cause, timeoutMs);
  }
};

async function readBody(response: Response, service: MicrosoftService): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > microsoftHttpLimits.answerBytesMax) {
      throw new MicrosoftError(
        { reason: 'unreachable', service },
        `${service} answers with more than ${microsoftHttpLimits.answerBytesMax} bytes.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function unreachable(service: MicrosoftService, url: string, cause: unknown, timeoutMs: number): MicrosoftError {
  const isLate = cause instanceof Error && cause.name === 'TimeoutError';
  const { host } = new URL(url);
  const what = isLate ? `does not answer within ${timeoutMs} ms` : `cannot be reached (${networkReason(cause)})`;
  return new MicrosoftError({ reason: 'unreachable', service }, `${service} at ${host} ${what}.`, { cause });
}

/** What fetch hides behind its "fetch failed". */
function networkReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return 'unknown';
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}

/** Undefined when it is no JSON of that form. */
export function parseJson<Form extends z.ZodType>(form: Form, text: string): z.output<Form> | undefined {
  try {
    return form.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Whether the host is, or is below, one of those that a bearer token may be sent to. */
export function isAllowedHost(url: URL, hosts: readonly string[]): boolean {
  return hosts.some(host => url.hostname === host || url.hostname.endsWith(`.${host}`));
}
