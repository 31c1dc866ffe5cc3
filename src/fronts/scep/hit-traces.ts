/** What every SCEP hit leaves: a line in the log and a record in the audit trail, of which strangers get a limited number. */
import { type AuditEvent, type Log, type ScepCall, scepCalled, scepOperationCharactersMax } from '../../base/events.ts';
import type { System } from '../../base/system.ts';
import type { EnrolmentEndpoint, NamedConnector } from '../../service/scep-requests.ts';
import { type Answer, errorCodeOf } from './answers.ts';
import { StrangerLimit } from './stranger-limit.ts';

/** What is noted of a hit while it is answered. */
export interface Hit {
  /** As the client sent it; undefined when that cannot be read. */
  operation: string | undefined;
  source: string;
  /** The connector that is asked for, whether or not there is one. */
  asked?: { accountId: string; connectorId: string };
  /** The one that there is, which a URL names with a wrong secret, too. */
  named?: NamedConnector;
  endpoint?: EnrolmentEndpoint;
  messageType?: string;
  transactionID?: string;
  outcome?: string;
  reason?: string;
}

/** The HTTP request of a hit, as far as it could be read. */
export interface HitRequest {
  method?: string | undefined;
  /** The values of the Host headers: one, none from old clients, and more of nobody honest. */
  hosts: readonly string[];
  userAgent: string | undefined;
}

interface HitTracesParts {
  /** Keeps the record of a hit. */
  record(event: AuditEvent): Promise<void>;
  system: System;
  log: Log;
}

interface HitEnd {
  answer: Answer;
  /** Of HTTP. Undefined where nothing could be answered. */
  statusCode: number | undefined;
  requestId: string;
}

const userAgentCharactersMax = 256;

export class HitTraces {
  readonly #parts: HitTracesParts;
  readonly #strangers: StrangerLimit;

  constructor(parts: HitTracesParts) {
    this.#parts = parts;
    this.#strangers = new StrangerLimit(parts);
  }

  async leave(hit: Hit, request: HitRequest, end: HitEnd): Promise<void> {
    const isRecorded = hit.endpoint !== undefined || this.#admitStranger(hit);
    this.#logLine(hit, request, { ...end, isRecorded });
    if (isRecorded) await this.#parts.record(scepCalled(callOf(hit, request, end)));
  }

  /** Who has no connector's secret can be anybody. */
  #admitStranger({ named }: Hit): boolean {
    const { isRecorded, notRecorded } = this.#strangers.count(named?.connectorId);
    if (notRecorded > 0) this.#parts.log.warn({ ...named, requests: notRecorded }, `${notRecorded} more were not recorded`);
    return isRecorded;
  }

  #logLine(hit: Hit, { method, userAgent }: HitRequest, { statusCode, requestId, isRecorded }: HitEnd & { isRecorded: boolean }): void {
    const { operation, source, asked, messageType, transactionID, outcome, reason } = hit;
    const line = {
      operation: operation?.slice(0, scepOperationCharactersMax),
      method,
      source,
      userAgent: userAgent?.slice(0, userAgentCharactersMax),
      ...asked,
      messageType,
      transactionID,
      outcome,
      reason,
      statusCode,
      requestId,
      ...(!isRecorded && { isRecorded }),
    };
    this.#parts.log.info(line, 'scep request');
  }
}

function callOf(hit: Hit, { method, userAgent, hosts }: HitRequest, { answer, requestId }: HitEnd): ScepCall {
  const errorCode = errorCodeOf(answer);
  return {
    operation: operationOf(method, hit.operation),
    ...(hit.operation && { sentOperation: hit.operation }),
    ...(method !== undefined && { method }),
    ...hit.named,
    source: hit.source,
    requestId,
    outcome: hit.outcome ?? 'error',
    ...(userAgent !== undefined && { userAgent }),
    ...(hosts[0] !== undefined && { host: hosts[0] }),
    ...(hit.messageType !== undefined && { messageType: hit.messageType }),
    ...(hit.transactionID !== undefined && { transactionID: hit.transactionID }),
    ...(errorCode !== undefined && { error: { code: errorCode, message: hit.reason ?? '' } }),
  };
}

/** CloudTrail's names of the operations. */
function operationOf(method: string | undefined, operation: string | undefined): ScepCall['operation'] {
  if (operation === 'GetCACaps' || operation === 'GetCACert' || operation === 'GetNextCACert') return operation;
  if (operation !== 'PKIOperation') return 'UnsupportedOperation';
  return method === 'POST' ? 'PKIOperationPost' : 'PKIOperationGet';
}
