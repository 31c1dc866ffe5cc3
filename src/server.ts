/** The composition root: puts the parts together, binds the fronts to their listeners, starts and stops. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import { fetchTransport } from './backends/intune/microsoft-http.ts';
import type { Database } from './backends/store/database.ts';
import { findStoreProperty } from './backends/store/store-properties.ts';
import { ServiceException } from './base/errors.ts';
import type { Home } from './base/resources.ts';
import { StartError, systemErrorCode } from './base/start-error.ts';
import { realSystem, type System } from './base/system.ts';
import { WorkerPool } from './base/worker-pool.ts';
import type { Config, Secrets } from './config.ts';
import { withCors } from './fronts/api/cors.ts';
import { createApiHandler } from './fronts/api/handler.ts';
import { encodeException } from './fronts/api/rest-json.ts';
import { type HttpRequest, type HttpResponse, type Listener, type ListenerOptions, listen } from './fronts/http/listener.ts';
import type { HeaderPairs, RefusedRequest } from './fronts/http/refused-requests.ts';
import { createPublicationHandler } from './fronts/publication/handler.ts';
import { createOpenIdHandler } from './fronts/publication/openid-handler.ts';
import { createScepFront } from './fronts/scep/handler.ts';
import { isTlsCertificateGood, readTlsFiles, type TlsFiles, watchTlsFiles } from './fronts/tls-files.ts';
import { sourceOf } from './fronts/trusted-proxies.ts';
import { type Installation, masterKeyCheckProperty, openInstallation } from './installation.ts';
import { formatCredentials } from './service/access-keys.ts';
import { Audit } from './service/audit.ts';
import { AuditFile } from './service/audit-file.ts';
import { bootstrap, type Credentials, confirmFirstStart, type FirstStart } from './service/bootstrap.ts';
import { StepLoop } from './service/step-loop.ts';
import { issueTlsCertificate } from './service/tls-certificate.ts';
import { apiDependencies, createServices, type Services } from './services.ts';
import type { Listen } from './settings.ts';

/** An API request is small; a pkiMessage has some 3 KB, with an Intune challenge some 10 KB. */
const bodyBytesMax = { api: 256 * 1024, scep: 256 * 1024 } as const;
/** Of what a refused request says, in a line of the log. */
const loggedCharactersMax = 256;
const ownerOnly = 0o600;
/** How soon HTTPS enrolment opens once there is a CA to issue its certificate. */
const tlsOpeningIntervalMs = 5000;

/** Where each listener listens, as `host:port`. */
export interface Addresses {
  api: string;
  enroll: string | undefined;
  /** Undefined as long as it is closed. */
  enrollTls: string | undefined;
}

export interface RunningServer extends AsyncDisposable {
  addresses: Addresses;
  /** The audit file was moved away by a log rotation. */
  reopenAuditFile(): void;
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
  const auditFile = config.auditFile === undefined ? undefined : starting.use(new AuditFile(config.auditFile, log));
  const audit = starting.use(new Audit({ ...installation, log, file: auditFile }));
  const services = createServices(config, { installation, workers, audit, log, transport: fetchTransport });
  const loops = [
    services.issuanceQueue,
    services.authorityLifecycle,
    services.lifecycle,
    services.intentRecovery,
    services.intuneNotifications,
    services.intuneRevocations,
    services.auditRetention,
  ];
  for (const loop of loops) starting.use(loop);
  const home: Home = { accountId: config.account, region: config.region };
  const firstStart = await bootstrap(
    { ...services, ...installation },
    {
      ...home,
      keyAlgorithm: config.caKeyAlgorithm,
      compatibility: config.compatibility,
      withConnector: config.bootstrap,
      credentials: credentialsFile(join(config.dataDir, 'credentials')),
    },
  );
  for (const loop of loops) loop.start();
  const addresses = await openListeners(config, installation, services, log, starting);
  const running = starting.move();
  return {
    addresses,
    firstStart,
    reopenAuditFile: () => auditFile?.reopen(),
    confirmFirstStart: () => confirmFirstStart(installation.database),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

type ListenerRest = Omit<ListenerOptions, 'host' | 'port' | 'log'>;

async function openListeners(
  config: Config,
  installation: Installation,
  services: Services,
  log: FastifyBaseLogger,
  starting: AsyncDisposableStack,
): Promise<Addresses> {
  const listeners: Listener[] = [];
  const watches: (() => void)[] = [];
  starting.defer(async () => {
    for (const endWatch of watches) endWatch();
    await Promise.all(listeners.map(listener => listener[Symbol.asyncDispose]()));
  });
  const open = async (setting: string, at: Listen, rest: ListenerRest): Promise<Listener> => {
    const listener = await listenOrExplain(setting, { host: at.host, port: at.port, log, ...rest });
    listeners.push(listener);
    return listener;
  };
  const addresses: Addresses = { api: '', enroll: undefined, enrollTls: undefined };
  const front = enrolmentFront(services, config, installation.system, log);
  const enrol = { onRefused: front.onRefused, encodeError: encodePlainError, bodyBytesMax: bodyBytesMax.scep };
  const { enrollListen, enrollTlsListen } = config;
  if (enrollListen) {
    // Without a TLS listener a proxy ends TLS.
    const handle = front.handleWith({ openId: enrollTlsListen === undefined });
    addresses.enroll = (await open('SCEP_ENROLL_LISTEN', enrollListen, { ...enrol, handle })).address;
  }
  const openTls = async (at: Listen): Promise<boolean> => {
    const files = config.tlsFiles ?? (await makeTlsFiles(config, installation, services));
    if (files === undefined) return false;
    const handle = front.handleWith({ openId: true });
    const opened = await open('SCEP_ENROLL_TLS_LISTEN', at, { ...enrol, handle, tls: await readTlsFiles(files) });
    watches.push(watchTlsFiles(files, material => opened.replaceTls(material), log));
    addresses.enrollTls = opened.address;
    return true;
  };
  if (enrollTlsListen && !(await openTls(enrollTlsListen))) {
    log.warn({}, 'HTTPS enrolment opens once there is an active CA to issue its certificate; SCEP_TLS_CERT is not set');
    starting.use(new TlsOpening(() => openTls(enrollTlsListen), log)).start();
  }
  // Last, so that /readyz answers only when devices are answered too.
  const api = await open('SCEP_API_LISTEN', config.apiListen, {
    handle: apiFront(config, installation, services, log),
    encodeError: statusCode => encodeApiError(statusCode, installation.system),
    onRefused: async refused => logRefusedApiRequest(log, refused),
    bodyBytesMax: bodyBytesMax.api,
  });
  addresses.api = api.address;
  return addresses;
}

/** Tries again until HTTPS is open: the first CA may be made by the API long after the start. */
class TlsOpening extends StepLoop {
  readonly #open: () => Promise<boolean>;
  #isOpen = false;

  constructor(open: () => Promise<boolean>, log: FastifyBaseLogger) {
    super({ name: 'tls-opening', intervalMs: tlsOpeningIntervalMs, itemsPerStepMax: 1, log });
    this.#open = open;
  }

  async step(): Promise<number> {
    if (!this.#isOpen) this.#isOpen = await this.#open();
    return 0;
  }
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

function apiFront(config: Config, installation: Installation, services: Services, log: FastifyBaseLogger) {
  const { database } = installation;
  const api = createApiHandler(apiDependencies(services, installation, config.region, log));
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

/** Enrolment, and what anyone may fetch of the authorities and, of a listener with `openId`, of the OpenID issuers. */
function enrolmentFront(
  { audit, revocationLists, oidcKeys, ...services }: Services,
  config: Config,
  system: System,
  log: FastifyBaseLogger,
): Pick<ListenerOptions, 'onRefused'> & { handleWith: (which: { openId: boolean }) => ListenerOptions['handle'] } {
  const publish = createPublicationHandler({ revocationLists, log });
  const { compatibility, publicUrl } = config;
  const trustedProxies = [...config.trustedProxies.values()];
  const scep = createScepFront({ ...services, compatibility, publicUrl, record: event => audit.recordCall(event), system, log });
  const senderOf = ({ source, headers }: { source: string; headers: HeaderPairs }) => ({
    source: sourceOf(trustedProxies, source, headerValues(headers, 'x-forwarded-for')),
    hosts: headerValues(headers, 'host'),
    userAgent: headerValues(headers, 'user-agent')[0],
  });
  return {
    handleWith({ openId }) {
      const publishOpenId = createOpenIdHandler({ oidcKeys, log, isServed: openId });
      return async request => publish(request) ?? publishOpenId(request) ?? scep.handle({ ...request, ...senderOf(request) });
    },
    onRefused: async refused => scep.noteRefused({ ...refused, ...senderOf(refused), reason: plainErrorText(refused.statusCode) }),
  };
}

function headerValues(headers: HeaderPairs, name: string): string[] {
  return headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}

/** Whoever sent it is not known, so that no account could have a record of it. */
function logRefusedApiRequest(log: FastifyBaseLogger, { source, method, rawUrl, headers, statusCode }: RefusedRequest): void {
  const cut = (text: string | undefined) => text?.slice(0, loggedCharactersMax);
  // A presigned URL has its signature in the query.
  const path = cut(rawUrl?.split('?', 1)[0]);
  log.info({ source, method, path, userAgent: cut(headerValues(headers, 'user-agent')[0]), statusCode }, 'api request refused');
}

/** What never became a request, in AWS's common errors. */
function encodeApiError(statusCode: number, system: System): HttpResponse {
  const exceptions: Record<number, ServiceException> = {
    408: new ServiceException('RequestTimeoutException', 'The request took too long.'),
    413: new ServiceException('RequestEntityTooLargeException', `The request is larger than ${bodyBytesMax.api} bytes.`),
    500: new ServiceException('InternalServerException', 'An internal error occurred.'),
  };
  const malformed = new ServiceException('MalformedHttpRequestException', 'The request is not valid HTTP.');
  return withCors(encodeException(exceptions[statusCode] ?? malformed, system.randomUUID()));
}

function encodePlainError(statusCode: number): HttpResponse {
  return plain(statusCode, plainErrorText(statusCode));
}

function plainErrorText(statusCode: number | undefined): string {
  const text: Record<number, string> = {
    400: 'The request is not valid HTTP.',
    408: 'The request took too long.',
    413: `The request is larger than ${bodyBytesMax.scep} bytes.`,
    431: 'The request line and headers are too long.',
  };
  if (statusCode === undefined) return 'The connection ended before the request did.';
  return text[statusCode] ?? 'The request could not be answered.';
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
