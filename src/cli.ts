/** The commands: parses the command line, does what it names and prints. The only file that prints. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { access, constants, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import packageJson from '../package.json' with { type: 'json' };
import { addAdministration } from './administration.ts';
import { KeyProtectorError } from './backends/key-protector.ts';
import { StoreError } from './backends/store/database.ts';
import { ServiceException } from './base/errors.ts';
import { formatName } from './base/pki/name.ts';
import { encodePem, parsePem } from './base/pki/pem.ts';
import { PkiError } from './base/pki/pki-error.ts';
import { parseCertificate } from './base/pki/x509.ts';
import { StartError } from './base/start-error.ts';
import { realSystem } from './base/system.ts';
import { examine } from './client/doctor.ts';
import { type Enrolled, EnrolmentRefusedError, enroll } from './client/enroll.ts';
import { OptionError, ScepClientError } from './client/scep-client.ts';
import { type Config, ConfigError, describeConfig, readConfig } from './config.ts';
import { testConnector } from './connection-doctor.ts';
import { type RunningServer, startServer } from './server.ts';

const exitStatus = { failure: 1, wrongUsage: 2 } as const;
const ownerOnly = 0o600;

const program = new Command('scep-connector')
  .description('Open Connector for SCEP: certificates for devices by SCEP (RFC 8894), with the API of AWS Private CA Connector for SCEP.')
  .version(packageJson.version)
  .configureOutput({ outputError: (text, write) => write(`scep-connector: ${oneLine(text)} See --help.\n`) })
  .exitOverride();

program.command('serve').description('run the server; settings come from the environment (docs/configuration.md)').action(serve);

program
  .command('enroll')
  .description('enrol as a device would and write key.pem, cert.pem and chain.pem')
  .requiredOption('--url <url>', 'the SCEP URL')
  .option('--challenge <password>', 'the challenge password')
  .option('--subject <name>', "the subject, such as 'CN=printer-7,O=Example' (when renewing: the old certificate's)")
  .option(
    '--san <name>',
    "a subject alternative name: DNS:…, IP:…, email:…, URI:… or UPN:…; may be given again (when renewing: the old certificate's)",
    collect,
    [],
  )
  .option('--key <type>', 'the key to make: rsa:BITS', 'rsa:2048')
  .option('--out <directory>', 'where the files go', '.')
  .option('--ca-fingerprint <sha256>', 'refuse any CA that does not have this SHA-256 fingerprint')
  .option('--force', 'replace files that are already there')
  .option('--renew', 'renew: sign with the certificate and key given, and replace files')
  .option('--cert <file>', 'with --renew: the certificate to renew, PEM')
  .option('--key-file <file>', 'with --renew: its private key, PEM')
  .action(runEnroll);

program
  .command('doctor')
  .description('ask a SCEP endpoint what a device would ask, or Microsoft what an INTUNE connector would, and say what works')
  .option('--url <url>', 'the SCEP URL')
  .option('--ca-fingerprint <sha256>', 'the SHA-256 fingerprint that the CA must have')
  .addOption(new Option('--connector <arn>', 'an INTUNE connector in the store of this machine').conflicts(['url', 'caFingerprint']))
  .action(runDoctor);

program.command('check-config').description('print the effective configuration, or every mistake in it').action(checkConfig);

addAdministration(program, { print: text => console.log(text), createLog });

async function serve(): Promise<void> {
  const { config, secrets } = readConfig();
  const log = createLog(config);
  const stopped = stopSignal();
  const server = await startServer(config, secrets, log);
  if (server.firstStart?.connector) printFirstStart(config, server);
  else console.log(`Ready. The API is at http://${server.addresses.api}.`);
  await server.confirmFirstStart();
  // What logrotate and its like send after they have moved a file away. Without an audit file it means what it always does.
  if (config.auditFile !== undefined) process.on('SIGHUP', () => server.reopenAuditFile());
  await stopped;
  log.info('stopping: the requests under way are answered first');
  await server[Symbol.asyncDispose]();
}

function createLog(config: Config): Logger {
  const isPretty = config.logFormat === 'pretty' || (config.logFormat === 'auto' && process.stderr.isTTY);
  const destination = pino.destination({ dest: 2, sync: true });
  // A log that cannot be written, on a full disk say, must not take enrolment down with it.
  destination.on('error', () => {});
  return pino({ level: config.logLevel }, isPretty ? pretty({ destination, ignore: 'pid,hostname' }) : destination);
}

/** A terminal's Ctrl-C may arrive twice, from the terminal and from the launcher, so the handlers stay. */
function stopSignal(): Promise<void> {
  return new Promise(resolve => {
    process.on('SIGTERM', () => resolve());
    process.on('SIGINT', () => resolve());
  });
}

/** Shown once: the challenge password and the URL are secrets. */
function printFirstStart(config: Config, { addresses, firstStart }: RunningServer): void {
  const connector = firstStart?.connector;
  if (connector === undefined) return;
  const path = `/${config.account}-${connector.connectorId}/${connector.endpointSecret}`;
  // What listens on every address is reached from here by the loopback one.
  const plainAddress = addresses.enroll?.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
  const plainUrl = plainAddress && `http://${plainAddress}${path}`;
  const url = plainUrl ?? `${config.publicUrl}${path}`;
  const lines = [
    'Open Connector for SCEP is ready. This is shown once:',
    '',
    `  SCEP URL            ${config.publicUrl}${path}`,
    ...(plainUrl ? [`  SCEP URL, no TLS    ${plainUrl}`] : []),
    `  Challenge password  ${connector.challengePassword}`,
    `  CA SHA-256          ${connector.caFingerprint}`,
    `  API                 http://${addresses.api}, credentials in ${join(config.dataDir, 'credentials')}`,
    '',
    'Enrol a first device:',
    '',
    `  npx scep-connector enroll --url ${url} --challenge ${connector.challengePassword} --subject 'CN=first-device' --ca-fingerprint ${connector.caFingerprint} --out first-device`,
    '',
  ];
  console.log(lines.join('\n'));
}

interface EnrollArguments {
  url: string;
  challenge?: string;
  subject?: string;
  san: string[];
  key: string;
  out: string;
  caFingerprint?: string;
  force?: true;
  renew?: true;
  cert?: string;
  keyFile?: string;
}

async function runEnroll(args: EnrollArguments): Promise<void> {
  const renewing = args.renew && (await readRenewing(args));
  if (!args.renew && !args.force) await refuseToReplace(join(args.out, 'key.pem'));
  await checkWritable(args.out);
  const pendingKeyFile = join(args.out, 'pending-key.pem');
  const privateKey = await readPendingKey(pendingKeyFile);
  const options = { ...args, subject: args.subject, subjectAltNames: args.san, privateKey, ...(renewing && { renewing }) };
  const report = (text: string) => console.error(text);
  if (privateKey !== undefined) report(`Going on with ${pendingKeyFile}, the key of a request that was pending.`);
  const keepPending = (key: KeyObject) => writePrivate(pendingKeyFile, toPem(key));
  try {
    const enrolled = await enroll(options, { system: realSystem, report, wait: ms => wait(ms), keepPending });
    await writeEnrolled(args.out, enrolled);
    const { subject, notAfter } = enrolled.certificate;
    console.log(`Enrolled ${formatName(subject)}, valid until ${new Date(notAfter).toISOString()}.`);
    console.log(`Wrote ${['key.pem', 'cert.pem', 'chain.pem'].map(name => join(args.out, name)).join(', ')}.`);
  } catch (error) {
    if (error instanceof EnrolmentRefusedError) await rm(pendingKeyFile, { force: true });
    throw error;
  }
  await rm(pendingKeyFile, { force: true });
}

async function readPendingKey(file: string): Promise<KeyObject | undefined> {
  const pem = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new ScepClientError(`${file} cannot be read (${error.code}). It is the key of a request that was pending.`, { cause: error });
  });
  if (pem === undefined) return undefined;
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new ScepClientError(`${file} is no private key in PEM. Delete it to begin anew.`, { cause });
  }
}

async function readRenewing({ cert, keyFile }: EnrollArguments) {
  if (cert === undefined || keyFile === undefined) throw new InvalidArgumentError('--renew needs --cert FILE and --key-file FILE');
  const [der] = parsePem('CERTIFICATE', await readFile(cert, 'latin1'));
  const keyPem = await readFile(keyFile);
  try {
    return { certificate: parseCertificate(der ?? Buffer.alloc(0)), privateKey: createPrivateKey(keyPem) };
  } catch (cause) {
    throw new ScepClientError(`${cert} and ${keyFile} must be a certificate and its private key in PEM, without a passphrase.`, { cause });
  }
}

/** Before anything is asked of a server; the directory itself is only made once there is something to put into it. */
async function checkWritable(directory: string): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (found === undefined) await checkWritable(dirname(resolve(directory)));
  else await access(directory, constants.W_OK);
}

async function refuseToReplace(file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (found) throw new ScepClientError(`${file} is already there: choose another --out, or replace it with --force.`);
}

async function writePrivate(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text, { mode: ownerOnly });
}

function toPem(privateKey: KeyObject): string {
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** All of them are written before the first takes its name, so that a full disk leaves an old pair as it was. */
async function writeEnrolled(directory: string, { privateKey, certificate, issuers }: Enrolled): Promise<void> {
  await mkdir(directory, { recursive: true });
  const texts = {
    'key.pem': toPem(privateKey),
    'cert.pem': encodePem('CERTIFICATE', certificate.der),
    'chain.pem': issuers.map(({ der }) => encodePem('CERTIFICATE', der)).join(''),
  };
  for (const [name, text] of Object.entries(texts)) {
    await writeFile(join(directory, `${name}.new`), text, { mode: ownerOnly });
  }
  for (const name of Object.keys(texts)) await rename(join(directory, `${name}.new`), join(directory, name));
}

const marks = { works: 'ok      ', warning: 'warning ', fails: 'FAILS   ', skipped: 'skipped ' } as const;
const marksOfSteps = { SUCCEEDED: 'works', WARNING: 'warning', FAILED: 'fails', SKIPPED: 'skipped' } as const;

interface DoctorArguments {
  url?: string;
  caFingerprint?: string;
  connector?: string;
}

async function runDoctor({ url, caFingerprint, connector }: DoctorArguments): Promise<void> {
  if (connector !== undefined) return examineConnector(connector);
  if (url === undefined) throw new InvalidArgumentError('doctor needs --url URL or --connector ARN');
  let failures = 0;
  for await (const { outcome, text } of examine(url, caFingerprint, realSystem)) {
    if (outcome === 'fails') failures += 1;
    console.log(`${marks[outcome]} ${text}`);
  }
  if (failures > 0) throw new ScepClientError('a device could not enrol here; the lines marked FAILS say why.');
}

async function examineConnector(connectorArn: string): Promise<void> {
  const steps = await testConnector(connectorArn, createLog);
  for (const { Name, Outcome, Advice } of steps) console.log(`${marks[marksOfSteps[Outcome]]} ${Name}: ${Advice}`);
  if (steps.some(({ Outcome }) => Outcome === 'FAILED'))
    throw new ScepClientError('devices of this connector could not enrol; the line marked FAILS says why.');
}

function checkConfig(): void {
  const { config } = readConfig();
  console.log(describeConfig(config));
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

/** What these say is meant for the person at the command line; anything else is a bug. */
const plainErrors = [ConfigError, StartError, StoreError, KeyProtectorError, ServiceException, ScepClientError, PkiError];

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

function explain(error: unknown): number {
  if (error instanceof InvalidArgumentError || error instanceof OptionError) {
    console.error(`scep-connector: ${oneLine(error.message)}`);
    return exitStatus.wrongUsage;
  }
  // Commander has said it already; its help and version are no failures.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitStatus.wrongUsage;
  if (plainErrors.some(type => error instanceof type) || isFileError(error)) {
    for (const line of error instanceof Error ? error.message.split('\n') : []) console.error(`scep-connector: ${line}`);
    return exitStatus.failure;
  }
  console.error('scep-connector: an unexpected error; please report it:', error);
  return exitStatus.failure;
}

/** Commander's messages, which may have a second line and may or may not end with a full stop. */
function oneLine(text: string): string {
  const line = text
    .trim()
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ');
  return /[.?!)]$/.test(line) ? line : `${line}.`;
}

/** Node's own words for a file that cannot be read or written name the file and the reason. */
function isFileError(error: unknown): boolean {
  return error instanceof Error && 'path' in error && 'syscall' in error;
}
