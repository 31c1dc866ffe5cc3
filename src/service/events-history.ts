/** The audit trail as its account sees it: records in CloudTrail's form, newest first, page by page. */
import { findAuditEventId, firstAuditEventId, listAuditEvents } from '../backends/store/audit-events.ts';
import type { Database } from '../backends/store/database.ts';
import { type AuditCategory, type CloudTrailRecord, toCloudTrail } from '../base/cloud-trail.ts';
import { type Principal, parseConnectorArn } from '../base/resources.ts';
import type { PageRequest } from './connectors.ts';

/** How many events a page looks at: one that finds too few of them that fit has a next page all the same. */
export const eventsHistoryLimits = { scanRowsMax: 2000 } as const;

export interface EventFilter {
  /** The first and the last instant. */
  startAt?: number | undefined;
  endAt?: number | undefined;
  name?: string | undefined;
  category?: AuditCategory | undefined;
  connectorArn?: string | undefined;
  principalArn?: string | undefined;
  outcome?: 'success' | 'failure' | undefined;
}

export class Events {
  readonly #database: Database;

  constructor({ database }: { database: Database }) {
    this.#database = database;
  }

  async listEvents(
    { accountId }: Principal,
    filter: EventFilter,
    { limit, after }: PageRequest,
  ): Promise<{ Events: CloudTrailRecord[]; next?: string }> {
    const { query } = this.#database;
    const { startAt, endAt, name, category, connectorArn, principalArn: principal, outcome } = filter;
    const scope = {
      accountId,
      connectorId: connectorArn === undefined ? undefined : parseConnectorArn(connectorArn)?.connectorId,
      fromId: startAt === undefined ? undefined : firstAuditEventId(startAt),
      beforeId: earlier(after, endAt === undefined ? undefined : firstAuditEventId(endAt + 1)),
    };
    const scanEnd = await findAuditEventId(query, scope, eventsHistoryLimits.scanRowsMax - 1);
    const scanned = scanEnd === undefined ? scope : { ...scope, fromId: scanEnd };
    // One more than asked for tells whether there is a next page.
    const rows = await listAuditEvents(query, { ...scanned, name, category, principal, outcome, limit: limit + 1 });
    const page = rows.slice(0, limit);
    const next = rows.length > limit ? page.at(-1)?.event_id : scanEnd;
    return { Events: page.map(toCloudTrail), ...(next !== undefined && { next }) };
  }
}

function earlier(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? a : b;
}
