/** An operation of the API as a row of a table: what the protocols, authorisation, throttling and the audit trail have in common about it. */
import type { ServiceExceptionName } from '../../base/errors.ts';
import type { Home, Principal } from '../../base/resources.ts';
import type { PageRequest } from '../../service/connectors.ts';
import type { ApiResponse } from './request.ts';
import type { Members, StructureOf } from './validation.ts';

/** A request's members as sent, not yet validated. */
export type ParsedInput = Readonly<Record<string, unknown>>;

/** A permission beyond the operation's own. */
export interface Dependency {
  action: string;
  resource: string;
  /** Condition keys in lower case. */
  context?: Readonly<Record<string, readonly string[]>>;
}

export interface Operation<Services, I extends Members = Members> {
  name: string;
  /** The IAM action. Its prefix names the service. */
  action: string;
  /** The ARN it acts on: the input member that holds it, or how it is put together; `*` without. */
  resource?: (keyof I & string) | ((input: ParsedInput, home: Home) => string);
  /** What else the caller must be allowed, as the service authorization reference says. */
  dependencies?: (input: ParsedInput, home: Home) => readonly Dependency[];
  /** Condition keys of its own, in lower case. */
  context?: (input: ParsedInput) => Readonly<Record<string, readonly string[]>>;
  /** The exceptions AWS's model gives it beside AccessDenied, InternalServer, Throttling and Validation. */
  errors?: readonly ServiceExceptionName[];
  /** Changes nothing, and so leaves no response in the audit trail. */
  readOnly?: true;
  input: I;
  /** Empty: the response has no body. */
  output: Members;
  /** A list operation: the input members that its NextToken is bound to. It has MaxResults and NextToken too. */
  pagedBy?: readonly (keyof I & string)[];
  call(services: Services, principal: Principal, input: StructureOf<I>, page: PageRequest): Promise<object>;
}

/** What a protocol makes of a request. */
export interface Match<Services> {
  operation: Operation<Services>;
  parse(): ParsedInput;
  encode(output: object, requestId: string): ApiResponse;
}
