/** What goes wrong on purpose at the double of Microsoft's services: at the N-th call of a route, before or after it has done its work. */
import { json, type MicrosoftAnswer, type MicrosoftOutcome, type Route } from './messages.ts';

export type FaultKind =
  | { status: number; headers?: Record<string, string> }
  /** Of Intune's answers. */
  | { code: string; errorDescription?: string }
  | 'malformedJson'
  | 'emptyBody'
  | 'htmlBody'
  | 'missingCode'
  | 'redirect'
  | 'hang'
  | 'reset'
  | 'resetMiddle';

export interface Fault {
  route: Route;
  kind: FaultKind;
  /** Which call from now on is the first, 1 if it is not said, and how many. */
  nth?: number;
  times?: number;
  /** `after`: the call has done its work, and only its answer is lost. */
  phase?: 'before' | 'after';
}

interface Armed extends Fault {
  toWait: number;
  left: number;
}

export class Faults {
  #armed: Armed[] = [];
  /** How many have been met. */
  met = 0;

  add(fault: Fault): void {
    this.#armed.push({ ...fault, toWait: (fault.nth ?? 1) - 1, left: fault.times ?? 1 });
  }

  clear(): void {
    this.#armed = [];
  }

  /** The fault that this call of the route meets. */
  take(route: Route): Fault | undefined {
    let met: Armed | undefined;
    for (const fault of this.#armed) {
      if (fault.route !== route || fault.left === 0) continue;
      if (fault.toWait > 0) fault.toWait -= 1;
      else met ??= fault;
    }
    if (met === undefined) return undefined;
    met.left -= 1;
    this.met += 1;
    return met;
  }
}

/** In place of the answer. */
export function faultyOutcome(kind: FaultKind, answer: MicrosoftAnswer): MicrosoftOutcome {
  const ok = (body: string, type = 'application/json') => ({
    kind: 'answer' as const,
    status: 200,
    headers: { 'content-type': type },
    body: Buffer.from(body),
  });
  if (typeof kind === 'object') {
    if ('code' in kind) return json(200, { code: kind.code, errorDescription: kind.errorDescription ?? '' });
    const error = { code: 'InternalError', message: '{ "_version": 3, "Message": "An internal server error has occurred" }' };
    return json(kind.status, { error }, kind.headers);
  }
  switch (kind) {
    case 'malformedJson':
      return ok('{"code":"Succ');
    case 'emptyBody':
      return ok('');
    case 'htmlBody':
      return ok('<html><body>Our services are not available right now</body></html>', 'text/html');
    case 'missingCode':
      return ok('{"errorDescription":""}');
    case 'redirect':
      return { kind: 'answer', status: 302, headers: { location: 'https://example.com/' }, body: Buffer.alloc(0) };
    case 'hang':
      return { kind: 'hang' };
    case 'reset':
      return { kind: 'reset' };
    case 'resetMiddle':
      return { kind: 'reset', middleOf: answer };
    default:
      return kind satisfies never;
  }
}
