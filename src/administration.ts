/** The commands `user` and `access-key`: users, their policies and their credentials, administered on the store itself. */
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ServiceException } from './base/errors.ts';
import { administered, type Log } from './base/events.ts';
import { StartError } from './base/start-error.ts';
import { type Config, readConfig } from './config.ts';
import { openInstallation } from './installation.ts';
import { type AccessKeyMetadata, type AccessKeys, formatCredentials } from './service/access-keys.ts';
import { Audit } from './service/audit.ts';
import type { PageRequest } from './service/connectors.ts';
import { type Account, administratorAccess, administratorName, type InlinePolicy, Users } from './service/users.ts';

const pageSize = 100;

/** What the commands need of the command line they belong to. */
interface CommandLine {
  print(text: string): void;
  createLog(config: Config): Log;
}

interface WorkParts {
  account: Account;
  accessKeys: AccessKeys;
  users: Users;
  /** Leaves the record that a call of the operation of that name would have left. */
  record(operation: string, requestParameters: object): Promise<void>;
}

/** A command's work: gives the lines to print. */
type Work = (parts: WorkParts) => Promise<string[]>;

interface AccountArgument {
  account?: string;
}

const accountOption = ['--account <id>', 'the account, 12 digits (default: SCEP_ACCOUNT)'] as const;

export function addAdministration(program: Command, commandLine: CommandLine): void {
  const run = (args: AccountArgument, work: Work) => administer(commandLine, args, work);
  addUserCommands(program.command('user').description('administer the users of the API and what each may do'), run);
  addAccessKeyCommands(program.command('access-key').description('administer the credentials of the API'), run);
}

type Run = (args: AccountArgument, work: Work) => Promise<void>;

function addUserCommands(user: Command, run: Run): void {
  user
    .command('create <name>')
    .description('make a user, who may do nothing until a policy allows it')
    .addOption(new Option('--administrator', 'let the user do everything').conflicts('policy'))
    .option('--policy <file>', "the user's first policy, in IAM's JSON; it is named after the file")
    .option(...accountOption)
    .action((name: string, args: AccountArgument & InitialPolicyArguments) => run(args, createUser(name, args)));
  user
    .command('list')
    .description('list the users of an account')
    .option(...accountOption)
    .action((args: AccountArgument) => run(args, listUsers));
  user
    .command('show <name>')
    .description("show a user's policies and access keys")
    .option(...accountOption)
    .action((name: string, args: AccountArgument) => run(args, showUser(name)));
  user
    .command('put-policy <name> <policy-name> <file>')
    .description("add or replace a user's policy; it counts from the next request on")
    .option(...accountOption)
    .action((name: string, policyName: string, file: string, args: AccountArgument) => run(args, putUserPolicy(name, policyName, file)));
  user
    .command('delete-policy <name> <policy-name>')
    .description("delete a user's policy; it counts from the next request on")
    .option(...accountOption)
    .action((name: string, policyName: string, args: AccountArgument) => run(args, deleteUserPolicy(name, policyName)));
  user
    .command('delete <name>')
    .description('delete a user who has neither policies nor permanent access keys')
    .option(...accountOption)
    .action((name: string, args: AccountArgument) => run(args, deleteUser(name)));
}

function addAccessKeyCommands(accessKey: Command, run: Run): void {
  accessKey
    .command('create')
    .description('make an access key and print it as an AWS credentials file')
    .option('--user <name>', 'whose it is (default: administrator, who is made when missing)')
    .option('--duration <time>', 'make a temporary key with a session token: 15m, 1h, 36h', parseDuration)
    .option('--policy <file>', "with --duration: narrows what the user may do, in IAM's JSON")
    .option(...accountOption)
    .action((args: AccountArgument & NewKeyArguments) => run(args, createAccessKey(args)));
  accessKey
    .command('list')
    .description('list the access keys of an account')
    .option('--user <name>', 'those of one user only')
    .option(...accountOption)
    .action((args: AccountArgument & { user?: string }) => run(args, listAccessKeys(args.user)));
  accessKey
    .command('delete <access-key-id>')
    .description('delete an access key; requests signed with it are refused at once')
    .option(...accountOption)
    .action((accessKeyId: string, args: AccountArgument) => run(args, deleteAccessKey(accessKeyId)));
}

/** A running server may have the store open too. */
async function administer({ print, createLog }: CommandLine, { account }: AccountArgument, work: Work): Promise<void> {
  const { config, secrets } = readConfig();
  await using installation = await openInstallation(config, secrets);
  const { region, account: accountDefault } = config;
  const log = createLog(config);
  const users = new Users({ ...installation, log });
  await using audit = new Audit({ ...installation, log });
  const accountId = account ?? accountDefault;
  const record = (operation: string, requestParameters: object) =>
    audit.recordCall(administered({ operation, accountId, region, requestId: installation.system.randomUUID(), requestParameters }));
  try {
    const lines = await work({ account: { accountId }, accessKeys: installation.accessKeys, users, record });
    for (const line of lines) print(line);
  } catch (cause) {
    if (!(cause instanceof ServiceException) || cause.name !== 'ResourceNotFoundException') throw cause;
    const command = { User: 'user list', Policy: 'user show', AccessKey: 'access-key list' }[cause.members['ResourceType'] ?? ''];
    const problem = cause.message.replace(/\.$/, '');
    throw new StartError(`${problem} in account ${accountId}: \`${command}\` shows those there are.`, { cause });
  }
}

interface InitialPolicyArguments {
  administrator?: true;
  policy?: string;
}

function createUser(UserName: string, { administrator, policy: file }: InitialPolicyArguments): Work {
  return async ({ users, account, record }) => {
    const given = file === undefined ? undefined : await readPolicy(basename(file, extname(file)), file);
    const policy = administrator ? administratorAccess : given;
    await users.createUser(account, { UserName }, policy);
    await record('CreateUser', { UserName });
    if (policy) await record('PutUserPolicy', { UserName, ...policy });
    const powers = policy ? `with policy ${policy.PolicyName}` : 'who may do nothing until `user put-policy` allows it';
    return [`Created ${UserName}, ${powers}.`];
  };
}

const listUsers: Work = async ({ users, account }) => {
  const pages = await everyPage(at => users.listUsers(account, at));
  return pages.flatMap(page => page.Users.map(({ UserName, CreatedAt }) => `${iso(CreatedAt)}  ${UserName}`));
};

function showUser(UserName: string): Work {
  return async ({ users, accessKeys, account }) => {
    const pages = await everyPage(at => users.listUserPolicies(account, { UserName }, at));
    const names = pages.flatMap(({ PolicyNames }) => PolicyNames);
    const policies = await Promise.all(names.map(PolicyName => users.getUserPolicy(account, { UserName, PolicyName })));
    const keyPages = await everyPage(at => accessKeys.listAccessKeys(account, { UserName }, at));
    return [
      ...policies.map(({ PolicyName, PolicyDocument }) => `Policy ${PolicyName}:\n${PolicyDocument.trim()}`),
      ...keyPages.flatMap(({ AccessKeys: keys }) => keys.map(describeKey)),
    ];
  };
}

function putUserPolicy(UserName: string, policyName: string, file: string): Work {
  return async ({ users, account, record }) => {
    const request = { UserName, ...(await readPolicy(policyName, file)) };
    await users.putUserPolicy(account, request);
    await record('PutUserPolicy', request);
    return [`${UserName} has policy ${policyName}.`];
  };
}

function deleteUserPolicy(UserName: string, PolicyName: string): Work {
  return async ({ users, account, record }) => {
    await users.deleteUserPolicy(account, { UserName, PolicyName });
    await record('DeleteUserPolicy', { UserName, PolicyName });
    return [`Deleted policy ${PolicyName} of ${UserName}.`];
  };
}

function deleteUser(UserName: string): Work {
  return async ({ users, account, record }) => {
    await users.deleteUser(account, { UserName });
    await record('DeleteUser', { UserName });
    return [`Deleted ${UserName}.`];
  };
}

async function readPolicy(PolicyName: string, file: string): Promise<InlinePolicy> {
  return { PolicyName, PolicyDocument: await readFile(file, 'utf8') };
}

interface NewKeyArguments {
  user?: string;
  /** Seconds. */
  duration?: number;
  policy?: string;
}

function createAccessKey({ user: userName, duration: durationSeconds, policy: file }: NewKeyArguments): Work {
  if (file !== undefined && durationSeconds === undefined) {
    throw new InvalidArgumentError('--policy needs --duration: only a temporary key is narrower than its user');
  }
  return async ({ accessKeys, account, record }) => {
    const sessionPolicy = file === undefined ? undefined : await readFile(file, 'utf8');
    const key = await accessKeys.createAccessKey({
      ...account,
      ...(userName !== undefined && { userName }),
      ...(durationSeconds !== undefined && { durationSeconds }),
      ...(sessionPolicy !== undefined && { sessionPolicy }),
    });
    const session = { DurationSeconds: durationSeconds, Policy: sessionPolicy };
    const operation = durationSeconds === undefined ? 'CreateAccessKey' : 'GetSessionToken';
    await record(operation, { UserName: userName ?? administratorName, AccessKeyId: key.accessKeyId, ...session });
    return [formatCredentials(key).trimEnd()];
  };
}

function listAccessKeys(UserName: string | undefined): Work {
  return async ({ accessKeys, account }) => {
    const pages = await everyPage(at => accessKeys.listAccessKeys(account, UserName === undefined ? {} : { UserName }, at));
    return pages.flatMap(({ AccessKeys: keys }) => keys.map(describeKey));
  };
}

function deleteAccessKey(AccessKeyId: string): Work {
  return async ({ accessKeys, account, record }) => {
    await accessKeys.deleteAccessKey(account, { AccessKeyId });
    await record('DeleteAccessKey', { AccessKeyId });
    return [`Deleted ${AccessKeyId}.`];
  };
}

function describeKey({ AccessKeyId, CreatedAt, ExpiresAt, Status, UserName }: AccessKeyMetadata): string {
  const end = ExpiresAt === undefined ? 'permanent' : `expires ${iso(ExpiresAt)}`;
  return `${AccessKeyId}  ${iso(CreatedAt)}  ${end}${Status === 'ACTIVE' ? '' : ', inactive'}  ${UserName}`;
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

async function everyPage<P extends { next?: string }>(list: (at: PageRequest) => Promise<P>): Promise<P[]> {
  const pages = [await list({ limit: pageSize })];
  for (let next = pages[0]?.next; next !== undefined; next = pages.at(-1)?.next) pages.push(await list({ limit: pageSize, after: next }));
  return pages;
}

/** Seconds. */
function parseDuration(text: string): number {
  const [, count, unit] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
  const unitSeconds = { s: 1, m: 60, h: 3600 }[unit ?? ''];
  if (count === undefined || unitSeconds === undefined) throw new InvalidArgumentError('Write a number and s, m or h, for example 1h.');
  return Number(count) * unitSeconds;
}
