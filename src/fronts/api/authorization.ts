/** IAM's decision on a request: which permissions it takes, the condition keys it comes with, and what the policies say (IAM User Guide, "Policy evaluation logic"). */
import { ServiceException, validationException } from '../../base/errors.ts';
import { type AccessRequest, evaluate } from '../../base/iam/evaluation.ts';
import type { Policy } from '../../base/iam/policy.ts';
import type { Home, Principal } from '../../base/resources.ts';
import type { Dependency, Operation, ParsedInput } from './operation.ts';
import { type ApiRequest, headerValues } from './request.ts';

/** Where the policies and tags that decide come from. */
export interface Access {
  /** The policies of the user, and the one that narrows a temporary credential. */
  policiesOf(principal: Principal): Promise<{ identity: readonly Policy[]; session?: Policy }>;
  /** Of a private CA; no other resource has one. */
  resourcePolicyOf(arn: string): Promise<Policy | undefined>;
  tagsOf(arn: string): Promise<Readonly<Record<string, string>>>;
}

export interface Authorization {
  operation: Operation<never>;
  principal: Principal;
  input: ParsedInput;
  request: ApiRequest;
  home: Home;
  now: number;
}

/** What a policy's patterns are held against must not grow with the body: no ARN and no modelled tag is longer. */
const textCharactersMax = 2048;
const requestTagsMax = 200;

type Context = Map<string, readonly string[]>;
type Policies = Awaited<ReturnType<Access['policiesOf']>>;

/** Throws AccessDeniedException unless the caller may do all that the operation takes. Nothing is looked up of a resource but its policy and tags. */
export async function authorize(access: Access, authorization: Authorization): Promise<void> {
  const { operation, principal, input, home } = authorization;
  const policies = await access.policiesOf(principal);
  const context = contextOf(authorization);
  const own: Dependency = {
    action: operation.action,
    resource: resourceOf(operation, input, home),
    ...(operation.context && { context: operation.context(input) }),
  };
  for (const permission of [own, ...(operation.dependencies?.(input, home) ?? [])]) {
    if (!(await isAllowed(access, policies, principal, permission, context))) throw denied(principal, permission);
  }
}

export function resourceOf(operation: Operation<never>, input: ParsedInput, home: Home): string {
  if (operation.resource === undefined) return '*';
  if (typeof operation.resource === 'function') return operation.resource(input, home);
  const arn = input[operation.resource];
  // One that is missing or no text is a ValidationException, for whoever may call the operation at all.
  return typeof arn === 'string' && arn.length <= textCharactersMax ? arn : '*';
}

/** A Deny anywhere decides. A caller from another account needs the resource's policy as well as its own. */
async function isAllowed(
  access: Access,
  { identity, session }: Policies,
  principal: Principal,
  permission: Dependency,
  context: Context,
): Promise<boolean> {
  const { action } = permission;
  const resource = permission.resource.slice(0, textCharactersMax);
  const resourcePolicy = resource.includes(':acm-pca:') ? await access.resourcePolicyOf(resource) : undefined;
  const policies = [...identity, ...(session ? [session] : []), ...(resourcePolicy ? [resourcePolicy] : [])];
  const ownContext = new Map([...context, ...Object.entries(permission.context ?? {}).map(bounded)]);
  if (resource !== '*' && policies.some(policy => policy.mentions('aws:resourcetag/'))) {
    for (const [key, value] of Object.entries(await access.tagsOf(resource)))
      ownContext.set(`aws:resourcetag/${key.toLowerCase()}`, [value]);
  }
  const { arn, accountId } = principal;
  const request: AccessRequest = { action, resource, context: ownContext, principal: { arn, accountId } };
  const ofIdentity = evaluate(identity, request);
  const ofSession = session ? evaluate([session], request) : 'allow';
  const ofResource = resourcePolicy ? evaluate([resourcePolicy], request) : 'implicitDeny';
  if ([ofIdentity, ofSession, ofResource].includes('explicitDeny')) return false;
  if (ofSession !== 'allow') return false;
  if (!isOwn(resource, accountId)) return ofIdentity === 'allow' && ofResource === 'allow';
  // Naming one's own account only lets its users' policies decide; naming the user decides.
  const byName = { ...request, principal: { arn, accountId: '' } };
  return ofIdentity === 'allow' || (resourcePolicy !== undefined && evaluate([resourcePolicy], byName) === 'allow');
}

function bounded([key, values]: [string, readonly string[]]): [string, readonly string[]] {
  return [key, values.map(value => value.slice(0, textCharactersMax))];
}

/** What is no ARN is nobody else's: the operation itself will refuse it. */
function isOwn(resource: string, accountId: string): boolean {
  const owner = resource.split(':', 5)[4];
  return owner === undefined || !/^\d{12}$/.test(owner) || owner === accountId;
}

/** The global condition keys (IAM User Guide, "AWS global condition context keys") and the tags of the request. */
function contextOf({ principal, input, request, home, now }: Authorization): Context {
  const context: Context = new Map([
    ['aws:principalarn', [principal.arn]],
    ['aws:principalaccount', [principal.accountId]],
    ['aws:principaltype', ['User']],
    ['aws:userid', [principal.userName]],
    ['aws:username', [principal.userName]],
    ['aws:sourceip', [request.source]],
    ['aws:currenttime', [new Date(now).toISOString()]],
    ['aws:epochtime', [String(Math.floor(now / 1000))]],
    ['aws:securetransport', ['false']],
    ['aws:requestedregion', [home.region]],
  ]);
  const [userAgent] = headerValues(request, 'user-agent');
  if (userAgent !== undefined) context.set('aws:useragent', [userAgent.slice(0, textCharactersMax)]);
  const tags = requestTags(input);
  const isTooMuch = ([key, value = '']: [string, string | undefined]) => key.length > textCharactersMax || value.length > textCharactersMax;
  if (tags.length > requestTagsMax || tags.some(isTooMuch))
    throw validationException('The tags are more, or longer, than any resource may have.');
  for (const [key, value] of tags) if (value !== undefined) context.set(`aws:requesttag/${key.toLowerCase()}`, [value]);
  if (tags.length > 0) context.set('aws:tagkeys', [...new Set(tags.map(([key]) => key))]);
  return context;
}

/** The tags that a request sets, or names to be taken away: a map here, a list of pairs in acm-pca. Not yet validated. */
function requestTags({ Tags, TagKeys }: ParsedInput): [key: string, value: string | undefined][] {
  if (Array.isArray(TagKeys)) return TagKeys.filter(key => typeof key === 'string').map(key => [key, undefined]);
  if (Array.isArray(Tags)) return Tags.filter(isTag).map(({ Key, Value }) => [Key, Value ?? '']);
  if (typeof Tags !== 'object' || Tags === null) return [];
  return Object.entries(Tags).filter((tag): tag is [string, string] => typeof tag[1] === 'string');
}

function isTag(tag: unknown): tag is { Key: string; Value?: string } {
  return typeof tag === 'object' && tag !== null && 'Key' in tag && typeof tag.Key === 'string';
}

function denied({ arn }: Principal, { action, resource }: Dependency): ServiceException {
  const on = resource === '*' ? '' : ` on resource: ${resource}`;
  return new ServiceException('AccessDeniedException', `User: ${arn} is not authorized to perform: ${action}${on}`);
}
