/** The audit trail's operation, which AWS does not have under this service: CloudTrail's LookupEvents for what is recorded here. */
import { violation, violationsException } from '../../base/errors.ts';
import type { Events } from '../../service/events-history.ts';
import { pagingMembers } from './pagination.ts';
import { type RestOperation, restOperation } from './rest-json.ts';
import { connectorArnText } from './scep-operations.ts';

export interface EventServices {
  events: Events;
}

/** Epoch seconds or ISO 8601. */
const instant = {
  type: 'string',
  pattern: '^(\\d{1,11}(\\.\\d{1,3})?|\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,3})?(Z|[+-]\\d{2}:\\d{2}))$',
} as const;
const eventName = { type: 'string', minLength: 1, maxLength: 64, pattern: '^[A-Za-z]+$' } as const;
const category = { type: 'string', values: ['Management', 'Data', 'Service'] } as const;
const principalArn = { type: 'string', minLength: 20, maxLength: 2048, pattern: '^arn:aws(-[a-z]+)*:iam::\\d{12}:[!-~]+$' } as const;
const outcome = { type: 'string', values: ['success', 'failure'] } as const;
/** A record has up to 130,000 characters. */
const eventsPerPageMax = 100;

export const eventOperations: readonly RestOperation<EventServices>[] = [
  restOperation({
    name: 'ListEvents',
    method: 'GET',
    uri: '/scep-connector/v1/events',
    statusCode: 200,
    action: 'scep-connector:ListEvents',
    resource: 'ConnectorArn',
    readOnly: true,
    input: {
      StartTime: { place: 'query', shape: instant },
      EndTime: { place: 'query', shape: instant },
      EventName: { place: 'query', shape: eventName },
      Category: { place: 'query', shape: category },
      ConnectorArn: { place: 'query', shape: connectorArnText },
      PrincipalArn: { place: 'query', shape: principalArn },
      Outcome: { place: 'query', shape: outcome },
      ...pagingMembers(eventsPerPageMax),
    },
    // CloudTrail's own form, not a structure of this API's.
    output: { Events: { shape: { type: 'list', member: { type: 'map' } } }, NextToken: { shape: { type: 'string' } } },
    pagedBy: ['StartTime', 'EndTime', 'EventName', 'Category', 'ConnectorArn', 'PrincipalArn', 'Outcome'],
    call: ({ events }: EventServices, principal, input, page) => {
      const { StartTime, EndTime, EventName, Category, ConnectorArn, PrincipalArn, Outcome } = input;
      const startAt = parseInstant('startTime', StartTime);
      const endAt = parseInstant('endTime', EndTime);
      if (startAt !== undefined && endAt !== undefined && startAt > endAt) refuse('startTime', 'Member must not be after endTime');
      return events.listEvents(
        principal,
        {
          startAt,
          endAt,
          name: EventName,
          category: category.values.find(value => value === Category),
          connectorArn: ConnectorArn,
          principalArn: PrincipalArn,
          outcome: outcome.values.find(value => value === Outcome),
        },
        page,
      );
    },
  }),
];

/** Milliseconds. What is before 1970 is before everything that is recorded. */
function parseInstant(path: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const at = /^[\d.]+$/.test(text) ? Math.round(Number(text) * 1000) : Date.parse(text);
  return Number.isNaN(at) ? refuse(path, 'Member must be a timestamp') : Math.max(0, at);
}

function refuse(path: string, constraint: string): never {
  throw violationsException([violation(path, constraint)]);
}
