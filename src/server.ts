/** The composition root: builds the parts in dependency order, binds the fronts to their listeners, starts and stops. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import {
  type KeyProtector,
  LocalKeyProtector,
  loadMasterKey,
  makeMasterKeyCheck,
  parseMasterKey,
  verifyMasterKey,
} from './backends/key-protector.ts';
import type { Database } from './backends/store/database.ts';
import { openSqliteDatabase } from './backends/store/sqlite.ts';
import { findStoreProperty, insertStoreProperty } from './backends/store/store-properties.ts';
import { ServiceException } from './base/errors.ts';
import type { Home } from './base/resources.ts';
import { StartError, systemErrorCode } from './base/start-error.ts';
import { realSystem, type System } from './base/system.ts';
import { WorkerPool, type Workers } from './base/worker-pool.ts';
import type { Config, Listen, Secrets } from './config.ts';
import { createApiHandler } from './fronts/api/handler.ts';
import { encodeException } from './fronts/api/rest-json.ts';
import { type HttpRequest, type HttpResponse, type Listener, type ListenerOptions, listen } from './fronts/listener.ts';
import { createScepHandler } from './fronts/scep/handler.ts';
import { isTlsCertificateGood, readTlsFiles, type TlsFiles, watchTlsFiles } from './fronts/tls-files.ts';
import { AccessKeys, formatCredentials } from './service/access-keys.ts';
import { Audit } from './service/audit.ts';
import { bootstrap, type Credentials, confirmFirstStart, type FirstStart } from './service/bootstrap.ts';
import { CertificateAuthorities } from './service/certificate-authorities.ts';
import { Certificates } from './service/certificates.ts';
import { Challenges } from './service/challenges.ts';
import { Connectors } from './service/connectors.ts';
import { Enrolment } from './service/enrolment.ts';
import { Lifecycle } from './service/lifecycle.ts';
import { RaKeys } from './service/ra-keys.ts';
import { Tags } from './service/tags.ts';
import { issueTlsCertificate } from './service/tls-certificate.ts';

/** An API request is small; a pkiMessage has some 3 KB, with an Intune challenge some 10 KB. */
const bodyBytesMax = { api: 256 * 1024, scep: 256 * 1024 } as const;
const ownerOnly = 0o600;
const masterKeyCheckProperty = 'master-key-check';

/** The store and the key to its secrets: what the server and the administrator's commands both open. */
export interface Installation extends AsyncDisposable {
  database: Database;
  keyProtector: KeyProtector;
  system: System;
  accessKeys: AccessKeys;
}

/** Throws StoreError or KeyProtectorError, whose messages say what to do. A wrong master key changes nothing. */
export async function openInstallation(config: Config, secrets: Secrets, system: System = realSystem): Promise<Installation> {
  await makeDataDirectory(config.dataDir);
  const database = await openSqliteDatabase({ file: config.store.file });
  try {
    const keyProtector = await openKeyProtector(database, secrets, system);
    const accessKeys = new AccessKeys({ database, keyProtector, system });
    return { database, keyProtector, system, accessKeys, [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

async function makeDataDirectory(directory: string): Promise<void> {
  try {
    await makeDirectory(directory);
  } catch (cause) {
    const code = systemErrorCode(cause);
    throw new StartError(`SCEP_DATA_DIR: ${directory} cannot be made (${code}). Name a directory that this user may make or write.`, {
      cause,
    });
  }
}

/** With those above it. Not Node's own recursive mkdir, which never ends below /proc. */
async function makeDirectory(directory: string): Promise<void> {
  const make = () => mkdir(directory, { mode: 0o700 });
  try {
    await make();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(directory) === directory) throw error;
    await makeDirectory(dirname(directory));
    await make();
  }
}

async function openKeyProtector(database: Database, { masterKey, masterKeyFile }: Secrets, system: System): Promise<KeyProtector> {
  const check = await findStoreProperty(database.query, masterKeyCheckProperty);
  const key =
    masterKey === undefined ? await loadMasterKey(masterKeyFile, { system, create: check === undefined }) : parseMasterKey(masterKey);
  const keyProtector = new LocalKeyProtector(key, system);
  if (check !== undefined) await verifyMasterKey(keyProtector, check);
  else await insertStoreProperty(database.query, masterKeyCheckProperty, await makeMasterKeyCheck(keyProtector));
  return keyProtector;
}

export interface RunningServer extends AsyncDisposable {
  /** Where each listener listens, as `host:port`. */
  addresses: { api: string; enroll: string | undefined; enrollTls: string | undefined };
  /** What only the first start makes, for a person to be shown once. */
  firstStart: FirstStart | undefined;
  /** To be called once that was shown: until then every start makes sure that it is. */
  confirmFirstStart(): Promise<void>;
}

/** Starts everything or nothing: when a part fails, those before it are stopped and the error is thrown. */
export async function startServer(
  config: Config,
  secrets: Secrets,
  log: FastifyBaseLogger,
  system: System = realSystem,
): Promise<RunningServer> {
  await using starting = new AsyncDisposableStack();
  const installation = starting.use(await openInstallation(config, secrets, system));
  const workers = starting.use(new WorkerPool(config.workers));
  const services = createServices(config, installation, workers, log);
  const { lifecycle } = starting.adopt(services, ({ lifecycle: worker }) => worker[Symbol.asyncDispose]());
  const home: Home = { accountId: config.account, region: config.region };
  const firstStart = await bootstrap(
    { ...services, ...installation },
    {
      ...home,
      keyAlgorithm: config.caKeyAlgorithm,
      withConnector: config.bootstrap,
      credentials: credentialsFile(join(config.dataDir, 'credentials')),
    },
  );
  lifecycle.start();
  const addresses = await openListeners(config, installation, services, log, starting);
  const running = starting.move();
  return {
    addresses,
    firstStart,
    confirmFirstStart: () => confirmFirstStart(installation.database),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function createServices(
  config: Config,
  { database, keyProtector, system, accessKeys }: Installation,
  workers: Workers,
  log: FastifyBaseLogger,
) {
  const { region, publicUrl } = config;
  const audit = new Audit({ database, system, log });
  const certificates = new Certificates({ database, system });
  const certificateAuthorities = new CertificateAuthorities({ database, keyProtector, system, workers });
  const raKeys = new RaKeys({ database, keyProtector, system, certificates });
  const lifecycle = new Lifecycle({ database, system, audit, log, certificateAuthorities, raKeys });
  const connectors = new Connectors({ database, system, region, publicUrl, wakeLifecycle: () => lifecycle.wake() });
  const challenges = new Challenges({ database, keyProtector, system, region });
  const tags = new Tags({ database, region });
  const enrolment = new Enrolment({ database, system, audit, certificateAuthorities, certificates, challenges, raKeys });
  return { accessKeys, workers, audit, certificates, certificateAuthorities, raKeys, lifecycle, connectors, challenges, tags, enrolment };
}

type Services = ReturnType<typeof createServices>;
type ListenerRest = Omit<ListenerOptions, 'host' | 'port' | 'log'>;

async function openListeners(
  config: Config,
  installation: Installation,
  services: Services,
  log: FastifyBaseLogger,
  starting: AsyncDisposableStack,
): Promise<RunningServer['addresses']> {
  const listeners: Listener[] = [];
  starting.defer(async () => {
    await Promise.all(listeners.map(listener => listener[Symbol.asyncDispose]()));
  });
  const open = async (setting: string, at: Listen, rest: ListenerRest): Promise<Listener> => {
    const listener = await listenOrExplain(setting, { host: at.host, port: at.port, log, ...rest });
    listeners.push(listener);
    return listener;
  };
  const enrol = { handle: scepFront(services, log), encodeError: encodePlainError, bodyBytesMax: bodyBytesMax.scep };
  const { enrollListen, enrollTlsListen } = config;
  const enroll = enrollListen && (await open('SCEP_ENROLL_LISTEN', enrollListen, enrol));
  let enrollTls: Listener | undefined;
  if (enrollTlsListen) {
    const files = config.tlsFiles ?? (await makeTlsFiles(config, installation, services));
    if (files === undefined)
      log.warn({}, 'HTTPS enrolment stays closed: there is no CA yet to issue its certificate, and SCEP_TLS_CERT is not set');
    else {
      const opened = await open('SCEP_ENROLL_TLS_LISTEN', enrollTlsListen, { ...enrol, tls: await readTlsFiles(files) });
      starting.defer(watchTlsFiles(files, material => opened.replaceTls(material), log));
      enrollTls = opened;
    }
  }
  // Last, so that /readyz answers only when devices are answered too.
  const api = await open('SCEP_API_LISTEN', config.apiListen, {
    handle: apiFront(config, installation, services, log),
    encodeError: statusCode => encodeApiError(statusCode, installation.system),
    bodyBytesMax: bodyBytesMax.api,
  });
  return { api: api.address, enroll: enroll?.address, enrollTls: enrollTls?.address };
}

async function listenOrExplain(setting: string, options: ListenerOptions): Promise<Listener> {
  try {
    return await listen(options);
  } catch (cause) {
    const code = systemErrorCode(cause);
    const reasons: Record<string, string> = {
      EADDRINUSE: 'is in use: end the process that listens there, or choose another port',
      EACCES: 'is not for this user to listen on: choose a port above 1023',
      EADDRNOTAVAIL: 'is no address of this machine',
      ENOTFOUND: 'is a name without an address',
    };
    const reason = reasons[code];
    if (reason === undefined) throw cause;
    throw new StartError(`${setting}: ${options.host}:${options.port} ${reason}.`, { cause });
  }
}

function apiFront(
  config: Config,
  { database, keyProtector, system, accessKeys }: Installation,
  services: Services,
  log: FastifyBaseLogger,
) {
  const api = createApiHandler({
    services,
    secretLookup: (accessKeyId, sessionToken) => accessKeys.findSecret(accessKeyId, sessionToken),
    mac: (data, purpose) => keyProtector.mac(data, purpose),
    system,
    region: config.region,
    report: (error, requestId) => log.error({ err: error, requestId }, 'an API request could not be answered'),
  });
  return async (request: HttpRequest): Promise<HttpResponse> => {
    const path = request.rawUrl.split('?', 1)[0];
    if (path === '/healthz') return plain(200, 'alive');
    if (path === '/readyz') return answerReadiness(database);
    return api(request);
  };
}

/** Ready when the store answers; the listeners are open before this one is. */
async function answerReadiness(database: Database): Promise<HttpResponse> {
  try {
    await findStoreProperty(database.query, masterKeyCheckProperty);
    return plain(200, 'ready');
  } catch {
    return plain(503, 'the store does not answer');
  }
}

function scepFront({ enrolment, workers }: Services, log: FastifyBaseLogger) {
  const scep = createScepHandler({ enrolment, workers, log });
  return async (request: HttpRequest): Promise<HttpResponse> => {
    const userAgent = request.headers.find(([name]) => name.toLowerCase() === 'user-agent')?.[1];
    return scep({ ...request, userAgent });
  };
}

/** What never became a request, in AWS's common errors. */
function encodeApiError(statusCode: number, system: System): HttpResponse {
  const exceptions: Record<number, ServiceException> = {
    408: new ServiceException('RequestTimeoutException', 'The request took too long.'),
    413: new ServiceException('RequestEntityTooLargeException', `The request is larger than ${bodyBytesMax.api} bytes.`),
    500: new ServiceException('InternalServerException', 'An internal error occurred.'),
  };
  const malformed = new ServiceException('MalformedHttpRequestException', 'The request is not valid HTTP.');
  return encodeException(exceptions[statusCode] ?? malformed, system.randomUUID());
}

function encodePlainError(statusCode: number): HttpResponse {
  const text: Record<number, string> = {
    400: 'The request is not valid HTTP.',
    408: 'The request took too long.',
    413: `The request is larger than ${bodyBytesMax.scep} bytes.`,
    431: 'The request line and headers are too long.',
  };
  return plain(statusCode, text[statusCode] ?? 'The request could not be answered.');
}

function plain(statusCode: number, text: string): HttpResponse {
  return { statusCode, headers: { 'content-type': 'text/plain' }, body: `${text}\n` };
}

/** The file in which the administrator finds the first access key. */
function credentialsFile(file: string): Credentials {
  return {
    async findAccessKeyId() {
      const text = await readFile(file, 'utf8').catch(() => '');
      return /^aws_access_key_id = (\w+)$/m.exec(text)?.[1];
    },
    save: key => writePrivate(file, formatCredentials(key)),
  };
}

/** Whole or not at all, and never open to others. */
async function writePrivate(file: string, text: string): Promise<void> {
  try {
    await writeFile(`${file}.new`, text, { mode: ownerOnly });
    await rename(`${file}.new`, file);
  } catch (cause) {
    throw new StartError(`${file} cannot be written (${systemErrorCode(cause)}). Let this user write to the data directory.`, { cause });
  }
}

/** The data directory's own certificate, made anew when it is missing, soon expires or is for another host. Undefined without a CA. */
async function makeTlsFiles(config: Config, installation: Installation, services: Services): Promise<TlsFiles | undefined> {
  const files = { certificate: join(config.dataDir, 'tls.crt'), key: join(config.dataDir, 'tls.key') };
  const host = new URL(config.publicUrl).hostname.replace(/^\[|\]$/g, '');
  if (await isTlsCertificateGood(files, host, installation.system.now())) return files;
  const home: Home = { accountId: config.account, region: config.region };
  const hosts = [...new Set([host, 'localhost', '127.0.0.1', '::1'])];
  const material = await issueTlsCertificate({ ...installation, ...services }, home, hosts);
  if (material === undefined) return undefined;
  await writePrivate(files.key, material.key);
  await writePrivate(files.certificate, material.certificate);
  return files;
}
