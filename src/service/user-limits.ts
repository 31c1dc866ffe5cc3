/** What a user, its policies and its access keys may be, and how many of each there may be. */
import { ServiceException, validationException } from '../base/errors.ts';
import { PolicyError, parsePolicy } from '../base/iam/policy.ts';

/** IAM's, but for the two names that a URL's path cannot hold (RFC 3986 section 5.2.4). */
const namePattern = '^(?!\\.{1,2}$)[\\w+=,.@-]+$';
export const userNameForm = { minLength: 1, maxLength: 64, pattern: namePattern } as const;
export const policyNameForm = { minLength: 1, maxLength: 128, pattern: namePattern } as const;

/** The characters IAM takes in a document: anything else can be written as \u and four digits. */
const documentPattern = '^[\\t\\n\\r -\\u00ff]*$';
/** AWS counts 2,048 for all policies of a user together; room for one that names many resources costs little. */
export const policyDocumentForm = { minLength: 1, maxLength: 10_240, pattern: documentPattern } as const;
/** As AWS STS. */
export const sessionPolicyForm = { minLength: 1, maxLength: 2_048, pattern: documentPattern } as const;

/** The lives AWS STS gives a session (GetSessionToken). */
export const sessionSeconds = { min: 900, max: 129_600, default: 43_200 } as const;

/** AWS has two keys a user, which leaves no room to change the keys of several machines one after the other. */
const limits = {
  UsersPerAccount: { value: 1000, ResourceType: 'User', items: 'users in an account' },
  PoliciesPerUser: { value: 10, ResourceType: 'Policy', items: 'policies of a user' },
  AccessKeysPerUser: { value: 10, ResourceType: 'AccessKey', items: 'access keys of a user' },
  SessionsPerUser: { value: 1000, ResourceType: 'AccessKey', items: 'temporary access keys of a user' },
} as const;

/** Throws when one more than `count` would be too many. */
export function checkLimit(QuotaCode: keyof typeof limits, count: number): void {
  const { value, ResourceType, items } = limits[QuotaCode];
  if (count < value) return;
  throw new ServiceException(
    'ServiceQuotaExceededException',
    `There are ${count} ${items}, and ${value} is the limit. Delete some first.`,
    {
      ResourceType,
      ServiceCode: 'scep-connector',
      QuotaCode,
    },
  );
}

export function checkUserName(name: string): void {
  if (!hasForm(name, userNameForm)) throw validationException('A user name is 1 to 64 letters, digits or _ + = , . @ -');
}

export function checkPolicyName(name: string): void {
  if (!hasForm(name, policyNameForm)) throw validationException('A policy name is 1 to 128 letters, digits or _ + = , . @ -');
}

export function checkPolicyDocument(text: string, form: Form): void {
  if (text.length > form.maxLength) throw validationException(`The policy has ${text.length} characters, more than ${form.maxLength}.`);
  if (!new RegExp(form.pattern, 'u').test(text)) {
    throw validationException('The policy has a character beyond U+00FF or a control character. Write it as \\u and four digits.');
  }
  try {
    parsePolicy(text, 'identity');
  } catch (cause) {
    if (!(cause instanceof PolicyError)) throw cause;
    throw new ServiceException('ValidationException', cause.message, { Reason: 'OTHER' }, { cause });
  }
}

interface Form {
  minLength: number;
  maxLength: number;
  pattern: string;
}

function hasForm(text: string, { minLength, maxLength, pattern }: Form): boolean {
  return text.length >= minLength && text.length <= maxLength && new RegExp(pattern, 'u').test(text);
}
