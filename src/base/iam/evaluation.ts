/** What policies say about a request (IAM User Guide, "Policy evaluation logic"): an explicit Deny overrides, else an Allow allows, else it is denied. */
import type { RequestContext } from './pattern.ts';
import type { Policy } from './policy.ts';
import type { Requester } from './principals.ts';

export interface AccessRequest {
  /** Such as `pca-connector-scep:GetConnector`. */
  action: string;
  /** An ARN, or `*` when the action has none. */
  resource: string;
  /** Keys in lower case; an absent key is absent. Several values: a multivalued key. */
  context: RequestContext;
  /** Who asks, for resource policies only. */
  principal?: Requester;
}

export type Decision = 'explicitDeny' | 'allow' | 'implicitDeny';

export function evaluate(policies: readonly Policy[], { action, resource, context, principal }: AccessRequest): Decision {
  const foldedAction = action.toLowerCase();
  let decision: Decision = 'implicitDeny';
  for (const { statements } of policies) {
    for (const statement of statements) {
      const { effect } = statement;
      if (effect === 'Allow' && decision === 'allow') continue;
      if (!statement.principal(principal)) continue;
      if (!statement.action(foldedAction, context) || !statement.resource(resource, context)) continue;
      if (!statement.conditions.every(condition => condition(context))) continue;
      if (effect === 'Deny') return 'explicitDeny';
      decision = 'allow';
    }
  }
  return decision;
}
