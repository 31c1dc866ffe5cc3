/** Operations that AWS does not have as data, under /scep-connector/v1: users, their policies and access keys, in the terms of IAM and STS. */
import { ServiceException } from '../../base/errors.ts';
import type { Home } from '../../base/resources.ts';
import { type AccessKeys, isTemporary } from '../../service/access-keys.ts';
import { policyDocumentForm, policyNameForm, sessionPolicyForm, sessionSeconds, userNameForm } from '../../service/user-limits.ts';
import { type Users, userArn } from '../../service/users.ts';
import type { ParsedInput } from './operation.ts';
import { pagingMembers } from './pagination.ts';
import { type RestOperation, restOperation } from './rest-json.ts';
import type { Shape } from './validation.ts';

export interface ConnectorServices {
  users: Users;
  accessKeys: AccessKeys;
}

const text = { type: 'string' } as const;
const sensitiveText = { type: 'string', sensitive: true } as const;
const timestamp = { type: 'timestamp' } as const;
const userName = { type: 'string', ...userNameForm } as const;
const policyName = { type: 'string', ...policyNameForm } as const;
const accessKeyId = { type: 'string', minLength: 16, maxLength: 128, pattern: '^\\w+$' } as const;
const accessKeyStatus = { type: 'string', values: ['ACTIVE', 'INACTIVE'] } as const;

const users = '/scep-connector/v1/users';
const ofUser = { UserName: { place: 'label', shape: userName, required: true } } as const;
const ofPolicy = { ...ofUser, PolicyName: { place: 'label', shape: policyName, required: true } } as const;
const ofAccessKey = { ...ofUser, AccessKeyId: { place: 'label', shape: accessKeyId, required: true } } as const;
const paging = pagingMembers(1000);

const user: Shape = {
  type: 'structure',
  members: { UserName: { shape: text }, Arn: { shape: text }, CreatedAt: { shape: timestamp } },
};
const newAccessKey: Shape = {
  type: 'structure',
  members: {
    UserName: { shape: text },
    AccessKeyId: { shape: text },
    SecretAccessKey: { shape: sensitiveText },
    CreatedAt: { shape: timestamp },
  },
};
const accessKey: Shape = {
  type: 'structure',
  members: {
    UserName: { shape: text },
    AccessKeyId: { shape: text },
    Status: { shape: text },
    CreatedAt: { shape: timestamp },
    ExpiresAt: { shape: timestamp },
  },
};
const credentials: Shape = {
  type: 'structure',
  members: {
    AccessKeyId: { shape: text },
    SecretAccessKey: { shape: sensitiveText },
    SessionToken: { shape: sensitiveText },
    Expiration: { shape: timestamp },
  },
};

function namedUser({ UserName }: ParsedInput, { accountId }: Home): string {
  return typeof UserName === 'string' ? userArn({ accountId, userName: UserName }) : '*';
}

/**
 * As with IAM and STS a temporary credential changes neither users nor keys, whatever its user may do: a key it made would outlive it, and one without
 * its session policy would outdo it.
 */
function permanentOnly(operation: RestOperation<ConnectorServices>): RestOperation<ConnectorServices> {
  return {
    ...operation,
    async call(services, principal, input, page) {
      if (isTemporary(principal)) {
        throw new ServiceException(
          'AccessDeniedException',
          `A temporary credential cannot call ${operation.name}. Use a permanent access key.`,
        );
      }
      return operation.call(services, principal, input, page);
    },
  };
}

export const connectorOperations: readonly RestOperation<ConnectorServices>[] = [
  permanentOnly(
    restOperation({
      name: 'CreateUser',
      method: 'POST',
      uri: users,
      statusCode: 200,
      action: 'scep-connector:CreateUser',
      resource: namedUser,
      input: { UserName: { place: 'body', shape: userName, required: true } },
      output: { User: { shape: user } },
      call: (services, principal, { UserName }) => services.users.createUser(principal, { UserName }),
    }),
  ),
  restOperation({
    name: 'ListUsers',
    method: 'GET',
    uri: users,
    statusCode: 200,
    action: 'scep-connector:ListUsers',
    readOnly: true,
    input: paging,
    output: { Users: { shape: { type: 'list', member: user } }, NextToken: { shape: text } },
    pagedBy: [],
    call: (services, principal, _input, page) => services.users.listUsers(principal, page),
  }),
  permanentOnly(
    restOperation({
      name: 'DeleteUser',
      method: 'DELETE',
      uri: `${users}/{UserName}`,
      statusCode: 204,
      action: 'scep-connector:DeleteUser',
      resource: namedUser,
      input: ofUser,
      output: {},
      call: (services, principal, input) => services.users.deleteUser(principal, input),
    }),
  ),
  permanentOnly(
    restOperation({
      name: 'PutUserPolicy',
      method: 'PUT',
      uri: `${users}/{UserName}/policies/{PolicyName}`,
      statusCode: 204,
      action: 'scep-connector:PutUserPolicy',
      resource: namedUser,
      input: { ...ofPolicy, PolicyDocument: { place: 'body', shape: { type: 'string', ...policyDocumentForm }, required: true } },
      output: {},
      call: (services, principal, input) => services.users.putUserPolicy(principal, input),
    }),
  ),
  restOperation({
    name: 'GetUserPolicy',
    method: 'GET',
    uri: `${users}/{UserName}/policies/{PolicyName}`,
    statusCode: 200,
    action: 'scep-connector:GetUserPolicy',
    readOnly: true,
    resource: namedUser,
    input: ofPolicy,
    output: { UserName: { shape: text }, PolicyName: { shape: text }, PolicyDocument: { shape: text } },
    call: (services, principal, input) => services.users.getUserPolicy(principal, input),
  }),
  restOperation({
    name: 'ListUserPolicies',
    method: 'GET',
    uri: `${users}/{UserName}/policies`,
    statusCode: 200,
    action: 'scep-connector:ListUserPolicies',
    readOnly: true,
    resource: namedUser,
    input: { ...ofUser, ...paging },
    output: { PolicyNames: { shape: { type: 'list', member: text } }, NextToken: { shape: text } },
    pagedBy: ['UserName'],
    call: (services, principal, input, page) => services.users.listUserPolicies(principal, input, page),
  }),
  permanentOnly(
    restOperation({
      name: 'DeleteUserPolicy',
      method: 'DELETE',
      uri: `${users}/{UserName}/policies/{PolicyName}`,
      statusCode: 204,
      action: 'scep-connector:DeleteUserPolicy',
      resource: namedUser,
      input: ofPolicy,
      output: {},
      call: (services, principal, input) => services.users.deleteUserPolicy(principal, input),
    }),
  ),
  permanentOnly(
    restOperation({
      name: 'CreateAccessKey',
      method: 'POST',
      uri: `${users}/{UserName}/access-keys`,
      statusCode: 200,
      action: 'scep-connector:CreateAccessKey',
      resource: namedUser,
      input: ofUser,
      output: { AccessKey: { shape: newAccessKey } },
      async call({ accessKeys }, { accountId }, { UserName }) {
        const key = await accessKeys.createAccessKey({ accountId, userName: UserName });
        const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, createdAt: CreatedAt } = key;
        return { AccessKey: { UserName, AccessKeyId, SecretAccessKey, CreatedAt } };
      },
    }),
  ),
  restOperation({
    name: 'ListAccessKeys',
    method: 'GET',
    uri: `${users}/{UserName}/access-keys`,
    statusCode: 200,
    action: 'scep-connector:ListAccessKeys',
    readOnly: true,
    resource: namedUser,
    input: { ...ofUser, ...paging },
    output: { AccessKeys: { shape: { type: 'list', member: accessKey } }, NextToken: { shape: text } },
    pagedBy: ['UserName'],
    call: ({ accessKeys }, principal, input, page) => accessKeys.listAccessKeys(principal, input, page),
  }),
  permanentOnly(
    restOperation({
      name: 'UpdateAccessKey',
      method: 'PUT',
      uri: `${users}/{UserName}/access-keys/{AccessKeyId}`,
      statusCode: 204,
      action: 'scep-connector:UpdateAccessKey',
      resource: namedUser,
      input: { ...ofAccessKey, Status: { place: 'body', shape: accessKeyStatus, required: true } },
      output: {},
      call: ({ accessKeys }, principal, { Status, ...key }) =>
        accessKeys.updateAccessKey(principal, { ...key, Status: Status === 'ACTIVE' ? 'ACTIVE' : 'INACTIVE' }),
    }),
  ),
  permanentOnly(
    restOperation({
      name: 'DeleteAccessKey',
      method: 'DELETE',
      uri: `${users}/{UserName}/access-keys/{AccessKeyId}`,
      statusCode: 204,
      action: 'scep-connector:DeleteAccessKey',
      resource: namedUser,
      input: ofAccessKey,
      output: {},
      call: ({ accessKeys }, principal, input) => accessKeys.deleteAccessKey(principal, input),
    }),
  ),
  permanentOnly(
    restOperation({
      name: 'GetSessionToken',
      method: 'POST',
      uri: '/scep-connector/v1/session-tokens',
      statusCode: 200,
      action: 'scep-connector:GetSessionToken',
      input: {
        DurationSeconds: { place: 'body', shape: { type: 'integer', min: sessionSeconds.min, max: sessionSeconds.max } },
        Policy: { place: 'body', shape: { type: 'string', ...sessionPolicyForm } },
      },
      output: { Credentials: { shape: credentials } },
      call: ({ accessKeys }, principal, input) => accessKeys.getSessionToken(principal, input),
    }),
  ),
];
